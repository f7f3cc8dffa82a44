"""The house of CONTRIBUTING.md: one concept is one chapter, one module, one test file."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from string import Formatter

import pytest
from assignments import stacked
from conftest import ROOT, project_files

BOOK, PACKAGE = ROOT / "book", ROOT / "mixhier_lite"
SLUGS = (
    "groups mixed henderson hierarchical flat ridge equivalence gram variance choosing slopes "
    "nested kinship bayes adjusting contrasts checks few scale rosetta limits"
).split()
NUMBER = {slug: number for number, slug in enumerate(SLUGS, start=1)}
WITHOUT_A_MODULE = set(
    "choosing slopes nested adjusting contrasts checks few rosetta limits".split()
)
"""Chapters that own no function."""
ROOMS = (
    "errors values inputs labels linalg progress known kinship priors datasets gram variance "
    "fitted after formulas bayes plot dials exercises __init__"
).split()
"""Parts of the package, the first known to all, in the one direction that imports go."""
HEAVY = ("matplotlib", "seaborn", "pandas", "formulaic", "tqdm", "scipy.optimize", "scipy.stats")

FILES = sorted(project_files())
PAGES = [path for path in FILES if path.parent == BOOK and path.suffix == ".md"]
CHAPTERS = [page for page in PAGES if page.name[:2].isdigit()]
MODULES = [path for path in FILES if PACKAGE in path.parents and path.suffix == ".py"]


def _name(path):
    return str(path.relative_to(ROOT))


# --- chapter, module, test


def test_numbers_are_the_fixed_ones():
    written = [f"{number:02} {slug}" for slug, number in NUMBER.items()]
    assert ", ".join(written) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for page in CHAPTERS:
        number, slug = page.stem.split("-", 1)
        assert NUMBER.get(slug) == int(number), page.name


def test_chapters_are_in_the_table_of_contents_in_order():
    listed = re.findall(r"book/(\d\d-\w+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert listed == [page.stem for page in CHAPTERS]


@pytest.mark.parametrize("page", CHAPTERS, ids=_name)
def test_chapter_has_a_room_or_a_module_and_a_test(page):
    slug = page.stem.split("-", 1)[1]
    own = [*PACKAGE.glob(f"{slug}/__init__.py"), *PACKAGE.rglob(f"{slug}.py")]
    own = [path for path in own if _room(path) != "exercises"]
    assert bool(own) == (slug not in WITHOUT_A_MODULE)
    assert list((ROOT / "tests").rglob(f"test_{slug}.py"))


def _room(path):
    """Return the part of the package that a file belongs to: a folder, or a module of the root."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_has_its_place():
    assert {_room(path) for path in MODULES} == set(ROOMS)


def test_the_root_holds_few_files():
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 12


def test_no_name_says_nothing():
    empty = {"util", "utils", "helper", "helpers", "common", "core", "misc", "tools"}
    inside = [path.relative_to(ROOT).with_suffix("") for path in FILES]
    assert [str(path) for path in inside if empty & set(path.parts)] == []


