"""Estimated marginal means: what the model says of each level, all else averaged equally."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..fitted.estimates import Estimates
from ..fitted.satterthwaite import Precision
from ..fitted.tables import Origin
from ..inputs import Array
from ..labels import Labels
from .combination import Combinations, read_combinations
from .contrast import Contrast, contrast


@dataclass(frozen=True, eq=False, repr=False)
class Means(Contrast):
    """Estimated marginal means, one for each level of a factor, or for each combination."""

    factors: tuple[str, ...]
    """The factor, and the others by which it is told."""
    levels: tuple[Labels, ...]
    """For each of these the level of every mean, shape (k,)."""
    model: Estimates = field(repr=False)
    known: Precision = field(repr=False)

    def table(self, level: float = 0.95) -> Any:
        """Estimate, se, df and interval of every mean, as a data frame.

        Against zero a mean is tested by ``t`` and ``p``, which is rarely asked.
        """
        columns = self._columns(level)
        shown = {name: columns[name] for name in ("estimate", "se", "df", "lower", "upper")}
        return self.origin.table(dict(zip(self.factors, self.levels, strict=True)), shown)

    def contrast(self, L: Any = "pairs", names: Sequence[str] | None = None) -> Contrast:
        """Compare the means: linear combinations of them, with their tests.

        Parameters
        ----------
        L : "pairs", array_like, shape (m, k), or str, or mapping, or a list of these two
            All differences of two means (with ``by``, of those that it puts side by side), or
            what ``Fit.contrast`` takes, in the ``names`` of the means: ``"b - a"``.
        names : sequence of str, optional

        Returns
        -------
        Contrast
            Its p-values are not adjusted for their number.
        """
        if isinstance(L, str) and L == "pairs":
            rows, own = self._pairs()
            read = read_combinations(rows, self.names, own if names is None else names)
        else:
            read = read_combinations(L, self.names, names)
        told = ~np.isnan(self.L[:, 0])
        L = read.L[:, told] @ self.L[told]
        L[read.L[:, ~told].any(axis=1)] = np.nan  # what the data do not tell of one side
        combined = Combinations(L, read.shift, read.names)
        return contrast(self.model, self.known, combined, self.method, self.origin)

    def _pairs(self) -> tuple[Array, list[str]]:
        """Differences of means that agree in all but the first factor."""
        rows = []
        names = []
        for i, j in combinations(range(len(self.names)), 2):
            if all(others[i] == others[j] for others in self.levels[1:]):
                row = np.zeros(len(self.names))
                row[i] = 1.0
                row[j] = -1.0
                rows.append(row)
                names.append(f"{self.names[i]} - {self.names[j]}")
        return np.array(rows), names


def means(
    model: Estimates,
    known: Precision,
    origin: Origin,
    factors: Sequence[str],
    cells: Sequence[tuple[Any, ...]],
    L: Array,
    method: str,
) -> Means:
    """Estimate the means L alpha of some cells."""
    names = tuple(", ".join(map(str, cell)) for cell in cells)
    found = contrast(model, known, Combinations(L, np.zeros(len(L)), names), method, origin)
    levels = tuple(_column(cells, k) for k in range(len(factors)))
    return Means(**vars(found), factors=tuple(factors), levels=levels, model=model, known=known)


def _column(cells: Sequence[tuple[Any, ...]], k: int) -> Labels:
    """The k-th label of every cell, as an array of objects."""
    found = np.empty(len(cells), dtype=object)
    for j, cell in enumerate(cells):
        found[j] = cell[k]
    return found
