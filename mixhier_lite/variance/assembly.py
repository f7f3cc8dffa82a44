"""From a Gram to the criterion: columns, relatedness, and which term is eliminated.

The columns of a term are made orthogonal over all rows (weights included), each of mean square
one in an average level. So neither the criterion nor the search knows where the reader's covariate
has its zero (:eq:`eq-basis`). With Z = Z* R, beta* = R beta, and T* = R T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..gram.gram import Block, Gram
from ..inputs import Array
from .criterion import Likelihood, WithNoise
from .crossing import Dense, crossing
from .elimination import NormalEquations, of_every_level
from .levels import LARGEST, Levels
from .scalar import pooled, related
from .theta import RootForm

FEW = 150
"""Effects of several terms that are one dense matrix."""


@dataclass(frozen=True, eq=False)
class Assembly:
    """A criterion in its own columns and units, and the way back to the reader's."""

    gram: Gram
    criterion: WithNoise
    columns: tuple[Array, ...]
    """R of each term: beta of the criterion is R beta, shape (q, q)."""
    units: tuple[Array, ...]
    """Scale of the reader's columns of Z of each term, shape (q,)."""
    scale: Array
    """Scale of the columns [X y], shape (p + 1,)."""

    def inwards(self, T: Sequence[Array]) -> list[Array]:
        """T of the reader's columns, (..., q, q), in the criterion's."""
        return [R @ t for R, t in zip(self.columns, T, strict=True)]

    def outwards(self, T: Sequence[Array]) -> list[Array]:
        """A lower triangular root for the reader's columns from T of the criterion, (q, q)."""
        out = []
        for block, R, t in zip(self.gram.blocks, self.columns, T, strict=True):
            root: Array = np.asarray(np.linalg.solve(R, t), dtype=np.float64)
            out.append(lower_root(root) if block.correlated else np.diag(np.abs(np.diag(root))))
        return out

    def bare(self, T: Sequence[Array]) -> list[Array]:
        """The same as the search has it: lower triangular, or diagonal, before the frame."""
        pairs = zip(self.gram.blocks, self.inwards(T), self.units, T, strict=True)
        return [lower_root(own) if k.correlated else d[:, None] * t for k, own, d, t in pairs]

    @property
    def forms(self) -> list[RootForm]:
        """What T of each term may be, for the search: the reader's T / unit where uncorrelated."""
        triples = zip(self.gram.blocks, self.columns, self.units, strict=True)
        return [
            RootForm(k.correlated, np.eye(k.q) if k.correlated else R / d) for k, R, d in triples
        ]

    @property
    def to_fixed(self) -> tuple[Array, Array]:
        """The reader's alpha is shift + back @ (the criterion's alpha): (p,) and (p, p)."""
        H = self.gram.H
        H_inverse = self.gram.H_inverse
        p = self.gram.p
        shift = H_inverse[:p, :p] @ H[:p, p]
        back = H_inverse[:p, :p] / self.scale[:p] * self.scale[p]
        return shift, back


@dataclass(frozen=True, eq=False)
class Unpooled(Assembly):
    """An assembly that knows every level."""

    levels: Levels
    """Its criterion."""
    rotation: Array | None
    """What makes related levels of a term that is eliminated independent, shape (J, J)."""

    @cached_property
    def bases(self) -> list[Any]:
        """beta = basis @ (effects of the criterion) for each term; dense where related."""
        bases = list(map(_basis, self.gram.blocks, self.columns))
        if self.rotation is not None and self.levels.first is not None:
            bases[self.levels.first] = self.rotation / self.columns[self.levels.first]
        return bases

    def effects(self, levels: Array, others: Array) -> list[Array]:
        """Effects as ``Factor`` has them, (N, q, r, J) and (N, m, r), in the reader's columns.

        For each term shape (N, J, q, r).
        """
        N = len(levels)
        r = levels.shape[2]
        first = levels.transpose(0, 3, 1, 2).reshape(N, len(levels[0]) * levels.shape[3], r)
        parts = self.levels.join(
            first, [others[:, a:b] for a, b, _ in self.levels.equations.slices]
        )
        found = zip(self.bases, parts, self.gram.blocks, strict=True)
        return [based(basis, part).reshape(N, k.J, k.q, r) for basis, part, k in found]


def based(basis: Any, effects: Array) -> Array:
    """Multiply a basis, sparse or dense, into effects of shape (N, J q, r)."""
    N, size, r = effects.shape
    wide = basis @ effects.transpose(1, 0, 2).reshape(size, N * r)
    return np.asarray(wide).reshape(basis.shape[0], N, r).swapaxes(0, 1)


def lower_root(T: Array) -> Array:
    """The lower triangular root of T T' with a positive diagonal; columns of zeros stay last."""
    live = T[:, T.any(axis=0)]
    root = np.zeros_like(T)
    if live.shape[1]:
        upper: Array = np.asarray(np.linalg.qr(live.T, mode="r"))
        root[:, : live.shape[1]] = upper.T
    lead = root[np.argmax(root != 0, axis=0), np.arange(len(T))]
    return root * np.where(lead < 0, -1.0, 1.0)


