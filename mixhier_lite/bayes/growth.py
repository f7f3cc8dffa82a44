"""Along which directions the covariances of a model can grow without bound.

A covariance grows like s^2 on a subspace F of the coefficients of a term, and stays as it is on
what is orthogonal to F. If Z_j u = 0 for a direction u, then level j says nothing of the variance
along u; so the likelihood falls most slowly along axes, along the kernels of the Z_j, and along
sums and intersections of these.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np

from ..gram.gram import Block
from ..inputs import Array
from ..variance.assembly import Assembly

SMALL = 1e-9
"""What counts as zero among numbers of size one."""
KERNELS = 6
"""How many kernels of one term are looked at: those of most levels."""
SUBSPACES = 60
"""How many subspaces of one term are looked at."""
TOGETHER = 150
"""How many subspaces of all terms are looked at; if there were more, the terms one by one."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """A subspace of the coefficients of one term."""

    basis: Array
    """Orthonormal, in the criterion's columns, shape (q, f)."""
    axes: tuple[int, ...]
    """The columns of Z whose standard deviation grows with it."""

    @property
    def size(self) -> int:
        """Its dimension f."""
        return int(self.basis.shape[1])

    @property
    def q(self) -> int:
        """The dimension that it lies in."""
        return len(self.basis)

    @cached_property
    def projection(self) -> Array:
        """On the subspace, shape (q, q): equal for equal subspaces."""
        return np.asarray(self.basis @ self.basis.T)


def growths(assembly: Assembly) -> list[tuple[Subspace, ...]]:
    """One subspace for each term, in all combinations of those that matter; not all of them zero.

    Where there are too many, the terms grow one by one, and all of them together.
    """
    pairs = zip(assembly.gram.blocks, assembly.columns, strict=True)
    each = [_subspaces(block, R) for block, R in pairs]
    if np.prod([float(len(some)) for some in each]) <= TOGETHER:
        combined = list(product(*each))
    else:
        nothing = [some[0] for some in each]
        whole = tuple(max(some, key=lambda F: F.size) for some in each)
        combined = [whole]
        for t, some in enumerate(each):
            combined += [(*nothing[:t], F, *nothing[t + 1 :]) for F in some]
    return [chosen for chosen in combined if any(F.size for F in chosen)]


def _subspaces(block: Block, R: Array) -> list[Subspace]:
    """The subspaces of one term that matter: zero first."""
    q = block.q
    found = [_subspace(R, np.zeros((q, 0)))]
    sizes = range(1, q + 1) if q <= 6 else (1, q)
    for size in sizes:
        for chosen in combinations(range(q), size):
            found.append(_subspace(R, np.eye(q)[:, chosen]))
    if not block.correlated or q == 1:
        return found
    kernels = _kernels(block, R)
    known = {_key(F) for F in found}
    news = [F for F in kernels if _key(F) not in known]
    if not news:
        return found
    for one, other in product(news, [*found, *news]):
        news = [*news, *_sum_and_intersection(R, one, other)]
    for F in news:
        if _key(F) not in known and len(found) < SUBSPACES:
            known.add(_key(F))
            found.append(F)
    return found


def _subspace(R: Array, vectors: Array) -> Subspace:
    """The subspace that some vectors span, (q, k), in the reader's columns of Z."""
    turned = R @ vectors
    return _spanned(R, turned / np.maximum(np.linalg.norm(turned, axis=0), 1e-300))


def _spanned(R: Array, vectors: Array) -> Subspace:
    """The subspace that unit vectors span, in the criterion's columns."""
    directions, sizes, _ = np.linalg.svd(vectors, full_matrices=False)
    basis = directions[:, sizes > SMALL]
    readers = np.linalg.solve(R, basis)  # R^-1 F, whose k-th row says whether sd k grows
    size = np.linalg.norm(np.linalg.inv(R), axis=1)
    grows = np.linalg.norm(readers, axis=1) > SMALL * size
    return Subspace(basis, tuple(np.flatnonzero(grows).tolist()))


def _key(F: Subspace) -> bytes:
    """The same for subspaces that are equal within rounding."""
    return bytes(np.round(F.projection, 6) + 0.0)


def _kernels(block: Block, R: Array) -> list[Subspace]:
    """The kernels of Z_j, those of most levels first."""
    turn = block.H @ np.linalg.inv(R)  # Z_j = Z'_j H is Z'_j turn in the criterion's columns
    A = turn.T @ block.A[block.rows > 0] @ turn
    values, vectors = np.linalg.eigh(A)
    empty = values < SMALL * values[:, -1:]
    levels: dict[bytes, int] = {}
    spaces: dict[bytes, Subspace] = {}
    for j in np.flatnonzero(empty.any(axis=1)):
        F = _spanned(R, vectors[j][:, empty[j]])
        key = _key(F)
        spaces.setdefault(key, F)
        levels[key] = levels.get(key, 0) + 1
    often = sorted(spaces, key=lambda key: -levels[key])
    return [spaces[key] for key in often[:KERNELS]]


def _sum_and_intersection(R: Array, one: Subspace, other: Subspace) -> list[Subspace]:
    """F + G, and the vectors that are in both."""
    both = np.hstack([one.basis, other.basis])
    total = _spanned(R, both)
    shared = one.size + other.size - total.size
    if not 0 < shared < min(one.size, other.size):
        return [total]
    directions, _, _ = np.linalg.svd(one.projection + other.projection)  # 2 on what is in both
    return [total, _spanned(R, directions[:, :shared])]
