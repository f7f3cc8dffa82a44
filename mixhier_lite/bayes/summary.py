"""A posterior as text."""

import numpy as np

from ..after.fit import Fit
from ..inputs import Array
from ..variance.assembly import assemble
from .charts import oblique_terms


def names_of(model: Fit) -> list[str]:
    """What the fixed effects, the standard deviations and tau are called, in this order."""
    found = [*model.names]
    for name, block in zip(model.term_names, model.gram.blocks, strict=True):
        found += [f"sd of {column} by {name}" for column in block.column_names]
    return [*found, "tau"]


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


def stacked(fixed: Array, sds: "tuple[Array, ...]", tau: float) -> Array:
    """One number for each of ``names_of``."""
    return np.concatenate([fixed, *sds, [tau]])
