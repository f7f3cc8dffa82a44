"""Three depths on every page: what is read first is open, what can wait is folded.

Below a theorem stand its proof, the function that computes it and the test that guards it, in one
box. Proofs are folds, the long ones closed. So are the sections for a second reading and the
outputs that answer a question which the reader is asked "before you look".
"""

import re
import tomllib
from functools import cache

from docutils import nodes
from pages import ROOT
from source import find, folded, folded_title, link
from sphinx_proof.nodes import NODE_TYPES, proof_node
from theorems import markers

COMPUTED = ROOT / "book/_ext/computed.toml"
STATEMENTS = tuple(NODE_TYPES.values())
LONG = 110
"""A proof of more words is closed at first."""
MOST = 45
"""Code of more lines is a link to its page."""
FULL = {"book/02-mixed", "book/14-bayes", "book/17-checks"}
"""Pages that would be too heavy: here all code is a link to its page."""
ASKS = re.compile(r"\bBefore you (look|run|read on)\b")
SECOND = "For a second reading"
READ_THROUGH = re.compile(r"book/(\d\d-.+|tour|errata|algebra|toolbox|newcomers)$")
WORDS_A_MINUTE = 180
WORDS_OF_A_FIGURE = 60


def fold(kind, title, content, opened=False):
    """Make a part that can be closed."""
    box = folded(classes=["fold", kind], opened=opened)
    box += folded_title("", "", *title)
    box += content
    return box


def words(*parts):
    """Count words, without code and what cells print."""
    counted = (
        text
        for part in parts
        for text in part.findall(nodes.Text)
        if not isinstance(text.parent, nodes.literal_block | nodes.raw)
    )
    return sum(len(text.split()) for text in counted)


# --- theorem, proof, code and test


@cache
def computed():
    """Read which functions compute a theorem, or why none does."""
    return tomllib.loads(COMPUTED.read_text(encoding="utf-8"))


@cache
def guarded():
    """Read which tests guard a theorem."""
    return markers()


def with_words(test):
    """Say the name of a test in words."""
    return test.partition("::")[2].removeprefix("test_").replace("_", " ")


def shown(app, kind, found, said):
    """Fold the code of a definition, with a link to its page below."""
    text = found.text()
    place = nodes.paragraph(classes=["place"])
    place += link(app, app.env.docname, found, nodes.literal(found.place, found.place))
    app.env.note_dependency(str(found.file))
    code = nodes.literal_block(text, text, language="python")
    return fold("source", [nodes.Text(f"{kind}: "), said], [code, place])


def linked(app, before, definitions):
    """Write a line of links to definitions, each with its words."""
    line = nodes.paragraph("", before, classes=["elsewhere"])
    for k, (found, said) in enumerate(definitions):
        line += nodes.Text(", " if k else " ")
        line += link(app, app.env.docname, found, said)
    return line


def is_short(app, found):
    """Tell whether a page has room for a definition."""
    return len(found.text().splitlines()) <= MOST and app.env.docname not in FULL


def code_of(app, label, on_page):
    """Show the functions that compute a theorem; what the page shows anyway is not repeated."""
    entry = computed().get(label, {})
    if "why" in entry:
        return [nodes.paragraph("", entry["why"], classes=["elsewhere"])]
    parts = []
    for name in entry.get("functions", []):
        found = find(name)
        said = nodes.literal(found.name, found.name)
        if name in on_page:
            parts.append(linked(app, "Code, read on this page:", [(found, said)]))
        elif is_short(app, found):
            parts.append(shown(app, "Code", found, said))
        else:
            parts.append(linked(app, "Code:", [(found, said)]))
    return parts


def tests_of(app, label):
    """Show the first test that guards a theorem, and link the others."""
    tests = [(find(name), nodes.Text(with_words(name))) for name in guarded().get(label, [])]
    if not tests:
        return []
    (first, said) = tests[0]
    rest = tests[1:]
    if not is_short(app, first):
        return [linked(app, "Tests:", tests)]
    others = [linked(app, "Further tests:", rest)] if rest else []
    return [shown(app, "Test", first, nodes.inline("", said)), *others]


def title_of(proof):
    """Take the word "Proof" from the first line of a proof, to stand on the fold."""
    first = next(proof.findall(nodes.Text))
    title, _, rest = first.partition(". ")
    first.parent.replace(first, nodes.Text(rest))
    return nodes.Text(title)


