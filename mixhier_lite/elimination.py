"""Eliminating the largest term level by level, and what is left for the others.

Arrays of many small matrices have the level last: shape (q, q, J). Loops run over q and
numpy runs over the levels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .groups import Codes
from .inputs import Array


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
    W, own = W if below else W[:, :, :-q], slice(q + r - p1, q + r)
    log_det, S = np.zeros(N), np.tile(C, (N, 1, 1))
    for k in range(q):  # a column is used up, less its one on the diagonal
        pivot, raw = W[:, k, k] + 1.0, W[:, k].copy()
        row = raw / pivot[:, None]
        W[:, :, k + 1 :] -= W[:, :, k, None] * row[:, None, k + 1 :]
        W[:, k, k + 1 :] = row[:, k + 1 :]
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
    rows: Codes
    """Level of each stored entry of A12, shape (e,)."""
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

    def through(self, H: Array) -> Array:
        """H_j A12 for matrices H of shape (q, q, J), as entries (q, e)."""
        return np.asarray(np.einsum("kle,le->ke", H[:, :, self.rows], self.values))

    def sparse(self, values: Array) -> list[Any]:
        """Entries as q sparse matrices of shape (J, m)."""
        from scipy.sparse import csr_matrix

        start = np.searchsorted(self.rows, np.arange(self.J + 1))
        return [csr_matrix((v, self.columns, start), (self.J, self.m)) for v in values]

    def reduced(self, H: Array) -> tuple[Array, Array]:
        """Return A22 - A12'H A12 and B22 - A12'H B."""
        left, right = self.sparse(self.values), self.sparse(self.through(H))
        A22 = self.A22 - sum((a.T @ b).toarray() for a, b in zip(left, right, strict=True))
        B22 = self.B22 - sum(b.T @ row.T for b, row in zip(right, self.B, strict=True))
        return A22, B22

    def less(self, rest: Array, effects: Array) -> Array:
        """Subtract A12 times (m, r) effects from (q, r, J)."""
        return np.asarray(rest - np.stack([(k @ effects).T for k in self.sparse(self.values)]))

    def filled(self, E12: Array, Q: Array) -> Array:
        """Sum of ``fill`` over the levels, shape (q, q), for a symmetric Q."""
        matrices = self.sparse(E12)
        return np.array([[np.vdot((a.T @ b).toarray(), Q) for b in matrices] for a in matrices])

    def fill(self, E12: Array, Q: Array) -> Array:
        """E_j Q E_j' for every level, shape (J, q, q), for entries E12 of shape (q, e)."""
        matrices, out = self.sparse(E12), np.empty((self.J, len(E12), len(E12)))
        size = max(1, 10**7 // self.m)
        for start in range(0, self.J, size):  # J x m may be large: in blocks of levels
            part = slice(start, start + size)
            for k, left in enumerate(matrices):
                EQ = left[part] @ Q
                for i, right in enumerate(matrices):
                    out[part, k, i] = np.asarray(right[part].multiply(EQ).sum(axis=1)).ravel()
        return out

    def right(self, T: list[Array], M: Array) -> Array:
        """Multiply T, (..., q, q) for each other term, into the rows of M, (..., m, r)."""
        parts = []
        for (a, b, q), t in zip(self.slices, T, strict=True):
            rows = M[..., a:b, :].reshape(*M.shape[:-2], -1, q, M.shape[-1])
            part = sum(t[..., None, :, j, None] * rows[..., j, None, :] for j in range(q))
            parts.append(np.reshape(part, (*np.shape(part)[:-3], b - a, M.shape[-1])))
        return np.concatenate(parts, axis=-2) if parts else M
