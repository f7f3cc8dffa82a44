"""What draws from a posterior say of new rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import refused
from ..fitted.prediction import NewRows
from ..gram.gram import Block
from ..inputs import Array


def with_groups(rows: NewRows, blocks: Sequence[Block]) -> NewRows:
    """The same rows, where nothing was said of the groups each with a new one of its own."""
    if rows.codes is not None:
        return rows
    if not all(block.constant for block in blocks):
        raise refused("columns-of-random-effects-unknown")
    m = len(rows.X)
    terms = len(blocks)
    return replace(
        rows,
        codes=(np.full(m, -1, dtype=np.intp),) * terms,
        Z=(np.ones((m, 1)),) * terms,
        strangers=(np.arange(m, dtype=np.intp),) * terms,
    )


def predictive(
    fixed: Array,
    random: Sequence[Array],
    roots: Sequence[Array],
    rows: NewRows,
    rng: np.random.Generator,
) -> Array:
    """X alpha + Z beta of new rows at every draw, shape (S, m), of the m rows without gaps.

    A group that the fit has not seen has beta ~ N(0, Sigma), drawn once for all of its rows.
    ``fixed``, ``random`` and ``roots``, of Sigma, have a draw in each of their S rows.
    """
    values: Array = fixed @ rows.X.T
    assert rows.codes is not None  # see with_groups
    terms = zip(rows.codes, rows.Z, rows.strangers, random, roots, strict=True)
    for seen, Z, strange, beta, own in terms:
        known = seen >= 0
        numbers, new = np.unique(strange[~known], return_inverse=True)
        u = rng.standard_normal((len(own), len(numbers), own.shape[2]))
        beta_new = u @ own.swapaxes(1, 2)
        for k, column in enumerate(Z.T):
            values[:, known] += column[known] * beta[:, seen[known], k]
            values[:, ~known] += column[~known] * beta_new[:, new, k]
    return values
