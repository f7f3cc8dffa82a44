"""A mixed model is a hierarchical model: the small engine of the book.

Letters go in, words come out: ``X, D, Sigma, tau2`` are the letters of the equation
y = X alpha + D beta + eps, and every route ``route(model, y)`` returns ``Effects``.
"""

from . import datasets, priors
from .bayes import Draws, integrate, sample
from .chunks import gather
from .comparison import Comparison, compare
from .effects import Effects
from .equivalence import EQUIVALENCES, Equivalence
from .errors import InputError
from .fit import Fit, fit
from .flat import flat
from .formula import lmer
from .gram import Gram
from .groups import indicator
from .henderson import henderson, log_joint, mixed_model_equations
from .hierarchical import GaussianFactor, HierarchicalModel, centred, gaussian, posterior
from .kinship import pedigree_relatedness
from .mixed import LinearMixedModel, gls_blup
from .priors import Prior
from .ridge import ridge
from .scale import gather_partitions
from .term import Term

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
