"""Statements of exercises: a page asks the question, the package says title, level and kind.

    :::{exercise} ridge-1
    :answer: a function

    One intercept for each group ...
    :::

What a page asks is written out, with the label and the link to the solution, for the book, for
the page that a reader takes along, and for worksheets.
"""

import re

from docutils import nodes

from mixhier_lite.exercises import registry

STATEMENT = re.compile(
    r"^:::\{exercise\} (?P<id>\S+)\n:answer: (?P<asks>.+)\n\n(?P<text>(?:.*\n)*?):::$",
    re.MULTILINE,
)
WRITTEN_OUT = """:::{{exercise}} {title}
:label: ex-{id}

`check("{id}", answer)`\u00a0· *{level}\u00a0· {kind}\u00a0· answer: {asks}*

{text}
{{ref}}`Solution <sol-{id}>`
:::"""


SHAPE = re.compile(r"shape \([^()]*\)")


def statements(page):
    """Read the exercises of a page, in order."""
    return list(STATEMENT.finditer(page.read_text(encoding="utf-8")))


def written_out(text):
    """Write the statements of a page with all that is known about them."""

    def one(statement):
        exercise = registry.find(statement["id"])
        return WRITTEN_OUT.format(
            title=exercise.title, level=exercise.level, kind=exercise.kind, **statement.groupdict()
        )

    whole = STATEMENT.sub(one, text)
    return SHAPE.sub(lambda shape: shape[0].replace(" ", "\u00a0"), whole)


def write_out(app, name, source):
    """Write out a page before the build reads it."""
    if "/exercises/" in name:
        source[0] = written_out(source[0])


def name_once(app, doctree, page):
    """Where a chapter ends with **Exercises:**, do not repeat its title after the word."""
    for word in doctree.findall(nodes.strong):
        if word.astext() != "Exercises:":
            continue
        link = word.next_node(nodes.reference, descend=False, siblings=True)
        name = link.next_node(nodes.Text)
        name.parent.replace(name, nodes.Text("on the next page"))


def setup(app):
    """Register with Sphinx."""
    app.connect("source-read", write_out)
    app.connect("doctree-resolved", name_once, priority=400)  # before `formulas` reads its mark
    return {"parallel_read_safe": True}
