"""Exercises of chapter *hierarchical*."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...inputs import Array
from ...known.groups import indicator
from ...known.hierarchical import GaussianFactor, HierarchicalModel, centred, gaussian, posterior
from ...known.mixed import LinearMixedModel
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

# --- hierarchical-1: several densities in one


def _densities(rng: np.random.Generator) -> tuple[Any, ...]:
    k = int(rng.integers(3, 6))
    return rng.normal(0, 3, k), rng.uniform(0.3, 6, k)


def product(means: Array, variances: Array) -> Array:
    """Mean and variance of a product of normal densities, shape (2,)."""
    precision = (1 / variances).sum()
    return np.array([(means / variances).sum() / precision, 1 / precision])


PRODUCT = exercise(
    "hierarchical-1",
    Function("f(means, variances)", _densities, Numbers(EXACT)),
    product,
    shift_and_precision=lambda m, v: np.array([(m / v).sum(), (1 / v).sum()]),
    plain_mean=lambda m, v: np.array([m.mean(), product(m, v)[1]]),
    weighted_by_variance=lambda m, v: np.array([(m * v).sum() / v.sum(), product(m, v)[1]]),
    variances_added=lambda m, v: np.array([product(m, v)[0], v.sum()]),
    roots=lambda m, v: product(m, np.sqrt(v)),
)

# --- hierarchical-2: county levels


def counties(uranium: bool = True) -> tuple[Any, Array, Array]:
    """Counties, their line U alpha and their deviations beta, posterior means of the radon data."""
    y, floor, log_uranium, county = data.radon()
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
    y, floor, _, county = data.radon()
    D = indicator(county)
    return _levels(0, 0).assign(level=D.T @ (y + 0.7 * floor) / D.sum(axis=0))


COUNTIES = exercise(
    "hierarchical-2",
    Table(("level",), "county"),
    lambda: _levels(1, 1),
    deviations=lambda: _levels(0, 1),
    on_the_line=lambda: _levels(1, 0),
    plain_means=_raw_means,
    without_uranium=lambda: _levels(1, 1, uranium=False),
)

# --- hierarchical-3: which columns can move


def _movable() -> str:
    _, plate, sample = data.penicillin()
    D = indicator(plate)
    samples = indicator(sample)[:, 1:]
    parts = {"only the intercept": np.ones((len(D), 1)), "only the samples": samples}
    moved = []
    for name, X in parts.items():
        try:
            centred(LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0))
            moved.append(name)
        except InputError:
            pass
    return moved[0] if len(moved) == 1 else "all columns" if moved else "none"


MOVABLE = choice("hierarchical-3", _movable)

# --- hierarchical-4: between, coordinate by coordinate


def _two_gaussians(answer: object) -> tuple[GaussianFactor, GaussianFactor, Array]:
    four = parts(answer, 4, "(m1, C1, m2, C2)")
    given = [array(part, "means and covariances") for part in four]
    shapes = [part.shape for part in given]
    if shapes != [(2,), (2, 2), (2,), (2, 2)]:
        raise Unfit(f"The means have shape (2,), the covariances (2, 2); yours have {shapes}.")
    m1, C1, m2, C2 = given
    return gaussian(m1, C1), gaussian(m2, C2), np.array([m1, m2])


def _mean(factor: GaussianFactor) -> Array:
    return np.asarray(np.linalg.solve(factor.precision, factor.shift))


def _product_mean(given: tuple[GaussianFactor, GaussianFactor, Array]) -> Array:
    return _mean(given[0] * given[1])


def _boxed(given: tuple[GaussianFactor, GaussianFactor, Array]) -> Array:
    low = given[2].min(axis=0)
    high = given[2].max(axis=0)
    return np.asarray(np.clip(_product_mean(given), low, high))


def _diagonal(given: tuple[GaussianFactor, GaussianFactor, Array]) -> bool:
    return bool(all(abs(factor.precision[0, 1]) < 1e-12 for factor in given[:2]))


def _proportional(given: tuple[GaussianFactor, GaussianFactor, Array]) -> bool:
    P1, P2 = (factor.precision / factor.precision[0, 0] for factor in given[:2])
    return bool(np.allclose(P1, P2))


OUTSIDE = exercise(
    "hierarchical-4",
    Counterexample(_two_gaussians, _product_mean, _boxed),
    equal_means=lambda given: np.ptp(given[2], axis=0).max() < 1e-9,
    uncorrelated=_diagonal,
    proportional=_proportional,
    too_weak=lambda given: True,
)

# --- hierarchical-5: the levels without alpha


def _stages(rng: np.random.Generator) -> tuple[Any, ...]:
    D = indicator(data.groups(rng))
    U = np.column_stack([np.ones(D.shape[1]), rng.standard_normal(D.shape[1])])
    return U, D, data.spd(rng, D.shape[1]), data.variances(rng)[1], data.spd(rng, 2)


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


LEVELS = exercise(
    "hierarchical-5",
    Function("f(U, D, Sigma, tau2, C)", _stages),
    level_covariance,
    added_as_independent=_without_cross,
    covariance_of_beta=lambda U, D, S, t, C: _joint(U, D, S, t, C)[0][2:, 2:],
    known_alpha=lambda U, D, S, t, C: np.linalg.inv(np.linalg.inv(S) + D.T @ D / t),
    before_the_data=lambda U, D, S, t, C: U @ C @ U.T + S,
)
