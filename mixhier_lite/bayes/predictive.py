"""What draws from a posterior say of new rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..fitted.prediction import NewRows
from ..inputs import Array
from ..labels import Codes

if TYPE_CHECKING:
    from .draws import Draws


def predictive(draws: "Draws", rows: NewRows, noise: bool, rng: np.random.Generator) -> Array:
    """X alpha + Z beta of new rows at every draw, shape (S, n_new), nan where a row has gaps.

    A group that the fit has not seen has beta ~ N(0, Sigma), drawn once for all of its rows.
    """
    values = draws.fixed @ rows.X.T
    codes, Z, strangers = _groups(draws, rows)
    terms = zip(codes, Z, strangers, draws.random, draws.Sigma, strict=True)
    for seen, columns, strange, random, Sigma in terms:
        known = seen >= 0
        numbers, new = np.unique(strange[~known], return_inverse=True)
        beta_new = _new_groups(Sigma, len(numbers), rng)
        for k, column in enumerate(columns.T):
            values[:, known] += column[known] * random[:, seen[known], k]
            values[:, ~known] += column[~known] * beta_new[:, new, k]
    if noise:
        values += np.sqrt(draws.tau2)[:, None] * rng.standard_normal(values.shape)
    out = np.full((len(values), len(rows.kept)), np.nan)
    out[:, rows.kept] = values
    return out


def _groups(
    draws: "Draws", rows: NewRows
) -> tuple[Sequence[Codes], Sequence[Array], Sequence[Codes]]:
    """Levels, columns of Z and new groups of every term; without terms every row is a group."""
    if rows.codes is not None:
        return rows.codes, rows.Z, rows.strangers
    blocks, m = draws.model.gram.blocks, len(rows.X)
    if not all(block.constant for block in blocks):
        raise InputError(
            "the columns of the random effects are not known.",
            "terms, one Term for each term of the fit, with its columns Z for the new rows",
            "terms=None and a fit with random slopes",
            "pass the terms, or after lmer a data frame and new_groups='population'",
        )
    nowhere = np.full(m, -1, dtype=np.intp)
    each = np.arange(m, dtype=np.intp)
    return [nowhere] * len(blocks), [np.ones((m, 1))] * len(blocks), [each] * len(blocks)


def _new_groups(Sigma: Array, groups: int, rng: np.random.Generator) -> Array:
    """Draw beta ~ N(0, Sigma) of new groups at every draw, shape (S, groups, q)."""
    values, vectors = np.linalg.eigh(Sigma)  # Sigma may be of lower rank
    roots = vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    u = rng.standard_normal((len(Sigma), groups, Sigma.shape[1]))
    return np.asarray(u @ roots.swapaxes(1, 2))
