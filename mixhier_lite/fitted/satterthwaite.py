"""Satterthwaite's degrees of freedom: t instead of z where the groups are few."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..inputs import Array, level_of
from .estimates import Estimates
from .objective import Surface, cells, gradient, surface


@dataclass(frozen=True, eq=False)
class Satterthwaite:
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

    Where the fit is on the boundary, the direction that is not there adds nothing.

    Notes
    -----
    Fai and Cornelius (1996); lmerTest. On balanced data the df are those of the t test of
    the analysis of variance. Use REML: the standard errors of ML are too short to begin with.
    """
    over, at = surface(model), cells(model)

    def unpack(x: Array) -> list[Array]:
        T = [np.zeros(t.shape) for t in model.T]
        for (t, i, j), entry in zip(at, x, strict=True):
            T[t][i, j] = entry / over.units[t][i]
        return T

    x = np.array([model.T[t][i, j] * over.units[t][i] for t, i, j in at])
    g = gradient(lambda x: np.log(_variances(over, unpack(x))), x)
    values, axes = np.linalg.eigh(_second_derivatives(lambda x: _value(over, unpack(x)), x))
    steep = values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)
    along = (axes.T @ g.reshape(len(x), -1))[steep]
    share = (along**2 / values[steep, None]).sum(axis=0)
    share += 0.0 if model.tau2_known else 1 / over.nu
    df = np.divide(1.0, share, out=np.full(share.shape, np.inf), where=share > 1e-9)
    return Satterthwaite(model.fixed, model.fixed_se, df)


def _variances(over: Surface, T: list[Array]) -> Array:
    point = over.at(T)
    assert point is not None
    return point.fixed_var


def _value(over: Surface, T: list[Array]) -> float:
    point = over.at(T)
    assert point is not None
    return point.value


def _second_derivatives(f: Callable[[Array], float], x: Array) -> Array:
    """Second derivatives of f by central differences, shape (len(x), len(x))."""
    k, steps, Q = len(x), np.diag(1e-3 * (1.0 + np.abs(x))), np.empty((len(x),) * 2)
    here, size = f(x), np.diag(steps)
    for i in range(k):
        d = steps[i]
        Q[i, i] = (f(x + d) - 2 * here + f(x - d)) / size[i] ** 2
        for j in range(i):
            e = steps[j]
            twist = f(x + d + e) - f(x + d - e) - f(x - d + e) + f(x - d - e)
            Q[i, j] = Q[j, i] = twist / (4 * size[i] * size[j])
    return Q
