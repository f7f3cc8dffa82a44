"""Reading a formula: ``"y ~ x + (x | g)"`` is a response, a fixed part and bar terms.

formulaic's tokens are read, so that a name in backticks and a word in quotes stay whole. What
stands between the bars is only cut out here; formulaic makes columns of it later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from ..errors import refused
from .interactions import combined
from .r_syntax import refuse_other_dialects


@dataclass(frozen=True)
class BarTerm:
    """One term ``(columns | factors)`` or ``(columns || factors)``."""

    columns: str
    factors: tuple[str, ...]
    """The columns of the data whose combination is the group."""
    correlated: bool

    @property
    def name(self) -> str:
        """The grouping factor, "a:b" for an interaction."""
        return combined(self.factors)


@dataclass(frozen=True)
class Formula:
    """A formula in its parts."""

    response: str
    fixed: str
    bars: tuple[BarTerm, ...]


@dataclass(frozen=True)
class Token:
    """A word of a formula."""

    text: str
    kind: str
    """name, value, operator, context (a bracket) or python."""
    start: int
    stop: int
    """Where it stands in the formula."""


def parse(formula: str) -> Formula:
    """Split a formula into its response, its fixed part and its bar terms.

    Raises
    ------
    InputError
        What is no formula; offsets; ``.``; a random term that cannot be read.
    """
    if not isinstance(formula, str):
        raise refused("formula-no-text", kind=type(formula).__name__)
    refuse_other_dialects(formula)
    tokens = tokens_of(formula)
    if any(token.text == "." for token in tokens):
        raise refused("dot-in-formula", formula=formula)
    tildes = [k for k, token in enumerate(tokens) if token.text == "~"]
    if len(tildes) != 1 or tildes[0] == 0 or not _balanced(tokens):
        raise refused("formula-not-of-two-sides", formula=formula)
    left = tokens[: tildes[0]]
    right = tokens[tildes[0] + 1 :]
    if any("|" in token.text and token.kind == "operator" for token in left):
        raise refused("random-term-in-response", formula=formula)
    fixed: list[str] = []
    bars: list[BarTerm] = []
    for sign, piece in _opened(_pieces(right)):
        text = formula[piece[0].start : piece[-1].stop]
        bar = [k for k, token in enumerate(piece) if token.text in ("|", "||")]
        if not bar:
            fixed.append(f"{sign} {text}")
        elif not _one_bracket(piece):
            raise refused("random-term-without-brackets", text=text)
        elif sign == "-":
            raise refused("random-term-subtracted", text=text)
        else:
            bars += _bars(formula, piece[1:-1])
    response = formula[left[0].start : left[-1].stop]
    return Formula(response, " ".join(fixed).removeprefix("+ ") or "1", tuple(bars))


@lru_cache
def tokens_of(formula: str) -> tuple[Token, ...]:
    """The words of a formula; operators that stand together are taken apart."""
    try:
        from formulaic.errors import FormulaSyntaxError
        from formulaic.parser.algos.tokenize import tokenize
    except ModuleNotFoundError:
        raise refused("formulaic-missing") from None
    found: list[Token] = []
    try:
        for token in tokenize(formula):
            start = token.source_start
            stop = token.source_end + 1
            if formula[start] in "`{" and token.kind.value in ("name", "python"):
                stop += 1  # the closing one
            if token.kind.value == "operator" and token.token not in ("||", "**", "in", "%in%"):
                signs = [k for k in range(start, stop) if not formula[k].isspace()]
                found += [Token(formula[k], "operator", k, k + 1) for k in signs]
            else:
                found.append(Token(token.token, token.kind.value, start, stop))
    except FormulaSyntaxError:
        raise refused("formula-left-open", formula=formula) from None
    return tuple(found)


def _depth(token: Token) -> int:
    """By how much a token goes deeper into brackets."""
    if token.kind != "context":
        return 0
    return 1 if token.text in "([" else -1


def _balanced(tokens: Sequence[Token]) -> bool:
    return sum(map(_depth, tokens)) == 0


def _pieces(tokens: Sequence[Token]) -> list[tuple[str, list[Token]]]:
    """Split at + and - outside brackets, with the signs."""
    pieces: list[tuple[str, list[Token]]] = []
    piece: list[Token] = []
    sign = "+"
    depth = 0
    for token in tokens:
        depth += _depth(token)
        if depth == 0 and token.kind == "operator" and token.text in "+-":
            if piece:
                pieces.append((sign, piece))
                sign = token.text
            else:  # two signs in a row: minus wins
                sign = "-" if "-" in (sign, token.text) else "+"
            piece = []
        else:
            piece.append(token)
    return [*pieces, (sign, piece)] if piece else pieces


def _opened(pieces: list[tuple[str, list[Token]]]) -> list[tuple[str, list[Token]]]:
    """The same without brackets around whole random terms: ((1 | g)), (x + (1 | g))."""
    found: list[tuple[str, list[Token]]] = []
    for sign, piece in pieces:
        inner = piece[1:-1]
        depth = list(accumulate(map(_depth, inner)))
        bars = [k for k, token in enumerate(inner) if token.text in ("|", "||")]
        if sign == "+" and _one_bracket(piece) and bars and all(depth[k] > 0 for k in bars):
            found += _opened(_pieces(inner))
        else:
            found.append((sign, piece))
    return found


def _one_bracket(piece: Sequence[Token]) -> bool:
    """Whether a piece is one pair of brackets with everything inside."""
    depth = 0
    for k, token in enumerate(piece):
        depth += _depth(token)
        if depth == 0:
            return k == len(piece) - 1 and k > 0
    return False


def _bars(formula: str, inner: Sequence[Token]) -> list[BarTerm]:
    """Read ``columns | factors``; nesting a/b gives a and a:b."""
    at = [k for k, token in enumerate(inner) if token.text in ("|", "||")]
    columns = inner[: at[0]]
    factors = inner[at[0] + 1 :]
    while factors and _one_bracket(factors):
        factors = factors[1:-1]
    names = [token for token in factors[::2] if token.kind == "name"]
    links = [token.text for token in factors[1::2]]
    readable = len(at) == 1 and columns and len(names) == len(links) + 1
    if not readable or 2 * len(names) - 1 != len(factors) or not set(links) <= {":", "/"}:
        text = formula[inner[0].start : inner[-1].stop] if inner else ""
        raise refused("unreadable-random-term", text=text, formula=formula)
    groups: list[tuple[str, ...]] = []
    so_far: list[str] = []
    for token, link in zip(names, [*links, "/"], strict=True):
        so_far.append(token.text)
        if link == "/":
            groups.append(tuple(so_far))
    text = formula[columns[0].start : columns[-1].stop]
    return [BarTerm(text, group, inner[at[0]].text == "|") for group in groups]
