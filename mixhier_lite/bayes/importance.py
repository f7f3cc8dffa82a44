"""Weighted draws of the variances, where they are too many for a grid.

The proposal is a mixture of three Student t densities in unbounded coordinates: log x of each
standard deviation, atanh w of each partial correlation, and t. It is centred on the mode and
then adapted to its own weighted draws.

Without it, two crossed slopes, three correlated columns, four variances, and slopes beside a
crossed factor would be refused. On such models the effective share of the draws was 0.5 (two
crossed slopes; three columns, also where two of them are far from zero), 0.4 (four variances),
0.3 (Penicillin with slopes), 0.2 (radon with slopes and a second factor) and 0.17 (sleepstudy,
a parabola for each person), in 1 to 30 seconds. A parabola in x far from zero, or three columns
for eight groups, may come out below a tenth, and is refused then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..inputs import Array
from .posterior import Given, VariancePosterior, View

DF = 5.0
"""Degrees of freedom of the proposal: tails heavier than the posterior's."""
POOR = 0.1
"""The smallest effective share of the draws that is accepted."""
EVEN = 0.1
"""The effective share of the draws that a proposal is adapted to."""
ROUNDS = 12
"""How often a proposal is adapted, at most, before its weights are even."""
LEAST = 0.1
"""The smallest share of the draws that come from one chart."""


