"""Chapter *variance*: the criterion of ML and REML, from two things that depend on T.

These are log det(I + T'Z'WZ T) and S = [X y]'W[X y] less the random part, with T T' = Sigma / tau2
for each term (:eq:`eq-omega`). How they are found is the matter of *scalar* and *levels*.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf

from ..inputs import Array
from .curvature import Curvature, Derivatives

HUGE = 1e100
"""Stands for the root of what is not positive definite."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The fixed effects and tau2 at one T."""

    value: float
    """-2 log likelihood (ML) or the REML criterion, at the best alpha (and tau2)."""
    tau2: float
    root: Array
    """Upper triangular R with tau2 R R' = (X'V^-1 X)^-1, shape (p, p)."""
    alpha: Array
    """alpha_hat, shape (p,)."""


@dataclass(frozen=True, eq=False)
class Profiled:
    """The criterion at N points, and how it depends on S there (:eq:`eq-criterion`).

    In the columns of L^-1 (S = L L', :eq:`eq-orthonormal`) the derivatives of S, dS, add
    sum_k d_k dS_kk to the slope. To the second derivatives they add the same of d2S, less
    sum_kl omega_kl dS_kl dS_kl.
    """

    value: Array
    """Shape (N,)."""
    tau2: Array
    """The best tau2, or the known one, shape (N,)."""
    L: Array
    """Cholesky factors of S, shape (N, p + 1, p + 1)."""
    likelihood: "Likelihood"

    @property
    def nu(self) -> float:
        """Rows that speak about tau2; infinite where it is known."""
        return self.likelihood.nu if self.likelihood.known_tau2 is None else np.inf

    @property
    def columns(self) -> Array:
        """Columns c at the first point: the slope of the criterion is that of log det + tr c'S c.

        They are those in which S is the unit matrix, each times the root of its d.
        """
        return np.asarray(np.linalg.inv(self.L[0]).T * np.sqrt(self.d[0]))

    @property
    def _share(self) -> Array:
        """r2 / tau2, shape (N,): nu where tau2 is estimated."""
        return np.asarray(self.L[:, -1, -1] ** 2 / self.tau2)

    @cached_property
    def d(self) -> Array:
        """Shape (N, p + 1): one for each column of X by REML, and r2 / tau2."""
        out = np.full(self.L.shape[:2], float(self.likelihood.reml))
        out[:, -1] = self._share
        return out

    @cached_property
    def omega(self) -> Array:
        """Shape (N, p + 1, p + 1): one for two columns of X by REML, and r2 / tau2 beside y."""
        out = np.full(self.L.shape, float(self.likelihood.reml))
        out[:, -1, :] = self._share[:, None]
        out[:, :, -1] = self._share[:, None]
        out[:, -1, -1] = self.likelihood.nu if self.likelihood.known_tau2 is None else 0.0
        return out


@dataclass(frozen=True)
class Likelihood:
    """What turns log det and S into -2 log likelihood, with alpha and tau2 at their best.

    Without them, :eq:`eq-criterion-dense`.
    """

    n: int
    """Number of rows."""
    p: int
    """Number of fixed effects."""
    constant: float
    """What does not depend on T: - sum log w_i and the scaling of X (:eq:`eq-basis-X`)."""
    reml: bool
    known_tau2: float | None

    @property
    def nu(self) -> int:
        """Rows that speak about the variances: n - p under REML, n under ML."""
        return self.n - self.p * self.reml

    def profiled(self, log_det: Array, S: Array) -> Profiled:
        """The criterion for log det, (N,), and S, (N, p + 1, p + 1); very large without tau2."""
        L = roots(S)
        diagonal = np.einsum("nkk->nk", L)
        r2 = diagonal[:, -1] ** 2
        tau2 = r2 / self.nu if self.known_tau2 is None else np.full(len(S), self.known_tau2)
        return Profiled(self.at_tau2(log_det, diagonal, r2, tau2), tau2, L, self)

    def at_tau2(self, log_det: Array, diagonal: Array, r2: Array, tau2: Array) -> Array:
        """The criterion at a tau2, shape (N,); ``diagonal`` as ``without_tau2`` has it."""
        without = self.without_tau2(log_det, diagonal)
        return np.asarray(without + self.nu * np.log(tau2) + r2 / tau2)

    def without_tau2(self, log_det: Array, diagonal: Array) -> Array:
        """The criterion at a tau2, less nu log tau2 + r2 / tau2, shape (N,).

        ``diagonal``, (N, p + 1), is that of the roots of S, whose last entry is the root of r2.
        """
        value: Array = log_det + self.nu * np.log(2 * np.pi) + self.constant
        if self.reml:  # log det S_xx
            value = value + 2 * np.log(diagonal[:, :-1]).sum(axis=1)
        return value

    def solution(self, log_det: Array, S: Array) -> Solution | None:
        """Read the solution at the first point; None where S is not positive definite."""
        at = self.profiled(log_det[:1], S[:1])
        L = at.L[0]
        if L[0, 0] >= HUGE:
            return None
        root = triangular_solve(L[:-1, :-1], np.eye(self.p)).T
        return Solution(float(at.value[0]), float(at.tau2[0]), root, root @ L[-1, :-1])


