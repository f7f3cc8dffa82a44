"""alpha and beta given the variances: exact draws and exact moments, at many variances at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..inputs import Array
from ..variance.assembly import Unpooled, based
from ..variance.factor import Factor

CELLS = 4 * 10**4
"""Numbers held at once for each entry of a small matrix: what fits into a cache."""


def draw_effects(
    assembly: Unpooled, T: Sequence[Array], v: Array, tau: Array, rng: np.random.Generator
) -> list[Array]:
    """Draw the random effects of each term given alpha, tau and T; shape (N, J, q).

    Parameters
    ----------
    assembly : Unpooled
    T : sequence of arrays, shape (N, q, q)
        In the criterion's columns.
    v : array, shape (N, p + 1)
        (-alpha, 1), scaled.
    tau : array, shape (N,)
        Scaled.
    rng : numpy.random.Generator
    """
    equations = assembly.levels.equations
    unit = assembly.scale[-1]
    if (equations.m, equations.q) == (0, 1) and assembly.gram.blocks[0].root is None:
        return [_draw_levels(assembly, T[0][:, 0, 0], v, tau, rng)]
    out = [np.empty((len(tau), k.J, k.q)) for k in assembly.gram.blocks]
    for part, factor in _factors(assembly, T):
        levels, others = factor.draw(v[part, :, None], tau[part], rng)
        for whole, effects in zip(out, assembly.effects(levels, others), strict=True):
            whole[part] = effects[..., 0] * unit
    return out


def _draw_levels(
    assembly: Unpooled, T: Array, v: Array, tau: Array, rng: np.random.Generator
) -> Array:
    """Draw one coefficient for each of independent levels, shape (N, J, 1), T of shape (N,).

    Normal with precision 1 / sigma^2 + A_j / tau^2 and mean B_j v / tau^2 over the precision.
    Blocks that fit into a cache are filled in place, where memory and not algebra takes the time.
    """
    equations = assembly.levels.equations
    unit = assembly.scale[-1] / assembly.columns[0][0]
    A = np.stack([np.ones(equations.J), equations.A[0, 0]])
    tau = tau * unit
    with np.errstate(divide="ignore"):  # sigma may be zero
        precisions = np.column_stack([(T * tau) ** -2, tau**-2])
    v = v * unit * precisions[:, 1:]
    out = np.empty((len(tau), equations.J))
    step = max(1, CELLS // equations.J)
    roots, shifts = np.empty((2, min(step, len(tau)), equations.J))
    for start in range(0, len(tau), step):
        part = slice(start, start + step)
        z = rng.standard_normal(out=out[part])
        root = np.matmul(precisions[part], A, out=roots[: len(z)])
        shift = np.matmul(v[part], equations.B[0], out=shifts[: len(z)])
        np.sqrt(root, out=root)
        shift /= root
        z += shift
        z /= root
    return out[..., None]


def moments(
    assembly: Unpooled, T: Sequence[Array]
) -> Iterator[tuple[slice, list[Array], list[Array]]]:
    """For each T, E[beta | alpha] = P Z'W [X y] (-alpha, 1) and Var(beta | alpha) = tau^2 P.

    T is in the criterion's columns. Yields slices of the N points with, for each term,
    P Z'W [X y], shape (N, J, q, p + 1), and the diagonal of P, shape (N, J, q); the reader's
    columns of Z, scaled units of X and y.
    """
    every = np.eye(len(assembly.levels.equations.C))
    for part, factor in _factors(assembly, T):
        yield part, assembly.effects(*factor.solve(every)), _variances(assembly, factor)


def _factors(assembly: Unpooled, T: Sequence[Array]) -> Iterator[tuple[slice, Factor]]:
    """Factor at some T at a time."""
    equations = assembly.levels.equations
    q = equations.q
    J = equations.J
    m = equations.m
    step = max(1, CELLS // (q * J * (m + 1) + m**2))
    for start in range(0, len(T[0]), step):
        part = slice(start, start + step)
        yield part, assembly.levels.factor([t[part] for t in T])


def _variances(assembly: Unpooled, factor: Factor) -> list[Array]:
    """Diagonal of P = T M^-1 T' for every term in the reader's columns, shape (N, J, q)."""
    first = assembly.levels.first
    own = np.zeros((factor.N, 0, 1))
    if first is not None:
        P = factor.diagonal()
        if assembly.gram.blocks[first].root is None:
            back = np.linalg.inv(assembly.columns[first])
            own = np.einsum("ik,nklj,il->nji", back, P, back, optimize=True)
        else:  # one coefficient per level, and P is diagonal in the basis
            own = based(assembly.bases[first] ** 2, P[:, 0].swapaxes(1, 2))
    parts = []
    for t, (a, b, q) in zip(assembly.levels.others, factor.equations.slices, strict=True):
        half = based(assembly.bases[t], factor.Q[:, a:b, a:b])
        every = based(assembly.bases[t], half.swapaxes(1, 2))
        parts.append(np.einsum("nkk->nk", every).reshape(factor.N, -1, q))
    return assembly.levels.join(own, parts)
