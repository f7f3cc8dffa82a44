"""Right and wrong answers to the exercises of chapter *nested*."""

import numpy as np
import pandas as pd

from mixhier_lite import datasets

penicillin = datasets.load("Penicillin")


def mean_squares(ml=False):
    """Variances of plates, samples and noise in a two-way layout, by its mean squares."""
    y = penicillin.pivot(index="plate", columns="sample", values="diameter").to_numpy()
    left = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    noise = (left**2).sum() / (23 * 5)
    plates = (6 * y.mean(axis=1).var(ddof=1) - noise) / 6
    samples = (24 * y.mean(axis=0).var(ddof=1) - noise) / 24
    return np.array([plates, samples, noise])


def change(parts, tenfold):
    per = np.asarray(parts) / [24, 6, 144]
    return np.sqrt((per / tenfold).sum() / per.sum())


# by lme4, tests/reference/nested: the two-way layout has no closed form by ML
BY_ML = np.array([0.84557219382928, 1.77064631046955, 0.549932195454611]) ** 2


def counted(inner, outer):
    table = pd.crosstab(pd.Series(inner), pd.Series(outer)) > 0
    return table.sum(axis=1)


def astray(inner, outer):
    return int((counted(inner, outer) > 1).sum())


def rows_astray(inner, outer):
    met = counted(inner, outer)
    return int((met[list(inner)] > 1).sum())


def by_search(s1, s2, t2, kb, kc, ka):
    """The minimum of variance times cost by a numerical search."""
    from scipy.optimize import minimize

    def product(logs):
        C, m = np.exp(logs)
        return np.log((s1 + s2 / C + t2 / (C * m)) * (kb + C * kc + C * m * ka))

    found = minimize(product, np.zeros(2), method="BFGS", options={"gtol": 1e-11}).x
    for _ in range(6):  # polish: the gradient by central differences, the Hessian too
        h, e = 1e-4, np.eye(2)
        g = [(product(found + h * v) - product(found - h * v)) / (2 * h) for v in e]
        H = [[(product(found + h * (v + w)) - product(found + h * (v - w))
               - product(found - h * (v - w)) + product(found - h * (v + w))) / (4 * h * h)
              for w in e] for v in e]  # fmt: skip
        found = found - np.linalg.solve(H, g)
    return np.exp(found)


def stage(variances, prices):
    return np.sqrt(variances * prices)


RIGHT = {
    "nested-1": "same",
    "nested-2": astray,
    "nested-3": change(mean_squares(), [10, 1, 10]),
    "nested-4": (["a", "a", "b"], ["x", "y", "y"]),
    "nested-5": lambda s1, s2, t2, kb, kc, ka: np.array(
        [stage(s2 / s1, kb / kc), stage(t2 / s2, kc / ka)]
    ),
}


def test_the_optimum_by_search():
    """The answer to nested-5 against a search that knows no formula."""
    for seed in range(5):
        given = np.exp(np.random.default_rng(seed).uniform(-1, 1, 6))
        assert np.allclose(by_search(*given), RIGHT["nested-5"](*given), rtol=1e-5)


test_the_optimum_by_search()

WRONG = {
    "nested-1": [
        ("higher", "had one label"),
        ("lower", "share a cask"),
        ("Higher", "had one label"),
    ],
    "nested-2": [
        (lambda inner, outer: astray(outer, inner), "levels of outer that"),
        (lambda inner, outer: (counted(inner, outer) - 1).sum(), "counts once"),
        (rows_astray, "counted rows"),
    ],
    "nested-3": [
        (np.sqrt(0.1), "divided everything by ten"),
        (change(mean_squares(), [10, 1, 10]) ** 2, "factor of the variance"),
        (change(BY_ML, [10, 1, 10]), "by ML"),
        (change(mean_squares(), [10, 1, 1]), "that of the noise"),
    ],
    "nested-4": [
        ((list("aabb"), list("xyxy")), "meets every other"),
        ((list("aabbc"), list("xyxyy")), "there is a ring"),
        ((list("abbcca"), list("xxyyzz")), "there is a ring"),
    ],
    "nested-5": [
        (lambda *g: RIGHT["nested-5"](*g) ** 2, "square root is missing"),
        (lambda s1, s2, t2, kb, kc, ka: np.array(
            [stage(s2 / s1, kc / kb), stage(t2 / s2, ka / kc)]), "prices upside down"),
        (lambda s1, s2, t2, kb, kc, ka: np.array(
            [stage(s1 / s2, kb / kc), stage(s2 / t2, kc / ka)]), "variances upside down"),
        (lambda s1, s2, t2, kb, kc, ka: np.array(
            [stage(s2 / s1, kb / kc), stage(t2 / s1, kb / ka)]), "all assays in a batch"),
        (lambda s1, s2, t2, kb, kc, ka: np.array(
            [stage(s2 / s1, kb / kc), stage(s2 / s1, kb / kc) * stage(t2 / s2, kc / ka)]),
         "all assays in a batch"),
    ],
}  # fmt: skip
