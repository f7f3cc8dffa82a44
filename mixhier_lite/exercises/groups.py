"""Exercises of chapter *groups*."""

from typing import Any

import numpy as np

from ..exercises import material
from ..inputs import Array
from ..known.groups import indicator
from .exercise import Exercise, Mistake
from .forms import EXACT, Counterexample, Function, Number, Numbers, Word
from .reading import Unfit, array

# --- groups-1: averages with D


def _vector_in_groups(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = material.groups(rng)
    return rng.standard_exponential(len(labels)) * 3, labels


def means(v: Array, groups: Any) -> Array:
    """Average v within each group, shape (J,): (D'D)^-1 D'v."""
    D = indicator(groups)
    average: Array = D.T @ v / D.sum(axis=0)
    return average


def _by_appearance(v: Array, groups: Any) -> Array:
    labels = list(dict.fromkeys(groups.tolist()))
    return means(v, groups)[np.searchsorted(np.unique(groups), labels)]


AVERAGES = Exercise(
    "groups-1",
    "Averages by a product",
    "easy",
    "compute",
    Function("f(v, groups)", _vector_in_groups),
    means,
    (
        Mistake(
            lambda v, g: indicator(g).T @ v,
            "D'v adds up within groups; an average still divides by the sizes of the groups.",
        ),
        Mistake(
            lambda v, g: indicator(g).T @ v / len(v),
            "You divide by the number of all rows; each group has its own size.",
        ),
        Mistake(
            _by_appearance,
            "The averages are in the order in which the groups appear; the columns of D, and the "
            "answer, are in sorted order.",
        ),
        Mistake(
            lambda v, g: indicator(g) @ means(v, g),
            "You look the averages up again for every row; one number for each group is asked.",
        ),
        Mistake(
            lambda v, g: np.array([np.median(v[g == label]) for label in np.unique(g)]),
            "These are medians; the projection on the columns of D averages.",
        ),
    ),
    "One product adds up, one diagonal matrix divides.",
)

# --- groups-2: three slopes of radon on floor


def slope(x: Array, y: Array) -> float:
    """Least-squares slope of y on x, with an intercept."""
    return float(np.polyfit(x, y, 1)[0])


def within(x: Array, y: Array, groups: Any) -> float:
    """Slope after both variables are centred in each group."""
    D = indicator(groups)
    return slope(x - D @ means(x, groups), y - D @ means(y, groups))


def between(x: Array, y: Array, groups: Any) -> float:
    """Slope through the group means, one point for each group."""
    return slope(means(x, groups), means(y, groups))


def _weighted_between(x: Array, y: Array, groups: Any) -> float:
    D = indicator(groups)
    return slope(D @ means(x, groups), D @ means(y, groups))


def _three() -> Array:
    y, floor, _, county = material.radon()
    return np.array([slope(floor, y), between(floor, y, county), within(floor, y, county)])


def _three_weighted() -> Array:
    y, floor, _, county = material.radon()
    pooled, _, inside = _three()
    return np.array([pooled, _weighted_between(floor, y, county), inside])


def _no_intercept() -> Array:
    y, floor, _, county = material.radon()
    return np.array([floor @ y / (floor @ floor), *_three()[1:]])


def _circulating() -> Array:
    from ..datasets import load

    y = load("radon")["log_radon"].to_numpy(float)
    _, floor, _, county = material.radon()
    return np.array([slope(floor, y), between(floor, y, county), within(floor, y, county)])


RADON = Exercise(
    "groups-2",
    "Three slopes for radon",
    "medium",
    "compute",
    Numbers(),
    _three,
    (
        Mistake(
            _three_weighted,
            "Your between slope counts every county once for each of its homes; the question asks "
            "for the line through 85 points, one for each county.",
        ),
        Mistake(
            _no_intercept,
            "Your pooled line goes through the origin: it has lost its intercept.",
        ),
        Mistake(
            _circulating,
            "You took the column log_radon; the question asks for y_gh.",
        ),
    ),
    "The within slope compares homes of one county, and only that one is about floors alone.",
)

# --- groups-3: what moves when a whole group is lifted


def _moved_slopes() -> str:
    rng = np.random.default_rng()
    labels = material.groups(rng)
    x, y = rng.standard_normal((2, len(labels)))
    lifted = y + 5.0 * (labels == labels[0])
    before = [slope(x, y), between(x, y, labels), within(x, y, labels)]
    after = [slope(x, lifted), between(x, lifted, labels), within(x, lifted, labels)]
    names = np.array(["pooled", "between", "within"])
    moved = names[~np.isclose(before, after)]
    return " and ".join(moved) if 0 < len(moved) < 3 else "all" if len(moved) else "none"


LIFT = Exercise(
    "groups-3",
    "Lift one group",
    "easy",
    "predict",
    Word(("none", "pooled", "between", "within", "pooled and between", "pooled and within",
          "between and within", "all")),
    _moved_slopes,
    (
        Mistake(
            lambda: "all",
            "Centre the lifted group once more: what becomes of the 5 that all its rows share?",
        ),
        Mistake(
            lambda: "between",
            "That the group mean moves is right. But the pooled slope is an average of the two "
            "other slopes: can it stay?",
        ),
        Mistake(
            lambda: "pooled",
            "The pooled slope moves, but look at the group means too: one of these points was "
            "lifted.",
        ),
        Mistake(
            lambda: "within",
            "It is the other way round: comparisons inside a group do not see what all its rows "
            "share.",
        ),
        Mistake(lambda: "none", "Draw the five group means before and after."),
    ),
    "A shift that a whole group shares is what the columns of D take up.",
)  # fmt: skip

# --- groups-4: outside of the two others


def _points(answer: object) -> tuple[Array, Array, Any]:
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise Unfit("The question asks for a tuple (x, y, groups) of three vectors.")
    x, y = (array(v, "vectors x and y") for v in answer[:2])
    groups = np.asarray(answer[2])
    if x.ndim != 1 or x.shape != y.shape or groups.shape != x.shape:
        raise Unfit(f"x, y and groups are to be vectors of one length; yours have the shapes "
                    f"{x.shape}, {y.shape} and {groups.shape}.")  # fmt: skip
    D = indicator(groups)
    if D.shape[1] < 3:
        raise Unfit(f"The question asks for three groups or more; you have {D.shape[1]}.")
    middle = means(x, groups)
    if np.ptp(middle) < 1e-6 or np.abs(x - D @ middle).max() < 1e-6:
        raise Unfit("One of the slopes does not exist: x has to vary within and between groups.")
    return x, y, groups


def _clipped(given: tuple[Array, Array, Any]) -> float:
    x, y, groups = given
    low, high = sorted((between(x, y, groups), within(x, y, groups)))
    return min(max(slope(x, y), low), high)


def _equal_sizes(given: tuple[Array, Array, Any]) -> bool:
    return len(set(indicator(given[2]).sum(axis=0))) == 1


def _far(given: tuple[Array, Array, Any]) -> bool:
    x, y, groups = given
    return bool(abs(_weighted_between(x, y, groups) - between(x, y, groups)) > 1e-3)


OUTSIDE = Exercise(
    "groups-4",
    "A pooled slope outside",
    "medium",
    "break",
    Counterexample(_points, lambda given: slope(*given[:2]), _clipped),
    None,
    (
        Mistake(
            _equal_sizes,
            "Your groups are all of one size. Then the pooled slope is an average of the other "
            "two, and the search is hopeless: let the sizes differ.",
        ),
        Mistake(
            _far,
            "You are on the way: your sizes differ, and counting rows instead of groups changes "
            "the between slope. Make the within slope lie on the other side, or more alike.",
        ),
        Mistake(
            lambda given: True,
            "Your sizes differ, but the line through the group means is the same whether groups "
            "or rows are counted: let the means not lie on one line.",
        ),
    ),
    "The pooled slope averages with the rows as weights; the line through the means counts groups.",
)

# --- groups-5: the weight


def _covariate_in_groups(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = material.groups(rng)
    lift = rng.standard_normal(128)[np.unique(labels, return_inverse=True)[1]]
    return lift + rng.standard_normal(len(labels)), labels


def share_between(x: Array, groups: Any) -> float:
    """B / (W + B) with sums of squares over rows."""
    inside = x - indicator(groups) @ means(x, groups)
    total = x - x.mean()
    return float(1 - inside @ inside / (total @ total))


def _unweighted_share(x: Array, groups: Any) -> float:
    inside = x - indicator(groups) @ means(x, groups)
    outside = means(x, groups) - means(x, groups).mean()
    return float(outside @ outside / (inside @ inside + outside @ outside))


def _share_of_spreads(x: Array, groups: Any) -> float:
    share = share_between(x, groups)
    return float(np.sqrt(share) / (np.sqrt(share) + np.sqrt(1 - share)))


WEIGHT = Exercise(
    "groups-5",
    "The weight of a comparison",
    "hard",
    "prove",
    Function("w(x, groups)", _covariate_in_groups, Number(EXACT)),
    share_between,
    (
        Mistake(
            lambda x, g: 1 - share_between(x, g),
            "That is the weight of the within slope; the question asks for the other one.",
        ),
        Mistake(
            _unweighted_share,
            "Your spread between groups counts every group once; in the sum over rows a group "
            "counts once for each of its rows.",
        ),
        Mistake(
            _share_of_spreads,
            "You took roots: the weights are sums of squares, not standard deviations.",
        ),
        Mistake(
            lambda x, g: share_between(x, g) / (1 - share_between(x, g)),
            "That is the ratio of the two sums of squares; a weight is a share of their sum.",
        ),
    ),
    "The weight is the share of the spread of x that lies between groups: x alone decides it.",
)

EXERCISES = (AVERAGES, RADON, LIFT, OUTSIDE, WEIGHT)
