"""How a formula turns a data frame into columns and levels; kept for predictions.

formulaic builds the columns. Levels are ours: each grouping factor has levels of its own, and a
group is a combination of these. Nothing is looked up by a text that was joined.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..fitted.prediction import NewRows
from ..fitted.tables import Origin
from ..inputs import Array
from ..labels import Coded, Codes, Labels, coded, look_up
from ..values import Value
from . import interactions
from .aliased import Aliased
from .frames import column_names, read, unknown_column
from .grid import Grid
from .hypotheses import hypotheses
from .interactions import combined, level_names
from .names import names_of
from .parse import BarTerm


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns that a piece of a formula makes, and how to make them again."""

    values: Array
    """Shape (n, columns)."""
    names: tuple[str, ...]
    """As lme4 names them: "fb" for level b of factor f, "fb:x" with a slope."""
    recipe: "Recipe"


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to make columns again, with the levels and constants of the fit.

    All of them: those that were dropped as combinations of others too.
    """

    text: str
    uses: tuple[str, ...]
    """Columns of the data."""
    spec: Any
    """formulaic's ModelSpec."""
    context: Mapping[str, Any]
    """Functions and numbers of the caller's, as they were at the fit."""

    def __getstate__(self) -> dict[str, Any]:
        """What is saved: modules by their names, and functions where they can be found again."""
        for name, value in self.context.items():
            if not isinstance(value, ModuleType):
                _refuse_unsaved(name, value)
        context = {
            name: ModuleName(value.__name__) if isinstance(value, ModuleType) else value
            for name, value in self.context.items()
        }
        return vars(self) | {"context": context}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Import the modules again."""
        context = {
            name: import_module(value.name) if isinstance(value, ModuleName) else value
            for name, value in state["context"].items()
        }
        vars(self).update(state | {"context": context})

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recipe":
        """A recipe does not change, so that it is its own copy."""
        return self

    def columns(self, plain: Any) -> Array:
        """The same columns for new rows, shape (n_new, columns).

        Raises
        ------
        InputError
            A level that the fit has not seen, or columns of another kind.
        """
        from formulaic.errors import DataMismatchWarning

        own = _without_overflow(_with_factors(plain[list(self.uses)], self.spec), self.text)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", DataMismatchWarning)
                # formulaic writes into the states of a spec, also where it then fails
                spec = self.spec.update(
                    encoder_state=deepcopy(self.spec.encoder_state),
                    transform_state=deepcopy(self.spec.transform_state),
                )
                built = spec.get_model_matrix(own, context=self.context)
            return _values(built, len(plain))
        except DataMismatchWarning as problem:
            got = re.sub(r"np\.\w+\((.*?)\)", r"\1", str(problem)).partition("{")[2]
            raise refused(
                "new-levels-in-a-formula", text=self.text, got=got.partition("}")[0][:100]
            ) from None
        except Exception as problem:
            raise refused("new-columns-cannot-be-built", problem=_first_line(problem)) from None


@dataclass(frozen=True)
class ModuleName:
    """A module of the caller's in a fit that is saved."""

    name: str


def _refuse_unsaved(name: str, value: Any) -> None:
    """Refuse to save what no other program could read."""
    try:
        pickle.dumps(value)
    except Exception as problem:
        raise refused(
            "unpicklable-name", name=name, kind=type(value).__name__, problem=_first_line(problem)
        ) from None


