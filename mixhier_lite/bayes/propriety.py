"""Whether the posterior of the variances exists, and which of its moments do.

Where the covariances grow along subspaces F (see *growth*), by a factor s^2, the likelihood falls
like s^-r with r = rank [X, Z F] - rank X (:prf:ref:`thm-proper-variance-prior`). Against it stands
the room that is there. With f the dimension of F in a term of q columns, and k columns whose
standard deviation grows, flat priors on them and uniform correlations have the density
prod sd^-q over Sigma, and the roots of Sigma that grow along F have a volume like
s^(q f + f) ds / s; so the room is f - q (k - f), less the tails of the priors. Under lkj(eta)
there is det(R)^(eta - 1) as well, and det R falls like s^-2(k - f). What is left,
r - room, is the exponent of F: the posterior is proper if it is positive for every F, and has
the moments below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError, refused
from ..inputs import Array
from .conditional import moments
from .growth import Subspace, growths
from .parameters import Unknowns
from .posterior import VariancePosterior

Truths = npt.NDArray[np.bool_]
FAR = (1e4, 1e5)
"""Two large values of sd / tau, between which powers are read."""


def existence(over: VariancePosterior) -> Unknowns:
    """Read the exponents of a posterior: moments of order below them exist.

    Raises
    ------
    InputError
        The posterior is improper, and why.
    """
    blocks = over.model.gram.blocks
    _refuse_origins(over)
    found = Unknowns(
        fixed=np.full(over.model.gram.p, np.inf),
        random=tuple(np.full((k.J, k.q), np.inf) for k in blocks),
        sds=tuple(np.full(k.q, np.inf) for k in blocks),
        tau=np.inf,
    )
    if over.tau_known is None:
        found = _bounded_by_rows(over, found, [])
    for F in growths(over.assembly):
        found = _bounded_by_levels(over, found, F)
        if over.tau_known is None:
            found = _bounded_by_rows(over, found, F)
    return found


def _room(over: VariancePosterior, F: Sequence[Subspace]) -> float:
    """How fast the volume grows along some subspaces, less the tails of the priors."""
    room = 0.0
    for t, part in enumerate(F):
        tails = [over.on_sds[t][i].tail for i in part.axes]
        per_lost = part.q + 2 * (over.on_correlations.eta - 1)
        room += part.size - per_lost * (len(part.axes) - part.size) - sum(tails)
    return room


def _bounded_by_levels(over: VariancePosterior, found: Unknowns, F: Sequence[Subspace]) -> Unknowns:
    """Exponents where the covariances grow along F, and the noise stays as it is."""
    growing = _along(over, F)
    left = growing.power - _room(over, F)
    if left <= 0:
        raise _improper(over, F, growing.power)
    every = zip(found.random, growing.random, strict=True)
    return Unknowns(
        fixed=np.where(growing.fixed, np.minimum(found.fixed, left), found.fixed),
        random=tuple(np.where(grows, np.minimum(e, left), e) for e, grows in every),
        sds=_lowered(found.sds, F, left),
        tau=found.tau,
    )


def _bounded_by_rows(over: VariancePosterior, found: Unknowns, F: Sequence[Subspace]) -> Unknowns:
    """Exponents where the noise grows as well: then every row counts, and nothing else."""
    free = _free(over).shape[1]
    left = over.model.n - free - _room(over, F) - 1 + over.on_noise.tail
    if left <= 0:
        raise _few_rows(over, F, free)
    random = list(found.random)
    for t, part in enumerate(F):
        if part.size:
            random[t] = np.minimum(random[t], left)
    return Unknowns(
        fixed=np.minimum(found.fixed, left) if free else found.fixed,
        random=tuple(random),
        sds=_lowered(found.sds, F, left),
        tau=min(found.tau, float(left)),
    )


def _lowered(sds: tuple[Array, ...], F: Sequence[Subspace], left: float) -> tuple[Array, ...]:
    """Exponents of the standard deviations that grow along F, lowered to what is left."""
    out = [exponents.copy() for exponents in sds]
    for t, part in enumerate(F):
        for i in part.axes:
            out[t][i] = min(out[t][i], left)
    return tuple(out)


def _free(over: VariancePosterior) -> Array:
    """Directions of (scaled) alpha on which the prior is flat, shape (p, free)."""
    _, back = over.to_fixed
    values, vectors = np.linalg.eigh(back.T @ over.on_fixed.precision @ back)
    return np.asarray(vectors[:, values <= 1e-12 * max(float(values.max(initial=0.0)), 1e-300)])


@dataclass(frozen=True, eq=False)
class _Growing:
    """What happens far out along some subspaces."""

    power: int
    """The power r by which the likelihood falls."""
    fixed: Truths
    """Which of alpha have a variance that grows without bound, shape (p,)."""
    random: list[Truths]
    """The same of beta, shape (J, q) for each term."""


def _along(over: VariancePosterior, F: Sequence[Subspace]) -> _Growing:
    """Compare two places far out along some subspaces."""
    T = []
    for part in F:
        root = np.zeros((len(FAR), part.q, part.q))
        root[:, :, : part.size] = part.basis * np.array(FAR)[:, None, None]
        T.append(root)
    log_det, S = over.assembly.criterion.evaluate(T)
    free = _free(over)
    p = over.model.gram.p
    log_det = log_det + np.linalg.slogdet(free.T @ S[:, :p, :p] @ free)[1]
    power = np.diff(log_det)[0] / 2 / np.log(FAR[1] / FAR[0])
    given = over.given(T)
    _, variance = given.moments_of_z(np.ones(len(FAR)))
    fixed = np.einsum("nij,nj->ni", given.root**2, variance)
    random: list[list[Array]] = [[] for _ in T]
    for at, H, P in moments(over.unpooled, T):
        for found, h, diagonal in zip(random, H, P, strict=True):
            turned = np.einsum("njqc,ncd->njqd", h[..., :p], given.root[at])
            found += list(diagonal + np.einsum("njqd,nd->njq", turned**2, variance[at]))
    return _Growing(
        power=int(np.round(power)),
        fixed=fixed[1] > 10 * fixed[0],
        random=[far[1] > 10 * far[0] for far in random],
    )


def _refuse_origins(over: VariancePosterior) -> None:
    """Refuse a posterior with too much mass near zero."""
    for t, i in over.sds:
        if over.on_sds[t][i].origin <= -1:
            raise refused("prior-piles-up-at-zero", sd=_name(over, t, i), density=over.on_sds[t][i])
    if over.tau_known is None and over.on_noise.origin <= -1:
        T = [np.eye(k.q) * np.array(FAR)[:, None, None] for k in over.model.gram.blocks]
        r2 = over.given(T).r2
        if not r2[1] > 0.1 * r2[0]:
            raise refused("random-effects-can-fit-perfectly", density=over.on_noise)


def _improper(over: VariancePosterior, F: Sequence[Subspace], r: int) -> InputError:
    grow = [(t, i) for t, part in enumerate(F) for i in part.axes]
    names = " and ".join(_name(over, t, i) for t, i in grow)
    densities = ", ".join(repr(over.on_sds[t][i]) for t, i in grow)
    combination = "a combination of columns: " if sum(k.size for k in F) < len(grow) else ""
    return refused(
        "sds-not-bounded",
        names=names,
        power=-_room(over, F),
        combination=combination,
        rank=r,
        densities=densities,
    )


def _few_rows(over: VariancePosterior, F: Sequence[Subspace], free: int) -> InputError:
    rows = free + _room(over, F) + 1 - over.on_noise.tail
    return refused("too-few-rows-to-bound-the-noise", too_few=rows, n=over.model.n)


def _name(over: VariancePosterior, t: int, i: int) -> str:
    block = over.model.gram.blocks[t]
    column = "" if block.q == 1 else f", column {i + 1}"
    return f"the standard deviation of {over.model.term_names[t]}{column}"
