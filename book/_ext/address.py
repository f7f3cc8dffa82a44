"""Where there is a repository, pages link to it: to edit, to ask, and to run in Colab.

Its address stands in one place, ``Repository`` below ``[project.urls]`` in ``pyproject.toml``,
from which an index takes it as well. While there is none, pages have none of these buttons.

So does that of the site, as ``Documentation``. A page then names itself and its picture in full,
which search engines and messages ask for; while there is none, it names neither.
"""

import tomllib
from pathlib import Path

BUTTONS = {
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "use_edit_page_button": True,
    "use_issues_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
}


def address(project, of="Repository"):
    """Read an address from a ``pyproject.toml``; '' where it says none."""
    settings = tomllib.loads(project.read_text(encoding="utf-8"))
    return settings["project"].get("urls", {}).get(of, "")


def add_buttons(app, config):
    """Ask the theme for the buttons that need an address, and say where the site is."""
    project = Path(app.srcdir, "pyproject.toml")
    repository = address(project)
    if repository:
        config.html_theme_options |= {"repository_url": repository} | BUTTONS
    site = address(project, of="Documentation")
    if site:
        config.html_baseurl = site.rstrip("/") + "/"


def edit_the_text(app, pagename, templatename, context, doctree):
    """Let *edit* open the page's MyST text: its notebook is made from it."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "source-edit-button":
                button["url"] = button["url"].removesuffix(".ipynb").removesuffix(".md") + ".md"


def setup(app):
    """Connect both steps: before the theme reads its options, and after it made its buttons."""
    app.connect("config-inited", add_buttons)
    app.connect("html-page-context", edit_the_text, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
