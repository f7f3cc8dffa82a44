"""The example that the book grew from: four groups, one covariate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..inputs import Array, count, generator
from ..known.groups import indicator
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class FourGroups(Value):
    """A draw of the four groups, with the truth that made it."""

    y: Array
    """Response, shape (n,)."""
    x: Array
    """Covariate, shape (n,), about -beta_j in group j."""
    groups: npt.NDArray[np.int64]
    """Labels 0, 1, 2, 3, shape (n,). Group j of the text has label j - 1."""
    D: Array
    """Indicator matrix, shape (n, 4)."""
    alpha: float
    """True slope, 1."""
    beta: Array
    """True group intercepts, 2, 4, 8, 12."""
    tau2: float
    """Variance of the noise, 1."""


def four_groups(rng: np.random.Generator, n_per_group: int = 30) -> FourGroups:
    """Draw the four groups of chapter *groups*: y = alpha x + beta_j + noise, x = -beta_j + noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        For instance ``np.random.default_rng(1)``.
    n_per_group : int
        Rows in each group, >= 1.

    Raises
    ------
    InputError
        n_per_group not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> from mixhier_lite.datasets import four_groups
    >>> four_groups(np.random.default_rng(1)).D.sum(axis=0)
    array([30., 30., 30., 30.])
    """
    generator(rng)
    count(n_per_group, "n_per_group", 1, "rows in each group", "pass for instance n_per_group=30")
    alpha = 1.0
    beta = np.array([2.0, 4.0, 8.0, 12.0])
    tau2 = 1.0
    groups = np.repeat(np.arange(4), n_per_group)
    x = -beta[groups] + rng.standard_normal(len(groups))
    y = alpha * x + beta[groups] + np.sqrt(tau2) * rng.standard_normal(len(groups))
    return FourGroups(y, x, groups, indicator(groups, levels=range(4)), alpha, beta, tau2)
