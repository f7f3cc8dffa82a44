"""Pages are light, and stand still: formulas come drawn, figures and code without ballast."""

import base64
import re

import axe
import formulas
import lean
import nbformat
import notebooks
import pytest
from docutils import nodes
from test_site import PAGES, TOC, article

LIMIT = 400_000


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light(site, page):
    """The page and what it alone loads; all pages share what is in _static.

    The outlines of letters do not count: they are what the page has in place of a renderer.
    """
    file = site / f"{page}.html"
    text = file.read_text(encoding="utf-8")
    loads = re.findall(r'<(?:img|script|iframe|source)\b[^>]*? src="([^"?]+)', text)
    parts = {(file.parent / part).resolve(strict=True) for part in loads}
    shared = (site / "_static").resolve()
    own = [part for part in parts if shared not in part.parents]
    letters = re.search(r'(<svg class="letters">.*?</svg>)?<section', text)[1] or ""
    weight = len(text.encode()) - len(letters) + sum(part.stat().st_size for part in own)
    assert weight <= LIMIT, f"{weight} bytes: {len(text)} characters and {len(own)} files"


# --- formulas


@pytest.mark.parametrize("page", PAGES)
def test_letters_of_formulas_are_in_the_page_once(site, page):
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    built = article(site, page)
    ids = re.findall(r'<[^>]*? id="([^"]+)"', text)
    letters = re.findall(r'<(?:path|use) id="(_[^"]+)"', text)
    assert set(letters) == {use["href"][1:] for use in built.select("use")}
    assert all(ids.count(letter) == 1 for letter in letters)
    assert bool(letters) == ("<m-f" in text)


@pytest.mark.parametrize("tex", [r"\frac{a}{", r"\nonsense x"])
def test_tex_that_cannot_be_read_is_refused(tex):
    with pytest.raises(formulas.JSEvalException, match=r"Missing|Undefined"):
        formulas.draw(tex, False)


def test_a_drawing_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match="<text>"):
        formulas.draw(r"\text{日}", False)


def test_a_comma_stays_where_it_is_written():
    """Two equal texts in one line: the mark behind the formula is that of the second."""
    math, first, second = nodes.math("", "x"), nodes.Text(", "), nodes.Text(", ")
    line = nodes.paragraph("", "", nodes.literal("", "a"), first, nodes.literal("", "b"), math)
    line += [second, nodes.literal("", "c")]
    formulas.keep_marks(None, nodes.section("", line), "page")
    assert math["mark"] == ","
    assert [child.astext() for child in line] == ["a", ", ", "b", "x", " ", "c"]


LONG = r"\text{as wide as the screen of a telephone}"


@pytest.mark.parametrize(
    ("tex", "cut"),
    [
        (r"y = X\alpha + D\beta", [("", r"y = X\alpha + D\beta")]),
        (rf"y = {LONG} + D\beta", [("", "y "), ("", f"{{}}= {LONG} "), ("", r"{}+ D\beta")]),
        (rf"y = {LONG} = -b", [("", "y "), ("", f"{{}}= {LONG} "), ("", "{}= -b")]),
        (r"a = -b, \quad c \leftarrow d", [("", "a = -b, "), (" ", r"c \leftarrow d")]),
        (r"\left(a - b\right) f(c + d)_{i = 1}", [("", r"\left(a - b\right) f(c + d)_{i = 1}")]),
        (r"a &= b \\ &= c", [("", r"a &= b \\ &= c")]),
    ],
)
def test_a_formula_may_break_between_statements_and_where_it_must_before_signs(tex, cut):
    assert formulas.pieces(tex) == cut


def test_a_wide_formula_is_several_pictures_and_said_once():
    tex = r"y = X\alpha + D\beta + \varepsilon, \qquad \beta \sim \mathcal N(0, \Sigma), "
    tex += r"\qquad \varepsilon \sim \mathcal N(0, \tau^2 I)"
    html = formulas.draw(tex, True)
    assert html.count("<svg ") == 3 and html.count("</svg> <svg ") == 2
    assert html.count("<math") == 1 and f'tex="{tex}"' in html
    widths = re.findall(r" width=([\d.]+)ex", html)
    assert max(map(float, widths)) < formulas.PHONE
    assert formulas.draw("a = b", True).count("<svg ") == 1
    assert formulas.draw("a = b", False).count("<svg ") == 1
    in_a_line = formulas.draw(rf"y = {LONG} + D\beta", False)
    assert in_a_line.count("<svg ") == 3 and in_a_line.count("</svg><wbr><svg ") == 2


def test_of_several_statements_one_that_is_cut_stays_together():
    drawing = formulas.draw(rf"a = b, \qquad y = {LONG} + D\beta", True).partition("<math")[0]
    first, second = drawing.split("</svg> <span><svg ")
    assert first.count("<svg ") == 1 and second.endswith("</svg></span>")
    assert second.count("<svg ") == 2, "and two more begin inside"
    assert "<span>" not in formulas.draw(rf"y = {LONG} + D\beta", True)


