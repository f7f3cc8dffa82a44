"""Right and wrong answers to the exercises of chapter *limits*."""

import numpy as np
from scipy import integrate, optimize, stats

from mixhier_lite import datasets

table = datasets.load("Dyestuff")
groups = table["Yield"].to_numpy(float).reshape(6, 5)
MSB, MSW = 5 * groups.mean(axis=1).var(ddof=1), groups.var(axis=1, ddof=1).mean()


def statistic(kind):
    """The closed form of the balanced layout."""
    k, nu = {"REML": (5, 29), "ML": (6, 30)}[kind]
    phi = MSB / MSW * 5 / k
    return nu * np.log((k * phi + 24) / nu) - k * np.log(phi)


def p_values(at, df=(5, 24), of=1):
    naive = stats.chi2.sf(at, of)
    return np.array([naive, naive / 2, stats.f.sf(MSB / MSW, *df)])


right = p_values(statistic("REML"))

sigma2 = (MSB - MSW) / 5


def brute_force():
    """Delete, solve GLS and BLUP by the two formulas, predict; one sample at a time."""
    y, label = groups.ravel(), np.repeat(range(6), 5)
    errors = []
    for i in range(30):
        keep = np.arange(30) != i
        same = label[keep][:, None] == label[keep]
        inverse = np.linalg.inv(sigma2 * same + MSW * np.eye(29))
        level = inverse.sum(axis=0) @ y[keep] / inverse.sum()
        effect = sigma2 * (label[keep] == label[i]) @ inverse @ (y[keep] - level)
        errors.append(y[i] - level - effect)
    return np.mean(np.square(errors))


others = (groups.sum() - groups.sum(axis=1)) / 25
one_out, batch_out = brute_force(), ((groups - others[:, None]) ** 2).mean()
means = groups.mean(axis=1)
shrunk = means.mean() + sigma2 / (sigma2 + MSW / 5) * (means - means.mean())
seen = ((groups - shrunk[:, None]) ** 2).mean()
own_four = ((groups - (groups.sum(axis=1, keepdims=True) - groups) / 4) ** 2).mean()


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
    "limits-2": right,
    "limits-3": average,
    "limits-4": 3600,
    "limits-5": [one_out, batch_out],
    "limits-6": smallest,
}

WRONG = {
    "limits-1": [
        ("both right", "not an average noise"),
        ("both too large", "error of a prediction"),
        ("the BLUP too small", "takes off"),
    ],
    "limits-2": [
        (p_values(statistic("ML")), "ML fits"),
        (p_values(statistic("REML") / 2), "minus twice"),
        (p_values(statistic("REML"), of=2), "a degree of freedom too many"),
        ([right[0], 2 * right[0], right[2]], "doubled"),
        ([*right[:2], stats.f.sf(MSB / MSW, 24, 5)], "wrong order"),
        ([*right[:2], stats.f.sf(MSB / MSW, 6, 24)], "general mean has taken one"),
    ],
    "limits-3": [
        (lambda y: np.log(sum(y) / len(y)), "density is largest"),
        (lambda y: np.exp(average(y)), "scale of the counts"),
        (lambda y: stats.loggamma.mean(y.sum() + 1) - np.log(len(y)), "Jacobian"),
        (lambda y: np.log1p(y).mean(), "averaged logs"),
    ],
    "limits-4": [
        (-1, "A sign"),
        (1 / 60, "other way"),
        (20, "twice a logarithm"),
        (-24.0, "twice a logarithm"),
    ],
    "limits-5": [
        ([batch_out, one_out], "other order"),
        ([seen, batch_out], "has seen them"),
        ([one_out, ((groups - groups.mean()) ** 2).mean()], "batch itself in it"),
        (np.sqrt([one_out, batch_out]), "took roots"),
        ([own_four, batch_out], "shrinks that mean"),
    ],
    "limits-6": [
        (lambda v, d: d**2, "variance of a prior"),
        (lambda v, d: v, "flat prior"),
        (lambda v, d: (d**2 * v + v**2 * d**2) / (v + d) ** 2, "look at the units"),
        (lambda v, d: (d / (1 + d**2 / v)) ** 2, "squared bias"),
        (lambda v, d: v / (1 + v / d**2) ** 2, "variance alone"),
        (lambda v, d: smallest(v, d) ** 0.5, "took the root"),
    ],
}
