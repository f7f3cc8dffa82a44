"""Exercises of chapter *ridge*."""

from typing import Any

import numpy as np

from ..exercises import material
from ..inputs import Array
from ..known.groups import indicator
from ..known.mixed import LinearMixedModel, gls_blup
from ..known.ridge import ridge
from ..linalg import covariance
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Word
from .reading import Unfit, array

# --- ridge-1: how many records


def _share_and_variances(rng: np.random.Generator) -> tuple[Any, ...]:
    return float(rng.uniform(0.55, 0.95)), *material.variances(rng)


def records(share: float, sigma2: float, tau2: float) -> float:
    """Solve n / (n + lambda) = share for n."""
    return share / (1 - share) * tau2 / sigma2


RECORDS = Exercise(
    "ridge-1",
    "How many records?",
    "easy",
    "compute",
    Function("f(share, sigma2, tau2)", _share_and_variances, Number(EXACT)),
    records,
    (
        Mistake(
            lambda k, s, t: k / (1 - k) * s / t,
            "Your lambda is upside down: noisier records, not more variable groups, call for more "
            "of them.",
        ),
        Mistake(
            lambda k, s, t: (1 - k) / k * t / s,
            "You took the share that is lost for the share that is kept.",
        ),
        Mistake(
            lambda k, s, t: k / (1 - k) * np.sqrt(t / s),
            "You took roots: lambda is a ratio of variances.",
        ),
        Mistake(
            lambda k, s, t: k * t / s,
            "Solve again: n stands in the numerator and in the denominator.",
        ),
        Mistake(
            lambda k, s, t: np.ceil(records(k, s, t)),
            "You rounded up. Leave the number as the equation gives it.",
        ),
    ),
    "Half of the deviation is kept at n = lambda: lambda counts in records.",
)

# --- ridge-2: who moves most

COUNTIES = ("cook", "faribault", "lake", "mahnomen", "stlouis")


def _movers() -> dict[str, tuple[float, float]]:
    """Mean residual and BLUP of five counties."""
    y, floor, _, county = material.radon()
    X, D = np.column_stack([np.ones(len(y)), floor]), indicator(county)
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
    labels = [label.lower() for label in material.radon()[3].tolist()]
    count = {name: labels.count(name) for name in COUNTIES}
    return max(count, key=lambda name: count[name] if largest else -count[name])


MOVER = Exercise(
    "ridge-2",
    "Which county moves most?",
    "easy",
    "predict",
    Word(COUNTIES),
    _moves_most,
    (
        Mistake(
            lambda: _size(largest=False),
            "That county has the strongest pull, but it hardly has anywhere to go: its own mean is "
            "near zero already.",
        ),
        Mistake(
            lambda: _largest(0),
            "That county starts furthest out, but it has homes enough to stay there.",
        ),
        Mistake(
            lambda: _size(largest=True),
            "With so many homes the factor is nearly one: nothing moves.",
        ),
        Mistake(
            lambda: "faribault",
            "It starts far out and is not large, so it moves; compare the products of both once "
            "more.",
        ),
    ),
    "The distance is the pull times the place where it starts.",
)

# --- ridge-3: leave one out


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng)
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
    M = np.eye(len(y)) - X @ np.linalg.pinv(X)
    e, h = _fitted(X[:, :0], M @ D, M @ y, lam)
    return np.asarray(e / (1 - h))


def _penalised_covariates(X: Array, D: Array, y: Array, lam: float) -> Array:
    return left_out(X[:, :1], np.hstack([X[:, 1:], D]), y, lam)