@dataclass(frozen=True, eq=False)
class Criterion(ABC):
    """-2 log likelihood as a function of T, with alpha (and tau2, unless known) at their best.

    ``T`` is a list, with a matrix of shape (q, q) for each term, or (N, q, q) for N points.
    """

    likelihood: Likelihood

    @property
    @abstractmethod
    def cost(self) -> int:
        """How many numbers an evaluation goes through."""

    @property
    def dense(self) -> int:
        """How many columns are one dense matrix that is factored anew at every T."""
        return 0

    @property
    def exact(self) -> bool:
        """Whether ``derivatives`` knows second derivatives."""
        return True

    @abstractmethod
    def values(self, T: Sequence[Array]) -> Array:
        """The criterion at many T, shape (N,)."""

    @abstractmethod
    def derivatives(self, T: Sequence[Array]) -> Derivatives:
        """Value, gradient and second derivatives in the entries of T, at many T."""

    def roughly(self, T: Sequence[Array]) -> Derivatives:
        """The same at one T; second derivatives that are not ``exact`` are about right."""
        return self.derivatives([t[None] for t in T])

    @abstractmethod
    def gradient(self, T: Sequence[Array]) -> tuple[float, list[Array]] | None:
        """Value and gradient 2 N T of every term, (q, q), :eq:`eq-slope-T`; None where lost."""

    @abstractmethod
    def curvature(self, T: Sequence[Array]) -> Curvature | None:
        """Derivatives in T T' at one T; None where they are not ``exact``."""

    def fits_perfectly(self, T: Sequence[Array]) -> bool:
        """Whether nothing is left of y at T, within rounding, where tau2 is estimated."""
        return False

    def without_term(self, T: Sequence[Array], t: int) -> tuple[Array, Array] | None:
        """Z'QZ and Z'Qy of the levels of term t at T, but for its own T, which is zero there.

        Shapes (J, q, J, q) and (J, q); y in some unit. None where the criterion does not know them.
        """
        return None


@dataclass(frozen=True, eq=False)
class Place:
    """log det and S at one T, and how they change with T."""

    log_det: Array
    """Shape (1,)."""
    S: Array
    """Shape (1, p + 1, p + 1)."""
    slope: Callable[[Array], list[Array]]
    """For columns c of [X y], (p + 1, r), the slope of log det + tr c'S c in the entries of T of
    every term, (q, q)."""


@dataclass(frozen=True, eq=False)
class WithNoise(Criterion):
    """The criterion where T T' = Sigma / tau2."""

    @abstractmethod
    def evaluate(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """Solve the model at many T at once.

        Returns log det(I + T'Z'WZ T) of all random effects, shape (N,), and [X y]'W[X y] less the
        random part, (N, p + 1, p + 1); not positive definite where ``solve`` has no answer. At
        most about 100 MB are in use at once.
        """

    @abstractmethod
    def at(self, T: Sequence[Array]) -> Place:
        """Solve the model at one T, ready to say how the solution changes with T."""

    @abstractmethod
    def slope_of_S(self, T: Sequence[Array]) -> list[Array]:
        """Derivatives of S in the entries of T of each term, shape (q, q, p + 1, p + 1)."""

    def values(self, T: Sequence[Array]) -> Array:
        """See :meth:`Criterion.values`."""
        return self.likelihood.profiled(*self.evaluate(T)).value

    def gradient(self, T: Sequence[Array]) -> tuple[float, list[Array]] | None:
        """See :meth:`Criterion.gradient`."""
        place = self.at(T)
        at = self.likelihood.profiled(place.log_det, place.S)
        if at.L[0, 0, 0] >= HUGE:
            return None
        return float(at.value[0]), place.slope(at.columns)

    def solve(self, T: Sequence[Array]) -> Solution | None:
        """Solve the model at T; None where nothing is left of y within rounding."""
        return self.likelihood.solution(*self.evaluate([t[None] for t in T]))

    def fits_perfectly(self, T: Sequence[Array]) -> bool:
        """See :meth:`Criterion.fits_perfectly`."""
        here, without = (self.solve([t * share for t in T]) for share in (1.0, 0.0))
        if here is None or without is None:
            return True
        return self.likelihood.known_tau2 is None and here.tau2 <= 1e-12 * without.tau2


def roots(S: Array, in_place: bool = False) -> Array:
    """Cholesky factors of matrices, (N, k, k); very large ones where they are not p.d."""
    if len(S) == 1 and S.size:
        L, failed = dpotrf(S[0].T, lower=1, overwrite_a=in_place)
        return np.asarray(HUGE * np.eye(len(L)) if failed else L)[None]
    try:
        return np.asarray(np.linalg.cholesky(S), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.concatenate([roots(each[None]) for each in S])


def triangular_solve(L: Array, B: Array, transposed: bool = False) -> Array:
    """Solve L X = B or L'X = B; both may be empty.

    By BLAS: LAPACK's dtrtrs wakes all threads for a matrix of two rows, which takes milliseconds.
    """
    if not L.size:
        return B
    X: Array = dtrsm(1.0, L, B, lower=1, trans_a=int(transposed))
    return X
