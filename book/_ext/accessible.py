"""What the theme leaves without a name gets one, and no id stands twice on a page.

Sentences that code prints are told from tables, so that they can break.
"""

import re

from docutils import nodes

SUBSTITUTES = [
    # The arrow that unfolds a chapter's pages in the sidebar.
    (
        r'(<a class="[^"]*\breference internal"[^>]*>)([^<]*)(</a><details[^>]*><summary)>',
        lambda m: f'{m[1]}{m[2]}{m[3]} aria-label="Pages of {m[2].replace(chr(34), "&quot;")}">',
    ),
    # The sidebar with the book's title, and what takes its place on a narrow screen.
    (r'<div id="pst-primary-sidebar" ', r'\g<0>role="complementary" aria-label="The book" '),
    (r'<dialog id="pst-primary-sidebar-modal"', r'\g<0> aria-label="Pages of the book"'),
    (r'<dialog id="pst-secondary-sidebar-modal"', r'\g<0> aria-label="On this page"'),
    (r'<dialog id="pst-search-dialog"', r'\g<0> aria-label="Search"'),
    # A folded cell is called by the words that are read on it.
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # Entries of the bibliography: a role that ARIA has given up.
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # Parts of a signature are marked twice; once is enough, and the page of the API is long.
    (r'(<span class="(?:n|o|p|default_value)">)<span class="pre">([^<]*)</span>', r"\1\2"),
    # The space before the name of an exercise is no part of the link to it.
    (r"(Solution to)(<a [^>]*>) ", r"\1 \2"),
    # Each theorem, proof, exercise and solution has this id besides its own.
    (r'(<section(?: class="[^"]*")?) id="(?:proof|exercise|solution)-content"', r"\1"),
    (r'(<div class="proof admonition") id="proof"', r"\1"),
]


def mend(page):
    """Write a page anew where the theme, or an extension, falls short."""
    for pattern, better in SUBSTITUTES:
        page = re.sub(pattern, better, page)
    return page


def mend_every_page(app):
    """Let pages pass through `mend` on their way from the templates to the disk."""
    templates = getattr(app.builder, "templates", None)
    if app.builder.format != "html" or templates is None:
        return
    render = templates.render
    templates.render = lambda *names: mend(render(*names))


def holds_sentences(output):
    """Tell whether a long line was printed whose words are one space apart: no table."""
    lines = (line.strip() for line in output.splitlines())
    return any(len(line) > 84 and "  " not in line for line in lines)


def mark_sentences(app, doctree, page):
    """Give what code prints a class of its own where it holds sentences."""
    for output in doctree.findall(nodes.literal_block):
        if "output" in output["classes"] and holds_sentences(output.astext()):
            output["classes"].append("sentences")


def setup(app):
    """Connect the step, and add the script that goes with it."""
    app.connect("builder-inited", mend_every_page, priority=900)
    app.connect("doctree-resolved", mark_sentences)
    app.add_js_file("accessible.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