LEFT_OUT = Exercise(
    "ridge-3",
    "Predict what was left out",
    "medium",
    "compute",
    Function("f(X, D, y, lam)", _data),
    left_out,
    (
        Mistake(
            lambda X, D, y, lam: _fitted(X, D, y, lam)[0],
            "These are residuals: each row has helped to predict itself.",
        ),
        Mistake(
            lambda X, D, y, lam: -left_out(X, D, y, lam),
            "The sign is turned: the error is the observation minus its prediction.",
        ),
        Mistake(
            lambda X, D, y, lam: _fitted(X, D, y, lam)[0] / (1 - _unpenalised_leverage(X, D)),
            "Your leverages are those of least squares; the penalty makes a fit follow its points "
            "less closely.",
        ),
        Mistake(
            lambda X, D, y, lam: _fitted(X, D, y, lam)[0] / (1 - _leverage_of_groups(D, lam)),
            "Your leverages are those of the groups alone: the fixed effects follow the point too.",
        ),
        Mistake(
            lambda X, D, y, lam: y - left_out(X, D, y, lam),
            "These are the predictions; the question asks for their errors.",
        ),
        Mistake(
            _projected_once,
            "You projected X out with all rows, also with the row that is left out. It must not "
            "take part in the projection either.",
        ),
        Mistake(
            _penalised_covariates,
            "Your fits leave the intercept alone, but penalise the covariate as they do groups. "
            "All of alpha is free.",
        ),
    ),
    "One fit tells what n fits would have said.",
)

# --- ridge-4: another Sigma, the same predictions


def _rails() -> Array:
    _, labels, _ = material.rail()
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


OTHER = Exercise(
    "ridge-4",
    "Another Sigma, the same ridge",
    "medium",
    "break",
    Counterexample(_covariance, _is_a_ridge, lambda S: 0.0),
    None,
    (
        Mistake(
            lambda S: bool(np.abs(_off_diagonal(S)).max() < 1e-12),
            "Your rails are independent with unequal variances, so that they need penalties of "
            "their own.",
        ),
        Mistake(
            lambda S: bool(np.ptp(_off_diagonal(S)) < 1e-9),
            "All your covariances are equal, which is half of it; the variances differ.",
        ),
        Mistake(
            lambda S: bool(np.ptp(np.diag(S)) < 1e-9),
            "All your variances are equal, which is half of it; but some pairs of rails are more "
            "alike than others, and ridge treats all pairs alike.",
        ),
        Mistake(
            lambda S: True,
            "Differences of rails decide, since the intercept is free: all of them need the same "
            "variance.",
        ),
    ),
    "A shift that all rails share is taken up by the intercept, and nobody sees it.",
)

# --- ridge-5: degrees of freedom of unequal groups


def _sizes(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.permutation(np.arange(1, 12))[: rng.integers(3, 7)], float(rng.uniform(0.5, 4))


def freedom(n: Array, lam: float) -> float:
    """Effective degrees of freedom of D beta_tilde beside one intercept."""
    w = n / (n + lam)
    return float(w.sum() - (w**2).sum() / w.sum())


FREEDOM = Exercise(
    "ridge-5",
    "The price list in closed form",
    "hard",
    "prove",
    Function("f(n, lam)", _sizes, Number(EXACT)),
    freedom,
    (
        Mistake(
            lambda n, lam: (n / (n + lam)).sum(),
            "That is the number for a known intercept. It is estimated here, and takes part of "
            "the freedom away.",
        ),
        Mistake(
            lambda n, lam: (n / (n + lam)).sum() - 1,
            "You took a whole parameter away for the intercept. That is what it costs without a "
            "penalty; with one, group effects and intercept overlap less.",
        ),
        Mistake(
            lambda n, lam: freedom(n, lam) + 1,
            "That is the whole fit, the intercept included; the question asks for the groups.",
        ),
        Mistake(
            lambda n, lam: (len(n) - 1) * (n / (n + lam)).mean(),
            "That is right for groups of equal size; here they are unequal.",
        ),
        Mistake(
            lambda n, lam: freedom(n, 1 / lam),
            "Your penalty is upside down: more penalty, less freedom.",
        ),
    ),
    "What the intercept takes away is the average of the factors, weighted by themselves.",
)

EXERCISES = (RECORDS, MOVER, LEFT_OUT, OTHER, FREEDOM)
