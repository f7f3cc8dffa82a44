"""First and second derivatives of the criterion, read from a factor of Henderson's matrix.

Omega = W^-1 + Z T T'Z' is the covariance of y over tau2. A change of T by H changes T T' by
Delta = H T' + T H', and Omega by Z Delta Z' (:eq:`eq-changes`). All derivatives are made of

* R = Z'Omega^-1 Z = A - A T M^-1 T'A, and E = Z'Omega^-1 [X y] = B - A T M^-1 T'B (:eq:`eq-left`),
* F, which is E in the columns in which S = [X y]'Omega^-1[X y] is the unit matrix
  (:eq:`eq-orthonormal`). Here each is taken times the root of its weight in the criterion,
  ``Profiled.d``: then F diag(d) F' of the book is F F'.

The gradient with respect to T T' is N = R - F F' (:eq:`eq-slope-N`), summed over the levels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..inputs import Array
from .criterion import Profiled
from .curvature import Blocks, Curvature, Derivatives
from .elimination import backward, forward, gram, of_every_level
from .factor import Factor, solve_triangular


@dataclass(frozen=True, eq=False)
class Residual:
    """E = Z'Omega^-1 [X y] c and U = T'E for some columns c, at one point.

    U is found as M^-1 T'Z'W[X y] c: nothing cancels in it where T is large.
    """

    E1: Array
    """Of the levels, shape (q, r, J)."""
    U1: Array
    E2: Array
    """Of the other terms, shape (m, r)."""
    U2: Array


def residual(factor: Factor, columns: Array) -> Residual:
    """E and U at the first point for ``columns`` c of [X y], (p + 1, r)."""
    equations = factor.equations
    T2 = [t[:1] for t in factor.T2]
    U2 = solve_triangular(factor.L2[:1], factor.F2[:1] @ columns, transposed=True)
    beta2 = equations.times(T2, U2)
    E2 = factor.B2[:1] @ columns - factor.A2[:1] @ beta2
    rest = factor.left_to_levels(columns, beta2)[:1]
    levels = factor.levels
    rows = levels.rows[:1]
    turned = levels.T[:1].swapaxes(1, 2)
    T_rest = of_every_level(turned, rest[0])
    U1 = backward(rows, forward(rows, T_rest))
    E1 = rest - gram(levels.TA[:1], U1)
    return Residual(E1[0], U1[0], E2[0], U2[0])


def slope_of_S(factor: Factor) -> tuple[Array, list[Array]]:
    """Derivatives of S in T_ik, - sum_j (E_i U_k' + U_k E_i'), of every term at one point.

    The levels come first, then the other terms: shape (q, q, p + 1, p + 1).
    """
    at = residual(factor, np.eye(len(factor.equations.C)))
    first = np.tensordot(at.E1, at.U1, (2, 2)).swapaxes(1, 2)
    others = []
    for a, b, q in factor.equations.slices:
        E, U = (all_rows[a:b].reshape(-1, q, all_rows.shape[1]) for all_rows in (at.E2, at.U2))
        others.append(-_both_ways(_over_levels(E, U)))
    return -_both_ways(first), others


def _over_levels(E: Array, U: Array) -> Array:
    """The sum over levels of E_ic U_kd, shape (i, k, c, d), of rows (levels, q, p + 1)."""
    return np.asarray(np.tensordot(E, U, (0, 0)).swapaxes(1, 2))


def _both_ways(slope: Array) -> Array:
    """A slope plus its transpose, in the last two axes."""
    return np.asarray(slope + slope.swapaxes(-1, -2))


def gradient(factor: Factor, columns: Array) -> tuple[Array, list[Array]]:
    """2 N T of every term at one point (:eq:`eq-slope-T`): the levels, then the other terms.

    ``columns`` of [X y], (p + 1, r), give F: the criterion's are ``Profiled.columns``. N itself is
    not formed: the products below have no cancellation where T is large.
    """
    equations = factor.equations
    levels = factor.levels
    here = residual(factor, columns)  # E is F, and U is T'F
    # R T = A T M^-1 of the levels, were they alone; less F F'T
    RT = levels.Y[0].sum(axis=2).T
    NT1 = RT - np.einsum("irj,krj->ik", here.E1, here.U1)
    if not equations.m:
        return 2 * NT1, []
    NT2 = []
    TM_inverse = factor.T_inverse2()  # T M^-1 with M = I + T'A2 T
    TM = TM_inverse[0]
    for a, b, q in equations.slices:
        A = factor.A2[0][:, a:b].reshape(equations.m, -1, q)
        own = TM[:, a:b].reshape(equations.m, -1, q)
        RT = np.einsum("cji,cjk->ik", A, own)
        F = here.E2[a:b].reshape(-1, q, here.E2.shape[1])
        TF = here.U2[a:b].reshape(-1, q, here.U2.shape[1])
        NT2.append(RT - np.einsum("jir,jkr->ik", F, TF))
    # what the other terms explain of R: (I - A P) A12 Q A12' (I - P A), :eq:`eq-slope-eliminated`
    AP = gram(levels.TA, backward(levels.rows, levels.root))[0]
    unexplained = np.eye(equations.q)[:, :, None] - AP
    explained = equations.crossing.explained(unexplained, factor.Q_from(TM_inverse)[0])
    NT1 = NT1 - explained @ levels.T[0]
    return 2 * NT1, [2 * NT for NT in NT2]


def of_one_term(factor: Factor, at: Profiled) -> Derivatives:
    """Value, gradient and second derivatives in the entries of T of one term, at N points.

    For changes H and K of T (:eq:`eq-hessian-T` of :eq:`eq-hessian-Theta`), with U = T'F, Y = T'R
    and sums over the levels, they are 2 tr K'N H - 2 tr(Y H Y K) - 2 tr(Y T H'R K)
    + 2 tr(U F'H Y K) + 2 tr(U F'K Y H) + 2 tr(K'F F'H Y T) + 2 tr(U U'H'R K), less what the square
    of the slope of S takes away.
    """
    equations = factor.equations
    T = factor.levels.T
    N = factor.N
    q = factor.equations.q
    TE = factor.levels.U
    Y = factor.levels.Y
    E = equations.B - gram(factor.levels.TA, TE)
    R = equations.A - gram(factor.levels.TA, Y)
    to_unit = np.linalg.inv(at.L)[:, None]
    E = to_unit @ E
    TE = to_unit @ TE

    p1 = E.shape[2]
    wide = N, q * p1, equations.J
    once = E.reshape(wide) @ TE.reshape(wide).swapaxes(1, 2)
    slope_S = -_both_ways(once.reshape(N, q, p1, q, p1).transpose(0, 1, 3, 2, 4))
    own = 2 * Y.sum(axis=3).swapaxes(1, 2)
    slope = own + np.einsum("nikcc,nc->nik", slope_S, at.d)

    root = np.sqrt(at.d)[:, None, :, None]
    F = root * E
    U = root * TE
    FF = np.einsum("nacj,nbcj->nabj", F, F)
    UF = np.einsum("nacj,nbcj->nabj", U, F)
    UU = np.einsum("nacj,nbcj->nabj", U, U)
    YT = np.swapaxes(T, 1, 2)[:, None] @ Y
    N_levels = R - FF
    crossed = _summed(UF - Y / 2, Y, "lijk")
    half = crossed + crossed.transpose(0, 3, 4, 1, 2)
    half += _summed(R, UU, "ikjl") - _summed(N_levels, YT, "ikjl")
    np.einsum("nijkj->nijk", half)[...] += N_levels.sum(axis=3)[:, :, None]
    weighted = slope_S * np.sqrt(at.omega)[:, None, None]
    weighted = weighted.reshape(N, q * q, p1**2)
    squares = weighted @ weighted.swapaxes(1, 2)
    hessian = 2 * half - squares.reshape(half.shape)
    return Derivatives(at.value, [slope], {(0, 0): hessian})


def _summed(a: Array, b: Array, order: str) -> Array:
    """Sum over the levels of a b, shape (N, q, q, q, q), its indices put in the order ijkl."""
    N, q, _, J = a.shape
    both = a.reshape(N, q * q, J) @ b.reshape(N, q * q, J).swapaxes(1, 2)
    return np.asarray(np.einsum(f"n{order}->nijkl", both.reshape(N, q, q, q, q)))


def curvature_of_one_term(factor: Factor, at: Profiled) -> Curvature:
    """The slope in T T' at the first point where there is one term, and :eq:`eq-expected`."""
    equations = factor.equations
    levels = factor.levels
    R = (equations.A - gram(levels.TA, levels.Y))[0]
    E = (equations.B - gram(levels.TA, levels.U))[0]
    E = np.linalg.inv(at.L[:1]) @ E
    F = np.sqrt(at.d[0])[:, None] * E
    F_x = F[:, :-1]
    FF = np.einsum("icj,kcj->ikj", F, F)
    FF_x = np.einsum("icj,kcj->ikj", F_x, F_x)

    q, p1, J = E.shape

    def twice(a: Array, b: Array) -> Array:
        """The sum over levels of tr(a x b y), for symmetric changes x and y."""
        both = a.reshape(q * q, J) @ b.reshape(q * q, J).T
        return both.reshape(q, q, q, q).transpose(1, 2, 3, 0)

    wide = E.reshape(q * p1, J)
    Phi = (wide @ wide.T).reshape(q, p1, q, p1).swapaxes(1, 2)  # for a change of entry i, k
    d_x = at.d[0, :-1]
    Phi_x = Phi[:, :, :-1, :-1] * np.sqrt(np.multiply.outer(d_x, d_x))
    squares_x = np.einsum("ijcd,klcd->ijkl", Phi_x, Phi_x)
    given_tau2 = twice(R, R) - _both_orders(twice(FF_x, R)) + squares_x
    trace = (R - FF_x).sum(axis=2)
    N = (R - FF).sum(axis=2)
    return Curvature([N], [trace], {(0, 0): given_tau2}, at.nu)


