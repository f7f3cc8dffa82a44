"""Everybody can read the pages: names, contrast, order, keys, and colours told apart."""

import itertools
import re
from collections import Counter
from xml.etree import ElementTree

import accessible
import axe
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, visit
from test_dials import contrast
from test_site import PAIRED, WHOLE_SITE, soup

from mixhier_lite import plot

# --- the source of the pages


@pytest.mark.parametrize("name", WHOLE_SITE)
def test_headings_are_in_order(site, name):
    page = soup(site, name)
    assert page.html["lang"] == "en"
    headings = page.find("main").select("h1, h2, h3, h4, h5, h6")
    headings = [h for h in headings if not h.find_parent(class_="onlyprint")]
    levels = [int(h.name[1]) for h in headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels)), levels
    assert all(h.get_text().strip("# \n") for h in headings)


@pytest.mark.parametrize("name", WHOLE_SITE)
def test_no_id_stands_twice(site, name):
    ids = Counter(tag["id"] for tag in soup(site, name).select("[id]"))
    assert [name for name, count in ids.items() if count > 1] == []


def test_pages_are_mended_once():
    folded = '<a class="reference internal" href="#">1. A "b"</a><details open="open"><summary>'
    once = accessible.mend(folded)
    assert once.endswith('<summary aria-label="Pages of 1. A &quot;b&quot;">')
    assert accessible.mend(once) == once


def test_a_table_in_stacks_keeps_its_parts():
    plain = (
        '<table class="stacks many table"><thead><tr><th>in <code>R</code></th><th>&amp;</th></tr>'
        "</thead><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></tbody></table>"
    )
    table = BeautifulSoup(accessible.mend(plain), "html.parser").table
    assert [tag["role"] for tag in table.find_all("th")] == ["columnheader"] * 2
    assert [tag["data-column"] for tag in table.find_all("td")] == ["in R", "&", "in R"]
    assert {tag["role"] for tag in table.find_all(["thead", "tbody"])} == {"rowgroup"}
    assert {tag["role"] for tag in table.find_all("tr")} == {"row"} and table["role"] == "table"
    assert accessible.mend(accessible.mend(plain)) == accessible.mend(plain)
    assert "role" not in accessible.mend(plain.replace("stacks many ", ""))


def test_a_solution_has_its_exercise_below_its_title():
    """A press on the title opens the solution, so no link stands in it but its own."""
    mark = '<a class="headerlink" href="#sol-a-1">#</a>'
    title = (
        f'<p class="admonition-title">Solution to<a href="#ex-a-1"> Exercise 1 (A)</a>{mark}</p>'
    )
    assert accessible.mend(title) == (
        f'<p class="admonition-title">Solution to Exercise 1 (A){mark}</p>\n'
        '<p class="back"><a href="#ex-a-1">The exercise</a></p>'
    )


def test_an_address_breaks_behind_a_slash():
    link = '<a class="reference external" href="https://doi.org/10.1/a/b">doi:10.1/a/b/</a>.'
    assert accessible.mend(link) == link.replace(">doi:10.1/a/b/<", ">doi:10.1/<wbr>a/<wbr>b/<")


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ('lmer("y ~ Days + (Days | g)", d, method="ML")',
         ["lmer(", '"y ~ Days + (Days | g)", ', "d, ", 'method="ML")']),
        ("m.predict(d.drop(columns=x), new_groups=p).mean",
         ["m.predict(", "d.drop(columns=x), ", "new_groups=p)", ".mean"]),
        ("prior(sd=priors.half_t(3, 56), noise=priors.half_t(3, 56, 'scale'))",
         ["prior(", "sd=priors.half_t(", "3, ", "56), ", "noise=priors.half_t(", "3, ", "56, ",
          "'scale'))"]),
        ("m = lmer(formula, data_of_a_long_name, 'REML')",
         ["m = lmer(", "formula, ", "data_of_a_long_name, ", "'REML')"]),
        ('["a list of words that are one text", 2]',
         ['["a ', "list ", "of ", "words ", "that ", "are ", "one ", 'text", ', "2]"]),
        ("an_empty_call() - another_empty_call()",
         ["an_empty_call() ", "- ", "another_empty_call()"]),
        ("pytest tests/known/test_toolbox.py -k woodbury",
         ["pytest ", "tests/known/test_toolbox.py ", "-k woodbury"]),
    ],
)  # fmt: skip
def test_a_long_call_breaks_between_its_arguments(code, parts):
    """It is cut as few brackets deep as it takes; a text breaks where nothing else helps."""
    assert accessible.parts_of(code) == parts


