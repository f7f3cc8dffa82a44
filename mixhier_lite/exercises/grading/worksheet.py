"""A worksheet in a process of its own, as the grader sees it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..framework.timeout import SECONDS, OutOfTime
from .processes import own_session
from .wire import LARGEST, pack, received


@dataclass(frozen=True)
class Limits:
    """What a worksheet may take."""

    seconds: float = 30
    """For one cell."""
    total: float = 180
    """Seconds for the whole worksheet, the calls of its functions included."""
    megabytes: int = 2000
    """Of memory."""


class Gone(Exception):
    """The worksheet's process is no more."""


class Worksheet:
    """A worksheet in its own process, as the grader sees it."""

    def __init__(self, limits: Limits, folder: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.sandbox",
             str(limits.seconds), str(limits.megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            **own_session(),
        )  # fmt: skip
        self.deadline = time.monotonic() + limits.total
        self.calls = 0
        self.ended = False
        self.late = False
        self.lines: queue.Queue[bytes] = queue.Queue(maxsize=20)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Read what the process says, line by line, up to a length."""
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            while (line := pipe.readline(LARGEST + 2)) and not self.ended:
                self._queue(line)
        self._queue(b"")

    def _queue(self, line: bytes) -> None:
        """Put a line into the queue when there is room, or drop it when all is over."""
        while not self.ended:
            try:
                return self.lines.put(line, timeout=0.2)
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

    def hear(self, seconds: float) -> dict[str, Any]:
        """Wait so many seconds for the next message, while the worksheet has time at all."""
        if self.ended:
            raise Gone
        left = min(seconds, self.deadline - time.monotonic())
        try:
            if left < 0:  # also for a process that never stops talking
                raise queue.Empty
            line = self.lines.get(timeout=left)
        except queue.Empty:
            self.late = True
            self.kill()
            raise OutOfTime from None
        if not line:
            raise Gone
        try:
            message = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            message = None
        return message if isinstance(message, dict) else {}

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Have a function of the worksheet called, and return what it returns."""
        self.calls += 1
        number = self.calls
        seconds = SECONDS / 2
        self.say(call=number, name=name, args=pack(args), seconds=seconds)
        until = time.monotonic() + 1.5 * seconds
        while (reply := self.hear(until - time.monotonic())).get("reply") != number:
            pass
        if reply.get("late"):
            raise OutOfTime
        if "error" in reply:
            kind = type(str(reply["error"])[:60], (RuntimeError,), {})
            raise kind(str(reply.get("text"))[:200])
        if reply.get("args"):
            for mine, theirs in zip(args, received(reply["args"]), strict=True):
                if hasattr(mine, "shape") and mine.shape == getattr(theirs, "shape", None):
                    mine[...] = theirs  # so that the check sees that an input was changed
        return received(reply["value"])

    def kill(self) -> None:
        """End the process and what it has started in its session."""
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


def _environment(folder: str) -> dict[str, str]:
    """Return the variables that a worksheet sees."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "LANG")}
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HOME": folder,
        "IPYTHONDIR": folder,
        "MPLCONFIGDIR": folder,
        "MPLBACKEND": "agg",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
