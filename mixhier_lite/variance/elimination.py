"""The normal equations of Henderson's matrix, and the elimination of many small blocks at once.

One term, the largest, is eliminated level by level. The m columns of all other terms are dense
among themselves and sparse against the levels.

Arrays of small matrices, one for each level, have the level last: shape (q, r, J), or (N, q, r, J)
at N points. Loops run over q, and numpy runs over the levels.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..inputs import Array
from .crossing import Crossing


def eliminate(W: Array) -> Array:
    """Eliminate many small symmetric p.d. matrices M from rows [M, B], shape (N, q, q + r, J).

    In place: with M = L L' (Cholesky) what is left is [L', L^-1 B].
    """
    q = W.shape[1]
    for k in range(q):
        W[:, k] /= np.sqrt(W[:, k, k])[:, None]
        for i in range(k + 1, q):
            W[:, i] -= W[:, k, i, None] * W[:, k]
    return W


def forward(W: Array, B: Array) -> Array:
    """L^-1 B for rows W = [L', ...], shape (N, q, q + ..., J), and B of shape (N, q, r, J)."""
    q, r = B.shape[1:3]
    X = np.empty((len(W), q, r, W.shape[3]))
    for k in range(q):
        X[:, k] = B[:, k]
        for i in range(k):
            X[:, k] -= W[:, i, k, None] * X[:, i]
        X[:, k] /= W[:, k, k, None]
    return X


def backward(W: Array, B: Array) -> Array:
    """L^-T B for the same."""
    q, r = B.shape[1:3]
    X = np.empty((len(W), q, r, W.shape[3]))
    for k in reversed(range(q)):
        X[:, k] = B[:, k]
        for i in range(k + 1, q):
            X[:, k] -= W[:, k, i, None] * X[:, i]
        X[:, k] /= W[:, k, k, None]
    return X


def gram(A: Array, B: Array) -> Array:
    """A'B of many small matrices, (N, k, q, J) and (N, k, r, J): shape (N, q, r, J)."""
    return np.asarray(np.einsum("nkqj,nkrj->nqrj", A, B))


def product(A: Array, B: Array) -> Array:
    """A B of many small matrices, (N, q, k, J) and (N, k, r, J): shape (N, q, r, J)."""
    return np.asarray(np.einsum("nqkj,nkrj->nqrj", A, B))


def of_every_level(M: Array, A: Array) -> Array:
    """M A_j with one M for all levels, (N, q, q) or (q, q), for A of shape (q, ..., J)."""
    rows = M @ A.reshape(len(A), -1)
    return np.asarray(rows.reshape(*M.shape[:-1], *A.shape[1:]))


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """[Z X y]'W[Z X y] in the criterion's columns, one term apart and m columns of the others."""

    A: Array
    """Z_j'W Z_j of every level, shape (q, q, J)."""
    B: Array
    """Z_j'W [X y], shape (q, p + 1, J)."""
    C: Array
    """[X y]'W [X y], shape (p + 1, p + 1)."""
    slices: tuple[tuple[int, int, int], ...]
    """Start, stop and q of each other term among the m columns."""
    A22: Any
    """Z'WZ of these terms, shape (m, m), sparse where there are any."""
    B22: Array
    """Z'W [X y] of these terms, shape (m, p + 1)."""
    crossing: Crossing
    """A12, Z_j'WZ of the levels with the columns of these terms."""

    @cached_property
    def AB(self) -> Array:
        """Z_j'W [Z_j X y] of every level, shape (q, q + p + 1, J)."""
        return np.concatenate([self.A, self.B], axis=1)

    @property
    def q(self) -> int:
        """Number of coefficients of a level."""
        return len(self.A)

    @property
    def J(self) -> int:
        """Number of levels eliminated."""
        return int(self.B.shape[2])

    @property
    def m(self) -> int:
        """Number of columns of the other terms."""
        return int(self.A22.shape[0])

    @cached_property
    def dense_A22(self) -> Array:
        """A22 as an array."""
        return np.asarray(self.A22.toarray())

    def less_fill(self, fill: Array) -> Array:
        """A22 - fill, shape (N, m, m), in the place of fill."""
        out = np.negative(fill, out=fill)
        A22 = self.A22.tocoo()
        out[:, A22.row, A22.col] += A22.data
        return out

    def times(self, T: list[Array], rows: Array, in_place: bool = False) -> Array:
        """Multiply T of each other term, (N, q, q), into rows of shape (N, m, r)."""
        # in the order of memory, whether or not that is turned
        out = rows if in_place else np.empty_like(rows)
        for (a, b, q), t in zip(self.slices, T, strict=True):
            if q == 1:
                np.multiply(t, rows[:, a:b], out=out[:, a:b])
            else:
                part = rows[:, a:b].reshape(len(rows), (b - a) // q, q, rows.shape[2])
                out[:, a:b] = (t[:, None] @ part).reshape(out[:, a:b].shape)
        return out
