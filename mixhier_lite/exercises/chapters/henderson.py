"""Exercises of chapter *henderson*."""

from typing import Any

import numpy as np

from ...inputs import Array
from ...known.groups import indicator
from ...known.henderson import henderson, mixed_model_equations
from ...known.mixed import LinearMixedModel, gls_blup
from ..framework import EXACT, Counterexample, Function, Number, Unfit, array, data, exercise

# --- henderson-1: the size of the system


def _tripled() -> LinearMixedModel:
    _, floor, _, county = data.radon()
    X = np.tile(np.column_stack([np.ones(len(floor)), floor]), (3, 1))
    D = np.tile(indicator(county), (3, 1))
    return LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)


def _size() -> float:
    return float(len(mixed_model_equations(_tripled())))


SIZE = exercise(
    "henderson-1",
    Number(EXACT),
    _size,
    size_of_V=lambda: _tripled().n,
    size_of_V_before=lambda: _tripled().n / 3,
    tripled=lambda: 3 * _size(),
    fixed_effects_left_out=lambda: _tripled().J,
    one_fixed_effect_short=lambda: _tripled().J + 1,
)

# --- henderson-2: solve them


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    return X, D, rng.normal(5, 2, len(X)), float(rng.uniform(2, 5))


def solved(X: Array, D: Array, y: Array, lam: float) -> Array:
    """Solve for (alpha, beta) with Sigma = sigma2 I and lam = tau2 / sigma2, shape (p + J,)."""
    effects = henderson(LinearMixedModel(X, D, np.eye(D.shape[1]), lam), y)
    return np.append(effects.fixed, effects.random)


def _all_penalised(X: Array, D: Array, y: Array, lam: float) -> Any:
    W = np.hstack([X, D])
    return np.linalg.solve(W.T @ W + lam * np.eye(W.shape[1]), W.T @ y)


EQUATIONS = exercise(
    "henderson-2",
    Function("f(X, D, y, lam)", _data),
    solved,
    all_penalised=_all_penalised,
    unpenalised=lambda X, D, y, lam: np.linalg.lstsq(np.hstack([X, D]), y, rcond=None)[0],
    upside_down=lambda X, D, y, lam: solved(X, D, y, 1 / lam),
    squared_penalty=lambda X, D, y, lam: solved(X, D, y, lam**2),
    beta_first=lambda X, D, y, lam: np.roll(solved(X, D, y, lam), D.shape[1]),
)

# --- henderson-3: the sd of an error


def _plates() -> LinearMixedModel:
    _, plate, sample = data.penicillin()
    D = indicator(plate)
    return LinearMixedModel(indicator(sample), D, 0.7 * np.eye(D.shape[1]), 0.3)


def _pev() -> float:
    model = _plates()
    return float(henderson(model, np.zeros(model.n)).random_cov[0, 0])


def _cond_var() -> float:
    model = _plates()
    known = LinearMixedModel(np.zeros((model.n, 0)), model.D, model.Sigma, model.tau2)
    return float(henderson(known, np.zeros(model.n)).random_cov[0, 0])


PLATE = exercise(
    "henderson-3",
    Number(),
    lambda: np.sqrt(_pev()),
    variance=_pev,
    known_means=lambda: np.sqrt(_cond_var()),
    conditional_variance=_cond_var,
    noise_left_out=lambda: np.sqrt(_pev() / _plates().tau2),
    sd_of_prediction=lambda: np.sqrt(_plates().Sigma[0, 0] - _pev()),
)

# --- henderson-4: predictions that do not cancel


def _any_design(answer: object) -> Array:
    D = array(answer, "a matrix D")
    if D.ndim != 2 or len(D) < 3 or D.shape[1] < 2:
        raise Unfit(f"D needs three rows and two columns at least; yours has shape {D.shape}.")
    return D


def _predictions(D: Array) -> Array:
    """Every beta_tilde that a unit response gives, shape (J, n)."""
    model = LinearMixedModel(np.ones((len(D), 1)), D, np.eye(D.shape[1]), 1.0)
    return np.column_stack([gls_blup(model, unit).random for unit in np.eye(len(D))])


CANCEL = exercise(
    "henderson-4",
    Counterexample(_any_design, _predictions, lambda D: _predictions(D) - _predictions(D).mean(0)),
    an_indicator=lambda D: bool(np.isin(D, (0, 1)).all() and (D.sum(axis=1) == 1).all()),
    equal_rows=lambda D: bool(np.abs(D - D.mean(axis=0)).max() < 1e-9),
    equal_sums=lambda D: bool(np.ptp(D.sum(axis=1)) < 1e-9),
)

# --- henderson-5: absorb the random effects


def _parts(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng, p=3)
    return X, D, data.spd(rng, D.shape[1]), data.variances(rng)[1] / 3


def absorbed(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    """What is left of X'X once beta is eliminated, shape (p, p)."""
    model = LinearMixedModel(X, D, Sigma, tau2)
    left: Array = tau2 * X.T @ np.linalg.solve(model.V, X)
    return left


ABSORB = exercise(
    "henderson-5",
    Function("f(X, D, Sigma, tau2)", _parts),
    absorbed,
    divided_by_tau2=lambda X, D, S, t: absorbed(X, D, S, t) / t,
    inverted=lambda X, D, S, t: np.linalg.inv(absorbed(X, D, S, t) / t),
    beta_as_fixed=lambda X, D, S, t: X.T @ X - X.T @ D @ np.linalg.pinv(D.T @ D) @ D.T @ X,
    nothing_eliminated=lambda X, D, S, t: X.T @ X,
    Sigma_not_inverted=lambda X, D, S, t: (
        X.T @ X - X.T @ D @ np.linalg.inv(D.T @ D + t * S) @ D.T @ X
    ),
)
