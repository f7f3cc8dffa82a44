"""Exercises of chapter *variance*."""

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

# --- variance-1: six rails with a pencil


def _mean_squares(y: Array, groups: Any) -> tuple[float, float]:
    """Mean squares between and within groups of one size."""
    D = indicator(groups)
    means = D.T @ y / D.sum(axis=0)
    (n, J), inside = D.shape, y - D @ means
    between = n / J * ((means - y.mean()) ** 2).sum() / (J - 1)
    return float(between), float(inside @ inside / (n - J))


def _squares_of_rails() -> Array:
    return np.array(_mean_squares(*material.rail()[:2]))


def _rails(share: float = 1.0) -> Array:
    """The pencil's sigma2 and tau2; ML takes five sixths of the mean square between rails."""
    between, within = _squares_of_rails() * (share, 1)
    return np.array([(between - within) / 3, within])


PENCIL = Exercise(
    "variance-1",
    "Six rails with a pencil",
    "easy",
    "compute",
    Numbers(),
    lambda: _rails(),
    (
        Mistake(
            lambda: _rails(5 / 6),
            "This is the ML estimate; the question asks for REML, which counts the degree of "
            "freedom that the general mean took.",
        ),
        Mistake(lambda: np.sqrt(_rails()), "Standard deviations; the question asks for variances."),
        Mistake(
            lambda: _squares_of_rails() / (3, 1),
            "Your first number is the variance of the six means. The noise is in it: take its "
            "share away.",
        ),
        Mistake(
            lambda: _rails() * (3, 1),
            "The difference of the mean squares is right; it holds the variance of the rails once "
            "for each measurement of a rail.",
        ),
        Mistake(_squares_of_rails, "These are the two mean squares; go on from them."),
        Mistake(lambda: _rails()[::-1], "The numbers are right, but sigma2 comes first."),
    ),
    "A fit finds the same two numbers, and has more work.",
)

# --- variance-2: more alike than noise


def _more_alike() -> str:
    from ..datasets import load

    data = load("Dyestuff2")
    y, batch = data["Yield"].to_numpy(float), data["Batch"].to_numpy(str)
    D, X = indicator(batch), np.ones((len(y), 1))
    pulled = y - D @ (D.T @ (y - y.mean()) / D.sum(axis=0)) / 2
    one, two = (fit(v, X, Term(batch)) for v in (y, pulled))
    before, after = (np.array([model.Sigma[0][0, 0], model.tau2]) for model in (one, two))
    fell = after < before - 1e-6 * one.tau2
    falls = "sigma2 falls" if fell[0] else "tau2 falls"
    return "both fall" if fell.all() else falls if fell.any() else "both stay"


ALIKE = Exercise(
    "variance-2",
    "More alike still",
    "easy",
    "predict",
    Word(("both stay", "sigma2 falls", "tau2 falls", "both fall")),
    _more_alike,
    (
        Mistake(
            lambda: "both stay",
            "Inside, the noise is judged by deviations within batches alone. Is that still so at "
            "the boundary, where batches are no more than labels?",
        ),
        Mistake(lambda: "sigma2 falls", "It would, if it could. Where is it already?"),
        Mistake(
            lambda: "both fall",
            "One of the two cannot: look at where it is before anything is moved.",
        ),
    ),
    "At the boundary the scatter of the means counts as noise, so less of it is less noise.",
)

# --- variance-3: does uranium help?


def _gain(method: str = "ML") -> float:
    y, floor, uranium, county = material.radon()
    X = np.column_stack([np.ones(len(y)), floor, uranium])
    small, large = (fit(y, X[:, :p], Term(county), method).criterion for p in (2, 3))
    return small - large


def _without_counties() -> float:
    y, floor, uranium, _ = material.radon()
    X = np.column_stack([np.ones(len(y)), floor, uranium])
    small, large = (np.linalg.lstsq(X[:, :p], y, rcond=None)[1][0] for p in (2, 3))
    return float(len(y) * np.log(small / large))


