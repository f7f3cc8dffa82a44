"""Files are UTF-8 on every machine, also where the locale says otherwise.

Python tells of a read or write that leaves the encoding to the locale (``EncodingWarning``) when
it is asked to. Other packages have such places as well; those are not ours.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TOLD = re.compile(r"^(.+):(\d+): EncodingWarning", re.MULTILINE)
CHECKOUT, INSTALLED = ROOT.resolve(), Path(sys.prefix).resolve()
USE = """
import sys
from pathlib import Path

sys.path.insert(0, "book/_ext")
import formulas, lab, theorems, notebooks, words, worksheets
import numpy as np
from mixhier_lite import LinearMixedModel, datasets, dials, indicator, plot
from mixhier_lite.exercises import registry

for name in datasets.SOURCES:
    datasets.load(name)
for name in datasets.RECORDS:
    datasets.record(name)
model = LinearMixedModel(X=np.ones((3, 1)), D=indicator(list("aab")), Sigma=np.eye(2), tau2=1)
dials.flat_limit(model, [1.0, 2.0, 4.0])._repr_html_()
plot.style()
registry.everything()
notebooks.differences(notebooks.sources()[0])
theorems.results()
theorems.markers()
formulas.engine()
worksheets.main(Path(sys.argv[1]))
"""


def ours(told):
    """Places in the checkout; what is installed may lie in it, in .venv."""
    places = [(Path(place).resolve(), line) for place, line in TOLD.findall(told)]
    return [
        f"{place}:{line}"
        for place, line in places
        if CHECKOUT in place.parents and INSTALLED not in place.parents
    ]


def run(code, folder):
    """Run code in the poorest locale and have it tell of every place; return what it says."""
    command = [sys.executable, "-X", "warn_default_encoding", "-W", "always::EncodingWarning"]
    done = subprocess.run(
        [*command, "-c", code, str(folder)],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_package_and_tools_name_their_encodings(tmp_path):
    assert ours(run(USE, tmp_path)) == []


def test_the_build_names_its_encodings(site):
    told = (site.parents[1] / "warnings").read_text(encoding="utf-8")
    assert TOLD.search(told), "Sphinx's extensions have such places: the build was not asked"
    assert ours(told) == []


def test_only_the_checkout_counts():
    own, installed = CHECKOUT / "book" / "x.py", INSTALLED / "lib" / "x.py"
    told = f"{own}:3: EncodingWarning: ...\n{installed}:4: EncodingWarning: ...\n"
    assert ours(told) == [f"{own}:3"]


# --- the tests themselves, by their text: they do not run in a process that tells


def unnamed(text):
    """Lines whose call reads or writes text and leaves its encoding open."""
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        whole = ast.unparse(call.func)
        name = whole.rpartition(".")[2]
        given = {word.arg for word in call.keywords}
        place = 1 if whole == "open" else 0  # of the mode: open(path, mode), path.open(mode)
        mode = ast.unparse(call.args[place]) if len(call.args) > place else ""
        opens = name == "open" and whole != "os.open" and "b" not in mode
        places = {"read_text": 1, "write_text": 2}  # how many values name the encoding as well
        short = len(call.args) < places.get(name, 0)
        asks = opens or short or "text" in given and name == "run"
        if asks and "encoding" not in given:
            yield call.lineno


def test_every_call_names_its_encoding():
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("book/_ext/**/*.py")]
    files += ROOT.glob("mixhier_lite/**/*.py")
    assert [
        f"{file}:{line}" for file in files for line in unnamed(file.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("path.read_text()", [1]),
        ("path.read_text('utf-8')", []),
        ("path.write_text('b')", [1]),
        ("path.write_text('b', 'utf-8')", []),
        ("open('b')", [1]),
        ("open('b', 'rb')", []),
        ("path.open('rb')", []),
        ("path.open('w')", [1]),
        ("os.open('b', 0)", []),
        ("subprocess.run([], text=True)", [1]),
        ("open('b', encoding='utf-8')", []),
    ],
)
def test_such_calls_are_known(line, lines):
    assert list(unnamed(line)) == lines
