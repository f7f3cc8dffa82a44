"""Exercises of chapter *slopes*."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exercises import material
from ..fitted.fit import fit
from ..gram.term import Term
from ..inputs import Array
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Numbers, Table, Word
from .reading import Unfit, array

if TYPE_CHECKING:
    import pandas as pd

# --- slopes-1: days or hours


@cache
def _lines(unit: float, correlated: bool) -> Array:
    """Predicted lines of eighteen people at days 0 and 9, the covariate in other units."""
    from ..datasets import load

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


UNIT = Exercise(
    "slopes-1",
    "Days or hours?",
    "easy",
    "predict",
    Word(("one bar", "two bars", "both", "neither")),
    _who_notices,
    (
        Mistake(
            lambda: "two bars",
            "That would be so if the zero moved. A change of unit multiplies the slopes: what "
            "becomes of a covariance that is zero?",
        ),
        Mistake(
            lambda: "one bar",
            "With one bar Sigma may be any covariance, before and after: A Sigma A' is one too.",
        ),
        Mistake(
            lambda: "both",
            "The numbers for the slopes change with their unit. The question is about the lines, "
            "in milliseconds.",
        ),
    ),
    "A diagonal Sigma stays diagonal under a diagonal A: only the zero matters, not the unit.",
)

# --- slopes-2: count from another day


def _covariance(rng: np.random.Generator) -> tuple[Any, ...]:
    return material.spd(rng, 2), float(rng.uniform(2, 5) * rng.choice([-1, 1]))


def recounted(Sigma: Array, zero: float) -> Array:
    """Covariance of intercept and slope when the covariate is counted from ``zero``."""
    A = np.array([[1.0, zero], [0.0, 1.0]])
    moved: Array = A @ Sigma @ A.T
    return moved


def _kept_correlation(Sigma: Array, zero: float) -> Array:
    right = recounted(Sigma, zero)
    kept = Sigma[0, 1] * np.sqrt(right[0, 0] / Sigma[0, 0])
    return np.array([[right[0, 0], kept], [kept, Sigma[1, 1]]])


RECOUNT = Exercise(
    "slopes-2",
    "Count from another day",
    "easy",
    "compute",
    Function("f(Sigma, zero)", _covariance),
    recounted,
    (
        Mistake(
            lambda S, z: recounted(S, -z),
            "You moved the wrong way: the new intercept is the height of the line at the new zero.",
        ),
        Mistake(
            lambda S, z: recounted(S, z) - [[2 * z * S[0, 1], 0], [0, 0]],
            "In the variance of the new intercept you added two variances; intercept and slope are "
            "correlated, and a term with the covariance is missing.",
        ),
        Mistake(
            lambda S, z: np.array([[1, z], [0, 1]]) @ S,
            "You multiplied by A from one side only: a covariance needs A on the left and its "
            "transpose on the right.",
        ),
        Mistake(
            lambda S, z: np.array([[1, 0], [z, 1]]) @ S @ [[1, z], [0, 1]],
            "You have A and its transpose in each other's place: this moves the slope and leaves "
            "the intercept.",
        ),
        Mistake(
            lambda S, z: recounted(S, z) - z * S[1, 1] * np.array([[0, 1], [1, 0]]),
            "You moved the variance of the intercept and kept the covariance. The new intercept "
            "contains the slope, so their covariance moves too.",
        ),
        Mistake(
            _kept_correlation,
            "You kept the correlation. It belongs to one choice of the zero, not to the people.",
        ),
    ),
    "Variance and correlation of the intercept say where the zero is; the slope's variance stays.",
)

# --- slopes-3: counties without a first floor


@cache
def county_levels(
    fixed: Any = (1, 1), random: Any = (1, 1), to: Any = ((1, 1), (0, 1)), correlated: bool = True
) -> "pd.DataFrame":
    """Return the predicted levels of every county on both floors, or of parts of them."""
    import pandas as pd

    y, floor, _, county = material.radon()
    X = np.column_stack([np.ones(len(y)), floor])
    model = fit(y, X, Term(county, Z=X, correlated=correlated))
    levels = (model.fixed * fixed + model.random[0] * random) @ to
    labels = model.gram.blocks[0].levels
    return pd.DataFrame({"county": labels, "basement": levels[:, 0], "first": levels[:, 1]})


FLOORS = Exercise(
    "slopes-3",
    "Counties without a first floor",
    "medium",
    "compute",
    Table(("basement", "first"), "county"),
    lambda: county_levels(),
    (
        Mistake(
            lambda: county_levels(fixed=(0, 0)),
            "These are deviations from the average county: the random effects are not the whole "
            "coefficients. Add the fixed effects.",
        ),
        Mistake(
            lambda: county_levels(to=((1, 0), (0, 1))),
            "Your second column is the slope; the level on the first floor is intercept and slope "
            "together.",
        ),
        Mistake(
            lambda: county_levels(random=(1, 0)),
            "Your intercepts are right, but you took the fixed slope for all counties; each has a "
            "slope of its own, those without a first floor included.",
        ),
        Mistake(
            lambda: county_levels(correlated=False),
            "This is the fit with two bars; the question leaves the covariance free.",
        ),
    ),
    "Even a county without a home on the first floor has a slope: its basements speak for it.",
)

# --- slopes-4: each on its own?


def _line(answer: object) -> tuple[Array, Array]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (t, own) of two vectors.")
    t, own = (array(part, "vectors t and own") for part in answer)
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


ALONE = Exercise(
    "slopes-4",
    "Each on its own?",
    "medium",
    "break",
    Counterexample(_line, _shrunk, _between),
    None,
    (
        Mistake(
            lambda given: bool(abs(given[0].mean()) < 1e-6 * np.abs(given[0]).max()),
            "Your t is centred. Then the noise in intercept and slope is uncorrelated as well, "
            "and each coefficient does shrink on its own. Move the zero.",
        ),
        Mistake(
            lambda given: True,
            "The noise in your two coefficients is correlated, and that is what it takes. But "
            "here the pull of the one is too weak for the other: let one coefficient be small, "
            "and the other large.",
        ),
    ),
    "Independent people are not enough: the noise has a correlation of its own.",
)

# --- slopes-5: the pencil


def _people(rng: np.random.Generator) -> tuple[Any, ...]:
    t = np.sort(rng.uniform(0, 6, int(rng.integers(4, 8))))
    t += 0.5 * np.arange(len(t))
    Z = np.column_stack([np.ones(len(t)), t])
    while True:
        J, root = int(rng.integers(5, 12)), np.linalg.cholesky(4 * material.spd(rng, 2))
        b = (20.0, 3.0) + rng.standard_normal((J, 2)) @ root.T
        Y = b @ Z.T + rng.standard_normal((J, len(t)))
        if np.linalg.eigvalsh(pencil(t, Y))[0] > 0.2:
            return t, Y


def pencil(t: Array, Y: Array, spent: int = 1, used: int = 2, centre: bool = True) -> Array:
    """REML Sigma of balanced random slopes, shape (2, 2)."""
    Z = np.column_stack([np.ones(len(t)), t])
    b = np.linalg.lstsq(Z, Y.T, rcond=None)[0].T
    away = b - b.mean(axis=0) if centre else b
    tau2 = ((Y - b @ Z.T) ** 2).sum() / (len(Y) * (len(t) - used))
    Sigma: Array = away.T @ away / (len(Y) - spent) - tau2 * np.linalg.inv(Z.T @ Z)
    return Sigma


PENCIL = Exercise(
    "slopes-5",
    "Slopes with a pencil",
    "medium",
    "compute",
    Function("f(t, Y)", _people),
    pencil,
    (
        Mistake(
            lambda t, Y: np.cov(np.polyfit(t, Y.T, 1)[::-1]),
            "That is the covariance of the own lines, people and noise together. Take the noise "
            "away.",
        ),
        Mistake(lambda t, Y: pencil(t, Y, spent=0), "You divided by J: this is the ML estimate."),
        Mistake(
            lambda t, Y: pencil(t, Y, centre=False),
            "Your second moments are about zero; people differ from their mean line.",
        ),
        Mistake(
            lambda t, Y: pencil(t, Y, used=0),
            "Your noise variance is too small: every own line has used up two of its rows.",
        ),
        Mistake(
            lambda t, Y: np.diag(np.diag(pencil(t, Y))),
            "The variances are right; the covariance is asked for as well.",
        ),
    ),
    "Own lines scatter for two reasons: take the noise away, and people are left.",
)

# --- slopes-6: three widths


def _study(rng: np.random.Generator) -> tuple[Any, ...]:
    t = np.sort(rng.uniform(0, 8, int(rng.integers(4, 9))))
    tau2 = material.variances(rng)[1]
    return float(rng.uniform(5, 12)), t, int(rng.integers(5, 30)), material.spd(rng, 2), tau2


def _sources(d: float, t: Array, J: int, Sigma: Array, tau2: float) -> tuple[float, float]:
    """z'Sigma z and z'S z."""
    Z, z = np.column_stack([np.ones(len(t)), t]), np.array([1.0, d])
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


WIDTHS = Exercise(
    "slopes-6",
    "Three widths",
    "hard",
    "prove",
    Function("f(d, t, J, Sigma, tau2)", _study, Numbers(EXACT)),
    widths,
    (
        Mistake(
            _as_if_fixed,
            "Your average errs by noise alone, as if these were all the people there are. "
            "Slopes vary from person to person, so the mean of J lines varies with them.",
        ),
        Mistake(
            _mean_known,
            "You took the average as known for somebody new: it is estimated, and its variance "
            "comes on top.",
        ),
        Mistake(lambda *a: np.sqrt(widths(*a)), "Standard deviations; variances are asked for."),
        Mistake(
            lambda *a: widths(*a) - (0, 0, widths(*a)[1] - widths(*a)[0]),
            "A new measurement is on a new person's line: it has that line's variance and noise.",
        ),
        Mistake(
            lambda *a: np.diff(widths(*a), prepend=0),
            "These are the three parts; each width contains the ones before it.",
        ),
    ),
    "More people make the first one narrow; the other two have a floor.",
)

EXERCISES = (UNIT, RECOUNT, FLOORS, ALONE, PENCIL, WIDTHS)
