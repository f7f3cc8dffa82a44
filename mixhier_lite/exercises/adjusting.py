"""Exercises of chapter *adjusting*."""

from functools import cache
from typing import Any

import numpy as np

from ..exercises import material
from ..fitted.fit import fit
from ..gram.term import Term
from ..inputs import Array
from ..known.groups import indicator
from ..known.mixed import LinearMixedModel, gls_blup
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Word
from .reading import Unfit, array


def _spread(v: Array, groups: Any, w: Any = 1.0) -> Array:
    """Return the (weighted) group mean of v in every row."""
    D, w = indicator(groups), w * np.ones(len(v))
    return np.asarray(D @ ((D.T @ (w * v.T).T).T / (D.T @ w)).T)


# --- adjusting-1: another estimate of the variances


def _which_change() -> str:
    y, floor, _, county = material.radon()
    X = np.column_stack([np.ones(len(y)), floor, _spread(floor, county)])
    reml, ml = (fit(y, X, Term(county), method).fixed for method in ("REML", "ML"))
    names = {(True, True): "neither", (True, False): "the mean's", (False, True): "floor's"}
    return names.get(tuple(np.isclose(reml[1:], ml[1:], rtol=1e-7, atol=0)), "both")


CHANGE = Exercise(
    "adjusting-1",
    "Other variances",
    "easy",
    "predict",
    Word(("neither", "floor's", "the mean's", "both")),
    _which_change,
    (
        Mistake(
            lambda: "both",
            "One of the two is a comparison of homes of one county. What do the variances have "
            "to say about it?",
        ),
        Mistake(
            lambda: "neither",
            "The identity speaks of one of the two. The other compares counties, and counties of "
            "unequal size are weighted by means of the variances.",
        ),
        Mistake(
            lambda: "floor's",
            "It is the other way round: which of the two has all of the comparisons inside "
            "counties to itself?",
        ),
    ),
    "The within slope is the same under REML, ML, and any guess of the variances.",
)

# --- adjusting-2: what uranium explains


@cache
def _variances(method: str = "REML", column: str = "y_gh") -> Array:
    """sigma2 and tau2 (columns) without and with log uranium (rows)."""
    from ..datasets import load

    _, floor, uranium, county = material.radon()
    y, one = load("radon")[column].to_numpy(float), np.ones(len(floor))
    fits = [
        fit(y, np.column_stack(columns), Term(county), method)
        for columns in ((one, floor), (one, floor, uranium))
    ]
    return np.array([(f.Sigma[0].item(), f.tau2) for f in fits])


def _explained(variances: Array) -> float:
    return float(1 - variances[1] / variances[0])


URANIUM = Exercise(
    "adjusting-2",
    "What uranium explains",
    "easy",
    "compute",
    Number(),
    lambda: _explained(_variances()[:, 0]),
    (
        Mistake(
            lambda: _explained(np.sqrt(_variances()[:, 0])),
            "You compared standard deviations; the question asks for a share of the variance.",
        ),
        Mistake(lambda: 1 - _explained(_variances()[:, 0]), "That is the share that is left."),
        Mistake(
            lambda: _explained(_variances("ML")[:, 0]),
            "These are ML estimates; the question asks for REML.",
        ),
        Mistake(
            lambda: _explained(_variances().sum(axis=1)),
            "You took the variance of a home, county and noise together; uranium is the same for "
            "all homes of a county, and the question asks about the variance of counties.",
        ),
        Mistake(
            lambda: _explained(_variances(column="log_radon")[:, 0]),
            "You took the column log_radon; the question asks for y_gh.",
        ),
    ),
    "A covariate of groups explains variance of groups, and leaves the noise as it is.",
)

# --- adjusting-3: within slopes with weights


