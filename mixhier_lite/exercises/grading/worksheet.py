"""A worksheet in a process of its own, as the grader sees it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..framework.timeout import SECONDS, OutOfTime
from .wire import LARGEST, pack, unpack


class Gone(Exception):
    """The worksheet's process is no more."""


class Worksheet:
    """A worksheet in its own process, as the grader sees it."""

    def __init__(self, path: Path, seconds: float, megabytes: int, folder: str) -> None:
        command = [sys.executable, "-m", f"{__package__}.sandbox", str(path.resolve())]
        paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
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
            raise OutOfTime from None
        if message is None:
            raise Gone
        return message

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Have a function of the worksheet called, and return what it returns."""
        self.calls += 1
        number, seconds = self.calls, SECONDS / 2
        self.say(call=number, name=name, args=pack(args), seconds=seconds)
        deadline = time.monotonic() + 1.5 * seconds
        while (reply := self.hear(deadline)).get("reply") != number:
            pass
        if reply.get("late"):
            raise OutOfTime
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
