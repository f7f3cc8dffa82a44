"""One term with one coefficient a level: the criterion is a function of s = T^2 alone.

Its levels are independent, and then only sums over those with the same Z_j'WZ_j count; or they
are related, and then K is made tridiagonal once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .inputs import Array, square_root
from .variance import Criterion, Solution


@dataclass(frozen=True, eq=False)
class Independent:
    """Levels that are independent."""

    within: Array
    """What is left of [X y]'W[X y] for s to infinity, shape (p + 1, p + 1)."""
    a: Array
    """The different Z_j'WZ_j, shape (k,)."""
    count: Array
    """How many levels have it, shape (k,)."""
    BB: Array
    """The sum of B_j x B_j / a over these levels, shape (k, (p + 1)^2)."""

    @classmethod
    def pooled(cls, C: Array, a: Array, B: Array) -> "Independent":
        """Pool the levels with equal a; B has shape (J, p + 1)."""
        seen = np.flatnonzero(a > 0)
        order = seen[np.argsort(a[seen], kind="stable")]
        a, B = a[order], B[order]
        first = np.flatnonzero(np.append(len(a) > 0, np.diff(a) > 0))
        products = (B * (column / a)[:, None] for column in B.T)
        BB = np.stack([np.add.reduceat(each, first, axis=0) for each in products], axis=1)
        count = np.diff(np.append(first, len(a))).astype(np.float64)
        within = C - BB.sum(axis=0)
        gone = np.diag(within) <= 1e-13 * np.diag(C)  # columns that are constant within levels
        within[gone] = within[:, gone] = 0.0
        return cls(within, a[first], count, BB.reshape(len(first), -1))

    def at(self, s: Array) -> tuple[Array, Array]:
        """Log det, (3, N), and S beyond ``within``, (3, N, p + 1, p + 1): two derivatives in s.

        This is the sum of B_j'B_j / a_j / (1 + s a_j).
        """
        log_det, S = [], []
        for some in np.array_split(s, 1 + s.size * self.a.size // 10**6):
            h = 1 / (1 + some[:, None] * self.a)
            g = self.a * h
            log_det.append([-np.log(h) @ self.count, g @ self.count, -(g * g) @ self.count])
            S.append(np.stack([h, -g * h, 2 * g * g * h]) @ self.BB)
        return np.concatenate(log_det, axis=1), np.concatenate(S, axis=1).reshape(
            3, len(s), *self.within.shape
        )


@dataclass(frozen=True, eq=False)
class Related:
    """Related levels: with D = diag(Z'WZ), the matrix D^1/2 K D^1/2 made tridiagonal."""

    within: Array
    """As for independent levels."""
    d: Array
    """Its diagonal, shape (J,)."""
    e: Array
    """Beside the diagonal, shape (J - 1,)."""
    b: Array
    """D^-1/2 Z'W [X y] in the same basis, shape (J, p + 1)."""

    @classmethod
    def reduced(cls, C: Array, K: Array, a: Array, B: Array) -> "Related":
        """Reduce K."""
        from scipy.linalg.lapack import dormqr, dpttrf, dsytrd, dsytrd_lwork

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
        return cls(C - b.T @ b, d, e, b)

    def at(self, s: Array) -> tuple[Array, Array]:
        """The same as for independent levels; S beyond ``within`` is b'(I + s R)^-1 b."""
        found = [self._at(float(each)) for each in s]
        return np.stack([d for d, _ in found], axis=1), np.stack([S for _, S in found], axis=1)

    def _at(self, s: float) -> tuple[Array, Array]:
        from scipy.linalg.lapack import dpttrf, dpttrs

        d, e, b = self.d, self.e[:, None], self.b
        pivots, below, _ = dpttrf(1 + s * d, s * self.e)
        x = dpttrs(pivots, below, b)[0]
        y = d[:, None] * x  # R x
        y[:-1] += e * x[1:]
        y[1:] += e * x[:-1]
        S = np.stack([b.T @ x, -x.T @ y, 2 * y.T @ dpttrs(pivots, below, y)[0]])
        h = 1e-6 * (s + 1 / np.abs(d).max(initial=1.0))
        slopes = [self._slope(s), self._slope(s + h)]
        return np.array([np.log(pivots).sum(), slopes[0], (slopes[1] - slopes[0]) / h]), S

    def _slope(self, s: float) -> float:
        """The trace of (I + s R)^-1 R, from the pivots of both ends."""
        from scipy.linalg.lapack import dpttrf

        diagonal = 1 + s * self.d
        down, below, _ = dpttrf(diagonal, s * self.e)
        up = dpttrf(diagonal[::-1], s * self.e[::-1])[0][::-1]
        inverse = 1 / (down + up - diagonal)  # the diagonal of the inverse; then what is beside it
        return float(self.d @ inverse - 2 * self.e @ (below * inverse[1:]))


@dataclass(frozen=True, eq=False)
class Scalar(Criterion):
    """The criterion of one term with one coefficient a level."""

    law: Independent | Related
    """How log det(I + s Z'WZ) and S depend on s."""

    @property
    def cost(self) -> float:
        """See :attr:`Criterion.cost`."""
        return 0.0

    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`Criterion.many`."""
        log_det, S = self.law.at(T[0][:, 0, 0] ** 2)
        return log_det[0], self.law.within + S[0]

    def solve(self, T: Sequence[Array]) -> Solution | None:
        """See :meth:`Criterion.solve`."""
        return self.solution(*(part[0] for part in self.many([T[0][None]])))

    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """See :meth:`Criterion.derivatives`."""
        t = T[:, 0, 0]
        log_det, S = self.law.at(t**2)
        value, L, D, omega = self.profiled(log_det[0], self.law.within + S[0])
        W = np.linalg.inv(L)
        S1, S2 = W @ S[1:] @ W.swapaxes(1, 2)
        f1 = log_det[1] + np.einsum("nkk,nk->n", S1, D)
        f2 = log_det[2] + np.einsum("nkk,nk->n", S2, D) - (omega * S1**2).sum(axis=(1, 2))
        slope, bend = 2 * t * f1, 2 * f1 + 4 * t**2 * f2
        return value, slope[:, None, None], bend[:, None, None, None, None]

    def gradient(self, T: Sequence[Array], at: Solution) -> list[Array]:
        """See :meth:`Criterion.gradient`."""
        return [self.derivatives(T[0][None])[1][0]]
