"""What several test files share: the book's tools and files, the built site, and a browser."""

import collections
import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from xml.sax.saxutils import escape

# One BLAS thread a test process: the processes themselves use the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
collect_ignore = ["reference", "benchmarks"]  # scripts that need other programs, or time them
sys.path.insert(0, str(ROOT / "book" / "_ext"))


def project_files(root=ROOT):
    """List the files of the project: those that git keeps; without git, all that no tool made."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0")
        kept = [root / os.fsdecode(name) for name in listed if name]
        return [path for path in kept if path.is_file() and not path.is_symlink()]
    made = {"build", "dist", "node_modules"}
    made |= {
        line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    }
    files, folders = [], [root]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if path.name in made or path.suffix == ".egg-info" or path.is_symlink():
                continue
            (folders if path.is_dir() else files).append(path)
    return files


def make(folder, *words, **environment):
    """What make would do in a folder; the make that may have started the tests does not matter."""
    of_a_caller = {"PYTHON", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    clean = {key: value for key, value in os.environ.items() if key not in of_a_caller}
    run = subprocess.run(
        ["make", "--dry-run", *words],
        cwd=folder, env=clean | environment, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return run.stdout


def strays(root=ROOT):
    """List notebooks in the folder of the book that belong to no page: copies, new ones."""
    import pages

    paired = {page.with_suffix(".ipynb") for page in pages.pages(root=root)}
    return [path for path in (root / "book").rglob("*.ipynb") if path not in paired]


def pytest_configure(config):
    """Leave notebooks aside that a reader made."""
    config.option.ignore = [*(config.option.ignore or ()), *map(str, strays())]


def pytest_collection_modifyitems(items):
    """Call slow what needs the built book or a browser; begin with the files that take longest."""
    slow, of_site = collections.Counter(), collections.Counter()
    for item in items:
        if {"site", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
            of_site[item.path] += 1
        slow[item.path] += item.get_closest_marker("slow") is not None
    builds = max(of_site, key=of_site.get, default=None)

    def turn(item):
        """When a file has its turn, for a process takes a file at a time.

        One builds the book, and meanwhile others take what needs no book. No long file is left for
        the end, where the others would wait.
        """
        path = item.path
        return path != builds, of_site[path] > 0, slow[path] == 0

    items.sort(key=turn)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the book from its committed notebooks, warnings as errors; return the HTML folder."""
    # Test processes of one run share this folder: the first one builds. No two runs share it.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    html = folder / "_build" / "html"
    with FileLock(f"{folder}.lock"):
        if not (folder / "built").exists():
            command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT)]
            options = ["--warningiserror", "--nitpick", "--keep-going", "--path-output"]
            run = subprocess.run(
                [*command, *options, str(folder)],
                env={**os.environ, "PYTHONWARNDEFAULTENCODING": "1", "PYTHONIOENCODING": "utf-8"},
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            assert run.returncode == 0, f"the build failed:\n{run.stdout}\n{run.stderr}"
            (folder / "warnings").write_text(run.stderr, encoding="utf-8")  # test_encoding reads it
            (folder / "built").touch()
    return html


# --- a browser with the book's own fonts

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{folder}</dir>
  <cachedir>{cache}</cachedir>
  <alias binding="same"><family>serif</family><prefer><family>{text}</family></prefer></alias>
  <alias binding="same"><family>sans-serif</family><prefer><family>{text}</family></prefer></alias>
  <alias binding="same"><family>monospace</family><prefer><family>{code}</family></prefer></alias>
  <match target="font">
    <edit name="antialias" mode="assign"><bool>true</bool></edit>
    <edit name="hinting" mode="assign"><bool>false</bool></edit>
    <edit name="autohint" mode="assign"><bool>false</bool></edit>
    <edit name="hintstyle" mode="assign"><const>hintnone</const></edit>
    <edit name="rgba" mode="assign"><const>none</const></edit>
  </match>
</fontconfig>
"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-gpu-compositing",
    "--disable-software-rasterizer",
    "--disable-extensions",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the network is not there
]


@pytest.fixture(scope="session")
def own_fonts(tmp_path_factory):
    """Write a fontconfig that knows no font but the book's: those of the machine do not matter."""
    import typefaces
    from fontTools.ttLib import TTFont

    folder = tmp_path_factory.mktemp("fonts")
    for file in typefaces.kept(ROOT / "_build" / "typefaces").rglob("*.woff2"):
        font = TTFont(file)
        font.flavor = None  # the form in which a system keeps fonts
        font.save(folder / f"{file.stem}.ttf")
    settings = FONTS.format(
        folder=escape(str(folder)),
        cache=escape(str(folder / "cache")),
        text=typefaces.TEXT.name,
        code=typefaces.CODE.name,
    )
    (folder / "fonts.conf").write_text(settings, encoding="utf-8")
    return folder / "fonts.conf"


def find_browser(playwright):
    """Find Chromium: the system's, or the one that Playwright has brought."""
    named = shutil.which("chromium") or shutil.which("chromium-browser")
    brought = playwright.chromium.executable_path
    return named or (brought if Path(brought).exists() else None)


@pytest.fixture(scope="session")
def browser(own_fonts):
    """Start a browser for all tests of this process; skip what needs one where there is none."""
    from playwright.sync_api import sync_playwright

    try:
        playwright = sync_playwright().start()
    except Exception as problem:
        pytest.skip(
            f"needs a browser, and Playwright does not start here ({problem}): "
            "`.venv/bin/python -m playwright install-deps` brings the libraries that it needs"
        )
    program = find_browser(playwright)
    if program is None:
        playwright.stop()
        pytest.skip(
            "needs a browser: install Chromium from your system's packages, "
            "or run `.venv/bin/python -m playwright install chromium`"
        )
    browser = playwright.chromium.launch(
        executable_path=program,
        args=FLAGS,
        env={**os.environ, "FONTCONFIG_FILE": str(own_fonts)},
    )
    yield browser
    browser.close()
    playwright.stop()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A handler that keeps its log to itself."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def server(site):
    """Serve the site on the loopback address."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{service.server_address[1]}"
        service.shutdown()


# What the browser itself gives up because its reader has left the page; the icon, for one, which
# is fetched after a page has loaded. A missing file or a forbidden address has another name.
LEFT_BEHIND = "net::ERR_ABORTED"


@contextlib.contextmanager
def tab(browser, width=1400, scheme="light"):
    """Open an empty tab of a new reader; hand over it and a list that gathers what goes wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=False
    )
    troubles = []

    def watch(request):
        if not request.url.startswith(("file:", "http://127.0.0.1:", "data:", "blob:")):
            troubles.append(f"asks for {request.url}")

    context.on("request", watch)
    page = context.new_page()
    page.on(
        "requestfailed",
        lambda request: (
            request.failure != LEFT_BEHIND and troubles.append(f"failed: {request.url}")
        ),
    )
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
    try:
        yield page, troubles
    finally:
        context.close()


@contextlib.contextmanager
def visit(browser, address, width=1400, scheme="light"):
    """Open an address in a new tab; hand over the page and a list that gathers what goes wrong."""
    with tab(browser, width, scheme) as (page, troubles):
        page.goto(address, wait_until="load")
        yield page, troubles
