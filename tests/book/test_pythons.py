"""Every place that says which Pythons the project runs on says the same."""

import re
import tomllib

import pytest
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTED = [
    tuple(map(int, found.groups()))
    for kind in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (\d+)\.(\d+)", kind))
]
FIRST, LAST = LISTED[0], LISTED[-1]
IN_WORDS = "Python {}.{} to {}.{}".format(*FIRST, *LAST)


def test_no_python_is_left_out():
    assert LISTED == [(3, minor) for minor in range(FIRST[1], LAST[1] + 1)]


def test_installers_linters_and_type_checkers_hold_to_the_first():
    number = "{}.{}".format(*FIRST)
    assert PROJECT["project"]["requires-python"] == f">={number}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{number.replace('.', '')}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "book/index.md"])
def test_pages_say_it(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert IN_WORDS in text


def test_make_takes_exactly_these():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"{FIRST} <= v <= {LAST}" in makefile and IN_WORDS in makefile
