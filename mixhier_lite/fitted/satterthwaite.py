"""Satterthwaite's degrees of freedom: t instead of z where the groups are few."""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array, level_of
from ..values import Value
from ..variance.assembly import Assembly, assemble
from ..variance.theta import ActiveEntries
from .estimates import Estimates
from .noiseless import NoiselessEffects


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
        from scipy.special import stdtrit

        half = stdtrit(np.minimum(self.df, 1e9), (1 + level_of(level)) / 2) * self.se
        return np.column_stack([self.fixed - half, self.fixed + half])


def satterthwaite(model: Estimates) -> Satterthwaite:
    """Degrees of freedom from the curvature of the criterion.

    A variance v that is estimated with relative variance r has df = 2 / r. Here
    log v = log m(T) + log(tau2 / tau2_hat(T)), where m(T) is the variance of alpha_k at T and the
    best tau2. The two parts are independent to first order, with variances 2 g'Q^-1 g
    (g the gradient of log m, Q the second derivatives of the criterion) and 2 / nu. So
    1 / df = 1 / nu + g'Q^-1 g, with no first part where tau2 is known.

    Where the fit is on the boundary, the direction that is not there adds nothing. Without noise
    that is the whole first part: the curvature is that in Sigma.

    Notes
    -----
    Fai and Cornelius (1996); lmerTest. On balanced data the df are those of the t test of
    the analysis of variance. Use REML: the standard errors of ML are too short to begin with.
    """
    if model.noiseless is not None:
        zero = model.noiseless.zero
        live, x = zero.entries.inside(zero.entries.bare(zero.entries.pack(zero.T)))
        share = _share(live, x, _slope_without_noise(model.noiseless, live))
        return Satterthwaite(model.fixed, model.fixed_se, _df(share))
    assembly = assemble(model.gram, model.reml, model.known_tau2)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.shapes)
    bare = assembly.bare(model.T)
    live, x = entries.inside(bare)
    share = _share(live, x, _slope_of_log_variances(assembly, live, x))
    if not model.tau2_known:
        share += 1 / assembly.criterion.likelihood.nu
    return Satterthwaite(model.fixed, model.fixed_se, _df(share))


def _share(live: ActiveEntries, x: Array, slope: Array) -> Array:
    """g'Q^-1 g for each column of slopes g, shape (p,)."""
    exact = live.criterion.exact
    Q = live.local(x[None]).hessian[0] if exact else live.differences(x)
    values, axes = np.linalg.eigh(Q)
    steep = values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)
    along = (axes.T @ slope)[steep]
    return np.asarray((along**2 / values[steep, None]).sum(axis=0))


def _df(share: Array) -> Array:
    df: Array = np.divide(1.0, share, out=np.full(share.shape, np.inf), where=share > 1e-9)
    return df


def _slope_without_noise(effects: NoiselessEffects, live: ActiveEntries) -> Array:
    """Slope of log Var(alpha_hat_k) in every entry of T, shape (len(cells), p).

    A change M of V changes that variance by e M e', e the row of X^+ (I - V Q_0).
    """
    e = effects.to_alpha
    forms = [np.einsum("pa,ijab,pb->pij", e, M, e, optimize=True) for M in effects.products]
    slopes = [(F + F.swapaxes(1, 2)) @ T for F, T in zip(forms, effects.zero.T, strict=True)]
    variance = np.diag(effects.fixed_cov)
    framed = [live.shapes[t].to_bare(slope) for t, slope in enumerate(slopes)]
    return np.array([framed[t][:, i, j] / variance for t, i, j in live.cells]).reshape(-1, len(e))


def _slope_of_log_variances(assembly: Assembly, entries: ActiveEntries, x: Array) -> Array:
    """Slope of log Var(alpha_hat_k) at the best tau2 in every entry of T, shape (len(x), p).

    With S = L L' and w = L_xx^-1 l, where l picks alpha_k, Var(alpha_hat_k) is tau2 w'w, and tau2
    is L_yy^2 / nu. A change dS of S, D = L^-1 dS L^-T, changes log w'w by - w'D_xx w / w'w and
    log tau2 by D_yy.
    """
    criterion, T = assembly.criterion, entries.unpack(x)
    log_det, S = criterion.evaluate([t[None] for t in T])
    L = criterion.likelihood.profiled(log_det, S).L[0]
    p = criterion.likelihood.p
    w = np.linalg.solve(L[:p, :p], assembly.to_fixed[1].T)
    inverse = np.linalg.inv(L)
    framed = zip(entries.shapes, criterion.slope_of_S(T), strict=True)
    slopes = [np.einsum("ia,ijcd->ajcd", shape.frame, dS) for shape, dS in framed]
    out = np.empty((len(x), p))
    for k, (t, i, j) in enumerate(entries.cells):
        D = inverse @ slopes[t][i, j] @ inverse.T
        out[k] = -np.einsum("ck,cd,dk->k", w, D[:p, :p], w) / (w**2).sum(axis=0)
        if criterion.likelihood.known_tau2 is None:
            out[k] += D[p, p]
    return out
