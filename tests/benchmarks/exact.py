"""The criterion at given variances, in formulas that share no code with the engine."""

import numpy as np


def root(Sigma):
    """A root of a covariance matrix that may be singular."""
    values, vectors = np.linalg.eigh(np.atleast_2d(Sigma))
    return vectors * np.sqrt(np.clip(values, 0, None))


def criterion(work, Sigma, tau2, method="REML"):
    """-2 log likelihood or REML criterion of a Work at Sigma (one for each term) and tau2."""
    V = np.column_stack([work.X, work.y])
    V = V - np.append(np.zeros(V.shape[1] - 1), V[0, -1])  # X spans 1: y may be shifted
    if work.K is not None:
        inverse, log_det = _related(work, float(np.ravel(Sigma[0])[0]), tau2, V)
    elif len(work.codes) == 1:
        inverse, log_det = _one_term(work, root(Sigma[0]) / np.sqrt(tau2), V)
        inverse, log_det = inverse / tau2, log_det + work.n * np.log(tau2)
    else:
        inverse, log_det = _crossed(work, [float(np.ravel(s)[0]) / tau2 for s in Sigma], V)
        inverse, log_det = inverse / tau2, log_det + work.n * np.log(tau2)
    p = V.shape[1] - 1
    xx, xy = inverse[:p, :p], inverse[:p, p]
    rest = inverse[p, p] - xy @ np.linalg.solve(xx, xy)
    reml = method == "REML"
    extra = np.linalg.slogdet(xx)[1] if reml else 0.0
    return float(log_det + extra + rest + (work.n - p * reml) * np.log(2 * np.pi))


def _sums(codes, J, left, right):
    """Z_j' V for every level, by sums over sorted rows: shape (J, columns, columns)."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(J))
    pairs = [(a[:, None] * right)[order] for a in left.T]
    return np.stack([np.add.reduceat(rows, starts) for rows in pairs], axis=1)


def _one_term(work, T, V):
    """[X y]'(V / tau2)^-1 [X y] and log|V / tau2|, group by group."""
    Z = np.ones((work.n, 1)) if work.Z is None else work.Z
    A, B = (_sums(work.codes[0], work.J[0], Z, right) for right in (Z, V))
    M = np.eye(len(T)) + T.T @ A @ T
    TB = T.T @ B
    inverse = V.T @ V - np.einsum("jkr,jks->rs", TB, np.linalg.solve(M, TB))
    return inverse, np.linalg.slogdet(M)[1].sum()


def _crossed(work, ratios, V):
    """The same for two random intercepts; the levels of the first are eliminated."""
    from scipy.sparse import csr_matrix

    n, (a, b) = work.n, work.J
    one, start = np.ones(n), np.arange(n + 1)
    Z1, Z2 = (csr_matrix((one, g, start), (n, J)) for g, J in zip(work.codes, (a, b), strict=True))
    s1, s2 = np.sqrt(ratios)
    d = 1 + s1**2 * np.asarray(Z1.sum(axis=0)).ravel()
    cross = s1 * s2 * (Z1.T @ Z2).toarray()
    M = np.eye(b) + s2**2 * (Z2.T @ Z2).toarray() - cross.T @ (cross / d[:, None])
    b1, b2 = s1 * (Z1.T @ V), s2 * (Z2.T @ V)
    b2 = b2 - cross.T @ (b1 / d[:, None])
    inverse = V.T @ V - b1.T @ (b1 / d[:, None]) - b2.T @ np.linalg.solve(M, b2)
    return inverse, np.log(d).sum() + np.linalg.slogdet(M)[1]


def _related(work, sigma2, tau2, V):
    """[X y]'V^-1 [X y] and log|V| with all of V written out."""
    g = work.codes[0]
    whole = sigma2 * work.K[np.ix_(g, g)] + tau2 * np.eye(work.n)
    return V.T @ np.linalg.solve(whole, V), np.linalg.slogdet(whole)[1]
