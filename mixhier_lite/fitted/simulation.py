"""New responses for the rows of a fit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..gram.gram import Terms, Weights
from ..gram.term import Term, as_terms
from ..inputs import Array, unchecked
from ..values import Value
from .estimates import Estimates


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Value):
    """The rows of a fit."""

    y: Array
    """Shape (n,)."""
    X: Array
    """Shape (n, p)."""
    terms: tuple[Term, ...]
    weights: Array | None
    """Shape (n,); None where all are one."""

    @classmethod
    def of(cls, y: ArrayLike, X: ArrayLike, terms: Terms, weights: Weights) -> "Rows":
        """Copy rows that a Gram has accepted, and that their owner may change."""
        kept_y = unchecked(y, "y", 1).copy()
        kept_X = unchecked(X, "X", 2).copy(order="K")
        w = None if weights is None else unchecked(weights, "weights", 1).copy()
        return cls(kept_y, kept_X, as_terms(terms), w)


def simulated(model: Estimates, rows: Rows, rng: np.random.Generator) -> Array:
    """Draw y = X alpha_hat + sum of Z beta + eps with new beta and eps, shape (n,)."""
    y: Array = rows.X @ model.fixed
    weights = 1.0 if rows.weights is None else rows.weights
    y += rng.standard_normal(len(y)) * np.sqrt(model.tau2 / weights)
    for term, root, block in zip(rows.terms, model.roots, model.gram.blocks, strict=True):
        u = rng.standard_normal((len(term.levels), term.q)) @ root.T
        beta = u if block.root is None else block.root @ u
        y += beta[term.codes, 0] if term.Z is None else (term.Z * beta[term.codes]).sum(axis=1)
    return y
