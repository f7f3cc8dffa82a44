"""Chapter *equivalence*: the equalities between the routes, as data that runs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..errors import refused
from ..inputs import Array
from ..linalg import dependent_columns
from ..values import Value
from . import identities as sides
from .flat import flat
from .henderson import henderson
from .hierarchical import posterior, some_covariates
from .mixed import LinearMixedModel, gls_blup, response
from .ridge import ridge

Side = Callable[[LinearMixedModel, Array], Array]


def everywhere(model: LinearMixedModel) -> bool:
    """Whether a model is in the scope of an equality that holds for all."""
    return True


@dataclass(frozen=True, eq=False, repr=False)
class Equivalence(Value):
    """One equality of the book between two ways to compute the same thing.

    Examples
    --------
    >>> from mixhier_lite import EQUIVALENCES
    >>> [e.label for e in EQUIVALENCES if "Henderson" in e.statement]
    ['thm-henderson']
    """

    label: str
    """Label of the book's theorem."""
    title: str
    """Its title."""
    statement: str
    """What equals what, in words."""
    scope: str
    """The conditions under which it does."""
    left: Side = field(repr=False)
    """One side, a function of (model, y) that returns an array."""
    right: Side = field(repr=False)
    """The other side, in different algebra."""
    in_scope: Callable[[LinearMixedModel], bool] = field(default=everywhere, repr=False)
    """Whether a model (with X of full column rank) meets the conditions."""
    tolerance: float = 1e-9
    """Largest relative gap that rounding explains at moderate condition numbers."""

    def gap(self, model: LinearMixedModel, y: Array) -> float:
        """Largest difference of the two sides, relative to the largest entry.

        Out of scope the sides differ, or one of them does not exist, which is an
        ``InputError``.
        """
        y = response(model, y)
        try:
            left = self.left(model, y)
            right = self.right(model, y)
        except (np.linalg.LinAlgError, ZeroDivisionError, IndexError):
            raise refused("out-of-scope", label=self.label, scope=self.scope) from None
        scale = max(np.abs(left).max(initial=0.0), np.abs(right).max(initial=0.0))
        with np.errstate(all="ignore"):  # nan where a side is beyond what a computer holds
            return float(np.abs(left - right).max(initial=0.0) / scale) if scale else 0.0


def _regular(model: LinearMixedModel) -> bool:
    """Sigma is positive definite."""
    return not dependent_columns(model.L)


def _spherical(model: LinearMixedModel) -> bool:
    """Sigma = sigma2 I with sigma2 > 0."""
    S = model.Sigma
    return model.J > 0 and S[0, 0] > 0 and np.array_equal(S, S[0, 0] * np.eye(model.J))


def _some_freedom(model: LinearMixedModel) -> bool:
    """D is not inside the column space of X, where beta_tilde is zero but for rounding."""
    outside = np.linalg.norm(sides.residual_maker(model) @ model.D)
    return bool(outside > 1e-10 * np.linalg.norm(model.D))


def _one_intercept_a_group(model: LinearMixedModel) -> bool:
    is_indicator = np.isin(model.D, (0, 1)).all() and (model.D.sum(axis=1) == 1).all()
    return bool(is_indicator) and _spherical(model) and _some_freedom(model)


def _group_level(model: LinearMixedModel) -> bool:
    """X = D U for some U."""
    try:
        some_covariates(model)
    except ValueError:
        return False
    return _regular(model)


def _has_intercept(model: LinearMixedModel) -> bool:
    """D 1 lies in the column space of X."""
    ones = model.D.sum(axis=1)
    rest = np.linalg.norm(sides.residual_maker(model) @ ones)
    return _regular(model) and _some_freedom(model) and bool(rest < 1e-10 * np.linalg.norm(ones))


def _survives_deletion(model: LinearMixedModel) -> bool:
    """X keeps its rank when any one row is left out."""
    rest = (np.delete(model.X, i, 0) for i in range(model.n))
    return model.n > 1 and not any(dependent_columns(X) for X in rest)


_FULL_RANK = "exact given the variances; X of full column rank"

