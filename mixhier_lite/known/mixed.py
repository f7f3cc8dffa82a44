"""Chapter *mixed*: the linear mixed model, its marginal form, and GLS with BLUP."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from ..errors import InputError
from ..inputs import Array, positive, real, same_rows
from ..linalg import covariance, identified
from .effects import Effects


@dataclass(frozen=True, eq=False)
class LinearMixedModel:
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
        X, D = real(self.X, "X", 2), real(self.D, "D", 2)
        same_rows(X=X, D=D)
        if len(X) == 0:
            raise InputError(
                "X and D have no rows.", "at least one observation", "n = 0", "pass some data"
            )
        Sigma, L = covariance(self.Sigma, "Sigma", D.shape[1], "column of D")
        read = {"X": X, "D": D, "Sigma": Sigma, "tau2": positive(self.tau2, "tau2"), "L": L}
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
        """Marginal covariance of y, :eq:`eq-marginal`: D Sigma D' + tau2 I, shape (n, n)."""
        A = self.D @ self.L
        V: Array = A @ A.T
        V[np.diag_indices(self.n)] += self.tau2
        return V

    def response(self, y: npt.ArrayLike) -> Array:
        """Read a response vector for this model: shape (n,), finite."""
        y = real(y, "y", 1)
        same_rows(y=y, X=self.X)
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
            raise InputError(
                "alpha does not match X.",
                f"{self.p} entries, one for each column of X",
                f"{len(alpha)} entries",
                "pass one fixed effect a column, np.zeros(0) if there is none",
            )
        beta = self.L @ rng.standard_normal(self.J)
        eps = np.sqrt(self.tau2) * rng.standard_normal(self.n)
        return self.X @ alpha + self.D @ beta + eps, beta


def response(model: LinearMixedModel, y: npt.ArrayLike) -> Array:
    """Read y for a route, and say so where the first argument is no model."""
    if not isinstance(model, LinearMixedModel):
        raise InputError(
            "model is not a LinearMixedModel.",
            "route(model, y) with model = LinearMixedModel(X, D, Sigma, tau2)",
            type(model).__name__,
            "build the model first (a HierarchicalModel has to_mixed()); to estimate the variances "
            "call fit(y, X, Term(groups))",
        )
    return model.response(y)


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
    X, D, Sigma = model.X, model.D, model.Sigma
    V = cho_factor(model.V, lower=True, overwrite_a=True, check_finite=False)  # never inverted
    V_inv_X = cho_solve(V, X)
    fixed_cov = np.linalg.inv(X.T @ V_inv_X)
    fixed = fixed_cov @ (V_inv_X.T @ y)
    fixed = fixed + fixed_cov @ (V_inv_X.T @ (y - X @ fixed))  # one correction from the residual
    gain = Sigma @ cho_solve(V, D).T  # Sigma D' V^-1, (J, n)
    random = gain @ (y - X @ fixed)
    # Var(beta | y, alpha) as a sum of squares: p.s.d. however large Sigma is
    left = np.eye(model.J) - gain @ D
    cond_var = left @ Sigma @ left.T + model.tau2 * gain @ gain.T
    H = gain @ X
    cross = -fixed_cov @ H.T
    cov = np.block([[fixed_cov, cross], [cross.T, cond_var + H @ fixed_cov @ H.T]])
    return Effects(fixed, random, (cov + cov.T) / 2)
