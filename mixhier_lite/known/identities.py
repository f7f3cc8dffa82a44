"""The sides of the equalities in chapter *equivalence* that no route computes.

Each is written for clarity and for algebra of its own, not for speed.
"""

from dataclasses import replace

import numpy as np
from scipy.linalg import inv, solve

from ..inputs import Array
from .effects import Effects
from .henderson import henderson, log_joint, mixed_model_equations, precision
from .hierarchical import some_covariates
from .mixed import LinearMixedModel, gls_blup
from .ridge import ridge


def everything(effects: Effects) -> Array:
    """Stack alpha_hat, beta_tilde and their covariance."""
    return np.concatenate([effects.fixed, effects.random, effects.cov.ravel()])


def points(effects: Effects) -> Array:
    """Stack alpha_hat and beta_tilde."""
    return np.concatenate([effects.fixed, effects.random])


def penalty(model: LinearMixedModel) -> float:
    """lambda = tau2 / sigma2."""
    return model.tau2 / float(model.Sigma[0, 0])


def residual_maker(model: LinearMixedModel) -> Array:
    """I - P_X, which removes X by least squares."""
    Q = np.linalg.qr(model.X)[0]
    residual_maker: Array = np.eye(model.n) - Q @ Q.T
    return residual_maker


def log_normal(y: Array, mean: Array, cov: Array) -> float:
    """Evaluate the log density of N(mean, cov) at y."""
    e = y - mean
    quadratic = e @ np.linalg.solve(cov, e)
    return float(-0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * cov)[1]))


def log_marginal(model: LinearMixedModel, y: Array) -> Array:
    """Evaluate log N(y; X a, V) at a = 1."""
    return np.array([log_normal(y, model.X @ np.ones(model.p), model.V)])


def joint_over_conditional(model: LinearMixedModel, y: Array) -> Array:
    """Evaluate log p(y, beta; a) - log p(beta | y; a) at a = 1 and beta = 1."""
    a = np.ones(model.p)
    b = np.ones(model.J)
    cov: Array = inv(model.D.T @ model.D / model.tau2 + precision(model.Sigma))
    mean = cov @ model.D.T @ (y - model.X @ a) / model.tau2
    return np.array([log_joint(model, y, a, b) - log_normal(b, mean, cov)])


def kriging(model: LinearMixedModel, y: Array) -> Array:
    """Minimise the error variance subject to unbiasedness, by Lagrange multipliers."""
    n = model.n
    p = model.p
    J = model.J
    border = np.block([[model.V, model.X], [model.X.T, np.zeros((p, p))]])
    wanted = np.block([[np.zeros((n, p)), model.D @ model.Sigma], [np.eye(p), np.zeros((p, J))]])
    weights = np.linalg.solve(border, wanted)[:n]
    points: Array = weights.T @ y
    return points


def determinants_of_v(model: LinearMixedModel, y: Array) -> Array:
    """log det V + log det X'V^-1 X."""
    inner = model.X.T @ np.linalg.solve(model.V, model.X)
    return np.array([np.linalg.slogdet(model.V)[1] + np.linalg.slogdet(inner)[1]])


def determinant_of_equations(model: LinearMixedModel, y: Array) -> Array:
    """Log determinant of Henderson's matrix, with the constants of :prf:ref:`thm-determinant`."""
    n = model.n
    p = model.p
    J = model.J
    inner = np.linalg.slogdet(mixed_model_equations(model))[1]
    outer = (n - p - J) * np.log(model.tau2) + np.linalg.slogdet(model.Sigma)[1]
    return np.array([inner + outer])


def pull(model: LinearMixedModel, effects: Effects, sign: int) -> Array:
    """Sum the entries of Sigma^-1 beta_tilde of one sign."""
    pull = sign * np.linalg.solve(model.Sigma, effects.random)
    return np.array([pull[pull > 0].sum()])


