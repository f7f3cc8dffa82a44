"""The random effects of a fitted model, and their two variances."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ..inputs import Array
from ..labels import Codes
from ..variance.assembly import Unpooled
from ..variance.criterion import Solution, triangular_solve
from ..variance.factor import Factor

Seen = tuple[Codes, Array]
"""Positions of some rows' levels among those of a term, (n,), and their Z, (n, q), zero where the
fit has not seen the level."""


class Effects(Protocol):
    """What is told of the random effects, with noise (here) and without (in *noiseless*)."""

    @property
    def tau2(self) -> float:
        """Variance of the noise, in the reader's units."""
        ...

    @property
    def random(self) -> tuple[Array, ...]:
        """BLUPs of each term, shape (J, q)."""
        ...

    @property
    def cond_var(self) -> tuple[Array, ...]:
        """Their variances were alpha known, shape (J, q, q)."""
        ...

    @property
    def random_cov(self) -> tuple[Array, ...]:
        """Prediction error variances, shape (J, q, q)."""
        ...

    def variance_of_mean(self, X: Array, seen: Sequence[Seen]) -> Array:
        """Variance of the error of X alpha + Z beta for some rows, shape (n,).

        ``seen`` has an entry for each term, or none where nothing is known of the groups.
        """
        ...


@dataclass(frozen=True, eq=False)
class Solved:
    """A model solved at its estimates, level by level."""

    assembly: Unpooled
    factor: Factor
    """Henderson's matrix, at one point."""
    solution: Solution

    @classmethod
    def at(cls, assembly: Unpooled, T: Sequence[Array]) -> "Solved":
        """Solve at T of the reader's columns."""
        factor = assembly.levels.factor([t[None] for t in assembly.inwards(T)])
        solution = assembly.levels.likelihood.solution(factor.log_det, factor.S)
        assert solution is not None
        return cls(assembly, factor, solution)

    @property
    def y_unit(self) -> float:
        """Scale of y."""
        return float(self.assembly.scale[-1])

    @property
    def tau2(self) -> float:
        """Variance of the noise, in the reader's units."""
        return self.solution.tau2 * self.y_unit**2

    @property
    def alpha_root(self) -> Array:
        """What v = (R, 0) is to ``gains``: tau2 R R' = Cov(alpha_hat), shape (p + 1, p)."""
        return np.pad(self.solution.root, ((0, 1), (0, 0)))

    @cached_property
    def random(self) -> tuple[Array, ...]:
        """See :class:`Effects`."""
        v = np.append(-self.solution.alpha, 1.0)[:, None]
        return tuple(part[..., 0] * self.y_unit for part in gains(self, v))

    @cached_property
    def cond_var(self) -> tuple[Array, ...]:
        """See :class:`Effects`: tau2 P_jj, P = T M^-1 T'."""
        return tuple(self.tau2 * P for P in diagonal_blocks(self))

    @cached_property
    def random_cov(self) -> tuple[Array, ...]:
        """See :class:`Effects`: conditional variance + H Cov(alpha_hat) H' (:eq:`eq-pev`)."""
        pairs = zip(self.cond_var, gains(self, self.alpha_root), strict=True)
        return tuple(P + self.tau2 * h @ h.swapaxes(1, 2) for P, h in pairs)

    def variance_of_mean(self, X: Array, seen: Sequence[Seen]) -> Array:
        """See :class:`Effects`: beta's own error, and that of alpha_hat which moves beta too."""
        # the error of alpha_hat moves the mean by lean' z, the z independent of variance tau2
        lean = X @ self.assembly.to_fixed[1] @ self.solution.root
        own = np.zeros(len(X))
        if seen:
            for (codes, Z), gain in zip(seen, gains(self, self.alpha_root), strict=True):
                lean -= np.einsum("nk,nkr->nr", Z, gain[codes]) * self.y_unit
            own = conditional_of_rows(self, seen)
        return np.asarray(own + self.solution.tau2 * np.einsum("nr,nr->n", lean, lean))


def gains(solved: Solved, v: Array) -> tuple[Array, ...]:
    """P Z'W [X y] v for each term, P = T M^-1 T' (:eq:`eq-blup`), shape (J, q, r).

    With v = (-alpha_hat, 1) these are the BLUPs. With v = (R, 0) they are H R, where H alpha is
    what an error of alpha_hat does to them.
    """
    return tuple(part[0] for part in solved.assembly.effects(*solved.factor.solve(v)))


