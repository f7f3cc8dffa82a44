"""First and second derivatives of the criterion, read from a factor of Henderson's matrix.

V = I + Z T T'Z' is the covariance of y over tau2. A change of T by d changes T T' by
D = d T' + T d', and V by Z D Z'. What all derivatives are made of is

* G = Z'V^-1 Z = A - A T M^-1 T'A, and E = Z'V^-1 [X y] = B - A T M^-1 T'B,
* F, which is E in the columns in which S = [X y]'V^-1[X y] is the unit matrix, each times the
  root of its weight in the criterion (``Profiled.first``).

The gradient with respect to T T' is then N = G - F F' (:eq:`eq-gradient`), summed over the levels.
"""

from dataclasses import dataclass

import numpy as np

from ..inputs import Array
from .criterion import Profiled
from .curvature import Curvature, Derivatives
from .elimination import backward, forward, gram, product
from .factor import Factor, solve_triangular


@dataclass(frozen=True, eq=False)
class Residual:
    """E = Z'V^-1 R and U = T'E for some columns R of [X y], at one point.

    U is found as M^-1 T'Z'R: nothing cancels in it where T is large.
    """

    E1: Array
    """Of the levels, shape (q, r, J)."""
    U1: Array
    E2: Array
    """Of the other terms, shape (m, r)."""
    U2: Array


def residual(factor: Factor, columns: Array) -> Residual:
    """E and U at the first point for R = [X y] ``columns``, (p + 1, r)."""
    equations, T2 = factor.equations, [t[:1] for t in factor.T2]
    U2 = solve_triangular(factor.L2[:1], factor.F2[:1] @ columns, transposed=True)
    beta2 = equations.times(T2, U2)
    E2 = factor.B2[:1] @ columns - factor.A2[:1] @ beta2
    rest = factor.left_to_levels(columns, beta2)[:1]
    levels = factor.levels
    rows, turned = levels.rows[:1], levels.T[:1].swapaxes(1, 2)
    T_rest = np.tensordot(turned, rest[0], 1)
    U1 = backward(rows, forward(rows, T_rest))
    E1 = rest - gram(levels.TA[:1], U1)
    return Residual(E1[0], U1[0], E2[0], U2[0])


def slope_of_S(factor: Factor) -> tuple[Array, list[Array]]:
    """Derivatives of S in T_ik, - sum_j (E_i U_k' + U_k E_i'), of every term at one point.

    The levels come first, then the other terms: shape (q, q, p + 1, p + 1).
    """
    at = residual(factor, np.eye(len(factor.equations.C)))
    first = -_both_ways(np.einsum("icj,kdj->ikcd", at.E1, at.U1, optimize=True))
    others = []
    for a, b, q in factor.equations.slices:
        E, U = (M[a:b].reshape(-1, q, M.shape[1]) for M in (at.E2, at.U2))
        others.append(-_both_ways(np.einsum("jic,jkd->ikcd", E, U, optimize=True)))
    return first, others


def _both_ways(M: Array) -> Array:
    """M + M' in the last two axes."""
    return np.asarray(M + M.swapaxes(-1, -2))


def gradient(factor: Factor, at: Profiled) -> tuple[Array, list[Array]]:
    """2 N T of every term at one point (:eq:`eq-gradient`): the levels, then the other terms.

    N itself is not formed: the products below have no cancellation where T is large.
    """
    equations = factor.equations
    columns = np.linalg.inv(at.L[0]).T * np.sqrt(at.first[0])  # E in these is F
    here = residual(factor, columns)
    # G T = A T M^-1 of the levels, were they alone; less E U'
    GT = factor.levels.Y[0].sum(axis=2).T
    NT1 = GT - np.einsum("irj,krj->ik", here.E1, here.U1)
    if not equations.m:
        return 2 * NT1, []
    # what the other terms explain of it: (I - A P) A12 Q A12' (I - A P)' T
    Q1 = equations.within(factor.Q)
    unexplained = np.eye(equations.q)[None, :, :, None] - gram(
        factor.levels.TA, backward(factor.levels.rows, factor.levels.root)
    )
    explained = product(unexplained, product(Q1, unexplained.swapaxes(1, 2)))
    NT1 = NT1 - explained[0].sum(axis=2) @ factor.levels.T[0]
    others = []
    TV = factor.T_inverse2[0]  # T (I + T'A2 T)^-1
    for a, b, q in equations.slices:
        A, V = (M[:, a:b].reshape(len(M), -1, q) for M in (factor.A2[0], TV))
        E, U = (M[a:b].reshape(-1, q, M.shape[1]) for M in (here.E2, here.U2))
        GT = np.einsum("cji,cjk->ik", A, V)
        others.append(2 * (GT - np.einsum("jir,jkr->ik", E, U)))
    return 2 * NT1, others


