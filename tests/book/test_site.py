"""The built pages: complete, self-contained, with an alternative text for every figure."""

import functools
import re

import accessible
import nbformat
import notebooks
import pytest
import source
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT, project_files

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def _listed(entries):
    """Pages in order, each followed by the pages that belong to it."""
    for entry in entries:
        yield entry["file"]
        yield from _listed(entry.get("sections", []))


PAGES = [TOC["root"], *(page for part in TOC["parts"] for page in _listed(part["chapters"]))]
CODE = ["code/index", source.find("mixhier_lite.ridge").page]  # a list of files, and a file
WHOLE_SITE = [*PAGES, *CODE, "search", "genindex"]
PAIRED = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


@functools.cache
def soup(site, page):
    """Parse a built page, once for all tests, which leave it as it is."""
    return BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def article(site, page):
    return soup(site, page).find("article")


def test_every_page_of_the_book_is_in_the_table_of_contents():
    pages = [file for file in project_files() if file.suffix == ".md"]
    written = {f"book/{notebooks.name(page)}" for page in pages if notebooks.BOOK in page.parents}
    assert written == set(PAGES)


def test_the_front_door_opens_the_index(site):
    assert "book/index.html" in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_page_exists_with_a_title(site, page):
    assert article(site, page).find("h1").get_text().strip("#").strip()


@pytest.mark.parametrize("page", PAIRED)
def test_page_shows_every_figure_of_its_notebook(site, page):
    cells = nbformat.read(ROOT / f"{page}.ipynb", 4).cells
    figures = [
        output
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/svg+xml" in output.get("data", {})
    ]
    images = article(site, page).select("div.cell_output img:not(.panel img)")
    assert len(images) == len(figures)
    for image in images:
        path = (site / f"{page}.html").parent / image["src"]
        assert path.resolve().exists()
    if re.match(r"book/\d\d-", page):
        drawn = figures or article(site, page).select("div.map")
        assert drawn, "a chapter has at least one figure"


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_says_what_it_shows(site, page):
    for image in article(site, page).select("img:not(.panel img)"):
        alt = image.get("alt", "")
        assert 20 <= len(alt) <= 250, f"alt text of {len(alt)} characters: {alt!r}"
        assert not alt.startswith(("../", "_images"))


@pytest.mark.parametrize("page", PAGES)
def test_formulas_and_numbers_of_equations_arrive(site, page):
    source = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", source, flags=re.DOTALL)
    labelled = re.findall(r"\$\$ \((eq-[\w-]+)\)\s*$", text, flags=re.MULTILINE)
    built = article(site, page)
    words = [word for word in built.strings if not word.find_parent(["pre", "code"])]
    assert "$$" not in "".join(words), "a formula was not read as one"
    assert len(built.select("span.eqno")) == len(labelled)
    assert bool(built.select(".math")) == ("$" in text)


@pytest.mark.parametrize("page", PAGES)
def test_no_reference_is_unresolved(site, page):
    built = article(site, page)
    assert not built.select(".problematic, .system-message")
    # A resolved cross-reference stands inside a link; an unresolved one is a bare span.
    for reference in built.select("span.xref, code.xref"):
        assert reference.find_parent("a") is not None, reference
    ids = {tag["id"] for tag in soup(site, page).select("[id]")}
    assert {link["href"][1:] for link in built.select("a[href^='#']")} <= ids


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_page_loads_nothing_from_elsewhere(site, page):
    for name, attribute in LOADING.items():
        for tag in soup(site, page).find_all(name):
            address = tag.get(attribute, "")
            if name == "link" and set(tag.get("rel", [])) & {"next", "prev", "canonical"}:
                continue
            assert not re.match(r"(https?:)?//", address), address
            inline = tag.get_text() if name == "script" else ""
            assert not re.search(r"https?://", inline), inline[:200]


