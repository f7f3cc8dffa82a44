"""Exercises of chapter *slopes*."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...after.fit import fit
from ...gram.term import Term
from ...inputs import Array
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Numbers,
    Table,
    Unfit,
    array,
    choice,
    data,
    exercise,
    parts,
)

if TYPE_CHECKING:
    import pandas as pd

# --- slopes-1: days or hours


@cache
def _lines(unit: float, correlated: bool) -> Array:
    """Predicted lines of eighteen people at days 0 and 9, the covariate in other units."""
    from ...datasets import load

    data = load("sleepstudy")
    X = np.column_stack([np.ones(len(data)), unit * data["Days"].to_numpy(float)])
    model = fit(data["Reaction"], X, Term(data["Subject"], Z=X, correlated=correlated))
    lines: Array = (model.fixed + model.random[0]) @ [[1, 1], [0, 9 * unit]]
    return lines


def _who_notices() -> str:
    moved = [not np.allclose(_lines(1, bar), _lines(24, bar), rtol=1e-5) for bar in (True, False)]
    if all(moved):
        return "both"
    return "one bar" if moved[0] else "two bars" if moved[1] else "neither"


UNIT = choice("slopes-1", _who_notices)

# --- slopes-2: count from another day


def _covariance(rng: np.random.Generator) -> tuple[Any, ...]:
    return data.spd(rng, 2), float(rng.uniform(2, 5) * rng.choice([-1, 1]))


def recounted(Sigma: Array, zero: float) -> Array:
    """Covariance of intercept and slope when the covariate is counted from ``zero``."""
    A = np.array([[1.0, zero], [0.0, 1.0]])
    moved: Array = A @ Sigma @ A.T
    return moved


def _kept_correlation(Sigma: Array, zero: float) -> Array:
    right = recounted(Sigma, zero)
    kept = Sigma[0, 1] * np.sqrt(right[0, 0] / Sigma[0, 0])
    return np.array([[right[0, 0], kept], [kept, Sigma[1, 1]]])


RECOUNT = exercise(
    "slopes-2",
    Function("f(Sigma, zero)", _covariance),
    recounted,
    wrong_way=lambda S, z: recounted(S, -z),
    covariance_left_out=lambda S, z: recounted(S, z) - [[2 * z * S[0, 1], 0], [0, 0]],
    one_sided=lambda S, z: np.array([[1, z], [0, 1]]) @ S,
    transposed=lambda S, z: np.array([[1, 0], [z, 1]]) @ S @ [[1, z], [0, 1]],
    covariance_kept=lambda S, z: recounted(S, z) - z * S[1, 1] * np.array([[0, 1], [1, 0]]),
    correlation_kept=_kept_correlation,
)

# --- slopes-3: counties without a first floor


@cache
def county_levels(
    fixed: Any = (1, 1), random: Any = (1, 1), to: Any = ((1, 1), (0, 1)), correlated: bool = True
) -> "pd.DataFrame":
    """Return the predicted levels of every county on both floors, or of parts of them."""
    import pandas as pd

    y, floor, _, county = data.radon()
    X = np.column_stack([np.ones(len(y)), floor])
    model = fit(y, X, Term(county, Z=X, correlated=correlated))
    levels = (model.fixed * fixed + model.random[0] * random) @ to
    labels = model.gram.blocks[0].levels
    return pd.DataFrame({"county": labels, "basement": levels[:, 0], "first": levels[:, 1]})


FLOORS = exercise(
    "slopes-3",
    Table(("basement", "first"), "county"),
    lambda: county_levels(),
    deviations=lambda: county_levels(fixed=(0, 0)),
    slope_for_level=lambda: county_levels(to=((1, 0), (0, 1))),
    fixed_slope_for_all=lambda: county_levels(random=(1, 0)),
    uncorrelated=lambda: county_levels(correlated=False),
)

# --- slopes-4: each on its own?


def _line(answer: object) -> tuple[Array, Array]:
    pair = parts(answer, 2, "(t, own) of two vectors")
    t, own = (array(part, "vectors t and own") for part in pair)
    if t.ndim != 1 or not 3 <= len(t) <= 1000 or own.shape != (2,):
        raise Unfit("Give three values of t or more (at most 1000), and two coefficients in own; "
                    f"yours have the shapes {t.shape} and {own.shape}.")  # fmt: skip
    if np.ptp(t) < 1e-6 or np.abs(t).max() > 1e6:
        raise Unfit("The values of t are to differ, and to be of a size up to a million.")
    if np.abs(own).min() < 1e-6:
        raise Unfit("Let both coefficients of own differ from zero.")
    return t, own


def _shrunk(given: tuple[Array, Array]) -> Array:
    """W (b_j - alpha_hat) for Sigma = I and tau2 = 1."""
    t, own = given
    Z = np.column_stack([np.ones(len(t)), t])
    return np.asarray(np.linalg.solve(np.eye(2) + np.linalg.inv(Z.T @ Z), own), dtype=np.float64)


def _between(given: tuple[Array, Array]) -> Array:
    _, own = given
    return np.clip(_shrunk(given), np.minimum(own, 0), np.maximum(own, 0))


ALONE = exercise(
    "slopes-4",
    Counterexample(_line, _shrunk, _between),
    centred=lambda given: bool(abs(given[0].mean()) < 1e-6 * np.abs(given[0]).max()),
    too_weak=lambda given: True,
)

# --- slopes-5: the pencil


def _people(rng: np.random.Generator) -> tuple[Any, ...]:
    return data.people(rng, pencil, tau=1.0)


def pencil(t: Array, Y: Array, spent: int = 1, used: int = 2, centre: bool = True) -> Array:
    """REML Sigma of balanced random slopes, shape (2, 2)."""
    Z = np.column_stack([np.ones(len(t)), t])
    b = np.linalg.lstsq(Z, Y.T, rcond=None)[0].T
    away = b - b.mean(axis=0) if centre else b
    tau2 = ((Y - b @ Z.T) ** 2).sum() / (len(Y) * (len(t) - used))
    Sigma: Array = away.T @ away / (len(Y) - spent) - tau2 * np.linalg.inv(Z.T @ Z)
    return Sigma


PENCIL = exercise(
    "slopes-5",
    Function("f(t, Y)", _people),
    pencil,
    noise_left_in=lambda t, Y: np.cov(np.polyfit(t, Y.T, 1)[::-1]),
    ml=lambda t, Y: pencil(t, Y, spent=0),
    about_zero=lambda t, Y: pencil(t, Y, centre=False),
    noise_too_small=lambda t, Y: pencil(t, Y, used=0),
    diagonal_only=lambda t, Y: np.diag(np.diag(pencil(t, Y))),
)

# --- slopes-6: three widths


def _study(rng: np.random.Generator) -> tuple[Any, ...]:
    t = np.sort(rng.uniform(0, 8, int(rng.integers(4, 9))))
    tau2 = data.variances(rng)[1]
    return float(rng.uniform(5, 12)), t, int(rng.integers(5, 30)), data.spd(rng, 2), tau2


def _sources(d: float, t: Array, J: int, Sigma: Array, tau2: float) -> tuple[float, float]:
    """z'Sigma z and z'S z."""
    Z = np.column_stack([np.ones(len(t)), t])
    z = np.array([1.0, d])
    return float(z @ Sigma @ z), float(tau2 * z @ np.linalg.solve(Z.T @ Z, z))


def widths(d: float, t: Array, J: int, Sigma: Array, tau2: float) -> Array:
    """Variances for the average, a new line, and a new measurement, shape (3,)."""
    people, noise = _sources(d, t, J, Sigma, tau2)
    average = (people + noise) / J
    return np.array([average, average + people, average + people + tau2])


def _as_if_fixed(*study: Any) -> Array:
    people, noise = _sources(*study)
    wrong: Array = noise / study[2] + np.array([0, people, people + study[4]])
    return wrong


def _mean_known(*study: Any) -> Array:
    wrong: Array = widths(*study) - np.array([0, 1, 1]) * widths(*study)[0]
    return wrong


WIDTHS = exercise(
    "slopes-6",
    Function("f(d, t, J, Sigma, tau2)", _study, Numbers(EXACT)),
    widths,
    as_if_fixed=_as_if_fixed,
    known_average=_mean_known,
    standard_deviations=lambda *a: np.sqrt(widths(*a)),
    line_left_out=lambda *a: widths(*a) - (0, 0, widths(*a)[1] - widths(*a)[0]),
    parts_alone=lambda *a: np.diff(widths(*a), prepend=0),
)
