"""The words of an exercise come from a file, its mathematics from the chapter's module."""

import tomllib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from .definition import Exercise, Form, Mistake
from .forms import Word

CHAPTERS = Path(__file__).parents[1] / "chapters"


@cache
def _file(slug: str) -> dict[str, Any]:
    return tomllib.loads((CHAPTERS / f"{slug}.toml").read_text(encoding="utf-8"))


def home(id: str) -> str:
    """Slug of the chapter that holds the words of an exercise: that of its id, or where it moved.

    Raises
    ------
    StopIteration
        No file has the words.
    """
    named = id.rpartition("-")[0]
    others = (path.stem for path in sorted(CHAPTERS.glob("*.toml")))
    return next(slug for slug in (named, *others) if id in _file(slug))


def words(id: str) -> dict[str, Any]:
    """Read the words of an exercise from its chapter's file."""
    found: dict[str, Any] = _file(home(id))[id]
    return found


def exercise(
    id: str,
    form: Form,
    truth: Callable[..., Any] | None = None,
    /,
    **mistakes: Callable[..., Any],
) -> Exercise:
    """Put an exercise together from its mathematics and the words for it.

    Title, level, kind, what to say to a right answer and the hints stand in the chapter's
    ``.toml`` file under the same id.

    Parameters
    ----------
    id : str
        For instance ``"ridge-2"``.
    form : Form
        What an answer looks like, and when two answers count as equal.
    truth : callable, optional
        Computes the right answer. None for a counterexample: the check runs both sides.
    **mistakes : callable
        Each computes a wrong answer, the likeliest first; its hint has the same name. A hint
        that has the name of a :class:`Word` that may be answered needs no function.

    Raises
    ------
    ValueError
        A mistake has no hint, or a hint no mistake.
    """
    said = words(id)
    hints: dict[str, str] = said["hints"]
    options = form.options if isinstance(form, Word) else ()
    wrong = dict(mistakes)
    wrong.update((word, partial(str, word)) for word in hints if word in options)
    if wrong.keys() != hints.keys():
        odd = ", ".join(sorted(wrong.keys() ^ hints.keys()))
        raise ValueError(f"{id}: a mistake without a hint, or a hint without a mistake: {odd}")
    known = tuple(Mistake(name, function, hints[name]) for name, function in wrong.items())
    return Exercise(
        id, home(id), said["title"], said["level"], said["kind"], form, truth, known, said["right"]
    )


def choice(id: str, truth: Callable[..., str], /, **mistakes: Callable[..., str]) -> Exercise:
    """Put an exercise together whose answer is one of the words that its file lists as options."""
    return exercise(id, Word(tuple(words(id)["options"])), truth, **mistakes)
