"""Part I of the book: one model, its variances known. Dense algebra, written to be read.

Every route ``route(model, y)`` returns ``Effects``. The functions ``flat``, ``henderson`` and
``ridge`` have the names of their modules, and are imported from there or from the package.
"""

from .effects import Effects
from .equivalence import EQUIVALENCES, Equivalence
from .groups import indicator
from .henderson import log_joint, mixed_model_equations
from .hierarchical import GaussianFactor, HierarchicalModel, centred, gaussian, posterior
from .mixed import LinearMixedModel, gls_blup

__all__ = [
    "EQUIVALENCES",
    "Effects",
    "Equivalence",
    "GaussianFactor",
    "HierarchicalModel",
    "LinearMixedModel",
    "centred",
    "gaussian",
    "gls_blup",
    "indicator",
    "log_joint",
    "mixed_model_equations",
    "posterior",
]
