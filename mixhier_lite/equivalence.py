"""Chapter *equivalence*: the equalities between the routes, as data that runs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import inv, solve

from .effects import Effects
from .flat import flat
from .henderson import henderson, log_joint, mixed_model_equations, precision
from .hierarchical import centred, posterior
from .inputs import Array, dependent_columns
from .mixed import LinearMixedModel, gls_blup
from .ridge import ridge

Side = Callable[[LinearMixedModel, Array], Array]


@dataclass(frozen=True, eq=False)
class Equivalence:
    """One equality of the book between two ways to compute the same thing.

    Examples
    --------
    >>> from mixhier_lite import EQUIVALENCES
    >>> [e.label for e in EQUIVALENCES if "Henderson" in e.statement]
    ['thm-henderson']
    """

    label: str
    """Label of the book's theorem."""
    statement: str
    """What equals what, in words."""
    scope: str
    """The conditions under which it does."""
    left: Side
    """One side, a function of (model, y) that returns an array."""
    right: Side
    """The other side, in different algebra."""
    in_scope: Callable[[LinearMixedModel], bool]
    """Whether a model (with X of full column rank) meets the conditions."""
    tolerance: float = 1e-9
    """Largest relative gap that rounding explains at moderate condition numbers."""

    def gap(self, model: LinearMixedModel, y: Array) -> float:
        """Largest difference of the two sides, relative to the largest entry."""
        left, right = self.left(model, y), self.right(model, y)
        scale = max(np.abs(left).max(initial=0.0), np.abs(right).max(initial=0.0))
        return float(np.abs(left - right).max(initial=0.0) / scale) if scale else 0.0


def _always(model: LinearMixedModel) -> bool:
    return True


def _regular(model: LinearMixedModel) -> bool:
    """Sigma is positive definite."""
    return not dependent_columns(model.L)


def _spherical(model: LinearMixedModel) -> bool:
    """Sigma = sigma2 I with sigma2 > 0."""
    S = model.Sigma
    return model.J > 0 and S[0, 0] > 0 and np.array_equal(S, S[0, 0] * np.eye(model.J))


def _one_intercept_a_group(model: LinearMixedModel) -> bool:
    is_indicator = np.isin(model.D, (0, 1)).all() and (model.D.sum(axis=1) == 1).all()
    return bool(is_indicator) and _spherical(model)


def _group_level(model: LinearMixedModel) -> bool:
    """X = D U for some U."""
    try:
        centred(model)
    except ValueError:
        return False
    return _regular(model)


def _spans_ones_twice(model: LinearMixedModel) -> bool:
    """D 1 lies in the column space of X."""
    ones = model.D.sum(axis=1)
    rest = ones - model.X @ np.linalg.lstsq(model.X, ones, rcond=None)[0]
    return _regular(model) and model.p > 0 and bool(np.linalg.norm(rest) < 1e-10 * model.n)


def _survives_deletion(model: LinearMixedModel) -> bool:
    """X keeps its rank when any one row is left out."""
    return all(not dependent_columns(np.delete(model.X, i, 0)) for i in range(model.n))


def _everything(effects: Effects) -> Array:
    return np.concatenate([effects.fixed, effects.random, effects.cov.ravel()])


def _points(effects: Effects) -> Array:
    return np.concatenate([effects.fixed, effects.random])


def _penalty(model: LinearMixedModel) -> float:
    """lambda = tau2 / sigma2."""
    return model.tau2 / float(model.Sigma[0, 0])


def _residual_maker(model: LinearMixedModel) -> Array:
    """I - P_X, which removes X by least squares."""
    Q = np.linalg.qr(model.X)[0]
    residual_maker: Array = np.eye(model.n) - Q @ Q.T
    return residual_maker


def _log_normal(y: Array, mean: Array, cov: Array) -> float:
    e = y - mean
    quadratic = e @ np.linalg.solve(cov, e)
    return float(-0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * cov)[1]))


def _log_marginal(model: LinearMixedModel, y: Array) -> Array:
    """Evaluate log N(y; X a, V) at a = 1."""
    return np.array([_log_normal(y, model.X @ np.ones(model.p), model.V)])


def _joint_over_conditional(model: LinearMixedModel, y: Array) -> Array:
    """Evaluate log p(y, beta; a) - log p(beta | y; a) at a = 1 and beta = 1."""
    a, b = np.ones(model.p), np.ones(model.J)
    cov: Array = inv(model.D.T @ model.D / model.tau2 + precision(model.Sigma))
    mean = cov @ model.D.T @ (y - model.X @ a) / model.tau2
    return np.array([log_joint(model, y, a, b) - _log_normal(b, mean, cov)])


