"""Exercises: right answers pass, wrong ones get the right hint, and no message tells the answer.

The answers stand in ``tests/answers/answers_SLUG.py``: ``RIGHT`` maps an id to a right answer,
``WRONG`` to pairs of a wrong answer that people give and words of the hint that it must get.
"""

import ast
import importlib.util
import re
import socket
import subprocess
import sys
import tomllib

import nbformat
import numpy as np
import pages
import pandas as pd
import polars as pl
import pytest
import worksheets
from conftest import ROOT
from exercise_pages import statements, written_out

from mixhier_lite import InputError
from mixhier_lite.exercises import Verdict, check, progress, registry, session
from mixhier_lite.exercises.framework import exercise as define
from mixhier_lite.exercises.framework import timeout
from mixhier_lite.exercises.framework.definition import Exercise, Mistake
from mixhier_lite.exercises.framework.forms import (
    Counterexample,
    Function,
    Number,
    Numbers,
    Table,
    Word,
)

BOOK, PACKAGE = ROOT / "book", ROOT / "mixhier_lite" / "exercises"
EXERCISES = registry.everything()
CHAPTERS = [page for page in pages.pages() if page.parent == BOOK and page.name[:2].isdigit()]
FILES = {page.stem.split("-", 1)[1]: page for page in CHAPTERS}


def _answers(slug):
    file = ROOT / "tests" / "exercises" / "answers" / f"answers_{slug}.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANSWERS = {slug: _answers(slug) for slug in registry.chapters()}


def name(exercise):
    return exercise.id


def right(exercise):
    return ANSWERS[exercise.chapter].RIGHT[exercise.id]


def wrong(exercise):
    return ANSWERS[exercise.chapter].WRONG[exercise.id]


each = pytest.mark.parametrize("exercise", EXERCISES, ids=name)
each_chapter = pytest.mark.parametrize("slug", registry.chapters())


# --- every exercise


@each
def test_right_answer_passes(exercise):
    times = 5 if isinstance(exercise.form, Function) else 1  # other random inputs each time
    for _ in range(times):
        verdict = check(exercise.id, right(exercise))
        assert verdict.right, verdict.message


@each
@pytest.mark.slow
def test_wrong_answers_get_their_hint(exercise):
    given = wrong(exercise)
    assert len(given) >= 3
    hints, said = {mistake.hint for mistake in exercise.mistakes}, set()
    times = 3 if isinstance(exercise.form, Function) else 1  # functions meet other random inputs
    for answer, words in given:
        for _ in range(times):
            verdict = check(exercise.id, answer)
            assert not verdict.right
            assert words in verdict.message, f"{words!r} is not in {verdict.message!r}"
            assert verdict.message in hints
            said.add(verdict.message)
    assert hints - said == set(), "hints that no wrong answer of the tests gets"


class Awkward:
    """An object that breaks whoever touches it."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not an array")

    def __len__(self):
        raise ValueError("no length")

    def __eq__(self, other):
        raise RuntimeError("not comparable")


BAD = {
    "None": None,
    "dots": ...,
    "nan": float("nan"),
    "inf": [1.0, float("inf")],
    "string": "seven",
    "bytes": b"7",
    "truth value": True,
    "complex": 1 + 2j,
    "empty array": np.array([]),
    "vector": np.arange(5.0),
    "ragged": [[1], [2, 3]],
    "dict": {"a": 1},
    "set": {1, 2},
    "object": object(),
    "awkward": Awkward(),
    "generator": (k for k in range(3)),
    "crash": lambda *args: 1 / 0,
    "exit": lambda *args: sys.exit(),
    "no arguments": lambda: 1,
    "nothing returned": lambda *args: None,
    "class": int,
    "strings": np.array(["a", "b"]),
    "large": np.zeros((3, 1, 2)),
    "tuple": (None, None, None),
    "tuple of arrays": (np.zeros(4), np.zeros(4), np.zeros(4)),
}


def reader(exercise):
    """What reads the answer: a form and the form that a function returns, or a counterexample's."""
    form = exercise.form
    if isinstance(form, Counterexample):
        return form.read
    return type(form), type(form.returns) if isinstance(form, Function) else None


ONE_OF_EACH_READER = list({reader(exercise): exercise for exercise in EXERCISES}.values())


@pytest.mark.parametrize("exercise", ONE_OF_EACH_READER, ids=name)
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_a_sentence(exercise, kind):
    verdict = check(exercise.id, BAD[kind])
    assert isinstance(verdict, Verdict) and not verdict.right
    assert len(verdict.message) > 20 and verdict.message[0].isupper()
    assert verdict.message.rstrip()[-1] in ".?)"
    # whatever numpy or pandas raise is said in words of our own
    assert kind == "awkward" or "could not be read" not in verdict.message


