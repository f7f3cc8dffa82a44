"""Reading a user's arrays: float64, finite, of the right shape, never modified."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import refused

Array = npt.NDArray[np.float64]

_SHAPES = {
    0: "one number",
    1: "a vector, one entry per row",
    2: "a matrix, one row per observation",
}


def real(value: npt.ArrayLike, name: str, ndim: int) -> Array:
    """Copy ``value`` into a read-only float64 array with ``ndim`` axes and finite entries."""
    array = unchecked(value, name, ndim).copy(order="K")
    array.setflags(write=False)
    finite(array, name)
    return array


def unchecked(value: npt.ArrayLike, name: str, ndim: int) -> Array:
    """Read float64 with ``ndim`` axes, finite or not; an array that is float64 is not copied."""
    array = numbers(value, name, _SHAPES[ndim])
    if array.ndim != ndim:
        raise refused(
            "number-of-axes",
            name=name,
            meaning=_SHAPES[ndim],
            ndim=ndim,
            shape=array.shape,
            n_axes=array.ndim,
            order="; y comes first, X second" if name in ("y", "X") else "",
        )
    return array


def numbers(value: npt.ArrayLike, name: str, shape: str = "an array") -> Array:
    """Read float64, finite or not, read-only; an array that is float64 is not copied."""
    if np.ma.isMaskedArray(value) and np.ma.getmaskarray(value).any():
        raise refused(
            "masked-entries",
            name=name,
            meaning=shape,
            n_masked=int(np.ma.getmaskarray(value).sum()),
            size=value.size,
        )
    try:
        array = np.asarray(value)  # a ragged list is a ValueError
        if np.iscomplexobj(array) or array.dtype.kind in "SUMm":
            raise TypeError(f"entries of type {array.dtype}")
        with np.errstate(all="ignore"):  # a long double may be too large: it is infinite then
            array = array.astype(np.float64, copy=False).view()
    except Exception as problem:  # an object of somebody's may refuse in any way
        raise refused(
            "not-real-numbers", name=name, meaning=shape, kind=type(value).__name__, problem=problem
        ) from None
    array.setflags(write=False)
    return array


def finite(array: Array, name: str) -> None:
    """Refuse missing and infinite entries."""
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return  # one that is not finite would show in the sum
    bad = ~np.isfinite(array)
    if bad.any():
        where = "" if array.ndim == 0 else f", the first in row {int(np.argwhere(bad)[0][0])}"
        raise refused("not-finite", name=name, n_bad=int(bad.sum()), size=array.size, where=where)


def small_enough(array: Array, name: str) -> None:
    """Refuse numbers whose squares would not be finite beside others."""
    size = float(np.abs(array).max(initial=0.0))
    if size > 1e100:
        raise refused("too-large-to-square", name=name, largest=size)


def large_enough(array: Array, name: str) -> None:
    """Refuse columns whose squares would be nothing beside others, but for columns of zeros."""
    size = np.abs(array).max(axis=0, initial=0.0)
    least = float(np.min(size, where=size > 0, initial=1.0))
    if least < 1e-100:
        raise refused("too-small-to-square", name=name, least=least)


def positive(value: npt.ArrayLike, name: str) -> float:
    """Read one finite number greater than zero."""
    number = float(real(value, name, 0))
    if number <= 0:
        raise refused("variance-not-positive", name=name, number=number)
    small_enough(np.array([number]), name)
    large_enough(np.array([number]), name)
    return number


def same_rows(**arrays: Any) -> None:
    """Refuse arrays whose numbers of rows differ, and what is no array: labels without a Term."""
    for name, value in arrays.items():
        if np.ndim(value) == 0:
            raise refused("not-a-term", name=name, given=repr(value), kind=type(value).__name__)
    if len({len(array) for array in arrays.values()}) > 1:
        raise refused(
            "different-numbers-of-rows",
            names=" and ".join(arrays),
            rows=", ".join(f"{name}: {len(array)} rows" for name, array in arrays.items()),
        )


def is_integer(value: object) -> bool:
    """Whether it is one whole number; truth and durations pass for integers elsewhere."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def index_of(given: Any, letter: str, thing: str, names: Sequence[str]) -> int:
    """The number of one of some named things, counted from 0, from its number or its name."""
    listed = list(names)
    if isinstance(given, str) and listed.count(given) == 1:
        return listed.index(given)
    if not is_integer(given) or not 0 <= given < len(listed):
        raise refused(
            "no-such-index",
            thing=thing,
            letter=letter,
            last=len(listed) - 1,
            names=", ".join(listed),
            given=given,
        )
    return int(given)


def is_number(value: object) -> bool:
    """Whether it is one real number."""
    return is_integer(value) or isinstance(value, float | np.floating)


def level_of(value: float) -> float:
    """Coverage of an interval, between 0 and 1, or the reason why it is not one."""
    return between_0_and_1(
        value, "level", "the coverage of an interval", "pass level=0.95 for 95 %"
    )


def between_0_and_1(value: Any, name: str, meaning: str, remedy: str) -> float:
    """Read one real number between 0 and 1, ends excluded."""
    if not is_number(value) or not 0 < value < 1:
        raise refused("not-between-0-and-1", name=name, meaning=meaning, given=value, remedy=remedy)
    return float(value)


def count(value: Any, name: str, least: int, of: str, example: str, most: int = 10**9) -> int:
    """Read a whole number that counts something, between ``least`` and ``most``."""
    whole = is_integer(value)
    if not whole or not least <= value <= most:
        too_many = whole and value > most
        raise refused(
            "not-a-count",
            name=name,
            things=of,
            bound=most if too_many else least,
            more_or_less="less" if too_many else "more",
            given=value,
            remedy=example,
        )
    return int(value)


def generator(rng: object) -> np.random.Generator:
    """Read a source of random numbers."""
    if not isinstance(rng, np.random.Generator):
        raise refused("not-a-generator", kind=type(rng).__name__, given=rng)
    return rng


def flag(value: object, name: str) -> bool:
    """Read yes or no."""
    if not isinstance(value, bool | np.bool_):
        raise refused("not-a-flag", name=name, given=value, kind=type(value).__name__)
    return bool(value)


def one_of(value: object, name: str, choices: tuple[str, ...], remedy: str) -> str:
    """Read one word out of some."""
    if not isinstance(value, str) or value not in choices:
        raise refused(
            "not-one-of-some",
            name=name,
            choices=" or ".join(map(repr, choices)),
            given=value,
            remedy=remedy,
        )
    return value


def texts(values: object, name: str) -> tuple[str, ...]:
    """Read a sequence of strings."""
    listed: Any = values if isinstance(values, list | tuple) else None
    if isinstance(values, np.ndarray) and values.ndim == 1:
        listed = values.tolist()
    if listed is None or not all(isinstance(value, str) for value in listed):
        raise refused("not-a-list-of-names", name=name, given=values, kind=type(values).__name__)
    return tuple(map(str, listed))


def instance(value: object, kind: type, name: str, remedy: str) -> None:
    """Refuse what is not of a kind of this package."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise refused(
            "not-an-instance",
            name=name,
            article=article,
            wanted=kind.__name__,
            given=value,
            kind=type(value).__name__,
            remedy=remedy,
        )
