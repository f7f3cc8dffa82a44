"""How the mass of one standard deviation grows with its value, over grids.

The mass along one axis of a grid is a polynomial through its nodes. It is integrated up to where
the standard deviation reaches a value: along t for that of the noise, along x for the others.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from .cubics import Cubics
from .grid import Grid, combinations, light, rule

SEGMENTS = 100
"""Pieces of an axis, where a standard deviation is no coordinate."""
LOST = 1e-12
"""Mass of all lines together that are not looked at, because they have so little of it."""
RISE = 1e-13
"""By how much a coordinate rises from node to node where it would not rise at all."""

Distribution = Callable[[float], float]
"""The mass where a standard deviation is below a value."""


def distribution_over(grids: Sequence[Grid], k: int, log_marginal: float) -> Distribution:
    """Posterior distribution function of the k-th standard deviation; tau is the last.

    Each grid is over another part of the posterior, and ``log_marginal`` is the log of the
    density's integral over all of them.
    """
    parts = [_of_grid(grid, k, log_marginal) for grid in grids]
    return lambda value: sum(below(value) for below in parts)


def _of_grid(grid: Grid, k: int, log_marginal: float) -> Distribution:
    """The part of one grid."""
    view = grid.over
    mass = np.exp(grid.log_mass - log_marginal)
    if k == len(view.over.sds):
        return _of_noise(grid, mass)
    if view.chart is view.over.charts[0]:
        return _of_coordinate(grid, k, mass)
    return _of_column(grid, k, mass)


def _of_noise(grid: Grid, mass: Array) -> Distribution:
    """That of tau, which is its value at t = 0 times e^t."""
    heavy = mass.sum(axis=1) > light(mass.sum(axis=1), LOST)
    log_lowest = np.log(grid.tau[heavy, 0] * grid.over.over.y_unit) - grid.axes[-1][0]
    up_to = _integrals(mass[heavy])

    def below(value: float) -> float:
        reach = np.log(value) - log_lowest
        return float(up_to(_place(reach, grid.box[-1])).sum())

    return below


def _of_coordinate(grid: Grid, k: int, mass: Array) -> Distribution:
    """That of a standard deviation whose arsinh, over tau and its unit, is the k-th coordinate.

    On a line along x, sd = unit e^t sinh(x) h(x), where h is tau at t = 0 over its median.
    """
    over = grid.over.over
    at_zero = over.tau(grid.given, np.zeros((len(grid.at), 1)))
    median = float(np.median(at_zero))
    ratio = grid.given.ratios[0, k] / np.sinh(grid.at[0, k])  # at sinh x = 1
    unit = over.y_unit * median * ratio
    lines = np.maximum(_lines(grid, mass, k), 0.0)
    line, m = _heavy(lines)
    up_to = _integrals(lines[line, m])
    inverse = _inverse(grid.axes[k], _tau_along(grid, k) / median)
    shrunk = np.exp(-grid.axes[-1]) / unit

    def below(value: float) -> float:
        z = np.arcsinh(value * shrunk)
        reach = inverse(line, z[m])
        return float(up_to(_place(reach, grid.box[k])).sum())

    return below


def _of_column(grid: Grid, k: int, mass: Array) -> Distribution:
    """That of a standard deviation which is no coordinate.

    Lines along the x of its term that counts most are cut into segments. In each of them the
    standard deviation goes from the value at one end to that at the other.
    """
    over = grid.over.over
    term, column = over.sds[k]
    own = [j for j, (t, _) in enumerate(grid.over.chart.sds) if t == term]
    axis = own[::-1][column]  # the rows of the chart are in the opposite order
    low, high = grid.box[axis]
    ends = np.linspace(low, high, SEGMENTS + 1)
    lines = np.maximum(_lines(grid, mass, axis), 0.0)
    line, m = _heavy(lines)
    up_to = _integrals(lines[line, m])
    places = _place(ends, grid.box[axis])
    shares = np.diff([up_to(place) for place in places], axis=0)  # (SEGMENTS, pairs)

    ratio = _ratios(grid, term, column, axis, ends)
    tau = _along(grid.axes[axis], _tau_along(grid, axis), ends)
    along_t = np.ones(1) if over.tau_known is not None else np.exp(grid.axes[-1])
    values = (over.y_unit * ratio * tau)[line].T * along_t[m]
    left = values[:-1]
    right = values[1:]
    lowest = np.minimum(left, right)
    width = np.maximum(np.abs(right - left), 1e-300)

    def below(value: float) -> float:
        part = np.clip((value - lowest) / width, 0.0, 1.0)
        return float((part * shares).sum())

    return below


def _heavy(lines: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Lines, and nodes of t on them, with nearly all of the mass; of (lines, nodes of t, nodes)."""
    mass = lines.sum(axis=2)
    line, m = np.nonzero(mass > light(mass, LOST))
    return line, m