def _kriging(model: LinearMixedModel, y: Array) -> Array:
    """Minimise the error variance subject to unbiasedness, by Lagrange multipliers."""
    n, p, J = model.n, model.p, model.J
    border = np.block([[model.V, model.X], [model.X.T, np.zeros((p, p))]])
    wanted = np.block([[np.zeros((n, p)), model.D @ model.Sigma], [np.eye(p), np.zeros((p, J))]])
    weights = np.linalg.solve(border, wanted)[:n]
    points: Array = weights.T @ y
    return points


def _determinants_of_v(model: LinearMixedModel, y: Array) -> Array:
    inner = model.X.T @ np.linalg.solve(model.V, model.X)
    return np.array([np.linalg.slogdet(model.V)[1] + np.linalg.slogdet(inner)[1]])


def _determinant_of_equations(model: LinearMixedModel, y: Array) -> Array:
    n, p, J = model.n, model.p, model.J
    inner = np.linalg.slogdet(mixed_model_equations(model))[1]
    outer = (n - p - J) * np.log(model.tau2) + np.linalg.slogdet(model.Sigma)[1]
    return np.array([inner + outer])


def _upward_pull(model: LinearMixedModel, y: Array) -> Array:
    pull = np.linalg.solve(model.Sigma, gls_blup(model, y).random)
    return np.array([pull[pull > 0].sum()])


def _downward_pull(model: LinearMixedModel, y: Array) -> Array:
    pull = np.linalg.solve(model.Sigma, ridge(model, y).random)
    return np.array([-pull[pull < 0].sum()])


def _centred_coefficients(model: LinearMixedModel, y: Array) -> Array:
    """Posterior mean of gamma, with alpha integrated out of gamma ~ N(U alpha, Sigma)."""
    P, U = precision(model.Sigma), centred(model).U
    PU = P @ U
    flat_gamma = P - PU @ np.linalg.solve(U.T @ PU, PU.T)
    gamma: Array = solve(model.D.T @ model.D + model.tau2 * flat_gamma, model.D.T @ y)
    return gamma


def _zero_centred_coefficients(model: LinearMixedModel, y: Array) -> Array:
    effects = gls_blup(model, y)
    gamma: Array = centred(model).U @ effects.fixed + effects.random
    return gamma


def _conditional_plus_estimation(model: LinearMixedModel, y: Array) -> Array:
    """condVar + H (X'V^-1X)^-1 H'."""
    gain = model.Sigma @ np.linalg.solve(model.V, model.D).T
    cond_var = model.Sigma - gain @ model.D @ model.Sigma
    H, inner = gain @ model.X, model.X.T @ np.linalg.solve(model.V, model.X)
    total: Array = cond_var + H @ np.linalg.solve(inner, H.T)
    return total


def _error_over_repetitions(model: LinearMixedModel, y: Array) -> Array:
    """Compute Var(beta_tilde - beta) over (beta, eps), from beta_tilde = G y."""
    G = np.column_stack([ridge(model, row).random for row in np.eye(model.n)])
    miss = G @ model.D - np.eye(model.J)
    variance: Array = miss @ model.Sigma @ miss.T + model.tau2 * G @ G.T
    return variance


def _textbook_ridge(model: LinearMixedModel, y: Array) -> Array:
    """Ridge on D after X has been removed from D and y."""
    M = _residual_maker(model)
    DM = model.D.T @ M
    beta = np.linalg.solve(DM @ model.D + _penalty(model) * np.eye(model.J), DM @ y)
    alpha = np.linalg.lstsq(model.X, y - model.D @ beta, rcond=None)[0]
    return np.concatenate([alpha, beta])


def _shrunken_means(model: LinearMixedModel, y: Array) -> Array:
    n_j = model.D.sum(axis=0)
    residuals = model.D.T @ (y - model.X @ gls_blup(model, y).fixed)
    means = residuals / np.maximum(n_j, 1)
    shrunken: Array = n_j / (n_j + _penalty(model)) * means
    return shrunken


def _trace_of_hat(model: LinearMixedModel, y: Array) -> Array:
    """Effective degrees of freedom of D beta_tilde, as a trace over unit responses."""
    fits = [model.D @ henderson(model, row).random for row in np.eye(model.n)]
    return np.array([np.trace(np.array(fits))])


def _sum_over_eigenvalues(model: LinearMixedModel, y: Array) -> Array:
    values = np.linalg.eigvalsh(model.D.T @ _residual_maker(model) @ model.D)
    return np.array([(values / (values + _penalty(model))).sum()])


def _left_out(model: LinearMixedModel, y: Array) -> Array:
    """Errors of predicting each row from a fit to all other rows."""
    errors = []
    for i in range(model.n):
        keep = np.arange(model.n) != i
        rest = LinearMixedModel(model.X[keep], model.D[keep], model.Sigma, model.tau2)
        fit = ridge(rest, y[keep])
        errors.append(y[i] - model.X[i] @ fit.fixed - model.D[i] @ fit.random)
    return np.array(errors)


