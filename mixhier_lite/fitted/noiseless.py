"""The effects of a model whose noise is estimated as zero (:eq:`eq-noise-effects`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag

from ..inputs import Array
from ..variance.assembly import Assembly
from ..variance.criterion import triangular_solve
from ..variance.noise import WithoutNoise
from .blup import Seen


@dataclass(frozen=True, eq=False)
class NoiselessEffects:
    """Fixed and random effects at tau2 = 0, where every row is fitted.

    With beta = L z, the z independent of variance one, and A = Z L, V is A A' and alpha_hat and
    beta_tilde are linear in z. So are their errors: with the projection Pi = A'Q_0 A these are
    X^+ (I - A A'Q_0) A z and - L (I - Pi) z.
    """

    assembly: Assembly
    zero: WithoutNoise

    @property
    def tau2(self) -> float:
        """Nothing."""
        return 0.0

    @property
    def y_unit(self) -> float:
        """Scale of y."""
        return float(self.assembly.scale[-1])

    @cached_property
    def roots(self) -> tuple[Array, ...]:
        """L of each term, of the criterion's columns and units, shape (J q, J q)."""
        pairs = zip(self.assembly.gram.blocks, self.zero.T, strict=True)
        return tuple(
            np.asarray(np.kron(np.eye(k.J) if k.root is None else k.root, T), dtype=np.float64)
            for k, T in pairs
        )

    @cached_property
    def A(self) -> Array:
        """Z L of all terms, shape (n, sum of J q)."""
        Z = self.zero.criterion.rows.Z
        return np.hstack([z @ L for z, L in zip(Z, self.roots, strict=True)])

    @cached_property
    def back(self) -> Array:
        """From z to all random effects in the reader's columns and units, (sum of J q, same)."""
        found = zip(self.roots, self.assembly.columns, self.assembly.gram.blocks, strict=True)
        turned = [np.kron(np.eye(k.J), np.linalg.inv(R)) @ L for L, R, k in found]
        return np.asarray(self.y_unit * block_diag(*turned))

    @cached_property
    def Q0A(self) -> Array:
        """Q_0 A = C (C'A A'C)^-1 C'A, shape (n, sum of J q)."""
        contrasts = self.zero.criterion.rows.contrasts
        q, R = np.linalg.qr(contrasts.times(self.A).T)  # C'A = R'q', and so Q_0 A = C R^-1 q'
        return contrasts.back(triangular_solve(R.T, q.T, transposed=True))

    @cached_property
    def fixed(self) -> Array:
        """alpha_hat, in the reader's units, shape (p,)."""
        return np.asarray(self.assembly.to_fixed[0] + self.to_alpha @ self.zero.criterion.rows.y)

    @cached_property
    def to_alpha(self) -> Array:
        """X^+ (I - A A'Q_0), which takes y to alpha_hat, in the reader's units, shape (p, n)."""
        plus = np.linalg.pinv(self.zero.criterion.rows.X)
        return np.asarray(self.assembly.to_fixed[1] @ (plus - plus @ self.A @ self.Q0A.T))

    @property
    def products(self) -> tuple[Array, ...]:
        """What Sigma_kl is multiplied by in V, shape (q, q, n, n) for each term."""
        return self.zero.criterion.rows.products

    @cached_property
    def fixed_error(self) -> Array:
        """The error of alpha_hat from z, in the reader's units, shape (p, sum of J q)."""
        return np.asarray(self.to_alpha @ self.A)

    @cached_property
    def random_error(self) -> Array:
        """The error of all random effects from z, shape (sum of J q, sum of J q)."""
        return np.asarray(self.back @ (self.A.T @ self.Q0A) - self.back)

    @property
    def fixed_cov(self) -> Array:
        """Covariance of alpha_hat, shape (p, p)."""
        return np.asarray(self.fixed_error @ self.fixed_error.T)

    @cached_property
    def random(self) -> tuple[Array, ...]:
        """See :class:`Effects`."""
        beta = self.back @ (self.Q0A.T @ self.zero.criterion.rows.y)
        parts = zip(self._split(beta), self.assembly.gram.blocks, strict=True)
        return tuple(part.reshape(k.J, k.q) for part, k in parts)

    @cached_property
    def cond_var(self) -> tuple[Array, ...]:
        """See :class:`Effects`: what y leaves open, were alpha known, L (I - A^+ A) L'."""
        open_ = np.eye(self.A.shape[1]) - np.linalg.pinv(self.A) @ self.A
        return self._diagonal_blocks(self.back @ open_)

    @cached_property
    def random_cov(self) -> tuple[Array, ...]:
        """See :class:`Effects`."""
        return self._diagonal_blocks(self.random_error)

    def variance_of_mean(self, X: Array, seen: Sequence[Seen]) -> Array:
        """See :class:`Effects`."""
        error = X @ self.fixed_error
        parts = self._split(self.random_error)
        for (codes, Z), part, block in zip(seen, parts, self.assembly.gram.blocks, strict=False):
            own = part.reshape(block.J, block.q, -1)
            error += np.einsum("nk,nkr->nr", Z, own[codes])
        return np.asarray((error**2).sum(axis=1))

    def _split(self, every: Array) -> list[Array]:
        """The rows of each term."""
        sizes = [k.J * k.q for k in self.assembly.gram.blocks]
        return np.split(every, np.cumsum(sizes)[:-1])

    def _diagonal_blocks(self, half: Array) -> tuple[Array, ...]:
        """Of half half', for each level of each term, shape (J, q, q)."""
        parts = zip(self._split(half), self.assembly.gram.blocks, strict=True)
        each = [part.reshape(k.J, k.q, -1) for part, k in parts]
        return tuple(part @ part.swapaxes(1, 2) for part in each)