def test_a_relation_that_begins_a_line_has_no_space_before_it():
    """The space ends the line before: what is not broken is as wide as ever."""
    assert formulas.flush(["y", "{}= X", "{}+ D", "= b"]) == ["y\\;", "= X", "{}+ D", "= b"]
    parts = [formulas.picture_of(tex, False)[2] for tex in formulas.flush(["y", "{}= X"])]
    assert sum(parts) == pytest.approx(formulas.picture_of("y = X", False)[2], abs=0.01)
    in_a_line = formulas.draw(rf"y = {LONG} + D\beta", False)
    starts = re.findall(r"<wbr><svg [^>]*><use [^>]*?(?: x=(\d+))?(?: y=-?\d+)? />", in_a_line)
    assert starts[0] in ("", "0"), "= stands where its line begins"


def test_lines_that_are_gathered_break_each_by_itself():
    tex = rf"\begin{{gathered}} a = {LONG} + b, \\ c = d \end{{gathered}}"
    drawing, said = formulas.draw(tex, True).split("<math", 1)
    first, second = drawing.split("<br>")
    assert (first.count("<svg "), second.count("<svg ")) == (3, 1)
    assert "<mtable>" in said, "who listens hears it as it was written"


def test_a_question_ends_the_sentence_that_ends_with_it():
    def line(name, after):
        whole = nodes.paragraph("", "", nodes.reference("", name), nodes.Text(after))
        formulas.one_mark(None, nodes.section("", whole), "page")
        return whole.astext()

    assert line("Who?", ". Next.") == "Who? Next."
    assert line("Who?", ", and") == "Who?, and"
    assert line("You", ". Next.") == "You. Next."


def test_mathml_says_what_the_formula_says():
    said = formulas.draw(r"\hat\beta = \frac{1}{\tau^2}", False).partition("</svg>")[2]
    assert said == (
        "<math><mover><mi>β</mi><mo>^</mo></mover><mo>=</mo>"
        "<mfrac><mn>1</mn><msup><mi>τ</mi><mn>2</mn></msup></mfrac></math></m-f>"
    )


def standalone(html, letters=""):
    """Make a picture of its own, 60 pixels an em, from a formula of a page."""
    svg = re.search(r"<svg.*</svg>", html)[0]
    svg = re.sub(r" (href|x|y)=([^\s\"]+)", r' \1="\2"', svg)  # XML wants quotation marks
    wide, high = (
        round(float(side) * 0.06) for side in re.search(r'viewBox="(.*?)"', svg)[1].split()[2:]
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \
width="{wide}" height="{high}" preserveAspectRatio="none" viewBox='
    return re.sub(r'^<svg.*?viewBox=("[^"]*")[^>]*>', rf"{head}\1>{letters}", svg, count=1)


SAMPLE = [
    r"\hat\alpha = (X'V^{-1}X)^{-1}X'V^{-1}y",
    r"\underbrace{DU}_{X}\alpha + \sqrt{\sum_{i=1}^n \tfrac{x_i^2}{2}}",
    r"\begin{bmatrix} X'X & X'D \\ D'X & D'D + \lambda I \end{bmatrix}",
    r"\left\lVert \frac{\tilde\beta}{\mathcal N(0, \boldsymbol\Sigma)} \right\rVert^{2^{2}}",
    r"\begin{aligned} a &= \operatorname{tr} H \\ \overline{b} &\succeq \dot c \end{aligned}",
]

PIXELS = """async pairs => {
  const draw = async source => {
    const image = new Image();
    image.src = 'data:image/svg+xml;base64,' + source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const brush = canvas.getContext('2d');
    brush.fillStyle = '#fff';
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0);
    return brush.getImageData(0, 0, canvas.width, canvas.height);
  };
  const answers = [];
  for (const pair of pairs) {
    const [one, other] = [await draw(pair[0]), await draw(pair[1])];
    let sum = 0, ink = 0, most = 0;
    for (let k = 0; k < one.data.length; k++) {
      const gap = Math.abs(one.data[k] - other.data[k]);
      sum += gap;
      ink += 255 - one.data[k];
      most = Math.max(most, gap);
    }
    answers.push({same: one.width === other.width && one.height === other.height,
                  gaps: sum / one.data.length, ink: ink / one.data.length, most: most / 255});
  }
  return answers;
}"""


def check_alike(browser, pairs):
    """Pictures differ by the rounding of edges only: little in any pixel, little in sum."""
    code = [[base64.b64encode(picture.encode()).decode() for picture in pair] for pair in pairs]
    page = browser.new_page()
    answers = page.evaluate(PIXELS, code)
    page.close()
    assert len(answers) == len(pairs)
    for k, answer in enumerate(answers):
        assert answer["same"] and answer["ink"] > 1, (k, answer)
        assert answer["gaps"] < 0.06 * answer["ink"] and answer["most"] < 0.6, (k, answer)


def test_a_formula_looks_as_mathjax_draws_it(browser):
    pairs = []
    for tex in SAMPLE:
        raw = formulas.engine().call("draw", tex, True).replace("currentColor", "black")
        context = {"body": formulas.draw(tex, True)}
        formulas.add_letters(None, "", "", context, None)
        letters, _, formula = context["body"].partition("</defs></svg>")
        letters = f"<defs>{letters.partition('<defs>')[2]}</defs>"
        pairs.append((standalone(raw), standalone(formula, letters)))
    check_alike(browser, pairs)


# --- figures and code


def figures():
    """Read every figure that the notebooks hold."""
    for page in notebooks.sources():
        for cell in nbformat.read(page.with_suffix(".ipynb"), 4).cells:
            for output in cell.get("outputs", []):
                if "image/svg+xml" in output.get("data", {}):
                    yield output["data"]["image/svg+xml"]


def test_lean_figures_look_the_same(browser):
    drawn = list(figures())
    assert len(drawn) > 50
    short = [lean.lean(figure) for figure in drawn]
    assert sum(map(len, short)) < 0.55 * sum(map(len, drawn))
    check_alike(browser, list(zip(drawn, short, strict=True)))


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("M 10 20 \nL 30.123 20 \nL 30.126 5 \nz\n", "m10 20 20.12 0 .01-15z"),
        ("M 0 0 Q 1 2 3 4 T 5 5 H 6 V 7 Z M 1 1", "m0 0q1 2 3 4t2 1h1v2zm1 1"),
        ("M 0 0 L 0.004 0 L 0.008 0 L 0.012 0", "m0 0 0 0 .01 0 0 0"),
    ],
)
def test_paths_are_written_shortly(long, short):
    assert lean.path(long) == short
    assert lean.path("M 0 1 L 2 3", flip=-1) == "m0-1 2-2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_unmarked_code_loses_no_colour(site, scheme):
    """Words without a mark had the colour of all code."""
    rules = dict(
        re.findall(
            rf'html\[data-theme="{scheme}"\] \.highlight( \.\w+)? {{[^}}]*?color: (#\w+) }}',
            (site / "_static" / "pygments.css").read_text(encoding="utf-8"),
        )
    )
    from pygments.token import STANDARD_TYPES

    for kind in lean.UNCOLOURED:
        name = STANDARD_TYPES[kind]
        assert rules.get(f" .{name}", rules[""]) == rules[""], kind


