"""Exercises of chapter *equivalence*."""

from typing import Any

import numpy as np

from ...errors import InputError
from ...inputs import Array
from ...known.flat import flat
from ...known.groups import indicator
from ...known.henderson import henderson
from ...known.hierarchical import gaussian, posterior
from ...known.mixed import LinearMixedModel, gls_blup
from ...known.ridge import ridge
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Numbers,
    Unfit,
    array,
    choice,
    data,
    exercise,
    parts,
)

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


REFUSING = choice("equivalence-1", _refusing)

# --- equivalence-2: from a penalty to an error


def _from_penalty(lam: float, tau2: float, known: bool = False) -> float:
    """Prediction error variance of the first batch, with sigma2 = tau2 / lam."""
    from ...datasets import load

    D = indicator(load("Dyestuff")["Batch"].to_numpy(str))
    X = np.ones((len(D), 0 if known else 1))
    model = LinearMixedModel(X, D, tau2 / lam * np.eye(D.shape[1]), tau2)
    return float(henderson(model, np.zeros(len(D))).random_cov[0, 0])


PENALTY = exercise(
    "equivalence-2",
    Number(),
    lambda: np.sqrt(_from_penalty(1.5, 2451)),
    variance=lambda: _from_penalty(1.5, 2451),
    known_intercept=lambda: np.sqrt(_from_penalty(1.5, 2451, known=True)),
    multiplied=lambda: np.sqrt(_from_penalty(1 / 1.5, 2451)),
    sd_of_prediction=lambda: np.sqrt(2451 / 1.5 - _from_penalty(1.5, 2451)),
    sigma_itself=lambda: np.sqrt(2451 / 1.5),
)

# --- equivalence-3: the dual road


def _general(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    y = rng.normal(5, 2, len(X))
    return X, D, data.spd(rng, D.shape[1]), data.variances(rng)[1] / 3, y


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


DUAL = exercise(
    "equivalence-3",
    Function("f(X, D, Sigma, tau2, y)", _general),
    both,
    diagonal_of_Sigma=lambda X, D, S, t, y: both(X, D, np.diag(np.diag(S)), t, y),
    without_Sigma=lambda X, D, S, t, y: both(X, D, np.eye(len(S)), t, y),
    Sigma_not_multiplied=_unscaled,
    u_for_beta=_as_u,
    least_squares_first=_no_border,
)

# --- equivalence-4: a prior that changes differences


def _model_of(answer: object) -> LinearMixedModel:
    pair = parts(answer, 2, "(X, D) of two matrices")
    X, D = (array(part, "matrices X and D") for part in pair)
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


DIFFERENCES = exercise(
    "equivalence-4",
    Counterexample(
        _model_of, lambda m: _differences(m, proper=False), lambda m: _differences(m, proper=True)
    ),
    balanced_intercept=_plain_and_balanced,
    blind_to_alpha=_blind,
    equal_shares=lambda m: True,
)

# --- equivalence-5: other columns, the same space


def _recoded(rng: np.random.Generator) -> tuple[Any, ...]:
    p = 2
    J = int(rng.integers(2, 5))
    return data.spd(rng, p + J), rng.standard_normal((p, p)) + 2 * np.array([[0, 1], [1, 0]])


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


RECODED = exercise(
    "equivalence-5",
    Function("f(cov, A)", _recoded, Numbers(EXACT)),
    recoded,
    wrong_way=lambda cov, A: recoded(cov, A, other=A),
    transposed=lambda cov, A: recoded(cov, A, other=np.linalg.inv(A).T),
    one_block_only=_fixed_block_only,
    unchanged=lambda cov, A: cov,
)
