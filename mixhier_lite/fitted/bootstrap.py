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
    """Estimates of data drawn from the fitted model, one row a draw."""

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
    """Draw the part of the Gram that belongs to y."""
    gram = model.gram
    if len(gram.blocks) != 1:
        assert rows is not None
        y = simulated(model, rows, rng)
        return Gram.from_arrays(y, rows.X, rows.terms, rows.weights, gram.names)
    p, block, tau = gram.p, gram.blocks[0], float(np.sqrt(model.tau2))
    A, Bx, Cx = block.A, block.B[:, :, :p], gram.C[:p, :p]
    values, vectors = np.linalg.eigh(A)
    live = values > 1e-12 * values.max()
    s = np.sqrt(np.where(live, values, 0.0))
    # X splits into what the groups explain and what is left within them
    explained = (
        np.einsum("jka,jkp->jap", vectors, Bx)
        * np.where(live, 1 / np.where(live, s, 1), 0)[..., None]
    )
    inner, axes = np.linalg.eigh(Cx - np.einsum("jap,jaq->pq", explained, explained))
    within = inner > 1e-12 * np.abs(np.diag(Cx)).max(initial=0.0)
    z, zw = rng.standard_normal(s.shape) * live, rng.standard_normal(p) * within
    e = tau * np.einsum("jka,ja->jk", vectors, s * z)
    ex = tau * (
        np.einsum("jap,ja->p", explained, z) + axes @ (np.sqrt(np.clip(inner, 0, None)) * zw)
    )
    spare = gram.n - int(live.sum()) - int(within.sum())
    ee = tau**2 * ((z**2).sum() + (zw**2).sum() + (rng.chisquare(spare) if spare > 0 else 0.0))
    u = rng.standard_normal((block.J, block.q)) @ model.roots[0].T
    b = u if block.root is None else block.root @ u
    a = gram.H[:p, :p] @ model.fixed - gram.H[:p, p]
    b = b @ block.H.T  # in the Gram's columns
    Ab, Bb = np.einsum("jkl,jl->jk", A, b), np.einsum("jkp,jk->p", Bx, b)
    By, Cy = Bx @ a + Ab + e, Cx @ a + Bb + ex
    yy = a @ Cx @ a + 2 * a @ (Bb + ex) + (b * (Ab + 2 * e)).sum() + ee
    C = np.block([[Cx, Cy[:, None]], [Cy[None], np.array([[yy]])]])
    B = np.concatenate([Bx, By[..., None]], axis=2)
    return replace(gram, C=C, blocks=(replace(block, B=B),))
