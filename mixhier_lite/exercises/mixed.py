"""Exercises of chapter *mixed*."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exercises import material
from ..inputs import Array
from ..known.groups import indicator
from ..known.mixed import LinearMixedModel, gls_blup
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Table, Word
from .reading import Unfit, array

if TYPE_CHECKING:
    import pandas as pd

# --- mixed-1: two measurements of one rail


def _rails(sigma2: float, tau2: float) -> LinearMixedModel:
    _, labels, levels = material.rail()
    return LinearMixedModel(np.ones((18, 1)), indicator(labels), sigma2 * np.eye(len(levels)), tau2)


def _alike() -> float:
    V = _rails(616, 16).V
    return float(V[0, 1] / V[0, 0])


ALIKE = Exercise(
    "mixed-1",
    "How alike are two measurements?",
    "easy",
    "compute",
    Number(),
    _alike,
    (
        Mistake(
            lambda: _rails(616, 16).V[0, 1],
            "That is the covariance; a correlation divides it by the variance of one measurement.",
        ),
        Mistake(
            lambda: np.sqrt(616) / (np.sqrt(616) + np.sqrt(16)),
            "You put standard deviations in: variances add up, standard deviations do not.",
        ),
        Mistake(
            lambda: 616 / 16,
            "That is the ratio of the two variances; the variance of a measurement is their sum.",
        ),
        Mistake(
            lambda: 1 - _alike(),
            "That is the share of the noise; two measurements of one rail share the other part.",
        ),
    ),
    "Two measurements of one rail are nearly the same number: the rails differ, the gauge is good.",
)

# --- mixed-2: the general mean of unequal strains


def _strain_means(rng: np.random.Generator) -> tuple[Any, ...]:
    n = rng.permutation(np.arange(1, 12))[: rng.integers(3, 7)]
    return n, rng.normal(20, 3, len(n)), *material.variances(rng)


def _weighted(n: Array, means: Array, weights: Array) -> float:
    return float(weights @ means / weights.sum())


def general_mean(n: Array, means: Array, sigma2: float, tau2: float) -> float:
    """GLS of one mean: weights one over the variance of a strain's mean."""
    return _weighted(n, means, 1 / (sigma2 + tau2 / n))


GENERAL_MEAN = Exercise(
    "mixed-2",
    "A mean of unequal strains",
    "medium",
    "compute",
    Function("f(n, means, sigma2, tau2)", _strain_means, Number(EXACT)),
    general_mean,
    (
        Mistake(
            lambda n, m, s, t: _weighted(n, m, n),
            "You weight by the number of mice. That is least squares: it forgets that mice of one "
            "strain err together.",
        ),
        Mistake(
            lambda n, m, s, t: _weighted(n, m, np.ones(len(n))),
            "You give all strains the same weight, as if there were no noise in their means.",
        ),
        Mistake(
            lambda n, m, s, t: _weighted(n, m, s + t / n),
            "You weight by the variances of the means; a larger variance deserves less weight.",
        ),
        Mistake(
            lambda n, m, s, t: general_mean(n, m, t, s),
            "You changed the places of the two variances: sigma2 belongs to the strains, tau2 is "
            "divided by the number of mice.",
        ),
        Mistake(
            lambda n, m, s, t: general_mean(n, m, np.sqrt(s), np.sqrt(t)),
            "You took roots of variances; sigma2 and tau2 go in as they are.",
        ),
    ),
    "Each strain counts with one over the variance of its mean.",
)

# --- mixed-3: a change of scale of the variances


def _what_changes() -> str:
    rng = np.random.default_rng()
    X, D = material.design(rng)
    Sigma, y = material.spd(rng, D.shape[1]), rng.standard_normal(len(D))
    one = gls_blup(LinearMixedModel(X, D, Sigma, 1.0), y)
    four = gls_blup(LinearMixedModel(X, D, 4 * Sigma, 4.0), y)
    guesses = np.allclose(one.fixed, four.fixed) and np.allclose(one.random, four.random)
    errors = np.allclose(one.cov, four.cov)
    names = {(True, True): "nothing", (True, False): "error variances",
             (False, True): "estimate and predictions"}  # fmt: skip
    return names.get((guesses, errors), "everything")


SCALE = Exercise(
    "mixed-3",
    "Four times the variance",
    "easy",
    "predict",
    Word(("nothing", "estimate and predictions", "error variances", "everything")),
    _what_changes,
    (
        Mistake(
            lambda: "everything",
            "Put 4 V for V and 4 Sigma for Sigma into the two formulas and cancel what cancels.",
        ),
        Mistake(
            lambda: "estimate and predictions",
            "Both formulas hold V once as an inverse, and once again as an inverse or as Sigma. "
            "Does a common factor survive?",
        ),
        Mistake(
            lambda: "nothing",
            "Look at the variance of the estimate: its formula holds V without a counterpart.",
        ),
    ),
    "Only the ratio of the variances moves the point; their size moves the width.",
)

