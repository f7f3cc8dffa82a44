"""Whether the noise is zero: the lowest point without noise, against the lowest one with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from ..errors import refused
from ..inputs import Array
from .assembly import Assembly, Parts
from .bounded import is_bounded, spans
from .certificate import Certificate, certify
from .noiseless import Noiseless
from .optimum import LOOKS, Optimum, descended, minimise, optimum
from .saturated import ZERO, SaturatedRows, could_saturate, saturated_rows, total
from .scalar import Scalar
from .theta import ActiveEntries, RootForm

EQUAL = 1e-8
"""How much lower the criterion must be with noise for the noise not to be zero."""
HIGHER = 1e-2
"""How much higher it must be without noise for that end not to be looked at closely."""
MANY = 300
"""Rows from which on a search with noise that has arrived is believed."""
FAR = 1e3
"""sd / tau in the criterion's units from which on a search is on its way to no noise."""
LITTLE = np.geomspace(1e-4, 1.0, 17)
"""Standard deviations of the noise, in units of y's, that are tried beside none."""
DIVE = 1e-9
"""Least direction of V, in units of what equal variances give it, at a minimum."""


@dataclass(frozen=True, eq=False)
class WithoutNoise:
    """The lowest point where the noise is zero."""

    criterion: Noiseless
    forms: tuple[RootForm, ...]
    found: Optimum
    """Where a search has ended: roots of Sigma, in the criterion's columns and units of y."""
    value: float
    """The criterion."""
    slope: float
    """Its slope in tau2 at zero, in standard deviations."""

    @property
    def T(self) -> list[Array]:
        """For each term a root of Sigma, shape (q, q)."""
        return self.found.T

    @property
    def entries(self) -> ActiveEntries:
        """The criterion as a function of the entries of T."""
        return ActiveEntries.all_of(self.criterion, self.forms)

    @property
    def certificate(self) -> Certificate:
        """That it is a minimum; towards noise it is one if the slope is not negative."""
        found = certify(self.entries, self.entries.bare(self.entries.pack(self.T)))
        into = self.slope if found.boundary is None else min(found.boundary, self.slope)
        return replace(found, boundary=into)


def lowest(parts: Parts) -> tuple[Assembly, Optimum, WithoutNoise | None]:
    """The lowest point with noise, or where its search has ended, and that without if it is lower.

    Raises
    ------
    InputError
        The likelihood has no bound, or no minimum was found without noise.
    """
    assembly, found = optimum(parts)
    if parts.known_tau2 is not None or not could_saturate(parts.gram):
        return assembly, found, None
    # a search that saw the way to no noise and ended before; ML must be shown to have a bound
    believed = parts.gram.n > MANY and found.arrived and _largest(found) <= FAR
    if _rises(parts, assembly, found) or (believed and parts.likelihood.reml):
        return assembly, found, None
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    rows = regular_rows(parts, entries.forms)
    if rows is None:
        return assembly, found if found.arrived else minimise(entries), None
    if believed:
        return assembly, found, None
    at = assembly.criterion.solve(found.T)
    start = [] if at is None else [np.sqrt(at.tau2) * t for t in found.T]
    zero = without_noise(Noiseless(parts.likelihood, rows), entries.forms, start)
    if zero.slope < 0:  # then a little noise is better, or a lot
        little = np.array([entries.pack([t / tau for t in zero.T]) for tau in LITTLE])
        start_there = little[[np.argmin(entries.values(little))]]
        near = descended(entries, 0, start_there)
        if not found.arrived:
            near = _lower(entries, near, minimise(entries))
        found = _lower(entries, found, near)
    if not found.arrived and _value(entries, found) < zero.value - EQUAL:
        found = _lower(entries, found, minimise(entries))
    if zero.value > _value(entries, found) + EQUAL:
        return assembly, found, None
    if not zero.found.arrived:
        raise refused("no-minimum-found", tried=zero.found.tried, criterion=zero.value)
    return assembly, found, zero


def _largest(found: Optimum) -> float:
    """The largest sd / tau, in the criterion's units."""
    return max(float(np.abs(t).max()) for t in found.T)


def _value(entries: ActiveEntries, found: Optimum) -> float:
    """The criterion where a search has ended; infinite if on its way to where no noise is."""
    if not found.arrived and _largest(found) > FAR:
        return np.inf
    cancels = not isinstance(entries.criterion, Scalar)
    rounding = 1e-14 * entries.criterion.likelihood.n * _largest(found) ** 2 * cancels
    return float(entries.criterion.values([t[None] for t in found.T])[0]) + rounding


def _lower(entries: ActiveEntries, one: Optimum, other: Optimum) -> Optimum:
    """The lower one of two points; where they are the same, one that has arrived."""
    if other.arrived > one.arrived:
        return other if _value(entries, other) <= _value(entries, one) + EQUAL else one
    return other if _value(entries, other) < _value(entries, one) else one


def _rises(parts: Parts, assembly: Assembly, found: Optimum) -> bool:
    """Whether the criterion is clearly higher without noise, by one look far out.

    That is enough where one number says it all, and spares the n x n matrices. By ML the
    likelihood may have no bound, in spite of what is seen there.
    """
    criterion = assembly.criterion
    if not isinstance(criterion, Scalar) or not found.arrived:
        return False
    live = criterion.a > ZERO * criterion.a.max()
    if not parts.likelihood.reml and criterion.count[live].sum() < parts.gram.n:
        return False
    far = np.sqrt(1e7 / criterion.a[live].min())
    there, here = criterion.values([np.array([far, found.T[0][0, 0]])[:, None, None]])
    return bool(there > here + HIGHER)


def regular_rows(parts: Parts, forms: Sequence[RootForm]) -> SaturatedRows | None:
    """The rows of a model whose V can be regular without noise; None where it never is.

    Raises
    ------
    InputError
        The likelihood has no bound there.
    """
    rows = saturated_rows(parts)
    reml = parts.likelihood.reml
    if rows is None or not spans(rows, forms):
        return None
    bounded = is_bounded(rows, forms, reml)
    if bounded is False or (bounded is None and not reml):
        raise refused("likelihood-without-bound", n=parts.gram.n)
    return rows


def without_noise(
    criterion: Noiseless, forms: tuple[RootForm, ...], start: Sequence[Array]
) -> WithoutNoise:
    """Find the lowest point without noise, from everywhere and from a start, T of each term."""
    entries = ActiveEntries.all_of(criterion, forms)
    if len(forms) == forms[0].q == 1:
        best = np.sqrt(criterion.best_scale([np.ones((1, 1))]))
        found = Optimum([np.full((1, 1), best)], True, 1)
    else:
        found = _searched(entries, entries.pack(start)[None] if start else None)
    at = criterion.solve(found.T)
    if at is None or _dives(criterion, forms, found.T):
        raise refused("likelihood-without-bound", n=criterion.likelihood.n)
    slope, sd = criterion.slope_of_noise(found.T)
    return WithoutNoise(criterion, forms, found, at[0], slope / sd)


def _searched(entries: ActiveEntries, near: Array | None) -> Optimum:
    """The lowest point of a search that has arrived, or of the last one."""
    for more in LOOKS:
        found = descended(entries, more, near)
        if found.arrived:
            break
    return found


def _dives(criterion: Noiseless, forms: Sequence[RootForm], T: Sequence[Array]) -> bool:
    """Whether V is all but singular at T, where equal variances leave it regular."""
    products = criterion.rows.on_contrasts
    equal = total(products, [form.frame for form in forms])
    share = eigh(total(products, T), equal, eigvals_only=True)
    return bool(share[0] <= DIVE * share[-1])
