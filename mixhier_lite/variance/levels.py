"""The criterion where levels are eliminated one by one, and its gradient.

One term, the largest, is eliminated level by level; the others, if any, are one dense matrix
after that. A small model with several terms is one dense matrix as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dpotri

from ..inputs import Array
from .criterion import Criterion, Solution, triangular_solve
from .derivatives import expected, slopes
from .elimination import System, sweep


@dataclass(frozen=True, eq=False)
class Eliminated(Solution):
    """A solution with all that the gradient and the effects are made of."""

    U: Array
    """M^-1 T' with M = I + T'A_j T, shape (q, q, J)."""
    H: Array
    """T M^-1 T', shape (q, q, J)."""
    E: Array
    """I - A_j T M^-1 T', shape (q, q, J)."""
    A22: Array
    """What is left of Z'WZ of the other terms, shape (m, m)."""
    B22: Array
    """What is left of Z'W[X y] of the other terms, shape (m, p + 1)."""
    L22: Array
    """Cholesky factor of I + T'A22 T, shape (m, m)."""
    F22: Array
    """L22^-1 T'B22, shape (m, p + 1)."""

    @cached_property
    def V22(self) -> Array:
        """Inverse of I + T'A22 T, shape (m, m)."""
        lower = dpotri(self.L22, lower=1)[0] if self.L22.size else self.L22
        inverse: Array = lower + lower.T
        np.einsum("kk->k", inverse)[...] /= 2
        return inverse


@dataclass(frozen=True, eq=False)
class Levels(Criterion):
    """The criterion where one term is eliminated level by level, and others may be left."""

    system: System
    order: tuple[int | None, ...]
    """The term that is eliminated, None where there is no such term; then the others."""

    def split(self, T: Sequence[Array]) -> tuple[Array, list[Array]]:
        """T of the term that is eliminated, and T of the others."""
        parts = [0 * T[0][..., :1, :1] if t is None else T[t] for t in self.order]
        return parts[0], parts[1:]

    def join(self, parts: Sequence[Array]) -> list[Array]:
        """One part for each term, in the order of the Gram."""
        found = dict(zip(self.order, parts, strict=True))
        return [found[t] for t in sorted(t for t in found if t is not None)]

    def _eliminate(self, T: Sequence[Array]) -> tuple[Array, ...]:
        """Return log det and S at many T; then the rest of a solution at the first."""
        system, (T1, T2), q = self.system, self.split(T), len(self.system.A)
        one = np.broadcast_to(np.eye(q)[:, :, None], system.A.shape)
        W, log_det, S = sweep(system.A, np.concatenate([one, system.B], axis=1), self.C, T1)
        U, E = W[0, :q, :q], W[0, q:, :q]
        H = np.tensordot(T1[0], U, 1)
        A22, B22 = system.reduced(H) if system.m and system.J else (system.A22, system.B22)
        turned = [t.swapaxes(1, 2) for t in T2]
        M22, F22 = (np.repeat(part[None], len(log_det), axis=0) for part in (A22, B22))
        system.right(turned, system.right(turned, M22).swapaxes(1, 2))
        np.einsum("nkk->nk", M22)[...] += 1.0
        L22 = self.roots(M22)
        pairs = zip(L22, system.right(turned, F22), strict=True)
        F22 = np.stack([triangular_solve(L, B) for L, B in pairs])
        log_det += 2 * np.log(np.einsum("nkk->nk", L22)).sum(axis=1)
        return log_det, S - F22.swapaxes(1, 2) @ F22, U, H, E, A22, B22, L22, F22

    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`Criterion.many`."""
        A, B, m = self.system.A, self.system.B, self.system.m
        size = 1 if m and B.size else max(1, 2 * 10**5 // (2 * len(B) * B.size + 3 * m**2))
        some = ([t[k : k + size] for t in T] for k in range(0, len(T[0]), size))
        each = (self._eliminate(t)[:2] if m else sweep(A, B, self.C, t[0], False)[1:] for t in some)
        log_det, S = map(np.concatenate, zip(*each, strict=True))
        return log_det, S

    def solve(self, T: Sequence[Array]) -> Eliminated | None:
        """Solve the model at T; None where nothing is left of y within rounding."""
        log_det, S, *rest, L22, F22 = self._eliminate([t[None] for t in T])
        at = self.solution(log_det, S)
        return None if at is None else Eliminated(*[*vars(at).values(), *rest, L22[0], F22[0]])

    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """See :meth:`Criterion.derivatives`."""
        W, *point = sweep(self.system.A, self.system.B, self.C, T)
        value, *about = self.profiled(*point)
        return value, *slopes(W, T, *about)

    def expected(self, T: Array) -> tuple[Array, Array]:
        """Slope (q, q) in T T' at T, (1, q, q), of one term; what it is expected to change."""
        W, *point = sweep(self.system.A, self.system.B, self.C, T)
        return expected(W, *self.profiled(*point)[1:])

    def gradient(self, T: Sequence[Array], at: Eliminated) -> list[Array]:
        """Gradient 2 N T for every term, :eq:`eq-gradient`.

        N, the gradient with respect to Sigma / tau2, is not formed: the products below have no
        cancellation where T is large.
        """
        system, (T1, T2) = self.system, self.split(T)
        if not system.m:
            return super().gradient(T, at)
        v = np.append(-at.alpha, 1.0)[:, None] / np.sqrt(at.tau2)
        v = np.hstack([v, np.pad(at.root, ((0, 1), (0, 0)))]) if self.reml else v
        # E is what is left of B and U = T'E, each times v
        U22 = triangular_solve(at.L22, at.F22 @ v, transposed=True)
        TU22 = system.right(T2, U22.copy())
        E22 = at.B22 @ v - at.A22 @ TU22
        rest = system.less(v.T @ system.B, TU22)
        U, E = (np.einsum("klj,lrj->krj", matrix, rest) for matrix in (at.U, at.E))
        NT = np.einsum("klj,lij->ik", at.U, system.A) - np.einsum("krj,lrj->kl", E, U)
        TV = system.right(T2, at.V22.copy())  # T (I + T'A22 T)^-1
        others = []
        for a, b, q in system.slices:
            A, V = (M[:, a:b].reshape(system.m, -1, q) for M in (at.A22, TV))
            E, U = (M[a:b].reshape(-1, q, M.shape[1]) for M in (E22, U22))
            others.append(np.einsum("cjk,cjl->kl", A, V) - np.einsum("jkr,jlr->kl", E, U))
        W = system.inner(system.right(T2, TV.T).T)
        filled = np.einsum("kaj,abj,lbj->kl", at.E, W, at.E, optimize=True)
        return self.join([2 * N for N in (NT - filled @ T1, *others)])
