"""Satterthwaite's degrees of freedom: t instead of z where the groups are few."""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array, level_of
from ..values import Value
from ..variance.assembly import Assembly, assemble, has_exact_derivatives
from ..variance.theta import ActiveEntries
from .estimates import Estimates
from .noiseless import NoiselessEffects
from .student import quantile_of_t


@dataclass(frozen=True, eq=False, repr=False)
class Satterthwaite(Value):
    """Degrees of freedom of the standard errors of a fit."""

    fixed: Array
    """alpha_hat, shape (p,)."""
    se: Array
    """Standard errors, shape (p,)."""
    df: Array
    """How well each standard error is known, shape (p,); infinite where it is known."""

    def interval(self, level: float = 0.95) -> Array:
        """Intervals of the fixed effects by Student's t, shape (p, 2)."""
        half = quantile_of_t(self.df, (1 + level_of(level)) / 2) * self.se
        return np.column_stack([self.fixed - half, self.fixed + half])


@dataclass(frozen=True, eq=False, repr=False)
class Precision(Value):
    """How well the variance of any combination l'alpha_hat is known.

    With w = E'l it is w'Phi w; its slopes in the entries of T, tau2 at its best, are
    w'Phi_c w.
    """

    E: Array
    """Cov(alpha_hat) = E Phi E', shape (p, r)."""
    Phi: Array
    """Shape (r, r)."""
    slopes: Array
    """Phi_c for each entry of T that is not zero, shape (cells, r, r)."""
    spread: Array
    """A root of Q^-1, the inverse of the criterion's second derivatives, shape (cells, m)."""
    of_noise: float
    """1 / nu, or nothing where tau2 is known or zero."""

    def cov(self, L: Array) -> Array:
        """Cov(L alpha_hat), shape (k, k), for L of shape (k, p)."""
        W = L @ self.E
        return np.asarray(W @ self.Phi @ W.T)

    def df(self, L: Array) -> Array:
        """Degrees of freedom of the variance of each row of L alpha_hat, shape (k,).

        A variance v that is estimated with relative variance r has df = 2 / r. Here
        log v = log m(T) + log(tau2 / tau2_hat(T)), where m(T) is the variance at T and the best
        tau2. The two parts are independent to first order, with variances 2 g'Q^-1 g (g the
        gradient of log m) and 2 / nu. So 1 / df = 1 / nu + g'Q^-1 g.
        """
        W = L @ self.E
        variance = np.einsum("kr,rs,ks->k", W, self.Phi, W)
        slope = np.einsum("kr,crs,ks->ck", W, self.slopes, W)
        slope = np.divide(slope, variance, out=np.zeros_like(slope), where=variance > 0)
        share = self.of_noise + ((self.spread.T @ slope) ** 2).sum(axis=0)
        df: Array = np.divide(1.0, share, out=np.full(share.shape, np.inf), where=share > 1e-9)
        return np.where(np.isnan(variance), np.nan, df)

    def of_F(self, L: Array) -> tuple[float, float]:
        """Degrees of freedom of F for rows L whose estimates are independent, and a scale of 1."""
        return of_denominator(self.df(L)), 1.0


def of_denominator(df: Array) -> float:
    """Degrees of freedom of F from those of its independent t statistics.

    The mean of F with df2 degrees of freedom is df2 / (df2 - 2), and the squares of t have means
    df / (df - 2): so df2 is what makes the former the mean of the latter.
    """
    if len(df) == 1 or np.isinf(df).all() or np.ptp(df) < 1e-8:
        return float(df.mean())
    if (df <= 2).any():
        return 2.0
    with np.errstate(invalid="ignore"):
        means = np.where(np.isinf(df), 1.0, df / (df - 2))
    return float(2 * means.sum() / (means.sum() - len(df)))


