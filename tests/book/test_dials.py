"""What a dial computes in the page is what the package computes, and everybody can read it."""

import functools
import re

import axe
import numpy as np
import pytest
from bs4 import BeautifulSoup

from mixhier_lite import InputError, LinearMixedModel, Term, datasets, fit, indicator, lmer
from mixhier_lite.datasets import four_groups
from mixhier_lite.dials import (
    flat_limit,
    one_group,
    pooled_to_within,
    three_names,
    which_slope,
    who_moves_most,
)
from mixhier_lite.dials.dial import power_of_ten, round_ticks

CHAPTERS = {
    "pooled-to-within": "02-mixed",
    "one-group": "06-ridge",
    "flat-limit": "05-flat",
    "three-names": "07-equivalence",
    "who-moves-most": "11-slopes",
    "which-slope": "15-adjusting",
}


def small_model(seed=0, J=5):
    """Groups of 1 to J rows, an intercept and a covariate that varies within groups."""
    rng = np.random.default_rng(seed)
    D = indicator(np.repeat(np.arange(J), np.arange(1, J + 1)))
    X = np.column_stack([np.ones(len(D)), rng.normal(size=len(D))])
    model = LinearMixedModel(X, D, 4 * np.eye(J), 2.0)
    return model, model.simulate([5, 1], rng)[0]


def sleepstudy():
    data = datasets.load("sleepstudy")
    y = data["Reaction"].to_numpy().reshape(18, 10)
    Z = np.column_stack([np.ones(10), np.arange(10)])
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    return y, Z, model.Sigma[0], model.tau2, list(data["Subject"].unique())


MAKERS = {
    "pooled-to-within": lambda: pooled_to_within(four_groups(np.random.default_rng(1))),
    "one-group": one_group,
    "flat-limit": lambda: flat_limit(*small_model()),
    "three-names": lambda: three_names(*small_model()),
    "who-moves-most": lambda: who_moves_most(*sleepstudy()),
    "which-slope": lambda: which_slope(four_groups(np.random.default_rng(1), 12), {2: 0.1, 9: 0.9}),
    "again": lambda: three_names(*small_model(seed=1, J=4), name="again"),
}


@functools.cache
def made(name):
    return MAKERS[name]()


@functools.cache
def html(name):
    return made(name)._repr_html_()


def soup(name):
    return BeautifulSoup(html(name), "html.parser")


