"""Gauss-Legendre nodes over the part of a landscape that has any mass.

The box is found first: coarse grids, each over what the last one could not rule out. Then the
number of nodes grows until the results stand still; where the last grid found nothing, the next
one does not look again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..inputs import Array
from .posterior import Given, Landscape, View

DEPTH = {1: 40.0, 2: 35.0, 3: 28.0}
"""How far the edge of the box lies below the peak, in log density, by number of coordinates."""
ACCURACY = {1: 1e-8, 2: 1e-7, 3: 1e-5}
"""Change at which the number of nodes is enough."""
SIZES = {1: (24, 36, 54, 81, 120, 180, 270, 400), 2: (24, 36, 54, 81, 120), 3: (16, 24, 36, 54)}
"""Numbers of nodes a side that are tried, by the number of coordinates."""
LARGER = {1: (), 2: (180,), 3: (72,)}
"""Numbers that are tried as well before a posterior is refused."""
ENOUGH = 1e-3
"""Change with more nodes beyond which a posterior is refused."""
SKETCHES = {1: (81,), 2: (24, 54), 3: (16, 24)}
"""Numbers of nodes a side, one after the other, for a grid that only proposes draws."""
SEGMENTS = 100
"""Pieces of an axis, where a standard deviation is no coordinate."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A tensor grid over the coordinates of a chart and t."""

    over: View
    box: Array
    """Ends of each axis, shape (size + 1, 2)."""
    axes: tuple[Array, ...]
    """Nodes of each coordinate, and of t last."""
    widths: tuple[Array, ...]
    """Weights of these nodes, which are also the widths of cells around them."""
    kept: npt.NDArray[np.intp]
    """Which points of the grid are worth a look, shape (N,)."""
    at: Array
    """Their coordinates without t, shape (N, size)."""
    given: Given
    """What the data say at each of them."""
    log_density: Array
    """Shape (N, M), M nodes of t."""

    @property
    def tau(self) -> Array:
        """Scaled standard deviation of the noise, shape (N, M)."""
        t = np.broadcast_to(self.axes[-1], self.log_density.shape)
        return self.over.over.tau(self.given, t)

    @property
    def log_volume(self) -> Array:
        """Log of the weight of each node, shape (N, M)."""
        volume = np.log(_points(self.widths[:-1], self.kept)).sum(axis=1)
        return np.asarray(volume[:, None] + np.log(self.widths[-1]))

    @property
    def log_mass(self) -> Array:
        """Log of density times weight, shape (N, M)."""
        return np.asarray(self.log_density + self.log_volume)

    def distribution(self, k: int, log_marginal: float) -> Callable[[float], float]:
        """Mass where the k-th standard deviation is below a value; tau is the last.

        The mass along one axis is a polynomial through its nodes, and is integrated up to where
        the standard deviation reaches the value: along t for tau, along x for the others.
        """
        over, t = self.over.over, self.axes[-1]
        mass = np.exp(self.log_mass - log_marginal)
        if k == len(over.sds):
            lowest = self.tau[:, 0] * over.y_unit
            on_t = _coefficients(mass)
            return lambda value: self._up_to(-1, on_t, t[0] + np.log(value / lowest))
        if self.over.chart is not over.charts[0]:
            return self._scanned(k, mass)
        best = over.tau(self.given, np.zeros((len(self.at), 1)))
        middle = float(np.median(best))
        ratio = self.given.ratios[0, k] / np.sinh(self.at[0, k])  # at sinh x = 1
        unit = over.y_unit * middle * ratio
        on_x = _coefficients(np.maximum(self._lines(mass, k), 0.0))
        heights = self._heights(k) / middle
        inverses = [_inverse(self.axes[k], row) for row in heights]

        def below(value: float) -> float:
            z = np.arcsinh(value / unit * np.exp(-t))
            return self._up_to(k, on_x, np.stack([inverse(z) for inverse in inverses]))

        return below

    def _scanned(self, k: int, mass: Array) -> Callable[[float], float]:
        """The same where the standard deviation is no coordinate.

        Lines along the x of its term that counts most are cut into segments. In each of them the
        standard deviation goes from the value at one end to that at the other.
        """
        over = self.over.over
        term, column = over.sds[k]
        own = [j for j, (t, _) in enumerate(self.over.chart.sds) if t == term]
        axis = own[::-1][column]  # the rows of the chart are in the opposite order
        lines = np.maximum(self._lines(mass, axis), 0.0)
        heavy = lines.sum(axis=(1, 2)) > 1e-12
        low, high = self.box[axis]
        ends = np.linspace(low, high, SEGMENTS + 1)
        place = np.linspace(-1.0, 1.0, SEGMENTS + 1)
        on_x = _coefficients(lines[heavy])
        upto = on_x @ _integrals(place, lines.shape[-1]).T
        shares = np.diff(upto, axis=-1)  # (lines, M, SEGMENTS)
        ratio = self._ratios(term, column, axis, ends)[heavy]
        heights = self._heights(axis)[heavy]
        tau = np.stack([_through(self.axes[axis], row, ends) for row in heights])
        sd = over.y_unit * ratio * tau
        along_t = np.ones(1) if over.tau_known is not None else np.exp(self.axes[-1])
        values = sd[:, None, :] * along_t[:, None]
        lowest = np.minimum(values[..., :-1], values[..., 1:])
        width = np.maximum(np.abs(np.diff(values, axis=-1)), 1e-300)

        def below(value: float) -> float:
            part = np.clip((value - lowest) / width, 0.0, 1.0)
            return float((part * shares).sum())

        return below

    def _lines(self, values: Array, axis: int) -> Array:
        """Values of shape (N, M) along one axis: (lines, M, nodes); -inf off the grid."""
        cube = np.moveaxis(self.cube(values), axis, -1)
        return np.asarray(cube.reshape(-1, *cube.shape[-2:]))

    def _heights(self, axis: int) -> Array:
        """Scaled tau at t = 0 along one axis: (lines, nodes); -inf off the grid."""
        best = self.over.over.tau(self.given, np.zeros((len(self.at), 1)))
        return self._lines(np.broadcast_to(best, self.log_density.shape), axis)[:, 0]

    def _ratios(self, term: int, column: int, axis: int, ends: Array) -> Array:
        """sd / tau of a column of Z at places along one axis: (lines, places)."""
        axes = list(self.axes[:-1])
        axes[axis] = ends
        T = self.over.chart.roots(_points(axes))[term]
        readers = self.over.over.to_readers[term] @ T
        ratios = np.linalg.norm(readers[:, column], axis=1)
        cube = ratios.reshape([len(nodes) for nodes in axes])
        return np.asarray(np.moveaxis(cube, axis, -1).reshape(-1, len(ends)))

    def _up_to(self, axis: int, coefficients: Array, reach: Array) -> float:
        """Mass below a place on one axis, summed over all others."""
        low, high = self.box[axis]
        place = np.clip(2 * (reach - low) / (high - low) - 1, -1.0, 1.0)
        steps = _integrals(place, coefficients.shape[-1])
        return float((coefficients * steps).sum())

    def beyond(self, exponents: Sequence[Array], log_marginal: float) -> float:
        """Mass that was left out because the standard deviations end somewhere.

        There the density falls like e^-kx in x, k the least exponent of that term (the reader's
        own, in the reader's chart).
        """
        out, whole = 0.0, np.exp(self.cube(self.log_mass) - log_marginal)
        readers = self.over.chart is self.over.over.charts[0]
        for k, (term, i) in enumerate(self.over.chart.sds):
            exponent = exponents[term][i] if readers else exponents[term].min()
            if self.box[k, 1] >= self.over.box()[k, 1]:
                last = np.take(whole, -1, k).sum() / self.widths[k][-1]
                out += float(last / exponent)
        return out

    def cube(self, values: Array) -> Array:
        """Values of shape (N, M) as an array with one axis a coordinate; -inf off the grid."""
        shape = tuple(len(a) for a in self.axes)
        whole = np.full((int(np.prod(shape[:-1])), shape[-1]), -np.inf)
        whole[self.kept] = values
        return whole.reshape(shape)


