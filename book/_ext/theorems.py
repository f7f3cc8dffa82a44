"""The list of results: every numbered theorem with its scope, its proof and its tests."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from pages import ROOT, pages
from sphinx.util.docutils import SphinxDirective

BLOCK = re.compile(
    r"^(?P<fence>:{3,})\{prf:(?P<kind>theorem|lemma)\} (?P<title>.+)\n"
    r"(?P<body>(?:.*\n)*?)(?P=fence)$",
    re.MULTILINE,
)
LABEL = re.compile(r"^:label: (\S+)$", re.MULTILINE)
SCOPE = re.compile(r"^\*\*Scope\.\*\* ((?:.+\n?)+)", re.MULTILINE)


class Result(NamedTuple):
    """One numbered theorem or lemma of the book."""

    label: str
    title: str
    scope: str
    page: str
    proved: bool


def results() -> list[Result]:
    """Read every theorem and lemma from the pages, in the order of the book."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            label = LABEL.search(block["body"])
            scope = SCOPE.search(block["body"])
            rest = text[block.end() :].lstrip()
            found.append(
                Result(
                    label[1] if label else "",
                    block["title"],
                    " ".join(scope[1].split()) if scope else "",
                    page.stem,
                    re.match(r":{3,}\{prf:proof\}", rest) is not None,
                )
            )
    return found


def markers(tests: Path = ROOT / "tests") -> dict[str, list[str]]:
    """Map each label to the tests that carry ``@pytest.mark.theorem(label)``."""
    found: dict[str, list[str]] = {}
    for file in sorted(tests.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("mark.theorem"):
                    for label in mark.args:
                        found.setdefault(ast.literal_eval(label), []).append(
                            f"{file.name}::{node.name}"
                        )
    return found


def in_words(tests: list[str]) -> str:
    """List tests by file, their names as words: these wrap, and say what is tested."""
    files: dict[str, list[str]] = {}
    for test in tests:
        file, name = test.split("::")
        files.setdefault(file, []).append(name.removeprefix("test_").replace("_", " "))
    return "<br>".join(f"`{file}`: {'; '.join(names)}" for file, names in files.items())


class ListOfResults(SphinxDirective):
    """``{list-of-results}``: the table of all theorems and lemmas."""

    def run(self):
        """Write the table in MyST and let MyST parse it."""
        for file in [*pages(), *ROOT.glob("tests/**/test_*.py")]:
            self.env.note_dependency(str(file))
        tested = markers()
        lines = ["| result | scope | tests |", "|:--|:--|:--|"]
        for result in results():
            scope = result.scope.replace("|", r"\|")
            tests = in_words(tested.get(result.label, []))
            lines.append(f"| {{prf:ref}}`{result.label}`<br>{result.title} | {scope} | {tests} |")
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="list-of-results"), 0, box)
        return box.children


def setup(app):
    """Register the directive."""
    app.add_directive("list-of-results", ListOfResults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
