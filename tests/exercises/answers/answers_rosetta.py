"""Right and wrong answers to the exercises of chapter *rosetta*."""

import numpy as np


def entries(theta, sigma):
    """Variances and covariance written out."""
    a, b, c = theta
    return sigma**2 * np.array([[a * a, a * b], [a * b, b * b + c * c]])


def stacked(X, D, y, theta):
    """Least squares on [X D] and a row sqrt(lambda) for each group."""
    J, p = D.shape[1], X.shape[1]
    rows = np.hstack([np.zeros((J, p)), np.eye(J) / theta])
    W = np.vstack([np.hstack([X, D]), rows])
    return np.linalg.lstsq(W, np.append(y, np.zeros(J)), rcond=None)[0][p:]


def charged(X, D, y, theta):
    W = np.hstack([X, D])
    return (W.T @ np.linalg.solve(W @ W.T + np.eye(len(y)) / theta**2, y))[X.shape[1] :]


def beside(X, D, y, theta):
    """Centred columns, all of them penalised: what an intercept that is free comes to."""
    W = np.hstack([X[:, 1:], D])
    W = W - W.mean(axis=0)
    lam = np.eye(W.shape[1]) / theta**2
    return np.linalg.solve(W.T @ W + lam, W.T @ (y - y.mean()))[X.shape[1] - 1 :]


def residual_only(X, D, y, theta):
    e = y - X @ np.linalg.pinv(X) @ y
    return D.T @ e / (D.sum(axis=0) + 1 / theta**2)


def pev(cond_var, sigma2, vcov):
    """The variance of (error with alpha known) - w (error of alpha), as a quadratic form."""
    kept = (sigma2 - cond_var) / sigma2
    return np.array([np.array([1, -w]) @ np.diag([c, vcov]) @ [1, -w]
                     for c, w in zip(cond_var, kept, strict=True)])  # fmt: skip


RIGHT = {
    "rosetta-1": "another criterion",
    "rosetta-2": entries,
    "rosetta-3": stacked,
    "rosetta-4": [*range(5, 10), *range(25, 30)],
    "rosetta-5": pev,
}

WRONG = {
    "rosetta-1": [
        ("an early stop", "stop near one place"),
        ("another minimum", "leave room for one"),
        ("another variance", "estimates themselves"),
        ("another model", "unless told otherwise"),
    ],
    "rosetta-2": [
        (lambda theta, s: entries(theta, 1), "its scale is missing"),
        (lambda theta, s: entries(theta, s) / s, "need its square"),
        (
            lambda t, s: (
                (s * np.array([[t[0], t[1]], [0, t[2]]]))
                @ (s * np.array([[t[0], 0], [t[1], t[2]]]))
            ),
            "wrong order",
        ),
        (lambda t, s: entries([t[0], t[2], t[1]], s), "column by column"),
        (lambda t, s: s * np.array([[t[0], 0], [t[1], t[2]]]), "in the units of y"),
    ],
    "rosetta-3": [
        (lambda X, D, y, theta: stacked(X, D, y, 1 / theta), "upside down"),
        (lambda X, D, y, theta: stacked(X, D, y, theta**0.5), "ratio of standard deviations"),
        (lambda X, D, y, theta: stacked(X, D, y, 1), "left alpha"),
        (charged, "penalised the fixed effects"),
        (beside, "beside the groups"),
        (residual_only, "out of y alone"),
        (lambda X, D, y, theta: stacked(np.ones((len(y), 1)), D, y, theta), "covariate is missing"),
    ],
    "rosetta-4": [
        (list(range(20, 40)), "whole subjects"),
        ([10 * k + 9 for k in range(18)], "same days of everybody"),
        (np.arange(0, 180, 10).tolist(), "same days of everybody"),
    ],
    "rosetta-5": [
        (lambda c, s, v: c + v, "whole variance"),
        (lambda c, s, v: c + v - c * v / s, "takes it twice"),
        (lambda c, s, v: c + v * (c / s) ** 2, "shrunk away"),
        (lambda c, s, v: pev(c, s, v) ** 0.5, "standard deviations"),
        (lambda c, s, v: c, "condVar again"),
    ],
}