def build(
    text: str, uses: tuple[str, ...], plain: Any, context: Mapping[str, Any], what: str
) -> Columns:
    """Make the columns of a piece of a formula that uses some columns of the data.

    Raises
    ------
    InputError
        Names that are no columns; factors of one level; columns that are no numbers.
    """
    import formulaic

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            # no column stands in the way of a function of its name
            own = _without_overflow(plain[list(uses)], text)
            built = formulaic.model_matrix(text, own, context=context, na_action="ignore")
        values = _values(built, len(plain))
    except Exception as problem:
        for name in uses:
            if plain[name].dtype.kind in "mM" and names_of(text).bare == {name}:
                raise refused("not-a-covariate", name=name, kinds=str(plain[name].dtype)) from None
        raise refused(
            "column-cannot-be-built",
            what=what,
            columns=list(plain.columns)[:20],
            text=text,
            problem=_first_line(problem),
        ) from None
    spec = built.model_spec
    _refuse_odd_factors(spec, plain)
    levels = {
        str(factor): state["categories"]
        for factor, (kind, state) in spec.encoder_state.items()
        if kind.value == "categorical"
    }
    names = interactions.column_names([str(name) for name in built.columns], levels)
    for name, column in zip(names, values.T, strict=True):
        if (bad := int((~np.isfinite(column)).sum())) > 0:
            first = int(np.flatnonzero(~np.isfinite(column))[0])
            raise refused(
                "column-not-finite", what=what, name=name, n_bad=bad, n=len(plain), first=first
            )
    return Columns(values, names, Recipe(text, uses, spec, context))


def _with_factors(plain: Any, spec: Any) -> Any:
    """New rows in which what names a level of a factor of the fit is that level.

    A spreadsheet read anew has forgotten that its days were categories; formulaic would multiply
    a coefficient by them.

    Raises
    ------
    InputError
        Levels that the fit has not seen.
    """
    import pandas as pd

    categories = {
        str(factor): state["categories"]
        for factor, (kind, state) in spec.encoder_state.items()
        if kind.value == "categorical" and str(factor) in plain.columns
    }
    own = {}
    for name, levels in categories.items():
        rows, distinct = pd.factorize(plain[name])
        labels = _labels(pd.Series(distinct))
        codes = look_up(labels, _labels(pd.Series(levels)))
        if (codes < 0).any():
            got = labels[codes < 0].tolist()
            raise refused("new-levels", name=name, levels=list(levels)[:10], got=got[:10])
        own[name] = pd.Categorical.from_codes(codes[rows], categories=levels)
    return plain.assign(**own) if own else plain


def _without_overflow(plain: Any, text: str) -> Any:
    """Whole numbers that a formula reckons with as floats: numpy's wrap around, 2020**6 does."""
    whole = {name for name in plain.columns if plain[name].dtype.kind in "iu"}
    chosen = whole & names_of(text).reckoned
    return plain.astype(dict.fromkeys(chosen, np.float64)) if chosen else plain


def _values(built: Any, n: int) -> Array:
    """The numbers of formulaic's columns, shape (n, columns); there may be none."""
    return np.asarray(built, dtype=np.float64).reshape(n, len(built.columns))


