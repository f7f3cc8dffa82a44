"""Bring the notebooks up to date: ``python book/_ext/notebooks.py [page ...]``.

Each ``book/NAME.md`` with code cells is paired with ``book/NAME.ipynb``, which holds the
outputs that the built pages show. A notebook is executed anew when its source has changed;
naming pages, for instance ``03-henderson solutions/03-henderson``, executes those in any case.
"""

import sys

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient
from pages import BOOK, pages


def sources():
    """List the pages that hold code cells."""
    return [page for page in pages() if "```{code-cell}" in page.read_text()]


def name(page):
    """Name a page by its path in the book, without the suffix."""
    return page.relative_to(BOOK).with_suffix("").as_posix()


def read_source(page):
    """Read a MyST page as a notebook without outputs."""
    notebook = jupytext.read(page, fmt="md:myst")
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{k:03d}"
    return notebook


def differences(page):
    """Say how a page and its notebook differ in their sources; '' where they agree."""
    notebook = page.with_suffix(".ipynb")
    if not notebook.exists():
        return f"{notebook.name} does not exist"
    try:
        compare_notebooks(
            nbformat.read(notebook, 4), read_source(page), fmt="md:myst", compare_ids=False
        )
    except NotebookDifference as problem:
        return str(problem)
    return ""


def run(notebook, folder):
    """Run the cells of a notebook in a folder; their outputs are put into it."""
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def execute(page):
    """Run a page from top to bottom and write its notebook with outputs."""
    notebook = read_source(page)
    run(notebook, BOOK)
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, page.with_suffix(".ipynb"))


def main(names):
    """Execute the named pages, or all whose source has changed."""
    for page in sources():
        if name(page) in names or not names and differences(page):
            print(name(page), flush=True)
            execute(page)


if __name__ == "__main__":
    main(sys.argv[1:])
