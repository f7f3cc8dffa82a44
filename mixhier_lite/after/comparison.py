"""Comparing fits by the ratio of their likelihoods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array, instance
from ..values import Value
from .fit import Fit

OUTSIDE = 1e-6
"""Share of a column's length that rounding does not leave over."""


@dataclass(frozen=True, repr=False)
class Comparison(Value):
    """A likelihood-ratio test."""

    statistic: float
    """Difference of the criteria, smaller model minus larger one."""
    df: int
    """Difference of the numbers of parameters."""
    p_value: float
    """From the chi-squared distribution."""
    note: str
    """What the boundary does to the p-value, and whether fits by REML were fitted again by ML.

    Where one variance is new, alone or with its covariances, it says the p-value of the mixture
    that is right for many groups, :prf:ref:`thm-cone`.
    """
    method: str
    """"REML" or "ML", whose criteria are compared."""


def compare(*fits: Fit) -> Any:
    """Test the smaller of two nested models against the larger one, or line up several.

    Parameters
    ----------
    *fits : Fit
        Fits of the same data, two or more, in any order. Where one is by ML, or where their X
        differ, those by REML are fitted again by ML: REML criteria with different X are not
        comparable, since each integrates over its own fixed effects.

    Returns
    -------
    Comparison
        Of two fits.
    data frame
        Of several: a row a fit, from few parameters to many: parameters, method, criterion, aic,
        bic, and against the row before statistic, df, p. The last three are nan where one cannot
        contain the other: as many parameters, or more of them and a higher criterion, or columns
        of X that are no combinations of the larger model's. Where the
        larger model has a variance that the smaller one has not, p is too large, see
        ``Comparison.note``.

    Raises
    ------
    InputError
        Fewer than two fits; different rows. Of two fits also equal numbers of parameters, and a
        larger model that cannot contain the smaller one: it fits less well, or has not its columns.
    """
    if len(fits) < 2:
        raise refused("nothing-to-compare", n_fits=len(fits))
    for k, model in enumerate(fits):
        instance(model, Fit, f"fit {k + 1}", "pass fits: what fit or lmer returns")
    first = fits[0]
    for other in fits[1:]:
        if first.n != other.n or not _same_response(first, other):
            raise refused("fits-of-different-data", first=first.n, other=other.n)
    comparable, again = _comparable(fits)
    order = sorted(range(len(fits)), key=lambda k: comparable[k].df)
    if len(fits) == 2:
        small, large = (comparable[k] for k in order)
        return _tested(small, large, again)
    names = [model.formula or f"fit {k + 1}" for k, model in enumerate(fits)]
    return _lined_up([comparable[k] for k in order], [names[k] for k in order])


def _comparable(fits: Sequence[Fit]) -> tuple[list[Fit], bool]:
    """The same fits, by ML where their REML criteria mean different things; and whether so."""
    first = fits[0]
    if all(model.method == "ML" for model in fits):
        return list(fits), False
    if all(model.reml and _same_columns(first, model) for model in fits):
        return list(fits), False
    return [model.update(method="ML") if model.reml else model for model in fits], True


def _tested(small: Fit, large: Fit, again: bool) -> Comparison:
    """The test of two models."""
    df = large.df - small.df
    if df == 0:
        raise refused("equally-many-parameters", n_parameters=small.df)
    if not _may_contain(large, small):
        raise refused("not-nested", small=small.criterion, large=large.criterion)
    if outside := _columns_outside(large, small):
        raise refused("means-not-nested", columns=", ".join(outside[:10]))
    statistic = small.criterion - large.criterion
    note = _note(small, large, statistic, df)
    if again:
        note += " Fits by REML were fitted again by ML."
    return Comparison(statistic, df, _p(statistic, df), note, small.method)


def _note(small: Fit, large: Fit, statistic: float, df: int) -> str:
    """What is known of the p-value, read from the names of terms and columns."""
    if len(large.theta) == len(small.theta):
        return "The models differ in fixed effects: the p-value is asymptotic."
    new = _spreads(large) - _spreads(small)
    within = new | _spreads(small) == _spreads(large) and not small.singular
    if within and not new:
        return "No variance is new, so none lies on the boundary: the p-value is asymptotic."
    if within and len(new) == 1:
        p = (_p(statistic, df - 1) + _p(statistic, df)) / 2
        return (
            f"p = {p:.2g} by the mixture for a variance on the boundary, half chi-squared with "
            f"{df - 1} and half with {df} degrees of freedom, for many groups."
        )
    return (
        "If variances of the larger model are zero in the smaller one, they lie on the boundary, "
        "and the p-value is too large; else it is asymptotic."
    )


def _spreads(model: Fit) -> set[tuple[str | None, str]]:
    """The variances of a model by name: term and column."""
    return {
        (block.name, column.replace("(Intercept)", "1"))
        for block in model.gram.blocks
        for column in block.column_names
    }


def _lined_up(fits: Sequence[Fit], names: Sequence[str]) -> Any:
    """A table of several models, each tested against the one before."""
    statistic, df, p = (np.full(len(fits), np.nan) for _ in range(3))
    for k, (small, large) in enumerate(zip(fits, fits[1:], strict=False), start=1):
        may = _may_contain(large, small) and not _columns_outside(large, small)
        if large.df > small.df and may:
            df[k] = large.df - small.df
            statistic[k] = small.criterion - large.criterion
            p[k] = _p(statistic[k], df[k])
    columns = {
        "parameters": np.array([model.df for model in fits]),
        "method": np.array([model.method for model in fits], dtype=object),
        "criterion": np.array([model.criterion for model in fits]),
        "aic": np.array([model.aic for model in fits]),
        "bic": np.array([model.bic for model in fits]),
        "statistic": statistic,
        "df": df,
        "p": p,
    }
    return fits[0].origin.table({"fit": np.array(names, dtype=object)}, columns)


def _may_contain(large: Fit, small: Fit) -> bool:
    """Whether the criteria allow that one model is a special case of the other."""
    return small.criterion - large.criterion >= -1e-8 * max(1.0, abs(large.criterion))


def _columns_outside(large: Fit, small: Fit) -> list[str]:
    """Columns of the smaller model's X that are no combinations of the larger one's.

    None where a fit holds a Gram only, or the rows stand in another order: nobody can tell.
    """
    own = small.rows
    other = large.rows
    if own is None or other is None or not np.array_equal(own.y, other.y):
        return []
    Q = np.linalg.qr(other.X / np.maximum(np.linalg.norm(other.X, axis=0), 1e-300))[0]
    left = np.linalg.norm(own.X - Q @ (Q.T @ own.X), axis=0)
    outside = left > OUTSIDE * np.linalg.norm(own.X, axis=0)
    return [name for name, is_out in zip(small.names, outside, strict=True) if is_out]


def _p(statistic: float, df: float) -> float:
    """P-value of a statistic from the chi-squared distribution; with no degree it is zero."""
    from scipy.special import gammaincc

    if df == 0:
        return float(statistic <= 0)
    return float(gammaincc(df / 2, max(statistic, 0.0) / 2))


def _moments(model: Fit) -> Array:
    g = model.gram
    moments: Array = g.H.T @ g.C @ g.H
    return moments


def _same_response(a: Fit, b: Fit) -> bool:
    return bool(np.isclose(_moments(a)[-1, -1], _moments(b)[-1, -1], rtol=1e-8))


def _same_columns(a: Fit, b: Fit) -> bool:
    A = _moments(a)
    B = _moments(b)
    return A.shape == B.shape and bool(np.allclose(A, B, rtol=1e-8))
