"""Formulas are drawn when the book is built: a page shows them at once and does not jump.

MathJax, taken from its installed package, runs inside V8 here rather than in every browser. A
formula becomes an element <m-f>: an SVG picture whose letters the page shares, MathML for those
who listen to it, and the TeX for those who copy it. A formula that MathJax cannot read is a
warning of the build.
"""

import atexit
import functools
import html
import importlib.metadata
import re
from typing import NamedTuple
from xml.etree import ElementTree

import lean
from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

PARTS = "startup core adaptors/liteDOM input/tex-full output/svg output/svg/fonts/tex"
PARTS = (*PARTS.split(), "a11y/assistive-mml")
SETTINGS = """
var MathJax = {
  startup: {typeset: false},
  svg: {fontCache: "local"},
  tex: {
    packages: {"[-]": ["noerrors", "noundefined"]},
    formatError: (jax, error) => { throw error },
  },
};"""
DRAW = """
MathJax.startup.defaultReady();
function draw(tex, display) {
  return MathJax.startup.adaptor.outerHTML(MathJax.tex2svg(tex, {display}));
}"""
LINK = "{http://www.w3.org/1999/xlink}href"
MOVE = re.compile(r"(translate|scale)\(([^)]*)\)")
LETTER = re.compile(r'<use href="#(\w+-[0-9A-F]+(?:\*[^"]+)?)"')
SVG = "{http://www.w3.org/2000/svg}"
SAID = {"mathvariant", "display", "accent", "linethickness"}
# Where a wide formula may break on a narrow page.
TOKEN = re.compile(
    r"\\(?:left|right)(?![A-Za-z])\s*(?:\\[A-Za-z]+|\\.|.)|\\[A-Za-z]+\s*|\\.|.", re.DOTALL
)
GAPS = {r"\quad", r"\qquad"}
RELATIONS = {"=", r"\propto", r"\sim", r"\succeq", r"\to", r"\le", r"\approx"}
JOINTS = {"+", "-", r"\cdot"}
GATHERED = re.compile(r"\s*\\begin\{gathered\}(.*)\\end\{gathered\}\s*", re.DOTALL)
OPENING = {"{", "(", "[", r"\{", r"\lVert", r"\lvert", r"\begin"}
CLOSING = {"}", ")", "]", r"\}", r"\rVert", r"\rvert", r"\end"}
PHONE = 38.0  # what a phone shows, in ex, beside the line of an exercise or a proof
SHORT = 9.0  # a piece that is not worth a line of its own
LOGGER = logging.getLogger(__name__)
OUTLINES: dict[str, str] = {}  # of each letter drawn so far, by its id


@functools.cache
def engine():
    """Start MathJax, once."""
    files = importlib.metadata.files("sphinx-mathjax-offline") or []
    scripts = {file.as_posix().partition("/mathjax/")[2]: file for file in files}
    v8 = MiniRacer()
    atexit.register(v8.close)  # left open, it can keep Python from ending
    parts = [scripts[f"{part}.js"].read_text(encoding="utf-8") for part in PARTS]
    for script in (SETTINGS, *parts, DRAW):
        v8.eval(script)
    return v8


class Place(NamedTuple):
    """Where a part of a formula stands: (x + sx x', y + sy y'), with y upwards."""

    x: float = 0.0
    y: float = 0.0
    sx: float = 1.0
    sy: float = 1.0

    def inside(self, transform):
        """Follow the moves of an SVG attribute, from the outermost inwards."""
        x, y, sx, sy = self
        for kind, numbers in MOVE.findall(transform):
            a, *rest = map(float, re.split(r"[ ,]+", numbers.strip()))
            if kind == "scale":
                sx = sx * a
                sy = sy * (rest or [a])[0]
            else:
                x = x + sx * a
                y = y + sy * (rest or [0.0])[0]
        return Place(x, y, sx, sy)

    def window(self, node):
        """Write the attributes of a rectangle, with y downwards as in a page."""
        x, y, width, height = (float(node.get(key)) for key in ("x", "y", "width", "height"))
        return (
            f'x="{whole(self.x + self.sx * x)}" y="{whole(-self.y - self.sy * (y + height))}" '
            f'width="{whole(self.sx * width)}" height="{whole(self.sy * height)}"'
        )

    def spot(self):
        """Write the attributes of a letter's point, with y downwards, as short as HTML allows."""
        ways = zip("xy", (whole(self.x), whole(-self.y)), strict=True)
        return "".join(f" {key}={way}" for key, way in ways if way != "0")


