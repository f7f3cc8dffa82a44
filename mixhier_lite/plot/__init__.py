"""The visual language of the book, and pictures of a fit.

Nothing in the package imports this room; chapters and readers do. It needs ``matplotlib``
(``pip install 'mixhier-lite[plot]'``).
"""

from .densities import posterior_sds
from .marks import (
    FIXED,
    GROUPS,
    MARKERS,
    NOISE,
    RANDOM,
    TRUTH,
    draw_groups,
    draw_intervals,
    draw_matrix,
    four_digits,
    style,
)
from .pictures import caterpillar, forest, profile_zeta, qq, residuals, shrinkage

__all__ = [
    "FIXED",
    "GROUPS",
    "MARKERS",
    "NOISE",
    "RANDOM",
    "TRUTH",
    "caterpillar",
    "draw_groups",
    "draw_intervals",
    "draw_matrix",
    "forest",
    "four_digits",
    "posterior_sds",
    "profile_zeta",
    "qq",
    "residuals",
    "shrinkage",
    "style",
]
