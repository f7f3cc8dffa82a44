"""One number for every unknown of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..inputs import Array
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Unknowns(Value):
    """Means, standard deviations or quantiles: one number for every unknown."""

    fixed: Array
    """alpha, shape (p,)."""
    random: tuple[Array, ...]
    """beta of each term, shape (J_t, q_t)."""
    sds: tuple[Array, ...]
    """Standard deviation of each column of each term, shape (q_t,)."""
    tau: float
    """Standard deviation of the noise."""

    def combine(self, other: "Unknowns", f: Callable[[Any, Any], Any]) -> "Unknowns":
        """Apply f(own, other) to every array."""
        return Unknowns(
            f(self.fixed, other.fixed),
            tuple(f(a, b) for a, b in zip(self.random, other.random, strict=True)),
            tuple(f(a, b) for a, b in zip(self.sds, other.sds, strict=True)),
            float(f(self.tau, other.tau)),
        )
