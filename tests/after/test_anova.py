"""Tests of the terms of a formula, against lmerTest and against cell means by hand."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from witness import FACTORIAL, SAID, fits

from mixhier_lite import InputError, Term, fit, lmer
from mixhier_lite.fitted.satterthwaite import of_denominator


@pytest.mark.parametrize("name", SAID["models"])
def test_anova_is_that_of_lmertest(name):
    said, table = SAID["models"][name]["anova"], fits()[name].anova()
    assert list(table.columns) == ["F", "df1", "df2", "p"] and table.index.name == "term"
    assert table.index.tolist() == np.atleast_1d(said["term"]).tolist()
    for column in table.columns:
        theirs = np.atleast_1d(said[column])
        assert table[column].to_numpy() == pytest.approx(theirs, rel=1e-5), column


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ C(f, contr.sum) * k + x + (1 | g)",
        "y ~ C(f, contr.helmert) * C(k, contr.sum) + x + (1 | g)",
        "y ~ C(f, levels=['c', 'a', 'b']) * C(k, contr.poly) + x + (1 | g)",
        "y ~ x + k * f + (1 | g)",
        "y ~ 2:f + k + f:k + x + (1 | g)",
    ],
)
def test_the_coding_does_not_matter(formula):
    ours, table = fits()["intercepts"].anova(), lmer(formula, FACTORIAL).anova()
    for F, df1, p in ours[["F", "df1", "p"]].to_numpy():
        near = np.abs(table["F"] - F).argmin()
        assert table[["F", "df1"]].iloc[near].tolist() == pytest.approx([F, df1], rel=1e-7)
        assert table["p"].iloc[near] == pytest.approx(p, rel=0.01)  # df2 knows the first level


@pytest.mark.parametrize("f", ["f", "C(f, contr.helmert)"])
def test_hypotheses_are_about_equal_averages_of_cells(f):
    """L alpha, from predictions in every cell: no algebra of codings."""
    model = lmer(f"y ~ {f} * k * x + (1 | g)", FACTORIAL)
    cells = pd.DataFrame(
        [(a, b, x) for a in "abc" for b in "uv" for x in (0.0, 1.0)], columns=["f", "k", "x"]
    )
    X = model.design.fixed.columns(cells).reshape(3, 2, 2, -1)
    at_zero, slope = X[:, :, 0], X[:, :, 1] - X[:, :, 0]
    wanted = {
        f: np.diff(at_zero.mean(axis=1), axis=0),
        "k": np.diff(at_zero.mean(axis=0), axis=0),
        "x": slope.mean(axis=(0, 1))[None],
        f"{f}:k": np.diff(np.diff(at_zero, axis=0), axis=1).reshape(2, -1),
        f"{f}:x": np.diff(slope.mean(axis=1), axis=0),
        "k:x": np.diff(slope.mean(axis=0), axis=0),
        f"{f}:k:x": np.diff(np.diff(slope, axis=0), axis=1).reshape(2, -1),
    }
    table = model.anova()
    assert set(table.index) == set(wanted)
    for term, L in wanted.items():
        by_hand = model.contrast(L)
        assert table.loc[term, ["F", "df1"]].tolist() == pytest.approx([by_hand.F, len(L)])


def test_an_outer_factor_is_averaged_over_the_inner_one():
    """lmerTest tests f of f / k at the first level of k; here as everywhere it is averaged."""
    model = lmer("y ~ f / k + (1 | g)", FACTORIAL)
    table = model.anova()
    averaged = ["fb + fb:kv / 2 - fa:kv / 2", "fc + fc:kv / 2 - fa:kv / 2"]
    assert table.loc["f", "F"] == pytest.approx(model.contrast(averaged).F)
    assert table.loc["f:k", "F"] == pytest.approx(model.contrast(["fa:kv", "fb:kv", "fc:kv"]).F)


def test_splines_are_one_term_and_an_intercept_is_none():
    model = lmer("y ~ bs(x, df=4) * k + (1 | g)", FACTORIAL)
    table = model.anova()
    assert table["df1"].tolist() == [4, 1, 4]
    last = [name for name in model.names if ":" in name]
    rows = np.eye(len(model.fixed))[[model.names.index(name) for name in last]]
    assert table["F"].iloc[2] == pytest.approx(model.contrast(rows).F)
    none = lmer("y ~ 1 + (1 | g)", FACTORIAL).anova()
    assert len(none) == 0 and list(none.columns) == ["F", "df1", "df2", "p"]


def test_anova_in_polars():
    table = lmer("y ~ f * k + x + (1 | g)", pl.from_pandas(FACTORIAL)).anova()
    assert table.columns == ["term", "F", "df1", "df2", "p"]
    assert table["F"].to_list() == pytest.approx(fits()["intercepts"].anova()["F"].tolist())


def test_degrees_of_freedom_of_a_denominator():
    assert of_denominator(np.array([7.0])) == 7 and of_denominator(np.array([7.0, 7.0])) == 7
    # an F with this df2 has the mean of the two squares of t
    df2 = of_denominator(np.array([5.0, 11.0]))
    assert df2 / (df2 - 2) == pytest.approx((5 / 3 + 11 / 9) / 2)
    assert of_denominator(np.array([1.5, 11.0])) == 2
    assert of_denominator(np.array([np.inf, np.inf])) == np.inf
    assert of_denominator(np.array([np.inf, 4.0])) == pytest.approx(2 * 3 / 1)


def test_a_fit_without_a_formula_has_no_terms():
    g = np.repeat(np.arange(5), 4)
    model = fit(np.arange(20.0) % 7 + g, np.ones((20, 1)), Term(g))
    for call in (model.anova, lambda: model.means("f")):
        with pytest.raises(InputError, match="has no formula") as refusal:
            call()
        assert "contrast(L)" in refusal.value.remedy


def test_a_fit_without_fixed_effects_has_a_table_without_rows():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=24) + rng.normal(size=6).repeat(4)})
    data["g"] = np.arange(6).repeat(4)
    for method in ("satterthwaite", "kenward-roger"):
        assert lmer("y ~ 0 + (1 | g)", data).anova(method).shape == (0, 4)
