"""Exercises of chapter *flat*."""

from typing import Any

import numpy as np

from ..exercises import material
from ..inputs import Array
from ..known.flat import flat
from ..known.groups import indicator
from ..known.hierarchical import gaussian, posterior
from ..known.mixed import LinearMixedModel, gls_blup
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Word
from .reading import Unfit, array

# --- flat-1: what a proper prior does to the standard errors


def _width() -> str:
    rng = np.random.default_rng()
    kinds = set()
    for _ in range(20):
        X, D = material.design(rng)
        model = LinearMixedModel(X, D, np.eye(D.shape[1]), 1.0)
        y, prior = 5 * rng.standard_normal(len(X)), gaussian(rng.normal(0, 9, 2), 25 * np.eye(2))
        gap = posterior(model, y, prior).fixed_cov - posterior(model, y, flat(2)).fixed_cov
        kinds.add("always smaller" if np.diag(gap).max() < 0 else "always larger"
                  if np.diag(gap).min() > 0 else "mixed")  # fmt: skip
    return kinds.pop() if len(kinds) == 1 else "depends on the data"


WIDTH = Exercise(
    "flat-1",
    "Wider or narrower?",
    "easy",
    "predict",
    Word(("always smaller", "always larger", "equal", "depends on the data")),
    _width,
    (
        Mistake(
            lambda: "depends on the data",
            "The mean depends on the data. Does y occur in the precision?",
        ),
        Mistake(
            lambda: "equal",
            "They tend to be equal as the prior gets wider, but a proper prior has a precision, "
            "and precisions add.",
        ),
        Mistake(
            lambda: "always larger",
            "A prior that disagrees with the data moves the mean, but in a normal model it does "
            "not widen the posterior: precisions add.",
        ),
    ),
    "A proper prior adds precision, even where it is wrong.",
)

# --- flat-2: two standard deviations of one batch


def _batches() -> LinearMixedModel:
    from ..datasets import load

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


BATCH = Exercise(
    "flat-2",
    "Two widths for a batch",
    "medium",
    "compute",
    Numbers(),
    lambda: np.sqrt(_two_variances()),
    (
        Mistake(_two_variances, "These are variances; the question asks for standard deviations."),
        Mistake(
            lambda: np.sqrt(_two_variances()[::-1]),
            "The right two numbers, but the one with alpha known comes first.",
        ),
        Mistake(
            lambda: _wrong_second(_two_variances()[0]),
            "Both of yours take alpha as known; the second one has to pay for estimating it.",
        ),
        Mistake(
            lambda: _wrong_second(_two_variances()[0] + _alpha_variance()),
            "You added the whole variance of the estimate: only the share H of its error goes "
            "into the prediction.",
        ),
        Mistake(
            lambda: _wrong_second(1764 - _two_variances()[1]),
            "Your second one is the standard deviation of the prediction, not of its error.",
        ),
    ),
    "With six batches, not knowing the general mean adds more than half to the variance.",
)

# --- flat-3: how wide is wide enough


def _mean_of_rails() -> tuple[float, float]:
    """Return the estimate of the general mean and its variance."""
    y, labels, levels = material.rail()
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


WIDE = Exercise(
    "flat-3",
    "How wide is wide enough?",
    "medium",
    "compute",
    Number(),
    _wide_enough,
    (
        Mistake(
            lambda: np.sqrt(_wide_enough()),
            "That is the standard deviation of the prior; the question asks for its variance.",
        ),
        Mistake(
            _noise_only,
            "You took the variance of the estimate as noise over n. Six rails, not eighteen "
            "measurements, decide how well the general mean is known.",
        ),
        Mistake(
            lambda: _mean_of_rails()[1] * (1 / 0.01 - 1),
            "Your gap is one per cent of the estimate; the question asks for a gap in the units "
            "of y.",
        ),
        Mistake(
            lambda: _mean_of_rails()[1] / 0.01,
            "You left out how far the prior mean lies from the estimate.",
        ),
    ),
    "Two more digits would need a variance a hundred times as large: slope minus one.",
)

# --- flat-4: a price that is not paid


def _model_of(answer: object) -> LinearMixedModel:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (X, D) of two matrices.")
    X, D = (array(part, "matrices X and D") for part in answer)
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


PRICE = Exercise(
    "flat-4",
    "A price that is not paid",
    "medium",
    "break",
    Counterexample(_model_of, _rank_of_price, lambda model: float(model.p)),
    None,
    (
        Mistake(
            _group_level,
            "All your columns are constant within groups. Then every group confuses its own "
            "effect with what was estimated, and the full price is paid.",
        ),
        Mistake(
            _sums_to_zero_overall,
            "A column of yours sums to zero over all rows. That is the right thought, but the "
            "groups look at their own rows only.",
        ),
        Mistake(
            lambda model: True,
            "Every combination of your columns has a sum that is not zero in some group, and "
            "that group pays.",
        ),
    ),
    "A covariate that is centred in every group leaves the groups alone.",
)

# --- flat-5: the price in a balanced layout


def _layout(rng: np.random.Generator) -> tuple[Any, ...]:
    return int(rng.integers(3, 12)), int(rng.integers(2, 9)), *material.variances(rng)


def price(J: int, m: int, sigma2: float, tau2: float) -> float:
    """PEV - condVar of each group: J groups of m rows, one intercept."""
    w = m * sigma2 / (m * sigma2 + tau2)
    return w * sigma2 / J


def _share(m: int, sigma2: float, tau2: float) -> float:
    return m * sigma2 / (m * sigma2 + tau2)


BALANCED = Exercise(
    "flat-5",
    "The price in a balanced layout",
    "hard",
    "prove",
    Function("f(J, m, sigma2, tau2)", _layout, Number(EXACT)),
    price,
    (
        Mistake(
            lambda J, m, s, t: (s + t / m) / J,
            "That is the variance of the estimate; only the share H of its error reaches a group.",
        ),
        Mistake(
            lambda J, m, s, t: _share(m, s, t) * (s + t / m) / J,
            "H stands on both sides of the variance of the estimate; you have it once.",
        ),
        Mistake(
            lambda J, m, s, t: s * (1 - _share(m, s, t)) + price(J, m, s, t),
            "That is the whole prediction error variance; the question asks for the part that is "
            "the price of estimating alpha.",
        ),
        Mistake(
            lambda J, m, s, t: s * (1 - _share(m, s, t)),
            "That is the conditional variance, the part for which nothing is paid.",
        ),
        Mistake(
            lambda J, m, s, t: np.sqrt(price(J, m, s, t)),
            "That is a standard deviation; the question asks for the difference of two variances.",
        ),
    ),
    "It falls with the number of groups, and not with the number of rows in them.",
)

EXERCISES = (WIDTH, BATCH, WIDE, PRICE, BALANCED)
