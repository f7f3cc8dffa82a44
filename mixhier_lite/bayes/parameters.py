"""One number for every unknown of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..inputs import Array
from ..values import Value, frozen


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


class OnDemand(Unknowns):
    """The same, each computed when it is first asked for: what takes longest is ``random``."""

    def __init__(self, **compute: Callable[[], Any]) -> None:
        vars(self)["compute"] = compute

    def __getattr__(self, name: str) -> Any:
        """Compute what has not been asked for before."""
        compute = vars(self).get("compute", {})
        if name not in compute:
            raise AttributeError(name)
        vars(self)[name] = frozen(compute[name]())
        return vars(self)[name]

    def __repr__(self) -> str:
        """All of it, as if it had stood there before."""
        return repr(Unknowns(self.fixed, self.random, self.sds, self.tau))
