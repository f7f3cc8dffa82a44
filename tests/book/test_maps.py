"""The map of the equalities: words that are drawn, and every box and arrow of it is a link."""

import re
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, visit
from test_site import soup

PAGE = "book/07-equivalence"
ARROWS = 8
BOXES = 8

CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
extensions = ["myst_parser", "sphinx_proof", "maps"]
myst_enable_extensions = ["colon_fence"]
"""
TEXT = """# A page

:::{prf:theorem} One
:label: thm-one
True.
:::

:::{map} fig-a-map
:caption: "Two boxes, and an arrow between them that leads to a theorem."

| {doc}`one <index>` | → if it rains {prf:ref}`LABEL` | {doc}`other <index>` and more |
|:-:|:-:|:-:|
| | ↕ always {prf:ref}`thm-one` | |
:::
"""


def built(folder, label):
    """Build a page with a small map, warnings as errors; return what Sphinx says, and the page."""
    (folder / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "index.md").write_text(TEXT.replace("LABEL", label), encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(folder), str(folder / "html")]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    page = folder / "html" / "index.html"
    return run, page.read_text(encoding="utf-8") if page.exists() else ""


@pytest.mark.slow
def test_a_table_becomes_a_map(tmp_path):
    run, page = built(tmp_path, "thm-one")
    assert run.returncode == 0, run.stderr
    kinds = re.findall(r'<div class="((?:map|map-\w+)[^"]*) docutils', page)
    assert kinds == [
        "map", "map-box", "map-arrow across middle", "map-box", "map-arrow down both middle",
    ]  # fmt: skip
    assert "<table" not in page and "→" not in page and "↕" not in page


@pytest.mark.slow
def test_a_map_without_its_theorem_is_not_built(tmp_path):
    run, _ = built(tmp_path, "thm-gone")
    assert run.returncode != 0 and "thm-gone" in run.stderr


def test_boxes_lead_to_chapters_and_arrows_to_theorems(site):
    figure = soup(site, PAGE).find(id="fig-equivalence-chain")
    boxes, arrows = figure.select(".map-box"), figure.select(".map-arrow")
    assert (len(boxes), len(arrows)) == (BOXES, ARROWS)
    for part in (*boxes, *arrows):
        (link,) = part.find_all("a")
        page, _, anchor = link["href"].partition("#")
        there = soup(site, f"book/{page.removesuffix('.html')}")
        if part in boxes:
            assert not anchor and there.find("h1")
        else:
            assert re.fullmatch(r"(Theorem|Lemma)\s[\d.]+", link.get_text())
            assert there.find(id=anchor)["class"][0] == "proof"
            condition, theorem = part.find_all("p")
            assert condition.get_text().strip() and link in theorem.descendants
    caption = figure.select_one(".caption-text").get_text()
    assert 40 <= len(caption) <= 260 and caption.endswith(".")


CHAPTERS = "04-hierarchical 02-mixed 05-flat 02-mixed 06-ridge 03-henderson 06-ridge 01-groups"
THEOREMS = {  # what an arrow says first, how it is drawn, and where it leads
    "X = DU": ("across both middle", "thm-centred"),
    "Bayes": ("down left", "lem-product"),
    "best unbiased rules": ("down right", "thm-gls-blup"),
    "X of full column rank": ("across both middle", "thm-flat"),
    r"\beta = Lu": ("down both middle", "thm-general-ridge"),
    r"\Sigma positive definite": ("down both middle", "thm-henderson"),
    r"\Sigma = \sigma^2 I": ("down both middle", "thm-ridge"),
    "one intercept per group": ("down both middle", "thm-shrinkage"),
}


def said(paragraph):
    """Read a paragraph, its formulas as TeX."""
    copy = BeautifulSoup(str(paragraph), "html.parser")
    for formula in copy.find_all("m-f"):
        formula.replace_with(formula["tex"])
    return " ".join(copy.get_text().split())


def test_each_arrow_leads_to_its_own_theorem(site):
    """An arrow that leads to its neighbour's theorem, or points one way only, is a false claim."""
    figure = soup(site, PAGE).find(id="fig-equivalence-chain")
    boxes = [part.find("a")["href"].removesuffix(".html") for part in figure.select(".map-box")]
    assert boxes == CHAPTERS.split()
    arrows = figure.select(".map-arrow")
    for arrow, (words, (look, label)) in zip(arrows, THEOREMS.items(), strict=True):
        assert said(arrow.p).startswith(words)
        assert " ".join(arrow["class"]).removeprefix("map-arrow ").startswith(look)
        assert arrow.a["href"].endswith(f"#{label}"), words


def test_words_below_the_map_name_every_theorem_of_it(site):
    """The list says more than the drawing has room for, and leaves out nothing of it."""
    section = soup(site, PAGE).find(id="the-map")
    drawn = {link["href"] for link in section.select(".map-arrow a")}
    listed = {link["href"] for link in section.select("ol a")}
    assert {place for place in drawn if "#lem-" not in place} <= listed


LOOKED_AT = """() => [...document.querySelectorAll('.map-box, .map-arrow')].map(part => {
  const link = part.querySelector('a'), box = part.getBoundingClientRect();
  const inside = document.elementFromPoint(box.left + box.width / 2, box.top + 4);
  link.focus();
  const words = document.createRange();
  const clear = [...part.querySelectorAll('p')].every(p => {
    words.selectNodeContents(p);
    const {left, right} = words.getBoundingClientRect();
    return left > box.left - 1 && right < box.right + 1;
  });
  return {pressed: link === inside || link.contains(inside), clear,
          outline: getComputedStyle(part).outlineStyle,
          letter: parseFloat(getComputedStyle(part).fontSize), left: box.left, right: box.right};
})"""


@pytest.mark.parametrize("width", [390, 1400])
def test_a_map_can_be_pressed_and_reached_by_keys(browser, site, width):
    with visit(browser, f"file://{site}/{PAGE}.html#fig-equivalence-chain", width) as (page, _):
        page.set_viewport_size({"width": width, "height": 1600})
        page.locator(".map").scroll_into_view_if_needed()
        page.locator(".map a").first.focus()
        page.keyboard.press("Tab")
        parts = page.evaluate(LOOKED_AT)
        assert len(parts) == BOXES + ARROWS
        for part in parts:
            assert part["pressed"] and part["clear"] and part["outline"] == "solid", part
            assert part["letter"] >= 13 and 0 <= part["left"] < part["right"] <= width
