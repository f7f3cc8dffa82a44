"""The book's own typefaces: one for text, one for code, written beside the pages.

Packages bring the families as variable fonts with every script that they know. The site gets a
file for each style that it uses, with the characters of `CHARACTERS`, as WOFF2. A page then asks
for these files, never for a font of the reader's machine and never for one from elsewhere.

Each family's licence stands beside its files; `identity` names it at the foot of every page.
"""

import hashlib
import importlib.metadata
import importlib.resources
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

FOLDER = "fonts"  # in _static
CHARACTERS = (  # first and last of each range
    (0x0020, 0x007E),  # letters, digits and marks of English
    (0x00A0, 0x017F),  # letters with accents, for names
    (0x0370, 0x03FF),  # Greek
    (0x2010, 0x203A),  # dashes, quotation marks, primes
    (0x2070, 0x209C),  # raised and lowered digits
    (0x2190, 0x21D5),  # arrows
    (0x2200, 0x22FF),  # signs of mathematics
    (0x2500, 0x257F),  # lines of a table in text
    (0x25A0, 0x25FF),  # squares and circles
    (0x2713, 0x2717),  # ticks and crosses
)


@dataclass(frozen=True)
class Style:
    """One file: upright or italic, at one weight."""

    slant: str
    weight: int

    def name(self, family):
        """Name the file."""
        slant = "-italic" if self.slant == "italic" else ""
        return f"{family.stem}-{self.weight}{slant}.woff2"


@dataclass(frozen=True)
class Family:
    """A typeface, the package that brings it, and what of it the book uses."""

    name: str
    package: str
    sources: dict[str, str]  # slant: file of the package
    axes: dict[str, float]  # where the family is cut, besides its weight
    features: tuple[str, ...]  # of its layout
    styles: tuple[Style, ...]

    @property
    def stem(self):
        """Begin the names of its files."""
        return self.name.lower().replace(" ", "-")

    @property
    def licence(self):
        """Name the file with its licence."""
        return f"{self.stem}-licence.txt"

    def brought(self, file):
        """Read a file of its package."""
        return importlib.resources.files(self.package).joinpath(file).read_bytes()


TEXT = Family(
    name="Literata",
    package="fontpkg_literata",
    sources={
        "normal": "files/Literata[opsz,wght].ttf",
        "italic": "files/Literata-Italic[opsz,wght].ttf",
    },
    axes={"opsz": 12},  # drawn for text of 12 points, which is 16 pixels
    features=("ccmp", "kern", "liga", "locl", "mark", "lnum", "tnum"),
    styles=(
        Style("normal", 400),
        Style("normal", 700),
        Style("italic", 400),
        Style("italic", 700),
    ),
)
CODE = Family(
    name="Fira Code",
    package="fontpkg_fira_code",
    sources={"normal": "files/FiraCode[wght].ttf"},
    axes={},
    features=("ccmp", "mark", "mkmk"),  # no arrow in place of "->": code looks as it is typed
    styles=(Style("normal", 400), Style("normal", 700)),
)
FAMILIES = (TEXT, CODE)
BORROWED = "\N{SUPERSCRIPT MINUS}"  # the text face has none; the code face lends its own


def cut(family, style, target):
    """Write one style of a family, with the characters of the book, as WOFF2."""
    source = importlib.resources.files(family.package).joinpath(family.sources[style.slant])
    with source.open("rb") as file:
        # As the package dates it: the same bytes whenever it is made.
        font = TTFont(file, recalcTimestamp=False)
        options = subset.Options(
            layout_features=list(family.features),
            hinting=False,
            name_IDs=[*range(7), 13, 14],  # its names, its licence
        )
        characters = subset.Subsetter(options)
        characters.populate(
            unicodes=[code for first, last in CHARACTERS for code in range(first, last + 1)]
        )
        characters.subset(font)
        instancer.instantiateVariableFont(
            font, family.axes | {"wght": style.weight}, inplace=True, updateFontNames=True
        )
        font["name"].setName(family.name, 16, 3, 1, 0x409)  # "Fira Code", not "Fira Code Light"
        font.flavor = "woff2"
        font.save(target)


def rule(family, style, file, only=""):
    """Write the rule by which a style sheet finds a file, all of it or a range of characters."""
    part = f" unicode-range: {only};" if only else ""
    return (
        f'@font-face {{ font-family: "{family.name}"; font-style: {style.slant}; '
        f"font-weight: {style.weight}; font-display: swap; "
        f'src: url("{file}") format("woff2");{part} }}\n'
    )


def style_sheet():
    """Write the rules of all files."""
    own = [
        rule(family, style, style.name(family)) for family in FAMILIES for style in family.styles
    ]
    regular = CODE.styles[0]
    lent = rule(TEXT, regular, regular.name(CODE), only=f"U+{ord(BORROWED):X}")
    return "".join([*own, lent])


def edition():
    """Tell one set of files from another: by what makes them, and what they are made from."""
    makers = "".join(importlib.metadata.version(tool) for tool in ("fonttools", "brotli"))
    sources = b"".join(
        family.brought(file) for family in FAMILIES for file in family.sources.values()
    )
    here = Path(__file__).read_bytes()
    return hashlib.sha256(makers.encode() + here + sources).hexdigest()[:16]


def write(folder):
    """Write style sheet, files and licences into a folder."""
    folder.mkdir()
    for family in FAMILIES:
        for style in family.styles:
            cut(family, style, folder / style.name(family))
        (folder / family.licence).write_bytes(family.brought("LICENSE"))
    (folder / "fonts.css").write_text(style_sheet(), encoding="utf-8")


def kept(place):
    """Return the folder of this edition under a place; what is there already is not made again."""
    folder = place / edition()
    if not folder.exists():
        place.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=place))
        write(making / FOLDER)
        try:
            making.rename(folder)  # whole or not at all: builds may run side by side
        except OSError:
            shutil.rmtree(making)
            if not folder.exists():
                raise
    return folder


def add_files(app, config):
    """Let Sphinx copy the files into the site."""
    folder = kept(Path(app.srcdir) / "_build" / "typefaces")
    config.html_static_path = [*config.html_static_path, str(folder)]


def setup(app):
    """Connect the step, and add the style sheet."""
    app.connect("config-inited", add_files)
    app.add_css_file(f"{FOLDER}/fonts.css", priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
