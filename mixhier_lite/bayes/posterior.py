"""The posterior density of the variances, up to no constant at all.

It is a density over T of each term (see *charts* for its coordinates) and over
t = log(tau / its best value given T). The data speak in the criterion's columns of Z, the prior in
the reader's: flat on the standard deviations, with uniform correlations, is
prod sd^-q d Sigma. So in columns of other coefficients, with standard deviations s, it has the
density prod (s / sd)^q, and the posterior depends on the zero of a covariate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..after.fit import Fit
from ..inputs import Array
from ..known.hierarchical import GaussianFactor
from ..priors import LKJ, Prior, SdPrior, log_symmetric
from ..variance.assembly import Assembly, Unpooled, assemble, unpooled
from ..variance.criterion import HUGE, roots
from .charts import Chart, charts

FARTHEST = 1e6
FARTHER = 1e9
"""The largest ratio sd / tau that is looked at, in scaled units; and if it is the only one."""
SHARP = 1.5
"""The power of the volumes that share a posterior among charts: of 1 to 3, quadrature of some
posteriors far from zero changed least with this one."""


@dataclass(frozen=True, eq=False)
class Given:
    """What the data say of alpha and tau, given many roots T at once."""

    T: tuple[Array, ...]
    """Roots of each term in the criterion's columns, shape (N, q, q)."""
    ratios: Array
    """Standard deviation over tau of each of the reader's columns of Z, y scaled, shape (N, m)."""
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
    """Log prior density at alpha_hat, and of the correlations over the uniform one, shape (N,)."""

    def __getitem__(self, index: Any) -> "Given":
        """Some of the N."""
        some = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "T"}
        return Given(T=tuple(t[index] for t in self.T), **some)

    @classmethod
    def joined(cls, parts: "Sequence[Given]") -> "Given":
        """Several of them, one after the other."""
        T = zip(*(part.T for part in parts), strict=True)
        names = [f.name for f in fields(cls) if f.name != "T"]
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(T=tuple(map(np.concatenate, T)), **joined)

    def moments_of_z(self, tau: Array) -> tuple[Array, Array]:
        """Mean and variance of z given tau; tau has shape (N, ...), they (N, ..., p)."""
        extra = tuple(range(1, tau.ndim))
        e = np.expand_dims(self.e, extra)
        g = np.expand_dims(self.g, extra)
        variance = 1 / (1 / tau[..., None] ** 2 + e)
        return -g * variance, variance


