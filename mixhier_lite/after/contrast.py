"""Tests and intervals of linear combinations of the fixed effects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..errors import refused
from ..fitted.estimates import Estimates
from ..fitted.kenward_roger import kenward_roger
from ..fitted.knapp_hartung import knapp_hartung
from ..fitted.satterthwaite import Precision
from ..fitted.student import in_units_of, p_of_t, quantile_of_t
from ..fitted.tables import Origin
from ..inputs import Array, level_of, one_of
from ..values import Value
from .combination import Combinations

METHODS = ("satterthwaite", "kenward-roger", "knapp-hartung")
MOST = 2000
"""Rows of L at once, since their covariance is a matrix."""
DEPENDENT = 1e-8
"""An eigenvalue of the correlations of estimates, over the largest, that is zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(Value):
    """Linear combinations of the fixed effects, less a number each: L alpha_hat - shift."""

    names: tuple[str, ...]
    estimate: Array
    """Shape (k,)."""
    se: Array
    """Standard errors, shape (k,)."""
    df: Array
    """Degrees of freedom of the standard errors, shape (k,); infinite where they are known."""
    t: Array
    """estimate / se, shape (k,)."""
    p: Array
    """Two-sided p-values of t, shape (k,), each for its own row alone."""
    F: float
    """For the hypothesis that all of them are zero."""
    F_df: tuple[float, float]
    """The number of independent rows of L, and the degrees of freedom of their variances."""
    F_p: float
    L: Array
    """Shape (k, p)."""
    cov: Array
    """Covariance of the estimates, shape (k, k)."""
    method: str
    """Where the degrees of freedom come from, see ``Fit.contrast``."""
    origin: Origin = field(repr=False)
    """The data frame that was fitted, for tables."""

    def interval(self, level: float = 0.95) -> Array:
        """Intervals by Student's t, shape (k, 2)."""
        half = quantile_of_t(self.df, (1 + level_of(level)) / 2) * self.se
        return np.column_stack([self.estimate - half, self.estimate + half])

    def table(self, level: float = 0.95) -> Any:
        """Estimate, se, df, t, p and interval, as a data frame."""
        return self.origin.table({"contrast": np.array(self.names)}, self._columns(level))

    def _columns(self, level: float) -> Mapping[str, Array]:
        """What tables show."""
        lower, upper = self.interval(level).T
        shown = {"estimate": self.estimate, "se": self.se, "df": self.df, "t": self.t, "p": self.p}
        return shown | {"lower": lower, "upper": upper}


def contrast(
    model: Estimates, known: Precision, combinations: Combinations, method: str, origin: Origin
) -> Contrast:
    """Estimate and test L alpha - shift."""
    one_of(method, "method", METHODS, "satterthwaite is for variances that are estimated")
    L = combinations.L
    if len(L) > MOST:
        raise refused("too-many-combinations", k=len(L), most=MOST)
    estimate = L @ model.fixed - combinations.shift
    how = _uncertainty(model, known, method)
    cov = how.cov(L)
    df = how.df(L)
    se = np.sqrt(np.diag(cov))
    t = in_units_of(se, estimate)
    F, rank, df2 = _together(L, estimate, cov, how)
    return Contrast(
        names=combinations.names,
        estimate=estimate,
        se=se,
        df=df,
        t=t,
        p=p_of_t(t, df),
        F=F,
        F_df=(float(rank), df2),
        F_p=p_of_F(F, rank, df2),
        L=L,
        cov=cov,
        method=method,
        origin=origin,
    )


class Uncertainty(Protocol):
    """How uncertain combinations of alpha_hat are, by one of the methods."""

    def cov(self, L: Array) -> Array:
        """Covariance of L alpha_hat, shape (k, k)."""
        ...

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each row of L, shape (k,)."""
        ...

    def of_F(self, L: Array) -> tuple[float, float]:
        """Degrees of freedom and scale of F for rows L whose estimates are independent."""
        ...


def _uncertainty(model: Estimates, known: Precision, method: str) -> Uncertainty:
    if method == "kenward-roger":
        return kenward_roger(model)
    if method == "knapp-hartung":
        return knapp_hartung(model, known)
    return known


def _together(L: Array, estimate: Array, cov: Array, how: Uncertainty) -> tuple[float, int, float]:
    """F of all rows, its rank, and the degrees of freedom of its denominator.

    F is the mean of the squares of independent t statistics, along the axes of the estimates'
    covariance, times a scale that may be one.
    """
    unit = np.sqrt(np.diag(cov))
    if not (unit > 0).all():
        return np.nan, len(L), np.nan
    values, axes = np.linalg.eigh(cov / np.outer(unit, unit))
    live = values > DEPENDENT * values[-1]
    rank = int(live.sum())
    t2 = (axes[:, live].T @ (estimate / unit)) ** 2 / values[live]
    df2, scale = how.of_F(np.linalg.eigh(cov)[1][:, -rank:].T @ L)
    return float(scale * t2.sum() / rank), rank, df2


def p_of_F(F: float, df1: float, df2: float) -> float:
    """P-value of F."""
    from scipy.special import fdtrc

    return float(fdtrc(df1, min(df2, 1e9), F))
