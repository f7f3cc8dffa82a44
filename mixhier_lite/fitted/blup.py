"""The random effects of a fitted model, and their two variances."""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array
from ..variance.assembly import Assembly
from ..variance.criterion import triangular_solve
from ..variance.levels import Eliminated


@dataclass(frozen=True, eq=False)
class Solved:
    """A model solved at its estimates, level by level."""

    assembly: Assembly
    T: list[Array]
    at: Eliminated

    @property
    def y_unit(self) -> float:
        """Scale of y."""
        return float(self.assembly.scale[-1])

    @property
    def tau2(self) -> float:
        """Variance of the noise, in the reader's units."""
        return self.at.tau2 * self.y_unit**2


def directions(solved: Solved, v: Array) -> tuple[Array, ...]:
    """T (I + T'Z'WZ T)^-1 T'Z'W [X y] v for each term, shape (J, q, r).

    With v = (-alpha_hat, 1) these are the BLUPs; with v = (R, 0) they are H R.
    """
    assembly, at, criterion = solved.assembly, solved.at, solved.assembly.criterion
    system, (_, T2), r = criterion.system, criterion.split(solved.T), v.shape[1]
    TU22 = system.right(T2, triangular_solve(at.L22, at.F22 @ v, transposed=True))
    TU = np.einsum("klj,lrj->jkr", at.H, system.less(v.T @ system.B, TU22)).reshape(-1, r)
    parts = criterion.join([TU, *(TU22[a:b] for a, b, _ in system.slices)])
    found = zip(assembly.bases, parts, assembly.units, strict=True)
    return tuple((basis @ part).reshape(-1, len(d), r) for basis, part, d in found)


def random_effects(solved: Solved) -> tuple[Array, ...]:
    """BLUPs of each term, shape (J, q)."""
    v = np.append(-solved.at.alpha, 1.0)[:, None]
    return tuple(part[..., 0] * solved.y_unit for part in directions(solved, v))


def conditional_variances(solved: Solved) -> tuple[Array, ...]:
    """tau2 P_jj, P = T (I + T'Z'WZ T)^-1 T', for each level of each term, (J, q, q)."""
    assembly, at, criterion = solved.assembly, solved.at, solved.assembly.criterion
    system, (_, T2), (first, *others) = criterion.system, criterion.split(solved.T), criterion.order
    P, d = np.moveaxis(at.H, -1, 0), assembly.units[first or 0]
    if system.m:
        Q = system.right(T2, system.right(T2, at.V22.copy()).T)
        P = P + np.einsum("kaj,abj,lbj->jkl", at.H, system.inner(Q), at.H)
    dense = first is not None and assembly.gram.blocks[first].root is not None
    parts = [(assembly.bases[0] ** 2 @ P[:, 0, 0])[:, None, None] if dense else P / d[:, None] / d]
    for t, (a, b, q) in zip(others, system.slices, strict=True):
        every = assembly.bases[t] @ Q[a:b, a:b] @ assembly.bases[t].T
        parts.append(np.einsum("jkjl->jkl", every.reshape((b - a) // q, q, -1, q)))
    return tuple(solved.tau2 * P for P in criterion.join(parts))


def error_variances(solved: Solved) -> tuple[Array, ...]:
    """Prediction error variance: conditional variance + H Cov(alpha_hat) H'."""
    v = np.pad(solved.at.root, ((0, 1), (0, 0)))
    pairs = zip(conditional_variances(solved), directions(solved, v), strict=True)
    return tuple(P + solved.tau2 * h @ h.swapaxes(1, 2) for P, h in pairs)