@dataclass(frozen=True, eq=False)
class Grids:
    """A grid in each chart, which together hold the posterior."""

    over: Landscape
    parts: tuple[Grid, ...]

    @cached_property
    def given(self) -> Given:
        """What the data say at the nodes of all of them."""
        return Given.joined([part.given for part in self.parts])

    @cached_property
    def tau(self) -> Array:
        """Scaled standard deviation of the noise, shape (N, M)."""
        return np.concatenate([part.tau for part in self.parts])

    @cached_property
    def log_mass(self) -> Array:
        """Log of density times weight, shape (N, M)."""
        return np.concatenate([part.log_mass for part in self.parts])

    @cached_property
    def log_marginal(self) -> float:
        """Log of the integral of likelihood times prior."""
        peak = float(self.log_mass.max())
        return peak + float(np.log(np.exp(self.log_mass - peak).sum()))

    @cached_property
    def mass(self) -> Array:
        """Posterior mass of each node, shape (N, M), summing to one."""
        return np.asarray(np.exp(self.log_mass - self.log_marginal))

    def distribution(self, k: int) -> Callable[[float], float]:
        """Posterior distribution function of the k-th standard deviation; tau is the last."""
        found = [part.distribution(k, self.log_marginal) for part in self.parts]
        return lambda value: sum(below(value) for below in found)

    def beyond(self, exponents: Sequence[Array]) -> float:
        """Mass that was left out because the standard deviations end somewhere."""
        return sum(part.beyond(exponents, self.log_marginal) for part in self.parts)

    def refined(self, n: int, m: int = 0) -> "Grids":
        """The same with n nodes a side, m along t."""
        finer = (grid(part.over, part.box, n, part, m) for part in self.parts)
        return Grids(self.over, tuple(finer))

    def places(self) -> Array:
        """Mean coordinates of the parts, each as a share of its box, and the log marginal."""
        found, start = [], 0
        for part in self.parts:
            mass = self.mass[start : start + len(part.at)].sum(axis=1)
            start += len(part.at)
            found.append(mass @ (part.at - part.box[:-1, 0]) / np.ptp(part.box[:-1], axis=1))
        return np.append(np.concatenate(found), self.log_marginal)


