"""The random effects of a fitted model, and their two variances."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .assembly import Assembly
from .elimination import backward, forward
from .inputs import Array
from .variance import Solution, triangular_solve


@dataclass(frozen=True, eq=False)
class Solved:
    """A model solved at its estimates, level by level."""

    assembly: Assembly
    T: list[Array]
    at: Solution

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
    assembly, at, T = solved.assembly, solved.at, solved.T
    rest, blocks = assembly.criterion.rest, assembly.gram.blocks
    U22 = triangular_solve(at.L22, at.F22 @ v, transposed=True)
    TU22 = rest.right(T[1:], U22)
    U = backward(at.L, v.T @ at.F - rest.gather(at.F12, TU22))
    parts = [np.moveaxis(np.tensordot(T[0], U, 1), -1, 0)]
    parts += [TU22[a:b].reshape(-1, q, v.shape[1]) for a, b, q in rest.slices]
    found = {}
    for t, part in zip(assembly.order, parts, strict=True):
        if t is not None:
            root = assembly.rotation if assembly.rotation is not None else blocks[t].root
            part = part if root is None else np.tensordot(root, part, 1)
            found[t] = part / assembly.units[t][:, None]
    return tuple(found[t] for t in range(len(blocks)))


def random_effects(solved: Solved) -> tuple[Array, ...]:
    """BLUPs of each term, shape (J, q)."""
    v = np.append(-solved.at.alpha, 1.0)[:, None]
    return tuple(part[..., 0] * solved.y_unit for part in directions(solved, v))


def conditional_variances(solved: Solved) -> tuple[Array, ...]:
    """tau2 P_jj, P = T (I + T'Z'WZ T)^-1 T', for each level of each term, (J, q, q)."""
    assembly, at, T = solved.assembly, solved.at, solved.T
    blocks, rest = assembly.gram.blocks, assembly.criterion.rest
    V = triangular_solve(at.L22, np.eye(rest.m))
    Q = rest.right(T[1:], rest.right(T[1:], V.T @ V).T)
    q, J = len(T[0]), rest.J
    X = forward(at.L, np.repeat(T[0].T[:, :, None], J, axis=2))
    P = np.einsum("kim,kjm->mij", X, X)
    if rest.m and J:
        S = T[0] @ T[0].T
        P += S @ _fill_by_level(solved, Q) @ S
    found: dict[int | None, Array] = {}
    if assembly.rotation is not None:
        found[assembly.order[0]] = (assembly.rotation**2 @ P[:, 0, 0])[:, None, None]
    else:
        found[assembly.order[0]] = P
    for t, (a, b, q) in zip(assembly.order[1:], rest.slices, strict=True):
        assert t is not None
        own, root = Q[a:b, a:b].reshape((b - a) // q, q, -1, q), blocks[t].root
        if root is None:
            found[t] = np.einsum("jkjl->jkl", own)
        else:
            found[t] = np.einsum("ja,akbl,jb->jkl", root, own, root, optimize=True)
    return tuple(
        solved.tau2 * found[t] / np.multiply.outer(d, d) for t, d in enumerate(assembly.units)
    )


def error_variances(solved: Solved) -> tuple[Array, ...]:
    """Prediction error variance: conditional variance + H Cov(alpha_hat) H'."""
    p = solved.at.p
    v = np.vstack([solved.at.root, np.zeros((1, p))])
    extra = directions(solved, v)
    return tuple(
        var + solved.tau2 * h @ h.swapaxes(1, 2)
        for var, h in zip(conditional_variances(solved), extra, strict=True)
    )


def _fill_by_level(solved: Solved, Q: Array) -> Array:
    """E_j Q E_j' for every level of the eliminated term, shape (J, q, q), in blocks of levels."""
    criterion, at = solved.assembly.criterion, solved.at
    rest = criterion.rest
    E12 = rest.sparse(rest.residual(criterion.levels.A, solved.T[0], at.L, at.F12))
    out = np.empty((rest.J, len(E12), len(E12)))
    for part in _blocks(rest.J, max(1, 10**7 // rest.m)):
        EQ = [matrix[part] @ Q for matrix in E12]
        for k, left in enumerate(EQ):
            for i, right in enumerate(E12):
                out[part, k, i] = np.asarray(right[part].multiply(left).sum(axis=1)).ravel()
    return out


def _blocks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
