"""Chapter *scale*: data larger than one machine, gathered by Dask.

A Gram is a sum (:prf:ref:`thm-gram`), so partitions may be gathered anywhere, in any order and,
when a machine dies, once more.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import refused
from ..inputs import count
from .gram import Gram
from .stream import Chunk, gather, has_rows


def gather_partitions(
    data: Any,
    to_gram: Callable[[Any], Chunk],
    split_every: int = 8,
) -> Gram:
    """Sum the Grams of all partitions of a data set, by Dask and as a tree.

    Parameters
    ----------
    data : dask.dataframe.DataFrame, or an iterable
        The partitions. Of an iterable, each item goes to ``to_gram`` as it is: the name of a
        file, say, that every worker can read.
    to_gram : callable
        Turns one partition (of a Dask data frame: a pandas.DataFrame) into a Gram, or into the
        arguments of :meth:`Gram.from_arrays` as a dictionary. Columns of X must mean the same
        in every partition: with ``names`` given, partitions whose columns differ are refused.
        Levels need not agree, they are united by label; with K pass ``levels`` and K of the whole.
    split_every : int
        How many Grams a task of the tree adds.

    Returns
    -------
    Gram
        The Gram of all rows, to be passed to ``fit``.

    Raises
    ------
    InputError
        Dask is not installed; no partition with rows; partitions of different models.

    Notes
    -----
    Runs where Dask runs: on the cluster of the current ``dask.distributed.Client`` if there is
    one. What travels between machines is Grams, whose size depends on levels and columns alone.
    What a lost worker held is gathered again by the others. Needs
    ``pip install 'mixhier-lite[distributed]'``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixhier_lite import Term
    >>> rows = [([1.0, 2.0], ["a", "b"]), ([4.0, 3.0, 5.0], ["b", "c", "a"])]
    >>> def to_gram(part):
    ...     return {"y": part[0], "X": np.ones((len(part[0]), 1)), "terms": Term(part[1])}
    >>> gather_partitions(rows, to_gram).n
    5
    """
    try:
        from dask.delayed import delayed
    except ModuleNotFoundError:
        raise refused("dask-missing") from None
    split_every = count(
        split_every, "split_every", 2, "Grams that a task adds", "leave split_every out"
    )
    if not callable(to_gram):
        raise refused("to-gram-no-function", given=to_gram, kind=type(to_gram).__name__)
    given = data.to_delayed() if hasattr(data, "to_delayed") else data
    try:
        parts = iter(given)
    except TypeError:
        raise refused("not-chunks", kind=type(data).__name__) from None
    leaf = delayed(_leaf, pure=False)
    node = delayed(_node, pure=False)
    function = delayed(to_gram, traverse=False)  # shipped once, with the K that it may hold
    sums = [leaf(function, part) for part in parts]
    while len(sums) > 1:
        sums = [node(sums[k : k + split_every]) for k in range(0, len(sums), split_every)]
    return gather(sums[0].compute() if sums else [])


def _leaf(to_gram: Callable[[Any], Chunk], partition: Any) -> list[Gram]:
    """One Gram, or none where the partition has no rows."""
    return _node([[to_gram(partition)]])


def _node(sums: Iterable[Iterable[Chunk]]) -> list[Gram]:
    chunks = [chunk for part in sums for chunk in part if has_rows(chunk)]
    return [gather(chunks)] if chunks else []