def says(words, number):
    """Tell whether words say a number to three significant digits."""
    told = map(float, re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?", words.replace("\u2212", "-")))
    unit = 10.0 ** (np.floor(np.log10(abs(number))) - 2) if number else 1e-9
    return any(abs(each - number) <= 0.51 * unit for each in told)


# --- what Python writes


@pytest.mark.parametrize("name", MAKERS)
def test_dial_is_written_the_same_twice(name):
    again = MAKERS[name]()
    assert again._repr_html_() == html(name)
    assert repr(again) == f"Dial {name}: {made(name).alt}"


@pytest.mark.parametrize("name", MAKERS)
def test_dial_is_small_and_loads_nothing(name):
    assert len(html(name).encode()) <= 25_000
    assert not re.search(r"https?:|src=|href=|@import|setTimeout|requestAnimation", html(name))
    numbers = re.findall(r"(?<![\w.#])-?\d+\.\d+", html(name))
    assert all(len(n.strip("-0").replace(".", "").strip("0")) <= 10 for n in numbers)


@pytest.mark.parametrize("name", MAKERS)
def test_dial_says_what_it_shows(name):
    page = soup(name)
    image = page.select_one("[role=img]")
    assert image["aria-label"] == made(name).alt
    assert 20 <= len(made(name).alt) <= 250
    for knob in page.find_all("input"):
        assert page.find("label", attrs={"for": knob["id"]}).get_text()
        # on the input itself: JupyterLab looks no further before it takes an arrow key
        assert knob["data-lm-suppress-shortcuts"] == "true"
    rows = page.select(".still tbody tr")
    assert len(rows) == len(made(name).stops) >= 5
    for row, stop in zip(rows, made(name).stops, strict=True):
        numbers = made(name).frame(*stop).numbers
        assert len(row.find_all("td")) == len(numbers)
        for cell, number in zip(row.find_all("td"), numbers.values(), strict=True):
            assert says(cell.get_text(), number)
    assert page.select_one(".still caption").get_text()


@pytest.mark.parametrize("name", MAKERS)
def test_dial_has_a_sentence_below_it(name):
    """By the rules for captions of figures; it names something that can be moved."""
    says = soup(name).select_one(".says").get_text()
    assert says == made(name).says
    assert 40 <= len(says) <= 260 and says.endswith(".")
    assert says not in made(name).alt and made(name).alt not in says
    assert re.match(r"(Move|Give|Widen|Make|Leave) the \w+", says)


@pytest.mark.parametrize("name", MAKERS)
def test_negative_numbers_have_a_minus_sign(name):
    """No hyphen, neither at a tick nor in the table."""
    texts = [tag.get_text() for tag in soup(name).select("text, td")]
    assert texts and [text for text in texts if re.search(r"-\d", text)] == []


@pytest.mark.parametrize("name", ["flat-limit", "one-group"])
def test_names_of_densities_stand_above_them(name):
    """However a reader moves them: their peaks are 1, and a letter reaches less than 0.1 below."""
    (panel,) = (p for p in made(name).panels if p.y.label == "density, peak = 1")
    heights = [piece[1] for m in panel.marks if m.kind == "label" for piece in m.pieces]
    assert len(heights) == 3 and 1.1 < min(heights) < max(heights) < panel.y.high - 0.05


def test_ids_are_made_of_names():
    ids = [tag["id"] for name in MAKERS for tag in soup(name).select("[id]")]
    assert len(ids) == len(set(ids)) >= len(MAKERS) + 1
    assert all(
        tag["id"].startswith(f"dial-{name}-") for name in MAKERS for tag in soup(name)("[id]")
    )


@pytest.mark.parametrize("name", MAKERS)
def test_knobs_start_on_a_step_and_marks_have_pieces(name):
    dial = made(name)
    for knob in dial.knobs:
        steps = (knob.start - knob.low) / knob.step
        assert abs(steps - round(steps)) < 1e-9 and knob.low <= knob.start <= knob.high
    frame = dial.frame(*(knob.start for knob in dial.knobs))
    moving = {mark.name for p in dial.panels for mark in p.marks if mark.pieces is None}
    assert moving == set(frame.marks)


def test_ticks():
    assert round_ticks(-3.4, 2.7) == {-2: "\N{MINUS SIGN}2", 0: "0", 2: "2"}
    assert list(round_ticks(0.11, 0.29).values()) == ["0.15", "0.2", "0.25"]
    assert [power_of_ten(k) for k in (-4, -2, 0, 2, 3, 10)] == "10⁻⁴ 0.01 1 100 10³ 10¹⁰".split()


# --- what the numbers mean


def test_pooled_to_within_has_these_ends():
    data = four_groups(np.random.default_rng(1))
    within = np.linalg.lstsq(np.column_stack([data.x, data.D]), data.y, rcond=None)[0][0]
    ends = [made("pooled-to-within").frame(p).numbers["slope"] for p in (-9, 6)]
    assert ends == pytest.approx([np.polyfit(data.x, data.y, 1)[0], within], abs=1e-4)


def test_one_group_keeps_half_where_rows_equal_the_penalty():
    assert made("one-group").frame(10, 1.0).numbers["share kept"] == pytest.approx(0.5)
    kept = [made("one-group").frame(n, 0.5).numbers["share kept"] for n in range(1, 31)]
    assert np.all(np.diff(kept) > 0)


def test_flat_limit_falls_with_slope_minus_one():
    gaps = [made("flat-limit").frame(p).numbers["gap of the mean"] for p in (4, 5, 6)]
    assert np.diff(np.log10(gaps)) == pytest.approx(-1, abs=1e-2)


def test_three_names_are_one():
    """From least squares on dummies, less its own mean, to zero; three routes at one height."""
    for p in (-2, 0.35, 3):
        marks = made("three-names").frame(p).marks
        heights = [[point[1] for point in marks[k]] for k in ("ridge", "posterior", "blup")]
        assert np.ptp(heights, axis=0) == pytest.approx(0, abs=1e-9)
    assert np.abs(heights).max() < 0.1


def test_which_slope_runs_from_pooled_over_reml_to_within():
    data = four_groups(np.random.default_rng(1), 12)
    keep = np.concatenate([12 * j + np.arange(7) for j in range(4)])
    x, y, D = data.x[keep], data.y[keep], data.D[keep]
    within = np.linalg.lstsq(np.column_stack([x, D]), y, rcond=None)[0][0]
    X = np.column_stack([np.ones(28), x])
    slopes = [np.polyfit(x, y, 1)[0], fit(y, X, Term(data.groups[keep])).fixed[1], within]
    dial = made("which-slope")
    assert [dial.frame(k, 7).numbers["this dial"] for k in (0, 1, 2)] == pytest.approx(slopes)
    near = [dial.frame(k, 7).numbers["this dial"] for k in (0.001, 0.999, 1.999)]
    assert near == pytest.approx(slopes, rel=0.02)


def test_who_moves_most_ends_at_the_common_line_and_at_the_own_lines():
    narrow, wide = (made("who-moves-most").frame(p).marks["arrows"] for p in (-8, 8))
    assert np.ptp([end for _, end in narrow], axis=0) == pytest.approx(0, abs=1e-3)
    assert np.array([b - a for a, b in wide]) == pytest.approx(0, abs=1e-3)
    assert np.mean([a for a, _ in wide], axis=0) == pytest.approx([251.405, 10.467], abs=1e-3)


def test_dials_refuse_what_they_cannot_show():
    model, y = small_model()
    related = LinearMixedModel(model.X, 2 * model.D, model.Sigma, 1.0)
    with pytest.raises(InputError, match="one intercept per group"):
        three_names(related, y)
    with pytest.raises(InputError, match="group sizes"):
        which_slope(four_groups(np.random.default_rng(1), 2))


# --- what the page makes of it


@pytest.fixture(scope="module")
def dials(browser):
    """Open one page with all dials; the page, what goes wrong, and what is drawn at first."""
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content("<!doctype html>" + "\n".join(map(html, MAKERS)))
    yield page, errors, {name: page.evaluate(DRAWN, root(name)) for name in MAKERS}
    page.close()


@pytest.fixture
def page(dials):
    """The page with all dials, wherever the last test has left them."""
    page, errors, _ = dials
    yield page
    assert errors == []


def root(name):
    return f'[data-dial="{name}"]'


def turn(page, name, positions):
    """Move the inputs; return what the page computed."""
    return page.evaluate(
        """([root, to]) => {
            const dial = document.querySelector(root), knobs = dial.querySelectorAll("input");
            to.forEach((value, i) => { knobs[i].value = value; });
            knobs[0].dispatchEvent(new Event("input"));
            return {...dial.seen, at: [...knobs].map(knob => +knob.value)};
        }""",
        [root(name), positions],
    )


def positions(dial, count):
    """Both ends, the start, and places in between."""
    rng = np.random.default_rng(5)
    ends = [[knob.low for knob in dial.knobs], [knob.high for knob in dial.knobs]]
    inside = [[rng.uniform(knob.low, knob.high) for knob in dial.knobs] for _ in range(count)]
    return [*ends, [knob.start for knob in dial.knobs], *inside]


def as_numbers(pieces):
    """Every number of a mark in one row, and its texts."""
    texts = [piece[2] for piece in pieces if len(piece) == 3 and isinstance(piece[2], str)]
    pieces = [piece[:2] for piece in pieces] if texts else pieces
    return np.concatenate([np.ravel(piece) for piece in pieces]).astype(float), texts


@pytest.mark.parametrize("name", MAKERS)
def test_page_computes_what_the_package_computes(page, name):
    dial = made(name)
    for to in positions(dial, 20):
        seen = turn(page, name, to)
        expected = dial.frame(*seen["at"])
        assert seen["numbers"] == pytest.approx(dict(expected.numbers), rel=1e-4, abs=1e-6)
        assert set(seen["marks"]) == set(expected.marks)
        for mark, pieces in expected.marks.items():
            there, texts = as_numbers(seen["marks"][mark])
            here, same = as_numbers(pieces)
            assert texts == same
            # most data are written with six digits
            assert there == pytest.approx(here, rel=1e-4, abs=5e-5 + 1e-5 * np.abs(here).max())


SAID = {  # what the line below a dial says, and the words at its handles
    "pooled-to-within": ("sigma2", "slope"),
    "one-group": ("rows", "λ", "share kept", "prediction"),
    "flat-limit": ("κ", "prior sd"),
    "three-names": ("penalty λ", "prior sd", "lowest to highest effect"),
    "who-moves-most": ("prior sds times", "moves most", "by, ms"),
    "which-slope": ("between", "pooled", "this dial"),
}


@pytest.mark.parametrize("name", SAID)
def test_words_say_the_numbers_to_three_digits(page, name):
    for to in positions(made(name), 5):
        seen = turn(page, name, to)
        numbers = made(name).frame(*seen["at"]).numbers
        words = " ".join([*seen["words"], seen["now"]])
        for number in SAID[name]:
            assert says(words, numbers[number]), (number, numbers[number], words)


def test_three_systems_of_equations_agree_in_the_page(page):
    for position in positions(made("three-names"), 20):
        seen = turn(page, "three-names", position)
        assert seen["gap"] < 1e-9 and "agree" in seen["now"]


DRAWN = """root => [...document.querySelectorAll(root + " [data-mark] > *")].map(shape =>
    (shape.getAttribute("d") || shape.getAttribute("transform")) + "|" + shape.textContent)"""


def coordinates(shape):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", shape.split("|")[0])]


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_jumps_when_the_script_takes_over(dials, name):
    """What Python drew is what the page draws at the start, to a fifth of a pixel."""
    still = [
        (tag.get("d") or tag.get("transform")) + "|" + tag.get_text()
        for tag in soup(name).select("[data-mark] > *")
    ]
    live = dials[2][name]
    assert len(live) == len(still) > 0
    for a, b in zip(still, live, strict=True):
        assert a.split("|")[1] == b.split("|")[1]
        assert coordinates(a) == pytest.approx(coordinates(b), abs=0.2)


def test_marks_stand_where_the_numbers_say(page):
    """One mark, from its place on the screen back to its numbers."""
    seen = turn(page, "three-names", [1.0])
    places = page.evaluate(
        """root => {
            const mark = document.querySelector(root + ' [data-mark="blup"]');
            return [mark.ownerSVGElement.dataset.scale,
                    [...mark.children].map(dot => dot.getAttribute("transform"))];
        }""",
        root("three-names"),
    )
    a, b, c, d = map(float, places[0].split())
    for place, (x, y) in zip(places[1], seen["marks"]["blup"], strict=True):
        left, top = coordinates(place + "|")
        assert ((left - a) / b, (top - c) / d) == pytest.approx((x, y), abs=0.06 / abs(d))


@pytest.mark.parametrize("name", MAKERS)
def test_keys_turn_the_dial_and_words_follow(page, name):
    for i, knob in enumerate(made(name).knobs):
        handle = page.locator(f"#dial-{name}-{i}")
        handle.focus()
        page.keyboard.press("Home")
        assert float(handle.input_value()) == knob.low
        before = handle.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowRight")
        assert float(handle.input_value()) == pytest.approx(knob.low + knob.step)
        page.keyboard.press("End")
        assert float(handle.input_value()) == pytest.approx(knob.high)
        after = handle.get_attribute("aria-valuetext")
        assert before != after and re.search(r"[a-z]{3}.*\d", after)
        assert page.locator(f"{root(name)} .now").inner_text() in after
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        outline = "e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        assert handle.evaluate(outline) == ["solid", "3px"]


def test_dials_leave_each_other_alone(page):
    before = {name: page.evaluate(DRAWN, root(name)) for name in MAKERS}
    turn(page, "again", [2.5])
    for name in MAKERS:
        assert (page.evaluate(DRAWN, root(name)) == before[name]) == (name != "again")


# --- the dials of the book


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def rgb(text):
    return [float(c) / 255 for c in re.findall(r"[\d.]+", text)[:3]]


COLORS = """root => {
    const dial = document.querySelector(root);
    let paper = dial;
    while (getComputedStyle(paper).backgroundColor === "rgba(0, 0, 0, 0)" && paper.parentElement)
        paper = paper.parentElement;
    const texts = [...dial.querySelectorAll("text, label, .now, .knob span")];
    const lines = [...dial.querySelectorAll("g.line.random, g.line.fixed, g.line.noise, .axis")];
    return [getComputedStyle(paper).backgroundColor,
        texts.map(t => getComputedStyle(t)[t.tagName === "text" ? "fill" : "color"]),
        lines.map(l => getComputedStyle(l).stroke)];
}"""


@pytest.fixture(scope="module")
def tab(browser):
    """Keep one tab for the chapters."""
    tab = browser.new_page()
    yield tab
    tab.close()


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request, tab, site):
    """Open the chapter of a dial; its name and the page, for the tests on it, in their order."""
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size({"width": 1280, "height": 720})
    tab.goto(f"file://{site}/book/{CHAPTERS[request.param]}.html")
    return request.param, tab


