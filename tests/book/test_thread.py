"""The thread of Part I: six numbers that come back in chapter after chapter under other names."""

import re

import nbformat
import numpy as np
import pytest
from conftest import ROOT
from scipy.optimize import minimize

from mixhier_lite.datasets import mice

BOOK = ROOT / "book"
NAMES = {
    "02-mixed": ["BLUP"],
    "03-henderson": ["Henderson"],
    "04-hierarchical": ["posterior mean, s = 1000"],
    "05-flat": ["flat-prior posterior mean"],
    "06-ridge": ["X = [1, age], by Ridge", "kernel ridge", "Gaussian process", "universal kriging"],
    "07-equivalence": [
        "BLUP",
        "Henderson",
        "posterior mean, s = 1000",
        "flat-prior posterior mean",
        "ridge coefficient",
        "universal kriging",
        "shrunken mean",
    ],
}
"""How the lines begin that print the six numbers, chapter by chapter."""
PLACES = [(chapter, name) for chapter, names in NAMES.items() for name in names]


def six_numbers():
    """The six numbers to three digits, found by an optimiser that is told the density only."""
    data = mice()
    row = np.array(data.strain) + 1  # strain j is entry j + 1 of (alpha, beta)

    def minus_log_density(c):
        e = data.y - c[0] - c[1] * (data.age - 9) - c[row]
        return e @ e / (2 * 6) + c[2:] @ c[2:] / (2 * 4)

    found = minimize(minus_log_density, np.zeros(8), method="BFGS", options={"gtol": 1e-7})
    return [f"{number:.3f}" for number in found.x[2:]]


def printed(notebook):
    """Lines of six numbers with three digits in the outputs of a notebook: (name, numbers)."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for line in output.get("text", "").splitlines():
                found = re.fullmatch(r"(.*\S) +\[((?: *-?\d+\.\d{3}){6})\]", line)
                if found:
                    yield found[1], found[2].split()


def where_it_breaks(notebook, name, numbers):
    """Say what is wrong with the line of that name; '' if its first one holds the numbers."""
    lines = [row for start, row in printed(notebook) if start == name]
    if not lines:
        return f"no line {name!r}"
    return "" if lines[0] == numbers else f"{name}: {lines[0]}, not {numbers}"


@pytest.fixture(scope="module")
def numbers():
    return six_numbers()


@pytest.mark.parametrize(("chapter", "name"), PLACES)
def test_the_six_numbers_come_back(chapter, name, numbers):
    notebook = nbformat.read(BOOK / f"{chapter}.ipynb", 4)
    assert where_it_breaks(notebook, name, numbers) == ""


@pytest.mark.parametrize(("chapter", "name"), PLACES)
def test_one_changed_digit_is_noticed(chapter, name, numbers):
    notebook = nbformat.read(BOOK / f"{chapter}.ipynb", 4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = output["text"].replace(numbers[0], numbers[0][:-1] + "7")
    assert where_it_breaks(notebook, name, numbers).startswith(f"{name}: ")


def test_one_draw_and_every_chapter_says_where_the_numbers_were():
    """Each chapter takes the mice from one place, and leads back to where the thread begins."""
    for chapter in NAMES:
        text = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
        assert text.count("from mixhier_lite.datasets import mice\n") == 1, chapter
        assert "default_rng(181)" not in text
        begins = chapter == "02-mixed"
        assert ("(six-numbers)=\n" in text) == begins, chapter
        assert ("<six-numbers>`" in text) != begins, chapter
