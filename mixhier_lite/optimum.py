"""The global minimum of a criterion: look everywhere, descend, polish, certify the boundary.

The search is over the entries of T, in which a covariance of lower rank is no edge but a matrix
with columns of zeros. Leaving these columns out makes it an ordinary point again: a *face*.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .inputs import Array
from .variance import Criterion

TINY = 1e-4
"""Variances below this, in scaled units, are compared with zero."""


@dataclass(frozen=True, eq=False)
class Face:
    """The criterion restricted to some entries of T, as a function of a vector x."""

    criterion: Criterion
    shapes: tuple[tuple[int, bool], ...]
    """For each term the number of its columns, and whether they are correlated."""
    cells: tuple[tuple[int, int, int], ...]
    """Term, row and column of every entry of x."""

    def unpack(self, x: Array) -> list[Array]:
        """T for every term."""
        T = [np.zeros((q, q)) for q, _ in self.shapes]
        for (t, i, j), value in zip(self.cells, x, strict=True):
            T[t][i, j] = value
        return T

    def pack(self, T: list[Array]) -> Array:
        """The entries of T that belong to the face."""
        return np.array([T[t][i, j] for t, i, j in self.cells])

    def slope(self, x: Array) -> tuple[float, Array]:
        """The criterion and its gradient; a very large number where nothing is left of y."""
        at = self.criterion.solve(T := self.unpack(x))
        if at is None:
            return 1e300, np.zeros(len(x))
        return at.value, self.pack(self.criterion.gradient(T, at))


def minimise(criterion: Criterion, shapes: Sequence[tuple[int, bool]]) -> list[Array]:
    """Find the global minimum: T for every term, with columns of zeros where rank is lacking.

    ``shapes`` gives the number of columns of each term, and whether they are correlated.
    """
    free = [np.tri(q) if correlated else np.eye(q) for q, correlated in shapes]
    cells = tuple((t, i, j) for t, F in enumerate(free) for j, i in np.argwhere(F.T).tolist())
    face = Face(criterion, tuple(shapes), cells)
    return _settle(face, min((_descend(face, x) for x in _starts(face)), key=lambda f: f[0])[1])


def _starts(face: Face) -> list[Array]:
    """Points to descend from: the valleys of a scattered first look, the lowest first.

    It looks twice, the second time at covariances that are all but of rank one: a valley with a
    correlation near 1 or -1 is too narrow to be seen from further inside.
    """
    k, criterion = len(face.cells), face.criterion
    slow = criterion.system.B.size + 100 * criterion.system.m > 5e3
    ratio = np.roots([1, *[0] * (k - 1), -1, -1]).real.max()
    steps = np.arange(1, 1 + k * (12 if slow and k > 1 else 40))
    places = np.outer(steps, ratio ** -np.arange(1.0, k + 1)) % 1  # fills the cube evenly
    signed = np.where([i == j for _, i, j in face.cells], places, 2 * places - 1)
    points = np.sign(signed) * 10 ** (5 * np.abs(signed) - 2)
    gaps = np.abs(places[:, None] - places).max(axis=2)
    near, starts = np.argsort(gaps, axis=1)[:, 1 : 2 + 2 * k], []
    rank_one = np.array(
        [1.0 if j == 0 or not face.shapes[t][1] else 1e-3 for t, _, j in face.cells]
    )
    for look in (points, points * rank_one)[: 1 + (rank_one < 1).any()]:
        solved = [criterion.solve(face.unpack(x)) for x in look]
        values = np.array([np.inf if at is None else at.value for at in solved])
        low = np.flatnonzero(np.isfinite(values) & (values <= values[near].min(axis=1)))
        starts += list(look[low[np.argsort(values[low])[:8]]])
    return starts


def _descend(face: Face, x: Array) -> tuple[float, Array]:
    """Descend to within a polish of the minimum."""
    from scipy.optimize import minimize

    found = minimize(face.slope, x, jac=True, method="L-BFGS-B", options={"ftol": 1e-7})
    return float(found.fun), np.asarray(found.x)


def _polish(face: Face, x: Array) -> tuple[float, Array]:
    """Newton's method, with differences of the gradient for the second derivatives."""
    value, g = face.slope(x)
    size, anew = np.inf, True
    for _ in range(30 if len(x) else 0):
        if anew:
            steps = 1e-5 * np.diag(1.0 + np.abs(x))
            G = np.array([(face.slope(x + e)[1] - g) / e.max() for e in steps])
            curvature, axes = np.linalg.eigh((G + G.T) / 2)
            floor = 1e-10 * max(float(np.abs(curvature).max()), 1e-300)
        d = -axes @ ((axes.T @ g) / np.maximum(np.abs(curvature), floor))
        before, size = size, float(np.abs(d / (1.0 + np.abs(x))).max())
        if size < 1e-15 or (size > 0.1 * before and size < 1e-8):
            break
        anew = size > 0.1 * before or size > 1e-3  # else the old ones will do
        step, slack = 1.0, 1e-12 * (1.0 + abs(value))
        while (new := face.slope(x + step * d))[0] > value + slack and step > 1e-6:
            step /= 4
        if new[0] > value + slack:
            break
        x, value, g = x + step * d, new[0], new[1]
    return value, x


def _settle(face: Face, x: Array) -> list[Array]:
    """Polish; move to the boundary where that is certified, away from it where it is not."""
    value, x = _polish(face, x)
    T = face.unpack(x)
    flat = [_flat(t, correlated) for t, (_, correlated) in zip(T, face.shapes, strict=True)]
    cells = tuple((t, i, j) for t, i, j in face.cells if flat[t][:, j].any())
    if cells == face.cells:
        return T
    lower = replace(face, cells=cells)
    edge, z = _polish(lower, lower.pack(flat))
    if edge > value + 1e-8 * (1.0 + 1e-4 * abs(value)):
        return T
    on_edge = lower.unpack(z)
    better = leave(face, on_edge)
    if better is None:
        return on_edge
    moved, x = _polish(face, _descend(face, face.pack(better))[1])
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
    near = [_root(t @ t.T + 1e-12 * np.eye(len(t))) for t in T]
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