def check_paper(page, name):
    """No handle that does nothing; the figure, a table of readings and the sentence instead."""
    caption = page.locator(f"#fig-{name} figcaption .caption-text")
    assert caption.is_visible() and made(name).says in caption.inner_text()
    assert page.get_by_text(made(name).says).count() == 1
    assert not page.locator(f"{root(name)} input").first.is_visible()
    assert page.locator(f"{root(name)} .still table").is_visible()
    assert page.locator(f"{root(name)} .panels > svg").first.is_visible()


def test_dial_on_paper(chapter):
    name, page = chapter
    assert page.locator(f"{root(name)} input").first.is_visible()
    assert not page.locator(f"{root(name)} .still").is_visible()
    page.emulate_media(media="print")
    check_paper(page, name)
    page.emulate_media(media="screen")


def test_colours_stand_out_on_the_page(chapter):
    name, page = chapter
    for scheme in ("light", "dark"):
        axe.switch(page, scheme)
        paper, texts, lines = page.evaluate(COLORS, root(name))
        assert (luminance(rgb(paper)) < 0.1) == (scheme == "dark")
        assert texts and min(contrast(rgb(text), rgb(paper)) for text in texts) >= 4.5
        assert lines and min(contrast(rgb(line), rgb(paper)) for line in lines) >= 3


def test_dial_in_its_chapter_moves_and_fits_a_narrow_screen(chapter):
    name, page = chapter
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.locator(root(name)).count() == 1
    before = page.evaluate(DRAWN, root(name))
    page.locator(f"#dial-{name}-0").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(DRAWN, root(name)) != before
    boxes = page.locator(f"{root(name)} input, {root(name)} .panels > svg").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(r => [r.left, r.right])"
    )
    assert min(left for left, _ in boxes) >= 0 and max(right for _, right in boxes) <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["flat-limit", "which-slope"])  # with one knob, and with two
def test_dial_without_a_script(browser, site, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site}/book/{CHAPTERS[name]}.html")
    check_paper(page, name)
    context.close()
