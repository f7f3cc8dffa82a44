"""Reading linear combinations of named coefficients: ``"fb - fc"``, ``"(fb + fc) / 2 = 1"``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, refused
from ..inputs import Array, is_number, large_enough, numbers, real, small_enough, texts

NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LONGEST = 10_000
"""Letters of one combination."""
DEEPEST = 50
"""Brackets within brackets."""


@dataclass(frozen=True)
class Combinations:
    """Some linear combinations, less a number each: L alpha - shift."""

    L: Array
    """Shape (k, p)."""
    shift: Array
    """Shape (k,)."""
    names: tuple[str, ...]


def read_combinations(
    given: Any, names: Sequence[str], labels: Sequence[str] | None
) -> Combinations:
    """Read L alpha - shift in any of the forms that ``Fit.contrast`` takes.

    Parameters
    ----------
    given : array_like, shape (k, p) or (p,), str, mapping, or sequence of str or mappings
    names : sequence of str
        The names of the p coefficients.
    labels : sequence of str, optional
        What to call the combinations.

    Raises
    ------
    InputError
        What cannot be read; names that no coefficient has; a combination of nothing.
    """
    if not names:
        raise refused("no-fixed-effects")
    rows, own = _rows(given, names)
    L = np.array([row[:-1] for row in rows]).reshape(-1, len(names))
    shift = -np.array([row[-1] for row in rows])
    if labels is not None:
        own = list(texts(labels, "names"))
    if len(own) != len(L):
        raise refused("names-of-combinations", k=len(L), n_names=len(own))
    if not len(L) or not L.any(axis=1).all():
        raise refused("combination-of-nothing", given=f"{given!r:.60}")
    small_enough(np.column_stack([L, shift]), "L")
    large_enough(L.T, "L")
    return Combinations(L, shift, tuple(own))


def _rows(given: Any, names: Sequence[str]) -> tuple[list[Array], list[str]]:
    """Coefficients and a constant of each combination, shape (p + 1,), and what to call it."""
    if isinstance(given, str):
        return [read(given, names)], [given]
    if isinstance(given, Mapping):
        if given and all(is_number(value) for value in given.values()):
            row = _weighted(given, names)
            return [row], [written(row, names)]
        return [_one(part, names) for part in given.values()], [str(key) for key in given]
    if isinstance(given, list | tuple) and given and not any(map(_is_numeric, given)):
        rows = [_one(part, names) for part in given]
        pairs = zip(given, rows, strict=True)
        return rows, [part if isinstance(part, str) else written(row, names) for part, row in pairs]
    matrix = _matrix(given, len(names))
    rows = [np.append(row, 0.0) for row in matrix]
    return rows, [written(row, names) for row in rows]


def _is_numeric(part: Any) -> bool:
    return not isinstance(part, str | Mapping)


def _one(part: Any, names: Sequence[str]) -> Array:
    """One combination, of a collection of them."""
    if isinstance(part, str):
        return read(part, names)
    if isinstance(part, Mapping):
        return _weighted(part, names)
    matrix = _matrix(part, len(names))
    if len(matrix) != 1:
        raise refused("shape-of-combinations", p=len(names), shape=matrix.shape)
    return np.append(matrix[0], 0.0)


def _matrix(given: Any, p: int) -> Array:
    """A matrix of coefficients, shape (k, p)."""
    array = numbers(given, "L", "a matrix, one row a combination")
    array = real(array[None] if array.ndim == 1 else array, "L", 2)
    if array.shape[1] != p:
        raise refused("shape-of-combinations", p=p, shape=array.shape)
    return array


def _weighted(given: Mapping[Any, Any], names: Sequence[str]) -> Array:
    """A combination from a number for each of some names."""
    row = np.zeros(len(names) + 1)
    for name, value in given.items():
        row[_place(name, names)] = float(real(value, f"the coefficient of {name}", 0))
    return row


def _place(name: Any, names: Sequence[str]) -> int:
    """Which coefficient a name is."""
    if name not in names:
        raise refused("unknown-coefficient", name=f"{name!r:.60}", names=", ".join(names)[:300])
    if (count := list(names).count(name)) > 1:
        raise refused("coefficients-of-one-name", name=name, count=count)
    return list(names).index(name)


def written(row: Array, names: Sequence[str]) -> str:
    """A combination in words, "fb - 2 fc"."""
    text = ""
    for value, name in zip(row, [*names, ""], strict=True):
        if value:
            size = "" if abs(value) == 1 and name else f"{abs(value):.6g}"
            sign = " - " if value < 0 else " + "
            text += sign + f"{size} {name}".strip()
    return text.removeprefix(" + ").replace(" - ", "-", 1) if text[:3] == " - " else text[3:]


# --- text


def read(text: str, names: Sequence[str]) -> Array:
    """Coefficients and constant of a text, shape (p + 1,); "a = b" is "a - b"."""
    if len(text) > LONGEST:
        raise _unreadable(text, "a text that is too long")
    reader = _Reader(text, sorted(names, key=len, reverse=True), list(names))
    found = reader.sum()
    if reader.take("="):
        found = found - reader.sum()
    if reader.rest():
        raise _unreadable(text, f"{reader.rest()[:30]!r}, where none of them starts")
    if not np.isfinite(found).all():
        raise _unreadable(text, "numbers that are not finite")
    return found


@dataclass
class _Reader:
    """A text that is read from left to right; every part of it is linear in the coefficients."""

    text: str
    longest_first: list[str]
    names: list[str]
    at: int = 0
    depth: int = 0

    def rest(self) -> str:
        """What has not been read."""
        return self.text[self.at :].lstrip()

    def take(self, sign: str) -> bool:
        """Read a sign, if it comes next."""
        if not self.rest().startswith(sign):
            return False
        self.at = len(self.text) - len(self.rest()) + len(sign)
        return True

    def sum(self) -> Array:
        """A sum of products."""
        total = self.product()
        while self.rest()[:1] in ("+", "-"):
            sign = 1.0 if self.take("+") else -1.0
            if sign < 0:
                self.take("-")
            total = total + sign * self.product()
        return total

    def product(self) -> Array:
        """A product or quotient, in which one side at most has coefficients."""
        found = self.factor()
        while self.rest()[:1] in ("*", "/"):
            divided = not self.take("*") and self.take("/")
            other = self.factor()
            if other[:-1].any() and (divided or found[:-1].any()):
                raise _unreadable(self.text, "a product, or a quotient, of coefficients")
            if divided and other[-1] == 0:
                raise _unreadable(self.text, "a division by zero")
            if other[:-1].any():
                found, other = other, found
            with np.errstate(all="ignore"):
                found = found / other[-1] if divided else found * other[-1]
        return found

    def factor(self) -> Array:
        """A name, a number, or something in brackets; names come first, since they may have any."""
        if self.take("-"):
            return -self.factor()
        found = np.zeros(len(self.names) + 1)
        if name := self.name():
            found[_place(name, self.names)] = 1.0
            return found
        if self.take("("):
            self.depth += 1
            if self.depth > DEEPEST:
                raise _unreadable(self.text, "too many brackets within brackets")
            found = self.sum()
            if not self.take(")"):
                raise _unreadable(self.text, "a bracket that is not closed")
            self.depth -= 1
            return found
        number = NUMBER.match(self.rest())
        if number is None:
            raise _unreadable(self.text, f"{self.rest()[:30]!r}, where one of them should start")
        self.take(number[0])
        found[-1] = float(number[0])
        return found

    def name(self) -> str | None:
        """The longest name that comes next, in backticks or without them."""
        for name in self.longest_first:
            if self.take(f"`{name}`"):
                return name
            rest = self.rest()
            ends = not re.match(r"[\w.:`\[]", rest[len(name) : len(name) + 1])
            if name and rest.startswith(name) and (ends or not re.match(r"[\w.]", name[-1])):
                self.take(name)
                return name
        return None


def _unreadable(text: str, got: str) -> InputError:
    return refused("unreadable-combination", text=f"{text!r:.60}", problem=got)
