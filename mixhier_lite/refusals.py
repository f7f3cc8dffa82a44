"""The inputs for which no estimate exists, told before an optimiser finds out."""

import numpy as np

from .assembly import Assembly
from .errors import InputError
from .gram import Gram
from .inputs import Array
from .variance import Solution


def refuse_gram(gram: Gram, tau2: float | None, reml: bool) -> None:
    """Refuse data from which the variances cannot be estimated."""
    p = gram.p
    if gram.n <= p:
        raise InputError(
            "there are too few rows.",
            f"more than the {p} columns of X",
            f"{gram.n} rows",
            "add data or drop columns",
        )
    _refuse_dependent(gram)
    left = _left_of_y(gram)
    if tau2 is None and left <= 1e-26 * gram.n * max(_size_of_y(gram), 1e-300) ** 2 or left == 0:
        if tau2 is None:
            raise InputError(
                "y is an exact combination of the columns of X (a constant, say): "
                "nothing is left to estimate a variance from.",
                "a response that varies about X alpha",
                "residuals that are zero within rounding",
                "check that y is the response and not a column of X",
            )
    for t, block in enumerate(gram.blocks):
        name = block.name or f"term {t + 1}"
        seen = int((block.rows > 0).sum())
        if seen < 2:
            raise InputError(
                f"{name} has one level with data: its variance cannot be estimated.",
                "at least two levels",
                f"{seen} level with rows",
                "make the group a fixed effect, or give known variances to LinearMixedModel",
            )
        _refuse_singular_columns(name, block.A.sum(axis=0))
        low, high = gram.weight_range
        if seen == gram.n and block.root is None and tau2 is None and low == high:
            if _has_constant(block.A):
                raise InputError(
                    f"{name} has as many levels as there are rows: "
                    "its variance and the noise cannot be told apart.",
                    "some levels with several rows",
                    f"{seen} levels, {gram.n} rows",
                    "pass tau2= if the noise is known, or K= if the levels are related",
                )


def refuse_perfect(gram: Gram, assembly: Assembly, at: Solution | None) -> None:
    """Refuse a fit that leaves no noise."""
    if at is not None and assembly.criterion.known_tau2 is not None:
        return
    y = assembly.scale[-1] ** 2
    if at is None or at.tau2 * y * gram.n <= 1e-12 * _left_of_y(gram):
        raise InputError(
            "the model fits perfectly: no noise is left, and the likelihood has no maximum.",
            "some variation of y within the groups",
            "residuals that are zero within rounding",
            "drop random-effects columns, or pass tau2= if the noise is known",
        )


def _left_of_y(gram: Gram) -> float:
    """Residual sum of squares of y given X alone."""
    d = np.sqrt(np.diag(gram.C))
    d = np.where(d > 0, d, 1.0)
    C, p = gram.C / np.outer(d, d), gram.p
    b = np.linalg.solve(C[:p, :p], C[:p, p]) if p else np.zeros(0)
    v = np.append(-b, 1.0)
    return float(max(v @ C @ v, 0.0) * d[p] ** 2)


def _size_of_y(gram: Gram) -> float:
    """Root mean square of y itself, not of the shifted y."""
    C = gram.H.T @ gram.C @ gram.H
    return float(np.sqrt(max(C[-1, -1], 0.0) / gram.n))


def _refuse_dependent(gram: Gram) -> None:
    p = gram.p
    d = np.sqrt(np.diag(gram.C)[:p])
    scaled = gram.C[:p, :p] / np.outer(np.where(d > 0, d, 1.0), np.where(d > 0, d, 1.0))
    values, vectors = np.linalg.eigh(scaled)
    null = gram.H_inverse[:p, :p] @ (
        vectors[:, values < 1e-12 * max(p, 1)] / np.where(d > 0, d, 1.0)[:, None]
    )
    if null.shape[1]:
        share = np.abs(null) * np.sqrt(np.diag(gram.H.T @ gram.C @ gram.H)[:p, None])
        size = np.abs(share).max(axis=1) / max(float(np.abs(share).max()), 1e-300)
        size = np.where((np.abs(null).max(axis=1) > 0) & (d == 0), 1.0, size)
        columns = [gram.names[k] for k in np.flatnonzero(size > 1e-6)]
        raise InputError(
            "alpha is not identified, and the flat-prior posterior is improper: "
            "the columns of X are linearly dependent.",
            f"X of full column rank {p}",
            f"a linear dependence among {', '.join(columns)}",
            "drop one of these columns",
        )


def _refuse_singular_columns(name: str, A: Array) -> None:
    d = np.sqrt(np.diag(A))
    if (d > 0).all() and np.linalg.eigvalsh(A / np.outer(d, d))[0] > 1e-13 * len(A):
        return
    raise InputError(
        f"the columns of Z of {name} are linearly dependent.",
        f"{len(A)} columns that carry different information",
        "a column that is zero, or a combination of the others, in every row",
        "drop one of these columns",
    )


def _has_constant(A: Array) -> bool:
    """Whether some column of Z has the same square in every row (one row a level)."""
    seen = A[np.einsum("jkk->j", A) > 0]
    squares = np.einsum("jkk->jk", seen)
    return bool((np.ptp(squares, axis=0) <= 1e-12 * squares.max(axis=0)).any())
