"""Predicting the mean of old and new rows, and new observations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError, refused
from ..gram.gram import Block, Gram
from ..gram.term import Term, as_terms
from ..inputs import Array, real
from ..labels import Codes, look_up
from ..variance.criterion import triangular_solve
from .blup import Solved, conditional_variances, directions, random_effects


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted means with their error variances, one entry a row."""

    mean: Array
    """X alpha_hat + Z beta_tilde, shape (n_new,)."""
    var_mean: Array
    """Variance of the error of ``mean``, given the variances, shape (n_new,)."""
    var_new: Array
    """The same for a new observation of weight one: plus tau2, and plus Var(Z beta) where
    the group is not known. NaN where ``terms=None`` leaves the columns of a slope unknown."""


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows to predict: their columns, and which of the fit's levels they belong to."""

    X: Array
    """Shape (m, p), of the m rows without missing values."""
    codes: tuple[Codes, ...] | None
    """For each term the position of the row's level, shape (m,), -1 where the fit has not seen
    it; None where nothing is known of the groups."""
    Z: tuple[Array, ...]
    """For each term, shape (m, q)."""
    kept: npt.NDArray[np.bool_]
    """Which rows have no missing value, shape (n_new,); the others are predicted nan."""


def check_new_groups(new_groups: str) -> None:
    """Refuse what is no way to treat groups that the fit has not seen."""
    if not isinstance(new_groups, str) or new_groups not in ("error", "population"):
        raise InputError(
            "new_groups is unknown.",
            "'error' or 'population'",
            repr(new_groups),
            "'population' averages over groups that the fit has not seen",
        )


def new_rows(
    gram: Gram, X: npt.ArrayLike, terms: Term | Sequence[Term] | None, new_groups: str
) -> NewRows:
    """Read new rows from arrays."""
    X = real(X, "X", 2)
    if X.shape[1] != gram.p:
        raise InputError(
            "X does not match the fit.",
            f"{gram.p} columns: {', '.join(gram.names)}",
            f"{X.shape[1]} columns",
            "build X as for the fit",
        )
    kept = np.ones(len(X), dtype=bool)
    if terms is None:
        return NewRows(X, None, (), kept)
    codes, Z = _matched(gram.blocks, as_terms(terms), len(X), new_groups)
    return NewRows(X, tuple(codes), tuple(Z), kept)


def predict(solved: Solved, fixed: Array, Sigma: Sequence[Array], rows: NewRows) -> Prediction:
    """Predict new rows."""
    gram, n_terms, X = solved.assembly.gram, len(Sigma), rows.X
    p, n = gram.p, len(X)
    back = gram.H_inverse[:p, :p] / solved.assembly.scale[:p] * solved.y_unit
    lean, mean = X @ back @ solved.at.root, X @ fixed
    v = np.vstack([solved.at.root, np.zeros((1, p))])
    known, spread = np.zeros(n), np.zeros(n)
    if rows.codes is None:
        for t, block in enumerate(gram.blocks):
            spread += Sigma[t][0, 0] if block.constant else np.nan
    else:
        codes, Z = list(rows.codes), list(rows.Z)
        beta, gain = random_effects(solved), directions(solved, v)
        for t in range(n_terms):
            seen = np.where(codes[t] >= 0, 1.0, 0.0)[:, None] * Z[t]
            mean += np.einsum("nk,nk->n", seen, beta[t][codes[t]])
            lean -= np.einsum("nk,nkr->nr", seen, gain[t][codes[t]]) * solved.y_unit
            unseen = Z[t] - seen
            spread += np.einsum("nk,kl,nl->n", unseen, Sigma[t], unseen)
        known = _conditional(solved, codes, Z)
    var_mean = known + solved.at.tau2 * np.einsum("nr,nr->n", lean, lean)
    every = mean, var_mean, var_mean + spread + solved.tau2
    return Prediction(*(_with_gaps(values, rows.kept) for values in every))


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
        raise InputError(
            "terms do not match the fit.",
            f"{len(blocks)} terms",
            f"{len(terms)} terms",
            "pass one Term for each term of the fit, in the same order",
        )
    codes, Z = [], []
    for t, (term, block) in enumerate(zip(terms, blocks, strict=True)):
        name = block.name or f"term {t + 1}"
        if term.n != n or term.q != block.q:
            raise InputError(
                f"{name} does not match X and the fit.",
                f"{n} rows and {block.q} columns of Z",
                f"{term.n} rows and {term.q} columns",
                "build X and the terms from the same new rows",
            )
        at = look_up(term.levels, block.levels)
        found = at[term.codes] if len(at) else term.codes
        if new_groups == "error" and (found < 0).any():
            strangers = [x for x, j in zip(term.levels.tolist(), at, strict=True) if j < 0]
            raise refused("new-groups", name=name, got=strangers[:10])
        codes.append(found)
        Z.append(np.ones((n, 1)) if term.Z is None else term.Z)
    return codes, Z


def _conditional(solved: Solved, codes: list[Codes], Z: list[Array]) -> Array:
    """tau2 z'P z for every row: the variance of the mean were alpha known."""
    assembly = solved.assembly
    if len(codes) == 1:
        P = conditional_variances(solved)[0]
        alone = np.where(codes[0] >= 0, 1.0, 0.0)[:, None] * Z[0]
        variance: Array = np.einsum("nk,nkl,nl->n", alone, P[codes[0]], alone)
        return variance
    system, n = assembly.criterion.system, len(codes[0])
    out = np.empty(n)
    size = max(1, 10**7 // max(system.m, 1))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        z = [
            np.where(c[rows] >= 0, 1.0, 0.0)[:, None] * x[rows] / assembly.units[t]
            for t, (c, x) in enumerate(zip(codes, Z, strict=True))
        ]
        out[rows] = _block(solved, [c[rows] for c in codes], z)
    return solved.tau2 * out


def _block(solved: Solved, codes: list[Codes], z: list[Array]) -> Array:
    """d'(I + T'Z'WZ T)^-1 d for rows d = T'z, the eliminated term first."""
    assembly, at, criterion = solved.assembly, solved.at, solved.assembly.criterion
    system, (_, T2), n = criterion.system, criterion.split(solved.T), len(z[0])
    first, others, D2 = criterion.order[0], criterion.order[1:], np.zeros((n, system.m))
    for t, (a, b, q), root in zip(others, system.slices, T2, strict=True):
        assert t is not None
        own = D2[:, a:b].reshape(n, -1, q)
        L = assembly.gram.blocks[t].root
        if L is None:
            own[np.arange(n), codes[t]] += z[t] @ root
        else:
            own += L[codes[t]][:, :, None] * (z[t] @ root)[:, None]
        D2[:, a:b] = own.reshape(n, b - a)
    total = np.zeros(n)
    if first is not None:
        j = codes[first]
        zH = np.einsum("nk,kln->nl", z[first], at.H[:, :, j])
        total += (zH * z[first]).sum(axis=1)
        pulled = sum(side[j].multiply(zH[:, k, None]) for k, side in enumerate(system.sides))
        D2 -= system.right([t.T for t in T2], pulled.toarray().T).T
    total += (triangular_solve(at.L22, D2.T) ** 2).sum(axis=0)
    return total
