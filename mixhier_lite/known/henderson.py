"""Chapter *henderson*: the mixed-model equations, p + J unknowns instead of an n x n matrix."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, cho_factor, cho_solve

from ..errors import refused
from ..inputs import Array, real, small_enough
from ..linalg import identified, is_singular, solve_and_invert
from .effects import Effects
from .mixed import LinearMixedModel, mixed_model, response
from .rounding import enough_digits


def mixed_model_equations(model: LinearMixedModel) -> Array:
    """Henderson's matrix, :eq:`eq-mme`: [X'X, X'D; D'X, D'D + tau2 Sigma^-1].

    Returns
    -------
    ndarray, shape (p + J, p + J)

    Raises
    ------
    InputError
        Sigma singular, so that Sigma^-1 does not exist.
    """
    mixed_model(model)
    W = np.hstack([model.X, model.D])
    M = W.T @ W
    M[model.p :, model.p :] += model.tau2 * precision(model.Sigma)
    return M


def precision(Sigma: Array) -> Array:
    """Sigma^-1 by Cholesky, or a refusal where Sigma is singular."""
    singular, smallest = is_singular(Sigma)
    try:
        if singular:
            raise np.linalg.LinAlgError
        inverse: Array = cho_solve(cho_factor(Sigma, lower=True), np.eye(len(Sigma)))
    except np.linalg.LinAlgError:
        raise refused("singular-Sigma", smallest=smallest) from None
    return (inverse + inverse.T) / 2


def henderson(model: LinearMixedModel, y: npt.ArrayLike) -> Effects:
    """Solve Henderson's mixed-model equations (:prf:ref:`thm-henderson`).

    Parameters
    ----------
    model : LinearMixedModel
        X of full column rank, Sigma positive definite.
    y : array_like, shape (n,)

    Returns
    -------
    Effects
        ``cov`` is tau2 times the inverse of Henderson's matrix.

    Raises
    ------
    InputError
        Sigma singular; X rank deficient; y of the wrong length or not finite.

    Notes
    -----
    Costs (p + J)^3. Source: Henderson (1950, 1975); Robinson (1991), section 2.
    """
    y = response(model, y)
    identified(model.X)
    p = model.p
    W = np.hstack([model.X, model.D])
    M = mixed_model_equations(model)
    c, M_inverse = solve_and_invert(M, W.T @ y, "Henderson's matrix")  # M c = W'y
    # W'W squares the condition number of W; one correction from the rows repairs c
    rest = W.T @ (y - W @ c)
    rest[p:] -= model.tau2 * cho_solve((model.L, True), c[p:])
    c = c + M_inverse @ rest
    found = Effects(c[:p], c[p:], model.tau2 * M_inverse)
    prior = block_diag(np.zeros((p, p)), precision(model.Sigma))
    sds = np.append(np.zeros(p), np.sqrt(np.diag(model.Sigma)))
    return enough_digits(found, W, y, model.tau2, c, found.cov, np.eye(len(c)), prior, sds)


def log_joint(
    model: LinearMixedModel, y: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike
) -> float:
    """Log density of (y, beta) at fixed alpha, :eq:`eq-log-joint`: what Henderson maximised.

    Parameters
    ----------
    model : LinearMixedModel
        Sigma positive definite.
    y, alpha, beta : array_like, shapes (n,), (p,), (J,)

    Returns
    -------
    float
        log p(y | beta; alpha) + log p(beta), with all constants.
    """
    y = response(model, y)
    alpha = real(alpha, "alpha", 1)
    beta = real(beta, "beta", 1)
    small_enough(alpha, "alpha")
    small_enough(beta, "beta")
    if (len(alpha), len(beta)) != (model.p, model.J):
        raise refused(
            "effects-not-of-the-model", p=model.p, J=model.J, n_alpha=len(alpha), n_beta=len(beta)
        )
    e = y - model.X @ alpha - model.D @ beta
    penalty = beta @ precision(model.Sigma) @ beta
    log_det = model.n * np.log(model.tau2) + np.linalg.slogdet(model.Sigma)[1]
    constant = (model.n + model.J) * np.log(2 * np.pi)
    return float(-0.5 * (e @ e / model.tau2 + penalty + log_det + constant))