def grid(over: View, box: Array, n: int, last: Grid | None = None, m: int = 0) -> Grid:
    """Lay n Gauss-Legendre nodes along every side of a box, shape (size + 1, 2); m along t."""
    rules = [*(_rule(n) for _ in box[:-1]), _rule(m or 2 + n // 2)]
    axes = [a + (b - a) * nodes for (a, b), (nodes, _) in zip(box, rules, strict=True)]
    widths = [(b - a) * w for (a, b), (_, w) in zip(box, rules, strict=True)]
    if over.over.tau_known is not None:
        axes[-1], widths[-1] = np.zeros(1), np.ones(1)
    shape = tuple(len(a) for a in axes[:-1])
    kept = np.arange(int(np.prod(shape)))
    if last is not None:
        near = _neighbours(last, axes).ravel()
        kept = np.flatnonzero(near > last.log_density.max() - DEPTH[over.size])
    at = _points(axes[:-1], kept)
    given = over.given(at)
    t = np.broadcast_to(axes[-1], (len(at), len(axes[-1])))
    value = over.log_density(at, given, t)
    return Grid(over, box, tuple(axes), tuple(widths), kept, at, given, value)


def sketch(over: Landscape) -> Grids:
    """Grids good enough to propose draws, which are then accepted or not."""
    first, *others = SKETCHES[over.size]
    found = _laid(over, first)
    for n in others:
        found = found.refined(n)
    return found


def settled(over: Landscape) -> tuple[Grids, float]:
    """Grow the grids until they stand still; return them, and the last change.

    Raises
    ------
    InputError
        The largest grid is not accurate to three digits.
    """
    first, *others = SIZES[over.size]
    found, change = _laid(over, first), np.inf
    for n in [*others, *LARGER[over.size]]:
        if n in LARGER[over.size] and change < ENOUGH:
            break
        finer = found.refined(n)
        change = float(np.abs(finer.places() - found.places()).max())
        found = finer
        if change < ACCURACY[over.size]:
            break
    if change > ENOUGH:
        raise InputError(
            "the posterior of the variances is too rough for quadrature.",
            "results that change by less than 1e-3 with more nodes",
            f"{change:.2g} at {len(found.parts[0].axes[0])} nodes a side",
            "a tighter prior, or more groups, makes it smoother",
        )
    return found, change


def _laid(over: Landscape, n: int) -> Grids:
    """A first grid in every chart that has some of the mass."""
    parts = [grid(view, find_box(view), n) for view in over.views]
    peak = max(part.log_density.max() for part in parts)
    some = [part for part in parts if part.log_density.max() > peak - DEPTH[over.size]]
    return Grids(over, tuple(some))


def find_box(over: View) -> Array:
    """Find where the posterior has mass: the box outside of which it is e^-40 of the peak."""
    nu, tau_known = over.over.assembly.criterion.likelihood.nu, over.over.tau_known
    out = np.geomspace(0.5 / np.sqrt(2 * nu), 40.0, 40)
    t = np.zeros(1) if tau_known is not None else np.concatenate([-out[::-1], [0.0], out])
    box, best, peak = np.vstack([over.box(), t[[0, -1]]]), over.start(), -np.inf
    n = {1: 120, 2: 16, 3: 6}[over.size]
    for _ in range(12):
        axes = [_around(side, b, n) for side, b in zip(box[:-1], best, strict=True)]
        at = _points(axes)
        given = over.given(at)
        value = over.log_density(at, given, np.broadcast_to(t, (len(at), len(t))))
        if value.max() > peak:
            peak, best = float(value.max()), at[np.argmax(value.max(axis=1))]
        cube = value.reshape(*map(len, axes), len(t)) > peak - DEPTH[over.size]
        new = np.array([_hull(nodes, cube, k) for k, nodes in enumerate([*axes, t])])
        shrunk = np.ptp(new, axis=1) < 0.7 * np.ptp(box, axis=1)
        box = new
        t = t if tau_known is not None else np.linspace(box[-1, 0], box[-1, 1], 41)
        if not shrunk.any():
            break
    return box


def _points(axes: Sequence[Array], kept: "npt.NDArray[np.intp] | slice" = slice(None)) -> Array:
    """Combinations of the entries of some vectors, the last running fastest."""
    return np.stack([g.ravel()[kept] for g in np.meshgrid(*axes, indexing="ij")], axis=-1)


def _neighbours(last: Grid, axes: list[Array]) -> Array:
    """The highest density at a neighbour in the last grid, for each point of a new one."""
    height = last.cube(last.log_density).max(axis=-1)
    places = [np.searchsorted(old, new) for old, new in zip(last.axes, axes[:-1], strict=False)]
    sides = [
        (np.maximum(k - 1, 0), np.minimum(k, len(old) - 1))
        for k, old in zip(places, last.axes, strict=False)
    ]
    return np.asarray(np.max([height[np.ix_(*corner)] for corner in product(*sides)], axis=0))


def _around(side: Array, best: float, n: int) -> Array:
    """Nodes over an interval, evenly and ever more closely around the best point so far."""
    low, high = side
    near = np.geomspace(1e-3, 0.3, n // 3) * (high - low)
    nodes = np.concatenate([np.linspace(low, high, n), best - near, [best], best + near])
    return np.unique(nodes[(nodes >= low) & (nodes <= high)])


def _hull(nodes: Array, cube: npt.NDArray[np.bool_], k: int) -> tuple[float, float]:
    """The kept part of one axis, with one neighbour on each side."""
    others = tuple(i for i in range(cube.ndim) if i != k)
    kept = np.flatnonzero(cube.any(axis=others))
    low, high = (0, len(nodes) - 1) if not len(kept) else (kept[0] - 1, kept[-1] + 1)
    return float(nodes[max(low, 0)]), float(nodes[min(high, len(nodes) - 1)])


def _inverse(x: Array, best: Array) -> Callable[[Array], Array]:
    """x as a function of z = asinh(sinh x * best(x)), which is nearly x itself.

    ``best`` is known at some nodes; beyond the first and the last it is what it is there.
    """
    from scipy.interpolate import PchipInterpolator

    seen = best > 0
    if not seen.any():
        return lambda z: np.full_like(z, -np.inf)
    nodes, heights = x[seen], best[seen]
    ends = np.arcsinh(np.sinh(nodes) * heights)
    rising = np.append(True, np.diff(np.maximum.accumulate(ends)) > 0)
    nodes, heights, ends = nodes[rising], heights[rising], ends[rising]

    def beyond(z: Array, height: float) -> Array:
        return np.arcsinh(np.sinh(z) / height)

    if len(nodes) == 1:
        return lambda z: beyond(z, heights[0])
    between = PchipInterpolator(ends, nodes)

    def inverse(z: Array) -> Array:
        inside = between(np.clip(z, ends[0], ends[-1]))
        below, above = beyond(z, heights[0]), beyond(z, heights[-1])
        return np.where(z < ends[0], below, np.where(z > ends[-1], above, inside))

    return inverse


def _coefficients(mass: Array) -> Array:
    """Legendre coefficients of the polynomial through masses at nodes, along the last axis."""
    M = mass.shape[-1]
    P = np.polynomial.legendre.legvander(2 * _rule(M)[0] - 1, M - 1)
    return np.asarray(mass @ P * (np.arange(M) + 0.5))


def _integrals(place: Array, M: int) -> Array:
    """The first M Legendre polynomials, integrated from -1 to a place; shape (*place.shape, M)."""
    Q = np.polynomial.legendre.legvander(place, M)
    down = np.concatenate([-np.ones((*place.shape, 1)), Q[..., : M - 1]], axis=-1)
    return np.asarray((Q[..., 1:] - down) / (2 * np.arange(M) + 1))


def _through(x: Array, heights: Array, at: Array) -> Array:
    """Heights between nodes, where they are known (> 0); beyond them as at the last."""
    from scipy.interpolate import PchipInterpolator

    seen = heights > 0
    nodes, values = x[seen], heights[seen]
    if len(nodes) == 1:
        return np.full(len(at), values[0])
    return np.asarray(PchipInterpolator(nodes, values)(np.clip(at, nodes[0], nodes[-1])))


@lru_cache(maxsize=64)
def _rule(n: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
