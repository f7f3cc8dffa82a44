"""Data sets load on every system, are never another's, and say what they need."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from mixhier_lite import InputError, datasets
from mixhier_lite.datasets import reference

NAMES = sorted(datasets.SOURCES)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Let the package read its data from a folder that a test may change."""
    for file in (ROOT / "mixhier_lite" / "datasets").glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(reference, "files", lambda package: tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_line_ends_do_not_matter(copies, name):
    """An archive or an editor may have ended the lines as on Windows."""
    before, file = datasets.load(name), copies / f"{name}.csv"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\r\n".join(lines) + b"\r\n")
    assert datasets.load(name).equals(before)
    assert len(before) == len(lines) - 1


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_digit_is_refused(copies, name):
    file = copies / f"{name}.csv"
    before, _, after = file.read_bytes().rpartition(b"1")
    file.write_bytes(before + b"2" + after)
    with pytest.raises(InputError, match="has been changed"):
        datasets.load(name)


def test_without_pandas_the_refusal_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"pip install 'mixhier-lite\[frames\]'"):
        datasets.load("Rail")


def git(*words, **options):
    """Run git; say what it said."""
    return subprocess.run(["git", *words], capture_output=True, encoding="utf-8", **options)


def is_repository():
    """Whether this checkout is one, and not a folder of another."""
    if shutil.which("git") is None:
        return False
    top = git("rev-parse", "--show-toplevel", cwd=ROOT).stdout.strip()
    return top != "" and os.path.samefile(top, ROOT)


@pytest.mark.skipif(not is_repository(), reason="needs git, and a clone instead of an archive")
@pytest.mark.slow
def test_a_clone_on_windows_loads_every_data_set(tmp_path):
    """Git for Windows sets core.autocrlf; the project's attributes overrule it."""
    clone = tmp_path / "clone"
    made = git("clone", "--quiet", "--config", "core.autocrlf=true", str(ROOT), str(clone))
    assert made.returncode == 0, made.stderr
    ends = git("ls-files", "--eol", cwd=clone).stdout
    assert " w/lf " in ends and " w/crlf " not in ends
    code = (
        "from mixhier_lite import datasets\n"
        "for name in datasets.SOURCES:\n"
        "    print(name, len(datasets.load(name)), sep=': ')\n"
        "print(datasets.__file__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    *found, place = run.stdout.splitlines()
    assert os.path.commonpath([place, clone]) == str(clone)
    assert set(found) == {f"{name}: {len(datasets.load(name))}" for name in NAMES}


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(library):
    """The same numbers and labels, and the same fit."""
    from mixhier_lite import lmer

    own, other = datasets.load("Penicillin"), datasets.load("Penicillin", backend=library)
    assert type(other).__module__.split(".")[0] == library
    for name in own.columns:
        assert list(other[name].to_numpy()) == list(own[name])
    formula = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    assert lmer(formula, other).criterion == lmer(formula, own).criterion
    with pytest.raises(InputError, match="backend is unknown"):
        datasets.load("Penicillin", backend="dask")


def test_the_counts_of_the_trials_are_those_that_metafor_has():
    """Its log risk ratios, their variances and the latitudes, as R wrote them."""
    import numpy as np
    import pandas as pd

    data = datasets.load("bcg")
    theirs = pd.read_csv(ROOT / "tests" / "reference" / "after" / "bcg.csv")
    a, b, c, d = (data[name].to_numpy() for name in ("tpos", "tneg", "cpos", "cneg"))
    yi = np.log(a / (a + b)) - np.log(c / (c + d))
    assert yi == pytest.approx(theirs["yi"].to_numpy(), rel=1e-12)
    vi = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    assert vi == pytest.approx(theirs["vi"].to_numpy(), rel=1e-12)
    for name in ("trial", "ablat"):
        assert data[name].tolist() == theirs[name].tolist()
