"""The thread of Part I: 26 mice of six strains, whose six effects come back under every name."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from ..known.groups import indicator
from ..known.mixed import LinearMixedModel
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Mice(Value):
    """Weights and ages of the mice, with the truth that made them."""

    y: Array
    """Weight in grams, shape (26,)."""
    age: Array
    """Age in weeks, shape (26,)."""
    strain: npt.NDArray[np.int64]
    """Labels 1 to 6, shape (26,)."""
    X: Array
    """Fixed effects, an intercept and the age, shape (26, 2)."""
    D: Array
    """Indicator matrix of the strains, shape (26, 6)."""
    sigma2: float
    """Variance of a strain's effect, 4."""
    tau2: float
    """Variance of the noise, 6."""
    K: Array
    """Relatedness that made the effects, shape (6, 6): two clades of three, 0.8 inside a clade."""
    alpha: Array
    """True intercept and growth per week, 10 and 1.5."""
    beta: Array
    """True effects of the strains, shape (6,), a draw from N(0, sigma2 K)."""


def mice() -> Mice:
    """Return the 26 mice of six strains, simulated once and the same in every chapter.

    The strains have 9, 6, 1, 7, 2 and 1 mice. Weights are X alpha + D beta + noise.

    Examples
    --------
    >>> from mixhier_lite.datasets import mice
    >>> mice().D.sum(axis=0)
    array([9., 6., 1., 7., 2., 1.])
    """
    rng = np.random.default_rng(181)
    strain = np.repeat(np.arange(1, 7), (9, 6, 1, 7, 2, 1))
    age = rng.uniform(6, 12, len(strain)).round(1)
    X = np.column_stack([np.ones(len(age)), age])
    D = indicator(strain)
    K = np.kron(np.eye(2), np.full((3, 3), 0.8)) + 0.2 * np.eye(6)
    sigma2 = 4.0
    tau2 = 6.0
    alpha = np.array([10.0, 1.5])
    y, beta = LinearMixedModel(X, D, sigma2 * K, tau2).simulate(alpha, rng)
    return Mice(y, age, strain, X, D, sigma2, tau2, K, alpha, beta)
