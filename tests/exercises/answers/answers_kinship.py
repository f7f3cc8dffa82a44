"""Right and wrong answers to the exercises of chapter *kinship*."""

import numpy as np

from mixhier_lite import LinearMixedModel, gls_blup


def kernel(X, D, S, y, sigma2, tau2):
    """gamma = sigma2 / m S'D'V^-1 (y - X alpha), by least squares on whitened rows."""
    Z, m = D @ S, S.shape[1]
    V = sigma2 / m * Z @ Z.T + tau2 * np.eye(len(y))
    C = np.linalg.cholesky(V)
    Xw, yw = np.linalg.solve(C, X), np.linalg.solve(C, y)
    alpha = np.linalg.lstsq(Xw, yw, rcond=None)[0] if X.shape[1] else np.zeros(0)
    return sigma2 / m * Z.T @ np.linalg.solve(C.T, yw - Xw @ alpha)


def strains(X, D, S, y, sigma2, tau2):
    return gls_blup(LinearMixedModel(X, D, sigma2 * S @ S.T / S.shape[1], tau2), y).random


def regression(K, measured, blup):
    """Drop one clone of each pair, then solve."""
    o, u = np.flatnonzero(measured), np.flatnonzero(~measured)
    keep = [k for k, j in enumerate(o) if not any(np.allclose(K[j], K[i]) for i in o[:k])]
    block = K[np.ix_(o[keep], o[keep])]
    return K[np.ix_(u, o[keep])] @ np.linalg.solve(block, blup[keep])


def by_paths(parents):
    """Sum over animals s of T_js w_s T_ks: what flows down from each animal's own draw."""
    names = list(parents)
    flow = np.zeros((len(names), len(names)))
    A = np.zeros_like(flow)
    for j, pair in enumerate(parents.values()):
        known = [names.index(parent) for parent in pair if parent is not None]
        flow[j] = flow[known].sum(axis=0) / 2
        flow[j, j] = 1
        A[j, j] = 1 - sum(flow[k] ** 2 @ np.diag(A) for k in known) / 4
    return flow @ A @ flow.T


def mendel(parents, weights):
    names, total = list(parents), 0
    for j, pair in enumerate(parents.values()):
        row = np.zeros(len(names))
        row[j] = 1
        for parent in pair:
            if parent is not None:
                row[names.index(parent)] = -1 / 2
        total = total + np.outer(row, row) / weights(j, pair, names)
    return total


def number(pair):
    return sum(parent is not None for parent in pair)


def rests(parents, F):
    return mendel(
        parents,
        lambda j, pair, names: 1 - sum(1 + F[names.index(p)] for p in pair if p is not None) / 4,
    )


half_siblings = {"s": (None, None), "a": ("s", None), "b": ("s", None)}
chain = {"grandam": (None, None), "dam": ("grandam", None), "calf": (None, "dam")}
mating = {"s": (None, None), "d": (None, None), "a": ("s", "d")}

RIGHT = {
    "kinship-1": [3 / 4, 1 / 4, 3 / 4 / (5 / 4) ** 0.5],
    "kinship-2": kernel,
    "kinship-3": "sigma2 four times",
    "kinship-4": (chain, "dam"),
    "kinship-5": regression,
    "kinship-6": rests,
}

WRONG = {
    "kinship-1": [
        ([0.75, 0, 0.75], "same number on the diagonal"),
        ([0.75, 1.25, 0.67082], "whole diagonal entry"),
        ([0.375, 0.125, 0.67082], "You halved"),
        ([0.75, 0.25, 0.75], "covariance for the correlation"),
    ],
    "kinship-2": [
        (lambda X, D, S, y, s, t: kernel(X, D, S, y, s, t / S.shape[1]), "penalty is that of a"),
        (lambda X, D, S, y, s, t: kernel(X, D, S, y, t, s / S.shape[1] ** 2), "upside down"),
        (strains, "predictions of the strains"),
        (lambda X, D, S, *rest: S.T @ strains(X, D, S, *rest) / S.shape[1], "S' alone"),
        (lambda X, *rest: kernel(X[:, :0], *rest), "fixed effects out"),
    ],
    "kinship-3": [
        ("nothing", "also divides by two"),
        ("Sigma2 a  quarter", "product of the two"),
        ("differences between strains", "shift cancels"),
        ("everything", "in another way"),
    ],
    "kinship-4": [
        ((half_siblings, "a"), "Nobody descends"),
        ((mating, "s"), "single calf"),
        ((mating, "a"), "Nobody descends"),
    ],
    "kinship-5": [
        (lambda K, o, b: K[~o][:, o] @ b, "relatedness alone"),
        (lambda K, o, b: np.array([np.average(b, weights=row) for row in K[~o][:, o]]), "sum one"),
        (lambda K, o, b: K[~o][:, o] @ b / np.mean(np.diag(K[o][:, o])), "each relative alone"),
        (lambda K, o, b: np.linalg.pinv(K)[~o][:, o] @ b, "block of the inverse"),
        (lambda K, o, b: K[:, o] @ np.linalg.lstsq(K[o][:, o], b, rcond=None)[0], "all strains"),
    ],
    "kinship-6": [
        (lambda parents, F: rests(parents, 0 * F), "inbreeding of the parents out"),
        (
            lambda parents, F: mendel(parents, lambda j, pair, _: 1 + F[j] - number(pair) / 4),
            "animal itself",
        ),
        (lambda parents, F: mendel(parents, lambda *_: 1), "variance of a founder"),
        (lambda parents, F: by_paths(parents), "That is A"),
    ],
}
