"""One term of related levels with one coefficient each: K is made tridiagonal once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .inputs import Array, square_root
from .variance import Criterion


@dataclass(frozen=True, eq=False)
class Related(Criterion):
    """The criterion as a function of s = T^2, with R = D^1/2 K D^1/2 and D = diag(Z'WZ)."""

    d: Array
    """Diagonal of R in the basis in which it is tridiagonal, shape (J,)."""
    e: Array
    """Beside the diagonal, shape (J - 1,)."""
    values: Array
    """Eigenvalues of R, shape (J,)."""
    b: Array
    """D^-1/2 Z'W [X y] in the same basis, shape (J, p + 1)."""

    @classmethod
    def reduced(cls, about: tuple[Any, ...], K: Array, a: Array, B: Array) -> "Related":
        """Reduce K; a is the diagonal of D, (J,), and B is Z'W [X y], (J, p + 1)."""
        from scipy.linalg.lapack import dormqr, dpttrf, dsterf, dsytrd, dsytrd_lwork

        seen = np.flatnonzero(a > 0)
        root = np.sqrt(a[seen])
        R = (K if len(seen) == len(K) else K[np.ix_(seen, seen)]) * root
        R *= root[:, None]
        work = int(dsytrd_lwork(len(R), lower=1)[0])
        Q, d, e, tau, _ = dsytrd(R.T, lower=1, lwork=work, overwrite_a=1)
        b = np.asfortranarray(B[seen] / root[:, None])
        if len(R) > 2:
            b[1:] = dormqr("L", "T", Q[1:, :-1], tau, b[1:], 64 * b.shape[1])[0]
        if dpttrf(d + 1e-10 * np.abs(d).max(initial=0.0), e)[2]:
            square_root(K, "K")  # says why
        return cls(*about, (0, 0), d, e, dsterf(d, e)[0], b)

    def _at(self, s: float) -> Array:
        """S and its first two derivatives in s, shape (3, p + 1, p + 1)."""
        from scipy.linalg.lapack import dpttrf, dpttrs

        e, b = self.e[:, None], self.b
        pivots, below, _ = dpttrf(1 + s * self.d, s * self.e)
        x = dpttrs(pivots, below, b)[0]
        y = self.d[:, None] * x  # R x
        y[:-1] += e * x[1:]
        y[1:] += e * x[:-1]
        return np.stack([self.C - s * b.T @ y, -x.T @ y, 2 * y.T @ dpttrs(pivots, below, y)[0]])

    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`Criterion.many`."""
        s = T[0][:, 0, 0] ** 2
        return np.log1p(np.outer(s, self.values)).sum(axis=1), np.stack([self._at(x)[0] for x in s])

    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """See :meth:`Criterion.derivatives`."""
        t, (log_det, S) = T[:, 0, 0], self.many([T])
        value, L, D, omega = self.profiled(log_det, S)
        W, g = np.linalg.inv(L), self.values / (1 + np.outer(t**2, self.values))
        S1, S2 = W @ np.stack([self._at(x)[1:] for x in t**2], axis=1) @ W.swapaxes(1, 2)
        f1 = g.sum(axis=1) + np.einsum("nkk,nk->n", S1, D)
        f2 = np.einsum("nkk,nk->n", S2, D) - (g**2).sum(axis=1) - (omega * S1**2).sum(axis=(1, 2))
        slope, bend = 2 * t * f1, 2 * f1 + 4 * t**2 * f2
        return value, slope[:, None, None], bend[:, None, None, None, None]
