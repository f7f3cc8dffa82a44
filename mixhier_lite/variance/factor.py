"""Henderson's matrix in spherical effects, eliminated block by block, at many T at once.

With beta = T u the u are independent of variance tau2, and Henderson's matrix is
M = I + T'Z'WZ T (:eq:`eq-criterion-P`). All that a model is asked for is read from this one
object: log det and S for the criterion, slopes, BLUPs and their variances, draws.

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
from .crossing import mirror
from .elimination import (
    NormalEquations,
    backward,
    eliminate,
    forward,
    gram,
    of_every_level,
    product,
)


@dataclass(frozen=True, eq=False)
class LevelFactor:
    """I + T'A_jT = L L' of every level at N points, as if there were no other term."""

    T: Array
    """Shape (N, q, q)."""
    TA: Array
    """T'A, shape (N, q, q, J)."""
    rows: Array
    """[L', L^-1 T'B], shape (N, q, q + p + 1, J)."""

    @classmethod
    def of(cls, AB: Array, T: Array) -> "LevelFactor":
        """Factor for Z_j'W[Z_j X y], shape (q, q + p + 1, J)."""
        q = len(AB)
        turned = T.swapaxes(1, 2)
        TAB = of_every_level(turned, AB)
        TA = TAB[:, :, :q]
        rows = np.empty_like(TAB)
        np.matmul(turned[:, None], TA, out=rows[:, :, :q])  # T'(A T), and A is symmetric
        rows[:, :, q:] = TAB[:, :, q:]
        for k in range(q):
            rows[:, k, k] += 1.0
        return cls(T, TA, eliminate(rows))

    @property
    def log_det(self) -> Array:
        """Sum of log det (I + T'A_jT) over the levels, shape (N,)."""
        q = self.T.shape[1]
        return np.asarray(2 * sum(np.log(self.rows[:, k, k]).sum(axis=1) for k in range(q)))

    @property
    def half(self) -> Array:
        """L^-1 T'B, shape (N, q, p + 1, J)."""
        return self.rows[:, :, self.T.shape[1] :]

    @cached_property
    def root(self) -> Array:
        """L^-1 T', shape (N, q, q, J): root'root = P."""
        return forward(self.rows, self.T.swapaxes(1, 2)[..., None])

    @cached_property
    def P(self) -> Array:
        """P_j = T M_j^-1 T' with M_j = I + T'A_jT (:eq:`eq-criterion-P`), shape (N, q, q, J)."""
        return gram(self.root, self.root)

    @cached_property
    def U(self) -> Array:
        """M_j^-1 T'B_j = T'E_j (:eq:`eq-sweep`), shape (N, q, p + 1, J)."""
        return backward(self.rows, self.half)

    @cached_property
    def Y(self) -> Array:
        """M_j^-1 T'A_j = T'R_j (:eq:`eq-sweep`), shape (N, q, q, J)."""
        return backward(self.rows, forward(self.rows, self.TA))


