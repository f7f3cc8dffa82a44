"""Time against rows: one pass, the fit after the pass, the whole fit; written as scaling.json."""

import datetime
import json
import os
import platform
from pathlib import Path

import clock
import limit
import numpy as np
import work

from mixhier_lite import Gram, Term, fit

FILE = Path(__file__).parents[2] / "mixhier_lite" / "datasets" / "scaling.json"
ROWS = [10**k for k in range(3, 8)]
P = 5


def machine():
    """What the numbers were measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def measured(rows, levels, repetitions):
    """CPU seconds of the three, for one data set."""
    job = work.random_intercept("scaling", "", rows, levels, P, 14)
    gram = Gram.from_arrays(job.y, job.X, Term(job.codes[0]))
    sides = {"pass": lambda: limit.one_pass(job), "after": lambda: fit(gram), "fit": job.fit}
    seconds = clock.in_turns({k: _silent(run) for k, run in sides.items()}, repetitions)
    sizes = len(np.unique(np.bincount(job.codes[0])))
    return {"rows": rows, "levels": levels, "sizes": sizes} | {
        k: float(f"{s:.4g}") for k, s in seconds.items()
    }


def _silent(run):
    def silent():
        run()

    return silent


def write():
    """Measure with a hundred levels, and with a level for every hundred rows."""
    points = []
    for rows in ROWS:
        for levels in sorted({100, max(rows // 100, 10)}):
            points.append(measured(rows, levels, 21 if rows < 10**6 else 5 if rows < 10**7 else 3))
            print(points[-1], flush=True)
    about = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "unit": "CPU seconds, one thread, median of repetitions in turns",
        "columns": P,
        "bytes_per_row": 8 * (P + 2),
    }
    rows = ",\n  ".join(map(json.dumps, points))
    head = json.dumps(about, indent=1).removesuffix("\n}")
    text = f'{head},\n "points": [\n  {rows}\n ]\n}}\n'
    FILE.write_text(text, encoding="utf-8", newline="\n")