def whole(value):
    """Write a length in thousandths of an em."""
    return str(round(value))


def ex(length):
    """Shorten a length such as -0.025ex."""
    return lean.joined([float(length.strip(" ;ex"))]) + "ex"


def flat(node, place):
    """Yield the letters and lines of a drawing, without the groups around them."""
    tag = node.tag.rpartition("}")[2]
    place = place.inside(node.get("transform", ""))
    if tag == "g":
        for child in node:
            yield from flat(child, place)
    elif tag == "use":
        name = node.get(LINK).partition("-TEX-")[2]  # #MJX-1-TEX-I-1D437 is I-1D437 everywhere
        form = f"{name}*{place.sx:.3g} {place.sy:.3g}".removesuffix("*1 1")
        yield f'<use href="#{form}"{place.spot()} />'
    elif tag == "rect":
        yield f"<rect {place.window(node)}/>"
    elif tag == "svg":  # the straight part of a long brace, cut at both ends
        inner = "".join(part for child in node for part in flat(child, Place()))
        yield f'<svg {place.window(node)} viewBox="{upside_down(node)}">{inner}</svg>'
    elif tag != "defs":
        raise ValueError(f"<{tag}> in the drawing of a formula is not expected")


def upside_down(node):
    """Write the window of a drawing for y downwards."""
    x, y, width, height = map(float, node.get("viewBox").split())
    return f"{whole(x)} {whole(-y - height)} {whole(width)} {whole(height)}"


def attribute(name, value):
    """Write an attribute, without quotation marks where HTML needs none."""
    value = " ".join(value.split()).replace("&", "&amp;").replace('"', "&quot;")
    bare = re.fullmatch(r"[^\s\"'=<>`/]+", value)
    return f" {name}={value}" if bare else f' {name}="{value}"'


def spoken(node):
    """Write the MathML of a formula: what it says, without how it looks."""
    node.tag = node.tag.rpartition("}")[2]
    node.attrib = {key: value for key, value in node.items() if key in SAID}
    for k, child in enumerate(node):
        spoken(child)
        if child.tag == "mrow" and len(child) == 1:
            node[k] = child[0]
    return ElementTree.tostring(node, encoding="unicode")


@functools.cache
def picture_of(tex, display):
    """Draw TeX; return the SVG picture, the MathML of the whole, and the width in ex."""
    picture, (math,) = ElementTree.fromstring(engine().call("draw", tex, display))
    for outline in picture.iter(f"{SVG}path"):
        letter = outline.get("id").partition("-TEX-")[2]
        if letter not in OUTLINES:
            OUTLINES[letter] = lean.path(outline.get("d"), flip=-1)
    lines = "".join(part for node in picture.find(f"{SVG}g") for part in flat(node, Place()))
    window = " ".join(whole(float(length)) for length in picture.get("viewBox").split())
    width = ex(picture.get("width"))  # the height follows from the window
    style = f"vertical-align:{ex(picture.get('style').partition(':')[2])}"
    svg = f'<svg style={style} width={width} viewBox="{window}" aria-hidden=true>{lines}</svg>'
    return svg, spoken(math), float(picture.get("width").removesuffix("ex"))


def at_depth(tex):
    """Yield the tokens of TeX, each with the number of brackets and groups around it."""
    depth = 0
    for token in TOKEN.findall(tex):
        yield token, depth
        word = token.strip()
        side = re.match(r"\\(left|right)(?![A-Za-z])", word)
        opens = side[1] == "left" if side else word in OPENING
        closes = side[1] == "right" if side else word in CLOSING
        depth += opens - closes


def has_lines(tex):
    """Tell whether a formula has lines or columns that no environment holds."""
    return any(depth == 0 and token.strip() in ("\\\\", "&") for token, depth in at_depth(tex))


