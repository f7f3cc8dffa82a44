"""What results have in common: arrays that nobody can change, and one line that tells what is in.

Functions trust the values that they are given, and keep what they have computed from them. So
arithmetic in place on a result (``b = fit.random[0]; b -= b[0]``) is refused by numpy.
"""

from dataclasses import fields
from typing import Any

import numpy as np

FEW = 4
"""Up to so many numbers are shown as they are, more of them by their shape."""
WIDE = 60
"""Letters that are shown of anything else."""


class Value:
    """A frozen value: its arrays are read-only, also after pickling, and it is shown in a line.

    A frozen dataclass that inherits from it is written with ``repr=False``.
    """

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        _freeze(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read-only again: numpy does not pickle that."""
        vars(self).update(state)
        _freeze(self)

    def __repr__(self) -> str:
        """The name of its class and what is in it, in one line."""
        shown = [
            f"{field.name}={brief(getattr(self, field.name, None))}"
            for field in fields(self)  # type: ignore[arg-type]
            if field.repr
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _freeze(value: Value) -> None:
    """Make everything that a value holds read-only."""
    for name, part in list(vars(value).items()):
        read_only = frozen(part)
        if read_only is not part:
            object.__setattr__(value, name, read_only)


def frozen(value: Any) -> Any:
    """The same, with its arrays read-only: an array, a sparse matrix, or a collection of them.

    An array that was passed stays as it is: what is returned is a view of it, or the array itself
    where it is read-only already.
    """
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            return value
        view = value.view()
        view.setflags(write=False)
        return view
    if type(value) in (tuple, list):
        return type(value)(map(frozen, value))
    if type(value) is dict:
        return {key: frozen(part) for key, part in value.items()}
    if hasattr(value, "indptr"):  # a compressed sparse matrix, which sorts itself in place
        value.sum_duplicates()
        for name in ("data", "indices", "indptr"):
            setattr(value, name, frozen(getattr(value, name)))
    return value


def brief(value: Any) -> str:
    """Something in a few letters, without a line break."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub" and value.ndim < 2 and value.size <= FEW:
            return f"[{', '.join(f'{x:.5g}' for x in np.ravel(value))}]"
        return f"array {value.shape}"
    if type(value) in (tuple, list):
        shown = [brief(part) for part in value[:FEW]] + ["..."] * (len(value) > FEW)
        return f"({', '.join(shown)})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Value):
        return type(value).__name__
    if isinstance(value, dict):
        return f"{type(value).__name__} of {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= WIDE else f"{text[:WIDE]}..."
