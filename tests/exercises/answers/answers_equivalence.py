"""Right and wrong answers to the exercises of chapter *equivalence*."""

import numpy as np

from mixhier_lite import LinearMixedModel, henderson, indicator, ridge

sigma2 = 2451 / 1.5
w = 5 / (5 + 1.5)
known = sigma2 * (1 - w)
pev = known + w * sigma2 / 6  # the price in a balanced layout


def other_way_round(lam):
    s = 2451 / lam
    share = 5 / (5 + lam)
    return s * (1 - share) + share * s / 6


def kriging(X, D, Sigma, tau2, y):
    n, p = X.shape
    border = np.block([[D @ Sigma @ D.T + tau2 * np.eye(n), X], [X.T, np.zeros((p, p))]])
    c, alpha = np.split(np.linalg.solve(border, np.append(y, np.zeros(p))), [n])
    return alpha, c


def dual(X, D, Sigma, tau2, y):
    alpha, c = kriging(X, D, Sigma, tau2, y)
    return np.append(alpha, Sigma @ D.T @ c)


def spherical(X, D, Sigma, tau2, y):
    """By ridge on D L: u, not beta."""
    L = np.linalg.cholesky(Sigma)
    effects = ridge(LinearMixedModel(X, D @ L, np.eye(len(Sigma)), tau2), y)
    return np.append(effects.fixed, effects.random)


def two_steps(X, D, Sigma, tau2, y):
    alpha = np.linalg.solve(X.T @ X, X.T @ y)
    _, c = kriging(np.zeros((len(y), 0)), D, Sigma, tau2, y - X @ alpha)
    return np.append(alpha, Sigma @ D.T @ c)


def by_a_model(cov, A):
    """Through a made-up model whose Henderson matrix is the inverse of cov."""
    p, B = len(A), np.linalg.inv(A)
    top = B @ cov[:p]
    return np.block([[top[:, :p] @ B.T, top[:, p:]], [top[:, p:].T, cov[p:, p:]]])


def moved(cov, A, B):
    T = np.eye(len(cov))
    T[: len(A), : len(A)] = B
    return T @ cov @ T.T


def corner(cov, A):
    changed, B = cov.copy(), np.linalg.inv(A)
    changed[: len(A), : len(A)] = B @ cov[: len(A), : len(A)] @ B.T
    return changed


def recoding_is_what_the_package_does():
    """The answer to equivalence-5 against two fits of one model."""
    rng = np.random.default_rng(3)
    D = indicator(list("aabbbc"))
    X, A, y = rng.normal(size=(6, 2)), rng.normal(size=(2, 2)), rng.normal(size=6)
    one, two = (henderson(LinearMixedModel(M, D, np.eye(3), 2.0), y) for M in (X, X @ A))
    assert np.allclose(one.random, two.random)
    assert np.allclose(by_a_model(one.cov, A), two.cov)


recoding_is_what_the_package_does()

balanced, unbalanced = indicator(list("aabbcc")), indicator(list("aaabbc"))
inside = np.array([1.0, -1, 2, -2, 3, -3])

RIGHT = {
    "equivalence-1": "henderson",
    "equivalence-2": pev**0.5,
    "equivalence-3": dual,
    "equivalence-4": (np.ones(6), unbalanced),
    "equivalence-5": by_a_model,
}

WRONG = {
    "equivalence-1": [
        ("all", "without fixed effects is a model"),
        ("none", "divides by the third"),
        ("posterior", "multiplies factors over u"),
        ("gls_blup", "noise keeps V"),
        ("ridge", "columns D L"),
    ],
    "equivalence-2": [
        (pev, "This is a variance;"),
        (known**0.5, "condVar, not PEV"),
        (other_way_round(1 / 1.5) ** 0.5, "multiplied by the penalty"),
        ((sigma2 - pev) ** 0.5, "not of its error"),
        (sigma2**0.5, "sigma itself"),
    ],
    "equivalence-3": [
        (lambda X, D, S, t, y: dual(X, D, np.diag(np.diag(S)), t, y), "relatives have"),
        (lambda X, D, S, t, y: dual(X, D, np.eye(len(S)), t, y), "ridge on D with the penalty"),
        (
            lambda X, D, S, t, y: np.append(
                kriging(X, D, S, t, y)[0], D.T @ kriging(X, D, S, t, y)[1]
            ),
            "still to be multiplied",
        ),
        (spherical, "beta = L u"),
        (two_steps, "least squares first"),
    ],
    "equivalence-4": [
        ((np.ones(6), balanced), "groups of one size"),
        ((inside, balanced), "look at alpha at all"),
        ((np.column_stack([np.ones(6), inside]), balanced), "rows of H are equal"),
    ],
    "equivalence-5": [
        (lambda cov, A: moved(cov, A, A), "wrong way"),
        (lambda cov, A: moved(cov, A, np.linalg.inv(A).T), "transposed"),
        (corner, "block of alpha only"),
        (lambda cov, A: cov, "Nothing has changed"),
    ],
}
