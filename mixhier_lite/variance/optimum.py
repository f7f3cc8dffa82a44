"""The global minimum of a criterion: look everywhere, descend, settle on the boundary, certify."""

from dataclasses import dataclass, replace

import numpy as np

from ..inputs import Array
from .assembly import Assembly, Parts
from .boundary import settle
from .certificate import certify
from .newton import LARGE_DENSE, STEPS, Minimum, descend
from .saturated import could_saturate
from .starts import along_levels, starts
from .theta import ActiveEntries

LOOKS = (1, 4, 16)
"""How many times as many points are looked at, while a search has ended at no minimum."""
LOWER = 1e-9
"""By how much, over the criterion, another minimum must be lower to be one."""
FIRST_STEPS = 60
"""Steps of a first search where the noise may be zero."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a search has ended."""

    T: list[Array]
    """For each term, in the criterion's columns, with columns of zeros where rank is lacking."""
    arrived: bool
    """Whether that is a minimum."""
    tried: int
    """Points from which it descended, or at which it looked, the last time."""


def optimum(parts: Parts) -> tuple[Assembly, Optimum]:
    """The criterion of a Gram, and T of every term at its minimum, or where a search has ended."""
    assembly = parts.assembled()
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    if len(parts.gram.blocks) > 1 and assembly.criterion.dense > LARGE_DENSE:
        return assembly, nearby(entries, term_by_term(parts))
    if parts.known_tau2 is None and could_saturate(parts.gram):
        # it may lead to where there is no noise, which is a long way: see *noise*
        return assembly, descended(entries, steps=FIRST_STEPS)
    return assembly, minimise(entries)


def minimise(entries: ActiveEntries) -> Optimum:
    """Find the global minimum."""
    for more in LOOKS:
        found = descended(entries, more)
        if found.arrived or entries.criterion.fits_perfectly(found.T):
            return found
    return found


def descended(
    entries: ActiveEntries, more: int = 1, near: Array | None = None, steps: int = STEPS
) -> Optimum:
    """Descend from the valleys of a look, and from points that are given, shape (N, k).

    With ``more`` at zero from the latter alone.
    """
    points = starts(entries, more) if more else np.zeros((0, len(entries.cells)))
    if near is not None:
        points = np.append(points, near, axis=0)
    found = _settled(entries, descend(entries, points, steps=steps), len(points))
    return _looked_again(entries, found, steps) if more and found.arrived else found


def _looked_again(entries: ActiveEntries, found: Optimum, steps: int) -> Optimum:
    """A minimum, or a lower one that lies along one level or two, and from there again."""
    others = along_levels(entries, entries.pack(found.T))
    if not len(others):
        return found
    again = _settled(entries, descend(entries, others, steps=steps), len(others))
    here, there = (entries.criterion.values([t[None] for t in k.T])[0] for k in (found, again))
    if again.arrived and there < here - LOWER * (1.0 + abs(here)):
        return _looked_again(entries, again, steps)
    return found


def nearby(entries: ActiveEntries, theta: Array) -> Optimum:
    """Find the minimum near theta, (k,)."""
    minimum = descend(entries, theta[None], entries.roughly(theta))
    if not minimum.arrived:
        minimum = descend(entries, minimum.x[None])
    return _settled(entries, minimum, 1)


def _settled(entries: ActiveEntries, minimum: Minimum, tried: int) -> Optimum:
    bare, arrived = settle(entries, minimum)
    return Optimum(entries.framed(bare), arrived or certify(entries, bare).ok, tried)


def term_by_term(parts: Parts) -> Array:
    """A start where looking around is costly: what each term says alone, shape (k,).

    Each term alone takes the others for noise, and says how much noise it removes. What all of
    them leave is the noise of the joint model (:eq:`eq-starts`).
    """
    thetas = []
    left = []
    removed = []
    gram = parts.gram
    reml = parts.likelihood.reml
    tau2 = parts.known_tau2
    for block in gram.blocks:
        alone = Parts.of(replace(gram, blocks=(block,), cross={}), reml, tau2)
        assembly, found = optimum(alone)
        T = found.T
        thetas.append(ActiveEntries.all_of(assembly.criterion, assembly.forms).pack(T))
        here, without = (assembly.criterion.solve([t * share for t in T]) for share in (1.0, 0.0))
        left.append(here.tau2 if here else 0.0)
        removed.append(without.tau2 - left[-1] if here and without else 0.0)
    noise = left[0] + removed[0] - sum(removed)
    noise = min(left) if tau2 is not None else max(noise, min(left) / 4, 1e-300)
    grown = [theta * np.sqrt(own / noise) for theta, own in zip(thetas, left, strict=True)]
    return np.concatenate(grown)
