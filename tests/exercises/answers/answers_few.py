"""Right and wrong answers to the exercises of chapter *few*."""

import numpy as np
from scipy import optimize, stats

from mixhier_lite import datasets

# --- three p-values

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

# --- the best plan


def error(m, sigma2, tau2, g, budget):
    groups = budget / (g + m)
    return np.sqrt((sigma2 + tau2 / m) / groups)


def least(*given):
    """Minimise over the rows per group."""
    return optimize.minimize_scalar(
        error, bounds=(0.01, 1000), args=given, options={"xatol": 1e-9}
    ).fun


def best(sigma2, tau2, g, budget):
    """Rows per group where the standard error is least."""
    return optimize.brentq(lambda m: tau2 / m**2 * (g + m) - (sigma2 + tau2 / m), 0.01, 1e4)


def groups_for_nothing(sigma2, tau2, g, budget):
    m = best(sigma2, tau2, g, budget)
    return np.sqrt((sigma2 + tau2 / m) / (budget / m))


def covered(J, m, ratio, draws=200_000):
    """How often the t interval covers, by simulated sums of squares."""
    rng, n, v = np.random.default_rng(5), J * m, m * ratio + 1
    between = v * rng.chisquare(J - 1, draws) / (J - 1)
    within = rng.chisquare(n - J, draws) / (n - J)
    pooled = ((J - 1) * between + (n - J) * within) / (n - 1)
    inner = between > within
    t = np.where(inner, stats.t.ppf(0.975, J - 1), stats.t.ppf(0.975, n - 1))
    half = t * np.sqrt(np.where(inner, between, pooled))
    return (np.abs(rng.normal(0, np.sqrt(v), draws)) < half).mean()


short = (3, 30, 0.1)
assert covered(*short) < 0.929

RIGHT = {
    "few-1": "hardly moves",
    "limits-2": right,
    "few-2": short,
    "few-3": least,
}

WRONG = {
    "few-1": [
        ("falls towards one half", "many groups do"),
        ("rises towards one", "numerator has three"),
        ("falls towards zero", "whatever the scale"),
    ],
    "limits-2": [
        (p_values(statistic("ML")), "ML fits"),
        (p_values(statistic("REML") / 2), "minus twice"),
        (p_values(statistic("REML"), of=2), "a degree of freedom too many"),
        ([right[0], 2 * right[0], right[2]], "doubled"),
        ([*right[:2], stats.f.sf(MSB / MSW, 24, 5)], "wrong order"),
        ([*right[:2], stats.f.sf(MSB / MSW, 6, 24)], "general mean has taken one"),
    ],
    "few-2": [
        ((3, 20, 0), "even too long"),
        ((8, 20, 0.1), "as few as you may"),
        ((3, 20, 4.0), "first course"),
        ((3, 4, 0.3), "many more degrees"),
    ],
    "few-3": [
        (lambda *given: least(*given) ** 2, "the variance"),
        (best, "number of rows"),
        (groups_for_nothing, "what the groups cost"),
        (lambda *given: error(1, *given), "one row per group"),
        (lambda s, t, g, b: error(np.sqrt(g * s / t), s, t, g, b), "upside down"),
        (lambda s, t, g, b: error(best(s, t, g, b) ** 2, s, t, g, b), "wants a root"),
    ],
}
