"""The global minimum of a criterion: look everywhere, score, descend, certify the boundary.

The search is over the entries of T, in which a covariance of lower rank is no edge but a matrix
with columns of zeros. Leaving these columns out makes it an ordinary point again: a *face*.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..inputs import Array
from ..linalg import square_root
from .criterion import Criterion

Shapes = Sequence[tuple[int, bool]]
DEAR = 200
"""Columns in one dense matrix from which on every evaluation counts."""
TINY = 1e-4
"""Variances below this, in scaled units, are compared with zero."""


@dataclass(frozen=True, eq=False)
class Face:
    """The criterion restricted to some entries of T, as a function of a vector x.

    Its methods take many x at once, shape (N, k).
    """

    criterion: Any
    shapes: Shapes
    """For each term the number of its columns, and whether they are correlated."""
    cells: tuple[tuple[int, int, int], ...]
    """Term, row and column of every entry of x."""

    def unpack(self, x: Array) -> list[Array]:
        """T for every term, shape (..., q, q) for x of shape (..., k)."""
        T = [np.zeros((*x.shape[:-1], q, q)) for q, _ in self.shapes]
        for k, (t, i, j) in enumerate(self.cells):
            T[t][..., i, j] = x[..., k]
        return T

    def pack(self, T: list[Array]) -> Array:
        """The entries of T that belong to the face."""
        return np.array([T[t][i, j] for t, i, j in self.cells])

    @cached_property
    def at(self) -> tuple[Any, ...]:
        """Row and column of every entry, whether it is on the diagonal, and what ends its row."""
        t, i, j = np.array(self.cells, dtype=np.intp).reshape(-1, 3).T
        ends, k = (t == t[:, None]) & (i == i[:, None]) & (i == j), np.arange(len(t))
        return i, j, i == j, np.where(ends.any(axis=1), ends @ k, k)

    def stretch(self, x: Array) -> Array:
        """The unit of a step: an entry has the size of its row, but no less than one."""
        return np.asarray(np.sqrt(1.0 + x[:, self.at[3]] ** 2))

    def newton(self, x: Array, g: Array, H: Array) -> Array:
        """Newton's step, in units of ``stretch``; a diagonal entry moves as its arsinh does.

        It goes downhill where the second derivatives are negative, and then not too short.
        """
        unit = self.stretch(x)
        H = H * unit[:, :, None] * unit[:, None]
        np.einsum("nkk->nk", H)[...] += self.at[2] * x * g
        curvature, axes = np.linalg.eigh(H)
        least = 1e-10 * np.abs(curvature).max(axis=1, keepdims=True) + 1e-300
        along = -((g * unit)[:, None] @ axes)[:, 0] / np.maximum(np.abs(curvature), least)
        along = np.copysign(np.maximum(np.abs(along), 0.3 * (curvature < 0)), along)
        return np.asarray((axes @ along[:, :, None])[:, :, 0])

    def move(self, x: Array, step: Array) -> Array:
        """Take a step."""
        return np.where(self.at[2], np.sinh(np.arcsinh(x) + step), x + self.stretch(x) * step)

    def local(self, x: Array, *before: Array) -> tuple[Array, ...]:
        """The criterion, its slope and its second derivatives, (N,), (N, k) and (N, k, k).

        ``before`` is x and all this at points that may be near.
        """
        if self.criterion.size[1]:
            return tuple(map(np.array, zip(*map(self._differences, x, *before), strict=True)))
        value, g, H = self.criterion.derivatives(self.unpack(x)[0])
        i, j, *_ = self.at
        return value, g[:, i, j], H[:, i[:, None], j[:, None], i, j]

    def _slope(self, x: Array) -> tuple[float, Array]:
        at = self.criterion.solve(T := self.unpack(x))
        if at is None:
            return 1e300, np.zeros(len(x))
        return at.value, self.pack(self.criterion.gradient(T, at))

    def _differences(self, x: Array, *before: Any) -> tuple[float, Array, Array]:
        """Second derivatives as differences of the slope; near the point before, from these two."""
        value, g = self._slope(x)
        if before and (np.abs(s := x - before[0]) < 0.1 * (1.0 + np.abs(x))).all():
            r = g - before[2] - before[3] @ s
            sure = abs(r @ s) > 1e-8 * np.sqrt((r @ r) * (s @ s))
            return value, g, before[3] + (np.outer(r, r) / (r @ s) if sure else 0.0)
        steps = 1e-5 * np.diag(1.0 + np.abs(x))
        H = np.array([(self._slope(x + e)[1] - g) / e.max() for e in steps])
        return value, g, (H + H.T) / 2


def minimise(criterion: Criterion, shapes: Shapes, start: Any = None) -> list[Array]:
    """Find the global minimum: T for every term, with columns of zeros where rank is lacking.

    ``shapes`` gives the number of columns of each term, and whether they are correlated. ``start``
    is T and second derivatives that are about right: then the search looks nowhere else.
    """
    face = whole(criterion, shapes)
    if start is None:
        return _settle(face, *_descend(face, _starts(face)))
    x, bend = face.pack(start[0])[None], start[1][None]
    return _settle(face, *_descend(face, x, x, np.zeros(1), np.zeros_like(x), bend))


def whole(criterion: Criterion, shapes: Shapes) -> Face:
    """The criterion as a function of all entries of T that are free."""
    free = [np.tri(q) if correlated else np.eye(q) for q, correlated in shapes]
    cells = tuple((t, i, j) for t, F in enumerate(free) for j, i in np.argwhere(F.T).tolist())
    return Face(criterion, shapes, cells)


@lru_cache
def _places(cells: tuple[tuple[int, int, int], ...], n: int) -> tuple[Array, Any]:
    """Points all over the place, n a look, and the nearest neighbours of each.

    The second look is at covariances that are all but of rank one: a valley with a correlation
    near 1 or -1 is too narrow to be seen from further inside.
    """
    diagonal, k = [i == j for _, i, j in cells], len(cells)
    ratio = np.roots([1, *[0] * (k - 1), -1, -1]).real.max()
    places = np.outer(np.arange(1, 1 + n), ratio ** -np.arange(1.0, k + 1)) % 1  # fills evenly
    places[:2] = np.where(diagonal, [[0.4], [0.6]], 0.5)  # T = 1 and T = 10
    near = np.argsort(np.abs(places[:, None] - places).max(axis=2), axis=1)[:, 1 : 2 + 2 * k]
    signed = np.where(diagonal, places, 2 * places - 1)
    points = np.sign(signed) * 10 ** (5 * np.abs(signed) - 2)
    if all(diagonal):
        return points, near
    rank_one = points * [1e-3 if j > 0 and (t, 1, 0) in cells else 1.0 for t, _, j in cells]
    return np.append(points, rank_one, axis=0), np.append(near, near + n, axis=0)


def _starts(face: Face) -> Array:
    """Points to descend from: the valleys of a scattered first look, the lowest first.

    It looks at fewer points where they cost more: many levels leave one valley.
    """
    afford = 10**5 // (1 + face.criterion.size[0] + 100 * face.criterion.size[1])
    each = min(max(2 * afford, 2), 12 if face.criterion.n > 100 else 40)  # few rows, many valleys
    points, near = _places(face.cells, len(face.cells) * each)
    values = face.criterion.value(*face.criterion.many(face.unpack(points)))[0]
    low = np.flatnonzero(values <= values[near].min(axis=1))
    x = points[low[np.argsort(values[low])[: min(max(afford, 1), 16)]]]
    easy = face.criterion.size[1] or len(face.cells) == 1
    return x if easy else np.append(scored(face, x[0]), x[:afford], axis=0)


def scored(face: Face, x: Array) -> Array:
    """One step of Fisher's scoring in T T', shape (1, k).

    With REML, from anywhere, it ends at a minimum inside where all groups have the same rows of X
    and, correlated, of Z, and X spans Z: the estimate is linear in the mean squares there.
    """
    (T,), ((q, correlated),) = face.unpack(x), face.shapes
    free = np.flatnonzero(np.ones((q, q)) if correlated else np.eye(q))
    slope, bend = (part.reshape(q * q, -1)[free] for part in face.criterion.expected(T[None]))
    Omega = T @ T.T
    Omega.ravel()[free] -= np.linalg.lstsq(bend[:, free], slope, 1e-9)[0][:, 0]
    values, vectors = np.linalg.eigh(Omega)
    root = np.linalg.cholesky((vectors * np.clip(values, 1e-2, 1e12)) @ vectors.T)
    return face.pack([root])[None]


def _descend(face: Face, x: Array, *before: Array) -> tuple[float, Array]:
    """Newton's method from many points side by side, to the last digit of the lowest minimum.

    Once the lowest has all but arrived, those that are far above it or have arrived elsewhere
    are given up. The next step would be about as long as the square of this, over the last where
    second derivatives are not exact. Where an evaluation is dear six digits are enough.
    """
    columns, at, share = face.criterion.size[1], [x, *face.local(x, *before)], np.ones(len(x))
    enough = 3e-6 if columns > DEAR else 1e-12
    last = np.full(len(x), enough if before else 1.0)
    for _ in range(60 if x.size else 0):
        step, best = face.newton(at[0], *at[2:]), _lowest(*at[:2])
        size = np.abs(step).max(axis=1)
        if len(size) > 1 and size[best] < 0.1:
            keep = (size > 1e-4) & (at[1] < at[1][best] + 200 / face.criterion.n)
            keep[best] = True
            *at, share, last, size, step = (p[keep] for p in (*at, share, last, size, step))
        x, value, *_ = at
        if len(x) == 1 and size[0] < np.sqrt(enough * last[0]):
            return float(value[0]), face.move(x, step)[0]
        trial = face.move(x, step * (share / np.maximum(1.0, 2 * size))[:, None])
        new = trial, *face.local(trial, *at)
        good = new[1] <= value + 1e-12 * (1.0 + np.abs(value))
        share = np.where(good, np.minimum(4 * share, 1.0), share / 4)
        for part, found in zip(at, new, strict=True):
            part[good] = found[good]
        last = np.maximum(size, enough) if columns else last
    best = _lowest(*at[:2])
    return float(at[1][best]), at[0][best]


def _lowest(x: Array, value: Array) -> int:
    """The lowest point; rounding grows with T^2, and a distant one must be lower by that."""
    return int((value + 1e-14 * (x**2).sum(axis=1)).argmin())


def _settle(face: Face, value: float, x: Array) -> list[Array]:
    """Move to the boundary where that is certified, away from it where it is not."""
    T = face.unpack(x)
    flat = [_flat(t, correlated) for t, (_, correlated) in zip(T, face.shapes, strict=True)]
    cells = tuple((t, i, j) for t, i, j in face.cells if flat[t][:, j].any())
    if cells == face.cells:
        return T
    lower = replace(face, cells=cells)
    edge, z = _descend(lower, lower.pack(flat)[None])
    if edge > value + 1e-8 * (1.0 + 1e-4 * abs(value)):
        return T
    on_edge = lower.unpack(z)
    if (better := leave(face, on_edge)) is None:
        return on_edge
    moved, x = _descend(face, face.pack(better)[None])
    return on_edge if moved >= edge - 1e-10 * (1.0 + abs(edge)) else face.unpack(x)


def _flat(T: Array, correlated: bool) -> Array:
    """A root without the directions in which T T' is all but zero: columns of zeros instead."""
    if not correlated:
        return np.where(T**2 > TINY, T, 0.0)
    values, vectors = np.linalg.eigh(T @ T.T)
    if (keep := values > TINY).all():
        return T
    flat = np.zeros_like(T)
    flat[:, : keep.sum()] = np.linalg.qr((vectors[:, keep] * np.sqrt(values[keep])).T)[1].T
    return flat


