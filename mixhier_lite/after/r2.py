"""How much of the variance the fixed and the random effects explain, averaged over the rows."""

from dataclasses import dataclass

import numpy as np

from ..fitted.estimates import Estimates
from ..fitted.simulation import Rows
from ..inputs import Array
from ..values import Value
from .rows import columns, population


@dataclass(frozen=True, repr=False)
class R2(Value):
    """Shares of the variance of a row that are explained (Nakagawa and Schielzeth, 2013)."""

    marginal: float
    """By the fixed effects, fixed / (fixed + random + noise)."""
    conditional: float
    """By fixed and random effects together, (fixed + random) / (fixed + random + noise)."""
    fixed: float
    """The sample variance of X alpha_hat over the rows."""
    random: float
    """Var(z'beta), averaged over the rows (Johnson, 2014)."""
    noise: float
    """tau2 / w, averaged over the rows."""


def r2(model: Estimates, rows: Rows) -> R2:
    """Split the variance of a row. By rows, since a Gram with weights does not know their mean."""
    fixed = float(np.var(population(model, rows), ddof=1))
    random = float(sum(_random(model, rows, t) for t in range(len(model.roots))))
    weights = np.ones(model.n) if rows.weights is None else rows.weights
    noise = float(model.tau2 * (1 / weights).mean())
    whole = fixed + random + noise
    return R2(
        marginal=fixed / whole,
        conditional=(fixed + random) / whole,
        fixed=fixed,
        random=random,
        noise=noise,
    )


def root_of_mean_square(model: Estimates, rows: Rows, t: int) -> Array:
    """R with R'R the mean of z z' over the rows, times K_jj where the levels are related, (q, q).

    For a root of Sigma the mean of z' Sigma z is the sum of squares of R times it.
    """
    Z: Array = columns(rows.terms[t])
    weights = _own(model, rows, t) / model.n
    return np.asarray(np.linalg.qr(np.sqrt(weights)[:, None] * Z, mode="r"))


def _random(model: Estimates, rows: Rows, t: int) -> float:
    """The mean of z' Sigma z over the rows, as squares of z' times a root of Sigma."""
    turned = columns(rows.terms[t]) @ model.roots[t]
    return float(((turned**2).sum(axis=1) * _own(model, rows, t)).mean())


def _own(model: Estimates, rows: Rows, t: int) -> Array:
    """K_jj of the level of every row."""
    K = model.gram.blocks[t].K
    return np.ones(model.n) if K is None else np.diag(K)[rows.terms[t].codes]
