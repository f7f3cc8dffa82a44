"""Exercises of chapter *bayes*."""

from functools import cache
from typing import Any

import numpy as np

from ..bayes.sampling import integrate
from ..exercises import material
from ..fitted.fit import Fit, fit
from ..gram.term import Term
from ..inputs import Array
from ..known.groups import indicator
from ..priors import Prior, flat_variance
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Word
from .reading import Unfit, array


@cache
def _rails(method: str = "REML") -> Fit:
    y, labels, _ = material.rail()
    return fit(y, np.ones((18, 1)), Term(labels), method)


# --- bayes-1: flat on what


def _larger() -> str:
    medians = [
        integrate(_rails(), prior).quantile(0.5).sds[0][0] for prior in (None, flat_variance())
    ]
    if np.allclose(medians[0], medians[1], rtol=1e-3):
        return "no difference"
    return ("flat on sigma", "flat on sigma2")[int(np.argmax(medians))]


FLAT = Exercise(
    "bayes-1",
    "Flat on what?",
    "easy",
    "predict",
    Word(("flat on sigma", "flat on sigma2", "no difference")),
    _larger,
    (
        Mistake(
            lambda: "flat on sigma",
            "Write each prior as a density of the standard deviation. One of the two grows.",
        ),
        Mistake(
            lambda: "no difference",
            "A density that is constant in one scale is not constant in another: equal steps of "
            "the variance are unequal steps of its root.",
        ),
    ),
    "Flat on the variance means rising with the standard deviation. Six rails cannot overrule it.",
)

# --- bayes-2: how many numbers speak of sigma


def _layout(rng: np.random.Generator) -> tuple[Any, ...]:
    """Columns constant within groups, one that varies, and a level without rows."""
    D = indicator(material.groups(rng))
    of_groups = D @ rng.standard_normal((D.shape[1], rng.integers(1, max(2, D.shape[1] - 1))))
    X = np.column_stack([np.ones(len(D)), rng.standard_normal(len(D)), of_groups])
    return X, np.column_stack([D, np.zeros(len(D))])


def contrasts(X: Array, D: Array) -> int:
    """r = rank[X D] - rank X."""
    rank = np.linalg.matrix_rank
    return int(rank(np.hstack([X, D])) - rank(X))


