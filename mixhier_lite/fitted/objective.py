"""-2 log likelihood away from its lowest point, in the reader's units, with its slopes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..inputs import Array
from ..variance.assembly import Assembly, assemble
from ..variance.criterion import HUGE, roots, triangular_solve
from .estimates import Estimates


@dataclass(frozen=True, eq=False)
class Point:
    """What the data say at one T."""

    value: float
    """-2 log likelihood, with alpha and tau2 at their best where they are free."""
    slopes: list[Array]
    """Its slope in the entries of T of every term, shape (q, q)."""
    of_log_tau: float
    """Its slope in log tau where tau is held, at this T."""


@dataclass(frozen=True, eq=False)
class Objective:
    """-2 log likelihood as a function of T, T T' = Sigma / tau2 for every term."""

    model: Estimates
    assembly: Assembly

    @property
    def nu(self) -> int:
        """Number of rows: all of them speak about the variances under ML."""
        return self.assembly.criterion.likelihood.nu

    @property
    def units(self) -> tuple[Array, ...]:
        """Scale of the columns of Z of each term: ``T * unit[:, None]`` is free of units."""
        return self.assembly.units

    def at(
        self,
        T: Sequence[Array],
        tau: float | None = None,
        coefficient: tuple[int, float] | None = None,
    ) -> Point | None:
        """Solve the model at one T; None where nothing is left of y within rounding.

        ``tau`` holds the noise, ``coefficient`` a fixed effect (its column of X and its value).
        What is free is at its best, so the value changes with T through log det and r2 = u'S u
        alone, with u = (-alpha, 1).
        """
        criterion = self.assembly.criterion
        place = criterion.at(self.assembly.inwards(T))
        likelihood = criterion.likelihood
        L = roots(place.S)[0]
        p = likelihood.p
        if L[0, 0] >= HUGE:
            return None
        root = triangular_solve(L[:p, :p], np.eye(p)).T  # root root' = S_xx^-1
        alpha = root @ L[p, :p]
        r2 = L[p, p] ** 2
        if coefficient is not None:
            alpha, r2 = self._with_held(*coefficient, root, alpha, r2)
        u = np.append(-alpha, 1.0)
        if tau is not None:
            tau2 = (tau / self.assembly.scale[-1]) ** 2
        elif likelihood.known_tau2 is not None:
            tau2 = likelihood.known_tau2
        else:
            tau2 = r2 / likelihood.nu
        value = likelihood.at_tau2(
            place.log_det, np.diag(L)[None], np.array([r2]), np.array([tau2])
        )
        slopes = place.slope(u[:, None] / np.sqrt(tau2))
        return Point(
            value=float(value[0]),
            slopes=[R.T @ slope for R, slope in zip(self.assembly.columns, slopes, strict=True)],
            of_log_tau=float(2 * (self.nu - r2 / tau2)),
        )

    def _with_held(
        self, k: int, value: float, root: Array, alpha: Array, r2: float
    ) -> tuple[Array, float]:
        """The best alpha of those whose k-th is ``value``, and its r2.

        r2 rises by (alpha_k_hat - value)^2 / (S_xx^-1)_kk, where alpha moves along S_xx^-1 e_k.
        """
        shift, back = self.assembly.to_fixed
        too_high = shift[k] + back[k] @ alpha - value
        along = back[k] @ root
        step = too_high / (along @ along)
        return alpha - root @ along * step, r2 + too_high * step


def ml_objective(model: Estimates) -> Objective:
    """The surface of which a fit by ML is the lowest point."""
    return Objective(model, assemble(model.gram, False, model.known_tau2))
