"""The random effects of a fitted model, and their two variances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..inputs import Array
from ..variance.assembly import Unpooled
from ..variance.criterion import Solution, triangular_solve
from ..variance.factor import Factor


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


def gains(solved: Solved, v: Array) -> tuple[Array, ...]:
    """P Z'W [X y] v for each term, P = T M^-1 T' (:eq:`eq-blup`), shape (J, q, r).

    With v = (-alpha_hat, 1) these are the BLUPs. With v = (R, 0) they are H R, where H alpha is
    what an error of alpha_hat does to them.
    """
    assembly, equations = solved.assembly, solved.factor.equations
    levels, others = solved.factor.solve(v)
    q, r, J = levels[0].shape
    by_level = levels[0].transpose(2, 0, 1).reshape(J * q, r)  # r is 0 without fixed effects
    parts = assembly.levels.join(by_level, [others[0, a:b] for a, b, _ in equations.slices])
    found = zip(assembly.bases, parts, assembly.gram.blocks, strict=True)
    return tuple((basis @ part).reshape(k.J, k.q, r) for basis, part, k in found)


def random_effects(solved: Solved) -> tuple[Array, ...]:
    """BLUPs of each term, shape (J, q)."""
    v = np.append(-solved.solution.alpha, 1.0)[:, None]
    return tuple(part[..., 0] * solved.y_unit for part in gains(solved, v))


def conditional_variances(solved: Solved) -> tuple[Array, ...]:
    """tau2 P_jj, P = T M^-1 T', for each level of each term, (J, q, q).

    Sums of squares, so that none is negative: with M = L L', P = (L^-1 T')'(L^-1 T').
    """
    assembly, factor = solved.assembly, solved.factor
    equations, first = factor.equations, assembly.levels.first
    own = np.zeros((0, 1, 1))
    if first is not None and assembly.gram.blocks[first].root is None:
        own = _of_levels(factor, np.asarray(np.linalg.inv(assembly.columns[first]), dtype=float))
    elif first is not None:  # one coefficient a level, and P is diagonal in the basis
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
    return tuple(solved.tau2 * P for P in assembly.levels.join(own, parts))


def _of_levels(factor: Factor, back: Array) -> Array:
    """P_jj of the levels that are eliminated, in the reader's columns, shape (J, q, q).

    ``factor.diagonal`` is the same in the criterion's columns: beta = back @ beta there.
    """
    root = np.einsum("ikj,lk->jil", factor.levels.root[0], back)
    P: Array = np.einsum("jil,jim->jlm", root, root)
    if factor.equations.m:
        through = np.moveaxis(factor.equations.within(factor.Q)[0], -1, 0)
        P_of_criterion = np.einsum("jil,jik->jlk", root, np.moveaxis(factor.levels.root[0], -1, 0))
        P += P_of_criterion @ through @ P_of_criterion.swapaxes(1, 2)
    return P


def error_variances(solved: Solved) -> tuple[Array, ...]:
    """Prediction error variance (:eq:`eq-pev`): conditional variance + H Cov(alpha_hat) H'."""
    pairs = zip(conditional_variances(solved), gains(solved, solved.alpha_root), strict=True)
    return tuple(P + solved.tau2 * h @ h.swapaxes(1, 2) for P, h in pairs)
