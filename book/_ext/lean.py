"""Light pages: figures with short numbers, and code without marks that show nothing."""

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from pygments.formatters import HtmlFormatter
from pygments.token import Name, Punctuation, Text, Whitespace
from sphinx.highlighting import PygmentsBridge

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
ID = re.compile(r"^(?:url\()?#([^)]+)\)?$")
MOVE = re.compile(r"(\w+)\(([^)]*)\)")
STEP = re.compile(r"([MLHVQTCZz])([^A-Za-z]*)")
KEYS = {"H": "x", "V": "y", "Q": "xyxy", "C": "xyxyxy", "Z": "", "z": ""}
KEYS |= dict.fromkeys("MLT", "xy")
# These have the colour of all code, in light and in dark.
UNCOLOURED = (Text, Whitespace, Punctuation, Name, Name.Namespace, Name.Other)


class Formatter(HtmlFormatter):
    """Code in HTML, with a mark only where a word has a colour of its own."""

    def _get_css_class(self, ttype):
        return "" if ttype in UNCOLOURED else super()._get_css_class(ttype)


def joined(numbers, digits=".2f"):
    """Write numbers one after the other: hundredths of a point, and no needless character."""
    words = []
    for number in numbers:
        word = f"{number:{digits}}"
        word = word.rstrip("0").rstrip(".") if "." in word else word
        word = "0" if word in ("-0", "") else re.sub(r"^(-?)0\.", r"\1.", word)
        words.append(word if not words or word.startswith("-") else f" {word}")
    return "".join(words)


def path(d, flip=1, part=1, places=2):
    """Write a path by the way from each point to the next; flip=-1 turns it upside down.

    Lengths are divided by ``part`` and rounded to ``places`` decimal places.
    """
    at = {"x": 0.0, "y": 0.0}
    start = {}
    last = ""
    out = []
    for kind, words in STEP.findall(d):
        keys = KEYS[kind]
        ends = [float(word) / part for word in words.split()]
        ways = [
            round(end * (flip if key == "y" else 1) - at[key], places)
            for key, end in zip(keys, ends, strict=True)
        ]
        for key, way in list(zip(keys, ways, strict=True))[-2:]:
            at[key] = round(at[key] + way, places)  # a rounded point: errors do not add up
        start = dict(at) if kind == "M" else start
        at = dict(start) if kind in "Zz" else at
        kind = kind.lower()
        words = joined(ways)
        if words and kind in (last, {"m": "l"}.get(last)):  # need not be said again
            out.append(words if words.startswith("-") else f" {words}")
        else:
            out.append(kind + words)
        last = kind
    return "".join(out)


def placed(node, moves):
    """Shorten a transform; factors keep six digits, since letters are large and scaled down."""
    steps = [(kind, [float(word) for word in words.split()]) for kind, words in MOVE.findall(moves)]
    if node.tag == f"{SVG}use" and [kind for kind, _ in steps] == ["translate"]:
        ways = zip("xy", steps[0][1], strict=False)  # of a letter, in hundredths of its size
        return {key: joined([way], ".0f") for key, way in ways if way}
    digits = {"scale": ".6g"}
    return {
        "transform": "".join(
            f"{kind}({joined(ways, digits.get(kind, '.2f'))})" for kind, ways in steps
        )
    }


def style(node):
    """Read the style of an element."""
    entries = (entry.partition(":") for entry in node.get("style", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in entries if value}


MANY = 4  # elements of one style, from which on it is said once
LETTER = "scale(0.015625)"  # of an outline with 4096 units an em
COARSE = 8  # 512 units an em are enough for a letter in a figure


def shorten(node, names, styles):
    """Shorten the attributes of an element."""
    new = {}
    letter = node.tag == f"{SVG}path" and node.get("transform") == LETTER
    inner = styles.get(node.get(LINK, "")[1:], {})  # what is used keeps the style that it has
    properties = sorted(f"{name}:{value}" for name, value in style(node).items() - inner.items())
    for key, value in node.items():
        if key == "style":
            new |= {"style": ";".join(properties)} if properties else {}
        elif key == "id":
            new |= {"id": names[value]} if value in names else {}
        elif key == "d":
            new["d"] = path(value, 1, COARSE, 0) if letter else path(value)
        elif key == "transform":
            new |= placed(node, f"scale({COARSE * 0.015625})" if letter else value)
        elif key in ("x", "y", "width", "height") and not value.endswith("pt"):
            new[key] = joined([float(value)])
        else:
            link = ID.match(value)
            value = value.replace(link[1], names[link[1]]) if link else value
            new["href" if key == LINK else key] = value
    node.attrib = new


def unwrap(parent):
    """Put the children of groups that say nothing in the place of the groups."""
    children = []
    for child in parent:
        unwrap(child)
        silent = child.tag == f"{SVG}g" and not child.attrib
        hollow = child.tag in (f"{SVG}g", f"{SVG}defs") and not len(child)
        children += child if silent else [] if hollow else [child]
    parent[:] = children


def share_styles(root):
    """Say a style once that many elements have."""
    sheet = next(root.iter(f"{SVG}style"), None)
    if sheet is None:
        return
    counts = Counter(node.get("style") for node in root.iter() if node.get("style"))
    often = [look for look, count in counts.items() if count >= MANY]
    names = {look: f"s{k}" for k, look in enumerate(often)}
    for node in root.iter():
        if node.get("style") in names:
            node.set("class", names[node.attrib.pop("style")])
    sheet.text += "".join(f".{name}{{{look}}}" for look, name in names.items())


def lean(svg):
    """Write a figure of matplotlib in fewer bytes."""
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{SVG}metadata"):
        root.remove(metadata)
    links = {
        link[1]
        for node in root.iter()
        for value in node.attrib.values()
        if (link := ID.match(value))
    }
    names = {
        name: f"{'abcdefghijkmnopqrstuvwxyz'[k % 25]}{k // 25 or ''}"
        for k, name in enumerate(sorted(links))
    }
    styles = {node.get("id"): style(node) for node in root.iter() if node.get("id")}
    for node in root.iter():
        shorten(node, names, styles)
        node.text = (node.text or "").strip()
        node.tail = ""
    unwrap(root)
    share_styles(root)
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def write_lean_figures(app, problem):
    """Rewrite the figures that the pages show."""
    for figure in () if problem else Path(app.outdir, "_images").glob("*.svg"):
        text = figure.read_text(encoding="utf-8")
        if text.startswith("<?xml"):  # as matplotlib writes it
            figure.write_text(lean(text), encoding="utf-8")


def setup(app):
    """Connect both."""
    PygmentsBridge.html_formatter = Formatter
    app.connect("build-finished", write_lean_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
