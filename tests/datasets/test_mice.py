"""The mice of Part I: what they hold, and that they follow the equation that made them."""

import dataclasses

import numpy as np
import pytest

from mixhier_lite.datasets import Mice, mice

DATA = mice()
SIZES = (9, 6, 1, 7, 2, 1)


def test_shapes_and_truth():
    assert isinstance(DATA, Mice)
    assert [len(a) for a in (DATA.y, DATA.age, DATA.strain, DATA.X, DATA.D)] == [26] * 5
    assert DATA.X.tolist() == [[1.0, age] for age in DATA.age]
    assert DATA.D.tolist() == [[float(s == j) for j in range(1, 7)] for s in DATA.strain]
    assert tuple((DATA.strain == j).sum() for j in range(1, 7)) == SIZES
    assert (DATA.sigma2, DATA.tau2, DATA.alpha.tolist()) == (4.0, 6.0, [10.0, 1.5])
    clade = [0, 0, 0, 1, 1, 1]
    for (i, j), k in np.ndenumerate(DATA.K):
        assert k == pytest.approx(1 if i == j else 0.8 * (clade[i] == clade[j]))


def test_they_are_the_same_each_time():
    again = mice()
    assert np.array_equal(again.y, DATA.y) and np.array_equal(again.beta, DATA.beta)
    # as they stand in the chapters: the only mouse of strain 3, the lightest and the heaviest
    only = DATA.strain == 3
    assert (DATA.age[only].item(), round(DATA.y[only].item(), 1)) == (11.8, 27.3)
    assert (round(DATA.y.min(), 2), round(DATA.y.max(), 2)) == (19.2, 31.62)


def test_data_follow_the_equation():
    """Noise and effects, recovered with the truth, are of the sizes that the variances say."""
    noise = [
        y - 10 - 1.5 * age - DATA.beta[s - 1]
        for y, age, s in zip(DATA.y, DATA.age, DATA.strain, strict=True)
    ]
    assert 12 < (np.square(noise) / 6).sum() < 47  # chi-squared, 26 degrees: 0.7 % on either side
    effects = DATA.beta @ np.linalg.solve(4 * DATA.K, DATA.beta)
    assert 0.6 < effects < 19  # chi-squared, 6 degrees


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Mice)])
def test_record_is_frozen(field):
    with pytest.raises(AttributeError):
        setattr(mice(), field, 0)