@dataclass(frozen=True, eq=False)
class VariancePosterior:
    """The posterior of (T, tau) given y, for one model and one prior."""

    model: Fit
    assembly: Assembly
    on_sds: list[list[SdPrior]]
    on_noise: SdPrior
    on_fixed: GaussianFactor
    on_correlations: LKJ
    charts: tuple[Chart, ...]
    """The reader's first."""

    @cached_property
    def unpooled(self) -> Unpooled:
        """The assembly with every level on its own."""
        return unpooled(self.model.gram, True, self.model.known_tau2)

    @property
    def sds(self) -> tuple[tuple[int, int], ...]:
        """Term and column of each standard deviation."""
        return self.charts[0].sds

    @property
    def size(self) -> int:
        """Number of coordinates, without t."""
        return self.charts[0].size

    @cached_property
    def to_readers(self) -> list[Array]:
        """R^-1 of each term: coefficients of the reader's columns from the criterion's, (q, q)."""
        return [np.asarray(np.linalg.inv(R)) for R in self.assembly.columns]

    @property
    def views(self) -> "tuple[View, ...]":
        """The same in each of its charts."""
        return tuple(View(self, chart) for chart in self.charts)

    @cached_property
    def tau_known(self) -> float | None:
        """The known tau, scaled, or None."""
        known = self.assembly.criterion.likelihood.known_tau2
        return None if known is None else float(np.sqrt(known))

    @property
    def y_unit(self) -> float:
        """Scale of y."""
        return float(self.assembly.scale[-1])

    @np.errstate(invalid="ignore", divide="ignore")  # S may be lost where T is large
    def given(self, T: Sequence[Array]) -> Given:
        """Integrate alpha and beta out, at each T (in the criterion's columns)."""
        criterion = self.assembly.criterion
        p = self.model.gram.p
        likelihood = criterion.likelihood
        log_det, S = criterion.evaluate(list(T))
        L = roots(S)
        L[L[:, 0, 0] >= HUGE] = np.nan
        # root root' = S_xx^-1
        root: Array = np.asarray(np.linalg.inv(L[:, :p, :p]), dtype=np.float64).swapaxes(1, 2)
        alpha = np.einsum("nij,nj->ni", root, L[:, p, :p])
        value = -likelihood.without_tau2(log_det, np.einsum("nkk->nk", L)) / 2
        _, back = self.to_fixed
        fixed = self.fixed(alpha)
        e, g = np.zeros((2, len(S), p))
        P = self.on_fixed.precision
        h = self.on_fixed.shift
        if P.any():
            seen = np.isfinite(root).all(axis=(1, 2))
            spread = back @ root[seen]
            axes = np.zeros_like(root)
            e[seen], axes[seen] = np.linalg.eigh(spread.swapaxes(1, 2) @ P @ spread)
            e = np.clip(e, 0, None)
            root = root @ axes
            g = np.einsum("nij,ni->nj", back @ root, fixed @ P - h)
        height = fixed @ h - np.einsum("nj,nj->n", fixed @ P, fixed) / 2
        height += _normaliser(self.on_fixed)
        of_readers = [inverse @ t for inverse, t in zip(self.to_readers, T, strict=True)]
        readers = [np.linalg.norm(root, axis=2) for root in of_readers]
        if self.on_correlations.eta > 1:
            height += self._log_prior_of_correlations(of_readers, readers)
        return Given(
            T=tuple(T),
            ratios=np.column_stack(readers),
            log_likelihood=value,
            r2=L[:, p, p] ** 2,
            alpha=alpha,
            root=root,
            e=e,
            g=g,
            height=height,
        )

    def _log_prior_of_correlations(self, roots: list[Array], sds: list[Array]) -> Array | float:
        """Log of constant times det(R)^(eta - 1), of all terms, over the uniform density, (N,)."""
        value: Array | float = 0.0
        for block, root, sd in zip(self.model.gram.blocks, roots, sds, strict=True):
            if block.correlated and block.q > 1:  # det R = (det root)^2 / prod sd^2
                log_det = 2 * (np.linalg.slogdet(root)[1] - np.log(sd).sum(axis=1))
                value = value + (self.on_correlations.eta - 1) * log_det
                value = value + self.on_correlations.log_constant(block.q)
        return value

    @cached_property
    def to_fixed(self) -> tuple[Array, Array]:
        """The reader's alpha is shift + back @ (scaled alpha)."""
        return self.assembly.to_fixed

    def fixed(self, alpha: Array) -> Array:
        """alpha in the reader's units, shape (N, p)."""
        shift, back = self.to_fixed
        return shift + alpha @ back.T

    def tau(self, given: Given, t: Array) -> Array:
        """Standard deviation of the noise, scaled; t has shape (N, ...)."""
        if self.tau_known is not None:
            return np.full(t.shape, self.tau_known)
        nu = self.assembly.criterion.likelihood.nu
        best = np.sqrt(given.r2 / nu)
        return np.asarray(best.reshape(-1, *[1] * (t.ndim - 1)) * np.exp(t))

    def log_density(self, given: Given, t: Array, log_share: Array | float = 0.0) -> Array:
        """Log of p(y, T, t) over the reader's sds, their correlations and t, at t of (N, nodes).

        -inf or nan where it is lost. ``log_share``, shape (N,), is added.
        """
        nu = self.assembly.criterion.likelihood.nu
        tau = self.tau(given, t)
        scale = tau * self.y_unit
        log_tau = np.log(tau)
        log_scale = log_tau + np.log(self.y_unit)
        free = len(self.sds) + (self.tau_known is None)  # d sd = scale d ratio, d tau = scale d t
        value = (given.log_likelihood + given.height + log_share)[:, None]
        value = value - given.r2[:, None] / (2 * tau**2) + (free * log_scale - nu * log_tau)
        if self.on_fixed.precision.any():  # otherwise e and g are zero
            for e, g in zip(given.e.T[..., None], given.g.T[..., None], strict=True):
                value = value + g**2 / (1 / tau**2 + e) / 2 - np.log1p(e * tau**2) / 2
        for k, (term, i) in enumerate(self.sds):
            sd = scale * given.ratios[:, k, None]
            value = value + self.on_sds[term][i].log_density(sd)
        if self.tau_known is None:
            value = value + self.on_noise.log_density(scale)
        return np.asarray(value)

    def standard_deviations(self, given: Given, tau: Array) -> list[Array]:
        """Of each column of each term, then tau: the reader's units, shape of tau (N, nodes)."""
        scale = tau * self.y_unit
        return [*(scale * ratio[:, None] for ratio in given.ratios.T), scale]

    def roots(self, T: Sequence[Array], tau: Array) -> list[Array]:
        """A root of Sigma of each term's coefficients, in the reader's units, shape (N, q, q)."""
        scale = (tau * self.y_unit)[:, None, None]
        return [scale * (inverse @ t) for inverse, t in zip(self.to_readers, T, strict=True)]


