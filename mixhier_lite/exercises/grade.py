"""Grade a folder of returned worksheets: ``python -m mixhier_lite.exercises.grade FOLDER``.

Every worksheet runs in a process of its own, with limits of time and memory. Its answers come
back as data and are checked here, where nothing of the worksheet is run.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exercises import desk, limit, shelf
from .exercise import Exercise
from .parcels import LARGEST, pack, unpack

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


class Gone(Exception):
    """The worksheet's process is no more."""


class Worksheet:
    """A worksheet in its own process, as the grader sees it."""

    def __init__(self, path: Path, seconds: float, megabytes: int, folder: str) -> None:
        command = [sys.executable, "-m", f"{__package__}.sandbox", str(path.resolve())]
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "LANG")}
        alone: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
        self.process = subprocess.Popen(
            [*command, str(seconds), str(megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={
                **kept,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "HOME": folder,
                "IPYTHONDIR": folder,
                "MPLCONFIGDIR": folder,
                "MPLBACKEND": "agg",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            **alone,
        )
        self.calls, self.ended = 0, False
        self.messages: queue.Queue[Any] = queue.Queue(maxsize=20)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Read what the process says, line by line, up to a length."""
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            while (line := pipe.readline(LARGEST + 2)) and not self.ended:
                try:
                    message = json.loads(line) if line.endswith(b"\n") else None
                except (ValueError, RecursionError):
                    message = None
                self._queue(message if isinstance(message, dict) else {})
        self._queue(None)

    def _queue(self, message: Any) -> None:
        """Put a message into the queue when there is room, or drop it when all is over."""
        while not self.ended:
            try:
                return self.messages.put(message, timeout=0.2)
            except queue.Full:
                pass

    def say(self, **message: Any) -> None:
        """Send one message."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Gone from None

    def hear(self, deadline: float) -> Any:
        """Wait for the next message until the deadline."""
        if self.ended:
            raise Gone
        left = deadline - time.monotonic()
        try:
            if left < 0:  # also for a process that never stops talking
                raise queue.Empty
            message = self.messages.get(timeout=left)
        except queue.Empty:
            self.kill()
            raise limit.OutOfTime from None
        if message is None:
            raise Gone
        return message

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Have a function of the worksheet called, and return what it returns."""
        self.calls += 1
        number, seconds = self.calls, limit.SECONDS / 2
        self.say(call=number, name=name, args=pack(args), seconds=seconds)
        deadline = time.monotonic() + 1.5 * seconds
        while (reply := self.hear(deadline)).get("reply") != number:
            pass
        if reply.get("late"):
            raise limit.OutOfTime
        if "error" in reply:
            kind = type(str(reply["error"])[:60], (RuntimeError,), {})
            raise kind(str(reply.get("text"))[:200])
        if reply.get("args"):
            for mine, theirs in zip(args, unpack(reply["args"]), strict=True):
                if hasattr(mine, "shape") and mine.shape == getattr(theirs, "shape", None):
                    mine[...] = theirs  # so that the check sees that an input was changed
        return unpack(reply["value"])

    def kill(self) -> None:
        """End the process and what it has started."""
        if self.ended:
            return
        self.ended = True
        if os.name == "posix":
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except OSError:  # it still held a message
                pass


def collected(sheet: Worksheet, wanted: list[str], deadline: float) -> Iterator[Any]:
    """Yield messages until the worksheet has run, then how it ended, in words of our own."""
    try:
        sheet.say(wanted=wanted)
        while not (message := sheet.hear(deadline)).get("done"):
            if "refused" in message:
                yield {"ended": "not a notebook"}
                return
            yield message
    except limit.OutOfTime:
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
        return desk.judge(exercise, unpack(parcel, function)).right
    except KeyboardInterrupt:
        raise
    except BaseException:  # a parcel that cannot be read
        return False


def grade(path: Path, name: str, seconds: float, megabytes: int) -> Mark:
    """Run one worksheet and check its answers."""
    if path.stat().st_size > NOTEBOOK:
        return Mark(name, (), 0, "not a notebook (too large)")
    exercises = {exercise.variable: exercise for exercise in shelf.everything()}
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
    asked = sum(len(shelf.of_chapter(slug)) for slug in chapters)
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


def main(arguments: list[str] | None = None) -> int:
    """Grade a folder and print the table."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}.grade", description="Grade a folder of returned worksheets."
    )
    parser.add_argument("folder", type=Path, help="where the returned notebooks lie")
    parser.add_argument("--seconds", type=float, default=30, help="for one cell (default 30)")
    parser.add_argument("--megabytes", type=int, default=2000, help="of memory (default 2000)")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    shelf.everything()  # all truths are loaded before any worksheet runs
    marks = []
    for path in worksheets(given.folder):
        name = str(path.relative_to(given.folder).with_suffix(""))
        name = "".join(c if c.isprintable() else "?" for c in name)[:60]
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            mark = grade(path, name, given.seconds, given.megabytes)
        except Exception as problem:  # one worksheet is never the end of the others
            mark = Mark(name, (), 0, f"could not be graded ({type(problem).__name__})")
        marks.append(mark)
    print(table(marks) if marks else f"There is no file in {given.folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
