"""The global minimum of a criterion: scan, descend, polish, and certify the boundary.

A *face* is a set of entries of T that may differ from zero. The criterion is smooth on every
face, and a covariance of lower rank is an ordinary point of a smaller face.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from .inputs import Array
from .variance import Criterion

Shape = tuple[int, bool]
"""Number of columns of a term, and whether they are correlated."""


@dataclass(frozen=True, eq=False)
class Face:
    """The criterion restricted to some entries of T, as a function of a vector x."""

    criterion: Criterion
    shapes: tuple[Shape, ...]
    ranks: tuple[tuple[int, ...], ...]
    """For each term the columns of T that are not zero."""

    @property
    def cells(self) -> list[tuple[int, int, int]]:
        """Term, row and column of every entry of x."""
        return [
            (t, i, j)
            for t, ((q, correlated), columns) in enumerate(
                zip(self.shapes, self.ranks, strict=True)
            )
            for j in columns
            for i in (range(j, q) if correlated else (j,))
        ]

    def unpack(self, x: Array) -> list[Array]:
        """T for every term."""
        T = [np.zeros((q, q)) for q, _ in self.shapes]
        for (t, i, j), value in zip(self.cells, x, strict=True):
            T[t][i, j] = value
        return T

    def pack(self, T: list[Array]) -> Array:
        """The entries of T that belong to the face."""
        return np.array([T[t][i, j] for t, i, j in self.cells])

    def value(self, x: Array) -> float:
        """The criterion, infinite where nothing is left of y."""
        at = self.criterion.solve(self.unpack(x))
        return np.inf if at is None else at.value

    def values(self, points: Array) -> Array:
        """The criterion at many points, shape (points, entries of x)."""
        if self.criterion.rest.m or not self.criterion.levels.B.size:
            return np.array([self.value(x) for x in points])
        step = max(1, 10**6 // self.criterion.levels.B.size)
        parts = [points[i : i + step] for i in range(0, len(points), step)]
        stacks = [np.stack([self.unpack(x)[0] for x in part]) for part in parts]
        return np.concatenate([self.criterion.scan(T) for T in stacks])

    def slope(self, x: Array) -> tuple[float, Array]:
        """The criterion and its gradient."""
        T = self.unpack(x)
        at = self.criterion.solve(T)
        if at is None:
            return np.inf, np.zeros(len(x))
        return at.value, self.pack(self.criterion.gradient(T, at))


def minimise(
    criterion: Criterion, shapes: tuple[Shape, ...]
) -> tuple[list[Array], tuple[int, ...]]:
    """Find the global minimum; return T for every term and the rank of each Sigma."""
    face = Face(criterion, shapes, tuple(tuple(range(q)) for q, _ in shapes))
    found = [descend(face, x) for x in _low_points(face)]
    lowest, best = min(found, key=lambda f: f[0])
    found += [descend(face, x) for x in _other_valleys(face, best, lowest)]
    settled = [_settle(face, x) for x in _distinct(face, found)]
    _, T, ranks = min(settled, key=lambda s: s[0])
    return T, ranks


def _distinct(face: Face, found: list[tuple[float, Array]]) -> Iterator[Array]:
    """The lowest points, each valley once."""
    found = sorted(found, key=lambda f: f[0])
    kept: list[Array] = []
    for value, x in found:
        Sigma = np.concatenate([(t @ t.T).ravel() for t in face.unpack(x)])
        size = 1.0 + np.abs(Sigma)
        if value <= found[0][0] + 1e-3 and all(
            float((np.abs(Sigma - other) / size).max()) > 0.03 for other in kept
        ):
            kept.append(Sigma)
            yield x


def descend(face: Face, x: Array) -> tuple[float, Array]:
    """Descend by BFGS with backtracking, to within a polish of the minimum."""
    value, g = face.slope(x)
    if not len(x) or not np.isfinite(value):
        return value, x
    H = np.eye(len(x)) * min(1.0, 0.5 / max(float(np.abs(g).max()), 1e-300))
    for iteration in range(200):
        d = -H @ g
        d *= min(1.0, 2.0 * (1.0 + float(np.abs(x).max())) / max(float(np.abs(d).max()), 1e-300))
        decrease, step = float(g @ d), 1.0
        if -decrease < 1e-5:
            break
        while (new := face.slope(x + step * d))[0] > value + 1e-4 * step * decrease and step > 1e-9:
            step /= 4
        if new[0] > value:
            break
        s, change = step * d, new[1] - g
        x, value, g = x + s, new[0], new[1]
        curvature = float(s @ change)
        if curvature > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(change)):
            if iteration == 0:
                H = np.eye(len(x)) * curvature / float(change @ change)
            left = np.eye(len(x)) - np.outer(s, change) / curvature
            H = left @ H @ left.T + np.outer(s, s) / curvature
    return value, x


def polish(face: Face, x: Array) -> tuple[float, Array]:
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


def _grid(face: Face, points: int) -> Array:
    """Standard deviations to scan, relative to the noise and the size of the groups."""
    grid: Array = 10.0 ** np.linspace(-2, 3, 6 if _costly(face) else points)
    return grid


def _costly(face: Face) -> bool:
    """Whether an evaluation takes more than about a millisecond."""
    return bool(face.criterion.levels.B.size + face.criterion.rest.m**3 / 100 > 1e5)


def _at(face: Face, sizes: Array) -> Array:
    """A point of the face with this diagonal and zeros elsewhere."""
    x = np.zeros(len(face.cells))
    x[[i == j for _, i, j in face.cells]] = sizes
    return x


def _low_points(face: Face) -> list[Array]:
    """Points to descend from: the low points of a scan over the standard deviations."""
    k = sum(i == j for _, i, j in face.cells)
    grid = _grid(face, {1: 41, 2: 8 if face.criterion.rest.m else 12}.get(k, 6))
    if k > 2 or (k == 2 and _costly(face)):
        along = face.values(np.array([_at(face, np.full(k, s)) for s in grid]))
        return [_at(face, np.full(k, grid[int(np.argmin(along))]))]
    points = np.array([_at(face, np.array(s)) for s in product(grid, repeat=k)])
    values = face.values(points)
    low = np.flatnonzero(np.isfinite(values) & _valleys(values.reshape((len(grid),) * k)).ravel())
    return list(points[low[np.argsort(values[low])[:4]]])


def _other_valleys(face: Face, x: Array, lowest: float) -> Iterator[Array]:
    """Low points on the lines through x along one standard deviation each."""
    on_diagonal = np.flatnonzero([i == j for _, i, j in face.cells])
    for c in on_diagonal if len(on_diagonal) > 1 else ():
        sizes = np.sort(np.append(_grid(face, 12), abs(x[c])))
        line = np.tile(x, (len(sizes), 1))
        line[:, c] = sizes
        here = int(np.searchsorted(sizes, abs(x[c])))
        for k in np.flatnonzero(_valleys(face.values(line))):
            if abs(k - here) > 1:
                yield line[k]
    if not _costly(face):
        yield from _correlated(face, x, lowest)


def _correlated(face: Face, x: Array, lowest: float) -> Iterator[Array]:
    """Low points with all but perfect correlation of either sign, for every pair of columns."""
    cells, grid = face.cells, _grid(face, 16 if not face.criterion.rest.m else 6)
    sizes = np.array(list(product(grid, repeat=2)))
    for c, (t, i, j) in enumerate(cells):
        for r in (-0.999, 0.999) if i != j else ():
            points = np.tile(x * [a == b or u != t for u, a, b in cells], (len(sizes), 1))
            points[:, cells.index((t, j, j))] = sizes[:, 0]
            points[:, cells.index((t, i, i))] = sizes[:, 1] * np.sqrt(1 - r**2)
            points[:, c] = sizes[:, 1] * r
            values = face.values(points)
            flat = _valleys(values.reshape(len(grid), -1)).ravel() & (values < lowest + 20)
            low = np.flatnonzero(flat)
            yield from points[low[np.argsort(values[low])[:2]]]


def _valleys(values: Array) -> npt.NDArray[np.bool_]:
    """Where no neighbour, along an axis or diagonally, is lower."""
    padded = np.pad(values, 1, constant_values=np.inf)
    low = np.full(values.shape, True)
    for shift in product((0, 1, 2), repeat=values.ndim):
        at = tuple(slice(s, s + size) for s, size in zip(shift, values.shape, strict=True))
        low &= values <= padded[at]
    return low


def _settle(face: Face, x: Array) -> tuple[float, list[Array], tuple[int, ...]]:
    """Move to the boundary where that is certified, and away from it where it is not."""
    full = tuple(q for q, _ in face.shapes)
    value, x = polish(face, x)
    for _ in range(5):
        T = face.unpack(x)
        smaller = _reduced(face, T)
        if smaller is None:
            break
        lower, start = smaller
        edge, z = polish(lower, start)
        if edge > value + 1e-8 * (1.0 + 1e-4 * abs(value)):
            break
        Tz = lower.unpack(z)
        away = _away(lower, Tz)
        if away is None:
            return edge, Tz, tuple(len(r) for r in lower.ranks)
        new, moved = descend(face, face.pack(away))
        if new >= edge - 1e-10 * (1.0 + abs(edge)):
            return edge, Tz, tuple(len(r) for r in lower.ranks)
        value, x = polish(face, moved)
    return value, face.unpack(x), full


def _reduced(face: Face, T: list[Array]) -> tuple[Face, Array] | None:
    """Drop directions in which Sigma is all but zero; None where there is none."""
    ranks, reduced = [], []
    for t, (_, correlated) in zip(T, face.shapes, strict=True):
        if correlated:
            values, vectors = np.linalg.eigh(t @ t.T)
            keep = values > 1e-4
            R = np.linalg.qr((vectors[:, keep] * np.sqrt(values[keep])).T)[1]
            wide = np.zeros_like(t)
            wide[:, : len(R)] = R.T
            ranks.append(tuple(range(len(R))))
        else:
            large = np.diag(t) ** 2 > 1e-4
            wide = np.diag(np.where(large, np.diag(t), 0.0))
            ranks.append(tuple(np.flatnonzero(large).tolist()))
        reduced.append(wide)
    if all(len(r) == q for r, (q, _) in zip(ranks, face.shapes, strict=True)):
        return None
    lower = Face(face.criterion, face.shapes, tuple(ranks))
    return lower, lower.pack(reduced)


def _away(face: Face, T: list[Array]) -> list[Array] | None:
    """Certify a boundary point, N p.s.d.; else return a better T off the boundary."""
    at = face.criterion.solve(T)
    assert at is not None
    out, certified = [t.copy() for t in T], True
    for t, N in enumerate(face.criterion.certificate(T, at)):
        q, correlated = face.shapes[t]
        if len(face.ranks[t]) == q:
            continue
        values, vectors = np.linalg.eigh((N + N.T) / 2 if correlated else np.diag(np.diag(N)))
        if values[0] < -1e-9 * face.criterion.n:
            certified = False
            Sigma = T[t] @ T[t].T + 1e-2 * np.outer(vectors[:, 0], vectors[:, 0])
            root = np.linalg.cholesky(Sigma + 1e-8 * np.eye(q)) if correlated else np.sqrt(Sigma)
            out[t] = np.asarray(root)
    return None if certified else out
