"""The page *the engine's algebra*: each displayed formula against the density itself.

The left side of each comparison is the formula as the page has it, in the small matrices of the
levels; the right side is the likelihood with n x n matrices, its differences, or an average over
y that is known in closed form. Nothing of the engine is used.
"""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy.linalg import cholesky, hessenberg, null_space

from mixhier_lite import Gram, Term
from mixhier_lite.variance.assembly import Parts
from mixhier_lite.variance.starts import _directions

PAGE = (ROOT / "book" / "algebra.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "mixhier_lite"
LABELS = re.findall(r"^\$\$ \((eq-[\w-]+)\)$", PAGE, re.MULTILINE)
CHECKED: list[str] = []
CASES = [(reml, known) for reml in (True, False) for known in (None, 1.7)]
every_case = pytest.mark.parametrize(
    ("reml", "known"), CASES, ids=["REML", "REML, known", "ML", "ML, known"]
)


def checks(*labels):
    """Note that a test checks these formulas."""
    CHECKED.extend(labels)
    return lambda test: test


# --- the density: n x n, nothing clever


def dense(y, X, V, reml):
    """-2 log likelihood at the best alpha, or the REML criterion with lme4's constants."""
    V_inv = np.linalg.inv(V)
    XVX = X.T @ V_inv @ X
    e = y - X @ np.linalg.solve(XVX, X.T @ V_inv @ y)
    nu = len(y) - X.shape[1] if reml else len(y)
    value = nu * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + e @ V_inv @ e
    return value + reml * np.linalg.slogdet(XVX)[1]


FIRST, SECOND = (3 / 4, -3 / 20, 1 / 60), (3 / 2, -3 / 20, 1 / 90)
"""Differences of sixth order: weights of the steps 1, 2 and 3."""


def slope(f, x, h=1e-3):
    """First derivatives of f at the vector x."""

    def along(e):
        pairs = [(f(x + m * h * e) - f(x - m * h * e)) for m in (1, 2, 3)]
        return sum(w * pair for w, pair in zip(FIRST, pairs, strict=True)) / h

    return np.array([along(e) for e in np.eye(len(x))])


def bend(f, x, h=1e-3):
    """Second derivatives of f at the vector x; a mixed one is what two steps have together."""
    middle = f(x)

    def along(e):
        pairs = [f(x + m * h * e) - 2 * middle + f(x - m * h * e) for m in (1, 2, 3)]
        return sum(w * pair for w, pair in zip(SECOND, pairs, strict=True)) / h**2

    units = np.eye(len(x))
    return np.array([[(along(a + b) - along(a - b)) / 4 for b in units] for a in units])


# --- a small model, weighted and unbalanced


class Model:
    """One or two terms; all columns of all levels in Z, with the term and level of each."""

    def __init__(self, seed=1, q=(2,), J=(5,), n=24, p=2):
        rng = np.random.default_rng(seed)
        self.rng, self.n, self.p, self.q, self.J = rng, n, p, q, J
        self.X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
        self.y = 3 + 2 * rng.normal(size=n)
        self.w = rng.uniform(0.4, 2.5, n)
        self.columns, self.level = [], []
        for columns, levels in zip(q, J, strict=True):
            codes = np.append(np.arange(levels), rng.integers(0, levels, n - levels))
            rng.shuffle(codes)
            rows = np.column_stack([np.ones(n), rng.normal(size=(n, columns - 1)) + 0.5])
            self.columns.append([rows * (codes == j)[:, None] for j in range(levels)])
        self.T = [np.tril(rng.normal(size=(k, k))) + np.eye(k) for k in q]
        self.W = np.diag(self.w)

    def omega(self, Thetas):
        """V / tau2."""
        total = np.diag(1 / self.w)
        for Theta, levels in zip(Thetas, self.columns, strict=True):
            total = total + sum(Z @ Theta @ Z.T for Z in levels)
        return total

    def best_tau2(self, Thetas, reml):
        """The tau2 at which the density is largest: by its own definition, on a fine search."""
        from scipy.optimize import minimize_scalar

        Omega = self.omega(Thetas)
        found = minimize_scalar(
            lambda s: dense(self.y, self.X, np.exp(s) * Omega, reml), (-1, 1), tol=1e-13
        )
        return np.exp(found.x)

    def criterion(self, Thetas, reml, known=None):
        """The criterion, with tau2 at its best where it is not known."""
        Omega = self.omega(Thetas)
        if known is not None:
            return dense(self.y, self.X, known * Omega, reml)
        Q = residual_maker(Omega, self.X)
        tau2 = self.y @ Q @ self.y / (self.n - self.p if reml else self.n)
        return dense(self.y, self.X, tau2 * Omega, reml)

    @property
    def Thetas(self):
        return [T @ T.T for T in self.T]


def residual_maker(Omega, X):
    inverse = np.linalg.inv(Omega)
    return inverse - inverse @ X @ np.linalg.inv(X.T @ inverse @ X) @ X.T @ inverse


class Levels:
    """The small matrices of the page, for a model with one term, at T."""

    def __init__(self, model, reml, known=None, T=None):
        self.model, self.T = model, model.T[0] if T is None else T
        T, W, p = self.T, model.W, model.p
        Xy = np.column_stack([model.X, model.y])
        self.C = Xy.T @ W @ Xy
        self.A = [Z.T @ W @ Z for Z in model.columns[0]]
        self.B = [Z.T @ W @ Xy for Z in model.columns[0]]
        self.M = [np.eye(T.shape[1]) + T.T @ A @ T for A in self.A]
        self.P = [T @ np.linalg.inv(M) @ T.T for M in self.M]
        self.R = [A - A @ P @ A for A, P in zip(self.A, self.P, strict=True)]
        self.E = [B - A @ P @ B for A, B, P in zip(self.A, self.B, self.P, strict=True)]
        self.S = self.C - sum(B.T @ P @ B for B, P in zip(self.B, self.P, strict=True))
        self.log_det = sum(np.linalg.slogdet(M)[1] for M in self.M) - np.log(model.w).sum()
        self.alpha = np.linalg.solve(self.S[:p, :p], self.S[:p, p])
        self.v = np.append(-self.alpha, 1)
        self.r2 = self.v @ self.S @ self.v
        self.rho, self.nu = int(reml), model.n - reml * p
        self.tau2 = self.r2 / self.nu if known is None else known
        self.d, self.omega = weights(p, self.rho, self.r2 / self.tau2, known is None)
        root = np.linalg.inv(cholesky(self.S, lower=True)).T
        self.F = [E @ root for E in self.E]
        self.N = sum(R - F * self.d @ F.T for R, F in zip(self.R, self.F, strict=True))

    def value(self):
        rest = self.nu * np.log(2 * np.pi * self.tau2) + self.r2 / self.tau2
        xx = np.linalg.slogdet(self.S[: self.model.p, : self.model.p])[1]
        return self.log_det + rest + self.rho * xx

    def Phi(self, Delta):
        return sum(F.T @ Delta @ F for F in self.F)

    def bend(self, Delta, Gamma):
        """The second derivative in Theta."""
        levels = sum(
            np.trace((2 * F * self.d @ F.T - R) @ Delta @ R @ Gamma)
            for F, R in zip(self.F, self.R, strict=True)
        )
        return levels - (self.omega * self.Phi(Delta) * self.Phi(Gamma)).sum()

    def bend_T(self, H, K):
        """The second derivative in T."""
        T = self.T
        changes = self.bend(H @ T.T + T @ H.T, K @ T.T + T @ K.T)
        return 2 * np.trace(self.N @ H @ K.T) + changes


def weights(p, rho, d_y, profiled):
    d = np.append(np.full(p, float(rho)), d_y)
    omega = np.full((p + 1, p + 1), float(rho))
    omega[-1] = omega[:, -1] = d_y
    omega[-1, -1] = d_y if profiled else 0.0
    return d, omega


def directions(q):
    """A basis of the symmetric matrices."""
    for k, j in itertools.combinations_with_replacement(range(q), 2):
        Delta = np.zeros((q, q))
        Delta[k, j] = Delta[j, k] = 1.0
        yield Delta


def close(a, b, rel=1e-6):
    b = np.asarray(b)
    assert np.asarray(a) == pytest.approx(b, rel=rel, abs=rel * max(np.abs(b).max(), 1e-3))


# --- the page


def test_every_formula_of_the_page_has_a_test():
    assert len(LABELS) == len(set(LABELS)) > 30
    assert sorted(CHECKED) == sorted(LABELS)


def test_labels_cited_in_the_package_exist():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md"))
    known = set(re.findall(r"\$\$ \((eq-[\w-]+)\)$", pages, re.MULTILINE))
    for module in sorted(Path(ROOT / "mixhier_lite").rglob("*.py")):
        assert (
            set(re.findall(r"\b(eq-[a-z][\w-]+)", module.read_text(encoding="utf-8"))) <= known
        ), module


@every_case
@checks("eq-omega", "eq-criterion-dense")
def test_criterion_in_units_of_the_noise(reml, known):
    model = Model()
    Omega, X, y = model.omega(model.Thetas), model.X, model.y
    Q, nu = residual_maker(Omega, X), model.n - reml * model.p
    tau2 = y @ Q @ y / nu if known is None else known
    middle = nu * np.log(2 * np.pi * tau2) + y @ Q @ y / tau2
    XX = X.T @ np.linalg.inv(Omega) @ X
    value = np.linalg.slogdet(Omega)[1] + middle + reml * np.linalg.slogdet(XX)[1]
    V = np.diag(tau2 / model.w) + sum(Z @ (tau2 * model.Thetas[0]) @ Z.T for Z in model.columns[0])
    close(value, dense(y, X, V, reml), 1e-12)
    close(Q @ X, 0 * X, 1e-9)
    close(Q @ Omega @ Q, Q, 1e-9)
    if known is None:  # no other tau2 is better
        close(tau2, model.best_tau2(model.Thetas, reml), 1e-6)


# --- one coefficient per level


@every_case
@checks("eq-scalar-criterion", "eq-scalar-slope", "eq-orthonormal", "eq-scalar-hessian")
def test_one_coefficient_per_level(reml, known):
    model = Model(seed=3, q=(1,), J=(6,))
    p, W, n = model.p, model.W, model.n
    Xy = np.column_stack([model.X, model.y])
    A = np.array([float(Z[:, 0] @ W @ Z[:, 0]) for Z in model.columns[0]])
    B = np.array([Z[:, 0] @ W @ Xy for Z in model.columns[0]])
    nu, rho = n - reml * p, int(reml)

    def parts(t):
        S = Xy.T @ W @ Xy - (t / (1 + t * A) * B.T) @ B
        v = np.append(-np.linalg.solve(S[:p, :p], S[:p, p]), 1)
        return S, v, v @ S @ v

    def value(t):
        S, _, r2 = parts(t)
        tau2 = r2 / nu if known is None else known
        middle = nu * np.log(2 * np.pi * tau2) + r2 / tau2
        det = np.log1p(t * A).sum() + rho * np.linalg.slogdet(S[:p, :p])[1]
        return -np.log(model.w).sum() + det + middle

    def oracle(t):
        return model.criterion([np.array([[t]])], reml, known)

    theta = 0.8
    t = theta**2
    close(value(t), oracle(t), 1e-12)

    S, v, r2 = parts(t)
    tau2 = r2 / nu if known is None else known
    R, E = A / (1 + t * A), B / (1 + t * A)[:, None]
    Sxx = S[:p, :p]
    N = R.sum() - ((E @ v) ** 2).sum() / tau2
    N -= rho * np.trace(np.linalg.solve(Sxx, E[:, :p].T @ E[:, :p]))
    close(N, slope(lambda x: oracle(x[0]), np.array([t]))[0])
    close(2 * N * theta, slope(lambda x: oracle(x[0] ** 2), np.array([theta]))[0])

    F = E @ np.linalg.inv(cholesky(S, lower=True)).T
    close(F[:, -1], E @ v / np.sqrt(r2), 1e-10)
    d, omega = weights(p, rho, r2 / tau2, known is None)
    close(N, (R - (F * d * F).sum(axis=1)).sum(), 1e-10)
    dN = ((2 * (F * d * F).sum(axis=1) - R) * R).sum() - (omega * (F.T @ F) ** 2).sum()
    close(dN, bend(lambda x: oracle(x[0]), np.array([t]))[0, 0])
    close(2 * N + 4 * t * dN, bend(lambda x: oracle(x[0] ** 2), np.array([theta]))[0, 0])


# --- any number of coefficients


@every_case
@checks("eq-criterion-P")
def test_criterion_from_the_levels(reml, known):
    model = Model()
    for T in (model.T[0], 0 * model.T[0], model.T[0] * [1, 0], 100 * model.T[0]):
        levels = Levels(model, reml, known, T)
        close(levels.value(), model.criterion([T @ T.T], reml, known), 1e-9)
        for A, P in zip(levels.A, levels.P, strict=True):
            close(P, T @ T.T @ np.linalg.inv(np.eye(2) + A @ T @ T.T), 1e-7)
    Omega = model.omega(model.Thetas)
    Xy = np.column_stack([model.X, model.y])
    close(Levels(model, reml, known).S, Xy.T @ np.linalg.inv(Omega) @ Xy, 1e-10)


@checks("eq-effects-P")
def test_effects_and_their_variances():
    model = Model()
    levels = Levels(model, reml=True)
    Z = np.hstack(model.columns[0])
    Sigma = levels.tau2 * np.kron(np.eye(5), model.Thetas[0])
    V_inv = np.linalg.inv(Z @ Sigma @ Z.T + levels.tau2 * np.diag(1 / model.w))
    A = np.linalg.inv(model.X.T @ V_inv @ model.X)
    blup = Sigma @ Z.T @ V_inv @ (model.y - model.X @ A @ model.X.T @ V_inv @ model.y)
    cond_var = Sigma - Sigma @ Z.T @ V_inv @ Z @ Sigma
    H = Sigma @ Z.T @ V_inv @ model.X
    pev = cond_var + H @ A @ H.T
    Sxx = levels.S[:2, :2]
    for j, (P, B) in enumerate(zip(levels.P, levels.B, strict=True)):
        rows, H_j = slice(2 * j, 2 * j + 2), P @ B[:, :2]
        close(P @ B @ levels.v, blup[rows], 1e-10)
        close(levels.tau2 * P, cond_var[rows, rows], 1e-10)
        close(levels.tau2 * (P + H_j @ np.linalg.solve(Sxx, H_j.T)), pev[rows, rows], 1e-10)


@checks("eq-left", "eq-changes")
def test_what_a_level_still_says_and_how_it_changes():
    model = Model()
    levels = Levels(model, reml=True)
    inverse = np.linalg.inv(model.omega(model.Thetas))
    Xy = np.column_stack([model.X, model.y])
    for j, Z in enumerate(model.columns[0]):
        close(levels.R[j], Z.T @ inverse @ Z, 1e-10)
        close(levels.E[j], Z.T @ inverse @ Xy, 1e-10)
        for k in range(j):
            close(Z.T @ inverse @ model.columns[0][k], np.zeros((2, 2)), 1e-10)

    def stated(step, Delta):
        """P_j, R_j, E_j and S of the first level, from n x n matrices."""
        Theta = model.Thetas[0] + step * Delta
        inverse, Z = np.linalg.inv(model.omega([Theta])), model.columns[0][0]
        P = Theta - Theta @ Z.T @ inverse @ Z @ Theta
        return [P, Z.T @ inverse @ Z, Z.T @ inverse @ Xy, Xy.T @ inverse @ Xy]

    A, P, R, E = levels.A[0], levels.P[0], levels.R[0], levels.E[0]
    for Delta in directions(2):
        say = [
            (np.eye(2) - P @ A) @ Delta @ (np.eye(2) - A @ P),
            -R @ Delta @ R,
            -R @ Delta @ E,
            -sum(E.T @ Delta @ E for E in levels.E),
        ]
        for k, change in enumerate(say):
            there = slope(lambda s, k=k, D=Delta: stated(s[0], D)[k], np.zeros(1))[0]
            close(change, there, 1e-7)


@every_case
@checks("eq-slope-N", "eq-slope-T", "eq-hessian-Theta", "eq-hessian-T")
def test_slopes_and_second_derivatives(reml, known):
    model = Model(seed=5, q=(3,), J=(4,), n=26)
    levels, T = Levels(model, reml, known), model.T[0]
    basis, Theta = list(directions(3)), model.Thetas[0]

    def in_Theta(x):
        change = sum(a * D for a, D in zip(x, basis, strict=True))
        return model.criterion([Theta + change], reml, known)

    def in_T(x):
        change = T + x.reshape(3, 3)
        return model.criterion([change @ change.T], reml, known)

    close([np.trace(levels.N @ D) for D in basis], slope(in_Theta, np.zeros(6)))
    close((2 * levels.N @ T).ravel(), slope(in_T, np.zeros(9)))
    close(2 * sum(R @ T - F * levels.d @ F.T @ T for R, F in zip(levels.R, levels.F, strict=True)),
          2 * levels.N @ T, 1e-10)  # fmt: skip
    close([[levels.bend(D, G) for G in basis] for D in basis], bend(in_Theta, np.zeros(6)), 1e-5)
    units = list(np.eye(9).reshape(9, 3, 3))
    close([[levels.bend_T(H, K) for K in units] for H in units], bend(in_T, np.zeros(9)), 1e-5)


@checks("eq-sweep")
def test_elimination_leaves_what_the_derivatives_need():
    model = Model()
    levels, T = Levels(model, reml=True), model.T[0]
    inverse = np.linalg.inv(model.omega(model.Thetas))
    Xy = np.column_stack([model.X, model.y])
    taken = np.zeros((3, 3))
    for j, Z in enumerate(model.columns[0]):
        A, B = levels.A[j], levels.B[j]
        above = np.hstack([np.eye(2) + T.T @ A @ T, T.T @ B, T.T @ A])
        table = np.vstack([above, np.hstack([A @ T, B, A])])
        pivots = []
        for k in range(2):  # Gauss-Jordan, with S on the side
            pivots.append(table[k, k])
            taken += np.outer(table[k, 2:5], table[k, 2:5]) / table[k, k]
            row = table[k] / table[k, k]
            table = table - np.outer(table[:, k], row)
            table[k] = row
        E, R = Z.T @ inverse @ Xy, Z.T @ inverse @ Z
        close(table[:, :2], np.vstack([np.eye(2), np.zeros((2, 2))]), 1e-9)
        close(table[:2, 2:], np.hstack([T.T @ E, T.T @ R]), 1e-9)
        close(table[2:, 2:], np.hstack([E, R]), 1e-9)
        close(np.prod(pivots), np.linalg.det(levels.M[j]), 1e-10)
    close(levels.C - taken, Xy.T @ inverse @ Xy, 1e-9)


# --- other columns


@every_case
@checks("eq-basis", "eq-basis-X")
def test_other_columns_for_the_same_space(reml, known):
    model = Model()
    A = np.array([[1.0, 0.7], [-0.4, 2.0]])
    back = np.linalg.inv(A)
    other = Model()
    other.columns = [[Z @ A for Z in model.columns[0]]]
    here = Levels(model, reml, known)
    there = Levels(other, reml, known, back @ model.T[0])
    close(other.omega([back @ model.Thetas[0] @ back.T]), model.omega(model.Thetas), 1e-10)
    close(other.criterion([back @ model.Thetas[0] @ back.T], reml, known), here.value(), 1e-10)
    close(there.alpha, here.alpha, 1e-9)
    close(there.tau2, here.tau2, 1e-10)
    close(there.N, A.T @ here.N @ A, 1e-8)
    close(there.N @ there.T, A.T @ here.N @ here.T, 1e-8)
    for j in range(5):
        close(there.A[j], A.T @ here.A[j] @ A, 1e-10)
        close(there.B[j], A.T @ here.B[j], 1e-10)
        close(there.P[j], back @ here.P[j] @ back.T, 1e-9)
        close(there.P[j] @ there.B[j] @ there.v, back @ here.P[j] @ here.B[j] @ here.v, 1e-8)
    for Delta, Gamma in itertools.product(directions(2), repeat=2):
        close(there.bend(Delta, Gamma), here.bend(A @ Delta @ A.T, A @ Gamma @ A.T), 1e-7)
    R = cholesky(sum(here.A))
    close(sum(np.linalg.inv(R).T @ a @ np.linalg.inv(R) for a in here.A), np.eye(2), 1e-10)

    B = np.array([[2.0, -3.0], [0.5, 1.0]])
    other = Model()
    other.X = model.X @ B
    shifted = Levels(other, reml, known)
    close(shifted.alpha, np.linalg.solve(B, here.alpha), 1e-9)
    more = 2 * reml * np.log(abs(np.linalg.det(B)))
    close(other.criterion(model.Thetas, reml, known), here.value() + more, 1e-10)


# --- on average


def changes_of_omega(model, Delta, t=0):
    return sum(Z @ Delta @ Z.T for Z in model.columns[t])


@pytest.mark.parametrize("known", [None, 1.7])
@checks("eq-average")
def test_average_information_is_the_mean_of_observed_and_expected(known):
    """What the best tau2 takes from the observed second derivatives is taken from both."""
    model = Model()
    basis, Theta = list(directions(2)), model.Thetas[0]
    Omega = model.omega([Theta])
    Q = residual_maker(Omega, model.X)
    nu = model.n - model.p
    tau2 = known or model.y @ Q @ model.y / nu
    M = [changes_of_omega(model, D) for D in basis]
    e = Q @ model.y / np.sqrt(tau2)
    taken = np.outer(*[[e @ m @ e for m in M]] * 2) / nu * (known is None)
    stated = np.array([[e @ a @ Q @ b @ e for b in M] for a in M]) - taken

    def criterion(x):
        change = sum(a * D for a, D in zip(x, basis, strict=True))
        return model.criterion([Theta + change], True, known)

    observed = bend(criterion, np.zeros(3))
    expected = np.array([[np.trace(Q @ a @ Q @ b) for b in M] for a in M])
    close(stated, (observed + expected - taken) / 2, 1e-6)


@pytest.mark.parametrize("reml", [True, False])
@checks("eq-information", "eq-expected")
def test_the_mean_of_the_second_derivatives(reml):
    """An average over y of a quadratic form is a trace: criteria are quadratic in y."""
    model = Model()
    basis, Theta, tau2 = list(directions(2)), model.Thetas[0], 1.3
    V = tau2 * model.omega([Theta])
    root = cholesky(V, lower=True)

    def mean_criterion(x, alpha_known):
        """E of the criterion at (Theta, log tau2) + x, y drawn at x = 0; n columns of V's root."""
        change = sum(a * D for a, D in zip(x[:3], basis, strict=True))
        there = np.exp(x[3]) * tau2 * model.omega([Theta + change])
        if alpha_known:  # ML: alpha is a parameter of its own, with the truth at its place
            inverse = np.linalg.inv(there)
            quadratic = np.trace(root.T @ inverse @ root)
        else:
            quadratic = np.trace(root.T @ residual_maker(there, model.X) @ root)
        value = np.linalg.slogdet(there)[1] + quadratic
        if not alpha_known:
            value += np.linalg.slogdet(model.X.T @ np.linalg.inv(there) @ model.X)[1]
        return value

    Omega = model.omega([Theta])
    Q = residual_maker(Omega, model.X) if reml else np.linalg.inv(Omega)
    M = [changes_of_omega(model, D) for D in basis]
    nu = model.n - reml * model.p
    stated = np.empty((4, 4))
    stated[:3, :3] = [[np.trace(Q @ a @ Q @ b) for b in M] for a in M]
    stated[3, :3] = stated[:3, 3] = [np.trace(Q @ a) for a in M]
    stated[3, 3] = nu
    there = bend(lambda x: mean_criterion(x, not reml), np.zeros(4))
    close(stated, there, 1e-6)
    close(slope(lambda x: mean_criterion(x, not reml), np.zeros(4)), np.zeros(4), 1e-4)

    levels = Levels(model, reml)
    F = [F[:, :2] for F in levels.F]

    def expected(Delta, Gamma):
        both = [sum(f.T @ D @ f for f in F) for D in (Delta, Gamma)]
        each = sum(
            np.trace((R - 2 * reml * f @ f.T) @ Delta @ R @ Gamma)
            for R, f in zip(levels.R, F, strict=True)
        )
        return each + reml * np.trace(both[0] @ both[1])

    close([[expected(D, G) for G in basis] for D in basis], stated[:3, :3], 1e-8)
    first = [
        sum(np.trace((R - reml * f @ f.T) @ D) for R, f in zip(levels.R, F, strict=True))
        for D in basis
    ]
    close(first, stated[:3, 3], 1e-8)


@pytest.mark.parametrize("reml", [True, False])
def test_observed_second_derivatives_with_the_noise_as_a_coordinate(reml):
    model = Model()
    tau2, basis = 1.9, list(directions(2))

    def value(x):
        change = sum(a * D for a, D in zip(x[:3], basis, strict=True))
        V = np.exp(x[3]) * tau2 * model.omega([model.Thetas[0] + change])
        return dense(model.y, model.X, V, reml)

    levels = Levels(model, reml, tau2)
    stated = np.empty((4, 4))
    stated[:3, :3] = [[levels.bend(D, G) for G in basis] for D in basis]
    stated[3, :3] = stated[:3, 3] = [levels.d[-1] * levels.Phi(D)[-1, -1] for D in basis]
    stated[3, 3] = levels.d[-1]
    close(stated, bend(value, np.zeros(4)), 1e-6)


@checks("eq-scoring")
def test_scoring_equates_quadratic_forms_with_their_means():
    model = Model()
    Theta, basis = model.Thetas[0], list(directions(2))
    Omega = model.omega([Theta])
    Q = residual_maker(Omega, model.X)
    M = [changes_of_omega(model, D) for D in basis]
    levels = Levels(model, reml=True)
    information = np.array([[np.trace(Q @ a @ Q @ b) for b in M] for a in M])
    trace = np.array([np.trace(Q @ a) for a in M])
    quadratic = np.array([levels.d[-1] * levels.Phi(D)[-1, -1] for D in basis])
    close(quadratic, [model.y @ Q @ a @ Q @ model.y / levels.tau2 for a in M], 1e-8)
    step = np.linalg.solve(information - np.outer(quadratic, trace) / levels.nu, quadratic - trace)
    # the same from means of quadratic forms, linear in the entries of Sigma and tau2
    parts = [*M, np.diag(1 / model.w)]
    mean = np.array([[np.trace(Q @ a @ Q @ b) for b in parts] for a in parts])
    found = np.linalg.solve(mean, [model.y @ Q @ a @ Q @ model.y for a in parts])
    close([Theta[0, 0], Theta[1, 0], Theta[1, 1]] + step, found[:3] / found[3], 1e-7)


def test_scoring_takes_one_step_where_the_design_is_balanced():
    """Six batches of five, from far away: (MSB - MSW) / (m MSW), the textbook's answer."""
    rng = np.random.default_rng(2)
    y = (rng.normal(0, 3, (6, 1)) + rng.normal(size=(6, 5))).ravel()
    Z = np.kron(np.eye(6), np.ones((5, 1)))
    within = y.reshape(6, 5).var(axis=1, ddof=1).mean()
    between = 5 * y.reshape(6, 5).mean(axis=1).var(ddof=1)
    for t in (0.1, 50.0):
        Q = residual_maker(np.eye(30) + t * Z @ Z.T, np.ones((30, 1)))
        M, tau2 = Z @ Z.T, y @ Q @ y / 29
        quadratic, trace = y @ Q @ M @ Q @ y / tau2, np.trace(Q @ M)
        step = (quadratic - trace) / (np.trace(Q @ M @ Q @ M) - quadratic * trace / 29)
        close(t + step, (between / within - 1) / 5, 1e-9)


# --- faces and the certificate


@every_case
@checks("eq-face")
def test_faces_have_the_same_formulas_and_do_not_notice_rotations(reml, known):
    model = Model(seed=7, q=(3,), J=(5,), n=30)
    root = np.array([[1.0, 0.0], [0.4, 0.7], [-0.3, 0.5]])
    levels = Levels(model, reml, known, root)

    def value(x):
        T = root + x.reshape(3, 2)
        return model.criterion([T @ T.T], reml, known)

    close((2 * levels.N @ root).ravel(), slope(value, np.zeros(6)))
    units = list(np.eye(6).reshape(6, 3, 2))
    close([[levels.bend_T(H, K) for K in units] for H in units], bend(value, np.zeros(6)), 1e-5)
    K = np.array([[0.0, 1.0], [-1.0, 0.0]])
    along = [levels.bend_T(root @ K, H) for H in units]
    close(along, [2 * np.trace(levels.N @ root @ K @ H.T) for H in units], 1e-9)
    turned = bend(value, np.zeros(6)) @ (root @ K).ravel()
    close(along, turned, 1e-5)


def of_face(model, root):
    """Slope, observed and expected second derivatives in (entries of the root, log tau2)."""
    columns, (q, r) = model.columns[0], root.shape
    Omega = model.omega([root @ root.T])
    Q = residual_maker(Omega, model.X)
    tau2 = model.y @ Q @ model.y / (model.n - model.p)

    def value(x):
        T = root + x[:-1].reshape(q, r)
        return dense(model.y, model.X, np.exp(x[-1]) * tau2 * model.omega([T @ T.T]), True)

    units = np.eye(q * r).reshape(-1, q, r)
    moves = [sum(Z @ (H @ root.T + root @ H.T) @ Z.T for Z in columns) for H in units]
    moves.append(Omega)
    expected = np.array([[np.trace(Q @ a @ Q @ b) for b in moves] for a in moves])
    here = np.zeros(q * r + 1)
    return slope(value, here), bend(value, here), expected


def least_curvature(observed, expected):
    values, vectors = np.linalg.eigh(expected)
    keep = values > 1e-9 * values[-1]
    white = vectors[:, keep] / np.sqrt(values[keep])
    return np.linalg.eigvalsh(white.T @ observed @ white)[0], keep.sum()


def towards_inside(model, root):
    """Rise of the criterion along the one direction that is free, over its standard deviation."""
    R = cholesky(sum(Z.T @ model.W @ Z for Z in model.columns[0]))
    columns = [Z @ np.linalg.inv(R) for Z in model.columns[0]]
    (u,) = null_space((R @ root).T).T
    M = sum(Z @ np.outer(u, u) @ Z.T for Z in columns)
    Q = residual_maker(model.omega([root @ root.T]), model.X)
    tau2 = model.y @ Q @ model.y / (model.n - model.p)

    def value(x):
        return model.criterion([root @ root.T + x[0] * direction], True)

    direction = np.linalg.inv(R) @ np.outer(u, u) @ np.linalg.inv(R).T
    rise = np.trace(Q @ M) - model.y @ Q @ M @ Q @ model.y / tau2
    close(rise, slope(value, np.zeros(1))[0])
    return rise / np.sqrt(2 * np.trace(Q @ M @ Q @ M))


@checks("eq-certificate-gradient", "eq-certificate-curvature", "eq-certificate-boundary")
def test_certificate_is_the_same_in_other_columns_and_in_standard_errors():
    root = np.array([[1.0, 0.0], [0.4, 0.7], [-0.3, 0.5]])
    A = np.array([[1.0, 0.3, 0.0], [-0.5, 2.0, 0.2], [0.1, 0.0, 0.6]])
    model, other = (Model(seed=9, q=(3,), J=(6,), n=40) for _ in range(2))
    other.columns = [[Z @ A for Z in model.columns[0]]]
    there = np.linalg.solve(A, root)
    (g, observed, expected), (g2, _, expected2) = of_face(model, root), of_face(other, there)
    gradient = np.sqrt(g @ np.linalg.pinv(expected, 1e-9) @ g)
    close(np.sqrt(g2 @ np.linalg.pinv(expected2, 1e-9) @ g2), gradient, 1e-6)
    assert least_curvature(observed, expected)[1] == 6, "one rotation of two columns is flat"
    close(towards_inside(other, there), towards_inside(model, root), 1e-8)
    # one column has no rotation: the same curvature also where the slope is not zero
    _, H, expected1 = of_face(model, root[:, :1])
    _, H2, expected2 = of_face(other, there[:, :1])
    close(least_curvature(H2, expected2)[0], least_curvature(H, expected1)[0], 1e-5)

    # One standard error of the step: the inverse of half the mean curvature of -2 log likelihood.
    step = -np.linalg.pinv(expected, 1e-9) @ g
    close(gradient / np.sqrt(2), np.sqrt(step @ (expected / 2) @ step), 1e-9)
    close(gradient**2 / 2, -(g @ step + step @ expected @ step / 2), 1e-9)


def test_the_slope_into_the_inside_has_the_variance_of_the_certificate():
    """Var of y'QMQy is 2 tr((QMQV)^2): normal theory, no information matrix."""
    model = Model()
    u = np.array([0.6, -0.8])
    V = 1.4 * model.omega(model.Thetas)
    Q = residual_maker(model.omega(model.Thetas), model.X)
    M = changes_of_omega(model, np.outer(u, u))
    form = Q @ M @ Q / 1.4
    variance = 2 * np.trace(form @ V @ form @ V)
    close(2 * np.trace(Q @ M @ Q @ M), variance, 1e-10)
    close(np.trace(Q @ M), np.trace(form @ V), 1e-10)


# --- several terms


def crossed(seed=11):
    return Model(seed=seed, q=(2, 1), J=(6, 3), n=32)


@every_case
@checks("eq-hessian-terms", "eq-schur", "eq-slope-eliminated")
def test_several_terms(reml, known):
    model = crossed()
    T, p, W = model.T, model.p, model.W
    Thetas, nu = model.Thetas, model.n - reml * model.p
    Xy = np.column_stack([model.X, model.y])
    inverse = np.linalg.inv(model.omega(Thetas))
    first, second_term = model.columns
    Z2 = np.hstack(second_term)

    # one term after the other
    A = [Z.T @ W @ Z for Z in first]
    B = [Z.T @ W @ Xy for Z in first]
    A2 = [Z.T @ W @ Z2 for Z in first]
    M = [np.eye(2) + T[0].T @ a @ T[0] for a in A]
    P = [T[0] @ np.linalg.inv(m) @ T[0].T for m in M]
    A22 = Z2.T @ W @ Z2 - sum(a.T @ p @ a for a, p in zip(A2, P, strict=True))
    B22 = Z2.T @ W @ Xy - sum(a.T @ p @ b for a, p, b in zip(A2, P, B, strict=True))
    C = Xy.T @ W @ Xy - sum(b.T @ p @ b for b, p in zip(B, P, strict=True))
    T2 = np.kron(np.eye(3), T[1])
    M2 = np.eye(3) + T2.T @ A22 @ T2
    P2 = T2 @ np.linalg.inv(M2) @ T2.T
    S = C - B22.T @ P2 @ B22
    close(S, Xy.T @ inverse @ Xy, 1e-9)
    log_det = np.linalg.slogdet(M2)[1] + sum(np.linalg.slogdet(m)[1] for m in M)
    close(log_det, np.linalg.slogdet(model.omega(Thetas))[1] + np.log(model.w).sum(), 1e-10)
    for j, Z in enumerate(first):
        less = np.eye(2) - A[j] @ P[j]
        R = A[j] - A[j] @ P[j] @ A[j] - less @ A2[j] @ P2 @ A2[j].T @ less.T
        close(R, Z.T @ inverse @ Z, 1e-8)
        close(less @ (B[j] - A2[j] @ P2 @ B22), Z.T @ inverse @ Xy, 1e-8)

    # slope and second derivatives, of all terms together
    v = np.append(-np.linalg.solve(S[:p, :p], S[:p, p]), 1)
    r2 = v @ S @ v
    d, omega = weights(p, int(reml), r2 / (r2 / nu if known is None else known), known is None)
    root = np.linalg.inv(cholesky(S, lower=True)).T
    F = [[Z.T @ inverse @ Xy @ root for Z in term] for term in model.columns]
    basis = [(0, D) for D in directions(2)] + [(1, np.ones((1, 1)))]

    def value(x):
        changed = [Theta.copy() for Theta in Thetas]
        for a, (t, D) in zip(x, basis, strict=True):
            changed[t] = changed[t] + a * D
        return model.criterion(changed, reml, known)

    def Phi(t, D):
        return sum(f.T @ D @ f for f in F[t])

    stated, curvature = [], np.zeros((4, 4))
    for a, (t, Delta) in enumerate(basis):
        N = sum(Z.T @ inverse @ Z - f * d @ f.T
                for Z, f in zip(model.columns[t], F[t], strict=True))  # fmt: skip
        stated.append(np.trace(N @ Delta))
        for b, (s, Gamma) in enumerate(basis):
            for Z_j, F_j in zip(model.columns[t], F[t], strict=True):
                for Z_k, F_k in zip(model.columns[s], F[s], strict=True):
                    R = Z_j.T @ inverse @ Z_k
                    curvature[a, b] += np.trace((2 * F_k * d @ F_j.T - R.T) @ Delta @ R @ Gamma)
            curvature[a, b] -= (omega * Phi(t, Delta) * Phi(s, Gamma)).sum()
    close(stated, slope(value, np.zeros(4)))
    close(curvature, bend(value, np.zeros(4)), 1e-5)


@checks("eq-pairs")
def test_pairs_of_entries():
    model = crossed(seed=13)
    T, W = model.T[0], model.W
    Z2 = np.hstack(model.columns[1])
    G = model.rng.normal(size=(3, 3))
    G = G + G.T
    Y, whole = np.zeros((3, 3)), np.zeros((3, 3))
    for Z in model.columns[0]:
        A, A2 = Z.T @ W @ Z, Z.T @ W @ Z2
        P = T @ np.linalg.inv(np.eye(2) + T.T @ A @ T) @ T.T
        entries = [(c, A2[:, c]) for c in range(3) if A2[:, c].any()]
        lower = np.zeros((2, 2))
        for e, f in itertools.product(range(len(entries)), repeat=2):
            if e >= f:
                (c, a), (k, b), half = entries[e], entries[f], 0.5 if e == f else 1.0
                Y[c, k] += half * a @ P @ b
                lower += half * np.outer(a, b) * G[c, k]
        whole += A2.T @ P @ A2
        close(lower + lower.T, A2 @ G @ A2.T, 1e-10)
    close(Y + Y.T, whole, 1e-10)


@checks("eq-pairs-example")
def test_three_students_and_three_raters():
    students = np.repeat(np.eye(3), 2, axis=0)
    raters = np.eye(3)[[0, 1, 1, 2, 0, 2]]
    fill = raters.T @ students @ (students.T @ raters) / 3
    numbers = re.findall(r"\\begin\{bmatrix\} (.*?) \\end", PAGE.partition("Y = \\frac13")[2])[:3]
    Y, both, left = (
        np.array([[float(x) for x in row.split("&")] for row in table.split(r"\\")]) / 3
        for table in numbers
    )
    close(Y + Y.T, both, 1e-12)
    close(both, fill, 1e-12)
    close(left, raters.T @ raters - fill, 1e-12)
    close(sorted(np.linalg.eigvalsh(left)), [2 / 3, 5 / 3, 5 / 3], 1e-10)
    det = np.linalg.det(np.eye(6) + students @ students.T + raters @ raters.T)
    close(det, 320, 1e-9)
    assert "= 320$" in PAGE


@checks("eq-starts")
def test_start_of_several_terms_finds_the_noise_of_a_large_balanced_table():
    """Each term alone by the analysis of variance; the truth is 4, 2 and 1."""
    rng = np.random.default_rng(17)
    m = 150
    y = rng.normal(0, 2, (m, 1)) + rng.normal(0, np.sqrt(2), (1, m)) + rng.normal(size=(m, m))

    def alone(y):
        """Variance between and within the rows of a table."""
        within = y.var(axis=1, ddof=1).mean()
        return y.mean(axis=1).var(ddof=1) - within / m, within

    total = y.var(ddof=1)
    (between_rows, rest_rows), (between_columns, rest_columns) = alone(y), alone(y.T)
    tau2 = total - (total - rest_rows) - (total - rest_columns)
    assert tau2 == pytest.approx(1, abs=0.2)
    Theta = between_rows / rest_rows * (rest_rows / tau2)
    assert Theta * tau2 == pytest.approx(between_rows, rel=1e-12)
    assert between_rows == pytest.approx(4, rel=0.3)
    assert between_columns == pytest.approx(2, rel=0.3)


@checks("eq-along-levels")
@pytest.mark.parametrize("of_others", [(), (3,)], ids=["one term", "two terms"])
def test_what_a_level_says_alone_is_least_squares_with_its_coefficients_free(of_others):
    """The oracle adds its columns to X. The package knows the directions."""
    model = Model(seed=18, q=(2, *(1 for _ in of_others)), J=(5, *of_others), n=40)
    of_other_terms = [0 * model.Thetas[0], *model.Thetas[1:]]
    Omega = model.omega(of_other_terms)
    Q = residual_maker(Omega, model.X)
    whiten = np.linalg.inv(cholesky(Omega, lower=True))
    codes = [sum(j * each.any(axis=1) for j, each in enumerate(k)) for k in model.columns]
    terms = [Term(g, sum(k)) for g, k in zip(codes, model.columns, strict=True)]
    gram = Gram.from_arrays(model.y, model.X, terms, weights=model.w)
    assembly = Parts.of(gram, True, None).assembled()
    found = _directions(*assembly.criterion.without_term(assembly.inwards(model.T), 0))
    of_package = np.linalg.solve(assembly.columns[0], found.T)
    of_package /= np.linalg.norm(of_package, axis=0)
    levels = model.columns[0]
    pairs = itertools.combinations(levels, 2)
    shared = [one + sign * other for one, other in pairs for sign in (1, -1)]
    assert len(found) == len(levels) + len(shared)
    for Z in [*levels, *shared]:
        b = np.linalg.pinv(Z.T @ Q @ Z) @ Z.T @ Q @ model.y
        columns = np.column_stack([model.X, Z])
        free = np.linalg.lstsq(whiten @ columns, whiten @ model.y, rcond=None)[0]
        close(b, free[model.p :])
        assert np.abs(b / np.linalg.norm(b) @ of_package).max() == pytest.approx(1, abs=1e-12)


# --- relatives


@checks("eq-tridiagonal")
def test_relatives_by_a_tridiagonal_matrix():
    model = Model(seed=19, q=(1,), J=(6,))
    G = model.rng.normal(size=(6, 4))
    K = G @ G.T  # singular: clones are allowed
    Z, W = np.hstack(model.columns[0]), model.W
    Xy = np.column_stack([model.X, model.y])
    A = np.diag(Z.T @ W @ Z)
    B = Z.T @ W @ Xy
    tri, U = hessenberg(np.sqrt(A)[:, None] * K * np.sqrt(A), calc_q=True)
    close(np.triu(tri, 2), np.zeros((6, 6)), 1e-9)
    B_tilde = U.T @ (B / np.sqrt(A)[:, None])
    C = Xy.T @ W @ Xy

    def stated(t):
        inverse = np.linalg.inv(np.eye(6) + t * tri)
        return C - B_tilde.T @ B_tilde + B_tilde.T @ inverse @ B_tilde

    def there(t):
        return Xy.T @ np.linalg.inv(np.diag(1 / model.w) + t * Z @ K @ Z.T) @ Xy

    t = 0.6
    close(stated(t), there(t), 1e-9)
    log_det = np.linalg.slogdet(np.eye(6) + t * tri)[1] - np.log(model.w).sum()
    close(log_det, np.linalg.slogdet(np.diag(1 / model.w) + t * Z @ K @ Z.T)[1], 1e-10)
    inverse = np.linalg.inv(np.eye(6) + t * tri)
    change = -B_tilde.T @ inverse @ tri @ inverse @ B_tilde
    curvature = 2 * B_tilde.T @ inverse @ tri @ inverse @ tri @ inverse @ B_tilde
    close(change, slope(lambda x: there(x[0]), np.array([t]))[0], 1e-7)
    close(curvature, bend(lambda x: there(x[0]), np.array([t]))[0, 0], 1e-5)


# --- identified or not


def information_at_zero(model):
    """The Gram matrix of the page, by n x n matrices; the noise is its last row and column."""
    W, X = model.W, model.X
    Q = W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W
    M = [changes_of_omega(model, D, t) for t, q in enumerate(model.q) for D in directions(q)] + [
        np.diag(1 / model.w)
    ]
    scale = np.array([np.sqrt(np.trace(W @ a @ W @ a)) for a in M])
    return np.array([[np.trace(Q @ a @ Q @ b) for b in M] for a in M]), scale, M


@checks("eq-identify", "eq-identify-gram")
def test_gram_matrix_of_the_directions():
    model = crossed()
    found, scale, M = information_at_zero(model)
    W, X, p, n = model.W, model.X, model.p, model.n
    Q = residual_maker(np.diag(1 / model.w), X)
    close(found[-1, :-1], [np.trace(Q @ a) for a in M[:-1]], 1e-9)
    close(found[-1, -1], n - p, 1e-10)
    close(scale[-1], np.sqrt(n), 1e-12)
    # the definition: an independent set of matrices on contrasts, by its singular values
    contrasts = null_space((np.sqrt(model.w)[:, None] * X).T)
    root = np.sqrt(model.w)
    flat = np.array([(contrasts.T * root @ a * root @ contrasts).ravel() for a in M])
    close(found, flat @ flat.T, 1e-9)

    C_inv = np.linalg.inv(X.T @ W @ X)
    basis = [(0, D) for D in directions(2)] + [(1, np.ones((1, 1)))]
    B = [[Z.T @ W @ X for Z in term] for term in model.columns]
    for a, (t, Delta) in enumerate(basis):
        for b, (s, Gamma) in enumerate(basis):
            total = 0.0
            for Z_j, B_j in zip(model.columns[t], B[t], strict=True):
                for Z_k, B_k in zip(model.columns[s], B[s], strict=True):
                    A_jk = Z_j.T @ W @ Z_k
                    rest = A_jk.T - 2 * B_k @ C_inv @ B_j.T
                    total += np.trace(Delta @ A_jk @ Gamma @ rest)
            one = sum(b.T @ Delta @ b for b in B[t])
            other = sum(b.T @ Gamma @ b for b in B[s])
            close(total + np.trace(C_inv @ one @ C_inv @ other), found[a, b], 1e-9)


@pytest.mark.parametrize(
    ("what", "identified"),
    [("as it is", True), ("a column constant within levels", False), ("a level a row", False)],
)
def test_what_cannot_be_told_apart_has_a_zero_eigenvalue(what, identified):
    model = Model(q=(2,), J=(5,), n=24)
    model.w = np.ones(24)
    model.W = np.eye(24)
    if what == "a column constant within levels":
        treated = [0.0, 1.0, 1.0, 0.0, 1.0]
        model.columns = [[np.column_stack([Z[:, 0], c * Z[:, 0]])
                          for Z, c in zip(model.columns[0], treated, strict=True)]]  # fmt: skip
    if what == "a level a row":
        model.columns, model.q = [list(np.eye(24)[:, :, None])], (1,)
    found, scale, M = information_at_zero(model)
    least = np.linalg.eigvalsh(found / scale / scale[:, None])[0]
    assert (least > 1e-4) if identified else (abs(least) < 1e-12)
    if not identified:  # and the direction of that eigenvalue does not change what y shows
        direction = np.linalg.eigh(found / scale / scale[:, None])[1][:, 0] / scale
        change = sum(a * part for a, part in zip(direction, M, strict=True))
        contrasts = null_space(model.X.T)
        close(contrasts.T @ change @ contrasts, 0 * contrasts.T @ contrasts, 1e-9)


# --- no noise at all


def saturated():
    """As many random columns as rows, with relatives: V without noise is of full rank."""
    model = Model(seed=23, q=(1,), J=(14,), n=14)
    root = model.rng.normal(size=(14, 14))
    Z = np.eye(14)[model.rng.permutation(14)]
    return model, Z, root @ root.T


@checks("eq-noise-boundary", "eq-noise-slope", "eq-noise-effects")
def test_limits_without_noise():
    model, Z, cov = saturated()
    X, y, n, p = model.X, model.y, model.n, model.p
    G, W_inv = Z @ cov @ Z.T, np.diag(1 / model.w)
    contrasts = null_space(X.T)
    Q0 = contrasts @ np.linalg.inv(contrasts.T @ G @ contrasts) @ contrasts.T
    value = (n - p) * np.log(2 * np.pi) + np.linalg.slogdet(contrasts.T @ G @ contrasts)[1]
    value += y @ Q0 @ y + np.linalg.slogdet(X.T @ X)[1]

    def there(tau2):
        return dense(y, X, G + tau2 * W_inv, True)

    close(value, there(0.0), 1e-8)  # G has an inverse here; the formula needs none
    close(np.trace(Q0 @ W_inv) - y @ Q0 @ W_inv @ Q0 @ y,
          slope(lambda x: there(x[0]), np.zeros(1), h=1e-5)[0], 1e-4)  # fmt: skip

    V_inv = np.linalg.inv(G + 1e-9 * W_inv)
    A = np.linalg.inv(X.T @ V_inv @ X)
    alpha = A @ X.T @ V_inv @ y
    blup = cov @ Z.T @ V_inv @ (y - X @ alpha)
    H = cov @ Z.T @ V_inv @ X
    pev = cov - cov @ Z.T @ V_inv @ Z @ cov + H @ A @ H.T
    X_plus = np.linalg.pinv(X)
    close(X_plus @ (y - G @ Q0 @ y), alpha, 1e-5)
    close(X_plus @ (G - G @ Q0 @ G) @ X_plus.T, A, 1e-5)
    close(cov @ Z.T @ Q0 @ y, blup, 1e-5)
    close(cov - cov @ Z.T @ Q0 @ Z @ cov, pev, 1e-5)
    close(X @ X_plus @ (y - G @ Q0 @ y) + Z @ cov @ Z.T @ Q0 @ y, y, 1e-9)


def test_without_noise_v_may_be_singular_and_reml_finite():
    """Centred markers and an intercept: V 1 = 0 without noise. REML stays, ML has no bound."""
    rng = np.random.default_rng(29)
    markers = rng.normal(size=(10, 30))
    markers -= markers.mean(axis=0)
    G, X, y = markers @ markers.T, np.ones((10, 1)), rng.normal(size=10)
    contrasts = null_space(X.T)
    inner = contrasts.T @ G @ contrasts
    value = 9 * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1]
    value += y @ contrasts @ np.linalg.solve(inner, contrasts.T @ y) + np.log(10)
    close(dense(y, X, G + 1e-8 * np.eye(10), True), value, 1e-6)
    ml = [dense(y, X, G + tau2 * np.eye(10), False) for tau2 in (1e-2, 1e-4, 1e-6)]
    close(np.diff(ml), np.full(2, -2 * np.log(10)), 1e-3)


