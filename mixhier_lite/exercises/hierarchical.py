"""Exercises of chapter *hierarchical*."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..exercises import material
from ..inputs import Array
from ..known.groups import indicator
from ..known.hierarchical import GaussianFactor, HierarchicalModel, centred, gaussian, posterior
from ..known.mixed import LinearMixedModel
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Numbers, Table, Word
from .reading import Unfit, array

if TYPE_CHECKING:
    import pandas as pd

# --- hierarchical-1: several densities in one


def _densities(rng: np.random.Generator) -> tuple[Any, ...]:
    k = int(rng.integers(3, 6))
    return rng.normal(0, 3, k), rng.uniform(0.3, 6, k)


def product(means: Array, variances: Array) -> Array:
    """Mean and variance of a product of normal densities, shape (2,)."""
    precision = (1 / variances).sum()
    return np.array([(means / variances).sum() / precision, 1 / precision])


PRODUCT = Exercise(
    "hierarchical-1",
    "Multiply Gaussians",
    "easy",
    "compute",
    Function("f(means, variances)", _densities, Numbers(EXACT)),
    product,
    (
        Mistake(
            lambda m, v: np.array([(m / v).sum(), (1 / v).sum()]),
            "These are the shift and the precision of the product; read the mean and the variance "
            "off them.",
        ),
        Mistake(
            lambda m, v: np.array([m.mean(), product(m, v)[1]]),
            "The variance is right. The means are not equally trustworthy: weight them.",
        ),
        Mistake(
            lambda m, v: np.array([(m * v).sum() / v.sum(), product(m, v)[1]]),
            "The variance is right, but your weights grow with the variance; they should fall.",
        ),
        Mistake(
            lambda m, v: np.array([product(m, v)[0], v.sum()]),
            "The mean is right. You added variances: it is precisions that add.",
        ),
        Mistake(
            lambda m, v: product(m, np.sqrt(v)),
            "You took roots: the precision is one over the variance, not over the standard "
            "deviation.",
        ),
    ),
    "Precisions add, shifts add, and everything else follows.",
)

# --- hierarchical-2: county levels


def counties(uranium: bool = True) -> tuple[Any, Array, Array]:
    """Counties, their line U alpha and their deviations beta, posterior means of the radon data."""
    y, floor, log_uranium, county = material.radon()
    ground = y + 0.7 * floor
    levels, first = np.unique(county, return_index=True)
    U = np.column_stack([np.ones(len(levels)), log_uranium[first]])[:, : 1 + uranium]
    model = HierarchicalModel(U, indicator(county), 0.1 * np.eye(len(levels)), 0.6).to_mixed()
    p = U.shape[1]
    found = posterior(model, ground, gaussian(np.zeros(p), 100 * np.eye(p)))
    return levels, U @ found.fixed, found.random


def _levels(line: float, deviation: float, uranium: bool = True) -> "pd.DataFrame":
    import pandas as pd

    levels, on_line, beta = counties(uranium)
    return pd.DataFrame({"county": levels, "level": line * on_line + deviation * beta})


def _raw_means() -> "pd.DataFrame":
    y, floor, _, county = material.radon()
    D = indicator(county)
    return _levels(0, 0).assign(level=D.T @ (y + 0.7 * floor) / D.sum(axis=0))


COUNTIES = Exercise(
    "hierarchical-2",
    "Eighty-five levels",
    "medium",
    "compute",
    Table(("level",), "county"),
    lambda: _levels(1, 1),
    (
        Mistake(
            lambda: _levels(0, 1),
            "These are the deviations from the line, the zero-centred form; the question asks for "
            "the levels.",
        ),
        Mistake(
            lambda: _levels(1, 0),
            "These are points on the line: what the uranium says of a county before its own homes "
            "speak.",
        ),
        Mistake(
            _raw_means,
            "These are plain means of the counties: nothing has been pooled.",
        ),
        Mistake(
            lambda: _levels(1, 1, uranium=False),
            "Your second stage has no uranium: the counties scatter around one number.",
        ),
    ),
    "A county with few homes lies near the line, one with many near its own mean.",
)

# --- hierarchical-3: which columns can move


def _movable() -> str:
    _, plate, sample = material.penicillin()
    D, samples = indicator(plate), indicator(sample)[:, 1:]
    parts = {"only the intercept": np.ones((len(D), 1)), "only the samples": samples}
    moved = []
    for name, X in parts.items():
        try:
            centred(LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0))
            moved.append(name)
        except InputError:
            pass
    return moved[0] if len(moved) == 1 else "all columns" if moved else "none"


MOVABLE = Exercise(
    "hierarchical-3",
    "What can move up?",
    "easy",
    "predict",
    Word(("all columns", "only the intercept", "only the samples", "none")),
    _movable,
    (
        Mistake(
            lambda: "all columns",
            "Every plate carries all six samples. Is a dummy of a sample constant within a plate?",
        ),
        Mistake(
            lambda: "only the samples",
            "A column moves if it is constant within plates: look at a dummy on one plate, then "
            "at the column of ones.",
        ),
        Mistake(
            lambda: "none",
            "One of the columns takes the same value in all rows of a plate, hence it is DU for a "
            "U that you can name.",
        ),
    ),
    "What varies within a plate stays in the first stage.",
)

# --- hierarchical-4: between, coordinate by coordinate


def _two_gaussians(answer: object) -> tuple[GaussianFactor, GaussianFactor, Array]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 4:
        raise Unfit("The question asks for a tuple (m1, C1, m2, C2).")
    parts = [array(part, "means and covariances") for part in answer]
    shapes = [part.shape for part in parts]
    if shapes != [(2,), (2, 2), (2,), (2, 2)]:
        raise Unfit(f"The means have shape (2,), the covariances (2, 2); yours have {shapes}.")
    m1, C1, m2, C2 = parts
    return gaussian(m1, C1), gaussian(m2, C2), np.array([m1, m2])


def _mean(factor: GaussianFactor) -> Array:
    return np.asarray(np.linalg.solve(factor.precision, factor.shift))


def _product_mean(given: tuple[GaussianFactor, GaussianFactor, Array]) -> Array:
    return _mean(given[0] * given[1])


def _boxed(given: tuple[GaussianFactor, GaussianFactor, Array]) -> Array:
    low, high = given[2].min(axis=0), given[2].max(axis=0)
    return np.asarray(np.clip(_product_mean(given), low, high))


def _diagonal(given: tuple[GaussianFactor, GaussianFactor, Array]) -> bool:
    return bool(all(abs(factor.precision[0, 1]) < 1e-12 for factor in given[:2]))


def _proportional(given: tuple[GaussianFactor, GaussianFactor, Array]) -> bool:
    P1, P2 = (factor.precision / factor.precision[0, 0] for factor in given[:2])
    return bool(np.allclose(P1, P2))


OUTSIDE = Exercise(
    "hierarchical-4",
    "A compromise outside",
    "medium",
    "break",
    Counterexample(_two_gaussians, _product_mean, _boxed),
    None,
    (
        Mistake(
            lambda given: np.ptp(given[2], axis=0).max() < 1e-9,
            "Your two means are equal, and so is the mean of the product. Let them disagree.",
        ),
        Mistake(
            _diagonal,
            "Without correlations each coordinate is a case of its own, and there the compromise "
            "does lie between.",
        ),
        Mistake(
            _proportional,
            "Your two covariances are multiples of each other. Then the weights are the same in "
            "every direction, and the compromise lies on the line between the means.",
        ),
        Mistake(
            lambda given: True,
            "Correlated, and not multiples of each other: the right kind. Make the correlation "
            "stronger, or let the means differ in one coordinate only.",
        ),
    ),
    "Matrix weights: what is learned of one coordinate carries over to the other.",
)

# --- hierarchical-5: the levels without alpha


def _stages(rng: np.random.Generator) -> tuple[Any, ...]:
    D = indicator(material.groups(rng))
    U = np.column_stack([np.ones(D.shape[1]), rng.standard_normal(D.shape[1])])
    return U, D, material.spd(rng, D.shape[1]), material.variances(rng)[1], material.spd(rng, 2)


def _joint(U: Array, D: Array, Sigma: Array, tau2: float, C: Array) -> tuple[Array, Array]:
    model = HierarchicalModel(U, D, Sigma, tau2).to_mixed()
    found = posterior(model, np.zeros(model.n), gaussian(np.zeros(model.p), C))
    return found.cov, np.hstack([U, np.eye(model.J)])


def level_covariance(U: Array, D: Array, Sigma: Array, tau2: float, C: Array) -> Array:
    """Var(gamma | y), shape (J, J): that of U alpha + beta."""
    cov, sums = _joint(U, D, Sigma, tau2, C)
    levels: Array = sums @ cov @ sums.T
    return levels


def _without_cross(U: Array, D: Array, Sigma: Array, tau2: float, C: Array) -> Array:
    cov, _ = _joint(U, D, Sigma, tau2, C)
    p = U.shape[1]
    separate: Array = U @ cov[:p, :p] @ U.T + cov[p:, p:]
    return separate


LEVELS = Exercise(
    "hierarchical-5",
    "The levels on their own",
    "hard",
    "prove",
    Function("f(U, D, Sigma, tau2, C)", _stages),
    level_covariance,
    (
        Mistake(
            _without_cross,
            "You added two variances as if alpha and beta were independent after the data; they "
            "are not, and most of the uncertainty cancels in their sum.",
        ),
        Mistake(
            lambda U, D, S, t, C: _joint(U, D, S, t, C)[0][2:, 2:],
            "That is the covariance of beta, the deviation; the level has the line in it too.",
        ),
        Mistake(
            lambda U, D, S, t, C: np.linalg.inv(np.linalg.inv(S) + D.T @ D / t),
            "That is the covariance for a known alpha; integrate alpha out instead of fixing it.",
        ),
        Mistake(
            lambda U, D, S, t, C: U @ C @ U.T + S,
            "That is what is known of the levels before the data: multiply with what y says.",
        ),
    ),
    "Two factors over the levels alone: one from the upper stages, one from the data.",
)

EXERCISES = (PRODUCT, COUNTIES, MOVABLE, OUTSIDE, LEVELS)
