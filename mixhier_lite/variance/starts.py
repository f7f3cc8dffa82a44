"""Where to look: points from which a search descends."""

from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from ..inputs import Array
from .newton import FEW_ROWS
from .theta import ActiveEntries, Cells

AFFORDABLE = 10**5
"""Numbers that a look goes through, for a point of it to cost next to nothing."""
MOST = 2000
"""Points of a look at most."""
SIZES = 10 ** np.linspace(-1, 2.5, 8)
"""Roots of a variance over tau2 that are tried along a direction."""
PAIRED = 8
"""Levels, those that say most, of which each two are tried."""
FOLLOWED = 16
SAME_WAY = 0.98
"""Directions that are followed at most, and the cosine from which on two are the same."""
FEW_ENTRIES = 6
"""Entries of T up to which the valleys of a look are all that there are."""


def starts(entries: ActiveEntries, more: int = 1) -> Array:
    """Points to descend from: the valleys of a scattered first look, the lowest first.

    It looks at fewer points where they cost more: many levels leave one valley. ``more`` looks
    at that many times as many.
    """
    criterion = entries.criterion
    cost = 1 + criterion.cost + 100 * criterion.dense
    afford = more * AFFORDABLE // cost
    few_rows = criterion.likelihood.n <= FEW_ROWS
    for_an_entry = more * min(max(2 * afford, 2), 80 if few_rows else 12)
    points, near = _places(entries.cells, min(len(entries.cells) * for_an_entry, MOST))
    values = entries.values(points)
    lowest_near = values[near].min(axis=1)
    valleys = np.flatnonzero(values <= lowest_near)
    in_order = valleys[np.argsort(values[valleys])]
    if len(entries.cells) > FEW_ENTRIES:
        # among many entries hardly a point is the lowest of its neighbours: some more of the low
        # ones, which lie apart
        quarter = np.argsort(values)[: len(values) // 4]
        some = np.setdiff1d(quarter[:: max(1, len(values) // 64)], valleys)
        in_order = np.append(in_order, some[np.argsort(values[some])])
    followed = min(64 * more, 256) if few_rows else min(max(afford, 1), 16 * more)
    x = points[in_order[:followed]]
    if criterion.dense or len(entries.cells) == 1:
        return np.asarray(x)
    return np.append(scored(entries, x[0]), x[: max(afford, 0)], axis=0)


def along_levels(entries: ActiveEntries, x: Array) -> Array:
    """Other points to descend from, once a minimum x, (k,), is known: shape (N, k).

    With few rows a term may have several valleys in which Sigma is all but of rank one. Such a
    valley mostly runs where one level points, or two. So each correlated term in turn is put there,
    with the best of ``SIZES``, the others as they are.
    """
    T = entries.unpack(x)
    found: list[Array] = [np.zeros((0, len(x)))]
    for t, form in enumerate(entries.forms):
        if entries.criterion.likelihood.n > FEW_ROWS or not form.correlated or form.q == 1:
            continue
        told = entries.criterion.without_term(T, t)
        if told is None:
            continue
        along = _directions(*told)
        if not len(along):  # nothing is left of y in any level
            continue
        own = np.array([s == t for s, _, _ in entries.cells])
        first = np.array([s == t and j == 0 for s, _, j in entries.cells])
        points = np.tile(np.where(own, 0.0, x), (len(along), len(SIZES), 1))
        points[:, :, first] = along[:, None] * SIZES[:, None]
        values = entries.values(points.reshape(-1, len(x))).reshape(-1, len(SIZES))
        best = points[np.arange(len(along)), values.argmin(axis=1)]
        found.append(best[_apart(along, values.min(axis=1))])
    return np.concatenate(found)


def _directions(ZQZ: Array, Zy: Array) -> Array:
    """Where levels point (:eq:`eq-along-levels`): unit vectors, shape (N, q).

    Each level alone, and each two of those that say most, with coefficients that are equal or
    opposite. ``ZQZ`` and ``Zy`` as ``Criterion.without_term`` has them.
    """
    of_levels = np.einsum("jkjl->jkl", ZQZ)
    alone = _least_squares(of_levels, Zy)
    most = np.argsort((alone * Zy).sum(axis=1))[-PAIRED:]
    pairs = [(i, j, sign) for i, j in combinations(most, 2) for sign in (1.0, -1.0)]
    across = [sign * (ZQZ[i, :, j] + ZQZ[j, :, i]) for i, j, sign in pairs]
    of_pairs = [of_levels[i] + of_levels[j] + c for (i, j, _), c in zip(pairs, across, strict=True)]
    both = _least_squares(np.array(of_pairs), np.array([Zy[i] + s * Zy[j] for i, j, s in pairs]))
    along = np.concatenate([alone, both])
    length = np.linalg.norm(along, axis=1)
    unit: Array = along[length > 0] / length[length > 0, None]
    return unit


def _least_squares(A: Array, b: Array) -> Array:
    """The shortest x with A x = b for many A, (N, q, q), and b, (N, q)."""
    return np.asarray((np.linalg.pinv(A, 1e-9, hermitian=True) @ b[..., None])[..., 0])


def _apart(along: Array, values: Array) -> list[int]:
    """The lowest of some directions, (N, q), that are not all but the same: their positions."""
    kept: list[int] = []
    for k in np.argsort(values):
        if len(kept) < FOLLOWED and (np.abs(along[kept] @ along[k]) < SAME_WAY).all():
            kept.append(int(k))
    return kept


@lru_cache
def _places(cells: Cells, n: int) -> tuple[Array, Any]:
    """Points all over the place, n per look, and the nearest neighbours of each.

    The second look is at covariances that are all but of rank one: a valley with a correlation
    near 1 or -1 is too narrow to be seen from further inside.
    """
    diagonal = [i == j for _, i, j in cells]
    k = len(cells)
    # multiples of powers of the root of x^(k+1) = x + 1, modulo one, fill the cube evenly
    polynomial = [1, *[0] * (k - 1), -1, -1]
    ratio = np.roots(polynomial).real.max()
    powers = ratio ** -np.arange(1.0, k + 1)
    places = np.outer(np.arange(1, 1 + n), powers) % 1
    places[:2] = np.where(diagonal, [[0.4], [0.6]], 0.5)  # T = 1 and T = 10
    distances = np.zeros((n, n))  # the largest of those along the axes
    for along in places.T:
        np.maximum(distances, np.abs(along[:, None] - along), out=distances)
    many = min(1 + 2 * k, n - 1)
    near = np.argpartition(distances, many, axis=1)[:, : many + 1]  # it is its own nearest
    # a diagonal entry from 0.01 to 1000, any other one of either sign
    signed = np.where(diagonal, places, 2 * places - 1)
    size = 10 ** (5 * np.abs(signed) - 2)
    points = np.sign(signed) * size
    if all(diagonal):
        return points, near
    correlated = {t for t, i, j in cells if i != j}
    shrunk = [1e-3 if j > 0 and t in correlated else 1.0 for t, _, j in cells]
    return np.append(points, points * shrunk, axis=0), np.append(near, near + n, axis=0)


def scored(entries: ActiveEntries, x: Array) -> Array:
    """One step of Fisher's scoring (:eq:`eq-scoring`) of a model with one term, to shape (1, k).

    With REML, from anywhere, it ends at a minimum inside where all groups have the same rows of X
    and, correlated, of Z, and X spans Z: the estimate is linear in the mean squares there.
    """
    bare = entries.bare(x)
    form = entries.forms[0]
    q = form.q
    frame = form.frame
    at = entries.criterion.curvature(entries.framed(bare))
    assert at is not None
    if form.correlated:  # every entry of T T' is free
        free = np.arange(q * q)
        changes = np.eye(q * q)
    else:  # a variance of its own for each column f of the frame: it adds f f'
        free = np.arange(0, q * q, q + 1)
        changes = np.einsum("ik,jk->kij", frame, frame).reshape(q, q * q)
    slope = changes @ at.N[0].ravel()
    expected = changes @ at.scoring().reshape(q * q, q * q) @ changes.T
    step = np.linalg.lstsq(expected, slope, 1e-9)[0]
    Theta = bare[0] @ bare[0].T
    Theta.ravel()[free] -= step
    values, vectors = np.linalg.eigh(Theta)
    inside = np.clip(values, 1e-2, 1e12)
    root = np.linalg.cholesky((vectors * inside) @ vectors.T)
    return entries.theta([root])[None]
