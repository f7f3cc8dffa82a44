"""Chapter *gram*: all that the data say about the model, gathered in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from .errors import InputError
from .inputs import Array, dependent_columns, real, same_rows
from .term import Codes, Labels, Term

Sparse = Any  # scipy.sparse is imported where it is used


@dataclass(frozen=True, eq=False)
class Block:
    """The part of a Gram that belongs to one term with J levels and q columns."""

    name: str | None
    levels: Labels
    correlated: bool
    constant: bool
    """Whether Z is one column of ones."""
    columns: tuple[str, ...]
    """Names of the columns of Z; empty where they have none."""
    root: Array | None
    """A root of the relatedness K, shape (J, J), or None."""
    rows: Array
    """Number of rows of each level, shape (J,)."""
    A: Array
    """Z_j'W Z_j for every level, shape (J, q, q)."""
    B: Array
    """Z_j'W [X y] for every level, in the Gram's basis, shape (J, q, p + 1)."""

    @property
    def J(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def q(self) -> int:
        """Number of coefficients that vary by level."""
        return int(self.A.shape[1])


@dataclass(frozen=True, eq=False)
class Gram:
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
    weight_range: tuple[float, float]
    """Smallest and largest weight."""
    names: tuple[str, ...]
    """Names of the columns of X."""
    blocks: tuple[Block, ...]
    """One for each term."""
    cross: dict[tuple[int, int], Sparse]
    """Z_s'W Z_t for terms s < t, sparse, shape (J_s q_s, J_t q_t)."""
    C: Array
    """[X' y']'W [X' y'], shape (p + 1, p + 1)."""
    H: Array
    """The basis: [X y] = [X' y'] H, shape (p + 1, p + 1)."""
    H_inverse: Array
    """Its inverse."""

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.C) - 1

    @classmethod
    def from_arrays(
        cls,
        y: npt.ArrayLike,
        X: npt.ArrayLike,
        terms: Term | Sequence[Term],
        weights: npt.ArrayLike | None = None,
        names: Sequence[str] | None = None,
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
        y, X = real(y, "y", 1), real(X, "X", 2)
        same_rows(y=y, X=X)
        terms = (terms,) if isinstance(terms, Term) else tuple(terms)
        w = _weights(weights, len(y))
        for t, term in enumerate(terms):
            same_rows(y=y, **{f"term {t + 1} ({term.name or 'unnamed'})": term.codes})
        for name, column in [("y", y), ("X", X)] + [("Z", t.Z) for t in terms if t.Z is not None]:
            _refuse_huge(name, column)
        labels = tuple(f"x{k}" for k in range(X.shape[1])) if names is None else tuple(names)
        if len(labels) != X.shape[1]:
            raise InputError(
                "names does not match X.",
                f"{X.shape[1]} names, one for each column",
                f"{len(labels)} names",
                "pass as many names as X has columns",
            )
        V, H, H_inverse = _basis(np.column_stack([X, y]), w)
        blocks = tuple(_block(term, V, w) for term in terms)
        pairs = [(s, t) for t in range(len(terms)) for s in range(t)]
        cross = {(s, t): _cross(terms[s], terms[t], w) for s, t in pairs}
        C = V.T @ (w[:, None] * V)
        span = (float(w.min()), float(w.max())) if len(w) else (np.inf, 0.0)
        log_w = float(np.log(w).sum())
        return cls(len(y), log_w, span, labels, blocks, cross, (C + C.T) / 2, H, H_inverse)

    def __add__(self, other: "Gram") -> "Gram":
        """Merge with the Gram of other rows; levels are united by their labels."""
        _mergeable(self, other)
        # the other's columns in this basis: [X y] = [X'' y''] H_b = [X' y'] H_a
        change = other.H @ self.H_inverse
        united = [_unite(a, b) for a, b in zip(self.blocks, other.blocks, strict=True)]
        blocks = tuple(
            _add(a, replace(b, B=b.B @ change), u)
            for a, b, u in zip(self.blocks, other.blocks, united, strict=True)
        )
        cross = {
            (s, t): _spread(self, s, t, united, 0) + _spread(other, s, t, united, 1)
            for s, t in self.cross
        }
        (low_a, high_a), (low_b, high_b) = self.weight_range, other.weight_range
        return replace(
            self,
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            weight_range=(min(low_a, low_b), max(high_a, high_b)),
            blocks=blocks,
            cross=cross,
            C=self.C + change.T @ other.C @ change,
        )


def _weights(weights: npt.ArrayLike | None, n: int) -> Array:
    if weights is None:
        return np.ones(n)
    w = real(weights, "weights", 1)
    if len(w) != n or (w <= 0).any():
        bad = np.flatnonzero(w <= 0)
        raise InputError(
            "weights do not fit: Var(eps_i) = tau2 / w_i.",
            f"{n} weights, all greater than zero",
            f"{len(w)} weights, {len(bad)} of them not positive",
            "drop rows of weight zero in every input alike",
        )
    _refuse_huge("weights", w)
    return w


def _refuse_huge(name: str, values: Array) -> None:
    size = float(np.abs(values).max(initial=0.0))
    if size > 1e100:
        raise InputError(
            f"{name} is too large to square.",
            "values below 1e100",
            f"{size:.3g}",
            f"measure {name} in larger units",
        )


def _unit(X: Array) -> Array:
    """Find c with X c = 1 in every row: the fewest leading 0/1 columns that sum to one."""
    c = np.zeros(X.shape[1])
    total = np.zeros(len(X))
    for k, column in enumerate(X.T):
        if len(X) and column[0] in (0, 1) and ((column == 0) | (column == 1)).all():
            c[k] = 1.0
            total += column
            if (total == 1).all():
                return c
    return np.zeros(X.shape[1])


def _basis(V: Array, w: Array) -> tuple[Array, Array, Array]:
    """Shift [X y], and make it orthogonal where needed; return it with H and H^-1."""
    p = V.shape[1] - 1
    c = np.append(_unit(V[:, :p]), 0.0)
    s = np.where(c == 1, 0.0, V[0]) if c.any() else np.zeros(p + 1)
    V = V - s if s.any() else V
    H, H_inverse = np.eye(p + 1) + np.outer(c, s), np.eye(p + 1) - np.outer(c, s)
    C = V.T @ (w[:, None] * V)
    d = np.sqrt(np.diag(C))
    if not (d > 0).all() or len(V) <= p or np.linalg.eigvalsh(C / np.outer(d, d))[0] > 1e-6:
        return V, H, H_inverse
    weighted = np.sqrt(w)[:, None] * V / d
    if dependent_columns(weighted[:, :p]):
        return V, H, H_inverse  # refused by fit, in the reader's columns
    R: Array = np.asarray(np.linalg.qr(weighted, mode="r")) * d
    R[p, p] = 1.0
    change = np.eye(p + 1)
    change[:p, :p] = solve_triangular(R[:p, :p], np.eye(p))
    change[:p, p] = -change[:p, :p] @ R[:p, p]
    return V @ change, R @ H, H_inverse @ change


def _sum_by_level(term: Term, w: Array, columns: Array) -> Array:
    """Sum w_i columns_i over the rows of every level, shape (J, columns)."""
    from scipy.sparse import csc_matrix

    shape = (len(term.levels), term.n)
    total = csc_matrix((w, term.codes, np.arange(term.n + 1)), shape) @ columns
    return np.asarray(total, dtype=np.float64)


def _block(term: Term, V: Array, w: Array) -> Block:
    J, q, Z = len(term.levels), term.q, term.Z
    if Z is None:
        sums = _sum_by_level(term, w, np.column_stack([np.ones(term.n), V]))
        A, B = sums[:, :1, None], sums[:, None, 1:]
    else:
        A, B = np.empty((J, q, q)), np.empty((J, q, V.shape[1]))
        for k in range(q):
            sums = _sum_by_level(term, w * Z[:, k], np.column_stack([Z[:, k:], V]))
            A[:, k, k:] = A[:, k:, k] = sums[:, : q - k]
            B[:, k] = sums[:, q - k :]
    rows = np.bincount(term.codes, minlength=J).astype(np.float64)
    return Block(
        term.name, term.levels, term.correlated, Z is None, term.columns, term.root, rows, A, B
    )


def _cross(a: Term, b: Term, w: Array) -> Sparse:
    """Z_a'W Z_b, which has an entry for each pair of levels that meet in a row."""
    from scipy.sparse import coo_matrix

    Za = np.ones((a.n, 1)) if a.Z is None else a.Z
    Zb = np.ones((b.n, 1)) if b.Z is None else b.Z
    cells = [(k, m) for k in range(a.q) for m in range(b.q)]
    values = np.concatenate([w * Za[:, k] * Zb[:, m] for k, m in cells])
    i = np.concatenate([a.codes * a.q + k for k, _ in cells])
    j = np.concatenate([b.codes * b.q + m for _, m in cells])
    shape = (len(a.levels) * a.q, len(b.levels) * b.q)
    return coo_matrix((values, (i, j)), shape).tocsr()


def _mergeable(a: Gram, b: Gram) -> None:
    def shape(g: Gram) -> tuple[Any, ...]:
        parts = [(k.name, k.q, k.correlated, k.constant, k.root is not None) for k in g.blocks]
        return g.names, parts

    if shape(a) != shape(b):
        raise InputError(
            "these Grams belong to different models.",
            f"columns {a.names} and terms {shape(a)[1]}",
            f"columns {b.names} and terms {shape(b)[1]}",
            "build every chunk with the same columns of X and the same terms",
        )
    for k, m in zip(a.blocks, b.blocks, strict=True):
        if k.root is not None and m.root is not None:
            if not (np.array_equal(k.levels, m.levels) and np.array_equal(k.root, m.root)):
                raise InputError(
                    "two chunks have different relatedness K.",
                    "the same levels, in the same order, and the same K",
                    f"{k.J} and {m.J} levels, or entries that differ",
                    "pass levels= and K= of the whole to the Term of every chunk",
                )


def _unite(a: Block, b: Block) -> tuple[Labels, Codes, Codes]:
    """Unite levels by label, with the positions of a's and b's levels among them."""
    if np.array_equal(a.levels, b.levels):
        return a.levels, np.arange(a.J), np.arange(b.J)
    try:
        levels, positions = np.unique(np.append(a.levels, b.levels), return_inverse=True)
        in_order = all(bool((k.levels[1:] > k.levels[:-1]).all()) for k in (a, b))
    except TypeError:
        in_order = False
    if not in_order:
        seen = dict.fromkeys([*a.levels.tolist(), *b.levels.tolist()])
        order = {label: j for j, label in enumerate(seen)}
        levels = np.array(list(seen), dtype=np.result_type(a.levels, b.levels))
        both = [*a.levels.tolist(), *b.levels.tolist()]
        positions = np.array([order[label] for label in both])
    return levels, positions[: a.J], positions[a.J :]


def _add(a: Block, b: Block, united: tuple[Labels, Codes, Codes]) -> Block:
    levels, at_a, at_b = united

    def total(x: Array, y: Array) -> Array:
        out = np.zeros((len(levels), *x.shape[1:]))
        out[at_a] = x
        out[at_b] += y
        return out

    rows, A, B = total(a.rows, b.rows), total(a.A, b.A), total(a.B, b.B)
    return replace(a, levels=levels, rows=rows, A=A, B=B)


def _spread(g: Gram, s: int, t: int, united: list[tuple[Labels, Codes, Codes]], side: int) -> Any:
    """Move the cross block of two terms to the positions of the united levels."""
    from scipy.sparse import coo_matrix

    block, qs, qt = g.cross[s, t].tocoo(), g.blocks[s].q, g.blocks[t].q
    at_s, at_t = united[s][1 + side], united[t][1 + side]
    i = at_s[block.row // qs] * qs + block.row % qs
    j = at_t[block.col // qt] * qt + block.col % qt
    shape = (len(united[s][0]) * qs, len(united[t][0]) * qt)
    return coo_matrix((block.data, (i, j)), shape).tocsr()
