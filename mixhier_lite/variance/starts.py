"""Where to look: points from which a search descends."""

from functools import lru_cache
from typing import Any

import numpy as np

from ..inputs import Array
from .theta import ActiveEntries, Cells

AFFORDABLE = 10**5
"""Numbers that a look goes through, for a point of it to cost next to nothing."""
MOST = 1000
"""Points of a look at most."""


def starts(entries: ActiveEntries, more: int = 1) -> Array:
    """Points to descend from: the valleys of a scattered first look, the lowest first.

    It looks at fewer points where they cost more: many levels leave one valley. ``more`` looks
    at that many times as many.
    """
    criterion = entries.criterion
    afford = more * AFFORDABLE // (1 + criterion.cost + 100 * criterion.dense)
    most = 12 if criterion.likelihood.n > 100 else 40  # few rows, many valleys
    each = more * min(max(2 * afford, 2), most)
    points, near = _places(entries.cells, min(len(entries.cells) * each, MOST))
    values = entries.values(points)
    low = np.flatnonzero(values <= values[near].min(axis=1))
    x = points[low[np.argsort(values[low])[: min(max(afford, 1), 16 * more)]]]
    if criterion.dense or len(entries.cells) == 1:
        return np.asarray(x)
    return np.append(scored(entries, x[0]), x[: max(afford, 0)], axis=0)


@lru_cache
def _places(cells: Cells, n: int) -> tuple[Array, Any]:
    """Points all over the place, n a look, and the nearest neighbours of each.

    The second look is at covariances that are all but of rank one: a valley with a correlation
    near 1 or -1 is too narrow to be seen from further inside.
    """
    diagonal = [i == j for _, i, j in cells]
    k = len(cells)
    # multiples of powers of the root of x^(k+1) = x + 1, modulo one, fill the cube evenly
    ratio = np.roots([1, *[0] * (k - 1), -1, -1]).real.max()
    places = np.outer(np.arange(1, 1 + n), ratio ** -np.arange(1.0, k + 1)) % 1
    places[:2] = np.where(diagonal, [[0.4], [0.6]], 0.5)  # T = 1 and T = 10
    near = np.argsort(np.abs(places[:, None] - places).max(axis=2), axis=1)[:, 1 : 2 + 2 * k]
    signed = np.where(diagonal, places, 2 * places - 1)
    points = np.sign(signed) * 10 ** (5 * np.abs(signed) - 2)
    if all(diagonal):
        return points, near
    shrunk = [1e-3 if j > 0 and (t, 1, 0) in cells else 1.0 for t, _, j in cells]
    return np.append(points, points * shrunk, axis=0), np.append(near, near + n, axis=0)


def scored(entries: ActiveEntries, x: Array) -> Array:
    """One step of Fisher's scoring in T T' of a model with one term, from x to shape (1, k).

    With REML, from anywhere, it ends at a minimum inside where all groups have the same rows of X
    and, correlated, of Z, and X spans Z: the estimate is linear in the mean squares there.
    """
    (T,), (shape,) = entries.unpack(x), entries.shapes
    q, frame = shape.q, shape.frame
    free = np.flatnonzero(np.ones((q, q)) if shape.correlated else np.eye(q))
    at = entries.criterion.curvature([T])
    assert at is not None
    slope = (frame.T @ at.N[0] @ frame).reshape(q * q)
    expected = np.einsum("ijkl,ia,jb,kc,ld->abcd", at.scoring(), *[frame] * 4, optimize=True)
    bare = np.linalg.solve(frame, T)
    Omega = bare @ bare.T
    change = np.linalg.lstsq(expected.reshape(q * q, -1)[np.ix_(free, free)], slope[free], 1e-9)[0]
    Omega.ravel()[free] -= change
    values, vectors = np.linalg.eigh(Omega)
    root = np.linalg.cholesky((vectors * np.clip(values, 1e-2, 1e12)) @ vectors.T)
    return entries.pack([frame @ root])[None]
