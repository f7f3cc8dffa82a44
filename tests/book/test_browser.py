"""Every page in a real browser, with the network blocked."""

import pytest
from conftest import visit
from test_site import PAGES


def check_formulas(page):
    """All formulas are drawn, each with letters that the page has; folded ones cannot be seen."""
    undrawn = page.evaluate(
        """() => [...document.querySelectorAll('article .math')].filter(formula => {
             const parts = [...formula.querySelectorAll('mjx-container > svg *')];
             const seen = formula.checkVisibility() ? part => part.getBBox().width > 0 : () => true;
             return !parts.some(seen) || parts.some(part => part.href
               && !document.querySelector(part.getAttribute('href')));
           }).map(formula => formula.textContent)"""
    )
    assert undrawn == []
    assert page.locator("merror").count() == 0


FIRST_ASKED = """() => [...document.querySelectorAll('body, body *')]
  .filter(element => !element.closest('math, svg.letters, script, style'))
  .map(element => [element.outerHTML.slice(0, 100), getComputedStyle(element).fontFamily])
  .filter(([, family]) => !/^"?(Literata|Fira Code|Font Awesome 6 (Free|Brands))"?,/.test(family))
"""


def check_fonts(page):
    """No words ask for a font of the machine first; those with icons are the theme's own."""
    assert page.evaluate(FIRST_ASKED) == []


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_from_the_disk(browser, site, name):
    with visit(browser, f"file://{site}/{name}.html") as (page, troubles):
        check_formulas(page)
        check_fonts(page)
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert troubles == []


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_from_a_server_dark_and_narrow(browser, server, name):
    with visit(browser, f"{server}/{name}.html", width=390, scheme="dark") as (page, troubles):
        check_formulas(page)
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"the page scrolls sideways: {width} px"
        assert troubles == []


def test_search_finds_a_chapter(browser, server):
    with visit(browser, f"{server}/search.html?q=henderson") as (page, troubles):
        page.wait_for_selector("#search-results li a", timeout=10_000)
        links = page.locator("#search-results li a").evaluate_all("as => as.map(a => a.href)")
        assert any("03-henderson" in link for link in links)
        assert troubles == []
