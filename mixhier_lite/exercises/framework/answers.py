"""Reading an answer: a number, an array, a data frame, a word, or a sentence on what it is."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class Unfit(ValueError):
    """An answer that is not of the kind that is asked for; the text says how it differs."""


def described(answer: object) -> str:
    """Say in words what an answer is."""
    if answer is ...:
        return "still the three dots of the empty worksheet"
    if answer is None:
        return "None (a function without return, or print() in place of the value?)"
    if isinstance(answer, str):
        return "a string"
    if isinstance(answer, (bool, np.bool_)):
        return "a truth value"
    if isinstance(answer, (int, float, np.number)):
        return "a number"
    if hasattr(answer, "columns"):
        return "a data frame"
    shape = getattr(answer, "shape", None)
    if isinstance(shape, tuple):
        return f"an array of shape {shape}" if shape else "a number"
    if callable(answer):
        return "a function"
    name = type(answer).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def array(answer: object, asked: str) -> Values:
    """Read finite real numbers of any shape."""
    plain = answer is None or answer is ... or callable(answer)
    if plain or isinstance(answer, (str, bytes, bool, dict, set)):
        raise Unfit(f"The question asks for {asked}; your answer is {described(answer)}.")
    try:
        values = np.asarray(answer)
        masked = np.ma.is_masked(answer)
    except Exception:
        raise Unfit(f"The question asks for {asked}; your answer has rows of unequal length, or "
                    "is nothing that numpy can read.") from None  # fmt: skip
    if masked:
        raise Unfit(f"The question asks for {asked}; your answer has masked entries.")
    if values.size == 0:
        raise Unfit(f"The question asks for {asked}; your answer is empty.")
    if values.dtype.kind not in "iufbO" or values.dtype.kind == "b":
        kinds = {"c": "complex numbers", "b": "truth values", "U": "strings", "S": "strings"}
        held = kinds.get(values.dtype.kind, f"entries of type {values.dtype}")
        raise Unfit(f"The question asks for {asked}; your answer holds {held}, not real numbers.")
    if values.dtype == object and not (values.ndim or isinstance(answer, (Real, Decimal))):
        raise Unfit(f"The question asks for {asked}; your answer is {described(answer)}.")
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Unfit(
            f"The question asks for {asked}; some entries of your answer are not real numbers."
        ) from None
    if np.isnan(numbers).any():
        raise Unfit("Your answer has nan in it: zero over zero, or missing values in the data?")
    if not np.isfinite(numbers).all():
        raise Unfit("Your answer has an infinite entry: was something divided by zero?")
    return numbers


def number(answer: object, asked: str) -> Values:
    """Read one number: an array without axes."""
    values = array(answer, asked)
    if values.size != 1:
        size = "" if hasattr(answer, "shape") else f" with {values.size} entries"
        raise Unfit(f"The question asks for {asked}; your answer is {described(answer)}{size}.")
    return values.reshape(())


def parts(answer: object, count: int, asked: str) -> tuple[Any, ...]:
    """Take a tuple of ``count`` parts apart; each is read by itself."""
    if not isinstance(answer, (tuple, list)) or len(answer) != count:
        raise Unfit(f"The question asks for a tuple {asked}.")
    return tuple(answer)


def frame(answer: object, columns: tuple[str, ...], key: str) -> Any:
    """Read a data frame with the named columns, its rows sorted by ``key``."""
    import pandas as pd

    if not isinstance(answer, pd.DataFrame):
        what = f"{described(answer)}{' of another library' * hasattr(answer, 'columns')}"
        raise Unfit(f"The question asks for a data frame of pandas; your answer is {what}.")
    labels = key in answer.index.names and key not in answer.columns
    table = answer.reset_index(level=key) if labels else answer.reset_index(drop=True)
    missing = [name for name in (key, *columns) if name not in table.columns]
    if missing:
        raise Unfit(f"Your data frame has no column {missing}; it has {list(table.columns)[:10]}.")
    table = table[[key, *columns]]
    if len(table) == 0:
        raise Unfit("Your data frame has no rows.")
    twice = table[key].astype(str).duplicated()
    if twice.any():
        raise Unfit(f"Your data frame has a label twice in column {key!r}: one row a label.")
    table = table.assign(**{key: table[key].astype(str)}).sort_values(key, ignore_index=True)
    for name in columns:
        array(table[name].to_numpy(), f"numbers in column {name!r}")
    return table
