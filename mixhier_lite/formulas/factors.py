"""The levels of a term: combinations of the levels of its factors, each of which has its own.

Nothing is looked up by a text that was joined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..labels import Coded, Codes, Labels, look_up
from ..values import Value
from .frames import Factor
from .interactions import level_names
from .parse import BarTerm


@dataclass(frozen=True, eq=False, repr=False)
class Factors(Value):
    """The levels of a term: combinations of the levels of its factors."""

    names: tuple[str, ...]
    """Columns of the data."""
    levels: tuple[Labels, ...]
    """The levels of each factor, in order."""
    combinations: npt.NDArray[np.intp]
    """Which level of each factor a level of the term has, shape (J, factors)."""

    def look_up(self, columns: Mapping[str, Factor]) -> Codes:
        """Position of each row's combination, shape (n,); -1 where it is none of the fit's."""
        rows = [columns[name] for name in self.names]
        codes = [
            look_up(row.levels, levels)[row.codes]
            for row, levels in zip(rows, self.levels, strict=True)
        ]
        sizes = [len(levels) for levels in self.levels]
        wanted, inverse = np.unique(_joined(codes, sizes), return_inverse=True)
        found = look_up(wanted, _joined(list(self.combinations.T), sizes))
        return np.where(wanted < 0, -1, found)[inverse]

    def strangers(self, columns: Mapping[str, Factor], codes: Codes, given: bool) -> Codes:
        """Numbers of the groups that are none of the fit's, shape (n,); -1 for those that are.

        Where the factors are not ``given`` every row may be of another group.
        """
        if not given:
            return np.arange(len(codes), dtype=np.intp)
        rows = [columns[name] for name in self.names]
        new = codes < 0
        joined = _joined([row.codes[new] for row in rows], [len(row.levels) for row in rows])
        out = np.full(len(codes), -1, dtype=np.intp)
        out[new] = np.unique(joined, return_inverse=True)[1]
        return out


def group(bar: BarTerm, columns: Mapping[str, Factor]) -> tuple[Factors, Coded]:
    """Code the rows of a term; its levels in the order of its factors' levels."""
    own = [columns[name] for name in bar.factors]
    levels = tuple(factor.levels for factor in own)
    sizes = [len(each) for each in levels]
    if len(own) == 1:  # every level has rows
        codes = own[0].codes
        present = np.arange(sizes[0])
    else:
        present, codes = np.unique(_joined([k.codes for k in own], sizes), return_inverse=True)
    combinations = np.column_stack(np.unravel_index(present, sizes)).astype(np.intp)
    factors = Factors(bar.factors, levels, combinations)
    return factors, Coded(codes, level_names(levels, combinations))


def _joined(codes: Sequence[Codes], sizes: Sequence[int]) -> Codes:
    """One number for each combination of codes, shape (n,); -1 where a code is -1."""
    joined = np.zeros(len(codes[0]), dtype=np.intp)
    for own, size in zip(codes, sizes, strict=True):
        joined = joined * size + own
    return np.where(np.min(codes, axis=0) < 0, -1, joined)
