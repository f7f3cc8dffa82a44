"""The posterior density of the variances, up to no constant at all.

Coordinates are one number x for each standard deviation (sd / tau = c sinh x in scaled units, so
that zero is an ordinary end point and large values are far but few), one partial correlation w in
(-1, 1) for each pair of correlated columns, and t = log(tau / its best value given the others).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..fitted.fit import Fit
from ..inputs import Array
from ..known.hierarchical import GaussianFactor
from ..linalg import choleskies, forward
from ..priors import Prior, SdPrior
from ..variance.assembly import Assembly, Unpooled, assemble, unpooled

FARTHEST, FARTHER = 1e6, 1e9
"""The largest ratio sd / tau that is looked at, in scaled units; and if it is the only one."""


@dataclass(frozen=True, eq=False)
class Given:
    """What the data say of alpha and tau, given many roots T at once."""

    log_likelihood: Array
    """log p(y | T, tau) under flat alpha, less its part in tau, shape (N,)."""
    r2: Array
    """Residual sum of squares in the metric of V, scaled, shape (N,)."""
    alpha: Array
    """alpha_hat, scaled, shape (N, p)."""
    root: Array
    """alpha = alpha_hat + root @ z, the entries of z independent, shape (N, p, p)."""
    e: Array
    """Prior precision of each z, shape (N, p)."""
    g: Array
    """Less the prior's slope in each z at alpha_hat, shape (N, p)."""
    height: Array
    """Log prior density at alpha_hat, shape (N,)."""

    def __getitem__(self, index: Any) -> "Given":
        """Some of the N."""
        return Given(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def joined(cls, parts: "Sequence[Given]") -> "Given":
        """Several of them, one after the other."""
        pairs = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        return cls(**{name: np.concatenate(values) for name, values in pairs.items()})

    def moments_of_z(self, tau: Array) -> tuple[Array, Array]:
        """Mean and variance of z given tau; tau has shape (N, ...), they (N, ..., p)."""
        extra = tuple(range(1, tau.ndim))
        e, g = np.expand_dims(self.e, extra), np.expand_dims(self.g, extra)
        variance = 1 / (1 / tau[..., None] ** 2 + e)
        return -g * variance, variance


@dataclass(frozen=True, eq=False)
class Landscape:
    """The posterior of (T, tau) given y, for one model and one prior."""

    model: Fit
    assembly: Assembly
    on_sds: list[list[SdPrior]]
    on_noise: SdPrior
    on_fixed: GaussianFactor
    sds: tuple[tuple[int, int], ...]
    """Term and column of each standard deviation: the first coordinates."""
    pairs: tuple[tuple[int, int, int], ...]
    """Term, row and column of each partial correlation: the coordinates that follow."""
    c: Array
    """Where the coordinate of a standard deviation turns from linear to logarithmic."""

    @cached_property
    def unpooled(self) -> Unpooled:
        """The assembly with every level on its own."""
        return unpooled(self.model.gram, True, self.model.known_tau2)

    @property
    def size(self) -> int:
        """Number of coordinates, without t."""
        return len(self.sds) + len(self.pairs)

    @property
    def tau_known(self) -> float | None:
        """The known tau, scaled, or None."""
        known = self.assembly.criterion.likelihood.known_tau2
        return None if known is None else float(np.sqrt(known))

    @property
    def y_unit(self) -> float:
        """Scale of y."""
        return float(self.assembly.scale[-1])

    def box(self) -> Array:
        """Lowest and highest value of each coordinate, shape (size, 2)."""
        far = np.arcsinh((FARTHER if self.size == 1 else FARTHEST) / self.c)
        ends = [(0.0, end) for end in far] + [(-1.0, 1.0)] * len(self.pairs)
        return np.array(ends).reshape(-1, 2)

    def start(self) -> Array:
        """The coordinates of the fit, a little inside where it is on an edge; shape (size,)."""
        largest = max(float(np.abs(root).max()) for root in self.model.roots)
        tau = max(float(np.sqrt(self.model.tau2)), 1e-6 * largest)
        pairs = zip(self.assembly.units, self.model.roots, strict=True)
        T = [unit[:, None] * (root / max(tau, 1e-300)) for unit, root in pairs]
        s = [np.linalg.norm(T[t][i]) for t, i in self.sds]
        x = np.arcsinh(np.maximum(s, 1e-2 * self.c) / self.c)
        unit = [t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-300) for t in T]
        w = []
        for t, i, j in self.pairs:
            left = 1 - (unit[t][i, :j] ** 2).sum()
            w.append(np.clip(unit[t][i, j] / np.sqrt(max(left, 1e-12)), -0.99, 0.99))
        return np.array([*x, *w])

    def roots(self, at: Array) -> list[Array]:
        """T of each term, in the criterion's columns, (N, q, q), at (N, size) coordinates."""
        T = [np.zeros((len(at), k.q, k.q)) for k in self.model.gram.blocks]
        s = self.c * np.sinh(at[:, : len(self.sds)])
        for k, (t, i) in enumerate(self.sds):
            T[t][:, i, i] = s[:, k]
        for k, (t, i, j) in enumerate(self.pairs):  # break the stick: row i is s_i times a unit row
            w, left = at[:, len(self.sds) + k], T[t][:, i, i].copy()
            T[t][:, i, j] = w * left
            T[t][:, i, i] = left * np.sqrt(1 - w**2)
        pairs = zip(self.assembly.units, T, strict=True)
        return self.assembly.inwards([t / unit[:, None] for unit, t in pairs])

    @np.errstate(invalid="ignore", divide="ignore")  # S may be lost where T is large
    def given(self, T: Sequence[Array]) -> Given:
        """Integrate alpha and beta out, at each T (in the criterion's columns)."""
        criterion, p = self.assembly.criterion, self.model.gram.p
        likelihood = criterion.likelihood
        log_det, S = criterion.evaluate(list(T))
        L = choleskies(np.moveaxis(S, 0, -1))
        inverse = forward(L[:p, :p], np.broadcast_to(np.eye(p)[..., None], (p, p, len(S))))
        log_det = log_det + 2 * np.log(np.einsum("kkn->kn", L[:p, :p])).sum(axis=0)
        root = np.moveaxis(inverse, -1, 0).swapaxes(1, 2)
        alpha = np.einsum("nij,jn->ni", root, L[p, :p])
        value = -(log_det + (likelihood.n - p) * np.log(2 * np.pi) + likelihood.constant) / 2
        (_, back), fixed, (e, g) = self.units, self.fixed(alpha), np.zeros((2, len(S), p))
        P, h = self.on_fixed.precision, self.on_fixed.shift
        if P.any():
            seen = np.isfinite(root).all(axis=(1, 2))
            spread, axes = back @ root[seen], np.zeros_like(root)
            e[seen], axes[seen] = np.linalg.eigh(spread.swapaxes(1, 2) @ P @ spread)
            e, root = np.clip(e, 0, None), root @ axes
            g = np.einsum("nij,ni->nj", back @ root, fixed @ P - h)
        height = fixed @ h - np.einsum("nj,nj->n", fixed @ P, fixed) / 2
        height += _normaliser(self.on_fixed)
        return Given(value, L[p, p] ** 2, alpha, root, e, g, height)

    @property
    def units(self) -> tuple[Array, Array]:
        """The reader's alpha is shift + back @ (scaled alpha)."""
        return self.assembly.to_fixed

    def fixed(self, alpha: Array) -> Array:
        """alpha in the reader's units, shape (N, p)."""
        shift, back = self.units
        return shift + alpha @ back.T

    def tau(self, given: Given, t: Array) -> Array:
        """Standard deviation of the noise, scaled; t has shape (N, ...)."""
        if self.tau_known is not None:
            return np.full(t.shape, self.tau_known)
        nu = self.assembly.criterion.likelihood.nu
        best = np.sqrt(given.r2 / nu)
        return np.asarray(best.reshape(-1, *[1] * (t.ndim - 1)) * np.exp(t))

    def log_density(self, at: Array, given: Given, t: Array) -> Array:
        """log p(y, x, w, t) at coordinates (N, size) and t of shape (N, M); -inf where lost."""
        nu = self.assembly.criterion.likelihood.nu
        tau = self.tau(given, t)
        with np.errstate(all="ignore"):
            value = given.log_likelihood[:, None] + given.height[:, None]
            value = value - nu * np.log(tau) - given.r2[:, None] / (2 * tau**2)
            if self.on_fixed.precision.any():  # otherwise e and g are zero
                for e, g in zip(given.e.T[..., None], given.g.T[..., None], strict=True):
                    value = value + g**2 / (1 / tau**2 + e) / 2 - np.log1p(e * tau**2) / 2
            for k, (term, i) in enumerate(self.sds):
                unit = tau * (self.y_unit / self.assembly.units[term][i] * self.c[k])
                prior, x = self.on_sds[term][i], at[:, k, None]
                value = value + prior.log_density(unit * np.sinh(x)) + np.log(unit * np.cosh(x))
            for k, (term, _, j) in enumerate(self.pairs, start=len(self.sds)):
                q = self.model.gram.blocks[term].q  # uniform over correlation matrices
                value = value + (q - 2 - j) / 2 * np.log1p(-(at[:, k, None] ** 2)) + _uniform(q, j)
            if self.tau_known is None:
                sd = tau * self.y_unit
                value = value + self.on_noise.log_density(sd) + np.log(sd)
        return np.where(np.isfinite(value), value, -np.inf)

    def standard_deviations(self, at: Array, tau: Array) -> list[Array]:
        """Of each column of each term, then tau itself: the reader's units, shape of tau (N, M)."""
        found = []
        for k, (t, i) in enumerate(self.sds):
            s = self.c[k] * np.sinh(at[:, k]) / self.assembly.units[t][i]
            found.append(tau * self.y_unit * s[:, None])
        return [*found, tau * self.y_unit]

    def Sigma(self, T: Sequence[Array], tau: Array) -> list[Array]:
        """Covariance of each term's coefficients, in the reader's units, shape (N, q, q)."""
        scale = (tau * self.y_unit)[:, None, None]
        pairs = zip(T, self.assembly.columns, strict=True)
        roots = [scale * np.linalg.solve(R, t) for t, R in pairs]
        return [root @ root.swapaxes(1, 2) for root in roots]


