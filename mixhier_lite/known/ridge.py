"""Chapter *ridge*: penalised least squares on augmented rows."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, qr, solve_triangular

from ..linalg import identified
from .effects import Effects
from .mixed import LinearMixedModel, response


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
    p, J = model.p, model.J
    rows = np.hstack([model.X, model.D @ model.L])
    more_rows = np.hstack([np.zeros((J, p)), np.sqrt(model.tau2) * np.eye(J)])
    Q, R = qr(np.vstack([rows, more_rows]), mode="economic", check_finite=False)
    c = solve_triangular(R, Q.T @ np.append(y, np.zeros(J)), check_finite=False)
    to_beta = block_diag(np.eye(p), model.L)
    root = to_beta @ solve_triangular(R, np.eye(p + J), check_finite=False)
    return Effects(c[:p], model.L @ c[p:], model.tau2 * (root @ root.T))
