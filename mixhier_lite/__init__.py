"""A mixed model is a hierarchical model: the small engine of the book.

Letters go in, words come out: ``X, D, Sigma, tau2`` are the letters of the equation
y = X alpha + D beta + eps, and every route ``route(model, y)`` returns ``Effects``.
"""

from . import datasets, priors
from .after import Comparison, Fit, compare
from .after.fit import fit
from .bayes import Draws, integrate, sample
from .errors import InputError
from .formulas import lmer
from .gram import Gram, Term, gather, gather_partitions
from .kinship import pedigree_relatedness
from .known import (
    EQUIVALENCES,
    Effects,
    Equivalence,
    GaussianFactor,
    HierarchicalModel,
    LinearMixedModel,
    centred,
    gaussian,
    gls_blup,
    indicator,
    log_joint,
    mixed_model_equations,
    posterior,
)
from .known.flat import flat
from .known.henderson import henderson
from .known.ridge import ridge
from .priors import Prior

__version__ = "0.1.0"

__all__ = [
    "EQUIVALENCES",
    "Comparison",
    "Draws",
    "Effects",
    "Equivalence",
    "Fit",
    "GaussianFactor",
    "Gram",
    "HierarchicalModel",
    "InputError",
    "LinearMixedModel",
    "Prior",
    "Term",
    "centred",
    "compare",
    "datasets",
    "fit",
    "flat",
    "gaussian",
    "gather",
    "gather_partitions",
    "gls_blup",
    "henderson",
    "indicator",
    "integrate",
    "lmer",
    "log_joint",
    "mixed_model_equations",
    "pedigree_relatedness",
    "posterior",
    "priors",
    "ridge",
    "sample",
]
