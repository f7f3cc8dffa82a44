"""``lmer``: a formula and a data frame become y, X and terms, and these a fit."""

import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..after.fit import Fit, fit_rows
from ..errors import refused
from ..fitted.simulation import Rows
from ..gram.gram import Gram
from ..gram.term import Term
from ..inputs import Array, one_of, unchecked
from ..kinship import Relatedness
from ..labels import Coded, coded, look_up
from .aliased import aliased_columns
from .by_formulaic import build
from .columns import Columns
from .design import Design
from .factors import Factors, group
from .frames import Factor, column_names, origin, read, unknown_column
from .grid import grid_of
from .names import Names, Piece, captured, in_backticks
from .parse import BarTerm, parse
from .sums import sum_of_columns


def lmer(
    formula: str,
    data: Any,
    method: str = "REML",
    weights: npt.ArrayLike | str | None = None,
    relatedness: Mapping[str, Any] | None = None,
    tau2: float | None = None,
    aliased: str = "refuse",
) -> Fit:
    """Fit a linear mixed model that is written as a formula.

    Parameters
    ----------
    formula : str
        ``"Reaction ~ Days + (Days | Subject)"``. Grouping factors: ``a``, ``a:b`` and ``a/b``,
        which is ``a`` and then ``a:b``. With ``||`` all columns of the term are independent
        (lme4 by default keeps the columns of one factor correlated). Factors have treatment
        coding from their first level: strings in sorted order, a categorical in its own.
        Odd names stand in backticks. Functions are Python's: ``I(x**2)``, ``np.sqrt(x)``,
        ``C(x)`` for a factor; the caller's functions and numbers are seen. So a formula runs as
        Python: take none from people whose programs you would not run.
    data : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        Rows with a missing value in a column of the formula are dropped and counted.
    method : {"REML", "ML"}
    weights : array_like, shape (n,), or the name of a column
        Var(eps_i) = tau2 / w_i. An array is read in the order of the rows.
    relatedness : mapping, optional
        For a grouping factor its K: what ``pedigree_relatedness`` returns, or a labelled
        pandas.DataFrame. An array without labels is accepted where the levels are 0..J-1 or
        the factor is a categorical, and in this order.
    tau2 : float, optional
        Known variance of the noise: with ``tau2=1, weights=1/se**2`` this is meta-analysis.
    aliased : {"refuse", "drop"}
        What to do with columns of X that are combinations of those before them, as in a factorial
        with an empty cell: refuse them by name, or drop them, as lme4 does. ``Fit.aliased`` has
        their names then; means and predictions that the data do not tell are nan, and ``anova``
        is refused.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        A formula that cannot be read; unknown columns; an offset; K without a level.

    Notes
    -----
    Needs formulaic (``pip install 'mixhier-lite[frames]'``).
    """
    written = formula
    if isinstance(formula, str) and not formula.isascii():
        formula = in_backticks(formula, column_names(data))
    parts = parse(formula)
    caller = sys._getframe(1)
    seen = ChainMap(caller.f_locals, caller.f_globals)
    names = column_names(data)
    known = {name for name in names if isinstance(name, str)}

    pieces = [
        Piece.of(f"0 + {parts.response}", "the response", known, seen),
        Piece.of(parts.fixed, "the fixed effects", known, seen),
        *(Piece.of(k.columns, f"({k.columns} | {k.name})", known, seen) for k in parts.bars),
    ]
    for piece in pieces:
        _refuse_unknown(piece.names, known, names)
    for bar in parts.bars:
        for factor in bar.factors:
            if factor not in known:
                raise unknown_column(factor, names)
    wanted = {name for piece in pieces for name in piece.uses}
    factors = {factor for bar in parts.bars for factor in bar.factors}
    w = _weights(weights, data, names)
    table = read(data, wanted, factors, None if w is None else ~np.isnan(w))
    if not table.kept.any():
        raise refused("no-complete-row", columns=sorted(wanted | factors)[:20], n=len(table.kept))

    made: dict[str, Columns] = {}  # the columns of x in x + (x | g) are made once
    for piece in pieces:
        if piece.text not in made:
            made[piece.text] = _columns(piece, table.plain, known, seen)
    response, fixed, *random = (made[piece.text] for piece in pieces)
    groups = _groups(parts.bars, table.factors, {} if relatedness is None else relatedness)
    terms = [
        _term(bar, columns, rows, K)
        for bar, columns, (_, rows, K) in zip(parts.bars, random, groups, strict=True)
    ]
    y = _one_column(response, parts.response)
    one_of(aliased, "aliased", ("refuse", "drop"), "aliased='drop' is what lme4 does")
    left_out = None
    X = fixed.values
    column_names_of_X = fixed.names
    if aliased == "drop":
        left_out = aliased_columns(Gram.from_arrays(y, X, terms[:1], names=fixed.names))
    if left_out is not None:
        X = X[:, left_out.kept]
        column_names_of_X = tuple(fixed.names[k] for k in left_out.kept)
    own_weights = None if w is None else w[table.kept]
    model = fit_rows(Rows(y, X, tuple(terms), own_weights), method, tau2, column_names_of_X)
    design = Design(
        fixed=fixed.recipe,
        random=tuple(columns.recipe for columns in random),
        factors=tuple(factors for factors, _, _ in groups),
        dropped=int((~table.kept).sum()),
        origin=origin(data, table.kept),
        grid=grid_of(fixed.recipe, table.plain),
        left_out=left_out,
    )
    return replace(model, design=design, formula=written)


