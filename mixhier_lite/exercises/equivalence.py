"""Exercises of chapter *equivalence*."""

from typing import Any

import numpy as np

from ..errors import InputError
from ..exercises import material
from ..inputs import Array
from ..known.flat import flat
from ..known.groups import indicator
from ..known.henderson import henderson
from ..known.hierarchical import gaussian, posterior
from ..known.mixed import LinearMixedModel, gls_blup
from ..known.ridge import ridge
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Word
from .reading import Unfit, array

# --- equivalence-1: three odd things at once


def _refusing() -> str:
    D = indicator([0, 0, 1, 1], levels=range(3))
    twins = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    model = LinearMixedModel(np.zeros((4, 0)), D, twins, 1.0)
    routes: dict[str, Any] = {"gls_blup": gls_blup, "henderson": henderson, "ridge": ridge,
              "posterior": lambda m, y: posterior(m, y, flat(0))}  # fmt: skip
    refused = []
    for name, route in routes.items():
        try:
            route(model, np.arange(4.0))
        except InputError:
            refused.append(name)
    return refused[0] if len(refused) == 1 else "all" if refused else "none"


REFUSING = Exercise(
    "equivalence-1",
    "Three odd things at once",
    "easy",
    "predict",
    Word(("none", "gls_blup", "henderson", "ridge", "posterior", "all")),
    _refusing,
    (
        Mistake(
            lambda: "all",
            "A model without fixed effects is a model, and a group without rows keeps its prior. "
            "Only one of the three oddities is an obstacle, and not on every road.",
        ),
        Mistake(
            lambda: "none",
            "Two of the three oddities are harmless. Which road divides by the third?",
        ),
        Mistake(
            lambda: "posterior",
            "Bayes' rule multiplies factors over u, with beta = L u, and needs a root only.",
        ),
        Mistake(
            lambda: "gls_blup",
            "It inverts V, and the noise keeps V positive definite whatever Sigma is.",
        ),
        Mistake(
            lambda: "ridge",
            "It works with the columns D L and with u, whose penalty never depends on Sigma.",
        ),
    ),
    "Only a road that asks for the inverse of Sigma minds that there is none.",
)

# --- equivalence-2: from a penalty to an error


def _from_penalty(lam: float, tau2: float, known: bool = False) -> float:
    """Prediction error variance of the first batch, with sigma2 = tau2 / lam."""
    from ..datasets import load

    D = indicator(load("Dyestuff")["Batch"].to_numpy(str))
    X = np.ones((len(D), 0 if known else 1))
    model = LinearMixedModel(X, D, tau2 / lam * np.eye(D.shape[1]), tau2)
    return float(henderson(model, np.zeros(len(D))).random_cov[0, 0])


PENALTY = Exercise(
    "equivalence-2",
    "From a penalty to an error",
    "medium",
    "compute",
    Number(),
    lambda: np.sqrt(_from_penalty(1.5, 2451)),
    (
        Mistake(
            lambda: _from_penalty(1.5, 2451),
            "This is a variance; the question asks for a standard deviation.",
        ),
        Mistake(
            lambda: np.sqrt(_from_penalty(1.5, 2451, known=True)),
            "This takes the intercept as known (condVar, not PEV); scikit-learn has estimated it.",
        ),
        Mistake(
            lambda: np.sqrt(_from_penalty(1 / 1.5, 2451)),
            "You multiplied by the penalty to get sigma2; it is the noise over sigma2.",
        ),
        Mistake(
            lambda: np.sqrt(2451 / 1.5 - _from_penalty(1.5, 2451)),
            "This is the standard deviation of the prediction, not of its error.",
        ),
        Mistake(
            lambda: np.sqrt(2451 / 1.5),
            "This is sigma itself, what is known of a batch before its measurements.",
        ),
    ),
    "A penalty and a noise variance name a whole model, errors included.",
)

# --- equivalence-3: the dual road


def _general(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng)
    y = rng.normal(5, 2, len(X))
    return X, D, material.spd(rng, D.shape[1]), material.variances(rng)[1] / 3, y


def both(X: Array, D: Array, Sigma: Array, tau2: float, y: Array) -> Array:
    """(alpha_hat, beta_tilde) as one vector, shape (p + J,)."""
    effects = gls_blup(LinearMixedModel(X, D, Sigma, tau2), y)
    return np.append(effects.fixed, effects.random)


def _unscaled(X: Array, D: Array, Sigma: Array, tau2: float, y: Array) -> Array:
    """The part D'c without Sigma."""
    found = both(X, D, Sigma, tau2, y)
    p = X.shape[1]
    return np.append(found[:p], np.linalg.solve(Sigma, found[p:]))


def _as_u(X: Array, D: Array, Sigma: Array, tau2: float, y: Array) -> Array:
    found = both(X, D, Sigma, tau2, y)
    p = X.shape[1]
    return np.append(found[:p], np.linalg.solve(np.linalg.cholesky(Sigma), found[p:]))


def _no_border(X: Array, D: Array, Sigma: Array, tau2: float, y: Array) -> Array:
    alpha = np.linalg.lstsq(X, y, rcond=None)[0]
    V = D @ Sigma @ D.T + tau2 * np.eye(len(D))
    return np.append(alpha, Sigma @ D.T @ np.linalg.solve(V, y - X @ alpha))


