"""The average information: what stands for second derivatives where these cost too much.

Second derivatives have a part with y and a trace, which takes products of whole matrices. At the
true variances the trace is half of what the other part is on average. With that in its place only
the part with y is left (:eq:`eq-average`), and that costs no more than some solutions do.
Gilmour, Thompson and Cullis (1995).
"""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array
from .criterion import Profiled
from .derivatives import residual
from .elimination import NormalEquations, product
from .factor import Factor, solve_triangular


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of all levels of all terms, in r columns."""

    levels: Array
    """Of the term that is eliminated, shape (q, r, J)."""
    others: Array
    """Of the other terms, shape (m, r)."""

    def columns(self, some: slice) -> "Effects":
        """Some of the columns."""
        return Effects(self.levels[:, some], self.others[:, some])

    def inner(self, other: "Effects") -> Array:
        """The products of all columns of one with those of the other, shape (r, s)."""
        of_levels = np.tensordot(self.levels, other.levels, ((0, 2), (0, 2)))
        return np.asarray(of_levels + self.others.T @ other.others)


def average_information(factor: Factor, at: Profiled) -> Array:
    """:eq:`eq-average` at the first point, shape (k, k).

    For k changes e_a e_b' of T T', row by row: first those of the eliminated term, if there is one,
    then those of the others. With F = Z'Omega^-1 r / tau, r the residual of y, a change of a term
    turns the rows of F that belong to it into effects U, and Z U is what Omega's change does to
    Omega^-1 r.
    """
    equations = factor.equations
    here = residual(factor, np.linalg.inv(at.L[0]).T)  # in the columns in which S is I
    E = Effects(here.E1, here.E2)
    E_x = E.columns(slice(-1))
    E_y = E.columns(slice(-1, None))
    tau = np.sqrt(at.d[0, -1])
    F = Effects(tau * E_y.levels, tau * E_y.others)
    U = changed(equations, F)
    AU = normal_products(equations, U)
    U_Omega_U = U.inner(AU) - AU.inner(solution(factor, AU))  # U'Z'Omega^-1 Z U
    along_x = E_x.inner(U)
    along_y = F.inner(U)
    return np.asarray(U_Omega_U - along_x.T @ along_x - along_y.T @ along_y / at.nu)


def changed(equations: NormalEquations, F: Effects) -> Effects:
    """e_a e_b' F_j of every level of a term, zero elsewhere: a column for each term, a and b."""
    q = equations.q
    m = equations.m
    J = equations.J
    sizes = [q**2 if J else 0, *(own**2 for _, _, own in equations.slices)]
    stops = np.cumsum([0, *sizes])
    levels = np.zeros((q, stops[-1], J))
    others = np.zeros((m, stops[-1]))
    if J:
        levels[:, : stops[1]] = np.einsum("ia,bj->iabj", np.eye(q), F.levels[:, 0]).reshape(
            q, -1, J
        )
    for (a, b, own), start, stop in zip(equations.slices, stops[1:], stops[2:], strict=False):
        rows = F.others[a:b, 0].reshape(-1, own)
        turned = np.einsum("jb,ia->jiab", rows, np.eye(own))
        others[a:b, start:stop] = turned.reshape(b - a, -1)
    return Effects(levels, others)


def normal_products(equations: NormalEquations, U: Effects) -> Effects:
    """Z'W Z U."""
    of_levels = np.einsum("ikj,krj->irj", equations.A, U.levels)
    to_levels = equations.crossing.to_levels(U.others[None])[0]
    from_levels = equations.crossing.from_levels(U.levels[None])[0]
    return Effects(of_levels + to_levels, equations.A22 @ U.others + from_levels)


def solution(factor: Factor, right: Effects) -> Effects:
    """T M^-1 T' times effects."""
    crossing = factor.equations.crossing
    P = factor.levels.P
    left = right.others - crossing.from_levels(product(P, right.levels[None]))
    T_left = factor.equations.times([t.swapaxes(1, 2) for t in factor.T2], left)
    half = solve_triangular(factor.L2, T_left)
    beta2 = factor.equations.times(factor.T2, solve_triangular(factor.L2, half, transposed=True))
    beta1 = product(P, right.levels - crossing.to_levels(beta2))
    return Effects(beta1[0], beta2[0])
