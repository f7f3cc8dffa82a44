"""alpha and beta given the variances: exact draws and exact moments, at many variances at once.

In spherical effects (beta = T u) Henderson's matrix is M = I + T'Z'WZ T. The largest term comes
first, level by level; the others are dense: M = [L, 0; F', L22] [L, 0; F', L22]'.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inputs import Array
from ..linalg import backward, choleskies, forward
from ..variance.assembly import Assembly

CELLS = 4 * 10**4
"""Numbers held at once for each entry of a small matrix: what fits into a cache."""


def draw_effects(
    assembly: Assembly, T: Sequence[Array], v: Array, tau: Array, rng: np.random.Generator
) -> list[Array]:
    """Draw the random effects of each term given alpha, tau and T; shape (N, J, q).

    Parameters
    ----------
    assembly : Assembly
        Not pooled.
    T : sequence of arrays, shape (N, q, q)
    v : array, shape (N, p + 1)
        (-alpha, 1), scaled.
    tau : array, shape (N,)
        Scaled.
    rng : numpy.random.Generator
    """
    system, unit = assembly.criterion.system, assembly.scale[-1]
    if (system.m, len(system.A)) == (0, 1) and assembly.gram.blocks[0].root is None:
        return [_draw_levels(assembly, T[0][:, 0, 0], v, tau, rng)]
    out = [np.empty((len(tau), k.J, k.q)) for k in assembly.gram.blocks]
    for part, at in _factors(assembly, T):
        f1, f2 = at.forward(
            np.stack([v[part] @ b for b in system.B])[:, None],
            np.einsum("mc,nc->nm", system.B22, v[part])[..., None],
        )
        f1 += tau[part, None] * rng.standard_normal(f1.shape)
        f2 += tau[part, None, None] * rng.standard_normal(f2.shape)
        for whole, effects in zip(out, at.backward(f1, f2), strict=True):
            whole[part] = effects[..., 0] * unit
    return out


def _draw_levels(
    assembly: Assembly, T: Array, v: Array, tau: Array, rng: np.random.Generator
) -> Array:
    """Draw one coefficient for each of independent levels, shape (N, J, 1), T of shape (N,).

    Normal with precision 1 / sigma^2 + A_j / tau^2 and mean B_j v / tau^2 over the precision.
    Blocks that fit into a cache are filled in place, where memory and not algebra takes the time.
    """
    system, unit = assembly.criterion.system, assembly.scale[-1] / assembly.units[0]
    A, tau = np.stack([np.ones(system.J), system.A[0, 0]]), tau * unit
    with np.errstate(divide="ignore"):  # sigma may be zero
        precisions = np.column_stack([(T * tau) ** -2, tau**-2])
    v = v * unit * precisions[:, 1:]
    out, step = np.empty((len(tau), system.J)), max(1, CELLS // system.J)
    roots, shifts = np.empty((2, min(step, len(tau)), system.J))
    for start in range(0, len(tau), step):
        part = slice(start, start + step)
        z = rng.standard_normal(out=out[part])
        root = np.matmul(precisions[part], A, out=roots[: len(z)])
        shift = np.matmul(v[part], system.B[0], out=shifts[: len(z)])
        np.sqrt(root, out=root)
        shift /= root
        z += shift
        z /= root
    return out[..., None]


def moments(
    assembly: Assembly, T: Sequence[Array]
) -> Iterator[tuple[slice, list[Array], list[Array]]]:
    """For each T, E[beta | alpha] = P Z'W [X y] (-alpha, 1) and Var(beta | alpha) = tau^2 P.

    Yields slices of the N points with, for each term, P Z'W [X y], shape (N, J, q, p + 1), and
    the diagonal of P, shape (N, J, q); the reader's units of Z, scaled units of X and y.
    """
    system = assembly.criterion.system
    for part, at in _factors(assembly, T):
        B = system.B[:, :, None]
        F = at.forward(
            np.broadcast_to(B, (*B.shape[:2], len(at.inverse), system.J)),
            np.broadcast_to(system.B22, (len(at.inverse), *system.B22.shape)),
        )
        yield part, at.backward(*F), at.variances()


@dataclass(frozen=True, eq=False)
class Factors:
    """Cholesky factors of M at N points."""

    assembly: Assembly
    T1: Array
    """T of the first term, shape (q, q, N, 1)."""
    T2: Array
    """T of the others in one matrix, with a block for each level, shape (N, m, m)."""
    L: Array
    """Shape (q, q, N, J)."""
    F: Array
    """Shape (q, m, N, J)."""
    inverse: Array
    """Inverse of L22, shape (N, m, m)."""

    @property
    def _slices(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(self.assembly.criterion.system.slices)

    def forward(self, b1: Array, b2: Array) -> tuple[Array, Array]:
        """Solve with the lower factor, T'b on the right: b1 (q, r, N, J), b2 (N, m, r)."""
        f1 = forward(self.L, _times(self.T1.swapaxes(0, 1), b1))
        f2 = self.T2.swapaxes(1, 2) @ b2
        if f2.size:
            f2 = self.inverse @ (f2 - np.einsum("kmnj,krnj->nmr", self.F, f1))
        return f1, f2

    def backward(self, f1: Array, f2: Array) -> list[Array]:
        """Solve with the upper factor; beta = T u of every term, shape (N, J, q, r)."""
        u2 = self.inverse.swapaxes(1, 2) @ f2
        if u2.size:
            f1 = f1 - np.einsum("kmnj,nmr->krnj", self.F, u2)
        u1 = backward(self.L, f1)
        beta = _times(self.T1, u1).transpose(2, 3, 0, 1)
        return self._each(beta.reshape(len(beta), -1, beta.shape[-1]), self.T2 @ u2)

    def variances(self) -> list[Array]:
        """Diagonal of P = T M^-1 T' for every term, shape (N, J, q)."""
        q, _, N, J = self.L.shape
        T = np.broadcast_to(self.T1.swapaxes(0, 1), (q, q, N, 1))
        own = forward(self.L, np.broadcast_to(T, (q, q, N, J)))  # L^-1 T'
        through = np.einsum("kmnj,kanj->nmaj", self.F, own)  # F'L^-1 T'
        through = np.einsum("nlm,nmaj->nlaj", self.inverse, through)
        P1 = (own**2).sum(axis=0) + (through**2).sum(axis=1).swapaxes(0, 1)
        own = P1.transpose(1, 2, 0).reshape(N, -1, 1)
        rows = self.T2 @ self.inverse.swapaxes(1, 2)  # P of the others is rows @ rows'
        first, *others = self.assembly.criterion.order
        found = {t: rows[:, a:b] for t, (a, b, _) in zip(others, self._slices, strict=True)}
        out, blocks = [], self.assembly.gram.blocks
        for t, (basis, k) in enumerate(zip(self.assembly.bases, blocks, strict=True)):
            if t == first:  # here the basis or P is diagonal
                square = _based(abs(basis).power(2) if k.root is None else basis**2, own)
            else:
                square = (_based(basis, found[t]) ** 2).sum(axis=-1)
            out.append(square.reshape(N, k.J, k.q))
        return out

    def _each(self, first: Array, others: Array) -> list[Array]:
        """Effects of every term in the reader's units of Z, shape (N, J, q, r)."""
        criterion = self.assembly.criterion
        parts = criterion.join([first, *(others[:, a:b] for a, b, _ in self._slices)])
        found = zip(parts, self.assembly.bases, self.assembly.gram.blocks, strict=True)
        return [_based(basis, part).reshape(len(part), k.J, k.q, -1) for part, basis, k in found]