def _first_line(problem: Exception) -> str:
    """The first line of another's message, without its colours."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", str(problem)).strip()
    return plain.splitlines()[0] if plain else type(problem).__name__


def _refuse_odd_factors(spec: Any, plain: Any) -> None:
    """Refuse factors of one level, which would vanish, and objects that are no levels."""
    for factor, (kind, state) in spec.encoder_state.items():
        if kind.value != "categorical":
            continue
        name, levels = str(factor), list(state["categories"])
        if len(levels) < 2:
            raise refused(
                "factor-of-one-level", name=name, level=repr(levels[0]) if levels else "-"
            )
        if name not in plain.columns or hasattr(plain[name], "cat"):
            continue  # whoever makes a category says that its values are levels
        odd = {type(level).__name__ for level in levels if not isinstance(level, _LEVELS)}
        if odd:
            raise refused("not-a-covariate", name=name, kinds=", ".join(sorted(odd)))


_LEVELS = (str, bool, np.bool_)


@dataclass(frozen=True, eq=False, repr=False)
class Factors(Value):
    """The levels of a term: combinations of the levels of its factors."""

    names: tuple[str, ...]
    """Columns of the data."""
    levels: tuple[Labels, ...]
    """The levels of each factor, in order."""
    combinations: npt.NDArray[np.intp]
    """Which level of each factor a level of the term has, shape (J, factors)."""

    def look_up(self, plain: Any) -> Codes:
        """Position of each row's combination, shape (n,); -1 where it is none of the fit's."""
        own = [
            look_up(_labels(plain[name]), levels)
            for name, levels in zip(self.names, self.levels, strict=True)
        ]
        rows = np.column_stack(own)
        place = {tuple(combination): j for j, combination in enumerate(self.combinations.tolist())}
        found = [place.get(tuple(row), -1) for row in rows.tolist()]
        return np.array(found, dtype=np.intp)

    def strangers(self, plain: Any, codes: Codes, given: bool) -> Codes:
        """Numbers of the groups that are none of the fit's, shape (n,); -1 for those that are.

        Where the factors are not ``given`` every row may be of another group.
        """
        out = np.full(len(plain), -1, dtype=np.intp)
        new = codes < 0
        if not given:
            return np.arange(len(plain), dtype=np.intp)
        if new.any():
            rows = plain.loc[new, list(self.names)]
            out[new] = rows.groupby(list(self.names), observed=True, sort=False).ngroup()
        return out


def group(bar: BarTerm, plain: Any) -> tuple[Factors, Coded]:
    """Code the rows of a term; its levels in the order of its factors' levels."""
    own = [_coded(plain[name]) for name in bar.factors]
    codes = np.zeros(len(plain), dtype=np.intp)
    for factor in own:
        codes = codes * len(factor.levels) + factor.codes
    present, codes = np.unique(codes, return_inverse=True)
    if len(own) == 1:  # the levels of a category that have rows, and no others, are there already
        combinations = present[:, None]
    else:
        sizes = [len(factor.levels) for factor in own]
        combinations = np.column_stack(np.unravel_index(present, sizes))
    factors = Factors(bar.factors, tuple(f.levels for f in own), combinations.astype(np.intp))
    return factors, Coded(codes.astype(np.intp), level_names(factors.levels, factors.combinations))


def _labels(column: Any) -> Labels:
    """The labels of a plain column."""
    if hasattr(column, "cat"):
        column = column.astype(object)
    labels: Labels = np.array(column.to_numpy())
    return labels


def _coded(column: Any) -> Coded:
    """Levels sorted, those of a category in its own order."""
    import pandas as pd

    if hasattr(column, "cat"):
        levels = np.array(column.cat.categories.to_numpy())
        return Coded(column.cat.codes.to_numpy().astype(np.intp), levels)
    if column.dtype.kind in "biufmM":
        codes, levels = pd.factorize(column.to_numpy(), sort=True)
        return Coded(codes.astype(np.intp), np.asarray(levels))
    return coded(_labels(column))


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
            if known:
                wanted |= set(factors.names)
            elif new_groups != "population":
                (missing, *_) = [name for name in factors.names if name not in names]
                remedy = "check the spelling, or pass new_groups='population'"
                raise unknown_column(missing, names, remedy)
        table = read(data, wanted)
        codes = tuple(
            factors.look_up(table.plain) if known else np.full(len(table.plain), -1, dtype=np.intp)
            for factors, known in zip(self.factors, given, strict=True)
        )
        for factors, found in zip(self.factors, codes, strict=True):
            if new_groups == "error" and (found < 0).any():
                strangers = table.plain.loc[found < 0, list(factors.names)].drop_duplicates()
                labels = [combined(row) for row in strangers.to_numpy().tolist()]
                raise refused("unseen-groups", name=combined(factors.names), strangers=labels[:10])
        Z = tuple(recipe.columns(table.plain) for recipe in self.random)
        X = self.fixed.columns(table.plain)
        strangers = tuple(
            factors.strangers(table.plain, found, known)
            for factors, found, known in zip(self.factors, codes, given, strict=True)
        )
        if self.left_out is None:
            return NewRows(X, codes, Z, strangers, table.kept)
        told, kept = self.left_out.estimable(X), table.kept.copy()
        kept[kept] = told  # of the others the data say nothing
        own = X[np.ix_(told, self.left_out.kept)]
        return NewRows(
            own,
            codes=tuple(each[told] for each in codes),
            Z=tuple(each[told] for each in Z),
            strangers=tuple(each[told] for each in strangers),
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
