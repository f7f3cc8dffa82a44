"""What a reader can take along, and that it works elsewhere."""

import importlib.metadata
import re
import shlex

import exercise_pages
import nbformat
import notebooks
import pytest
import takeaway
import worksheets
from conftest import ROOT, visit
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_site import PAGES, PAIRED, soup

EXERCISES = [page for page in PAGES if page.startswith("book/exercises/")]


def offered(site, page):
    """Map what the download menu of a page says to the files that it hands out."""
    menu = soup(site, page).select_one(".dropdown-download-buttons")
    links = {}
    for link in menu.select("a"):
        file = (site / f"{page}.html").parent / link["href"]
        assert link["download"] == file.name
        links[link.get_text().strip()] = file.resolve(strict=True)
    assert "Print" in menu.select_one("button[onclick='window.print()']").get_text()
    return links


@pytest.mark.parametrize("page", PAGES)
def test_every_page_can_be_taken_as_myst(site, page):
    taken = offered(site, page)["MyST (.md)"]
    assert taken.read_text(encoding="utf-8") == exercise_pages.written_out(
        (ROOT / f"{page}.md").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("page", PAIRED)
def test_every_page_with_code_can_be_taken_as_a_notebook(site, page):
    taken = nbformat.read(offered(site, page)["Notebook (.ipynb)"], 4)
    codes = [k for k, cell in enumerate(taken.cells) if cell.cell_type == "code"]
    added = taken.cells.pop(codes[0])
    assert added.source.startswith('%pip install --quiet "mixhier-lite')
    assert taken == nbformat.read(ROOT / f"{page}.ipynb", 4)


@pytest.mark.parametrize("page", [page for page in PAIRED if "/solutions/" not in page])
def test_the_first_cell_of_a_page_names_the_same_command(page):
    """It is what somebody reads who runs the page where nothing is installed."""
    notebook = nbformat.read(ROOT / f"{page}.ipynb", 4)
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert f"run `{takeaway.install(notebook)}`".replace(" --quiet", "") in first


@pytest.mark.parametrize("page", EXERCISES)
def test_exercises_can_be_taken_as_a_worksheet(site, page):
    taken = offered(site, page)["Worksheet (.ipynb)"]
    assert nbformat.read(taken, 4) == worksheets.worksheet(ROOT / f"{page}.md")


@pytest.mark.parametrize("page", notebooks.sources(), ids=notebooks.name)
def test_no_notebook_reads_a_file_of_the_repository(page):
    code = "\n".join(
        cell.source for cell in notebooks.read_source(page).cells if cell.cell_type == "code"
    )
    assert not re.search(r"\.\./|\bopen\(|read_(csv|text|json|bytes)\(|__file__", code)


def brought_by(line):
    """List the packages that a line installs, with all that these need in turn."""
    found, asked = set(), [Requirement(word) for word in shlex.split(line)[3:]]
    while asked:
        requirement = asked.pop()
        for extra in ["", *requirement.extras]:
            key = (canonicalize_name(requirement.name), extra)
            if key not in found:
                found.add(key)
                needs = importlib.metadata.requires(requirement.name) or []
                asked += [
                    inner
                    for inner in map(Requirement, needs)
                    if inner.marker is None or inner.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


HIDE = """
import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name in {modules!r}:
            raise ModuleNotFoundError(f"{{name}} is not brought by the first line", name=name)
sys.meta_path.insert(0, Hidden)
"""


@pytest.mark.parametrize("page", ["book/11-slopes", "book/19-scale"])
@pytest.mark.slow
def test_a_chapter_runs_in_any_folder_with_what_its_first_line_brings(site, page, tmp_path):
    notebook = nbformat.read(offered(site, page)["Notebook (.ipynb)"], 4)
    install, first = [cell for cell in notebook.cells if cell.cell_type == "code"][:2]
    notebook.cells.remove(install)
    brought = brought_by(install.source) | brought_by("%pip install --quiet ipykernel")
    modules = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not brought & set(map(canonicalize_name, packages))
    }
    assert {"sklearn", "statsmodels", "pytest"} <= modules
    before = [cell.get("outputs") for cell in notebook.cells]
    first.source = HIDE.format(modules=sorted(modules)) + first.source
    notebooks.run(notebook, tmp_path)
    assert [cell.get("outputs") for cell in notebook.cells] == before
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_uses_less_installs_less():
    def line(code):
        return takeaway.install(new_notebook(cells=[new_code_cell(code)]))

    assert line("import numpy") == '%pip install --quiet "mixhier-lite"'
    assert line("from mixhier_lite import plot").endswith('"mixhier-lite[plot]"')
    assert line("datasets.load(name)").endswith('"mixhier-lite[frames]"')
    assert line("from sklearn import svm").endswith('"mixhier-lite" scikit-learn')


@pytest.mark.parametrize("entry", ["Notebook (.ipynb)", "MyST (.md)"])
def test_the_menu_hands_out_the_file(browser, server, site, entry):
    with visit(browser, f"{server}/book/05-flat.html") as (page, troubles):
        page.locator(".dropdown-download-buttons > button").hover()
        with page.expect_download() as waiting:
            page.get_by_role("link", name=entry).click()
        assert waiting.value.suggested_filename == offered(site, "book/05-flat")[entry].name
        assert troubles == []


@pytest.mark.parametrize("page", ["README.md", "book/index.md"])
def test_the_command_that_opens_the_chapters_is_documented(page):
    assert "`make lab`" in (ROOT / page).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\nlab: $(READY)" in makefile and "\n\t$(BIN)/python book/_ext/lab.py\n" in makefile