def test_every_form_meets_bad_input():
    met = {type(exercise.form) for exercise in ONE_OF_EACH_READER}
    assert met == {Number, Numbers, Table, Word, Function, Counterexample}


@pytest.mark.parametrize(
    ("id", "answer", "words"),
    [
        ("mixed-1", float("nan"), "nan"),
        ("mixed-1", None, "None"),
        ("mixed-1", ..., "three dots"),
        ("mixed-1", "0.5", "a string"),
        ("mixed-1", [0.5, 0.6], "with 2 entries"),
        ("mixed-1", np.zeros((2, 3)), "shape (2, 3)"),
        ("mixed-1", lambda: 0.5, "a function"),
        ("mixed-1", 1j, "complex"),
        ("groups-2", [], "empty"),
        ("groups-2", [1, 2, float("nan")], "nan"),
        ("groups-2", [1, 2, float("inf")], "infinite"),
        ("groups-2", [1, 2], "shape (2,); the question asks for (3,)"),
        ("groups-2", np.zeros((3, 1)), "shape (3, 1); the question asks for (3,)"),
        ("groups-2", [[1], [2, 3]], "unequal length"),
        ("groups-2", ["a", "b", "c"], "strings"),
        ("groups-2", [1, None, 3], "missing values"),
        ("groups-2", [1, object(), 3], "not real numbers"),
        ("groups-3", 1, "a number"),
        ("groups-3", "sideways", "not among those"),
        ("mixed-4", np.zeros((6, 2)), "shape (6, 2)"),
        ("mixed-4", pd.DataFrame({"Rail": [1], "own": [1.0]}), "no column ['blup']"),
        ("mixed-4", pd.DataFrame({"Rail": [], "own": [], "blup": []}), "no rows"),
        ("mixed-4", pd.DataFrame({"Rail": [1, 1], "own": 1.0, "blup": 1.0}), "label twice"),
        ("mixed-4", pd.DataFrame({"Rail": [1, 2], "own": 1.0, "blup": 1.0}), "2 rows"),
        ("mixed-4", pd.DataFrame({"Rail": list("abcdef"), "own": 1.0, "blup": 1.0}), "labels"),
        ("mixed-4", pd.DataFrame({"Rail": range(6), "own": np.nan, "blup": 1.0}), "nan"),
        ("mixed-5", np.ones((17, 1)), "shape (17, 1)"),
        ("mixed-5", np.ones((18, 2)), "linearly dependent"),
        ("henderson-1", "87", "a string"),
        ("groups-2", np.ma.array([1.0, 2, 3], mask=[0, 0, 1]), "masked"),
        ("mixed-4", pl.DataFrame({"Rail": [1]}), "of another library"),
    ],
)
def test_a_bad_answer_is_described(id, answer, words):
    verdict = check(id, answer)
    assert not verdict.right and words in verdict.message, verdict.message


def test_the_rows_of_a_data_frame_may_stand_in_any_order():
    table = right(registry.find("mixed-4"))
    both = table.reset_index().set_index("Rail", drop=False)  # a column and the index
    for frame in (table, table.reset_index(), table.iloc[::-1], table.sample(frac=1), both):
        assert check("mixed-4", frame).right
    swapped = table.assign(own=table["own"].to_numpy()[::-1])
    assert "not the numbers in 'own'" in check("mixed-4", swapped).message


def roundings(value):
    """Every way to write a number: as it is, with 1 to 8 significant digits or decimals."""
    ways = {repr(float(value)), str(value)}
    for digits in range(1, 9):
        ways |= {f"{value:.{digits}g}", f"{value:.{digits}f}", f"{float(f'{value:.{digits}g}'):f}"}
    return {way.rstrip("0").rstrip(".") if "." in way else way for way in ways} - {"0", "-0", ""}


