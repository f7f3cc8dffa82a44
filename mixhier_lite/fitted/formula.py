"""Formulas: ``"y ~ x + (x | g)"`` and a data frame become y, X and terms.

The bar terms are split off and coded here; formulaic builds the columns.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..gram.term import Term
from ..inputs import Array
from ..known.groups import Labels
from .fit import Fit, fit
from .r_syntax import refuse_other_dialects

_HELP = 'write for instance "y ~ x + (x | g)"'


@dataclass(frozen=True, eq=False)
class BarTerm:
    """One term ``(columns | factors)`` or ``(columns || factors)``."""

    columns: str
    factors: tuple[str, ...]
    correlated: bool

    @property
    def name(self) -> str:
        """The grouping factor, "a:b" for an interaction."""
        return ":".join(self.factors)


@dataclass(frozen=True, eq=False)
class Design:
    """How a formula turns a data frame into columns; kept for predictions."""

    response: str
    fixed: Any
    """formulaic's specification of the columns of X."""
    bars: tuple[BarTerm, ...]
    random: tuple[Any, ...]
    """The same for the columns of each Z."""
    dropped: int
    """Rows left out because of missing values."""

    def rows(self, data: Any, new_groups: str) -> tuple[Array, list[Term]]:
        """X and terms of new rows; a grouping factor that is not given counts as new."""
        pairs = zip(self.bars, self.random, strict=True)
        terms = [Term(_labels(data, bar, new_groups), _again(spec, data)) for bar, spec in pairs]
        return _again(self.fixed, data), terms


