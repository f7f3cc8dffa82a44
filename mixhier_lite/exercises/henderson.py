"""Exercises of chapter *henderson*."""

from typing import Any

import numpy as np

from ..exercises import material
from ..inputs import Array
from ..known.groups import indicator
from ..known.henderson import henderson, mixed_model_equations
from ..known.mixed import LinearMixedModel, gls_blup
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number
from .reading import Unfit, array

# --- henderson-1: the size of the system


def _tripled() -> LinearMixedModel:
    _, floor, _, county = material.radon()
    X = np.tile(np.column_stack([np.ones(len(floor)), floor]), (3, 1))
    D = np.tile(indicator(county), (3, 1))
    return LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)


def _size() -> float:
    return float(len(mixed_model_equations(_tripled())))


SIZE = Exercise(
    "henderson-1",
    "How many equations?",
    "easy",
    "predict",
    Number(EXACT),
    _size,
    (
        Mistake(
            lambda: _tripled().n,
            "That is the size of V, which has a row for each measurement. Henderson's matrix has "
            "a row for each unknown.",
        ),
        Mistake(
            lambda: _tripled().n / 3,
            "That is the size of V before anything was measured again. Count unknowns, not rows.",
        ),
        Mistake(
            lambda: 3 * _size(),
            "You tripled it. The entries are sums over rows: do sums have more entries when there "
            "are more rows?",
        ),
        Mistake(
            lambda: _tripled().J,
            "You counted the random effects; the fixed effects are unknowns of the system too.",
        ),
        Mistake(lambda: _tripled().J + 1, "You left one of the fixed effects out."),
    ),
    "More rows, larger sums, the same equations.",
)

# --- henderson-2: solve them


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng)
    return X, D, rng.normal(5, 2, len(X)), float(rng.uniform(2, 5))


def solved(X: Array, D: Array, y: Array, lam: float) -> Array:
    """Solve for (alpha, beta) with Sigma = sigma2 I and lam = tau2 / sigma2, shape (p + J,)."""
    effects = henderson(LinearMixedModel(X, D, np.eye(D.shape[1]), lam), y)
    return np.append(effects.fixed, effects.random)


def _all_penalised(X: Array, D: Array, y: Array, lam: float) -> Any:
    W = np.hstack([X, D])
    return np.linalg.solve(W.T @ W + lam * np.eye(W.shape[1]), W.T @ y)


EQUATIONS = Exercise(
    "henderson-2",
    "Solve them",
    "medium",
    "compute",
    Function("f(X, D, y, lam)", _data),
    solved,
    (
        Mistake(
            _all_penalised,
            "You penalised the fixed effects too: lam belongs into the block of D'D only.",
        ),
        Mistake(
            lambda X, D, y, lam: np.linalg.lstsq(np.hstack([X, D]), y, rcond=None)[0],
            "This is least squares on [X, D]: the penalty is missing.",
        ),
        Mistake(
            lambda X, D, y, lam: solved(X, D, y, 1 / lam),
            "Your penalty is upside down: lam is the noise over the variance of the effects.",
        ),
        Mistake(
            lambda X, D, y, lam: solved(X, D, y, lam**2),
            "You added the square of lam: rows are stacked with its root, a matrix gets lam "
            "itself.",
        ),
        Mistake(
            lambda X, D, y, lam: np.roll(solved(X, D, y, lam), D.shape[1]),
            "The numbers are right, the order is not: alpha comes first.",
        ),
    ),
    "p + J equations, and no matrix with n rows and n columns.",
)

# --- henderson-3: the sd of an error


def _plates() -> LinearMixedModel:
    _, plate, sample = material.penicillin()
    D = indicator(plate)
    return LinearMixedModel(indicator(sample), D, 0.7 * np.eye(D.shape[1]), 0.3)


def _pev() -> float:
    model = _plates()
    return float(henderson(model, np.zeros(model.n)).random_cov[0, 0])


