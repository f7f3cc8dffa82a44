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
from ..labels import Codes

SMALL = 2 * 10**4
"""Numbers of A12 from which on it is better kept sparse."""
MANY_PAIRS = 10**7
"""Products of entries that are kept at most."""


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
        return len(self.A22)

    @cached_property
    def A12(self) -> list[Any]:
        """Z_j'WZ of all levels as q sparse matrices of shape (J, m)."""
        from scipy.sparse import csr_matrix

        shape = self.J, self.m
        return [csr_matrix((value, self.columns, self.start), shape) for value in self.values]

    @cached_property
    def small12(self) -> Array | None:
        """A12 as a dense array, (q, J, m), where it is small; else None."""
        if self.q * self.J * self.m > SMALL or self.pairs is None:
            return None
        return np.stack([a.toarray() for a in self.A12])

    @cached_property
    def pairs(self) -> Any:
        """What turns P, (q q J), into A12'P A12 but for its transpose, (m m): :eq:`eq-pairs`.

        Level j with entries in columns a and b, say 2 and 3 in a term with q = 1, gives
        ``fill[a, b] += 2 P_j 3``. Each pair of entries of a level stands once, and half of it where
        both are the same: so fill + fill' is A12'P A12. None where the pairs are too many.

        A level with the entries 0, 1, 2 has the pairs (0, 0); (1, 0), (1, 1); (2, 0), (2, 1),
        (2, 2): an entry meets those before it and, last, itself (:eq:`eq-pairs-example`).
        """
        from scipy.sparse import csc_matrix

        q, e = self.values.shape
        first = np.repeat(self.start[:-1], np.diff(self.start))  # of each entry's level
        partners = np.arange(1, e + 1) - first
        stop = np.cumsum(partners)  # after the pairs of each entry
        count = int(stop[-1]) if e else 0
        if count * q**2 > MANY_PAIRS:
            return None
        pair_start = stop - partners
        shift = (first - pair_start).astype(np.int32)
        partner = np.repeat(shift, partners) + np.arange(count, dtype=np.int32)
        places = np.repeat(self.columns * self.m, partners) + self.columns[partner]
        products = np.repeat(self.values, partners, axis=1)[:, None] * self.values[:, partner]
        products[:, :, stop - 1] /= 2
        level_start = np.append(0, stop)[self.start[:-1]]
        starts = np.add.outer(count * np.arange(q**2), level_start)  # for each entry of P, level
        pointers = np.append(starts, products.size)
        entries = products.ravel(), np.tile(places, q**2), pointers
        return csc_matrix(entries, (self.m**2, q**2 * self.J))

    def fill(self, P: Array) -> Array:
        """A12'P A12, shape (N, m, m), for symmetric P, (N, q, q, J)."""
        N, m = len(P), self.m
        if self.small12 is not None:
            total = np.zeros((N, m, m))
            for A, row in zip(self.small12, P.swapaxes(0, 1), strict=True):
                PA = sum(
                    p[:, :, None] * B for p, B in zip(row.swapaxes(0, 1), self.small12, strict=True)
                )
                total += A.T @ PA
            return total
        if self.pairs is not None:
            half = (self.pairs @ P.reshape(N, -1).T).T.reshape(N, m, m)
            return np.asarray(half + half.swapaxes(1, 2))
        out = np.zeros((N, m, m))
        for n, each in enumerate(P):
            for a, row in zip(self.A12, each, strict=True):
                PA12 = sum(b.multiply(p[:, None]) for b, p in zip(self.A12, row, strict=True))
                out[n] += (a.T @ PA12).toarray()
        return out

    def within(self, Q: Array) -> Array:
        """A12_j Q A12_j' of every level, shape (N, q, q, J), for symmetric Q, (N, m, m)."""
        N, q, J = len(Q), self.q, self.J
        if self.small12 is not None:
            AQ = self.small12 @ Q[:, None]
            return np.asarray(np.einsum("nkjm,ljm->nklj", AQ, self.small12))
        if self.pairs is not None:
            half = (self.pairs.T @ Q.reshape(N, -1).T).T.reshape(N, q, q, J)
            return np.asarray(half + half.swapaxes(1, 2))
        out, size = np.empty((N, q, q, J)), max(1, 10**7 // self.m)
        for start in range(0, J, size):  # J x m may be large: in blocks of levels
            some = [a[start : start + size] for a in self.A12]
            for n, k in np.ndindex(N, q):
                AQ = some[k] @ Q[n]
                each = [right.multiply(AQ).sum(axis=1) for right in some]
                out[n, k, :, start : start + size] = np.hstack(each).T
        return out

    def from_levels(self, R: Array) -> Array:
        """A12'R, shape (N, m, r), for R of shape (N, q, r, J)."""
        N, _, r, J = R.shape
        if self.small12 is not None:
            return np.asarray((R @ self.small12).sum(axis=1).swapaxes(1, 2))
        wide = R.transpose(1, 3, 0, 2).reshape(self.q, J, -1)
        total = sum(a.T @ rows for a, rows in zip(self.A12, wide, strict=True))
        return np.asarray(total).reshape(self.m, N, r).swapaxes(0, 1)

    def to_levels(self, effects: Array) -> Array:
        """A12 effects, shape (N, q, r, J), for effects of shape (N, m, r)."""
        N, m, r = effects.shape
        if self.small12 is not None:
            return (self.small12 @ effects[:, None]).swapaxes(2, 3)
        wide = effects.swapaxes(0, 1).reshape(m, -1)
        rows = np.stack([a @ wide for a in self.A12]).reshape(self.q, self.J, N, r)
        return rows.transpose(2, 0, 3, 1)

    def times(self, T: list[Array], rows: Array) -> Array:
        """Multiply T of each other term, (N, q, q), into rows of shape (N, m, r)."""
        out = np.empty(rows.shape)
        for (a, b, q), t in zip(self.slices, T, strict=True):
            if q == 1:
                np.multiply(t, rows[:, a:b], out=out[:, a:b])
            else:
                part = rows[:, a:b].reshape(len(rows), (b - a) // q, q, rows.shape[2])
                out[:, a:b] = (t[:, None] @ part).reshape(out[:, a:b].shape)
        return out