def before(signs, tex):
    """Cut TeX before each of these signs that stands outside brackets and follows no sign."""
    last = "{"
    found = [""]
    for token, depth in at_depth(tex):
        word = token.strip()
        if (
            depth == 0
            and word in signs
            and last not in RELATIONS | JOINTS
            and found[-1].strip(" {}\n")
        ):
            found.append("{}" + token)
        else:
            found[-1] += token
        last = word or last
    return found


def split(marks, tex):
    """Cut TeX at marks that stand outside brackets, and drop these."""
    found = [""]
    for token, depth in at_depth(tex):
        if depth == 0 and token.strip() in marks:
            found.append("")
        else:
            found[-1] += token
    return found


def narrow(tex):
    """Tell whether a phone shows the whole of it in one line."""
    return picture_of(tex, True)[2] < PHONE


def pieces(tex):
    """Cut a formula where it may break: after a statement, before =, and before + where it must.

    Returns pairs of what stands in front, "" or a space, and the TeX of the piece. What a phone
    shows in one line is not cut. A formula with lines or columns of its own is one piece.
    """
    if has_lines(tex):
        return [("", tex)]
    found = []
    for k, statement in enumerate(split(GAPS, tex)):
        sides = [statement] if narrow(statement) else before(RELATIONS, statement)
        cut = [
            part for side in sides for part in ([side] if narrow(side) else before(JOINTS, side))
        ]
        found += [(" " if k else "", cut[0]), *(("", part) for part in cut[1:])]
    return found


def lines_of(tex):
    """Return the lines of a formula whose lines are centred one below the other."""
    gathered = GATHERED.fullmatch(tex)
    return split({"\\\\"}, gathered[1]) if gathered else [tex]


def flush(texs):
    """Let each relation that begins a line begin it: the space before it ends the last line."""
    found = texs[:1]
    for tex in texs[1:]:
        relation = tex.removeprefix("{}")
        if relation != tex and TOKEN.match(relation)[0].strip() in RELATIONS:
            found[-1] += r"\;"
            tex = relation
        found.append(tex)
    return found


def joined_again(cut, display):
    """Draw the pieces of a wide formula; a short one goes with what stands before it.

    In a line of text, where formulas do not break by themselves, each piece may begin a line, and
    the space before a relation stays at the end of the line before. Of several statements on a
    line of their own, one that is cut begins a new line before it breaks.
    """
    parts = []
    for gap, piece in cut:
        width = picture_of(piece, True)[2]
        last = parts[-1] if parts and not gap else ("", "", PHONE)
        if min(width, last[2]) < SHORT and width + last[2] < PHONE:
            piece = last[1] + piece.removeprefix("{}")
            parts[-1] = (last[0], piece, picture_of(piece, True)[2])
        else:
            parts.append((gap, piece, width))
    if not display:
        return "<wbr>".join(
            picture_of(tex, False)[0] for tex in flush([tex for _, tex, _ in parts])
        )
    statements = []
    for gap, piece, _ in parts:
        if gap or not statements:
            statements.append([])
        statements[-1].append(picture_of(piece, True)[0])
    drawn = ["".join(pictures) for pictures in statements]
    if len(statements) > 1:
        for k, pictures in enumerate(statements):
            drawn[k] = f"<span>{drawn[k]}</span>" if len(pictures) > 1 else drawn[k]
    return " ".join(drawn)


@functools.cache
def draw(tex, display):
    """Draw a formula; return its HTML and remember the outlines of its letters."""
    svg, said, width = picture_of(tex, display)
    if width > PHONE and not has_lines(tex):
        svg = "<br>".join(joined_again(pieces(line), display) for line in lines_of(tex))
    where = " display=true" if display else ""
    return f"<m-f{where}{attribute('tex', tex)}>{svg}{said}</m-f>"


def drawn(node, tex, display):
    """Draw the formula of a document; where TeX is wrong, warn and show it as it is."""
    try:
        return draw(tex, display)
    except (JSEvalException, ValueError) as problem:
        reason = str(problem).partition("\n")[0]
        LOGGER.warning("cannot draw %s: %s", tex, reason, location=node, type="formula")
        return f"<code>{html.escape(tex)}</code>"


