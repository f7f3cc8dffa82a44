"""Chapter *variance*: the criterion of ML and REML, its gradient, and the boundary's certificate.

Everything is written in T, lower triangular, with T T' = Sigma / tau2 for each term. One term,
the largest, is eliminated level by level; the rest, if any, is a dense matrix after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from .elimination import Levels, Rest, backward, choleskies, forward, rows_of
from .inputs import Array


@dataclass(frozen=True, eq=False)
class Solution:
    """The model solved at one T: what the criterion, the gradient and the effects are made of."""

    value: float
    """-2 log likelihood (ML) or the REML criterion, at the best alpha (and tau2)."""
    tau2: float
    L_S: Array
    """Cholesky factor of S, which is [X y]'W[X y] less the random part, (p + 1, p + 1)."""
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

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.L_S) - 1

    @property
    def root(self) -> Array:
        """Upper triangular R with tau2 R R' = (X'V^-1 X)^-1, shape (p, p)."""
        p = self.p
        return triangular_solve(self.L_S[:p, :p], np.eye(p)).T

    @property
    def alpha(self) -> Array:
        """alpha_hat, shape (p,)."""
        alpha: Array = self.root @ self.L_S[self.p, : self.p]
        return alpha


@dataclass(frozen=True, eq=False)
class Criterion:
    """-2 log likelihood as a function of T, with alpha and (unless known) tau2 at their best.

    ``T`` is a list, with a lower triangular matrix of shape (q, q) for each term.
    """

    levels: Levels
    rest: Rest
    order: tuple[int | None, ...]
    """The term that is eliminated, None where there is no such term; then the others."""
    C: Array
    """[X y]'W[X y], shape (p + 1, p + 1)."""
    n: int
    constant: float
    """What does not depend on T: - sum log w_i and the logarithms of the scaling."""
    reml: bool
    known_tau2: float | None

    @property
    def nu(self) -> int:
        """Rows that speak about the variances: n - p under REML, n under ML."""
        return self.n - (len(self.C) - 1 if self.reml else 0)

    def split(self, T: Sequence[Array]) -> tuple[Array, list[Array]]:
        """T of the term that is eliminated, and T of the others."""
        first, others = self.order[0], self.order[1:]
        return np.zeros((1, 1)) if first is None else T[first], [T[t] for t in others if t is not None]

    def join(self, parts: Sequence[Array]) -> list[Array]:
        """One part for each term, in the order of the Gram."""
        found = dict(zip(self.order, parts, strict=True))
        return [found[t] for t in sorted(t for t in found if t is not None)]

    def solve(self, T: Sequence[Array]) -> Solution | None:
        """Solve the model at T; None where nothing is left of y within rounding."""
        A, B, rest, (T1, T2) = self.levels.A, self.levels.B, self.rest, self.split(T)
        q, p1, J = B.shape
        M = (T1.T @ (T1.T @ A).reshape(q, -1)).reshape(q, q, J)
        M[np.arange(q), np.arange(q)] += 1.0
        L = choleskies(M)
        F = forward(L, (T1.T @ B.reshape(q, -1)).reshape(q, p1, J))
        F12, A22, B22 = rest.eliminate(L, F, T1)
        turned = [t.T for t in T2]
        M22 = rest.right(turned, rest.right(turned, A22).T)
        M22[np.diag_indices(rest.m)] += 1.0
        try:
            L22: Array = np.linalg.cholesky((M22 + M22.T) / 2).astype(np.float64, copy=False)
            F22 = triangular_solve(L22, rest.right(turned, B22))
            rows = np.concatenate([rows_of(F), F22])
            L_S: Array = np.linalg.cholesky(self.C - rows.T @ rows).astype(float, copy=False)
        except np.linalg.LinAlgError:
            return None
        log_det = 2 * sum(float(np.log(L[k, k]) @ self.levels.count) for k in range(q))
        log_det += 2 * float(np.log(np.diag(L22)).sum())
        if self.reml:
            log_det += 2 * float(np.log(np.diag(L_S)[:-1]).sum())
        r2 = float(L_S[-1, -1] ** 2)
        tau2 = r2 / self.nu if self.known_tau2 is None else self.known_tau2
        value = log_det + self.nu * np.log(2 * np.pi * tau2) + r2 / tau2 + self.constant
        return Solution(float(value), tau2, L_S, L, F, F12, A22, B22, L22, F22)

    def scan(self, T: Array) -> Array:
        """The criterion at many T at once, shape (g, q, q), for one term without others.

        Determinants instead of factors: good for a first look, where a few digits do.
        """
        A, B = self.levels.A, self.levels.B
        q, p1, J = B.shape
        AT = np.einsum("klj,gli->kigj", A, T)
        M = np.einsum("gki,kmgj->imgj", T, AT)
        M[np.arange(q), np.arange(q)] += 1.0
        L = choleskies(M)
        F = forward(L, np.einsum("gki,kaj->iagj", T, B))
        F = F.transpose(2, 1, 0, 3).reshape(len(T), p1, q * J)
        S = self.C - F @ F.swapaxes(1, 2)
        log_det = 2 * sum(np.log(L[k, k]) @ self.levels.count for k in range(q))
        log_x = np.linalg.slogdet(S[:, :-1, :-1])[1]
        sign, log_s = np.linalg.slogdet(S)
        log_r2 = np.where(sign > 0, log_s - log_x, np.inf)
        values = log_det + (log_x if self.reml else 0.0) + self.constant
        if self.known_tau2 is None:
            return np.asarray(values + self.nu * (log_r2 + np.log(2 * np.pi / self.nu) + 1))
        noise = self.nu * np.log(2 * np.pi * self.known_tau2)
        return np.asarray(values + noise + np.exp(log_r2) / self.known_tau2)

    def gradient(self, T: Sequence[Array], at: Solution) -> list[Array]:
        """Gradient 2 N T for every term, :eq:`eq-gradient`.

        N, the gradient with respect to Sigma / tau2, is not formed: the products below have no
        cancellation where T is large.
        """
        A, B, rest, (T1, T2) = self.levels.A, self.levels.B, self.rest, self.split(T)
        v = np.append(-at.alpha, 1.0)[:, None] / np.sqrt(at.tau2)
        if self.reml:
            v = np.hstack([v, np.vstack([at.root, np.zeros((1, at.p))])])
        # E is what is left of B and U = T'E, each times v
        U22 = triangular_solve(at.L22, at.F22 @ v, transposed=True)
        TU22 = rest.right(T2, U22)
        E22 = at.B22 @ v - at.A22 @ TU22
        U = backward(at.L, v.T @ at.F - rest.gather(at.F12, TU22))
        TA = np.tensordot(T1.T, A, 1)
        E = v.T @ B - np.einsum("jkm,jrm->krm", TA, U) - rest.gather(rest.values, TU22)
        Y = backward(at.L, forward(at.L, TA))  # (I + T'A T)^-1 T'A
        NT = (Y @ self.levels.count).T - E.reshape(len(E), -1) @ U.reshape(len(U), -1).T
        if not rest.m:
            return self.join([2 * NT])
        V = triangular_solve(at.L22, np.eye(rest.m))
        TV = rest.right(T2, V.T @ V)  # T (I + T'A22 T)^-1
        E12 = rest.residual(A, T1, at.L, at.F12)
        slopes = [2 * (NT - rest.fill(E12, rest.right(T2, TV.T)) @ T1)]
        for a, b, q in rest.slices:
            left, right = at.A22[a:b].reshape(-1, q, rest.m), TV[:, a:b].reshape(rest.m, -1, q)
            E2, U2 = E22[a:b].reshape(-1, q, v.shape[1]), U22[a:b].reshape(-1, q, v.shape[1])
            trace = np.einsum("jkc,cjl->kl", left, right, optimize=True)
            slopes.append(2 * (trace - np.einsum("jkr,jlr->kl", E2, U2)))
        return self.join(slopes)


def triangular_solve(L: Array, B: Array, transposed: bool = False) -> Array:
    """Solve L X = B or L'X = B; both may be empty."""
    if not L.size:
        return B
    X: Array = solve_triangular(
        L, B, lower=True, trans="T" if transposed else "N", check_finite=False
    )
    return X
