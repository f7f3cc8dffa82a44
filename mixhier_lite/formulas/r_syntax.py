"""What a formula says in R and does not say here."""

import re

from ..errors import InputError

_QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_INNERMOST = re.compile(r"(\w?)([({])([^(){}]*)[)}]")


def refuse_other_dialects(formula: str) -> None:
    """Refuse offsets, and ``^`` inside a function or braces, where Python would switch bits.

    Outside of functions ``^`` crosses columns, as in R.
    """
    if re.search(r"\boffset\s*\(", formula):
        raise InputError(
            "offset() is not supported.",
            "a response and columns",
            repr(formula),
            "subtract the offset from the response: the model is the same",
        )
    text = _QUOTED.sub("_", formula)
    while found := _INNERMOST.search(text):
        called, bracket, inside = found.groups()
        if "^" in inside and (called or bracket == "{"):
            raise InputError(
                "^ inside a function is not a power: functions are Python's.",
                "** for a power, as in I(x**2)",
                repr(formula),
                "write ** for ^ there; outside of functions (a + b)^2 is read as in R",
            )
        text = text.replace(found[0], called + inside, 1)  # plain brackets open into what is around
