"""The global minimum of a criterion: look everywhere, descend, polish, certify the boundary.

The search is over the entries of T, in which a covariance of lower rank is no edge but a matrix
with columns of zeros. Leaving these columns out makes it an ordinary point again: a *face*.
"""

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
        T = self.unpack(x)
        at = self.criterion.solve(T)
        if at is None:
            return 1e300, np.zeros(len(x))
        return at.value, self.pack(self.criterion.gradient(T, at))


def minimise(criterion: Criterion, shapes: tuple[tuple[int, bool], ...]) -> list[Array]:
    """Find the global minimum: T for every term, with columns of zeros where rank is lacking."""
    cells = tuple(
        (t, i, j)
        for t, (q, correlated) in enumerate(shapes)
        for j in range(q)
        for i in (range(j, q) if correlated else (j,))
    )
    face = Face(criterion, shapes, cells)
    found = [_descend(face, x) for x in _starts(face)]
    return _settle(face, min(found, key=lambda f: f[0])[1])


def _starts(face: Face) -> list[Array]:
    """Points to descend from: the valleys of a scattered first look, the lowest first."""
    places = _scatter(len(face.cells), _looks(face))
    points = _spread(face, places)
    values = _values(face, points)
    gaps = np.abs(places[:, None] - places).max(axis=2)
    near = np.argsort(gaps, axis=1)[:, 1 : 2 + 2 * places.shape[1]]
    low = np.flatnonzero(np.isfinite(values) & (values <= values[near].min(axis=1)))
    return list(points[low[np.argsort(values[low])[:4]]])


def _looks(face: Face) -> int:
    """How many points to look at: few where an evaluation is slow."""
    k, criterion = len(face.cells), face.criterion
    if k == 1:
        return 41
    return 12 * k if criterion.rest.m else 120 * k


def _scatter(k: int, count: int) -> Array:
    """Points that fill the unit cube evenly, shape (count, k): a Kronecker sequence."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (k + 1))
    steps = ratio ** -np.arange(1.0, k + 1)
    return np.asarray((0.5 + np.outer(np.arange(1, count + 1), steps)) % 1)


def _spread(face: Face, places: Array) -> Array:
    """Turn places in the unit cube into T: standard deviations and correlations of any kind."""
    where = {cell: c for c, cell in enumerate(face.cells)}
    points = np.empty_like(places)
    for (t, i, j), c in where.items():
        points[:, c] = 10 ** (5 * places[:, where[t, i, i]] - 2)
        for m in range(j):
            if (t, i, m) in where:
                points[:, c] *= np.abs(np.sin(np.pi * places[:, where[t, i, m]]))
        if i != j:
            points[:, c] *= np.cos(np.pi * places[:, c])
    return points


def _values(face: Face, points: Array) -> Array:
    """The criterion at many points, shape (points, entries of x)."""
    criterion = face.criterion
    if criterion.rest.m or not criterion.levels.B.size:
        solved = [criterion.solve(face.unpack(x)) for x in points]
        return np.array([np.inf if at is None else at.value for at in solved])
    step = max(1, 10**6 // criterion.levels.B.size)
    parts = [points[i : i + step] for i in range(0, len(points), step)]
    return np.concatenate([criterion.scan(np.stack([face.unpack(x)[0] for x in p])) for p in parts])


def _descend(face: Face, x: Array) -> tuple[float, Array]:
    """Descend to within a polish of the minimum."""
    from scipy.optimize import minimize

    found = minimize(face.slope, x, jac=True, method="L-BFGS-B", options={"ftol": 1e-9})
    return float(found.fun), np.asarray(found.x)


def _polish(face: Face, x: Array) -> tuple[float, Array]:
    """Newton's method, with differences of the gradient for the second derivatives."""
    value, g = face.slope(x)
    size, anew = np.inf, True
    for _ in range(30 if len(x) else 0):
        if anew:
            curvature, axes = _second_derivatives(face, x, g)
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


def _second_derivatives(face: Face, x: Array, g: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the matrix of second derivatives at x."""
    h = 1e-5 * (1.0 + np.abs(x))
    steps = zip(h, np.eye(len(x)), strict=True)
    G = np.array([(face.slope(x + size * e)[1] - g) / size for size, e in steps])
    values, vectors = np.linalg.eigh((G + G.T) / 2)
    return values, vectors


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


def leave(face: Face, T: list[Array]) -> list[Array] | None:
    """Certify a boundary point, :eq:`eq-kkt`; else return a better T off the boundary.

    N, the gradient with respect to Sigma / tau2, must be p.s.d. It is read from 2 N T at a
    neighbour of full rank, 1e-12 away.
    """
    near = [np.linalg.cholesky(t @ t.T + 1e-12 * np.eye(len(t))) for t in T]
    at = face.criterion.solve(near)
    assert at is not None
    out, certified = list(T), True
    for t, G in enumerate(face.criterion.gradient(near, at)):
        N = np.linalg.solve(near[t].T, G.T / 2)
        correlated, lacking = face.shapes[t][1], not T[t].any(axis=0).all()
        values, vectors = np.linalg.eigh((N + N.T) / 2 if correlated else np.diag(np.diag(N)))
        if lacking and values[0] < -1e-9 * face.criterion.n:
            certified = False
            Sigma = T[t] @ T[t].T + 1e-2 * np.outer(vectors[:, 0], vectors[:, 0])
            out[t] = np.linalg.cholesky(Sigma + 1e-8 * np.eye(len(Sigma)))
    return None if certified else out