EQUIVALENCES = (
    Equivalence(
        "thm-mixed-marginal",
        "The marginal model",
        "the normal density with covariance V equals the joint density over the conditional one",
        "exact; this check needs Sigma positive definite",
        sides.log_marginal,
        sides.joint_over_conditional,
        _regular,
    ),
    Equivalence(
        "thm-gls-blup",
        "GLS and BLUP are best among unbiased rules",
        "GLS and BLUP equal the unbiased linear rules of least error variance",
        _FULL_RANK,
        lambda m, y: sides.points(gls_blup(m, y)),
        sides.kriging,
    ),
    Equivalence(
        "thm-henderson",
        "Henderson's equations",
        "GLS and BLUP, with their covariance, solve Henderson's equations",
        f"{_FULL_RANK}, Sigma positive definite",
        lambda m, y: sides.everything(gls_blup(m, y)),
        lambda m, y: sides.everything(henderson(m, y)),
        _regular,
    ),
    Equivalence(
        "thm-determinant",
        "Two determinants in one",
        "log det V + log det X'V^-1X equals the log determinant of the equations plus constants",
        "exact; Sigma positive definite, X of full column rank",
        sides.determinants_of_v,
        sides.determinant_of_equations,
        _regular,
    ),
    Equivalence(
        "thm-zero-sum",
        "Predictions sum to zero",
        "the entries of Sigma^-1 beta_tilde that pull up and down cancel",
        "D 1 in the column space of X (an intercept), Sigma positive definite",
        lambda m, y: sides.pull(m, gls_blup(m, y), 1),
        lambda m, y: sides.pull(m, ridge(m, y), -1),
        _has_intercept,
    ),
    Equivalence(
        "thm-centred",
        "Centred and zero-centred",
        "coefficients of the centred model are U alpha_hat + beta_tilde of the mixed model",
        "X = D U for some U; this check needs Sigma positive definite",
        sides.centred_coefficients,
        sides.zero_centred_coefficients,
        _group_level,
    ),
    Equivalence(
        "thm-flat",
        "The flat-prior posterior",
        "under a flat prior the posterior means and covariance are GLS, BLUP and their errors",
        _FULL_RANK,
        lambda m, y: sides.everything(gls_blup(m, y)),
        lambda m, y: sides.everything(posterior(m, y, flat(m.p))),
    ),
    Equivalence(
        "thm-three-variances",
        "Conditional variance and prediction error variance",
        "PEV is the conditional variance plus the price of estimating alpha",
        _FULL_RANK,
        lambda m, y: ridge(m, y).random_cov,
        sides.conditional_plus_estimation,
    ),
    Equivalence(
        "thm-calibration",
        "Calibration, on average over beta",
        "the posterior variance of beta is the variance of beta_tilde - beta over repeated data",
        _FULL_RANK,
        lambda m, y: posterior(m, y, flat(m.p)).random_cov,
        sides.error_over_repetitions,
    ),
    Equivalence(
        "thm-ridge",
        "Ridge is BLUP",
        "ridge with lambda = tau2 / sigma2 and alpha unpenalised gives GLS and BLUP",
        f"{_FULL_RANK}, Sigma = sigma2 I",
        lambda m, y: sides.points(gls_blup(m, y)),
        sides.textbook_ridge,
        _spherical,
    ),
    Equivalence(
        "thm-shrinkage",
        "Shrinkage of a group",
        "each BLUP is the mean residual of its group times n_j / (n_j + lambda)",
        "one intercept per group, Sigma = sigma2 I, X of full column rank",
        lambda m, y: posterior(m, y, flat(m.p)).random,
        sides.shrunken_means,
        _one_intercept_a_group,
    ),
    Equivalence(
        "thm-edf",
        "Effective degrees of freedom",
        "the trace of the hat matrix of D is the sum of l / (l + lambda)",
        f"{_FULL_RANK}, Sigma = sigma2 I",
        sides.trace_of_hat,
        sides.sum_over_eigenvalues,
        lambda m: _spherical(m) and _some_freedom(m),
    ),
    Equivalence(
        "thm-loo",
        "Leave one out",
        "the error of predicting a row left out is its residual over one minus its leverage",
        f"{_FULL_RANK} also without any one row",
        sides.left_out,
        sides.inflated_residuals,
        _survives_deletion,
    ),
    Equivalence(
        "thm-general-ridge",
        "Ridge for any covariance, and its dual",
        "ridge on the whitened columns D L gives GLS, BLUP and their covariance",
        f"{_FULL_RANK}; Sigma may be singular",
        lambda m, y: sides.everything(gls_blup(m, y)),
        lambda m, y: sides.everything(ridge(m, y)),
    ),
)
