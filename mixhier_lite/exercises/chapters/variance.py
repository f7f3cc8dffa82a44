"""Exercises of chapter *variance*."""

from typing import Any

import numpy as np

from ...after.fit import fit
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
    array,
    choice,
    data,
    exercise,
    parts,
)

# --- variance-1: six rails with a pencil


def _mean_squares(y: Array, groups: Any) -> tuple[float, float]:
    """Mean squares between and within groups of one size."""
    D = indicator(groups)
    means = D.T @ y / D.sum(axis=0)
    (n, J) = D.shape
    inside = y - D @ means
    between = n / J * ((means - y.mean()) ** 2).sum() / (J - 1)
    return float(between), float(inside @ inside / (n - J))


def _squares_of_rails() -> Array:
    return np.array(_mean_squares(*data.rail()[:2]))


def _rails(share: float = 1.0) -> Array:
    """The pencil's sigma2 and tau2; ML takes five sixths of the mean square between rails."""
    between, within = _squares_of_rails() * (share, 1)
    return np.array([(between - within) / 3, within])


PENCIL = exercise(
    "variance-1",
    Numbers(),
    lambda: _rails(),
    ml=lambda: _rails(5 / 6),
    standard_deviations=lambda: np.sqrt(_rails()),
    noise_left_in=lambda: _squares_of_rails() / (3, 1),
    not_divided=lambda: _rails() * (3, 1),
    mean_squares=_squares_of_rails,
    wrong_order=lambda: _rails()[::-1],
)

# --- variance-2: more alike than noise


def _more_alike() -> str:
    from ...datasets import load

    data = load("Dyestuff2")
    y = data["Yield"].to_numpy(float)
    batch = data["Batch"].to_numpy(str)
    D = indicator(batch)
    X = np.ones((len(y), 1))
    pulled = y - D @ (D.T @ (y - y.mean()) / D.sum(axis=0)) / 2
    one, two = (fit(v, X, Term(batch)) for v in (y, pulled))
    before, after = (np.array([model.Sigma[0][0, 0], model.tau2]) for model in (one, two))
    fell = after < before - 1e-6 * one.tau2
    falls = "sigma2 falls" if fell[0] else "tau2 falls"
    return "both fall" if fell.all() else falls if fell.any() else "both stay"


ALIKE = choice("variance-2", _more_alike)

# --- variance-3: does uranium help?


def _gain(method: str = "ML") -> float:
    y, floor, uranium, county = data.radon()
    X = np.column_stack([np.ones(len(y)), floor, uranium])
    small, large = (fit(y, X[:, :p], Term(county), method).criterion for p in (2, 3))
    return small - large


def _without_counties() -> float:
    y, floor, uranium, _ = data.radon()
    X = np.column_stack([np.ones(len(y)), floor, uranium])
    small, large = (np.linalg.lstsq(X[:, :p], y, rcond=None)[1][0] for p in (2, 3))
    return float(len(y) * np.log(small / large))


URANIUM = exercise(
    "variance-3",
    Number(),
    lambda: _gain(),
    reml=lambda: _gain("REML"),
    log_likelihood=lambda: _gain() / 2,
    sign=lambda: -_gain(),
    without_counties=_without_counties,
)

# --- variance-5: zero passes the test


def _layout(answer: object) -> tuple[Array, Any]:
    measured, labels = parts(answer, 2, "(y, groups) of two vectors")
    y = array(measured, "a vector y and a vector of groups")
    groups = np.asarray(labels)
    if y.ndim != 1 or groups.shape != y.shape:
        raise Unfit(f"The vectors y and groups need one length; yours have the shapes "
                    f"{y.shape} and {groups.shape}.")  # fmt: skip
    if len(y) > 60:
        raise Unfit(f"The question asks for at most 60 rows; you have {len(y)}.")
    D = indicator(groups)
    if D.shape[1] < 2 or D.sum(axis=0).max() < 2:
        raise Unfit("Take at least two groups, one of them with two rows or more.")
    if np.abs(y - D @ (D.T @ y / D.sum(axis=0))).max() < 1e-9 * max(1.0, np.abs(y).max()):
        raise Unfit("Your y does not vary within groups: there would be no noise.")
    return y, groups


def _slope_at_zero(given: tuple[Array, Any]) -> float:
    """N at zero for REML and an intercept."""
    (y, groups) = given
    n = len(given[0])
    D = indicator(groups)
    e = y - y.mean()
    a = D.sum(axis=0)
    return float(n - a @ a / n - (n - 1) * ((D.T @ e) ** 2).sum() / (e @ e))


def _best(given: tuple[Array, Any]) -> float:
    """Sigma / tau2 of the fit."""
    y, groups = given
    found = fit(y, np.ones((len(y), 1)), Term(groups))
    ratio = float(found.Sigma[0][0, 0] / found.tau2)
    return ratio if ratio > 1e-6 else 0.0


def _by_the_test(given: tuple[Array, Any]) -> float:
    """What one believes who stops at zero if the slope is not negative there."""
    return 0.0 if _slope_at_zero(given) > 1e-9 else _best(given)


FALSE_ZERO = exercise(
    "variance-5",
    Counterexample(_layout, _best, _by_the_test),
    equal_sizes=lambda given: len(set(indicator(given[1]).sum(axis=0))) == 1,
    not_a_minimum=lambda given: _slope_at_zero(given) <= 1e-9,
    zero_is_right=lambda given: True,
)

# --- variance-6: how often is the estimate zero?


def _balanced(rng: np.random.Generator) -> tuple[Any, ...]:
    return int(rng.integers(3, 10)), int(rng.integers(2, 7)), *data.variances(rng)


def _below(ratio: float, J: int, m: int) -> float:
    """Probability that F(J - 1, J (m - 1)) is at most a ratio."""
    from scipy.special import fdtr

    return float(fdtr(J - 1, J * (m - 1), ratio))


def zero_share(J: int, m: int, sigma2: float, tau2: float) -> float:
    """Probability that the REML estimate of sigma2 is zero in a balanced layout."""
    return _below(tau2 / (m * sigma2 + tau2), J, m)


def _swapped(J: int, m: int, sigma2: float, tau2: float) -> float:
    from scipy.special import fdtr

    return float(fdtr(J * (m - 1), J - 1, tau2 / (m * sigma2 + tau2)))


OFTEN = exercise(
    "variance-6",
    Function("f(J, m, sigma2, tau2)", _balanced, Number(EXACT)),
    zero_share,
    positive=lambda *a: 1 - zero_share(*a),
    ml=lambda J, m, s, t: _below(J / (J - 1) * t / (m * s + t), J, m),
    upside_down=lambda J, m, s, t: _below((m * s + t) / t, J, m),
    sigma2_once=lambda J, m, s, t: _below(t / (s + t), J, m),
    groups_alike=lambda J, m, s, t: _below(1.0, J, m),
    df_swapped=_swapped,
)
