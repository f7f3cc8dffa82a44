"""Predicting the mean of old and new rows, and new observations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..gram.gram import Block, Gram
from ..gram.term import Term, as_terms
from ..inputs import Array, finite, level_of, one_of, real, small_enough
from ..labels import Codes, look_up
from ..values import Value
from .blup import Effects, Seen


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Value):
    """Predicted means with their error variances, one entry per row."""

    mean: Array
    """X alpha_hat + Z beta_tilde, shape (n_new,)."""
    var_mean: Array
    """Variance of the error of ``mean``, given the variances, shape (n_new,)."""
    var_group: Array
    """The same for the mean of the row's group, without the noise of a row: ``var_mean`` where
    the group is known, and plus Var(Z beta) where it is new (a new study's mean, in a
    meta-analysis). NaN where ``terms=None`` leaves the columns of a slope unknown."""
    var_new: Array
    """The same for a new observation of weight one: ``var_group`` plus tau2."""

    def interval(self, level: float = 0.95, of: str = "row") -> Array:
        """Normal intervals around ``mean``, shape (n_new, 2), given the variances.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        of : {"mean", "group", "row"}
            What is covered: X alpha and what is known of the groups (``var_mean``), the mean of
            the row's group, new or known (``var_group``), or a new row of weight one
            (``var_new``).

        Raises
        ------
        InputError
            level not between 0 and 1; of none of the three.
        """
        from scipy.special import ndtri

        variances = {"mean": self.var_mean, "group": self.var_group, "row": self.var_new}
        one_of(of, "of", tuple(variances), "of='group' is for the mean of a new group or study")
        half = ndtri((1 + level_of(level)) / 2) * np.sqrt(variances[of])
        return np.column_stack([self.mean - half, self.mean + half])


@dataclass(frozen=True, eq=False, repr=False)
class NewRows(Value):
    """Rows to predict: their columns, and which of the fit's levels they belong to."""

    X: Array
    """Shape (m, p), of the m rows without missing values."""
    codes: tuple[Codes, ...] | None
    """For each term the position of the row's level, shape (m,), -1 where the fit has not seen
    it; None where nothing is known of the groups."""
    Z: tuple[Array, ...]
    """For each term, shape (m, q)."""
    strangers: tuple[Codes, ...]
    """For each term a number of the group of a row that the fit has not seen, shape (m,): rows
    with the same number share it. -1 where the fit has seen it."""
    kept: npt.NDArray[np.bool_]
    """Which rows have no missing value, shape (n_new,); the others are predicted nan."""

    def __post_init__(self) -> None:
        """Refuse columns of which nothing can be predicted, the logarithm of a zero for one."""
        named = [("X of the new rows", self.X), *(("Z of the new rows", Z) for Z in self.Z)]
        for name, values in named:
            finite(values, name)
            small_enough(values, name)


def check_new_groups(new_groups: str) -> None:
    """Refuse what is no way to treat groups that the fit has not seen."""
    if not isinstance(new_groups, str) or new_groups not in ("error", "population"):
        raise refused("unknown-new-groups", given=new_groups)


def new_rows(
    gram: Gram, X: npt.ArrayLike, terms: Term | Sequence[Term] | None, new_groups: str
) -> NewRows:
    """Read new rows from arrays."""
    X = real(X, "X", 2)
    if X.shape[1] != gram.p:
        raise refused(
            "columns-not-of-the-fit", p=gram.p, names=", ".join(gram.names), n_columns=X.shape[1]
        )
    kept = np.ones(len(X), dtype=bool)
    if terms is None:
        return NewRows(X, None, (), (), kept)
    terms = as_terms(terms)
    codes, Z = _matched(gram.blocks, terms, len(X), new_groups)
    strangers = (
        np.where(found < 0, term.codes, -1) for term, found in zip(terms, codes, strict=True)
    )
    return NewRows(X, tuple(codes), tuple(Z), tuple(strangers), kept)


def predict(
    effects: Effects, gram: Gram, fixed: Array, roots: Sequence[Array], rows: NewRows
) -> Prediction:
    """Predict new rows; ``roots`` has a root of every Sigma."""
    X = rows.X
    mean = X @ fixed
    spread = np.zeros(len(X))  # variance of groups that are not known
    seen: list[Seen] = []
    if rows.codes is None:
        for t, block in enumerate(gram.blocks):
            spread += roots[t][0, 0] ** 2 if block.constant else np.nan
    else:
        for t, (codes, Z) in enumerate(zip(rows.codes, rows.Z, strict=True)):
            known = np.where(codes >= 0, 1.0, 0.0)[:, None] * Z
            mean += np.einsum("nk,nk->n", known, effects.random[t][codes])
            unseen = Z - known
            spread += ((unseen @ roots[t]) ** 2).sum(axis=1)  # z' Sigma z
            seen.append((codes, known))
    var_mean = effects.variance_of_mean(X, seen)
    var_group = var_mean + spread
    return Prediction(
        mean=_with_gaps(mean, rows.kept),
        var_mean=_with_gaps(var_mean, rows.kept),
        var_group=_with_gaps(var_group, rows.kept),
        var_new=_with_gaps(var_group + effects.tau2, rows.kept),
    )


def _with_gaps(values: Array, kept: npt.NDArray[np.bool_]) -> Array:
    """Nan where a row has a missing value."""
    if kept.all():
        return values
    found = np.full(len(kept), np.nan)
    found[kept] = values
    return found


def _matched(
    blocks: Sequence[Block], terms: Sequence[Term], n: int, new_groups: str
) -> tuple[list[Codes], list[Array]]:
    """Positions of the new rows' labels among the fit's levels, -1 where new; and Z."""
    if len(terms) != len(blocks):
        raise refused("terms-not-of-the-fit", fitted=len(blocks), given=len(terms))
    codes = []
    Z = []
    for t, (term, block) in enumerate(zip(terms, blocks, strict=True)):
        name = block.name or f"term {t + 1}"
        if term.n != n or term.q != block.q:
            raise refused(
                "term-not-of-the-fit", name=name, n=n, q=block.q, n_given=term.n, q_given=term.q
            )
        at = look_up(term.levels, block.levels)
        found = at[term.codes] if len(at) else term.codes
        if new_groups == "error" and (found < 0).any():
            strangers = [x for x, j in zip(term.levels.tolist(), at, strict=True) if j < 0]
            raise refused("unseen-groups", name=name, strangers=strangers[:10])
        codes.append(found)
        Z.append(np.ones((n, 1)) if term.Z is None else term.Z)
    return codes, Z
