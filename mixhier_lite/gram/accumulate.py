"""One pass over the rows: the sums of a Gram, in a basis that spares digits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..inputs import Array
from ..labels import Codes
from ..linalg import dependent_columns
from .basis import Basis
from .term import Term


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass over the rows gives, in bases that spare digits."""

    C: Array
    """[X' y']'W[X' y'], shape (p + 1, p + 1)."""
    basis: Basis
    """[X y] = [X' y'] H."""
    sums: list[Array]
    """Z_j'W[Z_j X' y'] for every level of every term, shape (J, q, q + p + 1)."""
    shifts: list[Array]
    """What is subtracted from every row of Z of each term, shape (q,)."""
    Z_bases: list[Basis]
    """Z = Z' H of each term."""


def gathered(y: Array, X: Array, terms: Sequence[Term], w: Array | None) -> Pass:
    """Gather in bases that spare digits."""
    p = X.shape[1]
    whole = float(len(y) if w is None else w.sum())
    ones = _unit(X[:100])
    units = [_unit(term.Z[:100]) if term.Z is not None else np.ones(1) for term in terms]
    found = _pass(y, X, terms, w, ones, units)
    spans = [_spans(ones, found.C[:p, :p], whole)]
    for k, (c, total) in enumerate(zip(units, found.sums, strict=True)):
        spans.append(_spans(c, total[:, :, : terms[k].q].sum(axis=0), whole))
    if not all(spans):  # the first rows have misled
        ones = _unit(X)
        units = [_unit(term.Z) if term.Z is not None else np.ones(1) for term in terms]
        found = _pass(y, X, terms, w, ones, units)
    d = np.sqrt(np.diag(found.C))
    scaled = found.C / np.outer(d, d)
    if len(y) <= p or not np.isfinite(scaled).all() or np.linalg.eigvalsh(scaled)[0] > 1e-6:
        return found
    basis = found.basis
    V = np.column_stack([X, y]) @ basis.inverse
    weighted = times(None if w is None else np.sqrt(w), V / d)
    if dependent_columns(weighted[:, :p]):
        return found  # refused by fit, in the reader's columns
    R: Array = np.asarray(np.linalg.qr(weighted, mode="r")) * d
    R[p, p] = 1.0
    change = solve_triangular(R, np.eye(p + 1))
    V = V @ change
    again = _pass(V[:, p], V[:, :p], terms, w, np.zeros(p), units)
    return replace(again, basis=Basis(R @ basis.H, basis.inverse @ change, basis.ones))


def _spans(c: Array, moments: Array, whole: float) -> bool:
    """Whether some columns c sum to one in every row, by their moments; or none have to."""
    return not c.any() or bool(abs(c @ moments @ c - whole) <= 1e-9 * whole)


def _pass(
    y: Array,
    X: Array,
    terms: Sequence[Term],
    w: Array | None,
    ones: Array,
    units: Sequence[Array],
) -> Pass:
    """Go over the rows once, in blocks that fit into the cache.

    They are shifted by the first row if X @ ones = 1; and Z of a term if Z @ unit = 1.
    """
    n, p = X.shape
    q = max((term.q for term in terms), default=0)
    first = np.append(X[:1], y[:1]) if n else np.zeros(p + 1)
    basis = Basis.shifted(np.append(ones, 0.0), first)
    shifts = [_shift(term, unit) for term, unit in zip(terms, units, strict=True)]
    C = np.zeros((p + 1, p + 1))
    sums = [np.zeros((len(term.levels), term.q, term.q + p + 1)) for term in terms]
    size = max(2**16, min(4 * max((len(term.levels) for term in terms), default=1), 2**19))
    wide = np.empty((min(n, size), q + p + 1))  # [Z X y] of a block
    constant = np.ones((1, len(wide)))
    only_intercept = len(terms) == 1 and terms[0].Z is None
    if only_intercept:  # then its column is the same in every block
        wide[:, 0] = 1.0
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        some = wide[: part.stop - start]
        weights = None if w is None else w[part]
        for k in range(0, len(some), 2**14):
            rows = slice(start + k, start + k + len(some[k : k + 2**14]))
            here = some[k : k + 2**14]
            V = np.matmul(X[rows], basis.inverse[:p], out=here[:, q:])
            V[:, p] += y[rows]
            C += (times(None if w is None else w[rows], V).T @ here)[:, q:]  # faster than V'V
        for term, shift, total in zip(terms, shifts, sums, strict=True):
            columns = some[:, q - term.q :]
            if term.Z is None:
                Z = constant[:, : len(some)]
            else:
                Z = np.subtract(term.Z[part].T, shift[:, None], order="C")
            if not only_intercept:
                columns[:, : term.q] = Z.T
            _add_by_level(total, term.codes[part], Z, weights, columns)
    Z_bases = [Basis.shifted(unit, shift) for unit, shift in zip(units, shifts, strict=True)]
    return Pass(C, basis, sums, shifts, Z_bases)


def _shift(term: Term, unit: Array) -> Array:
    """By what the columns of Z are shifted, shape (q,): the first row where Z @ unit = 1."""
    if term.Z is None or not unit.any() or not len(term.Z):
        return np.zeros(term.q)
    return np.where(unit == 1, 0.0, term.Z[0])


def _add_by_level(
    total: Array, codes: Codes, Z: Array, weights: Array | None, columns: Array
) -> None:
    """Add Z'W[Z X y] of every level to ``total``, (J, q, q + p + 1).

    For Z of shape (q, n), a row per column, and ``columns`` [Z X y] of shape (n, q + p + 1).
    """
    from scipy.sparse import csc_matrix

    sums_of: Any = csc_matrix((len(total), len(codes)))  # over the rows of every level
    sums_of.indices = codes
    sums_of.indptr = np.arange(len(codes) + 1)
    for k, column in enumerate(Z):
        sums_of.data = column if weights is None else weights * column
        total[:, k] += sums_of @ columns


def _unit(X: Array) -> Array:
    """Find c with X c = 1 in every row: some 0/1 columns, one after the other, that sum to one.

    The first such columns, and the fewest. Columns of zeros are never among them.
    """
    dummies = np.flatnonzero(((X == 0) | (X == 1)).all(axis=0) & X.any(axis=0))
    found = np.zeros(X.shape[1])
    for k in range(len(dummies)):
        whole = (np.cumsum(X[:, dummies[k:]], axis=1) == 1).all(axis=0)
        if whole.any():
            found[dummies[k : k + int(np.argmax(whole)) + 1]] = 1.0
            break
    return found


def times(w: Array | None, V: Array) -> Array:
    """Weight the rows of V."""
    return V if w is None else w[:, None] * V
