"""What a posterior says, as numbers: mixtures over the nodes of a grid, or weighted points."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array, between_0_and_1, level_of
from ..values import Value
from .conditional import moments
from .grid import light
from .importance import Points
from .parameters import OnDemand, Unknowns
from .posterior import Given, VariancePosterior
from .quadrature import Grids
from .summary import Shares, correlations_and_icc, names_of, text

NODES = {1: 400, 2: 54, 3: 36}
"""Nodes a side for mixtures over the nodes, by the number of coordinates."""
FIRST_STEP = 1e-2
FARTHEST = 100.0
"""The first step from a quantile of the nodes to the other side of the quantile, and the last, in
logs."""
LOST = 1e-8
"""Mass of all nodes together that mixtures leave out, because they have so little of it."""


@dataclass(frozen=True, eq=False, repr=False)
class Integral(Value):
    """A posterior, integrated."""

    over: VariancePosterior = field(repr=False)
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
        return self._moment(0)

    @property
    def sd(self) -> Unknowns:
        """Posterior standard deviations; inf where there is none."""
        return self._moment(1)

    def table(self, level: float = 0.95) -> Any:
        """Means, standard deviations and equal-tailed intervals, as a data frame.

        Rows and columns are those of :meth:`mixhier_lite.bayes.Draws.table`.

        Parameters
        ----------
        level : float
            Probability of the intervals.

        Raises
        ------
        InputError
            level not between 0 and 1.
        """
        tail = (1 - level_of(level)) / 2
        ends = {"lower": self._quantiles(tail), "upper": self._quantiles(1 - tail)}
        columns = {name: np.array(values) for name, values in (self._moments() | ends).items()}
        model = self.over.model
        return model.origin.table({"parameter": names_of(model)}, columns)

    def __str__(self) -> str:
        """Means and standard deviations of what the table has, and where the prior sits."""
        return text(self.over.model, self._moments())

    def _moments(self) -> dict[str, Array]:
        """Mean and standard deviation of everything that the table has."""
        shares = self._shares
        weights = self.nodes.mass.sum(axis=1)
        out = {}
        for k, (name, part) in enumerate({"mean": self.mean, "sd": self.sd}.items()):
            own = [_weighted_moments(value, weights)[k] for value in shares.correlations]
            icc = [_weighted_moments(value, weights)[k] for value in shares.icc]
            out[name] = np.concatenate([part.fixed, *part.sds, own, [part.tau], icc])
        return out

    def _quantiles(self, probability: float) -> Array:
        """A quantile of everything that the table has."""
        part = self.quantile(probability)
        shares = self._shares
        weights = self.nodes.mass.sum(1)
        own = [_weighted_quantile(value, weights, probability) for value in shares.correlations]
        icc = [_weighted_quantile(value, weights, probability) for value in shares.icc]
        return np.concatenate([part.fixed, *part.sds, own, [part.tau], icc])

    @cached_property
    def _shares(self) -> Shares:
        """Correlations and the ICC at every T: with tau = 1 Sigma is Sigma / tau2."""
        over = self.over
        given = self.nodes.given
        ones = np.ones(len(given.r2))
        return correlations_and_icc(over.model, over.roots(given.T, ones / over.y_unit), ones)

    def quantile(self, probability: float) -> Unknowns:
        """Posterior quantiles, which exist always.

        Parameters
        ----------
        probability : float
            One number: an interval takes two calls.

        Raises
        ------
        InputError
            probability not one number between 0 and 1. When a quantile is read: it is so close to
            0 or 1 that quadrature does not resolve it.
        """
        remedy = "pass for instance 0.5 for the median, and call again for each further quantile"
        probability = between_0_and_1(probability, "probability", "not one number", remedy)
        return OnDemand(
            fixed=partial(self._quantile_of_alpha, probability),
            random=partial(self._quantile_of_beta, probability),
            sds=partial(self._quantile_of_sds, probability),
            tau=partial(self._root, len(self.over.sds), probability),
        )

    # --- moments, k = 0 for the mean and 1 for the standard deviation

    def _moment(self, k: int) -> Unknowns:
        """One of the two moments, where it exists."""
        return OnDemand(
            fixed=partial(self._moment_of_alpha, k),
            random=partial(self._moment_of_beta, k),
            sds=partial(self._moment_of_sds, k),
            tau=partial(self._moment_of_tau, k),
        )

    def _moment_of_alpha(self, k: int) -> Array:
        return np.where(self.exists.fixed > k + 1, self._alpha[k], (np.nan, np.inf)[k])

    def _moment_of_beta(self, k: int) -> tuple[Array, ...]:
        each = zip(self._beta, self.exists.random, self.over.model.random, strict=True)
        return tuple(
            np.where(exists > k + 1, moments[k].reshape(beta.shape), (np.nan, np.inf)[k])
            for moments, exists, beta in each
        )

    def _moment_of_sds(self, k: int) -> tuple[Array, ...]:
        found = self._by_term([moments[k] for moments in self._sds_and_tau[:-1]])
        each = zip(found, self.exists.sds, strict=True)
        return tuple(np.where(exists > k + 1, moment, np.inf) for moment, exists in each)

    def _moment_of_tau(self, k: int) -> float:
        return self._sds_and_tau[-1][k] if self.exists.tau > k + 1 else np.inf

    def _by_term(self, sds: list[float]) -> tuple[Array, ...]:
        """One number for each column of each term, as arrays of shape (q_t,)."""
        ends = np.cumsum([block.q for block in self.over.model.gram.blocks])
        return tuple(np.split(np.array(sds), ends[:-1]))

    @cached_property
    def _sds_and_tau(self) -> list[tuple[float, float]]:
        """Mean and standard deviation of each sd, then of tau."""
        mass = self.nodes.mass / self.nodes.mass.sum()
        found = []
        for values in self.over.standard_deviations(self.nodes.given, self.nodes.tau):
            mean = float((mass * values).sum())
            found.append((mean, float(np.sqrt((mass * (values - mean) ** 2).sum()))))
        return found

    @cached_property
    def _z(self) -> tuple[Array, Array, Array]:
        """At each T, mass times E[1], E[z] and E[z z'], with the noise averaged: (N, ...)."""
        mass = self.nodes.mass
        given = self.nodes.given
        mean, variance = given.moments_of_z(self.nodes.tau)
        first = np.einsum("nm,nmd->nd", mass, mean)
        second = np.einsum("nm,nmc,nmd->ncd", mass, mean, mean)
        np.einsum("ndd->nd", second)[...] += np.einsum("nm,nmd->nd", mass, variance)
        return mass.sum(axis=1), first, second

    @cached_property
    def _alpha(self) -> tuple[Array, Array]:
        """Means and standard deviations of alpha, shape (p,)."""
        mass, first, second = self._z
        given = self.nodes.given
        (_, back) = self.over.to_fixed
        centre = self.over.model.fixed
        off = self.over.fixed(given.alpha) - centre
        spread = back @ given.root
        along = np.einsum("nij,nj->ni", spread, first)
        squares = np.einsum("nic,ncd,nid->i", spread, second, spread, optimize=True)
        mean = (mass @ off + along.sum(axis=0)) / mass.sum()
        square = (mass @ off**2 + 2 * (off * along).sum(axis=0) + squares) / mass.sum()
        return centre + mean, np.sqrt(square - mean**2)

    @cached_property
    def _beta(self) -> list[tuple[Array, Array]]:
        """For each term means and standard deviations, shape (J q,)."""
        nodes = self.nodes
        unit = self.over.y_unit
        mass, first, second = self._z
        noise = (nodes.mass * nodes.tau**2).sum(axis=1)
        centres = [beta.ravel() / unit for beta in self.over.model.random]
        sums = [np.zeros((2, len(c))) for c in centres]
        for part, _, parts in self._given_alpha(nodes, np.arange(len(mass))):
            w = mass[part]
            for total, c, (beta, slope, P) in zip(sums, centres, parts, strict=True):
                off = beta - c
                along = np.einsum("nad,nd->na", slope, first[part])
                total[0] += w @ off + along.sum(axis=0)
                total[1] += w @ off**2 + 2 * (off * along).sum(axis=0) + noise[part] @ P
                total[1] += np.einsum("nac,ncd,nad->a", slope, second[part], slope, optimize=True)
        all_mass = mass.sum()
        return [
            ((c + one / all_mass) * unit, np.sqrt(two / all_mass - (one / all_mass) ** 2) * unit)
            for c, (one, two) in zip(centres, sums, strict=True)
        ]

    # --- quantiles

    def _quantile_of_alpha(self, probability: float) -> Array:
        mixture = self._mixture_of_alpha(light(self.nodes.mass, LOST))
        return _mixture_quantile(probability, *mixture)

    def _quantile_of_beta(self, probability: float) -> tuple[Array, ...]:
        each = zip(self._mixtures_of_beta, self.over.model.random, strict=True)
        return tuple(_mixture_quantile(probability, *m).reshape(beta.shape) for m, beta in each)

    def _quantile_of_sds(self, probability: float) -> tuple[Array, ...]:
        return self._by_term([self._root(k, probability) for k in range(len(self.over.sds))])

    @cached_property
    def _mixed(self) -> Grids | Points:
        """Nodes for the mixtures: where few levels make narrow peaks, many of them."""
        nodes = self.nodes
        many = sum(beta.size for beta in self.over.model.random)
        if isinstance(nodes, Points):
            return nodes
        n = min(NODES[self.over.size], max(4 * 10**5 // many, 36))
        return nodes.refined(n, 24)

    def _mixture_of_alpha(self, least: float) -> tuple[Array, Array, Array]:
        """Weights (K,), means and standard deviations (K, p) of a mixture of normals."""
        nodes = self.nodes
        _, back = self.over.to_fixed
        heavy = nodes.mass > least
        some = heavy.any(axis=1)
        heavy = heavy[some]
        given = nodes.given[some]
        z, variance = given.moments_of_z(nodes.tau[some])
        turned = (back @ given.root).swapaxes(1, 2)
        means = self.over.fixed(given.alpha)[:, None] + z @ turned
        sds = np.sqrt(variance @ turned**2)
        return nodes.mass[some][heavy], means[heavy], sds[heavy]

    @cached_property
    def _mixtures_of_beta(self) -> list[tuple[Array, Array, Array]]:
        """For each term weights (K,), means and standard deviations (K, J q); no light nodes."""
        nodes = self._mixed
        unit = self.over.y_unit
        mass = np.where(nodes.mass > light(nodes.mass, LOST), nodes.mass, 0.0)
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

    def _given_alpha(
        self, nodes: Grids | Points, chosen: Any
    ) -> Iterator[tuple[Any, Given, list[tuple[Array, Array, Array]]]]:
        """Some nodes at a time: beta = at alpha_hat + slope @ z, and P, each with J q columns."""
        for part, H, P in moments(self.over.unpooled, nodes.given[chosen].T):
            given = nodes.given[chosen[part]]
            parts = []
            p = given.alpha.shape[1]
            N = len(given.alpha)
            for h, diagonal in zip(H, P, strict=True):
                h = h.reshape(N, -1, p + 1)
                beta = h[..., p] - np.einsum("nac,nc->na", h[..., :p], given.alpha)
                parts.append((beta, -h[..., :p] @ given.root, diagonal.reshape(N, -1)))
            yield chosen[part], given, parts

    def _root(self, k: int, probability: float) -> float:
        """The value below which a standard deviation lies with this probability."""
        from scipy.optimize import brentq

        if k == len(self.over.sds) and self.over.tau_known is not None:
            return float(np.sqrt(self.over.model.tau2))
        nodes = self.nodes
        values = self.over.standard_deviations(nodes.given, nodes.tau)[k]
        heavy = nodes.mass > light(nodes.mass, LOST)  # a start needs no others
        near = np.log(_weighted_quantile(values[heavy], nodes.mass[heavy], probability))
        below = nodes.distribution(k)

        def excess(log_value: float) -> float:
            return below(float(np.exp(log_value))) - probability

        low, high = _between_which(excess, float(near))
        return float(np.exp(brentq(excess, low, high, xtol=1e-10)))


def _between_which(excess: Callable[[float], float], near: float) -> tuple[float, float]:
    """Two places, one not above and one not below zero: ``near``, and one far enough from it."""
    at_near = excess(near)
    step = FIRST_STEP if at_near < 0 else -FIRST_STEP
    place = near
    while abs(place - near) < FARTHEST:
        last = place
        place = near + step
        if excess(place) * step >= 0:
            return (last, place) if step > 0 else (place, last)
        step *= 4
    raise refused("quantile-too-extreme", log_sd=place)


def _weighted_moments(values: Array, weights: Array) -> tuple[float, float]:
    """Mean and standard deviation of values with weights."""
    weights = weights / weights.sum()
    mean = float(weights @ values)
    return mean, float(np.sqrt(weights @ (values - mean) ** 2))


def _weighted_quantile(values: Array, weights: Array, probability: float) -> float:
    """A quantile of values with weights, half of each weight on either side of its value.

    Equal values, as those of a correlation that is a coordinate, are one with all their weight.
    """
    from scipy.interpolate import PchipInterpolator

    order = np.argsort(values)
    values = values[order]
    weights = weights[order] / weights.sum()
    first = np.flatnonzero(np.diff(values, prepend=-np.inf) > 1e-9 * np.ptp(values))
    weights = np.add.reduceat(weights, first)
    below = np.cumsum(weights) - weights / 2
    rising = np.diff(below, prepend=-1.0) > 1e-14
    curve = PchipInterpolator(below[rising], values[first][rising])
    return float(curve(np.clip(probability, below[rising][0], below[rising][-1])))


def _mixture_quantile(probability: float, weights: Array, means: Array, sds: Array) -> Array:
    """Quantiles of mixtures of normals, one per column: Newton's method between two bounds."""
    from scipy.special import ndtr

    weights = weights / weights.sum()
    low = (means - 9 * sds).min(axis=0)
    high = (means + 9 * sds).max(axis=0)
    x = weights @ means
    width = weights @ sds
    for _ in range(60):
        u = (x - means) / sds
        excess = weights @ ndtr(u) - probability
        density = weights @ (np.exp(-(u**2) / 2) / sds) / np.sqrt(2 * np.pi)
        low = np.where(excess < 0, x, low)
        high = np.where(excess < 0, high, x)
        new = x - excess / np.maximum(density, 1e-300)
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        step = np.abs(new - x)
        x = new
        if (step <= 1e-9 * width).all():
            break
    return np.asarray(x)
