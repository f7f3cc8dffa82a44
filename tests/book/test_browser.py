"""Every page in a real browser, with the network blocked."""

import contextlib
import re

import axe
import pytest
from conftest import tab, visit
from test_dials import CHAPTERS as DIALS
from test_site import WHOLE_SITE


def check_formulas(page):
    """All formulas are drawn, each with letters that the page has; folded ones cannot be seen."""
    undrawn = page.evaluate(
        """() => [...document.querySelectorAll('article .math')].filter(formula => {
             const parts = [...formula.querySelectorAll('m-f svg[aria-hidden] *')];
             const seen = formula.checkVisibility() ? part => part.getBBox().width > 0 : () => true;
             return !parts.some(seen) || parts.some(part => part.href
               && !document.getElementById(part.getAttribute('href').slice(1)));
           }).map(formula => formula.textContent)"""
    )
    assert undrawn == []
    assert page.locator("merror").count() == 0


FIRST_ASKED = """() => {
  const texts = /^"?(Literata|Fira Code)"?,/, icons = /^"?Font Awesome 6 (Free|Brands)"?/;
  return [...document.querySelectorAll('body, body *')]
  .filter(element => !element.closest('math, svg.letters, script, style'))
  .map(element => [element, getComputedStyle(element).fontFamily])
  .filter(([, family]) => !texts.test(family) && !icons.test(family))
  .map(([element, family]) => [element.outerHTML.slice(0, 100), family]);
}"""


def check_fonts(page):
    """No words ask for a font of the machine first; those with icons are the theme's own."""
    assert page.evaluate(FIRST_ASKED) == []


CHAPTER = re.compile(r"book/\d\d-")

# --- from the disk: every page is opened once, light and wide, and looked at in many ways


@pytest.fixture(scope="module")
def turned(browser):
    """Keep one tab, in which a reader turns to a page; give it back and what goes wrong."""
    with tab(browser) as (page, troubles):

        def turn(address, width=1400, scheme="light"):
            troubles.clear()
            page.emulate_media(color_scheme=scheme, reduced_motion="no-preference")
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address, wait_until="load")
            return page, troubles

        yield turn


READABLE = {}  # kinds of words that an earlier page had as well, by width and scheme
NEW_AROUND = set()  # pages with words around the text of a kind that no earlier page had


@pytest.fixture(scope="module", params=WHOLE_SITE)
def opened(request, browser, turned, site):
    """Open a page; its name, the page, and what goes wrong. The tests on one page run in order.

    A chapter is opened by a new reader, who has none of the site's files yet.
    """
    name, address = request.param, f"file://{site}/{request.param}.html"
    with contextlib.ExitStack() as stack:
        new = CHAPTER.match(name)
        page, told = stack.enter_context(visit(browser, address)) if new else turned(address)
        if axe.new_kinds(page, READABLE.get((1400, "light"), ()), "article"):
            NEW_AROUND.add(name)
        yield name, page, told


def test_page_opens_from_the_disk(opened):
    _, page, troubles = opened
    check_formulas(page)
    check_fonts(page)
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert troubles == []


SHIFTS = """() => new Promise(done => {
  let sum = 0;
  const watch = list => { for (const shift of list.getEntries()) sum += shift.value; };
  new PerformanceObserver(watch).observe({type: 'layout-shift', buffered: true});
  setTimeout(() => done(sum), 300);
})"""


def test_nothing_jumps(opened):
    """Less than 0.02 of the view has moved since a chapter began to load, and no formula."""
    name, page, _ = opened
    if CHAPTER.match(name):
        assert page.evaluate(SHIFTS) < 0.02


COPIED = """where => {
  getSelection().selectAllChildren(where);
  const clipboardData = new DataTransfer();
  where.dispatchEvent(
    new ClipboardEvent('copy', {clipboardData, bubbles: true, cancelable: true}));
  getSelection().removeAllRanges();
  return clipboardData.getData('text/plain');
}"""


def test_what_is_copied_holds_the_formulas_as_tex(opened):
    """All of them that can be seen, in order."""
    _, page, troubles = opened
    shown = page.evaluate(
        """() => [...document.querySelectorAll('article m-f')]
             .filter(formula => formula.checkVisibility({visibilityProperty: true}))
             .map(formula => formula.getAttribute('tex').replace(/\\s+/g, ' '))"""
    )
    copied = " ".join(page.locator("article").first.evaluate(COPIED).split()) if shown else ""
    at = 0
    for tex in shown:
        written = re.compile(rf"\${re.escape(tex)}\$|\$\$ {re.escape(tex)} ")
        found = written.search(copied, at)
        assert found, f"{tex} is missing, or not in its place"
        at = found.end()
    assert troubles == []


