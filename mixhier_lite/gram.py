"""Chapter *gram*: all that the data say about the model, gathered in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from .groups import Codes, Labels, positions
from .inputs import Array, dependent_columns, finite, real, same_rows, square_root, unchecked
from .refusals import refused
from .term import Term

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
    K: Array | None
    """The relatedness of the levels, shape (J, J), or None."""
    rows: Array
    """Number of rows of each level, shape (J,)."""
    A: Array
    """Z_j'W Z_j for every level, shape (J, q, q)."""
    B: Array
    """Z_j'W [X y] for every level, in the Gram's basis, shape (J, q, p + 1)."""

    @cached_property
    def root(self) -> Array | None:
        """A root L of K, shape (J, J): L L' = K. None without K."""
        return None if self.K is None else square_root(self.K, "K")

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
    common_weight: float
    """The weight of every row; nan where they differ."""
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
        y, X = unchecked(y, "y", 1), unchecked(X, "X", 2)
        terms = (terms,) if isinstance(terms, Term) else tuple(terms)
        codes = {f"term {t + 1} ({k.name or 'unnamed'})": k.codes for t, k in enumerate(terms)}
        same_rows(y=y, X=X, **codes)
        w = None if weights is None else real(weights, "weights", 1)
        if w is not None and (len(w) != len(y) or (w <= 0).any()):
            raise refused("weights", n=len(y), got=len(w), bad=int((w <= 0).sum()))
        labels = tuple(f"x{k}" for k in range(X.shape[1])) if names is None else tuple(names)
        if len(labels) != X.shape[1]:
            raise refused("names", p=X.shape[1], got=len(labels))
        with np.errstate(all="ignore"):
            C, sums, H, H_inverse = Rows(y, X, terms, w).gathered()
        if not (np.diag(C).max(initial=0.0) < 1e200 and all(np.isfinite(s).all() for s in sums)):
            _refuse([("y", y), ("X", X), *(("Z", k.Z) for k in terms)])
        blocks = tuple(map(_block, terms, sums))
        Z = [term.matrix() for term in terms] if len(terms) > 1 else []
        pairs, some = (
            [(s, t) for t in range(len(Z)) for s in range(t)],
            np.ones(1) if w is None else w,
        )
        cross = {(s, t): (Z[s].T @ Z[t].multiply(some[:, None])).tocsr() for s, t in pairs}
        common = float(some[0]) if len(some) and (some == some[0]).all() else np.nan
        about = len(y), float(np.log(some).sum()), common, labels, blocks, cross
        return cls(*about, (C + C.T) / 2, H, H_inverse)

    def __add__(self, other: "Gram") -> "Gram":
        """Merge with the Gram of other rows; levels are united by their labels."""
        _mergeable(self, other)
        # the other's columns in this basis: [X y] = [X'' y''] H_b = [X' y'] H_a
        change = other.H @ self.H_inverse
        pairs = list(zip(self.blocks, other.blocks, strict=True))
        united = [_unite(a, b) for a, b in pairs]
        blocks = tuple(
            _add(a, replace(b, B=b.B @ change), *u) for (a, b), u in zip(pairs, united, strict=True)
        )
        cross = {}
        for s, t in self.cross:
            (_, left_a, left_b), (_, right_a, right_b) = united[s], united[t]
            cross[s, t] = left_a @ self.cross[s, t] @ right_a.T
            cross[s, t] += left_b @ other.cross[s, t] @ right_b.T
        same = self.common_weight == other.common_weight
        total = {
            "n": self.n + other.n,
            "log_weights": self.log_weights + other.log_weights,
            "common_weight": self.common_weight if same else np.nan,
            "C": self.C + change.T @ other.C @ change,
        }
        return replace(self, blocks=blocks, cross=cross, **total)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a data set, to be gathered in blocks that fit into the cache."""

    y: Array
    X: Array
    terms: tuple[Term, ...]
    w: Array | None

    def gathered(self) -> tuple[Array, list[Array], Array, Array]:
        """Return C, Z_j'W[Z_j X y] for every level of every term, H and its inverse."""
        p, few = self.X.shape[1], self.X[:100]
        for ones in (_unit(few), _unit(self.X)) if len(few) < len(self.X) else (_unit(few),):
            c, first = np.append(ones, 0.0), np.append(self.X[:1], self.y[:1])
            s = np.where(c == 1, 0.0, first) if ones.any() else np.zeros(p + 1)
            H, H_inverse = np.eye(p + 1) + np.outer(c, s), np.eye(p + 1) - np.outer(c, s)
            found = self._pass(ones, H_inverse)
            if found is not None:
                break  # else the first rows have misled
        C, sums = found
        d = np.sqrt(np.diag(C))
        good = (d > 0).all() and len(self.y) > p and np.isfinite(C / np.outer(d, d)).all()
        if not good or np.linalg.eigvalsh(C / np.outer(d, d))[0] > 1e-6:
            return C, sums, H, H_inverse
        wide = times(
            None if self.w is None else np.sqrt(self.w), np.column_stack([self.X, self.y]) - s
        )
        if dependent_columns(wide[:, :p]):
            return C, sums, H, H_inverse  # refused by fit, in the reader's columns
        R: Array = np.asarray(np.linalg.qr(wide / d, mode="r")) * d
        R[p, p] = 1.0
        change = np.eye(p + 1)
        change[:p, :p] = solve_triangular(R[:p, :p], np.eye(p))
        change[:p, p] = -change[:p, :p] @ R[:p, p]
        return *self._pass(ones, H_inverse, change), R @ H, H_inverse @ change

    def _pass(
        self, ones: Array, shift: Array, change: Array | None = None
    ) -> tuple[Array, list[Array]] | None:
        """Go over the rows once; None where ``ones`` does not add the columns of X to 1."""
        (n, p), q = self.X.shape, max((k.q for k in self.terms), default=0)
        J = max((len(k.levels) for k in self.terms), default=1)
        size = max(2**15, min(4 * J, 2**19))
        wide, C = np.empty((min(n, size), q + p + 1)), np.zeros((p + 1, p + 1))
        sums = [np.zeros((len(k.levels), k.q, k.q + p + 1)) for k in self.terms]
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            X, w, some = (
                self.X[part],
                None if self.w is None else self.w[part],
                wide[: part.stop - start],
            )
            if ones.any() and not (X @ ones == 1).all():
                return None
            V = np.matmul(X, shift[:p], out=some[:, q:])
            V[:, p] += self.y[part]
            if change is not None:
                V[:] = V @ change
            C += V.T @ times(w, V)
            for term, total in zip(self.terms, sums, strict=True):
                for k in range(term.q):
                    some[:, q - term.q + k] = 1.0 if term.Z is None else term.Z[part, k]
                _add_levels(total, term.codes[part], some[:, q - term.q :], w)
        return C, sums


