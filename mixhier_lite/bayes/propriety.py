"""Whether the posterior of the variances exists, and which of its moments do.

Where a set S of standard deviations grows together, the likelihood falls like a power of them
(:prf:ref:`thm-proper-variance-prior`). Against it stands the room that |S| standard deviations
have; with it, the tails of their priors. What is left over is the exponent of the set: the
posterior is proper if it is positive for every set, and has the moments below it.
"""

from itertools import chain, combinations
from typing import Any

import numpy as np

from ..errors import InputError
from ..inputs import Array
from .conditional import moments
from .parameters import Unknowns
from .posterior import Landscape

FAR = (1e3, 1e4)
"""Two large values of sd / tau, between which powers are read."""


def existence(over: Landscape) -> Unknowns:
    """Read the exponents of a posterior: moments of order below them exist.

    Raises
    ------
    InputError
        The posterior is improper, and why.
    """
    blocks, unknown = over.model.gram.blocks, over.tau_known is None
    _refuse_origins(over)
    fixed = np.full(over.model.gram.p, np.inf)
    random = [np.full((k.J, k.q), np.inf) for k in blocks]
    sds, tau = [np.full(k.q, np.inf) for k in blocks], np.inf
    free = _free(over).shape[1]
    for chosen in _sets(len(over.sds)):
        part = [over.sds[k] for k in chosen]
        room = len(part) - sum(over.on_sds[t][i].tail for t, i in part)
        if part:
            r, grows_fixed, grows_random = _along(over, part)
            if r <= room:
                raise _improper(over, part, r)
            fixed[grows_fixed] = np.minimum(fixed[grows_fixed], r - room)
            for whole, grows in zip(random, grows_random, strict=True):
                whole[grows] = np.minimum(whole[grows], r - room)
            for t, i in part:
                sds[t][i] = min(sds[t][i], r - room)
        if unknown:
            left = over.model.n - free - room - 1 + over.on_noise.tail
            if left <= 0:
                raise _few_rows(over, part, free)
            tau = min(tau, left)
            fixed = np.minimum(fixed, left) if free else fixed
            for t, i in part:
                sds[t][i], random[t] = min(sds[t][i], left), np.minimum(random[t], left)
    return Unknowns(fixed, tuple(random), tuple(sds), float(tau))


def _sets(m: int) -> list[tuple[int, ...]]:
    """All sets of the standard deviations; where they are many, the smallest and the largest."""
    sizes = range(m + 1) if m <= 6 else (0, 1, m)
    return list(chain.from_iterable(combinations(range(m), k) for k in sizes))


def _free(over: Landscape) -> Array:
    """Directions of (scaled) alpha on which the prior is flat, shape (p, free)."""
    _, back = over.units
    values, vectors = np.linalg.eigh(back.T @ over.on_fixed.precision @ back)
    return np.asarray(vectors[:, values <= 1e-12 * max(float(values.max(initial=0.0)), 1e-300)])


def _along(over: Landscape, part: list[tuple[int, int]]) -> tuple[int, Any, list[Any]]:
    """Power by which the likelihood falls along a set, and what grows without bound along it."""
    T = [np.zeros((len(FAR), k.q, k.q)) for k in over.model.gram.blocks]
    for t, i in part:
        T[t][:, i, i] = FAR
    log_det, S = over.assembly.criterion.evaluate(over.inwards(T))
    free, p, step = _free(over), over.model.gram.p, np.log(FAR[1] / FAR[0])
    log_det = log_det + np.linalg.slogdet(free.T @ S[:, :p, :p] @ free)[1]
    given = over.given(T)
    _, variance = given.moments_of_z(np.ones(len(FAR)))
    fixed = np.einsum("nij,nj->ni", given.root**2, variance)
    random: list[list[Array]] = [[] for _ in T]
    for at, H, P in moments(over.unpooled, over.inwards(T)):
        for found, h, diagonal in zip(random, H, P, strict=True):
            turned = np.einsum("njqc,ncd->njqd", h[..., :p], given.root[at])
            found += list(diagonal + np.einsum("njqd,nd->njq", turned**2, variance[at]))
    power = int(np.round(np.diff(log_det)[0] / 2 / step))
    return power, fixed[1] > 10 * fixed[0], [f[1] > 10 * f[0] for f in random]


def _refuse_origins(over: Landscape) -> None:
    """Refuse a posterior with too much mass near zero."""
    for t, i in over.sds:
        if over.on_sds[t][i].origin <= -1:
            raise InputError(
                "the posterior is improper: it piles up at a standard deviation of zero.",
                f"a density with a finite integral near zero for {_name(over, t, i)}",
                f"{over.on_sds[t][i]!r}; the likelihood at zero is positive, whatever the data",
                "flat on log sd is never proper; priors.flat() or priors.half_normal(scale) is",
            )
    if over.tau_known is None and over.on_noise.origin <= -1:
        T = [np.eye(k.q) * np.array(FAR)[:, None, None] for k in over.model.gram.blocks]
        r2 = over.given(T).r2
        if not r2[1] > 0.1 * r2[0]:
            raise InputError(
                "the posterior is improper: the random effects can fit the data perfectly.",
                "some scatter within groups, or another prior on the noise",
                f"no residual, and {over.on_noise!r} on the noise",
                "priors.flat() on the noise has no such pole",
            )


def _improper(over: Landscape, part: list[tuple[int, int]], r: int) -> InputError:
    names = " and ".join(_name(over, t, i) for t, i in part)
    densities = ", ".join(repr(over.on_sds[t][i]) for t, i in part)
    need = len(part) - sum(over.on_sds[t][i].tail for t, i in part)
    return InputError(
        f"the posterior is improper: the data cannot bound {names} from above.",
        f"a likelihood that falls faster than sd^-{need:g} (flat needs r >= 2 for one sd)",
        f"sd^-{r}, r = rank[X D] - rank X = {r}, with {densities}",
        "give it a proper prior, for instance Prior(sd=priors.half_normal(scale))",
    )


def _few_rows(over: Landscape, part: list[tuple[int, int]], free: int) -> InputError:
    return InputError(
        "the posterior is improper: too few rows to bound the noise from above.",
        f"more than {free + len(part) + 1} rows for these priors",
        f"{over.model.n} rows",
        "give the standard deviations proper priors, for instance priors.half_normal(scale)",
    )


def _name(over: Landscape, t: int, i: int) -> str:
    block = over.model.gram.blocks[t]
    column = "" if block.q == 1 else f", column {i + 1}"
    return f"the standard deviation of {over.model.term_names[t]}{column}"
