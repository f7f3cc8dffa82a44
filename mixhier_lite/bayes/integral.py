"""What a posterior says, as numbers: mixtures over the nodes of a grid, or weighted points."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from ..inputs import Array, between_0_and_1
from ..values import Value
from .conditional import moments
from .importance import Points
from .parameters import Unknowns
from .posterior import Given, Landscape
from .quadrature import Grids
from .summary import stacked, text

NODES = {1: 400, 2: 54, 3: 36}
"""Nodes a side for mixtures over the nodes, by the number of coordinates."""


@dataclass(frozen=True, eq=False, repr=False)
class Integral(Value):
    """A posterior, integrated."""

    over: Landscape = field(repr=False)
    nodes: Grids | Points = field(repr=False)
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

    def __str__(self) -> str:
        """Means and standard deviations of alpha, the sds and tau, and where the prior sits."""
        mean, sd = self.mean, self.sd
        columns = {
            "mean": stacked(mean.fixed, mean.sds, mean.tau),
            "sd": stacked(sd.fixed, sd.sds, sd.tau),
        }
        return text(self.over.model, columns)

    def quantile(self, probability: float) -> Unknowns:
        """Posterior quantiles, which exist always.

        Parameters
        ----------
        probability : float
            One number: an interval takes two calls.

        Raises
        ------
        InputError
            probability not one number between 0 and 1.
        """
        remedy = "pass for instance 0.5 for the median, and call again for each further quantile"
        probability = between_0_and_1(probability, "probability is not one number.", remedy)
        alpha = self._mixture_of_alpha(_negligible(self.nodes.mass))
        blocks = self.over.model.gram.blocks
        *sds, tau = (self._root(k, probability) for k in range(len(self.over.sds) + 1))
        parts = np.split(np.array(sds), np.cumsum([k.q for k in blocks])[:-1])
        return Unknowns(
            _mixture_quantile(probability, *alpha),
            tuple(
                _mixture_quantile(probability, *mixture).reshape(k.J, k.q)
                for mixture, k in zip(self._mixtures_of_beta, blocks, strict=True)
            ),
            tuple(parts),
            tau,
        )

    @cached_property
    def _mixed(self) -> Grids | Points:
        """Nodes for the mixtures: where few levels make narrow peaks, many of them."""
        nodes, many = self.nodes, sum(beta.size for beta in self.over.model.random)
        if isinstance(nodes, Points):
            return nodes
        n = min(NODES[self.over.size], max(4 * 10**5 // many, 36))
        return nodes.refined(n, 24)

    def _mixture_of_alpha(self, least: float) -> tuple[Array, Array, Array]:
        """Weights (K,), means and standard deviations (K, p) of a mixture of normals."""
        nodes = self.nodes
        _, back = self.over.to_fixed
        node, m = np.nonzero(nodes.mass > least)
        given, tau = nodes.given[node], nodes.tau[node, m]
        z, variance = given.moments_of_z(tau)
        spread = back @ given.root
        means = self.over.fixed(given.alpha) + np.einsum("kij,kj->ki", spread, z)
        sds = np.sqrt(np.einsum("kij,kj->ki", spread**2, variance))
        return nodes.mass[node, m], means, sds

    @cached_property
    def _mixtures_of_beta(self) -> list[tuple[Array, Array, Array]]:
        """For each term weights (K,), means and standard deviations (K, J q); no light nodes."""
        nodes, unit = self._mixed, self.over.y_unit
        mass = np.where(nodes.mass > _negligible(nodes.mass), nodes.mass, 0.0)
        heavy = np.flatnonzero(mass.sum(axis=1))
        out: list[tuple[list[Array], ...]] = [([], [], []) for _ in self.over.model.T]
        for part, given, parts in self._given_alpha(nodes, heavy):
            at, m = np.nonzero(mass[part])
            tau = nodes.tau[part][at, m]
            z, variance = given[at].moments_of_z(tau)
            for (weights, means, sds), (beta, slope, P) in zip(out, parts, strict=True):
                mean = beta[at] + np.einsum("kad,kd->ka", slope[at], z)
                var = np.einsum("kad,kd->ka", slope[at] ** 2, variance)
                weights.append(mass[part][at, m])
                means.append(mean * unit)
                sds.append(np.sqrt(var + tau[:, None] ** 2 * P[at]) * unit)
        joined = [[np.concatenate(x) for x in term] for term in out]
        return [(weights, means, sds) for weights, means, sds in joined]

    def _moments_of_beta(self) -> list[tuple[Array, Array]]:
        """For each term means and standard deviations, shape (J, q); z and tau averaged first."""
        nodes, unit = self.nodes, self.over.y_unit
        centres = [beta.ravel() / unit for beta in self.over.model.random]
        sums = [np.zeros((2, len(c))) for c in centres]
        for part, given, parts in self._given_alpha(nodes, np.arange(len(nodes.mass))):
            w, tau = nodes.mass[part], nodes.tau[part]
            z, variance = given.moments_of_z(tau)
            first = np.einsum("nm,nmd->nd", w, z)
            second = np.einsum("nm,nmc,nmd->ncd", w, z, z)
            np.einsum("ndd->nd", second)[...] += np.einsum("nm,nmd->nd", w, variance)
            noise = (w * tau**2).sum(axis=1)
            for total, c, (beta, slope, P) in zip(sums, centres, parts, strict=True):
                off, along = beta - c, np.einsum("nad,nd->na", slope, first)
                total[0] += w.sum(axis=1) @ off + along.sum(axis=0)
                total[1] += w.sum(axis=1) @ off**2 + 2 * (off * along).sum(axis=0) + noise @ P
                total[1] += np.einsum("nac,ncd,nad->a", slope, second, slope, optimize=True)
        mass = nodes.mass.sum()
        return [
            ((c + first / mass) * unit, np.sqrt(second / mass - (first / mass) ** 2) * unit)
            for c, (first, second) in zip(centres, sums, strict=True)
        ]

    def _given_alpha(
        self, nodes: Grids | Points, chosen: Any
    ) -> Iterator[tuple[Any, Given, list[tuple[Array, Array, Array]]]]:
        """Some nodes at a time: beta = at alpha_hat + slope @ z, and P, each with J q columns."""
        for part, H, P in moments(self.over.unpooled, nodes.given[chosen].T):
            given, parts = nodes.given[chosen[part]], []
            p, N = given.alpha.shape[1], len(given.alpha)
            for h, diagonal in zip(H, P, strict=True):
                h = h.reshape(N, -1, p + 1)
                beta = h[..., p] - np.einsum("nac,nc->na", h[..., :p], given.alpha)
                parts.append((beta, -h[..., :p] @ given.root, diagonal.reshape(N, -1)))
            yield chosen[part], given, parts

    @cached_property
    def _moments(self) -> tuple[Unknowns, Unknowns]:
        """Means and standard deviations, whether they exist or not."""
        mass, blocks = self.nodes.mass, self.over.model.gram.blocks
        values = self.over.standard_deviations(self.nodes.given, self.nodes.tau)
        found = [_mixture_moments(mass.ravel(), v.reshape(-1, 1), np.zeros((1, 1))) for v in values]
        fixed = _mixture_moments(*self._mixture_of_alpha(-1.0))
        random = self._moments_of_beta()
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
        values = self.over.standard_deviations(self.nodes.given, self.nodes.tau)[k]
        likely = np.log(values[self.nodes.mass > 1e-12])
        below = self.nodes.distribution(k)

        def excess(log_value: float) -> float:
            return below(float(np.exp(log_value))) - probability

        low = _first_beyond(excess, float(likely.min()), -5.0)
        high = _first_beyond(excess, float(likely.max()), 1.0)
        return float(np.exp(brentq(excess, low, high, xtol=1e-10)))


def _first_beyond(excess: Callable[[float], float], start: float, step: float) -> float:
    """The first of start, start + step, ... where the excess has the sign of the step, or none."""
    for k in range(100):
        place = start + k * step
        if excess(place) * step >= 0:
            return place
    raise InputError(
        "probability is so close to 0 or 1 that quadrature does not resolve it.",
        "a probability with more mass beyond it than the stated error",
        f"no standard deviation out to e^{place:.3g} has it",
        "ask for a quantile that is less extreme",
    )


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
    """Quantiles of mixtures of normals, one a column: Newton's method between two bounds."""
    from scipy.special import ndtr

    weights = weights / weights.sum()
    low, high = (means - 9 * sds).min(axis=0), (means + 9 * sds).max(axis=0)
    x, width = weights @ means, weights @ sds
    for _ in range(60):
        u = (x - means) / sds
        excess = weights @ ndtr(u) - probability
        density = weights @ (np.exp(-(u**2) / 2) / sds) / np.sqrt(2 * np.pi)
        low, high = np.where(excess < 0, x, low), np.where(excess < 0, high, x)
        new = x - excess / np.maximum(density, 1e-300)
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        x, step = new, np.abs(new - x)
        if (step <= 1e-9 * width).all():
            break
    return np.asarray(x)
