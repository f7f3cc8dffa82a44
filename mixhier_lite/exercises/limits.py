"""Exercises of chapter *limits*."""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import chdtrc, digamma, fdtrc

from ..datasets import load
from ..fitted.fit import fit
from ..gram.term import Term
from ..inputs import Array
from ..known.groups import indicator
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Word
from .reading import Unfit, number

# --- limits-1: chosen by its own mean


def _winner() -> str:
    rng = np.random.default_rng()
    n = np.array([1, 1, 2, 2, 3, 4, 6, 9])
    beta = rng.standard_normal((40_000, 8))
    means = beta + rng.standard_normal(beta.shape) * np.sqrt(2 / n)
    weights = 1 / (1 + 2 / n)
    blup = weights * (means - (means @ weights / weights.sum())[:, None])
    at = np.arange(len(beta)), means.argmax(axis=1)
    excess = np.array([(means - beta)[at].mean(), (blup - beta)[at].mean()])
    names = {(0, 0): "both right", (1, 0): "the mean too large",
             (1, 1): "both too large", (1, -1): "the blup too small"}  # fmt: skip
    return names[tuple(np.where(np.abs(excess) < 0.05, 0, np.sign(excess)).astype(int).tolist())]


WINNER = Exercise(
    "limits-1",
    "Chosen by its own mean",
    "easy",
    "predict",
    Word(("both right", "the mean too large", "both too large", "the blup too small")),
    _winner,
    (
        Mistake(
            lambda: "both right",
            "You looked at eight groups and took the one on top. Its noise is not an average "
            "noise.",
        ),
        Mistake(
            lambda: "both too large",
            "The rule looks at y minus the estimated level only. What does the theorem say about "
            "the error of a prediction, given all of that?",
        ),
        Mistake(
            lambda: "the blup too small",
            "Shrinkage takes off what the choice has added, on average exactly, if the groups "
            "are normal.",
        ),
    ),
    "Normal groups: the prediction is right on average, however you choose by the residuals.",
)

# --- limits-2: three p-values


def _dyestuff() -> tuple[Array, Any, Array]:
    """Yield, batch and an intercept."""
    data = load("Dyestuff")
    return data["Yield"].to_numpy(float), data["Batch"].to_numpy(str), np.ones((30, 1))


@cache
def _likelihood_ratio(method: str = "REML") -> float:
    y, batch, one = _dyestuff()
    nu, log_det = (29, np.log(30)) if method == "REML" else (30, 0.0)
    without = nu * (np.log(2 * np.pi * 30 * y.var() / nu) + 1) + log_det
    return float(without - fit(y, one, Term(batch), method).criterion)


def _p_values(statistic: float, df: tuple[int, int] = (5, 24), of: int = 1) -> Array:
    y, batch, _ = _dyestuff()
    D = indicator(batch)
    means = D.T @ y / 5
    F = 5 * means.var(ddof=1) / (((y - D @ means) @ y) / 24)
    naive = chdtrc(of, statistic)
    return np.array([naive, naive / 2, fdtrc(*df, F)])


PVALUES = Exercise(
    "limits-2",
    "Three p-values",
    "medium",
    "compute",
    Numbers(),
    lambda: _p_values(_likelihood_ratio()),
    (
        Mistake(
            lambda: _p_values(_likelihood_ratio("ML")),
            "Your statistic is that of ML fits; the question asks for REML.",
        ),
        Mistake(
            lambda: _p_values(_likelihood_ratio() / 2),
            "You took the difference of the log likelihoods; the criterion is minus twice a log "
            "likelihood, and so is the statistic.",
        ),
        Mistake(
            lambda: _p_values(_likelihood_ratio(), of=2),
            "You have a degree of freedom too many for one variance.",
        ),
        Mistake(
            lambda: _p_values(_likelihood_ratio()) * [1, 4, 1],
            "The second one is doubled. At the boundary half of the distribution sits at zero, "
            "so a large statistic is rarer than the table says.",
        ),
        Mistake(
            lambda: _p_values(_likelihood_ratio(), df=(24, 5)),
            "The degrees of freedom of your F are in the wrong order.",
        ),
        Mistake(
            lambda: _p_values(_likelihood_ratio(), df=(6, 24)),
            "Your F spends a degree of freedom for each batch; the general mean has taken one.",
        ),
    ),
    "The first is too large by far, the second still somewhat. The F test is the exact one.",
)

# --- limits-3: mode and mean of a level


def _counts(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.permutation(np.append(rng.poisson(0.7, rng.integers(4, 9)), [0, 1, 3])),)


def mean_of_level(y: Array) -> float:
    """E(alpha | y): exp(alpha) has a gamma distribution with shape sum(y) and rate n."""
    return float(digamma(y.sum()) - np.log(len(y)))


LEVEL = Exercise(
    "limits-3",
    "One level for all counts",
    "medium",
    "compute",
    Function("f(y)", _counts, Number(EXACT)),
    mean_of_level,
    (
        Mistake(
            lambda y: np.log(y.mean()),
            "That is where the density is largest (and the log of the mean of exp(alpha)). The "
            "mean of alpha is asked for.",
        ),
        Mistake(
            lambda y: np.exp(mean_of_level(y)),
            "That is on the scale of the counts; hand in the mean of alpha itself.",
        ),
        Mistake(
            lambda y: digamma(y.sum() + 1) - np.log(len(y)),
            "Your prior is flat in exp(alpha): a density in one is not a density in the other "
            "without its Jacobian.",
        ),
        Mistake(
            lambda y: np.log(y + 1).mean(),
            "You averaged logs of the counts, with one added to save the zeros. That answers no "
            "question about the model.",
        ),
    ),
    "The exponential of it lies below the mean count, as the theorem says it must.",
)

