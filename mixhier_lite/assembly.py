"""From a Gram to the criterion: scaling, relatedness, and which term is eliminated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .elimination import System, last
from .gram import Block, Gram
from .inputs import Array
from .levels import Levels
from .scalar import Independent, Related, Scalar


@dataclass(frozen=True, eq=False)
class Assembly:
    """A criterion in scaled units, and the way back to the reader's."""

    gram: Gram
    criterion: Any
    """A :class:`Criterion`."""
    units: tuple[Array, ...]
    """Scale of the columns of Z of each term, shape (q,)."""
    scale: Array
    """Scale of the columns [X y], shape (p + 1,)."""
    bases: list[Any]
    """beta = basis @ (effects of the criterion), for each term; dense where levels are related."""

    def to_scaled(self, T: Sequence[Array]) -> list[Array]:
        """T in the criterion's units."""
        return [d[:, None] * t for d, t in zip(self.units, T, strict=True)]


def assemble(gram: Gram, reml: bool, tau2: float | None, pool: bool = True) -> Assembly:
    """Build the criterion of a Gram; ``pool`` gives up the single levels for speed."""
    scale = _power_of_two(np.sqrt(np.diag(gram.C) / max(gram.n, 1)))
    units = tuple(_unit(block) for block in gram.blocks)
    nu = gram.n - (gram.p if reml else 0)
    constant = -gram.log_weights + 2 * nu * np.log(scale[-1])
    if reml:
        constant += 2 * np.log(scale[:-1]).sum()
        constant += 2 * np.linalg.slogdet(gram.H[:-1, :-1])[1]
    known = None if tau2 is None else tau2 / scale[-1] ** 2
    about = gram.C / np.outer(scale, scale), gram.n, float(constant), reml, known
    if pool and len(gram.blocks) == 1 and gram.blocks[0].q == 1:
        block, unit, C = gram.blocks[0], float(units[0][0]), about[0]
        a, B = block.A[:, 0, 0] / unit**2, block.B[:, 0] / (unit * scale)
        K = block.K
        law = Independent.pooled(C, a, B) if K is None else Related.reduced(C, K, a, B)
        return Assembly(gram, Scalar(*about, law), units, scale, [])
    first, others = _order(gram)
    pairs = zip(gram.blocks, units, strict=True)
    bases = [] if pool and not others else [_basis(block, d) for block, d in pairs]
    levels = np.zeros((1, 1, 0)), np.zeros((1, gram.p + 1, 0)), np.zeros(0)
    if first is not None:
        block, d = gram.blocks[first], units[first]
        A, B = block.A / np.multiply.outer(d, d), block.B / np.multiply.outer(d, scale)
        if block.root is not None:  # L'Z'WZ L is diagonalised once: K becomes independent levels
            values, vectors = np.linalg.eigh(block.root.T @ (A[:, 0, 0, None] * block.root))
            rotation = block.root @ vectors
            A, B = np.clip(values, 0, None)[:, None, None], (rotation.T @ B[:, 0])[:, None]
            bases = [rotation / d]
        levels = last(A), last(B), np.ones(len(A))
    system = _system(gram, first, others, bases, scale, levels)
    return Assembly(gram, Levels(*about, system, (first, *others)), units, scale, bases)


def _order(gram: Gram) -> tuple[int | None, list[int]]:
    """Say which term is eliminated: the largest with independent levels, if any; and the others."""
    blocks = gram.blocks
    free = [t for t, k in enumerate(blocks) if k.K is None or k.q == len(blocks) == 1]
    first = max(free, key=lambda t: blocks[t].J * blocks[t].q) if free else None
    return first, [t for t in range(len(blocks)) if t != first]


def _power_of_two(x: Array) -> Array:
    """Round to powers of two, which scale without rounding."""
    return np.asarray(2.0 ** np.round(np.log2(np.where(x > 0, x, 1.0))), dtype=np.float64)


def _unit(block: Block) -> Array:
    """Typical size of Z_j'W Z_j over the levels with rows."""
    total = np.diag(block.A.sum(axis=0))
    return _power_of_two(np.sqrt(total / max(int((block.rows > 0).sum()), 1)))


def _basis(block: Block, unit: Array) -> Any:
    """A root of K and the units, as one matrix of shape (J q, J q)."""
    from scipy.sparse import diags

    if block.root is None:
        return diags(np.tile(1 / unit, block.J)).tocsr()
    return np.kron(block.root, np.diag(1 / unit))


def _system(
    gram: Gram, first: int | None, others: list[int], bases: list[Any], scale: Array,
    levels: tuple[Array, Array, Array],
) -> System:  # fmt: skip
    """Add the terms that are not eliminated, in the criterion's units."""
    from scipy.sparse import bsr_matrix, csr_matrix, hstack

    def product(s: int, t: int) -> Any:
        k = gram.blocks[s]
        if s == t:
            ZZ = bsr_matrix((k.A, np.arange(k.J), np.arange(k.J + 1)))
        else:
            ZZ = gram.cross[s, t] if s < t else gram.cross[t, s].T
        return csr_matrix(bases[s].T @ (ZZ @ bases[t]))

    p1, (q, J), none = len(gram.C), levels[0].shape[1:], np.zeros(0, dtype=np.intp)
    if not others:
        return System(
            *levels, (), np.zeros((0, 0)), np.zeros((0, p1)), none, none, np.zeros((q, 0))
        )
    stops = np.cumsum([0, *(gram.blocks[t].J * gram.blocks[t].q for t in others)])
    at = list(zip(stops[:-1], stops[1:], others, strict=True))
    m = int(stops[-1])
    A22, B22 = np.zeros((m, m)), np.zeros((m, p1))
    for a, b, s in at:
        B22[a:b] = bases[s].T @ (gram.blocks[s].B.reshape(-1, p1) / scale)
        for c, d, t in at:
            A22[a:b, c:d] = product(s, t).toarray()
    slices = tuple((int(a), int(b), gram.blocks[t].q) for a, b, t in at)
    A12 = csr_matrix((J * q, m)).tocoo()
    if first is not None:
        A12 = hstack([product(first, t) for t in others]).tocoo()
    key, position = np.unique((A12.row // q).astype(np.int64) * m + A12.col, return_inverse=True)
    values = np.zeros((q, len(key)))
    values[A12.row % q, position] = A12.data
    return System(*levels, slices, A22, B22, key // max(m, 1), key % max(m, 1), values)