# --- mixed-4: six rails


def six_rails(sigma2: float, tau2: float) -> "pd.DataFrame":
    """One row a rail: its mean against alpha_hat, and its BLUP."""
    import pandas as pd

    y, labels, levels = material.rail()
    model = _rails(sigma2, tau2)
    effects = gls_blup(model, y)
    own = model.D.T @ y / model.D.sum(axis=0) - effects.fixed
    return pd.DataFrame({"Rail": levels, "own": own, "blup": effects.random})


def _rails_changed(**columns: Any) -> "pd.DataFrame":
    table = six_rails(200, 100)
    return table.assign(**{name: change(table) for name, change in columns.items()})


def _level(column: str) -> Any:
    mean = material.rail()[0].mean()  # equal sizes: alpha_hat
    return lambda table: table[column] + mean


RAILS = Exercise(
    "mixed-4",
    "Six rails",
    "medium",
    "compute",
    Table(("own", "blup"), "Rail"),
    lambda: six_rails(200, 100),
    (
        Mistake(
            lambda: _rails_changed(blup=lambda table: table["own"]),
            "Your predictions are the deviations of the means: nothing has been pulled to zero.",
        ),
        Mistake(
            lambda: _rails_changed(blup=_level("blup")),
            "Your column blup holds the levels of the rails; the BLUP is the deviation beta.",
        ),
        Mistake(
            lambda: _rails_changed(own=_level("own")),
            "Your column own holds the means themselves; take the estimate of the general mean "
            "away.",
        ),
        Mistake(
            lambda: six_rails(100, 200),
            "You changed the places of the two variances.",
        ),
        Mistake(
            lambda: six_rails(np.sqrt(200), np.sqrt(100)),
            "You put standard deviations in; Sigma and tau2 hold variances.",
        ),
    ),
    "Equal sizes, equal shrinkage: every deviation is multiplied by the same factor.",
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


SAME = Exercise(
    "mixed-5",
    "When will least squares do?",
    "medium",
    "break",
    Counterexample(_columns, _gls_of, np.linalg.pinv),
    None,
    (
        Mistake(
            lambda X: bool(_inside(X).all()),
            "All your columns are constant within rails. Then every rail counts with its mean, "
            "and with equal sizes the means count alike in both recipes.",
        ),
        Mistake(
            lambda X: bool(_across(X).all()),
            "All your columns sum to zero within every rail: a comparison inside a rail, which "
            "beta cannot disturb.",
        ),
        Mistake(
            lambda X: bool(np.logical_or(_inside(X), _across(X)).all()),
            "Each of your columns is either constant within rails or sums to zero in each. Let "
            "one column do a little of both.",
        ),
    ),
    "A covariate that varies within and between groups is weighed differently by the two recipes.",
)

# --- mixed-6: how much predictions vary


def _model_parts(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng)
    return X, D, material.spd(rng, D.shape[1]), material.variances(rng)[1] / 3


def _error_variance(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    return gls_blup(LinearMixedModel(X, D, Sigma, tau2), np.zeros(len(X))).random_cov


def _conditional_variance(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    return _error_variance(np.zeros((len(D), 0)), D, Sigma, tau2)


def variance_of_blup(X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    """Var(beta_tilde) = Sigma - PEV, shape (J, J)."""
    return Sigma - _error_variance(X, D, Sigma, tau2)


VARIANCE = Exercise(
    "mixed-6",
    "Predictions vary too little",
    "hard",
    "prove",
    Function("f(X, D, Sigma, tau2)", _model_parts, Numbers(EXACT)),
    variance_of_blup,
    (
        Mistake(
            _error_variance,
            "That is the variance of the error beta_tilde - beta (PEV, random_cov); the question "
            "asks how the prediction itself varies.",
        ),
        Mistake(
            _conditional_variance,
            "That is the conditional variance of beta, for known alpha: an error again, and "
            "without the price of estimating alpha.",
        ),
        Mistake(
            lambda X, D, S, t: S - _conditional_variance(X, D, S, t),
            "You are close in kind: this is the variance of the prediction if alpha were known. "
            "Here it is estimated.",
        ),
        Mistake(
            lambda X, D, S, t: S,
            "That is the variance of beta. Predictions are pulled to zero, so they vary less.",
        ),
        Mistake(
            lambda X, D, S, t: np.diag(variance_of_blup(X, D, S, t)),
            "These are the variances alone; the question asks for the whole covariance matrix.",
        ),
    ),
    "What the prediction and its error vary adds up to what beta varies.",
)

EXERCISES = (ALIKE, GENERAL_MEAN, SCALE, RAILS, SAME, VARIANCE)
