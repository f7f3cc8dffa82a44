"""The one form in which the package refuses an input, and the words of its refusals."""

import tomllib
from importlib.resources import files
from typing import Any

WORDS = tomllib.loads((files(__package__) / "refusals.toml").read_text(encoding="utf-8"))
"""What is wrong, expected, got and to do about it, for each refusal."""


class InputError(ValueError):
    """An input that has no right answer, in four parts.

    Parameters
    ----------
    wrong : str
        What is wrong, in the reader's terms.
    expected : str
        What the function needs instead.
    got : str
        What it was given.
    remedy : str
        What to do about it.
    """

    def __init__(self, wrong: str, expected: str, got: str, remedy: str) -> None:
        self.wrong, self.expected, self.got, self.remedy = wrong, expected, got, remedy
        super().__init__(f"{wrong}\n  expected: {expected}\n  got: {got}\n  what to do: {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        """Pickle by the four parts, so that the error crosses process borders."""
        return type(self), (self.wrong, self.expected, self.got, self.remedy)


def refused(what: str, /, **facts: Any) -> InputError:
    """Word a refusal in its four parts."""
    return InputError(**{part: text.format(**facts) for part, text in WORDS[what].items()})
