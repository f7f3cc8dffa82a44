"""Every reference can be found: it has a DOI, an address or an ISBN, and a line on it."""

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
WITHOUT = {"henderson1950": "an abstract among others of a meeting, on pages of a journal"}


@pytest.mark.parametrize("key", ENTRIES)
def test_a_reference_has_a_doi_or_an_address(key):
    fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},?$", ENTRIES[key], re.MULTILINE))
    assert fields["title"] and fields["author"] and re.fullmatch(r"(19|20)\d\d", fields["year"])
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,9}/[\w.;()/:-]+", fields["doi"])
        assert "url" not in fields, "one way is enough"
    elif "url" in fields:
        assert re.fullmatch(r"https://[\w.-]+\.\w+/\S+", fields["url"])
    elif "isbn" in fields:
        digits = fields["isbn"].replace("-", "")
        assert re.fullmatch(r"\d{9}[\dX]|97[89]\d{10}", digits), "ten digits or thirteen"
        values = [10 if digit == "X" else int(digit) for digit in digits]
        old = len(digits) == 10
        weights = range(10, 0, -1) if old else [1, 3] * 6 + [1]
        total = sum(k * value for k, value in zip(weights, values, strict=True))
        assert total % (11 if old else 10) == 0
    else:
        assert key in WITHOUT, "give it a DOI, an address or an ISBN"


def test_what_has_none_of_the_three_is_listed_once():
    assert set(WITHOUT) <= set(ENTRIES)
    assert not any(re.search(r"^  (doi|url|isbn) ", ENTRIES[key], re.M) for key in WITHOUT)


def test_every_reference_is_described_and_no_doi_stands_twice():
    page = (BOOK / "bibliography.md").read_text(encoding="utf-8")
    described = re.findall(r"^\{cite:t\}`([\w-]+)`\n: \S", page, re.MULTILINE)
    assert sorted(described) == sorted(ENTRIES)
    dois = re.findall(r"doi += \{(.+?)\}", "\n".join(ENTRIES.values()))
    assert len(dois) == len(set(dois)) > 40
