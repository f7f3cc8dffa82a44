"""Right and wrong answers to the exercises of chapter *mixed*."""

import numpy as np
import pandas as pd

from mixhier_lite import LinearMixedModel, datasets, henderson, indicator

rail = datasets.load("Rail")
D18 = indicator(rail["Rail"])
slow = np.tile([-1.0, 0, 1], 6)


def by_henderson(n, means, sigma2, tau2):
    """Through the whole data set: each strain's mean, repeated."""
    D = indicator(np.repeat(np.arange(len(n)), n))
    model = LinearMixedModel(np.ones((len(D), 1)), D, sigma2 * np.eye(len(n)), tau2)
    return henderson(model, D @ means).fixed[0]


def table(factor, level=0.0, own_level=0.0):
    own = rail.groupby("Rail")["travel"].mean() - rail["travel"].mean()
    return pd.DataFrame({"blup": factor * own + level, "own": own + own_level})


def rule(X, D, Sigma, tau2):
    """beta_tilde = G y, column by column."""
    V_inv = np.linalg.inv(D @ Sigma @ D.T + tau2 * np.eye(len(D)))
    keep = np.eye(len(D)) - X @ np.linalg.solve(X.T @ V_inv @ X, X.T @ V_inv)
    return Sigma @ D.T @ V_inv @ keep


def variance(X, D, Sigma, tau2):
    G = rule(X, D, Sigma, tau2)
    return G @ (D @ Sigma @ D.T + tau2 * np.eye(len(D))) @ G.T


def known_alpha(X, D, Sigma, tau2):
    return Sigma @ D.T @ np.linalg.inv(D @ Sigma @ D.T + tau2 * np.eye(len(D))) @ D @ Sigma


def pev(X, D, Sigma, tau2):
    return henderson(LinearMixedModel(X, D, Sigma, tau2), np.zeros(len(X))).random_cov


mean = rail["travel"].mean()

RIGHT = {
    "mixed-1": 1 / (1 + 16 / 616),
    "mixed-2": by_henderson,
    "mixed-3": "error variances",
    "mixed-4": table(6 / 7),
    "mixed-5": np.column_stack([np.ones(18), np.arange(18.0)]),
    "mixed-6": variance,
}

WRONG = {
    "mixed-1": [
        (616.0, "covariance"),
        (616**0.5 / (616**0.5 + 4), "standard deviations"),
        (38.5, "ratio of the two variances"),
        (16 / 632, "share of the noise"),
    ],
    "mixed-2": [
        (lambda n, m, s, t: np.average(m, weights=n), "number of mice"),
        (lambda n, m, s, t: m.mean(), "same weight"),
        (lambda n, m, s, t: np.average(m, weights=s + t / n), "deserves less weight"),
        (lambda n, m, s, t: by_henderson(n, m, t, s), "places of the two"),
        (lambda n, m, s, t: by_henderson(n, m, s**0.5, t**0.5), "took roots"),
    ],
    "mixed-3": [
        ("everything", "cancel what cancels"),
        ("estimate and predictions", "common factor"),
        ("nothing", "variance of the estimate"),
    ],
    "mixed-4": [
        (table(1), "nothing has been pulled"),
        (table(6 / 7, level=mean), "levels of the rails"),
        (table(6 / 7, own_level=mean), "means themselves"),
        (table(3 / 5), "changed the places"),
        (table(3 * 200**0.5 / (3 * 200**0.5 + 10)), "standard deviations"),
    ],
    "mixed-5": [
        (np.ones(18), "constant within rails"),
        (D18, "constant within rails"),
        (slow, "sum to zero within"),
        (np.column_stack([np.ones(18), slow]), "a little of both"),
    ],
    "mixed-6": [
        (pev, "(PEV, random_cov)"),
        (lambda X, D, S, t: S - known_alpha(X, D, S, t), "conditional variance"),
        (known_alpha, "if alpha were known"),
        (lambda X, D, S, t: S, "variance of beta."),
        (lambda X, D, S, t: np.diag(variance(X, D, S, t)), "variances alone"),
    ],
}
