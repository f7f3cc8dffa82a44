"""From a worksheet to its mark, and from marks to a table.

Every worksheet runs in a process of its own, with limits of time and memory. Its answers come
back as data and are checked here, where nothing of the worksheet is run.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..framework.definition import Exercise
from ..framework.timeout import OutOfTime
from ..registry import everything, of_chapter
from ..session import judge
from .wire import unpack
from .worksheet import Gone, Worksheet

NOTEBOOK = 50_000_000
"""Bytes of a worksheet, with its figures."""


@dataclass(frozen=True)
class Mark:
    """What became of one worksheet."""

    name: str
    """Its path in the folder."""
    passed: tuple[str, ...]
    """Ids of the exercises passed."""
    asked: int
    """How many exercises the chapters of the worksheet have."""
    remark: str
    """Empty, or why it could not be run to its end."""


def collected(sheet: Worksheet, wanted: list[str], deadline: float) -> Iterator[Any]:
    """Yield messages until the worksheet has run, then how it ended, in words of our own."""
    try:
        sheet.say(wanted=wanted)
        while not (message := sheet.hear(deadline)).get("done"):
            if "refused" in message:
                yield {"ended": "not a notebook"}
                return
            yield message
    except OutOfTime:
        yield {"ended": "stopped: out of time"}
    except Gone:
        yield {"ended": "stopped: its process ended early"}
    else:
        words = {"failed": "failed", "late": "ran out of time", "full": "ran out of memory"}
        counts = ((message.get(key), words[key]) for key in words)
        yield {"ended": ", ".join(f"{count} cell{'s' * (count > 1)} {word}"
               for count, word in counts if type(count) is int and 0 < count < 9999)}  # fmt: skip


def passes(exercise: Exercise, sheet: Worksheet, parcel: Any) -> bool:
    """Check one answer here, in the grader's process."""
    name = exercise.variable

    def function(*args: Any) -> Any:
        return sheet.call(name, args)

    try:
        return judge(exercise, unpack(parcel, function)).right
    except KeyboardInterrupt:
        raise
    except BaseException:  # a parcel that cannot be read
        return False


def grade(path: Path, name: str, seconds: float, megabytes: int) -> Mark:
    """Run one worksheet and check its answers."""
    if path.stat().st_size > NOTEBOOK:
        return Mark(name, (), 0, "not a notebook (too large)")
    exercises = {exercise.variable: exercise for exercise in everything()}
    parcels: dict[str, Any] = {}
    held: list[str] = []
    remark = ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sheet = Worksheet(path, seconds, megabytes, folder)
        try:
            deadline = time.monotonic() + 3 * seconds
            for message in collected(sheet, list(exercises), deadline):
                variable = str(message.get("answer"))[:60]
                if variable in exercises:
                    parcels[variable] = message.get("value")
                held = message.get("names", held)
                remark = message.get("ended", "")
            right = [e.id for v, e in exercises.items()
                     if v in parcels and passes(e, sheet, parcels[v])]  # fmt: skip
        finally:
            sheet.kill()
    named = held if isinstance(held, list) else []
    chapters = {e.chapter for v, e in exercises.items() if v in named or v in parcels}
    asked = sum(len(of_chapter(slug)) for slug in chapters)
    return Mark(name, tuple(right), asked, remark)


def worksheets(folder: Path) -> Iterator[Path]:
    """List what was handed in: every file, also in folders, but nothing hidden."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_symlink() and path.is_file():
            yield path


def table(marks: list[Mark]) -> str:
    """Write the marks as text."""
    rows = [("worksheet", "passed", "exercises passed", "remark")]
    for mark in marks:
        count = f"{len(mark.passed)} of {mark.asked}" if mark.asked else "-"
        rows.append((mark.name, count, " ".join(mark.passed) or "-", mark.remark))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = ["  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
