"""What a posterior says, as numbers: mixtures over the nodes of a grid, or weighted points."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .conditional import moments
from .errors import InputError
from .importance import Points
from .inputs import Array
from .landscape import Landscape
from .quadrature import Grid, grid
from .unknowns import Unknowns

THIN = {1: 120, 2: 40, 3: 32}
"""Nodes a side for what is a smooth mixture over the nodes, by the number of coordinates."""


@dataclass(frozen=True, eq=False)
class Integral:
    """A posterior, integrated."""

    over: Landscape = field(repr=False)
    nodes: Grid | Points = field(repr=False)
    exists: Unknowns = field(repr=False)
    """Moments of order below these exponents exist."""
    error: float
    """Last change with more nodes, or the mass beyond them where that is more; with weighted points
    the standard error of a probability."""

    @property
    def log_marginal(self) -> float:
        """Log of p(y), the integral of likelihood times prior.

        With flat priors, whose density is 1, it is known up to a constant: differences between
        models mean something only where their flat parts are the same.
        """
        return self.nodes.log_marginal

    @property
    def mean(self) -> Unknowns:
        """Posterior means; nan where there is none, inf for a standard deviation without one."""
        first = self._moments[0].combine(self.exists, lambda m, e: np.where(e > 1, m, np.nan))
        sds = tuple(np.where(np.isnan(m), np.inf, m) for m in first.sds)
        tau = np.inf if np.isnan(first.tau) else first.tau
        return Unknowns(first.fixed, first.random, sds, tau)

    @property
    def sd(self) -> Unknowns:
        """Posterior standard deviations; inf where there is none."""
        return self._moments[1].combine(self.exists, lambda s, e: np.where(e > 2, s, np.inf))

    def quantile(self, probability: float) -> Unknowns:
        """Posterior quantiles, which exist always.

        Raises
        ------
        InputError
            probability not between 0 and 1.
        """
        if not 0 < probability < 1:
            raise InputError(
                "probability is not one.",
                "a number between 0 and 1",
                f"{probability!r}",
                "pass for instance 0.5 for the median",
            )
        weights, fixed = self._mixture_of_alpha
        blocks = self.over.model.gram.blocks
        *sds, tau = (self._root(k, probability) for k in range(len(self.over.sds) + 1))
        parts = np.split(np.array(sds), np.cumsum([k.q for k in blocks])[:-1])
        return Unknowns(
            _mixture_quantile(probability, weights, *fixed),
            tuple(
                _mixture_quantile(probability, *mixture).reshape(k.J, k.q)
                for mixture, k in zip(self._mixtures_of_beta, blocks, strict=True)
            ),
            tuple(parts),
            tau,
        )

    @cached_property
    def _thin(self) -> "Grid | Points":
        """Nodes for the mixtures: fewer, where the integrand is smooth."""
        nodes, n = self.nodes, THIN.get(self.over.size, 0)
        if isinstance(nodes, Points) or len(nodes.axes[0]) <= n:
            return nodes
        return grid(self.over, nodes.box, n, nodes)

    @cached_property
    def _mixture_of_alpha(self) -> tuple[Array, tuple[Array, Array]]:
        """Weights (K,), means and standard deviations (K, p) of a mixture of normals."""
        nodes, (_, back) = self.nodes, self.over.units
        node, m = np.nonzero(nodes.mass > _negligible(nodes.mass))
        given, tau = nodes.given[node], nodes.tau[node, m]
        z, variance = given.moments_of_z(tau)
        spread = back @ given.root
        means = self.over.fixed(given.alpha) + np.einsum("kij,kj->ki", spread, z)
        sds = np.sqrt(np.einsum("kij,kj->ki", spread**2, variance))
        return nodes.mass[node, m], (means, sds)

    @cached_property
    def _mixtures_of_beta(self) -> list[tuple[Array, Array, Array]]:
        """For each term weights (K,), means and standard deviations (K, J q)."""
        nodes, unit = self._thin, self.over.y_unit
        mass = np.where(nodes.mass > _negligible(nodes.mass), nodes.mass, 0.0)
        heavy = np.flatnonzero(mass.sum(axis=1))
        T = self.over.roots(nodes.at[heavy])
        out: list[tuple[list[Array], ...]] = [([], [], []) for _ in T]
        for part, H, P in moments(self.over.unpooled, T):
            at, m = np.nonzero(mass[heavy[part]])
            given, node = nodes.given[heavy[part]][at], heavy[part][at]
            tau, p = nodes.tau[node, m], given.alpha.shape[1]
            z, variance = given.moments_of_z(tau)
            alpha = given.alpha + np.einsum("kij,kj->ki", given.root, z)
            for (weights, means, sds), h, diagonal in zip(out, H, P, strict=True):
                mean = h[at, ..., p] - np.einsum("kjqc,kc->kjq", h[at, ..., :p], alpha)
                turned = np.einsum("kjqc,kcd->kjqd", h[at, ..., :p], given.root)
                var = tau[:, None, None] ** 2 * diagonal[at]
                var = var + np.einsum("kjqd,kd->kjq", turned**2, variance)
                weights.append(mass[node, m])
                means.append(mean.reshape(len(at), -1) * unit)
                sds.append(np.sqrt(var).reshape(len(at), -1) * unit)
        joined = [[np.concatenate(x) for x in term] for term in out]
        return [(weights, means, sds) for weights, means, sds in joined]

    @cached_property
    def _moments(self) -> tuple[Unknowns, Unknowns]:
        """Means and standard deviations, whether they exist or not."""
        mass = self.nodes.mass
        values = self.over.standard_deviations(self.nodes.at, self.nodes.tau)
        found = [_mixture_moments(mass.ravel(), v.reshape(-1, 1), np.zeros((1, 1))) for v in values]
        fixed = _mixture_moments(self._mixture_of_alpha[0], *self._mixture_of_alpha[1])
        random = [_mixture_moments(*mixture) for mixture in self._mixtures_of_beta]
        blocks = self.over.model.gram.blocks
        stops = np.cumsum([0, *(k.q for k in blocks)])
        return tuple(  # type: ignore[return-value]
            Unknowns(
                fixed[k],
                tuple(r[k].reshape(b.J, b.q) for r, b in zip(random, blocks, strict=True)),
                tuple(
                    np.array([found[i][k][0] for i in range(a, z)])
                    for a, z in zip(stops[:-1], stops[1:], strict=True)
                ),
                float(found[-1][k][0]),
            )
            for k in (0, 1)
        )

    def _root(self, k: int, probability: float) -> float:
        """The value below which a standard deviation lies with this probability."""
        from scipy.optimize import brentq

        if k == len(self.over.sds) and self.over.tau_known is not None:
            return float(np.sqrt(self.over.model.tau2))
        values = self.over.standard_deviations(self.nodes.at, self.nodes.tau)[k]
        likely = np.log(values[self.nodes.mass > 1e-12])
        below = self.nodes.distribution(k)

        def excess(x: float) -> float:
            return below(float(np.exp(x))) - probability

        low, high = float(likely.min()), float(likely.max())
        while excess(low) > 0:
            low -= 5.0
        return float(np.exp(brentq(excess, low, high + 1.0, xtol=1e-10)))


def _negligible(mass: Array) -> float:
    """The mass below which nodes have less than 1e-8 of the whole together."""
    ordered = np.sort(mass, axis=None)
    return float(ordered[np.searchsorted(np.cumsum(ordered), 1e-8)]) * (1 - 1e-12)


def _mixture_moments(weights: Array, means: Array, sds: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of mixtures of normals, one a column."""
    weights = weights / weights.sum()
    mean = weights @ means
    return mean, np.sqrt(weights @ ((means - mean) ** 2 + sds**2))


def _mixture_quantile(probability: float, weights: Array, means: Array, sds: Array) -> Array:
    """Quantiles of mixtures of normals, one a column, by bisection."""
    from scipy.special import ndtr

    weights = weights / weights.sum()
    low, high = (means - 9 * sds).min(axis=0), (means + 9 * sds).max(axis=0)
    for _ in range(50):
        middle = (low + high) / 2
        below = weights @ ndtr((middle - means) / sds) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
