"""Eliminating the largest term level by level, and what is left for the others.

Arrays of many small matrices have the level last: shape (q, q, J). Loops run over q and
numpy runs over the levels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .groups import Codes
from .inputs import Array

Sparse = Any  # scipy.sparse is imported where it is used


def choleskies(M: Array) -> Array:
    """Lower Cholesky factors of many p.d. matrices at once, shape (q, q, J)."""
    L = np.zeros_like(M)
    for k in range(len(M)):
        L[k, k] = np.sqrt(M[k, k] - (L[k, :k] ** 2).sum(axis=0))
        for i in range(k + 1, len(M)):
            L[i, k] = (M[i, k] - (L[i, :k] * L[k, :k]).sum(axis=0)) / L[k, k]
    return L


def forward(L: Array, B: Array) -> Array:
    """Solve L_j F_j = B_j for every level; B has shape (q, r, J)."""
    F = np.empty_like(B)
    for k in range(len(B)):
        F[k] = B[k]
        for i in range(k):
            F[k] -= L[k, i] * F[i]
        F[k] /= L[k, k]
    return F


def backward(L: Array, F: Array) -> Array:
    """Solve L_j' U_j = F_j for every level; F has shape (q, r, J)."""
    return forward(L.swapaxes(0, 1)[::-1, ::-1], F[::-1])[::-1]


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations: one term level by level, to be eliminated; m columns of the others.

    These are dense among themselves and sparse against the levels.
    """

    A: Array
    """Z_j'W Z_j of every level, shape (q, q, J)."""
    B: Array
    """Z_j'W [X y], shape (q, p + 1, J)."""
    count: Array
    """How many levels of the data each of these stands for, shape (J,)."""
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
        return len(self.count)

    @property
    def m(self) -> int:
        """Number of columns."""
        return len(self.A22)

    def sparse(self, values: Array) -> list[Sparse]:
        """Entries as q sparse matrices of shape (J, m)."""
        from scipy.sparse import csr_matrix

        start = np.searchsorted(self.rows, np.arange(self.J + 1))
        return [csr_matrix((v, self.columns, start), (self.J, self.m)) for v in values]

    def eliminate(self, L: Array, F: Array, T: Array) -> tuple[Array, Array, Array]:
        """Return F12 = L^-1 T'A12 (entries), A22 - F12'F12 and B22 - F12'F."""
        if not self.m:
            return self.values, self.A22, self.B22
        F12 = forward(L[:, :, self.rows], (T.T @ self.values)[:, None])[:, 0]
        A22, B22 = self.A22.copy(), self.B22.copy()
        for k, matrix in enumerate(self.sparse(F12)):
            product = (matrix.T @ matrix).tocoo()
            A22[product.row, product.col] -= product.data
            B22 -= matrix.T @ F[k].T
        return F12, A22, B22

    def residual(self, T: Array, L: Array, F12: Array) -> Array:
        """Return E12 = A12 - A_j T L^-T F12, as entries (q, e)."""
        U = T @ backward(L[:, :, self.rows], F12[:, None])[:, 0]
        left: Array = self.values - np.einsum("kle,le->ke", self.A[:, :, self.rows], U)
        return left

    def gather(self, values: Array, columns: Array) -> Array:
        """Multiply entries of a (q J, m) matrix by (m, r) columns: shape (q, r, J)."""
        if not self.m:
            return np.zeros((len(values), columns.shape[1], self.J))
        return np.stack([(matrix @ columns).T for matrix in self.sparse(values)])

    def filled(self, E12: Array, Q: Array) -> Array:
        """The sum of E_j Q E_j' over the levels, shape (q, q)."""
        matrices = self.sparse(E12)
        products = [[(left.T @ right).tocoo() for right in matrices] for left in matrices]
        return np.array([[p.data @ Q[p.row, p.col] for p in row] for row in products])

    def fill(self, E12: Array, Q: Array) -> Array:
        """E_j Q E_j' for every level, shape (J, q, q), for entries E12 of shape (q, e)."""
        matrices, out = self.sparse(E12), np.empty((self.J, len(E12), len(E12)))
        size = max(1, 10**7 // self.m)
        for start in range(0, self.J, size):  # J x m may be large: in blocks of levels
            part = slice(start, min(start + size, self.J))
            for k, left in enumerate(matrices):
                EQ = left[part] @ Q
                for i, right in enumerate(matrices):
                    out[part, k, i] = np.asarray(right[part].multiply(EQ).sum(axis=1)).ravel()
        return out

    def dense(self, T1: Array, T2: list[Array]) -> tuple[Array, Array]:
        """Log det (N,) and the random part of [X y]'W[X y] at many T, nothing eliminated."""
        (q, p1, J), N, start = self.B.shape, len(T1), self.B.shape[0] * self.J
        A, T = np.zeros((start + self.m,) * 2), np.zeros((N, start + self.m, start + self.m))
        A[start:, start:] = self.A22
        for matrix, k in zip(self.sparse(self.values), range(q), strict=True):
            A[k:start:q, start:] = matrix.toarray()
            A[start:, k:start:q] = matrix.toarray().T
        for j in range(J):
            here = slice(j * q, j * q + q)
            A[here, here], T[:, here, here] = self.A[:, :, j], T1
        for (a, b, r), t in zip(self.slices, T2, strict=True):
            for k in range(start + a, start + b, r):
                T[:, k : k + r, k : k + r] = t
        turned = T.swapaxes(1, 2)
        L = np.linalg.cholesky(turned @ A @ T + np.eye(len(A)))
        B = np.concatenate([self.B.transpose(2, 0, 1).reshape(start, p1), self.B22])
        F = np.linalg.solve(L, turned @ B)
        return 2 * np.log(np.einsum("nkk->nk", L)).sum(axis=1), F.swapaxes(1, 2) @ F

    def right(self, T: list[Array], M: Array) -> Array:
        """Multiply T into the rows of M, term by term."""
        parts = [
            (t @ M[a:b].reshape(-1, q, M.shape[1])).reshape(b - a, -1)
            for (a, b, q), t in zip(self.slices, T, strict=True)
        ]
        return np.concatenate([np.zeros((0, M.shape[1])), *parts])


def last(stack: Array) -> Array:
    """Move the levels to the last axis."""
    return np.ascontiguousarray(np.moveaxis(stack, 0, -1))
