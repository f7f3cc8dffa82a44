"""Chapter *ridge*: penalised least squares on augmented rows."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, qr, solve_triangular

from ..errors import refused
from ..inputs import Array
from ..linalg import identified, well_conditioned
from .effects import Effects
from .mixed import LinearMixedModel, response
from .rounding import too_much


def ridge(model: LinearMixedModel, y: npt.ArrayLike) -> Effects:
    """Ridge regression with alpha unpenalised, by QR (:prf:ref:`thm-general-ridge`).

    Minimises ``|y - X a - D L u|^2 + tau2 |u|^2`` with ``beta = L u``, as ordinary least
    squares on J additional rows. For ``Sigma = sigma2 I`` this is ridge regression on D with
    the penalty lambda = tau2 / sigma2 (:prf:ref:`thm-ridge`).

    Parameters
    ----------
    model : LinearMixedModel
        X of full column rank; Sigma may be singular.
    y : array_like, shape (n,)

    Returns
    -------
    Effects

    Raises
    ------
    InputError
        X rank deficient; y of the wrong length or not finite.

    Notes
    -----
    Equivalent to ``sklearn.linear_model.Ridge(alpha=lambda)`` on D where X is one column of
    ones. Squares no condition number: the most accurate of the routes.
    Source: Hoerl and Kennard (1970).
    """
    y = response(model, y)
    identified(model.X)
    p = model.p
    J = model.J
    data_rows = np.hstack([model.D @ model.L, model.X])
    penalty_rows = np.hstack([np.sqrt(model.tau2) * np.eye(J), np.zeros((J, p))])
    A = np.vstack([data_rows, penalty_rows])
    b = np.append(y, np.zeros(J))
    if np.sqrt(model.tau2) > np.abs(data_rows).max(initial=0.0):  # large rows first: less rounding
        A = np.vstack([penalty_rows, data_rows])
        b = np.append(np.zeros(J), y)
    Q, R = qr(A, mode="economic", check_finite=False)
    well_conditioned(np.diag(R) / np.linalg.norm(A, axis=0), "the matrix of augmented rows")
    c = least_squares(A, b, Q, R)
    root = solve_triangular(R, np.eye(J + p), check_finite=False)
    _enough_digits(A, b - A @ c, root, np.sqrt(model.tau2))
    to_effects = block_diag(model.L, np.eye(p))
    root = to_effects @ root
    order = np.roll(np.arange(J + p), p)  # beta, alpha -> alpha, beta
    cov = model.tau2 * (root @ root.T)
    found = Effects(c[J:], model.L @ c[:J], cov[np.ix_(order, order)])
    _rows_keep_digits(found, (root @ Q.T)[order], np.abs(b) + np.abs(A) @ np.abs(c))
    return found


def least_squares(A: Array, b: Array, Q: Array, R: Array) -> Array:
    """Minimise |b - A c| with A = Q R, and correct c and the residual together.

    The pair solves e + A c = b and A'e = 0. Two corrections from what these equations leave keep
    digits that a plain solution loses where rows have very different size.
    Source: Bjorck (1967).
    """
    c = solve_triangular(R, Q.T @ b, check_finite=False)
    e = b - A @ c
    for _ in range(2):
        f = b - e - A @ c
        g = -A.T @ e  # what the two equations leave
        h = solve_triangular(R, g, trans="T", check_finite=False)
        along = Q.T @ f
        c = c + solve_triangular(R, along - h, check_finite=False)
        e = e + (f - Q @ along) + Q @ h
    return c


def _enough_digits(A: Array, e: Array, root: Array, tau: float) -> None:
    """Refuse coefficients of which rounding leaves less than four digits of a standard error.

    One rounding of A, |dA| <= eps |A|, moves c by at most eps |(A'A)^-1| |A|'|e|, to first order.
    """
    rounding = np.finfo(float).eps * (np.abs(root @ root.T) @ (np.abs(A).T @ np.abs(e)))
    share = rounding / (tau * np.sqrt((root**2).sum(axis=1)))
    if (worst := float(share.max(initial=0.0))) > 1e-4:
        raise refused("rounding-too-large", error=worst)


def _rows_keep_digits(found: Effects, to_effects: Array, rows: Array) -> None:
    """Refuse effects that rounding of the rows of b - A c, up to eps ``rows``, moves too far."""
    error = np.finfo(float).eps * (np.abs(to_effects) @ rows)
    if too_much(found, error):
        sd = np.sqrt(np.diag(found.cov))
        worst = float((error[sd > 0] / sd[sd > 0]).max(initial=0.0))
        raise refused("rounding-too-large", error=worst)
