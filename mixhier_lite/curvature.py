"""The criterion with its first and second derivatives, at many T at once.

For one term, whose levels are independent. Arrays have the points first and the levels last.
"""

import numpy as np

from .inputs import Array


def sweep(A: Array, B: Array, T: Array, upper: bool = False) -> tuple[Array, Array, Array]:
    """Eliminate the random effects of every level.

    Gauss-Jordan on [[I + T'AT, T'A, T'B], [AT, A, B]] leaves [Y, U] = M^-1 T'[A, B] above and
    [G, E] = [A, B] - A T M^-1 T'[A, B] below. Returns all four, shape (N, 2q, q + p + 1, J),
    the logarithms of det M, (N, J), and the sum of B'T M^-1 T'B, (N, p + 1, p + 1); with
    ``upper`` the first array is half, and of no use.
    """
    (q, p1, J), N, turned = B.shape, len(T), T.swapaxes(1, 2)
    AB = np.concatenate([A, B], axis=1)
    W = np.empty((N, q if upper else 2 * q, 2 * q + p1, J))
    W[:, :q, q:] = (turned.reshape(-1, q) @ AB.reshape(q, -1)).reshape(N, q, q + p1, J)
    W[:, :q, :q] = turned[:, None] @ W[:, :q, q : 2 * q]
    if not upper:
        W[:, q:, q:], W[:, q:, :q] = AB, W[:, :q, q : 2 * q].swapaxes(1, 2)
    log_det, random = np.zeros((N, J)), np.zeros((N, p1, p1))
    for k in range(q):
        pivot, raw = W[:, k, k] + 1.0, W[:, k, k + 1 :].copy()
        row = raw / pivot[:, None]
        W[:, :, k + 1 :] -= W[:, :, k, None] * row[:, None]
        W[:, k, k + 1 :] = row
        log_det += np.log(pivot)
        random += raw[:, -p1:] @ row[:, -p1:].swapaxes(1, 2)
    return W[:, :, q:], log_det, random


def slopes(
    W: Array, T: Array, count: Array, L: Array, D: Array, omega: Array
) -> tuple[Array, Array]:
    """First derivatives (N, q, q) and second (N, q, q, q, q) of the criterion in T.

    W is what ``sweep`` leaves and ``count`` the number of levels that each stands for; L, D and
    omega are what ``Criterion.profiled`` says about S.
    """
    N, q, J, p1 = len(T), T.shape[1], W.shape[-1], L.shape[1]
    V = np.linalg.inv(L)[:, None] @ W[:, :, q:]  # U and E in columns that are orthonormal in S
    P = V[:, q:].reshape(N, q * p1, J) @ V[:, :q].reshape(N, q * p1, J).swapaxes(1, 2)
    P = P.reshape(N, q, p1, q, p1).transpose(0, 1, 3, 2, 4)
    P = P + P.swapaxes(3, 4)  # minus the derivatives of S
    V *= np.sqrt(D)[:, None, :, None]
    X = np.einsum("nacj,nbcj->nabj", V, V)
    Y, G, XU = W[:, :q, :q], W[:, q:, :q], X[:, :q, q:]
    cY, less = count * Y, X[:, q:, q:] - count * G
    slope = 2 * cY.sum(axis=3).swapaxes(1, 2) - np.einsum("nicaa,na->nic", P, D)

    def total(a: Array, b: Array) -> Array:
        both = a.reshape(N, q * q, J) @ b.reshape(N, q * q, J).swapaxes(1, 2)
        return both.reshape(N, q, q, q, q)

    X1 = total(XU - cY / 2, Y)
    X2 = total(less, T.swapaxes(1, 2)[:, None] @ Y) + total(G, X[:, :q, :q])
    H = X1.transpose(0, 2, 3, 4, 1) + X1.transpose(0, 4, 1, 2, 3) + X2.swapaxes(2, 3)
    np.einsum("nicjc->nijc", H)[...] -= less.sum(axis=3)[..., None]
    Z = (P * np.sqrt(omega)[:, None, None]).reshape(N, q * q, -1)
    return slope, 2 * H - (Z @ Z.swapaxes(1, 2)).reshape(H.shape)


def scored(G: Array, e: Array, T: Array, count: Array, nu: int) -> Array | None:
    """T after one step of Fisher's scoring in (Sigma, tau2), which forgets where it started.

    On balanced data it is all but the answer. G is (q, q, J) and e the part of E that belongs to
    the residuals, scaled to r2 = 1, (q, J), both at T. None where tau2 comes out negative.
    """
    q, Sigma = len(T), (T @ T.T).ravel()
    flat = G.reshape(q, q, -1)
    GG = np.einsum("acj,bdj->abcd", flat * count, flat).reshape(q * q, -1)
    total, ee = (G @ count).ravel(), (e @ e.T).ravel()
    across = total - GG @ Sigma
    noise = nu - total @ Sigma - across @ Sigma
    F = np.block([[GG, across[:, None]], [across, noise]])
    found = np.linalg.lstsq(F, np.append(ee, 1.0 - ee @ Sigma), rcond=None)[0]
    values, vectors = np.linalg.eigh(found[:-1].reshape(q, q) / found[-1])
    if found[-1] <= 0 or values[-1] <= 0:
        return None
    root = vectors * np.sqrt(np.maximum(values, 1e-4 * values[-1]))
    return np.asarray(np.linalg.qr(root.T, mode="r"), dtype=np.float64).T