def shows(message, value):
    """Whether a message contains a number in any rounding, other than in the shape of an array."""
    message = re.sub(r"\([\d, ]+\)", "", message)
    written = {n.rstrip("0").rstrip(".") if "." in n else n
               for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?", message)}  # fmt: skip
    return written & roundings(value)


WITH_A_VALUE = [e for e in EXERCISES if not isinstance(e.form, (Function, Counterexample))]


def truths(exercise):
    """List the numbers and words of the right answer; nothing where it is no value."""
    form = exercise.form
    if exercise not in WITH_A_VALUE:
        return []
    truth = form.read(exercise.truth())
    if isinstance(form, Word):
        return [truth]
    if isinstance(form, Table):
        return [v for column in form.columns for v in truth[column]]
    return list(np.ravel(truth))


@pytest.mark.parametrize("exercise", WITH_A_VALUE, ids=name)
@pytest.mark.slow
def test_no_message_tells_the_answer(exercise):
    """Neither a hint, which is what the wrong answers above get, nor what anything else gets."""
    messages = [mistake.hint for mistake in exercise.mistakes]
    messages += [check(exercise.id, answer).message for answer in BAD.values()]
    # wrong in many other ways: near, negative, in another order, of another shape
    if isinstance(exercise.form, (Number, Numbers)):
        truth = exercise.form.read(exercise.truth())
        others = [1.01 * truth, -truth, np.flip(truth), truth.T, truth[None], 3 * truth + 1]
        others += [np.where(np.arange(truth.size).reshape(truth.shape) == 0, 99.5, truth)]
        said = [check(exercise.id, answer) for answer in others]
        messages += [verdict.message for verdict in said if not verdict.right]
    several = not isinstance(exercise.form, Number)
    for truth in truths(exercise):
        for message in messages:
            if isinstance(truth, str):
                assert truth not in message.lower(), message
            elif not (several and float(truth).is_integer() and abs(truth) < 100):
                # single small integers inside an array may occur in a message by chance
                assert not shows(message, truth), message


@pytest.mark.parametrize(
    ("message", "value", "told"),
    [("It is 0.974.", 0.97412, True), ("It is 0.97", 0.97412, True), ("about 1", 0.97412, True),
     ("shape (18,)", 0.97412, False), ("see 4.2", 4.21, True), ("18 rows", 18, True),
     ("180 rows", 18, False), ("-0.97", 0.97, False)],
)  # fmt: skip
def test_the_reader_of_messages_finds_roundings(message, value, told):
    assert bool(shows(message, value)) == told


@each
@pytest.mark.slow
def test_no_answer_stands_as_a_literal(exercise):
    """No number in the package is an answer; words are computed by running something."""
    files = [PACKAGE / "chapters" / f"{exercise.chapter}.py", PACKAGE / "framework" / "data.py"]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    numbers = [abs(n.value) for n in nodes if type(n.value) in (int, float)]
    written = [number for number in numbers if number != int(number) or number >= 100]
    for truth in truths(exercise):
        if isinstance(truth, str):
            assert exercise.truth.__name__ != "<lambda>", "a named function that computes it"
        elif not (float(truth).is_integer() and abs(truth) < 100):
            assert not np.any(np.isclose(written, abs(truth), rtol=2e-3, atol=0)), truth


# --- every chapter


@each_chapter
def test_a_chapter_has_a_full_set(slug):
    exercises = registry.of_chapter(slug)
    assert {e.chapter for e in exercises} == {slug}
    assert len(exercises) >= 4
    assert {e.kind for e in exercises} == {"prove", "compute", "predict", "break"}
    assert {e.level for e in exercises} == {"easy", "medium", "hard"}
    assert len({e.title for e in exercises}) == len(exercises)
    words = tomllib.loads((PACKAGE / "chapters" / f"{slug}.toml").read_text(encoding="utf-8"))
    assert list(words) == [e.id for e in exercises]
    for answers in (ANSWERS[slug].RIGHT, ANSWERS[slug].WRONG):
        assert list(answers) == [e.id for e in exercises]


@each_chapter
def test_numbers_of_exercises_are_kept(slug):
    """Those that name a chapter count from one, wherever they stand now, and in order."""
    named = [e for e in EXERCISES if e.id.rpartition("-")[0] == slug]
    numbers = sorted(int(e.id.rpartition("-")[2]) for e in named)
    assert numbers == list(range(1, len(named) + 1))
    own = [e.id for e in registry.of_chapter(slug) if e in named]
    assert own == sorted(own, key=lambda id: int(id.rpartition("-")[2]))
    for exercise in named:
        assert registry.find(exercise.id) is exercise


@each_chapter
def test_statements_agree_with_the_package(slug):
    page = BOOK / "exercises" / FILES[slug].name
    text = page.read_text(encoding="utf-8")
    found = statements(page)
    assert text.count("{exercise}") == len(found), "a statement in another form"
    assert [statement["id"] for statement in found] == [e.id for e in registry.of_chapter(slug)]
    for exercise, statement in zip(registry.of_chapter(slug), found, strict=True):
        if isinstance(exercise.form, Word):
            for option in exercise.form.options:
                assert f'`"{option}"`' in statement["text"], option
        if isinstance(exercise.form, Function):
            assert f"`{exercise.form.call}`" in statement["text"], exercise.form.call


def test_a_statement_is_written_out():
    short = (
        "before\n\n:::{exercise} ridge-1\n:answer: a function\n\nHow many?\n\nAt least?\n:::\n\n"
        "after\n"
    )
    assert written_out(short) == (
        "before\n\n:::{exercise} How many records?\n:label: ex-ridge-1\n\n"
        '`check("ridge-1", answer)`\u00a0· *easy\u00a0· compute\u00a0· answer: a function*'
        "\n\nHow many?\n\nAt least?\n\n"
        "{ref}`Solution <sol-ridge-1>`\n:::\n\nafter\n"
    )
    with pytest.raises(LookupError, match="ridge-1"):
        written_out(short.replace("ridge-1", "rigde-1"))


@each_chapter
def test_code_in_statements_runs(slug):
    text = (BOOK / "exercises" / FILES[slug].name).read_text(encoding="utf-8")
    names = {}
    for block in worksheets.BLOCK.findall(text):
        exec(block, names)  # noqa: S102
    assert "check" in names


@each_chapter
def test_solutions_pass_the_check(slug):
    page = BOOK / "solutions" / FILES[slug].name
    text = page.read_text(encoding="utf-8")
    exercises = registry.of_chapter(slug)
    opened = re.findall(
        r"^:::\{solution-start\} ex-(\S+)\n:label: sol-(\S+)\n:class: dropdown\n:::$", text, re.M
    )
    assert opened == [(e.id, e.id) for e in exercises], "folded, in order, one for each exercise"
    assert text.count("{solution-end}") == len(exercises)
    passed = []
    for cell in nbformat.read(page.with_suffix(".ipynb"), 4).cells:
        last = cell.source.rstrip().rpartition("\n")[2]
        call = re.fullmatch(r'check\("(\S+)", (\w+)\)', last)
        if cell.cell_type == "code" and call:
            assert call[2] == call[1].replace("-", "_"), "the answer has the worksheet's name"
            shown = cell.outputs[-1]["data"]["text/plain"]
            assert shown.startswith("right: "), shown
            passed.append(call[1])
    assert passed == [e.id for e in exercises]


@each_chapter
def test_chapter_leads_to_its_exercises(slug):
    chapter = FILES[slug].read_text(encoding="utf-8")
    assert f"{{doc}}`exercises/{FILES[slug].stem}`" in chapter.rpartition("##")[2]


@each_chapter
def test_exercises_and_solutions_bear_the_title_of_their_chapter(slug):
    heading = re.compile("^# (.+)$", re.MULTILINE)
    title = heading.search(FILES[slug].read_text(encoding="utf-8"))[1]
    for kind in ("exercises", "solutions"):
        text = (BOOK / kind / FILES[slug].name).read_text(encoding="utf-8")
        assert heading.search(text)[1] == f"{kind.capitalize()} for {title}"


@each_chapter
def test_exercises_refer_to_no_later_chapter(slug):
    """Statements and solutions build on the chapters so far."""
    import test_architecture as house

    for folder in ("exercises", "solutions"):
        text = (BOOK / folder / FILES[slug].name).read_text(encoding="utf-8")
        for label in house.REFERENCE.findall(text):
            owner = house.OWNER.get(label, "")
            assert owner, f"no page has the label {label}"
            assert not re.match(r"\d\d-", owner) or owner <= FILES[slug].stem, label


def test_every_page_is_of_a_chapter_with_exercises():
    for folder in ("exercises", "solutions"):
        slugs = {page.stem.split("-", 1)[1] for page in pages.pages(f"book/{folder}")}
        assert slugs == set(registry.chapters())


# --- the check


def double(v):
    return 2 * v


def test_every_mistake_needs_its_hint():
    """And every hint a mistake: words and mathematics stand in two files."""
    form, truth = Function("f(v)", lambda rng: (rng.normal(size=4),), Number()), double
    names = [mistake.name for mistake in registry.find("ridge-1").mistakes]
    whole = dict.fromkeys(names, double)
    assert [m.name for m in define("ridge-1", form, truth, **whole).mistakes] == names
    with pytest.raises(ValueError, match="rounded_up"):
        define("ridge-1", form, truth, **dict.fromkeys(names[:-1], double))
    with pytest.raises(ValueError, match="rounded_down"):
        define("ridge-1", form, truth, **whole, rounded_down=double)


TWICE = Exercise(
    "sample-1", "sample", "Twice", "easy", "compute",
    Function("f(v)", lambda rng: (rng.normal(size=4),)),
    double, (Mistake("squared", lambda v: v**2, "You squared."),), "Well done.",
)  # fmt: skip


def keeps_going(v):
    while True:
        try:
            pass
        except Exception:
            pass


def changes(v):
    v *= 2
    return v


def twice_if_positive(v):
    return double(v) if v[0] > v[1] else v


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda v: 1 / 0, "ZeroDivisionError"),
        (lambda v: v[:, None] * 2, "shape (4, 1); the question asks for (4,)"),
        (lambda v: None, "without return"),
        (lambda v: "no", "a string"),
        (lambda a, b: a, "cannot be called as f(v)"),
        (lambda v: double(v) + np.eye(4)[2], "index 2"),
        (lambda v: double(v)[::-1], "another order"),
        (lambda v: v**2, "You squared."),
        (np.array([1.0, 2.0]), "the function f(v) itself"),
        (changes, "changes one of its arguments"),
        (keeps_going, "did not return in time"),
    ],
)
def test_functions(answer, words, monkeypatch):
    monkeypatch.setattr(timeout, "SECONDS", 0.3)
    verdict = session.judge(TWICE, answer)
    assert not verdict.right and words in verdict.message, verdict.message
    assert session.judge(TWICE, double) == Verdict(True, "Well done.")


