"""What the grader may do with processes: bound them, and end all that they have started.

None of it is a prison. A worksheet runs as the same user as the grader, and may do to that user's
files and processes whatever the user may.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LINUX = sys.platform == "linux"
PATIENCE = 5.0
"""Seconds until the grader no longer waits for killed processes to be gone."""
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


def own_session() -> dict[str, Any]:
    """Return the options of a process that gets no signal meant for this one, and none of its."""
    return {"start_new_session": True} if os.name == "posix" else {}


def bounded(megabytes: int) -> None:
    """Bound what this process may take: memory, the size of files, core dumps."""
    try:
        import resource
    except ModuleNotFoundError:  # not on this system
        return
    for what, most in (
        (resource.RLIMIT_AS, megabytes * 2**20),
        (resource.RLIMIT_FSIZE, 10 * 2**20),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # a system that knows the limit but does not keep it
            pass


def closed() -> None:
    """Close this process's memory and open files to other processes of the same user (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def nothing_left() -> Iterator[None]:
    """End, when the block is over, every process that was started in it (Linux).

    A process whose parent is gone becomes a child of this one, whatever session it has moved to;
    so all that is left of a block ends up here, one generation after the other.
    """
    before = _children()
    _adopt_orphans(True)
    try:
        yield
    finally:
        deadline = time.monotonic() + PATIENCE
        while (left := _children() - before) and time.monotonic() < deadline:
            for process in left:
                _end(process)
            time.sleep(0.01)
        _adopt_orphans(False)


def _adopt_orphans(on: bool) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def _children() -> set[int]:
    """Ids of the processes whose parent is this one."""
    own = os.getpid()
    found = set()
    for entry in Path("/proc").glob("[0-9]*") if LINUX else ():
        try:
            # pid (name) state parent ...: the name may hold spaces and brackets
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            parent = int(stat.rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):  # gone in the meantime
            continue
        if parent == own:
            found.add(int(entry.name))
    return found


def _end(process: int) -> None:
    """Kill a child, and take note of its death where it has died."""
    try:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, os.WNOHANG)
    except (ProcessLookupError, PermissionError, ChildProcessError):
        pass