def of_one_term(factor: Factor, at: Profiled) -> Derivatives:
    """Value, gradient and second derivatives in the entries of T of one term, at N points.

    For changes d and e of T, with U = T'F, Y = T'G and sums over the levels, they are
    2 tr e'N d - 2 tr(Y d Y e) - 2 tr(Y T d'G e) + 2 tr(U F'd Y e) + 2 tr(U F'e Y d)
    + 2 tr(e'F F'd Y T) + 2 tr(U U'd'G e), less what the square of the slope of S takes away.
    """
    equations, T, N, q = factor.equations, factor.levels.T, factor.N, factor.equations.q
    U, Y = factor.levels.U, factor.levels.Y
    E = equations.B - gram(factor.levels.TA, U)
    G = equations.A - gram(factor.levels.TA, Y)
    to_unit = np.linalg.inv(at.L)[:, None]
    U, E = to_unit @ U, to_unit @ E
    p1 = U.shape[2]
    wide = N, q * p1, equations.J
    EU = (E.reshape(wide) @ U.reshape(wide).swapaxes(1, 2)).reshape(N, q, p1, q, p1)
    slope_S = -_both_ways(EU.transpose(0, 1, 3, 2, 4))
    slope = 2 * Y.sum(axis=3).swapaxes(1, 2) + np.einsum("nikcc,nc->nik", slope_S, at.first)
    root = np.sqrt(at.first)[:, None, :, None]
    F, U = root * E, root * U
    FF, UF, UU = (np.einsum("nacj,nbcj->nabj", a, b) for a, b in ((F, F), (U, F), (U, U)))
    YT = np.swapaxes(T, 1, 2)[:, None] @ Y
    N_levels = G - FF
    once = _summed(UF - Y / 2, Y, "lijk")
    H = once + once.transpose(0, 3, 4, 1, 2)
    H += _summed(G, UU, "ikjl") - _summed(N_levels, YT, "ikjl")
    np.einsum("nijkj->nijk", H)[...] += N_levels.sum(axis=3)[:, :, None]
    squares = (slope_S * np.sqrt(at.second)[:, None, None]).reshape(N, q * q, -1)
    hessian = 2 * H - (squares @ squares.swapaxes(1, 2)).reshape(H.shape)
    return Derivatives(at.value, [slope], {(0, 0): hessian})


def _summed(a: Array, b: Array, order: str) -> Array:
    """Sum over the levels of a b, shape (N, q, q, q, q), its indices put in the order ijkl."""
    N, q, _, J = a.shape
    both = a.reshape(N, q * q, J) @ b.reshape(N, q * q, J).swapaxes(1, 2)
    return np.asarray(np.einsum(f"n{order}->nijkl", both.reshape(N, q, q, q, q)))


def curvature_of_one_term(factor: Factor, at: Profiled) -> Curvature:
    """Derivatives in T T' at the first point where there is one term."""
    equations = factor.equations
    G = (equations.A - gram(factor.levels.TA, factor.levels.Y))[0]
    E = (np.linalg.inv(at.L)[:, None] @ (equations.B - gram(factor.levels.TA, factor.levels.U)))[0]
    root = np.sqrt(at.first[0])[:, None]
    F = root * E
    FF, FFx = (np.einsum("icj,kcj->ikj", f, f) for f in (F, F[:, :-1]))

    def twice(a: Array, b: Array) -> Array:
        """The sum over levels of tr(a x b y), for symmetric changes x and y."""
        return np.tensordot(a, b, (2, 2)).transpose(1, 2, 3, 0)

    levels = E.shape[-1]
    wide = E.reshape(-1, levels)
    p1 = len(at.L[0])
    S = (wide @ wide.T).reshape(len(E), p1, len(E), p1).swapaxes(1, 2)  # minus the slope of S
    squares = np.einsum("ijcd,klcd->ijkl", S * at.second[0], S)
    x_weight = np.sqrt(np.multiply.outer(at.first[0], at.first[0]))[:-1, :-1]
    through_x = S[:, :, :-1, :-1] * x_weight
    hessian = twice(FF, G) + twice(G, FF) - twice(G, G) - squares
    given_tau2 = twice(G, G) - twice(FFx, G) - twice(G, FFx)
    given_tau2 = given_tau2 + np.einsum("ijcd,klcd->ijkl", through_x, through_x)
    trace = (G - FFx).sum(axis=2)
    N = (G - FF).sum(axis=2)
    return Curvature([N], [trace], {(0, 0): hessian}, {(0, 0): given_tau2}, at.nu)


def curvature_of_dense(factor: Factor, at: Profiled) -> Curvature:
    """Derivatives in T T' at the first point where no term is eliminated level by level."""
    slices = factor.equations.slices
    H = np.asarray(
        np.linalg.solve(
            np.tril(factor.L2[0]),
            factor.equations.times([t[:1].swapaxes(1, 2) for t in factor.T2], factor.A2)[0],
        )
    )
    G = factor.A2[0] - H.T @ H
    E = (factor.B2[0] - H.T @ factor.F2[0]) @ np.linalg.inv(at.L[0]).T
    F = E * np.sqrt(at.first[0])
    K = G - F[:, :-1] @ F[:, :-1].T
    FF = F @ F.T

    def block(M: Array, s: int, t: int) -> Array:
        (a, b, q), (c, d, r) = slices[s], slices[t]
        return M[a:b, c:d].reshape(-1, q, (d - c) // r, r)

    def of_term(M: Array, t: int) -> Array:
        return np.asarray(np.einsum("jijk->ik", block(M, t, t)))

    def twice(A: Array, B: Array, s: int, t: int) -> Array:
        a, b = block(A, s, t), block(B, s, t)
        return np.asarray(np.einsum("xiyl,xjyk->ijkl", a, b, optimize=True))

    S = []
    for a, b, q in slices:
        own = E[a:b].reshape(-1, q, E.shape[1])
        S.append(np.einsum("xic,xkd->ikcd", own, own, optimize=True))
    hessian, given_tau2 = {}, {}
    for s, t in np.ndindex(len(slices), len(slices)):
        squares = np.einsum("ijcd,klcd,cd->ijkl", S[s], S[t], at.second[0])
        observed = twice(FF, G, s, t) + twice(G, FF, s, t) - twice(G, G, s, t)
        hessian[s, t] = observed - squares
        given_tau2[s, t] = twice(K, K, s, t)
    terms = range(len(slices))
    N = [of_term(G - FF, t) for t in terms]
    trace = [of_term(K, t) for t in terms]
    return Curvature(N, trace, hessian, given_tau2, at.nu)
