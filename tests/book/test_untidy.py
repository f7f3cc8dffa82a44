"""A checkout that is used holds more than the project: copies, checkpoints, worksheets, notes."""

import shutil
import subprocess
import sys

import pages
import pytest
from conftest import ROOT, project_files, strays


@pytest.fixture
def checkout(tmp_path):
    """Make a folder with two files of a project and three others."""
    for name in (
        ".gitignore",
        "book/page.md",
        "book/notes.md",
        "book/.ipynb_checkpoints/page-checkpoint.md",
        "worksheets/page.ipynb",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    return tmp_path


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in project_files(folder))


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_with_git_the_project_is_what_git_keeps(checkout):
    git(checkout, "init")
    git(checkout, "add", ".gitignore", "book/page.md")
    assert names(checkout) == [".gitignore", "book/page.md"]
    (checkout / "book" / "page.md").unlink()
    assert names(checkout) == [".gitignore"], "a file that was deleted is no file"


def test_in_an_archive_the_project_is_what_no_tool_made(checkout):
    assert names(checkout) == [".gitignore", "book/notes.md", "book/page.md"]


def test_a_copy_of_a_notebook_is_neither_page_nor_test(tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/page\n", encoding="utf-8")
    book = tmp_path / "book"
    book.mkdir()
    for name in ("page.md", "page.ipynb", "page-Copy1.md", "page-Copy1.ipynb"):
        (book / name).touch()
    assert pages.pages(root=tmp_path) == [book / "page.md"]
    assert strays(tmp_path) == [book / "page-Copy1.ipynb"]


def test_the_order_of_imports_does_not_depend_on_folders(tmp_path):
    """A folder `worksheets` does not make `import worksheets` an import of the project's own."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "book" / "_ext", tmp_path / "book" / "_ext")
    shutil.copy(ROOT / "tests" / "exercises" / "test_worksheets.py", tmp_path / "book" / "_ext")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "I", "."]
    for folder in ("worksheets", "notebooks", "pages"):
        (tmp_path / folder).mkdir()
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stdout
