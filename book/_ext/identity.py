"""What a page says of itself to those who have not opened it, and at its foot to those who have.

A search engine, or a message that links to a page, shows the page's title and its first
sentences, and a picture where the address of the site is known: only a full address leads to it.
The foot names the licences, how to cite the book, and the post that it grew from.
"""

import html

from card import ALT, CARD, SIZE
from docutils import nodes
from typefaces import FAMILIES, FOLDER

POST = "https://andrewcharlesjones.github.io/journal/mixed-models.html"
TEXT_LICENCE = "https://creativecommons.org/licenses/by/4.0/"
MOST = 200
"""Characters of a description."""


def description(doctree):
    """Take the first paragraph of a page, cut behind a word where it is long."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section) and not paragraph["classes"]:
            text = " ".join(paragraph.astext().split())
            return text if len(text) <= MOST else f"{text[:MOST].rpartition(' ')[0]} ..."
    return ""


def metatags(title, said, site=""):
    """Write them for search engines and for messages."""
    named = {"description": said, "twitter:card": "summary_large_image" if site else "summary"}
    properties = {"og:description": said, "og:title": title, "og:type": "article"}
    if site:
        properties["og:image"] = f"{site}_static/{CARD.name}"
        properties["og:image:width"], properties["og:image:height"] = map(str, SIZE)
        properties["og:image:alt"] = ALT
    return "".join(
        f'<meta {kind}="{name}" content="{html.escape(content)}">\n'
        for kind, entries in {"name": named, "property": properties}.items()
        for name, content in entries.items()
        if content
    )


def foot(pathto):
    """Name licences, citation and origin."""
    faces = [
        f'<a href="{pathto(f"_static/{FOLDER}/{family.licence}", 1)}">{family.name}</a>'
        for family in FAMILIES
    ]
    cite = pathto("book/bibliography").rstrip("#") + "#how-to-cite"
    return (
        f'<p>Text and figures: <a href="{TEXT_LICENCE}">CC BY 4.0</a>. Code: MIT. '
        f"Typefaces: {' and '.join(faces)}, SIL Open Font License 1.1.</p>\n"
        f'<p><a href="{cite}">How to cite this book</a>. It grew from a post by Andy Jones, '
        f'<a href="{POST}">Equivalence of mixed models and hierarchical models</a>.</p>'
    )


def add_to_page(app, pagename, templatename, context, doctree):
    """Put both into a page."""
    if "pathto" not in context:
        return
    context["theme_extra_footer"] = foot(context["pathto"])
    if doctree is not None:
        title = app.env.titles[pagename].astext()
        tags = metatags(title, description(doctree), app.config.html_baseurl)
        context["metatags"] = context.get("metatags", "") + tags


def setup(app):
    """Connect the step."""
    app.connect("html-page-context", add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
