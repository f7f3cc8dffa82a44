"""The check, and what it has seen since Python was started."""

import warnings
from dataclasses import dataclass
from html import escape

import numpy as np

from ..errors import refused
from .framework.definition import Exercise
from .framework.verdict import Verdict
from .registry import chapters, everything, find, of_chapter

_seen: dict[str, tuple[int, bool]] = {}  # id: how many answers, whether one was right


def check(id: str, answer: object) -> Verdict:
    """Check the answer to an exercise of the book.

    Nothing is written and nothing is sent. The verdict names a mistake that the answer looks
    like, or says how its type or shape differs; it never says what the answer is.

    Parameters
    ----------
    id : str
        As printed with the exercise, for instance ``"groups-1"``.
    answer : object
        A number, an array, a data frame, a word or a function (by its name, not called); a
        function is called with random inputs.

    Returns
    -------
    Verdict
        ``.right`` and ``.message``. Never raises, whatever the answer is.

    Examples
    --------
    >>> from mixhier_lite.exercises import check
    >>> check("groups-1", 3)
    not yet: The question asks for the function f(v, groups) itself, without calling it; your \
answer is a number.
    """
    try:
        exercise = find(id)
    except LookupError as unknown:
        return Verdict(False, str(unknown.args[0]))
    verdict = judge(exercise, answer)
    tries, solved = _seen.get(exercise.id, (0, False))
    _seen[exercise.id] = tries + 1, solved or verdict.right
    return verdict


def judge(exercise: Exercise, answer: object) -> Verdict:
    """Judge an answer without remembering it."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return exercise.form.judge(exercise, answer, np.random.default_rng())
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        return Verdict(
            False,
            f"Your answer could not be read ({type(problem).__name__}): pass plain numbers, numpy "
            "arrays, a pandas data frame or a function, as the question says.",
        )


@dataclass(frozen=True)
class Progress:
    """What has been answered in this session, exercise by exercise."""

    rows: tuple[tuple[Exercise, int, bool], ...]
    """Exercise, how many answers were checked, and whether one of them was right."""

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(right for _, _, right in self.rows)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (e.id, e.title, e.level, e.kind,
             "right" if right else f"{tries} tried" if tries else "open")
            for e, tries, right in self.rows
        ]  # fmt: skip

    def __repr__(self) -> str:
        """A table as text."""
        cells = self._cells()
        widths = [max(len(row[k]) for row in cells) for k in range(5)]
        lines = [
            "  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join([*lines, f"{self.solved} of {len(self.rows)} solved"])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("id", "exercise", "level", "kind", "state"))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        caption = f"<caption>{self.solved} of {len(self.rows)} solved</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def progress(chapter: str | None = None) -> Progress:
    """Show what has been answered since Python was started.

    Parameters
    ----------
    chapter : str, optional
        The chapter's slug, for instance ``"ridge"``. Default: all chapters.

    Raises
    ------
    InputError
        No chapter of that name has exercises.
    """
    if not (chapter is None or (isinstance(chapter, str) and chapter in chapters())):
        raise refused("chapter-without-exercises", known=", ".join(chapters()), chapter=chapter)
    exercises = everything() if chapter is None else of_chapter(chapter)
    return Progress(tuple((e, *_seen.get(e.id, (0, False))) for e in exercises))
