"""Right and wrong answers to the exercises of chapter *ridge*."""

import math

import numpy as np
from scipy.optimize import brentq

from mixhier_lite import LinearMixedModel, henderson, indicator


def by_search(share, sigma2, tau2):
    return brentq(lambda n: n / (n + tau2 / sigma2) - share, 0, 1e6, xtol=1e-12, rtol=1e-14)


def fit(X, D, y, lam):
    return henderson(LinearMixedModel(X, D, np.eye(D.shape[1]), lam), y)


def by_refitting(X, D, y, lam):
    errors = np.empty(len(y))
    for i in range(len(y)):
        keep = np.arange(len(y)) != i
        rest = fit(X[keep], D[keep], y[keep], lam)
        errors[i] = y[i] - X[i] @ rest.fixed - D[i] @ rest.random
    return errors


def by_ridge_cv(X, D, y, lam):
    """What RidgeCV calls leave-one-out errors, if it is given what projection leaves."""
    e, B = (
        y - X @ np.linalg.lstsq(X, y, rcond=None)[0],
        D - X @ np.linalg.lstsq(X, D, rcond=None)[0],
    )
    H = B @ np.linalg.pinv(np.vstack([B, np.sqrt(lam) * np.eye(B.shape[1])]))[:, : len(y)]
    return (e - H @ e) / (1 - np.diag(H))


def by_refitting_charged(X, D, y, lam):
    """A loop of fits whose only free column is the intercept."""
    return by_refitting(np.ones((len(y), 1)), np.hstack([X[:, 1:], D]), y, lam)


def residuals(X, D, y, lam):
    found = fit(X, D, y, lam)
    return y - X @ found.fixed - D @ found.random


def with_leverage(W, X, D, y, lam, penalty):
    H = W @ np.linalg.pinv(W.T @ W + penalty * np.eye(W.shape[1])) @ W.T
    return residuals(X, D, y, lam) / (1 - np.diag(H))


def by_trace(n, lam):
    """Sum of the derivatives of fitted group effects, unit response by unit response."""
    D = indicator(np.repeat(np.arange(len(n)), n))
    one = np.ones((len(D), 1))
    return sum((D @ fit(one, D, unit, lam).random)[i] for i, unit in enumerate(np.eye(len(D))))


kin = np.kron(np.eye(2), np.full((3, 3), 0.5)) + 0.5 * np.eye(6)

RIGHT = {
    "ridge-1": by_search,
    "ridge-2": "Cook",
    "ridge-3": by_refitting,
    "ridge-4": 2 * np.eye(6) + 5,
    "ridge-5": by_trace,
}

WRONG = {
    "ridge-1": [
        (lambda k, s, t: by_search(k, t, s), "upside down"),
        (lambda k, s, t: by_search(1 - k, s, t), "share that is lost"),
        (lambda k, s, t: by_search(k, s**0.5, t**0.5), "took roots"),
        (lambda k, s, t: k * t / s, "Solve again"),
        (lambda k, s, t: math.ceil(by_search(k, s, t)), "rounded up"),
    ],
    "ridge-2": [
        ("mahnomen", "strongest pull"),
        ("lake", "starts furthest out"),
        ("stlouis", "nothing moves"),
        ("faribault", "once more"),
    ],
    "ridge-3": [
        (residuals, "helped to predict itself"),
        (lambda *data: -by_refitting(*data), "sign is turned"),
        (lambda X, D, y, lam: with_leverage(np.hstack([X, D]), X, D, y, lam, 0), "least squares"),
        (lambda X, D, y, lam: with_leverage(D, X, D, y, lam, lam), "groups alone"),
        (lambda X, D, y, lam: y - by_refitting(X, D, y, lam), "These are the predictions"),
        (by_ridge_cv, "out with all rows"),
        (by_refitting_charged, "All of alpha is free"),
    ],
    "ridge-4": [
        (np.diag(np.arange(1.0, 7)), "unequal variances"),
        (np.diag(np.arange(1.0, 7)) + 1, "variances differ"),
        (kin, "some pairs of rails"),
        (kin @ np.diag(np.arange(1.0, 7)) @ kin, "intercept is free"),
    ],
    "ridge-5": [
        (lambda n, lam: (n / (n + lam)).sum(), "known intercept"),
        (lambda n, lam: (n / (n + lam)).sum() - 1, "whole parameter"),
        (lambda n, lam: by_trace(n, lam) + 1, "the whole fit"),
        (lambda n, lam: (len(n) - 1) * (n / (n + lam)).mean(), "equal size"),
        (lambda n, lam: by_trace(n, 1 / lam), "upside down"),
    ],
}
