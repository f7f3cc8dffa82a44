"""Code of the package and of the tests on the pages of the book, read when the book is built.

``{source} mixhier_lite.ridge`` shows a function by the name under which it is imported, wherever
its file is, and ``{source} test_ridge.py::test_a_name`` a test by its file and name. The words
between the fences say what the code is; a notebook shows them in its place. A name that does not
exist stops the build. Every file of the package and of the tests has a page, which the boxes,
the role of the same name and the API link to.
"""

import ast
import html
import importlib
import inspect
import textwrap
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

ROOT = Path(__file__).parents[2]
PLACES = ("mixhier_lite", "tests")
PAGES = "code"  # the folder of the site that holds the pages of the files
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Definition(NamedTuple):
    """A function, a method or a class in a file."""

    file: Path
    name: str
    """As it stands in the file: ``ridge``, or ``Gram.from_arrays``."""
    node: ast.stmt
    lines: list[str]
    """All lines of the file."""

    @property
    def first(self):
        """Number of the first line, a decorator included."""
        return min(node.lineno for node in [self.node, *self.node.decorator_list])

    @property
    def place(self):
        """The file, named from the root of the project."""
        return self.file.relative_to(ROOT).as_posix()

    @property
    def page(self):
        """Name of the page of the file."""
        return page_of(self.file)

    def text(self, docstring=False, body=False):
        """Write out the definition, or only its body; without its docstring unless asked."""
        statements = self.node.body
        end_of_head = statements[0].lineno - 1
        end_of_docstring = end_of_head
        if ast.get_docstring(self.node) is not None and not docstring:
            end_of_docstring = statements[0].end_lineno
            if len(statements) == 1:
                raise NotFound(f"{self.name} has nothing but a docstring")
        head = [] if body else self.lines[self.first - 1 : end_of_head]
        rest = self.lines[end_of_docstring : self.node.end_lineno]
        return textwrap.dedent("\n".join([*head, *rest])).strip("\n")


class NotFound(Exception):
    """A name, or a line, that does not exist."""


@cache
def _read(file, changed):
    """Read a file once for each of its versions: its lines, and its definitions by name."""
    text = file.read_text("utf-8")
    found = {}

    def walk(node, prefix):
        for child in node.body:
            if isinstance(child, DEFINITIONS):
                found.setdefault(f"{prefix}{child.name}", child)
                if isinstance(child, ast.ClassDef):
                    walk(child, f"{prefix}{child.name}.")

    walk(ast.parse(text), "")
    return text.splitlines(), found


def definitions(file):
    """Map the names of what a file defines to the definitions."""
    lines, found = _read(file, file.stat().st_mtime_ns)
    return {name: Definition(file, name, node, lines) for name, node in found.items()}


def imported(name):
    """Import what a dotted name stands for: an attribute where there is one, else a module."""
    head, *rest = name.split(".")
    try:
        found = importlib.import_module(head)
        for part in rest:
            head = f"{head}.{part}"
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(head)
    except ImportError:
        raise NotFound(f"{name} cannot be imported: there is no {head}") from None
    return found


def find(name):
    """Find a definition by its name."""
    if "::" in name:
        file_name, _, test = name.partition("::")
        files = sorted((ROOT / "tests").rglob(file_name))
        if len(files) != 1:
            raise NotFound(f"{len(files)} files below tests are called {file_name}, not one")
        file = files[0]
        inside = test.replace("::", ".")
    else:
        thing = imported(name)
        thing = thing.fget if isinstance(thing, property) else thing
        thing = thing.func if isinstance(thing, cached_property) else thing
        thing = inspect.unwrap(thing)
        if not (inspect.isroutine(thing) or inspect.isclass(thing)):
            raise NotFound(f"{name} is neither a function nor a class")
        file = Path(inspect.getsourcefile(thing))
        inside = thing.__qualname__
    found = definitions(file).get(inside)
    if found is None:
        raise NotFound(f"{file.relative_to(ROOT)} defines no {inside}")
    return found


def cut(text, start="", end=""):
    """Keep the lines between the two that begin with these words; dots stand for the others."""
    lines = text.splitlines()

    def line(words, default):
        found = [k for k, line in enumerate(lines) if line.strip().startswith(words)]
        if words and len(found) != 1:
            raise NotFound(f"{len(found)} lines begin with {words!r}, not one")
        return found[0] if words else default

    first = line(start, 0)
    last = line(end, len(lines) - 1)
    if first > last:
        raise NotFound(f"{start!r} stands behind {end!r}")
    kept = textwrap.dedent("\n".join(lines[first : last + 1]))
    before = ["..."] if first else []
    after = ["..."] if last + 1 < len(lines) else []
    return "\n".join([*before, kept, *after])


# --- the pages of the files


def files():
    """List the Python files that have a page."""
    return [file for place in PLACES for file in sorted((ROOT / place).rglob("*.py"))]


def page_of(file):
    """Name the page of a file."""
    return f"{PAGES}/{file.relative_to(ROOT).with_suffix('').as_posix()}"


def with_anchors(highlighted, file):
    """Put a place to link to before each definition of highlighted code."""
    head, mark, code = highlighted.partition("<pre>")
    lines = code.splitlines(keepends=True)
    for name, definition in definitions(file).items():
        lines[definition.first - 1] = (
            f'<span id="{html.escape(name)}"></span>{lines[definition.first - 1]}'
        )
    return head + mark + "".join(lines)


