"""Open the chapters in JupyterLab: ``python book/_ext/lab.py [options of jupyter lab]``.

The notebooks of the book are trusted, so that their figures and dials are there when they are
opened; `reading` says how they are handed out and saved.
"""

import os
import sys
from pathlib import Path

import nbformat
from jupyterlab.labapp import LabApp
from nbformat.sign import NotebookNotary
from notebooks import sources
from pages import BOOK

HERE = Path(__file__).parent


def trust(notary):
    """Sign the notebooks as they are now: the reader's copy of the book is to be shown whole."""
    for page in sources():
        notary.sign(nbformat.read(page.with_suffix(".ipynb"), 4))


def main(options):
    """Trust the notebooks and start JupyterLab in the folder of the book."""
    trust(NotebookNotary())
    os.environ["JUPYTER_CONFIG_PATH"] = str(HERE / "jupyter")  # with defaults for the settings
    shelf = "--ServerApp.contents_manager_class=reading.Shelf"
    LabApp.launch_instance([str(BOOK), shelf, *options])


if __name__ == "__main__":
    main(sys.argv[1:])
