"""W8b: ten million ratings, on all cores, as a person would run it; no other program is tried."""

import os
import subprocess
import sys

SECONDS, GIGABYTES = 100, 4.0
CODE = """
import time, clock, work
job = work.many_ratings()
print(job.what)
held, wall, cpu = clock.megabytes("VmRSS"), time.perf_counter(), clock.spent()
found = job.fit()
wall, cpu = time.perf_counter() - wall, clock.spent() - cpu
print(held / 1e3, clock.megabytes("VmHWM") / 1e3, wall, cpu)
print(found.criterion, *found.theta)
print(found.certificate)
"""


def lines():
    """Fit in a process of its own; tell seconds, memory, and that it is a minimum."""
    cores = os.cpu_count() or 1
    every = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=os.path.dirname(__file__),
        env=every,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    what, numbers, criterion, certificate = run.stdout.splitlines()
    held, peak, wall, cpu = map(float, numbers.split())
    return [
        f"W8b  {what}",
        f"      fit: {wall:.0f} s on {cores} cores, to reach {SECONDS}; {cpu:.0f} CPU s",
        f"      peak memory {peak:.1f} GB, to reach {GIGABYTES:.0f}; the data are {held:.1f} of it",
        f"      criterion and theta {criterion}",
        f"      {certificate}",
    ]
