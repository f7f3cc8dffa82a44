"""Independent draws of the variances: rejection from a staircase above their density."""

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..inputs import Array
from .grid import Grid
from .posterior import Given
from .quadrature import Grids

TRIES = 200
"""Proposals looked at for each draw, at most, and TRIES thousand more."""
POOR = 0.1
"""The smallest share of the proposals that is kept, before the grids are refined."""
FINER = {1: (200,), 2: (81,), 3: (36, 54)}
"""Numbers of nodes a side that are tried where the staircase is too high; by coordinates."""


def independent(grids: Grids, draws: int, rng: np.random.Generator) -> tuple[Array, Given]:
    """Draw t, (S,), and what the data say of alpha and tau at independent T.

    Around each node of a grid lies a cell, as wide as the node's weight. The step above a cell
    is as high as the density at its node, and half of the largest rise to a neighbour on every
    axis, but not higher than the highest neighbouring node. A point drawn under the steps is kept
    if it lies under the density too; so the points kept are independent draws. Where the density
    stands above a step, all steps are raised by the highest such excess of all the points looked
    at. Where few points are kept, the grids are refined first.

    Raises
    ------
    InputError
        Not one proposal in TRIES is kept.
    """
    finer = list(FINER[grids.over.size])
    found = _Kept(grids)
    while found.number < draws:
        missing = (draws - found.number) / max(found.share, 0.05)
        found.look(int(1.1 * missing) + 20, rng)
        if found.share < POOR and finer:
            found = _Kept(found.grids.refined(finer.pop(0)))
        elif found.tried > TRIES * (draws + 1000):
            raise refused(
                "too-rough-for-rejection-sampling",
                most_tries=TRIES,
                accepted=found.number,
                tried=found.tried,
            )
    return found.first(draws, rng)


class _Kept:
    """Points that lie under the density, as far as it has been seen."""

    def __init__(self, grids: Grids) -> None:
        self.grids = grids
        self.log_steps = [_steps(part) for part in grids.parts]
        volumes = [part.log_volume for part in grids.parts]
        mass = [v + step for v, step in zip(volumes, self.log_steps, strict=True)]
        peak = max(float(part.max()) for part in mass)
        self.totals = np.cumsum(np.concatenate([np.exp(m - peak).ravel() for m in mass]))
        self.firsts = np.cumsum([0, *(step.size for step in self.log_steps)])
        self.raised = 0.0
        self.tried = 0
        self.t = np.zeros(0)
        self.margin = np.zeros(0)
        self.given: list[Given] = []

    @property
    def number(self) -> int:
        """How many points are kept."""
        return len(self.t)

    @property
    def share(self) -> float:
        """How many of the points looked at; a guess before the first look."""
        return self.number / self.tried if self.tried else 0.6

    def look(self, count: int, rng: np.random.Generator) -> None:
        """Propose some points, and keep those under the density and under all that were kept."""
        places = np.searchsorted(self.totals, self.totals[-1] * rng.random(count))
        places = np.minimum(places, len(self.totals) - 1)
        for k, part in enumerate(self.grids.parts):
            first, last = self.firsts[k : k + 2]
            cell = places[(places >= first) & (places < last)] - first
            if not len(cell):
                continue
            at, t = _inside(part, cell, rng)
            found = part.over.given(at)
            value = part.over.log_density(at, found, t[:, None])[:, 0]
            excess = value - self.log_steps[k].ravel()[cell]
            margin = excess - np.log(rng.random(len(cell)))
            self.raised = max(self.raised, float(excess.max(initial=-np.inf)))
            near = margin > self.raised
            self.t = np.append(self.t, t[near])
            self.margin = np.append(self.margin, margin[near])
            self.given.append(found[near])
        self.tried += count
        self._thin()

    def _thin(self) -> None:
        """Raise all steps: some points are no longer kept."""
        near = self.margin > self.raised
        if near.all() and len(self.given) == 1:
            return
        given = Given.joined(self.given)
        self.t = self.t[near]
        self.margin = self.margin[near]
        self.given = [given[near]]

    def first(self, draws: int, rng: np.random.Generator) -> tuple[Array, Given]:
        """As many points as were asked for; those of several grids in random order."""
        chosen = np.arange(draws)
        if len(self.grids.parts) > 1:
            chosen = rng.permutation(self.number)[:draws]
        return self.t[chosen], self.given[0][chosen]


def _steps(grid: Grid) -> Array:
    """Log height of the step above each cell, at most that of a neighbouring node; (N, nodes)."""
    from scipy.ndimage import maximum_filter

    cube = grid.cube(grid.log_density)
    step = cube.copy()
    for axis in range(cube.ndim):
        with np.errstate(invalid="ignore"):
            rise = np.nan_to_num(np.diff(cube, axis=axis), nan=0.0, posinf=0.0, neginf=0.0)
        ahead, behind = (np.moveaxis(r, axis, 0) for r in (rise, -rise))
        edge = np.zeros((1, *ahead.shape[1:]))
        most = np.maximum(np.concatenate([ahead, edge]), np.concatenate([edge, behind]))
        step += np.moveaxis(np.maximum(most, 0.0), 0, axis) / 2
    step = np.minimum(step, maximum_filter(cube, size=3))
    return np.asarray(step.reshape(-1, cube.shape[-1])[grid.kept])


def _inside(
    grid: Grid, cell: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw a point in each cell: coordinates (C, size) and t (C,)."""
    point, m = np.divmod(cell, grid.log_density.shape[1])
    shape = tuple(len(a) for a in grid.axes[:-1])
    index = [*np.unravel_index(grid.kept[point], shape), m]
    found = [
        low + np.append(0.0, np.cumsum(w))[k] + w[k] * rng.random(len(cell))
        for low, w, k in zip(grid.box[:, 0], grid.widths, index, strict=True)
    ]
    return np.stack(found[:-1], axis=-1), found[-1]
