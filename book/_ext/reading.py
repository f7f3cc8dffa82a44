"""How JupyterLab hands out the notebooks of the book, and takes them back.

Lab writes the kernel's name and Python's version into a notebook as soon as it is opened, and
it cannot follow references to other notebooks. So a reader gets the notebook with both in place:
what Lab would write is there already, and references are links. What is saved goes back into the
form that the project keeps, so that a notebook which was only read, or run with the same
outputs, is the same file.
"""

import copy
from pathlib import Path

import nbformat
from ipykernel.ipkernel import IPythonKernel
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from pages import pages
from words import linked


def handed_out(notebook, page, kernel_name):
    """Make the form for JupyterLab of a page's notebook."""
    shown = copy.deepcopy(notebook)
    shown.metadata["kernelspec"]["display_name"] = kernel_name
    shown.metadata["language_info"] = IPythonKernel.language_info
    for cell in shown.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, page)
    return shown


def taken_back(notebook, kept, page):
    """Make the form that the project keeps; a cell that was edited stays as the reader left it."""
    sources = {cell.id: cell.source for cell in kept.cells}
    back = copy.deepcopy(notebook)
    back.metadata = kept.metadata
    for cell in back.cells:
        before = sources.get(cell.id, "")
        if cell.cell_type == "markdown" and cell.source == linked(before, page):
            cell.source = before
    return back


class Shelf(AsyncLargeFileManager):
    """The files that JupyterLab shows; those of pages pass through the two functions above."""

    def page_of(self, path):
        """Return the page whose notebook has this path in JupyterLab, None for other files."""
        notebook = Path(self._get_os_path(path.strip("/")))
        page = notebook.with_suffix(".md")
        return page if notebook.suffix == ".ipynb" and page in pages() else None

    async def get(self, path, *args, **kwargs):
        """Hand out a file."""
        model = await super().get(path, *args, **kwargs)
        page = self.page_of(path)
        if page and model["content"]:
            name = self.parent.kernel_spec_manager.get_kernel_spec("python3").display_name
            model["content"] = handed_out(model["content"], page, name)
        return model

    async def save(self, model, path=""):
        """Take a file back."""
        page = self.page_of(path)
        if page and page.with_suffix(".ipynb").exists():
            kept = nbformat.read(page.with_suffix(".ipynb"), 4)
            notebook = nbformat.from_dict(model["content"])
            model = {**model, "content": taken_back(notebook, kept, page)}
        return await super().save(model, path)
