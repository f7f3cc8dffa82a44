"""Figures of the book that can be turned by hand.

Nothing imports this package; chapters and readers do.
"""

from .dial import Dial
from .flat_limit import flat_limit
from .three_names import three_names
from .which_slope import which_slope
from .who_moves_most import who_moves_most

__all__ = ["Dial", "flat_limit", "three_names", "which_slope", "who_moves_most"]
