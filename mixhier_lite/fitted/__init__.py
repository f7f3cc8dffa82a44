"""Fits, and what reads them. The function ``fit`` has the name of its module."""

from .comparison import Comparison, compare
from .fit import Fit

__all__ = ["Comparison", "Fit", "compare"]
