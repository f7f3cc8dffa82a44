"""The inputs for which no estimate exists, told before an optimiser finds out."""

import numpy as np

from ..errors import refused
from ..inputs import Array
from .gram import Gram

CONSTANT = 1e-26
"""Share of y'y that X leaves, below which y is in its span within rounding."""
LOST = 1e-12
"""Known variance of the noise, in shares of the variance that X leaves of y, below which rounding
of y'y makes the criterion wrong in its first digits: by 2e-4 per row and more."""
DEPENDENT_X = 1e-12
"""Least eigenvalue of the correlations of X's columns, over their number, within rounding."""
DEPENDENT_Z = 1e-13
"""The same for the columns of a term."""
INVOLVED = 1e-6
"""Share of the largest part in a dependence from which on a column takes part in it."""


def refuse_gram(gram: Gram, tau2: float | None) -> None:
    """Refuse data from which the variances cannot be estimated."""
    if not gram.blocks:
        raise refused("no-random-effects")
    if gram.n <= gram.p:
        raise refused("too-few-rows", n=gram.n, p=gram.p)
    columns = _dependent(gram)
    if columns:
        raise refused("dependent-columns-of-X", p=gram.p, columns=", ".join(columns))
    left = left_of_y(gram)
    if tau2 is None and left <= CONSTANT * _of_y(gram):
        raise refused("nothing-left-of-y")
    if tau2 is not None and tau2 * gram.n <= LOST * left:
        raise refused("known-noise-lost-in-y", tau2=tau2, variance=left / gram.n)
    for t, block in enumerate(gram.blocks):
        name = block.name or f"term {t + 1}"
        seen = int((block.rows > 0).sum())
        if seen < 2:
            raise refused("one-level-with-data", name=name, n_seen=seen)
        whole = block.A.sum(axis=0)
        least = np.linalg.eigvalsh(_correlations(whole))[0]
        if least <= DEPENDENT_Z * block.q:
            raise refused("dependent-columns-of-Z", name=name, q=block.q)


def left_of_y(gram: Gram) -> float:
    """Residual sum of squares of y given X alone."""
    v = gram.y_less_X
    return max(float(v @ gram.C @ v), 0.0)


def _of_y(gram: Gram) -> float:
    """y'Wy."""
    h = gram.H[:, -1]  # y in the Gram's columns
    return float(abs(h @ gram.C @ h))


def _correlations(C: Array) -> Array:
    """Scale to a unit diagonal; rows of zeros stay."""
    squares = np.diag(C)
    d = np.sqrt(np.where(squares > 0, squares, 1.0))
    return np.asarray(C / np.outer(d, d))


def _dependent(gram: Gram) -> list[str]:
    """Names of the columns of X that take part in a linear dependence."""
    p = gram.p
    d = np.sqrt(np.diag(gram.C)[:p])
    values, vectors = np.linalg.eigh(_correlations(gram.C[:p, :p]))
    vanishing = values < DEPENDENT_X * p
    if not vanishing.any():
        return []
    scale = np.where(d > 0, d, 1.0)
    in_gram = vectors[:, vanishing] / scale[:, None]
    combinations = gram.H_inverse[:p, :p] @ in_gram  # of the reader's columns, that are zero
    moments = gram.H.T @ gram.C @ gram.H
    length = np.sqrt(np.diag(moments)[:p])
    share = np.abs(combinations) * length[:, None]
    large = share > INVOLVED * share.max(initial=1e-300)
    zero = (combinations != 0) & (d == 0)[:, None]
    involved = (large | zero).any(axis=1)
    return [gram.names[k] for k in np.flatnonzero(involved)]
