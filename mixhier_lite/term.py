"""One random-effects term: which group each row belongs to, and what varies by group."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .inputs import Array, covariance, real

Codes = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Term:
    """One random-effects term: Z_i' beta_j for every row i of group j, beta_j ~ N(0, Sigma).

    Parameters
    ----------
    groups : array_like, shape (n,)
        A label for each row. Integer labels 0..J-1 are neither sorted nor copied.
    Z : array_like, shape (n, q), optional
        The columns whose coefficients vary by group. Default: one column of ones.
    K : array_like, shape (J, J), optional
        Relatedness of the levels, in the order of ``levels``: Cov(beta_j, beta_k) = K_jk Sigma.
        Symmetric and positive semi-definite; may be singular.
    correlated : bool
        Whether Sigma has off-diagonal entries.
    levels : array_like, shape (J,), optional
        The labels in order. Default: the sorted distinct labels. A level without rows is kept.
    name : str, optional
        What tables call the term.

    Raises
    ------
    InputError
        Missing labels; labels outside ``levels``; Z of another length; K no relatedness.

    Examples
    --------
    >>> Term(["b", "a", "b"]).codes
    array([1, 0, 1])
    """

    groups: Any
    Z: Array | None = None
    K: Array | None = None
    correlated: bool = True
    levels: Any = None
    name: str | None = None
    columns: tuple[str, ...] = field(init=False, repr=False, default=())
    """Names of the columns of Z, known after ``lmer``."""
    codes: Codes = field(init=False, repr=False)
    """Position of each row's label in ``levels``, shape (n,)."""
    root: Array | None = field(init=False, repr=False)
    """A root L of K, shape (J, J): L L' = K. None without K."""

    def __post_init__(self) -> None:
        """Read the labels, Z and K once."""
        codes, levels = encode(self.groups, self.levels)
        Z = None if self.Z is None else real(self.Z, "Z", 2)
        if Z is not None and (len(Z) != len(codes) or Z.shape[1] == 0):
            raise InputError(
                "Z does not match groups.",
                f"{len(codes)} rows, one for each label, and at least one column",
                f"shape {Z.shape}",
                "build Z and groups from the same rows; Z=None is a random intercept",
            )
        K, root = _relatedness(self.K, len(levels))
        read = {"codes": codes, "levels": levels, "groups": codes, "Z": Z, "K": K, "root": root}
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @classmethod
    def coded(
        cls,
        codes: Codes,
        levels: Labels,
        Z: Any,
        K: Any,
        correlated: bool,
        name: str,
        columns: tuple[str, ...] = (),
    ) -> "Term":
        """Build a term from positions among the levels, without sorting any label."""
        term = cls(codes, Z, K, correlated, np.arange(len(levels)), name)
        object.__setattr__(term, "levels", levels)
        object.__setattr__(term, "columns", columns)
        return term

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def q(self) -> int:
        """Number of coefficients that vary by group."""
        return 1 if self.Z is None else int(self.Z.shape[1])


def encode(groups: npt.ArrayLike, levels: npt.ArrayLike | None = None) -> tuple[Codes, Labels]:
    """Turn labels into positions among the levels, and return the levels."""
    labels = labelled(groups, "groups")
    if levels is None:
        if labels.dtype.kind in "iu" and len(labels) and labels.min() >= 0:
            if labels.max() < len(labels) and np.bincount(labels).all():
                codes = labels.astype(np.intp, copy=False).view()
                codes.setflags(write=False)
                return codes, np.arange(int(labels.max()) + 1)
        distinct, positions = _sorted(labels)
        return positions.astype(np.intp, copy=False), distinct
    order = labelled(levels, "levels")
    position = {label: j for j, label in enumerate(order.tolist())}
    if len(position) < len(order):
        raise InputError(
            "levels holds a label twice.",
            "each level once",
            f"{len(order)} levels, {len(position)} of them distinct",
            "remove the repeated labels",
        )
    distinct, positions = _sorted(labels)
    strangers = [label for label in distinct.tolist() if label not in position]
    if strangers:
        raise InputError(
            "groups holds a label that is not among levels.",
            f"labels from {order.tolist()[:10]}",
            f"{strangers[:10]}",
            "add the label to levels, or drop its rows",
        )
    found = np.array([position[label] for label in distinct.tolist()], dtype=np.intp)
    return found[positions], order


def labelled(values: npt.ArrayLike, name: str) -> Labels:
    """Read a vector of labels and refuse missing ones."""
    labels: Labels = np.asarray(values)
    if labels.ndim != 1:
        raise InputError(
            f"{name} is not a vector of labels.",
            "shape (n,), one label for each row",
            f"shape {labels.shape}",
            f"pass one column of labels, for instance {name}.ravel()",
        )
    if labels.dtype.kind in "biuUS":
        return labels
    missing = np.array([x is None or x != x for x in labels.tolist()], dtype=bool)
    if missing.any():
        raise InputError(
            f"{name} has missing labels.",
            "a label in every row",
            f"{int(missing.sum())} missing, the first in row {int(missing.argmax())} "
            "(rows count from 0)",
            "drop these rows in every input alike, or give them a level of their own",
        )
    return labels


def _sorted(labels: Labels) -> tuple[Labels, Codes]:
    """Sorted distinct labels, and the position of every row among them."""
    try:
        distinct, positions = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise InputError(
            "groups mixes labels that cannot be sorted together.",
            "labels of one kind",
            f"labels of kinds {kinds}",
            "convert all of them to strings",
        ) from None
    return distinct, positions


def _relatedness(K: npt.ArrayLike | None, J: int) -> tuple[Array | None, Array | None]:
    """Read K for J levels; return it with a root."""
    if K is None:
        return None, None
    matrix = real(K, "K", 2)
    if matrix.shape != (J, J):
        raise InputError(
            "K does not match the levels of its term.",
            f"({J}, {J}), a row and a column for each of the {J} levels",
            f"shape {matrix.shape}",
            "pass levels= with the labels in the order of K's rows; levels need no data",
        )
    return covariance(matrix, "K", J, "level")
