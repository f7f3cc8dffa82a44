"""The pages are set in the book's own typefaces, whatever fonts the machine has."""

import dataclasses
import re
from collections import defaultdict
from html.parser import HTMLParser

import pytest
import typefaces
from bs4 import BeautifulSoup
from conftest import visit
from fontTools.ttLib import TTFont
from test_site import PAGES

WHOLE_SITE = [*PAGES, "search", "genindex"]
OURS = {family.name for family in typefaces.FAMILIES}
STYLES = [(family, style) for family in typefaces.FAMILIES for style in family.styles]
LACKING = {"Literata": {typefaces.BORROWED}, "Fira Code": set()}


def names(styles):
    """Tell styles apart in the names of tests."""
    return [style.name(family) for family, style in styles]


def written(site, family, style):
    """Open a file of the site."""
    return TTFont(site / "_static" / "fonts" / style.name(family))


def rules(site):
    """Every rule of the site that names a font, with the style sheet that it stands in."""
    for sheet in sorted((site / "_static").rglob("*.css")):
        for body in re.findall(r"@font-face\s*{([^}]*)}", sheet.read_text(encoding="utf-8")):
            yield sheet, body


# --- the files


def test_every_font_is_a_file_of_the_site(site):
    families = set()
    for sheet, body in rules(site):
        assert "local(" not in body
        files = re.findall(r"url\(\"?([^\")?#]+)", body)
        assert files and all((sheet.parent / file).is_file() for file in files), (sheet, body)
        families.add(re.search(r"font-family:\s*['\"]?([^;'\"]+)", body)[1].strip())
    assert OURS <= families
    assert {name for name in families - OURS if "Awesome" not in name} == set()


@pytest.mark.parametrize(("family", "style"), STYLES, ids=names(STYLES))
def test_each_style_is_a_small_static_file_with_greek(site, family, style):
    font = written(site, family, style)
    assert font.flavor == "woff2" and "fvar" not in font
    assert (site / "_static" / "fonts" / style.name(family)).stat().st_size < 40_000
    assert font["OS/2"].usWeightClass == style.weight
    greek = set(range(ord("Α"), ord("ω") + 1)) - {0x03A2}  # a place that Unicode leaves free
    assert greek <= font.getBestCmap().keys()


@pytest.mark.parametrize("family", typefaces.FAMILIES, ids=sorted(OURS, reverse=True))
def test_licences_stand_beside_the_files(site, family):
    licence = (site / "_static" / "fonts" / family.licence).read_text(encoding="utf-8")
    assert family.name in licence and "SIL OPEN FONT LICENSE Version 1.1" in licence
    # A file cut from another may keep its name where its authors have not reserved it.
    assert "with Reserved Font Name" not in licence.partition("\n")[0]


@pytest.mark.parametrize("page", WHOLE_SITE)
def test_the_foot_of_a_page_names_the_licences(site, page):
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    foot = BeautifulSoup(text[text.index('<div class="extra_footer">') :], "html.parser")
    assert "CC BY 4.0" in foot.get_text() and "SIL Open Font License" in foot.get_text()
    linked = {link.get_text(): link["href"] for link in foot.select(".extra_footer a")}
    for family in typefaces.FAMILIES:
        place = (site / f"{page}.html").parent / linked[family.name]
        assert place.resolve() == (site / "_static" / "fonts" / family.licence).resolve()


class Characters(HTMLParser):
    """Gather the characters of pages by the face that they are set in."""

    UNSEEN = {"math", "script", "style", "title"}  # formulas are drawn; they need no font
    CODE = {"pre", "code", "kbd", "samp", "tt"}

    def __init__(self):
        super().__init__()
        self.depth = defaultdict(int)  # of open elements, by their names
        self.used = {name: set() for name in OURS}

    def handle_starttag(self, tag, attrs):
        self.depth[tag] += 1

    def handle_endtag(self, tag):
        self.depth[tag] -= 1

    def handle_data(self, data):
        if not any(self.depth[tag] for tag in self.UNSEEN):
            face = "Fira Code" if any(self.depth[tag] for tag in self.CODE) else "Literata"
            self.used[face].update(data)