def test_sentences_are_told_from_tables():
    sentence = "right: Each strain counts with one over its variance."
    assert accessible.holds_sentences(sentence)
    assert not accessible.holds_sentences("right: yes")
    assert not accessible.holds_sentences(f"{sentence}\na   b\n1   2")
    assert accessible.holds_sentences(f"{2 * sentence}\na   b\n1   2")


# --- the palette

# Machado, Oliveira and Fernandes (2009), "A physiologically-based model for simulation of color
# vision deficiency", complete deficiency; the matrices act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "without red cones": [[0.152286, 1.052583, -0.204868],
                          [0.114503, 0.786281, 0.099216],
                          [-0.003882, -0.048116, 1.051998]],
    "without green cones": [[0.367322, 0.860646, -0.227968],
                            [0.280085, 0.672501, 0.047413],
                            [-0.011820, 0.042940, 0.968881]],
    "without blue cones": [[1.255528, -0.076749, -0.178779],
                           [-0.078411, 0.930809, 0.147602],
                           [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = [1.0, 1.0, 1.0]
DIAL = (ROOT / "mixhier_lite/dials/dial.css").read_text(encoding="utf-8")


def color(text):
    """'#rrggbb' as three numbers up to one."""
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def lab(color, vision):
    """CIELAB of what such eyes make of a colour."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    seen = XYZ @ np.clip(np.asarray(vision) @ linear, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / 3 / (6 / 29) ** 2 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def of_the_dials(line, *names):
    """Colours that a line of the dials' style sheet sets."""
    return [re.search(rf"--{name}: (#\w{{6}})", DIAL.splitlines()[line])[1] for name in names]


GROUPS = [f"group{j}" for j in (1, 2, 3, 4)]
PALETTES = {
    "meanings": [plot.FIXED, plot.RANDOM, plot.NOISE, plot.TRUTH],
    "groups": plot.GROUPS,
    "meanings, dial": of_the_dials(0, "fixed", "random", "noise"),
    "groups, dial": of_the_dials(0, *GROUPS),
    "meanings, dark dial": of_the_dials(1, "fixed", "random", "noise"),
    "groups, dark dial": of_the_dials(1, *GROUPS),
}


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", PALETTES)
def test_colours_are_told_apart_by_all_eyes(palette, vision):
    """Ten times the least difference that is seen when colours lie side by side."""
    seen = [lab(color(c), VISION[vision]) for c in PALETTES[palette]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 23


@pytest.mark.parametrize("palette", PALETTES)
def test_colours_can_be_read_as_text(palette):
    paper = color("#121212") if "dark" in palette else WHITE
    assert min(contrast(color(c), paper) for c in PALETTES[palette]) >= 4.5


def test_dials_have_the_colours_of_the_figures():
    for palette in ("meanings", "groups"):
        ours = [c.lower() for c in PALETTES[palette] if c != plot.TRUTH]
        assert ours == PALETTES[f"{palette}, dial"]


# --- the figures

PART = re.compile(r"(text|line2d|patch|PathCollection|LineCollection|QuadContourSet|"
                  r"FillBetweenPolyCollection)_\d+")  # fmt: skip
# A shade that repeats the digit written on it, and discs of a pedigree around their numbers.
SHADES = {("book/20-rosetta", "patch"), ("book/13-kinship", "patch")}


def shapes(element, part="", look=()):
    """Each shape of a drawing: the part that it belongs to, and its contrasts with the paper."""
    found = PART.fullmatch(element.get("id", ""))
    part = found[1] if found else part
    look = dict(look) | dict(re.findall(r"([\w-]+): ?([^;]+)", element.get("style", "")))
    paints = []
    for paint in ("fill", "stroke"):
        if look.get(paint, "none").startswith("#"):
            ink = float(look.get("opacity", 1)) * float(look.get(f"{paint}-opacity", 1))
            mixed = ink * color(look[paint]) + (1 - ink)
            paints.append(contrast(mixed, WHITE))
    if element.tag.endswith(("path", "use")) and paints:
        yield part, paints
    for child in element:
        yield from shapes(child, part, look)


@pytest.mark.parametrize("name", PAIRED)
def test_figures_are_not_pale(name):
    """Text at 4.5:1 and lines, dots, and areas or their outlines at 3:1; white is no ink."""
    for cell in nbformat.read(ROOT / f"{name}.ipynb", 4).cells:
        for output in cell.get("outputs", []):
            drawing = output.get("data", {}).get("image/svg+xml")
            for part, paints in shapes(ElementTree.fromstring(drawing)) if drawing else ():
                least = 4.5 if part == "text" else 3.0
                ours = max(paints) > 1 and (name, part) not in SHADES
                assert not ours or max(paints) >= least, (part, paints, cell.source)


# --- the pages, in a browser


def test_axe_finds_nothing_in_what_opens(browser, site):
    """Whole formulas, a moved dial, the sidebars of a narrow screen, download, a link, search."""
    with visit(browser, f"file://{site}/book/05-flat.html", 390) as (page, _):
        stops = page.locator("main m-f[tabindex='0']")
        wide = stops.evaluate_all("all => all.map(e => e.scrollWidth > e.clientWidth)")
        assert len(wide) < 20 and all(wide)  # that some scroll: test_a_fade_says_where
        page.emulate_media(reduced_motion="reduce")
        page.locator("#dial-flat-limit-0").focus()
        page.keyboard.press("End")
        assert axe.violations(page) == []
        page.evaluate(axe.PLAIN)
        page.evaluate(axe.FLATTEN)

        def nothing():
            found = axe.violations(page, words=False)
            for scheme in ("dark", "light"):
                axe.switch(page, scheme)
                found += axe.pale_words(page)
            return found == [] or found

        for side in ("primary", "secondary"):
            page.locator(f".{side}-toggle").click()
            dialog = page.locator(f"#pst-{side}-sidebar-modal")
            assert dialog.get_attribute("aria-label") and dialog.locator("a").first.is_visible()
            assert nothing() is True
            page.keyboard.press("Escape")
            assert not dialog.is_visible()
        page.locator(".dropdown-download-buttons button").first.click()
        page.mouse.move(0, 0)  # away from the button, which has a tooltip
        page.wait_for_function("!document.querySelector('.tooltip')")
        assert nothing() is True
        page.keyboard.press("Escape")
        page.locator("div.theorem a:not(.headerlink)").first.hover()
        assert nothing() is True
        page.keyboard.press("Control+k")
        assert page.locator("#pst-search-dialog input").is_visible()
        assert nothing() is True


FOCUSED = """() => {
    const here = document.activeElement, look = getComputedStyle(here);
    return [here.outerHTML.slice(0, 100), here.matches("main *"),
        look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2
        || look.boxShadow !== "none"];
}"""


def test_keys_reach_the_text_and_show_where_they_are(browser, site):
    with visit(browser, f"file://{site}/book/05-flat.html") as (page, _):
        page.keyboard.press("Tab")
        assert "Skip to main content" in page.evaluate(FOCUSED)[0]
        page.wait_for_function("document.activeElement.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        reached = []
        for _ in range(80):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(FOCUSED))
        assert reached[0][1], "the skip link does not skip"
        assert [place for place, _, seen in reached if not seen] == []
        assert len({re.match(r"<\w+", place)[0] for place, *_ in reached}) >= 4


def test_keys_reach_what_scrolls_in_what_unfolds(browser, site):
    page = browser.new_page(viewport={"width": 700, "height": 800})
    page.goto(f"file://{site}/book/solutions/05-flat.html")
    wide = """() => [...document.querySelectorAll("main .admonition pre")]
        .filter(code => code.checkVisibility({visibilityProperty: true}))
        .filter(code => code.scrollWidth > code.clientWidth)
        .map(code => code.tabIndex)"""
    assert page.evaluate(wide) == []
    page.evaluate(axe.UNFOLD)
    page.wait_for_timeout(400)
    assert set(page.evaluate(wide)) == {0}
    page.close()


def test_nothing_moves_for_those_who_ask(browser, site):
    page = browser.new_page(reduced_motion="reduce")
    page.goto(f"file://{site}/book/index.html")
    moving = """[...document.querySelectorAll("*")].filter(e => {
        const look = getComputedStyle(e);
        return look.transitionProperty !== "none" || look.animationName !== "none"
            || look.scrollBehavior === "smooth";
    }).length"""
    assert page.evaluate(moving) == 0
    page.close()


@pytest.mark.parametrize("height", [800, 390])
def test_handle_of_a_dial_stays_in_view(browser, site, height):
    """Beside the third panel on an upright phone; in flow where it would cover what it moves."""
    page = browser.new_page(viewport={"width": 390, "height": height})
    page.goto(f"file://{site}/book/07-equivalence.html", wait_until="domcontentloaded")
    panel = page.locator("[data-dial=three-names] .panels > svg").nth(2)
    panel.evaluate("e => scrollBy(0, e.getBoundingClientRect().bottom - innerHeight + 10)")
    handle, drawn = page.locator("#dial-three-names-0").bounding_box(), panel.bounding_box()
    header = page.locator(".bd-header-article").bounding_box()
    if height == 800:
        assert header["y"] + header["height"] <= handle["y"]
        assert handle["y"] + handle["height"] < drawn["y"]
        page.mouse.click(handle["x"] + 5, handle["y"] + handle["height"] / 2)
        assert float(page.locator("#dial-three-names-0").input_value()) < -1.8
    else:
        assert handle["y"] < 0
    page.close()
