"""Right and wrong answers to the exercises of chapter *checks*."""

import numpy as np

from mixhier_lite import Gram, LinearMixedModel, Term, datasets, fit, gls_blup

radon = datasets.load("radon")


def effects(y, X, D, Sigma, tau2):
    """Residuals given the random effects, and the covariance of (alpha, beta), by gls_blup."""
    found = gls_blup(LinearMixedModel(X, D, Sigma, tau2), y)
    return y - X @ found.fixed - D @ found.random, found.cov


def by_effects(y, X, D, Sigma, tau2):
    """Leverage is the error variance of a fitted value over tau2."""
    e, cov = effects(y, X, D, Sigma, tau2)
    W = np.hstack([X, D])
    return e / np.sqrt(tau2 - np.einsum("ik,kl,il->i", W, cov, W))


def by_moving(y, *model):
    """Leverage by moving y, of the whole fit and of its random part."""
    X, D = model[:2]
    h, h_random = np.empty(len(y)), np.empty(len(y))
    for i in range(len(y)):
        moved = gls_blup(LinearMixedModel(*model), np.eye(len(y))[i])
        h_random[i] = D[i] @ moved.random
        h[i] = X[i] @ moved.fixed + h_random[i]
    return h, h_random


def of_common_line(y, X, D, Sigma, tau2):
    model = LinearMixedModel(X, D, Sigma, tau2)
    found = gls_blup(model, y)
    spread = np.diag(model.V) - np.einsum("ik,kl,il->i", X, found.fixed_cov, X)
    return (y - X @ found.fixed) / np.sqrt(spread)


def without_each():
    """Moves of both coefficients, each county left out of a sum of Grams."""
    X = np.column_stack([np.ones(919), radon["floor"]])
    y, county = radon["y_gh"].to_numpy(), radon["county"].to_numpy()
    chunks = []
    for name in np.unique(county):
        i = county == name
        chunks.append(Gram.from_arrays(y[i], X[i], Term(county[i])))
    before, after = [None], [None]
    for chunk, last in zip(chunks[:-1], chunks[:0:-1], strict=True):
        before.append(chunk if before[-1] is None else before[-1] + chunk)
        after.append(last if after[-1] is None else last + after[-1])
    sums = [
        b if a is None else a if b is None else b + a
        for b, a in zip(before, after[::-1], strict=True)
    ]
    full = fit(before[-1] + chunks[-1])
    moves = np.array([fit(gram).fixed for gram in sums]) - full.fixed
    return moves.T, full.fixed_se


(intercepts, moves), (se_intercept, se) = without_each()
low, high = -moves.min(), moves.max()


def spread(t, Y):
    """Variance of the people's own slopes, by centred sums."""
    slopes = Y @ (t - t.mean()) / ((t - t.mean()) ** 2).sum()
    return ((slopes - slopes.mean()) ** 2).sum() / (len(Y) - 1)


def fitted(t, Y):
    J, m = Y.shape
    X = np.tile(np.column_stack([np.ones(m), t]), (J, 1))
    return fit(Y.ravel(), X, Term(np.repeat(range(J), m), Z=X))


def noise_in_slope(t, Y):
    return fitted(t, Y).tau2 / ((t - t.mean()) ** 2).sum()


shared = 0.5 * np.eye(4) + 0.5
time = np.arange(5.0)
memory = 0.6 ** np.abs(time[:, None] - time)

RIGHT = {
    "checks-1": 18,
    "checks-2": by_effects,
    "checks-3": np.abs(moves).max() / se,
    "checks-4": (np.array([0.0, 1, 0, 1]), shared),
    "checks-5": lambda t, Y: fitted(t, Y).fixed_se[1],
}

WRONG = {
    "checks-1": [(9, "chance"), (0, "on the other side"), (9.0, "chance")],
    "checks-2": [
        (lambda y, *m: effects(y, *m)[0] / m[-1] ** 0.5, "divided by tau"),
        (lambda y, *m: effects(y, *m)[0], "its own standard deviation"),
        (of_common_line, "fixed part alone"),
        (
            lambda y, *m: effects(y, *m)[0] / np.sqrt(m[-1] * (1 - by_moving(y, *m)[1])),
            "random part alone",
        ),
        (lambda y, *m: effects(y, *m)[0] / (1 - by_moving(y, *m)[0]), "from all others"),
        (lambda y, *m: effects(y, *m)[0] / (m[-1] * (1 - by_moving(y, *m)[0])), "root is missing"),
    ],
    "checks-3": [
        (np.abs(moves).max(), "divide it"),
        (np.abs(intercepts).max() / se_intercept, "That is the intercept"),
        (min(low, high) / se, "in the other"),
        (np.abs(moves).mean() / se, "mean size"),
    ],
    "checks-4": [
        ((time, np.eye(5)), "are independent"),
        ((time, memory), "sentence holds"),
        ((np.array([0.0, 0, 1, 1]), 0.5 * np.eye(4) + 0.5 * np.kron(np.eye(2), np.ones((2, 2)))),
         "sentence holds"),
    ],
    "checks-5": [
        (lambda t, Y: np.sqrt(spread(t, Y) * (len(Y) - 1) / len(Y) ** 2), "maximum likelihood"),
        (lambda t, Y: np.sqrt(spread(t, Y)), "people's slopes"),
        (lambda t, Y: spread(t, Y) / len(Y), "its root"),
        (lambda t, Y: np.sqrt(fitted(t, Y).Sigma[0][1, 1] / len(Y)), "noise in the people"),
        (lambda t, Y: np.sqrt(noise_in_slope(t, Y) / len(Y)), "noise alone"),
    ],
}  # fmt: skip
