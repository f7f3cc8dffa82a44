"""Symmetric positive definite matrices: solving with them, and telling them from singular ones."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .errors import InputError
from .inputs import Array


def solve_and_invert(A: Array, b: Array, what: str) -> tuple[Array, Array]:
    """Return A^-1 b and A^-1 by Cholesky, or refuse an A that is singular within rounding.

    A is scaled to a unit diagonal, by powers of two and hence exactly, so that a small pivot
    is a sign of dependence and not of small units.
    """
    s = 2.0 ** -np.round(np.log2(np.diag(A)) / 2)
    try:
        chol = cho_factor(s[:, None] * A * s, lower=True, check_finite=False)
        if (np.diag(chol[0]) ** 2).min(initial=1.0) <= 100 * len(A) * np.finfo(float).eps:
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise InputError(
            f"{what} is singular to working precision.",
            "a positive definite matrix",
            f"a matrix whose {len(A)} columns are linearly dependent within rounding",
            "check for nearly dependent columns, and for variances of very different size",
        ) from None
    inverse = s[:, None] * cho_solve(chol, np.diag(s))
    return s * cho_solve(chol, s * b), (inverse + inverse.T) / 2


def is_singular(S: Array) -> tuple[bool, float]:
    """Say whether a covariance is singular, with the smallest eigenvalue of its correlations.

    Correlations, because coefficients of very different size are no sign of singularity.
    """
    if not len(S):
        return False, 1.0
    scale = np.sqrt(np.diag(S))
    correlation = S / np.outer(scale, scale) if (scale > 0).all() else 0 * S
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    return bool(smallest <= len(S) * np.finfo(float).eps), smallest
