"""Chapter *gram*: all that the data say about the model, gathered in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import refused
from ..inputs import Array, finite, real, same_rows, small_enough, texts, unchecked
from ..labels import Codes, Labels, coded
from ..linalg import WRITTEN, rounding_of, square_root
from ..values import Value
from .accumulate import gathered
from .basis import Basis, shared
from .term import Term, as_terms

Terms = Term | Sequence[Term]
Weights = ArrayLike | None
Names = Sequence[str] | None


@dataclass(frozen=True, eq=False, repr=False)
class Block(Value):
    """The part of a Gram that belongs to one term with J levels and q columns."""

    name: str | None
    levels: Labels
    correlated: bool
    constant: bool
    """Whether Z is one column of ones."""
    columns: tuple[str, ...]
    """Names of the columns of Z; empty where they have none."""
    K: Array | None
    """The relatedness of the levels, shape (J, J), or None."""
    asymmetry: float
    """How far K was from symmetric, in shares of its largest entry."""
    rows: Array
    """Number of rows of each level, shape (J,)."""
    A: Array
    """Z'_j'W Z'_j for every level, shape (J, q, q)."""
    B: Array
    """Z'_j'W [X' y'] for every level, in the Gram's basis, shape (J, q, p + 1)."""
    H: Array
    """The basis: Z = Z' H, shape (q, q). Z' is Z less its first row where Z spans a constant."""
    ones: Array
    """1 for columns of Z that sum to one in every row, if there are such columns; shape (q,)."""

    @cached_property
    def root(self) -> Array | None:
        """A root L of K, shape (J, J): L L' = K. None without K."""
        return None if self.K is None else square_root(self.K, "K", WRITTEN)

    @cached_property
    def rounding(self) -> float:
        """How far K was from a relatedness, in shares of its largest entry; 0 without K."""
        return 0.0 if self.K is None else max(self.asymmetry, rounding_of(self.K))

    @property
    def basis(self) -> Basis:
        """The basis of Z."""
        return Basis(self.H, np.asarray(np.linalg.inv(self.H), dtype=np.float64), self.ones)

    @property
    def column_names(self) -> list[str]:
        """What the columns of Z are called: 1 for a random intercept, z1, z2 without names."""
        if self.constant:
            return ["1"]
        return list(self.columns) or [f"z{k + 1}" for k in range(self.q)]

    @property
    def J(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def q(self) -> int:
        """Number of coefficients that vary by level."""
        return int(self.A.shape[1])


@dataclass(frozen=True, eq=False, repr=False)
class Gram(Value):
    """The sufficient statistics [Z X y]'W[Z X y], :prf:ref:`thm-gram`; merge with ``+``.

    The columns are kept in a basis that spares digits: ``[X y] = [X' y'] H``, where X' and y'
    are shifted by their first row (if X spans a constant) and made orthogonal (if X is nearly
    dependent). ``fit`` undoes it.

    Examples
    --------
    >>> y, X, g = np.arange(4.0), np.ones((4, 1)), [0, 0, 1, 1]
    >>> whole = Gram.from_arrays(y, X, [Term(g)])
    >>> half = [Gram.from_arrays(y[r], X[r], [Term(g[r])]) for r in (slice(2), slice(2, 4))]
    >>> bool(np.allclose((half[0] + half[1]).C, whole.C))
    True
    """

    n: int
    """Number of rows."""
    log_weights: float
    """Sum of log w_i."""
    names: tuple[str, ...]
    """Names of the columns of X."""
    blocks: tuple[Block, ...]
    """One for each term."""
    cross: dict[tuple[int, int], Any]
    """Z_s'W Z_t for terms s < t, sparse, shape (J_s q_s, J_t q_t)."""
    C: Array
    """[X' y']'W [X' y'], shape (p + 1, p + 1)."""
    H: Array
    """The basis: [X y] = [X' y'] H, shape (p + 1, p + 1)."""
    H_inverse: Array
    """Its inverse."""
    ones: Array
    """1 for columns of X that sum to one in every row, if there are such columns; (p + 1,)."""

    @property
    def basis(self) -> Basis:
        """The basis of [X y]."""
        return Basis(self.H, self.H_inverse, self.ones)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.C) - 1

    @cached_property
    def y_less_X(self) -> Array:
        """v such that [X' y'] v is what X alone leaves of y, shape (p + 1,)."""
        squares = np.diag(self.C)
        size = np.sqrt(np.where(squares > 0, squares, 1.0))
        R = self.C / np.outer(size, size)
        alpha = np.linalg.solve(R[:-1, :-1], R[:-1, -1])  # of columns of that size
        return np.append(-alpha * size[-1] / size[:-1], 1.0)

    @classmethod
    def from_arrays(
        cls, y: ArrayLike, X: ArrayLike, terms: Terms, weights: Weights = None, names: Names = None
    ) -> "Gram":
        """Gather the Gram of some rows, in one pass.

        Parameters
        ----------
        y : array_like, shape (n,)
        X : array_like, shape (n, p)
        terms : Term or sequence of Term
            Built from the same rows.
        weights : array_like, shape (n,), optional
            Var(eps_i) = tau2 / w_i, w_i > 0.
        names : sequence of str, optional
            Names of the columns of X.

        Raises
        ------
        InputError
            Different numbers of rows; values that are missing, infinite or too large to square;
            weights that are not positive.
        """
        y = unchecked(y, "y", 1)
        X = unchecked(X, "X", 2)
        terms = as_terms(terms)
        codes = {f"term {t + 1} ({k.name or 'unnamed'})": k.codes for t, k in enumerate(terms)}
        same_rows(y=y, X=X, **codes)
        w = None if weights is None else real(weights, "weights", 1)
        if w is not None and (len(w) != len(y) or (w <= 0).any()):
            raise refused(
                "weights-not-positive", n=len(y), n_weights=len(w), n_bad=int((w <= 0).sum())
            )
        labels = (
            tuple(f"x{k}" for k in range(X.shape[1])) if names is None else texts(names, "names")
        )
        if len(labels) != X.shape[1]:
            raise refused("names-of-columns-of-X", p=X.shape[1], n_names=len(labels))
        with np.errstate(all="ignore"):
            found = gathered(y, X, terms, w)
        finite_sums = all(np.isfinite(total).all() for total in found.sums)
        if not (np.diag(found.C).max(initial=0.0) < 1e200 and finite_sums):
            _refuse([("y", y), ("X", X), *(("Z", k.Z) for k in terms if k.Z is not None)])
        each = zip(terms, found.sums, found.Z_bases, strict=True)
        blocks = tuple(_block(term, total, basis, w) for term, total, basis in each)
        Z = []
        if len(terms) > 1:
            Z = [term.matrix(shift) for term, shift in zip(terms, found.shifts, strict=True)]
        pairs = combinations(range(len(Z)), 2)
        some = np.ones(1) if w is None else w
        cross = {(s, t): (Z[s].T @ Z[t].multiply(some[:, None])).tocsr() for s, t in pairs}
        return cls(
            n=len(y),
            log_weights=float(np.log(some).sum()),
            names=labels,
            blocks=blocks,
            cross=cross,
            C=(found.C + found.C.T) / 2,
            H=found.basis.H,
            H_inverse=found.basis.inverse,
            ones=found.basis.ones,
        )

    def __radd__(self, other: object) -> "Gram":
        """``sum(grams)`` starts from the number 0."""
        if isinstance(other, int) and other == 0:
            return self
        raise refused("not-a-gram", kind=type(other).__name__)

    def __add__(self, other: "Gram") -> "Gram":
        """Merge with the Gram of other rows; levels are united by their labels."""
        from scipy.sparse import block_diag, csr_matrix, eye, kron

        if not isinstance(other, Gram):
            raise refused("not-a-gram", kind=type(other).__name__)
        _mergeable(self, other)
        basis = shared(self.basis, other.basis, self.C, other.C)
        # from either side's columns to those of the sum: [X' y'] H = [X'' y''] H''
        changes = [side.H @ basis.inverse for side in (self, other)]
        blocks = []
        cross = {}
        turns = []  # the same for Z
        effects: list[Codes] = []  # positions of both sides' effects among all
        for a, b in zip(self.blocks, other.blocks, strict=True):
            at, levels = _unite(a.levels, b.levels)
            place = csr_matrix((np.ones(len(at)), (at, np.arange(len(at)))), (len(levels), len(at)))
            own = shared(a.basis, b.basis, a.A.sum(axis=0), b.A.sum(axis=0))
            turn = [side.H @ own.inverse for side in (a, b)]
            A_of_both = [R.T @ side.A @ R for side, R in zip((a, b), turn, strict=True)]
            B_of_both = [
                R.T @ side.B @ change for side, R, change in zip((a, b), turn, changes, strict=True)
            ]
            pairs = (a.rows, b.rows), A_of_both, B_of_both
            rows, A, B = (_total(place, np.concatenate(pair)) for pair in pairs)
            turns.append(turn)
            blocks.append(replace(a, levels=levels, rows=rows, A=A, B=B, H=own.H, ones=own.ones))
            effects.append((at[:, None] * a.q + np.arange(a.q)).ravel())
        for s, t in self.cross:
            turned = []
            for k, side in enumerate((self, other)):
                left, right = (kron(eye(side.blocks[r].J), turns[r][k]) for r in (s, t))
                turned.append(left.T @ side.cross[s, t] @ right)
            both = block_diag(turned).tocoo()
            places = effects[s][both.row], effects[t][both.col]
            shape = blocks[s].J * blocks[s].q, blocks[t].J * blocks[t].q
            cross[s, t] = csr_matrix((both.data, places), shape)
        here, there = (R.T @ k.C @ R for k, R in zip((self, other), changes, strict=True))
        return Gram(
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            names=self.names,
            blocks=tuple(blocks),
            cross=cross,
            C=here + there,
            H=basis.H,
            H_inverse=basis.inverse,
            ones=basis.ones,
        )