def satterthwaite(model: Estimates) -> Satterthwaite:
    """Degrees of freedom from the curvature of the criterion, see ``Precision.df``.

    Where the fit is on the boundary, the direction that is not there adds nothing. Where tau2 is
    known it adds nothing. Without noise the curvature is that in Sigma.

    Notes
    -----
    Fai and Cornelius (1996); lmerTest. On balanced data the df are those of the t test of
    the analysis of variance. Use REML: the standard errors of ML are too short to begin with.
    """
    df = precision(model).df(np.eye(len(model.fixed)))
    return Satterthwaite(model.fixed, model.fixed_se, df)


def is_cheap(model: Estimates) -> bool:
    """Whether degrees of freedom cost no more than the fit did: by exact second derivatives."""
    return model.noiseless is not None or has_exact_derivatives(model.gram)


def precision(model: Estimates) -> Precision:
    """How the variances of the fixed effects depend on what is estimated of Sigma and tau2."""
    if model.noiseless is not None:
        zero = model.noiseless.zero
        live, x = zero.entries.inside(zero.entries.bare(zero.entries.pack(zero.T)))
        slopes = _slopes_without_noise(model.noiseless, live)
        E = np.eye(len(model.fixed))
        Phi = model.fixed_cov
        return Precision(E=E, Phi=Phi, slopes=slopes, spread=_spread(live, x), of_noise=0.0)
    assembly = assemble(model.gram, model.reml, model.known_tau2)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    live, x = entries.inside(assembly.bare(model.T))
    E, slopes = _slopes(assembly, live, x)
    return Precision(
        E=E,
        Phi=np.eye(len(model.fixed)),
        slopes=slopes,
        spread=_spread(live, x),
        of_noise=0.0 if model.known_tau2 is not None else 1 / assembly.criterion.likelihood.nu,
    )


def _spread(live: ActiveEntries, x: Array) -> Array:
    """A root of Q^-1 in the directions in which the criterion rises, shape (cells, m)."""
    Q = live.local(x[None]).hessian[0]
    values, axes = np.linalg.eigh(Q)
    steep = values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)
    return np.asarray(axes[:, steep] / np.sqrt(values[steep]))


def _slopes_without_noise(effects: NoiselessEffects, live: ActiveEntries) -> Array:
    """Slope of Cov(alpha_hat) in every entry of T, shape (cells, p, p).

    A change dV of V changes it by e dV e', where e = X^+ (I - V Q_0) takes y to alpha_hat.
    """
    e = effects.to_alpha
    framed = []
    for form, dV, T in zip(live.forms, effects.products, effects.zero.T, strict=True):
        F = np.einsum("pa,ijab,qb->pqij", e, dV, e, optimize=True)
        framed.append(form.to_bare((F + F.swapaxes(2, 3)) @ T))
    slopes = [framed[t][:, :, i, j] for t, i, j in live.cells]
    return np.array(slopes).reshape(-1, len(e), len(e))


def _slopes(assembly: Assembly, live: ActiveEntries, x: Array) -> tuple[Array, Array]:
    """E with Cov(alpha_hat) = E E', and Phi_c, shapes (p, p) and (cells, p, p).

    With S = L L', E is tau times the inverse of L_xx', in the reader's units, and tau2 is
    L_yy^2 / nu. A change dS of S, D = L^-1 dS L^-T, changes E E' by E (D_yy I - D_xx) E'.
    """
    criterion = assembly.criterion
    T = live.unpack(x)
    log_det, S = criterion.evaluate([t[None] for t in T])
    at = criterion.likelihood.profiled(log_det, S)
    L = at.L[0]
    p = criterion.likelihood.p
    inverse = np.linalg.inv(L)
    E = np.sqrt(at.tau2[0]) * assembly.to_fixed[1] @ inverse[:p, :p].T
    framed = zip(live.forms, criterion.slope_of_S(T), strict=True)
    slopes_of_S = [np.einsum("ia,ijcd->ajcd", form.frame, dS) for form, dS in framed]
    estimated = criterion.likelihood.known_tau2 is None
    slopes = np.empty((len(x), p, p))
    for k, (t, i, j) in enumerate(live.cells):
        D = inverse @ slopes_of_S[t][i, j] @ inverse.T
        slopes[k] = estimated * D[p, p] * np.eye(p) - D[:p, :p]
    return np.asarray(E), slopes