def lmer(
    formula: str,
    data: Any,
    method: str = "REML",
    weights: npt.ArrayLike | str | None = None,
    relatedness: Mapping[str, Any] | None = None,
) -> Fit:
    """Fit a linear mixed model that is written as a formula.

    Parameters
    ----------
    formula : str
        ``"Reaction ~ Days + (Days | Subject)"``. Grouping factors: ``a``, ``a:b`` and ``a/b``,
        which is ``a`` and then ``a:b``. With ``||`` all columns of the term are independent
        (lme4 by default keeps the columns of one factor correlated). Factors have treatment
        coding from their first level: strings in sorted order, a categorical in its own.
        Functions are Python's: ``I(x**2)``, ``np.sqrt(x)``, ``C(x)`` for a factor.
    data : pandas.DataFrame
        Rows with a missing value in a column of the formula are dropped and counted.
    method : {"REML", "ML"}
    weights : array_like, shape (n,), or the name of a column
        Var(eps_i) = tau2 / w_i.
    relatedness : mapping, optional
        For a grouping factor its K: a labelled data frame, or an array in the order of levels.

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
    response, fixed, bars = parse(formula)
    relatedness = dict(relatedness or {})
    strangers = set(relatedness) - {bar.name for bar in bars}
    if strangers:
        raise InputError(
            "relatedness names a factor that is not in the formula.",
            f"keys among {[bar.name for bar in bars]}",
            f"{sorted(strangers)}",
            "use the grouping factor's name as key",
        )
    data, w, dropped = _complete(data, formula, weights)
    y = _response(response, data)
    X, spec, names = _columns(fixed, data, "the fixed effects")
    built = [_columns(bar.columns, data, f"({bar.columns} | {bar.name})") for bar in bars]
    terms = [
        _term(data, bar, Z, relatedness.get(bar.name), tuple(columns))
        for bar, (Z, _, columns) in zip(bars, built, strict=True)
    ]
    model = fit(y, X, terms, method, w, names=names)
    design = Design(response, spec, bars, tuple(b[1] for b in built), dropped)
    return replace(model, design=design, formula=formula)


def parse(formula: str) -> tuple[str, str, tuple[BarTerm, ...]]:
    """Split a formula into its response, its fixed part and its bar terms."""
    sides = formula.split("~")
    if len(sides) != 2 or not sides[0].strip() or formula.count("(") != formula.count(")"):
        raise InputError("the formula cannot be read.", "response ~ columns", repr(formula), _HELP)
    refuse_other_dialects(formula)
    fixed, bars = [], []
    for sign, piece in _pieces(sides[1]):
        inner = piece[1:-1] if piece.startswith("(") and piece.endswith(")") else ""
        if "|" in inner and _closes_at_end(piece):
            if sign == "-":
                raise InputError(
                    "a random term is subtracted.", "+ (columns | factor)", formula, _HELP
                )
            bars += _bars(inner, formula)
        elif "|" in piece:
            raise InputError(
                "a random term stands without brackets.", "(columns | factor)", repr(piece), _HELP
            )
        else:
            fixed.append(f"{sign} {piece}")
    return sides[0].strip(), " ".join(fixed).removeprefix("+ ") or "1", tuple(bars)


def _pieces(text: str) -> list[tuple[str, str]]:
    """Split at + and - outside brackets, with the signs."""
    pieces, depth, sign, start = [], 0, "+", 0
    for i, c in enumerate(text + "+"):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and c in "+-":
            if text[start:i].strip():
                pieces.append((sign, text[start:i].strip()))
            sign, start = c, i + 1
    return pieces


def _closes_at_end(piece: str) -> bool:
    depth = np.cumsum([(c == "(") - (c == ")") for c in piece])
    return bool((depth[:-1] > 0).all())


def _bars(inner: str, formula: str) -> list[BarTerm]:
    """Read ``columns | factors``; nesting a/b gives a and a:b."""
    correlated = "||" not in inner
    parts = [part.strip() for part in inner.split("|" if correlated else "||")]
    factors = parts[-1]
    if len(parts) != 2 or not parts[0] or not re.fullmatch(r"[\w.`]+(\s*[:/]\s*[\w.`]+)*", factors):
        raise InputError(
            "a random term cannot be read.",
            "(columns | factor), with factors a, a:b or a/b",
            f"({inner}) in {formula!r}",
            "write (1 | a) + (1 | b) for two factors",
        )
    groups, so_far = [], []
    for part in factors.split("/"):
        so_far += [f.strip().strip("`") for f in part.split(":")]
        groups.append(tuple(so_far))
    return [BarTerm(parts[0], group, correlated) for group in groups]


def _complete(data: Any, formula: str, weights: Any) -> tuple[Any, Any, int]:
    """Drop rows with missing values in the formula's columns, or in the weights."""
    try:
        columns = list(data.columns)
    except AttributeError:
        raise InputError(
            "data is not a data frame.",
            "a pandas.DataFrame",
            type(data).__name__,
            "pass pandas.DataFrame(data), or arrays to fit(y, X, terms)",
        ) from None
    words = set(re.findall(r"[^\W\d]\w*|`[^`]+`", formula))
    used = [c for c in columns if str(c) in words or f"`{c}`" in words]
    w = _column(data, weights) if isinstance(weights, str) else weights
    if w is not None:
        w = np.asarray(w, dtype=np.float64)
        if w.shape != (len(data),):
            raise InputError(
                "weights do not match the data.",
                f"{len(data)} weights, one for each row",
                f"shape {w.shape}",
                "pass the name of a column, or an array in the order of the rows",
            )
    keep = np.asarray(data[used].notna().all(axis=1), dtype=bool)
    keep = keep if w is None else keep & ~np.isnan(w)
    kept = data if keep.all() else data.loc[keep]
    return kept.reset_index(drop=True), (None if w is None else w[keep]), int((~keep).sum())


def _column(data: Any, name: str, remedy: str = "check the spelling") -> Any:
    if name not in data.columns:
        raise InputError(
            f"the data have no column {name!r}.",
            f"one of {[str(c) for c in data.columns][:20]}",
            repr(name),
            remedy,
        )
    return data[name]


def _formulaic() -> Any:
    try:
        import formulaic
    except ModuleNotFoundError:
        raise InputError(
            "formulas need the package formulaic.",
            "formulaic installed",
            "no module of this name",
            "pip install 'mixhier-lite[frames]', or pass arrays to fit(y, X, terms)",
        ) from None
    return formulaic


def _columns(text: str, data: Any, what: str) -> tuple[Array, Any, list[str]]:
    """Build the columns of one formula; return them with formulaic's specification."""
    frame = data.copy(deep=False)
    for name in frame.columns:
        if hasattr(frame[name], "cat"):
            frame[name] = frame[name].cat.remove_unused_categories()
    try:
        built = _formulaic().model_matrix(text, frame, na_action="ignore")
    except InputError:
        raise
    except Exception as problem:
        raise InputError(
            f"{what} cannot be built from the data.",
            f"columns among {[str(c) for c in data.columns][:20]}, and functions of them",
            f"{text!r}: {str(problem).splitlines()[0]}",
            "check the names in the formula",
        ) from None
    names = ["(Intercept)" if c == "Intercept" else _plain(str(c)) for c in built.columns]
    return np.asarray(built, dtype=np.float64), built.model_spec, names


