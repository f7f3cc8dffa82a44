"""What make does before it does anything: the environment is of the interpreter asked for."""

import os
import re
import shutil
import sys

import pytest
from conftest import ROOT, make

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
SAME = f'exec "{sys.executable}" "$@"'
OTHER = "echo 3 9 0 /elsewhere"


def planned(folder, interpreter, *words, **environment):
    """List what `make lint` would do beside an environment that is ready, of some interpreter."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
        os.utime(folder / name, (0, 0))
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{interpreter}\n", encoding="utf-8")
    python.chmod(0o755)
    (folder / ".venv" / "ready").touch()
    steps = make(folder, "lint", *words, **environment)
    assert "ruff format" in steps
    return steps


def test_an_environment_of_another_interpreter_is_made_anew(tmp_path):
    expected = f"{sys.executable} -m venv --clear .venv"
    assert expected in planned(tmp_path, OTHER, f"PYTHON={sys.executable}")


def test_the_interpreter_can_come_from_the_environment(tmp_path):
    assert "-m venv --clear .venv" in planned(tmp_path, OTHER, PYTHON=sys.executable)


def test_an_environment_of_the_same_interpreter_stays(tmp_path):
    assert "-m venv" not in planned(tmp_path, SAME, f"PYTHON={sys.executable}")


def test_without_a_wish_the_environment_stays(tmp_path):
    assert "-m venv" not in planned(tmp_path, OTHER)


@pytest.mark.parametrize("target", ["lab", "notebooks", "worksheets"])
def test_without_make_the_same_is_run(target):
    """The README gives the command that make runs."""
    script = f".venv/bin/python book/_ext/{target}.py"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{script} +# make {target}$", readme, re.MULTILINE)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition(f"\n{target}: $(READY)")[2]
    assert recipe.split("\n")[1].strip().replace("$(BIN)", ".venv/bin") == script
    assert (ROOT / "book" / "_ext" / f"{target}.py").is_file()