def certificate(criterion: Criterion, T: list[Array]) -> list[Array]:
    """N for every term, the gradient with respect to Sigma / tau2 (:eq:`eq-kkt`).

    It is read from 2 N T at a neighbour of full rank, 1e-12 away in Sigma / tau2.
    """
    near = [square_root(t @ t.T + 1e-12 * (1 + (t**2).sum()) * np.eye(len(t)), "Sigma") for t in T]
    at = criterion.solve(near)
    assert at is not None
    pairs = zip(near, criterion.gradient(near, at), strict=True)
    return [np.asarray(np.linalg.solve(t.T, G.T / 2), dtype=np.float64) for t, G in pairs]


def leave(face: Face, T: list[Array]) -> list[Array] | None:
    """Return None for a boundary point where N is p.s.d., else a better T off the boundary."""
    out: list[Array] | None = None
    for t, N in enumerate(certificate(face.criterion, T)):
        correlated, lacking = face.shapes[t][1], not T[t].any(axis=0).all()
        values, vectors = np.linalg.eigh((N + N.T) / 2 if correlated else np.diag(np.diag(N)))
        if lacking and values[0] < -1e-9 * face.criterion.n:
            out = out or list(T)
            Sigma = T[t] @ T[t].T + 1e-2 * np.outer(vectors[:, 0], vectors[:, 0])
            out[t] = square_root(Sigma + 1e-8 * np.eye(len(Sigma)), "Sigma")
    return out
