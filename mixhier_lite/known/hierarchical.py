"""Chapter *hierarchical*: three stages, and Bayes' rule as a product of Gaussian factors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, lstsq

from ..errors import refused
from ..inputs import Array, instance, real
from ..linalg import (
    covariance,
    dependent_columns,
    identified,
    is_singular,
    solve_and_invert,
    symmetric,
)
from ..values import Value
from .effects import Effects
from .mixed import LinearMixedModel, mixed_model, response
from .rounding import enough_digits


@dataclass(frozen=True, eq=False, repr=False)
class HierarchicalModel(Value):
    """The centred form, :eq:`eq-centred`: group coefficients scattered around U alpha.

    ``y ~ N(D gamma, tau2 I)`` and ``gamma ~ N(U alpha, Sigma)``; gamma = U alpha + beta.

    Parameters
    ----------
    U : array_like, shape (J, p)
        Group-level covariates, a row for each column of D.
    D, Sigma, tau2
        As in :class:`LinearMixedModel`.

    Raises
    ------
    InputError
        U and D do not match, or any input that :class:`LinearMixedModel` refuses.
    """

    U: Array
    D: Array
    Sigma: Array
    tau2: float

    def __post_init__(self) -> None:
        """Read and check the inputs."""
        U = real(self.U, "U", 2)
        D = real(self.D, "D", 2)
        if len(U) != D.shape[1]:
            raise refused("U-and-D", J=D.shape[1], shape_of_U=U.shape, shape_of_D=D.shape)
        checked = LinearMixedModel(D @ U, D, self.Sigma, self.tau2)
        read = {"U": U, "D": checked.D, "Sigma": checked.Sigma, "tau2": checked.tau2}
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def to_mixed(self) -> LinearMixedModel:
        """Write the same model zero-centred, with X = D U (:prf:ref:`thm-centred`)."""
        return LinearMixedModel(self.D @ self.U, self.D, self.Sigma, self.tau2)


def centred(model: LinearMixedModel) -> HierarchicalModel:
    """Write a mixed model in the centred form, where that can be done (:prf:ref:`thm-centred`).

    Where the columns of D are independent there is one U. Where they are not, as with a level
    that has no rows, the data leave open what its covariates are, and with them its gamma. Only a
    constant is known of every level.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    HierarchicalModel
        With ``D @ U`` equal to ``model.X``.

    Raises
    ------
    InputError
        Some column of X is not in the column space of D (for an indicator D: it varies
        within a group), so that no U exists; or there are many.
    """
    mixed_model(model)
    U = some_covariates(model)
    loose = dependent_columns(model.D)
    if loose:
        U = _constants(model, loose)
    return HierarchicalModel(U, model.D, model.Sigma, model.tau2)


def some_covariates(model: LinearMixedModel) -> Array:
    """A U with X = D U, the shortest if there are many, shape (J, p).

    Raises
    ------
    InputError
        There is none.
    """
    U: Array = np.zeros((model.J, model.p))
    if model.J and model.p:
        U = lstsq(model.D, model.X)[0]
    outside = _outside(model.X, model.D @ U)
    if outside.any():
        columns = np.flatnonzero(outside).tolist()
        k = columns[int(np.argmax(outside[columns]))]
        raise refused("no-centred-form", columns=columns, percent=100 * outside[k], worst=k)
    return U


def _outside(X: Array, found: Array) -> Array:
    """The share of each column's sum of squares that is missed, 0 within rounding; shape (p,)."""
    rest = ((X - found) ** 2).sum(axis=0)
    share = rest / np.maximum((X**2).sum(axis=0), np.finfo(float).tiny)
    return np.where(share > 1e-24, share, 0.0)  # a relative size of 1e-12: more than rounding


def _constants(model: LinearMixedModel, loose: list[int]) -> Array:
    """U of a D with dependent columns: every column of X must be a constant of all levels."""
    every = model.D.sum(axis=1)  # what a covariate that is one everywhere adds to each row
    constants = every @ model.X / (every @ every)
    unknown = np.flatnonzero(_outside(model.X, np.outer(every, constants)))
    if len(unknown):
        raise refused("many-centred-forms", loose=loose, varying=unknown.tolist())
    return np.tile(constants, (model.J, 1))


