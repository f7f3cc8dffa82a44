"""Rows that stand for the data where the model could fit every one of them: n = rank [X Z].

Only there can the noise be zero. The Gram then has rank n, and any n rows with this Gram are the
data but for a rotation, which no likelihood notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dgeqrf, dormqr

from ..gram.gram import Gram
from ..inputs import Array
from .assembly import Parts

MOST = 3000
"""Rows at most, since matrices with a row and a column for each are factored."""
ZERO = 1e-11
"""An eigenvalue over the largest that is zero within rounding."""


@dataclass(frozen=True, eq=False)
class SaturatedRows:
    """n rows of data, times the roots of their weights and in the criterion's columns."""

    X: Array
    """Shape (n, p)."""
    y: Array
    """Shape (n,)."""
    Z: tuple[Array, ...]
    """For each term its columns in all levels, shape (n, J q)."""
    products: tuple[Array, ...]
    """For each term Z_k K Z_l' of its columns k and l: V has Sigma_kl times it; (q, q, n, n)."""

    @cached_property
    def contrasts(self) -> "Contrasts":
        """What is orthogonal to X."""
        return Contrasts.of(self.X)

    @cached_property
    def contrasts_of_y(self) -> Array:
        """C'y, shape (n - p,)."""
        return self.contrasts.times(self.y[:, None])[:, 0]

    @cached_property
    def on_contrasts(self) -> tuple[Array, ...]:
        """The products on contrasts of X, shape (q, q, n - p, n - p)."""
        return tuple(self.contrasts.both_sides(each) for each in self.products)

    def covariance(self, T: Sequence[Array]) -> Array:
        """G = sum of Z (K x TT') Z', shape (n, n): V without noise."""
        return total(self.products, T)


@dataclass(frozen=True, eq=False)
class Contrasts:
    """C, n x (n - p) with orthonormal columns and C'X = 0: the last columns of Q in X = Q R."""

    reflections: Array
    tau: Array

    @classmethod
    def of(cls, X: Array) -> "Contrasts":
        """By Householder's reflections, of which only the vectors are kept."""
        reflections, tau, *_ = dgeqrf(np.asfortranarray(X))
        return cls(reflections, tau)

    def times(self, v: Array) -> Array:
        """C'v for v of shape (n, r)."""
        n, p = self.reflections.shape
        if not p:
            return v
        turned = dormqr("L", "T", self.reflections, self.tau, np.asfortranarray(v), 64 * n)[0]
        return np.asarray(turned[p:])

    def back(self, u: Array) -> Array:
        """C u for u of shape (n - p, r)."""
        n, p = self.reflections.shape
        if not p:
            return u
        padded = np.asfortranarray(np.vstack([np.zeros((p, u.shape[1])), u]))
        return np.asarray(dormqr("L", "N", self.reflections, self.tau, padded, 64 * n)[0])

    def both_sides(self, G: Array) -> Array:
        """C'G C for many G, shape (..., n, n)."""
        out = [self.times(self.times(each).T).T for each in G.reshape(-1, *G.shape[-2:])]
        m = out[0].shape[0]
        return np.reshape(out, (*G.shape[:-2], m, m))


def total(products: Sequence[Array], T: Sequence[Array]) -> Array:
    """Sum over the terms and their columns k, l of (T T')_kl times products, shape (n, n)."""
    parts = zip(products, T, strict=True)
    return np.asarray(sum(np.tensordot(t @ t.T, each, 2) for each, t in parts))


def could_saturate(gram: Gram) -> bool:
    """Whether the columns of X and Z could span all rows, by a count."""
    columns = gram.p + sum(np.minimum(block.rows, block.q).sum() for block in gram.blocks)
    return bool(gram.n <= columns)


def saturated_rows(parts: Parts) -> SaturatedRows | None:
    """Find n rows with the Gram of the data; None where X, Z and y do not span all rows.

    The levels of the largest term give their rows one by one. What these leave of the Gram of all
    other columns is one matrix, and its eigenvectors give the rest.
    """
    gram = parts.gram
    blocks = parts.gram.blocks
    sizes = [block.J * block.q for block in blocks]
    if not could_saturate(gram) or max(gram.n, sum(sizes)) > MOST:
        return None
    order = sorted(range(len(blocks)), key=lambda t: -sizes[t])
    first = order[0]
    stops = np.cumsum([0, *(sizes[t] for t in order)])
    whole = joint(parts, order)
    q = blocks[first].q
    inner = slice(0, stops[1])
    values, vectors = np.linalg.eigh(np.moveaxis(parts.moments[first][0], -1, 0))
    live = values > ZERO * values.max()
    turned = np.einsum("jki,jkc->jic", vectors, whole[inner].reshape(-1, q, len(whole)))
    top = turned[live] / np.sqrt(values[live])[:, None]
    rest = whole[stops[1] :, stops[1] :] - top[:, stops[1] :].T @ top[:, stops[1] :]
    unit = np.sqrt(np.maximum(np.diag(whole)[stops[1] :], 1e-300))
    values, vectors = np.linalg.eigh(rest / np.outer(unit, unit))
    live = values > ZERO * len(values)
    if len(top) + live.sum() != gram.n:
        return None
    bottom = np.sqrt(values[live])[:, None] * vectors[:, live].T * unit
    F = np.vstack([top, np.pad(bottom, ((0, 0), (stops[1], 0)))])
    Z = {t: F[:, a:b] for t, a, b in zip(order, stops, stops[1:], strict=False)}
    every = tuple(Z[t] for t in range(len(blocks)))
    products = tuple(_products(z, k.K, k.q) for z, k in zip(every, blocks, strict=True))
    return SaturatedRows(F[:, stops[-1] : -1], F[:, -1], every, products)


def joint(parts: Parts, order: Sequence[int]) -> Array:
    """[Z X y]'W[Z X y] with the terms in some order, as one matrix."""
    blocks = parts.gram.blocks
    p = parts.gram.p
    stops = np.cumsum([0, *(blocks[t].J * blocks[t].q for t in order)])
    whole = np.zeros((stops[-1] + p + 1, stops[-1] + p + 1))
    at = [slice(a, b) for a, b in zip(stops, stops[1:], strict=False)]
    for s, (own, here) in enumerate(zip(order, at, strict=True)):
        A, B = (np.moveaxis(part, -1, 0) for part in parts.moments[own])
        J, q = B.shape[:2]
        np.einsum("jkjl->jkl", whole[here, here].reshape(J, q, J, q))[...] = A
        whole[here, stops[-1] :] = B.reshape(J * q, p + 1)
        for other, there in zip(order[s + 1 :], at[s + 1 :], strict=True):
            flipped = own > other
            shared = parts.cross(min(own, other), max(own, other)).toarray()
            whole[here, there] = shared.T if flipped else shared
    whole[stops[-1] :, stops[-1] :] = parts.C
    return np.triu(whole) + np.triu(whole, 1).T


def _products(Z: Array, K: Array | None, q: int) -> Array:
    """Z_k K Z_l' for columns k and l of a term, shape (q, q, n, n)."""
    each = [Z[:, k::q] for k in range(q)]
    related = each if K is None else [z @ K for z in each]
    return np.array([[left @ right.T for right in each] for left in related])
