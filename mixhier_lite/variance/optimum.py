"""The global minimum of a criterion: look everywhere, descend, settle on the boundary, certify."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from ..errors import refused
from ..gram.gram import Gram
from ..inputs import Array
from .assembly import Assembly, assemble
from .boundary import settle
from .certificate import Certificate, certify
from .criterion import Criterion
from .newton import LARGE_DENSE, descend
from .starts import starts
from .theta import ActiveEntries, Shape

LOOKS = (1, 4, 16)
"""How many times as many points are looked at, while a search has ended at no minimum."""


def optimum(gram: Gram, reml: bool, tau2: float | None) -> tuple[Assembly, list[Array]]:
    """The criterion of a Gram and T of every term at its minimum, in the criterion's columns.

    Raises
    ------
    InputError
        No minimum was found, and what was tried.
    """
    assembly = assemble(gram, reml, tau2)
    if len(gram.blocks) > 1 and assembly.criterion.dense > LARGE_DENSE:
        entries = ActiveEntries.all_of(assembly.criterion, assembly.shapes)
        theta, hessian = term_by_term(gram, reml, tau2)
        return assembly, nearby(entries, theta, hessian)
    return assembly, minimise(assembly.criterion, assembly.shapes)


def minimise(criterion: Criterion, shapes: Sequence[Shape]) -> list[Array]:
    """Find the global minimum: T for every term, with columns of zeros where rank is lacking.

    ``shapes`` says what T of each term may be.
    """
    entries = ActiveEntries.all_of(criterion, shapes)
    for more in LOOKS:
        points = starts(entries, more)
        bare, arrived = settle(entries, descend(entries, points))
        if arrived or certify(entries, bare).ok:
            return entries.framed(bare)
    raise _not_found(certify(entries, bare), len(points))


def nearby(entries: ActiveEntries, theta: Array, hessian: Array) -> list[Array]:
    """The minimum near theta, (k,), with second derivatives that are about right, (k, k)."""
    found = descend(entries, theta[None], hessian[None])
    if not found.arrived:
        found = descend(entries, found.x[None])
    bare, arrived = settle(entries, found)
    if not (arrived or certify(entries, bare).ok):
        raise _not_found(certify(entries, bare), 1)
    return entries.framed(bare)


def term_by_term(gram: Gram, reml: bool, tau2: float | None) -> tuple[Array, Array]:
    """A start where looking around is costly: what each term says alone, and how surely.

    Each term alone takes the others for noise, and says how much noise it removes. What all of
    them leave is the noise of the joint model.
    """
    thetas, hessians, left, removed = [], [], [], []
    for block in gram.blocks:
        assembly, T = optimum(replace(gram, blocks=(block,), cross={}), reml, tau2)
        entries = ActiveEntries.all_of(assembly.criterion, assembly.shapes)
        theta = entries.pack(T)
        thetas.append(theta)
        hessians.append(entries.local(theta[None]).hessian[0])
        here, without = (assembly.criterion.solve([t * share for t in T]) for share in (1.0, 0.0))
        left.append(here.tau2 if here else 0.0)
        removed.append(without.tau2 - left[-1] if here and without else 0.0)
    noise = left[0] + removed[0] - sum(removed)
    noise = min(left) if tau2 is not None else max(noise, min(left) / 4, 1e-300)
    grown = [theta * np.sqrt(own / noise) for theta, own in zip(thetas, left, strict=True)]
    return np.concatenate(grown), block_diag(*hessians)


def _not_found(certificate: Certificate, looks: int) -> Exception:
    return refused(
        "search",
        looks=looks,
        gradient=certificate.gradient,
        curvature=certificate.curvature,
        boundary=certificate.boundary,
    )
