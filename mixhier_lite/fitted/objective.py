"""The criterion away from its optimum, in the reader's units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inputs import Array
from ..variance.assembly import Assembly, assemble
from .estimates import Estimates


@dataclass(frozen=True, eq=False)
class Point:
    """What the data say at one T."""

    value: float
    """The criterion, with alpha and (unless known) tau2 at their best."""
    tau2: float
    """The best tau2 at this T, or the known one."""
    fixed: Array
    """The best alpha at this T, shape (p,)."""
    fixed_var: Array
    """Its variances at this T and tau2, shape (p,)."""


@dataclass(frozen=True, eq=False)
class Surface:
    """The criterion as a function of T, T T' = Sigma / tau2 for every term."""

    model: Estimates
    assembly: Assembly

    @property
    def nu(self) -> int:
        """Rows that speak about the variances: n - p under REML, n under ML."""
        return self.assembly.criterion.likelihood.nu

    @property
    def units(self) -> tuple[Array, ...]:
        """Scale of the columns of Z of each term: ``T * unit[:, None]`` is free of units."""
        return self.assembly.units

    def at(self, T: list[Array]) -> Point | None:
        """Solve the model at one T; None where nothing is left of y within rounding."""
        at = self.assembly.criterion.solve(self.assembly.inwards(T))
        if at is None:
            return None
        shift, back = self.assembly.to_fixed
        fixed_var = at.tau2 * ((back @ at.root) ** 2).sum(axis=1)
        tau2 = float(at.tau2 * self.assembly.scale[-1] ** 2)
        return Point(at.value, tau2, shift + back @ at.alpha, fixed_var)


def surface(model: Estimates) -> Surface:
    """The surface of which a fit is the lowest point."""
    return Surface(model, assemble(model.gram, model.reml, model.known_tau2))


def gradient(f: Callable[[Array], Any], x: Array, h: float = 1e-4) -> Array:
    """Central differences of f, a function of a vector, shape (len(x), ...)."""
    return np.array([(f(x + d) - f(x - d)) / (2 * h) for d in h * np.eye(len(x))])
