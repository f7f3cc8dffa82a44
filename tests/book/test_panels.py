"""On a phone the panels of a wide figure are windows on it, below each other."""

import io
import re
from types import SimpleNamespace
from unittest import mock

import matplotlib.pyplot as plt
import panels
import pytest
from conftest import visit
from docutils import nodes
from test_site import PAGES, article

from mixhier_lite import plot


def figure(change=lambda left, right: None, top=1, **settings):
    """Draw two panels as the book does, and what a test changes of them; return the figure."""
    plot.style()
    fig, (left, right) = plt.subplots(1, 2, **{"figsize": (9, 3), **settings})
    left.plot([0, 1], [0, 1])
    right.plot([0, 1], [0, top])
    left.set(ylabel="y")
    change(left, right)
    written = io.StringIO()
    fig.savefig(written, format="svg")
    plt.close(fig)
    return written.getvalue()


def test_panels_are_cut_between_their_axes_and_lose_nothing():
    svg = figure(top=1000)
    left, right = panels.axes(svg)
    (first,), (second,) = panels.windows(svg)
    width = float(panels.SIZE.search(svg)[1])
    assert first.x == 0 and second.x + second.width == pytest.approx(width)
    assert first.x + first.width == second.x
    assert left.right < second.x < right.words < right.left


def test_a_panel_that_shares_an_axis_has_its_numbers_too():
    svg = figure(sharey=True)
    left, right = panels.axes(svg)
    (first,), (strip, second) = panels.windows(svg)
    assert strip.x == 0 and left.words < strip.width < left.left
    assert left.right < second.x < right.left


def test_a_number_below_the_corner_is_no_number_of_the_vertical_axis():
    """It reaches out at the left, and the panel has the numbers of the first all the same."""
    svg = figure(lambda left, right: right.set(xlim=(0, 1), xticks=[0], xticklabels=["200"]),
                 sharey=True)  # fmt: skip
    right = panels.axes(svg)[1]
    assert right.words < right.beside == right.left
    assert [len(part) for part in panels.windows(svg)] == [1, 2]


def test_an_axis_of_another_scale_is_not_lent():
    """The right panel hides its numbers; those of the left one would be wrong."""
    svg = figure(lambda left, right: right.tick_params(labelleft=False), top=0.7)
    assert [len(part) for part in panels.windows(svg)] == [1, 1]


def test_what_cannot_be_cut_is_left_alone():
    assert panels.windows(figure(lambda left, right: left.axis("off"))) == []


def built(tmp_path, svg):
    """Mark a page with one figure; return the page and what the log says of it."""
    (tmp_path / "one.svg").write_text(svg, encoding="utf-8")
    page = nodes.document(None, None)
    page += nodes.figure("", nodes.image(uri="one.svg", alt="a line"), ids=["fig-one"])
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), srcdir=tmp_path)
    with mock.patch.object(panels.logger, "warning") as warned:
        panels.mark_wide_figures(app, page, "page")
    return page, [call.args[1] for call in warned.call_args_list]


def test_a_wide_figure_without_panels_fails_the_build(tmp_path):
    """A warning does; a figure that is cut, and one that a phone holds, have none."""
    page, warned = built(tmp_path, figure(lambda left, right: left.axis("off")))
    assert warned == ["fig-one"]
    page, warned = built(tmp_path, figure())
    assert warned == [] and len(list(page.findall(panels.panel))) == 2
    page, warned = built(tmp_path, figure(figsize=(7, 3)))
    assert warned == [] and not list(page.findall(nodes.container))


