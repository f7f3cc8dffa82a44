"""Student's t: statistics, p-values and quantiles, normal ones where the df are infinite."""

import numpy as np

from ..inputs import Array

MANY = 1e9
"""Degrees of freedom beyond which t is normal within rounding."""


def in_units_of(se: Array, estimate: Array) -> Array:
    """estimate / se; infinite, or not a number, where nothing is uncertain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(estimate / se)


def quantile_of_t(df: Array, q: float) -> Array:
    """Quantiles of Student's t, of the normal where df is infinite."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.minimum(df, MANY), q))


def p_of_t(t: Array, df: Array) -> Array:
    """Two-sided p-values."""
    from scipy.special import stdtr

    return np.asarray(2 * stdtr(np.minimum(df, MANY), -np.abs(t)))
