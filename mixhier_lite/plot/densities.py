"""A picture of a posterior: the densities of its standard deviations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from matplotlib.axes import Axes

from ..after.fit import Fit
from ..bayes.draws import Draws
from ..bayes.importance import Points
from ..bayes.integral import Integral
from ..bayes.summary import names_of_sds
from ..errors import refused
from ..inputs import Array, level_of
from .marks import NOISE, RANDOM, axes_for, four_digits

CELLS = 64
FEWER = 32
"""Cells of a density that is computed, and of one that is counted from draws."""
HEIGHT = 0.8
"""Of a density, where rows are one apart."""


def posterior_sds(
    posterior: Integral | Draws,
    t: int | str | None = None,
    level: float = 0.95,
    ax: "Axes | None" = None,
) -> Axes:
    """Posterior densities of the standard deviations: those of random effects, and tau.

    The highest point of each has one height. The equal-tailed interval is filled, and the curve
    goes on for half of its width on both sides; a line stands at the median, and a dot at the
    mean where there is one. An ``Integral`` of up to three variances beside tau tells the density
    itself, draws are counted in cells.

    Parameters
    ----------
    posterior : Integral or Draws
        What ``integrate(model)`` or ``sample(model, draws, rng)`` returns.
    t : int or str, optional
        One term, by its number from 0 or its name, where the others are of other sizes.
    level : float
        Probability of the intervals.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        What is no posterior; no such term; level not between 0 and 1.
    """
    level = level_of(level)
    found = _marginals(posterior, t)
    ax = axes_for(ax)
    for row, one in enumerate(found):
        color = NOISE if one.name == "tau" else RANDOM
        low, median, high = (one.quantile(p) for p in ((1 - level) / 2, 0.5, (1 + level) / 2))
        at, density = one.density(low, high)
        ax.plot(four_digits(at), four_digits(row - HEIGHT * density), color=color, lw=1.2)
        inside = np.concatenate([[low], at[(at > low) & (at < high)], [high]])
        heights = np.interp([*inside, median], at, row - HEIGHT * density)
        filled = ax.fill_between(
            four_digits(inside), four_digits(heights[:-1]), row, fc=(color, 0.3), ec=color, lw=0.8
        )
        line = ax.vlines(four_digits(median), four_digits(heights[-1]), row, color=color)
        dot = ax.scatter(four_digits(one.mean), row, s=24, color=color, zorder=3)
    ax.set_yticks(range(len(found)), [one.name for one in found])
    ax.legend(
        [filled, line, dot], [f"{100 * level:.4g} %", "median", "mean"],
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3,
    )  # fmt: skip
    ax.set(xlim=(0, None), ylim=(len(found) - 0.8, -1), xlabel="standard deviation, units of y")
    return ax


@dataclass(frozen=True)
class _Marginal:
    """The posterior of one standard deviation."""

    name: str
    mean: float
    """Infinite where there is none."""
    quantile: Callable[[float], float]
    below: Callable[[float], float]
    """The distribution function."""
    cells: int

    def density(self, low: float, high: float) -> tuple[Array, Array]:
        """Places about an interval, and the density there over its highest value."""
        more = (high - low) / 2
        edges = np.linspace(max(low - more, 0.0), high + more, self.cells + 1)
        density = np.diff([self.below(float(edge)) for edge in edges])
        return (edges[1:] + edges[:-1]) / 2, density / density.max()


def _marginals(posterior: Integral | Draws, t: int | str | None) -> list[_Marginal]:
    """The posteriors of the standard deviations of one term, or of all and of tau."""
    if isinstance(posterior, Draws):
        model = posterior.model
        found = _of_draws(posterior)
    elif isinstance(posterior, Integral):
        model = posterior.over.model
        found = _of_integral(posterior)
    else:
        raise refused("not-a-posterior", given=posterior, kind=type(posterior).__name__)
    if t is None:
        return found
    t = model.term_number(t)
    return [found[k] for k, (term, _) in enumerate(_places(model)) if term == t]


def _of_integral(posterior: Integral) -> list[_Marginal]:
    """Of each standard deviation, and of tau last."""
    model = posterior.over.model
    nodes = posterior.nodes
    cells = FEWER if isinstance(nodes, Points) else CELLS
    at = cache(posterior.quantile)
    mean = posterior.mean

    def of_sd(t: int, i: int, probability: float) -> float:
        return float(at(probability).sds[t][i])

    found = [
        _Marginal(
            name=names_of_sds(model)[t][i],
            mean=float(mean.sds[t][i]),
            quantile=partial(of_sd, t, i),
            below=nodes.distribution(k),
            cells=cells,
        )
        for k, (t, i) in enumerate(_places(model))
    ]
    if model.known_tau2 is None:
        below = nodes.distribution(len(found))
        found.append(_Marginal("tau", mean.tau, lambda p: at(p).tau, below, cells))
    return found


def _of_draws(posterior: Draws) -> list[_Marginal]:
    """Of each standard deviation, and of tau last."""
    names = [name for part in names_of_sds(posterior.model) for name in part]
    columns = [*np.column_stack(posterior.sds).T]
    if posterior.model.known_tau2 is None:
        names = [*names, "tau"]
        columns = [*columns, np.sqrt(posterior.tau2)]
    return [
        _Marginal(
            name=name,
            mean=float(values.mean()),
            quantile=partial(_quantile, values),
            below=partial(_number_below, np.sort(values)),
            cells=FEWER,
        )
        for name, values in zip(names, columns, strict=True)
    ]


def _number_below(ordered: Array, value: float) -> float:
    """How many draws there are up to a value."""
    return float(np.searchsorted(ordered, value, side="right"))


def _quantile(values: Array, probability: float) -> float:
    return float(np.quantile(values, probability))


def _places(model: Fit) -> list[tuple[int, int]]:
    """Term and column of each standard deviation."""
    return [(t, i) for t, block in enumerate(model.gram.blocks) for i in range(block.q)]
