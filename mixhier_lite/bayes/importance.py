"""Weighted draws of the variances, where they are too many for a grid.

The proposal is a mixture of three Student t densities in unbounded coordinates: log x of each
standard deviation, atanh w of each partial correlation, and t. It is centred on the mode and
then adapted to its own weighted draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..inputs import Array
from .posterior import Given, Landscape

DF = 5.0
"""Degrees of freedom of the proposal: tails heavier than the posterior's."""
POOR = 0.1
"""The smallest effective share of the draws that is accepted."""


@dataclass(frozen=True, eq=False)
class Points:
    """Weighted points of a landscape."""

    over: Landscape
    at: Array
    """Coordinates, shape (N, size)."""
    t: Array
    """Shape (N, 1)."""
    given: Given
    log_weight: Array
    """Log of density over proposal, shape (N,)."""

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
        return peak + float(np.log(np.exp(self.log_weight - peak).mean()))

    def distribution(self, k: int) -> Callable[[float], float]:
        """Posterior distribution function of the k-th standard deviation; tau is the last."""
        found = self.over.standard_deviations(self.at, self.tau)[k]
        return lambda value: float(self.mass[found <= value].sum())


def weighted(over: Landscape, count: int, rng: np.random.Generator) -> Points:
    """Draw weighted points.

    Raises
    ------
    InputError
        The effective number is below a tenth of the count.
    """
    centre, cov = _mode(over)
    for size in (2000, 4000, 8000, count):
        u, log_proposal = _student(centre, cov, size, rng)
        at, t, given, height = _look(over, u)
        found = Points(over, at, t[:, None], given, height - log_proposal)
        w = found.mass[:, 0]
        centre = w @ u
        cov = (w * (u - centre).T) @ (u - centre) + 1e-6 * np.eye(len(centre))
    if found.effective < POOR * count:
        raise InputError(
            "the posterior is too rough for importance sampling.",
            f"an effective share of the draws of at least {POOR:.0%}",
            f"{found.effective:.0f} of {count}",
            "fewer variances (drop correlations), or tighter priors",
        )
    return found


def resample(points: Points, draws: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw points in proportion to their weights, evenly along the sum; in random order."""
    places = (np.arange(draws) + rng.random()) / draws
    chosen = np.searchsorted(np.cumsum(points.mass), places * (1 - 1e-12))
    return np.asarray(rng.permutation(chosen))


def _look(over: Landscape, u: Array) -> tuple[Array, Array, Given, Array]:
    """Coordinates, t, what the data say, and log density at unbounded coordinates u."""
    m, k = len(over.sds), over.size
    x, w = np.exp(np.minimum(u[:, :m], np.log(over.box()[:m, 1]))), np.tanh(u[:, m:k])
    at, t = np.hstack([x, w]), u[:, k] if u.shape[1] > k else np.zeros(len(u))
    given = over.given(over.roots(at))
    value = over.log_density(at, given, t[:, None])[:, 0]
    with np.errstate(divide="ignore"):
        value = value + u[:, :m].sum(axis=1) + np.log1p(-(w**2)).sum(axis=1)
    return at, t, given, value


def _mode(over: Landscape) -> tuple[Array, Array]:
    """The highest point in unbounded coordinates, and the inverse of the curvature there."""
    from scipy.optimize import minimize

    m, start = len(over.sds), over.start()
    u = np.append(np.log(start[:m]), np.arctanh(start[m:]))
    u = u if over.tau_known is not None else np.append(u, 0.0)
    steps = 1e-4 * np.eye(len(u))

    def descent(u: Array) -> tuple[float, Array]:
        value = _look(over, np.vstack([u, u + steps, u - steps]))[3]
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

    k, widths = len(centre), np.array([0.7, 1.0, 2.0])
    root = np.linalg.cholesky(cov)
    width = rng.choice(widths, count)
    scale = width / np.sqrt(rng.chisquare(DF, count) / DF)
    u = centre + scale[:, None] * rng.standard_normal((count, k)) @ root.T
    squares = (np.linalg.solve(root, (u - centre).T) ** 2).sum(axis=0)
    peak = gammaln((DF + k) / 2) - gammaln(DF / 2) - k / 2 * np.log(DF * np.pi)
    peak -= np.log(np.diag(root)).sum()
    parts = [peak - k * np.log(w) - (DF + k) / 2 * np.log1p(squares / (w**2 * DF)) for w in widths]
    return u, np.asarray(logsumexp(parts, axis=0) - np.log(len(widths)))
