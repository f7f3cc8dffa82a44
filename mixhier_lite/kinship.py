"""Chapter *kinship*: relatedness from a pedigree."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from .errors import InputError
from .inputs import Array

Pedigree = Mapping[Hashable, Sequence[Hashable | None]]


def pedigree_relatedness(parents: Pedigree) -> Array:
    """Relatedness A of the individuals of a pedigree (:eq:`eq-tabular`).

    Parameters
    ----------
    parents : mapping
        For each individual its two parents, ``None`` where a parent is unknown. The order of
        the individuals is free. Every known parent is an individual of the mapping too.

    Returns
    -------
    ndarray, shape (J, J)
        ``A[j, k]`` is twice the probability that an allele drawn from j and one drawn from k
        are copies of one ancestral allele; ``A[j, j] - 1`` is the inbreeding of j. Rows in
        the order of ``parents``, so that ``Term(groups, K=A, levels=list(parents))`` fits.

    Raises
    ------
    InputError
        An individual without exactly two entries; a parent that is not an individual; an
        individual that is its own ancestor.

    Notes
    -----
    Also called the numerator relationship matrix, built by the tabular method.
    Source: Mrode (2014).

    Examples
    --------
    >>> from mixhier_lite.kinship import pedigree_relatedness
    >>> pedigree_relatedness({"mother": (None, None), "pup": ("mother", None)})
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    place = {name: j for j, name in enumerate(parents)}
    pairs = {place[name]: _pair(name, pair, place) for name, pair in parents.items()}
    A = np.zeros((len(place), len(place)))
    for j in _elders_first(pairs, list(place)):
        known = pairs[j]
        A[j] = A[:, j] = A[list(known)].sum(axis=0) / 2
        A[j, j] = 1 + A[known] / 2 if len(known) == 2 else 1.0
    return A


def _pair(
    name: Hashable, pair: Sequence[Hashable | None], place: Mapping[Hashable, int]
) -> tuple[int, ...]:
    """Positions of the known parents of one individual."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(
            f"{name!r} does not have two parents.",
            "two labels, None where a parent is unknown",
            f"{pair!r}",
            "write for instance ('dam', None)",
        )
    strangers = [parent for parent in pair if parent is not None and parent not in place]
    if strangers:
        raise InputError(
            f"a parent of {name!r} is not in the pedigree.",
            "every known parent as an individual of its own",
            f"{strangers}",
            f"add {strangers[0]!r}: (None, None), or write None for an unknown parent",
        )
    return tuple(place[parent] for parent in pair if parent is not None)


def _elders_first(pairs: Mapping[int, tuple[int, ...]], names: list[Hashable]) -> list[int]:
    """Order the individuals so that parents stand before their offspring."""
    order: list[int] = []
    done: set[int] = set()
    while len(order) < len(names):
        ready = [j for j in pairs if j not in done and done.issuperset(pairs[j])]
        if not ready:
            circle = [names[j] for j in pairs if j not in done]
            raise InputError(
                "the pedigree runs in a circle.",
                "nobody among their own ancestors",
                f"no one to begin with among {circle[:10]}",
                "check these individuals for swapped or mistyped labels",
            )
        order += ready
        done.update(ready)
    return order