def assemble(gram: Gram, reml: bool, tau2: float | None) -> Assembly:
    """Build the criterion of a Gram, in the way that is fastest for a search."""
    return Parts.of(gram, reml, tau2).assembled()


def unpooled(gram: Gram, reml: bool, tau2: float | None) -> Unpooled:
    """Build the criterion with every level on its own."""
    return _unpooled(Parts.of(gram, reml, tau2), _largest(gram))


def _largest(gram: Gram) -> int | None:
    """The largest term whose levels are independent, if any; one scalar term can be made so."""
    blocks = gram.blocks
    free = [t for t, k in enumerate(blocks) if k.K is None or k.q == len(blocks) == 1]
    return max(free, key=lambda t: blocks[t].J * blocks[t].q) if free else None


def has_exact_derivatives(gram: Gram) -> bool:
    """Whether the criterion that ``assemble`` builds is ``exact``, told without building it."""
    effects = sum(block.J * block.q for block in gram.blocks)
    if len(gram.blocks) > 1:
        return effects <= FEW
    return _largest(gram) is not None or effects <= LARGEST


@dataclass(frozen=True, eq=False)
class Parts:
    """What every way of assembling starts from: the Gram in the criterion's columns."""

    gram: Gram
    likelihood: Likelihood
    C: Array
    scale: Array
    units: tuple[Array, ...]
    turns: tuple[Array, ...]
    """R of each term from the Gram's columns of Z."""

    @property
    def columns(self) -> tuple[Array, ...]:
        """R of each term from the reader's columns of Z."""
        pairs = zip(self.turns, self.gram.blocks, strict=True)
        return tuple(R @ block.H for R, block in pairs)

    @classmethod
    def of(cls, gram: Gram, reml: bool, tau2: float | None) -> "Parts":
        """Scale the columns of X and y, and turn those of Z."""
        scale = _power_of_two(np.sqrt(np.diag(gram.C) / max(gram.n, 1)))
        # a change of the columns of X changes log det X'V^-1 X, and that of y changes log r2
        of_X = np.log(scale[:-1]).sum() + np.linalg.slogdet(gram.H[:-1, :-1])[1]
        of_y = (gram.n - reml * gram.p) * np.log(scale[-1])
        constant = float(2 * (of_y + reml * of_X) - gram.log_weights)
        known = None if tau2 is None else tau2 / scale[-1] ** 2
        likelihood = Likelihood(gram.n, gram.p, constant, reml, known)
        units = tuple(_unit(block) for block in gram.blocks)
        turns = tuple(_orthogonal(gram, block) for block in gram.blocks)
        return cls(gram, likelihood, gram.C / np.outer(scale, scale), scale, units, turns)

    @property
    def known_tau2(self) -> float | None:
        """tau2 in the reader's units where it is known."""
        known = self.likelihood.known_tau2
        return None if known is None else float(known * self.scale[-1] ** 2)

    def assembled(self) -> Assembly:
        """The criterion, in the way that is fastest for a search."""
        gram = self.gram
        blocks = self.gram.blocks
        if len(blocks) == 1 and blocks[0].q == 1:
            A, B = self.moments[0]
            K = blocks[0].K
            a = A[0, 0]
            b = B[0].T
            if K is None:
                alone = pooled(self.likelihood, self.C, a, b)
            else:
                alone = related(self.likelihood, self.C, K, a, b)
            return Assembly(gram, alone, self.columns, self.units, self.scale)
        few = len(blocks) > 1 and sum(block.J * block.q for block in blocks) <= FEW
        return _unpooled(self, None if few else _largest(gram))

    @cached_property
    def moments(self) -> list[tuple[Array, Array]]:
        """For each term Z_j'WZ_j and Z_j'W[X y] in the criterion's columns.

        Shapes (q, q, J) and (q, p + 1, J).
        """
        out = []
        for block, R in zip(self.gram.blocks, self.turns, strict=True):
            turn: Array = np.asarray(np.linalg.inv(R), dtype=np.float64)
            turned = np.einsum("jik,kl->ilj", block.A, turn)
            A = of_every_level(turn.T, turned)
            B = of_every_level(turn.T, block.B.transpose(1, 2, 0))
            out.append((A, B / self.scale[:, None]))
        return out

    def cross(self, s: int, t: int) -> Any:
        """Z_s'WZ_t of terms s < t in the criterion's columns, sparse in blocks (q_s, q_t)."""
        from scipy.sparse import bsr_matrix

        left, right = (np.linalg.inv(self.turns[k]) for k in (s, t))
        A = self.gram.cross[s, t].tobsr((len(left), len(right)))
        return bsr_matrix((left.T @ A.data @ right, A.indices, A.indptr), A.shape)


def _power_of_two(x: Array) -> Array:
    """Round to powers of two, which scale without rounding."""
    return np.asarray(2.0 ** np.round(np.log2(np.where(x > 0, x, 1.0))), dtype=np.float64)


def _size_of_K(block: Block) -> float:
    """Typical root of a diagonal entry of K, so that cK is K in another unit of Sigma."""
    if block.K is None:
        return 1.0
    return float(_power_of_two(np.sqrt(np.diag(block.K).mean())))


