"""Grids over the part of a posterior that has any mass, as fine as the results need.

The box is found first: coarse grids, each over what the last one could not rule out. Then the
number of nodes grows until the results stand still.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..inputs import Array
from .grid import DEPTH, Grid, combinations, grid
from .marginal import Distribution, distribution_over
from .posterior import Given, VariancePosterior, View

ACCURACY = {1: 1e-8, 2: 1e-7, 3: 1e-5}
"""Change at which the number of nodes is enough, by the number of coordinates."""
SIZES = {1: (24, 36, 54, 81, 120, 180, 270, 400), 2: (24, 36, 54, 81, 120), 3: (16, 24, 36, 54)}
"""Numbers of nodes a side that are tried."""
LARGER = {1: (), 2: (180,), 3: (72,)}
"""Numbers that are tried as well before a posterior is refused."""
ENOUGH = 1e-3
"""Change with more nodes beyond which a posterior is refused."""
SKETCHES = {1: (81,), 2: (24, 54), 3: (16, 24)}
"""Numbers of nodes a side, one after the other, for a grid that only proposes draws."""
LOOKS = {1: 120, 2: 16, 3: 6}
"""Numbers of nodes a side of a coarse grid."""
MOST_LOOKS = 12
"""Coarse grids, at most."""
FAR_IN_T = 40.0
"""Where a first look along t ends."""


@dataclass(frozen=True, eq=False)
class Grids:
    """A grid in each chart, which together hold the posterior."""

    over: VariancePosterior
    parts: tuple[Grid, ...]

    @cached_property
    def given(self) -> Given:
        """What the data say at the nodes of all of them."""
        return Given.joined([part.given for part in self.parts])

    @cached_property
    def tau(self) -> Array:
        """Scaled standard deviation of the noise, shape (N, nodes)."""
        return np.concatenate([part.tau for part in self.parts])

    @cached_property
    def log_mass(self) -> Array:
        """Log of density times weight, shape (N, nodes)."""
        return np.concatenate([part.log_mass for part in self.parts])

    @cached_property
    def log_marginal(self) -> float:
        """Log of the integral of likelihood times prior."""
        peak = float(self.log_mass.max())
        beside_peak = np.exp(self.log_mass - peak)
        return peak + float(np.log(beside_peak.sum()))

    @cached_property
    def mass(self) -> Array:
        """Posterior mass of each node, shape (N, nodes), summing to one."""
        return np.asarray(np.exp(self.log_mass - self.log_marginal))

    def distribution(self, k: int) -> Distribution:
        """Posterior distribution function of the k-th standard deviation; tau is the last."""
        return distribution_over(self.parts, k, self.log_marginal)

    def beyond(self, exponents: Sequence[Array]) -> float:
        """Mass that was left out because the standard deviations end somewhere."""
        return sum(part.beyond(exponents, self.log_marginal) for part in self.parts)

    def refined(self, n: int, m: int = 0) -> "Grids":
        """The same with n nodes a side, m along t."""
        finer = (grid(part.over, part.box, n, part, m) for part in self.parts)
        return Grids(self.over, tuple(finer))

    def places(self) -> Array:
        """Mean coordinates of the parts, each as a share of its box, and the log marginal."""
        found = []
        start = 0
        for part in self.parts:
            stop = start + len(part.at)
            mass = self.mass[start:stop].sum(axis=1)
            low, high = part.box[:-1].T
            shares = (part.at - low) / (high - low)
            found.append(mass @ shares)
            start = stop
        return np.append(np.concatenate(found), self.log_marginal)


def sketch(over: VariancePosterior) -> Grids:
    """Grids good enough to propose draws, which are then accepted or not."""
    first, *others = SKETCHES[over.size]
    found = _laid(over, first)
    for n in others:
        found = found.refined(n)
    return found


def settled(over: VariancePosterior) -> tuple[Grids, float]:
    """Grow the grids until they stand still; return them, and the last change.

    Raises
    ------
    InputError
        The largest grid is not accurate to three digits.
    """
    first, *others = SIZES[over.size]
    found = _laid(over, first)
    change = np.inf
    for n in [*others, *LARGER[over.size]]:
        if n in LARGER[over.size] and change < ENOUGH:
            break
        finer = found.refined(n)
        change = float(np.abs(finer.places() - found.places()).max())
        found = finer
        if change < ACCURACY[over.size]:
            break
    if change > ENOUGH:
        raise refused("too-rough-for-quadrature", change=change, nodes=len(found.parts[0].axes[0]))
    return found, change


def _laid(over: VariancePosterior, n: int) -> Grids:
    """A first grid in every chart that has some of the mass."""
    parts = [grid(view, find_box(view), n) for view in over.views]
    peaks = [part.log_density.max() for part in parts]
    enough = max(peaks) - DEPTH[over.size]
    some = [part for part, peak in zip(parts, peaks, strict=True) if peak > enough]
    return Grids(over, tuple(some))


def find_box(over: View) -> Array:
    """Find where the posterior has mass: the box outside of which it is e^-40 of the peak.

    It gives the ends of each coordinate, and of t last, shape (size + 1, 2).
    """
    likelihood = over.over.assembly.criterion.likelihood
    known = over.over.tau_known is not None
    t = np.zeros(1)
    if not known:
        sd_of_t = 1 / np.sqrt(2 * likelihood.nu)
        away = np.geomspace(0.5 * sd_of_t, FAR_IN_T, 40)
        t = np.concatenate([-away[::-1], [0.0], away])
    box = np.vstack([over.box(), t[[0, -1]]])
    best = over.start()
    peak = -np.inf
    for _ in range(MOST_LOOKS):
        sides = zip(box[:-1], best, strict=True)
        axes = [_around(side, place, LOOKS[over.size]) for side, place in sides]
        at = combinations(axes)
        value = over.log_density(at, over.given(at), np.broadcast_to(t, (len(at), len(t))))
        if value.max() > peak:
            peak = float(value.max())
            best = at[np.argmax(value.max(axis=1))]
        high = (value > peak - DEPTH[over.size]).reshape([len(nodes) for nodes in [*axes, t]])
        new = np.array([_hull(nodes, high, k) for k, nodes in enumerate([*axes, t])])
        shrunk = np.ptp(new, axis=1) < 0.7 * np.ptp(box, axis=1)
        box = new
        if not known:
            t = np.linspace(box[-1, 0], box[-1, 1], 41)
        if not shrunk.any():
            break
    return box


def _around(side: Array, best: float, n: int) -> Array:
    """Nodes over an interval, evenly and ever more closely around the best point so far."""
    low, high = side
    evenly = np.linspace(low, high, n)
    near = np.geomspace(1e-3, 0.3, n // 3) * (high - low)
    nodes = np.concatenate([evenly, best - near, [best], best + near])
    inside = (nodes >= low) & (nodes <= high)
    return np.unique(nodes[inside])


def _hull(nodes: Array, high: npt.NDArray[np.bool_], k: int) -> tuple[float, float]:
    """The part of axis k that is high anywhere, with one neighbour on each side."""
    others = tuple(i for i in range(high.ndim) if i != k)
    kept = np.flatnonzero(high.any(axis=others))
    last = len(nodes) - 1
    if not len(kept):
        return float(nodes[0]), float(nodes[last])
    before = max(kept[0] - 1, 0)
    after = min(kept[-1] + 1, last)
    return float(nodes[before]), float(nodes[after])
