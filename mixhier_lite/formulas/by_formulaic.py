"""Pieces of a formula that formulaic makes columns of: factors, functions, interactions."""

import pickle
import re
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array
from ..labels import look_up
from .columns import Columns, levels_of
from .frames import labels_of
from .names import Piece, names_of


@dataclass(frozen=True, eq=False)
class Built:
    """Columns that formulaic has made, and makes again."""

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

    def __deepcopy__(self, memo: dict[int, Any]) -> "Built":
        """A recipe does not change, so that it is its own copy."""
        return self

    @property
    def categories(self) -> Mapping[str, Any]:
        """The levels of each factor, as it is written in the formula."""
        return levels_of(self.spec)

    def columns(self, plain: Any) -> Array:
        """The same columns for new rows, shape (n_new, columns)."""
        from formulaic.errors import DataMismatchWarning

        own = _without_overflow(_with_factors(plain[list(self.uses)], self), self.text)
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


def build(piece: Piece, plain: Any, context: Mapping[str, Any]) -> Columns:
    """Make the columns of a piece of a formula.

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
            own = _without_overflow(plain[list(piece.uses)], piece.text)
            built = formulaic.model_matrix(piece.text, own, context=context, na_action="ignore")
        values = _values(built, len(plain))
    except Exception as problem:
        for name in piece.uses:
            if plain[name].dtype.kind in "mM" and piece.names.bare == {name}:
                raise refused("not-a-covariate", name=name, kinds=str(plain[name].dtype)) from None
        raise refused(
            "column-cannot-be-built",
            what=piece.what,
            columns=list(plain.columns)[:20],
            text=piece.text,
            problem=_first_line(problem),
        ) from None
    recipe = Built(piece.text, piece.uses, built.model_spec, context)
    _refuse_odd_factors(recipe, plain)
    return Columns.named(values, [str(name) for name in built.columns], recipe, piece.what)


def _with_factors(plain: Any, recipe: Built) -> Any:
    """New rows in which what names a level of a factor of the fit is that level.

    A spreadsheet read anew has forgotten that its days were categories; formulaic would multiply
    a coefficient by them.

    Raises
    ------
    InputError
        Levels that the fit has not seen.
    """
    import pandas as pd

    own = {}
    for name, levels in recipe.categories.items():
        if name not in plain.columns:
            continue
        rows, distinct = pd.factorize(plain[name])
        labels = labels_of(pd.Series(distinct))
        codes = look_up(labels, labels_of(pd.Series(levels)))
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


def _refuse_odd_factors(recipe: Built, plain: Any) -> None:
    """Refuse factors of one level, which would vanish, and objects that are no levels."""
    for name, own in recipe.categories.items():
        levels = list(own)
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