COUNT = Exercise(
    "bayes-2",
    "How many numbers speak of sigma?",
    "easy",
    "compute",
    Function("f(X, D)", _layout, Number(EXACT)),
    contrasts,
    (
        Mistake(
            lambda X, D: D.shape[1],
            "That is the number of columns of D. One of them has no rows, and X takes some more.",
        ),
        Mistake(
            lambda X, D: np.linalg.matrix_rank(D),
            "That is the number of groups with rows. X explains some of their differences.",
        ),
        Mistake(
            lambda X, D: np.linalg.matrix_rank(D) - 1,
            "You took off one for the intercept. Other columns of X may be constant in groups too.",
        ),
        Mistake(
            lambda X, D: np.linalg.matrix_rank(D) - X.shape[1],
            "You took off one for each column of X. A column that varies within groups costs no "
            "group.",
        ),
        Mistake(
            lambda X, D: len(X) - np.linalg.matrix_rank(X),
            "That is n - p, all contrasts; most of them see the noise alone.",
        ),
    ),
    "Rows do not come in: more of them say more about tau, not about how many sigmas you saw.",
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


RAIL = Exercise(
    "bayes-3",
    "How sure of a rail?",
    "medium",
    "compute",
    Number(),
    lambda: _widths()[0],
    (
        Mistake(
            lambda: _widths()[1],
            "This is the root of the PEV at the REML estimate: the plug-in. It takes the "
            "variances for known.",
        ),
        Mistake(
            lambda: _widths()[2],
            "This is the root of condVar: it takes the variances and the general mean for known.",
        ),
        Mistake(
            lambda: _widths()[0] ** 2,
            "That is the posterior variance; its root is asked for.",
        ),
        Mistake(
            _under_flat_variance,
            "Your prior is flat on the variance between rails; the question has it flat on the "
            "standard deviation.",
        ),
        Mistake(
            lambda: float(integrate(_rails()).sd.sds[0][0]),
            "That is how sure you are of the spread of all rails; the question asks about the "
            "effect of one.",
        ),
    ),
    "The plug-in says hardly two thirds of it. Six rails do not tell how much rails differ.",
)

# --- bayes-4: groups enough, and improper


def _design(answer: object) -> tuple[Array, Array]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (X, groups).")
    X, groups = array(answer[0], "a matrix X"), np.asarray(answer[1])
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


IMPROPER = Exercise(
    "bayes-4",
    "Groups enough?",
    "medium",
    "break",
    Counterexample(_design, _proper, lambda given: 1.0),
    None,
    (
        Mistake(
            lambda given: _constant(given) == 0,
            "All your columns vary within groups. They cost rows and no groups.",
        ),
        Mistake(
            lambda given: _constant(given) == 1,
            "One combination of your columns is constant within groups, as an intercept is. Each "
            "further one takes another group away.",
        ),
        Mistake(
            lambda given: True,
            "You are on the way: several columns are constant within groups, and groups are still "
            "left. Count them.",
        ),
    ),
    "Covariates of groups eat groups. The package counts before it integrates.",
)

# --- bayes-5: height and area of the ridge


def _balanced(rng: np.random.Generator) -> tuple[Any, ...]:
    J, m = int(rng.integers(4, 9)), int(rng.integers(2, 7))
    SSB, SSW = rng.uniform(20, 60) * J, rng.uniform(2, 5) * J * m
    return float(rng.uniform(0.5, 3)), J, m, float(SSB), float(SSW)


def _log_ratio(theta: float, k: int, power: float, SSB: float, SSW: float, m: int) -> float:
    """-k / 2 log f - power / 2 log(r^2 / r0^2)."""
    f = 1 + m * theta**2
    return float(-k / 2 * np.log(f) - power / 2 * np.log((SSB / f + SSW) / (SSB + SSW)))


def log_density(theta: float, J: int, m: int, SSB: float, SSW: float) -> float:
    """Log p(theta | y) - log p(0 | y), flat in sigma and tau."""
    return _log_ratio(theta, J - 1, J * m - 3, SSB, SSW, m)


RIDGE = Exercise(
    "bayes-5",
    "The width of the ridge",
    "hard",
    "prove",
    Function("f(theta, J, m, SSB, SSW)", _balanced, Number(EXACT)),
    log_density,
    (
        Mistake(
            lambda theta, J, m, B, W: _log_ratio(theta, J - 1, J * m - 1, B, W, m),
            "That is the height of the ridge, exp(-crit / 2). Its width in the direction of tau "
            "is missing.",
        ),
        Mistake(
            lambda theta, J, m, B, W: _log_ratio(theta, J - 1, J * m - 2, B, W, m),
            "You integrated over tau at a given theta as if the prior were flat in (theta, tau). "
            "It is flat in (sigma, tau), and sigma = theta tau.",
        ),
        Mistake(
            lambda theta, J, m, B, W: _log_ratio(theta, J, J * m - 2, B, W, m),
            "You started from the likelihood at the best alpha; a flat alpha is integrated out.",
        ),
        Mistake(
            lambda theta, J, m, B, W: -2 * log_density(theta, J, m, B, W),
            "That is on the scale of the criterion, minus twice a logarithm.",
        ),
        Mistake(
            lambda theta, J, m, B, W: np.exp(log_density(theta, J, m, B, W)),
            "That is the ratio of the densities; its logarithm is asked for.",
        ),
    ),
    "A height belongs to a point, an area to a distribution. Here both have a formula.",
)

EXERCISES = (FLAT, COUNT, RAIL, IMPROPER, RIDGE)
