"""A table drawn as a map: boxes that link to chapters, arrows that link to theorems.

``{map} fig-slug-what`` holds a table of three columns. A cell that begins with an arrow (→ ↔ ↓ ↕)
is drawn as one: its link leads to a theorem, and what stands before the link is the condition under
which the theorem holds. Every other cell is a box; one alone in its row stands in the middle. The
words stay words, so a map is read aloud, searched and printed as the text around it, its letters
have the size of the text, and a label that is gone fails the build. A notebook shows the table.
"""

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

ARROWS = {"→": "across", "↔": "across both", "↓": "down", "↕": "down both"}
PLACES = ("left", "middle", "right")


def cells(table):
    """List the rows of a table, each a list of paragraphs, or None where a cell is empty."""
    for row in table.findall(nodes.row):
        yield [entry[0] if entry.astext() else None for entry in row.findall(nodes.entry)]


def cut(paragraph):
    """Cut a paragraph at its link: what stands before, the link, what stands behind."""
    place = next(k for k, part in enumerate(paragraph) if isinstance(part, pending_xref))
    return paragraph[:place], paragraph[place], paragraph[place + 1 :]


def block(classes, *lines):
    """Put lines of text into a block of a class; empty lines are left out."""
    paragraphs = [nodes.paragraph("", "", *line) for line in lines if line]
    return nodes.container("", *paragraphs, classes=classes)


def arrow(paragraph, place):
    """Draw an arrow: the condition, and the theorem."""
    sign, _, rest = paragraph[0].partition(" ")
    paragraph[0] = nodes.Text(rest)
    condition, link, _ = cut(paragraph)
    return block(["map-arrow", *ARROWS[sign].split(), place], condition, [link])


def box(paragraph, alone):
    """Draw a box: the chapter, and what else is said of it."""
    _, link, rest = cut(paragraph)
    return block(["map-box", *(["alone"] if alone else [])], [link], rest)


def drawn(rows):
    """Draw the cells of a table, row by row."""
    for row in rows:
        filled = [(cell, place) for cell, place in zip(row, PLACES, strict=True) if cell]
        signs = [cell.astext()[0] for cell, _ in filled]
        parts = [
            arrow(cell, place) if sign in ARROWS else box(cell, len(filled) == 1)
            for (cell, place), sign in zip(filled, signs, strict=True)
        ]
        beside = len(parts) > 1 and all(sign in ARROWS for sign in signs)
        yield from [nodes.container("", *parts, classes=["map-pair"])] if beside else parts


class Map(SphinxDirective):
    """``{map} name``: a figure made of boxes and arrows."""

    required_arguments = 1
    has_content = True
    option_spec = {"caption": str}

    def run(self):
        """Parse the table and draw it."""
        content = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, content)
        figure = nodes.figure(ids=[self.arguments[0]])
        figure += nodes.container("", *drawn(cells(content)), classes=["map"])
        words, messages = self.state.inline_text(self.options["caption"], self.lineno)
        figure += nodes.caption("", "", *words)
        return [figure, *messages]


def setup(app):
    """Register the directive."""
    app.add_directive("map", Map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
