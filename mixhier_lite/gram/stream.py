"""Data that come in chunks: one Gram, and never more than one chunk in memory."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import refused
from ..inputs import numbers
from ..progress import shown
from .gram import Gram

Chunk = Gram | Mapping[str, Any]
"""A Gram, or the arguments of Gram.from_arrays."""
ARGUMENTS = {"y", "X", "terms", "weights", "names"}


def gather(chunks: Iterable[Chunk], progress: bool = False) -> Gram:
    """Sum the Grams of some chunks of rows, as :prf:ref:`thm-gram` allows.

    Parameters
    ----------
    chunks : iterable of Gram, or of the arguments of :meth:`Gram.from_arrays` as dictionaries
        A generator is read one chunk at a time; a chunk without rows adds nothing.
    progress : bool
        Show a progress bar (needs tqdm).

    Returns
    -------
    Gram
        The Gram of all rows, to be passed to ``fit``.

    Raises
    ------
    InputError
        No chunk with rows; chunks of different models.

    Examples
    --------
    >>> import numpy as np
    >>> from mixhier_lite import Term
    >>> rows = [([1.0, 2.0], ["a", "b"]), ([4.0, 3.0, 5.0], ["b", "c", "a"])]
    >>> parts = ({"y": y, "X": np.ones((len(y), 1)), "terms": Term(g)} for y, g in rows)
    >>> gather(parts).n
    5
    """
    several = isinstance(chunks, Iterable) and getattr(chunks, "shape", None) != ()
    if isinstance(chunks, Gram | Mapping) or not several:
        raise refused("not-chunks", kind=type(chunks).__name__)
    whole: Gram | None = None
    for chunk in filter(has_rows, shown(chunks, progress)):
        part = chunk if isinstance(chunk, Gram) else Gram.from_arrays(**chunk)
        whole = part if whole is None else whole + part
    if whole is None:
        raise refused("nothing-to-gather")
    return whole


def has_rows(chunk: Chunk) -> bool:
    """Whether there is anything to gather."""
    if isinstance(chunk, Gram):
        return chunk.n > 0
    if not isinstance(chunk, Mapping):
        raise refused("not-a-chunk", given=f"a chunk of type {type(chunk).__name__}")
    if not {"y", "X", "terms"} <= set(chunk) <= ARGUMENTS:
        raise refused("not-a-chunk", given=f"a dictionary with {sorted(map(str, chunk))}")
    return numbers(chunk["y"], "y").size > 0
