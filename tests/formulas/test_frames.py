"""Data frames of every library and columns of every kind give one and the same fit."""

import contextlib
import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixhier_lite import InputError, lmer

RNG = np.random.default_rng(1)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "whole": RNG.integers(0, 9, N),
        "truth": RNG.random(N) < 0.5,
        "f": RNG.choice(list("cab"), N),
        "g": RNG.choice([f"s{k}" for k in range(8)], N),
        "w": RNG.uniform(0.5, 2, N),
    }
)
DATA["y"] += DATA["x"] + (DATA["f"] == "c") + DATA["truth"]
DATA["size"] = pd.Categorical(RNG.choice(["small", "large"], N), ["small", "large"])
DATA["y"] += 2 * RNG.normal(size=8)[DATA["g"].str[1:].astype(int)]
FORMULA = "y ~ x + whole + truth + f + size + (x | g)"
NAMES = ("(Intercept)", "x", "whole", "truth", "fb", "fc", "sizelarge")

SIZES = pl.Enum(["small", "large"])


def _enum(data):
    """A frame of polars, where only an Enum has an order of its own."""
    plain = data.astype({"size": str})
    return pl.from_pandas(plain).with_columns(pl.col("size").cast(SIZES))


FRAMES = {
    "pandas": lambda data: data,
    "pandas of another index": lambda data: data.set_index(np.arange(N)[::-1] * 3),
    "pandas, nullable": lambda data: data.convert_dtypes(),
    "pandas, Arrow": lambda data: data.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, strings": lambda data: data.astype({"f": "string", "g": "string[pyarrow]"}),
    "pandas, objects": lambda data: data.assign(**{k: data[k].astype(object) for k in "yxfg"}),
    "pandas, categories": lambda data: data.astype({"f": "category", "g": "category"}),
    "pandas, float32": lambda data: data.astype({"whole": "float32"}),
    "polars": lambda data: _enum(data),
    "polars, categories": lambda data: _enum(data).cast({"f": pl.Categorical}),
    "pyarrow": lambda data: pa.Table.from_pandas(data, preserve_index=False),
}


@pytest.fixture(scope="module")
def right():
    return lmer(FORMULA, DATA, weights="w")


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.slow
def test_one_fit_whatever_holds_the_data(library, right):
    data = FRAMES[library](DATA)
    model = lmer(FORMULA, data, weights="w")
    assert model.criterion == pytest.approx(right.criterion, abs=1e-7)
    assert model.fixed == pytest.approx(right.fixed, abs=1e-6)
    assert model.names == NAMES
    assert model.levels[0].tolist() == right.levels[0].tolist()
    for fitted, new in ((model, DATA), (right, data), (model, data)):
        assert fitted.predict(new).mean == pytest.approx(right.predict(DATA).mean, abs=1e-6)


@pytest.mark.parametrize("library", FRAMES)
def test_missing_values_of_every_library_are_dropped(library):
    data = DATA.astype({"f": object, "g": object})
    data.loc[3, "x"], data.loc[5, "f"], data.loc[8, "g"] = np.nan, None, None
    rows = np.delete(np.arange(N), [3, 5, 8])
    model = lmer("y ~ x + f + (1 | g)", FRAMES[library](data))
    right = lmer("y ~ x + f + (1 | g)", DATA.iloc[rows])
    assert model.n == N - 3 and model.criterion == pytest.approx(right.criterion, abs=1e-7)
    gaps = np.isnan(model.predict(FRAMES[library](data)).mean)
    assert np.flatnonzero(gaps).tolist() == [3, 5, 8]


def test_categories_keep_their_order_in_every_library():
    order = pd.Categorical(DATA["f"], ["c", "a", "b"])
    arrow = pa.Table.from_pandas(DATA.assign(f=order), preserve_index=False)
    enum = pl.from_pandas(DATA[["y", "g"]]).with_columns(
        pl.Series("f", DATA["f"].tolist(), dtype=pl.Enum(["c", "a", "b"]))
    )
    for data in (DATA.assign(f=order), arrow, enum):
        model = lmer("y ~ f + (1 | g)", data)
        assert model.names == ("(Intercept)", "fa", "fb")
        groups = lmer("y ~ 1 + (1 | f)", data)
        assert groups.levels[0].tolist() == ["c", "a", "b"]


