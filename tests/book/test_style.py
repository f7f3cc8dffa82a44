"""Format, lint and types."""

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "mixhier_lite", "tests", "book/_ext"],
        ["ruff", "format", "--check", "mixhier_lite", "tests", "book/_ext"],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_tool_finds_nothing(command):
    run = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
