"""Exercises of chapter *few*."""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import chdtrc, chdtri, fdtr, fdtrc, ndtr, stdtrit

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
    choice,
    data,
    exercise,
    number,
    parts,
)

# --- few-1: a hundred times as many rows


def _more_rows() -> str:
    before, after = (float(fdtr(3, 4 * (m - 1), 1.0)) for m in (5, 500))
    if abs(after - before) < 0.05:
        return "hardly moves"
    if after > before:
        return "rises towards one"
    return "falls towards one half" if after > 0.25 else "falls towards zero"


ROWS = choice("few-1", _more_rows)

# --- limits-2: three p-values


@cache
def _likelihood_ratio(method: str = "REML") -> float:
    y, batch, one = data.dyestuff()
    nu, log_det = (29, np.log(30)) if method == "REML" else (30, 0.0)
    without = nu * (np.log(2 * np.pi * 30 * y.var() / nu) + 1) + log_det
    return float(without - fit(y, one, Term(batch), method).criterion)


def _p_values(statistic: float, df: tuple[int, int] = (5, 24), of: int = 1) -> Array:
    y, batch, _ = data.dyestuff()
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

# --- few-2: when t does not hold


def _plan(answer: object) -> tuple[int, int, float]:
    given = (number(part, "one number each") for part in parts(answer, 3, "(J, m, ratio)"))
    J, m, ratio = (float(part) for part in given)
    if J != int(J) or m != int(m):
        raise Unfit("J and m count groups and rows: take whole numbers.")
    if not (3 <= J <= 100 and 2 <= m <= 50):
        raise Unfit("Take 3 to 100 groups of 2 to 50 rows.")
    if not 0 <= ratio <= 100:
        raise Unfit("The ratio sigma2 / tau2 is a number from 0 to 100.")
    return int(J), int(m), ratio


def coverage_of_t(plan: tuple[int, int, float]) -> float:
    """Coverage of the t interval for the mean with Satterthwaite's degrees of freedom."""
    (J, m, ratio) = plan
    q = (np.arange(400) + 0.5) / 400
    n = J * m
    v = m * ratio + 1
    MSB = v * chdtri(J - 1, 1 - q)[:, None] / (J - 1)
    MSW = chdtri(n - J, 1 - q) / (n - J)
    inner = MSB > MSW
    v_hat = np.where(inner, MSB, ((J - 1) * MSB + (n - J) * MSW) / (n - 1))
    t = stdtrit(np.where(inner, J - 1.0, n - 1.0), 0.975)
    return float(2 * ndtr(t * np.sqrt(v_hat / v)).mean() - 1)


HOLDS = exercise(
    "few-2",
    Counterexample(_plan, coverage_of_t, lambda plan: max(0.93, coverage_of_t(plan)), gap=1e-9),
    alike=lambda plan: plan[2] == 0,
    many_groups=lambda plan: plan[0] > 3,
    too_clear=lambda plan: plan[1] * plan[2] > 5,
    few_rows=lambda plan: True,
)

# --- few-3: the best plan


def _costs(rng: np.random.Generator) -> tuple[Any, ...]:
    s, t = data.variances(rng)
    return s, t, float(rng.uniform(4, 30)), float(rng.uniform(500, 2000))


def least_error(sigma2: float, tau2: float, g: float, budget: float) -> float:
    """Smallest standard error of a mean that a budget buys, at m = sqrt(g tau2 / sigma2)."""
    return float((np.sqrt(g * sigma2) + np.sqrt(tau2)) / np.sqrt(budget))


def _at(m: float, sigma2: float, tau2: float, g: float, budget: float) -> float:
    """Standard error with m rows per group."""
    return float(np.sqrt((sigma2 + tau2 / m) * (g + m) / budget))


PLAN = exercise(
    "few-3",
    Function("f(sigma2, tau2, g, budget)", _costs, Number(EXACT)),
    least_error,
    variance=lambda *a: least_error(*a) ** 2,
    rows=lambda s, t, g, b: np.sqrt(g * t / s),
    groups_free=lambda s, t, g, b: np.sqrt((s + t / np.sqrt(g * t / s)) * np.sqrt(g * t / s) / b),
    one_row_each=lambda *a: _at(1.0, *a),
    upside_down=lambda s, t, g, b: _at(float(np.sqrt(g * s / t)), s, t, g, b),
)
