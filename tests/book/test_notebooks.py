"""Each notebook holds exactly its page's source, with every cell executed, in order."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks
import pytest
from assignments import compressed
from conftest import ROOT, project_files

PAGES = notebooks.sources()


def test_every_notebook_has_a_page():
    written = [file for file in project_files() if file.suffix == ".ipynb"]
    assert {notebooks.name(page) for page in PAGES} == {notebooks.name(file) for file in written}


@pytest.mark.parametrize("page", PAGES, ids=notebooks.name)
def test_page_and_notebook_agree(page):
    assert notebooks.differences(page) == "", "run: make notebooks"


@pytest.mark.parametrize("page", PAGES, ids=notebooks.name)
def test_notebook_was_run_from_top_to_bottom(page):
    cells = nbformat.read(page.with_suffix(".ipynb"), 4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs), "a warning was stored"


@pytest.mark.parametrize("page", PAGES, ids=notebooks.name)
def test_figures_are_compared(page):
    """Figures are SVG, which nbval compares; it would skip a PNG."""
    for cell in nbformat.read(page.with_suffix(".ipynb"), 4).cells:
        for output in cell.get("outputs", []):
            assert "image/png" not in output.get("data", {})


@pytest.mark.parametrize("page", PAGES, ids=notebooks.name)
def test_no_cell_ends_with_a_semicolon(page):
    """It hides an output in Jupyter but not from nbval; end a cell that draws with plt.show()."""
    for cell in notebooks.read_source(page).cells:
        assert cell.cell_type != "code" or not cell.source.rstrip().endswith(";"), cell.source


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A book of one page with its notebook."""
    copied = [shutil.copy(PAGES[0].with_suffix(suffix), tmp_path) for suffix in (".md", ".ipynb")]
    monkeypatch.setattr(notebooks, "BOOK", tmp_path)
    monkeypatch.setattr(notebooks, "pages", lambda: [Path(copied[0])])
    return Path(copied[0])


def test_a_change_is_noticed(page):
    """A page that differs from its notebook in one character is found."""
    assert notebooks.differences(page) == ""
    page.write_text(page.read_text(encoding="utf-8").replace("np.", "xp.", 1), encoding="utf-8")
    assert notebooks.differences(page) != ""


def test_the_build_refuses_a_notebook_that_is_older_than_its_page(page):
    notebooks.refuse_stale(None, None)
    page.write_text(page.read_text(encoding="utf-8").replace(" a ", " one ", 1), encoding="utf-8")
    with pytest.raises(SystemExit, match=rf"differ: {page.stem}\.\nRun `make notebooks` first"):
        notebooks.refuse_stale(None, None)
    assert "    notebooks: book/_ext\n" in (ROOT / "_config.yml").read_text(encoding="utf-8")


def test_who_saved_a_notebook_does_not_matter(page):
    """JupyterLab writes the name of the kernel and the version of Python."""
    file = page.with_suffix(".ipynb")
    notebook = nbformat.read(file, 4)
    notebook.metadata.kernelspec.display_name = "Python 3 (ipykernel)"
    notebook.metadata.language_info = {"name": "python", "version": "3.99.0"}
    nbformat.write(notebook, file)
    assert notebooks.differences(page) == ""


@pytest.mark.slow
def test_jupyterlab_renders_theorem_boxes():
    """The extension that draws them fits the pinned JupyterLab."""
    command = [sys.executable, "-m", "jupyter", "labextension", "list"]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    lines = [line for line in (run.stdout + run.stderr).splitlines() if "jupyterlab-myst" in line]
    assert len(lines) == 1 and "enabled" in lines[0] and "OK" in lines[0], lines


# --- what a page shows of its cells, and in which order

SHOWN = [page for page in PAGES if page.parent == notebooks.BOOK]


def code_cells(page):
    return [cell for cell in notebooks.read_source(page).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("page", SHOWN, ids=notebooks.name)
def test_imports_open_the_notebook_and_are_not_on_the_page(page):
    first, *others = code_cells(page)
    assert first.metadata.get("tags") == ["remove-cell"]
    assert "ModuleNotFoundError" in first.source and "plot.style()" in first.source
    assert not any("remove-cell" in cell.metadata.get("tags", []) for cell in others)


@pytest.mark.parametrize("page", PAGES, ids=notebooks.name)
def test_cells_are_written_as_a_student_would(page):
    """One name gets one value per line; no line is longer than those of the package."""
    for cell in code_cells(page):
        lines = cell.source.splitlines()
        code = "\n".join(line for line in lines if not line.startswith("%"))
        assert [lines[k - 1] for k in compressed(ast.parse(code))] == []
        assert [line for line in lines if len(line) > 100] == []


def test_compressed_lines_are_found():
    lines = "a, b = f(a), y", "a, b = (f(x) for x in y)", "a = b = f(y)", "f(a := b)"
    assert all(list(compressed(ast.parse(line))) == [1] for line in lines)
    for line in ("a, b = b, a", "a, b = f(x)", "a = [f(x) for x in y]"):
        assert list(compressed(ast.parse(line))) == []


@pytest.mark.parametrize("page", SHOWN, ids=notebooks.name)
def test_a_figure_has_a_caption_that_is_not_its_description(page):
    for cell in code_cells(page):
        if "mystnb" in cell.metadata:
            caption = cell.metadata["mystnb"]["figure"]["caption"]
            description = cell.metadata["mystnb"]["image"]["alt"]
            assert 40 <= len(caption) <= 260 and caption.endswith("."), caption
            assert caption not in description and description not in caption


# The ten lines of the first page are one program, to be copied, and draw in its middle.
DRAWN = [page for page in SHOWN if page.stem != "index"]


@pytest.mark.parametrize("page", DRAWN, ids=notebooks.name)
def test_a_drawing_stands_by_itself(page):
    """Folded where it is long; what is rounded to be drawn is rounded there."""
    for cell in code_cells(page):
        draws = "mystnb" in cell.metadata
        assert draws or "four_digits" not in cell.source, cell.source
        if draws and len(cell.source.splitlines()) > 6:  # five, and plt.show()
            assert cell.metadata["tags"] in (["hide-input"], ["remove-input"]), cell.source
            assert "print(" not in cell.source and "assert " not in cell.source, cell.source
