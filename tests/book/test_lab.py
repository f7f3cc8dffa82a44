"""JupyterLab gets notebooks that it can show as they are, and gives back what it was given."""

import asyncio
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupyterlab
import lab
import nbformat
import notebooks
import pages
import pytest
import reading
import words
from conftest import ROOT
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import KernelSpec
from nbformat.sign import NotebookNotary
from traitlets.config import LoggingConfigurable

each_page = pytest.mark.parametrize("page", notebooks.sources(), ids=notebooks.name)
KERNEL = "Python 3 (some kernel)"


def kept(page):
    return nbformat.read(page.with_suffix(".ipynb"), 4)


# --- words for what refers elsewhere


@each_page
def test_no_reference_to_another_page_is_left(page):
    """What stays is a number of this page's own, which JupyterLab knows."""
    own = page.read_text(encoding="utf-8")
    for cell in reading.handed_out(kept(page), page, KERNEL).cells:
        if cell.cell_type == "markdown":
            for role in words.ROLE.finditer(cell.source):
                label = role["target"] or role["bare"]
                assert role["role"] in ("eq", "prf:ref", "ref"), role[0]
                assert re.search(rf"\({label}\)(=|$)|^:label: {label}$", own, re.MULTILINE), role[0]
            assert "{solution-" not in cell.source


@each_page
def test_every_link_leads_to_a_file(page):
    for cell in reading.handed_out(kept(page), page, KERNEL).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)\s]+\.(?:md|ipynb))\)", cell.source):
                assert (page.parent / target).is_file(), target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{eq}`eq-lmm`", "[(lmm)](02-mixed.ipynb)"),
        ("by {prf:ref}`lem-push-through`.", "by [Push-through](toolbox.md)."),
        ("{term}`groups <group>`", "[groups](glossary.md)"),
        ("{doc}`Mixed <02-mixed>`", "[Mixed](02-mixed.ipynb)"),
        (
            "{doc}`exercises/05-flat`",
            '[Exercises for Flat: what does "fixed" mean to a Bayesian?](exercises/05-flat.md)',
        ),
        ("{cite:t}`robinson1991`", r"[Robinson \[1991\]](bibliography.md)"),
        ("{cite:p}`laird1982`", r"[\[Laird and Ware, 1982\]](bibliography.md)"),
        ("{cite:t}`bates2015`", r"[Bates et al. \[2015\]](bibliography.md)"),
        (
            "{cite:p}`cook2006,talts2018`",
            r"[\[Cook et al., 2006; Talts et al., 2018\]](bibliography.md)",
        ),
        ("{ref}`first <ex-flat-1>`", "[first](exercises/05-flat.md)"),
        ("{prf:ref}`thm-flat`", "{prf:ref}`thm-flat`"),
        ("{eq}`nothing` {doc}`nothing`", "{eq}`nothing` {doc}`nothing`"),
        ("{cite:t}`nobody1900`", "{cite:t}`nobody1900`"),
        ("```\n{eq}`eq-lmm`\n```", "```\n{eq}`eq-lmm`\n```"),
        (
            ":::{solution-start} ex-flat-1\n:label: sol-flat-1\n:::\n\nAdd.\n\n"
            ":::{solution-end}\n:::",
            "**Solution to [Wider or narrower?](exercises/05-flat.md)**\n\nAdd.\n\n---",
        ),
    ],
)
def test_a_reference_becomes_a_link(text, expected):
    assert words.linked(text, pages.BOOK / "05-flat.md") == expected


# --- out and back


@each_page
def test_what_was_only_read_comes_back_as_it_was(page):
    before = kept(page)
    shown = reading.handed_out(before, page, KERNEL)
    assert before == kept(page), "the notebook itself was changed"
    assert shown != before
    assert reading.taken_back(shown, before, page) == before


def test_what_the_kernel_would_write_is_there_already():
    page = pages.BOOK / "05-flat.md"
    metadata = reading.handed_out(kept(page), page, KERNEL).metadata
    assert metadata.kernelspec == {"name": "python3", "language": "python", "display_name": KERNEL}
    assert metadata.language_info == IPythonKernel.language_info


