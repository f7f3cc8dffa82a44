"""Henderson's matrix in spherical effects, eliminated block by block, at many T at once.

With beta = T u the u are independent of variance tau2, and Henderson's matrix is
M = I + T'Z'WZ T. All that a model is asked for is read from this one object: log det and S for
the criterion, slopes, BLUPs and their variances, draws.

The levels of the largest term are eliminated one by one; the other terms are dense after that.
Names ending in 1 belong to the levels and have shape (N, q, r, J); names ending in 2 belong to
the m columns of the other terms and have shape (N, m, r).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dpotri

from ..inputs import Array
from .criterion import roots, triangular_solve
from .elimination import NormalEquations, backward, eliminate, forward, gram, product


@dataclass(frozen=True, eq=False)
class Factor:
    """M = L L' at N points, L lower triangular: the levels first, then the other terms."""

    equations: NormalEquations
    T1: Array
    """T of the term that is eliminated, shape (N, q, q)."""
    T2: list[Array]
    """T of each other term, shape (N, q, q)."""
    TA1: Array
    """T'A_j of every level."""
    rows1: Array
    """[L', L^-1 T'B] of every level, with L_j L_j' = I + T'A_jT."""
    log_det: Array
    """log det M, shape (N,)."""
    S: Array
    """[X y]'W[X y] less the random part, C - B'T M^-1 T'B, shape (N, p + 1, p + 1)."""
    A2: Array
    """What is left of Z'WZ of the other terms, A22 - A12'P A12, shape (N, m, m)."""
    B2: Array
    """What is left of their Z'W[X y], B22 - A12'P B, shape (N, m, p + 1)."""
    L2: Array
    """Root of M22 = I + T'A2 T, shape (N, m, m)."""
    F2: Array
    """L2^-1 T'B2, shape (N, m, p + 1)."""

    @classmethod
    def of(cls, equations: NormalEquations, T1: Array, T2: Sequence[Array]) -> "Factor":
        """Factor M at N points: T1 of the levels, (N, q, q), and T2 of each other term."""
        N, q, m = len(T1), equations.q, equations.m
        turned = T1.swapaxes(1, 2)
        TAB = np.tensordot(turned, np.concatenate([equations.A, equations.B], axis=1), 1)
        TA1 = TAB[:, :, :q]
        rows1 = np.empty_like(TAB)
        np.matmul(turned[:, None], TA1, out=rows1[:, :, :q])  # T'(A T), and A is symmetric
        diagonal1 = np.einsum("nkkj->nkj", rows1[:, :, :q])
        diagonal1[...] += 1.0
        rows1[:, :, q:] = TAB[:, :, q:]
        eliminate(rows1)
        G1 = rows1[:, :, q:]  # L^-1 T'B
        log_det = 2 * np.log(diagonal1).sum(axis=(1, 2))
        S = equations.C - sum(G1[:, k] @ G1[:, k].swapaxes(1, 2) for k in range(q))
        if not m:
            none = np.zeros((N, 0, 0)), np.zeros((N, 0, len(equations.C)))
            return cls(equations, T1, list(T2), TA1, rows1, log_det, S, *none, *none)
        A2, B2 = equations.A22[None], equations.B22[None]
        if equations.J:
            root1 = forward(rows1, turned[..., None])
            A2 = A2 - equations.fill(gram(root1, root1))
            B2 = B2 - equations.from_levels(gram(root1, G1))
        T2_turned = [t.swapaxes(1, 2) for t in T2]
        TA2 = equations.times(T2_turned, np.broadcast_to(A2, (N, m, m)))
        M2 = equations.times(T2_turned, TA2.swapaxes(1, 2))
        np.einsum("nkk->nk", M2)[...] += 1.0
        L2 = roots(M2)
        TB2 = equations.times(T2_turned, np.broadcast_to(B2, (N, *equations.B22.shape)))
        F2 = np.stack([triangular_solve(L, TB) for L, TB in zip(L2, TB2, strict=True)])
        log_det = log_det + 2 * np.log(np.einsum("nkk->nk", L2)).sum(axis=1)
        S = S - F2.swapaxes(1, 2) @ F2
        return cls(equations, T1, list(T2), TA1, rows1, log_det, S, A2, B2, L2, F2)

    @property
    def N(self) -> int:
        """Number of points."""
        return len(self.T1)

    @cached_property
    def root1(self) -> Array:
        """L^-1 T' of every level, shape (N, q, q, J): root1'root1 = P."""
        return forward(self.rows1, self.T1.swapaxes(1, 2)[..., None])

    @cached_property
    def P(self) -> Array:
        """P_j = T (I + T'A_jT)^-1 T' of every level, shape (N, q, q, J)."""
        return gram(self.root1, self.root1)

    @cached_property
    def inverse2(self) -> Array:
        """M22^-1, shape (N, m, m)."""
        out = np.empty_like(self.L2)
        for inverse, L in zip(out, self.L2, strict=True):
            lower = dpotri(L, lower=1)[0] if L.size else L
            inverse[...] = lower + lower.T
            np.einsum("kk->k", inverse)[...] /= 2
        return out

    @cached_property
    def Q(self) -> Array:
        """T M22^-1 T', shape (N, m, m): what P is for the levels."""
        half = self.equations.times(self.T2, self.inverse2)
        return self.equations.times(self.T2, half.swapaxes(1, 2))

    def solve(self, v: Array) -> tuple[Array, Array]:
        """T M^-1 T'Z'W[X y] v, for v of shape (N, p + 1, r) or (p + 1, r).

        With v = (-alpha, 1) this is E[beta | alpha, y], the BLUP where alpha is alpha_hat. Returns
        beta of the levels, shape (N, q, r, J), and of the other terms, (N, m, r).
        """
        beta2 = self.equations.times(self.T2, self.backward2(self.F2 @ v))
        return gram(self.root1, product(self.root1, self.left_to_levels(v, beta2))), beta2

    def draw(self, v: Array, tau: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw beta given alpha and tau, (N,): mean ``solve(v)``, covariance tau2 T M^-1 T'.

        M u = T'Z'W[X y]v + tau L z with z standard normal, from the last row of L' upwards.
        """
        q, J, r = self.equations.q, self.equations.J, v.shape[-1]
        noise1 = tau[:, None, None, None] * rng.standard_normal((self.N, q, r, J))
        noise2 = tau[:, None, None] * rng.standard_normal((self.N, self.equations.m, r))
        beta2 = self.equations.times(self.T2, self.backward2(self.F2 @ v + noise2))
        half1 = product(self.root1, self.left_to_levels(v, beta2)) + noise1
        return gram(self.root1, half1), beta2

    def backward2(self, f: Array) -> Array:
        """L2^-T f, shape (N, m, r)."""
        pairs = zip(self.L2, f, strict=True)
        return np.stack([triangular_solve(L, each, transposed=True) for L, each in pairs])

    def left_to_levels(self, v: Array, beta2: Array) -> Array:
        """B v - A12 beta2, shape (N, q, r, J)."""
        B = self.equations.B
        Bv = np.einsum("qcj,...cr->...qrj", B, v, optimize=True)
        rest: Array = np.broadcast_to(Bv, (self.N, *Bv.shape[-3:]))
        return rest - self.equations.to_levels(beta2) if self.equations.m else rest

    def diagonal(self) -> Array:
        """Var(beta_j | alpha, y) / tau2 of the levels: diagonal blocks of T M^-1 T', (N, q, q, J).

        Those of the other terms stand in Q.
        """
        if not self.equations.m:
            return self.P
        through = self.equations.within(self.Q)  # A12 Q A12' of every level
        return self.P + product(self.P, product(through, self.P))

    @cached_property
    def U1(self) -> Array:
        """M^-1 T'B of every level where there is no other term, shape (N, q, p + 1, J)."""
        return backward(self.rows1, self.rows1[:, :, self.equations.q :])

    @cached_property
    def Y1(self) -> Array:
        """M^-1 T'A of every level, shape (N, q, q, J)."""
        return backward(self.rows1, forward(self.rows1, self.TA1))
