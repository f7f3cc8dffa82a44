"""Chapter *groups*: which observation belongs to which group."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..inputs import Array

Codes = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]


def indicator(groups: npt.ArrayLike, levels: npt.ArrayLike | None = None) -> Array:
    """Indicator matrix D of group membership (see :prf:ref:`def-indicator`).

    Parameters
    ----------
    groups : array_like, shape (n,)
        A label for each observation: integers, strings, anything that sorts.
    levels : array_like, shape (J,), optional
        The labels in the order of the columns. Default: the sorted distinct labels.
        A level without observations gets a column of zeros.

    Returns
    -------
    ndarray, shape (n, J)
        ``D[i, j]`` is 1.0 where observation i belongs to level j, else 0.0; rows sum to one.

    Raises
    ------
    InputError
        A label that is missing or stands in no level; repeated levels; no observation.

    Notes
    -----
    Equivalent to ``pandas.get_dummies(groups, dtype=float)`` without a data frame.

    Examples
    --------
    >>> from mixhier_lite import indicator
    >>> indicator(["b", "a", "b"])
    array([[0., 1.],
           [1., 0.],
           [0., 1.]])
    """
    codes, columns = positions(groups, levels)
    if len(codes) == 0:
        raise InputError(
            "groups is empty.", "a label for each observation", "no label", "pass at least one row"
        )
    D = np.zeros((len(codes), len(columns)))
    D[np.arange(len(codes)), codes] = 1.0
    return D


def positions(groups: npt.ArrayLike, levels: npt.ArrayLike | None = None) -> tuple[Codes, Labels]:
    """Turn labels into positions among the levels, shape (n,), and return the levels, (J,).

    Integer labels 0..J-1 that are all present are neither sorted nor copied.
    """
    labels = _labels(groups, "groups")
    if levels is None:
        if labels.dtype.kind in "iu" and len(labels) and labels.min() >= 0:
            if labels.max() < len(labels) and (rows := np.bincount(labels)).all():
                codes = labels.astype(np.intp, copy=False).view()
                codes.setflags(write=False)
                return codes, np.arange(len(rows))
        distinct, codes = _distinct(labels)
        return codes, distinct
    order = _labels(levels, "levels")
    position = {label: j for j, label in enumerate(order.tolist())}
    if len(position) < len(order):
        raise InputError(
            "levels holds a label twice.",
            "each level once",
            f"{len(order)} levels, {len(position)} of them distinct",
            "remove the repeated labels",
        )
    try:
        codes = np.array([position[label] for label in labels.tolist()], dtype=np.intp)
    except KeyError:
        strangers = list(dict.fromkeys(g for g in labels.tolist() if g not in position))
        raise InputError(
            "groups holds a label that is not among levels.",
            f"labels from {order.tolist()[:10]}",
            f"{strangers[:10]}",
            "add the label to levels, or drop its rows",
        ) from None
    return codes, order


def _labels(values: npt.ArrayLike, name: str) -> Labels:
    """Read a vector of labels and refuse missing ones."""
    try:
        labels = np.asarray(values)
    except ValueError:
        labels = np.empty((0, 0))  # a ragged list
    if labels.dtype.kind in "US" and not hasattr(values, "dtype"):
        labels = np.asarray(values, dtype=object)  # from a list: keeps kinds apart, and nan a nan
    if labels.ndim != 1:
        raise InputError(
            f"{name} is not a vector of labels.",
            "shape (n,), one label for each observation",
            f"shape {labels.shape}",
            f"pass one column of labels, for instance {name}.ravel()",
        )
    if labels.dtype.kind in "biuUS":
        return labels
    missing = [i for i, label in enumerate(labels.tolist()) if _is_missing(label)]
    if missing:
        raise InputError(
            f"{name} has missing labels.",
            "a label in every row",
            f"{len(missing)} missing, the first in row {missing[0]} (rows count from 0)",
            "drop these rows in every input alike, or give them a level of their own",
        )
    return labels


def _is_missing(label: object) -> bool:
    """None, nan, NaT, or pandas.NA, which is neither equal nor unequal to itself."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True


def _distinct(labels: Labels) -> tuple[Labels, Codes]:
    """Sorted distinct labels, and the position of every row among them."""
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise InputError(
            "groups mixes labels that cannot be sorted together.",
            "labels of one kind",
            f"labels of kinds {kinds}",
            "convert all of them to strings, or pass levels in the order you want",
        ) from None
