"""A figure that answers to the hand: plain SVG, range inputs and a few lines of JavaScript.

Python draws the figure once and writes a table of readings, for print and for readers without
JavaScript. The page computes every other position itself, from the numbers in ``data``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
LEFT = 50
RIGHT = 12
TOP = 24
BOTTOM = 38

Pieces = Sequence[Any]
"""What a mark consists of: polylines (k, 2), points (2,) or labels (x, y, text)."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What a dial shows at one position, in the units of the axes."""

    marks: Mapping[str, Pieces]
    numbers: Mapping[str, float]
    """The readings, by the heading of their column in the table."""


@dataclass(frozen=True)
class Knob:
    """A range input."""

    label: str
    low: float
    high: float
    step: float
    start: float


@dataclass(frozen=True)
class Axis:
    """An axis from low to high, with the texts of its ticks; logarithms are taken before."""

    label: str
    low: float
    high: float
    ticks: Mapping[float, str]


@dataclass(frozen=True)
class Mark:
    """A part of a panel: kind line, dots, specks (many small dots) or label, and how it looks.

    It takes its pieces from the frame under ``name``, or holds them itself and never moves.
    """

    name: str
    kind: str
    look: str
    pieces: Pieces | None = None


@dataclass(frozen=True)
class Panel:
    """Axes with marks."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    width: int = 300
    height: int = 250


@dataclass(frozen=True, eq=False)
class Dial:
    """An interactive figure; the last expression of a cell shows it.

    ``frame(*positions)`` computes by the package's own routes what the page computes by the
    formula in ``kind.js``; a test in a browser holds one against the other.
    """

    kind: str
    name: str
    """What the ids on the page are made of; two dials of one page need two names."""
    alt: str
    knobs: tuple[Knob, ...]
    panels: tuple[Panel, ...]
    data: Mapping[str, Any]
    """What the page computes from, written with ``digits`` significant digits."""
    stops: tuple[tuple[float, ...], ...]
    """Positions of the rows of the table."""
    caption: str
    """Of the table."""
    says: str
    """What to move and what to see: the sentence below the dial."""
    frame: Callable[..., Frame]
    digits: int = 6

    def __repr__(self) -> str:
        """Name the dial and say what it shows."""
        return f"Dial {self.name}: {self.alt}"

    def _repr_html_(self) -> str:
        """Write the dial for a notebook or a page; the same on every machine."""
        start = self.frame(*(knob.start for knob in self.knobs))
        panels = "\n".join(_panel(panel, start, self.name) for panel in self.panels)
        knobs = "\n".join(_knob(knob, f"{self.name}-{i}") for i, knob in enumerate(self.knobs))
        return f"""<div class="dial" data-dial="{self.name}">