def breakable(place):
    """Write a path that may go on in a new line behind each folder."""
    return place.replace("/", "/<wbr>")


def write_pages(app):
    """Hand a page for each file to the builder, and one that lists them."""
    listed = {}
    for file in files():
        place = file.relative_to(ROOT).as_posix()
        page = page_of(file)
        listed.setdefault(Path(place).parent.as_posix(), []).append((Path(place).name, page))
        code = file.read_text("utf-8")
        up = app.builder.get_relative_uri(page, f"{PAGES}/index")
        body = (
            f"<h1>{breakable(place)}</h1>\n"
            f'<p><a class="reference internal" href="{up}">All files of the code</a></p>\n'
        )
        if code.strip():
            shown = app.builder.highlighter.highlight_block(code, "python")
            body += with_anchors(shown, file)
        else:
            body += "<p>This file is empty: it makes its folder a package.</p>"
        yield page, {"title": place, "body": body}, "page.html"
    body = "<h1>The code</h1>\n<p>The package and its tests, as this book was built from them.</p>"
    for folder, entries in listed.items():
        links = [
            f'<li><a class="reference internal" href="'
            f'{app.builder.get_relative_uri(f"{PAGES}/index", page)}">{name}</a></li>'
            for name, page in entries
        ]
        body += f"<h2>{breakable(folder)}</h2>\n<ul class='files'>\n{''.join(links)}\n</ul>\n"
    yield f"{PAGES}/index", {"title": "The code", "body": body}, "page.html"


# --- what the pages of the book say


class folded(nodes.General, nodes.Element):
    """A part that is closed until the reader opens it."""


class folded_title(nodes.General, nodes.TextElement):
    """What is read on a closed part."""


def link(app, page, found, text):
    """Link from a page to a definition on the page of its file; a printed book has none."""
    if app.builder.format != "html":
        return nodes.inline("", text)
    address = f"{app.builder.get_relative_uri(page, found.page)}#{found.name}"
    return nodes.reference("", "", text, internal=True, refuri=address)


class Source(SphinxDirective):
    """``{source} name``: the code of a function or a test, with a sentence that says what it is."""

    required_arguments = 1
    has_content = True
    option_spec = {
        "body": directives.flag,
        "docstring": directives.flag,
        "folded": directives.flag,
        "start-at": directives.unchanged_required,
        "end-at": directives.unchanged_required,
    }

    def run(self):
        """Show the code below its sentence."""
        name = self.arguments[0]
        self.assert_has_content()
        try:
            found = find(name)
            text = found.text("docstring" in self.options, "body" in self.options)
            text = cut(text, self.options.get("start-at", ""), self.options.get("end-at", ""))
        except NotFound as problem:
            raise self.error(f"source: {problem}") from None
        self.env.note_dependency(str(found.file))

        box = nodes.container(classes=["source"], shows=name)
        self.state.nested_parse(self.content, self.content_offset, box)
        code = nodes.literal_block(text, text, language="python")
        place = nodes.paragraph(classes=["place"])
        shown = nodes.literal(found.place, found.place)
        place += link(self.env.app, self.env.docname, found, shown)
        if "folded" in self.options:
            test = "::" in name
            words = found.name.removeprefix("test_").replace("_", " ") if test else found.name
            kind = "Test: " if test else "Code: "
            fold = folded(classes=["fold", "source"])
            said = nodes.inline("", words) if test else nodes.literal("", words)
            fold += folded_title("", "", nodes.Text(kind), said)
            fold += [code, place]
            box += fold
        else:
            box += [code, place]
        return [box]


class SourceRole(SphinxRole):
    """``{source}`name```: a link to the code of a function or a test."""

    def run(self):
        """Resolve the name, or stop the build."""
        try:
            found = find(self.text)
        except NotFound as problem:
            message = self.inliner.reporter.error(f"source: {problem}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        self.env.note_dependency(str(found.file))
        shown = nodes.literal(found.name, found.name)
        return [link(self.env.app, self.env.docname, found, shown)], []


def link_the_api(app, doctree):
    """Lead from each entry of the API to its code."""
    for signature in doctree.findall(addnodes.desc_signature):
        if not signature.get("module"):
            continue
        try:
            found = find(f"{signature['module']}.{signature['fullname']}")
        except NotFound:  # a field of a dataclass, for instance
            continue
        words = nodes.inline("", "[source]", classes=["viewcode-link"])
        signature += link(app, app.env.docname, found, words)


def open_fold(self, node):
    """Write the head of what unfolds."""
    opened = {"open": "open"} if node.get("opened") else {}
    self.body.append(self.starttag(node, "details", **opened))


def write_nothing(self, node):
    """On paper everything is open."""


def setup(app):
    """Register the directive, the role, the nodes and the pages."""
    on_paper = (write_nothing, write_nothing)
    app.add_node(
        folded,
        html=(open_fold, lambda self, node: self.body.append("</details>\n")),
        latex=on_paper,
    )
    app.add_node(
        folded_title,
        html=(
            lambda self, node: self.body.append("<summary>"),
            lambda self, node: self.body.append("</summary>\n"),
        ),
        latex=on_paper,
    )
    app.add_directive("source", Source)
    app.add_role("source", SourceRole())
    app.connect("doctree-read", link_the_api)
    app.connect("html-collect-pages", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
