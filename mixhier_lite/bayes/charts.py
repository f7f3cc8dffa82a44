"""Coordinates of the covariances, in which grids and proposals are laid out.

A chart takes the roots T of all terms in columns of its own: T of the criterion is F L, with a
frame F and a lower triangular L for each term. Its coordinates are one number x for each row of L
(the length of the row is c sinh x, so that zero is an ordinary end point and large values are far
but few), and one partial correlation w in (-1, 1) for each pair of rows of a correlated term.

The reader's chart has the reader's columns of Z, on which the prior lives. Where these are far
from orthogonal over the rows, as with a slope on a calendar year, the likelihood is a thin
ridge there, and a second chart has orthonormal columns instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..inputs import Array
from ..variance.assembly import Assembly

OBLIQUE = 0.4
"""The sine of the angle between a column of Z and all others below which they need a chart."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates of the roots of all terms."""

    frames: tuple[Array, ...]
    """F of each term, shape (q, q)."""
    correlated: tuple[bool, ...]
    """Whether L of each term has entries below its diagonal."""
    c: Array
    """Where the coordinate of a row turns from linear to logarithmic, shape (rows of all L,)."""

    @cached_property
    def sds(self) -> tuple[tuple[int, int], ...]:
        """Term and row of each x: the first coordinates."""
        return tuple((t, i) for t, F in enumerate(self.frames) for i in range(len(F)))

    @cached_property
    def pairs(self) -> tuple[tuple[int, int, int], ...]:
        """Term, row and column of each w: the coordinates that follow."""
        found = []
        for t, F in enumerate(self.frames):
            if self.correlated[t]:
                found += [(t, i, j) for i in range(len(F)) for j in range(i)]
        return tuple(found)

    @cached_property
    def _inverses(self) -> list[Array]:
        """F^-1 of each term, shape (q, q)."""
        return [np.asarray(np.linalg.inv(F)) for F in self.frames]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.sds) + len(self.pairs)

    def box(self, farthest: float) -> Array:
        """Lowest and highest value of each coordinate, shape (size, 2)."""
        far = np.arcsinh(farthest / self.c)
        lengths = np.column_stack([np.zeros(len(far)), far])
        correlations = np.tile([-1.0, 1.0], (len(self.pairs), 1))
        return np.vstack([lengths, correlations])

    def roots(self, at: Array) -> list[Array]:
        """T of each term, in the criterion's columns, (N, q, q), at (N, size) coordinates."""
        L = [np.zeros((len(at), *F.shape)) for F in self.frames]
        lengths = self.c * np.sinh(at[:, : len(self.sds)])
        for k, (t, i) in enumerate(self.sds):
            L[t][:, i, i] = lengths[:, k]
        for k, (t, i, j) in enumerate(self.pairs, start=len(self.sds)):
            w = at[:, k]  # break the stick: what is left of the length is for later columns
            left = L[t][:, i, i].copy()
            L[t][:, i, j] = w * left
            L[t][:, i, i] = left * np.sqrt(1 - w**2)
        return [F @ root for F, root in zip(self.frames, L, strict=True)]

    def coordinates(self, T: Sequence[Array]) -> Array:
        """The coordinates of T of the criterion, shape (N, size)."""
        own = [inverse @ t for inverse, t in zip(self._inverses, T, strict=True)]
        lengths = np.column_stack([np.linalg.norm(L, axis=2) for L in own])
        x = np.arcsinh(lengths / self.c)
        correlations = []
        for t, L in enumerate(own):
            if self.correlated[t] and L.shape[1] > 1:
                correlations.append(_partial_correlations(L))
        return np.hstack([x, *correlations])

    def log_volume(self, at: Array) -> Array:
        """Log of d Sigma / d coordinates up to a constant, (N,): Sigma of the criterion's columns.

        Where the columns of a term are independent, its standard deviations stand for Sigma.
        """
        x = at[:, : len(self.sds)]
        log_volume = self.log_slopes(at).sum(axis=1)
        for k, (t, _) in enumerate(self.sds):
            if self.correlated[t]:  # d Sigma = prod of sd^q d sd, times d correlations
                log_volume += len(self.frames[t]) * np.log(self.c[k] * np.sinh(x[:, k]))
        for t, F in enumerate(self.frames):
            if self.correlated[t]:
                log_volume += (len(F) + 1) * np.linalg.slogdet(F)[1]
        return np.asarray(log_volume)

    def log_slopes(self, at: Array) -> Array:
        """Log of d length / d x, and of d correlations / d w, one coordinate per column."""
        x, w = np.split(at, [len(self.sds)], axis=1)
        of_lengths = np.log(self.c * np.cosh(x))
        powers = [(len(self.frames[t]) - 2 - j) / 2 for t, _, j in self.pairs]
        return np.hstack([of_lengths, powers * np.log1p(-(w**2))])


def charts(assembly: Assembly) -> list[Chart]:
    """The reader's chart, and an orthonormal one where a term needs it."""
    blocks = assembly.gram.blocks
    correlated = tuple(block.correlated for block in blocks)
    pairs = zip(assembly.columns, assembly.units, strict=True)
    readers = [R / unit for R, unit in pairs]
    c = [np.full(block.q, 0.5 * (2 / block.J) ** 0.25) for block in blocks]
    found = [Chart(tuple(readers), correlated, np.concatenate(c))]
    oblique = oblique_terms(assembly)
    frames = list(readers)
    scales = list(c)
    for t in oblique:
        # the last column of Z has the first row of L to itself, so that its standard deviation
        # is a coordinate here too; it counts from where the prior sees it
        Q, U = np.linalg.qr(readers[t])
        frames[t] = Q[:, ::-1]
        scales[t] = c[t] * np.abs(np.diag(U))[::-1]
    if oblique:
        found.append(Chart(tuple(frames), correlated, np.concatenate(scales)))
    return found


def oblique_terms(assembly: Assembly) -> list[int]:
    """Correlated terms whose columns are far from orthogonal over all rows (weights included)."""
    found = []
    for t, R in enumerate(assembly.columns):
        heights = np.abs(np.diag(np.linalg.qr(R)[1]))  # of each column over those before it
        sines = heights / np.linalg.norm(R, axis=0)
        if assembly.gram.blocks[t].correlated and sines.min() < OBLIQUE:
            found.append(t)
    return found


def _partial_correlations(L: Array) -> Array:
    """w of the rows of roots, (N, pairs): the stick-breaking of their directions."""
    q = L.shape[1]
    if q == 2:
        lengths = np.linalg.norm(L, axis=2)
        inner = (L[:, 0] * L[:, 1]).sum(axis=1)
        w = inner / np.maximum(lengths[:, 0] * lengths[:, 1], 1e-300)
        return np.asarray(np.clip(w, -1.0, 1.0)[:, None])
    upper: Array = np.asarray(np.linalg.qr(L.swapaxes(1, 2), mode="r"))
    triangular = upper.swapaxes(1, 2)
    triangular = triangular * np.sign(np.einsum("nkk->nk", triangular))[:, None, :]
    found = []
    for i in range(q):
        for j in range(i):
            left = np.linalg.norm(triangular[:, i, j:], axis=1)
            found.append(np.clip(triangular[:, i, j] / np.maximum(left, 1e-300), -1.0, 1.0))
    return np.column_stack(found)