@dataclass(frozen=True, eq=False)
class Factor:
    """M = L L' at N points, L lower triangular: the levels first, then the other terms.

    What the levels leave for the other terms is :eq:`eq-schur`.
    """

    equations: NormalEquations
    levels: LevelFactor
    T2: list[Array]
    """T of each other term, shape (N, q, q)."""
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
        N = len(T1)
        m = equations.m
        levels = LevelFactor.of(equations.AB, T1)
        G = levels.half
        S = equations.C - sum(G[:, k] @ G[:, k].swapaxes(1, 2) for k in range(equations.q))
        log_det = levels.log_det
        if not m:
            none = np.zeros((N, 0, 0))
            no_rows = np.zeros((N, 0, len(equations.C)))
            return cls(equations, levels, list(T2), log_det, S, none, no_rows, none, no_rows)
        B2 = np.broadcast_to(equations.B22, (N, *equations.B22.shape))
        if equations.J:
            A2 = equations.less_fill(equations.crossing.fill(levels.root))
            B2 = B2 - equations.crossing.from_levels(gram(levels.root, G))
        else:
            A2 = np.broadcast_to(equations.dense_A22, (N, m, m))
        T2_turned = [t.swapaxes(1, 2) for t in T2]
        TA = equations.times(T2_turned, A2)
        M2 = equations.times(T2_turned, TA.swapaxes(1, 2), in_place=True).swapaxes(1, 2)  # T'A2 T
        np.einsum("nkk->nk", M2)[...] += 1.0
        L2 = roots(M2, in_place=True)
        F2 = solve_triangular(L2, equations.times(T2_turned, B2))
        log_det = log_det + 2 * np.log(np.einsum("nkk->nk", L2)).sum(axis=1)
        S = S - F2.swapaxes(1, 2) @ F2
        return cls(equations, levels, list(T2), log_det, S, A2, B2, L2, F2)

    @property
    def N(self) -> int:
        """Number of points."""
        return len(self.S)

    def T_inverse2(self) -> Array:
        """T M22^-1, shape (N, m, m)."""
        inverses = [dpotri(L, lower=1)[0] if L.size else L for L in self.L2]
        for lower in inverses:
            mirror(lower)
        inverse = inverses[0][None] if self.N == 1 else np.stack(inverses)
        return self.equations.times(self.T2, inverse, in_place=True)

    def Q_from(self, T_inverse2: Array) -> Array:
        """T M22^-1 T', shape (N, m, m), which takes the place of T M22^-1."""
        turned = T_inverse2.swapaxes(1, 2)
        return self.equations.times(self.T2, turned, in_place=True)  # Q' = Q

    @cached_property
    def Q(self) -> Array:
        """T M22^-1 T', shape (N, m, m): what P is for the levels."""
        return self.Q_from(self.T_inverse2())

    def solve(self, v: Array) -> tuple[Array, Array]:
        """T M^-1 T'Z'W[X y] v (:eq:`eq-effects-P`), for v of shape (N, p + 1, r) or (p + 1, r).

        With v = (-alpha, 1) this is E[beta | alpha, y], the BLUP where alpha is alpha_hat. Returns
        beta of the levels, shape (N, q, r, J), and of the other terms, (N, m, r).
        """
        u2 = solve_triangular(self.L2, self.F2 @ v, transposed=True)
        beta2 = self.equations.times(self.T2, u2)
        half = product(self.levels.root, self.left_to_levels(v, beta2))
        return gram(self.levels.root, half), beta2

    def draw(self, v: Array, tau: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw beta given alpha and tau, (N,): mean ``solve(v)``, covariance tau2 T M^-1 T'.

        L'u = L^-1 T'Z'W[X y]v + tau z with z standard normal, from the last row upwards.
        """
        q = self.equations.q
        J = self.equations.J
        r = v.shape[-1]
        noise1 = tau[:, None, None, None] * rng.standard_normal((self.N, q, r, J))
        noise2 = tau[:, None, None] * rng.standard_normal((self.N, self.equations.m, r))
        u2 = solve_triangular(self.L2, self.F2 @ v + noise2, transposed=True)
        beta2 = self.equations.times(self.T2, u2)
        half = product(self.levels.root, self.left_to_levels(v, beta2)) + noise1
        return gram(self.levels.root, half), beta2

    def left_to_levels(self, v: Array, beta2: Array) -> Array:
        """B v - A12 beta2, shape (N, q, r, J)."""
        B = self.equations.B
        if v.ndim == 2:
            Bv = np.broadcast_to(v.T @ B, (self.N, len(B), v.shape[1], B.shape[2]))
        else:
            Bv = v.swapaxes(1, 2)[:, None] @ B
        rest: Array = Bv
        return rest - self.equations.crossing.to_levels(beta2) if self.equations.m else rest

    def diagonal(self) -> Array:
        """Var(beta_j | alpha, y) / tau2 of the levels: diagonal blocks of T M^-1 T', (N, q, q, J).

        For one term P_j (:eq:`eq-effects-P`). Those of the other terms stand in Q.
        """
        P = self.levels.P
        if not self.equations.m:
            return P
        through = self.equations.crossing.within(self.Q)  # A12 Q A12' of every level
        return P + product(P, product(through, P))


def solve_triangular(L: Array, B: Array, transposed: bool = False) -> Array:
    """L^-1 B, or L'^-1 B, at N points: L of shape (N, m, m), B of shape (N, m, r)."""
    pairs = zip(L, np.broadcast_to(B, (len(L), *B.shape[-2:])), strict=True)
    return np.stack([triangular_solve(each, b, transposed) for each, b in pairs])
