"""The criterion where one number says it all: one term with one coefficient a level.

log det is a sum over the Z_j'WZ_j, or over their eigenvalues where the levels are related.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dormqr, dpttrf, dpttrs, dsytrd

from ..inputs import Array
from ..linalg import square_root
from .criterion import About, Criterion


@dataclass(frozen=True, eq=False)
class Scalar(Criterion):
    """The criterion as a function of x = T^2."""

    a: Array
    """The different Z_j'WZ_j, or the eigenvalues of Z K Z'W, shape (A,)."""
    count: Array
    """How many levels have each of them, shape (A,)."""
    between: Callable[[Array], Iterator[Array]]
    """S less ``within``, then its two derivatives in x, for x of shape (N,): each (N, (p + 1)^2).

    It is a sum of squares: nothing cancels where x is large.
    """

    @cached_property
    def within(self) -> Array:
        """S where x is infinite, shape ((p + 1)^2,)."""
        within: Array = self.C - next(self.between(np.zeros(1))).reshape(self.C.shape)
        gone = np.diag(within) <= 1e-13 * np.diag(self.C)  # columns constant within levels
        within[gone] = within[:, gone] = 0.0
        return within.ravel()

    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`Criterion.many`."""
        x = T[0][:, 0, 0] ** 2
        some = np.array_split(x, 1 + x.size * self.a.size // 10**5)
        log_det = np.concatenate([np.log1p(np.outer(k, self.a)) @ self.count for k in some])
        S = self.within + np.concatenate([next(self.between(k)) for k in some])
        return log_det, S.reshape(-1, *self.C.shape)

    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """See :meth:`Criterion.derivatives`."""
        x, v = T[:, 0, 0] ** 2, self.a / (1 + T[:, 0] ** 2 * self.a)
        S, *changes = (part.reshape(-1, *self.C.shape) for part in self.between(x))
        S += self.within.reshape(self.C.shape)
        value, L, D, omega = self.profiled(np.log1p(np.outer(x, self.a)) @ self.count, S)
        inverse = np.linalg.inv(L)
        dS, d2S = (inverse @ change @ inverse.swapaxes(1, 2) for change in changes)
        g = v @ self.count + np.einsum("nkk,nk->n", dS, D)
        h = np.einsum("nkk,nk->n", d2S, D) - (omega * dS**2).sum(axis=(1, 2)) - v**2 @ self.count
        return value, 2 * T * g[:, None, None], (2 * g + 4 * x * h)[:, None, None, None, None]


def pooled(about: About, a: Array, B: Array) -> Scalar:
    """Independent levels, a of shape (J,) and B (J, p + 1): those with the same a count as one.

    ``about`` is as in :class:`Criterion`.
    """
    a, B = a[a > 0], B[a > 0].T
    different, kind = np.unique(a, return_inverse=True)
    products = [np.bincount(kind, r * s / a, len(different)) for r in B for s in B]
    moments = np.array(products, dtype=np.float64).T

    def between(x: Array) -> Iterator[Array]:
        w = 1 / (1 + np.outer(x, different))
        yield w @ moments
        v = w * different
        yield from (-v * w @ moments, 2 * v**2 * w @ moments)

    found = different.astype(np.float64), np.bincount(kind).astype(np.float64)
    return Scalar(*about, (len(different), 0), *found, between)


def related(about: About, K: Array, a: Array, B: Array) -> Scalar:
    """Related levels: D^1/2 K D^1/2, D = diag(a), is tridiagonal in a basis that is not needed."""
    from scipy.linalg import eigvalsh_tridiagonal

    seen = np.flatnonzero(a > 0)
    root = np.sqrt(a[seen])
    R = (K if len(seen) == len(K) else K[np.ix_(seen, seen)]) * root
    R *= root[:, None]
    Q, diagonal, beside, tau, _ = dsytrd(R.T, lower=1, lwork=64 * len(R), overwrite_a=1)
    b = np.asfortranarray(B[seen] / root[:, None])
    if len(R) > 2:  # the reflections start one row down
        down = np.reshape(Q.ravel(order="K")[1 : 1 + Q[:-1].size], Q[:-1].T.shape, order="F")
        b[1:] = dormqr("L", "T", down, tau, b[1:], 64 * b.shape[1])[0]
    values = np.asarray(eigvalsh_tridiagonal(diagonal, beside), dtype=np.float64)
    if values[0] < -1e-10 * values[-1]:
        square_root(K, "K")  # says why

    def at(x: float) -> Array:
        d, e, _ = dpttrf(1 + x * diagonal, x * beside)
        u = dpttrs(d, e, b)[0]
        v = diagonal[:, None] * u  # this matrix times u
        v[1:] += beside[:, None] * u[:-1]
        v[:-1] += beside[:, None] * u[1:]
        w = dpttrs(d, e, v)[0]
        return np.stack([b.T @ u, -u.T @ v, 2 * v.T @ w]).reshape(3, -1)

    found = np.clip(values, 0, None), np.ones(len(b))
    return Scalar(*about, (len(b), 0), *found, lambda x: iter(np.stack([*map(at, x)], axis=1)))
