"""Exercises of chapter *bayes*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import Fit, fit
from ...bayes.sampling import integrate
from ...gram.term import Term
from ...inputs import Array
from ...known.groups import indicator
from ...priors import Prior, flat_variance
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Unfit,
    array,
    choice,
    data,
    exercise,
    parts,
)


@cache
def _rails(method: str = "REML") -> Fit:
    y, labels, _ = data.rail()
    return fit(y, np.ones((18, 1)), Term(labels), method)


# --- bayes-1: flat on what


def _larger() -> str:
    medians = [
        integrate(_rails(), prior).quantile(0.5).sds[0][0] for prior in (None, flat_variance())
    ]
    if np.allclose(medians[0], medians[1], rtol=1e-3):
        return "no difference"
    return ("flat on sigma", "flat on sigma2")[int(np.argmax(medians))]


FLAT = choice("bayes-1", _larger)

# --- bayes-2: how many numbers speak of sigma


def _layout(rng: np.random.Generator) -> tuple[Any, ...]:
    """Columns constant within groups, one that varies, and a level without rows."""
    D = indicator(data.groups(rng))
    of_groups = D @ rng.standard_normal((D.shape[1], rng.integers(1, max(2, D.shape[1] - 1))))
    X = np.column_stack([np.ones(len(D)), rng.standard_normal(len(D)), of_groups])
    return X, np.column_stack([D, np.zeros(len(D))])


def contrasts(X: Array, D: Array) -> int:
    """r = rank[X D] - rank X."""
    rank = np.linalg.matrix_rank
    return int(rank(np.hstack([X, D])) - rank(X))


COUNT = exercise(
    "bayes-2",
    Function("f(X, D)", _layout, Number(EXACT)),
    contrasts,
    all_columns=lambda X, D: D.shape[1],
    groups_with_rows=lambda X, D: np.linalg.matrix_rank(D),
    intercept_only=lambda X, D: np.linalg.matrix_rank(D) - 1,
    every_column=lambda X, D: np.linalg.matrix_rank(D) - X.shape[1],
    all_contrasts=lambda X, D: len(X) - np.linalg.matrix_rank(X),
)

# --- bayes-3: the sd of a rail


@cache
def _widths() -> tuple[float, float, float]:
    """Sd by the posterior, by PEV and by condVar, of the first rail's effect."""
    told = float(integrate(_rails()).sd.random[0][0, 0])
    one = _rails().random_cov[0][0].item() ** 0.5, _rails().cond_var[0][0].item() ** 0.5
    return told, *one


def _under_flat_variance() -> float:
    return float(integrate(_rails(), Prior(sd=flat_variance())).sd.random[0][0, 0])


RAIL = exercise(
    "bayes-3",
    Number(),
    lambda: _widths()[0],
    plug_in=lambda: _widths()[1],
    known_mean=lambda: _widths()[2],
    variance=lambda: _widths()[0] ** 2,
    flat_variance=_under_flat_variance,
    spread_of_rails=lambda: float(integrate(_rails()).sd.sds[0][0]),
)

# --- bayes-4: groups enough, and improper


def _design(answer: object) -> tuple[Array, Array]:
    matrix, labels = parts(answer, 2, "(X, groups)")
    X = array(matrix, "a matrix X")
    groups = np.asarray(labels)
    if X.ndim != 2 or groups.shape != (len(X),):
        raise Unfit(f"X needs a row for each label; the shapes are {X.shape} and {groups.shape}.")
    D = indicator(groups)
    if D.shape[1] < 4 or D.sum(axis=0).min() < 2:
        raise Unfit("Take four groups or more, each with two rows or more.")
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise Unfit("The columns of X are linearly dependent: alpha has no posterior either.")
    if len(X) <= np.linalg.matrix_rank(np.hstack([X, D])):
        raise Unfit("Leave something for the noise: more rows than columns in X and D together.")
    return X, D


def _proper(given: tuple[Array, Array]) -> float:
    return 1.0 if contrasts(*given) >= 2 else -1.0


def _constant(given: tuple[Array, Array]) -> int:
    """Dimension of the part of X that is constant within groups."""
    X, D = given
    inside = X - D @ np.linalg.pinv(D) @ X
    return int(X.shape[1]) - int(np.linalg.matrix_rank(inside, tol=1e-8))


IMPROPER = exercise(
    "bayes-4",
    Counterexample(_design, _proper, lambda given: 1.0),
    vary_within=lambda given: _constant(given) == 0,
    one_constant=lambda given: _constant(given) == 1,
    groups_left=lambda given: True,
)

# --- bayes-5: height and area of the ridge


def _balanced(rng: np.random.Generator) -> tuple[Any, ...]:
    J = int(rng.integers(4, 9))
    m = int(rng.integers(2, 7))
    SSB = rng.uniform(20, 60) * J
    SSW = rng.uniform(2, 5) * J * m
    return float(rng.uniform(0.5, 3)), J, m, float(SSB), float(SSW)


def _log_ratio(theta: float, k: int, power: float, SSB: float, SSW: float, m: int) -> float:
    """-k / 2 log f - power / 2 log(r^2 / r0^2)."""
    f = 1 + m * theta**2
    return float(-k / 2 * np.log(f) - power / 2 * np.log((SSB / f + SSW) / (SSB + SSW)))


def log_density(theta: float, J: int, m: int, SSB: float, SSW: float) -> float:
    """Log p(theta | y) - log p(0 | y), flat in sigma and tau."""
    return _log_ratio(theta, J - 1, J * m - 3, SSB, SSW, m)


RIDGE = exercise(
    "bayes-5",
    Function("f(theta, J, m, SSB, SSW)", _balanced, Number(EXACT)),
    log_density,
    height_only=lambda theta, J, m, B, W: _log_ratio(theta, J - 1, J * m - 1, B, W, m),
    flat_in_theta=lambda theta, J, m, B, W: _log_ratio(theta, J - 1, J * m - 2, B, W, m),
    best_alpha=lambda theta, J, m, B, W: _log_ratio(theta, J, J * m - 2, B, W, m),
    criterion=lambda theta, J, m, B, W: -2 * log_density(theta, J, m, B, W),
    density=lambda theta, J, m, B, W: np.exp(log_density(theta, J, m, B, W)),
)