PHONE = 390  # pixels of a figure on a phone of 390, which the browser confirms below
LETTERS = re.compile(r"scale\((\.\d+)-\1\)")  # of words; marks in formulas are scaled once more


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_shows_every_word_of_a_figure_with_nine_pixels(site, page):
    for image in article(site, page).select("figure img[src$='.svg']"):
        file = site / "_images" / image["src"].rpartition("/")[2]
        svg = file.read_text(encoding="utf-8")
        parts = image.find_parent("figure").select(".panel") or [None]
        points = float(panels.SIZE.search(svg)[1])
        shown = [
            sum(float(re.search(r"flex:(\d+)", crop["style"])[1]) for crop in part.select("i"))
            if part else points for part in parts
        ]  # fmt: skip
        smallest = min((float(size) for size in LETTERS.findall(svg)), default=1)
        pixels = 100 * smallest * min(PHONE / max(shown), panels.LARGEST if parts[0] else 4 / 3)
        assert pixels >= 9, f"{image['alt'][:60]}: {pixels:.1f} pixels"


STACKS = [
    "book/01-groups", "book/02-mixed", "book/11-slopes", "book/16-contrasts", "book/20-rosetta",
]  # fmt: skip


def place(style):
    """Tell where a window begins, in points."""
    width, part = re.search(r"flex:(\d+);.*--x:(-?[\d.]+)%", style).groups()
    return -float(part) * float(width) / 100


@pytest.mark.parametrize("page", PAGES)
def test_a_stack_is_described_once(site, page):
    for stack in article(site, page).select(".figure-stack"):
        (whole,) = stack.find_parent("figure").select(".wide > img")
        assert stack["aria-hidden"] == "true" and len(whole["alt"]) > 20
        windows = stack.select("img")
        assert {(img["src"], img["alt"]) for img in windows} == {(whole["src"], "")}
        starts = [place(panel.select("i")[-1]["style"]) for panel in stack.select(".panel")]
        assert starts[0] == 0 and starts == sorted(starts), "panels are read from left to right"


SHOWN = """() => [...document.querySelectorAll('article figure:has(img)')]
  .filter(figure => figure.checkVisibility()).map(figure => {
    const crops = [...figure.querySelectorAll('.panel > i')].map(crop => {
      const img = crop.querySelector('img').getBoundingClientRect();
      const box = crop.getBoundingClientRect();
      return {x: (box.left - img.left) / img.width, width: box.width / img.width,
              scale: img.width, high: img.height / box.height, shape: img.width / img.height};
    });
    const wide = figure.querySelector('.wide');
    return {id: figure.id, crops, scrolls: wide ? wide.scrollWidth - wide.clientWidth : 0,
            src: figure.querySelector('img').src,
            whole: figure.querySelector('.wide > img')?.width > 1};
  })"""


LEAST = """Math.min(...[...document.querySelectorAll('article figure .cell_output, article figure')]
  .map(box => box.clientWidth).filter(width => width > 0))"""


@pytest.mark.parametrize("name", STACKS)
def test_panels_stand_below_each_other_on_a_phone(browser, site, name):
    """No sideways scroll, letters of nine pixels or more, and nothing of the figure is lost."""
    with visit(browser, f"file://{site}/{name}.html", 390) as (page, troubles):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        assert page.evaluate(LEAST) >= PHONE
        figures = [figure for figure in page.evaluate(SHOWN) if figure["crops"]]
        assert figures and troubles == []
        for figure in figures:
            assert figure["scrolls"] <= 0 and not figure["whole"], figure["id"]
            svg = (site / "_images" / figure["src"].rpartition("/")[2]).read_text(encoding="utf-8")
            points, high = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
            for crop in figure["crops"]:
                assert 12.5 * crop["scale"] / points >= 9
                assert crop["high"] == pytest.approx(1, abs=0.02)
                assert crop["shape"] == pytest.approx(points / high, rel=0.02)
            own = [c for k, c in enumerate(figure["crops"]) if k == 0 or c["x"] > 0.001]
            assert sum(crop["width"] for crop in own) == pytest.approx(1, abs=0.01)
        page.set_viewport_size({"width": 1400, "height": 900})
        shown = page.evaluate(SHOWN)
        assert all(figure["whole"] for figure in shown if figure["crops"])
