"""The pages of the book: those of the table of contents. Other files in its folder are none."""

from pathlib import Path

from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"


def pages(folder="book", root=ROOT):
    """List the files that the pages inside a folder are written in, in the order of the book."""
    files = [root / f"{page}.md" for page in parse_toc_yaml(root / "_toc.yml")]
    return [file for file in files if root / folder in file.parents]
