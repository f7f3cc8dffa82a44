"""Grade a folder of returned worksheets: ``python -m mixhier_lite.exercises.grade FOLDER``."""

import argparse
import sys
from pathlib import Path

from .grading.marks import Mark, grade, table, worksheets
from .registry import everything


def main(arguments: list[str] | None = None) -> int:
    """Grade a folder and print the table."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}.grade", description="Grade a folder of returned worksheets."
    )
    parser.add_argument("folder", type=Path, help="where the returned notebooks lie")
    parser.add_argument("--seconds", type=float, default=30, help="for one cell (default 30)")
    parser.add_argument("--megabytes", type=int, default=2000, help="of memory (default 2000)")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    everything()  # all truths are loaded before any worksheet runs
    marks = []
    for path in worksheets(given.folder):
        name = str(path.relative_to(given.folder).with_suffix(""))
        name = "".join(c if c.isprintable() else "?" for c in name)[:60]
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            mark = grade(path, name, given.seconds, given.megabytes)
        except Exception as problem:  # one worksheet is never the end of the others
            mark = Mark(name, (), 0, f"could not be graded ({type(problem).__name__})")
        marks.append(mark)
    print(table(marks) if marks else f"There is no file in {given.folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
