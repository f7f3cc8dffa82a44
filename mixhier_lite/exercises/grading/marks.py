"""From a worksheet to its mark.

The worksheet runs in a process of its own, with limits of time and memory. Its answers come back
as data and are checked here, where nothing of the worksheet is run.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..framework.definition import Exercise
from ..framework.timeout import OutOfTime
from ..registry import everything
from ..session import judge
from .processes import nothing_left
from .returned import Sheet
from .wire import received
from .worksheet import Gone, Limits, Worksheet


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


def grade(sheet: Sheet, limits: Limits, tell: Callable[[str], None] = lambda id: None) -> Mark:
    """Run one worksheet and check its answers; ``tell`` hears of each that is right at once."""
    if sheet.remark:
        return Mark(sheet.name, (), 0, sheet.remark)
    exercises = {exercise.variable: exercise for exercise in everything()}
    parcels: dict[str, Any] = {}
    right = []
    remark = ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, nothing_left():
        worksheet = Worksheet(limits, folder)
        try:
            for message in collected(worksheet, sheet.cells, list(exercises)):
                variable = str(message.get("answer"))[:60]
                if variable in exercises:
                    parcels[variable] = message.get("value")
                remark = message.get("ended", "")
            for variable, exercise in exercises.items():
                if variable in parcels and passes(exercise, worksheet, parcels[variable]):
                    right.append(exercise.id)
                    tell(exercise.id)
        finally:
            worksheet.kill()
    if worksheet.late:
        remark = "stopped: out of time"
    return Mark(sheet.name, tuple(right), len(asked(sheet, parcels)), remark)


def asked(sheet: Sheet, found: Iterable[str] = ()) -> list[str]:
    """Ids of the exercises of every chapter from which the worksheet names one."""
    names = {*re.findall(r"\w+", "\n".join(sheet.cells)), *found}
    named = {exercise.chapter for exercise in everything() if exercise.variable in names}
    return [exercise.id for exercise in everything() if exercise.chapter in named]


def collected(
    worksheet: Worksheet, cells: tuple[str, ...], wanted: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield messages until the worksheet has run, then how it ended, in words of our own."""
    try:
        worksheet.say(wanted=wanted, cells=cells)
        while not (message := worksheet.hear(worksheet.deadline)).get("done"):
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


def passes(exercise: Exercise, worksheet: Worksheet, parcel: Any) -> bool:
    """Check one answer here, in the grader's process."""
    name = exercise.variable

    def function(*args: Any) -> Any:
        return worksheet.call(name, args)

    try:
        return judge(exercise, received(parcel, function)).right
    except KeyboardInterrupt:
        raise
    except BaseException:  # a parcel that cannot be read
        return False