@checks("eq-noise-bound")
@pytest.mark.slow
def test_too_few_dimensions_for_a_likelihood_without_bound():
    """How near y comes to the range of a covariance of rank one, along the half circle of them.

    With as many dimensions to spare as the formula asks for it stays away. With one fewer there
    is an angle at which y crosses the range: the determinant falls there, and nothing else rises.
    """
    rng = np.random.default_rng(37)

    def distances(people, p):
        n = 2 * people
        lines = rng.normal(size=(people, 2, 2))
        contrasts, y = null_space(rng.normal(size=(n, p)).T), rng.normal(size=n)
        out, last = [], None
        for angle in np.linspace(0, np.pi, 4001):
            along = np.array([np.cos(angle), np.sin(angle)])
            columns = np.zeros((n, people))
            for j, line in enumerate(lines):
                columns[2 * j : 2 * j + 2, j] = line @ along
            outside = null_space((contrasts.T @ columns).T)
            d = np.linalg.matrix_rank(contrasts.T @ columns)
            here = outside.T @ contrasts.T @ y
            if outside.shape[1] == 1:  # a normal whose sign is kept from angle to angle
                sign = 1.0 if last is None or outside[:, 0] @ last > 0 else -1.0
                last, here = sign * outside[:, 0], sign * here
            out.append(here)
        return np.array(out), d, n - p

    spare, d, m = distances(people=8, p=2)
    assert d + 1 < m and np.linalg.norm(spare, axis=1).min() > 0.1
    crossing, d, m = distances(people=3, p=2)
    assert d + 1 == m and crossing.min() < 0 < crossing.max()


def test_differences_of_a_known_function():
    x = np.array([0.3, -0.7])

    def f(x):
        return np.exp(x[0]) * x[1] ** 3

    exp = np.exp(0.3)
    close(slope(f, x), [exp * -0.343, exp * 3 * 0.49], 1e-9)
    close(bend(f, x), [[exp * -0.343, exp * 1.47], [exp * 1.47, exp * 6 * -0.7]], 1e-7)


def test_the_code_cites_every_formula():
    """Whoever reads a formula on the page finds the lines that compute it, and the reverse."""
    package = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [label for label in LABELS if f":eq:`{label}`" not in package] == []
