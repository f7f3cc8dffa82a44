"""Pages link to a repository where the project names one, and nowhere else."""

import subprocess
import sys

import address
import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SOMEWHERE = "https://github.com/somebody/some-book"
SITE = "https://somebody.github.io/some-book"
CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
extensions = ["myst_nb", "address", "identity"]
html_copy_source = False
nb_execution_mode = "off"
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "https://github.com/by-default/another"}}
"""
PROJECT = f"""
[project]
name = "some-book"

[project.urls]
Repository = "{SOMEWHERE}"
Documentation = "{SITE}"
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Build a book of one notebook, whose project has an address; return the notebook's page."""
    folder = tmp_path_factory.mktemp("some-book")
    (folder / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "index.md").write_text(
        "# A book\n\n```{toctree}\nfolder/page\n```\n", encoding="utf-8"
    )
    (folder / "folder").mkdir()
    cells = [new_markdown_cell("# A page", id="title"), new_code_cell("1 + 1", id="sum")]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "folder" / "page.ipynb")
    command = [sys.executable, "-m", "sphinx", "-q", str(folder), str(folder / "html")]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    return folder / "html" / "folder" / "page.html"


def buttons(page):
    """Map what the buttons above a page say to where they lead."""
    text = page.read_text(encoding="utf-8")
    links = BeautifulSoup(text, "html.parser").select(".bd-header-article a")
    return {link.get_text().strip(): link["href"] for link in links if link.get_text().strip()}


@pytest.mark.slow
def test_an_address_brings_its_buttons(page):
    found = buttons(page)
    assert found["Repository"] == SOMEWHERE
    assert found["Suggest edit"] == f"{SOMEWHERE}/edit/main/folder/page.md"
    assert found["Open issue"].startswith(f"{SOMEWHERE}/issues/new?")
    colab = "https://colab.research.google.com/github/somebody/some-book"
    assert found["Colab"] == f"{colab}/blob/main/folder/page.ipynb"


def test_the_book_has_them_where_it_has_an_address(site):
    named = address.address(ROOT / "pyproject.toml")
    found = buttons(site / "book" / "01-groups.html")
    assert found  # the downloads, at least
    leading_away = {word for word, link in found.items() if "://" in link}
    expected = {"Repository", "Suggest edit", "Open issue", "Colab"} if named else set()
    assert leading_away == expected


def met(page):
    """Map what a page says to those who link to it, and where it says that it is."""
    built = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    tags = [tag for tag in built.find_all("meta") if tag.get("property") or tag.get("name")]
    said = {tag.get("property") or tag["name"]: tag["content"] for tag in tags}
    canonical = built.find("link", rel="canonical")
    return said, canonical and canonical["href"]


def test_a_picture_has_its_full_address_where_the_site_has_one(page):
    said, canonical = met(page)
    assert said["og:image"] == f"{SITE}/_static/card.png"
    assert (said["og:image:width"], said["og:image:height"]) == ("1200", "630")
    assert said["og:image:alt"] and said["twitter:card"] == "summary_large_image"
    assert canonical == f"{SITE}/folder/page.html"


def test_the_book_names_its_picture_where_it_has_an_address(site):
    """An address that is not full leads nowhere from a message, so there is none before."""
    named = address.address(ROOT / "pyproject.toml", of="Documentation")
    said, canonical = met(site / "book" / "01-groups.html")
    assert (site / "_static" / "card.png").is_file()
    if named:
        assert said["og:image"] == f"{named.rstrip('/')}/_static/card.png"
    else:
        assert "og:image" not in said and canonical is None
        assert said["twitter:card"] == "summary"


def test_the_address_stands_in_one_place():
    """A second one, in the configuration of the pages, would have to be kept equal."""
    configuration = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert not any(word in configuration for word in ("repository", "_button", "baseurl"))