<style>
{(HERE / "dial.css").read_text(encoding="utf-8")}</style>
<div class="knobs">
{knobs}
</div>
<div class="panels" role="img" aria-label="{escape(self.alt)}">
{panels}
</div>
<p class="now"></p>
{self._table()}
<p class="says">{escape(self.says)}</p>
<script>
{{
const dial = {(HERE / "dial.js").read_text(encoding="utf-8").strip()};
const data = {json.dumps(_rounded(self.data, self.digits), separators=(",", ":"))};
const see = {(HERE / f"{self.kind}.js").read_text(encoding="utf-8").strip()};
for (const root of document.querySelectorAll('[data-dial="{self.name}"]'))
  dial.turn(root, knobs => see(knobs, data, dial));
}}
</script>
</div>"""

    def _table(self) -> str:
        """Readings at a few positions, where nothing can be moved."""
        rows = [self.frame(*stop).numbers for stop in self.stops]
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{written(value)}</td>" for value in row.values()) + "</tr>"
            for row in rows
        )
        return (
            f'<div class="still"><table><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def written(value: float, digits: int = 3) -> str:
    """Write a number to some significant digits, with a minus sign in the place of a hyphen."""
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def power_of_ten(exponent: float) -> str:
    """Write the tick of a logarithmic axis: 0.01, 1, 100, then 10⁴; and 10⁻³."""
    if abs(exponent) <= 2:
        return f"{10.0**exponent:g}"
    return "10" + f"{exponent:.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def round_ticks(low: float, high: float) -> dict[float, str]:
    """Three to six round values between low and high, and their texts."""
    unit = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = next(k * unit for k in (1, 2, 5, 10) if (high - low) / (k * unit) <= 6)
    first = int(np.ceil(low / step))
    last = int(np.floor(high / step))
    return {k * step: written(k * step, 6) for k in range(first, last + 1)}


def _rounded(value: Any, digits: int) -> Any:
    """Round the numbers of nested mappings, sequences and arrays for JSON."""
    if isinstance(value, Mapping):
        return {key: _rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{digits}g}") + 0.0
    if isinstance(value, np.ndarray):
        return _rounded(value.tolist(), digits)
    if isinstance(value, (list, tuple)):
        return [_rounded(inner, digits) for inner in value]
    return value


def _pixel(value: float) -> str:
    """Write a coordinate; a tie, as 5.95, falls to the same side on every machine."""
    return f"{round(value, 6) + 0.0:.1f}"


def _knob(knob: Knob, name: str) -> str:
    """Write a labelled input; in JupyterLab, its arrow keys are not to move between cells."""
    return (
        f'<p class="knob"><label for="dial-{name}">{escape(knob.label)}</label>'
        f'<input type="range" id="dial-{name}" min="{knob.low:g}" max="{knob.high:g}" '
        f'step="{knob.step:g}" value="{knob.start:g}" data-lm-suppress-shortcuts="true">'
        '<span aria-hidden="true"></span></p>'
    )


def _panel(panel: Panel, frame: Frame, name: str) -> str:
    """Draw the axes, and the marks in a nested drawing that clips what leaves it."""
    wide = panel.width
    tall = panel.height
    width = wide - LEFT - RIGHT
    height = tall - TOP - BOTTOM
    b = width / (panel.x.high - panel.x.low)
    d = -height / (panel.y.high - panel.y.low)
    scale = (-b * panel.x.low, b, -d * panel.y.high, d)
    a, _, c, _ = scale
    out = [
        f'<svg viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" '
        f'style="max-width:{1.25 * wide:g}px">'
    ]
    out.append(f'<text x="{LEFT}" y="14">{escape(panel.title)}</text>')
    out.append(f'<path class="axis" d="M{LEFT} {TOP}v{height}h{width}"/>')
    for value, text in panel.x.ticks.items():
        x = LEFT + a + b * value
        y = TOP + height
        out.append(f'<path class="axis" d="M{_pixel(x)} {y}v4"/>')
        out.append(f'<text class="middle" x="{_pixel(x)}" y="{y + 16}">{escape(text)}</text>')
    for value, text in panel.y.ticks.items():
        level = TOP + c + d * value
        out.append(f'<path class="axis" d="M{LEFT} {_pixel(level)}h-4"/>')
        out.append(
            f'<text class="end" x="{LEFT - 7}" y="{_pixel(level + 4)}">{escape(text)}</text>'
        )
    middle = LEFT + width / 2
    low = tall - 5
    out.append(f'<text class="middle" x="{middle:g}" y="{low}">{escape(panel.x.label)}</text>')
    turned = f"translate(12 {TOP + height / 2:g}) rotate(-90)"
    out.append(f'<text class="middle" transform="{turned}">{escape(panel.y.label)}</text>')
    numbers = " ".join(f"{v:.6g}" for v in scale)
    size = f'x="{LEFT}" y="{TOP}" width="{width}" height="{height}"'
    out.append(f'<svg {size} data-scale="{numbers}">')
    if any("arrow" in mark.look for mark in panel.marks):
        out.append(_head(name))
    out += [_mark(mark, frame, scale, name) for mark in panel.marks]
    return "\n".join([*out, "</svg>", "</svg>"])


def _head(name: str) -> str:
    return (
        f'<marker id="dial-{name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto" markerUnits="userSpaceOnUse">'
        '<path class="random" d="M1 1L7 4L1 7"/></marker>'
    )


def _mark(mark: Mark, frame: Frame, scale: tuple[float, ...], name: str) -> str:
    a, b, c, d = scale

    def at(point: Sequence[float]) -> str:
        return f"{_pixel(a + b * point[0])} {_pixel(c + d * point[1])}"

    head = f' marker-end="url(#dial-{name}-head)"' if "arrow" in mark.look else ""
    shapes = []
    for piece in frame.marks[mark.name] if mark.pieces is None else mark.pieces:
        if mark.kind == "line":
            shapes.append(f'<path d="M{"L".join(map(at, piece))}"{head}/>')
        elif mark.kind == "specks":
            shapes.append(f'<path d="{"".join(f"M{at(point)}h0" for point in piece)}"/>')
        elif mark.kind == "dots":
            shapes.append(f'<circle r="3.5" transform="translate({at(piece)})"/>')
        else:
            lift = ' dy="-7"' if "above" in mark.look else ""
            text = f'<text class="{mark.look}"{lift} transform="translate({at(piece)})">'
            shapes.append(f"{text}{escape(str(piece[2]))}</text>")
    moves = f' data-mark="{mark.name}" data-kind="{mark.kind}"' if mark.pieces is None else ""
    return f'<g class="{mark.kind} {mark.look}"{moves}>{"".join(shapes)}</g>'
