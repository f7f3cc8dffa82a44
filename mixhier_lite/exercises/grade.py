"""Grade a folder of returned worksheets: ``python -m mixhier_lite.exercises.grade FOLDER``."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from .grading.apart import grade_apart
from .grading.marks import Mark, asked
from .grading.processes import closed
from .grading.returned import Sheet, returned
from .grading.worksheet import Limits

MOST = 1_000_000
"""Seconds or megabytes, as no worksheet needs them."""
WIDEST = 60
"""Letters that the table keeps free for the exercises passed; who has more gets a longer line."""


def table(sheets: list[Sheet], marks: Iterable[Mark]) -> Iterator[str]:
    """Write the marks as lines of text, each as soon as it is known."""
    names = max(len("worksheet"), *(len(sheet.name) for sheet in sheets))
    ids = max(len(" ".join(asked(sheet))) for sheet in sheets)
    widths = names, len("passed"), min(max(len("exercises passed"), ids), WIDEST), 0

    def line(*cells: str) -> str:
        padded = (f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()

    yield line("worksheet", "passed", "exercises passed", "remark")
    for mark in marks:
        count = f"{len(mark.passed)} of {mark.asked}" if mark.asked else "-"
        yield line(mark.name, count, " ".join(mark.passed) or "-", mark.remark)


def graded(sheets: list[Sheet], limits: Limits) -> Iterator[Mark]:
    """Grade one worksheet after the other."""
    for sheet in sheets:
        try:
            yield grade_apart(sheet, limits)
        except Exception as problem:  # one worksheet is never the end of the others
            yield Mark(sheet.name, (), 0, f"could not be graded ({type(problem).__name__})")


def main(arguments: list[str] | None = None) -> int:
    """Grade a folder and print the table."""
    usual = Limits()
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}.grade", description="Grade a folder of returned worksheets."
    )
    parser.add_argument("folder", type=Path, help="where the returned notebooks lie")
    for name, kind, what in (
        ("seconds", float, "for one cell"),
        ("total", float, "seconds for a whole worksheet"),
        ("megabytes", int, "of memory"),
    ):
        default = getattr(usual, name)
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=f"{what} (default {default})"
        )
    given = parser.parse_args(arguments)
    for name in ("seconds", "total", "megabytes"):
        if not 0 < getattr(given, name) < MOST:
            parser.error(f"--{name} is to be above 0 and below {MOST}")
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    sheets = returned(given.folder)  # all are read before any of them runs
    if not sheets:
        print(f"There is no file in {given.folder}.")
        return 0
    limits = Limits(given.seconds, given.total, given.megabytes)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in table(sheets, graded(sheets, limits)):
        print(line.encode(encoding, "replace").decode(encoding), flush=True)
    return 0


if __name__ == "__main__":
    closed()
    sys.exit(main())