def _refuse(named: list[tuple[str, Array]]) -> None:
    """Say which values are missing, infinite or too large to square."""
    for name, values in named:
        finite(values, name)
        small_enough(values, name)


def _block(term: Term, sums: Array, basis: Basis, w: Array | None) -> Block:
    """Split the sums of a term into A and B."""
    A = sums[:, :, : term.q]
    counted = term.Z is None and w is None  # Z'Z of a column of ones
    rows = A[:, 0, 0] if counted else np.bincount(term.codes, minlength=len(A))
    return Block(
        name=term.name,
        levels=term.levels,
        correlated=term.correlated,
        constant=term.Z is None,
        columns=term.columns,
        K=term.K,
        asymmetry=term.asymmetry,
        rows=rows.astype(np.float64),
        A=(A + A.swapaxes(1, 2)) / 2,
        B=sums[:, :, term.q :],
        H=basis.H,
        ones=basis.ones,
    )


def _mergeable(a: Gram, b: Gram) -> None:
    def model(g: Gram) -> Any:
        return g.names, [(k.name, k.q, k.correlated, k.constant, k.K is None) for k in g.blocks]

    if model(a) != model(b):
        raise refused("grams-of-different-models", first=model(a), second=model(b))
    for k, m in zip(a.blocks, b.blocks, strict=True):
        if k.K is not None and m.K is not None:
            if not (np.array_equal(k.levels, m.levels) and np.array_equal(k.K, m.K)):
                raise refused("grams-of-different-kinship", first=k.J, second=m.J)


def _unite(a: Labels, b: Labels) -> tuple[Codes, Labels]:
    """Positions of a's levels and then b's among all, united and sorted by label."""
    if np.array_equal(a, b):
        return np.tile(np.arange(len(a)), 2), a
    alike = a.dtype.kind == b.dtype.kind
    both = coded(np.append(a, b) if alike else [*a.tolist(), *b.tolist()])
    return both.codes, both.levels


def _total(place: Any, both: Array) -> Array:
    """Sum what belongs to one level."""
    sums = place @ both.reshape(len(both), -1)
    return np.asarray(sums.reshape(-1, *both.shape[1:]), dtype=np.float64)
