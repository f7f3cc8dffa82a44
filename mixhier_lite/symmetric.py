"""Symmetric positive definite matrices: solving with them, and telling them from singular ones."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .errors import InputError
from .inputs import Array


def solve_and_invert(A: Array, b: Array, what: str) -> tuple[Array, Array]:
    """Return A^-1 b and A^-1 by Cholesky, after scaling A to a unit diagonal.

    The scaling is by powers of two and hence exact; it keeps coefficients of very
    different size from spoiling each other.
    """
    s = 2.0 ** -np.round(np.log2(np.diag(A)) / 2)
    try:
        chol = cho_factor(s[:, None] * A * s, lower=True, check_finite=False)
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
