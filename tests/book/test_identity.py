"""What a page says of itself: title, description, sign, and the foot."""

import re

import identity
import pytest
from test_site import PAGES, soup


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is_to_those_who_link_to_it(site, page):
    built = soup(site, page)
    said = built.find("meta", attrs={"name": "description"})["content"]
    assert 20 <= len(said) <= identity.MOST + 4
    assert built.find("meta", attrs={"property": "og:description"})["content"] == said
    title = built.find("meta", attrs={"property": "og:title"})["content"]
    assert title in built.title.get_text()
    sign = built.find("link", rel="icon")["href"]
    assert (site / page).parent.joinpath(sign.partition("?")[0]).resolve().is_file()


def test_descriptions_tell_chapters_apart(site):
    chapters = [page for page in PAGES if re.match(r"book/\d\d-", page)]
    said = {soup(site, page).find("meta", attrs={"name": "description"})["content"]
            for page in chapters}  # fmt: skip
    assert len(said) == len(chapters)


@pytest.mark.parametrize("page", PAGES)
def test_the_foot_names_licence_citation_and_origin(site, page):
    foot = soup(site, page).select_one(".extra_footer, .footer-content__inner")
    links = {link.get_text(): link["href"] for link in foot.find_all("a")}
    assert links["CC BY 4.0"] == identity.TEXT_LICENCE
    assert links["Equivalence of mixed models and hierarchical models"] == identity.POST
    address, _, anchor = links["How to cite this book"].partition("#")
    cite = "book/bibliography" if address else page
    assert soup(site, cite).find(id=anchor).find("pre")