def keep_marks(app, doctree, page):
    """Let a formula in a line keep the bracket before it, and the comma or full stop after it.

    So it keeps the rest of a word, the value of a p-value.
    """
    for node in doctree.findall(nodes.math):
        before = node.parent[node.parent.index(node) - 1] if node.parent.index(node) else None
        opening = re.search(r"[(\[]*$", before)[0] if isinstance(before, nodes.Text) else ""
        if opening:
            node["opening"] = opening
            node.parent[node.parent.index(node) - 1] = nodes.Text(before[: -len(opening)])
        after = node.next_node(descend=False, siblings=True)
        mark = re.match(r"(?:-\w+)?[.,;:!?)\]]*", after)[0] if isinstance(after, nodes.Text) else ""
        if mark:
            node["mark"] = mark
            texts = after.parent.children  # equal texts may stand there: this one is meant
            place = next(k for k, text in enumerate(texts) if text is after)
            after.parent[place] = nodes.Text(after[len(mark) :])


def single_parentheses(app, doctree, page):
    """Write the number of an equation that stands in parentheses alone without its own."""
    for node in doctree.findall(nodes.reference):
        number = re.fullmatch(r"\(([\w.]+)\)", node.astext())
        place = node.parent.index(node)
        before = node.parent[place - 1].astext() if place else ""
        after = node.parent[place + 1].astext() if place + 1 < len(node.parent) else ""
        if number and before.endswith("(") and after.startswith(")"):
            for text in list(node.findall(nodes.Text)):
                text.parent.replace(text, nodes.Text(number[1]))


def one_mark(app, doctree, page):
    """Let the question mark of a chapter's name end a sentence that ends with the name."""
    for node in doctree.findall(nodes.reference):
        after = node.next_node(descend=False, siblings=True)
        stop = isinstance(after, nodes.Text) and re.match(r"\.(?!\w)", after)
        if stop and node.astext().endswith("?"):
            place = next(k for k, child in enumerate(node.parent.children) if child is after)
            node.parent[place] = nodes.Text(after[1:])


def visit_inline(self, node):
    """Write a formula in a line of text."""
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    picture = drawn(node, node.astext(), False)
    self.body.append(f"{node.get('opening', '')}{picture}{node.get('mark', '')}</span>")
    raise nodes.SkipNode


def visit_display(self, node):
    """Write a formula on a line of its own, with its number."""
    tex = node.astext()
    if has_lines(tex) and not node["nowrap"]:
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(drawn(node, tex, True) + "</div>\n")
    raise nodes.SkipNode


def outline(form, names):
    """Write a letter for others to use; a letter of another size uses the letter itself."""
    letter, _, scale = form.partition("*")
    if scale:
        factor = scale.split()[0] if len(set(scale.split())) == 1 else scale
        return f'<use id="{names[form]}" href="#{names[letter]}" transform="scale({factor})"/>'
    return f'<path id="{names[letter]}" d="{OUTLINES[letter]}"/>'


def add_letters(app, pagename, templatename, context, doctree):
    """Put the letters of a page's formulas in front of its text, under short names."""
    body = context.get("body", "")
    forms = {form for found in LETTER.findall(body) for form in (found, found.partition("*")[0])}
    names = {form: f"_{k:x}" for k, form in enumerate(sorted(forms))}
    if forms:
        letters = "".join(outline(form, names) for form in sorted(forms))
        body = LETTER.sub(lambda found: f"<use href=#{names[found[1]]}", body)
        context["body"] = f'<svg class="letters"><defs>{letters}</defs></svg>{body}'


def setup(app):
    """Register the renderer that ``html_math_renderer: drawn`` asks for."""
    app.add_html_math_renderer("drawn", (visit_inline, None), (visit_display, None))
    app.connect("doctree-resolved", keep_marks)
    app.connect("doctree-resolved", single_parentheses)
    app.connect("doctree-resolved", one_mark)
    app.connect("html-page-context", add_letters)
    app.add_js_file("formulas.js")
    return {"parallel_read_safe": True, "parallel_write_safe": False}
