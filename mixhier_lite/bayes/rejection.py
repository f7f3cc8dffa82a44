"""Independent draws of the variances: rejection from a staircase above their density."""

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from .grid import Grid
from .posterior import Given


def independent(grid: Grid, draws: int, rng: np.random.Generator) -> tuple[Array, Array, Given]:
    """Draw coordinates (S, size), t (S,), and what the data say there.

    Around each node of the grid lies a cell, as wide as the node's weight. The step above a cell
    is as high as the density at its node, and half of the largest rise to a neighbour on every
    axis, but not higher than the highest neighbouring node. A point drawn under the steps is kept
    if it lies under the density too; so the points kept are independent draws. Where the density
    stands above a step, all steps are raised by the
    highest such excess of all the points looked at.
    """
    log_step = _steps(grid)
    mass = grid.log_volume + log_step
    total = np.cumsum(np.exp(mass - mass.max()))
    tried: list[tuple[Array, ...]] = []
    given: list[Given] = []
    keep = np.zeros(0, dtype=bool)
    while keep.sum() < draws:
        share = max(float(keep.mean()) if len(keep) else 0.6, 0.05)
        count = int((draws - keep.sum()) / share * 1.1) + 20
        cell = np.minimum(np.searchsorted(total, total[-1] * rng.random(count)), len(total) - 1)
        at, t = _inside(grid, cell, rng)
        found = grid.over.given(grid.over.roots(at))
        excess = grid.over.log_density(at, found, t[:, None])[:, 0] - log_step.ravel()[cell]
        tried.append((at, t, excess, np.log(rng.random(count))))
        given.append(found)
        at, t, excess, level = (np.concatenate(part) for part in zip(*tried, strict=True))
        keep = level < excess - max(float(excess.max()), 0.0)
    kept = np.flatnonzero(keep)[:draws]
    return at[kept], t[kept], Given.joined(given)[kept]


def _steps(grid: Grid) -> Array:
    """Log height of the step above each cell, at most that of a neighbouring node; (N, M)."""
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