def test_categories_that_no_row_has_are_no_levels():
    some = DATA.assign(f=pd.Categorical(DATA["f"], list("zcab")))
    assert lmer("y ~ f + (1 | g)", some).names == ("(Intercept)", "fa", "fb")
    assert lmer("y ~ 1 + (1 | f)", some).levels[0].tolist() == ["c", "a", "b"]


@pytest.mark.parametrize(
    "formula", ["y ~ day + (1 | g)", "y ~ x:day + (1 | g)", "y ~ x + (day | g)"]
)
@pytest.mark.parametrize("numbers", [np.int64, np.float32, "Int8"])
def test_categories_of_numbers_are_found_by_numbers(formula, numbers):
    """A file read anew has forgotten that days were categories."""
    day = pd.Categorical(DATA["whole"] % 3)
    model = lmer(formula, DATA.assign(day=day))
    new = pd.DataFrame({"x": [1.0, 2.0, 3.0], "g": ["s1", "s2", "s3"]})
    as_fitted = model.predict(new.assign(day=pd.Categorical([2, 1, 2]))).mean
    again = model.predict(new.assign(day=pd.array([2, 1, 2]).astype(numbers))).mean
    assert again == pytest.approx(as_fitted, rel=1e-14)
    with pytest.raises(InputError, match="day has levels that the fit has not seen") as refusal:
        model.predict(new.assign(day=[2, 5, 2]))
    assert "[5]" in str(refusal.value)


