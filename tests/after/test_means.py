"""Estimated marginal means against emmeans and against predictions by hand."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from witness import FACTORIAL, SAID, fits

from mixhier_lite import InputError, lmer

ASKED = {
    "f": ("intercepts", "f", None),
    "f_by_k": ("crossed", "f", "k"),
    "k": ("slopes", "k", None),
    "weighted": ("weighted", "f", None),
    "interaction": ("interaction", "f", None),
}
PAIRS = {"estimate": "estimate", "se": "SE", "df": "df", "t": "t.ratio", "p": "p.value"}
MEANS = {"estimate": "emmean", "se": "SE", "df": "df", "lower": "lower.CL", "upper": "upper.CL"}


@pytest.mark.parametrize("name", SAID["means"])
def test_means_and_their_differences_are_those_of_emmeans(name):
    model, factor, by = ASKED[name]
    said, found = SAID["means"][name], fits()[model].means(factor, by)
    table = found.table()
    assert list(table.columns) == list(MEANS)
    assert table.index.get_level_values(factor).tolist() == said["means"][factor]
    if by is not None:
        assert table.index.get_level_values(by).tolist() == said["means"][by]
    for column, theirs in MEANS.items():
        assert table[column].to_numpy() == pytest.approx(said["means"][theirs], rel=1e-5)
    pairs = found.contrast().table()
    for column, theirs in PAIRS.items():
        numbers = np.atleast_1d(said["pairs"][theirs])
        assert pairs[column].to_numpy() == pytest.approx(numbers, rel=1e-5)


def test_means_by_hand():
    """Averages of predictions; truth values are factors, and covariates stand at their means."""
    data = FACTORIAL.assign(late=FACTORIAL["h"] > "h1", z=FACTORIAL["x"] ** 2)
    data.loc[5, "x"] = np.nan  # not used, so not in the means either
    model = lmer("y ~ f * late + C(w) + np.log(x) + z + (1 | g)", data)
    used = data.dropna()
    grid = pd.DataFrame(
        [(a, b, w) for a in "abc" for b in (False, True) for w in (1, 2, 3, 4)],
        columns=["f", "late", "w"],
    ).assign(x=used["x"].mean(), z=used["z"].mean())
    said = model.predict(grid, new_groups="population").mean
    found = model.means("late", by="f")
    by_hand = grid.assign(mean=said).groupby(["f", "late"])["mean"].mean()
    assert found.estimate == pytest.approx(by_hand.to_numpy())
    assert found.levels[1].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert found.names[1] == "True, a"
    assert model.means("w").estimate == pytest.approx(
        grid.assign(mean=said).groupby("w")["mean"].mean().to_numpy()
    )
    assert found.L @ model.fixed == pytest.approx(found.estimate)
    assert found.cov == pytest.approx(found.L @ model.fixed_cov @ found.L.T)


def test_differences_in_names():
    found = fits()["intercepts"].means("f")
    pairs = found.contrast()
    assert pairs.names == ("a - b", "a - c", "b - c")
    assert found.contrast("a - b").t == pytest.approx(pairs.t[:1])
    assert found.contrast({"a": 1, "c": -1}).p == pytest.approx(pairs.p[1:2])
    against = found.contrast("(a + b) / 2 - c", names=["others"])
    assert against.names == ("others",)
    assert against.estimate == pytest.approx(pairs.estimate[1:].mean())
    assert found.contrast([[1, -1, 0], [0, 1, -1]]).F == pytest.approx(
        fits()["intercepts"].anova().loc["f", "F"]
    )
    assert found.contrast(names=["1", "2", "3"]).names == ("1", "2", "3")


def test_means_in_every_kind_of_frame():
    wanted = fits()["crossed"].means("f", by="k").table()
    for frame in (pl.from_pandas(FACTORIAL), pa.Table.from_pandas(FACTORIAL)):
        model = lmer("y ~ f * k + f:x + (1 | g) + (1 | h)", frame)
        table = model.means("f", by="k").table()
        assert type(table) is type(frame)
        as_lists = table.to_pydict() if isinstance(table, pa.Table) else table.to_dict()
        assert list(as_lists) == ["f", "k", *MEANS]
        assert list(as_lists["k"]) == list("uuuvvv")
        assert list(as_lists["se"]) == pytest.approx(wanted["se"].tolist())


def test_categories_keep_their_order_and_odd_names_work():
    data = FACTORIAL.rename(columns={"f": "the diet", "x": "x.1"})
    data["the diet"] = pd.Categorical(data["the diet"], categories=["c", "a", "b", "never"])
    found = lmer("y ~ `the diet` + `x.1` + (1 | g)", data).means("the diet")
    assert found.levels[0].tolist() == ["c", "a", "b"]
    plain = lmer("y ~ f + x + (1 | g)", FACTORIAL).means("f")
    assert found.estimate == pytest.approx(plain.estimate[[2, 0, 1]])


def test_what_has_no_means():
    model = fits()["intercepts"]
    for call, words in (
        (lambda: model.means("x"), "no factor"),
        (lambda: model.means("g"), "no factor"),
        (lambda: model.means(["f"]), "no factor"),
        (lambda: model.means("f", by="x"), "by is no factor"),
        (lambda: model.means("f", by="f"), "the factor itself"),
        (lambda: model.means("f", by=3), "by is no factor"),
        (lambda: model.means("f").contrast("a - z"), "cannot be read"),
        (lambda: model.means("f").table(2), "coverage"),
    ):
        with pytest.raises(InputError) as refusal:
            call()
        assert words in str(refusal.value)
    assert "contrast('x')" in pytest.raises(InputError, model.means, "x").value.remedy


def test_too_many_cells_or_pairs_are_refused():
    rng = np.random.default_rng(1)
    wide = pd.DataFrame({f"f{k}": rng.integers(0, 2, 60).astype(str) for k in range(18)})
    wide["y"], wide["g"] = rng.normal(size=60), np.arange(60) % 6
    model = lmer("y ~ " + " + ".join(f"f{k}" for k in range(18)) + " + (1 | g)", wide)
    with pytest.raises(InputError, match="too many combinations to average"):
        model.means("f0")
    many = pd.DataFrame({"y": rng.normal(size=200), "f": np.arange(200) % 66})
    many["g"] = np.arange(200) % 7
    with pytest.raises(InputError, match="too many combinations to test"):
        lmer("y ~ C(f) + (1 | g)", many).means("f").contrast()