def test_style_sheets_load_nothing_from_elsewhere(site):
    sheets = list((site / "_static").rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(
            r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")
        )


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_drawn_in_the_page_and_can_be_heard(site, page):
    built = soup(site, page)
    for formula in built.select("article .math"):
        pictures = len(formula.select("m-f svg[aria-hidden=true]"))
        breaks = len(formula.select("m-f > wbr"))
        assert pictures > 0 and breaks == (pictures - 1 if formula.name == "span" else 0)
        assert formula.select_one("m-f > math").get_text().strip()
    assert not built.find("script", src=re.compile("mathjax"))


def written(page):
    """Read the source of a page without white space; the list of results quotes all pages."""
    names = PAGES if page == "book/results" else [page]
    texts = ((ROOT / f"{name}.md").read_text(encoding="utf-8") for name in names)
    return re.sub(r"\s", "", "".join(texts))


@pytest.mark.parametrize("page", PAGES)
def test_every_formula_holds_its_tex(site, page):
    """As it is written; lines that no environment holds are put into one."""
    source = written(page)
    for formula in article(site, page).select("m-f"):
        tex = re.sub(r"\s", "", formula["tex"])
        tex = tex.removeprefix(r"\begin{split}").removesuffix(r"\end{split}")
        assert tex and f"${tex}$" in source, tex


TORN = re.compile(  # titles and captions begin with their numbers, where no line ends
    r"\d (%|(ms|g|kg|mm|mmHg|se)\b)|((?<=\S )|(?<=\())(Theorem|Lemma|Figure|[Pp]arts?) \d"
)
MISPLACED = re.compile(r"(?<!\.)\.\.(?![\w.])|,,|;;|::|\(\(|(?<=\w) [.,;:!?](?=\s|$)")


def said(part):
    """Read the words of a part of a page; a formula counts as one, and so does code."""
    if isinstance(part, str):
        return part
    return "x" if part.name in ("m-f", "code", "pre", "svg") else "".join(map(said, part.children))


@pytest.mark.parametrize("page", PAGES)
def test_punctuation_stands_where_it_belongs(site, page):
    """No mark stands twice, and none behind a space."""
    for words in article(site, page).select("p, li, dd, dt:not(.sig), td, th"):
        assert not MISPLACED.search(said(words)), said(words)


TITLE_TORN = re.compile(r"^(?:Theorem|Lemma|Definition|Exercise|Figure) \d|\w [×+] \w")


@pytest.mark.parametrize("page", PAGES)
def test_no_line_ends_between_what_belongs_together(site, page):
    """A bracket stays with its formula, a number with its unit and with what it numbers."""
    for formula in article(site, page).select("span.math"):
        before = formula.previous_sibling
        assert not isinstance(before, str) or before[-1:] not in ("(", "["), formula["class"]
    for words in article(site, page).select("p, td"):
        assert not TORN.search(said(words)), said(words)
    for word in article(site, page).find_all(string=re.compile(r"^-values?\b")):
        assert "math" in word.parent["class"], "a letter stays with its word"
    for link in soup(site, page).select("h1, a.reference.internal, p.prev-next-title"):
        assert not TITLE_TORN.search(said(link).strip()), said(link)
    for code in article(site, page).select("code.literal"):
        words = code.get_text()
        whole = len(words) <= accessible.WHOLE and bool(re.search("[ -]", words))
        assert ("whole" in code["class"]) == whole
        after = code.next_sibling
        assert not isinstance(after, str) or not re.match(r" \d", after), words
    for pages in article(site, page).find_all(string=re.compile(r"\d–\d|ISBN")):
        assert pages.find_parent(class_="whole") or pages.find_parent(["code", "pre", "m-f"]), pages


@pytest.mark.parametrize("page", PAGES)
def test_no_line_holds_one_sign(site, page):
    """A short formula that ends a paragraph stays with the word before it."""
    for formula in article(site, page).select("p > span.math:last-of-type"):
        before, after = formula.previous_sibling, formula.next_sibling
        ends = after is None or str(after).strip() in tuple(".,;:")
        if ends and len(formula.find("m-f")["tex"]) <= accessible.SHORT:
            assert not str(before).endswith(" "), formula.parent.get_text()


@pytest.mark.parametrize("page", PAGES)
def test_a_long_call_is_made_of_parts_that_stay_whole(site, page):
    for code in article(site, page).select("code.long"):
        parts = [part.get_text() for part in code.select("span.whole")]
        cut = accessible.parts_of(code.get_text())
        assert parts == [part.rstrip() for part in cut], code.get_text()


@pytest.mark.parametrize("page", PAGES)
def test_what_goes_on_behind_a_formula_stands_where_it_began(site, page):
    """A formula of an item, and the sentence that it belongs to, stand in the item."""
    for formula in article(site, page).select("ol + div.math, ul + div.math"):
        after = formula.find_next_sibling()
        goes_on = after is not None and after.name == "p" and not after.find("strong")
        assert not goes_on, after.get_text()


def test_three_columns_of_words_stand_below_each_other_on_a_phone(site):
    """One of a letter and two of words do not."""
    assert "stacks" in article(site, "book/index").select_one("#who-needs-what table")["class"]
    letters = article(site, "book/notation").select_one("#the-letters-of-this-book table")
    assert "stacks" not in letters["class"]


def test_a_letter_of_mathematics_is_a_formula():
    r"""It is a $p$-value on every page, and not a p-value."""
    for page in PAGES:
        text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
        prose = re.sub(r"```.*?```|`[^`]*`|^#.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"(?<![\w$])[pt]-(value|test)", prose), page


def test_every_page_is_led_to(site):
    """A page that no link leads to is none: an index of labels, say."""
    pages = [file for file in site.rglob("*.html") if "_static" not in file.parts]
    led_to = {site / "index.html", site / "search.html"}  # the address, and the button for it
    for file in pages:
        links = re.findall(r'<a\b[^>]*? href="([^"#?:]+\.html)', file.read_text(encoding="utf-8"))
        led_to |= {(file.parent / link).resolve() for link in set(links)}
    assert {file.resolve() for file in pages} - {file.resolve() for file in led_to} == set()


def test_the_api_has_no_words_for_types(site):
    """What stands before a colon in the line below an attribute would be read as its type."""
    titles = {title.get_text() for title in article(site, "book/api").select("dl.field-list > dt")}
    assert titles == {"Parameters:", "Returns:", "Return type:", "Raises:"}


PLACE = re.compile(r"(?:tests|mixhier_lite|book)/[\w/.-]+\.\w+")


def test_files_that_the_text_names_exist(site):
    for page in PAGES:
        for code in article(site, page).select("code.literal"):
            for place in PLACE.findall(code.get_text()):
                assert (ROOT / place).exists(), (page, place)


def test_search_knows_the_chapters(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{page}"' in index for page in PAGES)
