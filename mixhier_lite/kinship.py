"""Chapter *kinship*: relatedness from a pedigree, and who is who in it."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .errors import refused
from .inputs import Array, real
from .labels import Labels, keys, look_up, read_labels
from .values import Value

Pedigree = Mapping[Hashable, Sequence[Hashable | None]]
UNKNOWN = ("", "0", "NA", "nan", "NaN", "None")
"""Words that tables of pedigrees write for a parent that is not known."""


@dataclass(frozen=True, eq=False, repr=False)
class Relatedness(Value, NDArrayOperatorsMixin):
    """The relatedness of labelled individuals.

    numpy reads, indexes and multiplies it as the matrix; a term brings it into its own order.

    Parameters
    ----------
    matrix : array_like, shape (J, J)
    levels : array_like, shape (J,)
        Who the rows and columns belong to.
    """

    matrix: Array
    levels: Labels

    def __post_init__(self) -> None:
        """Keep a copy that nobody changes."""
        matrix = real(self.matrix, "matrix", 2)
        levels = read_labels(self.levels, "levels").copy()
        if matrix.shape != (len(levels), len(levels)) or len(set(keys(levels))) < len(levels):
            raise refused("labels-not-of-the-matrix", n_labels=len(levels), shape=matrix.shape)
        levels.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "levels", levels)

    def among(self, levels: Labels) -> Array:
        """The relatedness of some of the individuals, in their order, shape (len(levels),) * 2."""
        levels = read_labels(levels, "levels")
        place = look_up(levels, self.levels)
        if (place < 0).any():
            raise refused("levels-not-in-kinship", strangers=levels[place < 0].tolist()[:10])
        found: Array = self.matrix[np.ix_(place, place)]
        return found

    def __getattr__(self, name: str) -> Any:
        """Everything else that an array has: ``shape``, ``T``, ``sum``, ``tolist``, ..."""
        if name.startswith("_") or name in ("matrix", "levels"):
            raise AttributeError(name)
        return getattr(self.matrix, name)

    def __len__(self) -> int:
        """Number of individuals."""
        return len(self.matrix)

    def __getitem__(self, at: Any) -> Any:
        """Entries, rows or blocks of the matrix, by position."""
        return self.matrix[at]

    def __repr__(self) -> str:
        """One line: whose it is. ``print`` shows the matrix."""
        return f"Relatedness of {len(self)}: {', '.join(map(repr, self.levels[:5].tolist()))}" + (
            ", ..." if len(self) > 5 else ""
        )

    def __str__(self) -> str:
        """The matrix."""
        return str(self.matrix)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The matrix, for numpy."""
        return np.array(self.matrix, dtype=dtype) if copy else np.asarray(self.matrix, dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Arithmetic gives plain arrays: what is no longer relatedness has no labels."""
        plain = [part.matrix if isinstance(part, Relatedness) else part for part in inputs]
        return getattr(ufunc, method)(*plain, **options)


def pedigree_relatedness(parents: Pedigree | Any) -> Relatedness:
    """Relatedness A of the individuals of a pedigree (:eq:`eq-tabular`).

    Parameters
    ----------
    parents : mapping, or data frame
        For each individual its two parents. Of a data frame the first column is the individual,
        the second and third are the parents. A parent is unknown where it is ``None``, ``""``,
        ``"NA"`` or nan, and where it is 0, unless 0 is an individual. The order of the individuals
        is free. Every known parent is an individual too.

    Returns
    -------
    Relatedness
        A, shape (J, J), with its ``levels``: numpy reads it as an array, and
        ``Term(groups, K=A)`` and ``relatedness={"animal": A}`` bring it into the order that they
        need. ``A[j, k]`` is twice the probability that an allele drawn from j and one drawn from
        k are copies of one ancestral allele; ``A[j, j] - 1`` is the inbreeding of j.

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
    >>> A = pedigree_relatedness({"mother": (None, None), "pup": ("mother", None)})
    >>> print(A)
    [[1.  0.5]
     [0.5 1. ]]
    """
    parents = _as_mapping(parents)
    place = {name: j for j, name in enumerate(parents)}
    pairs = {place[name]: _pair(name, pair, place) for name, pair in parents.items()}
    names = list(place)
    A = np.zeros((len(place), len(place)))
    for j in _elders_first(pairs, names):
        known = pairs[j]
        half = A[list(known)].sum(axis=0) / 2
        A[j] = half
        A[:, j] = half
        A[j, j] = 1 + A[known] / 2 if len(known) == 2 else 1.0
    labels = np.empty(len(names), dtype=object)
    labels[:] = names
    return Relatedness(A, labels)


def _as_mapping(parents: Any) -> Pedigree:
    """A pedigree as a mapping, from a data frame with columns individual, parent, parent too."""
    if isinstance(parents, Mapping):
        return parents
    listed = getattr(parents, "column_names", getattr(parents, "columns", ()))  # pyarrow, others
    names = list(listed) if isinstance(listed, Iterable) else []
    if len(names) != 3 or len(set(map(str, names))) < 3:
        raise refused("not-a-pedigree", kind=type(parents).__name__, columns=names)
    columns = [_list(parents[name]) for name in names]
    for individual in columns[0]:
        _refuse_changeable(individual)
    found = dict(zip(columns[0], zip(columns[1], columns[2], strict=True), strict=True))
    if len(found) < len(columns[0]):
        raise refused("individual-twice", n_rows=len(columns[0]), n_individuals=len(found))
    return found


def _refuse_changeable(label: Any) -> None:
    """Refuse lists, arrays and the like, which cannot be looked up."""
    try:
        hash(label)
    except TypeError:
        raise refused(
            "changeable-label-in-pedigree", label=label, kind=type(label).__name__
        ) from None


def _list(column: Any) -> list[Any]:
    """The entries of a column of any data frame as objects of Python."""
    listed = column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
    return list(listed)


def _is_unknown(parent: Hashable | None, place: Mapping[Hashable, int]) -> bool:
    """Whether a label says that there is no known parent."""
    if parent in place:
        return False
    if parent is None or type(parent).__name__ in ("NAType", "NaTType"):
        return True
    return parent == 0 or str(parent).strip() in UNKNOWN


def _pair(
    name: Hashable, pair: Sequence[Hashable | None], place: Mapping[Hashable, int]
) -> tuple[int, ...]:
    """Positions of the known parents of one individual."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise refused("not-two-parents", individual=name, parents=pair)
    for parent in pair:
        _refuse_changeable(parent)
    known = [parent for parent in pair if not _is_unknown(parent, place)]
    strangers = [parent for parent in known if parent not in place]
    if strangers:
        raise refused(
            "parent-not-in-pedigree", individual=name, strangers=strangers, first=strangers[0]
        )
    return tuple(place[parent] for parent in known if parent is not None)


def _elders_first(pairs: Mapping[int, tuple[int, ...]], names: list[Hashable]) -> list[int]:
    """Order the individuals so that parents stand before their offspring."""
    try:
        return list(TopologicalSorter(pairs).static_order())
    except CycleError as circle:
        loop = [names[j] for j in circle.args[1]]
        raise refused(
            "pedigree-in-a-circle", circle=" is a parent of ".join(map(repr, loop[:10]))
        ) from None
