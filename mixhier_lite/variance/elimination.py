"""Eliminating the largest term level by level, and what is left for the others.

Arrays of many small matrices have the level last: shape (q, q, J). Loops run over q and
numpy runs over the levels.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..inputs import Array
from ..labels import Codes


def sweep(A: Array, B: Array, C: Array, T: Array, below: bool = True) -> tuple[Array, ...]:
    """Eliminate the random effects of every level at many T, shape (N, q, q).

    Gauss-Jordan on [[I + T'AT, T'B, T'A], [AT, B, A]] leaves M^-1 T'[B, A] above and
    [B, A] - A T M^-1 T'[B, A] below. Returns all four, shape (N, 2q, r + q, J), log det M of all
    levels, (N,), and C less the sum of B'T M^-1 T'B, (N, p + 1, p + 1). B, (q, r, J), may have
    other columns before those of C. Without ``below`` only the last two are right.
    """
    (N, q, _), (_, r, J), p1 = T.shape, B.shape, len(C)
    turned, BA = T.swapaxes(1, 2), np.concatenate([B, A], axis=1)
    W = np.empty((N, 2 * q if below else q, q + r + q, J))
    W[:, :q, q:] = (turned.reshape(-1, q) @ BA.reshape(q, -1)).reshape(N, *BA.shape)
    W[:, q:, q:] = BA[: W.shape[1] - q]
    W[:, :, :q] = turned[:, None] @ W[:, :, -q:]
    # own: the columns of C
    W, own = (W, slice(-q - p1, -q)) if below else (W[:, :, :-q], slice(-p1, None))
    log_det, S = np.zeros(N), np.tile(C, (N, 1, 1))
    for k in range(q):  # a column is used up, less its one on the diagonal
        pivot, raw = W[:, k, k] + 1.0, W[:, k, k + 1 :].copy()
        row = raw / pivot[:, None]
        W[:, :, k + 1 :] -= W[:, :, k, None] * row[:, None]
        W[:, k, k + 1 :] = row
        log_det += np.log(pivot).sum(axis=1)
        S -= raw[:, own] @ row[:, own].swapaxes(1, 2)
    return W[:, :, q:], log_det, S


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations: one term level by level, to be eliminated; m columns of the others.

    These are dense among themselves and sparse against the levels.
    """

    A: Array
    """Z_j'W Z_j of every level, shape (q, q, J)."""
    B: Array
    """Z_j'W [X y], shape (q, p + 1, J)."""
    slices: tuple[tuple[int, int, int], ...]
    """Start, stop and q of each other term among the m columns."""
    A22: Array
    """Z'WZ of these terms, shape (m, m)."""
    B22: Array
    """Z'W [X y] of these terms, shape (m, p + 1)."""
    start: Codes
    """Where the stored entries of each level start, shape (J + 1,)."""
    columns: Codes
    """Column of each stored entry of A12, shape (e,)."""
    values: Array
    """Z_j'W Z of a level with a column of these terms, shape (q, e)."""

    @property
    def J(self) -> int:
        """Number of levels eliminated."""
        return int(self.B.shape[2])

    @property
    def m(self) -> int:
        """Number of columns."""
        return len(self.A22)

    @cached_property
    def sides(self) -> list[Any]:
        """A12 as q sparse matrices of shape (J, m)."""
        from scipy.sparse import csr_matrix

        return [csr_matrix((v, self.columns, self.start), (self.J, self.m)) for v in self.values]

    @cached_property
    def pairs(self) -> Any:
        """A12'H A12 but for its transpose, as a sparse matrix (m m, q q J) to multiply H with.

        A pair of entries of a level counts once, half of it where both are the same. None where
        there are too many.
        """
        from scipy.sparse import csc_matrix

        (q, e), first = self.values.shape, np.repeat(self.start[:-1], np.diff(self.start))
        each = np.arange(1, e + 1) - first  # an entry meets those before it and itself
        ends = np.append(0, np.cumsum(each))
        if (count := ends[-1]) * q**2 > 10**7:
            return None
        shift = (first - ends[:-1]).astype(np.int32)
        partner = np.repeat(shift, each) + np.arange(count, dtype=np.int32)
        places = np.repeat(self.columns * self.m, each) + self.columns[partner]
        products = np.repeat(self.values, each, axis=1)[:, None] * self.values[:, partner]
        products[:, :, ends[1:] - 1] /= 2
        stops = np.add.outer(count * np.arange(q**2), ends[self.start[:-1]])
        about = products.ravel(), np.tile(places, q**2), np.append(stops, products.size)
        return csc_matrix(about, (self.m**2, q**2 * self.J))

    def reduced(self, H: Array) -> tuple[Array, Array]:
        """Return A22 - A12'H A12 and B22 - A12'H B, for symmetric matrices H, (q, q, J)."""
        if self.pairs is None:
            HA12 = [
                sum(a.multiply(h[:, None]) for a, h in zip(self.sides, k, strict=True)) for k in H
            ]
            fill = sum((a.T @ b).toarray() for a, b in zip(self.sides, HA12, strict=True))
        else:
            half = (self.pairs @ H.ravel()).reshape(self.A22.shape)
            fill = half + half.T
        HB = np.einsum("klj,lrj->kjr", H, self.B)
        B22 = self.B22 - sum(a.T @ b for a, b in zip(self.sides, HB, strict=True))
        return np.subtract(self.A22, fill, out=fill), B22

    def less(self, rest: Array, effects: Array) -> Array:
        """Subtract A12 times (m, r) effects from (q, r, J)."""
        return np.asarray(rest - np.stack([(k @ effects).T for k in self.sides]))

    def inner(self, Q: Array) -> Array:
        """A12_j Q A12_j' for every level, shape (q, q, J), for a symmetric Q."""
        if self.pairs is not None:
            half = (self.pairs.T @ Q.ravel()).reshape(*self.A.shape)
            return np.asarray(half + half.swapaxes(0, 1))
        out, size = np.empty(self.A.shape), max(1, 10**7 // self.m)
        for start in range(0, self.J, size):  # J x m may be large: in blocks of levels
            some = [side[start : start + size] for side in self.sides]
            for k, AQ in enumerate(side @ Q for side in some):
                each = [right.multiply(AQ).sum(axis=1) for right in some]
                out[k, :, start : start + size] = np.hstack(each).T
        return out

    def right(self, T: list[Array], M: Array) -> Array:
        """Multiply T, (..., q, q) of each other term into the rows of M, (..., m, r), in place."""
        for (a, b, q), t in zip(self.slices, T, strict=True):
            rows = M[..., a:b, :].reshape(*M.shape[:-2], -1, q, M.shape[-1])
            if q == 1:
                rows *= t[..., None]
            else:
                rows[...] = t[..., None, :, :] @ rows
        return M
