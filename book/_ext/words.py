"""What a text refers to, as links and words that any program for Markdown understands.

The site resolves a role such as ``{eq}`eq-gls``` across all pages, JupyterLab within one notebook;
and JupyterLab has no solutions that run over several cells.
"""

import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import pages
from exercise_pages import written_out
from pybtex.database import parse_file

ROLE = re.compile(
    r"\{(?P<role>[\w:]+)\}`(?:(?P<text>[^`<]+?) *<(?P<target>[^`>]+)>|(?P<bare>[^`]+))`"
)
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
EQUATION = re.compile(r"\$\$ *\(eq-(?P<name>[\w-]+)\)$", re.MULTILINE)
BOX = re.compile(r"^:{3,}\{[\w:]+\} (?P<title>.+)\n:label: (?P<label>\S+)$", re.MULTILINE)
SECTION = re.compile(r"^\((?P<label>[\w-]+)\)=\n#+ (?P<title>.+)$", re.MULTILINE)
SOLUTION = re.compile(r"^:{3,}\{solution-start\} (?P<exercise>\S+)\n(?:.+\n)*?:{3,}$", re.MULTILINE)
END = re.compile(r"^:{3,}\{solution-end\}\n:{3,}$", re.MULTILINE)
RULE = "---"


class Place(NamedTuple):
    """What a label stands for: its page, and how to call it without a number."""

    page: Path
    words: str


@functools.cache
def places() -> dict[str, Place]:
    """Map each label of the book to its place."""
    found = {}
    for page in pages.pages():
        text = written_out(page.read_text(encoding="utf-8"))
        for equation in EQUATION.finditer(text):
            found[f"eq-{equation['name']}"] = Place(page, f"({equation['name']})")
        for titled in (*BOX.finditer(text), *SECTION.finditer(text)):
            found[titled["label"]] = Place(page, titled["title"])
    return found


@functools.cache
def sources() -> dict[str, tuple[str, str]]:
    """Map each key of the bibliography to the authors in words, and the year."""
    found = {}
    bibliography = parse_file(str(pages.BOOK / "references.bib"), encoding="utf-8")
    for key, entry in bibliography.entries.items():
        names = [
            " ".join(map(str, (*person.rich_prelast_names, *person.rich_last_names)))
            for person in entry.persons["author"]
        ]
        authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        found[key] = (authors, entry.fields["year"])
    return found


def cited(role: str, keys: str) -> str:
    """Name what is cited, in the form of the site; brackets are escaped for a link's text."""
    named = [sources()[key.strip()] for key in keys.split(",")]
    if role == "cite:t":
        return " and ".join(rf"{authors} \[{year}\]" for authors, year in named)
    return rf"\[{'; '.join(f'{authors}, {year}' for authors, year in named)}\]"


def title(page: Path) -> str:
    """Read the title of a page."""
    return HEADING.search(page.read_text(encoding="utf-8"))[1]


def link(text: str, to: Path, page: Path) -> str:
    """Link to a page, or to its notebook where it has one."""
    notebook = to.with_suffix(".ipynb")
    target = notebook if notebook.exists() else to
    return f"[{text}]({Path(os.path.relpath(target, page.parent)).as_posix()})"


def said(role: str, target: str, text: str | None, page: Path) -> str | None:
    """Say a role of a page as a link; None where it refers to the page itself, or to nothing."""
    if role == "term":
        return link(text or target, pages.BOOK / "glossary.md", page)
    if role == "doc":
        to = Path(os.path.normpath(page.parent / f"{target}.md"))
        return link(text or title(to), to, page) if to.exists() else None
    if role in ("cite:t", "cite:p"):
        known = all(key.strip() in sources() for key in target.split(","))
        return link(cited(role, target), pages.BOOK / "bibliography.md", page) if known else None
    place = places().get(target)
    if role in ("eq", "prf:ref", "ref") and place and place.page != page:
        return link(text or place.words, place.page, page)
    return None


def linked(text: str, page: Path) -> str:
    """Turn what points from a page's text to other pages into links in Markdown."""

    def say(match: re.Match[str]) -> str:
        target = match["target"] or match["bare"]
        return said(match["role"], target, match["text"], page) or match[0]

    def open_solution(match: re.Match[str]) -> str:
        exercise = places().get(match["exercise"])
        if exercise is None:
            return match[0]
        return f"**Solution to {link(exercise.words, exercise.page, page)}**"

    text = SOLUTION.sub(open_solution, END.sub(RULE, text))
    prose_and_code = CODE.split(text)
    prose_and_code[::2] = [ROLE.sub(say, prose) for prose in prose_and_code[::2]]
    return "".join(prose_and_code)