def diagonal_blocks(solved: Solved) -> tuple[Array, ...]:
    """P_jj, P = T M^-1 T', for each level of each term, (J, q, q).

    Sums of squares, so that none is negative: with M = L L', P = (L^-1 T')'(L^-1 T').
    """
    assembly = solved.assembly
    factor = solved.factor
    equations = factor.equations
    first = assembly.levels.first
    own = np.zeros((0, 1, 1))
    if first is not None and assembly.gram.blocks[first].root is None:
        own = _of_levels(factor, np.asarray(np.linalg.inv(assembly.columns[first]), dtype=float))
    elif first is not None:  # one coefficient per level, and P is diagonal in the basis
        own = (assembly.bases[first] ** 2 @ factor.diagonal()[0, 0, 0])[:, None, None]
    parts = []
    if equations.m:
        T_turned = [T.swapaxes(1, 2) for T in factor.T2]
        root = triangular_solve(
            factor.L2[0], equations.times(T_turned, np.eye(equations.m)[None])[0]
        )
        for t, (a, b, q) in zip(assembly.levels.others, equations.slices, strict=True):
            in_columns = root[:, a:b] @ assembly.bases[t].T
            by_level = in_columns.reshape(equations.m, (b - a) // q, q)
            parts.append(np.einsum("mjk,mjl->jkl", by_level, by_level))
    return tuple(assembly.levels.join(own, parts))


def _of_levels(factor: Factor, back: Array) -> Array:
    """P_jj of the levels that are eliminated, in the reader's columns, shape (J, q, q).

    ``factor.diagonal`` is the same in the criterion's columns: beta = back @ beta there.
    """
    root = np.einsum("ikj,lk->jil", factor.levels.root[0], back)
    P: Array = np.einsum("jil,jim->jlm", root, root)
    if factor.equations.m:
        through = np.moveaxis(factor.equations.crossing.within(factor.Q)[0], -1, 0)
        P_of_criterion = np.einsum("jil,jik->jlk", root, np.moveaxis(factor.levels.root[0], -1, 0))
        P += P_of_criterion @ through @ P_of_criterion.swapaxes(1, 2)
    return P


def conditional_of_rows(solved: Solved, seen: Sequence[Seen]) -> Array:
    """tau2 z'P z for every row: the variance of the mean were alpha known.

    Several columns are turned into the criterion's first: in the reader's, the terms of z'P z
    are by (mean/sd)^2 of a column larger than their sum.
    """
    if len(seen) == 1 and seen[0][1].shape[1] == 1:
        codes, z = seen[0]
        variance: Array = solved.cond_var[0][codes, 0, 0] * z[:, 0] ** 2
        return variance
    columns = solved.assembly.columns
    turned = [(c, z @ np.linalg.inv(R)) for (c, z), R in zip(seen, columns, strict=True)]
    n = len(turned[0][0])
    out = np.empty(n)
    size = max(1, 10**7 // max(solved.factor.equations.m, 1))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        out[rows] = _through(solved, [c[rows] for c, _ in turned], [z[rows] for _, z in turned])
    return solved.tau2 * out


def _through(solved: Solved, codes: list[Codes], z: list[Array]) -> Array:
    """z'T M^-1 T'z for rows z in the criterion's columns: the squares of L^-1 T'z."""
    factor = solved.factor
    levels = solved.assembly.levels
    equations = factor.equations
    n = len(z[0])
    total = np.zeros(n)
    rest = np.zeros((n, equations.m))  # z of the other terms, less what the levels explain of it
    for t, (a, b, q) in zip(levels.others, equations.slices, strict=True):
        own = rest[:, a:b].reshape(n, (b - a) // q, q)
        root = solved.assembly.gram.blocks[t].root
        if root is None:
            own[np.arange(n), codes[t]] += z[t]
        else:
            own += root[codes[t]][:, :, None] * z[t][:, None]
        rest[:, a:b] = own.reshape(n, b - a)
    if levels.first is not None:
        j = codes[levels.first]
        Pz = np.einsum("kln,nl->nk", factor.levels.P[0][:, :, j], z[levels.first])
        total += (Pz * z[levels.first]).sum(axis=1)
        rest -= equations.crossing.of_rows(j, Pz)
    turned = equations.times([t.swapaxes(1, 2) for t in factor.T2], rest.T[None])[0]
    return np.asarray(total + (triangular_solve(factor.L2[0], turned) ** 2).sum(axis=0))
