"""The grader: right worksheets pass, and nothing that a worksheet does ends the grader."""

import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
from array import array
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import nbformat
import numpy as np
import pages
import pandas as pd
import pytest
from conftest import ROOT

from mixhier_lite import LinearMixedModel, indicator
from mixhier_lite.exercises import grade, registry, session
from mixhier_lite.exercises.framework import Numbers
from mixhier_lite.exercises.grading import marks, returned
from mixhier_lite.exercises.grading.returned import sheet
from mixhier_lite.exercises.grading.wire import LARGEST, Opaque, pack, received, unpack
from mixhier_lite.exercises.grading.worksheet import Limits

pytestmark = pytest.mark.slow
SOLUTIONS = [page.with_suffix(".ipynb") for page in pages.pages("book/solutions")]
SECONDS = 20.0


def notebook(folder, name, *cells):
    """Write a notebook of code cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(made, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def graded(path, seconds=SECONDS, megabytes=2000, total=60):
    return marks.grade(sheet(path, path.stem), Limits(seconds, total, megabytes))


# groups-3 and mixed-3 are right here, henderson-1 is not
USUAL = (
    'groups_3 = "between and pooled"\ngroups_3 = "pooled and between"\nmixed_3 = "error variances"'
)


@pytest.mark.parametrize("first", range(0, len(SOLUTIONS), 3), ids=lambda k: SOLUTIONS[k].stem)
def test_the_solutions_of_the_book_get_full_marks(tmp_path, first):
    """Those of three chapters are one worksheet."""
    pages = SOLUTIONS[first : first + 3]
    books = [nbformat.read(page, 4) for page in pages]
    cells = [c.source for book in books for c in book.cells if c.cell_type == "code"]
    mark = graded(notebook(tmp_path, "solved", *cells), seconds=60, total=300)
    slugs = [page.stem.split("-", 1)[1] for page in pages]
    wanted = tuple(exercise.id for slug in slugs for exercise in registry.of_chapter(slug))
    assert (mark.passed, mark.asked, mark.remark) == (wanted, len(wanted), "")


def test_a_usual_worksheet(tmp_path):
    wrong = "henderson_1 = 919\ndef groups_1(v, groups):\n    return v"
    mark = graded(notebook(tmp_path, "anna", USUAL, wrong, "%matplotlib inline\nx = 1"))
    chapters = ("groups", "henderson", "mixed")
    assert mark.passed == ("groups-3", "mixed-3")
    assert mark.asked == sum(len(registry.of_chapter(slug)) for slug in chapters)
    assert mark.remark == ""


CHEATS = {
    "redefines check": "from mixhier_lite.exercises import check\ncheck = lambda *a: True",
    "patches the session's judge": (
        "import mixhier_lite.exercises as e\n"
        "from mixhier_lite.exercises.framework.verdict import Verdict\n"
        "e.check = e.judge = lambda *a: Verdict(True, 'right')"
    ),
    "patches the package": (
        "import sys, mixhier_lite, mixhier_lite.groups as g\n"
        "g.indicator = mixhier_lite.indicator = lambda *a: 0\n"
        "for name in ('registry', 'session', 'framework.forms'):\n"
        "    sys.modules['mixhier_lite.exercises.' + name] = g"
    ),
    "equal to everything": (
        "class Yes(float):\n    def __eq__(self, other): return True\n"
        "    __hash__ = None\n    def __abs__(self): return 0\n"
        "henderson_1 = Yes(1)\ngroups_5 = lambda x, groups: Yes(1)"
    ),
    "writes a file in the package's place": (
        "import os\nos.makedirs('mixhier_lite/exercises', exist_ok=True)\n"
        "open('mixhier_lite/exercises/session.py', 'w').write('judge = lambda *a: True')"
    ),
    "talks on the line": (
        "import os, json\n"
        "for fd in range(3, 20):\n"
        "    for m in ({'passed': ['groups-1']}, {'right': True}, {'ended': 'all passed'},\n"
        "              {'names': 7}, {'answer': []}, 'text'):\n"
        "        try: os.write(fd, json.dumps(m).encode() + b'\\n')\n"
        "        except OSError: pass"
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_worksheet_that_redefines_things_gains_nothing(tmp_path, cheat):
    answers = "henderson_1 = 919\ngroups_1 = lambda v, groups: v\n"
    mark = graded(notebook(tmp_path, "cheat", answers + USUAL, CHEATS[cheat], "mixed_1 = 616"))
    assert mark.passed in (("groups-3", "mixed-3"), ())  # () where it cut its own line


def test_the_truths_are_not_in_the_worksheets_process(tmp_path):
    looks = "from mixhier_lite.exercises.chapters.henderson import _size\nhenderson_1 = _size()"
    mark = graded(notebook(tmp_path, "curious", USUAL, looks))
    assert mark.passed == ("groups-3", "mixed-3") and mark.remark == "1 cell failed"


ENDS = {
    "crash": ("1 / 0", "1 cell failed"),
    "syntax": ("def (", "1 cell failed"),
    "exit": ("import sys\nsys.exit(3)", "1 cell failed"),
    "hard exit": ("import os\nos._exit(0)", "stopped: its process ended early"),
    "kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ended early"),
    "loop": ("while True: pass", "1 cell ran out of time"),
    "stubborn loop": (
        "import time\nwhile True:\n    try: time.sleep(0.05)\n    except BaseException: pass",
        "stopped: out of time",
    ),
    "memory": ("x = []\nwhile True: x.append(bytearray(10**8))", "1 cell ran out of"),
    "one large array": ("import numpy as np\nx = np.ones(10**10)", "1 cell ran out of memory"),
    "flood of text": ("for k in range(10**6): print('x' * 100)", ""),
    "asks for input": ("input()", "1 cell failed"),
    "recursion": ("def f(): return f()\nf()", "1 cell failed"),
    "large answer": ("groups_2 = list(range(10**6))", ""),
    "deep answer": ("groups_2 = []\nfor k in range(10**5): groups_2 = [groups_2]", ""),
    "whole number of many digits": ("groups_2 = 10**5000", ""),
    "file": ("open('big', 'wb').write(bytes(10**8))", "1 cell failed"),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_grader_survives(tmp_path, end):
    """Answers that were given before still count, and those after it where it goes on."""
    cell, remark = ENDS[end]
    path = notebook(tmp_path, "sample", 'groups_3 = "pooled and between"', cell,
                    'mixed_3 = "error variances"')  # fmt: skip
    start = time.monotonic()
    mark = graded(path, seconds=2, megabytes=1500, total=15)
    assert time.monotonic() - start < 40
    assert "groups-3" in mark.passed
    assert remark in mark.remark
    if not mark.remark.startswith("stopped"):
        assert mark.passed == ("groups-3", "mixed-3")


def test_functions_that_misbehave(tmp_path):
    cell = (
        "def groups_1(v, groups):\n    while True: pass\n"
        "def mixed_2(n, means, sigma2, tau2):\n    import os\n    os._exit(0)\n"
        "def groups_5(x, groups):\n    x[:] = 0\n    return 0\n"
    )
    start = time.monotonic()
    mark = graded(notebook(tmp_path, "sample", cell, USUAL))
    assert mark.passed == ("groups-3", "mixed-3")
    assert time.monotonic() - start < 30


def test_an_argument_that_is_changed_over_there_is_noticed_here(tmp_path):
    good = (
        "from mixhier_lite import indicator\ndef groups_1(v, groups):\n    D = indicator(groups)\n"
    )
    kept = notebook(tmp_path, "kept", good + "    return D.T @ v / D.sum(0)")
    lost = notebook(
        tmp_path, "lost", good + "    a = D.T @ v / D.sum(0)\n    v[:] = 0\n    return a"
    )
    assert graded(kept).passed == ("groups-1",) and graded(lost).passed == ()


def test_a_process_that_never_stops_talking(tmp_path):
    cell = (
        "import os, threading\ndef talk():\n    while True:\n        os.write(FD, b'{}\\n')\n"
        "for FD in range(3, 30):\n"
        "    try: os.write(FD, b'{}\\n')\n    except OSError: continue\n    break\n"
        "threading.Thread(target=talk).start()\nwhile True: pass"
    )
    start = time.monotonic()
    graded(notebook(tmp_path, "flood", cell), seconds=1, total=5)
    assert time.monotonic() - start < 25


LEAVES = {
    "a child": "import subprocess\nsubprocess.Popen(['sleep', SECONDS])",
    "a session of its own": (
        "import subprocess\nsubprocess.Popen(['sleep', SECONDS], start_new_session=True)"
    ),
    "an orphan of an orphan": (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.setsid()\n        os.execvpe('sleep', ['sleep', SECONDS], os.environ)\n"
        "    os._exit(0)"
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the worksheet's session ends")
@pytest.mark.parametrize("leaves", LEAVES)
def test_nothing_is_left_running(tmp_path, leaves):
    seconds = str(100_000 + os.getpid())  # no other run has the same
    cell = LEAVES[leaves].replace("SECONDS", repr(seconds))
    assert graded(notebook(tmp_path, "orphan", cell, USUAL)).passed == ("groups-3", "mixed-3")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            assert command != f"sleep\0{seconds}\0".encode()


def test_a_worksheet_that_breaks_its_own_shell(tmp_path):
    breaks = (
        "shell = get_ipython()\nwhole = shell.run_cell\n"
        "def broken(source):\n    shell.run_cell = whole\n    raise SystemExit\n"
        "shell.run_cell = broken"
    )
    mark = graded(notebook(tmp_path, "broken", breaks, "lost = 1", USUAL))
    assert mark.passed == ("groups-3", "mixed-3") and mark.remark == "1 cell failed"


def test_a_folder_with_everything_in_it(tmp_path, capsys):
    notebook(tmp_path, "anna", USUAL)
    (tmp_path / "class b").mkdir()
    notebook(tmp_path / "class b", "ben", "groups_3 = 1")
    (tmp_path / "essay.docx").write_bytes(os.urandom(1000))
    (tmp_path / "empty.ipynb").write_text("", encoding="utf-8")
    (tmp_path / "list.ipynb").write_text("[1, 2]", encoding="utf-8")
    (tmp_path / "cells.ipynb").write_text(
        '{"cells": [1, {"cell_type": "code"}, null]}', encoding="utf-8"
    )
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "line\nbreak.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / ".hidden.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "anna.ipynb")
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert grade.main([str(tmp_path), "--seconds", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    columns = [line.split("  ") for line in lines]
    found = {cells[0]: [cell.strip() for cell in cells[1:] if cell.strip()] for cells in columns}
    both = sum(len(registry.of_chapter(slug)) for slug in ("groups", "mixed"))
    assert found["worksheet"] == ["passed", "exercises passed", "remark"]
    assert found["anna"] == [f"2 of {both}", "groups-3 mixed-3"]
    of_groups = len(registry.of_chapter("groups"))
    assert found[os.path.join("class b", "ben")] == [f"0 of {of_groups}", "-"]
    for name in ("essay", "empty", "list", "line?break"):
        assert found[name] == ["-", "-", "not a notebook"], name
    assert found["cells"] == ["-", "-"]
    assert len(lines) == 8


def test_no_worksheet_touches_the_mark_of_another(tmp_path, capfd):
    """Neither by writing over it nor by ending the process that reads it."""
    answers = 'groups_3 = "pooled and between"'
    forged = json.dumps({"cells": [{"cell_type": "code", "source": answers}]})
    notebook(tmp_path, "a", answers)
    writes = (
        "for later in 'cd':\n"
        f"    open({str(tmp_path)!r} + f'/{{later}}.ipynb', 'w').write({forged!r})\n"
    )
    notebook(tmp_path, "b", writes + answers)
    notebook(tmp_path, "c", "groups_3 = 'none'")
    notebook(tmp_path, "d", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + answers)
    notebook(tmp_path, "e", answers)
    assert grade.main([str(tmp_path), "--seconds", "20"]) == 0
    rows = [line.split() for line in capfd.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == list("abcde")
    assert ["groups-3" in row for row in rows] == [True, True, False, False, True]
    assert " ".join(rows[3][-6:]).endswith("stopped: its process ended early")
    assert json.loads((tmp_path / "c.ipynb").read_text(encoding="utf-8")) == json.loads(forged), (
        "it was written"
    )


def test_marks_are_printed_as_they_come(tmp_path, capsys, monkeypatch):
    for name in ("anna", "ben", "chris"):
        notebook(tmp_path, name, "ridge_1 = 1")
    printed = []

    def graded_apart(sheet, limits):
        printed.append(capsys.readouterr().out)
        if sheet.name == "ben":
            raise OSError
        return marks.Mark(sheet.name, (), 5, "")

    monkeypatch.setattr(grade, "grade_apart", graded_apart)
    grade.main([str(tmp_path)])
    printed.append(capsys.readouterr().out)
    assert [text.split()[0] for text in printed] == ["worksheet", "anna", "ben", "chris"]
    assert "could not be graded (OSError)" in printed[2]


def test_a_worksheet_has_so_much_time_in_all(tmp_path):
    cells = [USUAL] + ["import time\ntime.sleep(3)"] * 20
    start = time.monotonic()
    mark = graded(notebook(tmp_path, "slow", *cells), seconds=10, total=15)
    assert time.monotonic() - start < 30
    assert mark.passed == ("groups-3", "mixed-3") and mark.remark == "stopped: out of time"
    slow = "def groups_1(v, groups):\n    import time\n    time.sleep(4)\n    return v"
    mark = graded(notebook(tmp_path, "calls", USUAL, slow), total=15)
    assert mark.remark == "stopped: out of time"


def test_what_is_too_large_is_not_run(tmp_path, monkeypatch):
    path = notebook(tmp_path, "long", USUAL)
    monkeypatch.setattr(returned, "MOST_CODE", 10)
    assert graded(path) == marks.Mark("long", (), 0, "not a worksheet (too much code)")
    monkeypatch.setattr(returned, "LARGEST", 10)
    assert graded(path) == marks.Mark("long", (), 0, "not a notebook (too large)")


@pytest.mark.skipif(sys.platform != "linux", reason="what only Linux has")
def test_the_grader_closes_its_memory_to_worksheets():
    code = (
        "import ctypes\nfrom mixhier_lite.exercises.grading.processes import closed\n"
        "dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "before = dumpable()\nclosed()\nprint(before, dumpable())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.stdout.split() == ["1", "0"], run.stderr


def test_every_row_says_whose_it_is(tmp_path):
    long = "x" * 80
    for name in (
        "anna.ipynb",
        "anna.py",
        f"{long}1.ipynb",
        f"{long}2.ipynb",
        "a\n.ipynb",
        "a\r.ipynb",
    ):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    (tmp_path / long).mkdir()
    (tmp_path / long / "sheet.ipynb").write_text("{}", encoding="utf-8")
    names = [found.name for found in returned.returned(tmp_path)]
    assert len(set(names)) == 7 and max(map(len, names)) <= 64
    assert {"anna.ipynb", "anna.py", "a?.ipynb", "a?.ipynb (2)"} <= set(names)
    assert any(name.endswith("1") for name in names)
    assert any(name.startswith("xxx") and name.endswith("/sheet") for name in names)


def test_a_file_is_read_or_refused_in_words(tmp_path, monkeypatch):
    cells = [{"cell_type": "code", "source": ["a = 1\r\n", "b = 2"]}]
    text = json.dumps({"cells": cells})
    path = tmp_path / "a.ipynb"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(text, encoding=encoding)
        assert sheet(path, "a").cells == ("a = 1\r\nb = 2",)
    path.write_text('{"nbformat": 3, "worksheets": [{"cells": []}]}', encoding="utf-8")
    assert sheet(path, "a").remark == "a notebook of before 2015: save it anew in Jupyter"

    def forbidden(path):
        raise PermissionError

    monkeypatch.setattr(returned.Path, "read_bytes", forbidden)
    assert sheet(path, "a").remark == "cannot be read (rights)"
    monkeypatch.setattr(returned.Path, "is_file", forbidden)
    assert [found.name for found in returned.returned(tmp_path)] == ["a"]


def test_a_chapter_is_named_by_a_whole_name():
    code = "subgroups_1 = 1\nn_mixed_2 = 2\nridge_12 = 3\nhenderson_1 = 4"
    asked = marks.asked(returned.Sheet("a", (code,)))
    assert asked == [exercise.id for exercise in registry.of_chapter("henderson")]


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "1e9"])
@pytest.mark.parametrize("name", ["seconds", "total"])
def test_a_limit_that_is_none_is_refused(tmp_path, capsys, name, limit):
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path), f"--{name}", limit])
    assert f"--{name} is to be above 0" in capsys.readouterr().err


def test_a_name_that_the_terminal_cannot_show_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "Жанна.ipynb").write_text("{}", encoding="utf-8")
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert grade.main([str(tmp_path)]) == 0
    assert b"?????" in shown.getvalue() and b"not a notebook" in shown.getvalue()


def test_an_empty_folder_and_none(tmp_path, capsys):
    assert grade.main([str(tmp_path)]) == 0
    assert "no file" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path / "nowhere")])


# --- the wire


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype.kind == other.dtype.kind and np.array_equal(one, other)
    if isinstance(one, (pd.DataFrame, pd.Series)):
        return np.array_equal(np.asarray(one), np.asarray(other))
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one) and one.keys() == other.keys()
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or one != one)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.1, float("nan"), float("inf"), "text", ..., [1, (2, "a")], {"a": [1.5]},
     {("a", 1): 2}, np.arange(6).reshape(2, 3), np.array(["b", "a"]), np.eye(3)[:, ::2],
     np.array([1, "a", None], dtype=object), np.zeros((0, 2)), np.array(2.5), np.array([1 + 2j]),
     pd.Series([1.0, 2.0])],
    ids=repr,
)  # fmt: skip
def test_parcels_come_back(value):
    assert same(value, unpack(json.loads(json.dumps(pack(value)))))


def test_frames_come_back_with_their_labels():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=pd.Index(["p", "q"], name="id"))
    for sample in (frame, frame.reset_index(), frame.set_index("b", append=True)):
        back = unpack(pack(sample))
        pd.testing.assert_frame_equal(back, sample, check_dtype=False, check_index_type=False)


def test_models_come_back():
    model = LinearMixedModel(np.ones((3, 1)), indicator([1, 1, 2]), np.eye(2), 2.0)
    back = unpack(pack(model))
    assert np.array_equal(back.V, model.V)


@pytest.mark.parametrize("dtype", ["V8", "O", "S8", "U2", [["a", "f8"]]])
def test_arrays_of_other_things_than_numbers_are_not_read_from_bytes(dtype):
    with pytest.raises((ValueError, TypeError)):
        unpack({"array": "AAAAAAAAAAA=", "dtype": dtype, "shape": [1]})


Pair = namedtuple("Pair", "a b")
AS_OTHERS_WRITE_IT = {
    "named tuple": Pair(1.5, 2.5),
    "fractions": [Fraction(3, 2), Fraction(5, 2)],
    "decimals": (Decimal("1.5"), Decimal("2.5")),
    "long double": np.array([1.5, 2.5], dtype=np.longdouble),
    "long doubles": [np.longdouble(1.5), np.longdouble(2.5)],
    "nullable": pd.array([1.5, 2.5], dtype="Float64"),
    "memory": memoryview(np.array([1.5, 2.5])),
    "of the standard library": array("d", [1.5, 2.5]),
    "mask of nothing": np.ma.array([1.5, 2.5], mask=False),
}


class Matrix:
    """What another library calls an array."""

    def __array__(self, dtype=None, copy=None):
        return np.array([1.5, 2.5])


AS_OTHERS_WRITE_IT["a matrix of another library"] = Matrix()
NO_NUMBERS = {
    "masked": np.ma.array([1.5, 2.5], mask=[False, True]),
    "times": np.array([1, 2], dtype="m8[s]"),
    "complex": np.array([1.5, 2.5j]),
    "text": ["1.5", "2.5"],
    "a generator": (value for value in (1.5, 2.5)),
}


@pytest.mark.parametrize("kind", [*AS_OTHERS_WRITE_IT, *NO_NUMBERS])
def test_the_grader_reads_what_the_check_reads(kind):
    """An answer that is right in the notebook is right when it comes back."""
    form = Numbers()
    exercise = SimpleNamespace(form=form, truth=lambda: np.array([1.5, 2.5]), mistakes=(), after="")
    value = {**AS_OTHERS_WRITE_IT, **NO_NUMBERS}[kind]
    here = session.judge(exercise, value).right
    assert here == (kind in AS_OTHERS_WRITE_IT)
    assert marks.passes(SimpleNamespace(variable="a", **vars(exercise)), None, pack(value)) == here


def test_other_objects_become_a_name():
    back = unpack(pack(object()))
    verdict = session.judge(registry.find("mixed-1"), back)
    assert isinstance(back, Opaque) and "object" in verdict.message


def vector(n, value=0.0):
    return pack(np.full(n, value))


LARGE = {
    "letters": {"entries": ["x" * 200_000] + [""] * 1000, "shape": [1001], "text": True},
    "broadcast": {"frame": [vector(2000)] + [1.0] * 20_000, "names": ["a"] * 20_001, "index": None},
    "columns": {"frame": [vector(100)] * 100, "names": ["a"] * 100, "index": None},
    "rows without columns": {"array": "", "dtype": "<f8", "shape": [10**5, 0]},
    "numbers": vector(5001),
    "parts": {"tuple": [vector(2000), vector(2000), vector(2000)]},
    "a list": {"list": [0] * 5001},
    "a dict": {"dict": [[key, None] for key in range(5001)]},
    "a model": {
        "model": "HierarchicalModel",
        "parts": {"U": vector(5000), "D": vector(5000), "Sigma": 1.0, "tau2": 1.0},
    },
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_would_take_much_room_is_not_unpacked(kind):
    assert len(json.dumps(LARGE[kind])) < LARGEST
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            received(LARGE[kind])
        assert not marks.passes(registry.find("flat-4"), None, LARGE[kind])
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_what_answers_need_is_unpacked():
    X, D = np.ones((1000, 2)), np.repeat(np.eye(2), 500, axis=0)
    for value in (
        (X, D),
        ["a"] * 4999,
        np.full(700, "letters"),
        {k: (None, 1) for k in range(900)},
    ):
        assert same(value, received(json.loads(json.dumps(pack(value)))))


@pytest.mark.parametrize(
    "parcel",
    [{"array": "AAAA", "dtype": "O", "shape": [1]}, {"array": "", "dtype": "f8", "shape": [10**9]},
     {"model": "os", "parts": {}}, {"model": "LinearMixedModel", "parts": {}}, {}, [], {"frame": 1},
     {"entries": [1], "shape": [2], "text": False}, {"dict": [[[], 1]]}],
    ids=repr,
)  # fmt: skip
def test_a_bad_parcel_is_an_answer_that_is_not_right(parcel):
    assert not marks.passes(registry.find("mixed-1"), None, parcel)
