"""Reading a user's arrays: float64, finite, of the right shape, never modified."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Array = npt.NDArray[np.float64]

_SHAPES = {0: "one number", 1: "a vector, one entry a row", 2: "a matrix, one row an observation"}


def real(value: npt.ArrayLike, name: str, ndim: int) -> Array:
    """Copy ``value`` into a read-only float64 array with ``ndim`` axes and finite entries."""
    array = unchecked(value, name, ndim).copy()
    array.setflags(write=False)
    finite(array, name)
    return array


def unchecked(value: npt.ArrayLike, name: str, ndim: int) -> Array:
    """Read float64 with ``ndim`` axes, finite or not; an array that is float64 is not copied."""
    array = numbers(value, name, _SHAPES[ndim])
    if array.ndim != ndim:
        raise InputError(
            f"{name} has the wrong number of axes.",
            f"{_SHAPES[ndim]} ({ndim} axes)",
            f"shape {array.shape} ({array.ndim} axes)",
            f"one column is {name}[:, None], a vector is {name}.ravel()"
            + ("; y comes first, X second" if name in ("y", "X") else ""),
        )
    return array


def numbers(value: npt.ArrayLike, name: str, shape: str = "an array") -> Array:
    """Read float64, finite or not, read-only; an array that is float64 is not copied."""
    if np.ma.isMaskedArray(value) and np.ma.getmaskarray(value).any():
        raise InputError(
            f"{name} has masked entries.",
            f"{shape}, every entry of it known",
            f"{int(np.ma.getmaskarray(value).sum())} of {value.size} entries masked",
            "drop or fill these rows in every input alike",
        )
    try:
        array = np.asarray(value)  # a ragged list is a ValueError
        if np.iscomplexobj(array) or array.dtype.kind in "SUMm":
            raise TypeError(f"entries of type {array.dtype}")
        with np.errstate(all="ignore"):  # a long double may be too large: it is infinite then
            array = array.astype(np.float64, copy=False).view()
    except Exception as problem:  # an object of somebody's may refuse in any way
        raise InputError(
            f"{name} does not hold real numbers.",
            f"{shape}, of real numbers",
            f"{type(value).__name__} that numpy cannot read as float64 ({problem!s:.100})",
            f"convert {name} to numbers first; for group labels use indicator(groups)",
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
        raise InputError(
            f"{name} has missing or infinite values.",
            "finite numbers only",
            f"{int(bad.sum())} of {array.size} not finite{where} (rows count from 0)",
            "drop or fill these rows in every input alike",
        )


def small_enough(array: Array, name: str) -> None:
    """Refuse numbers whose squares would not be finite beside others."""
    size = float(np.abs(array).max(initial=0.0))
    if size > 1e100:
        raise InputError(
            f"{name} is too large to square.",
            "values below 1e100",
            f"{size:.3g}",
            f"measure {name} in larger units",
        )


def large_enough(array: Array, name: str) -> None:
    """Refuse columns whose squares would be nothing beside others, but for columns of zeros."""
    size = np.abs(array).max(axis=0, initial=0.0)
    least = float(np.min(size, where=size > 0, initial=1.0))
    if least < 1e-100:
        raise InputError(
            f"{name} is too small to square.",
            "zero, or values above 1e-100",
            f"{least:.3g}",
            f"measure {name} in smaller units",
        )


def positive(value: npt.ArrayLike, name: str) -> float:
    """Read one finite number greater than zero."""
    number = float(real(value, name, 0))
    if number <= 0:
        raise InputError(
            f"{name} is a variance and must be positive.",
            f"{name} > 0",
            f"{name} = {number:g}",
            "pass the variance itself (not its logarithm or a standard deviation with a sign)",
        )
    small_enough(np.array([number]), name)
    large_enough(np.array([number]), name)
    return number


def same_rows(**arrays: Any) -> None:
    """Refuse arrays whose numbers of rows differ, and what is no array: labels without a Term."""
    for name, value in arrays.items():
        if np.ndim(value) == 0:
            raise InputError(
                f"{name} is not a Term.",
                "a Term, or a sequence of Terms",
                f"{value!r} of type {type(value).__name__}",
                "wrap the labels: fit(y, X, Term(groups)), or call lmer with a formula",
            )
    if len({len(array) for array in arrays.values()}) > 1:
        raise InputError(
            f"{' and '.join(arrays)} have different numbers of rows.",
            "one row for each observation in all of them",
            ", ".join(f"{name}: {len(array)} rows" for name, array in arrays.items()),
            "build all of them from the same rows, in the same order",
        )


def is_integer(value: object) -> bool:
    """Whether it is one whole number; truth and durations pass for integers elsewhere."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def is_number(value: object) -> bool:
    """Whether it is one real number."""
    return is_integer(value) or isinstance(value, float | np.floating)


def level_of(value: float) -> float:
    """Coverage of an interval, between 0 and 1, or the reason why it is not one."""
    return between_0_and_1(
        value, "level is the coverage of an interval.", "pass level=0.95 for 95 %"
    )


def between_0_and_1(value: Any, wrong: str, remedy: str) -> float:
    """Read one real number between 0 and 1, ends excluded."""
    if not is_number(value) or not 0 < value < 1:
        raise InputError(wrong, "a number between 0 and 1", f"{value!r:.60}", remedy)
    return float(value)


def count(value: Any, name: str, least: int, of: str, example: str, most: int = 10**9) -> int:
    """Read a whole number that counts something, between ``least`` and ``most``."""
    whole = is_integer(value)
    if not whole or not least <= value <= most:
        too_many = whole and value > most
        expected = f"an integer, {most} or less" if too_many else f"an integer, {least} or more"
        raise InputError(f"{name} is the number of {of}.", expected, f"{value!r:.60}", example)
    return int(value)


def generator(rng: object) -> np.random.Generator:
    """Read a source of random numbers."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(
            "rng is not a generator of random numbers.",
            "a numpy.random.Generator",
            f"{type(rng).__name__}, {rng!r:.60}",
            "pass np.random.default_rng(1): the number is the seed",
        )
    return rng


def flag(value: object, name: str) -> bool:
    """Read yes or no."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(
            f"{name} is neither true nor false.",
            "True or False",
            f"{value!r:.60} of type {type(value).__name__}",
            f"pass {name}=True, or leave it out",
        )
    return bool(value)


def one_of(value: object, name: str, choices: tuple[str, ...], remedy: str) -> str:
    """Read one word out of some."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(
            f"{name} is unknown.",
            " or ".join(map(repr, choices)),
            f"{value!r:.60}",
            remedy,
        )
    return value


def texts(values: object, name: str) -> tuple[str, ...]:
    """Read a sequence of strings."""
    listed: Any = values if isinstance(values, list | tuple) else None
    if isinstance(values, np.ndarray) and values.ndim == 1:
        listed = values.tolist()
    if listed is None or not all(isinstance(value, str) for value in listed):
        raise InputError(
            f"{name} is not a list of names.",
            "a sequence of strings",
            f"{values!r:.60} of type {type(values).__name__}",
            f"pass for instance {name}=['(Intercept)', 'x']",
        )
    return tuple(map(str, listed))


def instance(value: object, kind: type, name: str, remedy: str) -> None:
    """Refuse what is not of a kind of this package."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise InputError(
            f"{name} is not {article} {kind.__name__}.",
            f"{article} {kind.__name__}",
            f"{value!r:.60} of type {type(value).__name__}",
            remedy,
        )
