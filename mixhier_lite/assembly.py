"""From a Gram to the criterion: scaling, relatedness, and which term is eliminated."""

from dataclasses import dataclass

import numpy as np

from .elimination import Levels, Rest, last, pooled
from .gram import Block, Gram
from .inputs import Array
from .term import Codes
from .variance import Criterion


@dataclass(frozen=True, eq=False)
class Assembly:
    """A criterion in scaled units, and the way back to the reader's."""

    gram: Gram
    criterion: Criterion
    order: tuple[int | None, ...]
    """Which term of the Gram each T of the criterion belongs to; None where all are in the rest."""
    units: tuple[Array, ...]
    """Scale of the columns of Z of each term of the Gram, shape (q,): T = T_scaled / unit."""
    scale: Array
    """Scale of the columns [X y], shape (p + 1,)."""
    rotation: Array | None
    """With one scalar term with K: beta = rotation @ u, where u is solved level by level."""

    def to_scaled(self, T: list[Array]) -> list[Array]:
        """T of the Gram's terms, in the criterion's order and units."""
        return [
            np.zeros((1, 1)) if t is None else self.units[t][:, None] * T[t] for t in self.order
        ]

    def to_units(self, T: list[Array]) -> list[Array]:
        """T of the criterion, in the Gram's order and the reader's units."""
        scaled = dict(zip(self.order, T, strict=True))
        return [scaled[t] / self.units[t][:, None] for t in range(len(self.units))]


def assemble(gram: Gram, reml: bool, tau2: float | None, pool: bool = True) -> Assembly:
    """Build the criterion of a Gram; ``pool`` gives up the single levels for speed."""
    scale = _power_of_two(np.sqrt(np.diag(gram.C) / max(gram.n, 1)))
    C = gram.C / np.outer(scale, scale)
    units = tuple(_unit(block) for block in gram.blocks)
    A: list[Array] = [
        k.A / np.multiply.outer(d, d) for k, d in zip(gram.blocks, units, strict=True)
    ]
    B: list[Array] = [
        k.B / np.multiply.outer(d, scale) for k, d in zip(gram.blocks, units, strict=True)
    ]
    free = [t for t, k in enumerate(gram.blocks) if k.root is None]
    first = max(free, key=lambda t: gram.blocks[t].J * gram.blocks[t].q) if free else None
    rotation = None
    if len(A) == 1 and first is None and gram.blocks[0].q == 1:
        first = 0
        A[0], B[0], rotation = _rotated(gram.blocks[0], A[0], B[0])
    others = [t for t in range(len(A)) if t != first]
    if first is None:
        levels = Levels(np.zeros((1, 1, 0)), np.zeros((1, len(C), 0)), np.zeros(0))
    elif pool and not others:
        levels = pooled(A[first], B[first])
    else:
        levels = Levels(last(A[first]), last(B[first]), np.ones(len(A[first])))
    rest = _rest(gram, first, others, units, A, B, levels.A.shape[-1])
    nu = gram.n - (gram.p if reml else 0)
    constant = -gram.log_weights + 2 * nu * np.log(scale[-1])
    if reml:
        constant += 2 * np.log(scale[:-1]).sum()
        constant += 2 * np.linalg.slogdet(gram.H[:-1, :-1])[1]
    known = None if tau2 is None else tau2 / scale[-1] ** 2
    criterion = Criterion(levels, rest, C, gram.n, float(constant), reml, known)
    return Assembly(gram, criterion, (first, *others), units, scale, rotation)


def _power_of_two(x: Array) -> Array:
    """Round to powers of two, which scale without rounding."""
    return np.asarray(2.0 ** np.round(np.log2(np.where(x > 0, x, 1.0))), dtype=np.float64)


def _unit(block: Block) -> Array:
    """Typical size of Z_j'W Z_j over the levels with rows."""
    total = np.diag(block.A.sum(axis=0))
    return _power_of_two(np.sqrt(total / max(int((block.rows > 0).sum()), 1)))


def _rotated(block: Block, A: Array, B: Array) -> tuple[Array, Array, Array]:
    """Diagonalise L'Z'WZ L once: relatedness becomes independent levels."""
    L = block.root
    assert L is not None
    values, vectors = np.linalg.eigh(L.T @ (A[:, 0, 0, None] * L))
    rotation: Array = L @ vectors
    return np.clip(values, 0, None)[:, None, None], (rotation.T @ B[:, 0])[:, None], rotation


def _rest(
    gram: Gram, first: int | None, others: list[int], units: tuple[Array, ...],
    A: list[Array], B: list[Array], J: int,
) -> Rest:  # fmt: skip
    """Assemble the other terms, with a root of K multiplied into the columns."""
    sizes = [gram.blocks[t].J * gram.blocks[t].q for t in others]
    stops = np.cumsum([0, *sizes])
    m, p1 = int(stops[-1]), len(gram.C)
    A22, B22 = np.zeros((m, m)), np.zeros((m, p1))
    at = {t: slice(stops[i], stops[i + 1]) for i, t in enumerate(others)}
    for t in others:
        k, q = gram.blocks[t].J, gram.blocks[t].q
        own = np.zeros((k, q, k, q))
        own[np.arange(k), :, np.arange(k)] = A[t]
        A22[at[t], at[t]] = own.reshape(k * q, k * q)
        B22[at[t]] = B[t].reshape(k * q, p1)
        for s in others:
            if s < t:
                A22[at[s], at[t]] = _cross(gram, s, t, units).toarray()
                A22[at[t], at[s]] = A22[at[s], at[t]].T
    for t in others:
        root = gram.blocks[t].root
        if root is not None:
            wide = np.kron(root, np.eye(gram.blocks[t].q))
            A22[at[t]] = wide.T @ A22[at[t]]
            A22[:, at[t]] = A22[:, at[t]] @ wide
            B22[at[t]] = wide.T @ B22[at[t]]
    slices = tuple((int(at[t].start), int(at[t].stop), gram.blocks[t].q) for t in others)
    if first is None or not others:
        q = 1 if first is None else A[first].shape[1]
        none = np.zeros(0, dtype=np.intp)
        return Rest(slices, A22, B22, none, none, np.zeros((q, 0)), J)
    return Rest(slices, A22, B22, *_entries(gram, first, others, units), J)


def _entries(
    gram: Gram, first: int, others: list[int], units: tuple[Array, ...]
) -> tuple[Codes, Codes, Array]:
    """Levels, columns and values of A12: each level of the first term with the other terms."""
    from scipy.sparse import csr_matrix, hstack, kron

    parts = []
    for t in others:
        part, root = _cross(gram, first, t, units), gram.blocks[t].root
        if root is not None:
            part = part @ kron(csr_matrix(root), np.eye(gram.blocks[t].q))
        parts.append(part)
    A12 = hstack(parts).tocoo()
    q, m = gram.blocks[first].q, A12.shape[1]
    key, position = np.unique((A12.row // q).astype(np.int64) * m + A12.col, return_inverse=True)
    values = np.zeros((q, len(key)))
    values[A12.row % q, position] = A12.data
    return key // m, key % m, values


def _cross(gram: Gram, s: int, t: int, units: tuple[Array, ...]):  # type: ignore[no-untyped-def]
    """Z_s'W Z_t in scaled units, for any order of s and t."""
    from scipy.sparse import diags

    block = gram.cross[s, t] if s < t else gram.cross[t, s].T
    left = diags(1 / np.tile(units[s], gram.blocks[s].J))
    right = diags(1 / np.tile(units[t], gram.blocks[t].J))
    return (left @ block @ right).tocsr()
