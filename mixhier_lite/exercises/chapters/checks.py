"""Exercises of chapter *checks*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import Fit, fit
from ...gram.term import Term
from ...inputs import Array
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Unfit,
    array,
    data,
    exercise,
    parts,
)
from .slopes import pencil

# --- checks-1: which side


@cache
def _same_side() -> int:
    from ...datasets import load

    study = load("sleepstudy")
    X = np.column_stack([np.ones(len(study)), study["Days"].to_numpy(float)])
    model = fit(study["Reaction"], X, Term(study["Subject"]))
    sums = model.residuals.reshape(18, 10).sum(axis=1)  # the rows are sorted by person
    return int((np.sign(sums) == np.sign(model.random[0][:, 0])).sum())


SIDE = exercise(
    "checks-1",
    Number(),
    _same_side,
    by_chance=lambda: _same_side() / 2,
    other_side=lambda: 18 - _same_side(),
)

# --- checks-2: in units of its own


def _model(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    y = 3 * rng.standard_normal(len(X)) + 4 * D @ rng.standard_normal(D.shape[1])
    return y, X, D, 4 * data.spd(rng, D.shape[1]), data.variances(rng)[1]


def _hat(X: Array, V: Array) -> Array:
    """The matrix that turns y into X alpha_hat."""
    VX = np.linalg.solve(V, X)
    return np.asarray(X @ np.linalg.solve(X.T @ VX, VX.T))


def standardised(y: Array, X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    """Residuals given the random effects, in units of their standard deviations, shape (n,)."""
    S = D @ Sigma @ D.T
    V = S + tau2 * np.eye(len(y))
    of_y = np.linalg.solve(V, np.eye(len(y)) - _hat(X, V))
    out: Array = of_y @ y / np.sqrt(np.diag(of_y))
    return out


def _residual(y: Array, X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    V = D @ Sigma @ D.T + tau2 * np.eye(len(y))
    return np.asarray(tau2 * np.linalg.solve(V, y - _hat(X, V) @ y), dtype=np.float64)


def _leverage(X: Array, D: Array, Sigma: Array, tau2: float) -> tuple[Array, Array]:
    """Leverage of the whole fit and of its random part."""
    S = D @ Sigma @ D.T
    V = S + tau2 * np.eye(len(X))
    fixed = _hat(X, V)
    random = S @ np.linalg.solve(V, np.eye(len(X)) - fixed)
    return np.diag(fixed + random), np.diag(random)


def _of_common_line(y: Array, X: Array, D: Array, Sigma: Array, tau2: float) -> Array:
    V = D @ Sigma @ D.T + tau2 * np.eye(len(y))
    H = _hat(X, V)
    out: Array = (y - H @ y) / np.sqrt(np.diag((np.eye(len(y)) - H) @ V))
    return out


def _left_out(y: Array, *model: Any) -> Array:
    out: Array = _residual(y, *model) / (1 - _leverage(*model)[0])
    return out


OWN_UNIT = exercise(
    "checks-2",
    Function("f(y, X, D, Sigma, tau2)", _model),
    standardised,
    in_taus=lambda y, *model: _residual(y, *model) / np.sqrt(model[-1]),
    not_divided=_residual,
    common_line=_of_common_line,
    random_part=lambda y, *m: _residual(y, *m) / np.sqrt(m[-1] * (1 - _leverage(*m)[1])),
    left_out=_left_out,
    variance=lambda y, *m: _residual(y, *m) / (m[-1] * (1 - _leverage(*m)[0])),
)

# --- checks-3: a county less


@cache
def _radon_fits() -> tuple[Fit, tuple[Fit, ...]]:
    """The fit to all counties, and those without each of them."""
    y, floor, _, county = data.radon()
    X = np.column_stack([np.ones(len(y)), floor])
    rows = [county != name for name in np.unique(county)]
    without = tuple(fit(y[rest], X[rest], Term(county[rest])) for rest in rows)
    return fit(y, X, Term(county)), without


def _moves() -> Array:
    full, without = _radon_fits()
    moves: Array = np.array([rest.fixed[1] for rest in without]) - full.fixed[1]
    return moves


def _largest_move() -> float:
    return float(np.abs(_moves()).max() / _radon_fits()[0].fixed_se[1])


def _intercept_instead() -> float:
    full, without = _radon_fits()
    moves = np.array([rest.fixed[0] for rest in without]) - full.fixed[0]
    return float(np.abs(moves).max() / full.fixed_se[0])


def _signed() -> float:
    """The other end: the largest move in the direction in which the largest is not."""
    ends = np.array([_moves().min(), _moves().max()])
    return float(np.abs(ends).min() / _radon_fits()[0].fixed_se[1])


COUNTY = exercise(
    "checks-3",
    Number(),
    _largest_move,
    not_divided=lambda: float(np.abs(_moves()).max()),
    intercept=_intercept_instead,
    other_end=_signed,
    typical=lambda: float(np.abs(_moves()).mean() / _radon_fits()[0].fixed_se[1]),
)

# --- checks-4: positive, and yet


def _rows(answer: object) -> tuple[Array, Array]:
    pair = parts(answer, 2, "(x, Omega), a vector and a matrix")
    x, Omega = (array(part, "a vector x and a matrix Omega") for part in pair)
    n = len(x) if x.ndim == 1 else 0
    if not 3 <= n <= 300 or Omega.shape != (n, n):
        given = f"yours have the shapes {x.shape} and {Omega.shape}"
        raise Unfit(
            "Give three values of x or more (at most 300), and Omega with a row and a column for "
            f"each; {given}."
        )
    if np.ptp(x) < 1e-6 or np.abs(x).max() > 1e6:
        raise Unfit("The values of x are to differ, and to be of a size up to a million.")
    if not np.allclose(Omega, Omega.T) or not np.allclose(np.diag(Omega), 1):
        raise Unfit("Omega is to be symmetric, with ones on its diagonal.")
    if Omega.min() < 0:
        raise Unfit("No entry of Omega may be negative.")
    if np.linalg.eigvalsh(Omega)[0] < 1e-8:
        raise Unfit("Your Omega is not positive definite: no rows have such a covariance.")
    return x, Omega


def _weights(x: Array) -> Array:
    """What least squares multiplies y by for the slope."""
    away = x - x.mean()
    out: Array = away / (away @ away)
    return out


def _true(given: tuple[Array, Array]) -> Array:
    c = _weights(given[0])
    return np.array([c @ given[1] @ c / (c @ c)])


def _as_claimed(given: tuple[Array, Array]) -> Array:
    return np.maximum(_true(given), 1.0)


POSITIVE = exercise(
    "checks-4",
    Counterexample(_rows, _true, _as_claimed),
    independent=lambda given: bool(np.allclose(given[1], np.eye(len(given[0])))),
    neighbours=lambda given: True,
)

# --- checks-5: what REML reports


def _people(rng: np.random.Generator) -> tuple[Any, ...]:
    return data.people(rng, pencil, tau=2.0)


def _own_slopes(t: Array, Y: Array) -> Array:
    out: Array = np.polyfit(t, Y.T, 1)[0]
    return out


def reported(t: Array, Y: Array, spent: int = 1) -> float:
    """Standard error of the average slope, by REML with random slopes, balanced."""
    return float(np.sqrt(_own_slopes(t, Y).var(ddof=spent) / len(Y)))


def _noise_alone(t: Array, Y: Array) -> float:
    Z = np.column_stack([np.ones(len(t)), t])
    left = Y.T - Z @ np.linalg.lstsq(Z, Y.T, rcond=None)[0]
    tau2 = (left**2).sum() / (len(Y) * (len(t) - 2))
    return float(np.sqrt(tau2 / len(Y) / (len(t) * t.var())))


REPORTED = exercise(
    "checks-5",
    Function("f(t, Y)", _people, Number(EXACT)),
    reported,
    ml=lambda t, Y: reported(t, Y, spent=0),
    of_one_person=lambda t, Y: reported(t, Y) * np.sqrt(len(Y)),
    variance=lambda t, Y: reported(t, Y) ** 2,
    people_alone=lambda t, Y: np.sqrt(pencil(t, Y)[1, 1] / len(Y)),
    noise_alone=_noise_alone,
)
