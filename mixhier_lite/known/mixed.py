"""Chapter *mixed*: the linear mixed model, its marginal form, and GLS with BLUP."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, solve_triangular

from ..errors import refused
from ..inputs import (
    Array,
    generator,
    instance,
    large_enough,
    positive,
    real,
    same_rows,
    small_enough,
)
from ..linalg import cholesky_factor, covariance, identified, well_conditioned
from ..values import Value
from .effects import Effects
from .rounding import too_much


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(Value):
    """The model of :eq:`eq-lmm`: y = X alpha + D beta + eps, with known variances.

    ``beta ~ N(0, Sigma)`` and ``eps ~ N(0, tau2 I)`` are independent. The model holds no
    data: every route is a function ``route(model, y) -> Effects``.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Columns of the fixed effects, p >= 0. Its rank is checked by the routes that need it.
    D : array_like, shape (n, J)
        Columns of the random effects: an indicator in most chapters, any real matrix in general.
    Sigma : array_like, shape (J, J)
        Covariance of beta, symmetric and positive semi-definite; in squared units of beta.
    tau2 : float
        Variance of the noise, > 0; in squared units of y.

    Raises
    ------
    InputError
        Wrong shapes, missing or infinite values, Sigma no covariance, tau2 <= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from mixhier_lite import LinearMixedModel, indicator
    >>> model = LinearMixedModel(X=np.ones((3, 1)), D=indicator([0, 0, 1]),
    ...                          Sigma=2 * np.eye(2), tau2=1)
    >>> model.V
    array([[3., 2., 0.],
           [2., 3., 0.],
           [0., 0., 3.]])
    """

    X: Array
    D: Array
    Sigma: Array
    tau2: float
    L: Array = field(init=False, repr=False)
    """A root of Sigma with L L' = Sigma, shape (J, J). Lower triangular where Sigma is p.d."""

    def __post_init__(self) -> None:
        """Read and check the four inputs once, so that no route has to."""
        X = real(self.X, "X", 2)
        D = real(self.D, "D", 2)
        same_rows(X=X, D=D)
        if len(X) == 0:
            raise refused("no-observations")
        Sigma, L = covariance(self.Sigma, "Sigma", D.shape[1], "column of D")
        tau2 = positive(self.tau2, "tau2")
        for name, values in (("X", X), ("D", D), ("Sigma", Sigma)):
            small_enough(values, name)
            large_enough(values, name)
        read = {"X": X, "D": D, "Sigma": Sigma, "tau2": tau2, "L": L}
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.X)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return int(self.X.shape[1])

    @property
    def J(self) -> int:
        """Number of random effects."""
        return int(self.D.shape[1])

    @property
    def V(self) -> Array:
        """Marginal covariance of y, D Sigma D' + tau2 I (:eq:`eq-marginal`), shape (n, n)."""
        A = self.D @ self.L
        V: Array = A @ A.T
        V[np.diag_indices(self.n)] += self.tau2
        return V

    def response(self, y: npt.ArrayLike) -> Array:
        """Read a response vector for this model: shape (n,), finite."""
        y = real(y, "y", 1)
        same_rows(y=y, X=self.X)
        small_enough(y, "y")
        return y

    def simulate(self, alpha: npt.ArrayLike, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw (y, beta) from the model.

        Parameters
        ----------
        alpha : array_like, shape (p,)
            The fixed effects.
        rng : numpy.random.Generator
            Where the randomness comes from, for instance ``np.random.default_rng(1)``.

        Returns
        -------
        y : ndarray, shape (n,)
        beta : ndarray, shape (J,)
        """
        alpha = real(alpha, "alpha", 1)
        if len(alpha) != self.p:
            raise refused("alpha-of-other-columns", p=self.p, n_entries=len(alpha))
        generator(rng)
        beta = self.L @ rng.standard_normal(self.J)
        eps = np.sqrt(self.tau2) * rng.standard_normal(self.n)
        return self.X @ alpha + self.D @ beta + eps, beta


def response(model: LinearMixedModel, y: npt.ArrayLike) -> Array:
    """Read y for a route, and say so where the first argument is no model."""
    return mixed_model(model).response(y)


def mixed_model(model: LinearMixedModel) -> LinearMixedModel:
    """Say so where the argument ``model`` is none."""
    instance(
        model,
        LinearMixedModel,
        "model",
        "build it first: LinearMixedModel(X, D, Sigma, tau2), and then route(model, y) (a "
        "HierarchicalModel has to_mixed()); to estimate the variances call fit(y, X, Term(groups))",
    )
    return model


def gls_blup(model: LinearMixedModel, y: npt.ArrayLike) -> Effects:
    """Generalised least squares and BLUP by n x n algebra (:prf:ref:`thm-gls-blup`).

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
    Costs n^3: the route that defines the answer, not the one to compute it with.
    Equivalent to ``statsmodels.api.GLS(y, X, sigma=V)`` for alpha. Source: Henderson (1975).
    """
    y = response(model, y)
    identified(model.X)
    X = model.X
    D = model.D
    Sigma = model.Sigma
    L, s = cholesky_factor(model.V, "V")
    R = np.tril(L) / s[:, None]  # V = R R'; R^-1 times the model has noise of variance one
    Xw = solve_triangular(R, X, lower=True, check_finite=False)
    Dw = solve_triangular(R, D, lower=True, check_finite=False)
    yw = solve_triangular(R, y, lower=True, check_finite=False)

    # alpha_hat = (X'V^-1 X)^-1 X'V^-1 y: least squares of yw on Xw
    Q, upper = qr(Xw, mode="economic", check_finite=False)
    well_conditioned(np.diag(upper) / np.linalg.norm(Xw, axis=0), "R^-1 X, with R R' = V,")
    root = solve_triangular(upper, np.eye(model.p), check_finite=False)
    fixed = root @ (Q.T @ yw)
    fixed = fixed + root @ (Q.T @ (yw - Xw @ fixed))  # one correction from the residual

    # beta_tilde = Sigma D'V^-1 (y - X alpha_hat)
    SD = Sigma @ Dw.T  # Sigma D'V^-1 = SD R^-1
    random = SD @ (yw - Xw @ fixed)

    # Var(beta | y, alpha) as a sum of squares: p.s.d. however large Sigma is
    gain = solve_triangular(R, SD.T, lower=True, trans="T", check_finite=False).T
    left = (np.eye(model.J) - SD @ Dw) @ model.L
    cond_var = left @ left.T + model.tau2 * gain @ gain.T

    # PEV = condVar + H (X'V^-1 X)^-1 H' with H = Sigma D'V^-1 X
    fixed_var = root @ root.T  # (X'V^-1 X)^-1
    H_root = SD @ Q
    cross = -root @ H_root.T
    PEV = cond_var + H_root @ H_root.T
    cov = np.block([[fixed_var, cross], [cross.T, PEV]])
    found = Effects(fixed, random, (cov + cov.T) / 2)
    _enough_digits(found, R, Xw, yw, np.vstack([root @ Q.T, SD - H_root @ Q.T]))
    return found


def _enough_digits(found: Effects, R: Array, Xw: Array, yw: Array, to_effects: Array) -> None:
    """Refuse effects of which rounding leaves neither two digits of an sd nor six of their own.

    The effects are to_effects yw. To first order, with eps for the rounding of a number,
    |dR| <= eps |R| moves what R^-1 yields, |dV| <= eps |R||R'| moves V, and |dXw| moves alpha.
    """
    eps = np.finfo(float).eps
    p = len(found.fixed)
    R_inverse = solve_triangular(R, np.eye(len(R)), lower=True, check_finite=False)
    growth = np.abs(to_effects) @ (np.abs(R_inverse) @ np.abs(R))
    residual = np.abs(R_inverse.T @ (yw - Xw @ found.fixed))  # V^-1 (y - X alpha_hat)
    moved = np.abs(yw) + np.abs(Xw) @ np.abs(found.fixed) + np.abs(R.T) @ residual

    sd = np.sqrt(np.diag(found.cov))
    error = 8 * eps * (growth @ moved)
    of_columns = np.linalg.norm(to_effects, axis=1)[:, None] * np.linalg.norm(Xw, axis=0)
    of_sd = eps * (growth @ np.abs(Xw) + of_columns) @ sd[:p]  # Xw moves alpha_hat, and all with it
    if too_much(found, error) or (of_sd > sd / 1000).any():
        raise refused("rounding-too-large-beside-V")
