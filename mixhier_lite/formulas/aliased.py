"""Columns of X that are combinations of others, as in a factorial with an empty cell.

What the data cannot tell is a direction N of alpha with X N = 0. With the later columns dropped,
a combination l'alpha of all columns still has an answer where l'N = 0, and none elsewhere.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..gram.gram import Gram
from ..inputs import Array
from ..values import Value

DEPENDENT = 1e-11
"""What a column has beyond the columns before it, squared and in shares of it, if it is nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class Aliased(Value):
    """Which columns of X were kept, and what is not estimable."""

    kept: npt.NDArray[np.intp]
    """Positions of the columns that were kept."""
    dropped: tuple[str, ...]
    """Names of the others."""
    null: Array
    """N, X N = 0, shape (all columns, dropped)."""

    def estimable(self, L: Array) -> npt.NDArray[np.bool_]:
        """Whether each row of L, over all columns, has an answer, shape (k,)."""
        size = np.abs(L) @ np.abs(self.null)
        return np.asarray((np.abs(L @ self.null) <= 1e-8 * size).all(axis=1))


def aliased_columns(gram: Gram) -> Aliased | None:
    """Find the columns that are combinations of those before them; None where none is."""
    p = gram.p
    unit = np.sqrt(np.diag(gram.C)[:p])
    unit = np.where(unit > 0, unit, 1.0)
    R = gram.C[:p, :p] / np.outer(unit, unit)
    kept: list[int] = []
    for k in range(p):
        explained = np.linalg.solve(R[np.ix_(kept, kept)], R[kept, k]) if kept else np.zeros(0)
        if R[k, k] - R[k, kept] @ explained > DEPENDENT * p:
            kept.append(k)
    dropped = [k for k in range(p) if k not in kept]
    if not dropped:
        return None
    null = np.zeros((p, len(dropped)))  # in the Gram's columns first
    null[dropped, range(len(dropped))] = 1.0
    null[kept] = -np.linalg.solve(R[np.ix_(kept, kept)], R[np.ix_(kept, dropped)])
    null = gram.H_inverse[:p, :p] @ (null / unit[:, None])
    null[np.abs(null) <= 1e-9 * np.abs(null).max(axis=0)] = 0.0
    return Aliased(np.array(kept, dtype=np.intp), tuple(gram.names[k] for k in dropped), null)
