"""The worksheets of a folder, read before any of them runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST = 50_000_000
"""Bytes of a worksheet, with its figures."""
WIDEST = 60
"""Letters of a name in the table."""
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
    paths = list(_files(folder))
    names = _names([path.relative_to(folder) for path in paths])
    return [sheet(path, name) for path, name in zip(paths, names, strict=True)]


def sheet(path: Path, name: str) -> Sheet:
    """Read one worksheet."""
    try:
        if path.stat().st_size > LARGEST:
            return Sheet(name, (), "not a notebook (too large)")
        notebook = json.loads(path.read_bytes())
        if isinstance(notebook, dict) and "worksheets" in notebook and "cells" not in notebook:
            return Sheet(name, (), "a notebook of before 2015: save it anew in Jupyter")
        cells = tuple(_cells(notebook))
    except OSError:
        return Sheet(name, (), "cannot be read (rights)")
    except (ValueError, TypeError, RecursionError, MemoryError):
        return Sheet(name, (), "not a notebook")
    if sum(map(len, cells)) > MOST_CODE:
        return Sheet(name, (), "not a worksheet (too much code)")
    return Sheet(name, cells)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        try:
            wanted = not hidden and not path.is_symlink() and path.is_file()
        except PermissionError:  # in a folder that may be listed but not entered
            wanted = True
        if wanted:
            yield path


def _names(paths: list[Path]) -> list[str]:
    """Name each worksheet by its path: with its ending, or a number, where two had one name."""
    names: list[str] = []
    shown = [_shown(path.with_suffix("")) for path in paths]
    for path, name in zip(paths, shown, strict=True):
        name = name if shown.count(name) == 1 else _shown(path)
        same = 1
        while (unique := name if same == 1 else f"{name} ({same})") in names:
            same += 1
        names.append(unique)
    return names


def _shown(path: Path) -> str:
    """A path as text that can be printed; where it is long, its middle is left out."""
    name = "".join(letter if letter.isprintable() else "?" for letter in str(path))
    return name if len(name) <= WIDEST else f"{name[: WIDEST // 2]}...{name[3 - WIDEST // 2 :]}"


def _cells(notebook: object) -> Iterator[str]:
    """Yield the source of each code cell."""
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("no list of cells")
    for cell in notebook["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield "".join(cell.get("source", ""))