def _inflated_residuals(model: LinearMixedModel, y: Array) -> Array:
    """e_i / (1 - h_i) from one fit."""
    W = np.hstack([model.X, model.D])
    effects = gls_blup(model, y)
    h = np.einsum("ij,jk,ik->i", W, effects.cov, W) / model.tau2
    inflated: Array = (y - W @ _points(effects)) / (1 - h)
    return inflated


_FULL_RANK = "exact given the variances; X of full column rank"

EQUIVALENCES = (
    Equivalence(
        "thm-mixed-marginal",
        "the normal density with covariance V equals the joint density over the conditional one",
        "exact; this check needs Sigma positive definite",
        _log_marginal,
        _joint_over_conditional,
        _regular,
    ),
    Equivalence(
        "thm-gls-blup",
        "GLS and BLUP equal the unbiased linear rules of least error variance",
        _FULL_RANK,
        lambda m, y: _points(gls_blup(m, y)),
        _kriging,
        _always,
    ),
    Equivalence(
        "thm-henderson",
        "GLS and BLUP, with their covariance, solve Henderson's equations",
        f"{_FULL_RANK}, Sigma positive definite",
        lambda m, y: _everything(gls_blup(m, y)),
        lambda m, y: _everything(henderson(m, y)),
        _regular,
    ),
    Equivalence(
        "thm-determinant",
        "log det V + log det X'V^-1X equals the log determinant of the equations plus constants",
        "exact; Sigma positive definite, X of full column rank",
        _determinants_of_v,
        _determinant_of_equations,
        _regular,
    ),
    Equivalence(
        "thm-zero-sum",
        "the entries of Sigma^-1 beta_tilde that pull up and down cancel",
        "D 1 in the column space of X (an intercept), Sigma positive definite",
        _upward_pull,
        _downward_pull,
        _spans_ones_twice,
    ),
    Equivalence(
        "thm-centred",
        "coefficients of the centred model are U alpha_hat + beta_tilde of the mixed model",
        "X = D U for some U; this check needs Sigma positive definite",
        _centred_coefficients,
        _zero_centred_coefficients,
        _group_level,
    ),
    Equivalence(
        "thm-flat",
        "under a flat prior the posterior means and covariance are GLS, BLUP and their errors",
        _FULL_RANK,
        lambda m, y: _everything(gls_blup(m, y)),
        lambda m, y: _everything(posterior(m, y, flat(m.p))),
        _always,
    ),
    Equivalence(
        "thm-three-variances",
        "PEV is the conditional variance plus the price of estimating alpha",
        _FULL_RANK,
        lambda m, y: ridge(m, y).random_cov,
        _conditional_plus_estimation,
        _always,
    ),
    Equivalence(
        "thm-calibration",
        "the posterior variance of beta is the variance of beta_tilde - beta over repeated data",
        _FULL_RANK,
        lambda m, y: posterior(m, y, flat(m.p)).random_cov,
        _error_over_repetitions,
        _always,
    ),
    Equivalence(
        "thm-ridge",
        "ridge with lambda = tau2 / sigma2 and alpha unpenalised gives GLS and BLUP",
        f"{_FULL_RANK}, Sigma = sigma2 I",
        lambda m, y: _points(gls_blup(m, y)),
        _textbook_ridge,
        _spherical,
    ),
    Equivalence(
        "thm-shrinkage",
        "each BLUP is the mean residual of its group times n_j / (n_j + lambda)",
        "one intercept a group, Sigma = sigma2 I, X of full column rank",
        lambda m, y: posterior(m, y, flat(m.p)).random,
        _shrunken_means,
        _one_intercept_a_group,
    ),
    Equivalence(
        "thm-edf",
        "the trace of the hat matrix of D is the sum of l / (l + lambda)",
        f"{_FULL_RANK}, Sigma = sigma2 I",
        _trace_of_hat,
        _sum_over_eigenvalues,
        _spherical,
    ),
    Equivalence(
        "thm-loo",
        "the error of predicting a row left out is its residual over one minus its leverage",
        f"{_FULL_RANK} also without any one row",
        _left_out,
        _inflated_residuals,
        _survives_deletion,
    ),
    Equivalence(
        "thm-general-ridge",
        "ridge on the whitened columns D L gives GLS, BLUP and their covariance",
        f"{_FULL_RANK}; Sigma may be singular",
        lambda m, y: _everything(gls_blup(m, y)),
        lambda m, y: _everything(ridge(m, y)),
        _always,
    ),
)
