"""A12: the levels of the term that is eliminated against the columns of all others.

A level meets few levels of the other terms, so A12 is mostly zeros. It is kept in one of four
ways, of which each answers the same six questions: as a dense array where it is small; as sparse
matrices with the products of all pairs of entries of a level (:eq:`eq-pairs`); as sparse matrices
alone where these products are too many; and where some levels meet many columns, these dense and
the others sparse.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from ..labels import Codes

SMALL = 2 * 10**4
"""Numbers of A12 from which on it is better kept sparse."""
MANY_PAIRS = 10**7
"""Products of entries that are kept at most."""
BLOCK = 3 * 10**6
"""Numbers of a dense part of A12, or of a product of two, that are held at once."""
STRIPE = 64
"""Columns that are turned into rows at once."""
ABOVE = np.triu(np.ones((STRIPE, STRIPE), dtype=bool), 1)
"""What lies above the diagonal of so many rows and columns."""
MANY_COLUMNS = 0.1
"""Share of the columns from which on a level that meets them is better kept dense: the products of
its entries are fewer than those of a dense row, but each costs more."""


class Crossing(ABC):
    """Z_j'WZ of every level j, q columns, with the m columns of the other terms."""

    @abstractmethod
    def fill(self, root: Array) -> Array:
        """A12'P A12, shape (N, m, m), for P = root'root of every level, root (N, q, q, J)."""

    @abstractmethod
    def within(self, Q: Array) -> Array:
        """A12_j Q A12_j' of every level, shape (N, q, q, J), for symmetric Q, (N, m, m)."""

    def explained(self, E: Array, Q: Array) -> Array:
        """The sum over levels of E_j A12_j Q A12_j' E_j', (q, q), for E of shape (q, q, J)."""
        half = np.einsum("kaj,abj->kbj", E, self.within(Q[None])[0])
        return np.asarray(np.tensordot(half, E, ((1, 2), (1, 2))))

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

    def fill(self, root: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        m = self.A12.shape[2]
        total = np.zeros((len(root), m, m))
        for row in root.swapaxes(0, 1):
            A = np.zeros((len(root), *self.A12.shape[1:]))  # a row of the root times A12
            for each, column in zip(row.swapaxes(0, 1), self.A12, strict=True):
                A += each[:, :, None] * column
            total += A.swapaxes(1, 2) @ A
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
    """Column of each stored entry, shape (e,), in rising order within a level."""
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

    def some(self, chosen: npt.NDArray[np.bool_]) -> "Sparse":
        """Some of the levels, chosen of shape (J,)."""
        entries = np.diff(self.start)
        own = np.repeat(chosen, entries)
        start = np.append(0, np.cumsum(entries[chosen]))
        return Sparse(start, self.columns[own], self.values[:, own], self.m)

    @cached_property
    def A12(self) -> list[Any]:
        """The q sparse matrices, shape (J, m)."""
        return [self._matrix(value) for value in self.values]

    def _matrix(self, values: Array) -> Any:
        """Values for the stored entries as a sparse matrix, shape (J, m)."""
        from scipy.sparse import csr_matrix

        return csr_matrix((values, self.columns, self.start), (self.J, self.m))

    def _times(self, row: Array) -> Any:
        """A row of a matrix of each level times A12_j, for (q, J): sparse, shape (J, m)."""
        of_entries = np.repeat(row, np.diff(self.start), axis=1)
        return self._matrix((of_entries * self.values).sum(axis=0))

    def fill(self, root: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        out = np.zeros((len(root), self.m, self.m))
        for whole, rows in zip(out, root, strict=True):
            for row in rows:
                A = self._times(row)
                for below, columns, product in products(A, A):
                    whole[below, columns] += product
            mirror(whole)
        return out

    def explained(self, E: Array, Q: Array) -> Array:
        """See :meth:`Crossing.explained`."""
        EA = [self._times(row) for row in E]
        out = np.empty((self.q, self.q))
        for i, k in np.ndindex(out.shape):
            out[i, k] = sum(
                np.vdot(Q[below, columns], product)
                + np.vdot(Q[columns.stop :, columns], product[len(Q[columns]) :])
                for below, columns, product in products(EA[i], EA[k])
            )
        return (out + out.T) / 2

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

    def fill(self, root: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        N = len(root)
        P = np.einsum("nakj,nalj->nklj", root, root)
        out = (self.pairs @ P.reshape(N, -1).T).T.reshape(N, self.m, self.m)
        np.einsum("nkk->nk", out)[...] *= 2  # Y + Y' in the place of Y, which is a lower triangle
        for lower in out:
            mirror(lower)
        return np.asarray(out)

    def within(self, Q: Array) -> Array:
        """See :meth:`Crossing.within`."""
        N = len(Q)
        half = (self.pairs.T @ Q.reshape(N, -1).T).T.reshape(N, self.q, self.q, self.J)
        return np.asarray(half + half.swapaxes(1, 2))

    def explained(self, E: Array, Q: Array) -> Array:
        """See :meth:`Crossing.explained`."""
        return Crossing.explained(self, E, Q)


@dataclass(frozen=True, eq=False)
class Split(Crossing):
    """Levels that meet many columns, dense, beside all others."""

    chosen: npt.NDArray[np.bool_]
    """Which levels are dense, shape (J,)."""
    dense: Dense
    others: Sparse

    @property
    def parts(self) -> tuple[tuple[npt.NDArray[np.bool_], Crossing], ...]:
        """Which levels, and how they are kept."""
        return (self.chosen, self.dense), (~self.chosen, self.others)

    def _joined(self, of_parts: Iterator[Array]) -> Array:
        """Values of the levels of each part, (..., levels), as (..., J)."""
        in_turn = np.concatenate([np.flatnonzero(which) for which, _ in self.parts])
        return np.concatenate(list(of_parts), axis=-1)[..., np.argsort(in_turn)]

    def fill(self, root: Array) -> Array:
        """See :meth:`Crossing.fill`."""
        (first, dense), (second, others) = self.parts
        out = dense.fill(root[..., first])
        out += others.fill(root[..., second])
        return out

    def within(self, Q: Array) -> Array:
        """See :meth:`Crossing.within`."""
        return self._joined(part.within(Q) for _, part in self.parts)

    def explained(self, E: Array, Q: Array) -> Array:
        """See :meth:`Crossing.explained`."""
        return np.asarray(sum(part.explained(E[..., which], Q) for which, part in self.parts))

    def from_levels(self, R: Array) -> Array:
        """See :meth:`Crossing.from_levels`."""
        return np.asarray(sum(part.from_levels(R[..., which]) for which, part in self.parts))

    def to_levels(self, effects: Array) -> Array:
        """See :meth:`Crossing.to_levels`."""
        return self._joined(part.to_levels(effects) for _, part in self.parts)

    def of_rows(self, levels: Codes, v: Array) -> Array:
        """See :meth:`Crossing.of_rows`."""
        out = np.empty((len(levels), self.others.m))
        for which, part in self.parts:
            rows = which[levels]
            place = np.cumsum(which) - 1  # of a level among those of its part
            out[rows] = part.of_rows(place[levels[rows]], v[rows])
        return out


def products(left: Any, right: Any) -> Iterator[tuple[slice, slice, Array]]:
    """left'right of sparse (J, m) matrices on and below the diagonal, some columns at a time.

    Gives rows, columns and the dense block there; the rows begin where the columns do.
    """
    m = left.shape[1]
    left_T = left.T.tocsr()
    right_T = right.T.tocsr()
    width = max(1, BLOCK // max(m, 1))
    for start in range(0, m, width):
        below = slice(start, m)
        columns = slice(start, min(start + width, m))
        yield below, columns, (left_T[below] @ right_T[columns].T).toarray()


def mirror(lower: Array) -> None:
    """Fill what lies above the diagonal of (m, m) from what lies below it, in place."""
    m = len(lower)
    for start in range(0, m, STRIPE):
        columns = slice(start, min(start + STRIPE, m))
        lower[columns, columns.stop :] = lower[columns.stop :, columns].T
        own = lower[columns, columns]
        np.copyto(own, own.T.copy(), where=ABOVE[: len(own), : len(own)])


def crossing(start: Codes, columns: Codes, values: Array, m: int) -> Crossing:
    """A12 from its entries, level by level as :class:`Sparse` has them, in the fastest way."""
    q = len(values)
    J = len(start) - 1
    every = Sparse(start, columns, values, m)
    if q * J * m <= SMALL:
        return dense(every)
    entries = np.diff(start)  # of each level
    if (entries * (entries + 1) // 2).sum() * q**2 <= MANY_PAIRS:
        return Paired(start, columns, values, m)
    chosen = entries > MANY_COLUMNS * m
    return Split(chosen, dense(every.some(chosen)), every.some(~chosen)) if chosen.any() else every


def dense(sparse: Sparse) -> Dense:
    """The same as an array."""
    return Dense(np.stack([a.toarray() for a in sparse.A12]))
