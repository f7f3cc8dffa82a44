"""Other programs that fit the same models.

A peer is a module with ``prepare(work)``, which does what is not timed (a data frame, a process)
and returns a callable: it fits once, and returns ``Estimates`` or the seconds that it took itself,
with the estimates in its attribute ``found``. It raises LookupError with a sentence where it is
not installed or too slow, and NotImplementedError where it has no such model.
"""

from dataclasses import dataclass
from importlib import import_module

import numpy as np


@dataclass(frozen=True, eq=False)
class Estimates:
    """What a peer has found."""

    Sigma: list[np.ndarray]
    tau2: float
    evaluations: int | None = None
    method: str = "REML"
    correlated: bool = True
    """False where the peer's model has independent slopes only."""


def needs(module: str, package: str | None = None):
    """Import a peer's package, or say what to install."""
    try:
        return import_module(module)
    except Exception as problem:
        kind = type(problem).__name__
        name = package or module
        raise LookupError(f"{name} cannot be imported ({kind}): pip install {name}") from None


def covariance(theta, tau2, sizes):
    """Split lme4's theta: lower triangles, column by column, with T T' = Sigma / tau2."""
    Sigma, at = [], 0
    for q in sizes:
        T = np.zeros((q, q))
        T.T[np.triu_indices(q)] = theta[at : at + q * (q + 1) // 2]
        Sigma.append(tau2 * T @ T.T)
        at += q * (q + 1) // 2
    return Sigma


def sizes(work):
    """Number of columns of each term."""
    return [1 if work.Z is None else work.Z.shape[1], *[1] * (len(work.codes) - 1)]
