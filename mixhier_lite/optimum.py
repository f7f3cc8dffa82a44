"""The global minimum of a criterion: look everywhere, descend, polish, certify the boundary.

The search is over the entries of T, in which a covariance of lower rank is no edge but a matrix
with columns of zeros. Leaving these columns out makes it an ordinary point again: a *face*.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from .inputs import Array
from .variance import Criterion

TINY = 1e-4
"""Variances below this, in scaled units, are compared with zero."""


@dataclass(frozen=True, eq=False)
class Face:
    """The criterion restricted to some entries of T, as a function of a vector x.

    Its methods take many x at once, shape (N, k).
    """

    criterion: Criterion
    shapes: tuple[tuple[int, bool], ...]
    """For each term the number of its columns, and whether they are correlated."""
    cells: tuple[tuple[int, int, int], ...]
    """Term, row and column of every entry of x."""
    memory: dict[str, Any] | None = None
    """What is known of the second derivatives where they are learned on the way."""

    def unpack(self, x: Array) -> list[Array]:
        """T for every term, shape (..., q, q) for x of shape (..., k)."""
        T = [np.zeros((*x.shape[:-1], q, q)) for q, _ in self.shapes]
        for k, (t, i, j) in enumerate(self.cells):
            T[t][..., i, j] = x[..., k]
        return T

    def pack(self, T: list[Array]) -> Array:
        """The entries of T that belong to the face."""
        return np.array([T[t][i, j] for t, i, j in self.cells])

    def values(self, x: Array) -> Array:
        """The criterion, shape (N,)."""
        log_det, S = self.criterion.many(self.unpack(x))
        value: Array = self.criterion.value(log_det, self.criterion.roots(S))[0]
        return value

    def local(self, x: Array) -> tuple[Array, Array, Array]:
        """The criterion, its slope and its second derivatives, (N,), (N, k) and (N, k, k)."""
        if not self.criterion.analytic:
            found = zip(
                *map(self._differences if self.memory is None else self._learned, x), strict=True
            )
            return tuple(map(np.array, found))  # type: ignore[return-value]
        value, g, H = self.criterion.derivatives(self.unpack(x)[0])
        N, q = len(x), self.shapes[0][0]
        at = np.array([i * q + j for _, i, j in self.cells], dtype=np.intp)
        return value, g.reshape(N, -1)[:, at], H.reshape(N, q * q, -1)[:, at[:, None], at]

    def _slope(self, x: Array) -> tuple[float, Array]:
        at = self.criterion.solve(T := self.unpack(x))
        if at is None:
            return 1e300, np.zeros(len(x))
        return at.value, self.pack(self.criterion.gradient(T, at))

    def _differences(self, x: Array) -> tuple[float, Array, Array]:
        """Second derivatives as differences of the slope."""
        value, g = self._slope(x)
        steps = 1e-5 * np.diag(1.0 + np.abs(x))
        H = np.array([(self._slope(x + e)[1] - g) / e.max() for e in steps])
        return value, g, (H + H.T) / 2

    def _learned(self, x: Array) -> tuple[float, Array, Array]:
        """Second derivatives that are learned on the way (BFGS), after the first."""
        assert self.memory is not None
        if self.memory:
            value, g = self._slope(x)
            step, turn, H = x - self.memory["x"], g - self.memory["g"], self.memory["H"]
            if turn @ step > 0:
                Hs = H @ step
                H = H + np.outer(turn, turn) / (turn @ step) - np.outer(Hs, Hs) / (step @ Hs)
        else:
            value, g, H = self._differences(x)
        self.memory.update(x=x, g=g, H=H)
        return value, g, H


def minimise(
    criterion: Criterion, shapes: Sequence[tuple[int, bool]], start: list[Array] | None = None
) -> list[Array]:
    """Find the global minimum: T for every term, with columns of zeros where rank is lacking.

    ``shapes`` gives the number of columns of each term, and whether they are correlated. With
    ``start`` that is the one point to descend from, by a method of few steps.
    """
    free = [np.tri(q) if correlated else np.eye(q) for q, correlated in shapes]
    cells = tuple((t, i, j) for t, F in enumerate(free) for j, i in np.argwhere(F.T).tolist())
    face = Face(criterion, tuple(shapes), cells)
    if start is not None:
        face = replace(face, memory={})
        return _settle(face, *_descend(face, face.pack(start)[None]))
    return _settle(face, *_descend(face, _starts(face)))


@lru_cache
def _places(cells: tuple[tuple[int, int, int], ...], n: int) -> tuple[Array, Any]:
    """Points all over the place, n a look, and the nearest neighbours of each.

    The second look is at covariances that are all but of rank one: a valley with a correlation
    near 1 or -1 is too narrow to be seen from further inside.
    """
    k, diagonal = len(cells), np.array([i == j for _, i, j in cells])
    ratio = np.roots([1, *[0] * (k - 1), -1, -1]).real.max()
    places = np.outer(np.arange(1, 1 + n), ratio ** -np.arange(1.0, k + 1)) % 1  # fills evenly
    gaps = np.abs(places[:, None] - places).max(axis=2)
    near = np.argsort(gaps, axis=1)[:, 1 : 2 + 2 * k]
    signed = np.where(diagonal, places, 2 * places - 1)
    points = np.sign(signed) * 10 ** (5 * np.abs(signed) - 2)
    if diagonal.all():
        return points, near
    same = np.array([[a[0] == b[0] and a[2] == b[2] for b in cells] for a in cells])
    turned = np.where(diagonal, 1.0, np.tan(np.pi * (np.where(diagonal, 0.0, places) - 0.5)))
    turned *= np.where(diagonal, points, 0.0) @ same / np.sqrt(turned**2 @ same)
    mixed = {t for t, i, j in cells if i != j}
    rank_one = turned * [1e-3 if j > 0 and t in mixed else 1.0 for t, _, j in cells]
    return np.append(points, rank_one, axis=0), np.append(near, near + n, axis=0)


def _starts(face: Face) -> Array:
    """Points to descend from: the valleys of a scattered first look, the lowest first."""
    criterion, k = face.criterion, len(face.cells)
    if criterion.analytic and criterion.cost > 5e4:  # so many levels leave one valley
        guess = criterion.guess(np.eye(face.shapes[0][0]))
        if guess is not None:
            return face.pack([guess])[None]
    each = 12 if criterion.cost > 5e3 else 20 if criterion.n > 100 else 40  # few rows, many valleys
    points, near = _places(face.cells, k * each)
    values = face.values(points)
    low = np.flatnonzero(values <= values[near].min(axis=1))
    starts = points[low[np.argsort(values[low])[: 16 if criterion.cost < 5e3 else 3]]]
    guess = criterion.guess(face.unpack(starts[0])[0]) if criterion.analytic else None
    if guess is not None:
        starts = np.append(face.pack([guess])[None], starts, axis=0)
    return starts


def _descend(face: Face, x: Array) -> tuple[float, Array]:
    """Newton's method from many points side by side, to the last digit of the lowest minimum.

    Once the lowest has arrived, those from which a straight line leads down to it are given up.
    """
    least = 1e-8 if face.criterion.analytic else 1e-15 if face.memory is None else 1e-6
    value, g, H = face.local(x)
    share, size, best = np.ones(len(x)), np.full(len(x), np.inf), 0
    for _ in range(60 if x.size else 0):
        step = newton(g, H)
        before, size = size, (np.abs(step) / (1.0 + np.abs(x))).max(axis=1)
        if len(x) == 1 and (size[0] < least or 0.1 * before[0] < size[0] < 1e-8):
            x = x + step if face.criterion.analytic else x
            break
        step /= np.maximum(1.0, (np.abs(step) / (0.4 + 0.5 * np.abs(x))).max(axis=1))[:, None]
        trial = x + share[:, None] * step
        new = face.local(trial)
        good = new[0] <= value + 1e-12 * (1.0 + np.abs(value))
        if good.all():
            x, (value, g, H) = trial, new
        else:
            x, value = np.where(good[:, None], trial, x), np.where(good, new[0], value)
            g, H = np.where(good[:, None], new[1], g), np.where(good[:, None, None], new[2], H)
        share = np.where(good, np.minimum(4 * share, 1.0), share / 4)
        best = int(value.argmin())
        if len(x) > 1 and size[best] < 1e-2:
            far = np.abs(np.abs(x) - np.abs(x[best])).max(axis=1)
            keep = (far > 0.3 * (1 + np.abs(x[best]).max())) & (
                value < value[best] + 200 / face.criterion.n
            )
            keep |= np.logical_not(_downhill(face, x, value, x[best]))
            keep &= size > 1e-4
            keep[best] = True
            x, value, g, H, share, size = (part[keep] for part in (x, value, g, H, share, size))
            best = int(value.argmin())
    return float(value[best]), x[best]


def newton(g: Array, H: Array) -> Array:
    """Newton's step, downhill where the second derivatives are negative, and then not too short."""
    curvature, axes = np.linalg.eigh(H)
    size = np.abs(curvature)
    size = np.maximum(size, 1e-10 * size.max(axis=1, keepdims=True) + 1e-300)
    along = -(g[:, None] @ axes)[:, 0] / size
    along = np.where(curvature < 0, np.copysign(np.maximum(np.abs(along), 0.3), along), along)
    step: Array = (axes @ along[:, :, None])[:, :, 0]
    return step


