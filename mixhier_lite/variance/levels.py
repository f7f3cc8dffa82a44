"""The criterion where Henderson's matrix is eliminated block by block.

One term, the largest, is eliminated level by level; the others, if any, are one dense matrix
after that. A small model with several terms is one dense matrix as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from ..inputs import Array
from .criterion import Place, WithNoise
from .curvature import Curvature, Derivatives, hessian_in_entries, joined
from .derivatives import (
    DenseTerms,
    curvature_of_one_term,
    gradient,
    of_one_term,
    slope_of_S,
)
from .elimination import NormalEquations
from .factor import Factor
from .information import average_information

CELLS = 2 * 10**5
"""Numbers for each entry of a small matrix that are held at once."""
LARGEST = 400
"""Columns of a dense matrix whose second derivatives are found exactly."""


@dataclass(frozen=True, eq=False)
class Levels(WithNoise):
    """The criterion where one term is eliminated level by level, and others may be left."""

    equations: NormalEquations
    first: int | None
    """The term that is eliminated, if any."""
    others: tuple[int, ...]
    """The other terms."""

    @property
    def cost(self) -> int:
        """The sums of all levels."""
        return self.equations.B.size

    @property
    def dense(self) -> int:
        """The columns of the terms that are not eliminated."""
        return self.equations.m

    @property
    def exact(self) -> bool:
        """One term, or one dense matrix that is not large."""
        return not self.equations.m or (self.equations.J == 0 and self.equations.m <= LARGEST)

    def split(self, T: Sequence[Array]) -> tuple[Array, list[Array]]:
        """T of the term that is eliminated, and T of the others."""
        first = 0 * T[0][..., :1, :1] if self.first is None else T[self.first]
        return first, [T[t] for t in self.others]

    def join(self, first: Array, others: Sequence[Array]) -> list[Array]:
        """One part for each term in the order of the Gram."""
        found = dict(zip(self.others, others, strict=True))
        if self.first is not None:
            found[self.first] = first
        return [found[t] for t in sorted(found)]

    def factor(self, T: Sequence[Array]) -> Factor:
        """Factor Henderson's matrix at N points; T of shape (N, q, q) for each term."""
        first, others = self.split(T)
        return Factor.of(self.equations, first, others)

    def evaluate(self, T: Sequence[Array]) -> tuple[Array, Array]:
        """See :meth:`WithNoise.evaluate`."""
        log_dets = []
        Ss = []
        for some in self._in_parts(T):
            factor = self.factor(some)
            log_dets.append(factor.log_det)
            Ss.append(factor.S)
        return np.concatenate(log_dets), np.concatenate(Ss)

    def _in_parts(self, T: Sequence[Array]) -> Iterator[list[Array]]:
        """As many points at once as stay in the cache."""
        q = self.equations.q
        m = self.equations.m
        B = self.equations.B
        size = 1 if m and B.size else max(1, CELLS // (2 * q * B.size + 3 * m**2 + 1))
        for k in range(0, len(T[0]), size):
            yield [t[k : k + size] for t in T]

    def derivatives(self, T: Sequence[Array]) -> Derivatives:
        """See :meth:`Criterion.derivatives`."""
        parts = []
        for some in self._in_parts(T):
            factor = self.factor(some)
            at = self.likelihood.profiled(factor.log_det, factor.S)
            dense = self.equations.m > 0
            part = DenseTerms.of(factor, at).derivatives() if dense else of_one_term(factor, at)
            parts.append(part)
        return joined(parts)

    def roughly(self, T: Sequence[Array]) -> Derivatives:
        """See :meth:`Criterion.roughly`; by the average information."""
        if self.exact:
            return super().roughly(T)
        factor = self.factor([t[None] for t in T])
        at = self.likelihood.profiled(factor.log_det, factor.S)
        slopes = self.join(*gradient(factor, at.columns))
        N = [slope @ np.linalg.pinv(t) / 2 for slope, t in zip(slopes, T, strict=True)]
        average = average_information(factor, at)
        order = self.others if self.first is None else (self.first, *self.others)
        q = [len(T[t]) for t in order]
        stops = np.cumsum([0, *(each**2 for each in q)])
        blocks = {
            (order[s], order[t]): average[stops[s] : stops[s + 1], stops[t] : stops[t + 1]].reshape(
                q[s], q[s], q[t], q[t]
            )
            for s, t in np.ndindex(len(order), len(order))
        }
        return Derivatives.at_one(float(at.value[0]), slopes, hessian_in_entries(blocks, N, T))

    def at(self, T: Sequence[Array]) -> Place:
        """See :meth:`WithNoise.at`."""
        factor = self.factor([t[None] for t in T])
        return Place(factor.log_det, factor.S, lambda c: self.join(*gradient(factor, c)))

    def without_term(self, T: Sequence[Array], t: int) -> tuple[Array, Array] | None:
        """See :meth:`Criterion.without_term`."""
        if self.equations.m and self.equations.J:
            return None
        q = T[t].shape[-1]
        without = [0 * each if s == t else each for s, each in enumerate(T)]
        factor = self.factor([each[None] for each in without])
        at = self.likelihood.profiled(factor.log_det, factor.S)
        if self.equations.m:
            terms = DenseTerms.of(factor, at)
            a, b, _ = self.equations.slices[t]
            R = terms.R[0, a:b, a:b]
            E = terms.E[0, a:b]
        else:
            R = block_diag(*np.moveaxis(self.equations.A, -1, 0))
            B = np.moveaxis(self.equations.B, -1, 0)
            E = np.concatenate(B @ np.linalg.inv(at.L[0]).T)
        E_x = E[:, :-1]
        return (R - E_x @ E_x.T).reshape(-1, q, len(R) // q, q), E[:, -1].reshape(-1, q)

    def slope_of_S(self, T: Sequence[Array]) -> list[Array]:
        """See :meth:`WithNoise.slope_of_S`."""
        return self.join(*slope_of_S(self.factor([t[None] for t in T])))

    def curvature(self, T: Sequence[Array]) -> Curvature | None:
        """See :meth:`Criterion.curvature`."""
        if not self.exact:
            return None
        factor = self.factor([t[None] for t in T])
        at = self.likelihood.profiled(factor.log_det, factor.S)
        if self.equations.m:
            return DenseTerms.of(factor, at).curvature()
        return curvature_of_one_term(factor, at)
