"""Right and wrong answers to the exercises of chapter *groups*."""

import numpy as np
import pandas as pd

from mixhier_lite import datasets

radon = datasets.load("radon")


def averages(v, groups):
    return pd.Series(v).groupby(np.asarray(groups)).mean().to_numpy()


def lstsq_slope(x, y):
    return np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0][1]


def within(x, y, groups):
    """By the coefficient of x beside the dummies."""
    D = pd.get_dummies(np.asarray(groups), dtype=float).to_numpy()
    return np.linalg.lstsq(np.column_stack([x, D]), y, rcond=None)[0][0]


def three(y="y_gh", between=None):
    x, y, county = radon["floor"], radon[y], radon["county"]
    if between is None:
        between = lstsq_slope(averages(x, county), averages(y, county))
    return np.array([lstsq_slope(x, y), between, within(x, y, county)])


county_means = radon.groupby("county")[["floor", "y_gh"]].transform("mean")
through_origin = three()
through_origin[0] = radon["floor"] @ radon["y_gh"] / (radon["floor"] @ radon["floor"])

sizes = np.repeat(list("pqr"), [30, 30, 1])
middle_x, middle_y = np.repeat([0.0, 1, 2], [30, 30, 1]), np.repeat([0.0, -1, 6], [30, 30, 1])
inside = np.append(np.tile([-0.2, 0.2], 30), 0)

rng = np.random.default_rng(5)
equal = np.repeat(list("abc"), 4)
x12, y12 = rng.normal(size=(2, 12))
unequal = np.repeat(list("abc"), [2, 4, 6])
lined_up = np.repeat([0.0, 1, 2], [2, 4, 6])
step = np.tile([-0.1, 0.1], 6)
uneven = np.repeat(list("abc"), [30, 30, 2])
wide = np.tile([-0.5, 0.5], 31)
apart = np.repeat([0.0, 1, 2], [30, 30, 2])
bump = np.repeat([0.0, -1, 3], [30, 30, 2])


def weight(x, groups):
    """Through the definition: the only w that makes the average right, for some y."""
    y = np.random.default_rng(0).normal(size=len(x))
    means = (
        pd.Series(x).groupby(groups).transform("mean"),
        pd.Series(y).groupby(groups).transform("mean"),
    )
    pooled, inside, outside = lstsq_slope(x, y), within(x, y, groups), lstsq_slope(*means)
    return (pooled - inside) / (outside - inside)


def between_over_rows(x, groups):
    return ((pd.Series(x).groupby(groups).transform("mean") - x.mean()) ** 2).sum()


def total(x):
    return ((x - x.mean()) ** 2).sum()


def unweighted(x, groups):
    means = averages(x, groups)
    W = total(x) - between_over_rows(x, groups)
    return total(means) / (W + total(means))


def by_spreads(x, groups):
    B, T = between_over_rows(x, groups), total(x)
    return np.sqrt(B) / (np.sqrt(B) + np.sqrt(T - B))


RIGHT = {
    "groups-1": averages,
    "groups-2": three(),
    "groups-3": "pooled and between",
    "groups-4": (middle_x + inside, middle_y + 3 * inside, sizes),
    "groups-5": weight,
}

WRONG = {
    "groups-1": [
        (lambda v, g: pd.Series(v).groupby(g).sum().to_numpy(), "adds up within groups"),
        (lambda v, g: pd.Series(v).groupby(g).sum().to_numpy() / len(v), "number of all rows"),
        (lambda v, g: pd.Series(v).groupby(g, sort=False).mean().to_numpy(), "sorted order"),
        (lambda v, g: pd.Series(v).groupby(g).transform("mean").to_numpy(), "for every row"),
        (lambda v, g: pd.Series(v).groupby(g).median().to_numpy(), "medians"),
    ],
    "groups-2": [
        (three(between=lstsq_slope(county_means["floor"], county_means["y_gh"])), "each of its"),
        (through_origin, "lost its intercept"),
        (three("log_radon"), "log_radon"),
    ],
    "groups-3": [
        ("all", "Centre the lifted group"),
        ("between", "can it stay"),
        ("pooled", "look at the group means"),
        ("within", "other way round"),
        ("None", "before and after"),
    ],
    "groups-4": [
        ((x12, y12, equal), "all of one size"),
        ((apart + wide, bump - 6 * wide, uneven), "on the way"),
        ((lined_up + step, 2 * lined_up + 5 * step, unequal), "not lie on one line"),
    ],
    "groups-5": [
        (lambda x, g: 1 - weight(x, g), "weight of the within slope"),
        (unweighted, "every group once"),
        (by_spreads, "took roots"),
        (lambda x, g: weight(x, g) / (1 - weight(x, g)), "ratio of the two sums"),
    ],
}
