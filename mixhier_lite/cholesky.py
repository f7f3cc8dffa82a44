"""Many small triangular systems at once: loops run over q, and numpy runs over the rest.

Arrays have the small matrix first: shape (q, q, ...).
"""

import numpy as np

from .inputs import Array


def choleskies(M: Array) -> Array:
    """Lower Cholesky factors of many p.d. matrices at once, shape (q, q, ...)."""
    L = np.array(M, order="C")  # whatever the order of M: numpy runs over the last axis
    for k in range(len(M)):
        L[k, k + 1 :] = 0.0
        L[k, k] = np.sqrt(L[k, k] - (L[k, :k] ** 2).sum(axis=0))
        for i in range(k + 1, len(M)):
            L[i, k] = (L[i, k] - (L[i, :k] * L[k, :k]).sum(axis=0)) / L[k, k]
    return L


def forward(L: Array, B: Array) -> Array:
    """Solve L F = B for each of them; B has shape (q, r, ...)."""
    F = np.empty_like(B)
    for k in range(len(B)):
        F[k] = B[k]
        for i in range(k):
            F[k] -= L[k, i] * F[i]
        F[k] /= L[k, k]
    return F


def backward(L: Array, F: Array) -> Array:
    """Solve L' U = F for each of them; F has shape (q, r, ...)."""
    return forward(L.swapaxes(0, 1)[::-1, ::-1], F[::-1])[::-1]
