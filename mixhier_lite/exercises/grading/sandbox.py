"""The child process of the grader: runs one worksheet and hands its answers out as data.

``python -m mixhier_lite.exercises.grading.sandbox SECONDS MEGABYTES``, spoken to over its standard
input and output, a line of JSON a message. It knows no truth and judges nothing.
"""

import copy
import json
import os
import sys
from types import ModuleType
from typing import Any

from ..framework.timeout import OutOfTime, run
from ..framework.verdict import Verdict
from .processes import bounded
from .wire import LARGEST, pack, unpack


def without_truths() -> None:
    """Put an empty module in the place of the exercises: the grader checks, not this process."""
    package = "mixhier_lite.exercises"
    empty = ModuleType(package)
    empty.__dict__.update(
        __path__=[],
        Verdict=Verdict,
        check=lambda id, answer: Verdict(False, "answers are checked when the folder is graded."),
        progress=lambda chapter=None: None,
    )
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]
    sys.modules[package] = empty
    parent = sys.modules[package.rpartition(".")[0]]
    parent.exercises = empty  # type: ignore[attr-defined]


class Line:
    """The line to the grader."""

    def __init__(self) -> None:
        self.into = os.fdopen(os.dup(0), "rb")
        self.out = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # what a worksheet prints or asks for goes nowhere
            os.dup2(nothing, number)

    def say(self, **message: Any) -> None:
        """Send one message, or say that its value is too large, or nothing that JSON has."""
        try:
            line = json.dumps(message).encode()
        except (ValueError, TypeError, RecursionError):  # a whole number of 5000 digits
            line = _without(message, "unreadable object")
        if len(line) > LARGEST:
            line = _without(message, "large object")
        self.out.write(line[:LARGEST] + b"\n")
        self.out.flush()

    def hear(self) -> Any:
        """Wait for one message; None where the grader has hung up."""
        line = self.into.readline()
        return json.loads(line) if line else None


def _without(message: dict[str, Any], why: str) -> bytes:
    return json.dumps({**message, "value": {"other": why}, "args": None}).encode()


def run_cells(cells: list[str], wanted: list[str], seconds: float, line: Line) -> dict[str, Any]:
    """Run the cells one by one, go on after a failure, and send answers as they appear."""
    failures: list[str] = []
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        """IPython without a window: magics such as %matplotlib do no harm."""

        def enable_gui(self, gui: Any = None) -> None:
            """There is none."""

        def showtraceback(self, *args: Any, **options: Any) -> None:
            """Nobody reads it, and making it takes time and memory."""

    shell = Shell.instance()
    shell.history_manager.enabled = False  # type: ignore[union-attr]
    names: dict[str, Any] = shell.user_ns
    sent: dict[str, Any] = {}
    for source in cells:
        try:
            result = run(shell.run_cell, (source,), seconds)
            problem = result.error_before_exec or result.error_in_exec
        except BaseException as stopped:  # out of time, out of memory: the next cell may still do
            problem = stopped
        failures += [type(problem).__name__] if problem else []
        for name in wanted:
            if name in names and (name not in sent or sent[name] is not names[name]):
                send(line, name, names[name])
                sent[name] = names[name]
    for name in sent:  # once more: an array may have been filled since
        if name in names:
            send(line, name, names[name])
    late = failures.count("OutOfTime")
    full = failures.count("MemoryError")
    line.say(done=True, late=late, full=full, failed=len(failures) - late - full)
    return names


def send(line: Line, name: str, value: Any) -> None:
    """Send one answer."""
    try:
        parcel = pack(value)
    except BaseException:
        parcel = {"other": "unreadable object"}
    line.say(answer=name, value=parcel)


def answer_calls(names: dict[str, Any], line: Line) -> None:
    """Call the functions of the worksheet with the inputs that the grader sends."""
    while (call := line.hear()) is not None:
        number = call["call"]
        seconds = call["seconds"]
        try:
            args = unpack(call["args"])
            before = copy.deepcopy(args)
            result = run(names[call["name"]], args, seconds)
            changed = None if pack(before) == pack(args) else pack(args)
            line.say(reply=number, value=pack(result), args=changed)
        except OutOfTime:
            line.say(reply=number, late=True)
        except BaseException as problem:
            line.say(reply=number, error=type(problem).__name__, text=str(problem)[:200])


def main(seconds: float, megabytes: int) -> None:
    """Run one worksheet."""
    line = Line()
    order = line.hear()
    bounded(megabytes)
    without_truths()
    answer_calls(run_cells(order["cells"], order["wanted"], seconds, line), line)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
