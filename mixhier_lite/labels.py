"""Reading labels of groups: levels, the position of each row among them, and looking levels up."""

import datetime
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import refused
from .values import Value

Codes = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Coded(Value):
    """Labels of rows, read: the position of each row among the levels."""

    codes: Codes
    """Shape (n,)."""
    levels: Labels
    """Shape (J,)."""

    def __post_init__(self) -> None:
        """Nobody changes them afterwards."""
        self.codes.setflags(write=False)
        self.levels.setflags(write=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.codes)


def coded(groups: npt.ArrayLike | Coded, levels: npt.ArrayLike | None = None) -> Coded:
    """Turn labels into positions among the levels.

    Parameters
    ----------
    groups : array_like, shape (n,), or Coded
        Labels of one kind: numbers, strings, dates, tuples, anything that can be sorted. Whole
        numbers that lie close to each other are counted, and not sorted.
    levels : array_like, shape (J,), optional
        The labels in order. Default: the sorted distinct labels.

    Raises
    ------
    InputError
        A label that is missing or stands in no level; repeated levels; labels without an order.
    """
    if isinstance(groups, Coded):
        if levels is None or levels is groups.levels:
            return groups
        groups = groups.levels[groups.codes]
    labels = read_labels(groups, "groups")
    if levels is None:
        return _counted(labels) if _lie_close(labels) else _distinct(labels)
    order = read_labels(levels, "levels").copy()
    if (distinct := len(set(keys(order)))) < len(order):
        raise refused("level-twice", n_levels=len(order), n_distinct=distinct)
    codes = look_up(labels, order)
    if (codes < 0).any():
        strangers = list(dict.fromkeys(labels[codes < 0].tolist()))
        raise refused(
            "label-not-among-levels", levels=order.tolist()[:10], strangers=strangers[:10]
        )
    return Coded(codes, order)


def look_up(labels: Labels, levels: Labels) -> Codes:
    """Position of each label among the levels, shape (n,); -1 where it is none of them."""
    position = {key: j for j, key in enumerate(keys(levels))}
    return np.array([position.get(key, -1) for key in keys(labels)], dtype=np.intp)


def keys(labels: Labels) -> list[Hashable]:
    """One key for each label: equal labels have equal keys, whatever array holds them.

    1 and 1.0 are equal, and so is a day, in whatever unit of time it is written.
    """
    if labels.dtype.kind in "mM":
        return _instants(labels)
    found: list[Hashable] = labels.tolist()
    if labels.dtype.kind == "O" and not _PLAIN.issuperset(map(type, found)):
        found = [_key(label) for label in found]
    return found


def _instants(times: Labels) -> list[Hashable]:
    """Whole seconds and what is beyond them, with the kind: a date is no duration."""
    kind = times.dtype.kind
    fine = np.datetime_data(times.dtype)[0] == "as"  # which numpy turns into no seconds
    coarse = times.astype(f"{kind}8[fs]") if fine else times
    seconds = coarse.astype(f"{kind}8[s]")
    femto = (coarse - seconds).astype("m8[fs]")
    atto = times - coarse
    parts = [part.astype(np.int64).tolist() for part in (seconds, femto, atto)]
    return [(kind, *instant) for instant in zip(*parts, strict=True)]


def _key(label: Any) -> Hashable:
    """The key of a label from an array of objects."""
    aware = isinstance(label, datetime.datetime) and label.tzinfo is not None
    if isinstance(label, _TIMES) and not aware:
        return _instants(np.asarray([_in_numpy(label)]))[0]
    try:
        hash(label)
    except TypeError:
        raise refused("changeable-label", label=label, kind=type(label).__name__) from None
    found: Hashable = label
    return found


_PLAIN = {str, int, float, bool, bytes}
"""Kinds of labels that are their own keys."""
_TIMES = (np.datetime64, np.timedelta64, datetime.date, datetime.timedelta)


def _in_numpy(time: Any) -> Any:
    """A date or a duration as numpy's; those of pandas say it themselves, to the nanosecond."""
    if hasattr(time, "to_datetime64"):
        return time.to_datetime64()
    if hasattr(time, "to_timedelta64"):
        return time.to_timedelta64()
    return np.timedelta64(time) if isinstance(time, datetime.timedelta) else np.datetime64(time)


