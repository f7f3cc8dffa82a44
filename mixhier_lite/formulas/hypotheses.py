"""Hypotheses of type III: what each term of a formula adds, averaged equally over the others.

Under sum-to-zero coding the coefficients of a term are deviations from equal averages over all
other factors, and the hypothesis of the term is that they are zero. Whatever coding was fitted, its
coefficients say what those would be: both codings are expanded in one basis, the products of "1" or
"deviation of level j" over the factors. No rows are needed for that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array

Codings = Callable[[str, bool], Array]
"""The coding of a factor, reduced or one column per level, shape (levels, columns)."""


@dataclass(frozen=True)
class Piece:
    """A product of factors that makes columns of X next to each other."""

    factors: tuple[tuple[str, bool], ...]
    """Each factor, and whether it stands for deviations only (its levels less one)."""
    scale: float


@dataclass(frozen=True)
class FormulaTerm:
    """A term of the fixed part."""

    name: str
    pieces: tuple[Piece, ...]
    columns: int
    """How many columns it has."""


def hypotheses(spec: Any) -> list[tuple[str, Array]]:
    """For every term but the intercept the L of its hypothesis L alpha = 0, shape (df1, p).

    Parameters
    ----------
    spec : formulaic.ModelSpec
        Of the fixed part.

    Notes
    -----
    The rows of L are those of lmerTest: of the coefficients under treatment coding, those of the
    term itself stand alone. The degrees of freedom of F depend on them a little.
    """
    terms = [_term(structure) for structure in spec.structure]
    if not terms:
        return []
    levels = {
        str(factor): len(state["categories"])
        for factor, (kind, state) in spec.encoder_state.items()
        if kind.value == "categorical"
    }
    widths = _widths(terms, levels)
    of_fit = _expanded(terms, levels, widths, _fitted_coding(spec))
    of_sum = _expanded(terms, levels, widths, lambda f, less: _sum_coding(levels[f], less))
    of_treatment = _expanded(
        terms, levels, widths, lambda f, less: np.eye(levels[f])[:, int(less) :]
    )
    basis = list(of_fit | of_sum | of_treatment)
    fitted, by_sum, by_treatment = (
        np.array([each.get(key, np.zeros(_stops(terms)[-1])) for key in basis])
        for each in (of_fit, of_sum, of_treatment)
    )
    to_sum = np.linalg.pinv(by_sum) @ fitted
    to_treatment = np.linalg.pinv(by_treatment) @ fitted
    found = []
    for term, start, stop in zip(terms, _stops(terms), _stops(terms)[1:], strict=False):
        if term.pieces != (Piece((), 1.0),):
            own = to_sum[start:stop] @ np.linalg.pinv(to_treatment)
            L = np.linalg.solve(own[:, start:stop], own) @ to_treatment
            found.append((term.name, np.where(np.abs(L) > 1e-12 * np.abs(L).max(), L, 0.0)))
    return found


def _term(structure: Any) -> FormulaTerm:
    """A term as formulaic has encoded it."""
    pieces = tuple(
        Piece(tuple((str(f.factor), bool(f.reduced)) for f in scoped.factors), float(scoped.scale))
        for scoped in structure.scoped_terms
    )
    return FormulaTerm(str(structure.term), pieces, len(structure.columns))


def _stops(terms: Sequence[FormulaTerm]) -> list[int]:
    """Where the columns of each term start, and where the last ones stop."""
    return [0, *np.cumsum([term.columns for term in terms]).tolist()]


def _widths(terms: Sequence[FormulaTerm], levels: dict[str, int]) -> dict[str, int]:
    """How many columns each numeric factor has: one, or several as splines have."""
    widths: dict[str, int] = {}
    for _ in terms:  # a factor in a product may be known from another term only
        for term in terms:
            counts = 0
            unknown = set()
            for piece in term.pieces:
                numeric = [f for f, _ in piece.factors if f not in levels]
                unknown |= {f for f in numeric if f not in widths}
                counts += int(
                    np.prod([levels[f] - less for f, less in piece.factors if f in levels])
                    * np.prod([widths[f] for f in numeric if f in widths])
                )
            if len(unknown) == 1:
                widths[unknown.pop()] = term.columns // counts
    every = {f for term in terms for piece in term.pieces for f, _ in piece.factors}
    if strangers := every - set(levels) - set(widths):
        raise refused("columns-of-no-one-term", strangers=", ".join(sorted(strangers)))
    return widths


def _expanded(
    terms: Sequence[FormulaTerm], levels: dict[str, int], widths: dict[str, int], coding: Codings
) -> dict[frozenset[tuple[str, int]], Array]:
    """What each product of the basis contributes to the columns of X, shape (p,) each."""
    total = _stops(terms)[-1]
    found: dict[frozenset[tuple[str, int]], Array] = {}
    column = 0
    for term in terms:
        for piece in term.pieces:
            block = np.full((1, 1), piece.scale)
            keys: list[list[int | None]] = []
            for factor, less in piece.factors:  # the first one's columns change fastest
                if factor in levels:
                    J = levels[factor]
                    whole = np.column_stack([np.ones(J), _sum_coding(J, True)])
                    own = np.linalg.solve(whole, coding(factor, less))
                    keys.append([None, *range(J - 1)])
                else:
                    own = np.eye(widths[factor])
                    keys.append(list(range(widths[factor])))
                block = np.kron(own, block)
            for key, row in zip(_products(piece, keys), block, strict=True):
                place = found.setdefault(key, np.zeros(total))
                place[column : column + block.shape[1]] += row
            column += block.shape[1]
    return found


def _products(
    piece: Piece, keys: Sequence[Sequence[int | None]]
) -> Iterator[frozenset[tuple[str, int]]]:
    """The products of the basis in the order of the rows of a Kronecker product."""
    names = [factor for factor, _ in piece.factors]
    for chosen in product(*reversed(keys)):
        pairs = zip(names, reversed(chosen), strict=True)
        yield frozenset((name, key) for name, key in pairs if key is not None)


def _sum_coding(J: int, less: bool) -> Array:
    """Deviations from the mean of J levels, the last one's minus the sum of the others'."""
    return np.vstack([np.eye(J - 1), -np.ones(J - 1)]) if less else np.eye(J)


def _fitted_coding(spec: Any) -> Codings:
    """The codings of the fit."""

    def coding(factor: str, less: bool) -> Array:
        state = spec.encoder_state[factor][1]["contrasts"]
        return np.asarray(state.get_coding_matrix(reduced_rank=less), dtype=np.float64)

    return coding
