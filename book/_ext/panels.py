"""On a phone the panels of a wide figure stand below each other, with letters that can be read.

A figure of matplotlib says where its axes are. Between two columns of axes it is cut, left of what
belongs to the right one; a phone shows the columns as windows on the one file. A column that takes
the labels of its vertical axis from the first gets a window on those too. A wide figure that cannot
be cut so fails the build: a phone would show a part of it, or letters too small to read.
"""

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)

WIDE = 518.4
"""A figure of more points, 7.2 inches, has letters too small to read where a phone shrinks it."""
LARGEST = 1.1
"""Pixels a point: letters of 12.5 points have 14 pixels."""
TICK = 4.0  # points that a tick stands out of its axis
NUMERAL = 7.0  # points that a number beside the end of an axis reaches below it
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"(-?[\d.]+)"
SIZE = re.compile(rf'<svg\b[^>]*? viewBox="0 0 {NUMBER} {NUMBER}"')
FRAME = re.compile(rf"M {NUMBER} {NUMBER}\s+L {NUMBER} {NUMBER}\s+L {NUMBER} {NUMBER} ")
TEXT = re.compile(rf"translate\({NUMBER} {NUMBER}\)( rotate\(-90\))? scale\({NUMBER} -")


class Axes(NamedTuple):
    """Where axes begin and end, where what is written at their left begins, and their ticks.

    Words are all that is written; a number of the horizontal axis may reach out too, below. Beside
    the vertical axis stand its numbers and its label.
    """

    left: float
    right: float
    words: float
    beside: float
    ticks: frozenset[str]


class Window(NamedTuple):
    """A part of a figure, from x on, in points."""

    x: float
    width: float


def axes(svg):
    """Read the axes of a figure; none where one of them has no frame."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if not group.get("id", "").startswith("axes_"):
            continue
        frame = group.find(f"{SVG}g/{SVG}path")
        corners = FRAME.match(frame.get("d")) if "patch" in group[0].get("id") else None
        if corners is None:
            return []
        left, bottom, right, _, _, top = map(float, corners.groups())
        texts = [text for text in map(start, group.iter()) if text and text[0] < left - TICK]
        words = min((x for x, _ in texts), default=left)
        beside = min((x for x, y in texts if top < y < bottom + NUMERAL), default=left)
        found.append(Axes(left, right, words, beside, frozenset(heights(group))))
    return found


def start(node):
    """Tell where a text begins; a line of text that is turned stands left of its x."""
    found = TEXT.match(node.get("transform", ""))
    if found is None:
        return None
    x, y, turned, scale = found.groups()
    return float(x) - (100 * float(scale) if turned else 0), float(y)


def heights(group):
    """Yield where the ticks of the vertical axis stand."""
    for tick in group.iter(f"{SVG}g"):
        if tick.get("id", "").startswith("ytick_"):
            yield from (use.get("y") for use in tick.iter(f"{SVG}use") if use.get("y"))


def columns(svg):
    """Gather the axes of a figure in columns, from left to right; those of one stand flush."""
    gathered = {}
    for one in axes(svg):
        gathered.setdefault((round(one.left), round(one.right)), []).append(one)
    found = [gathered[place] for place in sorted(gathered)]
    apart = all(a[0].right < b[0].left for a, b in zip(found, found[1:], strict=False))
    return found if apart and len({len(column) for column in found}) == 1 else []


def windows(svg):
    """Cut a wide figure into panels, each a list of windows that stand side by side."""
    width = float(SIZE.search(svg)[1])
    found = columns(svg)
    if len(found) < 2:
        return []
    cuts = [0.0]
    for before, column in zip(found, found[1:], strict=False):
        words = min(one.words for one in column) - TICK
        cuts.append(max(words, max(one.right for one in before) + 1))
    panels = []
    for column, start, end in zip(found, cuts, [*cuts[1:], width], strict=True):
        first = found[0]
        borrows = column is not first and all(
            one.beside == one.left > other.left - other.beside > 0 and one.ticks == other.ticks
            for one, other in zip(column, first, strict=True)
        )
        strip = [Window(0.0, first[0].left - TICK)] if borrows else []
        panels.append([*strip, Window(start, end - start)])
    return panels


class crop(nodes.General, nodes.Element):
    """A window on an image, which is its child."""


def open_crop(self, node):
    """Give the window its shape, and its place on the image."""
    (x, width) = node["window"]
    (whole, height) = node["size"]
    self.body.append(
        f'<i style="flex:{width:.0f};aspect-ratio:{width:.1f}/{height:.1f};'
        f'--x:{-100 * x / width:.1f}%;--w:{100 * whole / width:.1f}%">'
    )


class panel(nodes.General, nodes.Element):
    """Windows side by side."""


def open_panel(self, node):
    """Let letters grow no larger than those of the text."""
    points = sum(part["window"].width for part in node)
    self.body.append(f'<div class="panel" style="max-width:{LARGEST * points:.0f}px">')


class stack(nodes.General, nodes.Element):
    """Panels below each other."""


def open_stack(self, node):
    """Leave the description to the whole figure, which those who listen always have."""
    self.body.append('<div class="figure-stack" aria-hidden="true">')


def stacked(image, svg):
    """Set the panels of an image below each other."""
    size = tuple(map(float, SIZE.search(svg).groups()))
    box = stack()
    for part in windows(svg):
        box += panel("", *(crop("", silent(image), window=w, size=size) for w in part))
    return box


def silent(image):
    """Copy an image without its description."""
    copy = image.deepcopy()
    copy["alt"] = ""
    return copy


def mark_wide_figures(app, doctree, page):
    """Put a wide figure's image into a box, beside its panels."""
    if app.builder.format != "html":
        return
    for figure in doctree.findall(nodes.figure):
        for image in list(figure.findall(nodes.image)):
            file = Path(app.srcdir, image["uri"])
            svg = file.read_text("utf-8") if file.suffix == ".svg" else ""
            size = SIZE.search(svg)
            if size and float(size[1]) > WIDE:
                panels = stacked(image, svg)
                if not len(panels):
                    name = ", ".join(figure["ids"]) or file.name
                    logger.warning(
                        "%s: %s points are too wide for a phone, and it cannot be cut into panels",
                        name, size[1], location=figure,
                    )  # fmt: skip
                box = nodes.container("", image.deepcopy(), panels, classes=["wide"])
                image.replace_self(box)


def setup(app):
    """Register the nodes, and connect the step."""
    app.add_node(crop, html=(open_crop, lambda self, node: self.body.append("</i>")))
    for node, opened in ((panel, open_panel), (stack, open_stack)):
        app.add_node(node, html=(opened, lambda self, node: self.body.append("</div>\n")))
    app.connect("doctree-resolved", mark_wide_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