def _weighted_rows(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = material.groups(rng)
    D = indicator(labels)
    lift, mix = rng.standard_normal((D.shape[1], 2)), np.array([[1.0, 0.7], [0.0, 1.0]])
    X = (2 * D @ lift + rng.standard_normal((len(D), 2))) @ mix
    y = X @ rng.standard_normal(2) + D @ lift[:, 0] + rng.standard_normal(len(D))
    return X, y, labels, rng.uniform(0.2, 4, len(D))


def within(X: Array, y: Array, groups: Any, w: Array, means: Array | None = None) -> Array:
    """Weighted least squares after centring at the means with the weights ``means``."""
    x, v = (u - _spread(u, groups, w if means is None else means) for u in (X, y))
    return np.asarray(np.linalg.solve((x.T * w) @ x, (x.T * w) @ v))


WEIGHTS = Exercise(
    "adjusting-3",
    "Rows that deserve more",
    "medium",
    "compute",
    Function("f(X, y, groups, w)", _weighted_rows),
    within,
    (
        Mistake(
            lambda X, y, g, w: within(X, y, g, w, np.ones(len(w))),
            "You centred at plain group means. With weights, the mean of a group is weighted too.",
        ),
        Mistake(
            lambda X, y, g, w: within(X, y, g, np.ones(len(w)), w),
            "Your means are weighted, but the sums of products are not.",
        ),
        Mistake(
            lambda X, y, g, w: within(X, y, g, np.ones(len(w))),
            "The weights are missing: these are the slopes for equal noise.",
        ),
        Mistake(
            lambda X, y, g, w: within(X, y, g, w**2),
            "Your weights are squared: multiply rows by the root of w, or products by w.",
        ),
        Mistake(
            lambda X, y, g, w: np.array([within(x[:, None], y, g, w)[0] for x in X.T]),
            "You took one covariate at a time. Inside groups they go together, and each makes "
            "good what the other gets wrong: both belong into one regression.",
        ),
        Mistake(
            lambda X, y, g, w: within(X, y, np.zeros(len(y), dtype=int), w),
            "These are pooled slopes: the groups are missing.",
        ),
    ),
    "Weighted means in, weighted within slopes out, at every estimate of the variances.",
)

# --- adjusting-4: the mean that was left out

_GROUPS = np.repeat(np.arange(6), 3)


def _pair(answer: object) -> tuple[Array, Array]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (x1, x2) of two vectors.")
    x1, x2 = (array(part, "two vectors x1 and x2") for part in answer)
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


LEFT_OUT = Exercise(
    "adjusting-4",
    "The mean that was left out",
    "medium",
    "break",
    Counterexample(_pair, _by_gls, _by_dummies),
    None,
    (
        Mistake(
            lambda given: bool(np.abs(_inside(given)[:, 1]).max() < 1e-8),
            "Your x2 belongs to the groups: its mean is x2 itself, and is in the regression.",
        ),
        Mistake(
            lambda given: bool(abs(_inside(given)[:, 0] @ _inside(given)[:, 1]) < 1e-6),
            "Inside groups your x1 and x2 are uncorrelated. Then x1 need not make good what x2 "
            "gets wrong: let them go together.",
        ),
        Mistake(
            _means_on_a_line,
            "The group means of your x2 lie on a line in those of x1, so they are in the "
            "regression already: move some group off the line.",
        ),
    ),
    "Every covariate that varies within groups needs its mean, also the ones nobody asks about.",
)

# --- adjusting-5: how well the difference is known


def _one_covariate(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = material.groups(rng)
    lift = 2 * rng.standard_normal(128)[np.unique(labels, return_inverse=True)[1]]
    return lift + rng.standard_normal(len(labels)), labels, *material.variances(rng)


def _parts(x: Array, groups: Any, sigma2: float, tau2: float) -> Array:
    """Var of the within slope and of the GLS line through the group means."""
    D, means = indicator(groups), _spread(x, groups)
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


DIFFERENCE = Exercise(
    "adjusting-5",
    "Between minus within",
    "hard",
    "prove",
    Function("f(x, groups, sigma2, tau2)", _one_covariate, Number(EXACT)),
    variance_of_difference,
    (
        Mistake(
            lambda *given: _parts(*given)[1],
            "That is the variance of the between slope alone; the within slope errs too.",
        ),
        Mistake(
            lambda *given: _parts(*given)[1] - _parts(*given)[0],
            "You subtracted. The variance of a difference of uncorrelated estimates is not the "
            "difference of the variances.",
        ),
        Mistake(
            lambda *given: np.sqrt(variance_of_difference(*given)),
            "That is a standard error; the question asks for the variance.",
        ),
        Mistake(
            _counted_once,
            "You treated the groups as if all had the average size: the variance of a group mean "
            "depends on its own number of rows.",
        ),
    ),
    "The t statistic of the group mean tests whether the two comparisons agree.",
)

# --- adjusting-6: an error in the covariate


def _reliability(rng: np.random.Generator) -> tuple[Any, ...]:
    between, inside, error = rng.uniform(1, 5, 3)
    return float(between + 2), float(inside), float(error)


def attenuated(between: float, within: float, error: float) -> Array:
    """What the pooled and the within slope tend to, if the truth is one."""
    total = between + within
    return np.array([total / (total + error), within / (within + error)])


ATTENUATED = Exercise(
    "adjusting-6",
    "Noise in the covariate",
    "medium",
    "compute",
    Function("f(between, within, error)", _reliability, Numbers(EXACT)),
    attenuated,
    (
        Mistake(
            lambda b, w, e: attenuated(b, w, e)[[0, 0]],
            "Your two limits are equal. The error is as large as before, but what varies inside "
            "groups is less.",
        ),
        Mistake(
            lambda b, w, e: np.array([b / (b + e), w / (w + e)]),
            "Your first number compares what varies between groups with the error; the pooled "
            "slope uses all that varies.",
        ),
        Mistake(
            lambda b, w, e: np.ones(2),
            "An error in x does not cancel: what it adds to the spread of x does not move y.",
        ),
        Mistake(
            lambda b, w, e: attenuated(b**0.5, w**0.5, e**0.5),
            "You took roots: the spreads in the two sums of squares are variances.",
        ),
    ),
    "The cure for a confounder of groups makes an error of measurement worse.",
)

EXERCISES = (CHANGE, URANIUM, WEIGHTS, LEFT_OUT, DIFFERENCE, ATTENUATED)