def _both_orders(form: Array) -> Array:
    """A bilinear form in two changes, and the same with the changes exchanged."""
    return form + form.transpose(2, 3, 0, 1)


@dataclass(frozen=True, eq=False)
class DenseTerms:
    """R and E of all terms as whole matrices at N points, where no term is eliminated by level."""

    slices: tuple[tuple[int, int, int], ...]
    """First column of each term, the one after its last, and its number of columns per level."""
    R: Array
    """Shape (N, m, m)."""
    E: Array
    """In the columns in which S is the unit matrix, shape (N, m, p + 1)."""
    Y: Array
    """T'R, shape (N, m, m)."""
    YT: Array
    """T'R T, shape (N, m, m)."""
    TE: Array
    """T'E, shape (N, m, p + 1)."""
    at: Profiled

    @classmethod
    def of(cls, factor: Factor, at: Profiled) -> "DenseTerms":
        """Read them from a factor."""
        equations = factor.equations
        T_turned = [t.swapaxes(1, 2) for t in factor.T2]
        half = solve_triangular(factor.L2, equations.times(T_turned, factor.A2))  # L^-1 T'A2
        half_turned = half.swapaxes(1, 2)
        R = factor.A2 - half_turned @ half
        E = factor.B2 - half_turned @ factor.F2
        # M^-1 T'A2 and M^-1 T'B2: nothing cancels in them where T is large
        Y = solve_triangular(factor.L2, half, transposed=True)
        TE = solve_triangular(factor.L2, factor.F2, transposed=True)
        YT = equations.times(T_turned, Y.swapaxes(1, 2))
        to_unit = np.linalg.inv(at.L).swapaxes(1, 2)
        return cls(equations.slices, R, E @ to_unit, Y, YT, TE @ to_unit, at)

    @cached_property
    def F(self) -> Array:
        """E, each column times the root of its weight, shape (N, m, p + 1)."""
        return np.asarray(self.E * np.sqrt(self.at.d)[:, None])

    @cached_property
    def N(self) -> Array:
        """R - F F', whose blocks of a level are summed in the gradient, shape (N, m, m)."""
        return np.asarray(self.R - self.F @ self.F.swapaxes(1, 2))

    @cached_property
    def ZQZ(self) -> Array:
        """Z'QZ, by ML Z'Omega^-1 Z, shape (N, m, m)."""
        F_x = self.F[:, :, :-1]
        return np.asarray(self.R - F_x @ F_x.swapaxes(1, 2))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Terms s <= t."""
        return [(s, t) for t in range(len(self.slices)) for s in range(t + 1)]

    def of_terms(self, whole: Array) -> list[Array]:
        """The sum over the levels of a term's own blocks of a matrix, (N, q, q) for each."""
        out = []
        for a, b, q in self.slices:
            J = (b - a) // q
            own = whole[:, a:b, a:b].reshape(-1, J, q, J, q)
            out.append(np.asarray(np.einsum("njijk->nik", own)))
        return out

    def paired_sum(self, A: Array, B: Array, s: int, t: int) -> Array:
        """The sum over levels x of s and y of t of A_xi,yl B_xj,yk, shape (N, i, j, k, l)."""
        (a, b, q) = self.slices[s]
        (c, d, r) = self.slices[t]

        def by_entry(whole: Array) -> Array:
            """A block, a row for each two columns of its terms: (N, q r, levels of both)."""
            block = whole[:, a:b, c:d].reshape(-1, (b - a) // q, q, (d - c) // r, r)
            return block.transpose(0, 2, 4, 1, 3).reshape(len(whole), q * r, -1)

        products = by_entry(A) @ by_entry(B).swapaxes(1, 2)
        return np.asarray(products.reshape(-1, q, r, q, r).transpose(0, 1, 3, 4, 2))

    def slopes_of_S(self) -> list[Array]:
        """Derivatives of S in T_ik of each term, where S is I: (N, q, q, p + 1, p + 1)."""
        out = []
        p1 = self.E.shape[2]
        for a, b, q in self.slices:
            wide = len(self.E), (b - a) // q, q * p1
            once = self.E[:, a:b].reshape(wide).swapaxes(1, 2) @ self.TE[:, a:b].reshape(wide)
            by_entry = once.reshape(-1, q, p1, q, p1).transpose(0, 1, 3, 2, 4)
            out.append(-_both_ways(by_entry))
        return out

    def derivatives(self) -> Derivatives:
        """Value, gradient and second derivatives in the entries of T, as ``of_one_term`` has them.

        The sums go over pairs of levels here (:eq:`eq-hessian-terms`), and nothing is lost where T
        is large: T stands beside R and F before they are summed.
        """
        slope_S = self.slopes_of_S()
        gradient = [
            2 * RT.swapaxes(1, 2) + np.einsum("nikcc,nc->nik", of_S, self.at.d)
            for RT, of_S in zip(self.of_terms(self.Y), slope_S, strict=True)
        ]
        U = self.TE * np.sqrt(self.at.d)[:, None]
        crossed = U @ self.F.swapaxes(1, 2) - self.Y / 2
        UU = U @ U.swapaxes(1, 2)
        crossed_turned = crossed.swapaxes(1, 2)
        Y_turned = self.Y.swapaxes(1, 2)
        N = self.of_terms(self.N)
        root_omega = np.sqrt(self.at.omega)[:, None, None]
        weighted = [(of_S * root_omega).reshape(len(U), -1, root_omega[0].size) for of_S in slope_S]
        hessian = {}
        for s, t in self.pairs:
            half = self.paired_sum(crossed_turned, self.Y, s, t)
            half += self.paired_sum(Y_turned, crossed, s, t)
            straight = self.paired_sum(self.R, UU, s, t) - self.paired_sum(self.N, self.YT, s, t)
            half += straight.swapaxes(3, 4)
            if s == t:
                np.einsum("nijkj->njik", half)[...] += N[t][:, None]
            squares = weighted[s] @ weighted[t].swapaxes(1, 2)
            hessian[s, t] = 2 * half - squares.reshape(half.shape)
        return Derivatives(self.at.value, gradient, _mirrored(hessian))

    def curvature(self) -> Curvature:
        """The slope in T T' at the first point, and what its slope is expected to be."""
        N = [of_term[0] for of_term in self.of_terms(self.N)]  # :eq:`eq-slope-N`
        trace = [of_term[0] for of_term in self.of_terms(self.ZQZ)]
        given_tau2 = {(s, t): self.paired_sum(self.ZQZ, self.ZQZ, s, t)[0] for s, t in self.pairs}
        return Curvature(N, trace, _mirrored(given_tau2), self.at.nu)


def _mirrored(form: Blocks) -> Blocks:
    """A bilinear form in changes of terms s <= t, for t and s as well."""
    turned = {(t, s): np.moveaxis(block, (-2, -1), (-4, -3)) for (s, t), block in form.items()}
    return form | turned
