"""Write the four groups of the book as tables: programs outside Python see the same numbers.

Run in this folder: ``python data.py``. A test compares the tables with ``datasets.four_groups``.
"""

from pathlib import Path

import numpy as np

from mixhier_lite import datasets

HERE = Path(__file__).parent
TABLES = {"four_groups": (1, 30), "few_rows": (5, 5)}  # seed, rows in each group


def table(seed: int, rows: int) -> str:
    """Rows of y, x, group with 17 significant digits; group j of the text is "j"."""
    g = datasets.four_groups(np.random.default_rng(seed), rows)
    lines = [
        f"{y!r},{x!r},{j + 1}"
        for y, x, j in zip(*map(np.ndarray.tolist, (g.y, g.x, g.groups)), strict=True)
    ]
    return "\n".join(["y,x,group", *lines, ""])


if __name__ == "__main__":
    for name, how in TABLES.items():
        (HERE / f"{name}.csv").write_text(table(*how), encoding="utf-8", newline="\n")
