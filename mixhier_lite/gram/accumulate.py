"""One pass over the rows: the sums of a Gram, in a basis that spares digits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..inputs import Array
from ..linalg import dependent_columns
from .term import Term

Pass = tuple[Array, list[Array], Array, Array]
"""C, Z_j'W[Z_j X y] for every level of every term, H and its inverse."""


def gathered(y: Array, X: Array, terms: Sequence[Term], w: Array | None) -> Pass:
    """Gather in a basis that spares digits."""
    p = X.shape[1]
    ones, whole = _unit(X[:100]), float(len(y) if w is None else w.sum())
    C, sums, H, H_inverse = _pass(y, X, terms, w, ones)
    if ones.any() and abs(ones @ C[:p, :p] @ ones - whole) > 1e-9 * whole:
        C, sums, H, H_inverse = _pass(y, X, terms, w, _unit(X))  # the first rows have misled
    d = np.sqrt(np.diag(C))
    scaled = C / np.outer(d, d)
    if len(y) <= p or not np.isfinite(scaled).all() or np.linalg.eigvalsh(scaled)[0] > 1e-6:
        return C, sums, H, H_inverse
    V = np.column_stack([X, y]) @ H_inverse
    weighted = times(None if w is None else np.sqrt(w), V / d)
    if dependent_columns(weighted[:, :p]):
        return C, sums, H, H_inverse  # refused by fit, in the reader's columns
    R: Array = np.asarray(np.linalg.qr(weighted, mode="r")) * d
    R[p, p] = 1.0
    change = solve_triangular(R, np.eye(p + 1))
    V = V @ change
    C, sums, *_ = _pass(V[:, p], V[:, :p], terms, w, np.zeros(p))
    return C, sums, R @ H, H_inverse @ change


def _pass(y: Array, X: Array, terms: Sequence[Term], w: Array | None, ones: Array) -> Pass:
    """Go over the rows once, in blocks that fit into the cache.

    They are shifted by the first row if X @ ones = 1.
    """
    from scipy.sparse import csc_matrix

    (n, p), q = X.shape, max((k.q for k in terms), default=0)
    c = np.append(ones, 0.0)
    s = np.where(c == 1, 0.0, np.append(X[:1], y[:1])) if ones.any() else np.zeros(p + 1)
    H, H_inverse = np.eye(p + 1) + np.outer(c, s), np.eye(p + 1) - np.outer(c, s)
    size = max(2**16, min(4 * max((len(k.levels) for k in terms), default=1), 2**19))
    wide, C = np.empty((min(n, size), q + p + 1)), np.zeros((p + 1, p + 1))
    sums = [np.zeros((len(k.levels), k.q, k.q + p + 1)) for k in terms]
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        some, weights = wide[: part.stop - start], None if w is None else w[part]
        for k in range(start, part.stop, 2**14):
            rows = slice(k, min(k + 2**14, part.stop))
            here = some[k - start : rows.stop - start]
            V = np.matmul(X[rows], H_inverse[:p], out=here[:, q:])
            V[:, p] += y[rows]
            C += (times(None if w is None else w[rows], V).T @ here)[:, q:]  # faster than V'V
        for term, total in zip(terms, sums, strict=True):
            Z = np.ones((1, len(some))) if term.Z is None else np.ascontiguousarray(term.Z[part].T)
            some[:, q - term.q : q] = Z.T
            sums_of: Any = csc_matrix((len(total), len(some)))  # over the rows of every level
            sums_of.indices, sums_of.indptr = term.codes[part], np.arange(len(some) + 1)
            for k in range(term.q):
                sums_of.data = Z[k] if weights is None else weights * Z[k]
                total[:, k] += sums_of @ some[:, q - term.q :]
    return C, sums, H, H_inverse


def _unit(X: Array) -> Array:
    """Find c with X c = 1 in every row: the fewest leading 0/1 columns that sum to one."""
    dummy = ((X == 0) | (X == 1)).all(axis=0)
    whole = (np.cumsum(X * dummy, axis=1) == 1).all(axis=0)
    if not (len(X) and whole.any()):
        return np.zeros(len(dummy))
    return np.where(np.arange(len(dummy)) <= np.argmax(whole), dummy, 0.0)


def times(w: Array | None, V: Array) -> Array:
    """Weight the rows of V."""
    return V if w is None else w[:, None] * V
