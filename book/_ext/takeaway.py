"""What a reader can take along: each page as a notebook and as MyST, exercises as a worksheet."""

import copy
import re
import shutil
from pathlib import Path

import nbformat
import worksheets
from exercise_pages import written_out
from nbformat.v4 import new_code_cell

NAMES = {
    ".ipynb": ("Notebook (.ipynb)", "This page with its outputs, to run in Jupyter", "fas fa-code"),
    ".md": ("MyST (.md)", "This page as text, to read and to edit", "fas fa-file"),
    "worksheet": (
        "Worksheet (.ipynb)",
        "The exercises with cells for answers",
        "fas fa-pencil-alt",
    ),
}

# What brings the parts that a page uses: extras of the package, and packages beside it.
EXTRAS = {
    "plot": r"import (plot|matplotlib|seaborn)\b",
    "frames": r"import pandas\b|\blmer\(|\bdatasets\.(load|record)\(",
    "bayes": r"\.to_arviz\(",
    "distributed": r"(import|from) dask\b",
}
PACKAGES = {
    "scikit-learn": r"(import|from) sklearn\b",
    "statsmodels": r"(import|from) statsmodels\b",
    "sympy": r"(import|from) sympy\b",
    "mixedlm": r"(import|from) mixedlm\b",
}


def install(notebook):
    """Write the line that installs the little that a notebook needs."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    extras = ",".join(extra for extra, word in EXTRAS.items() if re.search(word, code))
    packages = [package for package, word in PACKAGES.items() if re.search(word, code)]
    package = f"mixhier-lite[{extras}]" if extras else "mixhier-lite"
    return " ".join(["%pip install --quiet", f'"{package}"', *packages])


def to_take(notebook):
    """Put that line before the first code of a notebook, which then runs wherever Jupyter is."""
    first = next(k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    cell = new_code_cell(install(notebook), id="install")
    taken = copy.deepcopy(notebook)
    taken.cells.insert(first, cell)
    return taken


def files(app, page):
    """Put the files of a page beside the site's sources; map each kind to its name there."""
    source, target = (Path(place, page) for place in (app.srcdir, app.outdir / "_sources"))
    written = {}
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.with_suffix(".ipynb").exists():
        written[".ipynb"] = f"{source.name}.ipynb"
        notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
        nbformat.write(to_take(notebook), target.with_suffix(".ipynb"))
    if source.with_suffix(".md").exists():
        written[".md"] = f"{source.name}.md"
        shutil.copyfile(source.with_suffix(".md"), target.with_suffix(".md"))
    if source.parent.name == "exercises":
        # Written out, and under a name of its own: the page itself reads its words from files.
        written[".md"] = f"exercises-{source.name}.md"
        statements = written_out(source.with_suffix(".md").read_text(encoding="utf-8"))
        target.with_name(written[".md"]).write_text(statements, encoding="utf-8")
        written["worksheet"] = f"worksheet-{source.name}.ipynb"
        sheet = worksheets.worksheet(source.with_suffix(".md"))
        nbformat.write(sheet, target.with_name(written["worksheet"]))
    return written


def button(kind, name, folder):
    """Describe an entry of the menu to the theme."""
    text, tooltip, icon = NAMES[kind]
    # The theme has no word for `download`; without it a browser may show a file, not save it.
    url = f'{folder}/{name}" download="{name}'
    label = f"download-{kind.strip('.')}-button"
    return {
        "type": "link",
        "url": url,
        "text": text,
        "tooltip": tooltip,
        "icon": icon,
        "label": label,
    }


def name_downloads(app, pagename, templatename, context, doctree):
    """Let the download menu of a page list what there is, by name."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            folder = f"{context['pathto']('_sources', 1)}/{Path(pagename).parent.as_posix()}"
            entries = files(app, pagename).items()
            printer = group["buttons"][-1] | {"text": "Print, or save as PDF"}
            group["buttons"] = [button(*entry, folder) for entry in entries] + [printer]


def setup(app):
    """Connect the step, after the theme's own."""
    app.connect("html-page-context", name_downloads, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
