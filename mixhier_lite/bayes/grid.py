"""Gauss-Legendre nodes over a box in the coordinates of one chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from .posterior import Given, View

DEPTH = {1: 40.0, 2: 35.0, 3: 28.0}
"""How far the edge of the box lies below the peak, in log density, by number of coordinates."""

KEPT = {1: 40.0, 2: 35.0, 3: 24.0}
"""How far below the peak nodes are not looked at, in log density; what is lost is far less than
quadrature misses."""


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
    """Shape (N, nodes), with nodes of t."""

    @property
    def tau(self) -> Array:
        """Scaled standard deviation of the noise, shape (N, nodes)."""
        t = np.broadcast_to(self.axes[-1], self.log_density.shape)
        return self.over.over.tau(self.given, t)

    @property
    def log_volume(self) -> Array:
        """Log of the weight of each node, shape (N, nodes)."""
        *of_coordinates, of_t = self.widths
        sides = combinations(of_coordinates)[self.kept]
        log_area = np.log(sides).sum(axis=1)
        return np.asarray(log_area[:, None] + np.log(of_t))

    @property
    def log_mass(self) -> Array:
        """Log of density times weight, shape (N, nodes)."""
        return np.asarray(self.log_density + self.log_volume)

    def beyond(self, exponents: Sequence[Array], log_marginal: float) -> float:
        """Mass that was left out because the standard deviations end somewhere.

        There the density falls like e^-kx in x, k the least exponent of that term (the reader's
        own, in the reader's chart).
        """
        view = self.over
        readers = view.chart is view.over.charts[0]
        sds = view.chart.sds
        at_the_edge = self.box[: len(sds), 1] >= view.box()[: len(sds), 1]
        if not at_the_edge.any():
            return 0.0
        mass = np.exp(self.cube(self.log_mass) - log_marginal)
        out = 0.0
        for k in np.flatnonzero(at_the_edge):
            term, i = sds[k]
            exponent = exponents[term][i] if readers else exponents[term].min()
            at_the_end = np.take(mass, -1, k).sum()
            density = at_the_end / self.widths[k][-1]
            out += float(density / exponent)
        return out

    def cube(self, values: Array) -> Array:
        """Values of shape (N, nodes) as an array with one axis a coordinate; -inf off the grid."""
        sizes = [len(nodes) for nodes in self.axes]
        points = int(np.prod(sizes[:-1]))
        of_t = sizes[-1]
        whole = np.full((points, of_t), -np.inf)
        whole[self.kept] = values
        return whole.reshape(sizes)


def grid(over: View, box: Array, n: int, last: Grid | None = None, m: int = 0) -> Grid:
    """Lay n Gauss-Legendre nodes along every side of a box, shape (size + 1, 2).

    ``m`` along t, or about half as many as along the others. Where a ``last`` grid of the box has
    found nothing, this one does not look.
    """
    sizes = [n] * (len(box) - 1)
    sizes.append(m or 2 + n // 2)
    axes = []
    widths = []
    for (low, high), size in zip(box, sizes, strict=True):
        nodes, weights = rule(size)
        axes.append(low + (high - low) * nodes)
        widths.append((high - low) * weights)
    if over.over.tau_known is not None:
        axes[-1] = np.zeros(1)
        widths[-1] = np.ones(1)
    at = combinations(axes[:-1])
    kept = np.arange(len(at))
    if last is not None:
        enough = last.log_density.max() - KEPT[over.size]
        kept = np.flatnonzero(_heights_near(last, axes).ravel() > enough)
        at = at[kept]
    given = over.given(at)
    t = np.broadcast_to(axes[-1], (len(at), len(axes[-1])))
    value = over.log_density(at, given, t)
    return Grid(over, box, tuple(axes), tuple(widths), kept, at, given, value)


def combinations(axes: Sequence[Array]) -> Array:
    """Combinations of the entries of some vectors, the last running fastest: (N, vectors)."""
    meshes = np.meshgrid(*axes, indexing="ij")
    return np.stack([mesh.ravel() for mesh in meshes], axis=-1)


def _heights_near(last: Grid, axes: list[Array]) -> Array:
    """The highest density at a neighbour in the last grid, for each point of a new one."""
    height = last.cube(last.log_density).max(axis=-1)
    sides = []
    for old, new in zip(last.axes[:-1], axes[:-1], strict=True):
        after = np.searchsorted(old, new)
        before = np.maximum(after - 1, 0)
        sides.append((before, np.minimum(after, len(old) - 1)))
    corners = [height[np.ix_(*corner)] for corner in product(*sides)]
    return np.asarray(np.max(corners, axis=0))


def light(mass: Array, together: float) -> float:
    """The mass up to which nodes have less than ``together`` in all: the rest are worth a look."""
    ordered = np.sort(mass, axis=None)
    first = int(np.searchsorted(np.cumsum(ordered), together))
    return float(ordered[min(first, len(ordered) - 1)]) * (1 - 1e-12)


@lru_cache(maxsize=64)
def rule(n: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