def _cond_var() -> float:
    model = _plates()
    known = LinearMixedModel(np.zeros((model.n, 0)), model.D, model.Sigma, model.tau2)
    return float(henderson(known, np.zeros(model.n)).random_cov[0, 0])


PLATE = Exercise(
    "henderson-3",
    "How well is a plate known?",
    "medium",
    "compute",
    Number(),
    lambda: np.sqrt(_pev()),
    (
        Mistake(_pev, "This is a variance; the question asks for a standard deviation."),
        Mistake(
            lambda: np.sqrt(_cond_var()),
            "This is the conditional standard deviation, with the means of the samples known. "
            "They are estimated: invert the whole matrix, then take the block.",
        ),
        Mistake(
            _cond_var,
            "This is the conditional variance: not the root, and with the means of the samples "
            "known.",
        ),
        Mistake(
            lambda: np.sqrt(_pev() / _plates().tau2),
            "You took the root of the inverse matrix alone: the noise variance multiplies it.",
        ),
        Mistake(
            lambda: np.sqrt(_plates().Sigma[0, 0] - _pev()),
            "This is the standard deviation of the prediction, over repetitions of the study; the "
            "question asks for that of its error.",
        ),
    ),
    "The block of the inverse, not the inverse of the block.",
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


CANCEL = Exercise(
    "henderson-4",
    "Predictions that do not cancel",
    "medium",
    "break",
    Counterexample(_any_design, _predictions, lambda D: _predictions(D) - _predictions(D).mean(0)),
    None,
    (
        Mistake(
            lambda D: bool(np.isin(D, (0, 1)).all() and (D.sum(axis=1) == 1).all()),
            "Your D is an indicator of groups: its columns add up to the column of ones, and the "
            "theorem holds. D may be any real matrix.",
        ),
        Mistake(
            lambda D: bool(np.abs(D - D.mean(axis=0)).max() < 1e-9),
            "All rows of your D are equal: the intercept takes everything, and all predictions "
            "are zero.",
        ),
        Mistake(
            lambda D: bool(np.ptp(D.sum(axis=1)) < 1e-9),
            "All rows of your D have the same sum, so D1 is a multiple of the column of ones: the "
            "condition of the theorem is met in disguise.",
        ),
    ),
    "It is D1 that has to lie in the column space of X; an intercept does this for indicators.",
)

# --- henderson-5: absorb the random effects


def _parts(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng, p=3)
    return X, D, material.spd(rng, D.shape[1]), material.variances(rng)[1] / 3


def absorbed(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    """What is left of X'X once beta is eliminated, shape (p, p)."""
    model = LinearMixedModel(X, D, Sigma, tau2)
    left: Array = tau2 * X.T @ np.linalg.solve(model.V, X)
    return left


ABSORB = Exercise(
    "henderson-5",
    "Absorb the random effects",
    "hard",
    "prove",
    Function("f(X, D, Sigma, tau2)", _parts),
    absorbed,
    (
        Mistake(
            lambda X, D, S, t: absorbed(X, D, S, t) / t,
            "A factor is missing: Henderson's equations, as the book writes them, were multiplied "
            "by the noise variance.",
        ),
        Mistake(
            lambda X, D, S, t: np.linalg.inv(absorbed(X, D, S, t) / t),
            "This is the variance of the estimate; the matrix itself is asked for, not an inverse.",
        ),
        Mistake(
            lambda X, D, S, t: X.T @ X - X.T @ D @ np.linalg.pinv(D.T @ D) @ D.T @ X,
            "You eliminated without the penalty: this treats beta as fixed.",
        ),
        Mistake(
            lambda X, D, S, t: X.T @ X,
            "This is the block before anything is eliminated.",
        ),
        Mistake(
            lambda X, D, S, t: X.T @ X - X.T @ D @ np.linalg.inv(D.T @ D + t * S) @ D.T @ X,
            "Your penalty holds Sigma where its inverse belongs.",
        ),
    ),
    "The small system hides V: to absorb beta is to integrate it out.",
)

EXERCISES = (SIZE, EQUATIONS, PLATE, CANCEL, ABSORB)
