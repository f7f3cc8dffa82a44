"""The criterion where levels are eliminated one by one, and its gradient.

One term, the largest, is eliminated level by level; the others, if any, are one dense matrix
after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curvature import scored, slopes, sweep
from .elimination import System, backward, choleskies, forward
from .inputs import Array
from .variance import Criterion, Solution, triangular_solve


@dataclass(frozen=True, eq=False)
class Eliminated(Solution):
    """A solution with all that the gradient and the effects are made of."""

    L: Array
    """Cholesky factors of I + T'A_j T, shape (q, q, J)."""
    F: Array
    """L_j^-1 T'B_j, shape (q, p + 1, J)."""
    F12: Array
    """L_j^-1 T'A12, entries (q, e)."""
    A22: Array
    """What is left of Z'WZ of the other terms, shape (m, m)."""
    B22: Array
    """What is left of Z'W[X y] of the other terms, shape (m, p + 1)."""
    L22: Array
    """Cholesky factor of I + T'A22 T, shape (m, m)."""
    F22: Array
    """L22^-1 T'B22, shape (m, p + 1)."""


@dataclass(frozen=True, eq=False)
class Levels(Criterion):
    """The criterion where one term is eliminated level by level, and others may be left."""

    system: System
    order: tuple[int | None, ...]
    """The term that is eliminated, None where there is no such term; then the others."""

    @property
    def cost(self) -> float:
        """See :attr:`Criterion.cost`."""
        return self.system.B.size + 100.0 * self.system.m

    def split(self, T: Sequence[Array]) -> tuple[Array, list[Array]]:
        """T of the term that is eliminated, and T of the others."""
        nothing = np.zeros_like(T[0][..., :1, :1]) if len(T) else np.zeros((1, 1))
        first, *others = [nothing if t is None else T[t] for t in self.order]
        return first, others

    def join(self, parts: Sequence[Array]) -> list[Array]:
        """One part for each term, in the order of the Gram."""
        found = dict(zip(self.order, parts, strict=True))
        return [found[t] for t in sorted(t for t in found if t is not None)]

    def solve(self, T: Sequence[Array]) -> Eliminated | None:
        """Solve the model at T; None where nothing is left of y within rounding."""
        A, B, system, (T1, T2) = self.system.A, self.system.B, self.system, self.split(T)
        q, p1, J = B.shape
        M = (T1.T @ (T1.T @ A).reshape(q, -1)).reshape(q, q, J)
        M[np.arange(q), np.arange(q)] += 1.0
        L = choleskies(M)
        F = forward(L, (T1.T @ B.reshape(q, -1)).reshape(q, p1, J))
        F12, A22, B22 = system.eliminate(L, F, T1)
        turned = [t.T for t in T2]
        M22 = system.right(turned, system.right(turned, A22).T)
        M22[np.diag_indices(system.m)] += 1.0
        try:
            L22: Array = np.linalg.cholesky((M22 + M22.T) / 2).astype(np.float64, copy=False)
            F22 = triangular_solve(L22, system.right(turned, B22))
            rows = np.concatenate([F.swapaxes(1, 2).reshape(-1, p1), F22])
        except np.linalg.LinAlgError:
            return None
        log_det = 2 * sum(float(np.log(L[k, k]) @ system.count) for k in range(q))
        log_det += 2 * float(np.log(np.diag(L22)).sum())
        at = self.solution(log_det, self.C - rows.T @ rows)
        if at is None:
            return None
        solved = at.value, at.tau2, at.log_det, at.L_S
        return Eliminated(*solved, L, F, F12, A22, B22, L22, F22)

    def guess(self, T: Array) -> Array | None:
        """A good T, from any T; of one term."""
        system, q = self.system, len(T)
        W, log_M, random = sweep(system.A, system.B, T[None])
        _, L, _, _ = self.profiled(log_M @ system.count, self.C - random)
        e = np.einsum("k,akj->aj", np.linalg.inv(L[0])[-1], W[0, q:, q:])
        return scored(W[0, q:, :q], e, T, system.count, self.nu)

    @property
    def analytic(self) -> bool:
        """See :attr:`Criterion.analytic`."""
        return not self.system.m

    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """See :meth:`Criterion.derivatives`."""
        system = self.system
        if len(T) > 1 and len(T) * system.B.size > 1e5:
            found = [self.derivatives(each[None]) for each in T]
            return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore
        W, log_M, random = sweep(system.A, system.B, T)
        point = self.profiled(log_M @ system.count, self.C - random)
        return (point[0], *slopes(W, T, system.count, *point[1:]))

    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`Criterion.many`."""
        system, p1, N = self.system, len(self.C), len(T[0])
        size = system.J * len(system.B) + system.m
        if system.m and size > 150:
            at = [self.solve(each) for each in zip(*T, strict=True)]
            none = np.full((p1, p1), np.nan)
            S = np.array([none if a is None else a.L_S @ a.L_S.T for a in at])
            return np.array([np.nan if a is None else a.log_det for a in at]), S
        cells = (size + p1) * size if system.m else 3 * len(system.B) * system.B.size
        parts = []
        for k in range(0, N, at_once := max(1, int(2e6 / cells))):
            T1, T2 = self.split([t[k : k + at_once] for t in T])
            if system.m:
                log_det, random = system.dense(T1, T2)
            else:
                log_M, random = sweep(system.A, system.B, T1, upper=True)[1:]
                log_det = log_M @ system.count
            parts.append((log_det, self.C - random))
        return np.concatenate([d for d, _ in parts]), np.concatenate([S for _, S in parts])

    def gradient(self, T: Sequence[Array], at: Eliminated) -> list[Array]:
        """Gradient 2 N T for every term, :eq:`eq-gradient`.

        N, the gradient with respect to Sigma / tau2, is not formed: the products below have no
        cancellation where T is large.
        """
        A, B, system, (T1, T2) = self.system.A, self.system.B, self.system, self.split(T)
        v = np.append(-at.alpha, 1.0)[:, None] / np.sqrt(at.tau2)
        if self.reml:
            v = np.hstack([v, np.vstack([at.root, np.zeros((1, at.p))])])
        # E is what is left of B and U = T'E, each times v
        U22 = triangular_solve(at.L22, at.F22 @ v, transposed=True)
        TU22 = system.right(T2, U22)
        E22 = at.B22 @ v - at.A22 @ TU22
        U = backward(at.L, v.T @ at.F - system.gather(at.F12, TU22))
        TA = np.tensordot(T1.T, A, 1)
        E = v.T @ B - np.einsum("jkm,jrm->krm", TA, U) - system.gather(system.values, TU22)
        Y = backward(at.L, forward(at.L, TA))  # (I + T'A T)^-1 T'A
        NT = (Y @ system.count).T - E.reshape(len(E), -1) @ U.reshape(len(U), -1).T
        if not system.m:
            return self.join([2 * NT])
        from scipy.linalg.lapack import dpotri

        upper = np.triu(dpotri(at.L22.T)[0])
        TV = system.right(T2, upper + np.triu(upper, 1).T)  # T (I + T'A22 T)^-1
        E12 = system.residual(T1, at.L, at.F12)
        slopes = [2 * (NT - system.filled(E12, system.right(T2, TV.T)) @ T1)]
        for a, b, q in system.slices:
            left, right = at.A22[a:b].reshape(-1, q, system.m), TV[:, a:b].reshape(system.m, -1, q)
            E2, U2 = E22[a:b].reshape(-1, q, v.shape[1]), U22[a:b].reshape(-1, q, v.shape[1])
            trace = np.einsum("jkc,cjl->kl", left, right, optimize=True)
            slopes.append(2 * (trace - np.einsum("jkr,jlr->kl", E2, U2)))
        return self.join(slopes)