def _plain(name: str) -> str:
    """Name a column as lme4 does: "f[T.b]:x" becomes "fb:x"."""
    return re.sub(r"\[(?:T\.)?([^\]]*)\]", r"\1", name)


def _again(spec: Any, data: Any) -> Array:
    """Build the same columns for new rows."""
    for name in sorted(map(str, spec.required_variables)):
        _column(data, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.asarray(spec.get_model_matrix(data, na_action="ignore"), dtype=np.float64)
        except Exception as problem:
            raise InputError(
                "the columns of the fit cannot be built from the new data.",
                "the fit's columns, and factor levels that it has seen",
                str(problem).splitlines()[0],
                "check the names and levels of the new data",
            ) from None


def _response(text: str, data: Any) -> Array:
    columns, _, names = _columns(f"0 + {text}", data, "the response")
    if columns.shape[1] != 1:
        raise InputError(
            "the response is not one column of numbers.",
            "a numeric column, or a function of one",
            f"{text!r}, which gives {len(names)} columns",
            "wrap arithmetic in I(), and use a numeric response",
        )
    return columns[:, 0]


def _labels(data: Any, bar: BarTerm, new_groups: str) -> Labels:
    """Label every row with its level; "A:B" for an interaction."""
    if not set(bar.factors) <= set(data.columns):
        if new_groups == "population":
            return np.full(len(data), "(averaged over groups)")
        for factor in bar.factors:
            _column(data, factor, "check the spelling, or pass new_groups='population'")
    if len(bar.factors) == 1:
        return np.asarray(_column(data, bar.factors[0]))
    parts = [_column(data, f).astype(str) for f in bar.factors]
    joined: Labels = np.asarray(parts[0].str.cat(parts[1:], sep=":"), dtype=str)
    return joined


def _term(data: Any, bar: BarTerm, Z: Array, K: Any, columns: tuple[str, ...]) -> Term:
    """Code one term: levels sorted, a categorical in its own order."""
    import pandas as pd

    codes, labels = np.zeros(len(data), dtype=np.int64), np.array([""])
    for i, factor in enumerate(bar.factors):
        column = _column(data, factor)
        if isinstance(column.dtype, pd.CategoricalDtype):
            own, kinds = column.cat.codes.to_numpy(), column.cat.categories
        else:
            own, kinds = pd.factorize(column, sort=True)
        kinds = np.asarray(kinds)
        if i == 0:
            codes, labels = own.astype(np.int64), kinds
            continue
        pairs, codes = np.unique(codes * len(kinds) + own, return_inverse=True)
        a, b = labels[pairs // len(kinds)], kinds[pairs % len(kinds)]
        labels = np.array([f"{x}:{y}" for x, y in zip(a, b, strict=True)])
    if K is not None and hasattr(K, "index"):
        codes, labels, K = _aligned(codes, labels, K, bar.name)
    alone = bar.columns == "1" and Z.shape[1] == 1
    Z_or_none = None if alone else Z
    term = Term(codes, Z_or_none, K, bar.correlated, np.arange(len(labels)), bar.name)
    object.__setattr__(term, "levels", labels)  # known already: no label is sorted
    object.__setattr__(term, "columns", columns)
    return term


def _aligned(
    codes: npt.NDArray[np.int64], labels: Labels, K: Any, name: str
) -> tuple[npt.NDArray[np.int64], Labels, Array]:
    """Bring a labelled K and the levels together: the levels are K's, sorted."""
    place = {label: j for j, label in enumerate(K.index.tolist())}
    missing = [label for label in labels.tolist() if label not in place]
    if missing or set(K.columns.tolist()) != set(place) or len(place) < len(K):
        raise InputError(
            f"K of {name} does not carry the levels of the data.",
            "rows and columns labelled alike, each level once, all levels of the data among them",
            f"levels without a row in K: {missing[:10]}" if missing else "rows and columns differ",
            "label K's index and columns with the levels",
        )
    extra = [label for label in place if label not in set(labels.tolist())]
    order = sorted(place) if extra else labels.tolist()
    position = {label: j for j, label in enumerate(order)}
    moved = np.array([position[label] for label in labels.tolist()], dtype=np.int64)
    return moved[codes], np.array(order), np.asarray(K.loc[order, order], dtype=np.float64)
