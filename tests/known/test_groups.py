"""The indicator matrix, and the four groups that the book grew from."""

import dataclasses
import random

import numpy as np
import pandas as pd
import pytest

from mixhier_lite import InputError, indicator
from mixhier_lite.datasets import FourGroups, four_groups

# --- indicator


def looked_up(D, levels):
    """Read the label of each row back from D, one entry at a time."""
    labels = []
    for row in D.tolist():
        assert sorted(row) == [0.0] * (len(row) - 1) + [1.0]
        labels.append(levels[row.index(1.0)])
    return labels


@pytest.mark.parametrize(
    ("groups", "levels"),
    [
        ([3, 1, 2, 1], [1, 2, 3]),
        ([10, 9, -1], [-1, 9, 10]),  # as numbers, not as text
        (["b", "a", "b", "C"], ["C", "a", "b"]),
        ((2.5, 0.5), [0.5, 2.5]),
        ([True, False, True], [False, True]),
        ([7], [7]),
    ],
    ids=["integers", "signs", "strings", "floats", "booleans", "one row"],
)
def test_columns_are_the_sorted_labels(groups, levels):
    D = indicator(groups)
    assert D.shape == (len(groups), len(levels)) and D.dtype == np.float64
    assert looked_up(D, levels) == list(groups)


@pytest.mark.parametrize("seed", range(5))
def test_rows_follow_the_labels_in_any_order_of_levels(seed):
    rng = random.Random(seed)
    levels = rng.sample([f"strain {k}" for k in range(20)], 8)
    groups = [rng.choice(levels) for _ in range(50)]
    D = indicator(groups, levels)
    assert looked_up(D, levels) == groups
    assert D.sum(axis=0).tolist() == [groups.count(level) for level in levels]


def test_level_without_observations_gets_a_column_of_zeros():
    D = indicator(["b", "b"], levels=["c", "b", "a"])
    assert D.tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, pd.Series, pd.Index, pd.Categorical, lambda v: np.array(v, "O")]
)
@pytest.mark.parametrize("groups", [["b", "a", "b"], [2, 1, 2]])
def test_any_container_will_do(kind, groups):
    assert indicator(kind(groups)).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_index_of_a_series_does_not_matter():
    D = indicator(pd.Series(["b", "a"], index=[1, 0]), levels=pd.Series(["b", "a"], index=[5, 4]))
    assert D.tolist() == [[1, 0], [0, 1]]


def test_dates_sort_in_time():
    days = pd.to_datetime(["2024-10-01", "2024-09-30"])
    assert indicator(days).tolist() == [[0, 1], [1, 0]]


def test_tells_integers_from_their_names():
    with pytest.raises(InputError, match="not among levels"):
        indicator([1, 2], levels=["1", "2"])


