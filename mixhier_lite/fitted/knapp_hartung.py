"""Knapp and Hartung: standard errors that are scaled by how well a known noise fits."""

from dataclasses import dataclass

import numpy as np

from ..errors import refused
from ..inputs import Array
from ..values import Value
from ..variance.assembly import assemble
from .estimates import Estimates
from .satterthwaite import Precision


@dataclass(frozen=True, eq=False, repr=False)
class KnappHartung(Value):
    """What the method knows of a fit with known tau2."""

    known: Precision
    scale: float
    """What is left of y in units of what should be left, y'Py / (n - p)."""
    rows: int
    """n - p."""

    def cov(self, L: Array) -> Array:
        """Scaled covariance of L alpha_hat, shape (k, k)."""
        return self.scale * self.known.cov(L)

    def df(self, L: Array) -> Array:
        """n - p for each row of L, shape (k,)."""
        return np.full(len(L), float(self.rows))

    def of_F(self, L: Array) -> tuple[float, float]:
        """n - p, and a scale of one."""
        return float(self.rows), 1.0


def knapp_hartung(model: Estimates, known: Precision) -> KnappHartung:
    """Find the scale. Where tau2 is estimated by REML it is one by construction.

    Notes
    -----
    Knapp and Hartung (2003); metafor's ``test = "knha"``.
    """
    if model.known_tau2 is None:
        raise refused("knapp-hartung-with-unknown-noise")
    rows = model.n - len(model.fixed)
    return KnappHartung(known, _left_of_y(model) / rows, rows)


def _left_of_y(model: Estimates) -> float:
    """y'Py = (y - X alpha_hat)'V^-1 (y - X alpha_hat), with V at the estimates."""
    assembly = assemble(model.gram, model.reml, model.known_tau2)
    log_det, S = assembly.criterion.evaluate([t[None] for t in assembly.inwards(model.T)])
    at = assembly.criterion.likelihood.profiled(log_det, S)
    return float(at.L[0, -1, -1] ** 2 / at.tau2[0])