URANIUM = Exercise(
    "variance-3",
    "Does uranium help?",
    "medium",
    "compute",
    Number(),
    lambda: _gain(),
    (
        Mistake(
            lambda: _gain("REML"),
            "You compared two REML criteria with different X. Measure uranium in other units, and "
            "their difference is another: the ridge is as wide as the unit makes it.",
        ),
        Mistake(
            lambda: _gain() / 2, "That is the gain in log likelihood; minus twice it is asked."
        ),
        Mistake(lambda: -_gain(), "The sign: the question asks by how much it falls."),
        Mistake(
            _without_counties,
            "You left the counties out of both models: then a column that is constant within "
            "counties claims all that counties differ.",
        ),
    ),
    "ML may be compared across X, and the unit of a covariate is then of no matter.",
)

# --- variance-4: one step of EM


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = material.design(rng)
    return X, D, rng.normal(5, 3, len(X)), *material.variances(rng)


def _parts(X: Array, D: Array, y: Array, s: float, t: float) -> tuple[float, ...]:
    """Sums of squares of effects and residuals, trace of the PEV, edf."""
    model = LinearMixedModel(X, D, s * np.eye(D.shape[1]), t)
    effects = gls_blup(model, y)
    b, e = effects.random, y - X @ effects.fixed - D @ effects.random
    trace = float(np.trace(effects.random_cov))
    return float(b @ b), float(e @ e), trace, D.shape[1] - trace / s


def em_step(X: Array, D: Array, y: Array, sigma2: float, tau2: float) -> Array:
    """One step of EM for REML, shape (2,)."""
    (n, p), J = X.shape, D.shape[1]
    bb, ee, trace, edf = _parts(X, D, y, sigma2, tau2)
    return np.array([(bb + trace) / J, (ee + tau2 * (p + edf)) / n])


def _em_known_alpha(X: Array, D: Array, y: Array, s: float, t: float) -> Array:
    (n, _), J = X.shape, D.shape[1]
    bb, ee, _, _ = _parts(X, D, y, s, t)
    a = D.sum(axis=0)
    return np.array([(bb + (t / (a + t / s)).sum()) / J, (ee + (a * t / (a + t / s)).sum()) / n])


def _schall(X: Array, *rest: Any) -> Array:
    bb, ee, _, edf = _parts(X, *rest)
    return np.array([bb / edf, ee / (len(X) - X.shape[1] - edf)])


def _face_value(X: Array, D: Array, *rest: Any) -> Array:
    bb, ee, _, _ = _parts(X, D, *rest)
    return np.array([bb / D.shape[1], ee / len(X)])


STEP = Exercise(
    "variance-4",
    "One step of EM",
    "medium",
    "compute",
    Function("f(X, D, y, sigma2, tau2)", _data),
    em_step,
    (
        Mistake(
            _face_value,
            "You took predictions and residuals at face value: this recipe climbs the joint "
            "density, and ends in its spike at zero. Add what they leave uncertain.",
        ),
        Mistake(
            _em_known_alpha,
            "You added conditional variances, as if alpha were known. That is a step of EM for "
            "ML; for REML, alpha is averaged over too.",
        ),
        Mistake(_schall, "This is Schall's recipe: the same resting point, another path."),
        Mistake(
            lambda *a: np.array([em_step(*a)[0], _face_value(*a)[1]]),
            "The first number is right; the residuals are too small as well, since the fit has "
            "adapted to the noise.",
        ),
        Mistake(
            lambda *a: np.array(
                [em_step(*a)[0], em_step(*a)[1] - a[4] * a[0].shape[1] / len(a[2])]
            ),
            "You count the degrees of freedom of the random effects, but not those of alpha.",
        ),
    ),
    "Every step raises the REML likelihood, or leaves it where it is.",
)

# --- variance-5: zero passes the test


def _layout(answer: object) -> tuple[Array, Any]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Unfit("The question asks for a tuple (y, groups) of two vectors.")
    y, groups = array(answer[0], "a vector y and a vector of groups"), np.asarray(answer[1])
    if y.ndim != 1 or groups.shape != y.shape:
        raise Unfit(f"The vectors y and groups need one length; yours have the shapes "
                    f"{y.shape} and {groups.shape}.")  # fmt: skip
    if len(y) > 60:
        raise Unfit(f"The question asks for at most 60 rows; you have {len(y)}.")
    D = indicator(groups)
    if D.shape[1] < 2 or D.sum(axis=0).max() < 2:
        raise Unfit("Take at least two groups, one of them with two rows or more.")
    if np.abs(y - D @ (D.T @ y / D.sum(axis=0))).max() < 1e-9 * max(1.0, np.abs(y).max()):
        raise Unfit("Your y does not vary within groups: there would be no noise.")
    return y, groups