LONE_PERMALINKS = """() => [
  ...document.querySelectorAll('article :is(h1, h2, h3, h4) > a.headerlink')
].filter(link => {
    const words = document.createRange();
    words.setStart(link.parentElement, 0);
    words.setEndBefore(link);
    const bottom = Math.max(...[...words.getClientRects()].map(line => line.bottom));
    return link.checkVisibility() && link.getBoundingClientRect().top > bottom - 10;
  }).map(link => link.parentElement.textContent)"""
CUT = """boxes => [...document.querySelectorAll(boxes)]
  .filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map(box => box.textContent)"""


ASKEW = """() => [...document.querySelectorAll('article .cell details > summary')]
  .filter(title => title.checkVisibility() && Math.abs(title.getBoundingClientRect().left
    - title.closest('.cell').getBoundingClientRect().left) > 1).length"""
LOUD = """() => [...document.querySelectorAll('article .cell_input')].filter(box =>
  parseFloat(getComputedStyle(box).borderTopWidth) > 0 && getComputedStyle(box).borderTopColor
    !== getComputedStyle(document.querySelector('.bd-sidebar-primary')).borderRightColor).length"""


FRAMELESS = """() => [...document.querySelectorAll('article details.hide')].filter(fold => {
  if (fold.parentElement.closest('details:not([open])')) return false;
  const shut = !fold.open;
  fold.open = true;
  const word = [...fold.querySelectorAll('summary > p')].find(p => p.checkVisibility());
  const code = fold.querySelector('.cell_input');
  const askew = word.getBoundingClientRect().left - fold.getBoundingClientRect().left;
  const framed = code.checkVisibility() && parseFloat(getComputedStyle(code).borderTopWidth) > 0;
  if (shut) fold.open = false;
  return !framed || Math.abs(askew) > 1;
}).length"""
# The line on which a letter stands is where an empty box in front of it would stand.
ASTRAY = """() => [...document.querySelectorAll('article div.math > .eqno')].filter(number => {
  if (!number.checkVisibility()) return false;
  const parts = [...number.parentElement.querySelectorAll('m-f svg')];
  const right = Math.max(...parts.map(part => part.getBoundingClientRect().right));
  const beside = number.getBoundingClientRect().left - right;
  const part = parts.at(-1);
  if (number.parentElement.querySelector('m-f > br')) return beside < 20;
  const box = document.createElement('span');
  box.style.display = 'inline-block';
  number.prepend(box);
  const line = box.getBoundingClientRect().bottom;
  box.remove();
  const below = parseFloat(getComputedStyle(part).verticalAlign);
  return beside < 20 || Math.abs(line - part.getBoundingClientRect().bottom - below) > 1;
}).map(number => number.textContent)"""
BROKEN = """() => [
  ...document.querySelectorAll('article .whole:not(td *)'),
  ...document.querySelectorAll('article dt.sig :is(.descname, .n:not(:has(*)), .default_value)'),
].filter(words => words.checkVisibility()
    && new Set([...words.getClientRects()].map(part => Math.round(part.top))).size > 1)
  .map(words => words.textContent)"""
BEHIND = """() => [...document.querySelectorAll('article td code')].filter(code => {
  const next = code.nextSibling;
  if (!code.checkVisibility() || !/^[.,:;)]/.test(next?.textContent)) return false;
  const mark = document.createRange();
  mark.setStart(next, 0);
  mark.setEnd(next, 1);
  const line = [...code.getClientRects()].at(-1);
  const {left, bottom} = mark.getBoundingClientRect();
  return left < line.right - 1 || bottom < line.top || bottom > line.bottom + 4;
}).map(code => code.parentElement.textContent)"""
BURST = """() => [...document.querySelectorAll('article td code')].filter(code => {
  const box = code.getBoundingClientRect();
  return code.checkVisibility() && !code.closest('table.many')
    && (box.right > code.closest('td').getBoundingClientRect().right + 1
      || code.matches('.long')
        && 4 * code.closest('td').offsetWidth > 3 * code.closest('table').offsetWidth
      || code.scrollWidth > box.width + 1);
}).map(code => code.textContent)"""


