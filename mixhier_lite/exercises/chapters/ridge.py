"""Exercises of chapter *ridge*."""

from typing import Any

import numpy as np

from ...inputs import Array
from ...known.groups import indicator
from ...known.mixed import LinearMixedModel, gls_blup
from ...known.ridge import ridge
from ...linalg import covariance
from ..framework import EXACT, Counterexample, Function, Number, Unfit, Word, array, data, exercise

# --- ridge-1: how many records


def _share_and_variances(rng: np.random.Generator) -> tuple[Any, ...]:
    return float(rng.uniform(0.55, 0.95)), *data.variances(rng)


def records(share: float, sigma2: float, tau2: float) -> float:
    """Solve n / (n + lambda) = share for n."""
    return share / (1 - share) * tau2 / sigma2


RECORDS = exercise(
    "ridge-1",
    Function("f(share, sigma2, tau2)", _share_and_variances, Number(EXACT)),
    records,
    upside_down=lambda k, s, t: k / (1 - k) * s / t,
    share_lost=lambda k, s, t: (1 - k) / k * t / s,
    roots=lambda k, s, t: k / (1 - k) * np.sqrt(t / s),
    solved_once=lambda k, s, t: k * t / s,
    rounded_up=lambda k, s, t: np.ceil(records(k, s, t)),
)

# --- ridge-2: who moves most

COUNTIES = ("cook", "faribault", "lake", "mahnomen", "stlouis")


def _movers() -> dict[str, tuple[float, float]]:
    """Mean residual and BLUP of five counties."""
    y, floor, _, county = data.radon()
    X = np.column_stack([np.ones(len(y)), floor])
    D = indicator(county)
    effects = ridge(LinearMixedModel(X, D, 0.1 * np.eye(D.shape[1]), 0.6), y)
    own = D.T @ (y - X @ effects.fixed) / D.sum(axis=0)
    names = [name.lower() for name in np.unique(county)]
    return {c: (own[names.index(c)], effects.random[names.index(c)]) for c in COUNTIES}


def _moves_most() -> str:
    moved = {name: abs(own - blup) for name, (own, blup) in _movers().items()}
    return max(moved, key=lambda name: moved[name])


def _largest(part: int) -> str:
    found = _movers()
    return max(found, key=lambda name: abs(found[name][part]))


def _size(largest: bool) -> str:
    labels = [label.lower() for label in data.radon()[3].tolist()]
    count = {name: labels.count(name) for name in COUNTIES}
    return max(count, key=lambda name: count[name] if largest else -count[name])


MOVER = exercise(
    "ridge-2",
    Word(COUNTIES),
    _moves_most,
    smallest=lambda: _size(largest=False),
    furthest_out=lambda: _largest(0),
    largest=lambda: _size(largest=True),
)

# --- ridge-3: leave one out


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    return X, D, rng.normal(5, 2, len(X)), float(rng.uniform(0.5, 3))


def _fitted(X: Array, D: Array, y: Array, lam: float) -> tuple[Array, Array]:
    """Residuals and leverages of the whole fit."""
    W = np.hstack([X, D])
    penalty = np.diag(np.append(np.zeros(X.shape[1]), np.full(D.shape[1], lam)))
    hat = W @ np.linalg.solve(W.T @ W + penalty, W.T)
    return y - hat @ y, np.diag(hat)


def left_out(X: Array, D: Array, y: Array, lam: float) -> Array:
    """Errors of predicting each row from all others, shape (n,)."""
    e, h = _fitted(X, D, y, lam)
    return np.asarray(e / (1 - h))


def _unpenalised_leverage(X: Array, D: Array) -> Array:
    W = np.hstack([X, D])
    return np.asarray((W @ np.linalg.pinv(W)).diagonal())


def _leverage_of_groups(D: Array, lam: float) -> Array:
    return np.asarray((D @ np.diag(1 / (D.sum(axis=0) + lam)) @ D.T).diagonal())


