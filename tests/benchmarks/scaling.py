"""Time against rows, groups, columns and terms: ``scaling``, written as scaling.json.

Of one pass, the fit after the pass, and the whole fit.
"""

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


def measured(rows, levels, repetitions, columns=P):
    """CPU seconds of the three, for one data set."""
    job = work.random_intercept("scaling", "", rows, levels, columns, 14)
    gram = Gram.from_arrays(job.y, job.X, Term(job.codes[0]))
    sides = {"pass": lambda: limit.one_pass(job), "after": lambda: fit(gram), "fit": job.fit}
    seconds = clock.in_turns({k: _silent(run) for k, run in sides.items()}, repetitions)
    sizes = len(np.unique(np.bincount(job.codes[0])))
    return {"rows": rows, "levels": levels, "columns": columns, "sizes": sizes} | {
        k: float(f"{s:.4g}") for k, s in seconds.items()
    }


def by_terms(terms, levels, rows=10**5):
    """CPU seconds of a whole fit with several crossed terms of as many levels each."""
    rng = np.random.default_rng(15)
    codes = [rng.integers(0, levels, rows) for _ in range(terms)]
    y = rng.normal(size=rows)
    for g in codes:
        y += rng.normal(size=levels)[g]
    X, each = np.ones((rows, 1)), [Term(g, levels=np.arange(levels)) for g in codes]
    seconds = clock.in_turns({"fit": _silent(lambda: fit(y, X, each))}, 3)
    return {"rows": rows, "levels": levels, "terms": terms, "fit": float(f"{seconds['fit']:.4g}")}


def slope(points, against):
    """The slope of log seconds of a fit against a log, by least squares over all points."""
    x = np.log([point[against] for point in points])
    return float(np.polyfit(x, np.log([point["fit"] for point in points]), 1)[0])


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
    groups = [measured(10**6, 10**k, 5) for k in range(1, 6)]
    columns = [measured(10**5, 1000, 5, columns) for columns in (2, 4, 8, 16, 32, 64)]
    terms = [by_terms(terms, 100) for terms in (1, 2, 3, 4, 6)]
    for name, some, against in (
        ("groups", groups, "levels"), ("columns", columns, "columns"), ("terms", terms, "terms"),
    ):  # fmt: skip
        print(f"{name}: slope {slope(some, against):.2f}", *some, sep="\n", flush=True)
    about = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "unit": "CPU seconds, one thread, median of repetitions in turns",
        "columns": P,
        "bytes_per_row": 8 * (P + 2),
    }
    lists = {"points": points, "by_groups": groups, "by_columns": columns, "by_terms": terms}
    parts = [
        f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, some)) + "\n ]"
        for name, some in lists.items()
    ]
    head = json.dumps(about, indent=1).removesuffix("\n}")
    text = head + ",\n" + ",\n".join(parts) + "\n}\n"
    FILE.write_text(text, encoding="utf-8", newline="\n")
