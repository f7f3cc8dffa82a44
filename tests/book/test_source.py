"""Code on the pages of the book: what the sources say, or no build."""

import ast
import html
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import source
from bs4 import BeautifulSoup
from conftest import ROOT

import mixhier_lite

PAGES = sorted((ROOT / "book").rglob("*.md"))
BOX = re.compile(r"^(:{3,})\{source\} (?P<name>\S+)\n(?P<rest>(?:.*\n)*?)\1$", re.MULTILINE)
SHOWN = [
    pytest.param(page, box["name"], box["rest"], id=f"{page.stem}-{box['name']}")
    for page in PAGES
    for box in BOX.finditer(page.read_text(encoding="utf-8"))
]
FUNCTIONS = [
    name for name in mixhier_lite.__all__ if inspect.isroutine(getattr(mixhier_lite, name))
]
CLASSES = [name for name in mixhier_lite.__all__ if inspect.isclass(getattr(mixhier_lite, name))]


def parsed(code):
    """The syntax tree of code: what it says, without comments and spaces."""
    return ast.dump(ast.parse(textwrap.dedent(code)))


def without_docstring(thing):
    """Python's own word for the source of a thing, its docstring taken out of the tree."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    tree.body[0].body = tree.body[0].body[1:]
    return tree


# --- what is found


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_text_is_what_inspect_reads(name):
    thing = getattr(mixhier_lite, name)
    found = source.find(f"mixhier_lite.{name}")
    assert Path(inspect.getsourcefile(thing)) == found.file
    assert found.text(docstring=True) == inspect.getsource(thing).rstrip("\n")
    tree = without_docstring(thing)
    if tree.body[0].body:
        assert parsed(found.text()) == ast.dump(tree)
    if inspect.isroutine(thing):
        assert parsed(found.text(body=True)) == ast.dump(ast.Module(tree.body[0].body, []))
    for line in found.text().splitlines():
        assert line in inspect.getsource(thing).splitlines()


def test_comments_of_a_body_are_kept():
    whole = inspect.getsource(mixhier_lite.henderson)
    for text in (source.find("mixhier_lite.henderson").text(body=body) for body in (0, 1)):
        assert text.count("#") == whole.count("#") > 0


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("mixhier_lite.LinearMixedModel.V", mixhier_lite.LinearMixedModel.V.fget),
        ("mixhier_lite.LinearMixedModel.simulate", mixhier_lite.LinearMixedModel.simulate),
        ("mixhier_lite.Gram.from_arrays", mixhier_lite.Gram.from_arrays),
    ],
)
def test_methods_and_properties_are_found(name, thing):
    whole = textwrap.dedent(inspect.getsource(thing)).rstrip("\n")
    assert source.find(name).text(docstring=True) == whole


def test_a_test_is_found_in_any_folder_with_its_marks():
    found = source.find("test_source.py::test_a_test_is_found_in_any_folder_with_its_marks")
    assert found.file == Path(__file__)
    assert found.text() == inspect.getsource(
        test_a_test_is_found_in_any_folder_with_its_marks
    ).rstrip("\n")
    marked = source.find("test_source.py::test_text_is_what_inspect_reads")
    assert marked.text().startswith("@pytest.mark.parametrize")
    assert marked.page == "code/" + Path(__file__).relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mixhier_lite.rigde", "there is no mixhier_lite.rigde"),
        ("mixhier_light.ridge", "there is no mixhier_light"),
        ("mixhier_lite.Gram.from_nowhere", "there is no mixhier_lite.Gram.from_nowhere"),
        ("mixhier_lite.EQUIVALENCES", "neither a function nor a class"),
        ("test_source.py::test_gone", "defines no test_gone"),
        ("test_gone.py::test_gone", "0 files"),
    ],
)
def test_what_is_gone_is_not_found(name, says):
    with pytest.raises(source.NotFound, match=re.escape(says)):
        source.find(name)


TEXT = "def f(x):\n    a = x\n    b = a\n    # why\n    a = b\n    return b"


def test_a_cut_says_that_something_is_left_out():
    assert source.cut(TEXT) == TEXT
    assert source.cut(TEXT, "b =", "# why") == "...\nb = a\n# why\n..."
    assert source.cut(TEXT, "# why") == "...\n# why\na = b\nreturn b"
    assert source.cut(TEXT, end="a = x") == "def f(x):\n    a = x\n..."


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [("a =", "", "2 lines"), ("", "gone", "0 lines"), ("return", "b =", "stands behind")],
)
def test_a_cut_at_a_line_that_is_not_there_is_refused(start, end, says):
    with pytest.raises(source.NotFound, match=says):
        source.cut(TEXT, start, end)


# --- a small book of one page


def build(folder, page):
    """Build one page, warnings as errors; return the run."""
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
        "import source\nsource.PLACES = ['mixhier_lite/known']\n"  # the files that the page names
        "extensions = ['myst_parser', 'sphinx.ext.autodoc', 'source']\n"
        "myst_enable_extensions = ['colon_fence']\n",
        encoding="utf-8",
    )
    (folder / "index.md").write_text(f"# A page\n\n{page}\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    return subprocess.run(
        [*command, str(folder), str(folder / "built")],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.slow
def test_a_page_shows_the_code_of_today(tmp_path):
    run = build(
        tmp_path,
        ":::{source} mixhier_lite.ridge\n:folded:\n\nWhat it is.\n:::\n\n"
        "See {source}`mixhier_lite.henderson`.",
    )
    assert run.returncode == 0, run.stderr
    page = BeautifulSoup((tmp_path / "built/index.html").read_text(encoding="utf-8"), "html.parser")
    fold = page.select_one("div.source > details:not([open])")
    assert fold.summary.get_text() == "Code: ridge"
    assert parsed(fold.pre.get_text()) == ast.dump(without_docstring(mixhier_lite.ridge))
    assert page.select_one("div.source > p").get_text() == "What it is."
    for link, name in zip(page.select("a[href^='code/']"), ("ridge", "henderson"), strict=True):
        file, _, place = link["href"].partition("#")
        target = BeautifulSoup(
            (tmp_path / "built" / file).read_text(encoding="utf-8"), "html.parser"
        )
        line = target.find(id=place).next_sibling
        assert place == name and line.get_text() == "def"


GONE = {
    ":::{source} mixhier_lite.rigde\n\nIt.\n:::": "there is no mixhier_lite.rigde",
    ":::{source} mixhier_lite.ridge\n:end-at: gone\n\nIt.\n:::": "0 lines begin with",
    ":::{source} test_source.py::test_gone\n\nIt.\n:::": "defines no test_gone",
    ":::{source} mixhier_lite.ridge\n:::": "Content block expected",
    "See {source}`mixhier_lite.rigde`.": "there is no mixhier_lite.rigde",
}


@pytest.mark.slow
def test_a_name_that_is_gone_fails_the_build_and_says_where(tmp_path):
    page = "\n\n".join(GONE)
    run = build(tmp_path, page)
    assert run.returncode != 0
    errors = re.split(r"^(?=\S*index\.md:)", run.stderr, flags=re.MULTILINE)
    for wrong, says in GONE.items():
        line = 3 + page[: page.index(wrong)].count("\n")
        told = [error for error in errors if f"index.md:{line}: ERROR: " in error]
        assert any(says in error for error in told), (wrong, run.stderr)


# --- the book


def soup(file):
    return BeautifulSoup(file.read_text("utf-8"), "html.parser")


@pytest.mark.parametrize(("page", "name", "rest"), SHOWN)
def test_pages_show_what_the_sources_say(site, page, name, rest):
    built = soup(site / page.relative_to(ROOT).with_suffix(".html"))
    found = source.find(name)
    address = f"{found.page}.html#{found.name}"
    boxes = [box for box in built.select("div.source") if box.select(f"a[href$='{address}']")]
    assert len(boxes) == 1
    shown = boxes[0].pre.get_text().strip("\n").splitlines()
    lines = iter(textwrap.dedent("\n".join(found.lines)).splitlines())
    kept = [line.strip() for line in shown if line.strip() not in ("...", "")]
    assert len(kept) >= 4
    for line in kept:  # in their order
        assert any(line == there.strip() for there in lines), line
    assert bool(boxes[0].details) == (":folded:" in rest)
    assert boxes[0].find("p").get_text().strip() in " ".join(re.sub("`", "", rest).split())


@pytest.mark.parametrize(
    ("chapter", "name"),
    [
        ("02-mixed", "mixhier_lite.gls_blup"),
        ("03-henderson", "mixhier_lite.henderson"),
        ("04-hierarchical", "mixhier_lite.posterior"),
        ("06-ridge", "mixhier_lite.ridge"),
        ("07-equivalence", "test_equivalence.py::test_holds_in_its_scope"),
    ],
)
def test_the_function_stands_open_in_its_chapter(chapter, name):
    text = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf-8")
    boxes = {box["name"]: box["rest"] for box in BOX.finditer(text)}
    assert name in boxes and ":folded:" not in boxes[name]


def test_every_file_has_a_page_and_every_link_to_code_arrives(site):
    for file in source.files():
        assert (site / f"{source.page_of(file)}.html").exists()
    targets, links = {}, 0
    for page in [*(site / "book").rglob("*.html"), *(site / "code").rglob("*.html")]:
        for link in re.findall(r'href="((?:\.\./)*code/[^"]+)"', page.read_text("utf-8")):
            address, _, place = link.partition("#")
            target = (page.parent / address).resolve()
            if target not in targets:
                targets[target] = set(re.findall(r' id="([^"]+)"', target.read_text("utf-8")))
            assert not place or place in targets[target], (page.name, link)
            links += 1
    assert links > 100


def test_the_api_leads_to_the_code(site):
    api = soup(site / "book/api.html")
    for name in FUNCTIONS:
        found = source.find(f"mixhier_lite.{name}")
        entry = api.find(id=f"mixhier_lite.{name}")
        if entry is not None:
            assert entry.find("a", href=f"../{found.page}.html#{found.name}"), name
    assert len(api.select(".viewcode-link")) > len(FUNCTIONS)


def test_pages_of_code_say_what_the_files_say_and_are_light(site):
    for file in source.files():
        page = site / f"{source.page_of(file)}.html"
        assert page.stat().st_size < 400_000
        article = re.search(r"<article.*?</article>", page.read_text("utf-8"), re.DOTALL)[0]
        shown = re.search(r"<pre>(.*?)</pre>", article, re.DOTALL)
        text = html.unescape(re.sub(r"<[^>]*>", "", shown[1])) if shown else ""
        assert text.strip("\n") == file.read_text("utf-8").strip("\n"), file


def test_search_finds_chapters_and_not_their_code(site):
    assert '"code/' not in (site / "searchindex.js").read_text(encoding="utf-8")
