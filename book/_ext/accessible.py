"""What the theme leaves without a name gets one, and no id stands twice on a page.

What belongs together stays on one line: a number and its sign, a theorem and its number, the pages
of a paper, a formula in a title, a short piece of code. Names of functions break behind a dot or
before their arguments, long calls between their arguments, addresses behind a slash. Sentences that
code prints are told from tables, so that they can break. A table that a phone has no room for
stands in stacks there, row by row, and remains a table for those who listen.
"""

import html
import re
from itertools import pairwise

from docutils import nodes

SPACES = re.compile(r"(?<=\w) (?=[×+] \w)|(?<=\w [×+]) (?=\w)")
DOT = re.compile(r"(?<=\w)\.(?=[A-Za-z])")
NUMBERED = ("Theorem", "Lemma", "Definition", "Exercise", "Figure", "[Pp]art", "[Pp]arts")
UNITS = r"(?<=\d) (?=%|(?:ms|g|kg|mm|mmHg|cm|kB|MB|GB|TB|se)\b)|(?<=±) (?=\d)"
TIES = re.compile("|".join([UNITS, *(rf"(?<=\b{name}) (?=\d)" for name in NUMBERED)]))


def on_one_line(words):
    """Write the title of a page, or what a link says, so that no formula and no number breaks."""
    return TIES.sub("\N{NO-BREAK SPACE}", SPACES.sub("\N{NO-BREAK SPACE}", words))


SUBSTITUTES = [
    # Titles, and links to pages, theorems and figures.
    (
        r'(<h1>|<span class="section-number">[^<]*</span>|<span class="(?:std [\w-]+|doc)">|'
        r'<a class="[^"]*\breference internal"[^>]*>|<p class="prev-next-title">)([^<]+)',
        lambda m: m[1] + on_one_line(m[2]),
    ),
    # A long name breaks behind a dot of its own, a signature before its first argument.
    (
        r'(<span class="sig-prename descclassname"><span class="pre">[^<]*</span></span>)(?!<wbr>)',
        r"\1<wbr>",
    ),
    (r'(<span class="sig-paren">\(</span>)(?=<em )', r"\1<wbr>"),
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
    # An address breaks behind a slash, and not before the full stop that follows it.
    (
        r'(<a class="reference external" href="[^"]*">(?:doi:|https?://))([^<]*)(?=</a>)',
        lambda m: m[1] + re.sub(r"/(?=\w)", "/<wbr>", m[2]),
    ),
    # Entries of the bibliography: a role that ARIA has given up.
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # Parts of a signature are marked twice; once is enough, and the page of the API is long.
    (r'(<span class="(?:n|o|p|default_value)">)<span class="pre">([^<]*)</span>', r"\1\2"),
    # The title of a solution opens it, so it holds no link: the way to the exercise stands below.
    (
        r'<p class="admonition-title">Solution to(<a [^>]*>) (.*?)</a>(.*?</p>)',
        r'<p class="admonition-title">Solution to \2\3\n<p class="back">\1The exercise</a></p>',
    ),
    # Each theorem, proof, exercise and solution has this id besides its own.
    (r'(<section(?: class="[^"]*")?) id="(?:proof|exercise|solution)-content"', r"\1"),
    (r'(<div class="proof admonition") id="proof"', r"\1"),
]


def mend(page):
    """Write a page anew where the theme, or an extension, falls short."""
    for pattern, better in SUBSTITUTES:
        page = re.sub(pattern, better, page)
    if "genindextable" in page:  # names break behind dots
        page = re.sub(r"(?<=>)[^<>]*(?=</a>)", lambda m: DOT.sub(".<wbr>", m[0]), page)
    return re.sub(
        r'<table class="[^"]*\bstacks\b.*?</table>',
        lambda table: with_roles(table[0]),
        page,
        flags=re.DOTALL,
    )


ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row"}
ROLES |= {"th": "columnheader", "td": "cell"}


def with_roles(table):
    """Say what the parts of a table are, and of each cell its column.

    A browser forgets the parts of a table that a style sheet sets below each other.
    """
    heads = re.findall(r"<th\b[^>]*>(.*?)</th>", table, re.DOTALL)
    columns = [html.unescape(re.sub(r"<[^>]*>", "", head)).strip() for head in heads]
    place = 0

    def written(tag):
        nonlocal place
        name = tag[1]
        rest = tag[2]
        if name == "tr":
            place = 0
        if name == "td":
            rest = f' data-column="{html.escape(columns[place])}"{rest}'
            place += 1
        return f'<{name} role="{ROLES[name]}"{rest}>'

    return re.sub(rf"<({'|'.join(ROLES)})\b([^>]*)>", written, table)


def mend_every_page(app):
    """Let pages pass through `mend` on their way from the templates to the disk."""
    templates = getattr(app.builder, "templates", None)
    if app.builder.format != "html" or templates is None:
        return
    render = templates.render
    templates.render = lambda *names: mend(render(*names))


def holds_sentences(output):
    """Tell whether a line was printed that a phone has no room for, and no table.

    The words of a sentence are one space apart; beside a line that is too long for a wide screen
    there may be a table.
    """
    lines = [line.strip() for line in output.splitlines()]
    sentences = [line for line in lines if "  " not in line]
    longest = max(map(len, sentences), default=0)
    return longest > 84 or (longest > 36 and sentences == lines)


def mark_sentences(app, doctree, page):
    """Give what code prints a class of its own where it holds sentences."""
    for output in doctree.findall(nodes.literal_block):
        if "output" in output["classes"] and holds_sentences(output.astext()):
            output["classes"].append("sentences")


