"""The reference grid of a formula: all combinations of its factors, covariates at their means."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array
from ..labels import Labels
from ..values import Value
from .columns import Recipe

MOST_CELLS = 10**5
"""Rows of the largest grid."""


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Value):
    """Where the fixed part of a formula may be evaluated, as far as the data say."""

    factors: dict[str, Labels]
    """The levels of each column of the data that is a factor."""
    covariates: dict[str, float]
    """The mean of each other column, over the rows that were used."""

    def cells(self) -> dict[str, list[Any]]:
        """A row for each combination of levels, the last factor's changing fastest."""
        sizes = [len(levels) for levels in self.factors.values()]
        count = int(np.prod(sizes, dtype=np.float64))
        if count > MOST_CELLS:
            raise refused("too-many-cells", count=count, most=MOST_CELLS)
        rows = list(product(*[levels.tolist() for levels in self.factors.values()]))
        columns = {name: [row[k] for row in rows] for k, name in enumerate(self.factors)}
        return columns | {name: [mean] * count for name, mean in self.covariates.items()}

    def averages(self, X: Array, kept: Sequence[str]) -> tuple[list[tuple[Any, ...]], Array]:
        """Equal averages of the cells' rows of X over all factors but some.

        The last of these changes slowest, as ``by`` does in tables.
        """
        names = list(self.factors)
        places = [names.index(name) for name in kept]
        others = tuple(k for k in range(len(names)) if k not in places)
        cube = X.reshape(*[len(levels) for levels in self.factors.values()], X.shape[1])
        means = cube.mean(axis=others) if others else cube
        left = sorted(places)
        order = [left.index(place) for place in reversed(places)]
        turned = np.transpose(means, [*order, len(left)]).reshape(-1, X.shape[1])
        levels = [self.factors[name].tolist() for name in reversed(kept)]
        return [combination[::-1] for combination in product(*levels)], np.asarray(turned)

    def refuse_unknown(self, name: Any, role: str) -> None:
        """Refuse what is no factor of the fixed part."""
        if not isinstance(name, str) or name not in self.factors:
            shown = ", ".join(self.factors) or "none: the fixed part has covariates only"
            remedy = "C(x) in the formula makes a factor of a column of numbers"
            if isinstance(name, str) and name in self.covariates:
                remedy = f"for the slope of a covariate: contrast({name!r}), or predict"
            raise refused(
                "no-factor-of-the-formula", role=role, factors=shown, name=name, remedy=remedy
            )


def grid_of(recipe: Recipe, plain: Any) -> Grid:
    """Read the levels and means of the columns that the fixed part uses."""
    uses = recipe.uses
    categories = {
        name: levels
        for factor, levels in recipe.categories.items()
        if (name := column_of(factor)) in uses
    }
    factors: dict[str, Labels] = {}
    covariates: dict[str, float] = {}
    for name in uses:
        column = plain[name]
        if name in categories:
            factors[name] = _labels(list(categories[name]))
        elif column.dtype.kind in "iuf":
            with np.errstate(all="ignore"):
                covariates[name] = float(column.to_numpy().mean())
        else:
            factors[name] = _labels(sorted(set(column), key=str))
    return Grid(factors, covariates)


def column_of(factor: str) -> str:
    """The column that a factor of a formula is: f, `f`, or the first argument of C(f, ...)."""
    if factor.startswith("C("):
        try:
            call = ast.parse(factor, mode="eval").body
        except SyntaxError:
            return factor
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Name):
            return call.args[0].id
    return factor.strip("`")


def _labels(levels: list[Any]) -> Labels:
    """Levels as an array of objects, none of which numpy looks into."""
    found = np.empty(len(levels), dtype=object)
    for k, level in enumerate(levels):
        found[k] = level
    return found
