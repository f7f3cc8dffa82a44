"""How the mass of one standard deviation grows with its value, over grids.

The mass along one axis of a grid is a polynomial through its nodes. It is integrated up to where
the standard deviation reaches a value: along t for that of the noise, along x for the others.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..inputs import Array
from .grid import Grid, combinations, rule

SEGMENTS = 100
"""Pieces of an axis, where a standard deviation is no coordinate."""
LIGHT = 1e-12
"""Mass of a line that is not looked at."""

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
    t = grid.axes[-1]
    lowest = grid.tau[:, 0] * grid.over.over.y_unit
    polynomials = _polynomials(mass)
    low, high = grid.box[-1]

    def below(value: float) -> float:
        reach = t[0] + np.log(value / lowest)
        return _mass_up_to(polynomials, low, high, reach)

    return below


def _of_coordinate(grid: Grid, k: int, mass: Array) -> Distribution:
    """That of a standard deviation whose arsinh, over tau and its unit, is the k-th coordinate.

    On a line along x, sd = unit e^t sinh(x) h(x), where h is tau at t = 0 over its median.
    """
    over, t = grid.over.over, grid.axes[-1]
    at_zero = over.tau(grid.given, np.zeros((len(grid.at), 1)))
    median = float(np.median(at_zero))
    ratio = grid.given.ratios[0, k] / np.sinh(grid.at[0, k])  # at sinh x = 1
    unit = over.y_unit * median * ratio
    polynomials = _polynomials(np.maximum(_lines(grid, mass, k), 0.0))
    heights = _tau_along(grid, k) / median
    inverses = [_inverse(grid.axes[k], line) for line in heights]
    low, high = grid.box[k]

    def below(value: float) -> float:
        z = np.arcsinh(value / unit * np.exp(-t))
        reach = np.stack([inverse(z) for inverse in inverses])
        return _mass_up_to(polynomials, low, high, reach)

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
    heavy = lines.sum(axis=(1, 2)) > LIGHT

    place = np.linspace(-1.0, 1.0, SEGMENTS + 1)
    up_to = _polynomials(lines[heavy]) @ _integrals(place, lines.shape[-1]).T
    shares = np.diff(up_to, axis=-1)  # of each segment, (lines, M, SEGMENTS)

    ratio = _ratios(grid, term, column, axis, ends)[heavy]
    heights = _tau_along(grid, axis)[heavy]
    tau = np.stack([_between(grid.axes[axis], line, ends) for line in heights])
    along_t = np.ones(1) if over.tau_known is not None else np.exp(grid.axes[-1])
    sd = over.y_unit * ratio * tau
    values = sd[:, None, :] * along_t[:, None]
    left, right = values[..., :-1], values[..., 1:]
    lowest = np.minimum(left, right)
    width = np.maximum(np.abs(right - left), 1e-300)

    def below(value: float) -> float:
        part = np.clip((value - lowest) / width, 0.0, 1.0)
        return float((part * shares).sum())

    return below


def _lines(grid: Grid, values: Array, axis: int) -> Array:
    """Values of shape (N, M) along one axis: (lines, M, nodes); -inf off the grid."""
    cube = np.moveaxis(grid.cube(values), axis, -1)
    M, nodes = cube.shape[-2:]
    return np.asarray(cube.reshape(-1, M, nodes))


def _tau_along(grid: Grid, axis: int) -> Array:
    """Scaled tau at t = 0 along one axis: (lines, nodes); -inf off the grid."""
    at_zero = grid.over.over.tau(grid.given, np.zeros((len(grid.at), 1)))
    at_all_t = np.broadcast_to(at_zero, grid.log_density.shape)
    return _lines(grid, at_all_t, axis)[:, 0]


def _ratios(grid: Grid, term: int, column: int, axis: int, ends: Array) -> Array:
    """sd / tau of a column of Z at places along one axis: (lines, places)."""
    axes = list(grid.axes[:-1])
    axes[axis] = ends
    T = grid.over.chart.roots(combinations(axes))[term]
    readers = grid.over.over.to_readers[term] @ T
    ratios = np.linalg.norm(readers[:, column], axis=1)
    cube = ratios.reshape([len(nodes) for nodes in axes])
    return np.asarray(np.moveaxis(cube, axis, -1).reshape(-1, len(ends)))


def _polynomials(mass: Array) -> Array:
    """Legendre coefficients of the polynomial through masses at nodes, along the last axis."""
    M = mass.shape[-1]
    nodes, _ = rule(M)
    on_both_sides_of_0 = 2 * nodes - 1
    P = np.polynomial.legendre.legvander(on_both_sides_of_0, M - 1)
    return np.asarray(mass @ P * (np.arange(M) + 0.5))


def _integrals(place: Array, M: int) -> Array:
    """The first M Legendre polynomials, integrated from -1 to a place; shape (*place.shape, M).

    That of P_m is (P_m+1 - P_m-1) / (2 m + 1), with P_-1 = -1.
    """
    P = np.polynomial.legendre.legvander(place, M)
    first = -np.ones((*place.shape, 1))
    before = np.concatenate([first, P[..., : M - 1]], axis=-1)
    after = P[..., 1:]
    return np.asarray((after - before) / (2 * np.arange(M) + 1))


def _mass_up_to(polynomials: Array, low: float, high: float, reach: Array) -> float:
    """Mass below a place on an axis from low to high, summed over all lines."""
    share = (reach - low) / (high - low)
    place = np.clip(2 * share - 1, -1.0, 1.0)
    return float((polynomials * _integrals(place, polynomials.shape[-1])).sum())


def _inverse(x: Array, heights: Array) -> Callable[[Array], Array]:
    """x as a function of z = arsinh(sinh(x) h(x)), which is nearly x itself.

    h is known at some nodes (> 0); beyond the first and the last it is what it is there.
    """
    from scipy.interpolate import PchipInterpolator

    seen = heights > 0
    if not seen.any():
        return lambda z: np.full_like(z, -np.inf)
    nodes, h = x[seen], heights[seen]
    ends = np.arcsinh(np.sinh(nodes) * h)
    so_far = np.maximum.accumulate(ends)
    rising = np.append(True, np.diff(so_far) > 0)
    nodes, h, ends = nodes[rising], h[rising], ends[rising]

    def where_constant(z: Array, height: float) -> Array:
        return np.arcsinh(np.sinh(z) / height)

    if len(nodes) == 1:
        return lambda z: where_constant(z, h[0])
    inner = PchipInterpolator(ends, nodes)
    first, last = ends[0], ends[-1]

    def inverse(z: Array) -> Array:
        inside = inner(np.clip(z, first, last))
        found = np.where(z < first, where_constant(z, h[0]), inside)
        return np.where(z > last, where_constant(z, h[-1]), found)

    return inverse


def _between(x: Array, heights: Array, at: Array) -> Array:
    """Heights between nodes, where they are known (> 0); beyond them as at the last."""
    from scipy.interpolate import PchipInterpolator

    seen = heights > 0
    nodes, values = x[seen], heights[seen]
    if len(nodes) == 1:
        return np.full(len(at), values[0])
    inside = np.clip(at, nodes[0], nodes[-1])
    return np.asarray(PchipInterpolator(nodes, values)(inside))
