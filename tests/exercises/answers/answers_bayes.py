"""Right and wrong answers to the exercises of chapter *bayes*."""

import numpy as np
from scipy import integrate

from mixhier_lite import datasets

rails = datasets.load("Rail")["travel"].to_numpy(float).reshape(6, 3)
means = rails.mean(axis=1)
SSB, SSW = 18 * means.var(), 3 * rails.var(axis=1).sum()


def widths(sigma, tau):
    """PEV, condVar and prediction for rail 1, in the balanced layout."""
    w = 3 * sigma**2 / (3 * sigma**2 + tau**2)
    cond_var = sigma**2 * (1 - w)
    mean_var = (sigma**2 + tau**2 / 3) / 6
    return cond_var + w**2 * mean_var, cond_var, w * (means[0] - means.mean())


def posterior_sds(power):
    """Brute force on a grid: sd of beta_1 and of sigma under the prior sigma ** power."""
    sigma, tau = np.geomspace(0.05, 1e6, 3000)[:, None], np.linspace(1.5, 15, 500)
    v = 3 * sigma**2 + tau**2
    log_p = (power + 1) * np.log(sigma)  # one for the grid
    log_p = log_p - (5 * np.log(v) + SSB / v + 24 * np.log(tau) + SSW / tau**2) / 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    pev, _, blup = widths(sigma, tau)
    first = (p * blup).sum()
    spread = (p * sigma**2).sum() - (p * sigma).sum() ** 2
    return ((p * pev).sum() + (p * (blup - first) ** 2).sum()) ** 0.5, spread**0.5


right, of_sigma = posterior_sds(0)
tau2 = SSW / 12
pev, cond_var, _ = widths(np.sqrt((SSB / 5 - tau2) / 3), np.sqrt(tau2))


def left_over(X, D):
    """Count the singular values of D after regression on X."""
    rest = D - X @ np.linalg.lstsq(X, D, rcond=None)[0]
    return int((np.linalg.svd(rest, compute_uv=False) > 1e-8).sum())


def groups_with_rows(X, D):
    return int((D.sum(axis=0) > 0).sum())


def by_quadrature(theta, J, m, SSB, SSW, prior=1, p=1):
    """Integrate tau ** prior times the likelihood over tau; p = 0 takes alpha as known."""
    n = J * m

    def log_area(theta):
        f = 1 + m * theta**2
        r2 = SSB / f + SSW
        at = np.sqrt(r2 / n)

        def density(tau):
            return (tau / at) ** (prior + p - n) * np.exp(-(r2 / tau**2 - r2 / at**2) / 2)

        area = integrate.quad(density, 0, np.inf, points=None, epsabs=0, epsrel=1e-11, limit=500)[0]
        return (
            np.log(area) + (prior + p - n) * np.log(at) - r2 / at**2 / 2 - (J - p) / 2 * np.log(f)
        )

    return log_area(theta) - log_area(0)


def height(theta, J, m, SSB, SSW):
    f, nu = 1 + m * theta**2, J * m - 1
    crit = (J - 1) * np.log(f) + nu * np.log((SSB / f + SSW) / (SSB + SSW))
    return -crit / 2


labels = np.repeat(list("abcde"), 2)
level = np.repeat(np.random.default_rng(2).standard_normal((5, 3)), 2, axis=0)
ones = np.ones((10, 1))
trend = np.tile([0.0, 1.0], 5)[:, None]

RIGHT = {
    "bayes-1": "flat on sigma2",
    "bayes-2": left_over,
    "bayes-3": right,
    "bayes-4": (np.hstack([ones, level]), labels),
    "bayes-5": by_quadrature,
}

WRONG = {
    "bayes-1": [
        ("flat on sigma", "One of the two grows"),
        ("no difference", "unequal steps"),
        ("Flat on Sigma", "One of the two grows"),
    ],
    "bayes-2": [
        (lambda X, D: D.shape[1], "number of columns of D"),
        (groups_with_rows, "groups with rows"),
        (lambda X, D: groups_with_rows(X, D) - 1, "one for the intercept"),
        (lambda X, D: groups_with_rows(X, D) - X.shape[1], "one for each column"),
        (lambda X, D: X.shape[0] - X.shape[1], "noise alone"),
    ],
    "bayes-3": [
        (pev**0.5, "plug-in"),
        (cond_var**0.5, "root of condVar"),
        (right**2, "posterior variance"),
        (posterior_sds(1)[0], "flat on the variance"),
        (of_sigma, "spread of all rails"),
    ],
    "bayes-4": [
        ((trend, labels), "All your columns vary"),
        ((np.hstack([ones, trend]), labels), "One combination"),
        ((np.hstack([ones, level[:, :2]]), labels), "on the way"),
    ],
    "bayes-5": [
        (height, "height of the ridge"),
        (lambda *given: by_quadrature(*given, prior=0), "sigma = theta tau"),
        (lambda *given: by_quadrature(*given, p=0), "best alpha"),
        (lambda *given: -2 * by_quadrature(*given), "scale of the criterion"),
        (lambda *given: np.exp(by_quadrature(*given)), "logarithm is asked"),
    ],
}