def _slope_at_zero(given: tuple[Array, Any]) -> float:
    """N at zero for REML and an intercept."""
    (y, groups), n = given, len(given[0])
    D, e = indicator(groups), y - y.mean()
    a = D.sum(axis=0)
    return float(n - a @ a / n - (n - 1) * ((D.T @ e) ** 2).sum() / (e @ e))


def _best(given: tuple[Array, Any]) -> float:
    """Sigma / tau2 of the fit."""
    y, groups = given
    found = fit(y, np.ones((len(y), 1)), Term(groups))
    ratio = float(found.Sigma[0][0, 0] / found.tau2)
    return ratio if ratio > 1e-6 else 0.0


def _by_the_test(given: tuple[Array, Any]) -> float:
    """What one believes who stops at zero if the slope is not negative there."""
    return 0.0 if _slope_at_zero(given) > 1e-9 else _best(given)


FALSE_ZERO = Exercise(
    "variance-5",
    "Zero passes the test",
    "medium",
    "break",
    Counterexample(_layout, _best, _by_the_test),
    None,
    (
        Mistake(
            lambda given: len(set(indicator(given[1]).sum(axis=0))) == 1,
            "Your groups are of one size. With an intercept alone, the criterion then has a "
            "single minimum, and zero passes only where it is the answer: let the sizes differ.",
        ),
        Mistake(
            lambda given: _slope_at_zero(given) <= 1e-9,
            "At zero your criterion falls: zero does not even pass the test. Let the means of the "
            "large groups lie closer together.",
        ),
        Mistake(
            lambda given: True,
            "Zero passes the test, and it is the answer. Let the small groups lie farther apart, "
            "or add more of them.",
        ),
    ),
    "A test at one point knows the neighbourhood of that point, and no more.",
)

# --- variance-6: how often is the estimate zero?


def _balanced(rng: np.random.Generator) -> tuple[Any, ...]:
    return int(rng.integers(3, 10)), int(rng.integers(2, 7)), *material.variances(rng)


def _below(ratio: float, J: int, m: int) -> float:
    """Probability that F(J - 1, J (m - 1)) is at most a ratio."""
    from scipy.special import fdtr

    return float(fdtr(J - 1, J * (m - 1), ratio))


def zero_share(J: int, m: int, sigma2: float, tau2: float) -> float:
    """Probability that the REML estimate of sigma2 is zero in a balanced layout."""
    return _below(tau2 / (m * sigma2 + tau2), J, m)


def _swapped(J: int, m: int, sigma2: float, tau2: float) -> float:
    from scipy.special import fdtr

    return float(fdtr(J * (m - 1), J - 1, tau2 / (m * sigma2 + tau2)))


OFTEN = Exercise(
    "variance-6",
    "How often is it zero?",
    "hard",
    "prove",
    Function("f(J, m, sigma2, tau2)", _balanced, Number(EXACT)),
    zero_share,
    (
        Mistake(lambda *a: 1 - zero_share(*a), "That is how often the estimate is positive."),
        Mistake(
            lambda J, m, s, t: _below(J / (J - 1) * t / (m * s + t), J, m),
            "That is how often ML says zero; REML compares the mean square between groups with "
            "divisor J - 1, and is less often at the boundary.",
        ),
        Mistake(
            lambda J, m, s, t: _below((m * s + t) / t, J, m),
            "You scaled F the wrong way round: divide each mean square by its expectation first, "
            "and see on which side the ratio of these ends up.",
        ),
        Mistake(
            lambda J, m, s, t: _below(t / (s + t), J, m),
            "The mean square between groups has an expectation in which sigma2 counts once for "
            "each row of a group.",
        ),
        Mistake(lambda J, m, s, t: _below(1.0, J, m), "That would be so if the groups were alike."),
        Mistake(_swapped, "The two degrees of freedom have changed places."),
    ),
    "Zero is common with few groups, even where they differ: it is no proof that they do not.",
)

EXERCISES = (PENCIL, ALIKE, URANIUM, STEP, FALSE_ZERO, OFTEN)
