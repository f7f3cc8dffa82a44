"""Right and wrong answers to the exercises of chapter *contrasts*."""

import numpy as np
from scipy.stats import chi2, f, t

from mixhier_lite import datasets

penicillin = datasets.load("Penicillin")


def by_grams(X, W):
    """The same determinant from inner products."""
    return np.linalg.slogdet(W.T @ W)[1] - np.linalg.slogdet(X.T @ X)[1]


def pairs():
    """Differences of samples, their standard errors and p-values, as in a two-way layout."""
    y = penicillin.pivot(index="plate", columns="sample", values="diameter").to_numpy()
    left = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    s2 = (left**2).sum() / (23 * 5)
    mean = y.mean(axis=0)
    i, j = np.triu_indices(6, 1)
    d, se = mean[i] - mean[j], np.sqrt(s2 * 2 / 24)
    return d, se, 2 * t.sf(np.abs(d) / se, 23 * 5)


def second_largest(d, se, p):
    """A - C has the second largest of the fifteen, and Holm doubles it."""
    assert np.argsort(p)[-2] == 1 and 2 * p[1] > 3 * np.sort(p)[-3]
    return np.array([d[1], se, 2 * p[1]])


A_C = second_largest(*pairs())


def without_plates():
    y = penicillin.pivot(index="plate", columns="sample", values="diameter").to_numpy()
    s2 = ((y - y.mean(axis=0)) ** 2).sum() / (144 - 6)
    i, j = np.triu_indices(6, 1)
    d, se = y.mean(axis=0)[i] - y.mean(axis=0)[j], np.sqrt(s2 * 2 / 24)
    p = 2 * t.sf(np.abs(d) / se, 138)
    order = np.argsort(p)
    raised = np.minimum(np.maximum.accumulate(p[order] * np.arange(15, 0, -1)), 1)
    return np.array([d[1], se, raised[list(order).index(1)]])


def added_variances():
    """The variance of one sample's mean by the mean squares of the two-way layout."""
    y = penicillin.pivot(index="plate", columns="sample", values="diameter").to_numpy()
    of_plates = 6 * y.mean(axis=1).var(ddof=1)
    noise = A_C[1] ** 2 * 12
    one = ((of_plates - noise) / 6 + noise) / 24
    return np.array([A_C[0], np.sqrt(2 * one), A_C[2]])


def by_correlation(x, info, sign=1):
    """The orthant probability of two estimates, from their correlation."""
    cov = np.linalg.inv(info)
    rho = sign * cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    return chi2.sf(x, 1) / 2 + (0.25 + np.arcsin(rho) / (2 * np.pi)) * chi2.sf(x, 2)


def distance(b):
    """T squared by least squares: regress one on the coefficients."""
    J = len(b)
    fitted = np.linalg.lstsq(b, np.ones(J), rcond=None)[0]
    share = (b @ fitted).mean()  # R squared about zero
    return (J - 1) * share / (1 - share)


def hotelling(b, times=1):
    J, q = b.shape
    return f.sf(times * (J - q) / (q * (J - 1)) * distance(b), q, J - q)


RIGHT = {
    "contrasts-1": "time",
    "contrasts-2": by_grams,
    "contrasts-3": A_C,
    "contrasts-4": -331.2,
    "contrasts-5": by_correlation,
    "contrasts-6": hotelling,
}

WRONG = {
    "contrasts-1": [
        ("criterion", "determinant"),
        ("interaction", "no first level"),
        ("none", "another question"),
    ],
    "contrasts-2": [
        (lambda X, W: by_grams(W, X), "from W to X"),
        (lambda X, W: by_grams(X, W) / 2, "counts twice"),
        (lambda X, W: np.log(np.linalg.det(W.T @ W)), "unit of X"),
        (lambda X, W: np.exp(by_grams(X, W)), "a logarithm"),
    ],
    "contrasts-3": [
        (A_C * [1, 1, 0.5], "comparison alone"),
        (A_C * [1, 1, 0] + [0, 0, 1], "Bonferroni"),
        (added_variances(), "same plates"),
        (A_C * [-1, 1, 1], "C - A"),
        (without_plates(), "no plates"),
    ],
    "contrasts-4": [
        (331.2, "wrong side"),
        (0, "wrong side"),
        (-100, "still far apart"),
        (-5000, "already so again"),
    ],
    "contrasts-5": [
        (lambda x, info: chi2.sf(x, 2), "either sign"),
        (lambda x, info: chi2.sf(x, 1) / 2 + chi2.sf(x, 2) / 4, "right angle"),
        (lambda x, info: (chi2.sf(x, 1) + chi2.sf(x, 2)) / 2, "a half-plane"),
        (lambda x, info: by_correlation(x, info, -1), "criterion round"),
        (lambda x, info: chi2.sf(x, 1) / 2, "one variance"),
    ],
    "contrasts-6": [
        (lambda b: f.sf(distance(b) / b.shape[1], b.shape[1], len(b) - 1), "have fewer"),
        (lambda b: chi2.sf(distance(b), b.shape[1]), "as known"),
        (lambda b: hotelling(b, len(b) / (len(b) - 1)), "used up by the mean"),
        (lambda b: f.sf(distance(b) / b.shape[1], b.shape[1], len(b) - b.shape[1]), "scaled"),
        (lambda b: hotelling(b, 1 / len(b)), "one group"),
    ],
}
