"""A12: the levels of the term that is eliminated against the columns of all others.

A level meets few levels of the other terms, so A12 is mostly zeros. It is kept in one of three
ways, of which each answers the same five questions: as a dense array where it is small; as sparse
matrices with the products of all pairs of entries of a level (:eq:`eq-pairs`); as sparse matrices
alone where these products are too many.
"""

from abc import ABC, abstractmethod
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
BLOCK = 10**7
"""Numbers of a dense part of A12 that are held at once."""


class Crossing(ABC):
    """Z_j'WZ of every level j, q columns, with the m columns of the other terms."""

    @abstractmethod
    def fill(self, P: Array) -> Array:
        """A12'P A12, shape (N, m, m), for symmetric P, (N, q, q, J)."""

    @abstractmethod
    def within(self, Q: Array) -> Array:
        """A12_j Q A12_j' of every level, shape (N, q, q, J), for symmetric Q, (N, m, m)."""

    @abstractmethod
    def from_levels(self, R: Array) -> Array:
        """A12'R, shape (N, m, r), for R of shape (N, q, r, J)."""

    @abstractmethod
    def to_levels(self, effects: Array) -> Array:
        """A12 effects, shape (N, q, r, J), for effects of shape (N, m, r)."""

    @abstractmethod
    def of_rows(self, levels: Codes, v: Array) -> Array:
        """v_i'A12_j of rows i in levels j, shape (n, m), for v of shape (n, q)."""


