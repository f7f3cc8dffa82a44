"""What a reader can take along, and that it works elsewhere."""

import re

import nbformat
import notebooks
import pytest
import statements
import worksheets
from conftest import ROOT, visit
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
    assert taken.read_text(encoding="utf-8") == statements.written_out(
        (ROOT / f"{page}.md").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("page", PAIRED)
def test_every_page_with_code_can_be_taken_as_a_notebook(site, page):
    taken = offered(site, page)["Notebook (.ipynb)"]
    assert taken.read_bytes() == (ROOT / f"{page}.ipynb").read_bytes()


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


@pytest.mark.parametrize("page", ["book/10-slopes", "book/14-scale"])
def test_a_chapter_runs_in_any_folder(site, page, tmp_path):
    notebook = nbformat.read(offered(site, page)["Notebook (.ipynb)"], 4)
    before = [cell.get("outputs") for cell in notebook.cells]
    notebooks.run(notebook, tmp_path)
    assert [cell.get("outputs") for cell in notebook.cells] == before
    assert list(tmp_path.iterdir()) == []


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
