"""Whether the likelihood has a bound where the noise goes to zero (:eq:`eq-noise-bound`).

It has none where Sigma can be chosen such that V without noise is singular, in a way that y does
not notice: then log det V falls without end. For variances of their own these Sigma are counted.
For correlated columns they are a family with so many free numbers; y, as good as drawn at random,
is met by one of them only if these are as many as the dimensions that V leaves out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..inputs import Array
from .saturated import ZERO, SaturatedRows, total
from .theta import RootForm

MANY = 200
"""Kinds of singular Sigma that are looked at, at most."""
UNSEEN = 1e-9
"""Part of y that is outside of a space within rounding."""


@dataclass(frozen=True)
class Kind:
    """Covariances of given ranks."""

    T: list[Array]
    """A root of one of them, drawn at random where they are a family."""
    free: int
    """In how many numbers the ranges of such covariances differ."""


def is_bounded(rows: SaturatedRows, forms: Sequence[RootForm], reml: bool) -> bool | None:
    """Whether the criterion is bounded from below at tau2 = 0; None if that is not known.

    REML falls without end if V is singular on contrasts of X and holds y's there in its range; ML
    if V is singular and y is in the range of X and V together.
    """
    verdicts = [None if kind is None else _falls_not(rows, kind, reml) for kind in kinds(forms)]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def spans(rows: SaturatedRows, forms: Sequence[RootForm]) -> bool:
    """Whether V without noise is regular on contrasts of X where all variances are positive."""
    inner = total(rows.on_contrasts, [form.frame for form in forms])
    return _range(inner)[0] == len(inner)


def _falls_not(rows: SaturatedRows, kind: Kind, reml: bool) -> bool | None:
    """Whether covariances of one kind leave the criterion bounded."""
    inner = total(rows.on_contrasts, kind.T)
    m = len(inner)
    rank, seen = _range(inner, rows.contrasts_of_y)
    regular = rank == m if reml else _range(rows.covariance(kind.T))[0] == len(rows.y)
    if not kind.free:
        return regular or not seen
    if rank + kind.free < m:
        return True
    # one free number cannot both make V singular and bring y into its range
    return True if reml and regular and kind.free == 1 else None


def _range(G: Array, z: Array | None = None) -> tuple[int, bool]:
    """The rank of a p.s.d. matrix, and whether z is in its range."""
    values, vectors = np.linalg.eigh(G)
    live = values > ZERO * max(float(values[-1]), 1e-300)
    if z is None:
        return int(live.sum()), True
    outside = vectors[:, ~live].T @ z
    return int(live.sum()), bool(np.linalg.norm(outside) <= UNSEEN * np.linalg.norm(z))


def kinds(forms: Sequence[RootForm]) -> Iterator[Kind | None]:
    """All kinds of covariance of a model; None stands for those that are too many."""
    rng = np.random.default_rng(0)
    each = [list(_of_term(form, rng)) for form in forms]
    for count, chosen in enumerate(product(*each)):
        if count == MANY:
            yield None
            return
        T, free = zip(*chosen, strict=True)
        yield Kind(list(T), sum(free))


def _of_term(form: RootForm, rng: np.random.Generator) -> Iterator[tuple[Array, int]]:
    """A root of each kind of one term's covariance, and its free numbers."""
    q = form.q
    if not form.correlated:
        for chosen in product((1.0, 0.0), repeat=q):
            yield form.frame @ np.diag(chosen), 0
        return
    for rank in range(q, -1, -1):
        root = np.zeros((q, q))
        root[:, :rank] = np.eye(q) if rank == q else rng.normal(size=(q, rank))
        yield root, rank * (q - rank)
