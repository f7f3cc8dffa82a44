"""The one form in which the package refuses an input, and the words of its refusals."""

from functools import cache
from importlib.resources import files
from typing import Any


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
        self.wrong = wrong
        self.expected = expected
        self.got = got
        self.remedy = remedy
        super().__init__(f"{wrong}\n  expected: {expected}\n  got: {got}\n  what to do: {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        """Pickle by the four parts, so that the error crosses process borders."""
        return type(self), (self.wrong, self.expected, self.got, self.remedy)


def refused(key: str, /, **facts: Any) -> InputError:
    """Word a refusal in its four parts.

    Parameters
    ----------
    key : str
        The name of the refusal in ``refusals.toml``.
    **facts
        What its words leave open, by name.
    """
    return InputError(**{part: words.format(**facts) for part, words in _words()[key].items()})


@cache
def _words() -> dict[str, dict[str, str]]:
    """What is wrong, expected, got and to do about it; read when something is first refused."""
    import tomllib

    return tomllib.loads((files(__package__) / "refusals.toml").read_text(encoding="utf-8"))
