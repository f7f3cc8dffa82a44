"""The criterion where one number says it all: one term with one coefficient per level.

With x = T^2 (t in the book) and orthogonal rows of Z'WZ (levels, or eigenvectors where levels are
related) log det is sum_j log(1 + x a_j). S is what is left within the levels plus a part between
them that shrinks as x grows.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dormqr, dpttrf, dpttrs, dsytrd

from ..inputs import Array
from ..linalg import WRITTEN, square_root
from .criterion import Likelihood, Place, Profiled, WithNoise
from .curvature import Curvature, Derivatives

CELLS = 10**5
"""Numbers held at once."""


class Between(ABC):
    """The part of S between the levels, a sum of squares: nothing cancels where x is large."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """For x of shape (N,), shape (N, p + 1, p + 1)."""

    @abstractmethod
    def slopes(self, x: Array) -> tuple[Array, Array]:
        """Its two derivatives in x."""


@dataclass(frozen=True, eq=False)
class Scalar(WithNoise):
    """The criterion as a function of x = T^2 (:eq:`eq-scalar-criterion`)."""

    C: Array
    """[X y]'W[X y], shape (p + 1, p + 1)."""
    a: Array
    """The different Z_j'WZ_j, or the eigenvalues of Z K Z'W, shape (A,)."""
    count: Array
    """How many levels have each of them, shape (A,)."""
    between: Between

    @property
    def cost(self) -> int:
        """The different levels."""
        return self.a.size

    @cached_property
    def within(self) -> Array:
        """S where x is infinite, shape (p + 1, p + 1)."""
        within: Array = self.C - self.between.value(np.zeros(1))[0]
        gone = np.diag(within) <= 1e-13 * np.diag(self.C)  # columns constant within levels
        within[gone] = within[:, gone] = 0.0
        return within

    def evaluate(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`WithNoise.evaluate`."""
        x = T[0][:, 0, 0] ** 2
        some = np.array_split(x, 1 + x.size * self.a.size // CELLS)
        log_det = np.concatenate([np.log1p(np.outer(part, self.a)) @ self.count for part in some])
        S = self.within + np.concatenate([self.between.value(part) for part in some])
        return log_det, S

    def derivatives(self, T: Sequence[Array]) -> Derivatives:
        """See :meth:`Criterion.derivatives`: with f(x) they are 2 T f' and 2 f' + 4 x f''.

        :eq:`eq-scalar-slope` and :eq:`eq-scalar-hessian`.
        """
        root = T[0][:, 0, 0]
        at = self._in_x(root**2)
        slope = at.slope
        gradient = 2 * root * slope
        hessian = 2 * slope + 4 * root**2 * at.curvature
        return Derivatives(
            at.value, [gradient[:, None, None]], {(0, 0): hessian[:, None, None, None, None]}
        )

    def _in_x(self, x: Array) -> "InX":
        """The criterion and its derivatives at many x."""
        scaled = np.outer(x, self.a)
        S = self.within + self.between.value(x)
        at = self.likelihood.profiled(np.log1p(scaled) @ self.count, S)
        inverse = np.linalg.inv(at.L)
        dS, d2S = (inverse @ change @ inverse.swapaxes(1, 2) for change in self.between.slopes(x))
        R = self.a / (1 + scaled)  # Z'Omega^-1 Z of a level
        return InX(at, R @ self.count, R**2 @ self.count, dS, d2S)

    def at(self, T: Sequence[Array]) -> Place:
        """See :meth:`WithNoise.at`."""
        log_det, S = self.evaluate([t[None] for t in T])
        return Place(log_det, S, lambda columns: [self._slope(T[0], columns)])

    def _slope(self, T: Array, columns: Array) -> Array:
        """2 T f' for f = log det + tr c'S c, shape (1, 1) as T."""
        x = T[0] ** 2
        dS = columns.T @ self.between.slopes(x)[0][0] @ columns
        trace_R = (self.a / (1 + x * self.a)) @ self.count
        return np.asarray(2 * T * (trace_R + np.trace(dS)))

    def slope_of_S(self, T: Sequence[Array]) -> list[Array]:
        """See :meth:`WithNoise.slope_of_S`."""
        root = T[0][:, 0]
        return [2 * root[:, None, None, None] * self.between.slopes(root**2)[0]]

    def curvature(self, T: Sequence[Array]) -> Curvature:
        """See :meth:`Criterion.curvature`."""
        at = self._in_x(T[0][:, 0] ** 2)
        given_tau2 = {(0, 0): at.given_tau2.reshape(1, 1, 1, 1)}
        slope = at.slope.reshape(1, 1)
        trace = at.trace.reshape(1, 1)
        return Curvature([slope], [trace], given_tau2, at.profiled.nu)


@dataclass(frozen=True, eq=False)
class InX:
    """The criterion at many x = T^2, (N,), and its derivatives in x."""

    profiled: Profiled
    trace_R: Array
    """Sum of R = Z'Omega^-1 Z over the levels, shape (N,)."""
    trace_RR: Array
    """Sum of R^2."""
    dS: Array
    """The slope of S in the columns in which S is I, shape (N, p + 1, p + 1)."""
    d2S: Array
    """Its second derivative in these columns."""

    @property
    def value(self) -> Array:
        """The criterion, shape (N,)."""
        return self.profiled.value

    @property
    def slope(self) -> Array:
        """Its derivative, shape (N,)."""
        return np.asarray(self.trace_R + np.einsum("nkk,nk->n", self.dS, self.profiled.d))

    @property
    def curvature(self) -> Array:
        """Its second derivative, shape (N,)."""
        of_S = np.einsum("nkk,nk->n", self.d2S, self.profiled.d)
        squares = (self.profiled.omega * self.dS**2).sum(axis=(1, 2))
        return np.asarray(of_S - self.trace_RR - squares)

    @property
    def _d_x(self) -> Array:
        """What X takes away by REML: d without y."""
        d_x = self.profiled.d.copy()
        d_x[:, -1] = 0.0
        return d_x

    @property
    def trace(self) -> Array:
        """tr(Q ZZ'), shape (N,)."""
        return np.asarray(self.trace_R + np.einsum("nkk,nk->n", self.dS, self._d_x))

    @property
    def given_tau2(self) -> Array:
        """tr(Q ZZ'Q ZZ'), shape (N,)."""
        d_x = self._d_x
        through_x = np.einsum("nkk,nk->n", self.d2S, d_x)
        within_x = np.einsum("nkl,nk,nl->n", self.dS**2, d_x, d_x)
        return np.asarray(self.trace_RR - through_x + within_x)


@dataclass(frozen=True, eq=False)
class Pooled(Between):
    """Independent levels: those with the same a_j are one, with second moments B_j B_j' / a_j."""

    a: Array
    """The different a_j, shape (A,)."""
    moments: Array
    """Shape (A, (p + 1)^2)."""

    def _shaped(self, total: Array) -> Array:
        p1 = int(round(self.moments.shape[1] ** 0.5))
        return total.reshape(-1, p1, p1)

    def value(self, x: Array) -> Array:
        """See :class:`Between`: sum_j B_j B_j' / a_j / (1 + x a_j)."""
        w = 1 / (1 + np.outer(x, self.a))
        return self._shaped(w @ self.moments)

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """See :class:`Between`."""
        w = 1 / (1 + np.outer(x, self.a))
        v = w * self.a
        return self._shaped(-v * w @ self.moments), self._shaped(2 * v**2 * w @ self.moments)


def pooled(likelihood: Likelihood, C: Array, a: Array, B: Array) -> Scalar:
    """The criterion of independent levels, a of shape (J,) and B (J, p + 1)."""
    live = a > 0
    a = a[live]
    B = B[live].T
    different, kind = np.unique(a, return_inverse=True)
    products = [np.bincount(kind, r * s / a, len(different)) for r in B for s in B]
    moments = np.array(products, dtype=np.float64).T
    values = different.astype(np.float64)
    count = np.bincount(kind).astype(np.float64)
    return Scalar(likelihood, C, values, count, Pooled(values, moments))


@dataclass(frozen=True, eq=False)
class Tridiagonal(Between):
    """Related levels (:eq:`eq-tridiagonal`): A^1/2 K A^1/2 is tridiagonal in a basis not needed."""

    diagonal: Array
    """Of A^1/2 K A^1/2, shape (J,)."""
    beside: Array
    """The diagonal beside it, shape (J - 1,)."""
    b: Array
    """A^-1/2 B in that basis, shape (J, p + 1)."""

    def _times(self, u: Array) -> Array:
        """The tridiagonal matrix times u."""
        v = self.diagonal[:, None] * u
        v[1:] += self.beside[:, None] * u[:-1]
        v[:-1] += self.beside[:, None] * u[1:]
        return v

    def value(self, x: Array) -> Array:
        """See :class:`Between`: b'G b with G = (I + x K)^-1, K for the tridiagonal matrix."""
        return np.stack([self.b.T @ self._solved(k)[0] for k in x])

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """See :class:`Between`: with u = G b, - u'K u and 2 u'K G K u."""
        first = []
        second = []
        for k in x:
            u, factors = self._solved(k)
            Ku = self._times(u)
            GKu = dpttrs(*factors, Ku)[0]
            first.append(-u.T @ Ku)
            second.append(2 * Ku.T @ GKu)
        return np.stack(first), np.stack(second)

    def _solved(self, x: float) -> tuple[Array, tuple[Array, Array]]:
        d, e, _ = dpttrf(1 + x * self.diagonal, x * self.beside)
        return dpttrs(d, e, self.b)[0], (d, e)


def related(likelihood: Likelihood, C: Array, K: Array, a: Array, B: Array) -> Scalar:
    """The criterion of related levels, K of shape (J, J), a (J,) and B (J, p + 1)."""
    from scipy.linalg import eigvalsh_tridiagonal

    seen = np.flatnonzero(a > 0)
    root = np.sqrt(a[seen])
    scaled = (K if len(seen) == len(K) else K[np.ix_(seen, seen)]) * root
    scaled *= root[:, None]  # A^1/2 K A^1/2
    reflections, diagonal, beside, tau, _ = dsytrd(
        scaled.T, lower=1, lwork=64 * len(scaled), overwrite_a=1
    )
    b = np.asfortranarray(B[seen] / root[:, None])
    if len(scaled) > 2:
        # LAPACK keeps the reflections below the diagonal: as an array they start one row down
        packed = reflections.ravel(order="K")[1 : 1 + reflections[:-1].size]
        below = np.reshape(packed, reflections[:-1].T.shape, order="F")
        b[1:] = dormqr("L", "T", below, tau, b[1:], 64 * b.shape[1])[0]
    values = np.asarray(eigvalsh_tridiagonal(diagonal, beside), dtype=np.float64)
    if values[0] < -1e-10 * values[-1]:  # by rounding, or it is refused here
        L = square_root(K, "K", WRITTEN)
        return related(likelihood, C, L @ L.T, a, B)
    found = np.clip(values, 0, None)
    return Scalar(likelihood, C, found, np.ones(len(b)), Tridiagonal(diagonal, beside, b))