def test_right_for_some_inputs_only():
    messages = {session.judge(TWICE, twice_if_positive).message for _ in range(30)}
    assert any(message.startswith("Right for some random inputs, not for all") for message in
               messages)  # fmt: skip


def test_time_limit_without_an_alarm(monkeypatch):
    """In a thread, where no signal arrives, the check stops waiting."""
    monkeypatch.setattr(timeout, "SECONDS", 0.2)
    monkeypatch.delattr("signal.setitimer")
    assert "in time" in session.judge(TWICE, lambda v: __import__("time").sleep(2)).message
    assert "ZeroDivision" in session.judge(TWICE, lambda v: 1 / 0).message
    assert session.judge(TWICE, double).right


def test_time_limit_puts_back_an_earlier_alarm():
    import signal

    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert session.judge(TWICE, double).right
        __import__("time").sleep(0.5)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_interrupting_is_possible():
    def interrupted(v):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("groups-1", lambda v, groups: interrupted(v))


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("gruops-1", "Did you mean 'groups-1'?"),
        ("groups-99", "Did you mean 'groups-"),
        ("x", "look like"),
        ("", "look like"),
        (3, "second"),
        (None, "second"),
        ([], "second"),
    ],
)
def test_unknown_id(id, words):
    verdict = check(id, 1)
    assert not verdict.right and words in verdict.message