@dataclass(frozen=True, eq=False)
class View:
    """The posterior in the coordinates of a chart, which has a share of it where there are two."""

    over: VariancePosterior
    chart: Chart

    @property
    def size(self) -> int:
        """Number of coordinates, without t."""
        return self.chart.size

    def box(self) -> Array:
        """Lowest and highest value of each coordinate, shape (size, 2)."""
        return self.chart.box(FARTHER if self.size == 1 else FARTHEST)

    def start(self) -> Array:
        """The coordinates of the fit, a little inside where it is on an edge; shape (size,)."""
        model = self.over.model
        largest = max(float(np.abs(root).max()) for root in model.roots)
        tau = max(float(np.sqrt(model.tau2)), 1e-6 * largest, 1e-300)  # of a fit without noise
        T = self.over.assembly.inwards([root / tau for root in model.roots])
        own = [t[None] for t in T]
        x, w = np.split(self.chart.coordinates(own)[0], [len(self.chart.sds)])
        return np.append(np.maximum(x, np.arcsinh(1e-2)), np.clip(w, -0.99, 0.99))

    def given(self, at: Array) -> Given:
        """What the data say at coordinates, shape (N, size)."""
        return self.over.given(self.chart.roots(at))

    def log_density(self, at: Array, given: Given, t: Array) -> Array:
        """Log of p(y, x, w, t), times the chart's share; t of shape (N, nodes); -inf where lost."""
        with np.errstate(all="ignore"):
            value = self.over.log_density(given, t, self._log_share(at, given))
        return np.where(np.isfinite(value), value, -np.inf)

    def _log_share(self, at: Array, given: Given) -> Array:
        """Log of the Jacobian of the coordinates, times the share of this chart; shape (N,).

        Of several charts the one that has the least volume for a piece of Sigma draws it on the
        largest scale. Their shares are as volume^-SHARP, so that no chart has to follow the
        ridges and poles that only look so in its coordinates.
        """
        readers = self.over.charts[0]
        constant = sum(log_symmetric((len(readers.frames[t]) - j) / 2) for t, _, j in readers.pairs)
        log_slope = constant + self._log_slope(at, given)
        if len(self.over.charts) == 1:
            return np.asarray(log_slope)
        volumes = np.stack(
            [
                chart.log_volume(at if chart is self.chart else chart.coordinates(given.T))
                for chart in self.over.charts
            ]
        )
        own = self.chart.log_volume(at)
        return np.asarray(log_slope - SHARP * own - np.logaddexp.reduce(-SHARP * volumes, axis=0))

    def _log_slope(self, at: Array, given: Given) -> Array:
        """Log of d (the reader's sds / tau, their correlations) / d coordinates, shape (N,)."""
        chart = self.chart
        over = self.over
        units = np.concatenate(over.assembly.units)
        if chart is over.charts[0]:
            return np.asarray(chart.log_slopes(at).sum(axis=1) - np.log(units).sum())
        # d Sigma = prod ratio^q d ratio, times d correlations, in the reader's columns
        log_slope = chart.log_volume(at)
        for k, (t, _) in enumerate(over.sds):
            if chart.correlated[t]:
                q = len(chart.frames[t])
                log_slope = log_slope - q * np.log(given.ratios[:, k])
            else:
                log_slope = log_slope - np.log(units[k])
        for t, R in enumerate(over.assembly.columns):
            if chart.correlated[t]:
                log_slope = log_slope - (len(R) + 1) * np.linalg.slogdet(R)[1]
        return np.asarray(log_slope)


def posterior_of(model: Fit, prior: Prior) -> VariancePosterior:
    """The posterior of the variances of a fitted model; the fit lends data, not estimates."""
    assembly = assemble(model.gram, True, model.known_tau2)
    return VariancePosterior(
        model=model,
        assembly=assembly,
        on_sds=prior.on_sds([k.q for k in model.gram.blocks]),
        on_noise=prior.noise,
        on_fixed=prior.on_fixed(model.gram.p),
        on_correlations=prior.correlation,
        charts=tuple(charts(assembly)),
    )


def _normaliser(factor: GaussianFactor) -> float:
    """Log of the constant that makes the proper part of a factor a density."""
    P = factor.precision
    h = factor.shift
    live = np.diag(P) > 0
    d = np.sqrt(np.diag(P)[live])
    values, vectors = np.linalg.eigh(P[np.ix_(live, live)] / np.outer(d, d))
    sure = values > 1e-12
    shift = (vectors.T @ (h[live] / d))[sure]
    log_det = np.log(values[sure]).sum() + 2 * np.log(d).sum()
    return float((log_det - sure.sum() * np.log(2 * np.pi) - (shift**2 / values[sure]).sum()) / 2)
