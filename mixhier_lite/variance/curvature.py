"""What the derivatives of a criterion are told in: entries of T, or of T T'."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..inputs import Array

Blocks = dict[tuple[int, int], Array]
"""A bilinear form in changes of two terms: (q_s, q_s, q_t, q_t) for terms s and t."""


@dataclass(frozen=True, eq=False)
class Derivatives:
    """A criterion at N points and its derivatives in the entries of T, term by term."""

    value: Array
    """Shape (N,)."""
    gradient: list[Array]
    """For each term, shape (N, q, q)."""
    hessian: Blocks
    """For terms s and t, shape (N, q_s, q_s, q_t, q_t)."""

    @classmethod
    def at_one(cls, value: float, gradient: Sequence[Array], hessian: Blocks) -> "Derivatives":
        """Those at one point, (q, q) for each term and (q_s, q_s, q_t, q_t) for each pair."""
        return cls(
            np.array([value]),
            [of_term[None] for of_term in gradient],
            {terms: block[None] for terms, block in hessian.items()},
        )


def joined(parts: Sequence[Derivatives]) -> Derivatives:
    """The derivatives at the points of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    gradients = zip(*(part.gradient for part in parts), strict=True)
    return Derivatives(
        np.concatenate([part.value for part in parts]),
        [np.concatenate(of_term) for of_term in gradients],
        {
            terms: np.concatenate([part.hessian[terms] for part in parts])
            for terms in parts[0].hessian
        },
    )


@dataclass(frozen=True, eq=False)
class Curvature:
    """The slope in T T' of every term at one point, and what its slope is expected to be."""

    N: list[Array]
    """Gradient, shape (q, q)."""
    trace: list[Array]
    """The part of it without y: a change a of T T' adds tr(Q Z a Z'); shape (q, q)."""
    given_tau2: Blocks
    """The mean over y of second derivatives for known tau2 (:eq:`eq-information`), that is
    tr(Q Z a Z'Q Z b Z') for changes a and b. By ML Omega^-1 stands for Q."""
    nu: float
    """Rows that speak about tau2; infinite where it is known."""

    def expected(self) -> Blocks:
        """The mean of the second derivatives, what tau2 explains taken out."""
        return {
            (s, t): block - np.multiply.outer(self.trace[s], self.trace[t]) / self.nu
            for (s, t), block in self.given_tau2.items()
        }

    def scoring(self) -> Array:
        """What N of the only term should change by, given y (:eq:`eq-scoring`): (q, q, q, q).

        By REML this is exactly the mean, given tau2, of what N changes by at the true T.
        """
        explained = self.trace[0] - self.N[0]  # by y
        return np.asarray(
            self.given_tau2[0, 0] - np.multiply.outer(explained, self.trace[0]) / self.nu
        )


def hessian_in_entries(hessian: Blocks, N: Sequence[Array], T: Sequence[Array]) -> Blocks:
    """Second derivatives in the entries of T from those in T T' and the gradient N there.

    That is :eq:`eq-hessian-T`.
    """
    out = in_entries(hessian, T)
    for t, of_term in enumerate(N):
        np.einsum("ijkj->jik", out[t, t])[...] += of_term + of_term.T
    return out


def in_entries(form: Blocks, T: Sequence[Array]) -> Blocks:
    """A bilinear form in changes of T T' as one in changes d of T: they make it d T' + T d'."""
    out = {}
    for (s, t), block in form.items():
        once = np.tensordot(_symmetric(block), T[t], (3, 0))  # i x k l
        out[s, t] = 4 * np.einsum("ixkl,xj->ijkl", once, T[s])
    return out


def _symmetric(block: Array) -> Array:
    """The same form, symmetric in i, j and in k, l."""
    once = block + block.swapaxes(0, 1)
    return np.asarray((once + once.swapaxes(2, 3)) / 4)
