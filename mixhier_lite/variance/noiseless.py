"""The other boundary: no noise at all (:eq:`eq-noise-boundary`).

At tau2 = 0 with Sigma fixed, Sigma / tau2 is infinite, and no search in it arrives. So this end has
a criterion of its own, in which Sigma itself is what varies. It exists where the model could fit
every row, and its lowest point is compared with the lowest one inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from ..inputs import Array
from .criterion import Criterion
from .curvature import Blocks, Curvature, Derivatives, hessian_in_entries, joined
from .saturated import SaturatedRows, total

LOST = 1e300
"""Stands for the criterion where V without noise is singular on contrasts."""


@dataclass(frozen=True, eq=False)
class Rooted:
    """A positive definite matrix by its root."""

    root: Array
    """Cholesky's, lower triangular, shape (n, n)."""

    @classmethod
    def of(cls, G: Array) -> "Rooted | None":
        """None where it is not positive definite."""
        root, failed = dpotrf(G, lower=1)
        return None if failed else cls(root)

    @property
    def log_det(self) -> float:
        """Its log determinant."""
        return float(2 * np.log(np.diag(self.root)).sum())

    @property
    def inverse(self) -> Array:
        """Its inverse, shape (n, n)."""
        half = np.tril(dpotri(self.root, lower=1)[0])
        return np.asarray(half + np.tril(half, -1).T)

    def solve(self, v: Array) -> Array:
        """Its inverse times v of shape (n,)."""
        return np.asarray(dpotrs(self.root, v, lower=1)[0])


@dataclass(frozen=True, eq=False)
class Noiseless(Criterion):
    """The criterion at tau2 = 0, with T T' = Sigma in units of the square of y's."""

    rows: SaturatedRows

    @property
    def cost(self) -> int:
        """The rows."""
        return len(self.rows.y)

    @property
    def dense(self) -> int:
        """V itself."""
        return len(self.rows.y)

    def solve(self, T: Sequence[Array]) -> tuple[float, Rooted, Rooted] | None:
        """The criterion at one T, C'GC, and that of which it has the determinant.

        The latter is C'GC by REML and G by ML. None where one of them is singular.
        """
        inner = Rooted.of(total(self.rows.on_contrasts, T))
        outer = inner if self.likelihood.reml else Rooted.of(self.rows.covariance(T))
        if inner is None or outer is None:
            return None
        z = self.rows.contrasts_of_y
        value = self.likelihood.nu * np.log(2 * np.pi) + outer.log_det + z @ inner.solve(z)
        if self.likelihood.reml:
            value += np.linalg.slogdet(self.rows.X.T @ self.rows.X)[1]
        return float(value + self.likelihood.constant), inner, outer

    def best_scale(self, T: Sequence[Array]) -> float:
        """The factor of V at which the criterion is least, y'Q_0 y / nu."""
        inner = Rooted.of(total(self.rows.on_contrasts, T))
        assert inner is not None
        z = self.rows.contrasts_of_y
        return float(z @ inner.solve(z)) / self.likelihood.nu

    def values(self, T: Sequence[Array]) -> Array:
        """See :meth:`Criterion.values`."""
        each = [self.solve([t[n] for t in T]) for n in range(len(T[0]))]
        return np.array([LOST if at is None else at[0] for at in each])

    def gradient(self, T: Sequence[Array]) -> tuple[float, list[Array]] | None:
        """See :meth:`Criterion.gradient`."""
        at = self.solve(T)
        curvature = self.curvature(T)
        if at is None or curvature is None:
            return None
        return at[0], [2 * N @ t for N, t in zip(curvature.N, T, strict=True)]

    def derivatives(self, T: Sequence[Array]) -> Derivatives:
        """See :meth:`Criterion.derivatives`."""
        each = []
        for n, value in enumerate(self.values(T)):
            here = [t[n] for t in T]
            at, hessian = self._in_covariances(here) or self._lost
            slopes = [2 * N @ t for N, t in zip(at.N, here, strict=True)]
            second = hessian_in_entries(hessian, at.N, here)
            each.append(Derivatives.at_one(float(value), slopes, second))
        return joined(each)

    def curvature(self, T: Sequence[Array]) -> Curvature | None:
        """See :meth:`Criterion.curvature`."""
        at = self._in_covariances(T)
        return None if at is None else at[0]

    def _in_covariances(self, T: Sequence[Array]) -> tuple[Curvature, Blocks] | None:
        """The curvature and the second derivatives in T T'.

        With dV_kl = Z_k K Z_l', R = Q_0 (REML) or G^-1 (ML) and u = Q_0 y the derivatives in
        Sigma_kl are tr(R dV_kl) - u'dV_kl u and
        - tr(R dV_ij R dV_kl) + 2 u'dV_ij Q_0 dV_kl u.
        """
        at = self.solve(T)
        if at is None:
            return None
        _, inner, outer = at
        w = inner.solve(self.rows.contrasts_of_y)
        P = inner.inverse
        dV = self.rows.on_contrasts
        R = P
        of_determinant = dV
        if not self.likelihood.reml:
            of_determinant = self.rows.products
            R = outer.inverse
        RdV = [R @ each for each in of_determinant]
        dVw = [each @ w for each in dV]
        PdVw = [each @ P for each in dVw]
        trace = [np.einsum("klaa->kl", each) for each in RdV]
        N = [tr - each @ w for tr, each in zip(trace, dVw, strict=True)]
        given = {}
        hessian = {}
        for s, t in np.ndindex(len(RdV), len(RdV)):
            q = len(RdV[s])
            r = len(RdV[t])
            n = R.size
            left = RdV[s].reshape(-1, n)
            right = RdV[t].swapaxes(2, 3).reshape(-1, n)
            given[s, t] = (left @ right.T).reshape(q, q, r, r)
            of_y = np.einsum("jia,kla->ijkl", dVw[s], PdVw[t])
            hessian[s, t] = 2 * of_y - given[s, t]
        return Curvature(N, trace, given, np.inf), hessian

    @property
    def _lost(self) -> tuple[Curvature, Blocks]:
        """No slope where there is no value."""
        sizes = [len(each) for each in self.rows.products]
        flat = [np.zeros((q, q)) for q in sizes]
        forms = {
            (s, t): np.zeros((q, q, r, r)) for s, q in enumerate(sizes) for t, r in enumerate(sizes)
        }
        return Curvature(flat, flat, forms, np.inf), forms

    def slope_of_noise(self, T: Sequence[Array]) -> tuple[float, float]:
        """Slope of the criterion in tau2 at 0 (:eq:`eq-noise-slope`), and its standard deviation.

        tr R - y'Q_0 Q_0 y, in rows that are scaled by the roots of their weights.
        """
        at = self.solve(T)
        assert at is not None
        _, inner, outer = at
        w = inner.solve(self.rows.contrasts_of_y)
        R = outer.inverse
        return float(np.trace(R) - w @ w), float(np.sqrt(2 * (R**2).sum()))
