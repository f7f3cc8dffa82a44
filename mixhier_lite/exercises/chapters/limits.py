"""Exercises of chapter *limits*."""

from typing import Any

import numpy as np
from scipy.special import digamma

from ...inputs import Array
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Unfit,
    array,
    choice,
    exercise,
    number,
    parts,
)

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


WINNER = choice("limits-1", _winner)

# --- limits-3: mode and mean of a level


def _counts(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.permutation(np.append(rng.poisson(0.7, rng.integers(4, 9)), [0, 1, 3])),)


def mean_of_level(y: Array) -> float:
    """E(alpha | y): exp(alpha) has a gamma distribution with shape sum(y) and rate n."""
    return float(digamma(y.sum()) - np.log(len(y)))


LEVEL = exercise(
    "limits-3",
    Function("f(y)", _counts, Number(EXACT)),
    mean_of_level,
    mode=lambda y: np.log(y.mean()),
    exponential=lambda y: np.exp(mean_of_level(y)),
    flat_in_the_mean=lambda y: digamma(y.sum() + 1) - np.log(len(y)),
    mean_of_logs=lambda y: np.log(y + 1).mean(),
)

# --- limits-6: the best prior


def _two_numbers(rng: np.random.Generator) -> tuple[Any, ...]:
    return float(rng.uniform(0.5, 2)), float(rng.uniform(2, 5))


def _mse(C: float, v: float, d: float) -> float:
    """Mean squared error of the posterior mean under N(m, C), d away from the truth."""
    return (C**2 * v + v**2 * d**2) / (v + C) ** 2


def _best_mse(v: float, d: float) -> float:
    return _mse(d**2, v, d)


BEST = exercise(
    "limits-6",
    Function("f(v, d)", _two_numbers, Number(EXACT)),
    _best_mse,
    prior_variance=lambda v, d: d**2,
    flat_prior=lambda v, d: v,
    distance=lambda v, d: _mse(d, v, d),
    bias_alone=lambda v, d: (v / (v + d**2)) ** 2 * d**2,
    variance_alone=lambda v, d: (d**2 / (v + d**2)) ** 2 * v,
    root=lambda v, d: np.sqrt(_best_mse(v, d)),
)

# --- limits-7: between rows and groups


def _clinics(answer: object) -> tuple[Array, Array, float]:
    given = parts(answer, 3, "(sizes, means, lam)")
    sizes, means = (array(part, "vectors of sizes and of means") for part in given[:2])
    lam = float(number(given[2], "one number for lam"))
    if sizes.ndim != 1 or sizes.shape != means.shape:
        raise Unfit(f"sizes and means need one length; yours have the shapes {sizes.shape} and "
                    f"{means.shape}.")  # fmt: skip
    if len(sizes) > 10 or np.any(sizes < 1) or np.any(sizes != sizes.round()):
        raise Unfit("Take at most ten groups, with whole sizes of one row or more.")
    if not 0 < lam < 1e6:
        raise Unfit("The penalty is a number above 0 and below a million.")
    return sizes, means, lam


def _level(given: tuple[Array, Array, float]) -> float:
    """The GLS estimate of the level: means weighted by n / (n + lam)."""
    sizes, means, lam = given
    w = sizes / (sizes + lam)
    return float(w @ means / w.sum())


def _drawn_between(given: tuple[Array, Array, float]) -> float:
    """The same, moved to the nearer end if it lies outside of what people expect."""
    sizes, means, _ = given
    ends = float(sizes @ means / sizes.sum()), float(means.mean())
    return float(np.clip(_level(given), min(ends), max(ends)))


BETWEEN = exercise(
    "limits-7",
    Counterexample(_clinics, _level, _drawn_between),
    equal_sizes=lambda given: np.ptp(given[0]) == 0,
    two_sizes=lambda given: len(set(given[0])) == 2,
    between=lambda given: True,
)
