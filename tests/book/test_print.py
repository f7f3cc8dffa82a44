"""Pages on paper: nothing cut off, nothing torn apart, no furniture, no solution by accident."""

import io
import re

import pytest
from pypdf import PdfReader
from test_site import PAGES

CHAPTERS = [page for page in PAGES if re.match(r"book/\d\d-", page)]
OTHERS = [
    "book/" + name
    for name in ("index", "notation", "results", "api", "newcomers", "exercises/06-ridge")
]
# Width of the text in pixels, 96 an inch, between margins of 17 mm; height between 18 and 20 mm.
PAPER = {"A4": (665, 979), "Letter": (687, 912)}
TOGETHER = """.proof:not(div.proof.proof), div.admonition:not(.proof), article div.math,
 article figure, .cell_output img, article tr, .dial, article div.highlight"""

# A tiny word in the first and in the last line of what belongs together, and in each
# heading and the line below it.
MARK = """selector => {
  const word = (name, parent, style) => {
    const span = document.createElement('span');
    span.textContent = name;
    span.style.cssText = 'position:absolute;left:0;font:2px monospace;line-height:1px;' + style;
    parent.append(span);
  };
  const ends = (element, name) => {
    if (element.tagName === 'IMG') {
      const frame = document.createElement('span');
      frame.style.cssText = 'display:block;break-inside:avoid';
      element.replaceWith(frame);
      frame.append(element);
      element = frame;
    }
    if (element.tagName === 'TR') element = element.cells[0];
    if (getComputedStyle(element).position === 'static') element.style.position = 'relative';
    word(name + 'a', element, 'top:0');
    word(name + 'z', element, 'bottom:0');
  };
  // what a reader has not unfolded is not printed
  const seen = element => element.checkVisibility() && element.getClientRects().length > 0
    && !element.closest('.toggle-hidden');
  let count = 0;
  const tall = [];
  for (const element of [...document.querySelectorAll(selector)].filter(seen)) {
    const height = element.getBoundingClientRect().height;
    if (height > innerHeight) tall.push(element.textContent.trim().slice(0, 60));
    else ends(element, `q${count++}q`);
  }
  for (const heading of [...document.querySelectorAll('article :is(h2, h3, .proof-fold > summary)')]
    .filter(seen)) {
    const below = heading.nextElementSibling;
    const first = below && document.createTreeWalker(below, NodeFilter.SHOW_TEXT);
    if (!first || !below.textContent.trim()) continue;
    heading.style.position = 'relative';
    word(`q${count}qa`, heading, 'bottom:0');
    const span = document.createElement('span');
    span.style.cssText = 'position:relative';
    below.prepend(span);
    word(`q${count++}qz`, span, 'top:0');
  }
  return [count, tall];
}"""

WIDE = """width => {
  const out = [];
  for (const element of document.querySelectorAll('article *')) {
    if (!element.checkVisibility() || element.closest('math, svg svg, svg.letters')) continue;
    const box = element.getBoundingClientRect();
    const inside = element.closest('svg') && element.tagName !== 'svg';
    if (box.width && !inside && (box.right > width + 1 || box.left < -1))
      out.push([element.tagName, element.className, Math.round(box.left), Math.round(box.right)]);
    const style = getComputedStyle(element);
    if (style.overflowX !== 'visible' && element.scrollWidth > element.clientWidth + 1
        && !inside && style.display !== 'inline')
      out.push(['cut off', element.tagName, element.className, element.scrollWidth]);
  }
  return out;
}"""