def _lines(grid: Grid, values: Array, axis: int) -> Array:
    """Values of shape (N, nodes) along one axis: (lines, nodes of t, nodes); -inf off the grid."""
    cube = np.moveaxis(grid.cube(values), axis, -1)
    return np.asarray(cube.reshape(-1, *cube.shape[-2:]))


def _tau_along(grid: Grid, axis: int) -> Array:
    """Scaled tau at t = 0 along one axis: (lines, nodes).

    Off the grid it is what it is at the nearest node; zero on lines that are off it altogether.
    """
    at_zero = grid.over.over.tau(grid.given, np.zeros((len(grid.at), 1)))
    at_all_t = np.broadcast_to(at_zero, grid.log_density.shape)
    tau = np.maximum(_lines(grid, at_all_t, axis)[:, 0], 0.0)
    seen = tau > 0
    index = np.arange(tau.shape[1])
    last = np.maximum.accumulate(np.where(seen, index, -1), axis=1)
    next_one = np.minimum.accumulate(np.where(seen, index, len(index))[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(last >= 0, last, np.where(next_one < len(index), next_one, 0))
    return np.asarray(np.take_along_axis(tau, nearest, axis=1))


def _ratios(grid: Grid, term: int, column: int, axis: int, ends: Array) -> Array:
    """sd / tau of a column of Z at places along one axis: (lines, places)."""
    axes = list(grid.axes[:-1])
    axes[axis] = ends
    T = grid.over.chart.roots(combinations(axes))[term]
    readers = grid.over.over.to_readers[term] @ T
    ratios = np.linalg.norm(readers[:, column], axis=1)
    cube = ratios.reshape([len(nodes) for nodes in axes])
    return np.asarray(np.moveaxis(cube, axis, -1).reshape(-1, len(ends)))


def _integrals(mass: Array) -> Callable[[Array], Array]:
    """Mass up to a place on (-1, 1), of polynomials through masses at nodes, (lines, nodes).

    The function takes a place for each line, or one for all.
    """
    nodes, _ = rule(mass.shape[1])
    on_both_sides_of_0 = 2 * nodes - 1
    P = np.polynomial.legendre.legvander(on_both_sides_of_0, len(nodes) - 1)
    density = (P * (np.arange(len(nodes)) + 0.5)).T @ mass.T  # coefficients, (nodes, lines)
    integral = np.polynomial.legendre.legint(density, lbnd=-1)
    return lambda place: np.asarray(np.polynomial.legendre.legval(place, integral, tensor=False))


def _place(reach: Array, side: Array) -> Array:
    """Places on an axis as places on (-1, 1), which stand for its ends where they are beyond."""
    low, high = side
    return np.asarray(np.clip(2 * (reach - low) / (high - low) - 1, -1.0, 1.0))


def _inverse(x: Array, heights: Array) -> Callable[[npt.NDArray[np.intp], Array], Array]:
    """x as a function of z = arsinh(sinh(x) h(x)) on some lines; it is nearly x itself.

    h is known at the nodes, (lines, nodes); beyond the first and the last it is what it is there.
    """
    z_at_nodes = np.arcsinh(np.sinh(x) * heights)
    rising = np.maximum.accumulate(z_at_nodes, axis=1) + RISE * np.arange(len(x))
    curves = Cubics.through(rising, np.broadcast_to(x, rising.shape))

    def inverse(line: npt.NDArray[np.intp], z: Array) -> Array:
        below = z < rising[line, 0]
        above = z > rising[line, -1]
        height = np.where(below, heights[line, 0], heights[line, -1])
        return np.where(below | above, np.arcsinh(np.sinh(z) / height), curves.at(line, z))

    return inverse


def _along(x: Array, heights: Array, at: Array) -> Array:
    """Heights at places, from those at nodes of the same lines: (lines, places)."""
    lines = len(heights)
    places = len(at)
    curves = Cubics.through(np.broadcast_to(x, heights.shape), heights)
    line = np.repeat(np.arange(lines), places)
    return curves.at(line, np.tile(at, lines)).reshape(lines, places)
