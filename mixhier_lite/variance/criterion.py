"""Chapter *variance*: the criterion of ML and REML, from two things that depend on T.

These are log det(I + T'Z'WZ T) and S = [X y]'W[X y] less the random part, T lower triangular with
T T' = Sigma / tau2 for each term. How they are found is the matter of *levels* and *scalar*.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs

from ..inputs import Array

About = tuple[Array, int, float, bool, float | None]
"""The first five fields of a criterion."""
HUGE = 1e100
"""Stands for the root of what is not positive definite."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The model solved at one T."""

    value: float
    """-2 log likelihood (ML) or the REML criterion, at the best alpha (and tau2)."""
    tau2: float
    root: Array
    """Upper triangular R with tau2 R R' = (X'V^-1 X)^-1, shape (p, p)."""
    alpha: Array
    """alpha_hat, shape (p,)."""


@dataclass(frozen=True, eq=False)
class Criterion(ABC):
    """-2 log likelihood as a function of T, with alpha and (unless known) tau2 at their best.

    ``T`` is a list, with a lower triangular matrix of shape (q, q) for each term.
    """

    C: Array
    """[X y]'W[X y], shape (p + 1, p + 1)."""
    n: int
    constant: float
    """What does not depend on T: - sum log w_i and the logarithms of the scaling."""
    reml: bool
    known_tau2: float | None
    size: tuple[int, int]
    """How many numbers an evaluation goes through level by level, and how many columns are one
    dense matrix: where these are none there are second derivatives."""

    @property
    def nu(self) -> int:
        """Rows that speak about the variances: n - p under REML, n under ML."""
        return self.n - (len(self.C) - 1 if self.reml else 0)

    @abstractmethod
    def many(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """Solve the model at many T at once: an array of shape (N, q, q) for each term.

        Returns log det(I + T'Z'WZ T) of all random effects, shape (N,), and [X y]'W[X y] less the
        random part, (N, p + 1, p + 1); not positive definite where ``solve`` has no answer. At
        most about 100 MB are in use at once.
        """

    @abstractmethod
    def derivatives(self, T: Array) -> tuple[Array, Array, Array]:
        """Value (N,), slope (N, q, q) and bend (N, q, q, q, q) at T, (N, q, q), of one term."""

    def solve(self, T: Sequence[Array]) -> Solution | None:
        """Solve the model at T; None where nothing is left of y within rounding."""
        return self.solution(*self.many([t[None] for t in T]))

    def gradient(self, T: Sequence[Array], at: Any) -> list[Array]:
        """Gradient 2 N T for every term, :eq:`eq-gradient`."""
        return [self.derivatives(T[0][None])[1][0]]

    def value(self, log_det: Array, S: Array) -> tuple[Array, Array, Array]:
        """The criterion, very large without tau2, for log det (N,) and S (N, p + 1, p + 1).

        Returns it with the best (or known) tau2 and with Cholesky factors of S.
        """
        L = self.roots(S)
        diagonal = L.diagonal(0, 1, 2)
        r2 = diagonal[:, -1] ** 2
        tau2 = r2 / self.nu if self.known_tau2 is None else np.full(len(S), self.known_tau2)
        value = log_det + self.nu * np.log(2 * np.pi * tau2) + r2 / tau2 + self.constant
        return value + 2 * self.reml * np.log(diagonal[:, :-1]).sum(axis=1), tau2, L

    def solution(self, log_det: Array, S: Array) -> Solution | None:
        """Read the solution from one log det and S; None where S is not positive definite."""
        (value,), (tau2,), (L,) = self.value(log_det, S)
        if L[0, 0] >= HUGE:
            return None
        root = triangular_solve(L[:-1, :-1], np.eye(len(L) - 1)).T
        return Solution(float(value), float(tau2), root, root @ L[-1, :-1])

    def roots(self, S: Array) -> Array:
        """Cholesky factors of S, (N, p + 1, p + 1); very large ones where S is not p.d."""
        if len(S) == 1 and S.size:
            L, failed = dpotrf(S[0].T, lower=1)
            return np.asarray(HUGE * np.eye(len(L)) if failed else L)[None]
        try:
            return np.asarray(np.linalg.cholesky(S), dtype=np.float64)
        except np.linalg.LinAlgError:
            return np.concatenate([self.roots(each[None]) for each in S])

    def profiled(self, log_det: Array, S: Array) -> tuple[Array, Array, Array, Array]:
        """The criterion, and what its derivatives are made of, from the same as ``value``.

        Returns value, L, D and omega. With dS and d2S the derivatives of S, both in the columns
        L^-1, what they add to the derivatives of log det is sum of D diag(dS) in the first and
        sum of D diag(d2S) less sum of omega dS dS in the second.
        """
        value, tau2, L = self.value(log_det, S)
        D = np.full(S.shape[:2], float(self.reml))
        D[:, -1] = L[:, -1, -1] ** 2 / tau2
        omega = np.full(S.shape, float(self.reml))
        omega[:, -1] = omega[:, :, -1] = D[:, -1:]
        omega[:, -1, -1] = self.nu if self.known_tau2 is None else 0.0
        return value, L, D, omega


def triangular_solve(L: Array, B: Array, transposed: bool = False) -> Array:
    """Solve L X = B or L'X = B; both may be empty."""
    if not L.size:
        return B
    X: Array = dtrtrs(L, B, lower=1, trans=int(transposed))[0]
    return X
