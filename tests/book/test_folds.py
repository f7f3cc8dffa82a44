"""What can wait is folded; theorem, proof, code and test are one box."""

import ast
import re
import textwrap

import folds
import pytest
import source
import theorems
from bs4 import Tag
from bs4.element import PreformattedString
from conftest import ROOT, visit
from test_site import PAGES, soup

RESULTS = theorems.results()
CHAPTER = re.compile(r"book/\d\d-")
THEOREMS = [result for result in RESULTS if result.label.startswith("thm-")]


# --- what the file of functions says


def test_every_theorem_has_functions_or_a_sentence():
    assert set(folds.computed()) == {result.label for result in THEOREMS}


@pytest.mark.parametrize("label", folds.computed())
def test_functions_exist_and_sentences_are_whole(label):
    entry = folds.computed()[label]
    assert len(entry) == 1
    if "why" in entry:
        assert entry["why"].startswith("No function") and entry["why"].endswith(".")
    else:
        assert entry["functions"]
        for name in entry["functions"]:
            source.find(name)


# --- the boxes


def box(site, result):
    """Find the box of a result on its page."""
    return soup(site, f"book/{result.page}").find(id=result.label).find_parent(class_="result")


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.label)
def test_theorem_proof_code_and_test_are_one_box(site, result):
    built = box(site, result)
    proof = built.select_one("details.proof-fold")
    assert proof.summary.get_text() == "Proof"
    text = proof.find(id=f"proof-{result.label}")
    assert text.get_text().strip()
    *_, last = text.find_all(recursive=False)
    ends = last.find_all("li", recursive=False)[-1] if last.name in ("ol", "ul") else last
    ends = ends if ends.name == "p" else ends.find_all(recursive=False)[-1]
    assert ends.name == "p", "no sign says that the proof ends"
    addresses = [link["href"] for link in built.select("a[href*='code/']")]
    entry = folds.computed().get(result.label, {})
    for name in [*entry.get("functions", []), *folds.guarded()[result.label]]:
        found = source.find(name)
        assert any(each.endswith(f"{found.page}.html#{found.name}") for each in addresses), name
    if "why" in entry:
        assert entry["why"] in built.get_text()


def test_what_a_box_shows_is_what_the_sources_say(site):
    shown = 0
    for result in RESULTS:
        for fold in box(site, result).select("details.source"):
            address = fold.select_one("p.place a")["href"]
            file, _, name = address.rpartition("code/")[2].partition("#")
            definition = source.definitions(ROOT / file.replace(".html", ".py"))[name]
            there = ast.parse(textwrap.dedent("\n".join(definition.lines[definition.first - 1 :
                              definition.node.end_lineno]))).body[0]  # fmt: skip
            if ast.get_docstring(there) is not None:
                del there.body[0]
            assert ast.dump(ast.parse(fold.pre.get_text()).body[0]) == ast.dump(there), name
            shown += 1
    assert shown > 50


def test_long_proofs_are_closed_and_short_ones_open(site):
    lengths = {True: [], False: []}
    for result in RESULTS:
        proof = box(site, result).select_one("details.proof-fold")
        # formulas are said in MathML, which the build did not count
        said = " ".join(text for text in proof.find("div").find_all(string=True)
                        if not text.find_parent(["math", "m-f"]))  # fmt: skip
        lengths[proof.has_attr("open")].append(len(said.split()))
    assert min(map(len, lengths.values())) > 5
    assert max(lengths[True]) < 1.5 * folds.LONG and min(lengths[False]) > 0.5 * folds.LONG


# --- answers and second readings


def test_the_answer_to_a_question_is_folded(site):
    folded = 0
    for page in PAGES:
        for question in soup(site, page).select("article section > p"):
            if not folds.ASKS.search(question.get_text()):
                continue
            after = question.find_next_sibling()
            while after is not None and "cell" in after.get("class", []):
                for output in after.select(":scope > .cell_output"):
                    if not output.select(".dial"):
                        assert [child.name for child in output.find_all(recursive=False)] == [
                            "details"
                        ], question.get_text()
                        folded += 1
                after = after.find_next_sibling()
    assert folded > 15


