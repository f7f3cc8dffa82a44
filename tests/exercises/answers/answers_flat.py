"""Right and wrong answers to the exercises of chapter *flat*."""

import numpy as np

from mixhier_lite import LinearMixedModel, datasets, flat, gaussian, henderson, indicator, posterior

w = 5 * 1764 / (5 * 1764 + 2451)
known = 1764 * (1 - w)
estimate_variance = (1764 + 2451 / 5) / 6
pev = known + w**2 * estimate_variance

rail = datasets.load("Rail")["travel"].to_numpy(float)
v = (616 + 16 / 3) / 6  # variance of the mean of six rails
kappa = v * rail.mean() / 0.01

three = indicator(list("aabbcc"))
one_column = np.array([1.0, -1, 2, -2, 3, -3])


def blocks(J, m, sigma2, tau2):
    """PEV and conditional variance by Henderson's matrix, with and without its first row."""
    D = indicator(np.repeat(range(J), m))
    model = LinearMixedModel(np.ones((J * m, 1)), D, sigma2 * np.eye(J), tau2)
    pev = henderson(model, np.zeros(J * m)).random_cov[0, 0]
    return pev, tau2 / (m + tau2 / sigma2)


def paid(*layout):
    pev, known = blocks(*layout)
    return pev - known


def estimate_cov(J, m, sigma2, tau2):
    D = indicator(np.repeat(range(J), m))
    model = LinearMixedModel(np.ones((J * m, 1)), D, sigma2 * np.eye(J), tau2)
    return posterior(model, np.zeros(J * m), flat(1)).fixed_cov[0, 0]


def test_the_width_by_a_proper_prior():
    """The answer to flat-3 by the package: a gap of 0.01 at that variance."""
    D = indicator(np.repeat(range(6), 3))
    model = LinearMixedModel(np.ones((18, 1)), D, 616 * np.eye(6), 16)
    y = datasets.load("Rail").sort_values("Rail")["travel"].to_numpy(float)
    gap = posterior(model, y, gaussian([0], [[kappa]])).fixed - rail.mean()
    assert np.isclose(abs(gap[0]), 0.01, rtol=1e-3)


test_the_width_by_a_proper_prior()

RIGHT = {
    "flat-1": "always smaller",
    "flat-2": [known**0.5, pev**0.5],
    "flat-3": kappa,
    "flat-4": (one_column, three),
    "flat-5": paid,
}

WRONG = {
    "flat-1": [
        ("depends on the data", "Does y occur"),
        ("equal", "as the prior gets wider"),
        ("always larger", "does not widen"),
    ],
    "flat-2": [
        ([known, pev], "These are variances"),
        ([pev**0.5, known**0.5], "comes first"),
        ([known**0.5] * 2, "Both of yours"),
        ([known**0.5, (known + estimate_variance) ** 0.5], "share H"),
        ([known**0.5, (1764 - pev) ** 0.5], "deviation of the prediction"),
    ],
    "flat-3": [
        (kappa**0.5, "standard deviation of the prior"),
        (16 / 18 * rail.mean() / 0.01, "noise over n"),
        (99 * v, "one per cent"),
        (100 * v, "how far the prior mean"),
    ],
    "flat-4": [
        ((np.ones(6), three), "constant within groups"),
        ((np.array([1.0, 2, 3, -1, -2, -3]), three), "their own rows only"),
        ((np.array([1.0, 2, 3, 5, 8, 13]), three), "that group pays"),
    ],
    "flat-5": [
        (estimate_cov, "reaches a group"),
        (lambda J, m, s, t: estimate_cov(J, m, s, t) * m * s / (m * s + t), "you have it once"),
        (lambda *layout: blocks(*layout)[0], "whole prediction error"),
        (lambda *layout: blocks(*layout)[1], "nothing is paid"),
        (lambda *layout: paid(*layout) ** 0.5, "standard deviation;"),
    ],
}
