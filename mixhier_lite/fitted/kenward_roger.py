"""Kenward and Roger: standard errors that allow for the error of the variances, and their df.

Satterthwaite asks how well a standard error is known. Kenward and Roger (1997) first enlarge it,
since an estimated V makes alpha_hat less certain than V itself would, and scale F so that its mean
and variance are right. All they need are [Z X]'V^-1[Z X], and that comes from the Gram; but it has
a row for every random effect.

V is linear in the entries of every Sigma and in tau2: V = sum of s_r V_r. The method is the same
in any basis of these matrices, and here V itself takes the place of the noise's.

Letters are those of their paper: its P and W are other matrices than those of *variance*.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from ..errors import refused
from ..gram.gram import Block
from ..inputs import Array
from ..values import Value
from ..variance.assembly import Parts
from ..variance.saturated import joint
from .estimates import Estimates

MOST = 1000
"""Random effects, since there is a matrix with a row and a column for each."""


@dataclass(frozen=True, eq=False, repr=False)
class KenwardRoger(Value):
    """What the method knows of a fit, in the criterion's columns of X."""

    back: Array
    """The reader's l'alpha is (l'back) alpha of these columns, but for a constant; (p, p)."""
    Phi: Array
    """(X'V^-1 X)^-1, shape (p, p)."""
    adjusted: Array
    """The same, enlarged."""
    P: Array
    """- X'V^-1 V_r V^-1 X for every r, shape (c, p, p)."""
    W: Array
    """Covariance of the estimates of s, from the expected information, shape (c, c)."""

    def cov(self, L: Array) -> Array:
        """Enlarged covariance of L alpha_hat, shape (k, k)."""
        own = L @ self.back
        return np.asarray(own @ self.adjusted @ own.T)

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each row of L, shape (k,)."""
        return np.array([self.of_F(row[None])[0] for row in L])

    def of_F(self, L: Array) -> tuple[float, float]:
        """Degrees of freedom and scale of F for independent rows L, shape (q, p).

        F has mean E and variance V, and scale * F those of an F distribution.
        """
        own = L @ self.back
        q = len(L)
        inner = own @ self.Phi
        Theta = own.T @ np.linalg.solve(inner @ own.T, own)
        turned = np.array([Theta @ self.Phi @ P @ self.Phi for P in self.P])
        trace = np.einsum("rii->r", turned)
        A1 = float(trace @ self.W @ trace)
        A2 = float(np.einsum("rs,rij,sji->", self.W, turned, turned))
        if A2 <= 1e-12:
            return np.inf, 1.0
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        c1, c2, c3 = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
        mean = 1 / (1 - A2 / q)
        variance = 2 / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
        rho = variance / (2 * mean**2)
        df = 4 + (q + 2) / (q * rho - 1)
        return float(df), float(df / (mean * (df - 2)))


def kenward_roger(model: Estimates) -> KenwardRoger:
    """Find what the method needs; by dense algebra in all random effects."""
    blocks = model.gram.blocks
    p = model.gram.p
    m = sum(block.J * block.q for block in blocks)
    if not model.reml or model.tau2 == 0:
        got = "a fit by ML" if not model.reml else "a noise that is estimated as zero"
        raise refused("kenward-roger-without-reml-or-noise", fit=got)
    if m > MOST:
        raise refused("kenward-roger-too-large", most=MOST, n_effects=m)
    parts = Parts.of(model.gram, True, model.known_tau2)
    assembly = parts.assembled()
    T = assembly.inwards(model.T)
    tau2 = model.tau2 / assembly.scale[-1] ** 2
    whole = joint(parts, range(len(blocks)))
    A = whole[:m, :m]
    B = whole[:m, m:-1]
    C = whole[m:-1, m:-1]
    root = block_diag(*[_of_levels(block, t) for block, t in zip(blocks, T, strict=True)])
    half = np.linalg.solve(np.linalg.cholesky(np.eye(m) + root.T @ A @ root), root.T)
    R = (A - (half @ A).T @ (half @ A)) / tau2  # Z'V^-1 Z
    E = (B - (half @ A).T @ (half @ B)) / tau2  # Z'V^-1 X
    X_precision = (C - (half @ B).T @ (half @ B)) / tau2
    Phi = np.linalg.inv(X_precision)
    D = _changes(model, assembly.columns)
    P = [-E.T @ d @ E for d in D]
    with_P = [d @ (R - E @ Phi @ E.T) for d in D]  # V_r times Z'(V^-1 - V^-1 X Phi X'V^-1)Z
    Q = [[(a @ E).T @ R @ (b @ E) for b in D] for a in D]
    information = [[float(np.sum(a * b.T)) for b in with_P] for a in with_P]
    if model.known_tau2 is None:  # V itself, for which most of this is simple
        for row, own in zip(Q, P, strict=True):
            row.append(-own)
        Q.append([-own for own in P] + [X_precision])
        traces = [float(np.trace(a)) for a in with_P]
        information = [[*row, t] for row, t in zip(information, traces, strict=True)]
        information.append([*traces, float(model.n - p)])
        P.append(-X_precision)
    W = _inverse(np.array(information) / 2)
    inner = sum(
        W[r, s] * (Q[r][s] - P[r] @ Phi @ P[s]) for r in range(len(P)) for s in range(len(P))
    )
    return KenwardRoger(
        back=assembly.to_fixed[1],
        Phi=Phi,
        adjusted=Phi + 2 * Phi @ inner @ Phi,
        P=np.array(P).reshape(-1, p, p),
        W=W,
    )


def _of_levels(block: Block, T: Array) -> Array:
    """A root of the covariance of all effects of a term, over tau2, shape (J q, J q)."""
    of_levels: Array = np.eye(block.J) if block.root is None else block.root
    return np.asarray(np.kron(of_levels, T), dtype=np.float64)


def _changes(model: Estimates, columns: tuple[Array, ...]) -> list[Array]:
    """By what the effects' covariance changes with each free entry of every Sigma, (m, m) each.

    The entries are those of the criterion's columns where a term is correlated, since all
    symmetric matrices are there in any columns, and in these none is nearly another's multiple.
    """
    blocks = model.gram.blocks
    sizes = [block.J * block.q for block in blocks]
    found = []
    for t, i, j in model.cells:
        entry = np.zeros((blocks[t].q, blocks[t].q))
        entry[i, j] = entry[j, i] = 1.0
        if not blocks[t].correlated:  # then only the reader's own columns are independent
            entry = columns[t] @ entry @ columns[t].T
        related = blocks[t].K
        K: Array = np.eye(blocks[t].J) if related is None else related
        empty = [np.zeros((size, size)) for size in sizes]
        found.append(np.asarray(block_diag(*empty[:t], np.kron(K, entry), *empty[t + 1 :])))
    return found


def _inverse(information: Array) -> Array:
    """The inverse of a matrix whose entries may have very different units."""
    unit = np.sqrt(np.diag(information))
    return np.asarray(np.linalg.inv(information / np.outer(unit, unit)) / np.outer(unit, unit))
