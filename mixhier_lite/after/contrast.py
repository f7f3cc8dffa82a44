"""Tests and intervals of linear combinations of the fixed effects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import refused
from ..fitted.estimates import Estimates
from ..fitted.satterthwaite import Precision
from ..fitted.student import in_units_of, p_of_t, quantile_of_t
from ..fitted.tables import Origin
from ..inputs import Array, level_of, one_of
from ..values import Value
from ..variance.assembly import assemble
from .combination import Combinations

METHODS = ("satterthwaite", "knapp-hartung")
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
    """Where the degrees of freedom come from: "satterthwaite" or "knapp-hartung"."""
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
        raise refused("many-combinations", k=len(L), most=MOST)
    estimate, cov = L @ model.fixed - combinations.shift, known.cov(L)
    df = known.df(L)
    if method == "knapp-hartung":
        scale, rows = _knapp_hartung(model)
        cov, df = scale * cov, np.full(len(L), float(rows))
    se = np.sqrt(np.diag(cov))
    t = in_units_of(se, estimate)
    F, rank, df2 = _together(known, L, estimate, cov)
    if method == "knapp-hartung":
        df2 = df[0]
    return Contrast(
        names=combinations.names,
        estimate=estimate,
        se=se,
        df=df,
        t=t,
        p=p_of_t(t, df),
        F=F,
        F_df=(float(rank), float(df2)),
        F_p=p_of_F(F, rank, df2),
        L=L,
        cov=cov,
        method=method,
        origin=origin,
    )


def _together(known: Precision, L: Array, estimate: Array, cov: Array) -> tuple[float, int, float]:
    """F of all rows, its rank, and the degrees of freedom of its denominator.

    F is the mean of the squares of independent t statistics, along the axes of the estimates'
    covariance; their degrees of freedom are put together as lmerTest does.
    """
    unit = np.sqrt(np.diag(cov))
    if not (unit > 0).all():
        return np.nan, len(L), np.nan
    values, axes = np.linalg.eigh(cov / np.outer(unit, unit))
    live = values > DEPENDENT * values[-1]
    rank = int(live.sum())
    t2 = (axes[:, live].T @ (estimate / unit)) ** 2 / values[live]
    along = np.linalg.eigh(cov)[1][:, -rank:]
    return float(t2.sum() / rank), rank, of_denominator(known.df(along.T @ L))


def of_denominator(df: Array) -> float:
    """Degrees of freedom of F from those of its independent t statistics.

    The mean of F with df2 degrees of freedom is df2 / (df2 - 2), and the squares of t have means
    df / (df - 2): so df2 is what makes the former the mean of the latter.
    """
    if len(df) == 1 or np.isinf(df).all() or np.ptp(df) < 1e-8:
        return float(df.mean())
    if (df <= 2).any():
        return 2.0
    with np.errstate(invalid="ignore"):
        means = np.where(np.isinf(df), 1.0, df / (df - 2))
    return float(2 * means.sum() / (means.sum() - len(df)))


def _knapp_hartung(model: Estimates) -> tuple[float, int]:
    """What is left of y in units of what should be left, y'Py / (n - p), and n - p.

    Where tau2 is estimated by REML this is one by construction.
    """
    if not model.tau2_known:
        raise refused("knapp-hartung")
    rows = model.n - len(model.fixed)
    return left_of_y(model) / rows, rows


def left_of_y(model: Estimates) -> float:
    """y'Py = (y - X alpha_hat)'V^-1 (y - X alpha_hat), with V at the estimates."""
    assembly = assemble(model.gram, model.reml, model.known_tau2)
    log_det, S = assembly.criterion.evaluate([t[None] for t in assembly.inwards(model.T)])
    at = assembly.criterion.likelihood.profiled(log_det, S)
    return float(at.L[0, -1, -1] ** 2 / at.tau2[0])


def p_of_F(F: float, df1: float, df2: float) -> float:
    """P-value of F."""
    from scipy.special import fdtrc

    return float(fdtrc(df1, min(df2, 1e9), F))