def _refuse_unknown(piece: Names, known: set[str], names: list[Any]) -> None:
    """Refuse bare names that are no columns, and the one name that means something else."""
    for name in sorted(piece.bare - known):
        raise unknown_column(name, names)
    if "Intercept" in (piece.bare | piece.inside) & known:
        raise refused("column-called-intercept")


def _columns(piece: Piece, plain: Any, known: set[str], caller: Mapping[str, Any]) -> Columns:
    """The columns of a piece, shape (n, columns)."""
    found = sum_of_columns(piece, plain)
    if found is None:
        found = build(piece, plain, captured(piece.names, known, caller, len(plain)))
    return found


def _weights(weights: Any, data: Any, names: list[Any]) -> Array | None:
    """Weights of all rows, nan where they are missing."""
    if weights is None:
        return None
    if isinstance(weights, str):
        if weights not in names:
            raise unknown_column(weights, names)
        column = data[weights]
        weights = column.to_numpy() if hasattr(column, "to_numpy") else column
    w = unchecked(weights, "weights", 1)
    if len(w) != len(data):
        raise refused("weights-of-other-rows", n=len(data), n_weights=len(w))
    return w


def _one_column(response: Columns, text: str) -> Array:
    if response.values.shape[1] != 1:
        raise refused("response-not-one-column", text=text, n_columns=response.values.shape[1])
    return response.values[:, 0]


def _term(bar: BarTerm, columns: Columns, rows: Coded, K: Any) -> Term:
    """A term from its columns and coded rows."""
    alone = columns.names == ("(Intercept)",)
    Z = None if alone else columns.values
    return Term(rows, Z, K, bar.correlated, rows.levels, bar.name, columns.names)


def _groups(
    bars: tuple[BarTerm, ...], columns: Mapping[str, Factor], relatedness: Mapping[str, Any]
) -> list[tuple[Factors, Coded, Any]]:
    """The factors, the coded rows and the relatedness of every term."""
    if not isinstance(relatedness, Mapping):
        raise refused("relatedness-no-mapping", kind=type(relatedness).__name__)
    strangers = set(relatedness) - {bar.name for bar in bars}
    if strangers:
        raise refused(
            "relatedness-of-unknown-factor",
            factors=[bar.name for bar in bars],
            strangers=sorted(map(str, strangers)),
        )
    found: list[tuple[Factors, Coded, Any]] = []
    for bar in bars:
        factors, rows = group(bar, columns)
        K = relatedness.get(bar.name)
        if K is not None:
            K = _labelled(K, rows, bar, columns)
            factors, rows = _in_order_of(K, factors, rows)
        found.append((factors, rows, K))
    return found


def _labelled(K: Any, rows: Coded, bar: BarTerm, columns: Mapping[str, Factor]) -> Relatedness:
    """K with its labels; without them only where no other order can be meant."""
    if isinstance(K, Relatedness):
        return K
    if hasattr(K, "index") and hasattr(K, "columns"):
        own = Relatedness(np.asarray(K, dtype=np.float64), np.asarray(K.index))
        across = coded(np.asarray(K.columns)).levels
        if len(across) != len(own) or (look_up(across, own.levels) < 0).any():
            raise refused("kinship-labelled-unlike", factor=bar.name)
        order = look_up(own.levels, np.asarray(K.columns))
        return Relatedness(own.matrix[:, order], own.levels)
    matrix = unchecked(K, "K", 2)
    numbered = np.array_equal(rows.levels, np.arange(len(rows.levels)))
    if not numbered and not columns[bar.factors[0]].category:
        raise refused(
            "kinship-without-labels",
            factor=bar.name,
            shape=matrix.shape,
            levels=rows.levels[:3].tolist(),
        )
    if matrix.shape != (len(rows.levels), len(rows.levels)):
        raise refused("size-of-kinship", J=len(rows.levels), shape=matrix.shape)
    return Relatedness(matrix, rows.levels)


def _in_order_of(K: Relatedness, factors: Factors, rows: Coded) -> tuple[Factors, Coded]:
    """The levels of K where it has more than the data, sorted."""
    K.among(rows.levels)  # refuses a level that K does not have
    if len(K) == len(rows.levels):
        return factors, rows
    levels = coded(K.levels).levels
    place = look_up(rows.levels, levels)
    if len(factors.names) == 1:
        factors = Factors(factors.names, (levels,), np.arange(len(levels))[:, None])
    else:
        combinations = np.full((len(levels), len(factors.names)), -1)
        combinations[place] = factors.combinations
        factors = replace(factors, combinations=combinations)
    return factors, Coded(place[rows.codes], levels)
