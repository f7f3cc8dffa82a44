"""Grade one worksheet in a process of its own, between the table of marks and the worksheet.

A worksheet that kills its parent, or whose answers fill the memory of who reads them, costs its
own mark and no other.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .marks import Mark, asked, grade
from .processes import bounded, closed, nothing_left, own_session
from .returned import Sheet
from .worksheet import Limits

GRACE = 60.0
"""Seconds for what is not the worksheet's: starting, computing the truths, comparing."""
OWN = 2000
"""Megabytes for the same."""


def grade_apart(sheet: Sheet, limits: Limits) -> Mark:
    """Have a worksheet graded, and end all that it has left running."""
    if sheet.remark:
        return Mark(sheet.name, (), 0, sheet.remark)
    order = json.dumps({"sheet": asdict(sheet), "limits": asdict(limits)}).encode()
    ended = "stopped: its process ended early"
    with nothing_left(), _grader() as process:
        try:
            said, _ = process.communicate(order, timeout=limits.total + GRACE)
        except subprocess.TimeoutExpired:
            _kill(process)
            said, _ = process.communicate()
            ended = "stopped: out of time"
        finally:
            _kill(process)
    messages: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    passed = tuple(message["passed"] for message in messages if "passed" in message)
    if messages and "remark" in messages[-1]:
        return Mark(sheet.name, passed, messages[-1]["asked"], messages[-1]["remark"])
    return Mark(sheet.name, passed, len(asked(sheet)), ended)


def _grader() -> "subprocess.Popen[bytes]":
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    more = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **more},
        **own_session(),
    )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    """Read a worksheet and its limits, grade it, and say what is right as soon as it is known."""
    closed()
    order = json.load(sys.stdin.buffer)
    sheet = Sheet(order["sheet"]["name"], tuple(order["sheet"]["cells"]))
    limits = Limits(**order["limits"])
    bounded(limits.megabytes + OWN)
    mark = grade(sheet, limits, tell=lambda id: _say(passed=id))
    _say(asked=mark.asked, remark=mark.remark)


if __name__ == "__main__":
    main()