@dataclass(frozen=True, eq=False)
class Points:
    """Weighted points of a posterior."""

    over: VariancePosterior
    t: Array
    """Shape (N, 1)."""
    given: Given
    log_weight: Array
    """Log of density over proposal, shape (N,); the sum of the weights is the marginal."""

    @property
    def tau(self) -> Array:
        """Scaled standard deviation of the noise, shape (N, 1)."""
        return self.over.tau(self.given, self.t)

    @property
    def mass(self) -> Array:
        """Weights that sum to one, shape (N, 1)."""
        w = np.exp(self.log_weight - self.log_weight.max())
        return np.asarray(w / w.sum())[:, None]

    @property
    def effective(self) -> float:
        """Number of independent draws that tell as much: 1 / sum of squared weights."""
        return float(1 / (self.mass**2).sum())

    @property
    def log_marginal(self) -> float:
        """Log of the integral of likelihood times prior."""
        peak = float(self.log_weight.max())
        return peak + float(np.log(np.exp(self.log_weight - peak).sum()))

    def distribution(self, k: int) -> Callable[[float], float]:
        """Posterior distribution function of the k-th standard deviation; tau is the last."""
        found = self.over.standard_deviations(self.given, self.tau)[k]
        return lambda value: float(self.mass[found <= value].sum())

    @classmethod
    def joined(cls, parts: "list[Points]") -> "Points":
        """The points of several charts."""
        return cls(
            over=parts[0].over,
            t=np.concatenate([part.t for part in parts]),
            given=Given.joined([part.given for part in parts]),
            log_weight=np.concatenate([part.log_weight for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Proposal:
    """A density in the unbounded coordinates of one chart: centre and covariance."""

    over: View
    centre: Array
    cov: Array

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Points]:
        """Draw unbounded coordinates, (count, size), and look at the posterior there."""
        u, log_proposal = _student(self.centre, self.cov, count, rng)
        t, given, height = _look(self.over, u)
        log_weight = height - log_proposal - np.log(count)
        return u, Points(self.over.over, t[:, None], given, log_weight)

    def adapted(self, u: Array, points: Points) -> "Proposal":
        """The mean and covariance of weighted draws.

        Where a few of them have most of the weight, the weights are taken to a power less than
        one, so that a tenth of the draws counts.
        """
        power = 1.0
        w = points.mass[:, 0]
        while 1 / (w**2).sum() < EVEN * len(w):
            power *= 0.8
            tempered = np.exp(power * (points.log_weight - points.log_weight.max()))
            w = tempered / tempered.sum()
        centre = w @ u
        cov = (w * (u - centre).T) @ (u - centre) + 1e-6 * np.eye(len(centre))
        return Proposal(self.over, centre, cov)

    def settled(self, rng: np.random.Generator) -> tuple["Proposal", float]:
        """Adapt until the weights are even; return the log of the chart's mass as well."""
        found = self
        for size in [2000] * ROUNDS:
            u, points = found.draw(size, rng)
            found = found.adapted(u, points)
            if points.effective > EVEN * size:
                break
        for size in (4000, 8000):
            u, points = found.draw(size, rng)
            found = found.adapted(u, points)
        return found, points.log_marginal


def weighted(over: VariancePosterior, count: int, rng: np.random.Generator) -> Points:
    """Draw weighted points, from each chart in proportion to its mass.

    Raises
    ------
    InputError
        The effective number is below a tenth of the count.
    """
    settled = [Proposal(view, *_mode(view)).settled(rng) for view in over.views]
    proposals = [proposal for proposal, _ in settled]
    log_masses = np.array([log_mass for _, log_mass in settled])
    shares = np.exp(log_masses - log_masses.max())
    counts = np.ceil(count * np.maximum(shares / shares.sum(), LEAST)).astype(int)
    pairs = zip(proposals, counts, strict=True)
    found = Points.joined([proposal.draw(int(n), rng)[1] for proposal, n in pairs])
    if found.effective < POOR * count:
        raise refused(
            "too-rough-for-importance-sampling",
            least_share=POOR,
            effective=found.effective,
            draws=count,
        )
    return found


def resample(points: Points, draws: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw points in proportion to their weights, evenly along the sum; in random order."""
    places = (np.arange(draws) + rng.random()) / draws
    chosen = np.searchsorted(np.cumsum(points.mass), places * (1 - 1e-12))
    return np.asarray(rng.permutation(chosen))


def _look(over: View, u: Array) -> tuple[Array, Given, Array]:
    """t, what the data say, and log density at unbounded coordinates u."""
    m = len(over.chart.sds)
    k = over.size
    x = np.exp(np.minimum(u[:, :m], np.log(over.box()[:m, 1])))
    w = np.tanh(u[:, m:k])
    t = u[:, k] if u.shape[1] > k else np.zeros(len(u))
    at = np.hstack([x, w])
    given = over.given(at)
    value = over.log_density(at, given, t[:, None])[:, 0]
    with np.errstate(divide="ignore"):
        value = value + u[:, :m].sum(axis=1) + np.log1p(-(w**2)).sum(axis=1)
    return t, given, value


def _mode(over: View) -> tuple[Array, Array]:
    """The highest point in unbounded coordinates, and the inverse of the curvature there."""
    from scipy.optimize import minimize

    m = len(over.chart.sds)
    start = over.start()
    u = np.append(np.log(start[:m]), np.arctanh(start[m:]))
    u = u if over.over.tau_known is not None else np.append(u, 0.0)
    steps = 1e-4 * np.eye(len(u))

    def descent(u: Array) -> tuple[float, Array]:
        value = _look(over, np.vstack([u, u + steps, u - steps]))[2]
        slope = (value[1 : len(u) + 1] - value[len(u) + 1 :]) / 2e-4
        ok = np.isfinite(value).all()
        return (-float(value[0]), -slope) if ok else (1e300, np.zeros(len(u)))

    u = minimize(descent, u, jac=True, method="BFGS").x
    slopes = np.array([descent(u + s)[1] - descent(u - s)[1] for s in 100 * steps]) / 2e-2
    values, axes = np.linalg.eigh((slopes + slopes.T) / 2)
    return u, (axes / np.clip(values, 0.05, None)) @ axes.T


def _student(
    centre: Array, cov: Array, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw from a mixture of t densities of three widths, and its log density."""
    from scipy.special import gammaln, logsumexp

    k = len(centre)
    widths = np.array([0.7, 1.0, 2.0])
    root = np.linalg.cholesky(cov)
    width = rng.choice(widths, count)
    scale = width / np.sqrt(rng.chisquare(DF, count) / DF)
    u = centre + scale[:, None] * rng.standard_normal((count, k)) @ root.T
    squares = (np.linalg.solve(root, (u - centre).T) ** 2).sum(axis=0)
    peak = gammaln((DF + k) / 2) - gammaln(DF / 2) - k / 2 * np.log(DF * np.pi)
    peak -= np.log(np.diag(root)).sum()
    parts = [peak - k * np.log(w) - (DF + k) / 2 * np.log1p(squares / (w**2 * DF)) for w in widths]
    return u, np.asarray(logsumexp(parts, axis=0) - np.log(len(widths)))
