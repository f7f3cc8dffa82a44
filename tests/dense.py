"""The likelihood written down directly: an n x n matrix, nothing shared with the package."""

import numpy as np


def criterion(y, X, terms, T, method, weights=None, tau2=None):
    """-2 log likelihood or REML criterion at T T' = Sigma / tau2; terms are (groups, Z, K)."""
    n, p = X.shape
    V = np.diag(1 / (np.ones(n) if weights is None else weights))
    for (groups, Z, K), t in zip(terms, T, strict=True):
        same = np.equal.outer(groups, groups) if K is None else K[np.ix_(groups, groups)]
        V = V + same * (Z @ t @ t.T @ Z.T)
    sign, log_det = np.linalg.slogdet(V)
    VX, Vy = np.linalg.solve(V, X), np.linalg.solve(V, y)
    XVX = X.T @ VX
    r2 = y @ Vy - (X.T @ Vy) @ np.linalg.solve(XVX, X.T @ Vy)
    nu = n - p if method == "REML" else n
    tau2 = r2 / nu if tau2 is None else tau2
    value = log_det + nu * np.log(2 * np.pi * tau2) + r2 / tau2
    return value + (np.linalg.slogdet(XVX)[1] if method == "REML" else 0.0)
