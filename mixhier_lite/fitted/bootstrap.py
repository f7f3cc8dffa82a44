"""The parametric bootstrap, which draws a Gram and never a row."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import refused
from ..gram.gram import Gram
from ..inputs import Array, count, generator, level_of
from ..progress import shown
from ..values import Value
from .estimates import Estimates, estimate
from .simulation import Rows, simulated


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Value):
    """Estimates of data drawn from the fitted model, one row per draw."""

    model: Estimates
    """The fit from which the data were drawn."""
    fixed: Array
    """Shape (draws, p)."""
    fixed_se: Array
    """Their standard errors, shape (draws, p)."""
    Sigma: tuple[Array, ...]
    """For each term, shape (draws, q, q)."""
    tau2: Array
    """Shape (draws,)."""

    def interval(self, level: float = 0.95) -> Array:
        """Bootstrap-t intervals of the fixed effects, shape (p, 2).

        The errors of the draws are counted in their own standard errors. So the intervals allow
        for variances that few groups tell poorly, which percentiles of the draws do not.
        """
        level = level_of(level)
        errors = self.fixed - self.model.fixed
        t = np.divide(errors, self.fixed_se, out=np.zeros_like(errors), where=self.fixed_se > 0)
        low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2], axis=0)
        se = self.model.fixed_se
        return np.column_stack([self.model.fixed - high * se, self.model.fixed - low * se])


def bootstrap(
    model: Estimates,
    rows: Rows | None,
    draws: int,
    rng: np.random.Generator,
    progress: bool = False,
) -> Bootstrap:
    """Draw data from the fitted model and fit them again.

    With one term the Gram itself is drawn, without any row: [Z X]'W eps is normal with
    covariance tau2 [Z X]'W[Z X], and what eps'W eps has beyond it is chi-squared.

    Parameters
    ----------
    model : Estimates
    rows : Rows or None
        Needed where there are several terms.
    draws : int
    rng : numpy.random.Generator
    progress : bool
        Show a progress bar (needs tqdm).
    """
    count(draws, "draws", 2, "data sets to draw", "pass for instance draws=1000")
    generator(rng)
    if len(model.gram.blocks) > 1 and rows is None:
        raise refused("bootstrap-needs-rows")
    steps = shown(range(draws), progress)
    found = [estimate(_redrawn(model, rows, rng), model.method, model.known_tau2) for _ in steps]
    Sigma = tuple(np.stack([f.Sigma[t] for f in found]) for t in range(len(model.roots)))
    fixed = np.stack([f.fixed for f in found])
    fixed_se = np.stack([f.fixed_se for f in found])
    return Bootstrap(model, fixed, fixed_se, Sigma, np.array([f.tau2 for f in found]))


def _redrawn(model: Estimates, rows: Rows | None, rng: np.random.Generator) -> Gram:
    """Draw the part of the Gram that belongs to y = X alpha + Z beta + eps."""
    gram = model.gram
    if len(gram.blocks) != 1:
        assert rows is not None
        y = simulated(model, rows, rng)
        return Gram.from_arrays(y, rows.X, rows.terms, rows.weights, gram.names)
    p = gram.p
    block = gram.blocks[0]
    eps = _noise(gram, float(np.sqrt(model.tau2)), rng)
    spherical = rng.standard_normal((block.J, block.q)) @ model.roots[0].T
    beta = spherical if block.root is None else block.root @ spherical
    # in the Gram's columns
    beta = beta @ block.H.T
    alpha = gram.H[:p, :p] @ model.fixed - gram.H[:p, p]
    Z_X = block.B[:, :, :p]
    X_X = gram.C[:p, :p]
    Z_Zbeta = np.einsum("jkl,jl->jk", block.A, beta)
    X_Zbeta = np.einsum("jkp,jk->p", Z_X, beta)
    Z_y = Z_X @ alpha + Z_Zbeta + eps.with_Z
    X_y = X_X @ alpha + X_Zbeta + eps.with_X
    y_y = (
        alpha @ X_X @ alpha
        + 2 * alpha @ (X_Zbeta + eps.with_X)
        + (beta * (Z_Zbeta + 2 * eps.with_Z)).sum()
        + eps.with_itself
    )
    C = np.block([[X_X, X_y[:, None]], [X_y[None], np.array([[y_y]])]])
    B = np.concatenate([Z_X, Z_y[..., None]], axis=2)
    return replace(gram, C=C, blocks=(replace(block, B=B),))


@dataclass(frozen=True, eq=False)
class NoiseMoments:
    """What a Gram knows of the noise eps of the rows, with weights W."""

    with_Z: Array
    """Z_j'W eps of every level, shape (J, q)."""
    with_X: Array
    """X'W eps, shape (p,)."""
    with_itself: float
    """eps'W eps."""


def _noise(gram: Gram, tau: float, rng: np.random.Generator) -> NoiseMoments:
    """Draw the moments of the noise without its rows.

    In orthonormal columns, those of Z and then what X adds within the levels, eps has independent
    normal coordinates z. The squares of all others add up to a chi-square.
    """
    p = gram.p
    block = gram.blocks[0]
    # Z_j'WZ_j = vectors diag(values) vectors', and the orthonormal columns are Z vectors / root
    values, vectors = np.linalg.eigh(block.A)
    live = values > 1e-12 * values.max()
    root = np.sqrt(np.where(live, values, 0.0))
    inverse = np.where(live, 1 / np.where(live, root, 1), 0)
    X_along = np.einsum("jka,jkp->jap", vectors, block.B[:, :, :p]) * inverse[..., None]
    X_within = gram.C[:p, :p] - np.einsum("jap,jaq->pq", X_along, X_along)
    inner, axes = np.linalg.eigh(X_within)
    within = inner > 1e-12 * np.abs(np.diag(gram.C)[:p]).max(initial=0.0)
    z = rng.standard_normal(root.shape) * live
    z_within = rng.standard_normal(p) * within
    n_others = gram.n - int(live.sum()) - int(within.sum())
    others = rng.chisquare(n_others) if n_others > 0 else 0.0
    of_within = axes @ (np.sqrt(np.clip(inner, 0, None)) * z_within)
    return NoiseMoments(
        with_Z=tau * np.einsum("jka,ja->jk", vectors, root * z),
        with_X=tau * (np.einsum("jap,ja->p", X_along, z) + of_within),
        with_itself=float(tau**2 * ((z**2).sum() + (z_within**2).sum() + others)),
    )