def test_index_names_what_each_chapter_adds():
    """The names that chapters add stand in their rows on the first page: all, and truly theirs."""
    import mixhier_lite

    rows = re.findall(
        r"^\| \{doc\}.*\|$", (BOOK / "index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [re.search(r"\{doc\}`.*?(\d\d-\w+)>?`", row)[1] for row in rows] == [
        page.stem for page in CHAPTERS
    ]
    named = set()
    for row, page in zip(rows, CHAPTERS, strict=True):
        number, slug = page.stem.split("-", 1)
        for name in re.findall(r"`(\w+)`", row):
            assert hasattr(mixhier_lite, name), name
            if int(number) <= 7:
                module = sys.modules[f"mixhier_lite.known.{slug}"]
                assert getattr(mixhier_lite, name) is getattr(module, name), name
            named.add(name)
    elsewhere = {
        "Fit",
        "Comparison",
        "Effects",
        "InputError",
        "Equivalence",
        "GaussianFactor",
        "datasets",
    }
    assert named == set(mixhier_lite.__all__) - elsewhere


# --- imports go one way


def _imported(text, inside):
    """Modules of the package that a file at ``inside`` imports, wherever the import stands in it.

    An imported name may be a module or something in one: ``a.b.name`` is reported as it stands.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            base = list(inside[: -node.level]) if node.level else []
            dotted = base + (node.module.split(".") if node.module else [])
            found = [[*dotted, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for parts in found:
            if parts[0] == "mixhier_lite" and len(parts) > 1:
                yield ".".join(parts[1:])


def _module(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def _arrows(path):
    """Modules that a module imports: files, and the ``__init__`` of other rooms."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    own_room = ".".join(inside[1:-1])
    for name in _imported(path.read_text(encoding="utf-8"), inside):
        room = name.rpartition(".")[0]
        found = {name, room, f"{name}.__init__"}
        if room != own_room:
            found.add(f"{room}.__init__")
        yield from (found & KNOWN) - {_module(path)}


KNOWN = {_module(path) for path in MODULES}


@functools.cache
def arrows():
    """What each module imports; found by the tests that ask, for every process collects."""
    return {_module(path): set(_arrows(path)) for path in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_imports_go_one_way_between_rooms(module):
    place = ROOMS.index(_room(module))
    inside = module.relative_to(ROOT).with_suffix("").parts
    used = {name.split(".")[0] for name in _imported(module.read_text(encoding="utf-8"), inside)}
    used = (used & set(ROOMS)) - {_room(module)}
    assert not {"plot", "dials"} & used, "nothing imports plot or dials"
    assert all(ROOMS.index(room) < place for room in used), used


def test_no_imports_go_in_circles():
    """Those of TYPE_CHECKING and inside functions included."""
    list(TopologicalSorter(arrows()).static_order())


def test_exercises_have_rooms_too():
    """What chapters are written with knows no chapter, and neither of them who grades."""
    order = "framework chapters registry session __init__ grading grade".split()
    for name, used in arrows().items():
        if name.startswith("exercises."):
            inside = {other.split(".")[1] for other in used if other.startswith("exercises.")}
            place = order.index(name.split(".")[1])
            assert all(order.index(room) <= place for room in inside), f"{name} imports {inside}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from .mixed import gls_blup", {"mixed.gls_blup"}),
        ("from . import plot", {"plot"}),
        ("from .dials import which_slope", {"dials.which_slope"}),
        ("def f():\n    from mixhier_lite.ridge import ridge", {"ridge.ridge"}),
        ("import mixhier_lite.flat as f", {"flat"}),
        ("from mixhier_lite import henderson", {"henderson"}),
        ("import numpy as np", set()),
    ],
)
def test_the_reader_of_imports_sees_every_form(text, expected):
    assert set(_imported(text, ("mixhier_lite", "sample"))) == expected
    deeper = text.replace("from .", "from ..")
    assert set(_imported(deeper, ("mixhier_lite", "datasets", "sample"))) == expected


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, mixhier_lite; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


# --- the words of refusals stand in one file

WORDS = PACKAGE / "refusals.toml"
REFUSALS = tomllib.loads(WORDS.read_text(encoding="utf-8"))


def _calls(text, name):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
            yield node


def _refusals(text):
    """Keys that a module's calls of ``refused`` may raise, each with the facts that it gets."""
    for call in _calls(text, "refused"):
        first = call.args[0]
        for key in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
            assert isinstance(key, ast.Constant), f"{ast.unparse(call)} names no key"
            yield key.value, [fact.arg for fact in call.keywords]


def _open(parts):
    """What the words of a refusal leave open."""
    fields = (field for text in parts.values() for field in Formatter().parse(text))
    return {name for _, name, _, _ in fields if name is not None}


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_refusals_have_their_words_in_the_file(module):
    text = module.read_text(encoding="utf-8")
    worded_elsewhere = list(_calls(text, "InputError"))
    assert worded_elsewhere == [] or _room(module) == "errors", ast.unparse(worded_elsewhere[0])
    for key, facts in _refusals(text):
        assert key in REFUSALS, f"no refusal is called {key}"
        assert sorted(facts) == sorted(_open(REFUSALS[key])), key


@pytest.mark.parametrize("key", REFUSALS)
def test_a_refusal_has_four_parts_without_line_breaks(key):
    assert list(REFUSALS[key]) == ["wrong", "expected", "got", "remedy"]
    assert all(text.strip() == text and text.isprintable() for text in REFUSALS[key].values())


