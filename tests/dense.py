"""The likelihood written down directly: an n x n matrix, nothing shared with the package."""

import itertools

import numpy as np
from scipy.linalg import null_space


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


def changes(n, terms, w=None):
    """The matrices by which the entries of every Sigma, and tau2 last, change V."""
    out = []
    for g, Z, K, correlated in terms:
        q = Z.shape[1]
        codes = np.unique(g, return_inverse=True)[1]
        K = np.eye(codes.max() + 1) if K is None else K
        for i, j in itertools.combinations_with_replacement(range(q), 2):
            if i == j or correlated:
                D = np.zeros((q, q))
                D[i, j] = D[j, i] = 1
                out.append(K[np.ix_(codes, codes)] * (Z @ D @ Z.T))
    return [*out, np.diag(1 / (np.ones(n) if w is None else w))]


def least_overlap(X, terms, w=None, tau2_known=False):
    """The least squared singular value of these matrices on contrasts of X, over their lengths.

    Rows are scaled by the root of their weights, and columns of Z are orthogonal.
    """
    n = len(X)
    root = np.sqrt(np.ones(n) if w is None else w)
    orthogonal = []
    for g, Z, K, correlated in terms:
        Z = root[:, None] * Z
        orthogonal.append((g, np.linalg.qr(Z)[0] if correlated else Z, K, correlated))
    contrasts = null_space((root[:, None] * X).T)
    matrices = [M / np.linalg.norm(M) for M in changes(n, orthogonal)]
    rows = [(contrasts.T @ M @ contrasts).ravel() for M in matrices[: -1 if tau2_known else None]]
    return np.linalg.svd(np.array(rows), compute_uv=False)[-1] ** 2
