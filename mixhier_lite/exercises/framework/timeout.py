"""Running somebody else's function with a time limit."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

SECONDS = 10.0
"""How long one call of an answer may take."""


class OutOfTime(BaseException):
    """The time is over. No ``except Exception`` in an answer catches it."""


def run(function: Callable[..., Any], args: tuple[Any, ...], seconds: float | None = None) -> Any:
    """Return ``function(*args)``, or raise :class:`OutOfTime`."""
    seconds = SECONDS if seconds is None else seconds
    main = threading.current_thread() is threading.main_thread()
    if hasattr(signal, "setitimer") and main:
        return _with_alarm(function, args, seconds)
    return _in_thread(function, args, seconds)


def _with_alarm(function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> Any:
    """Interrupt by a signal, and put back whatever alarm was set before."""

    def stop(signum: int, frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    start = time.monotonic()
    waiting, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if waiting:
            left = max(waiting - (time.monotonic() - start), 0.01)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> Any:
    """Stop waiting: where there is no alarm, the function itself cannot be stopped."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(function(*args))
        except BaseException as problem:
            failure.append(problem)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not result:
        raise OutOfTime
    return result[0]
