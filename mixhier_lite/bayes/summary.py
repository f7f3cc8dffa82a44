"""A posterior in a table: which numbers it has, and what they are called."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..after.fit import Fit
from ..after.r2 import root_of_mean_square
from ..inputs import Array
from ..variance.assembly import assemble
from .charts import oblique_terms


def names_of(model: Fit) -> list[str]:
    """What the fixed effects, sds, correlations, tau and the icc are called, in this order."""
    found = [*model.names, *(name for part in names_of_sds(model) for name in part)]
    for t, i, j in _pairs(model):
        columns = model.gram.blocks[t].column_names
        found.append(f"correlation of {columns[i]} and {columns[j]} by {model.term_names[t]}")
    return [*found, "tau", *(["icc"] if model.rows is not None else [])]


def names_of_sds(model: Fit) -> list[list[str]]:
    """What the standard deviations of each term's columns are called."""
    return [
        [f"sd of {column} by {name}" for column in block.column_names]
        for name, block in zip(model.term_names, model.gram.blocks, strict=True)
    ]


def _pairs(model: Fit) -> list[tuple[int, int, int]]:
    """Term and two columns of each correlation."""
    return [
        (t, i, j)
        for t, block in enumerate(model.gram.blocks)
        if block.correlated
        for j in range(block.q)
        for i in range(j)
    ]


@dataclass(frozen=True, eq=False)
class Shares:
    """What does not change with the unit of y."""

    correlations: list[Array]
    """Of two columns of a term each, shape (S,)."""
    icc: list[Array]
    """The intraclass correlation, shape (S,), as ``Fit.icc`` has it; empty without rows."""


def correlations_and_icc(model: Fit, roots: Sequence[Array], tau2: Array) -> Shares:
    """Correlations and the ICC at roots of Sigma (S, q, q) of each term and noise tau2, (S,)."""
    with np.errstate(invalid="ignore"):  # a term whose variance is zero
        units = [root / np.linalg.norm(root, axis=2, keepdims=True) for root in roots]
    correlations = [
        np.einsum("sk,sk->s", units[t][:, i], units[t][:, j]) for t, i, j in _pairs(model)
    ]
    if model.rows is None:
        return Shares(correlations, [])
    random = np.zeros(len(tau2))
    for t, own in enumerate(roots):
        turned = root_of_mean_square(model, model.rows, t) @ own
        random = random + (turned**2).sum(axis=(1, 2))  # the mean of z' Sigma z
    weights = model.rows.weights
    noise = tau2 * (1.0 if weights is None else (1 / weights).mean())
    return Shares(correlations, [random / (random + noise)])


def remarks(model: Fit) -> list[str]:
    """What a reader should know of the prior: where it sits."""
    assembly = assemble(model.gram, True, model.known_tau2)
    return [
        f"The prior sits on the standard deviations of {model.term_names[t]} where its covariates "
        "are zero, which is far from the data: the posterior depends on that zero, and with a "
        "covariate less its mean it would be another one."
        for t in oblique_terms(assembly)
    ]


def text(model: Fit, columns: dict[str, Array]) -> str:
    """Columns of numbers, one for each of ``names_of``, as an aligned table with remarks."""
    names = names_of(model)
    cells = [["", *names]]
    cells += [[head, *(f"{value:.5g}" for value in values)] for head, values in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    lines = []
    for row in zip(*cells, strict=True):
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(padded).rstrip())
    told = remarks(model)
    return "\n".join([*lines, *([""] if told else []), *told])
