"""Right and wrong answers to the exercises of chapter *hierarchical*."""

from functools import reduce
from operator import mul

import numpy as np
import pandas as pd

from mixhier_lite import GaussianFactor, datasets


def by_factors(means, variances):
    pairs = zip(means, variances, strict=True)
    factors = [GaussianFactor(np.eye(1) / v, np.array([m / v])) for m, v in pairs]
    product = reduce(mul, factors)
    variance = 1 / product.precision[0, 0]
    return np.array([product.shift[0] * variance, variance])


radon = datasets.load("radon")
ground = (radon["y_gh"] + 0.7 * radon["floor"]).groupby(radon["county"])
n, mean = ground.size(), ground.mean()
uranium = radon.groupby("county")["log_uranium"].first()


def levels(*columns):
    """By conditioning on alpha, whose posterior comes from the county means alone."""
    U = np.column_stack([np.ones(85), *columns])
    spread = 0.1 + 0.6 / n.to_numpy()
    A = U.T @ (U / spread[:, None]) + np.eye(U.shape[1]) / 100
    line = U @ np.linalg.solve(A, U.T @ (mean / spread))
    beta = (0.1 / spread) * (mean - line)
    return line, beta


line, beta = levels(uranium)
plain_line, plain_beta = levels()


def table(values):
    return pd.DataFrame({"level": np.asarray(values)}, index=mean.index)


def by_precision(U, D, Sigma, tau2, C):
    return np.linalg.inv(np.linalg.inv(U @ C @ U.T + Sigma) + D.T @ D / tau2)


def blocks(U, D, Sigma, tau2, C):
    """Posterior covariance of (alpha, beta) by conditioning on y."""
    both = np.block([[C, np.zeros((2, len(U)))], [np.zeros((len(U), 2)), Sigma]])
    W = np.hstack([D @ U, D])
    V = W @ both @ W.T + tau2 * np.eye(len(D))
    return both - both @ W.T @ np.linalg.solve(V, W @ both)


def separately(U, D, Sigma, tau2, C):
    cov = blocks(U, D, Sigma, tau2, C)
    return U @ cov[:2, :2] @ U.T + cov[2:, 2:]


tilted, other = np.array([[1, 0.9], [0.9, 1]]), np.array([[1, 0.0], [0, 1]])

RIGHT = {
    "hierarchical-1": by_factors,
    "hierarchical-2": table(line + beta),
    "hierarchical-3": "only the intercept",
    "hierarchical-4": ([0, 0], tilted, [2, 0], other),
    "hierarchical-5": by_precision,
}

WRONG = {
    "hierarchical-1": [
        (lambda m, v: [(m / v).sum(), (1 / v).sum()], "shift and the precision"),
        (lambda m, v: [m.mean(), by_factors(m, v)[1]], "not equally trustworthy"),
        (lambda m, v: [np.average(m, weights=v), by_factors(m, v)[1]], "grow with the variance"),
        (lambda m, v: [by_factors(m, v)[0], v.sum()], "added variances"),
        (lambda m, v: by_factors(m, v**0.5), "took roots"),
    ],
    "hierarchical-2": [
        (table(beta), "deviations from the line"),
        (table(line), "points on the line"),
        (table(mean), "nothing has been pooled"),
        (table(plain_line + plain_beta), "no uranium"),
    ],
    "hierarchical-3": [
        ("all columns", "constant within a plate"),
        ("only the samples", "column of ones"),
        ("none", "U that you can name"),
    ],
    "hierarchical-4": [
        (([1, 1], tilted, [1, 1], other), "means are equal"),
        (([0, 0], np.eye(2), [2, 5], 3 * np.eye(2)), "Without correlations"),
        (([0, 0], tilted, [2, 1], 3 * tilted), "multiples of each other."),
        (([0, 0], [[1, 0.1], [0.1, 1]], [2, 2], other), "the right kind"),
    ],
    "hierarchical-5": [
        (separately, "as if alpha and beta were independent"),
        (lambda *model: blocks(*model)[2:, 2:], "covariance of beta, the deviation"),
        (lambda U, D, S, t, C: by_precision(U, D, S, t, 0 * C), "for a known alpha"),
        (lambda U, D, S, t, C: S + U @ C @ U.T, "before the data"),
    ],
}
