"""The one result type of every route."""

from dataclasses import dataclass

from ..errors import refused
from ..inputs import Array, real
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Effects(Value):
    """Estimated fixed effects, predicted random effects and their joint uncertainty.

    Equal for every route by :prf:ref:`thm-flat`: ``cov`` is at once the covariance of
    the errors ``(alpha_hat - alpha, beta_tilde - beta)`` over repeated data and the
    posterior covariance of ``(alpha, beta)`` under a flat prior.
    """

    fixed: Array
    """The generalised least-squares estimate alpha_hat, shape (p,)."""
    random: Array
    """The best linear unbiased predictions (BLUPs) beta_tilde, shape (J,)."""
    cov: Array
    """Shape (p + J, p + J), ordered (alpha, beta), in squared units of the coefficients."""

    def __post_init__(self) -> None:
        """Read the three arrays, and keep copies."""
        fixed = real(self.fixed, "fixed", 1)
        random = real(self.random, "random", 1)
        size = len(fixed) + len(random)
        cov = real(self.cov, "cov", 2)
        if cov.shape != (size, size):
            raise refused("covariance-of-effects", size=size, shape=cov.shape)
        for name, value in (("fixed", fixed), ("random", random), ("cov", cov)):
            object.__setattr__(self, name, value)

    @property
    def fixed_cov(self) -> Array:
        """Covariance of alpha_hat, shape (p, p)."""
        p = len(self.fixed)
        return self.cov[:p, :p]

    @property
    def random_cov(self) -> Array:
        """Prediction error covariance (PEV) of beta_tilde - beta, shape (J, J)."""
        p = len(self.fixed)
        return self.cov[p:, p:]
