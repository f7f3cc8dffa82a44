"""Exercises of chapter *limits*."""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import chdtrc, digamma, fdtrc

from ...after.fit import fit
from ...datasets import load
from ...gram.term import Term
from ...inputs import Array
from ...known.groups import indicator
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Numbers,
    Unfit,
    choice,
    exercise,
    number,
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


PVALUES = exercise(
    "limits-2",
    Numbers(),
    lambda: _p_values(_likelihood_ratio()),
    ml=lambda: _p_values(_likelihood_ratio("ML")),
    log_likelihood=lambda: _p_values(_likelihood_ratio() / 2),
    two_df=lambda: _p_values(_likelihood_ratio(), of=2),
    doubled=lambda: _p_values(_likelihood_ratio()) * [1, 4, 1],
    df_swapped=lambda: _p_values(_likelihood_ratio(), df=(24, 5)),
    df_of_six=lambda: _p_values(_likelihood_ratio(), df=(6, 24)),
)

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


UNIT = exercise(
    "limits-4",
    Counterexample(_factor, _verdict, lambda factor: _verdict(1.0)),
    sign=lambda factor: abs(factor) == 1,
    smaller=lambda factor: abs(factor) < 1,
    not_far_enough=lambda factor: abs(factor) > 1,
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


SAMPLE = exercise(
    "limits-5",
    Numbers(),
    _left_out,
    wrong_order=lambda: _left_out()[::-1],
    in_sample=_in_sample,
    level_of_all=_level_of_all,
    roots=lambda: np.sqrt(_left_out()),
    unshrunken=_own_others,
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
