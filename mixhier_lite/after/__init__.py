"""The fit with its verbs, and what people do with it. The function ``fit`` names its module."""

from .comparison import Comparison, compare
from .fit import Fit

__all__ = ["Comparison", "Fit", "compare"]