# --- limits-4: a unit for a verdict


def _factor(answer: object) -> float:
    factor = float(number(answer, "one number"))
    if factor == 0:
        raise Unfit("Zero times the order is no unit: the column would vanish.")
    if not 1e-6 < abs(factor) < 1e6:
        raise Unfit("Such a unit leaves no digits for the computation: stay within a million.")
    return factor


def _verdict(factor: float) -> float:
    """One if the REML criterion is smaller with the order of the batches, else minus one."""
    y, batch, one = _dyestuff()
    order = 1 + np.unique(batch, return_inverse=True)[1].astype(float)
    added = fit(y, np.column_stack([one, factor * order]), Term(batch)).criterion
    without = fit(y, one, Term(batch)).criterion
    return 1.0 if added < without else -1.0


UNIT = Exercise(
    "limits-4",
    "A unit for a verdict",
    "medium",
    "break",
    Counterexample(_factor, _verdict, lambda factor: _verdict(1.0)),
    None,
    (
        Mistake(
            lambda factor: abs(factor) == 1,
            "A sign is no other unit: the criterion sees the square of the column.",
        ),
        Mistake(
            lambda factor: abs(factor) < 1,
            "You made the numbers in the column smaller, and the criterion is even more pleased "
            "with them. Go the other way.",
        ),
        Mistake(
            lambda factor: abs(factor) > 1,
            "The direction is right. How far you have to go is twice a logarithm.",
        ),
    ),
    "The integral over a flat coefficient has its unit. ML says the same at every unit.",
)

# --- limits-5: a sample or a batch


@cache
def _fitted() -> tuple[Array, Array]:
    """Residuals and leverages at the REML estimates."""
    y, batch, one = _dyestuff()
    found, D = fit(y, one, Term(batch)), indicator(batch)
    W = np.hstack([one, D])
    penalty = found.tau2 / found.Sigma[0].item() * np.diag([0.0] + [1.0] * 6)
    hat = W @ np.linalg.solve(W.T @ W + penalty, W.T)
    return y - hat @ y, np.diag(hat)


def _means_of_batches() -> tuple[Array, Array]:
    y, batch, _ = _dyestuff()
    D = indicator(batch)
    return y, D @ (D.T @ y) / 5


def _left_out() -> Array:
    (e, h), (y, own) = _fitted(), _means_of_batches()
    others = (30 * y.mean() - 5 * own) / 25
    return np.array([((e / (1 - h)) ** 2).mean(), ((y - others) ** 2).mean()])


def _in_sample() -> Array:
    return np.array([(_fitted()[0] ** 2).mean(), _left_out()[1]])


def _level_of_all() -> Array:
    return np.array([_left_out()[0], _dyestuff()[0].var()])


def _own_others() -> Array:
    y, own = _means_of_batches()
    return np.array([((y - (5 * own - y) / 4) ** 2).mean(), _left_out()[1]])


SAMPLE = Exercise(
    "limits-5",
    "A sample or a batch",
    "medium",
    "compute",
    Numbers(),
    _left_out,
    (
        Mistake(
            lambda: _left_out()[::-1],
            "The right two numbers in the other order.",
        ),
        Mistake(
            _in_sample,
            "Your first number is made of the residuals of a fit that has seen them. Leave each "
            "sample out.",
        ),
        Mistake(
            _level_of_all,
            "Your second prediction is the general mean with the batch itself in it.",
        ),
        Mistake(
            lambda: np.sqrt(_left_out()),
            "You took roots; mean squared errors are asked for.",
        ),
        Mistake(
            _own_others,
            "You predict a sample by the plain mean of the other four of its batch; the model "
            "shrinks that mean.",
        ),
    ),
    "Which of the two errors matters is decided by what you are going to predict.",
)

# --- limits-6: the best prior


def _two_numbers(rng: np.random.Generator) -> tuple[Any, ...]:
    return float(rng.uniform(0.5, 2)), float(rng.uniform(2, 5))


def _mse(C: float, v: float, d: float) -> float:
    """Mean squared error of the posterior mean under N(m, C), d away from the truth."""
    return (C**2 * v + v**2 * d**2) / (v + C) ** 2


def _best_mse(v: float, d: float) -> float:
    return _mse(d**2, v, d)


BEST = Exercise(
    "limits-6",
    "The best prior for a wrong guess",
    "hard",
    "prove",
    Function("f(v, d)", _two_numbers, Number(EXACT)),
    _best_mse,
    (
        Mistake(
            lambda v, d: d**2,
            "That may well be the variance of a prior; hand in the mean squared error.",
        ),
        Mistake(
            lambda v, d: v,
            "That is the error of the flat prior. A prior can do better than that wherever its "
            "mean is.",
        ),
        Mistake(
            lambda v, d: _mse(d, v, d),
            "You put the distance in for the variance of the prior; look at the units.",
        ),
        Mistake(
            lambda v, d: (v / (v + d**2)) ** 2 * d**2,
            "That is the squared bias alone; the data's noise still comes in.",
        ),
        Mistake(
            lambda v, d: (d**2 / (v + d**2)) ** 2 * v,
            "That is the variance alone: a prior mean that is off brings bias as well.",
        ),
        Mistake(
            lambda v, d: np.sqrt(_best_mse(v, d)),
            "You took the root; the mean squared error itself is asked for.",
        ),
    ),
    "The best prior says truly how far off its mean may be, at every size of the data.",
)

EXERCISES = (WINNER, PVALUES, LEVEL, UNIT, SAMPLE, BEST)
