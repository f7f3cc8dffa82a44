"""What a fitted model is, and what reads it: effects, predictions, profiles, comparisons."""

from .comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
