"""The columns that a piece of a formula makes, and what makes them again for new rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import refused
from ..inputs import Array
from .interactions import column_names


class Recipe(Protocol):
    """How to make columns again, with the levels and constants of the fit.

    All of them: those that were dropped as combinations of others too.
    """

    @property
    def uses(self) -> tuple[str, ...]:
        """Columns of the data."""

    @property
    def spec(self) -> Any:
        """formulaic's ModelSpec: the terms, and which columns each of them has."""

    @property
    def categories(self) -> Mapping[str, Any]:
        """The levels of each factor, as it is written in the formula."""

    def columns(self, plain: Any) -> Array:
        """The same columns for new rows, shape (n_new, columns).

        Raises
        ------
        InputError
            A level that the fit has not seen, or columns of another kind.
        """


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns that a piece of a formula makes, and how to make them again."""

    values: Array
    """Shape (n, columns)."""
    names: tuple[str, ...]
    """As lme4 names them: "fb" for level b of factor f, "fb:x" with a slope."""
    recipe: Recipe

    @classmethod
    def named(cls, values: Array, columns: Sequence[str], recipe: Recipe, what: str) -> "Columns":
        """Name columns as lme4 does, and refuse entries that are missing or infinite."""
        names = column_names(columns, recipe.categories)
        with np.errstate(all="ignore"):
            total = values.sum(axis=0)  # one entry that is not finite would show in the sum
        for k in np.flatnonzero(~np.isfinite(total)):
            bad = np.flatnonzero(~np.isfinite(values[:, k]))
            if len(bad) > 0:
                raise refused(
                    "column-not-finite",
                    what=what,
                    name=names[k],
                    n_bad=len(bad),
                    n=len(values),
                    first=int(bad[0]),
                )
        return cls(values, names, recipe)


def levels_of(spec: Any) -> dict[str, Any]:
    """The levels of each factor of a ModelSpec."""
    return {
        str(factor): state["categories"]
        for factor, (kind, state) in spec.encoder_state.items()
        if kind.value == "categorical"
    }
