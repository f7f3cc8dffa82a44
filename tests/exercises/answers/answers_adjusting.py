"""Right and wrong answers to the exercises of chapter *adjusting*."""

import numpy as np

from mixhier_lite import Term, datasets, fit, indicator, lmer

radon = datasets.load("radon")


def left(method="REML", y="y_gh"):
    """Standard deviations of counties and homes, without and with uranium."""
    fits = [
        lmer(f"{y} ~ {right} + (1 | county)", radon, method=method)
        for right in ("floor", "floor + log_uranium")
    ]
    return [(f.Sigma[0].item() ** 0.5, f.tau2**0.5) for f in fits]


(a, noise_a), (b, noise_b) = left()
(ml_a, _), (ml_b, _) = left("ML")
(old_a, _), (old_b, _) = left(y="log_radon")


def dummies(X, y, groups, w):
    """Least squares with a column for each group, rows times the root of w."""
    W = np.sqrt(w)[:, None] * np.hstack([X, indicator(groups)])
    return np.linalg.lstsq(W, np.sqrt(w) * y, rcond=None)[0][: X.shape[1]]


def device(X, y, groups, w):
    """The Mundlak device, variances estimated."""
    D = indicator(groups)
    means = D @ (D.T @ (w[:, None] * X) / (D.T @ w)[:, None])
    columns = np.column_stack([np.ones(len(y)), X, means])
    if columns.shape[1] > D.shape[1]:  # fewer groups than their level needs
        return dummies(X, y, groups, w)
    return fit(y, columns, Term(groups), weights=w).fixed[1:3]


def plain_means(X, y, groups, w):
    """Both sides centred at plain means, then weighted least squares."""
    centre = np.eye(len(y)) - indicator(groups) @ np.linalg.pinv(indicator(groups))
    root = np.sqrt(w)
    return np.linalg.lstsq(root[:, None] * (centre @ X), root * (centre @ y), rcond=None)[0]


def weighted_means_only(X, y, groups, w):
    D = indicator(groups)
    centre = np.eye(len(y)) - D @ np.linalg.solve(D.T @ np.diag(w) @ D, D.T @ np.diag(w))
    return np.linalg.lstsq(centre @ X, centre @ y, rcond=None)[0]


def pooled(X, y, groups, w):
    return dummies(X, y, np.zeros(len(y), dtype=int), w)


def alone(X, y, groups, w):
    return np.concatenate([dummies(X[:, [k]], y, groups, w) for k in (0, 1)])


rng = np.random.default_rng(3)
level, rows = np.repeat(rng.standard_normal((2, 6)), 3, axis=1), rng.standard_normal((2, 18))
x1 = level[0] + rows[0]
centred = rows - np.repeat(rows.reshape(2, 6, 3).mean(axis=2), 3, axis=1)
aside = centred[1] - centred[0] * (centred[0] @ centred[1]) / (centred[0] @ centred[0])


def sum_of_two(x, groups, sigma2, tau2):
    within, between = parts(x, groups, sigma2, tau2)
    return within + between


def parts(x, groups, sigma2, tau2):
    """Variances of the two slopes, each from its own regression."""
    D = indicator(groups)
    Z = np.column_stack([x, D])
    within = tau2 * np.linalg.inv(Z.T @ Z)[0, 0]
    n = D.sum(axis=0)
    U = np.column_stack([np.ones(len(n)), D.T @ x / n])
    return within, np.linalg.inv(U.T @ np.diag(1 / (sigma2 + tau2 / n)) @ U)[1, 1]


def average_size(x, groups, sigma2, tau2):
    n = np.unique(groups, return_counts=True)[1]
    means = np.array([x[groups == g].mean() for g in np.unique(groups)])
    between = (sigma2 + tau2 / n.mean()) / (len(n) * means.var())
    return parts(x, groups, sigma2, tau2)[0] + between


def shrunk(between, within, error):
    return 1 - error / np.array([between + within + error, within + error])


RIGHT = {
    "adjusting-1": "the mean's",
    "adjusting-2": (a**2 - b**2) / a**2,
    "adjusting-3": device,
    "adjusting-4": (x1, level[1] + rows[1] + rows[0]),
    "adjusting-5": sum_of_two,
    "adjusting-6": shrunk,
}

WRONG = {
    "adjusting-1": [
        ("both", "homes of one county"),
        ("neither", "speaks of one of the two"),
        ("floor's", "other way round"),
    ],
    "adjusting-2": [
        (1 - b / a, "standard deviations"),
        ((b / a) ** 2, "that is left"),
        (1 - (ml_b / ml_a) ** 2, "ML estimates"),
        (1 - (b**2 + noise_b**2) / (a**2 + noise_a**2), "variance of a home"),
        (1 - (old_b / old_a) ** 2, "column log_radon"),
    ],
    "adjusting-3": [
        (plain_means, "plain group means"),
        (weighted_means_only, "sums of products are not"),
        (lambda X, y, g, w: dummies(X, y, g, 1 + 0 * w), "weights are missing"),
        (lambda X, y, g, w: dummies(X, y, g, w * w), "squared"),
        (alone, "one covariate at a time"),
        (pooled, "pooled slopes"),
    ],
    "adjusting-4": [
        ((x1, level[1]), "belongs to the groups"),
        ((x1, level[1] + aside), "uncorrelated"),
        ((x1, 2 * (x1 - centred[0]) + centred[0] + centred[1]), "on a line"),
    ],
    "adjusting-5": [
        (lambda *given: parts(*given)[1], "between slope alone"),
        (lambda *given: parts(*given)[1] - parts(*given)[0], "You subtracted"),
        (lambda *given: sum_of_two(*given) ** 0.5, "standard error"),
        (average_size, "average size"),
    ],
    "adjusting-6": [
        (lambda b, w, e: np.full(2, (b + w) / (b + w + e)), "limits are equal"),
        (lambda b, w, e: [b / (b + e), w / (w + e)], "all that varies"),
        (lambda b, w, e: [1.0, 1.0], "does not cancel"),
        (lambda b, w, e: shrunk(np.sqrt(b), np.sqrt(w), np.sqrt(e)), "You took roots"),
    ],
}
