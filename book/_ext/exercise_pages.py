"""Statements of exercises: a page asks the question, the package says title, level and kind.

    :::{exercise} ridge-1
    :answer: a function

    One intercept for each group ...
    :::

What a page asks is written out, with the label and the link to the solution, for the book, for
the page that a reader takes along, and for worksheets.
"""

import re

from mixhier_lite.exercises import registry

STATEMENT = re.compile(
    r"^:::\{exercise\} (?P<id>\S+)\n:answer: (?P<asks>.+)\n\n(?P<text>(?:.*\n)*?):::$",
    re.MULTILINE,
)
WRITTEN_OUT = """:::{{exercise}} {title}
:label: ex-{id}

`check("{id}", answer)` · *{level} · {kind} · answer: {asks}*

{text}
{{ref}}`Solution <sol-{id}>`
:::"""


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

    return STATEMENT.sub(one, text)


def write_out(app, name, source):
    """Write out a page before the build reads it."""
    if "/exercises/" in name:
        source[0] = written_out(source[0])


def setup(app):
    """Register with Sphinx."""
    app.connect("source-read", write_out)
    return {"parallel_read_safe": True}
