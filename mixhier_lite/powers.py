"""R's ``x^2`` inside a function of a formula, where Python would switch bits."""

import re

from .errors import InputError

_QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_INNERMOST = re.compile(r"(\w?)([({])([^(){}]*)[)}]")


def refuse_powers(formula: str) -> None:
    """Refuse ``^`` inside a function or braces; outside of them it crosses columns, as in R."""
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
