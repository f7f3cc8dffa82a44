"""Worksheets for a class: all exercises, no solution, and they run as they are."""

import re

import nbformat
import pages
import pytest
import worksheets
from conftest import ROOT

from mixhier_lite.exercises import grade, registry
from mixhier_lite.exercises.grading import marks
from mixhier_lite.exercises.grading.returned import Sheet, sheet
from mixhier_lite.exercises.grading.worksheet import Limits

PAGES = pages.pages("book/exercises")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@each_page
@pytest.mark.slow
def test_a_worksheet_has_every_exercise_and_an_empty_cell(page):
    made = worksheets.worksheet(page)
    nbformat.validate(made)
    exercises = registry.of_chapter(page.stem.split("-", 1)[1])
    text = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    for exercise in exercises:
        assert f"{exercise.title}\n\n`{exercise.id}` · *{exercise.level} · " in text
        assert worksheets.empty(exercise) in code(made)
        assert f'check("{exercise.id}", {exercise.variable})' in code(made)
    assert not re.search(r"\{[\w:]+\}`|:::|```|Solution|sol-", text), "something for the book only"
    assert text.count("$") % 2 == 0
    assert all(not cell.get("outputs") for cell in made.cells)


@each_page
@pytest.mark.slow
def test_a_worksheet_holds_no_solution(page):
    solution = code(nbformat.read(ROOT / "book" / "solutions" / f"{page.stem}.ipynb", 4))
    blocks = worksheets.BLOCK.findall(page.read_text(encoding="utf-8"))
    given = {line.split("#")[0].strip() for block in blocks
             for line in block.splitlines()}  # fmt: skip
    lines = {line.split("#")[0].strip() for cell in solution for line in cell.splitlines()}
    kept = {
        line for line in lines - given if not re.match(r"import |from |check\(|def |[)}\]]*$", line)
    }
    assert kept, "nothing to compare with"
    written = {line.split("#")[0].strip() for cell in code(worksheets.worksheet(page))
               for line in cell.splitlines()}  # fmt: skip
    assert written & kept == set()


@pytest.mark.parametrize("first", range(0, len(PAGES), 7), ids=lambda k: PAGES[k].stem)
@pytest.mark.slow
def test_a_worksheet_runs_as_it_is_and_passes_nothing(first, tmp_path):
    """Those of seven chapters run one after the other in one process."""
    made = [worksheets.worksheet(page) for page in PAGES[first : first + 7]]
    cells = [nbformat.v4.new_code_cell(source) for one in made for source in code(one)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "all.ipynb")
    mark = marks.grade(sheet(tmp_path / "all.ipynb", "all"), Limits(seconds=60))
    slugs = [page.stem.split("-", 1)[1] for page in PAGES[first : first + 7]]
    exercises = [exercise for slug in slugs for exercise in registry.of_chapter(slug)]
    assert mark == marks.Mark("all", (), len(exercises), "")


@pytest.mark.slow
def test_all_worksheets_are_written(tmp_path, capsys):
    worksheets.main(tmp_path / "new")
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written == [page.with_suffix(".ipynb").name for page in PAGES]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{term}`BLUP` and {term}`groups <group>`", "BLUP and groups"),
        ("as in {doc}`../02-mixed`", "as in chapter *mixed*"),
        ("by {prf:ref}`thm-limits`", "by the theorem “From pooled to within”"),
        ("`f(x)` and $x$", "`f(x)` and $x$"),
    ],
)
def test_links_become_words(text, expected):
    assert worksheets.plain(text) == expected


@pytest.mark.parametrize("text", ["{eq}`eq-lmm`", "{prf:ref}`thm-nothing`", "{cite:t}`x`"])
def test_what_has_no_words_is_refused(text):
    with pytest.raises(ValueError, match="cannot show"):
        worksheets.plain(text)


def test_the_page_for_teachers_names_exercises_that_exist():
    text = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    ids = {exercise.id for exercise in registry.everything()}
    named = set(re.findall(r"`([a-z]+-\d+)`", text)) | set(re.findall(r"\b([a-z]+-\d+)\b", text))
    assert len(named) > 30 and named <= ids


def test_what_the_page_for_teachers_shows_is_what_the_grader_prints():
    text = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\n(.*?)\n```", text, re.DOTALL)[1]
    cells = tuple(exercise.variable for exercise in registry.of_chapter("ridge"))
    sheets = [Sheet("anna", cells), Sheet("ben", cells), Sheet("chris", (), "not a notebook")]
    given = [
        marks.Mark("anna", ("ridge-1", "ridge-2", "ridge-3"), 5, ""),
        marks.Mark("ben", ("ridge-1",), 5, "1 cell ran out of time"),
        marks.Mark("chris", (), 0, "not a notebook"),
    ]
    assert "\n".join(grade.table(sheets, given)) == shown


def test_make_writes_the_worksheets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(BIN)/python book/_ext/worksheets.py\n" in makefile
    assert "worksheets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
