"""What a reader looks for is found: by search, by link, by a word's first use, by a map."""

import json
import re
import time
from collections import Counter

import findable
import pytest
import theorems
from conftest import ROOT, visit
from test_architecture import CHAPTERS
from test_site import PAGES, soup

from mixhier_lite.exercises import registry

BOOK = ROOT / "book"
LEDGER = ROOT / "tests" / "reference" / "anchors.txt"

# --- words of the glossary are links where a chapter uses them first

TERMS = re.findall(
    r"^(\w.*)$",
    (BOOK / "glossary.md").read_text(encoding="utf-8").partition(":::{glossary}")[2],
    re.MULTILINE,
)
# A term counts with its plural, and with either a hyphen or a space between its words. These
# have more forms. Short forms count where the glossary names them.
FORMS = {
    "criterion": "criteri(?:on|a)",
    "estimate": "estimat(?:es?|ed|ing|ions?)",
    "maximum likelihood": "maximum likelihood|ML",
    "penalty": "penalt(?:y|ies)",
    "predict": "predict(?:s|ed|ing|ions?)?",
    "prediction error variance": "prediction error variances?|PEV",
}
OTHER_SENSE = {("14-bayes", "rank"): "the rank of a number among draws, not of a matrix"}
LINK = re.compile(r"\{([\w:]+)\}`(?:[^`<]*<([^`>]+)>|([^`]+))`")


def blank(pattern, text, flags=0):
    """Put spaces in place of what does not count; what remains keeps its place."""
    return re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=flags)


