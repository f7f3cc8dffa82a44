"""The basis that spares digits, and one basis for the sums of two sets of rows.

Columns V of the rows are kept as V' with V = V' H. Where some columns c of V sum to one in every
row, V c = 1, V' is V less a typical row, so that a calendar year keeps its digits.
"""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array


@dataclass(frozen=True, eq=False)
class Basis:
    """How columns V are kept: V = V' H."""

    H: Array
    """Shape (k, k)."""
    inverse: Array
    """Its inverse."""
    ones: Array
    """c, 1 for columns of V that sum to one in every row; all 0 where there are none. (k,)."""

    @classmethod
    def shifted(cls, ones: Array, by: Array) -> "Basis":
        """V' is V less the row ``by``, but for the columns in ``ones``: H = I + c by'."""
        by = np.where(ones == 1, 0.0, by) if ones.any() else np.zeros(len(ones))
        shift = np.outer(ones, by)  # whose square is zero
        return cls(np.eye(len(ones)) + shift, np.eye(len(ones)) - shift, ones)

    def is_constant(self, c: Array, moments: Array) -> bool:
        """Whether V c = 1 in every row, given V''W V': whether c - ones is zero in all of them."""
        if not self.ones.any():
            return False
        difference = self.H @ (c - self.ones)
        ones = self.H @ self.ones
        return bool(difference @ moments @ difference <= 1e-20 * (ones @ moments @ ones))

    def means(self, moments: Array) -> Array:
        """Weighted means of V over the rows, given V''W V', where V c = 1."""
        ones = self.H @ self.ones
        means: Array = (ones @ moments @ self.H) / (ones @ moments @ ones)
        return means


def shared(a: Basis, b: Basis, moments_a: Array, moments_b: Array) -> Basis:
    """A basis for the rows of both, given V''W V' of each.

    A site that is alone in its chunk has the dummy of that site for a constant, and the columns
    of the other sites are zero there. All of them together are a constant in every chunk.
    """
    for ones in (a.ones, b.ones, np.maximum(a.ones, b.ones)):
        if a.is_constant(ones, moments_a) and b.is_constant(ones, moments_b):
            if ones is a.ones:
                return a
            return Basis.shifted(ones, a.means(moments_a))
    return a