def times(w: Array | None, V: Array) -> Array:
    """Weight the rows of V."""
    return V if w is None else w[:, None] * V


def _refuse(named: list[tuple[str, Array | None]]) -> None:
    """Say which values are missing, infinite or too large to square."""
    for name, values in named:
        if values is not None:
            finite(values, name)
            size = float(np.abs(values).max(initial=0.0))
            if size > 1e100:
                raise refused("huge", name=name, size=size)


def _unit(X: Array) -> Array:
    """Find c with X c = 1 in every row: the fewest leading 0/1 columns that sum to one."""
    dummy = ((X == 0) | (X == 1)).all(axis=0)
    whole = (np.cumsum(X * dummy, axis=1) == 1).all(axis=0)
    if not (len(X) and whole.any()):
        return np.zeros(len(dummy))
    return np.where(np.arange(len(dummy)) <= np.argmax(whole), dummy, 0.0)


def _add_levels(total: Array, codes: Codes, wide: Array, w: Array | None) -> None:
    """Add Z_i w_i [Z_i X_i y_i] over the rows of every level to (J, q, q + p + 1)."""
    from scipy.sparse import csc_matrix

    (J, q, _), n = total.shape, len(codes)
    Z = np.ascontiguousarray(times(w, wide[:, :q]).T)
    each = csc_matrix((Z[0], codes, np.arange(n + 1)), (J, n))
    for k in range(q):
        each.data = Z[k]
        total[:, k] += each @ wide


def _block(term: Term, sums: Array) -> Block:
    """Split the sums of a term into A and B."""
    q, J = term.q, len(term.levels)
    A, rows = sums[:, :, :q], np.bincount(term.codes, minlength=J).astype(np.float64)
    about = (term.name, term.levels, term.correlated, term.Z is None, term.columns, term.K)
    return Block(*about, rows, (A + A.swapaxes(1, 2)) / 2, sums[:, :, q:])


def _mergeable(a: Gram, b: Gram) -> None:
    shapes = [
        (g.names, [(k.name, k.q, k.correlated, k.constant, k.K is None) for k in g.blocks])
        for g in (a, b)
    ]
    if shapes[0] != shapes[1]:
        raise refused("models", a=shapes[0], b=shapes[1])
    for k, m in zip(a.blocks, b.blocks, strict=True):
        if k.K is not None and m.K is not None:
            if not (np.array_equal(k.levels, m.levels) and np.array_equal(k.K, m.K)):
                raise refused("kinships", a=k.J, b=m.J)


def _unite(a: Block, b: Block) -> tuple[Labels, Sparse, Sparse]:
    """Unite and sort levels by label; two 0/1 matrices move a's and b's effects among them."""
    from scipy.sparse import csr_matrix

    if np.array_equal(a.levels, b.levels):
        levels, at = a.levels, np.tile(np.arange(a.J), 2)
    elif a.levels.dtype.kind == b.levels.dtype.kind:
        at, levels = positions(np.append(a.levels, b.levels))
    else:
        at, levels = positions([*a.levels.tolist(), *b.levels.tolist()])
    to = (at[:, None] * a.q + np.arange(a.q)).ravel()
    move = csr_matrix((np.ones(len(to)), (to, np.arange(len(to)))), (len(levels) * a.q, len(to)))
    return levels, move[:, : a.J * a.q], move[:, a.J * a.q :]


def _add(a: Block, b: Block, levels: Labels, to_a: Sparse, to_b: Sparse) -> Block:
    """Sum two blocks, level by level."""

    def total(x: Array, y: Array) -> Array:
        both = to_a @ x.reshape(a.J * a.q, -1) + to_b @ y.reshape(b.J * b.q, -1)
        return np.asarray(both).reshape(len(levels), a.q, -1)

    rows = total(np.repeat(a.rows, a.q), np.repeat(b.rows, b.q))[:, 0, 0]
    return replace(a, levels=levels, rows=rows, A=total(a.A, b.A), B=total(a.B, b.B))
