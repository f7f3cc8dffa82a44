"""First and second derivatives of the criterion, at many T at once.

For one term, whose levels are independent. Arrays have the points first and the levels last.
"""

import numpy as np

from ..inputs import Array


def slopes(W: Array, T: Array, L: Array, D: Array, omega: Array) -> tuple[Array, Array]:
    """First derivatives (N, q, q) and second (N, q, q, q, q) of the criterion in T.

    W is what ``sweep`` leaves; L, D and omega are what ``Criterion.profiled`` says about S.
    """
    N, q, J, p1 = len(T), T.shape[1], W.shape[-1], L.shape[1]
    V = np.linalg.inv(L)[:, None] @ W[:, :, :p1]  # U and E in columns that are orthonormal in S
    P = V[:, q:].reshape(N, q * p1, J) @ V[:, :q].reshape(N, q * p1, J).swapaxes(1, 2)
    P = P.reshape(N, q, p1, q, p1).transpose(0, 1, 3, 2, 4)
    P = P + P.swapaxes(3, 4)  # minus the derivatives of S
    V *= np.sqrt(D)[:, None, :, None]
    X = np.einsum("nacj,nbcj->nabj", V, V)
    Y, G, XU = W[:, :q, p1:], W[:, q:, p1:], X[:, :q, q:]
    less = X[:, q:, q:] - G
    slope = 2 * Y.sum(axis=3).swapaxes(1, 2) - np.einsum("nicaa,na->nic", P, D)

    def total(a: Array, b: Array) -> Array:
        both = a.reshape(N, q * q, J) @ b.reshape(N, q * q, J).swapaxes(1, 2)
        return both.reshape(N, q, q, q, q)

    X1 = total(XU - Y / 2, Y)
    X2 = total(less, T.swapaxes(1, 2)[:, None] @ Y) + total(G, X[:, :q, :q])
    H = X1.transpose(0, 2, 3, 4, 1) + X1.transpose(0, 4, 1, 2, 3) + X2.swapaxes(2, 3)
    np.einsum("nicjc->nijc", H)[...] -= less.sum(axis=3)[..., None]
    Z = (P * np.sqrt(omega)[:, None, None]).reshape(N, q * q, -1)
    return slope, 2 * H - (Z @ Z.swapaxes(1, 2)).reshape(H.shape)


def expected(W: Array, L: Array, D: Array, omega: Array) -> tuple[Array, Array]:
    """Slope (q, q) in T T' at one T, and the second derivatives to be expected, (q, q, q, q).

    With REML these are exactly the mean, given tau2, of what the slope changes by at the true T.
    W, L, D and omega are as in ``slopes``.
    """
    q, p1 = W.shape[1] // 2, L.shape[1]
    G, E = W[0, q:, p1:], (np.linalg.inv(L) * np.sqrt(D)[0, :, None]) @ W[0, q:, :p1]
    E, d = E[:, :-1], E[:, -1]
    EE, dd, both = np.einsum("acj,bcj->abj", E, E), d @ d.T, np.tensordot(E, E, (2, 2))
    total = (G - EE).sum(axis=2)
    found = np.tensordot(G, G - EE, (2, 2)) - np.tensordot(EE, G, (2, 2))
    found = found.swapaxes(1, 2) + np.tensordot(both, both, ([1, 3], [1, 3]))
    return total - dd, found - np.multiply.outer(dd / (omega[0, -1, -1] or np.inf), total)