def _projected_once(X: Array, D: Array, y: Array, lam: float) -> Array:
    Q_X = np.eye(len(y)) - X @ np.linalg.pinv(X)
    e, h = _fitted(X[:, :0], Q_X @ D, Q_X @ y, lam)
    return np.asarray(e / (1 - h))


def _penalised_covariates(X: Array, D: Array, y: Array, lam: float) -> Array:
    return left_out(X[:, :1], np.hstack([X[:, 1:], D]), y, lam)


LEFT_OUT = exercise(
    "ridge-3",
    Function("f(X, D, y, lam)", _data),
    left_out,
    residuals=lambda X, D, y, lam: _fitted(X, D, y, lam)[0],
    sign=lambda X, D, y, lam: -left_out(X, D, y, lam),
    unpenalised_leverages=lambda X, D, y, lam: (
        _fitted(X, D, y, lam)[0] / (1 - _unpenalised_leverage(X, D))
    ),
    leverages_of_groups=lambda X, D, y, lam: (
        _fitted(X, D, y, lam)[0] / (1 - _leverage_of_groups(D, lam))
    ),
    predictions=lambda X, D, y, lam: y - left_out(X, D, y, lam),
    projected_once=_projected_once,
    penalised_covariate=_penalised_covariates,
)

# --- ridge-4: another Sigma, the same predictions


def _rails() -> Array:
    _, labels, _ = data.rail()
    return indicator(labels)


def _covariance(answer: object) -> Array:
    S = array(answer, "a covariance matrix")
    if S.shape != (6, 6):
        raise Unfit(f"Sigma has a row and a column for each of six rails; yours is {S.shape}.")
    S, _ = covariance(S, "Sigma", 6, "rail")
    if np.abs(S - S[0, 0] * np.eye(6)).max() < 1e-9 * max(S[0, 0], 1e-9):
        raise Unfit("Your Sigma is a multiple of the identity, for which everybody expects it.")
    return S


def _rule(S: Array) -> Array:
    """The matrix that turns y into the predictions, for tau2 = 1 and one intercept."""
    model = LinearMixedModel(np.ones((18, 1)), _rails(), S, 1.0)
    return np.column_stack([gls_blup(model, unit).random for unit in np.eye(18)])


def _is_a_ridge(S: Array) -> float:
    """One if some lambda gives the same predictions for every y, else zero."""
    contrast = np.array([1.0, -1, 0, 0, 0, 0])
    sigma2 = contrast @ S @ contrast / 2
    return float(sigma2 > 1e-9 and np.allclose(_rule(S), _rule(sigma2 * np.eye(6)), atol=1e-9))


def _off_diagonal(S: Array) -> Array:
    return S[~np.eye(6, dtype=bool)]


OTHER = exercise(
    "ridge-4",
    Counterexample(_covariance, _is_a_ridge, lambda S: 0.0),
    independent=lambda S: bool(np.abs(_off_diagonal(S)).max() < 1e-12),
    equal_covariances=lambda S: bool(np.ptp(_off_diagonal(S)) < 1e-9),
    equal_variances=lambda S: bool(np.ptp(np.diag(S)) < 1e-9),
    unequal_differences=lambda S: True,
)

# --- ridge-5: degrees of freedom of unequal groups


def _sizes(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.permutation(np.arange(1, 12))[: rng.integers(3, 7)], float(rng.uniform(0.5, 4))


def freedom(n: Array, lam: float) -> float:
    """Effective degrees of freedom of D beta_tilde beside one intercept."""
    w = n / (n + lam)
    return float(w.sum() - (w**2).sum() / w.sum())


FREEDOM = exercise(
    "ridge-5",
    Function("f(n, lam)", _sizes, Number(EXACT)),
    freedom,
    known_intercept=lambda n, lam: (n / (n + lam)).sum(),
    whole_parameter=lambda n, lam: (n / (n + lam)).sum() - 1,
    whole_fit=lambda n, lam: freedom(n, lam) + 1,
    as_if_balanced=lambda n, lam: (len(n) - 1) * (n / (n + lam)).mean(),
    upside_down=lambda n, lam: freedom(n, 1 / lam),
)