DUAL = Exercise(
    "equivalence-3",
    "A fifth road",
    "medium",
    "compute",
    Function("f(X, D, Sigma, tau2, y)", _general),
    both,
    (
        Mistake(
            lambda X, D, S, t, y: both(X, D, np.diag(np.diag(S)), t, y),
            "You used the diagonal of Sigma alone: relatives have covariances.",
        ),
        Mistake(
            lambda X, D, S, t, y: both(X, D, np.eye(len(S)), t, y),
            "This is ridge on D with the penalty tau2: Sigma has got lost, or it is u on D in "
            "place of D L.",
        ),
        Mistake(
            _unscaled,
            "alpha is right; your second part is D'c, and Sigma is still to be multiplied to it.",
        ),
        Mistake(
            _as_u,
            "alpha is right; your second part is u. The question asks for beta = L u.",
        ),
        Mistake(
            _no_border,
            "You estimated alpha by least squares first, and kriged what was left. The border of "
            "the system does both at once.",
        ),
    ),
    "Kriging: n + p equations, and neither Sigma^-1 nor V^-1 in sight.",
)

# --- equivalence-4: a prior that changes differences


def _model_of(answer: object) -> LinearMixedModel:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (X, D) of two matrices.")
    X, D = (array(part, "matrices X and D") for part in answer)
    X = X[:, None] if X.ndim == 1 else X
    if X.ndim != 2 or D.ndim != 2 or len(X) != len(D):
        raise Unfit(f"X and D need the same rows; yours have shapes {X.shape} and {D.shape}.")
    if not (np.isin(D, (0, 1)).all() and (D.sum(axis=1) == 1).all()) or D.shape[1] < 2:
        raise Unfit("D is to be the indicator of two groups or more.")
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise Unfit("The columns of X are linearly dependent: without a prior there is no answer.")
    return LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)


def _differences(model: LinearMixedModel, proper: bool) -> Array:
    """Predictions minus their mean, for every unit response, shape (J, n)."""
    prior = gaussian(np.zeros(model.p), np.eye(model.p)) if proper else flat(model.p)
    found = np.column_stack([posterior(model, e, prior).random for e in np.eye(model.n)])
    return np.asarray(found - found.mean(axis=0))


def _blind(model: LinearMixedModel) -> bool:
    return bool(np.abs(model.D.T @ model.X).max() < 1e-9)


def _plain_and_balanced(model: LinearMixedModel) -> bool:
    constant = model.p == 1 and float(np.ptp(model.X)) < 1e-9
    return constant and float(np.ptp(model.D.sum(axis=0))) == 0


DIFFERENCES = Exercise(
    "equivalence-4",
    "Only a common shift?",
    "medium",
    "break",
    Counterexample(
        _model_of, lambda m: _differences(m, proper=False), lambda m: _differences(m, proper=True)
    ),
    None,
    (
        Mistake(
            _plain_and_balanced,
            "With an intercept alone and groups of one size, all groups take the same share of "
            "what the prior does to alpha.",
        ),
        Mistake(
            _blind,
            "Your columns sum to zero in every group, so the predictions do not look at alpha at "
            "all.",
        ),
        Mistake(
            lambda m: True,
            "Every group takes the same share of each coefficient: the rows of H are equal. Let "
            "groups differ in size, or in the mean of a covariate.",
        ),
    ),
    "A group hands on the share w of an error in alpha, and w depends on its size.",
)

# --- equivalence-5: other columns, the same space


def _recoded(rng: np.random.Generator) -> tuple[Any, ...]:
    p, J = 2, int(rng.integers(2, 5))
    return material.spd(rng, p + J), rng.standard_normal((p, p)) + 2 * np.array([[0, 1], [1, 0]])


def recoded(cov: Array, A: Array, other: Array | None = None) -> Array:
    """Covariance of (alpha, beta) after X was replaced by X A."""
    p = len(A)
    T = np.eye(len(cov))
    T[:p, :p] = np.linalg.inv(A) if other is None else other
    return np.asarray(T @ cov @ T.T)


def _fixed_block_only(cov: Array, A: Array) -> Array:
    changed = cov.copy()
    p = len(A)
    changed[:p, :p] = recoded(cov, A)[:p, :p]
    return changed


RECODED = Exercise(
    "equivalence-5",
    "Other columns, the same space",
    "hard",
    "prove",
    Function("f(cov, A)", _recoded, Numbers(EXACT)),
    recoded,
    (
        Mistake(
            lambda cov, A: recoded(cov, A, other=A),
            "You went the wrong way: if X A a = X alpha, then a is the inverse of A times alpha.",
        ),
        Mistake(
            lambda cov, A: recoded(cov, A, other=np.linalg.inv(A).T),
            "The inverse of A is transposed: it stands to the left of alpha as it is.",
        ),
        Mistake(
            _fixed_block_only,
            "You changed the block of alpha only; its covariances with beta change as well.",
        ),
        Mistake(
            lambda cov, A: cov,
            "Nothing has changed. The predictions stay, but alpha has new coordinates.",
        ),
    ),
    "Coding is a matter of taste for alpha, and of no consequence for beta.",
)

EXERCISES = (REFUSING, PENALTY, DUAL, DIFFERENCES, RECODED)