def test_texts_of_numbers_are_not_found_by_numbers():
    model = lmer("y ~ day + (1 | g)", DATA.assign(day=(DATA["whole"] % 3).astype(str)))
    new = pd.DataFrame({"day": [2, 1], "g": ["s1", "s2"]})
    assert model.predict(new.astype(str)).mean.shape == (2,)
    with pytest.raises(InputError, match="a number is not its text"):
        model.predict(new)


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_a_factor_of_one_level_is_refused(dtype):
    data = DATA.assign(sex=pd.Series(["f"] * N, dtype=dtype))
    for formula in ("y ~ sex + (1 | g)", "y ~ x * sex + (1 | g)", "y ~ x + (sex | g)"):
        with pytest.raises(InputError, match="one level"):
            lmer(formula, data)
    rest = pd.Categorical(["f"] * N, ["f", "m"])
    with pytest.raises(InputError, match="one level"):
        lmer("y ~ sex + (1 | g)", DATA.assign(sex=rest))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (DATA["x"] + 1j, "complex"),
        (pd.Series([1 + 2j] * N, dtype=object), "complex"),
        (pd.to_timedelta(DATA["whole"], unit="D"), "x"),
        (pd.Series([datetime.date(2020, 1, 1 + k % 9) for k in range(N)]), "x"),
        (pd.Series([1.0, "a"] * (N // 2), dtype=object), "mix"),
        (pd.Series([[1.0]] * N), "x"),
        (pd.Series([{1, 2}, {3}] * (N // 2)), "x"),
        (pd.Series([object() for _ in range(N)]), "x"),
    ],
)
def test_columns_that_are_no_covariates_are_refused(column, words):
    with pytest.raises(InputError, match=words) as refusal:
        lmer("y ~ x + (1 | g)", DATA.assign(x=column))
    assert len(str(refusal.value)) < 1500


def test_numbers_as_objects_are_numbers():
    exact = lmer("y ~ x + (x | g)", DATA)
    for values in (
        [decimal.Decimal(str(v)) for v in DATA["x"]],
        pd.Series(DATA["x"], dtype=object),
        DATA["x"].astype("Float64"),
        np.ma.masked_array(DATA["x"], np.zeros(N, bool)),
    ):
        model = lmer("y ~ x + (x | g)", DATA.assign(x=values))
        assert model.criterion == pytest.approx(exact.criterion, abs=1e-8)
        assert model.names == exact.names


@pytest.mark.slow
def test_a_lazy_frame_is_refused_with_the_way_to_gather_partitions():
    import dask.dataframe as dd

    with pytest.raises(InputError, match="gather_partitions"):
        lmer("y ~ x + (1 | g)", dd.from_pandas(DATA, npartitions=2))
    with pytest.raises(InputError, match="collect|gather_partitions"):
        lmer("y ~ x + (1 | g)", pl.from_pandas(DATA).lazy())


@pytest.mark.parametrize("data", [None, 3, "y", [1, 2], {"y": [1.0]}, DATA.to_numpy(), DATA["y"]])
def test_what_is_no_data_frame_is_refused(data):
    with pytest.raises(InputError, match="data frame|formula comes first"):
        lmer("y ~ x + (1 | g)", data)


def test_masked_arrays():
    from mixhier_lite import LinearMixedModel, Term, fit, indicator, ridge

    y = np.ma.masked_array(np.arange(40.0) % 7, mask=np.arange(40) < 4)
    y.data[:4] = -9999.0
    groups, one = np.repeat(np.arange(8), 5), np.ones((40, 1))
    with pytest.raises(InputError, match="y has masked entries"):
        fit(y, one, Term(groups))
    with pytest.raises(InputError, match="y has masked entries"):
        ridge(LinearMixedModel(one, indicator(groups), np.eye(8), 1), y)
    with pytest.raises(InputError, match="missing labels"):
        Term(np.ma.masked_array(np.arange(4), mask=[1, 0, 0, 0]))
    assert fit(y[4:], one[4:], Term(groups[4:])).n == 36


@pytest.mark.parametrize("spoilt", [{"x": "q"}, {"f": 1.5}, {"f": "none of them"}, {"x": True}])
def test_a_prediction_that_fails_leaves_the_fit_as_it_was(spoilt):
    """What builds columns again writes into its memory, also where it then fails."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 6), "x": rng.normal(size=36)})
    data["f"] = rng.choice(["low", "high", "mid"], 36)
    data["y"] = rng.normal(size=36) + rng.normal(size=6).repeat(6)
    model = lmer("y ~ x * f + center(x) + (f | g)", data, aliased="drop")
    simple = lmer("y ~ x * f + (1 | g)", data)
    before = model.predict(data).mean, simple.predict(data).mean, simple.anova()
    for fitted in (model, simple):
        with contextlib.suppress(InputError):
            fitted.predict(data.assign(**spoilt))
    np.testing.assert_array_equal(model.predict(data).mean, before[0])
    np.testing.assert_array_equal(simple.predict(data).mean, before[1])
    pd.testing.assert_frame_equal(simple.anova(), before[2])


def test_bins_of_pandas_cut_are_levels():
    data = DATA.assign(bin=pd.cut(DATA.x, [-9, -0.5, 0.5, 9]))
    texts = data.assign(bin=pd.Categorical.from_codes(data.bin.cat.codes, ["a", "b", "c"]))
    model, other = (lmer("y ~ bin * truth + (1 | g)", d) for d in (data, texts))
    assert model.names[1:3] == ("bin(-0.5, 0.5]", "bin(0.5, 9.0]")
    assert model.fixed == pytest.approx(other.fixed)
    assert model.predict(data.iloc[::7]).mean == pytest.approx(model.fitted[::7])
    assert model.means("bin").estimate == pytest.approx(other.means("bin").estimate)
    assert model.anova()["F"].to_numpy() == pytest.approx(other.anova()["F"].to_numpy())


def test_labels_of_thirty_digits():
    data = DATA.assign(g=[10**30 + int(label[1:]) for label in DATA.g])
    model = lmer("y ~ x + (1 | g)", data)
    plain = lmer("y ~ x + (1 | g)", DATA)
    assert model.criterion == pytest.approx(plain.criterion) and model.levels[0][1] == 10**30 + 1
    assert model.predict(data).mean == pytest.approx(plain.fitted)


@pytest.mark.parametrize("holds", [list, lambda labels: pd.Categorical(labels)])
def test_a_level_of_a_factor_that_the_fit_has_not_seen_is_named(holds):
    model = lmer("y ~ x + f + (1 | g)", DATA)
    with pytest.raises(InputError, match="factor f has levels that .*") as refusal:
        model.predict(DATA.assign(f=holds(["a", "b", "d"] * 20)))
    assert "got: ['d']" in str(refusal.value)


WITHOUT_MEANING = {
    "y ~ x + (1 | g)": (DATA.iloc[:0], "no row of the data can be used"),
    "y ~ x + f + (1 | g)": (DATA.assign(x=np.nan), "no row of the data can be used"),
    "y ~ day + (1 | g)": (DATA.assign(day=pd.Timestamp("2024-05-01")), "'day' is no covariate"),
    "y ~ k + (1 | g)": (DATA.assign(k=[10**30, 1] * (N // 2)), "'k' is no covariate"),
}


@pytest.mark.parametrize("formula", WITHOUT_MEANING)
def test_what_is_no_number_is_refused_by_its_name(formula):
    data, words = WITHOUT_MEANING[formula]
    with pytest.raises(InputError, match=words):
        lmer(formula, data)


def test_a_level_of_a_factor_that_a_formula_makes_is_named_too():
    model = lmer("y ~ x + C(whole) + (1 | g)", DATA)
    with pytest.raises(InputError, match="that the formula makes") as refusal:
        model.predict(DATA.assign(whole=77))
    assert "got: 77" in str(refusal.value) and "np." not in str(refusal.value)


HELD_BY_ARROW = {
    "string_view": pa.string_view(),
    "binary_view": pa.binary_view(),
    "large_string": pa.large_string(),
}


@pytest.mark.parametrize("kind", HELD_BY_ARROW)
def test_columns_of_arrow_that_pandas_does_not_know(kind):
    labels = pa.array(DATA.g.tolist()).cast(HELD_BY_ARROW[kind])
    data = DATA.assign(g=pd.array(labels, dtype=pd.ArrowDtype(labels.type)))
    plain = lmer("y ~ x + (1 | g)", DATA)
    assert lmer("y ~ x + (1 | g)", data).criterion == pytest.approx(plain.criterion)


def test_numbers_that_are_stored_as_runs():
    runs = pa.compute.run_end_encode(pa.array(DATA.x.to_numpy()))
    data = DATA.assign(x=pd.array(runs, dtype=pd.ArrowDtype(runs.type)))
    plain = lmer("y ~ x + (1 | g)", DATA)
    assert lmer("y ~ x + (1 | g)", data).fixed == pytest.approx(plain.fixed)


def test_what_pandas_cannot_make_a_column_of_is_labels_or_refused():
    long = [10**30 + int(label[1:]) for label in DATA.g]
    wide = pl.DataFrame({"y": DATA.y.to_numpy(), "g": pl.Series(long, dtype=pl.Int128)})
    plain = lmer("y ~ 1 + (1 | g)", DATA)
    assert lmer("y ~ 1 + (1 | g)", wide).criterion == pytest.approx(plain.criterion)
    bins = pa.Table.from_pandas(DATA.assign(g=pd.cut(DATA.x, [-9, 0, 9])))
    lists = pd.array(pa.array([[k] for k in DATA.whole]), dtype=pd.ArrowDtype(pa.list_(pa.int64())))
    for data in (bins, DATA.assign(g=lists)):
        with pytest.raises(InputError, match="a label can be changed"):
            lmer("y ~ x + (1 | g)", data)


@pytest.mark.parametrize("kind", [decimal.Decimal, np.longdouble])
def test_labels_that_floats_cannot_keep_apart_are_refused(kind):
    """Numbers of accounts have more than sixteen digits; two of them would be one group."""
    numbers = [kind(10**17) + kind(int(label[1:])) for label in DATA.g]
    data = DATA.assign(g=np.array(numbers) if kind is np.longdouble else numbers)
    with pytest.raises(InputError, match="beyond the sixteenth"):
        lmer("y ~ x + (1 | g)", data)
    halves = data.assign(g=[kind(int(label[1:])) / 2 for label in DATA.g])
    plain = lmer("y ~ x + (1 | g)", DATA)
    assert lmer("y ~ x + (1 | g)", halves).criterion == pytest.approx(plain.criterion)


def test_tables_of_labels_that_their_library_cannot_hold():
    months = pd.PeriodIndex([pd.Period("2024-01", "M") + int(label[1:]) for label in DATA.g])
    halves = pd.Series([f"\ud800{label}" for label in DATA.g], dtype=object)
    plain = lmer("y ~ x + (1 | g)", DATA)
    for data, first in (
        (pl.from_pandas(DATA.assign(g=DATA.g.str[1:].astype("uint64") + np.uint64(2**63))), None),
        (pa.Table.from_pandas(DATA.assign(g=months), preserve_index=False), "2024-01"),
        (DATA.assign(g=halves), r"\ud800s0"),
    ):
        table = lmer("y ~ x + (1 | g)", data).random_table(0)
        if first is not None:
            labels = table.index if isinstance(data, pd.DataFrame) else table["g"].to_pylist()
            assert labels[0] == first
        assert np.asarray(table["effect"]) == pytest.approx(plain.random[0][:, 0])
