"""CPU seconds of several sides, in turns, and the memory of one."""

import os
import random
import statistics
import subprocess
import sys
import time


def spent():
    """CPU seconds of this process and of the children that it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def in_turns(sides, repetitions, patience=30.0):
    """Median CPU seconds of each side, {name: seconds}; a side is callable and is warmed up once.

    A side that returns a float has measured itself (a program in another process). Each
    repetition runs every side once, in another order, for a side finds the caches as the one
    before has left them; one that has used up ``patience`` seconds sits out.
    """
    seconds, shuffled = {name: [] for name in sides}, random.Random(1)
    for repetition in range(repetitions + 1):
        for name, run in shuffled.sample(list(sides.items()), len(sides)):
            if sum(seconds[name]) > patience:
                continue
            before = spent()
            own = run()
            used = own if isinstance(own, float) else spent() - before
            if repetition > 0 or used > patience / 2:  # the first is a warm-up
                seconds[name].append(used)
    return {name: statistics.median(values) for name, values in seconds.items()}


def whole_process(command, **options):
    """CPU seconds of a command from start to end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return usage.ru_utime + usage.ru_stime


def megabytes(field):
    """A line of the system's account of this process, in MB; None where there is none."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1e3
    except (OSError, StopIteration):
        return None


def memory_above_the_data(name, verb="fit"):
    """Memory above what a new process held with its data, in MB: at the peak, and afterwards.

    With the size of the data frame, and None where the system does not say.
    """
    code = f"""
import clock, work
job = work.{name}()
job.frame if "{verb}" == "fit_frame" else None
held = clock.megabytes("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
found = job.{verb}()
size = job.frame.memory_usage(deep=True).sum() / 1e6 if "{verb}" == "fit_frame" else 0
print(clock.megabytes("VmHWM") - held, clock.megabytes("VmRSS") - held, size)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        encoding="utf-8",
    )
    return [float(number) for number in run.stdout.split()] if run.returncode == 0 else None