@pytest.fixture(scope="module")
def open_page(browser, site):
    """Keep one tab; open a page in it, as wide as the paper."""
    tab = browser.new_page()

    def turn(page, size="A4", scheme="light"):
        width, height = PAPER[size]
        tab.emulate_media(media="null", color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": height})
        tab.goto(f"file://{site}/{page}.html", wait_until="load")
        return tab

    yield turn
    tab.close()


def pdf(tab, size="A4"):
    """Print a page."""
    return PdfReader(io.BytesIO(tab.pdf(format=size, print_background=True)))


def words(printed):
    """Read the text of each sheet."""
    return [sheet.extract_text() for sheet in printed.pages]


def check_width(tab, size):
    """Nothing is wider than the text, and nothing is cut off; letters stand one by one."""
    tab.emulate_media(media="print")
    ligatures = "getComputedStyle(document.querySelector('article p')).fontVariantLigatures"
    assert tab.evaluate(ligatures) == "none"
    assert tab.evaluate(WIDE, PAPER[size][0]) == []


@pytest.mark.parametrize(
    ("page", "size"),
    [(page, "A4") for page in CHAPTERS]
    + [(page, "Letter") for page in ("book/05-flat", "book/11-slopes", "book/20-rosetta")],
)
def test_a_chapter_on_paper(open_page, page, size):
    tab = open_page(page, size)
    check_width(tab, size)
    count, tall = tab.evaluate(MARK, TOGETHER)
    assert count > 10 and tall == []
    title = tab.locator("article h1").inner_text().partition(". ")[2].strip(" #\n")
    # The words are enough here, and without pictures they are read ten times as fast.
    tab.add_style_tag(content="article m-f, article img { visibility: hidden }")
    sheets = words(pdf(tab, size))
    # What belongs together is on one sheet.
    where = {mark: k for k, text in enumerate(sheets) for mark in re.findall(r"q\d+q[az]", text)}
    assert len(where) == 2 * count, "a mark was not printed"
    assert [k for k in range(count) if where[f"q{k}qa"] != where[f"q{k}qz"]] == []
    # Sheets are numbered; buttons, menus and the sidebar stay on the screen.
    assert [text.split()[0] for text in sheets] == [str(k + 1) for k in range(len(sheets))]
    text = " ".join(" ".join(sheets).split())
    # What is printed can be searched and copied letter by letter.
    assert re.findall("fi|fl|ff", text) and not re.findall("[ﬀ-ﬆ]", text)
    assert title and " ".join(sheets[0].split()).count(" ".join(title.split())) == 1
    for furniture in ("Skip to main", "Back matter", "Show code", "Previous", "Copyright"):
        assert furniture not in text


@pytest.mark.parametrize("page", ["book/03-henderson", "book/09-variance"])
def test_every_letter_of_every_formula_is_printed(open_page, page):
    tab = open_page(page)
    letters = tab.locator("article m-f svg[aria-hidden] use").count()
    shapes = re.findall(rb"\bf\*?\s", b"".join(drawings(pdf(tab))))
    assert len(shapes) >= letters > 1000


def drawings(printed):
    """Read what is drawn on each sheet."""
    return [sheet.get_contents().get_data() for sheet in printed.pages]


@pytest.mark.parametrize("page", OTHERS)
def test_other_pages_fit_the_paper(open_page, page):
    tab = open_page(page)
    check_width(tab, "A4")


@pytest.mark.parametrize(
    ("page", "there"), [("book/index", "pooling: BLUPs"), ("book/results", "Theorem 2.3")]
)
def test_a_long_table_and_a_wide_dial_begin_where_they_are_spoken_of(open_page, page, there):
    assert there in " ".join(words(pdf(open_page(page)))[0].split())


@pytest.mark.parametrize("page", ["book/07-equivalence"])
def test_a_dark_page_is_printed_light(open_page, page):
    printed = {}
    for scheme in ("light", "dark"):
        tab = open_page(page, scheme=scheme)
        printed[scheme] = drawings(pdf(tab))
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
    assert printed["light"] == printed["dark"]


def test_solutions_are_printed_as_you_left_them(open_page):
    tab = open_page("book/solutions/06-ridge")
    button = tab.locator(".solution button.toggle-button").first
    assert button.get_attribute("data-toggle-hint") == "Show"
    folded = " ".join(" ".join(words(pdf(tab))).split())
    assert folded.count("Solution to Exercise 6.") > 3
    assert "check(" not in folded and "Show" not in folded
    button.click()
    opened = " ".join(" ".join(words(pdf(tab))).split())
    assert opened.count("check(") == 1 and opened.startswith(folded[:40])


def test_folded_code_is_printed_when_it_is_open(open_page):
    tab = open_page("book/01-groups")
    code = "plot.draw_groups(x, y, groups, right)"  # of the first figure
    assert code not in " ".join(words(pdf(tab)))
    tab.locator("details.hide > summary").first.click()
    assert code in " ".join(words(pdf(tab)))