def _downhill(face: Face, x: Array, value: Array, best: Array) -> Array:
    """Whether a straight line from x leads down to the best point all the way."""
    same = np.array([[a[0] == b[0] and a[2] == b[2] for b in face.cells] for a in face.cells])
    x = np.where((x * best) @ same < 0, -x, x)  # a column of T has no sign
    line = x[:, None] + np.array([[0.2], [0.4], [0.6], [0.8]]) * (best - x)[:, None]
    on_line = face.values(line.reshape(-1, x.shape[1])).reshape(len(x), -1)
    steps = np.diff(np.column_stack([value, on_line]), axis=1)
    return np.asarray((steps <= 1e-9 * (1.0 + np.abs(value[:, None]))).all(axis=1))


def _settle(face: Face, value: float, x: Array) -> list[Array]:
    """Move to the boundary where that is certified, away from it where it is not."""
    T = face.unpack(x)
    flat = [_flat(t, correlated) for t, (_, correlated) in zip(T, face.shapes, strict=True)]
    cells = tuple((t, i, j) for t, i, j in face.cells if flat[t][:, j].any())
    if cells == face.cells:
        return T
    lower = replace(face, cells=cells, memory=None)
    edge, z = _descend(lower, lower.pack(flat)[None])
    if edge > value + 1e-8 * (1.0 + 1e-4 * abs(value)):
        return T
    on_edge = lower.unpack(z)
    better = leave(face, on_edge)
    if better is None:
        return on_edge
    moved, x = _descend(face, face.pack(better)[None])
    return on_edge if moved >= edge - 1e-10 * (1.0 + abs(edge)) else face.unpack(x)


def _flat(T: Array, correlated: bool) -> Array:
    """A root without the directions in which T T' is all but zero: columns of zeros instead."""
    if not correlated:
        return np.where(T**2 > TINY, T, 0.0)
    values, vectors = np.linalg.eigh(T @ T.T)
    keep, flat = values > TINY, np.zeros_like(T)
    flat[:, : keep.sum()] = np.linalg.qr((vectors[:, keep] * np.sqrt(values[keep])).T)[1].T
    return flat


def certificate(criterion: Criterion, T: list[Array]) -> list[Array]:
    """N for every term, the gradient with respect to Sigma / tau2 (:eq:`eq-kkt`).

    It is read from 2 N T at a neighbour of full rank, 1e-12 away in Sigma / tau2.
    """
    near = [_root(t @ t.T + 1e-12 * max(1.0, float((t**2).sum())) * np.eye(len(t))) for t in T]
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
            out[t] = _root(Sigma + 1e-8 * np.eye(len(Sigma)))
    return out


def _root(Sigma: Array) -> Array:
    return np.asarray(np.linalg.cholesky(Sigma), dtype=np.float64)
