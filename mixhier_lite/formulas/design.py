"""How a formula turns a data frame into columns and levels; kept for predictions."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import refused
from ..fitted.prediction import NewRows
from ..fitted.tables import Origin
from ..inputs import Array
from ..values import Value
from .aliased import Aliased
from .columns import Recipe
from .factors import Factors
from .frames import column_names, read, unknown_column
from .grid import Grid
from .hypotheses import hypotheses
from .interactions import combined


@dataclass(frozen=True, eq=False, repr=False)
class Design(Value):
    """How a formula turns a data frame into columns; kept for predictions."""

    fixed: Recipe
    random: tuple[Recipe, ...]
    factors: tuple[Factors, ...]
    dropped: int
    """Rows left out because of missing values."""
    origin: Origin
    """The data frame, for tables."""
    grid: Grid = field(repr=False)
    """Levels and means of the columns of the fixed part."""
    left_out: Aliased | None = field(repr=False, default=None)
    """Columns of X that were dropped as combinations of others; None where none was."""

    @property
    def aliased(self) -> tuple[str, ...]:
        """Names of columns that were dropped as combinations of others."""
        return () if self.left_out is None else self.left_out.dropped

    def rows(self, data: Any, new_groups: str) -> NewRows:
        """The columns and groups of new rows.

        With ``new_groups="population"`` a grouping factor that is not given counts as new.
        """
        names = column_names(data)
        wanted = {name for recipe in (self.fixed, *self.random) for name in recipe.uses}
        given = [set(factors.names) <= set(names) for factors in self.factors]
        for factors, known in zip(self.factors, given, strict=True):
            if not known and new_groups != "population":
                (missing, *_) = [name for name in factors.names if name not in names]
                remedy = "check the spelling, or pass new_groups='population'"
                raise unknown_column(missing, names, remedy)
        known_factors = [own for own, known in zip(self.factors, given, strict=True) if known]
        table = read(data, wanted, {name for own in known_factors for name in own.names})
        unknown = np.full(int(table.kept.sum()), -1, dtype=np.intp)
        codes = tuple(
            factors.look_up(table.factors) if known else unknown
            for factors, known in zip(self.factors, given, strict=True)
        )
        for factors, found in zip(self.factors, codes, strict=True):
            if new_groups == "error" and (found < 0).any():
                columns = [table.factors[name] for name in factors.names]
                labels = [own.levels[own.codes[found < 0]].tolist() for own in columns]
                strangers = dict.fromkeys(map(combined, zip(*labels, strict=True)))
                raise refused(
                    "unseen-groups", name=combined(factors.names), strangers=list(strangers)[:10]
                )
        Z = tuple(recipe.columns(table.plain) for recipe in self.random)
        X = self.fixed.columns(table.plain)
        new = tuple(
            factors.strangers(table.factors, found, known)
            for factors, found, known in zip(self.factors, codes, given, strict=True)
        )
        if self.left_out is None:
            return NewRows(X, codes, Z, new, table.kept)
        told = self.left_out.estimable(X)
        kept = table.kept.copy()
        kept[kept] = told  # of the others the data say nothing
        own = X[np.ix_(told, self.left_out.kept)]
        return NewRows(
            own,
            codes=tuple(each[told] for each in codes),
            Z=tuple(each[told] for each in Z),
            strangers=tuple(each[told] for each in new),
            kept=kept,
        )

    def hypotheses(self) -> list[tuple[str, Array]]:
        """L of the hypothesis of type III of every term of the fixed part."""
        if self.left_out is not None:
            raise refused("cells-without-data", dropped=", ".join(self.aliased))
        return hypotheses(self.fixed.spec)

    def averages(self, factor: str, by: str | None) -> tuple[list[tuple[Any, ...]], Array]:
        """The cells of one factor, or of two, and the rows of X that their means are.

        A row is nan where the data do not tell the mean.
        """
        import pandas as pd

        self.grid.refuse_unknown(factor, "factor")
        if by is not None:
            self.grid.refuse_unknown(by, "by")
            if by == factor:
                raise refused("factor-by-itself", name=factor)
        X = self.fixed.columns(pd.DataFrame(self.grid.cells()))
        cells, L = self.grid.averages(X, [factor] if by is None else [factor, by])
        if self.left_out is not None:
            told = self.left_out.estimable(L)
            L = np.where(told[:, None], L[:, self.left_out.kept], np.nan)
        return cells, L
