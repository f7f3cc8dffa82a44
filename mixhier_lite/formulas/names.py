"""Which names a piece of a formula uses: columns of the data, or things of the caller's.

A word in a string, the name of a function and what follows a dot are no columns.
"""

import ast
import copy
import re
import unicodedata
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import refused
from .parse import tokens_of

_BACKTICKS = re.compile(r"`([^`]*)`")


@dataclass(frozen=True)
class Names:
    """The names in a piece of a formula."""

    bare: frozenset[str]
    """Those that stand by themselves: columns, or a mistake."""
    inside: frozenset[str]
    """Those in Python expressions: columns, or values of the caller's."""
    called: frozenset[str]
    """Those that are called there, or whose attributes are."""
    reckoned: frozenset[str]
    """Those that stand by themselves or in arithmetic, and nowhere else: they are numbers."""


@dataclass(frozen=True)
class Piece:
    """A piece of a formula: its response, its fixed part, or the columns of a random term."""

    text: str
    what: str
    """What a message calls it."""
    names: Names
    uses: tuple[str, ...]
    """The columns of the data that it uses."""

    @classmethod
    def of(cls, text: str, what: str, known: set[str], caller: Mapping[str, Any]) -> "Piece":
        """Read a piece; ``known`` are the columns of the data, ``caller`` has the other names."""
        names = names_of(text)
        return cls(text, what, names, tuple(sorted(columns_of(names, known, caller))))


def in_backticks(formula: str, columns: Iterable[Any]) -> str:
    """Put names of columns into backticks that Python, or formulaic, would read as others.

    Python takes the compatibility form of a name, so that ``I(\ufb01x)`` would be of a column
    ``fix``; formulaic takes a name apart at an accent that is a character of its own. A name finds
    its column in another normal form too, where it has none in its own.
    """
    own = [name for name in columns if isinstance(name, str)]
    composed = {unicodedata.normalize("NFC", name): name for name in own}
    if len(composed) < len(set(own)):
        composed = {}

    def quoted(found: re.Match[str]) -> str:
        word = found[0]
        if word[0] in "`'\"" or word.isascii():
            return word
        stops = [*(k for k, letter in enumerate(word) if letter == "."), len(word)]
        for stop in reversed(stops):
            name = word[:stop]
            name = name if name in own else composed.get(unicodedata.normalize("NFC", name), name)
            if name in own:
                return (name if _is_plain(name) else f"`{name}`") + word[stop:]
        return word

    return _NAMES.sub(quoted, formula)


_NAMES = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|[^\W\d][\w.\u0080-\U0010ffff]*")
"""What is quoted, and names with the marks that belong to their letters."""


def _is_plain(name: str) -> bool:
    """Whether Python and formulaic read a name as it is."""
    return re.fullmatch(r"[\w.]+", name) is not None and name == unicodedata.normalize("NFKC", name)


def names_of(text: str) -> Names:
    """Find the names in a piece of a formula."""
    bare: set[str] = set()
    inside: set[str] = set()
    called: set[str] = set()
    reckoned: set[str] = set()
    others: set[str] = set()
    for token in tokens_of(text):
        if token.kind == "name":
            bare.add(token.text)
            reckoned.add(token.text)
        elif token.kind == "python":
            bare.update(_BACKTICKS.findall(token.text))
            others.update(_BACKTICKS.findall(token.text))
            _refuse_other_forms(token.text)
            tree = _tree(_BACKTICKS.sub("(0)", token.text))
            operands = _operands(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Name):
                    (reckoned if id(node) in operands else others).add(node.id)
            calls = {_root(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Name):
                    (called if id(node) in calls else inside).add(node.id)
    numbers = frozenset(reckoned - others)
    return Names(frozenset(bare), frozenset(inside), frozenset(called), numbers)


def _refuse_other_forms(expression: str) -> None:
    """Refuse a column whose name Python reads as another one, also where it is in backticks."""
    for name in _BACKTICKS.findall(expression):
        if name != (read := unicodedata.normalize("NFKC", name)):
            raise refused("name-that-python-changes", name=name, read=read)


def _operands(tree: ast.AST) -> set[int]:
    """Identities of what is added, multiplied, taken to a power, or given to a ufunc of numpy."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            found |= {id(node.left), id(node.right)}
        elif isinstance(node, ast.UnaryOp):
            found.add(id(node.operand))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if isinstance(getattr(np, node.func.attr, None), np.ufunc):
                found |= {id(argument) for argument in node.args}
    return found


def _tree(expression: str) -> ast.AST:
    try:
        return ast.parse(expression, mode="eval")
    except SyntaxError:
        raise refused("unreadable-function", expression=expression) from None


def _root(function: ast.expr) -> int:
    """Identity of the name that a called function starts with: np in ``np.log``."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return id(function)


def columns_of(names: Names, known: set[str], caller: Mapping[str, Any]) -> set[str]:
    """The columns of the data that a piece of a formula uses.

    What is called, or whose attributes are, is a column only where it is no function and no
    module: ``exp`` in ``exp(x)`` is a function, though a column may have that name, and ``x`` in
    ``x.mean()`` is a column.

    Raises
    ------
    InputError
        A column beside a function of its name.
    """
    from formulaic.transforms import TRANSFORMS

    others = ChainMap(dict(caller), TRANSFORMS)
    tools = {name for name in names.called if _is_tool(others.get(name))}
    columns = set(names.bare) | (names.inside & known) | ((names.called - tools) & known)
    for name in sorted(columns & tools):
        raise refused("column-and-function-of-one-name", name=name)
    return columns


def captured(names: Names, columns: set[str], caller: Mapping[str, Any], n: int) -> dict[str, Any]:
    """What a formula uses of its caller's, by value: functions, modules, numbers, short lists.

    What has an entry for each row is refused, since rows may be dropped: that is a column.
    """
    from formulaic.transforms import TRANSFORMS

    found: dict[str, Any] = {}
    outside = (names.inside - columns) | (names.called - columns_of(names, columns, caller))
    for name in sorted(outside):
        if name not in caller or (name in TRANSFORMS and not callable(caller[name])):
            continue
        value = caller[name]
        if _is_column(value, n):
            raise refused(
                "entries-outside-the-data", name=name, kind=type(value).__name__, n_entries=n
            )
        found[name] = _by_value(value)
    return found


def _is_tool(value: Any) -> bool:
    """Whether something is there to be called, or to be asked for functions, as numpy is."""
    return callable(value) or isinstance(value, ModuleType)


def _is_column(value: Any, n: int) -> bool:
    """Whether something has an entry for each of n rows."""
    if callable(value) or isinstance(value, str | bytes | Mapping):
        return False
    return getattr(value, "shape", None) != () and isinstance(value, Sized) and len(value) == n


def _by_value(value: Any) -> Any:
    """A copy of numbers, lists and tables; functions and modules are what they are."""
    if _is_tool(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # a file or a lock, say: it has no copy
        return value