def read_labels(values: npt.ArrayLike, name: str) -> Labels:
    """Read a vector of labels and refuse missing ones."""
    labels = _vector(values)
    if labels.ndim != 1:
        raise refused("not-a-vector-of-labels", name=name, shape=labels.shape)
    missing = _missing(labels)
    if np.ma.isMaskedArray(values):
        missing = missing | np.ma.getmaskarray(values)
    if missing.any():
        first = int(np.argmax(missing))
        raise refused("missing-labels", name=name, n_missing=int(missing.sum()), first=first)
    return labels


def _vector(values: Any) -> Labels:
    """An array of labels as they are: tuples are labels and not rows of a table."""
    if isinstance(values, list | tuple) and any(isinstance(label, tuple) for label in values):
        labels = np.empty(len(values), dtype=object)
        labels[:] = values
        return labels
    try:
        labels = np.asarray(values)
    except Exception:  # a ragged list, or an object that refuses to be an array
        return np.empty((0, 0))
    if labels.dtype.kind in "US" and not hasattr(values, "dtype"):
        labels = np.asarray(values, dtype=object)  # from a list: keeps kinds apart, and nan a nan
    return labels


def _missing(labels: Labels) -> npt.NDArray[np.bool_]:
    """Which labels are None, nan, NaT or pandas.NA, shape (n,)."""
    kind = labels.dtype.kind
    if kind in "biuUS":
        return np.zeros(len(labels), dtype=bool)
    if kind in "mM":
        return np.isnat(labels)
    listed = labels.tolist()
    if _NEVER_MISSING.issuperset(map(type, listed)):
        return np.zeros(len(labels), dtype=bool)
    return np.array([_is_missing(label) for label in listed], dtype=bool)


_NEVER_MISSING = {str, int, bool, bytes}
"""Kinds of labels none of which says that it is missing."""


def _is_missing(label: object) -> bool:
    """Whether a label is None, or not equal to itself; pandas.NA cannot even say."""
    try:
        return label is None or bool(label != label)
    except (TypeError, ValueError):
        return type(label).__name__ == "NAType"


def _lie_close(labels: Labels) -> bool:
    """Whether labels are whole numbers, not many more from the least to the largest than rows."""
    if labels.dtype.kind not in "iu" or not len(labels):
        return False
    return int(labels.max()) - int(labels.min()) < 4 * len(labels)


def _counted(labels: Labels) -> Coded:
    """Sorted distinct whole numbers as levels, from how often each of them is there."""
    least = labels.min()
    wide = labels if labels.dtype.itemsize == 8 else labels.astype(np.int64)
    places = (wide - least).astype(np.intp, copy=False)
    present = np.bincount(places) > 0
    levels = np.flatnonzero(present).astype(labels.dtype) + least
    return Coded(places if present.all() else (np.cumsum(present) - 1)[places], levels)


def _distinct(labels: Labels) -> Coded:
    """Sorted distinct labels as levels."""
    if labels.dtype.kind != "O":
        levels, codes = np.unique(labels, return_inverse=True)
        return Coded(codes.astype(np.intp, copy=False), levels)
    row_keys = keys(labels)
    distinct = dict(zip(reversed(row_keys), reversed(labels.tolist()), strict=True))
    position = {key: j for j, key in enumerate(_in_order(distinct))}
    levels = np.empty(len(position), dtype=object)
    levels[:] = [distinct[key] for key in position]
    return Coded(np.array([position[key] for key in row_keys], dtype=np.intp), levels)


def _in_order(distinct: dict[Hashable, Any]) -> list[Hashable]:
    """The keys of distinct labels, sorted by label; refused where that is no order."""
    kinds = sorted({type(label).__name__ for label in distinct.values()})
    try:
        order = sorted(distinct, key=distinct.__getitem__)
        labels = [distinct[key] for key in order]
        ascending = all(a < b for a, b in zip(labels, labels[1:], strict=False))
    except TypeError:
        ascending = False
    if not ascending:
        raise refused("labels-without-order", kinds=kinds)
    return order
