"""From a Gram to the criterion: scaling, relatedness, and which term is eliminated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..gram.gram import Block, Gram
from ..inputs import Array
from .elimination import System
from .levels import Levels
from .scalar import pooled, related


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
    of_X = np.log(scale[:-1]).sum() + np.linalg.slogdet(gram.H[:-1, :-1])[1]
    of_y = (gram.n - reml * gram.p) * np.log(scale[-1])
    constant = 2 * (of_y + reml * of_X) - gram.log_weights
    known = None if tau2 is None else tau2 / scale[-1] ** 2
    about = gram.C / np.outer(scale, scale), gram.n, float(constant), reml, known
    first, *others = order = _order(gram, pool)
    A, B = np.zeros((0, 1, 1)), np.zeros((0, 1, gram.p + 1))
    if first is not None:
        block, d = gram.blocks[first], units[first]
        A, B = block.A / np.multiply.outer(d, d), block.B / np.multiply.outer(d, scale)
        if pool and not others and block.q == 1:
            parts = A[:, 0, 0], B[:, 0]
            alone = pooled(about, *parts) if block.K is None else related(about, block.K, *parts)
            return Assembly(gram, alone, units, scale, [])
    bases = [] if pool and not others else list(map(_basis, gram.blocks, units))
    if first is not None and block.root is not None:  # by diagonal L'Z'WZ L levels are independent
        values, vectors = np.linalg.eigh(block.root.T @ (A[:, 0, 0, None] * block.root))
        rotation = block.root @ vectors
        A, B = np.clip(values, 0, None)[:, None, None], (rotation.T @ B[:, 0])[:, None]
        bases = [rotation / d]
    levels = [np.ascontiguousarray(np.moveaxis(part, 0, -1)) for part in (A, B)]
    system = _system(gram, order, bases, scale, levels)
    criterion = Levels(*about, (system.B.size, system.m), system, order)
    return Assembly(gram, criterion, units, scale, bases)


def _order(gram: Gram, pool: bool) -> tuple[int | None, ...]:
    """Say which term is eliminated: the largest with independent levels, if any; then the others.

    None is also where there are several terms and few levels: then many T are solved at once.
    """
    blocks = gram.blocks
    free = [t for t, k in enumerate(blocks) if k.K is None or k.q == len(blocks) == 1]
    few = pool and len(free) == len(blocks) > 1 and sum(k.J * k.q for k in blocks) <= 150
    first = max(free, key=lambda t: blocks[t].J * blocks[t].q) if free and not few else None
    return first, *(t for t in range(len(blocks)) if t != first)


def _power_of_two(x: Array) -> Array:
    """Round to powers of two, which scale without rounding."""
    return np.asarray(2.0 ** np.round(np.log2(np.where(x > 0, x, 1.0))), dtype=np.float64)


def _unit(block: Block) -> Array:
    """Typical size of Z_j'W Z_j over the levels with rows."""
    return _power_of_two(np.sqrt(np.diag(block.A.sum(axis=0)) / (block.rows > 0).sum().clip(1)))


def _basis(block: Block, unit: Array) -> Any:
    """A root of K and the units, as one matrix of shape (J q, J q)."""
    from scipy.sparse import diags

    if block.root is None:
        return diags(np.tile(1 / unit, block.J)).tocsr()
    return np.kron(block.root, np.diag(1 / unit))


def _system(
    gram: Gram, order: Sequence[Any], bases: list[Any], scale: Array, levels: list[Array]
) -> System:
    """Add the terms that are not eliminated, in the criterion's units."""
    from scipy.sparse import bmat, bsr_matrix, csr_matrix, hstack

    (A, B), (first, *others) = levels, order
    p1, (q, J) = len(gram.C), A.shape[1:]
    if not others:
        start, none = np.zeros(J + 1, dtype=np.intp), np.zeros(0, dtype=np.intp)
        return System(A, B, (), np.zeros((0, 0)), np.zeros((0, p1)), start, none, np.zeros((q, 0)))

    def product(s: int, t: int) -> Any:
        k = gram.blocks[s]
        own = bsr_matrix((k.A, np.arange(k.J), np.arange(k.J + 1)))
        ZZ = own if s == t else gram.cross[s, t] if s < t else gram.cross[t, s].T
        return csr_matrix(bases[s].T @ (ZZ @ bases[t]))

    blocks = [gram.blocks[t] for t in others]
    stops = np.cumsum([0, *(k.J * k.q for k in blocks)]).tolist()
    slices = tuple(zip(stops, stops[1:], [k.q for k in blocks], strict=False))
    A22 = bmat([[product(s, t) for t in others] for s in others]).toarray()
    rest = [bases[t].T @ (gram.blocks[t].B.reshape(-1, p1) / scale) for t in others]
    parts = [] if first is None else [product(first, t) for t in others]
    A12: Any = hstack(parts or [csr_matrix((0, len(A22)))]).tobsr((q, 1))
    entries = A12.indices.astype(np.intp), np.ascontiguousarray(A12.data[:, :, 0].T)
    return System(A, B, slices, A22, np.concatenate(rest), A12.indptr.astype(np.intp), *entries)
