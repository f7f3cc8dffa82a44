"""Whether the data could tell the variances apart: from each other, and from the noise.

V is linear in the variances: a change of one entry of a Sigma adds a matrix M_a to it, and a
change of tau2 adds W^-1. The variances can be told apart if and only if these matrices are
linearly independent where y is looked at, on contrasts of X (:eq:`eq-identify`). That is a matter
of the layout, and so it is decided from the Gram before any search, whatever y is.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..gram.gram import Block, Gram
from ..inputs import Array
from .assembly import Parts
from .criterion import triangular_solve

ROUNDING = 1e-12
"""Least eigenvalue of matrices with a unit diagonal, over their size, that rounding explains."""
LOST = 1e-14
"""What rounding leaves of a sum that is zero, over the size of its terms."""
INVOLVED = 1e-3
"""Share in a combination that vanishes from which on a matrix is named."""


FULL_RANK = 1e-6
"""Least eigenvalue of a level's correlations from which on its rank is beyond doubt, and least
size of one of its columns, squared, beside that of other levels."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """How alike the matrices are by which a change of the variances changes V."""

    before: Array
    """tr(W M_a W M_b), as if there were no X; the noise is the last, shape (m + 1, m + 1)."""
    on_contrasts: Array
    """tr(Q M_a Q M_b), with Q = W - WX (X'WX)^-1 X'W (:eq:`eq-identify`), the same shape; from the
    Gram by :eq:`eq-identify-gram`."""
    size: Array
    """How large tr(W M_a W M_a) could be: where it is far smaller M_a is zero, shape (m + 1,)."""
    term: npt.NDArray[np.intp]
    """Which term each change belongs to, the number of terms for the noise, shape (m + 1,)."""

    @classmethod
    def of(cls, parts: Parts) -> "Overlap":
        """Compare all changes, in columns that are orthogonal within each term."""
        gram = parts.gram
        terms = [Changes.of(parts, t) for t in range(len(gram.blocks))]
        sizes = [len(own.directions) for own in terms]
        term = np.repeat(np.arange(len(terms) + 1), [*sizes, 1])
        at = [slice(stop - m, stop) for m, stop in zip(sizes, np.cumsum(sizes), strict=True)]
        before, on_contrasts = np.zeros((2, len(term), len(term)))
        for s, t in combinations_with_replacement(range(len(terms)), 2):
            one = terms[s]
            other = terms[t]
            if s == t:
                both, through_x = within(one)
            else:
                both, through_x = between(one, other, parts.cross(s, t))
            before[at[s], at[t]] = both
            on_contrasts[at[s], at[t]] = both - 2 * through_x + one.S @ other.S.T
        p = gram.p
        for own, rows in zip(terms, at, strict=True):
            each = own.A.sum(axis=2) if own.K is None else own.A @ np.diag(own.K)
            before[rows, -1] = own.directions @ each.ravel()
            on_contrasts[rows, -1] = before[rows, -1] - own.S[:, :: p + 1].sum(axis=1)
        before[-1, -1] = gram.n
        on_contrasts[-1, -1] = gram.n - p
        size = np.concatenate([*(own.size for own in terms), [gram.n]])
        return cls(mirrored(before), mirrored(on_contrasts), size, term)

    def vanishing(self, chosen: npt.NDArray[np.bool_], on_contrasts: bool = True) -> Array | None:
        """Combinations of the chosen matrices that are zero, shape (chosen, k); None without any.

        Each matrix has unit length before X takes its part. Where X takes nearly all of one, as
        of a level with nearly all rows, the rest is measured by itself.
        """
        size = self.size[chosen]
        G = (self.on_contrasts if on_contrasts else self.before)[np.ix_(chosen, chosen)]
        own = np.diag(self.before)[chosen]
        length = np.sqrt(np.where(own > LOST * size, own, size))  # else it is zero but for rounding
        values, vectors = np.linalg.eigh(G / np.outer(length, length))
        bound = ROUNDING * len(G)
        if values[0] > bound:
            return None
        left = np.diag(G) / size
        if left.min() > 10 * LOST:
            own = np.sqrt(np.diag(G))
            if np.linalg.eigvalsh(G / np.outer(own, own))[0] > bound + LOST / left.min():
                return None
        return np.asarray(vectors[:, values <= bound])


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes of one term's covariance, and what the Gram holds of their matrices."""

    directions: Array
    """D of each change dV = Z (K x D) Z', a row each, shape (m, q q)."""
    A: Array
    """Z_j'WZ_j of every level, shape (q, q, J)."""
    K: Array | None
    """Relatedness, shape (J, J)."""
    KH: Array
    """K H of every level, H_j = Z_j'WX R^-1 with R'R = X'WX, shape (q, p, J)."""
    S: Array
    """R^-T X'W dV WX R^-1 = H'(K x D)H of each change, a row each, shape (m, p p)."""

    @classmethod
    def of(cls, parts: Parts, t: int) -> "Changes":
        """Those of term t."""
        block = parts.gram.blocks[t]
        p = parts.gram.p
        A, B = parts.moments[t]
        L = np.linalg.cholesky(parts.C[:p, :p]).astype(np.float64, copy=False)
        to_unit = triangular_solve(L, np.eye(p))
        H = to_unit @ B[:, :p]
        KH = H if block.K is None else H @ block.K
        HKH = H[:, None] @ KH[None].swapaxes(2, 3)
        D = directions(block, parts.columns[t])
        return cls(D, A, block.K, KH, D @ HKH.reshape(len(D[0]), p * p))

    @property
    def size(self) -> Array:
        """How large tr(W dV W dV) of each change could be, whatever its sign in each level."""
        A = np.sqrt((self.A**2).sum(axis=(0, 1)))
        largest = A @ A if self.K is None else A @ self.K**2 @ A
        return np.asarray((self.directions**2).sum(axis=1) * max(largest, 1e-300))


def directions(block: Block, R: Array) -> Array:
    """The changes of Sigma that a term allows, in columns Z R^-1, a row each, shape (m, q q).

    All symmetric ones where it is correlated; else one for each of the reader's own columns.
    """
    q = block.q
    if not block.correlated:
        columns = R / np.linalg.norm(R, axis=0)
        squares: Array = np.einsum("ik,jk->kij", columns, columns)
        return squares.reshape(q, q * q)
    D = np.zeros((q * (q + 1) // 2, q, q))
    for change, (i, j) in zip(D, combinations_with_replacement(range(q), 2), strict=True):
        change[i, j] = change[j, i] = 1.0
    return D.reshape(-1, q * q)


def within(one: Changes) -> tuple[Array, Array]:
    """tr(W dV_a W dV_b) and tr(W dV_a W dV_b WX (X'WX)^-1 X') of one term, each of shape (m, m)."""
    q = len(one.A)
    D = one.directions
    A = one.A.reshape(q * q, -1)
    related = A if one.K is None else A @ one.K**2
    through_x = np.einsum("icj,kcj->ikj", one.KH, one.KH).reshape(q * q, -1)

    def trace(second: Array) -> Array:
        """Sum over the levels of tr(D_a A_j D_b second_j)."""
        pairs = (A @ second.T).reshape(q, q, q, q)  # A_kl second_mi
        return np.asarray(D @ pairs.transpose(3, 0, 1, 2).reshape(q * q, q * q) @ D.T)

    return trace(related), trace(through_x)


def between(one: Changes, other: Changes, A: Any) -> tuple[Array, Array]:
    """The same for two terms, with A = Z_s'WZ_t sparse in blocks (q_s, q_t): shape (m_s, m_t)."""
    from scipy.sparse import eye, kron

    if one.K is None and other.K is not None:
        swapped = between(other, one, A.T.tobsr(A.blocksize[::-1]))
        return swapped[0].T, swapped[1].T
    (q, p, J) = one.KH.shape
    (r, _, L) = other.KH.shape
    rows, columns = (own.KH.transpose(2, 0, 1) for own in (one, other))  # shape (J, q, p)
    before: list[Array] = []
    through_x: list[Array] = []
    for E in other.directions.reshape(-1, r, r):
        # sums over the levels, (q, q), whose product with D_a has the trace that is asked for
        AEKH = A @ (E @ columns).reshape(L * r, p)
        through_x.append(np.einsum("jic,jkc->ik", rows, AEKH.reshape(J, q, p)))
        if one.K is None:
            before.append(np.tensordot(A.data, A.data @ E, ((0, 2), (0, 2))))
        else:
            KE = kron(eye(L), E) if other.K is None else np.kron(other.K, E)
            AKEA = A @ (A @ KE).T
            dense = AKEA.toarray() if other.K is None else AKEA
            before.append(np.einsum("jkni,jn->ik", dense.reshape(J, q, J, q), one.K))
    D = one.directions
    both, shared = (D @ np.reshape(sums, (-1, q * q)).T for sums in (before, through_x))
    return both, shared


def mirrored(upper: Array) -> Array:
    """A symmetric matrix from its upper triangle."""
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T)


def plainly_identified(parts: Parts) -> bool:
    """Whether counting is enough: one term of independent levels, many of them with full rank.

    A change dV of V that is zero on contrasts of X, Q dV Q = 0, has a rank of at most 2p. With more
    than 2p levels whose Z_j has full column rank no dV of the term is of that kind. And on
    contrasts the noise has n - p dimensions, of which a term with J q columns reaches J q at most.
    """
    gram = parts.gram
    block = gram.blocks[0]
    if len(gram.blocks) > 1 or block.K is not None or gram.n <= gram.p + block.J * block.q:
        return False
    A = parts.moments[0][0]
    some = A[:, :, : 6 * gram.p + 6]  # the first levels are enough to look at
    typical = np.einsum("kkj->k", A) / block.J
    # what is tiny beside other levels' may be the rounding of a zero, whose direction says nothing
    size = np.sqrt(np.maximum(np.einsum("kkj->jk", some), FULL_RANK * typical))
    correlations = some.transpose(2, 0, 1) / (size[:, :, None] * size[:, None])
    least = np.linalg.eigvalsh(correlations)[:, 0]
    return bool((least > FULL_RANK).sum() > 2 * gram.p)


def more_entries_than_rows_tell(block: Block) -> bool:
    """Whether a term has more entries of Sigma than all Z_j Sigma Z_j' together.

    Counting finds in no time what the exact test would need gigabytes for: slopes on a text
    column, say, whose every row is a level.
    """
    if block.K is not None or not block.correlated:
        return False
    ranks = np.minimum(block.rows, block.q)
    return bool(block.q * (block.q + 1) > (ranks * (ranks + 1)).sum())


def _refuse_within(gram: Gram, t: int, within_itself: bool = True) -> None:
    """Refuse term t for itself, or for what the columns of X leave of it."""
    block = gram.blocks[t]
    some = ", ".join(block.column_names[:10])
    q = block.q
    raise refused(
        "not-told-apart-within-a-term" if within_itself else "not-told-apart-from-X",
        name=_name(gram, t),
        columns=some if q <= 10 else f"{some} and {q - 10} more",
    )


def _name(gram: Gram, t: int) -> str:
    """What a term is called."""
    return gram.blocks[t].name or f"term {t + 1}"


def refuse_unidentified(parts: Parts) -> None:
    """Refuse a layout in which no y could tell the variances apart, and say which of them.

    A known tau2 takes the noise out of the question, and nothing else.

    Raises
    ------
    InputError
        A term within itself, or taken up by X; terms in each other's span; the noise in that of
        the terms.
    """
    if plainly_identified(parts):
        return
    gram = parts.gram
    for t, block in enumerate(gram.blocks):
        if more_entries_than_rows_tell(block):
            _refuse_within(gram, t)
    found = Overlap.of(parts)
    of_terms = found.term < len(gram.blocks)
    unknown = of_terms if parts.known_tau2 is not None else np.ones_like(of_terms)
    vanishing = found.vanishing(unknown)
    if vanishing is None:
        return
    names = [_name(gram, t) for t in range(len(gram.blocks))]
    for t in range(len(gram.blocks)):
        own = found.term == t
        if found.vanishing(own) is not None:
            within_itself = found.vanishing(own, on_contrasts=False) is not None
            _refuse_within(gram, t, within_itself)
    together = found.vanishing(of_terms)
    directions = vanishing if together is None else together
    involved = found.term[unknown if together is None else of_terms]
    share = np.abs(directions).max(axis=1)
    parties = [t for t in range(len(names)) if share[involved == t].max() > INVOLVED]
    seen = [int((gram.blocks[t].rows > 0).sum()) for t in parties]
    sizes = [
        f"{J} levels of {names[t]} with {gram.blocks[t].q} column(s)"
        for J, t in zip(seen, parties, strict=True)
    ]
    raise refused(
        "noise-not-told-apart" if together is None else "terms-not-told-apart",
        names=" and ".join(names[t] for t in parties),
        sizes=", ".join(sizes),
        n=gram.n,
        p=gram.p,
    )
