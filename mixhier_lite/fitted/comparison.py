"""Comparing two fits by the ratio of their likelihoods."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..inputs import Array, instance
from ..values import Value
from .estimates import Estimates


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
    """What the boundary does to the p-value."""


def compare(a: Estimates, b: Estimates) -> Comparison:
    """Test the smaller of two nested models against the larger one.

    Parameters
    ----------
    a, b : Fit
        Fits of the same data, in either order; with different X both by ML.

    Raises
    ------
    InputError
        Different rows or methods; REML fits with different X; equal numbers of parameters; a
        larger model that fits less well, so that it cannot contain the smaller one.
    """
    for name, model in (("a", a), ("b", b)):
        instance(model, Estimates, name, "pass two fits: what fit or lmer returns")
    small, large = (a, b) if a.df <= b.df else (b, a)
    if a.method != b.method or a.n != b.n or not _same_response(a, b):
        raise InputError(
            "the fits are not of the same data by the same method.",
            "one response, one set of rows, one method",
            f"{a.method} on {a.n} rows and {b.method} on {b.n} rows",
            "fit both models to the same rows",
        )
    if a.method == "REML" and not _same_columns(a, b):
        raise InputError(
            "REML criteria with different X are not comparable: "
            "each integrates over its own fixed effects.",
            "the same columns of X, or ML",
            f"columns {a.names} and {b.names}",
            "fit both with method='ML'",
        )
    df = large.df - small.df
    if df == 0:
        raise InputError(
            "the fits have equally many parameters, so neither is nested in the other.",
            "a smaller and a larger model",
            f"{a.df} parameters in both",
            "compare their AIC instead",
        )
    from scipy.special import gammaincc

    statistic = small.criterion - large.criterion
    if statistic < -1e-8 * max(1.0, abs(large.criterion)):
        raise InputError(
            "the model with more parameters has the higher criterion: it cannot contain the other.",
            "a smaller model that is a special case of the larger one",
            f"criteria {small.criterion:.6g} and {large.criterion:.6g}",
            "compare their AIC if they are not nested; if they are, please report the larger fit",
        )
    p = float(gammaincc(df / 2, max(statistic, 0.0) / 2))
    note = "The models differ in fixed effects: the p-value is asymptotic."
    if len(large.theta) > len(small.theta):
        note = (
            "A variance of zero lies on the boundary, so the p-value is too large; "
            "for one variance the right one is about half of it."
        )
    return Comparison(statistic, df, p, note)


def _moments(model: Estimates) -> Array:
    g = model.gram
    moments: Array = g.H.T @ g.C @ g.H
    return moments


def _same_response(a: Estimates, b: Estimates) -> bool:
    return bool(np.isclose(_moments(a)[-1, -1], _moments(b)[-1, -1], rtol=1e-8))


def _same_columns(a: Estimates, b: Estimates) -> bool:
    A, B = _moments(a), _moments(b)
    return A.shape == B.shape and bool(np.allclose(A, B, rtol=1e-8))
