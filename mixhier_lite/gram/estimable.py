"""The inputs for which no estimate exists, told before an optimiser finds out."""

import numpy as np

from ..errors import refused
from ..inputs import Array
from .gram import Gram


def refuse_gram(gram: Gram, tau2: float | None) -> None:
    """Refuse data from which the variances cannot be estimated."""
    if not gram.blocks:
        raise refused("no-term")
    if gram.n <= gram.p:
        raise refused("few-rows", n=gram.n, p=gram.p)
    if columns := _dependent(gram):
        raise refused("dependent", p=gram.p, columns=", ".join(columns))
    if tau2 is None and left_of_y(gram) <= 1e-26 * abs(gram.H[:, -1] @ gram.C @ gram.H[:, -1]):
        raise refused("constant")
    for t, block in enumerate(gram.blocks):
        name, seen = block.name or f"term {t + 1}", int((block.rows > 0).sum())
        if seen < 2:
            raise refused("one-level", name=name, seen=seen)
        if np.linalg.eigvalsh(_correlations(block.A.sum(axis=0)))[0] <= 1e-13 * block.q:
            raise refused("columns", name=name, q=block.q)


def left_of_y(gram: Gram) -> float:
    """Residual sum of squares of y given X alone."""
    R, p = _correlations(gram.C), gram.p
    v = np.append(-np.linalg.solve(R[:p, :p], R[:p, p]), 1.0)
    return float(max(v @ R @ v, 0.0) * gram.C[p, p])


def _correlations(C: Array) -> Array:
    """Scale to a unit diagonal; rows of zeros stay."""
    d = np.sqrt(np.where(np.diag(C) > 0, np.diag(C), 1.0))
    return np.asarray(C / np.outer(d, d))


def _dependent(gram: Gram) -> list[str]:
    """Names of the columns of X that take part in a linear dependence."""
    p, d = gram.p, np.sqrt(np.diag(gram.C)[: gram.p])
    values, vectors = np.linalg.eigh(_correlations(gram.C[:p, :p]))
    if (values >= 1e-12 * p).all():
        return []
    loose = vectors[:, values < 1e-12 * p] / np.where(d > 0, d, 1.0)[:, None]
    null = gram.H_inverse[:p, :p] @ loose
    share = np.abs(null) * np.sqrt(np.diag(gram.H.T @ gram.C @ gram.H)[:p, None])
    large, zero = share > 1e-6 * share.max(initial=1e-300), (null != 0) & (d == 0)[:, None]
    return [gram.names[k] for k in np.flatnonzero((large | zero).any(axis=1))]