@dataclass(frozen=True, eq=False)
class Dense(Crossing):
    """One array."""

    A12: Array
    """Shape (q, J, m)."""

    def fill(self, P: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        m = self.A12.shape[2]
        total = np.zeros((len(P), m, m))
        for A, P_row in zip(self.A12, P.swapaxes(0, 1), strict=True):
            PA = np.zeros((len(P), *A.shape))
            for p, B in zip(P_row.swapaxes(0, 1), self.A12, strict=True):
                PA += p[:, :, None] * B
            total += A.T @ PA
        return total

    def within(self, Q: Array) -> Array:
        """See :meth:`Crossing.within`."""
        AQ = self.A12 @ Q[:, None]
        return np.asarray(np.einsum("nkjm,ljm->nklj", AQ, self.A12))

    def from_levels(self, R: Array) -> Array:
        """See :meth:`Crossing.from_levels`."""
        return np.asarray((R @ self.A12).sum(axis=1).swapaxes(1, 2))

    def to_levels(self, effects: Array) -> Array:
        """See :meth:`Crossing.to_levels`."""
        return (self.A12 @ effects[:, None]).swapaxes(2, 3)

    def of_rows(self, levels: Codes, v: Array) -> Array:
        """See :meth:`Crossing.of_rows`."""
        return np.asarray(np.einsum("ik,kim->im", v, self.A12[:, levels]))


@dataclass(frozen=True, eq=False)
class Sparse(Crossing):
    """Its entries that are not zero."""

    start: Codes
    """Where the stored entries of each level start, shape (J + 1,)."""
    columns: Codes
    """Column of each stored entry, shape (e,)."""
    values: Array
    """Z_j'WZ of a level with a column of the other terms, shape (q, e)."""
    m: int

    @property
    def q(self) -> int:
        """Number of coefficients of a level."""
        return len(self.values)

    @property
    def J(self) -> int:
        """Number of levels."""
        return len(self.start) - 1

    @cached_property
    def A12(self) -> list[Any]:
        """The q sparse matrices, shape (J, m)."""
        from scipy.sparse import csr_matrix

        shape = self.J, self.m
        return [csr_matrix((value, self.columns, self.start), shape) for value in self.values]

    def fill(self, P: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        out = np.zeros((len(P), self.m, self.m))
        for n, each in enumerate(P):
            for a, P_row in zip(self.A12, each, strict=True):
                PA12 = sum(b.multiply(p[:, None]) for b, p in zip(self.A12, P_row, strict=True))
                out[n] += (a.T @ PA12).toarray()
        return out

    def within(self, Q: Array) -> Array:
        """See :meth:`Crossing.within`."""
        out = np.empty((len(Q), self.q, self.q, self.J))
        size = max(1, BLOCK // self.m)
        for start in range(0, self.J, size):  # J x m may be large: in blocks of levels
            some = [a[start : start + size] for a in self.A12]
            for n, k in np.ndindex(len(Q), self.q):
                AQ = some[k] @ Q[n]
                each = [right.multiply(AQ).sum(axis=1) for right in some]
                out[n, k, :, start : start + size] = np.hstack(each).T
        return out

    def from_levels(self, R: Array) -> Array:
        """See :meth:`Crossing.from_levels`."""
        N, _, r, J = R.shape
        wide = R.transpose(1, 3, 0, 2).reshape(self.q, J, N * r)
        total = sum(a.T @ rows for a, rows in zip(self.A12, wide, strict=True))
        return np.asarray(total).reshape(self.m, N, r).swapaxes(0, 1)

    def to_levels(self, effects: Array) -> Array:
        """See :meth:`Crossing.to_levels`."""
        N, m, r = effects.shape
        wide = effects.swapaxes(0, 1).reshape(m, N * r)
        rows = np.stack([a @ wide for a in self.A12]).reshape(self.q, self.J, N, r)
        return rows.transpose(2, 0, 3, 1)

    def of_rows(self, levels: Codes, v: Array) -> Array:
        """See :meth:`Crossing.of_rows`."""
        pairs = zip(self.A12, v.T, strict=True)
        return np.asarray(sum(a[levels].multiply(each[:, None]) for a, each in pairs).toarray())


@dataclass(frozen=True, eq=False)
class Paired(Sparse):
    """The same with the products of all pairs of entries of a level."""

    @cached_property
    def pairs(self) -> Any:
        """What turns P, (q q J), into A12'P A12 but for its transpose, (m m): :eq:`eq-pairs`.

        Level j with entries in columns a and b, say 2 and 3 in a term with q = 1, gives
        ``fill[a, b] += 2 P_j 3``. Each pair of entries of a level stands once, and half of it where
        both are the same: so fill + fill' is A12'P A12.

        A level with the entries 0, 1, 2 has the pairs (0, 0); (1, 0), (1, 1); (2, 0), (2, 1),
        (2, 2): an entry meets those before it and, last, itself (:eq:`eq-pairs-example`).
        """
        from scipy.sparse import csc_matrix

        q, e = self.values.shape
        first = np.repeat(self.start[:-1], np.diff(self.start))  # of each entry's level
        partners = np.arange(1, e + 1) - first
        stop = np.cumsum(partners)  # after the pairs of each entry
        count = int(stop[-1]) if e else 0
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
        """See :meth:`Crossing.fill`."""
        N = len(P)
        half = (self.pairs @ P.reshape(N, -1).T).T.reshape(N, self.m, self.m)
        return np.asarray(half + half.swapaxes(1, 2))

    def within(self, Q: Array) -> Array:
        """See :meth:`Crossing.within`."""
        N = len(Q)
        half = (self.pairs.T @ Q.reshape(N, -1).T).T.reshape(N, self.q, self.q, self.J)
        return np.asarray(half + half.swapaxes(1, 2))


def crossing(start: Codes, columns: Codes, values: Array, m: int) -> Crossing:
    """A12 from its entries, level by level as :class:`Sparse` has them, in the fastest way."""
    q, J = len(values), len(start) - 1
    if q * J * m <= SMALL:
        return Dense(np.stack([a.toarray() for a in Sparse(start, columns, values, m).A12]))
    entries = np.diff(start)  # of each level
    pairs = int((entries * (entries + 1) // 2).sum())
    kind = Paired if pairs * q**2 <= MANY_PAIRS else Sparse
    return kind(start, columns, values, m)