def one_box(app, doctree):
    """Put theorem, proof, code and test into one box."""
    on_page = {box["shows"] for box in doctree.findall(nodes.container) if "shows" in box}
    for statement in list(doctree.findall(lambda node: isinstance(node, STATEMENTS))):
        if statement["realtype"] not in ("theorem", "lemma"):
            continue
        parent = statement.parent
        label = statement["label"]
        place = parent.index(statement)
        parts = [statement]
        proof = parent[place + 1] if place + 1 < len(parent) else None
        if isinstance(proof, proof_node):
            parts.append(proof)
        for part in parts:
            parent.remove(part)
        box = nodes.container(classes=["result"])
        box += statement
        if isinstance(proof, proof_node):
            box += fold("proof-fold", [title_of(proof)], [proof], opened=words(proof) <= LONG)
        box += code_of(app, label, on_page) + tests_of(app, label)
        parent.insert(place, box)


# --- what can wait


def second_reading(doctree):
    """Fold the sections for a second reading; their headings stay."""
    for section in list(doctree.findall(nodes.section)):
        if section[0].astext().startswith(SECOND):
            content = section.children[1:]
            for part in content:
                section.remove(part)
            title = nodes.Text(f"This section, {words(*content)} words")
            section += fold("second", [title], content)


def answers(doctree):
    """Fold what the cells behind a question print and draw."""
    for question in list(doctree.findall(nodes.paragraph)):
        if not ASKS.search(question.astext()):
            continue
        after = question.next_node(descend=False, siblings=True)
        while isinstance(after, nodes.container) and "cell" in after["classes"]:
            for output in after.children:
                if "cell_output" in output["classes"] and not dial_in(output):
                    content = output.children[:]
                    output.clear()
                    output += fold("answer", [nodes.Text("The answer")], content)
            after = after.next_node(descend=False, siblings=True)


def dial_in(output):
    """Tell whether an output is turned by hand: that is a question, not an answer."""
    return any('class="dial"' in raw.astext() for raw in output.findall(nodes.raw))


# --- how long it takes


def minutes(*parts):
    """Estimate how long parts take to read, figures included."""
    figures = sum(len(list(part.findall(nodes.figure))) for part in parts)
    return max(1, round((words(*parts) + WORDS_OF_A_FIGURE * figures) / WORDS_A_MINUTE))


def reading_time(app, doctree):
    """Say below the title of a page that is read through how long that takes, and all of it."""
    if not READ_THROUGH.match(app.env.docname):
        return
    section = next(doctree.findall(nodes.section))
    copy = section.deepcopy()
    for part in list(copy.findall(folded)):
        if "source" in part["classes"] or not part.get("opened"):
            part.parent.remove(part)
    first = minutes(copy)
    all_of_it = minutes(section)
    said = f"Reading time: {first} minutes"
    said += f", and {all_of_it} with all that is folded." if all_of_it > first else "."
    section.insert(1, nodes.paragraph("", said, classes=["reading-time"]))


# --- the row of buttons

KINDS = {
    "proofs": {"proof-fold"},
    "answers": {"answer"},
    "code and tests": {"source"},
    "folded code": {"tag_hide-input"},
    "second reading": {"second"},
}
ROW = """<div class="fold-kinds" role="group" aria-label="Open on this page">Open:
{buttons}
</div>"""


def row_of_buttons(app, doctree):
    """Leave a place for the buttons that open all of a kind; the script brings them to life."""
    parts = [*doctree.findall(folded), *doctree.findall(nodes.container)]
    classes = {name for part in parts for name in part["classes"]}
    kinds = [kind for kind, names in KINDS.items() if names & classes]
    if set(kinds) - {"folded code"}:
        buttons = "\n".join(f'<button type="button">{kind}</button>' for kind in kinds)
        row = nodes.raw("", ROW.format(buttons=buttons), format="html")
        section = next(doctree.findall(nodes.section))
        after_time = isinstance(section[1], nodes.paragraph) and section[1]["classes"]
        section.insert(2 if after_time else 1, row)


def read(app, doctree):
    """Fold a page."""
    if app.builder.format == "html":
        one_box(app, doctree)
        answers(doctree)
        second_reading(doctree)
        reading_time(app, doctree)
        row_of_buttons(app, doctree)
        for file in [COMPUTED, *ROOT.glob("tests/**/test_*.py")]:
            app.env.note_dependency(str(file))


def setup(app):
    """Connect the step, before figures and names are looked for, and add its script."""
    app.connect("doctree-read", read, priority=400)
    app.add_js_file("folds.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
