"""Exercises of chapter *contrasts*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import Fit, fit
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
    data,
    exercise,
    number,
)

# --- contrasts-1: another first level


@cache
def _rats(first: str) -> Fit:
    """The chapter's model, with one of the diets as the first level."""
    weight, day, rat, diet = data.body_weight()
    D = indicator(diet, [first, *(k for k in "123" if k != first)])
    levels = np.column_stack([np.ones(len(day)), D[:, 1:]])
    X = np.column_stack([levels, levels * day[:, None]])
    return fit(weight, X, Term(rat, Z=np.column_stack([np.ones(len(day)), day])))


def _what_differs() -> str:
    one = _rats("1")
    other = _rats("3")
    L = np.eye(6)
    pairs = {
        "criterion": (one.criterion, other.criterion),
        "interaction": (one.contrast(L[4:]).F, other.contrast(L[4:]).F),
        "time": (one.contrast(L[3]).p[0], other.contrast(L[3]).p[0]),
    }
    moved = [name for name, (a, b) in pairs.items() if not np.isclose(a, b, rtol=1e-6, atol=0)]
    return moved[0] if len(moved) == 1 else "none"


FIRST = choice("contrasts-1", _what_differs)

# --- contrasts-2: how far REML moves


def _two_codings(rng: np.random.Generator) -> tuple[Array, Array]:
    p = int(rng.integers(2, 5))
    X = rng.standard_normal((p + int(rng.integers(3, 9)), p))
    B = rng.standard_normal((p, p))
    while abs(np.linalg.slogdet(B)[1]) < 0.3:
        B = 1.7 * B
    return X, X @ B


def _log_det(X: Array, W: Array) -> float:
    """log |det B| where W = X B."""
    return float(np.linalg.slogdet(np.linalg.lstsq(X, W, rcond=None)[0])[1])


MOVES = exercise(
    "contrasts-2",
    Function("f(X, W)", _two_codings, Number(EXACT)),
    lambda X, W: 2 * _log_det(X, W),
    other_way=lambda X, W: -2 * _log_det(X, W),
    half=_log_det,
    without_X=lambda X, W: np.linalg.slogdet(W.T @ W)[1],
    without_log=lambda X, W: np.exp(2 * _log_det(X, W)),
)

# --- contrasts-3: fifteen pairs of samples


@cache
def _samples(plates: bool = True) -> tuple[Array, Array, Array]:
    """Differences of the samples A to F, A - C the second; standard errors, and p-values."""
    from scipy.special import stdtr

    y, plate, sample = data.penicillin()
    X = indicator(sample)
    i, j = np.triu_indices(6, 1)
    L = np.eye(6)[i] - np.eye(6)[j]
    if plates:
        found = fit(y, X, Term(plate)).contrast(L)
        return found.estimate, found.se, found.p
    mean = X.T @ y / X.sum(axis=0)
    f = len(y) - 6
    se = np.sqrt(((y - X @ mean) ** 2).sum() / f * 2 / X[:, 0].sum()) * np.ones(15)
    return L @ mean, se, 2 * stdtr(f, -np.abs(L @ mean) / se)


def holm(p: Array) -> Array:
    """p-values adjusted by Holm."""
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def _A_and_C(sign: float = 1.0, plates: bool = True, raised: Any = holm) -> Array:
    estimate, se, p = _samples(plates)
    return np.array([sign * estimate[1], se[1], raised(p)[1]])


def _as_if_independent() -> Array:
    y, plate, sample = data.penicillin()
    se = fit(y, indicator(sample), Term(plate)).fixed_se
    right = _A_and_C()
    return np.array([right[0], np.hypot(se[0], se[2]), right[2]])


SAMPLES = exercise(
    "contrasts-3",
    Numbers(),
    _A_and_C,
    unadjusted=lambda: _A_and_C(raised=lambda p: p),
    bonferroni=lambda: _A_and_C(raised=lambda p: np.minimum(15 * p, 1)),
    as_if_independent=_as_if_independent,
    other_sign=lambda: _A_and_C(sign=-1),
    without_plates=lambda: _A_and_C(plates=False),
)

