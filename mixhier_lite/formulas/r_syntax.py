"""What a formula says in R and does not say here."""

import re

from ..errors import refused

_QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_INNERMOST = re.compile(r"(\w?)([({])([^(){}]*)[)}]")


def refuse_other_dialects(formula: str) -> None:
    """Refuse offsets, and ``^`` inside a function or braces, where Python would switch bits.

    Outside of functions ``^`` crosses columns, as in R.
    """
    if re.search(r"\boffset\s*\(", formula):
        raise refused("offset-in-formula", formula=formula)
    text = _QUOTED.sub("_", formula)
    while found := _INNERMOST.search(text):
        called, bracket, inside = found.groups()
        if "^" in inside and (called or bracket == "{"):
            raise refused("power-inside-function", formula=formula)
        text = text.replace(found[0], called + inside, 1)  # plain brackets open into what is around
