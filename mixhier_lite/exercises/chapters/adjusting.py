"""Exercises of chapter *adjusting*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import fit
from ...gram.term import Term
from ...inputs import Array
from ...known.groups import indicator
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


def _spread(v: Array, groups: Any, w: Any = 1.0) -> Array:
    """Return the (weighted) group mean of v in every row."""
    D = indicator(groups)
    w = w * np.ones(len(v))
    return np.asarray(D @ ((D.T @ (w * v.T).T).T / (D.T @ w)).T)


# --- adjusting-1: another estimate of the variances


def _which_change() -> str:
    y, floor, _, county = data.radon()
    X = np.column_stack([np.ones(len(y)), floor, _spread(floor, county)])
    reml, ml = (fit(y, X, Term(county), method).fixed for method in ("REML", "ML"))
    names = {(True, True): "neither", (True, False): "the mean's", (False, True): "floor's"}
    return names.get(tuple(np.isclose(reml[1:], ml[1:], rtol=1e-7, atol=0)), "both")


CHANGE = choice("adjusting-1", _which_change)

# --- adjusting-2: what uranium explains


@cache
def _variances(method: str = "REML", column: str = "y_gh") -> Array:
    """sigma2 and tau2 (columns) without and with log uranium (rows)."""
    from ...datasets import load

    _, floor, uranium, county = data.radon()
    y = load("radon")[column].to_numpy(float)
    one = np.ones(len(floor))
    fits = [
        fit(y, np.column_stack(columns), Term(county), method)
        for columns in ((one, floor), (one, floor, uranium))
    ]
    return np.array([(f.Sigma[0].item(), f.tau2) for f in fits])


def _explained(variances: Array) -> float:
    return float(1 - variances[1] / variances[0])


URANIUM = exercise(
    "adjusting-2",
    Number(),
    lambda: _explained(_variances()[:, 0]),
    standard_deviations=lambda: _explained(np.sqrt(_variances()[:, 0])),
    share_left=lambda: 1 - _explained(_variances()[:, 0]),
    ml=lambda: _explained(_variances("ML")[:, 0]),
    variance_of_homes=lambda: _explained(_variances().sum(axis=1)),
    wrong_column=lambda: _explained(_variances(column="log_radon")[:, 0]),
)

# --- adjusting-3: within slopes with weights


def _weighted_rows(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = data.groups(rng)
    D = indicator(labels)
    lift = rng.standard_normal((D.shape[1], 2))
    mix = np.array([[1.0, 0.7], [0.0, 1.0]])
    X = (2 * D @ lift + rng.standard_normal((len(D), 2))) @ mix
    y = X @ rng.standard_normal(2) + D @ lift[:, 0] + rng.standard_normal(len(D))
    return X, y, labels, rng.uniform(0.2, 4, len(D))


def within(X: Array, y: Array, groups: Any, w: Array, means: Array | None = None) -> Array:
    """Weighted least squares after centring at the means with the weights ``means``."""
    x, v = (u - _spread(u, groups, w if means is None else means) for u in (X, y))
    return np.asarray(np.linalg.solve((x.T * w) @ x, (x.T * w) @ v))


WEIGHTS = exercise(
    "adjusting-3",
    Function("f(X, y, groups, w)", _weighted_rows),
    within,
    plain_means=lambda X, y, g, w: within(X, y, g, w, np.ones(len(w))),
    plain_products=lambda X, y, g, w: within(X, y, g, np.ones(len(w)), w),
    unweighted=lambda X, y, g, w: within(X, y, g, np.ones(len(w))),
    squared_weights=lambda X, y, g, w: within(X, y, g, w**2),
    one_at_a_time=lambda X, y, g, w: np.array([within(x[:, None], y, g, w)[0] for x in X.T]),
    pooled=lambda X, y, g, w: within(X, y, np.zeros(len(y), dtype=int), w),
)

# --- adjusting-4: the mean that was left out

_GROUPS = np.repeat(np.arange(6), 3)


def _pair(answer: object) -> tuple[Array, Array]:
    pair = parts(answer, 2, "(x1, x2) of two vectors")
    x1, x2 = (array(part, "two vectors x1 and x2") for part in pair)
    if x1.shape != (18,) or x2.shape != (18,):
        raise Unfit(f"The shapes of x1 and x2 are to be (18,); yours are {x1.shape}, {x2.shape}.")
    if np.abs(x1 - _spread(x1, _GROUPS)).max() < 1e-6 * (1 + np.abs(x1).max()):
        raise Unfit("Your x1 is constant within groups: it has no within slope.")
    if np.linalg.matrix_rank(_columns(x1, x2)) < 4:
        raise Unfit("The columns 1, x1, x2 and the group means of x1 are linearly dependent.")
    if np.abs(_inside((x1, x2))[:, 1]).max() > 1e-8 and np.linalg.cond(_inside((x1, x2))) > 1e8:
        raise Unfit("Within groups x2 is a multiple of x1: there are no two within slopes.")
    return x1, x2


def _columns(x1: Array, x2: Array) -> Array:
    return np.column_stack([np.ones(18), x1, x2, _spread(x1, _GROUPS)])


def _by_gls(given: tuple[Array, Array]) -> Array:
    """The row that makes the coefficient of x1 out of y."""
    D = indicator(_GROUPS)
    model = LinearMixedModel(_columns(*given), D, np.eye(6), 1.0)
    return np.array([gls_blup(model, unit).fixed[1] for unit in np.eye(18)])


def _inside(given: tuple[Array, Array]) -> Array:
    return np.column_stack([x - _spread(x, _GROUPS) for x in given])


def _by_dummies(given: tuple[Array, Array]) -> Array:
    return np.asarray(np.linalg.pinv(_inside(given), rcond=1e-9)[0])


def _means_on_a_line(given: tuple[Array, Array]) -> bool:
    x1, x2 = (_spread(x, _GROUPS) for x in given)
    line = np.column_stack([np.ones(18), x1])
    off = x2 - line @ np.linalg.lstsq(line, x2, rcond=None)[0]
    return bool(np.abs(off).max() < 1e-6 * (1 + np.abs(x2).max()))


LEFT_OUT = exercise(
    "adjusting-4",
    Counterexample(_pair, _by_gls, _by_dummies),
    group_level=lambda given: bool(np.abs(_inside(given)[:, 1]).max() < 1e-8),
    uncorrelated=lambda given: bool(abs(_inside(given)[:, 0] @ _inside(given)[:, 1]) < 1e-6),
    means_on_a_line=_means_on_a_line,
)

# --- adjusting-5: how well the difference is known


def _one_covariate(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = data.groups(rng)
    lift = 2 * rng.standard_normal(128)[np.unique(labels, return_inverse=True)[1]]
    return lift + rng.standard_normal(len(labels)), labels, *data.variances(rng)


def _parts(x: Array, groups: Any, sigma2: float, tau2: float) -> Array:
    """Var of the within slope and of the GLS line through the group means."""
    D = indicator(groups)
    means = _spread(x, groups)
    weights = 1 / (sigma2 + tau2 / D.sum(axis=0))
    at = D.T @ x / D.sum(axis=0)
    off = at - weights @ at / weights.sum()
    return np.array([tau2 / ((x - means) @ (x - means)), 1 / (weights @ off**2)])


def variance_of_difference(x: Array, groups: Any, sigma2: float, tau2: float) -> float:
    """Var(c_hat), read off the regression on 1, x and its group means."""
    X = np.column_stack([np.ones(len(x)), x, _spread(x, groups)])
    D = indicator(groups)
    model = LinearMixedModel(X, D, sigma2 * np.eye(D.shape[1]), tau2)
    return float(gls_blup(model, np.zeros(len(x))).fixed_cov[2, 2])


def _counted_once(x: Array, groups: Any, sigma2: float, tau2: float) -> float:
    D = indicator(groups)
    at = D.T @ x / D.sum(axis=0)
    within, _ = _parts(x, groups, sigma2, tau2)
    middle = sigma2 + tau2 / D.sum(axis=0).mean()
    return float(within + middle / ((at - at.mean()) @ (at - at.mean())))


DIFFERENCE = exercise(
    "adjusting-5",
    Function("f(x, groups, sigma2, tau2)", _one_covariate, Number(EXACT)),
    variance_of_difference,
    between_alone=lambda *given: _parts(*given)[1],
    subtracted=lambda *given: _parts(*given)[1] - _parts(*given)[0],
    standard_error=lambda *given: np.sqrt(variance_of_difference(*given)),
    average_size=_counted_once,
)

# --- adjusting-6: an error in the covariate


def _reliability(rng: np.random.Generator) -> tuple[Any, ...]:
    between, inside, error = rng.uniform(1, 5, 3)
    return float(between + 2), float(inside), float(error)


def attenuated(between: float, within: float, error: float) -> Array:
    """What the pooled and the within slope tend to, if the truth is one."""
    total = between + within
    return np.array([total / (total + error), within / (within + error)])


ATTENUATED = exercise(
    "adjusting-6",
    Function("f(between, within, error)", _reliability, Numbers(EXACT)),
    attenuated,
    equal_limits=lambda b, w, e: attenuated(b, w, e)[[0, 0]],
    between_alone=lambda b, w, e: np.array([b / (b + e), w / (w + e)]),
    cancels=lambda b, w, e: np.ones(2),
    roots=lambda b, w, e: attenuated(b**0.5, w**0.5, e**0.5),
)