def centred_coefficients(model: LinearMixedModel, y: Array) -> Array:
    """Posterior mean of gamma, with alpha integrated out of gamma ~ N(U alpha, Sigma)."""
    P = precision(model.Sigma)
    U = some_covariates(model)
    PU = P @ U
    flat_gamma = P - PU @ np.linalg.solve(U.T @ PU, PU.T)
    gamma: Array = solve(model.D.T @ model.D + model.tau2 * flat_gamma, model.D.T @ y)
    return gamma


def zero_centred_coefficients(model: LinearMixedModel, y: Array) -> Array:
    """U alpha_hat + beta_tilde."""
    effects = gls_blup(model, y)
    gamma: Array = some_covariates(model) @ effects.fixed + effects.random
    return gamma


def conditional_plus_estimation(model: LinearMixedModel, y: Array) -> Array:
    """condVar + H (X'V^-1X)^-1 H'."""
    gain = model.Sigma @ np.linalg.solve(model.V, model.D).T
    cond_var = model.Sigma - gain @ model.D @ model.Sigma
    H = gain @ model.X
    inner = model.X.T @ np.linalg.solve(model.V, model.X)
    total: Array = cond_var + H @ np.linalg.solve(inner, H.T)
    return total


def error_over_repetitions(model: LinearMixedModel, y: Array) -> Array:
    """Compute Var(beta_tilde - beta) over (beta, eps), from beta_tilde = G y."""
    G = np.column_stack([ridge(model, row).random for row in np.eye(model.n)])
    miss = G @ model.D - np.eye(model.J)
    variance: Array = miss @ model.Sigma @ miss.T + model.tau2 * G @ G.T
    return variance


def textbook_ridge(model: LinearMixedModel, y: Array) -> Array:
    """Ridge on D after X has been removed from D and y."""
    DM = model.D.T @ residual_maker(model)
    beta = np.linalg.solve(DM @ model.D + penalty(model) * np.eye(model.J), DM @ y)
    alpha = np.linalg.lstsq(model.X, y - model.D @ beta, rcond=None)[0]
    return np.concatenate([alpha, beta])


def shrunken_means(model: LinearMixedModel, y: Array) -> Array:
    """Mean residual of each group times n_j / (n_j + lambda)."""
    n_j = model.D.sum(axis=0)
    means = model.D.T @ (y - model.X @ gls_blup(model, y).fixed) / np.maximum(n_j, 1)
    shrunken: Array = n_j / (n_j + penalty(model)) * means
    return shrunken


def trace_of_hat(model: LinearMixedModel, y: Array) -> Array:
    """Effective degrees of freedom of D beta_tilde, as a trace over unit responses."""
    fits = [model.D @ henderson(model, row).random for row in np.eye(model.n)]
    return np.array([np.trace(np.array(fits))])


def sum_over_eigenvalues(model: LinearMixedModel, y: Array) -> Array:
    """Sum l / (l + lambda) over the eigenvalues of D'(I - P_X) D."""
    values = np.linalg.eigvalsh(model.D.T @ residual_maker(model) @ model.D)
    return np.array([(values / (values + penalty(model))).sum()])


def left_out(model: LinearMixedModel, y: Array) -> Array:
    """Errors of predicting each row from a fit to all other rows."""
    errors = []
    for i in range(model.n):
        keep = np.arange(model.n) != i
        fit = ridge(replace(model, X=model.X[keep], D=model.D[keep]), y[keep])
        errors.append(y[i] - model.X[i] @ fit.fixed - model.D[i] @ fit.random)
    return np.array(errors)


def inflated_residuals(model: LinearMixedModel, y: Array) -> Array:
    """e_i / (1 - h_i) from one fit."""
    W = np.hstack([model.X, model.D])
    effects = gls_blup(model, y)
    h = np.einsum("ij,jk,ik->i", W, effects.cov, W) / model.tau2
    inflated: Array = (y - W @ points(effects)) / (1 - h)
    return inflated