def words_of(doctree):
    """Yield the texts of a page that are no code and no formula, each with its place."""
    code = (nodes.literal, nodes.FixedTextElement, nodes.math)
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, nodes.TextElement) and not isinstance(text.parent, code):
            yield text, next(k for k, child in enumerate(text.parent) if child is text)


SHORT = 12  # signs of TeX in a formula that has no line to itself


def keep_last_formulas(doctree):
    """Let a short formula that ends a paragraph stand on one line with the word before."""
    for paragraph in doctree.findall(nodes.paragraph):
        parts = paragraph.children[:]
        if parts and not parts[-1].astext():  # the formula has taken its mark
            del parts[-1]
        match parts:
            case [*_, nodes.Text() as before, nodes.math() as formula]:
                if before.endswith(" ") and len(formula.astext()) <= SHORT:
                    kept = before.rstrip(" ") + "\N{NO-BREAK SPACE}"
                    paragraph[len(parts) - 2] = nodes.Text(kept)


def keep_together(app, doctree, page):
    """Let a number stand on one line with its unit, or with what it is the number of."""
    keep_last_formulas(doctree)
    for text, place in words_of(doctree):
        kept = TIES.sub("\N{NO-BREAK SPACE}", text)
        if place and isinstance(text.parent[place - 1], nodes.literal):
            kept = re.sub(r"^ (?=\d)", "\N{NO-BREAK SPACE}", kept)
        if kept != text:
            text.parent[place] = nodes.Text(kept)


WHOLE = 32  # characters of code that stay on one line
PAGES = re.compile(r"(\d+\N{EN DASH}\d+|ISBN [\dX-]+)")


BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
DEEPEST = 4
OPTION = re.compile(r" -\w$")


def breaks(code, deepest):
    """Yield where code may break: at spaces, behind a bracket of a call, before a method.

    None of these lies within more brackets than `deepest`, and a space in brackets stands behind a
    comma; an option of a command stays with its value. Only code that is cut as deep as it can be
    breaks at any space, also within quotes.
    """
    depth = 0
    quoted = False
    for k, sign in enumerate(code):
        before = code[k - 1 : k]
        after = code[k + 1 : k + 2]
        quoted ^= sign == '"'
        if deepest == DEEPEST and sign == " ":
            yield k + 1
        if quoted:
            continue
        depth += BRACKETS.get(sign, 0)
        joined = "=" in (before, after) or OPTION.search(code[:k])
        between = before == "," or (depth == 0 and not joined)
        if depth > deepest:
            continue
        if (sign == " " and between) or (sign == "(" and before.isalnum() and after != ")"):
            yield k + 1
        if sign == "." and before == ")":
            yield k


def parts_of(code):
    """Cut a long call into parts that stay whole, as few brackets deep as it takes."""
    for deepest in range(1, DEEPEST + 1):
        places = sorted({0, *breaks(code, deepest), len(code)})
        parts = [code[a:b] for a, b in pairwise(places)]
        if max(map(len, parts)) <= WHOLE:
            break
    return parts


def keep_parts_whole(code):
    """Let a long call break between its parts only."""
    parts = parts_of(code.astext())
    code.clear()
    for k, part in enumerate(parts):
        code += nodes.inline("", part.rstrip(), classes=["whole"])
        if part.endswith(" "):
            code += nodes.Text(" ")
        elif k < len(parts) - 1:
            code += nodes.raw("", "<wbr>", format="html")


def keep_whole(app, doctree, page):
    """Give a class to code, and to numbers, that one line has room for and that might break."""
    for code in list(doctree.findall(nodes.literal)):
        if len(code.astext()) > WHOLE:
            code["classes"].append("long")
            if app.builder.format == "html" and len(code) == 1:
                keep_parts_whole(code)
        elif re.search("[ -]", code.astext()):
            code["classes"].append("whole")
    for text, place in words_of(doctree):
        parts = PAGES.split(text)
        if len(parts) > 1 and "whole" not in text.parent["classes"]:
            text.parent[place : place + 1] = [
                nodes.inline("", part, classes=["whole"]) if k % 2 else nodes.Text(part)
                for k, part in enumerate(parts)
                if part
            ]


MANY = 5  # columns, from which on a phone has no room for them
LONG = 22  # characters of code in a cell, likewise
WORDS = 30  # characters in the longest cell of each of three columns, likewise
NAME = 20  # characters in the name of a row that needs room where the table scrolls


def longest_cells(table):
    """Count the characters in the longest cell of each column."""
    rows = [row.children for row in table.findall(nodes.row)]
    return [max(len(cell.astext()) for cell in column) for column in zip(*rows, strict=True)]


def mark_wide_tables(app, doctree, page):
    """Give tables a class that a phone sets row by row, and those of many columns another."""
    for table in doctree.findall(nodes.table):
        columns = len(list(table.findall(nodes.colspec)))
        codes = [len(code.astext()) for code in table.findall(nodes.literal)]
        widths = longest_cells(table)
        if columns >= MANY:
            table["classes"] += ["stacks", "many"]
            if widths[0] > NAME:
                table["classes"].append("named")
        elif max(codes, default=0) > LONG or (columns > 2 and min(widths) > WORDS):
            table["classes"].append("stacks")
        for entry in table.findall(nodes.entry):
            if columns >= MANY and entry.astext() == "\N{EN DASH}":
                entry["classes"].append("nothing")


def setup(app):
    """Connect the step, and add the script that goes with it."""
    app.connect("builder-inited", mend_every_page, priority=900)
    app.connect("doctree-resolved", mark_sentences)
    app.connect("doctree-resolved", mark_wide_tables)
    app.connect("doctree-resolved", keep_together, priority=900)
    app.connect("doctree-resolved", keep_whole, priority=900)
    app.add_js_file("accessible.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
