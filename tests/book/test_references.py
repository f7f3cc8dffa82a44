"""Every reference can be found: it has a DOI or an address of the right form, and a line on it."""

import re

import pytest
from conftest import ROOT

BOOK = ROOT / "book"
ENTRIES = dict(
    re.findall(
        r"^@\w+\{([\w-]+),\n(.*?)^\}",
        (BOOK / "references.bib").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)
WITHOUT = {
    "crowder1990": "a book",
    "davies1972": "a book",
    "henderson1950": "an abstract among others of a meeting, on pages of a journal",
    "kish1965": "a book of its time",
    "mcculloch2008": "a book",
    "mrode2014": "a book",
}


@pytest.mark.parametrize("key", ENTRIES)
def test_a_reference_has_a_doi_or_an_address(key):
    fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},?$", ENTRIES[key], re.MULTILINE))
    assert fields["title"] and fields["author"] and re.fullmatch(r"(19|20)\d\d", fields["year"])
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,9}/[\w.;()/:-]+", fields["doi"])
        assert "url" not in fields, "one way is enough"
    elif "url" in fields:
        assert re.fullmatch(r"https://[\w.-]+\.\w+/\S+", fields["url"])
    else:
        assert key in WITHOUT, "give it a DOI or an address"


def test_what_has_neither_is_listed_once():
    assert set(WITHOUT) <= set(ENTRIES)
    assert not any("doi" in ENTRIES[key] or "url" in ENTRIES[key] for key in WITHOUT)


def test_every_reference_is_described_and_no_doi_stands_twice():
    page = (BOOK / "bibliography.md").read_text(encoding="utf-8")
    described = re.findall(r"^\{cite:t\}`([\w-]+)`\n: \S", page, re.MULTILINE)
    assert sorted(described) == sorted(ENTRIES)
    dois = re.findall(r"doi += \{(.+?)\}", "\n".join(ENTRIES.values()))
    assert len(dois) == len(set(dois)) > 40