@pytest.mark.parametrize("id", ["groups-1", "ex-groups-1", "groups_1", " Groups-1 "])
def test_spellings_of_an_id(id):
    assert check(id, right(registry.find("groups-1"))).right


def test_verdict_is_a_frozen_value():
    verdict = check("groups-1", 1)
    assert not verdict and isinstance(verdict.message, str)
    assert repr(verdict) == f"not yet: {verdict.message}"
    with pytest.raises(AttributeError):
        verdict.right = True


def test_progress_counts(monkeypatch):
    monkeypatch.setattr(session, "_seen", {})
    exercises = registry.of_chapter("groups")
    assert repr(progress("groups")).endswith(f"0 of {len(exercises)} solved")
    check("groups-1", 1)
    check("groups-2", right(exercises[1]))
    check("groups-2", 1)  # solved stays solved
    lines = repr(progress("groups")).splitlines()
    assert lines[0].endswith("1 tried") and lines[1].endswith("right") and lines[2].endswith("open")
    assert progress("groups").solved == 1 == progress().solved
    html = progress("groups")._repr_html_()
    assert html.count("<tr>") == len(exercises) + 1
    assert f"1 of {len(exercises)} solved" in html
    for nonsense in ("nonsense", 3, np.arange(2), ["ridge"]):
        with pytest.raises(InputError, match="no chapter of this name"):
            progress(nonsense)


@pytest.mark.slow
def test_no_network_and_no_files(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("the check opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.chdir(tmp_path)
    for exercise in EXERCISES:
        assert check(exercise.id, right(exercise)).right
    repr(progress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_importing_loads_nothing_heavy():
    code = (
        "import sys, mixhier_lite; assert 'mixhier_lite.exercises' not in sys.modules\n"
        "from mixhier_lite.exercises import check\n"
        "heavy = ('pandas', 'matplotlib', 'scipy.optimize', 'scipy.stats', 'IPython')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
