"""What interactions are called: of factors, of their levels, and of columns of X."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..labels import Labels


def combined(parts: Iterable[Any]) -> str:
    """What a combination is called, of factors or of their levels: "A:B"."""
    return ":".join(map(str, parts))


def level_names(levels: Sequence[Labels], combinations: npt.NDArray[np.intp]) -> Labels:
    """What tables call the levels of a term, shape (J,): the labels of one factor, "A:B" of two.

    ``levels`` has the labels of each factor, and ``combinations``, (J, factors), which of them a
    level of the term has.
    """
    if len(levels) == 1:
        return levels[0][combinations[:, 0]]
    parts = [own[chosen].tolist() for own, chosen in zip(levels, combinations.T, strict=True)]
    names = [combined(combination) for combination in zip(*parts, strict=True)]
    if len(set(names)) < len(names):  # labels hold colons themselves: say where each one ends
        names = [combined(map(repr, combination)) for combination in zip(*parts, strict=True)]
    return np.array(names, dtype=str)


def column_names(columns: Sequence[str], levels: Mapping[str, Iterable[Any]]) -> tuple[str, ...]:
    """Name columns as lme4 does: "f[T.b]:x" becomes "fb:x", where that leaves them apart.

    Levels of factors are known, and may hold brackets of their own, as those of pandas.cut do.
    """
    parts = {
        f"{factor}[{reference}{level}]": f"{factor}{level}"
        for factor, own in levels.items()
        for level in own
        if set("[]") & set(str(level))
        for reference in ("T.", "")
    }
    known = [f"(?:^|(?<=:)){re.escape(part)}" for part in sorted(parts, key=len, reverse=True)]
    found = re.compile("(?:" + "|".join([*known, r"\[(?:T\.)?([^\[\]]*)\]"]) + ")(?=:|$)")
    plain = [found.sub(lambda part: parts.get(part[0], part[1]), name) for name in columns]
    named = plain if len(set(plain)) == len(plain) else columns
    return tuple("(Intercept)" if name == "Intercept" else name for name in named)