# --- contrasts-4: a fact about a day


def _day(answer: object) -> float:
    zero = float(number(answer, "one number, a day"))
    if abs(zero) > 1e5:
        raise Unfit("Give a day within a hundred thousand days of the experiment.")
    return zero


def _p_of_diet_2(zero: float) -> float:
    """P-value of diet 2 less diet 1 at a day."""
    row = np.zeros(6)
    row[1] = 1.0
    row[4] = zero
    return float(_rats("1").contrast(row).p[0])


FACT = exercise(
    "contrasts-4",
    Counterexample(_day, lambda zero: float(_p_of_diet_2(zero) < 0.05), lambda zero: 1.0),
    wrong_side=lambda zero: zero >= 0,
    not_there=lambda zero: True,
)

# --- contrasts-5: two variances at once


def _statistic(rng: np.random.Generator) -> tuple[float, Array]:
    a, b = rng.uniform(1, 5, 2)
    share = float(rng.uniform(0.3, 0.8)) * np.sqrt(a * b)
    return float(rng.uniform(1, 6)), np.array([[a, share], [share, b]])


def mixture(x: float, of_two: float, of_one: float = 0.5) -> float:
    """Probability of exceeding x, for weights of chi-squared with one and with two df."""
    from scipy.special import chdtrc

    return float(of_one * chdtrc(1, x) + of_two * chdtrc(2, x))


def _cosine(info: Array) -> float:
    return float(info[0, 1] / np.sqrt(info[0, 0] * info[1, 1]))


CONE = exercise(
    "contrasts-5",
    Function("f(x, info)", _statistic, Number(EXACT)),
    lambda x, info: mixture(x, np.arccos(_cosine(info)) / (2 * np.pi)),
    both_free=lambda x, info: mixture(x, 1, 0),
    quarters=lambda x, info: mixture(x, 1 / 4),
    half_and_half=lambda x, info: mixture(x, 0.5),
    other_angle=lambda x, info: mixture(x, np.arccos(-_cosine(info)) / (2 * np.pi)),
    one_alone=lambda x, info: mixture(x, 0),
)

# --- contrasts-6: all coefficients at once


def _own(rng: np.random.Generator) -> tuple[Array]:
    q = int(rng.integers(2, 4))
    J = q + int(rng.integers(4, 9))
    b = rng.standard_normal((J, q)) @ rng.standard_normal((q, q))
    return (b + 0.5 * b.std(axis=0) * rng.uniform(0.5, 1.5, q),)


def _squared_distance(b: Array) -> float:
    """Hotelling's T squared of the mean from zero."""
    mean = b.mean(axis=0)
    return float(len(b) * mean @ np.linalg.solve(np.cov(b.T), mean))


def hotelling(b: Array, times: float = 1.0) -> float:
    """P-value of the hypothesis that the mean is zero, T squared multiplied by a number."""
    J, q = b.shape
    return _p_of_F(times * (J - q) / (q * (J - 1)) * _squared_distance(b), q, J - q)


def _p_of_F(F: float, df1: int, df2: int) -> float:
    from scipy.special import fdtrc

    return float(fdtrc(df1, df2, F))


def _known(b: Array) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(b.shape[1], _squared_distance(b)))


def _by_satterthwaite(b: Array) -> float:
    J, q = b.shape
    return _p_of_F(_squared_distance(b) / q, q, J - 1)


def _unscaled(b: Array) -> float:
    J, q = b.shape
    return _p_of_F(_squared_distance(b) / q, q, J - q)


TOGETHER = exercise(
    "contrasts-6",
    Function("f(b)", _own, Number(EXACT)),
    hotelling,
    satterthwaite=_by_satterthwaite,
    chi_squared=_known,
    divided_by_J=lambda b: hotelling(b, len(b) / (len(b) - 1)),
    unscaled=_unscaled,
    one_group=lambda b: hotelling(b, 1 / len(b)),
)