def test_every_character_of_every_page_is_in_its_face(site):
    characters = Characters()
    for page in WHOLE_SITE:
        characters.feed((site / f"{page}.html").read_text(encoding="utf-8"))
    used = characters.used
    assert {"λ", "–"} <= used["Literata"] and {"θ", "²"} <= used["Fira Code"]
    lacking = {
        family.name: {
            character
            for character in used[family.name]
            if not character.isspace()
            and any(
                ord(character) not in written(site, family, style).getBestCmap()
                for style in family.styles
            )
        }
        for family in typefaces.FAMILIES
    }
    assert lacking == LACKING
    lender = written(site, typefaces.CODE, typefaces.CODE.styles[0]).getBestCmap()
    assert ord(typefaces.BORROWED) in lender


def features(font):
    """Name what a font does to a row of letters."""
    return {record.FeatureTag for record in font["GSUB"].table.FeatureList.FeatureRecord}


def test_code_has_no_ligatures_that_print_could_hold(site):
    for family, style in STYLES:
        found = features(written(site, family, style)) & {"liga", "calt", "clig", "dlig", "rlig"}
        assert found == ({"liga"} if family == typefaces.TEXT else set())


# --- how they are made

SMALL = dataclasses.replace(typefaces.CODE, styles=typefaces.CODE.styles[:1])


def test_the_same_bytes_every_time(site, tmp_path):
    (style,) = SMALL.styles
    typefaces.cut(SMALL, style, tmp_path / "again.woff2")
    there = site / "_static" / "fonts" / style.name(SMALL)
    assert (tmp_path / "again.woff2").read_bytes() == there.read_bytes()


def test_files_are_made_once_and_anew_when_their_source_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(typefaces, "FAMILIES", (SMALL,))
    folder = typefaces.kept(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    monkeypatch.setattr(typefaces, "cut", None)
    assert typefaces.kept(tmp_path) == folder
    monkeypatch.setattr(typefaces.Family, "brought", lambda family, file: b"another")
    with pytest.raises(TypeError):
        typefaces.kept(tmp_path)


# --- in a browser


TO_ASK = """() => {
    const seen = new Set();
    for (const element of document.querySelectorAll("body *:not(math, math *)")) {
        const style = getComputedStyle(element);
        const look = [style.fontFamily, style.fontWeight, style.fontStyle].join();
        const words = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE);
        const inked = words.map(node => node.data.replace(/\\s+/g, "")).join("");
        const letters = [...inked].map(letter => look + letter);
        if (!element.checkVisibility() || letters.every(letter => seen.has(letter))) continue;
        letters.forEach(letter => seen.add(letter));
        element.dataset.ask = "";
    }
    return document.querySelectorAll("[data-ask]").length;
}"""
"""Mark elements until every letter in every look of a page stands in one of them."""


def drawn_with(tab):
    """Ask the browser which fonts it took for the letters of a page, and where they came from."""
    marked = tab.evaluate(TO_ASK)
    session = tab.context.new_cdp_session(tab)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    selection = {"nodeId": root, "selector": "[data-ask]"}
    nodes = session.send("DOM.querySelectorAll", selection)["nodeIds"]
    assert len(nodes) == marked > 50
    for node in nodes:
        fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
        assert fonts, "letters are drawn with some font"
        for font in fonts:
            yield font["familyName"], font["isCustomFont"]


@pytest.mark.parametrize("page", ["book/index", "book/05-flat", "book/notation"])
def test_every_letter_is_drawn_with_a_font_of_the_site(browser, site, page):
    with visit(browser, f"file://{site}/{page}.html") as (tab, troubles):
        tab.evaluate("document.fonts.ready")
        used = set(drawn_with(tab))
        assert [name for name, custom in used if not custom] == []
        cut = [name for name in OURS if any(font.startswith(name) for font, _ in used)]
        assert set(cut) == OURS
        assert troubles == []
