"""Exercises of chapter *flat*."""

from typing import Any

import numpy as np

from ...inputs import Array
from ...known.flat import flat
from ...known.groups import indicator
from ...known.hierarchical import gaussian, posterior
from ...known.mixed import LinearMixedModel, gls_blup
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

# --- flat-1: what a proper prior does to the standard errors


def _width() -> str:
    rng = np.random.default_rng()
    kinds = set()
    for _ in range(20):
        X, D = data.design(rng)
        model = LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)
        y = 5 * rng.standard_normal(len(X))
        prior = gaussian(rng.normal(0, 9, 2), 25 * np.eye(2))
        gap = posterior(model, y, prior).fixed_cov - posterior(model, y, flat(2)).fixed_cov
        kinds.add("always smaller" if np.diag(gap).max() < 0 else "always larger"
                  if np.diag(gap).min() > 0 else "mixed")  # fmt: skip
    return kinds.pop() if len(kinds) == 1 else "depends on the data"


WIDTH = choice("flat-1", _width)

# --- flat-2: two standard deviations of one batch


def _batches() -> LinearMixedModel:
    from ...datasets import load

    D = indicator(load("Dyestuff")["Batch"].to_numpy(str))
    return LinearMixedModel(np.ones((30, 1)), D, 1764 * np.eye(6), 2451)


def _two_variances() -> Array:
    model = _batches()
    known = LinearMixedModel(np.zeros((30, 0)), model.D, model.Sigma, model.tau2)
    y = np.zeros(30)
    return np.array([gls_blup(m, y).random_cov[0, 0] for m in (known, model)])


def _wrong_second(variance: float) -> Array:
    return np.sqrt([_two_variances()[0], variance])


def _alpha_variance() -> float:
    return float(gls_blup(_batches(), np.zeros(30)).fixed_cov[0, 0])


BATCH = exercise(
    "flat-2",
    Numbers(),
    lambda: np.sqrt(_two_variances()),
    variances=_two_variances,
    wrong_order=lambda: np.sqrt(_two_variances()[::-1]),
    both_known=lambda: _wrong_second(_two_variances()[0]),
    whole_variance_added=lambda: _wrong_second(_two_variances()[0] + _alpha_variance()),
    sd_of_prediction=lambda: _wrong_second(1764 - _two_variances()[1]),
)

# --- flat-3: how wide is wide enough


def _mean_of_rails() -> tuple[float, float]:
    """Return the estimate of the general mean and its variance."""
    y, labels, levels = data.rail()
    D = indicator(labels)
    found = gls_blup(LinearMixedModel(np.ones((18, 1)), D, 616 * np.eye(len(levels)), 16), y)
    return float(found.fixed[0]), float(found.fixed_cov[0, 0])


def _wide_enough() -> float:
    """Solve v / (v + kappa) |alpha_hat| = 0.01 for kappa."""
    estimate, variance = _mean_of_rails()
    return variance * (abs(estimate) / 0.01 - 1)


def _noise_only() -> float:
    estimate, _ = _mean_of_rails()
    return 16 / 18 * (abs(estimate) / 0.01 - 1)


WIDE = exercise(
    "flat-3",
    Number(),
    _wide_enough,
    standard_deviation=lambda: np.sqrt(_wide_enough()),
    noise_over_n=_noise_only,
    per_cent=lambda: _mean_of_rails()[1] * (1 / 0.01 - 1),
    distance_left_out=lambda: _mean_of_rails()[1] / 0.01,
)

# --- flat-4: a price that is not paid


def _model_of(answer: object) -> LinearMixedModel:
    pair = parts(answer, 2, "(X, D) of two matrices")
    X, D = (array(part, "matrices X and D") for part in pair)
    X = X[:, None] if X.ndim == 1 else X
    if X.ndim != 2 or D.ndim != 2 or len(X) != len(D):
        raise Unfit(f"X and D need the same rows; yours have shapes {X.shape} and {D.shape}.")
    if not (np.isin(D, (0, 1)).all() and (D.sum(axis=1) == 1).all() and D.any(axis=0).all()):
        raise Unfit("D is to be the indicator of groups, none of them empty.")
    if D.shape[1] < max(2, X.shape[1]):
        raise Unfit("Take at least two groups, and no fewer groups than columns of X: with fewer, "
                    "the rank has no room.")  # fmt: skip
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise Unfit("The columns of X are linearly dependent: the posterior is improper.")
    return LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)


def _rank_of_price(model: LinearMixedModel) -> float:
    H = model.D.T @ np.linalg.solve(model.V, model.X)
    return float(np.linalg.matrix_rank(H, tol=1e-8 * np.abs(model.X).max()))


def _group_level(model: LinearMixedModel) -> bool:
    D = model.D
    rest = model.X - D @ ((D.T @ model.X) / D.sum(axis=0)[:, None])
    return bool(np.abs(rest).max() < 1e-9)


def _sums_to_zero_overall(model: LinearMixedModel) -> bool:
    return bool((np.abs(model.X.sum(axis=0)) < 1e-9).any())


PRICE = exercise(
    "flat-4",
    Counterexample(_model_of, _rank_of_price, lambda model: float(model.p)),
    group_level=_group_level,
    sums_to_zero_overall=_sums_to_zero_overall,
    some_group_pays=lambda model: True,
)

# --- flat-5: the price in a balanced layout


def _layout(rng: np.random.Generator) -> tuple[Any, ...]:
    return int(rng.integers(3, 12)), int(rng.integers(2, 9)), *data.variances(rng)


def price(J: int, m: int, sigma2: float, tau2: float) -> float:
    """PEV - condVar of each group: J groups of m rows, one intercept."""
    w = m * sigma2 / (m * sigma2 + tau2)
    return w * sigma2 / J


def _share(m: int, sigma2: float, tau2: float) -> float:
    return m * sigma2 / (m * sigma2 + tau2)


BALANCED = exercise(
    "flat-5",
    Function("f(J, m, sigma2, tau2)", _layout, Number(EXACT)),
    price,
    variance_of_estimate=lambda J, m, s, t: (s + t / m) / J,
    share_once=lambda J, m, s, t: _share(m, s, t) * (s + t / m) / J,
    whole_pev=lambda J, m, s, t: s * (1 - _share(m, s, t)) + price(J, m, s, t),
    conditional_variance=lambda J, m, s, t: s * (1 - _share(m, s, t)),
    root=lambda J, m, s, t: np.sqrt(price(J, m, s, t)),
)
