"""Right and wrong answers to the exercises of chapter *limits*."""

import numpy as np
from scipy import integrate, optimize, stats

from mixhier_lite import LinearMixedModel, gls_blup, indicator


def level(sizes, means, lam):
    """The estimate of the level by the formula of chapter *mixed*, one row at a time."""
    D = indicator(np.repeat(range(len(sizes)), sizes))
    model = LinearMixedModel(np.ones((len(D), 1)), D, np.eye(len(sizes)), lam)
    return gls_blup(model, D @ means).fixed[0]


beyond = ([1, 10, 1000], [0.0, 1.0, 0.0], 1.0)
assert level(*beyond) > 1 / 3 + 0.04 > 1 / 3 > 10 / 1011


def average(y):
    """E(alpha) by quadrature; exp(alpha) is scaled to keep the integrand in range."""
    S, top = y.sum(), np.log(y.mean())

    def density(alpha):
        return np.exp(S * (alpha - top) - len(y) * (np.exp(alpha) - np.exp(top)))

    marks = [top - 3, top - 1, top, top + 1]
    low, high = top - 60 / S, top + 6
    total, first = (
        integrate.quad(g, low, high, points=marks, epsabs=0, epsrel=1e-10, limit=200)[0]
        for g in (density, lambda a: a * density(a))
    )
    return first / total


def smallest(v, d):
    """Minimise over the weight of the prior mean."""
    found = optimize.minimize_scalar(
        lambda s: (1 - s) ** 2 * v + s**2 * d**2, bounds=(0, 1), options={"xatol": 1e-10}
    )
    return found.fun


RIGHT = {
    "limits-1": "the mean too large",
    "limits-3": average,
    "limits-6": smallest,
    "limits-7": beyond,
}

WRONG = {
    "limits-1": [
        ("both right", "not an average noise"),
        ("both too large", "error of a prediction"),
        ("the BLUP too small", "takes off"),
    ],
    "limits-3": [
        (lambda y: np.log(sum(y) / len(y)), "density is largest"),
        (lambda y: np.exp(average(y)), "scale of the counts"),
        (lambda y: stats.loggamma.mean(y.sum() + 1) - np.log(len(y)), "Jacobian"),
        (lambda y: np.log1p(y).mean(), "averaged logs"),
    ],
    "limits-6": [
        (lambda v, d: d**2, "variance of a prior"),
        (lambda v, d: v, "flat prior"),
        (lambda v, d: (d**2 * v + v**2 * d**2) / (v + d) ** 2, "look at the units"),
        (lambda v, d: (d / (1 + d**2 / v)) ** 2, "squared bias"),
        (lambda v, d: v / (1 + v / d**2) ** 2, "variance alone"),
        (lambda v, d: smallest(v, d) ** 0.5, "took the root"),
    ],
    "limits-7": [
        (([5, 5, 5], [0.0, 1.0, 7.0], 2.0), "one weight"),
        (([2, 9, 9], [0.0, 1.0, 7.0], 2.0), "two sizes"),
        (([1, 10, 1000], [5.0, 0.0, 0.0], 1.0), "between the two"),
        (([1, 10, 1000], [0.0, 1.0, 0.0], 400.0), "between the two"),
    ],
}
