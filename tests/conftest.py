"""What several test files share: the book's tools, the files of the project, the built site."""

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


def project_files(root=ROOT):
    """List the files of the project: those that git keeps; without git, all that no tool made."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0")
        kept = [root / os.fsdecode(name) for name in listed if name]
        return [path for path in kept if path.is_file() and not path.is_symlink()]
    made = {"build", "dist", "node_modules"}
    made |= {line.strip("/") for line in (root / ".gitignore").read_text("utf-8").splitlines()}
    files, folders = [], [root]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if path.name in made or path.suffix == ".egg-info" or path.is_symlink():
                continue
            (folders if path.is_dir() else files).append(path)
    return files


def strays(root=ROOT):
    """List notebooks in the folder of the book that belong to no page: copies, new ones."""
    import pages

    paired = {page.with_suffix(".ipynb") for page in pages.pages(root=root)}
    return [path for path in (root / "book").rglob("*.ipynb") if path not in paired]


def pytest_configure(config):
    """Leave notebooks aside that a reader made."""
    config.option.ignore = [*(config.option.ignore or ()), *map(str, strays())]


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
