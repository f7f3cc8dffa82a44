"""Newton's method from many points side by side."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from .theta import ActiveEntries, Points

LARGE_DENSE = 200
"""Columns in one dense matrix from which on every evaluation counts."""
STEPS = 300
DEAR_STEPS = 60
"""Steps after which a descent gives up; and where second derivatives are differences."""
PATIENCE = 40
"""Steps before a point that is far above the lowest is given up, where there may be many minima."""
SOME_ENTRIES = 4
MANY_ENTRIES = 16
"""Entries of T from which on that is so, and from which on no point is given up."""
FEW_ROWS = 100
"""Rows up to which there may be many minima."""
LONGEST = 0.7
"""How far a step goes along one axis."""
FLAT = 1e-10
"""Slope and curvature, over the criterion, of a direction that makes no difference."""
EXACT = 1e-12
"""Length of a last step."""
CLOSE = 1e-2
SAME = 1e-10
"""How short a step is near a minimum, and how far, over the criterion, two values there differ."""
NEAR = 1e-7
"""Where an evaluation counts: how far from a minimum the last step may end, in the units of a
certificate."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a descent has ended."""

    value: float
    x: Array
    """Shape (k,)."""
    arrived: bool
    """Whether the last step was short enough."""


def newton_step(entries: ActiveEntries, at: Points) -> Array:
    """Newton's step in units of ``scale``, (N, k); a diagonal entry moves as its arsinh does.

    It goes downhill where the second derivatives are negative, and then not too short.
    """
    unit = entries.scale(at.x)
    slope = at.gradient * unit
    H = at.hessian * unit[:, :, None] * unit[:, None]
    # x = sinh z: d2f/dz2 = f'' (1 + x^2) + f' x
    np.einsum("nkk->nk", H)[...] += entries.diagonal * at.x * at.gradient
    curvature, axes = np.linalg.eigh(H)
    slope = np.einsum("ni,nik->nk", slope, axes)
    steepness = np.abs(slope)
    bend = np.abs(curvature)
    least = 1e-10 * bend.max(axis=1, keepdims=True) + 1e-300
    length = steepness / np.maximum(bend, least)
    uphill = curvature < 0  # a maximum along this axis: leave it
    length = np.minimum(np.maximum(length, 0.3 * uphill), LONGEST)
    flat = steepness + bend < FLAT * (1.0 + np.abs(at.value))[:, None]
    step = np.where(flat, 0.0, np.copysign(length, -slope))
    return np.asarray(np.einsum("nik,nk->ni", axes, step))


def distance(entries: ActiveEntries, at: Points, step: Array) -> float:
    """How far one point is from its minimum, in the units of a certificate: sqrt(g'H^-1 g)."""
    slope = at.gradient * entries.scale(at.x)
    return float(np.sqrt(np.abs((slope * step).sum())))


def move(entries: ActiveEntries, x: Array, step: Array) -> Array:
    """Take a step."""
    by_arsinh = np.sinh(np.arcsinh(x) + step)
    return np.where(entries.diagonal, by_arsinh, x + entries.scale(x) * step)


def descend(
    entries: ActiveEntries, x: Array, at: Points | None = None, steps: int = STEPS
) -> Minimum:
    """Newton's method from many points, (N, k), to the last digit of the lowest minimum.

    Once the lowest has all but arrived, those that are far above it or have arrived elsewhere
    are given up. Where second derivatives are not exact, a step leaves about as much of its length
    as it has itself of the length of the last one. ``at`` is what is known of the points, and
    ``steps`` are the most that are taken.
    """
    at = entries.local(x) if at is None else at
    evaluations_count = entries.criterion.dense > LARGE_DENSE
    share = np.ones(len(x))  # of Newton's step
    last = np.ones(len(x))  # length of the last step
    patience = _patience(entries, steps)
    most = steps if entries.criterion.exact else min(steps, DEAR_STEPS)
    for taken in range(most if x.size else 0):
        step = newton_step(entries, at)
        length = np.abs(step).max(axis=1)
        best = lowest(at)
        if len(length) > 1 and length[best] < 0.1:
            low = at.value < at.value[best] + 200 / entries.criterion.likelihood.n
            under_way = length > 1e-4
            keep = under_way & (low | (taken < patience))
            keep[best] = True
            at = at[keep]
            share = share[keep]
            last = last[keep]
            step = step[keep]
            length = length[keep]
        if len(length) == 1:
            if evaluations_count:
                left = distance(entries, at, step) * length[0] / last[0]
                arrived = taken > 0 and left < NEAR
            else:
                arrived = length[0] < np.sqrt(EXACT * last[0])
            if arrived:
                return Minimum(float(at.value[0]), move(entries, at.x, step)[0], True)
        trial = move(entries, at.x, step * share[:, None])
        new = entries.local(trial, at)
        better = new.value <= at.value + rounding(entries, at.x, at.value)
        better |= (length < CLOSE) & flatter(entries, new, at)
        share = np.where(better, np.minimum(4 * share, 1.0), share / 4)
        at = at.updated(better, new)
        if entries.criterion.dense:
            last = np.maximum(length, EXACT)
    best = lowest(at)
    return Minimum(float(at.value[best]), at.x[best], not x.size)


def _patience(entries: ActiveEntries, steps: int) -> int:
    """Steps, of so many, before a point that is far above the lowest is given up."""
    count = len(entries.cells)
    if count >= MANY_ENTRIES:
        return steps
    few_rows = entries.criterion.likelihood.n <= FEW_ROWS
    return PATIENCE if count >= SOME_ENTRIES or (few_rows and count > 1) else 0


def flatter(entries: ActiveEntries, new: Points, old: Points) -> npt.NDArray[np.bool_]:
    """Whether the slope is less at the new points, and the value the same but for rounding, (N,).

    With many columns of X a value near a minimum is rounded by more than a last step gains; the
    gradient is exact to more digits.
    """
    before, after = (np.abs(at.gradient * entries.scale(at.x)).max(axis=1) for at in (old, new))
    same = np.abs(new.value - old.value) <= SAME * (1.0 + np.abs(old.value))
    return np.asarray((after < before) & same)


def rounding(entries: ActiveEntries, x: Array, value: Array | float) -> Array:
    """What values at points x, (..., k), may be off by: with several terms it grows as T^2.

    The gradient is exact to more digits. Without this a last step looks as if it went uphill.
    """
    of_value = 1e-12 * (1.0 + np.abs(value))
    return np.asarray(of_value + of_distance(x) if entries.criterion.dense else of_value)


def of_distance(x: Array) -> Array:
    """The part of rounding that grows with T^2."""
    return np.asarray(1e-14 * (x**2).sum(axis=-1))


def lowest(at: Points) -> int:
    """The lowest point; a distant one must be lower by what rounding makes of it."""
    return int((at.value + of_distance(at.x)).argmin())
