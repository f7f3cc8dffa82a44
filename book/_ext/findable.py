"""What a reader looks for has a name, a link, and an entry in the search.

Theorems, lemmas, definitions, exercises and words of the glossary are objects of a domain, which
is where Sphinx's search looks for names. So are the topics of ``topics.toml``: what people type
who do not know how the book calls it. Boxes and figures carry a permalink.
"""

import html
import re
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.domains import Domain, ObjType
from sphinx_exercise.nodes import exercise_enumerable_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node

TOPICS = Path(__file__).with_name("topics.toml")
DIAL = re.compile(r'<div class="dial" data-dial="([\w-]+)"')
SAYS = re.compile(r'<p class="says">(.*?)</p>\n')
STATEMENTS = tuple(NODE_TYPES.values())


def topics():
    """Map what people type to the place that answers, page#anchor."""
    entries = tomllib.loads(TOPICS.read_text(encoding="utf-8"))
    return {words: place for place, every in entries.items() for words in every}


class NamesDomain(Domain):
    """The names by which the parts of the book are found."""

    name = "book"
    object_types = {kind: ObjType(kind) for kind in ("theorem", "lemma", "definition", "exercise")}
    object_types["term"] = ObjType("glossary term")
    object_types["topic"] = ObjType("topic")
    initial_data = {"found": {}}  # page: [(name, kind, id)]

    def note(self, page, doctree):
        """Read the names from a page."""
        found = self.data["found"][page] = []
        for node in doctree.findall():
            if isinstance(node, STATEMENTS):
                found.append((node["title"][2:-1], node["realtype"], node["label"]))
            elif isinstance(node, exercise_enumerable_node):
                found.append((node[0][1].astext(), "exercise", node["label"]))
            elif isinstance(node, nodes.term) and node["ids"]:
                found.append((node.astext(), "term", node["ids"][0]))

    def get_objects(self):
        """List them in the form that Sphinx wants: name, text, kind, page, id, importance."""
        for page, found in self.data["found"].items():
            for name, kind, label in found:
                yield name, name, kind, page, label, 0
        for words, place in topics().items():
            page, _, anchor = place.partition("#")
            yield words, words, "topic", f"book/{page}", anchor, 0

    def get_enumerable_node_type(self, node):
        """Number a figure also where no caption stands below it."""
        return "figure" if isinstance(node, nodes.figure) else None

    def get_type_name(self, type, primary=False):
        """Call a theorem a theorem."""
        return type.lname

    def clear_doc(self, docname):
        """Forget a page that is read anew."""
        self.data["found"].pop(docname, None)

    def merge_domaindata(self, docnames, otherdata):
        """Take over what another process has read."""
        self.data["found"].update({page: otherdata["found"][page] for page in docnames})

    def resolve_any_xref(self, env, fromdocname, builder, target, node, contnode):
        """Add no way to refer: labels do that."""
        return []


class BoxTitle(nodes.Part, nodes.TextElement):
    """The title of a box. It looks like a title; to the search it is no section of the page."""


def open_title(self, node):
    """Begin as any title of a box does, with its number."""
    self.visit_title(node)


def close_title(self, node):
    """Add the permalink, named for those who hear it."""
    kind = node.parent.get("realtype") or node["kind"]
    self.add_permalink_ref(node.parent, f"Link to this {kind}")
    self.depart_title(node)


def read(app, doctree):
    """Note the names of a page, and let a dial be a figure with an id and a caption."""
    app.env.get_domain("book").note(app.env.docname, doctree)
    for raw in list(doctree.findall(nodes.raw)):
        text = raw.astext()
        if dial := DIAL.match(text):
            bundle = raw.parent
            while bundle.get("nb_element") != "mime_bundle":
                bundle = bundle.parent
            figure = nodes.figure(ids=[f"fig-{dial[1]}"])
            bundle.replace_self(figure)
            figure += bundle
            figure += nodes.caption("", html.unescape(SAYS.search(text)[1]))
            raw.children = [nodes.Text(SAYS.sub("", text))]


def count_by_page(app, env):
    """Let the figures of a page that is no chapter begin with Figure 1.

    Counted through, as Sphinx does it, the first picture of the tour would be the book's fourth.
    """
    for kinds in env.toc_fignumbers.values():
        figures = kinds.get("figure", {})
        if all(len(number) == 1 for number in figures.values()):
            kinds["figure"] = {name: (place,) for place, name in enumerate(figures, 1)}
    return []


def resolve(app, doctree, page):
    """Give every box and every figure its permalink, and nothing an id that says nothing.

    The search reads what is left here. Without their index entries, which would come first and
    are all called "Glossary", the words of the glossary are found under their own names.
    """
    if app.builder.format != "html":
        return
    statement = None
    for node in list(doctree.findall(addnodes.index)):
        if isinstance(node.parent, nodes.term):
            node.parent.remove(node)
    for node in list(doctree.findall()):
        if isinstance(node, (*STATEMENTS, exercise_enumerable_node, solution_node)):
            title = node[0]
            box = BoxTitle("", "", *title.children, kind=node.get("type", ""))
            node.replace(title, box)
            node[1]["ids"] = []
            statement = node["ids"][0]
        elif isinstance(node, proof_node):
            node[0]["ids"] = [f"proof-{statement}"]
        elif isinstance(node, nodes.figure) and not any(node.findall(nodes.caption)):
            node += nodes.caption()


def setup(app):
    """Register the domain, the title and the two steps."""
    app.add_domain(NamesDomain)
    app.add_js_file("search.js")
    app.add_node(BoxTitle, html=(open_title, close_title))
    app.connect("doctree-read", read)
    app.connect("env-get-updated", count_by_page, priority=900)
    app.connect("doctree-resolved", resolve, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