def test_a_second_reading_is_folded_below_its_heading(site):
    found = 0
    for page in PAGES:
        for heading in soup(site, page).select("article h2, article h3"):
            if re.sub(r"^[\d.]+ ", "", heading.get_text()).startswith(folds.SECOND):
                inside = heading.find_next_siblings()
                assert [part["class"] for part in inside] == [["fold", "second"]]
                words = int(re.search(r"(\d+) words", inside[0].summary.get_text())[1])
                assert words > 50 and words == pytest.approx(read(inside[0]), rel=0.1)
                found += 1
    assert found >= 1


AWAY = {"headerlink", "dial", "reading-time", "fold-kinds"}


def read(part, closed=False):
    """Count words of a part of a page and of its TeX, without code or what is closed."""

    def words(tag):
        classes = set(tag.get("class", ()))
        folded = tag.name == "details" and ("source" in classes or not tag.has_attr("open"))
        if tag.name in ("pre", "summary", "script") or classes & AWAY or (closed and folded):
            return
        for child in [tag["tex"]] if tag.name == "m-f" else tag.children:
            if isinstance(child, Tag):
                yield from words(child)
            elif not isinstance(child, PreformattedString):  # a comment
                yield from child.split()

    return sum(1 for _ in words(part))


@pytest.mark.parametrize("page", [page for page in PAGES if folds.READ_THROUGH.match(page)])
def test_the_reading_time_is_that_of_what_is_open(site, page):
    """Counted in what was built: words at a steady pace, and a third of a minute for a figure."""
    article = soup(site, page).find("article")
    told = re.findall(r"\d+", article.select_one(".reading-time").get_text())
    for minutes, closed in ((told[0], True), (told[-1], False)):
        figures = len([f for f in article.find_all("figure") if not closed or not
                       f.find_parent("details", attrs={"open": False})])  # fmt: skip
        counted = (read(article, closed) + folds.WORDS_OF_A_FIGURE * figures) / folds.WORDS_A_MINUTE
        assert int(minutes) == pytest.approx(counted, rel=0.15, abs=1)


def test_a_first_reading_takes_twenty_minutes_at_most(site):
    most = (3000 + 10 * folds.WORDS_OF_A_FIGURE) / folds.WORDS_A_MINUTE
    minutes = {}
    for page in PAGES:
        if CHAPTER.match(page):
            said = soup(site, page).select_one("p.reading-time").get_text()
            minutes[page] = int(re.match(r"Reading time: (\d+) minutes", said)[1])
    assert len(minutes) == 21
    assert {page: taken for page, taken in minutes.items() if taken > most} == {}


# --- in the browser


STATE = """selector => [...document.querySelectorAll(selector)].map(fold => fold.open)"""


def test_all_of_a_kind_open_and_the_choice_stays(browser, server):
    with visit(browser, f"{server}/book/02-mixed.html") as (page, troubles):
        proofs = page.get_by_role("button", name="proofs")
        assert proofs.get_attribute("aria-pressed") == "false"
        proofs.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("[...document.querySelectorAll('.proof-fold')].every(f => f.open)")
        assert proofs.get_attribute("aria-pressed") == "true"
        assert not any(page.evaluate(STATE, "details.answer"))
        page.goto(f"{server}/book/03-henderson.html")
        assert all(page.evaluate(STATE, "details.proof-fold"))
        page.get_by_role("button", name="proofs").click()
        assert not any(page.evaluate(STATE, "details.proof-fold"))
        assert troubles == []


def test_a_link_into_a_closed_proof_opens_it(browser, site):
    closed = "details.proof-fold:not([open]) [id^=proof-]"
    with visit(browser, f"file://{site}/book/02-mixed.html") as (page, _):
        name = page.evaluate(f"document.querySelector('{closed}').id")
    with visit(browser, f"file://{site}/book/02-mixed.html#{name}") as (page, _):
        page.wait_for_function(f"document.getElementById('{name}').closest('details').open")
        page.wait_for_function(f"document.getElementById('{name}').getBoundingClientRect().y > 0")


def test_on_paper_proofs_are_open_and_afterwards_as_they_were(browser, site):
    with visit(browser, f"file://{site}/book/02-mixed.html") as (page, _):
        kinds = "details:is(.proof-fold, .answer, .second)"
        before = page.evaluate(STATE, kinds)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert all(page.evaluate(STATE, kinds)) and not all(before)
        assert not any(page.evaluate(STATE, "details.source"))
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(STATE, kinds) == before
