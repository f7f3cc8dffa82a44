"""Every page in a real browser, with the network blocked."""

import contextlib
import functools
import http.server
import shutil
import threading

import pytest
from test_site import PAGES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser: install Debian's package `chromium`"
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A handler that keeps its log to itself."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server(site):
    """Serve the site on the loopback address."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{service.server_address[1]}"
        service.shutdown()


@contextlib.contextmanager
def visit(browser, address, width=1400, scheme="light"):
    """Open an address; hand over the page and a list that gathers what goes wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=False
    )
    troubles = []

    def watch(route):
        here = route.request.url.startswith(("file:", "http://127.0.0.1:", "data:", "blob:"))
        if not here:
            troubles.append(f"asks for {route.request.url}")
        return route.continue_() if here else route.abort()

    context.route("**/*", watch)
    page = context.new_page()
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda response: (
            response.status >= 400 and troubles.append(f"{response.status}: {response.url}")
        ),
    )
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on(
        "console",
        lambda message: (
            message.type in ("error", "warning")
            and troubles.append(f"{message.type}: {message.text}")
        ),
    )
    page.goto(address, wait_until="load")
    try:
        yield page, troubles
    finally:
        context.close()


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


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_from_the_disk(browser, site, name):
    with visit(browser, f"file://{site}/{name}.html") as (page, troubles):
        check_formulas(page)
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