def landscape(model: Fit, prior: Prior) -> Landscape:
    """The posterior of the variances of a fitted model; the fit lends data, not estimates."""
    blocks = model.gram.blocks
    sds = [(t, i) for t, k in enumerate(blocks) for i in range(k.q)]
    pairs = [
        (t, i, j)
        for t, k in enumerate(blocks)
        if k.correlated
        for i in range(k.q)
        for j in range(i)
    ]
    c = np.array([0.5 * (2 / blocks[t].J) ** 0.25 for t, _ in sds])
    on_sds = prior.on_sds([k.q for k in blocks])
    on_fixed = prior.on_fixed(model.gram.p)
    assembly = assemble(model.gram, True, model.known_tau2)
    return Landscape(model, assembly, on_sds, prior.noise, on_fixed, tuple(sds), tuple(pairs), c)


def _normaliser(factor: GaussianFactor) -> float:
    """Log of the constant that makes the proper part of a factor a density."""
    P, h = factor.precision, factor.shift
    live = np.diag(P) > 0
    d = np.sqrt(np.diag(P)[live])
    values, vectors = np.linalg.eigh(P[np.ix_(live, live)] / np.outer(d, d))
    sure = values > 1e-12
    shift = (vectors.T @ (h[live] / d))[sure]
    log_det = np.log(values[sure]).sum() + 2 * np.log(d).sum()
    return float((log_det - sure.sum() * np.log(2 * np.pi) - (shift**2 / values[sure]).sum()) / 2)


def _uniform(q: int, j: int) -> float:
    """Log of the constant of (1 - w^2)^((q - 2 - j) / 2) over (-1, 1)."""
    from scipy.special import betaln

    b = (q - j) / 2
    return float(-betaln(b, b) - (2 * b - 1) * np.log(2))
