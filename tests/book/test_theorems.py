"""Every theorem and lemma has a proof, a scope and a test, and no test guards a missing one."""

import pytest
import theorems
from conftest import project_files

RESULTS = theorems.results()


def test_the_book_has_results():
    assert len(RESULTS) > 20


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.label or result.title)
def test_a_result_is_complete(result):
    assert result.label, f"{result.page}: '{result.title}' has no :label:"
    assert result.scope, f"{result.label} says no scope"
    assert result.proved, f"{result.label} is not followed by a proof"


def test_labels_are_unique():
    labels = [result.label for result in RESULTS]
    assert len(labels) == len(set(labels))


def test_theorems_and_tests_are_in_bijection():
    labels = {result.label for result in RESULTS}
    tested = set(theorems.markers())
    assert labels - tested == set(), "results without a test"
    assert tested - labels == set(), "tests of results that the book does not hold"


def test_the_reader_of_theorems_finds_every_block(tmp_path):
    """The pattern that reads the pages misses no theorem directive."""
    written = sum(
        line.lstrip(":").startswith(("{prf:theorem}", "{prf:lemma}"))
        for page in project_files()
        if page.suffix == ".md" and page.parent == theorems.ROOT / "book"
        for line in page.read_text(encoding="utf-8").splitlines()
    )
    assert written == len(RESULTS)