def _factors(assembly: Assembly, T: Sequence[Array]) -> Iterator[tuple[slice, Factors]]:
    """Factor at some T at a time."""
    system = assembly.criterion.system
    q, _, J = system.B.shape
    step = max(1, CELLS // (q * J * (system.m + 1) + system.m**2))
    for start in range(0, len(T[0]), step):
        part = slice(start, start + step)
        yield part, _factored(assembly, *assembly.criterion.split([t[part] for t in T]))


def _factored(assembly: Assembly, T1: Array, others: Sequence[Array]) -> Factors:
    """Factor at every T."""
    system = assembly.criterion.system
    (q, _, J), m, N = system.B.shape, system.m, len(T1)
    t = np.moveaxis(T1, 0, -1)[..., None]
    turned = t.swapaxes(0, 1)
    M = _times(turned, _times(turned, system.A[:, :, None]).swapaxes(0, 1))
    M[np.arange(q), np.arange(q)] += 1.0
    L, T2 = choleskies(M), np.zeros((N, m, m))
    for (a, b, r), root in zip(system.slices, others, strict=True):
        for k in range(a, b, r):
            T2[:, k : k + r, k : k + r] = root
    A12 = np.zeros((q, m, J))
    rows = np.repeat(np.arange(J), np.diff(system.start))
    A12[:, system.columns, rows] = system.values
    F = forward(L, _times(turned, np.broadcast_to(A12[:, :, None], (q, m, N, J))))
    F = np.einsum("kmnj,nml->klnj", F, T2)
    M22 = T2.swapaxes(1, 2) @ system.A22 @ T2 + np.eye(m) - np.einsum("kmnj,klnj->nml", F, F)
    inverse = np.linalg.inv(np.linalg.cholesky(M22))
    return Factors(assembly, t, T2, L, F, inverse)


def _times(t: Array, x: Array) -> Array:
    """Many small matrix products: t is (q, q, N, 1), x is (q, r, N, J) or (q, r, 1, J)."""
    product = t[:, 0, None] * x[None, 0]
    for k in range(1, len(x)):
        product += t[:, k, None] * x[None, k]
    return product


def _based(basis: Any, effects: Array) -> Array:
    """Multiply a basis, sparse or dense, into effects of shape (N, J q, r)."""
    N, size, r = effects.shape
    wide = basis @ effects.transpose(1, 0, 2).reshape(size, -1)
    return np.asarray(wide).reshape(size, N, r).swapaxes(0, 1)