def test_code_is_marked_where_it_has_a_colour(site):
    code = article(site, "book/05-flat").select("div.highlight span[class]")
    marks = {mark for span in code for mark in span["class"]}
    assert {"k", "o", "s2", "mi"} <= marks and not {"n", "p", "w"} & marks


# --- in a browser


@pytest.mark.parametrize("page", [TOC["root"], "book/03-henderson"])
def test_formulas_need_no_script(browser, site, page):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{site}/{page}.html")
    boxes = tab.locator("article .math m-f > :first-child")
    assert boxes.count() == len(article(site, page).select(".math")) > 0
    for box in boxes.all()[:20]:
        assert box.bounding_box()["width"] > 3
    context.close()


SHARED_LINES = """() => [...document.querySelectorAll('article m-f > span')]
  .filter(part => part.firstChild.getBoundingClientRect().bottom
    <= part.lastChild.getBoundingClientRect().top)
  .filter(part => part.previousElementSibling && part.previousElementSibling
    .getBoundingClientRect().bottom > part.getBoundingClientRect().top + 1)
  .map(part => part.parentElement.getAttribute('tex'))"""
BROKEN = "[...document.querySelectorAll('article m-f > span')].length"


@pytest.mark.parametrize("width", [390, 1024])
def test_a_statement_that_breaks_has_its_lines_to_itself(browser, site, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    for page in ("book/toolbox", "book/solutions/09-variance"):
        tab.goto(f"file://{site}/{page}.html")
        tab.evaluate(axe.UNFOLD)
        assert tab.evaluate(BROKEN) > 0
        assert tab.evaluate(SHARED_LINES) == []
    tab.close()


ON_THE_LINE = """() => {
  const bottom = text => {
    const range = document.createRange();
    range.selectNodeContents(text);
    return range.getClientRects()[0];
  };
  return [...document.querySelectorAll('article span.math')]
    .filter(math => math.lastChild.nodeType === 3 && math.nextSibling?.nodeType === 3)
    .map(math => [bottom(math.lastChild), bottom(math.nextSibling)])
    .filter(([mark, rest]) => mark && rest && rest.left > mark.left)
    .map(([mark, rest]) => mark.bottom - rest.bottom);
}"""


def test_a_comma_after_a_formula_stands_on_the_line(browser, site):
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    tab.goto(f"file://{site}/book/06-ridge.html")
    offsets = tab.evaluate(ON_THE_LINE)
    assert len(offsets) > 20 and max(map(abs, offsets)) < 0.5
    tab.close()
