"""The picture beside a link to the book is drawn from the book's data, and small."""

import card
import numpy as np
import pytest
from matplotlib.image import imread


def test_the_card_is_what_its_sentence_says():
    """Two recipes, one line in each group; and the lines are not one line."""
    data, (blup, mean) = card.lines()
    np.testing.assert_allclose(mean, blup, rtol=0, atol=1e-9)
    moves = blup - np.polyval(np.polyfit(data.x, data.y, 1), data.x)
    assert np.ptp([moves[data.groups == j].mean() for j in range(4)]) > 0.5


@pytest.mark.slow
def test_the_kept_card_is_the_one_that_is_drawn(tmp_path):
    """What a build puts beside the pages follows the data, the words and the colours."""
    for name in ("one.png", "two.png"):
        card.draw(tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    kept, drawn = imread(card.CARD), imread(tmp_path / "one.png")
    assert kept.shape[:2] == card.SIZE[::-1] == drawn.shape[:2]
    assert np.abs(kept - drawn).max() < 0.02, "draw it anew: python book/_ext/card.py"


def test_the_card_is_light():
    assert card.CARD.stat().st_size < 120_000
    assert 100 <= len(card.ALT) <= 250
