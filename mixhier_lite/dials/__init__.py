"""Figures of the book that can be turned by hand.

Nothing imports this package; chapters and readers do.
"""

from .dial import Dial
from .flat_limit import flat_limit
from .one_group import one_group
from .pooled_to_within import pooled_to_within
from .three_names import three_names
from .which_slope import which_slope
from .who_moves_most import who_moves_most

__all__ = [
    "Dial",
    "flat_limit",
    "one_group",
    "pooled_to_within",
    "three_names",
    "which_slope",
    "who_moves_most",
]