def prose(page):
    """Running text: no code, formulas, headings, titles of boxes, tables, scopes, or definitions.

    A scope is a label, which the list of results repeats; in definitions, as those of the map on
    the first page, links are few on purpose.
    """
    text = blank(r"\A---\n.*?\n---\n", (BOOK / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    text = blank(r"^(```+).*?^\1 *$", text, re.DOTALL | re.MULTILINE)
    text = blank(r"^\$\$.*?\$\$.*?$", text, re.DOTALL | re.MULTILINE)
    return blank(r"^(:::+|:[a-z]+:|: |#|\||\*\*Scope\.).*$", text, re.MULTILINE)


def form(term):
    """Match a term and its inflections."""
    words = (re.escape(word) for word in re.split(r"[\s-]", term))
    return FORMS.get(term, r"[\s-]".join(words) + "(?:s|es)?")


def unlinked(page):
    """Terms whose first use on a page is not a link to the glossary, with the place."""
    text = prose(page)
    linked = {}
    for link in LINK.finditer(text):
        if link[1] == "term":
            linked.setdefault(link[2] or link[3], link.start())
    text = blank(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|\$[^$]+\$", blank(LINK, text))
    # The longest term wins, so that a "flat prior" is no "prior".
    forms = "|".join(f"({form(t)})" for t in sorted(TERMS, key=len, reverse=True))
    seen = set()
    for found in re.finditer(rf"(?<![\w-])(?:{forms})(?![\w-])", text, re.IGNORECASE):
        term = sorted(TERMS, key=len, reverse=True)[found.lastindex - 1]
        if term not in seen and (page, term) not in OTHER_SENSE:
            seen.add(term)
            if linked.get(term, len(text)) > found.start():
                place = text[max(0, found.start() - 40) : found.end() + 40]
                yield term, " ".join(place.split())


@pytest.mark.parametrize("page", [*(chapter.stem for chapter in CHAPTERS), "index"])
def test_terms_are_linked_at_first_use(page):
    assert list(unlinked(page)) == []


def test_forms_and_other_senses_are_of_terms():
    assert set(FORMS) | {term for _, term in OTHER_SENSE} <= set(TERMS)
    assert len(TERMS) > 70
    for (page, term), reason in OTHER_SENSE.items():
        assert re.search(form(term), prose(page)), reason


# --- the end of a page says what comes


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_chapter_ends_with_its_exercises_and_what_comes_next(chapter):
    last = chapter.read_text(encoding="utf-8").strip().rpartition("\n")[2]
    assert last.startswith(f"**Exercises:** {{doc}}`exercises/{chapter.stem}`. **")
    following = CHAPTERS[CHAPTERS.index(chapter) + 1 :]
    if following:
        sentence = re.search(r"\*\*Next:\*\* (.*?)(?= \*\*|$)", last)[1]
        assert f"{{doc}}`{following[0].stem}`" in sentence
        assert len(sentence.split()) >= 8, "a sentence says what the next chapter does"
    else:
        assert "**Where to go next.**" in last


def heading(site, page):
    """Return the title of a page, with its number, without the sign of the permalink."""
    return soup(site, page).select_one("article h1").get_text().strip().removesuffix("#")


def test_the_way_to_the_exercises_is_a_sentence(site):
    for chapter in CHAPTERS:
        end = soup(site, f"book/{chapter.stem}").find("strong", string="Exercises:").parent
        assert end.get_text().startswith("Exercises: on the next page. "), chapter.stem


def test_feet_of_pages_lead_through_the_book_in_order(site):
    titles = [heading(site, page) for page in PAGES]
    assert len(set(titles)) == len(titles)
    for k, page in enumerate(PAGES):
        foot = soup(site, page).select_one(".prev-next-footer")
        for side, j in (("left-prev", k - 1), ("right-next", k + 1)):
            link = foot.select_one(f"a.{side}")
            if not 0 <= j < len(PAGES):
                assert link is None
                continue
            assert link.select_one(".prev-next-title").get_text().strip() == titles[j]
            there = (site / f"{page}.html").parent / link["href"]
            assert there.resolve() == (site / f"{PAGES[j]}.html").resolve()


# --- letters


def formulas(text):
    """All formulas of a page."""
    text = re.sub(r"^(```+).*?^\1 *$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    return [a or b for a, b in re.findall(r"\$\$(.*?)\$\$|\$([^$]+)\$", text, re.DOTALL)]


def letters(formula):
    """Letters of a formula: Latin and Greek ones, and those with a hat or a tilde."""
    formula = re.sub(r"\\(?:operatorname|mathrm|text|begin|end|mathbb)\*? ?\{[^}]*\}", " ", formula)
    accents = re.findall(r"\\(?:hat|tilde) ?\{?\\?[a-zA-Z]+\}?", formula)
    greek = re.findall(
        r"\\(?:alpha|beta|gamma|delta|varepsilon|theta|kappa|lambda|mu|nu|rho|sigma|tau|varphi"
        r"|omega|Sigma|Theta|Lambda|Delta|Gamma|Omega|Phi)(?![a-zA-Z])",
        formula,
    )
    latin = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", formula)
    return {re.sub("[{} ]", "", letter) for letter in [*accents, *greek, *latin]}


USED = {
    chapter.stem: set().union(*map(letters, formulas(chapter.read_text(encoding="utf-8"))))
    for chapter in CHAPTERS
}


def rows_of_letters():
    """Rows of the table of letters, and the cell that says where they are defined."""
    page = (BOOK / "notation.md").read_text(encoding="utf-8")
    table = page.partition("## The letters of this book")[2]
    for row in re.findall(r"^\| ([^|]*\$[^|]*) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE):
        yield set().union(*map(letters, formulas(row[0]))), row[1]


def test_letters_that_chapters_share_are_in_the_table():
    # A letter of one or two chapters is theirs; a letter of four is a word of the book.
    count = Counter(letter for used in USED.values() for letter in used)
    common = {letter for letter, chapters in count.items() if chapters >= 4}
    listed = set().union(*(found for found, _ in rows_of_letters()))
    assert common - listed == set()


def test_letters_are_used_where_the_table_says_that_they_are_defined():
    where = {}
    for chapter in CHAPTERS:
        text = chapter.read_text(encoding="utf-8")
        labels = re.findall(r"\((eq-[\w-]+)\)$|^:label: (\S+)$", text, re.MULTILINE)
        where |= {eq or label: chapter.stem for eq, label in labels} | {chapter.stem: chapter.stem}
    defined = 0
    for found, place in rows_of_letters():
        chapters = {where[link[2] or link[3]] for link in LINK.finditer(place)}
        for letter in found if chapters else ():
            assert any(letter in USED[chapter] for chapter in chapters), letter
            defined += 1
    assert defined > 30


# --- links that last

NAMED = re.compile(r"(?:thm|lem|def|proof|equation-eq|fig|ex|sol|term)-[\w-]*[a-zA-Z][\w-]*")
BOXES = {"div.proof[id]": "thm|lem|def", "div.exercise": "ex", "div.solution": "sol"}


@pytest.mark.parametrize("page", PAGES)
def test_boxes_equations_and_figures_have_names_and_permalinks(site, page):
    built = soup(site, page).find("article")
    named = []
    for selector, prefix in BOXES.items():
        for box in built.select(selector):
            if "proof" in box["class"] and box.find_parent("div", class_="proof") is not None:
                continue
            if box["id"].startswith("proof-"):
                assert box["id"].removeprefix("proof-") in named
                continue
            assert re.fullmatch(rf"(?:{prefix})-[a-z0-9-]+", box["id"])
            named.append(box["id"])
            assert box.select_one(f'.admonition-title > a.headerlink[href="#{box["id"]}"]')
    # A link in a title is underlined from its first letter on.
    assert [link for link in built.select(".admonition-title a") if link.text[:1] == " "] == []
    for equation in built.select("span.eqno"):
        name = equation.parent["id"]
        assert name.startswith("equation-eq-")
        assert equation.select_one(f'a.headerlink[href="#{name}"]')
    pictures = [
        *built.select("div.cell_output img:not(.panel img)"),
        *built.select("div.dial, div.map"),
    ]
    assert len(built.select("figure")) == len(pictures)
    for picture in pictures:
        figure = picture.find_parent("figure")
        assert re.fullmatch(r"fig-[a-z0-9-]+", figure["id"])
        assert re.fullmatch(r"Figure [\d.]+", figure.select_one(".caption-number").text.strip())
        assert figure.select_one(f'a.headerlink[href="#{figure["id"]}"]')
    for link in built.select("a.headerlink"):
        # The sign is not read out: the link is called by its title.
        assert (
            link["title"].startswith("Link to this ") or link["title"] == "Permalink to this term"
        )
        assert [child.get("aria-hidden") for child in link.children] == ["true"]


@pytest.mark.parametrize("page", ["book/index", "book/tour", "book/errata", "book/gallery"])
def test_figures_of_a_page_that_is_no_chapter_are_counted_from_one(site, page):
    numbers = [n.text.strip() for n in soup(site, page).select("figure .caption-number")]
    assert numbers and numbers == [f"Figure {place}" for place in range(1, len(numbers) + 1)]


def anchors(site):
    """Every named place of the built site, as page#name."""
    for page in PAGES:
        for tag in soup(site, page).find("article").find_all(id=NAMED):
            if NAMED.fullmatch(tag["id"]):
                yield f"{page.removeprefix('book/')}#{tag['id']}"


def test_a_link_that_was_given_out_keeps_working(site):
    lines = LEDGER.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("# ")]
    assert listed == sorted(set(listed)), "the lines are sorted, each stands once"
    built = set(anchors(site))
    gone = sorted(set(listed) - built)
    assert gone == [], "others may link to these: give them back, or keep the old name beside"
    new = sorted(built - set(listed))
    assert new == [], f"new places: sort these lines into {LEDGER.relative_to(ROOT)}"


# --- search


def names():
    """List what is found by name: the name, and the end of the address that it leads to."""
    for result in theorems.results():
        yield result.title, f"{result.page}#{result.label}"
    for page in CHAPTERS:
        for title, label in re.findall(
            r"^:::\{prf:definition\} (.+)\n:label: (\S+)$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE,
        ):
            yield title, f"{page.stem}#{label}"
        for exercise in registry.of_chapter(page.stem.split("-", 1)[1]):
            yield exercise.title, f"exercises/{page.stem}#ex-{exercise.id}"
    for term in TERMS:
        plain = term.encode("ascii", "ignore").decode("ascii")
        yield term, f"glossary#term-{re.sub(r'[^a-zA-Z]+', '-', plain)}"


NAMES = dict((place, name) for name, place in names())


def test_names_are_objects_of_the_search_index(site):
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    kinds = {int(number): kind for number, (domain, kind, _) in index["objnames"].items()
             if domain == "book"}  # fmt: skip
    found = Counter(kinds[kind] for _, kind, *_ in index["objects"][""] if kind in kinds)
    assert sum(found.values()) == len(NAMES) + len(findable.topics())
    assert found["theorem"] + found["lemma"] == len(theorems.results())
    assert found["term"] == len(TERMS)
    places = [place for entry in index["indexentries"].values() for _, place, _ in entry]
    assert not any(place.startswith("term-") for place in places), "would be called Glossary"


FIND = """queries => queries.map(query => {
  const asked = Search._parseQuery(query);
  return Search._performSearch(...asked).reverse().slice(0, 5).map(found => found[0] + found[2]);
})"""


def test_search_finds_everything_by_its_name(browser, site):
    asked = {
        **NAMES,
        "03-henderson#thm-henderson": "Henderson",
        "05-flat#thm-flat-limit": "flat-prior limit",
        "toolbox#lem-projection": "frisch waugh",
        "05-flat#thm-three-variances": "prediction error variance",
        "14-bayes#thm-full-variance": "third variance",
    }
    with visit(browser, f"file://{site}/search.html?q=henderson") as (page, troubles):
        page.wait_for_selector("#search-results li a")
        queries = [(place, name) for place, name in [*NAMES.items(), *asked.items()]]
        start = time.perf_counter()
        found = page.evaluate(FIND, [name for _, name in queries])
        seconds = time.perf_counter() - start
        assert troubles == []
    missed = [
        (name, place, results)
        for (place, name), results in zip(queries, found, strict=True)
        if f"book/{place}" not in results
    ]
    assert missed == []
    print(f"{len(queries)} searches in {seconds:.2f} s")


@pytest.mark.parametrize("way", ["disk", "server"])
def test_search_by_keyboard_leads_to_the_theorem(browser, site, server, way):
    root = f"file://{site}" if way == "disk" else server
    with visit(browser, f"{root}/book/01-groups.html") as (page, troubles):
        page.keyboard.press("Control+k")
        page.keyboard.type("flat-prior limit")
        page.keyboard.press("Enter")
        page.wait_for_selector("#search-results li a")
        page.wait_for_load_state("networkidle")  # excerpts are read from the pages
        first = page.locator("#search-results li").first
        assert first.inner_text().startswith("The flat-prior limit (theorem, in 5. Flat:")
        first.locator("a").click()
        page.wait_for_url(re.compile(r"05-flat\.html#thm-flat-limit$"))
        # When the formulas have arrived, the page glides there.
        place = "document.getElementById('thm-flat-limit').getBoundingClientRect().y"
        page.wait_for_function(f"Math.abs({place} - 64) < 40")
        assert troubles == []


def test_permalinks_are_seen_under_the_mouse_and_reached_by_keyboard(browser, site):
    opacity = "link => getComputedStyle(link).opacity"
    with visit(browser, f"file://{site}/book/05-flat.html") as (page, _):
        for name in ("thm-flat", "fig-flat-widths", "equation-eq-pev", "fig-flat-limit"):
            place, link = page.locator(f"#{name}"), page.locator(f'a.headerlink[href="#{name}"]')
            page.mouse.move(0, 0)
            assert link.evaluate(opacity) == "0"
            place.hover()
            assert link.evaluate(opacity) == "1"
            page.mouse.move(0, 0)
            link.evaluate("""link => { const all = [...document.querySelectorAll(
                'a[href], button, input, summary')].filter(e => e.checkVisibility());
                all[all.indexOf(link) - 1].focus(); }""")
            page.keyboard.press("Tab")
            assert link.evaluate("link => link === document.activeElement")
            assert link.evaluate(opacity) == "1"
    # Without a mouse they are always there.
    context = browser.new_context(has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"file://{site}/book/05-flat.html")
    assert page.locator('a.headerlink[href="#thm-flat"]').evaluate(opacity) == "1"
    context.close()


# --- the map


def test_map_gives_everybody_three_to_five_links_in_order():
    index = (BOOK / "index.md").read_text(encoding="utf-8")
    section = re.search(r"^\(map\)=\n(.*?)\n\(ten-lines\)", index, re.DOTALL | re.MULTILINE)[1]
    ways = re.findall(r"^\| (I .+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    for word in ("lme4", "PyMC", "scikit-learn", "teach", "fit my data"):
        assert sum(word in who for who, _, _ in ways) == 1
    for who, way, purpose in ways:
        assert 3 <= len(re.findall(r"\{(?:doc|ref)\}`[^`]+`", way)) <= 5, who
        assert len(purpose.split()) >= 12, who


@pytest.mark.parametrize(("width", "screens"), [(1400, 1), (390, 2)])
def test_map_fits_on_a_screen(browser, site, width, screens):
    with visit(browser, f"file://{site}/book/index.html", width=width) as (page, _):
        height = page.locator("section#map, section:has(> span#map)").evaluate(
            "section => section.getBoundingClientRect().height"
        )
        assert 200 < height <= 900 * screens
        page.locator('a[href="#map"]').first.click()
        assert page.locator("#map").is_visible() or height > 0


# --- what people type


TOPICS = findable.topics()


def test_topics_lead_to_places_that_exist(site):
    assert len(TOPICS) > 100
    for words, place in TOPICS.items():
        page, _, anchor = place.partition("#")
        assert soup(site, f"book/{page}").find(id=anchor), f"{words}: {place}"


FIRST = """queries => queries.map(query =>
  Search._performSearch(...Search._parseQuery(query)).at(-1))"""


def test_what_people_type_leads_to_its_place_first(browser, site):
    with visit(browser, f"file://{site}/search.html?q=henderson") as (page, troubles):
        page.wait_for_selector("#search-results li a")
        first = page.evaluate(FIRST, list(TOPICS))
        assert troubles == []
    # a word of the glossary or a theorem may have the same name
    missed = [
        (words, place, found and found[0] + found[2])
        for (words, place), found in zip(TOPICS.items(), first, strict=True)
        if found is None or found[0] + found[2] != f"book/{place}"
    ]
    assert missed == []


TEXTS = """query => Search._performSearch(...Search._parseQuery(query)).reverse()
  .filter(found => !found[3]).map(found => found[0])"""


def test_what_chapters_say_comes_before_what_exercises_say(browser, site):
    with visit(browser, f"file://{site}/search.html?q=shrinkage") as (page, _):
        page.wait_for_selector("#search-results li a")
        for word in ("shrinkage", "REML", "pedigree", "boundary", "leverage"):
            pages = page.evaluate(TEXTS, word)
            asks = [bool(re.match(r"book/(exercises|solutions)/", place)) for place in pages]
            tells = [bool(re.match(r"book/\d\d-", place)) for place in pages]
            last = max(k for k, chapter in enumerate(tells) if chapter)
            assert any(tells) and (True not in asks or last < asks.index(True)), (word, pages)


def test_excerpts_are_shown_where_pages_can_be_read(browser, site, server):
    for root, shown in ((server, True), (f"file://{site}", False)):
        with visit(browser, f"{root}/search.html?q=lactations") as (page, troubles):
            page.wait_for_selector("#search-results li a")
            page.wait_for_timeout(1000)
            assert (page.locator("#search-results p.context").count() > 0) == shown
            assert troubles == []
