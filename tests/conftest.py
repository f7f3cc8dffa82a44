"""What several test files share: the path to the book's tools, and the built site."""

import os
import subprocess
import sys
from pathlib import Path

# One BLAS thread a test process: the processes themselves use the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
collect_ignore = ["reference", "benchmarks"]  # scripts that need other programs, or time them
sys.path.insert(0, str(ROOT / "book" / "_ext"))


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
                [*command, *options, str(folder)], capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, f"the build failed:\n{run.stdout}\n{run.stderr}"
            (folder / "built").touch()
    return html