def test_what_a_reader_changes_is_saved():
    page = pages.BOOK / "05-flat.md"
    before = kept(page)
    shown = reading.handed_out(before, page, KERNEL)
    shown.cells[0].source += " A note."
    shown.cells[1].source += "  # mine"
    shown.cells[2].source = "mine"
    shown.cells.insert(0, nbformat.v4.new_markdown_cell("new"))
    shown.cells[-1].id = "renamed"
    back = reading.taken_back(shown, before, page).cells
    assert back[0].source == "new"
    assert back[1].source == shown.cells[1].source and back[1].source.endswith(" A note.")
    assert back[2].source == before.cells[1].source + "  # mine"
    assert back[3].source == "mine"
    assert back[-1].source == shown.cells[-1].source
    assert [cell.source for cell in back[4:-1]] == [cell.source for cell in before.cells[3:-1]]


class Server(LoggingConfigurable):
    """What the shelf asks the server for."""

    @property
    def kernel_spec_manager(self):
        return self

    def get_kernel_spec(self, name):
        return KernelSpec(display_name={"python3": KERNEL}[name])


# A browser of other tests keeps an event loop in the main thread, so these run in another.
THREAD = ThreadPoolExecutor(1)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A shelf in a book of one page, beside a copy of it."""
    book = tmp_path / "book"
    book.mkdir()
    for suffix in (".md", ".ipynb"):
        shutil.copy(ROOT / "book" / f"05-flat{suffix}", book)
    shutil.copy(ROOT / "book" / "05-flat.ipynb", book / "05-flat-Copy1.ipynb")
    monkeypatch.setattr(reading, "pages", lambda: [book / "05-flat.md"])
    made = reading.Shelf(parent=Server(), root_dir=str(book))
    made.notary = THREAD.submit(NotebookNotary, db_file=":memory:", secret=b"a secret").result()
    return made


def awaited(coroutine):
    """Run to the end, in the thread that has the signatures."""
    return THREAD.submit(asyncio.run, coroutine).result()


def test_reading_and_saving_leaves_the_file_as_it_is(shelf, tmp_path):
    file = tmp_path / "book" / "05-flat.ipynb"
    before = file.read_bytes()
    model = awaited(shelf.get("05-flat.ipynb"))
    assert model["content"].metadata.kernelspec.display_name == KERNEL
    awaited(shelf.save({"type": "notebook", "content": model["content"]}, "05-flat.ipynb"))
    assert file.read_bytes() == before


def test_other_files_are_left_alone(shelf, tmp_path):
    model = awaited(shelf.get("05-flat-Copy1.ipynb"))
    assert model["content"].metadata.kernelspec.display_name == "Python 3"
    assert awaited(shelf.get("05-flat.md", type="file", format="text"))["type"] == "file"
    assert awaited(shelf.get(""))["type"] == "directory"
    assert awaited(shelf.get("05-flat.ipynb", content=False))["content"] is None
    new = {"type": "notebook", "content": nbformat.v4.new_notebook(metadata={"mine": 1})}
    awaited(shelf.save(new, "new.ipynb"))
    assert (
        json.loads((tmp_path / "book" / "new.ipynb").read_text(encoding="utf-8"))["metadata"][
            "mine"
        ]
        == 1
    )


# --- trust, settings, style


def test_the_notebooks_of_the_book_are_trusted():
    notary = NotebookNotary(db_file=":memory:", secret=b"a secret")
    chapter = kept(pages.BOOK / "05-flat.md")
    assert not notary.check_signature(chapter)
    lab.trust(notary)
    assert all(notary.check_signature(kept(page)) for page in notebooks.sources())
    chapter.cells[1].outputs = [nbformat.v4.new_output("display_data", {"text/html": "<script>"})]
    assert not notary.check_signature(chapter)


def test_the_settings_are_those_of_jupyterlab():
    """A setting under a name that JupyterLab does not know would do nothing."""
    file = lab.HERE / "jupyter" / "labconfig" / "default_setting_overrides.json"
    schemas = Path(jupyterlab.__file__).parent / "schemas"
    for plugin, settings in json.loads(file.read_text(encoding="utf-8")).items():
        package, _, name = plugin.partition(":")
        schema = schemas.joinpath(*package.split("/"), f"{name}.json")
        known = json.loads(schema.read_text(encoding="utf-8"))["properties"]
        assert set(settings) <= set(known)


def test_the_handle_of_a_dial_sticks_on_the_site_only():
    """In JupyterLab it would lie on the panels, since an output is a box that scrolls."""
    dial = (ROOT / "mixhier_lite" / "dials" / "dial.css").read_text(encoding="utf-8")
    site = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    sticky = r"([^{}]*)\{[^{}]*position: *sticky"
    assert not re.findall(sticky, dial)
    assert [found.strip() for found in re.findall(sticky, site)] == [
        ".bd-article .dial.live .knobs"
    ]