@dataclass(frozen=True, eq=False, repr=False)
class GaussianFactor(Value):
    """A factor exp(-c'Pc/2 + h'c) over c: a Gaussian up to a constant, or flat where P = 0.

    Multiplying two factors adds their ``precision`` and ``shift``: Bayes' rule
    (:prf:ref:`lem-product`).
    """

    precision: Array
    """P, shape (k, k), symmetric p.s.d., in inverse squared units of c."""
    shift: Array
    """The vector h, shape (k,), which is P times the mean where a mean exists."""

    def __post_init__(self) -> None:
        """Read and check the inputs."""
        shift = real(self.shift, "shift", 1)
        object.__setattr__(self, "shift", shift)
        precision = symmetric(self.precision, "precision", len(shift), "entry of shift")
        object.__setattr__(self, "precision", precision)

    def __mul__(self, other: "GaussianFactor") -> "GaussianFactor":
        """Multiply the densities."""
        remedy = "multiply factors: gaussian(mean, cov), flat(p), GaussianFactor(P, h)"
        instance(other, GaussianFactor, "a factor", remedy)
        if len(self.shift) != len(other.shift):
            raise refused(
                "factors-of-different-sizes", first=len(self.shift), second=len(other.shift)
            )
        return GaussianFactor(self.precision + other.precision, self.shift + other.shift)


def gaussian(mean: npt.ArrayLike, cov: npt.ArrayLike) -> GaussianFactor:
    """Proper prior N(mean, cov) on alpha.

    Parameters
    ----------
    mean : array_like, shape (p,)
    cov : array_like, shape (p, p)
        Symmetric and positive definite.

    Raises
    ------
    InputError
        Wrong shapes, or cov not positive definite.
    """
    mean = real(mean, "mean", 1)
    cov, _ = covariance(cov, "cov", len(mean), "entry of mean")
    singular, smallest = is_singular(cov)
    if singular:
        raise refused("singular-prior", smallest=smallest)
    shift, precision = solve_and_invert(cov, mean, "cov")
    return GaussianFactor(precision, shift)


def posterior(model: LinearMixedModel, y: npt.ArrayLike, prior: GaussianFactor) -> Effects:
    """Posterior of (alpha, beta) as a product of Gaussian factors (:prf:ref:`thm-flat`).

    The factors are the likelihood, ``u ~ N(0, I)`` with ``beta = L u``, and the prior on
    alpha; a flat prior is a precision of zero and needs no branch.

    Parameters
    ----------
    model : LinearMixedModel
        Sigma may be singular.
    y : array_like, shape (n,)
    prior : GaussianFactor
        ``flat(p)`` or ``gaussian(mean, cov)``. A Gaussian prior accepts a rank-deficient X.

    Returns
    -------
    Effects
        Posterior means and covariance.

    Raises
    ------
    InputError
        The posterior is improper (X rank deficient where the prior is flat); prior and X
        do not match; y of the wrong length or not finite.

    Notes
    -----
    Source: Lindley and Smith (1972), section 2.
    """
    y = response(model, y)
    if not isinstance(prior, GaussianFactor):
        raise refused("not-a-prior-on-alpha", kind=type(prior).__name__)
    p = model.p
    J = model.J
    if len(prior.shift) != p:
        raise refused("prior-of-other-columns", p=p, n_effects=len(prior.shift))
    values, vectors = np.linalg.eigh(prior.precision)
    prior_root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    identified(np.vstack([model.X / np.sqrt(model.tau2), prior_root]))
    W = np.hstack([model.X, model.D @ model.L])
    likelihood = GaussianFactor(W.T @ W / model.tau2, W.T @ y / model.tau2)
    on_alpha = GaussianFactor(
        block_diag(prior.precision, np.zeros((J, J))), np.append(prior.shift, np.zeros(J))
    )
    on_u = GaussianFactor(block_diag(np.zeros((p, p)), np.eye(J)), np.zeros(p + J))
    before = on_alpha * on_u
    product = likelihood * before
    mean, cov = solve_and_invert(product.precision, product.shift, "The posterior precision")
    # W'W squares the condition number of W; one correction from the rows repairs the mean
    rest = W.T @ (y - W @ mean) / model.tau2 + before.shift - before.precision @ mean
    mean = mean + cov @ rest
    to_beta = block_diag(np.eye(p), model.L)
    wanted = to_beta @ cov @ to_beta.T
    found = Effects(mean[:p], model.L @ mean[p:], (wanted + wanted.T) / 2)
    rows = np.hstack([model.X, model.D])
    sds = np.zeros(p + J)  # of nothing that was inverted to a precision
    return enough_digits(found, rows, y, model.tau2, mean, cov, to_beta, before.precision, sds)