def _unit(block: Block) -> Array:
    """Typical size of Z_j'W Z_j over the levels with rows, in the reader's columns."""
    whole = block.H.T @ block.A.sum(axis=0) @ block.H
    unit = _power_of_two(np.sqrt(np.diag(whole) / (block.rows > 0).sum().clip(1)))
    return np.asarray(_size_of_K(block) * unit)


def _orthogonal(gram: Gram, block: Block) -> Array:
    """R with Z' = Z* R: Z*'WZ* over all rows is the number of levels with rows times I.

    The first column of Z* is along which the levels' residuals of y differ most: then all that
    follows is the same whatever the reader's columns, up to signs.
    """
    whole = block.A.sum(axis=0) / (block.rows > 0).sum().clip(1)
    unit = _size_of_K(block) * _power_of_two(np.sqrt(np.diag(whole)))
    if block.q == 1:
        return np.diag(unit)
    size = _size_of_K(block) ** 2
    root = np.linalg.cholesky(size * whole / np.outer(unit, unit)).T * unit
    residual = block.B @ gram.y_less_X
    turned = np.linalg.solve(root.T, residual.T)  # in the columns Z root^-1
    axes = np.linalg.eigh(turned @ turned.T)[1][:, ::-1]
    return np.asarray(axes.T @ root)


def _basis(block: Block, R: Array) -> Any:
    """A root of K and the inverse of R, as one matrix of shape (J q, J q)."""
    from scipy.sparse import bsr_matrix, diags

    if block.root is not None:
        return np.kron(block.root, np.linalg.inv(R))
    if block.q == 1:
        return diags(np.full(block.J, 1 / R[0, 0])).tocsr()
    every = np.broadcast_to(np.linalg.inv(R), (block.J, *R.shape))
    return bsr_matrix((every, np.arange(block.J), np.arange(block.J + 1))).tocsr()


def _unpooled(parts: Parts, first: int | None) -> Unpooled:
    """Eliminate the first term level by level, and gather the others."""
    gram = parts.gram
    others = tuple(t for t in range(len(gram.blocks)) if t != first)
    A = np.zeros((1, 1, 0))
    B = np.zeros((1, gram.p + 1, 0))
    rotation = None
    if first is not None:
        A, B = parts.moments[first]
        root = gram.blocks[first].root
        if root is not None:  # in the eigenvectors of L'Z'WZ L the levels are independent
            values, vectors = np.linalg.eigh(root.T @ (A[0, 0, :, None] * root))
            rotation = root @ vectors
            A = np.clip(values, 0, None)[None, None]
            B = (B[0] @ rotation)[None]
    equations = _equations(parts, first, others, A, B)
    criterion = Levels(parts.likelihood, equations, first, others)
    return Unpooled(
        gram,
        criterion,
        parts.columns,
        parts.units,
        parts.scale,
        levels=criterion,
        rotation=rotation,
    )


def _equations(
    parts: Parts, first: int | None, others: Sequence[int], A: Array, B: Array
) -> NormalEquations:
    """Add the terms that are not eliminated, in the criterion's columns."""
    from scipy.sparse import bmat, bsr_matrix, csr_matrix, hstack

    gram = parts.gram
    p1 = len(gram.C)
    q = len(A)
    J = A.shape[-1]
    if not others:
        return NormalEquations(
            A=A,
            B=B,
            C=parts.C,
            slices=(),
            A22=np.zeros((0, 0)),
            B22=np.zeros((0, p1)),
            crossing=Dense(np.zeros((q, J, 0))),
        )

    bases = list(map(_basis, gram.blocks, parts.turns))

    def moments(s: int, t: int) -> Any:
        """Z_s'WZ_t in the criterion's columns, sparse."""
        k = gram.blocks[s]
        own = bsr_matrix((k.A, np.arange(k.J), np.arange(k.J + 1)))
        ZZ = own if s == t else gram.cross[s, t] if s < t else gram.cross[t, s].T
        return csr_matrix(bases[s].T @ (ZZ @ bases[t]))

    blocks = [gram.blocks[t] for t in others]
    stops = np.cumsum([0, *(k.J * k.q for k in blocks)]).tolist()
    slices = tuple(zip(stops, stops[1:], [k.q for k in blocks], strict=False))
    A22 = csr_matrix(bmat([[moments(s, t) for t in others] for s in others]))
    B22 = [bases[t].T @ (gram.blocks[t].B.reshape(-1, p1) / parts.scale) for t in others]
    A12: Any = csr_matrix((0, stops[-1]))
    if first is not None:
        A12 = hstack([moments(first, t) for t in others])
    A12 = A12.tobsr((q, 1))
    A12.sort_indices()  # scipy promises no order of what a product gives
    values = np.ascontiguousarray(A12.data[:, :, 0].T)
    start = A12.indptr.astype(np.intp)
    columns = A12.indices.astype(np.intp)
    return NormalEquations(
        A=A,
        B=B,
        C=parts.C,
        slices=slices,
        A22=A22,
        B22=np.concatenate(B22),
        crossing=crossing(start, columns, values, stops[-1]),
    )