def test_every_refusal_is_raised_and_stands_with_the_first_room_that_does():
    raised = {}
    for module in sorted(MODULES, key=lambda module: ROOMS.index(_room(module))):
        for key, _ in _refusals(module.read_text(encoding="utf-8")):
            raised.setdefault(key, _room(module))
    room, placed = None, {}
    for line in WORDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# --- "):
            room = line.removeprefix("# --- ")
        elif line.startswith("["):
            placed[line.strip("[]")] = room
    assert placed == raised
    rooms = list(dict.fromkeys(placed.values()))
    assert rooms == sorted(rooms, key=ROOMS.index)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise refused('a')", [("a", [])]),
        ("raise refused('a', n=1) from None", [("a", ["n"])]),
        ("raise errors.refused('a' if x else 'b', n=n)", [("a", ["n"]), ("b", ["n"])]),
        ("refused('a', **facts)", [("a", [None])]),
        ("refused.append('a')", []),
    ],
)
def test_the_reader_of_refusals_sees_every_form(text, expected):
    assert list(_refusals(text)) == expected


# --- the book refers backwards

LABEL = re.compile(r"^:label: (\S+)$|\$\$ *\((eq-[\w-]+)\)$", re.MULTILINE)
REFERENCE = re.compile(r"\{(?:prf:ref|eq|numref)\}`(?:[^`<]*<)?([\w-]+)>?`")
CITED_IN_CODE = re.compile(r":(?:prf:ref|eq):`([\w-]+)`")


def _labels(text):
    return [first or second for first, second in LABEL.findall(text)]


OWNER = {label: page.stem for page in PAGES for label in _labels(page.read_text(encoding="utf-8"))}


def test_labels_have_one_owner():
    labels = [label for page in PAGES for label in _labels(page.read_text(encoding="utf-8"))]
    assert sorted(labels) == sorted(OWNER)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_references_point_to_something(page):
    for label in REFERENCE.findall(page.read_text(encoding="utf-8")):
        assert label in OWNER, f"no page has the label {label}"


@pytest.mark.parametrize("page", CHAPTERS, ids=_name)
def test_chapter_refers_to_no_result_of_a_later_one(page):
    for label in REFERENCE.findall(page.read_text(encoding="utf-8")):
        owner = OWNER.get(label, "")
        assert not re.match(r"\d\d-", owner) or owner <= page.stem, f"{label} is in {owner}"


def test_toolbox_stands_on_its_own():
    """A proof of the toolbox cites only earlier lemmas of the toolbox."""
    text = (BOOK / "toolbox.md").read_text(encoding="utf-8")
    for match in re.finditer(r"^:{3,}\{prf:proof\}\n((?:.*\n)*?):{3,}$", text, re.MULTILINE):
        earlier = _labels(text[: match.start()])
        assert set(REFERENCE.findall(match[1])) <= set(earlier), match[1]


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_labels_in_docstrings_exist(module):
    for label in CITED_IN_CODE.findall(module.read_text(encoding="utf-8")):
        assert label in OWNER, f"no page has the label {label}"


# --- nothing of the workshop


# Put together from parts, so that this file does not hold what it looks for.
FOLDERS = ["wo" + "rk", "ro" + "ot", "ho" + "me", "tm" + "p"]
FOREIGN = re.compile(rf"(?<![\w.\-])/(?:{'|'.join(FOLDERS)})/|\.\./sha" + "red")


def test_no_file_knows_the_machine_it_was_written_on():
    found = [
        f"{_name(path)}: {match[0]}"
        for path in FILES
        for match in [FOREIGN.search(path.read_text(encoding="utf-8", errors="ignore"))]
        if match
    ]
    assert found == []
    for folder in FOLDERS:
        assert FOREIGN.search(f"open('/{folder}/x')")
        assert not FOREIGN.search(f"https://example.org/{folder}/x")


# --- one assignment a line


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_values_are_named_one_by_one(module):
    assert list(stacked(ast.parse(module.read_text(encoding="utf-8")))) == []


def test_the_search_for_stacked_values_finds_them():
    assert list(stacked(ast.parse("a, b = f(a), y\na, b = b, a\na, b = f(x)"))) == [1]
