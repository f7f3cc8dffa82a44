"""Exercises of chapter *mixed*."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...inputs import Array
from ...known.groups import indicator
from ...known.mixed import LinearMixedModel, gls_blup
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Numbers,
    Table,
    Unfit,
    array,
    choice,
    data,
    exercise,
)

if TYPE_CHECKING:
    import pandas as pd

# --- mixed-1: two measurements of one rail


def _rails(sigma2: float, tau2: float) -> LinearMixedModel:
    _, labels, levels = data.rail()
    return LinearMixedModel(np.ones((18, 1)), indicator(labels), sigma2 * np.eye(len(levels)), tau2)


def _alike() -> float:
    V = _rails(616, 16).V
    return float(V[0, 1] / V[0, 0])


ALIKE = exercise(
    "mixed-1",
    Number(),
    _alike,
    covariance=lambda: _rails(616, 16).V[0, 1],
    standard_deviations=lambda: np.sqrt(616) / (np.sqrt(616) + np.sqrt(16)),
    ratio=lambda: 616 / 16,
    share_of_noise=lambda: 1 - _alike(),
)

# --- mixed-2: the general mean of unequal strains


def _strain_means(rng: np.random.Generator) -> tuple[Any, ...]:
    n = rng.permutation(np.arange(1, 12))[: rng.integers(3, 7)]
    return n, rng.normal(20, 3, len(n)), *data.variances(rng)


def _weighted(n: Array, means: Array, weights: Array) -> float:
    return float(weights @ means / weights.sum())


def general_mean(n: Array, means: Array, sigma2: float, tau2: float) -> float:
    """GLS of one mean: weights one over the variance of a strain's mean."""
    return _weighted(n, means, 1 / (sigma2 + tau2 / n))


GENERAL_MEAN = exercise(
    "mixed-2",
    Function("f(n, means, sigma2, tau2)", _strain_means, Number(EXACT)),
    general_mean,
    weighted_by_size=lambda n, m, s, t: _weighted(n, m, n),
    equal_weights=lambda n, m, s, t: _weighted(n, m, np.ones(len(n))),
    weighted_by_variance=lambda n, m, s, t: _weighted(n, m, s + t / n),
    variances_swapped=lambda n, m, s, t: general_mean(n, m, t, s),
    roots=lambda n, m, s, t: general_mean(n, m, np.sqrt(s), np.sqrt(t)),
)

# --- mixed-3: a change of scale of the variances


def _what_changes() -> str:
    rng = np.random.default_rng()
    X, D = data.design(rng)
    Sigma = data.spd(rng, D.shape[1])
    y = rng.standard_normal(len(D))
    one = gls_blup(LinearMixedModel(X, D, Sigma, 1.0), y)
    four = gls_blup(LinearMixedModel(X, D, 4 * Sigma, 4.0), y)
    guesses = np.allclose(one.fixed, four.fixed) and np.allclose(one.random, four.random)
    errors = np.allclose(one.cov, four.cov)
    names = {(True, True): "nothing", (True, False): "error variances",
             (False, True): "estimate and predictions"}  # fmt: skip
    return names.get((guesses, errors), "everything")


SCALE = choice("mixed-3", _what_changes)

# --- mixed-4: six rails


def six_rails(sigma2: float, tau2: float) -> "pd.DataFrame":
    """One row a rail: its mean against alpha_hat, and its BLUP."""
    import pandas as pd

    y, labels, levels = data.rail()
    model = _rails(sigma2, tau2)
    effects = gls_blup(model, y)
    own = model.D.T @ y / model.D.sum(axis=0) - effects.fixed
    return pd.DataFrame({"Rail": levels, "own": own, "blup": effects.random})


def _rails_changed(**columns: Any) -> "pd.DataFrame":
    table = six_rails(200, 100)
    return table.assign(**{name: change(table) for name, change in columns.items()})


def _level(column: str) -> Any:
    mean = data.rail()[0].mean()  # equal sizes: alpha_hat
    return lambda table: table[column] + mean


RAILS = exercise(
    "mixed-4",
    Table(("own", "blup"), "Rail"),
    lambda: six_rails(200, 100),
    unshrunken=lambda: _rails_changed(blup=lambda table: table["own"]),
    levels_for_blups=lambda: _rails_changed(blup=_level("blup")),
    means_for_deviations=lambda: _rails_changed(own=_level("own")),
    variances_swapped=lambda: six_rails(100, 200),
    standard_deviations=lambda: six_rails(np.sqrt(200), np.sqrt(100)),
)

# --- mixed-5: when least squares will do


def _columns(answer: object) -> Array:
    X = array(answer, "a matrix X")
    X = X[:, None] if X.ndim == 1 else X
    if X.ndim != 2 or len(X) != 18:
        raise Unfit(f"X needs one row for each of the 18 measurements; yours has shape {X.shape}.")
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise Unfit("The columns of your X are linearly dependent: alpha is not identified.")
    return X


def _gls_of(X: Array) -> Array:
    V_inv_X = np.linalg.solve(_rails(1, 1).V, X)
    rule: Array = np.linalg.solve(X.T @ V_inv_X, V_inv_X.T)
    return rule


def _inside(X: Array) -> Array:
    """Which columns are constant within rails."""
    D = _rails(1, 1).D
    return np.asarray(np.abs(X - D @ (D.T @ X) / 3).max(axis=0) < 1e-9)


def _across(X: Array) -> Array:
    """Which columns sum to zero in every rail."""
    return np.asarray(np.abs(_rails(1, 1).D.T @ X).max(axis=0) < 1e-9)


SAME = exercise(
    "mixed-5",
    Counterexample(_columns, _gls_of, np.linalg.pinv),
    constant_within=lambda X: bool(_inside(X).all()),
    sums_to_zero=lambda X: bool(_across(X).all()),
    one_or_the_other=lambda X: bool(np.logical_or(_inside(X), _across(X)).all()),
)

# --- mixed-6: how much predictions vary


def _model_parts(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    return X, D, data.spd(rng, D.shape[1]), data.variances(rng)[1] / 3


def _error_variance(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    return gls_blup(LinearMixedModel(X, D, Sigma, tau2), np.zeros(len(X))).random_cov


def _conditional_variance(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    return _error_variance(np.zeros((len(D), 0)), D, Sigma, tau2)


def variance_of_blup(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    """Var(beta_tilde) = Sigma - PEV, shape (J, J)."""
    return Sigma - _error_variance(X, D, Sigma, tau2)


VARIANCE = exercise(
    "mixed-6",
    Function("f(X, D, Sigma, tau2)", _model_parts, Numbers(EXACT)),
    variance_of_blup,
    error_variance=_error_variance,
    conditional_variance=_conditional_variance,
    known_alpha=lambda X, D, S, t: S - _conditional_variance(X, D, S, t),
    variance_of_beta=lambda X, D, S, t: S,
    diagonal_only=lambda X, D, S, t: np.diag(variance_of_blup(X, D, S, t)),
)
