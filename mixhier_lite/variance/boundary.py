"""Zero is an answer: covariances of lower rank, taken where they are certified and left where not.

The criterion is smooth in T through zero (:eq:`eq-face`), so a descent ends near a boundary point
but never on it. What is all but zero there is compared with zero itself.
"""

import numpy as np

from ..inputs import Array
from .certificate import gradient_of_covariance, lacking
from .newton import Minimum, descend, rounding
from .theta import ActiveEntries

TINY = 1e-4
"""Variances below this, in the criterion's units, are compared with zero; with several terms, below
this share of the largest, since beside a large variance a small one makes hardly a difference."""


def settle(entries: ActiveEntries, found: Minimum) -> tuple[list[Array], bool]:
    """Move to the boundary where that is certified, away from it where it is not.

    Returns the bare matrices of ``entries``, with columns of zeros where rank is lacking, and
    whether a search has arrived there.
    """
    bare = entries.bare(found.x)
    tiny = TINY
    if entries.criterion.dense:
        tiny *= max(1.0, *(float((each**2).sum()) for each in bare))
    flat = [
        flattened(each, form.correlated, tiny)
        for each, form in zip(bare, entries.forms, strict=True)
    ]
    changed = [t for t, (a, b) in enumerate(zip(bare, flat, strict=True)) if a is not b]
    for terms in [changed, *([t] for t in changed)] if len(changed) > 1 else [changed]:
        trial = [flat[t] if t in terms else each for t, each in enumerate(bare)]
        lower, x = entries.inside(trial)
        if lower.cells == entries.cells:
            continue
        edge = descend(lower, x[None])
        apart = 1e-8 * (1.0 + 1e-4 * abs(found.value))
        if edge.value > found.value + apart + rounding(entries, found.x, found.value):
            continue
        on_edge = lower.bare(edge.x)
        better = leave_boundary(entries, on_edge)
        if better is None:
            return on_edge, edge.arrived
        moved = descend(entries, better[None])
        if moved.value >= edge.value - 1e-10 * (1.0 + abs(edge.value)):
            return on_edge, edge.arrived
        return entries.bare(moved.x), moved.arrived
    return bare, found.arrived


def flattened(T: Array, correlated: bool, tiny: float = TINY) -> Array:
    """A root without the directions in which T T' is all but zero: columns of zeros instead."""
    if not correlated:
        keep = np.diag(T) ** 2 > tiny
        return T if keep.all() else np.where(keep, T, 0.0)
    values, vectors = np.linalg.eigh(T @ T.T)
    keep = values > tiny
    if keep.all():
        return T
    flat = np.zeros_like(T)
    upper: Array = np.asarray(np.linalg.qr((vectors[:, keep] * np.sqrt(values[keep])).T, mode="r"))
    flat[:, : keep.sum()] = upper.T
    return flat


def leave_boundary(entries: ActiveEntries, bare: list[Array]) -> Array | None:
    """None for a boundary point where N is p.s.d. (:eq:`eq-kkt`), else theta of a better one.

    Whatever falls beyond rounding is followed; the certificate, which judges the end of a search,
    asks in standard deviations whether what is left matters.
    """
    N = gradient_of_covariance(entries, bare)
    rows = entries.criterion.likelihood.n
    downhill = [
        (t, u) for t, u in lacking(entries, bare, N) if u @ N[t] @ u < -1e-9 * rows * (u @ u)
    ]
    if not downhill:
        return None
    moved = list(bare)
    for t in {t for t, _ in downhill}:
        frame = entries.forms[t].frame
        Omega = bare[t] @ bare[t].T + 1e-8 * np.eye(len(frame))
        for s, u in downhill:
            if s == t:
                along = np.linalg.solve(frame, u)
                Omega = Omega + 1e-2 * np.outer(along, along)
        moved[t] = np.asarray(np.linalg.cholesky(Omega), dtype=np.float64)
    return entries.theta(moved)
