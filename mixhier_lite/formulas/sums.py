"""Sums of columns of numbers, as ``1 + x + z``: most pieces of most formulas.

What formulaic makes of them is the columns themselves, and a column of ones for the intercept. So
they are put beside each other here, which takes no time and no copy of the data beside the result;
everything else is formulaic's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array
from .columns import Columns
from .names import Piece
from .parse import Token, tokens_of

NUMBERS = "biuf"
"""Kinds of columns that stand for themselves; true is 1."""


@dataclass(frozen=True)
class Sum:
    """Columns of numbers, after a column of ones where there is an intercept."""

    text: str
    intercept: bool
    summands: tuple[str, ...]
    """Columns of the data, in the order of the formula."""

    @property
    def uses(self) -> tuple[str, ...]:
        """Columns of the data."""
        return tuple(sorted(self.summands))

    @property
    def categories(self) -> Mapping[str, Any]:
        """None: no column is a factor."""
        return {}

    @cached_property
    def spec(self) -> Any:
        """formulaic's ModelSpec, which two rows of any numbers tell."""
        import formulaic
        import pandas as pd

        rows = pd.DataFrame({name: [0.0, 1.0] for name in self.summands}, index=range(2))
        return formulaic.model_matrix(self.text, rows).model_spec

    def columns(self, plain: Any) -> Array:
        """The same columns for new rows, shape (n_new, columns)."""
        for name in self.summands:
            if plain[name].dtype.kind not in NUMBERS:
                problem = f"column {name!r} holds no numbers, and did in the data of the fit"
                raise refused("new-columns-cannot-be-built", problem=problem)
        shape = (len(plain), self.intercept + len(self.summands))
        values = np.empty(shape, order="F")  # a column lies in one piece, as in the data
        values[:, : self.intercept] = 1.0
        for k, name in enumerate(self.summands, start=int(self.intercept)):
            values[:, k] = plain[name].to_numpy()
        return values


def sum_of_columns(piece: Piece, plain: Any) -> Columns | None:
    """The columns of a piece that is a sum of columns of numbers; None where it is none.

    Raises
    ------
    InputError
        Entries that are infinite.
    """
    tokens = tokens_of(piece.text)
    summands = tokens[::2]
    signs = tokens[1::2]
    names = tuple(token.text for token in summands if token.kind == "name")
    constants = [token for token in summands if token.kind != "name"]
    added = len(summands) == len(signs) + 1 and all(sign.text == "+" for sign in signs)
    if not added or len(set(names)) < len(names) or not _at_most_one(constants):
        return None
    if any(plain[name].dtype.kind not in NUMBERS for name in names):
        return None
    recipe = Sum(piece.text, all(token.text == "1" for token in constants), names)
    intercept = ("Intercept",) * recipe.intercept
    return Columns.named(recipe.columns(plain), intercept + names, recipe, piece.what)


def _at_most_one(constants: Sequence[Token]) -> bool:
    """Whether there is no constant, or only 0 or only 1."""
    return not constants or (len(constants) == 1 and constants[0].text in ("0", "1"))
