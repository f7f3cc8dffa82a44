"""Right and wrong answers to the exercises of chapter *henderson*."""

import numpy as np

from mixhier_lite import LinearMixedModel, datasets, gls_blup, indicator, ridge


def by_ridge(X, D, y, lam):
    effects = ridge(LinearMixedModel(X, D, np.eye(D.shape[1]) / lam, 1.0), y)
    return np.append(effects.fixed, effects.random)


def augmented(X, D, y, penalty, charged=None):
    """Least squares on stacked rows, the penalty as it stands in the rows."""
    p, J = X.shape[1], D.shape[1]
    charge = np.diag(np.append(np.zeros(p), np.ones(J)) if charged is None else charged)
    W = np.vstack([np.hstack([X, D]), penalty * charge])
    return np.linalg.lstsq(W, np.append(y, np.zeros(p + J)), rcond=None)[0]


def everything_penalised(X, D, y, lam):
    return augmented(X, D, y, lam**0.5, charged=np.ones(X.shape[1] + D.shape[1]))


penicillin = datasets.load("Penicillin")
X, D = indicator(penicillin["sample"]), indicator(penicillin["plate"])
w = 6 * 0.7 / (6 * 0.7 + 0.3)
cond_var = 0.7 * (1 - w)
pev = cond_var + w**2 * (0.7 + 0.3 / 6) / 24  # the price of six sample means, by hand

slopes = np.arange(12.0).reshape(6, 2) ** 2


def schur(X, D, Sigma, tau2):
    C = D.T @ D + tau2 * np.linalg.inv(Sigma)
    return X.T @ X - X.T @ D @ np.linalg.solve(C, D.T @ X)


def blind_to_penalty(X, D, Sigma, tau2):
    return X.T @ (X - D @ np.linalg.lstsq(D, X, rcond=None)[0])


def fixed_cov(X, D, Sigma, tau2):
    return gls_blup(LinearMixedModel(X, D, Sigma, tau2), np.zeros(len(X))).fixed_cov


RIGHT = {
    "henderson-1": 2 + len(set(datasets.load("radon")["county"])),
    "henderson-2": by_ridge,
    "henderson-3": pev**0.5,
    "henderson-4": slopes,
    "henderson-5": schur,
}

WRONG = {
    "henderson-1": [
        (3 * 919, "size of V, which has a row"),
        (919, "before anything was measured again"),
        (3 * 87, "You tripled it"),
        (85, "fixed effects are unknowns"),
        (86, "left one of the fixed"),
    ],
    "henderson-2": [
        (everything_penalised, "penalised the fixed effects too"),
        (lambda X, D, y, lam: augmented(X, D, y, 0), "penalty is missing"),
        (lambda X, D, y, lam: by_ridge(X, D, y, 1 / lam), "upside down"),
        (augmented, "square of lam"),
        (lambda X, D, y, lam: np.roll(by_ridge(X, D, y, lam), D.shape[1]), "alpha comes first"),
    ],
    "henderson-3": [
        (pev, "This is a variance;"),
        (cond_var**0.5, "conditional standard deviation"),
        (cond_var, "not the root"),
        ((pev / 0.3) ** 0.5, "noise variance multiplies"),
        ((0.7 - pev) ** 0.5, "standard deviation of the prediction"),
    ],
    "henderson-4": [
        (indicator(list("aabbcc")), "indicator of groups"),
        (np.column_stack([np.arange(6.0), 5 - np.arange(6.0)]), "same sum"),
        (np.array([[1.0, 2.0]] * 5), "All rows of your D are equal"),
        (np.zeros((4, 3)), "All rows of your D are equal"),
    ],
    "henderson-5": [
        (lambda X, D, S, t: schur(X, D, S, t) / t, "factor is missing"),
        (fixed_cov, "variance of the estimate"),
        (blind_to_penalty, "without the penalty"),
        (lambda X, D, S, t: X.T @ X, "before anything is eliminated"),
        (lambda X, D, S, t: schur(X, D, np.linalg.inv(S), t), "where its inverse belongs"),
    ],
}
