"""Labels of groups: each factor is looked up by its own levels, whatever array holds them."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixhier_lite import Gram, InputError, Term, fit, gather, lmer
from mixhier_lite.labels import coded, look_up

CODES = np.repeat(np.arange(6), 5)
RNG = np.random.default_rng(2)
Y = 3 * RNG.normal(size=6)[CODES] + RNG.normal(size=30)
ONE = np.ones((30, 1))
DAYS = np.datetime64("2024-05-01") + np.arange(6)
FIT = fit(Y, ONE, Term(CODES))

KINDS = {
    "integers": np.arange(6) - 3,
    "small integers": np.arange(6, dtype=np.int8),
    "unsigned": np.arange(6, dtype=np.uint64) + 2**63,
    "floats": np.arange(6) / 2 - 1,
    "half precision": np.arange(6).astype(np.float16),
    "strings": np.array(list("abcdef")),
    "strings in a list": list("abcdef"),
    "strings of digits": ["1", "2", "3", "4", "5", "6"],
    "bytes": np.array([b"a", b"b", b"c", b"d", b"e", b"f"]),
    "days": DAYS,
    "seconds": DAYS.astype("datetime64[s]"),
    "nanoseconds": DAYS.astype("datetime64[ns]"),
    "durations": DAYS - DAYS[0],
    "dates": [datetime.date(2024, 5, k) for k in range(1, 7)],
    "moments": [datetime.datetime(2024, 5, 1, k) for k in range(6)],
    "moments in a zone": [datetime.datetime(2024, 5, 1, k, tzinfo=datetime.UTC) for k in range(6)],
    "tuples": [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1), ("c", 2)],
    "colons": ["a", "a:", "a:b", "b", "b:", "b:c"],
    "other alphabets": ["α", "β", "γ", "δ", "ε", "ζ"],
    "timestamps": list(pd.to_datetime(DAYS)),
}


def rows(kind, codes):
    levels = KINDS[kind]
    picked = [levels[k] for k in codes]
    return np.array(picked, dtype=levels.dtype) if isinstance(levels, np.ndarray) else picked


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind(kind):
    model = fit(Y, ONE, Term(rows(kind, CODES)))
    assert model.criterion == pytest.approx(FIT.criterion)
    assert model.random[0] == pytest.approx(FIT.random[0])
    some = np.array([5, 0, 3])
    again = model.predict(ONE[:3], Term(rows(kind, some)))
    assert again.mean == pytest.approx(FIT.fixed[0] + FIT.random[0][some, 0])
    backwards = Term(rows(kind, CODES), levels=rows(kind, range(6))[::-1])
    assert np.array_equal(backwards.codes, 5 - CODES)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_are_united_by_label(kind):
    parts = (CODES < 3, CODES >= 2, CODES == 2)
    chunks = [{"y": Y[p], "X": ONE[p], "terms": Term(rows(kind, CODES[p]))} for p in parts]
    whole = gather(chunks)
    assert len(whole.blocks[0].levels) == 6
    assert whole.blocks[0].rows.tolist() == [5, 5, 15, 5, 5, 5]


EQUAL = {
    "int and float": (np.arange(6), np.arange(6.0)),
    "int8 and int64": (np.arange(6, dtype=np.int8), np.arange(6)),
    "string arrays of two widths": (np.array(list("abcdef")), np.array([*"abcde", "f"], "<U9")),
    "array and list": (np.array(list("abcdef")), list("abcdef")),
    "days and nanoseconds": (DAYS, DAYS.astype("datetime64[ns]")),
    "days and dates": (DAYS, KINDS["dates"]),
    "microseconds and timestamps": (DAYS.astype("datetime64[us]"), KINDS["timestamps"]),
    "durations": (DAYS - DAYS[0], [datetime.timedelta(days=k) for k in range(6)]),
    "category and strings": (pd.Categorical(list("abcdef")), list("abcdef")),
    "nullable and plain": (pd.Series(range(6), dtype="Int64"), np.arange(6)),
    "Arrow and plain": (pd.Series(list("abcdef"), dtype="string[pyarrow]"), list("abcdef")),
    "polars and plain": (pl.Series(list("abcdef")), list("abcdef")),
    "pyarrow and plain": (pa.array(list("abcdef")), list("abcdef")),
}


@pytest.mark.parametrize("pair", EQUAL)
def test_equal_labels_are_equal_whatever_holds_them(pair):
    for one, other in (EQUAL[pair], EQUAL[pair][::-1]):
        fitted = Term(
            np.asarray(one)[CODES] if not isinstance(one, list) else [one[k] for k in CODES]
        )
        model = fit(Y, ONE, fitted)
        told = model.predict(np.ones((6, 1)), Term(other))
        assert told.mean == pytest.approx(FIT.fixed[0] + FIT.random[0][:, 0])


def test_unequal_labels_are_not():
    levels = coded(np.array(["1", "2"])).levels
    assert look_up(np.array([1, 2]), levels).tolist() == [-1, -1]
    assert look_up(np.array([b"1"]), levels).tolist() == [-1]
    assert look_up(np.array([True]), coded(np.array(["True"])).levels).tolist() == [-1]
    dates = coded(DAYS).levels
    assert look_up(DAYS - DAYS[0], dates).tolist() == [-1] * 6
    assert look_up(DAYS + np.timedelta64(1, "ns"), dates).tolist() == [-1] * 6


def test_sets_have_no_order_and_are_refused():
    with pytest.raises(InputError, match="cannot be sorted|can be changed"):
        Term([frozenset({1, 2}), frozenset({3}), frozenset({1, 2}), frozenset({3})])
    levels = [frozenset({3}), frozenset({1, 2})]
    term = Term([frozenset({2, 1}), frozenset({3})], levels=levels)
    assert term.codes.tolist() == [1, 0]


@pytest.mark.parametrize(
    "label", [None, np.nan, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "D")]
)
def test_missing_labels_are_refused(label):
    with pytest.raises(InputError, match="missing labels"):
        Term(np.array([label, label, label], dtype=object))


# --- combinations


def test_labels_of_two_factors_are_never_joined():
    """("1", "2:3") and ("1:2", "3") would be one text."""
    cells = [("1", "2:3"), ("1", "3"), ("1:2", "2:3"), ("1:2", "3")]
    data = pd.DataFrame([cell for cell in cells for _ in range(12)], columns=["a", "b"])
    effect = np.repeat([5.0, -5.0, 0.0, -3.0], 12)
    data["y"] = effect + 0.1 * RNG.normal(size=48)
    model = lmer("y ~ 1 + (1 | a:b)", data)
    assert len(set(model.levels[0].tolist())) == 4
    assert model.predict(data).mean == pytest.approx(effect, abs=0.3)
    plain = data.replace({"1:2": "4", "2:3": "5"})
    other = lmer("y ~ 1 + (1 | a:b)", plain)
    assert other.levels[0].tolist() == ["1:3", "1:5", "4:3", "4:5"]
    assert model.predict(data).mean == pytest.approx(other.predict(plain).mean)


@pytest.mark.parametrize(
    "kind",
    [
        "datetime64[ns]",
        "datetime64[us]",
        "timedelta64[ns]",
        "float32",
        "category",
        "string",
        "bytes",
    ],
)
def test_interactions_of_labels_that_print_in_two_ways(kind):
    k = np.tile(np.repeat(np.arange(5), 6), 2)
    data = pd.DataFrame({"site": np.repeat(["n", "s"], 30), "k": k, "x": RNG.normal(size=60)})
    data["y"] = data["x"] + RNG.normal(size=10)[k + 5 * (data["site"] == "s")]
    data["y"] += 0.3 * RNG.normal(size=60)
    right = lmer("y ~ x + (1 | site:k)", data).predict(data).mean
    if kind == "bytes":
        column = pd.Series([str(v).encode() for v in k], dtype=object)
    elif kind[0] == "d":
        column = (pd.Timestamp("2024-05-01") + pd.to_timedelta(k, unit="D")).astype(kind)
    elif kind[0] == "t":
        column = pd.to_timedelta(k, unit="h").astype(kind)
    else:
        column = (
            data["k"].astype(str).astype(kind) if kind != "float32" else data["k"] / np.float32(3)
        )
    coarse = data.assign(day=column)
    model = lmer("y ~ x + (1 | site:day)", coarse)
    for how in ("error", "population"):
        assert model.predict(coarse, new_groups=how).mean == pytest.approx(right)
    new = model.predict(coarse.assign(site="nowhere"), new_groups="population").mean
    assert new == pytest.approx(model.fixed[0] + model.fixed[1] * data["x"])


def test_units_of_time_differ_between_fit_and_prediction():
    k = np.repeat(np.arange(12), 6)
    data = pd.DataFrame({"y": RNG.normal(size=12)[k] + RNG.normal(size=72)})
    day = pd.Series(pd.Timestamp("2024-05-01") + pd.to_timedelta(k, unit="D"))
    frames = [data.assign(day=day.astype(f"datetime64[{unit}]")) for unit in ("ns", "us", "s")]
    frames.append(data.assign(day=day.dt.date))
    models = [lmer("y ~ 1 + (1 | day)", frame) for frame in frames]
    for model in models:
        for frame in frames:
            assert model.predict(frame).mean == pytest.approx(models[0].predict(frames[0]).mean)


def test_a_gram_of_labels_keeps_its_own_kind():
    gram = Gram.from_arrays(Y, ONE, Term(DAYS[CODES]))
    assert gram.blocks[0].levels.dtype == DAYS.dtype


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("end", ["least", "middle", "most"])
def test_whole_numbers_that_lie_close_are_counted(kind, end):
    ends = np.iinfo(kind)
    first = {"least": ends.min, "middle": 3, "most": ends.max - 9}[end]
    numbers = np.array([first + k for k in (5, 0, 9, 2, 2, 0, 5)], dtype=kind)
    found = coded(numbers)
    levels, codes = np.unique(numbers, return_inverse=True)
    assert found.levels.dtype == kind and np.array_equal(found.levels, levels)
    assert np.array_equal(found.codes, codes)