def test_numbers_and_code_stand_well(opened):
    """Numbers on the lines of their formulas, with room; short code is whole, long code breaks.

    So the words beside it have a quarter of the table.
    """
    _, page, _ = opened
    assert page.evaluate(FRAMELESS) == 0, "code that unfolds is framed, below a word in its place"
    for width in (1024, 768, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(ASTRAY) == [], width
        assert page.evaluate(BROKEN) == [], width
        assert page.evaluate(BURST) == [], width
        assert page.evaluate(BEHIND) == [], "a mark stands on the line of the code before it"


def test_nothing_is_cut_on_a_wide_screen(opened):
    """No formula, no code of a cell or an example, nor what it prints; no permalink alone."""
    _, page, _ = opened
    assert page.evaluate(CUT, "article div.math > m-f, article :is(div.cell, dl.py) pre") == []
    assert page.evaluate(LONE_PERMALINKS) == []
    assert page.evaluate(ASKEW) == 0, "a fold of a cell begins where the text does"
    for scheme in ("dark", "light"):
        page.evaluate("scheme => { document.documentElement.dataset.theme = scheme; }", scheme)
        assert page.evaluate(LOUD) == 0, "a frame of code is as quiet as the lines of the page"


def check_words(page, width, aside="nothing"):
    """Words stand out, light and then dark."""
    for scheme in ("light", "dark"):
        axe.switch(page, scheme)
        known = READABLE.setdefault((width, scheme), set())
        assert axe.pale_words(page, known, aside) == [], (width, scheme)


def check_narrow(page):
    """The page does not scroll sideways on a telephone."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"the page scrolls sideways: {width} px"


CLOSE = """() => [...document.querySelectorAll('article .pst-scrollable-table-container + p')]
  .filter(words => words.checkVisibility() && words.getBoundingClientRect().top
    < words.previousElementSibling.getBoundingClientRect().bottom + 8)
  .map(words => words.textContent)"""
UNTOLD = """() => [...document.querySelectorAll('article table')]
  .filter(table => getComputedStyle(table).display === 'block')
  .flatMap(table => [table, ...table.querySelectorAll('thead, tbody, tr, th, td')])
  .filter(part => !part.role).map(part => part.outerHTML.slice(0, 100))"""


def test_page_becomes_narrow(opened):
    """Tables too: where a telephone has no room, cells stand below each other, and say it.

    Names, short code, and the code of exercises stay whole.
    """
    name, page, troubles = opened
    page.set_viewport_size({"width": 390, "height": 900})
    check_narrow(page)
    assert page.evaluate(LONE_PERMALINKS) == []
    assert page.evaluate(CUT, "article .sentences pre") == []
    assert page.evaluate(CUT, "article .pst-scrollable-table-container") == []
    assert page.evaluate(UNTOLD) == []
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(CLOSE) == []
    if name.startswith("book/exercises/"):
        assert page.evaluate(CUT, "article pre") == []
    assert troubles == []


# On a wide screen the theme adds its sidebars, the same on every page.
WIDE_TOO = {"book/index", "book/05-flat", "book/exercises/05-flat", "book/solutions/05-flat"}
WIDE_TOO |= {"search", "genindex"}


REACHED = """() => [...document.querySelectorAll('main pre')]
  .every(code => code.tabIndex === 0 || code.scrollWidth <= code.clientWidth)"""


SMALL = """() => [...document.querySelectorAll('article span.math m-f > svg')]
  .filter(line => line.checkVisibility() && !line.closest('td, th')
    && line.getBoundingClientRect().width < 0.85 * line.width.baseVal.value)
  .map(line => line.parentElement.getAttribute('tex'))"""


def test_axe_finds_nothing(opened):
    """Colours, light and dark; then the rest. All that unfolds is open, and no formula is tiny."""
    from playwright.sync_api import TimeoutError

    name, page, troubles = opened
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(axe.UNFOLD)
    assert page.evaluate(SMALL) == []
    assert page.evaluate(CUT, "article div.math > m-f") == []
    page.evaluate(axe.PLAIN)
    check_words(page, 390)
    page.evaluate(axe.FLATTEN)
    for width in (390, 1400) if name in WIDE_TOO else (390,):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(350)  # the theme waits as well before it measures what scrolls
        with contextlib.suppress(TimeoutError):  # then axe says what
            page.wait_for_function(REACHED, timeout=5000)
        assert axe.violations(page, words=False) == [], width
    if name in NEW_AROUND:  # in the sidebars, which a narrow screen hides
        page.set_viewport_size({"width": 1400, "height": 900})
        check_words(page, 1400, "article")
    assert troubles == []


OUTSIDE = """() => [...document.querySelectorAll('.solution button.toggle-button')].filter(
  button => {
    const own = button.getBoundingClientRect();
    const frame = button.closest('.solution').getBoundingClientRect();
    return own.top < frame.top || own.bottom > frame.bottom || own.right > frame.right;
  }).map(button => button.dataset.target)"""


@pytest.mark.parametrize("width", [390, 1400])
def test_what_opens_a_solution_is_seen(turned, site, width):
    """Beside a title of one line and of two, where a frame cuts off what lies below it."""
    page, _ = turned(f"file://{site}/book/solutions/18-few.html", width)
    assert page.locator(".solution button.toggle-button").count() == 4
    assert page.evaluate(OUTSIDE) == []


TOUCHING = """() => [...document.querySelectorAll('.genindextable td + td')].filter(column =>
  [...column.previousElementSibling.querySelectorAll('a')].some(link => [...link.getClientRects()]
    .some(line => line.right > column.getBoundingClientRect().left - 8)))
  .map(column => column.textContent)"""
TWO_LINES = """() => [...document.querySelectorAll('ul.files a')]
  .filter(link => link.getClientRects().length > 1).map(link => link.textContent)"""


PRE = "article .cell_input pre"


def test_a_hundred_signs_of_code_fit_between_a_phone_and_a_wide_screen(turned, site):
    """In a chapter; in the narrower frame of a solution ninety-six do."""
    page, _ = turned(f"file://{site}/book/14-bayes.html", 1024)
    page.evaluate(axe.UNFOLD)
    lines = page.locator(PRE).evaluate_all(
        "all => all.flatMap(pre => pre.textContent.split('\\n'))"
    )
    assert max(map(len, lines)) == 100
    assert page.evaluate(CUT, PRE) == []
    page, _ = turned(f"file://{site}/book/solutions/01-groups.html", 1024)
    page.evaluate(axe.UNFOLD)
    assert page.evaluate(CUT, PRE) == []


def test_lists_of_names_have_room(turned, site):
    for width in (768, 1024, 1400):
        page, _ = turned(f"file://{site}/genindex.html", width)
        assert page.evaluate(TOUCHING) == []
        page, _ = turned(f"file://{site}/code/index.html", width)
        assert page.locator("ul.files a").count() > 300
        assert page.evaluate(TWO_LINES) == []
    page, _ = turned(f"file://{site}/genindex.html", 390)
    assert page.locator(".genindextable td").first.bounding_box()["width"] > 250, "one column"


def test_a_fade_says_where_a_formula_scrolls(turned, site):
    page, _ = turned(f"file://{site}/book/algebra.html", width=240)
    formulas = page.locator("m-f[tabindex='0']")
    hidden = formulas.evaluate_all("all => all.map(box => box.scrollWidth - box.clientWidth)")
    formula = formulas.nth(hidden.index(max(hidden)))
    assert formula.get_attribute("class") == "more-right"
    formula.evaluate("box => box.scrollTo(20, 0)")
    page.wait_for_selector("m-f.more-left.more-right")
    formula.evaluate("box => box.scrollTo(1e4, 0)")
    page.wait_for_selector("m-f.more-left:not(.more-right)")


def test_a_link_far_down_a_page_arrives_at_once(turned, site):
    page, _ = turned(f"file://{site}/book/glossary.html")
    page.evaluate("location.hash = 'term-ridge-regression'")
    where = "document.getElementById('term-ridge-regression').getBoundingClientRect().top"
    assert 0 < page.evaluate(where) < 200


def test_a_link_to_a_solution_opens_it(turned, site):
    """It alone; from another page, and on the page."""
    page, _ = turned(f"file://{site}/book/exercises/02-mixed.html")
    page.locator("a[href$='#sol-mixed-2']").click()
    page.wait_for_url("**/solutions/02-mixed.html#sol-mixed-2")
    page.wait_for_selector("#sol-mixed-2:not(.toggle-hidden) section")
    assert page.locator(".solution.toggle-hidden").count() == 5
    page.evaluate("location.hash = 'sol-mixed-3'")
    page.wait_for_selector("#sol-mixed-3:not(.toggle-hidden)")
    assert page.locator(".solution.toggle-hidden").count() == 4
    page.locator("#sol-mixed-4 > .admonition-title").click()
    page.wait_for_selector("#sol-mixed-4:not(.toggle-hidden)")
    assert page.url.endswith("/solutions/02-mixed.html#sol-mixed-3"), "a title only opens"
    assert page.locator("#sol-mixed-4 .back a").get_attribute("href").endswith("#ex-mixed-4")


# --- from a server: a page of each kind, and each one with a script of its own

SERVED = [
    *("book/index", "book/01-groups", *(f"book/{chapter}" for chapter in DIALS.values())),
    *("book/exercises/05-flat", "book/solutions/05-flat", "book/notation", "book/glossary"),
    *("book/results", "book/api", "book/newcomers", "search", "genindex"),
]


@pytest.mark.parametrize("name", SERVED)
def test_page_opens_from_a_server_dark_and_narrow(turned, server, name):
    page, troubles = turned(f"{server}/{name}.html", width=390, scheme="dark")
    check_formulas(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    check_narrow(page)
    assert troubles == []


def test_search_finds_a_chapter(browser, server):
    with visit(browser, f"{server}/search.html?q=henderson") as (page, troubles):
        page.wait_for_selector("#search-results li a", timeout=10_000)
        links = page.locator("#search-results li a").evaluate_all("as => as.map(a => a.href)")
        assert any("03-henderson" in link for link in links)
        assert troubles == []
