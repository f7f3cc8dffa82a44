"""Exercises of chapter *groups*."""

from typing import Any

import numpy as np

from ...inputs import Array
from ...known.groups import indicator
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

# --- groups-1: averages with D


def _vector_in_groups(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = data.groups(rng)
    return rng.standard_exponential(len(labels)) * 3, labels


def means(v: Array, groups: Any) -> Array:
    """Average v within each group, shape (J,): (D'D)^-1 D'v."""
    D = indicator(groups)
    average: Array = D.T @ v / D.sum(axis=0)
    return average


def _by_appearance(v: Array, groups: Any) -> Array:
    labels = list(dict.fromkeys(groups.tolist()))
    return means(v, groups)[np.searchsorted(np.unique(groups), labels)]


AVERAGES = exercise(
    "groups-1",
    Function("f(v, groups)", _vector_in_groups),
    means,
    sums=lambda v, g: indicator(g).T @ v,
    divided_by_all_rows=lambda v, g: indicator(g).T @ v / len(v),
    by_appearance=_by_appearance,
    one_per_row=lambda v, g: indicator(g) @ means(v, g),
    medians=lambda v, g: np.array([np.median(v[g == label]) for label in np.unique(g)]),
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
    y, floor, _, county = data.radon()
    return np.array([slope(floor, y), between(floor, y, county), within(floor, y, county)])


def _three_weighted() -> Array:
    y, floor, _, county = data.radon()
    pooled, _, inside = _three()
    return np.array([pooled, _weighted_between(floor, y, county), inside])


def _no_intercept() -> Array:
    y, floor, _, county = data.radon()
    return np.array([floor @ y / (floor @ floor), *_three()[1:]])


def _circulating() -> Array:
    from ...datasets import load

    y = load("radon")["log_radon"].to_numpy(float)
    _, floor, _, county = data.radon()
    return np.array([slope(floor, y), between(floor, y, county), within(floor, y, county)])


RADON = exercise(
    "groups-2",
    Numbers(),
    _three,
    counties_by_homes=_three_weighted,
    no_intercept=_no_intercept,
    wrong_column=_circulating,
)

# --- groups-3: what moves when a whole group is lifted


def _moved_slopes() -> str:
    rng = np.random.default_rng()
    labels = data.groups(rng)
    x, y = rng.standard_normal((2, len(labels)))
    lifted = y + 5.0 * (labels == labels[0])
    before = [slope(x, y), between(x, y, labels), within(x, y, labels)]
    after = [slope(x, lifted), between(x, lifted, labels), within(x, lifted, labels)]
    names = np.array(["pooled", "between", "within"])
    moved = names[~np.isclose(before, after)]
    return " and ".join(moved) if 0 < len(moved) < 3 else "all" if len(moved) else "none"


LIFT = choice("groups-3", _moved_slopes)

# --- groups-4: outside of the two others


def _points(answer: object) -> tuple[Array, Array, Any]:
    *pair, labels = parts(answer, 3, "(x, y, groups) of three vectors")
    x, y = (array(v, "vectors x and y") for v in pair)
    groups = np.asarray(labels)
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


OUTSIDE = exercise(
    "groups-4",
    Counterexample(_points, lambda given: slope(*given[:2]), _clipped),
    equal_sizes=_equal_sizes,
    wrong_side=_far,
    means_on_a_line=lambda given: True,
)

# --- groups-5: the weight


def _covariate_in_groups(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = data.groups(rng)
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


WEIGHT = exercise(
    "groups-5",
    Function("w(x, groups)", _covariate_in_groups, Number(EXACT)),
    share_between,
    weight_within=lambda x, g: 1 - share_between(x, g),
    groups_counted_once=_unweighted_share,
    roots=_share_of_spreads,
    ratio=lambda x, g: share_between(x, g) / (1 - share_between(x, g)),
)
