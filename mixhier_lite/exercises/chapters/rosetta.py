"""Exercises of chapter *rosetta*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import fit
from ...gram.term import Term
from ...inputs import Array
from ...known.groups import indicator
from ...known.mixed import LinearMixedModel, gls_blup
from ...known.ridge import ridge
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Numbers,
    Unfit,
    array,
    choice,
    data,
    exercise,
)

# --- rosetta-1: two reports of six rails


@cache
def _reason() -> str:
    """Look among the answers to other questions for the colleague's standard deviations."""
    y, labels, _ = data.rail()
    one = np.ones((18, 1))
    reml, ml = (fit(y, one, Term(labels), method) for method in ("REML", "ML"))
    told = np.array([23, 4])
    for name, found in (("an early stop", reml), ("another criterion", ml)):
        if np.array_equal(np.round([found.Sigma[0].item() ** 0.5, found.tau2**0.5]), told):
            return name
    return "another model"


REPORTS = choice("rosetta-1", _reason)

# --- rosetta-2: out of lme4's theta


def _thetas(rng: np.random.Generator) -> tuple[Any, ...]:
    one, two, three = rng.uniform(0.5, 2, 3)
    return np.array([one, two * rng.choice([-1, 1]), three]), float(rng.uniform(3, 9))


def _factor(theta: Array) -> Array:
    return np.array([[theta[0], 0.0], [theta[1], theta[2]]])


def covariance(theta: Array, sigma: float) -> Array:
    """Sigma = sigma^2 T T', shape (2, 2)."""
    T = _factor(theta)
    product: Array = sigma**2 * T @ T.T
    return product


THETA = exercise(
    "rosetta-2",
    Function("f(theta, sigma)", _thetas),
    covariance,
    no_scale=lambda theta, s: covariance(theta, 1.0),
    standard_deviation=lambda theta, s: covariance(theta, s**0.5),
    transposed=lambda theta, s: s**2 * _factor(theta).T @ _factor(theta),
    row_by_row=lambda theta, s: covariance(theta[[0, 2, 1]], s),
    factor_only=lambda theta, s: s * _factor(theta),
)

# --- rosetta-3: from theta to Ridge


def _one_theta(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    return X, D, rng.normal(10, 3, len(X)), float(rng.uniform(0.4, 0.8))


def by_ridge(X: Array, D: Array, y: Array, theta: float) -> Array:
    """The BLUPs at sigma / tau = theta, shape (J,)."""
    return ridge(LinearMixedModel(X, D, theta**2 * np.eye(D.shape[1]), 1.0), y).random


def _raw(D: Array, y: Array, theta: float) -> Any:
    return np.linalg.solve(D.T @ D + np.eye(D.shape[1]) / theta**2, D.T @ y)


def _one_sided(X: Array, D: Array, y: Array, theta: float) -> Any:
    return _raw(D, y - X @ np.linalg.lstsq(X, y, rcond=None)[0], theta)


def _all_columns(X: Array, D: Array, y: Array, theta: float) -> Any:
    return _raw(np.hstack([X, D]), y, theta)[X.shape[1] :]


def _covariate_beside(X: Array, D: Array, y: Array, theta: float) -> Any:
    W = np.hstack([X[:, 1:], D])
    return by_ridge(X[:, :1], W, y, theta)[X.shape[1] - 1 :]


RIDGE = exercise(
    "rosetta-3",
    Function("f(X, D, y, theta)", _one_theta),
    by_ridge,
    upside_down=lambda X, D, y, theta: by_ridge(X, D, y, 1 / theta),
    standard_deviations=lambda X, D, y, theta: by_ridge(X, D, y, theta**0.5),
    default_alpha=lambda X, D, y, theta: by_ridge(X, D, y, 1.0),
    all_penalised=_all_columns,
    covariate_penalised=_covariate_beside,
    one_sided=_one_sided,
    covariate_missing=lambda X, D, y, theta: by_ridge(X[:, :1], D, y, theta),
)

# --- rosetta-4: one slope, two models

_DAYS = np.arange(10.0)


def _rows(answer: object) -> Any:
    rows = array(answer, "the numbers of the rows to delete")
    if rows.ndim != 1 or (rows != np.round(rows)).any() or rows.min() < 0 or rows.max() > 179:
        raise Unfit("Give whole numbers from 0 to 179 in a list: the rows that you delete.")
    if len(np.unique(rows // 10)) < 2:
        raise Unfit("One subject is too few: delete rows of two subjects at least.")
    keep = np.ones(180, dtype=bool)
    keep[rows.astype(int)] = False
    if keep.sum() < 60:
        raise Unfit("Leave at least sixty rows, or little can be estimated.")
    return np.flatnonzero(keep)


def _slope(kept: Any, Sigma: Array) -> Array:
    """The row that makes the slope out of y, with the columns of Sigma random."""
    subjects, days = np.divmod(kept, 10)
    D = indicator(subjects)
    X = np.column_stack([np.ones(len(kept)), _DAYS[days]])
    V = 650 * np.eye(len(kept))
    for a in range(len(Sigma)):
        for b in range(len(Sigma)):
            V += Sigma[a, b] * (X[:, a, None] * D) @ (X[:, b, None] * D).T
    rule = np.linalg.solve(X.T @ np.linalg.solve(V, X), np.linalg.solve(V, X).T)
    return np.asarray(rule[1])


def _with_slopes(kept: Any) -> Array:
    return _slope(kept, np.array([[600.0, 10.0], [10.0, 35.0]]))


def _without_slopes(kept: Any) -> Array:
    return _slope(kept, np.array([[600.0]]))


def _counts(kept: Any) -> tuple[Any, Any]:
    subjects, days = np.divmod(kept, 10)
    return np.bincount(subjects, minlength=18), np.bincount(days, minlength=10)


SLOPE = exercise(
    "rosetta-4",
    Counterexample(_rows, _with_slopes, _without_slopes),
    whole_subjects=lambda kept: set(_counts(kept)[0]) <= {0, 10},
    same_days=lambda kept: len(set(_counts(kept)[0])) == 1,
)

# --- rosetta-5: a PEV out of what lme4 prints


def _printed(rng: np.random.Generator) -> tuple[Any, ...]:
    """What a program prints about unequal groups: condVar, the variance, and vcov."""
    D = indicator(data.groups(rng))
    sigma2, tau2 = data.variances(rng)
    n = D.sum(axis=0)
    return sigma2 * tau2 / (n * sigma2 + tau2), sigma2, float(1 / (1 / (sigma2 + tau2 / n)).sum())


def error_variance(cond_var: Array, sigma2: float, vcov: float) -> Array:
    """PEV of unequal groups, found by GLS in a layout that would print these numbers."""
    n = sigma2 / cond_var - 1  # in units in which the noise is sigma2
    model = LinearMixedModel(
        np.sqrt(n)[:, None], np.diag(np.sqrt(n)), sigma2 * np.eye(len(n)), sigma2
    )
    return np.diag(gls_blup(model, np.zeros(len(n))).random_cov)


PEV = exercise(
    "rosetta-5",
    Function("f(cond_var, sigma2, vcov)", _printed, Numbers(EXACT)),
    error_variance,
    whole_variance=lambda c, s, v: c + v,
    share_once=lambda c, s, v: c + (1 - c / s) * v,
    share_shrunk=lambda c, s, v: c + (c / s) ** 2 * v,
    standard_deviations=lambda c, s, v: np.sqrt(error_variance(c, s, v)),
    unchanged=lambda c, s, v: c,
)
