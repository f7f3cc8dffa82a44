"""The worksheets of a folder, read before any of them runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST = 50_000_000
"""Bytes of a worksheet, with its figures."""
MOST_CODE = 1_000_000
"""Letters in its code cells."""


@dataclass(frozen=True)
class Sheet:
    """One worksheet, in the grader's memory: no other worksheet can change it any more."""

    name: str
    """Its path in the folder."""
    cells: tuple[str, ...]
    """Its code cells, without their outputs."""
    remark: str = ""
    """Empty, or why there is nothing to run."""


def returned(folder: Path) -> list[Sheet]:
    """Read what was handed in: every file, also in folders, but nothing hidden."""
    return [sheet(path, _name(path.relative_to(folder))) for path in _files(folder)]


def sheet(path: Path, name: str) -> Sheet:
    """Read one worksheet."""
    try:
        if path.stat().st_size > LARGEST:
            return Sheet(name, (), "not a notebook (too large)")
        cells = tuple(_cells(json.loads(path.read_bytes())))
    except (OSError, ValueError, TypeError, RecursionError, MemoryError):
        return Sheet(name, (), "not a notebook")
    if sum(map(len, cells)) > MOST_CODE:
        return Sheet(name, (), "not a worksheet (too much code)")
    return Sheet(name, cells)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_symlink() and path.is_file():
            yield path


def _name(path: Path) -> str:
    name = str(path.with_suffix(""))
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:60]


def _cells(notebook: object) -> Iterator[str]:
    """Yield the source of each code cell."""
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("no list of cells")
    for cell in notebook["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield "".join(cell.get("source", ""))