def test_kinds_that_do_not_sort_together_need_levels():
    mixed = np.array([1, "a", 1], dtype=object)
    with pytest.raises(InputError, match=r"mixes labels(.|\n)*'int', 'str'"):
        indicator(mixed)
    levels = np.array(["a", 1], dtype=object)
    assert indicator(mixed, levels).tolist() == [[0, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    "groups",
    [
        ["a", None, "b"],
        [1.0, float("nan"), 2.0],
        ["a", float("nan"), "b"],  # numpy alone would read the text "nan"
        pd.Series(["a", pd.NA, "b"], dtype="string"),
        pd.Series([1, None, 2], dtype="Int64"),
        pd.Categorical(["b", None, "a"]),
        np.array(["2024-10-01", "NaT", "2024-10-02"], dtype="datetime64[D]"),
    ],
    ids=["None", "nan", "nan among strings", "string", "Int64", "categorical", "NaT"],
)
def test_missing_labels_are_refused_with_their_row(groups):
    with pytest.raises(InputError, match=r"groups has missing labels(.|\n)*1 missing.*in row 1 "):
        indicator(groups)
    with pytest.raises(InputError, match="groups has missing labels"):
        indicator(groups, levels=["a", "b"])


def test_missing_level_is_refused():
    with pytest.raises(InputError, match="levels has missing labels"):
        indicator(["a"], levels=["a", None])


def test_unknown_labels_are_refused_and_named():
    with pytest.raises(InputError) as refusal:
        indicator(["a", "x", "b", "y", "x"], levels=["a", "b"])
    assert "not among levels" in refusal.value.wrong
    assert "['a', 'b']" in refusal.value.expected
    assert refusal.value.got == "['x', 'y']"


def test_repeated_levels_are_refused_and_counted():
    with pytest.raises(InputError, match=r"twice(.|\n)*3 levels, 2 of them distinct"):
        indicator(["a", "b"], levels=["a", "b", "a"])


@pytest.mark.parametrize("groups", [[], np.zeros(0), np.array([], dtype=str)])
def test_no_observation_is_refused(groups):
    with pytest.raises(InputError, match="groups is empty"):
        indicator(groups)


@pytest.mark.parametrize("groups", ["abc", 3, [["a"], ["b"]], np.zeros((2, 2))])
def test_anything_but_a_vector_is_refused(groups):
    with pytest.raises(InputError, match="groups is not a vector of labels"):
        indicator(groups)


def test_inputs_are_left_alone():
    groups, levels = np.array([2, 1]), np.array([1, 2, 0])
    D = indicator(groups, levels)
    D[:] = 9
    assert groups.tolist() == [2, 1] and levels.tolist() == [1, 2, 0]


# --- the four groups


@pytest.mark.parametrize("n_per_group", [1, 2, 30, np.int64(5)])
def test_record_has_its_shapes_and_its_truth(n_per_group):
    data = four_groups(np.random.default_rng(0), n_per_group)
    n = 4 * n_per_group
    assert isinstance(data, FourGroups)
    assert (data.x.shape, data.y.shape, data.groups.shape, data.D.shape) == ((n,),) * 3 + ((n, 4),)
    assert {array.dtype for array in (data.x, data.y, data.D, data.beta)} == {np.dtype(float)}
    assert (data.alpha, data.beta.tolist(), data.tau2) == (1.0, [2.0, 4.0, 8.0, 12.0], 1.0)
    assert looked_up(data.D, [0, 1, 2, 3]) == data.groups.tolist()
    assert data.groups.tolist() == [j for j in range(4) for _ in range(n_per_group)]


def test_default_is_thirty_a_group():
    assert len(four_groups(np.random.default_rng(0)).y) == 120


def test_data_follow_the_equation_of_the_chapter():
    """Noise of x and y recovered with the truth: standard normal, independent, in every group."""
    data = four_groups(np.random.default_rng(1), 20_000)
    intercept = np.array([[2.0], [4.0], [8.0], [12.0]])
    x, y = data.x.reshape(4, -1), data.y.reshape(4, -1)
    for noise in (x + intercept, y - x - intercept):
        assert np.abs(noise.mean(axis=1)).max() < 5 / np.sqrt(20_000)
        assert np.abs(noise.var(axis=1) - 1).max() < 5 * np.sqrt(2 / 20_000)
    correlation = np.corrcoef((x + intercept).ravel(), (y - x - intercept).ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(80_000)


def test_the_same_seed_gives_the_same_data_and_the_next_draw_is_new():
    rng = np.random.default_rng(3)
    first, second = four_groups(rng, 4), four_groups(rng, 4)
    again = four_groups(np.random.default_rng(3), 4)
    assert np.array_equal(first.x, again.x) and np.array_equal(first.y, again.y)
    assert not np.isin(second.x, first.x).any() and not np.isin(second.y, first.y).any()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(FourGroups)])
def test_record_is_frozen(field):
    data = four_groups(np.random.default_rng(0), 1)
    with pytest.raises(AttributeError):
        setattr(data, field, 0)


@pytest.mark.parametrize("n_per_group", [0, -3, 2.0, 2.5, "30", None, True, [3]])
def test_a_size_that_is_no_count_is_refused(n_per_group):
    with pytest.raises(InputError, match="n_per_group is the number of rows"):
        four_groups(np.random.default_rng(0), n_per_group)
