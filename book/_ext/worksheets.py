"""Write a worksheet for each chapter: ``python book/_ext/worksheets.py [folder]``.

A worksheet is a notebook with the exercises of ``book/exercises``, a cell for each answer, and
no solution. It needs nothing but ``pip install '.[exercises]'``.
"""

import re
import sys
from pathlib import Path

import nbformat
import theorems
from exercise_pages import statements
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pages import ROOT, pages
from words import ROLE

from mixhier_lite.exercises import registry
from mixhier_lite.exercises.framework.forms import Function

BLOCK = re.compile(r"^```python\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
TOP = """# Worksheet: {slug}

Name:

Write your answers in place of the dots, and keep the names of the variables: whoever grades \
this notebook looks for them. `check` says whether an answer is right, or names the mistake that \
it looks like. You may try as often as you like."""

FIRST = "import numpy as np\nfrom mixhier_lite.exercises import check, progress"


def plain(text):
    """Say in words what a notebook outside of the book cannot link to."""
    titles = {result.label: result.title for result in theorems.results()}

    def word(match):
        role = match["role"]
        target = match["target"] or match["bare"]
        if role == "term":
            return match["text"] or match["bare"]
        if role == "doc":
            return f"chapter *{match['text'] or target.rpartition('-')[2]}*"
        if role == "prf:ref" and target in titles:
            return f"the theorem “{titles[target]}”"
        raise ValueError(f"a worksheet cannot show {match[0]}")

    return ROLE.sub(word, text)


def empty(exercise):
    """Write the cell that waits for an answer."""
    if isinstance(exercise.form, Function):
        arguments = exercise.form.call.partition("(")[2]
        return f"def {exercise.variable}({arguments}:\n    ..."
    return f"{exercise.variable} = ..."


def worksheet(page):
    """Make the worksheet of one chapter."""
    slug = page.stem.split("-", 1)[1]
    cells = [new_markdown_cell(TOP.format(slug=slug)), new_code_cell(FIRST)]
    for number, statement in enumerate(statements(page), start=1):
        exercise = registry.find(statement["id"])
        head = (
            f"## {number}. {exercise.title}\n\n`{exercise.id}` · *{exercise.level} · "
            f"{exercise.kind} · answer: {statement['asks']}*\n\n"
        )
        cells.append(new_markdown_cell(head + plain(BLOCK.sub("", statement["text"])).strip()))
        cells += [new_code_cell(block) for block in BLOCK.findall(statement["text"])]
        cells += [new_code_cell(empty(exercise)),
                  new_code_cell(f'check("{exercise.id}", {exercise.variable})')]  # fmt: skip
    cells.append(new_code_cell(f'progress("{slug}")'))
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k:03d}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def main(folder):
    """Write all worksheets."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in pages("book/exercises"):
        nbformat.write(worksheet(page), folder / f"{page.stem}.ipynb")
        print(folder / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "worksheets")
