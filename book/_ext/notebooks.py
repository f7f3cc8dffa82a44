"""Bring the notebooks up to date: ``python book/_ext/notebooks.py [page ...]``.

Each ``book/NAME.md`` with code cells is paired with ``book/NAME.ipynb``, which holds the
outputs that the built pages show. A notebook is executed anew when its source has changed;
naming pages, for instance ``03-henderson solutions/03-henderson``, executes those in any case.

As an extension of the build, this refuses to show notebooks that are older than their source.
"""

import sys

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient
from pages import BOOK, pages


def sources():
    """List the pages that hold code cells."""
    return [page for page in pages() if "```{code-cell}" in page.read_text(encoding="utf-8")]


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
    """Say how a page and its notebook differ in their sources; '' where they agree.

    Which kernel and which Python a notebook names depends on the program that saved it last.
    """
    file = page.with_suffix(".ipynb")
    if not file.exists():
        return f"{file.name} does not exist"
    source = read_source(page)
    notebook = nbformat.read(file, 4)
    notebook.metadata = source.metadata
    try:
        compare_notebooks(notebook, source, fmt="md:myst", compare_ids=False)
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


def stale():
    """List the pages whose source is not that of their notebook."""
    return [page for page in sources() if differences(page)]


def main(names):
    """Execute the named pages, or all whose source has changed."""
    for page in [page for page in sources() if name(page) in names] if names else stale():
        print(name(page), flush=True)
        execute(page)


def refuse_stale(app, config):
    """Stop a build that would show outputs of another source."""
    if found := ", ".join(map(name, stale())):
        sys.exit(  # an exception would bury the sentence under the build's traceback
            f"These pages and their notebooks differ: {found}.\n"
            "Run `make notebooks` first, which makes the notebooks anew from the pages; "
            "without make: .venv/bin/python book/_ext/notebooks.py"
        )


def setup(app):
    """Connect the check, before anything is read."""
    app.connect("config-inited", refuse_stale)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main(sys.argv[1:])
