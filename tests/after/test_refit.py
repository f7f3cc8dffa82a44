"""Fitting again: another response, another method, and several models side by side."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from saturated import problem
from scipy.stats import chi2
from witness import FACTORIAL, SAID, fits

from mixhier_lite import Gram, InputError, Term, compare, datasets, fit, lmer


def _same(a, b):
    return a.criterion == pytest.approx(b.criterion, abs=1e-9) and a.fixed == pytest.approx(b.fixed)


@pytest.mark.parametrize("name", ["sleepstudy", "crossed", "weighted", "ml"])
def test_refit_is_a_fit_of_the_new_response(name):
    model = fits()[name]
    rows = model.rows
    y = model.simulate(np.random.default_rng(1))
    again = model.refit(y)
    direct = fit(y, rows.X, rows.terms, model.method, rows.weights)
    assert _same(again, direct) and again.names == model.names and again.formula == model.formula
    assert again.residuals == pytest.approx(direct.residuals)
    assert _same(again.refit(rows.y), model)
    before = y.copy()
    y += 1.0  # nothing of the caller's is kept
    assert np.array_equal(again.rows.y, before)


def test_refit_keeps_what_the_formula_knows_and_the_known_noise():
    data = FACTORIAL.copy()
    data.loc[3, "x"] = np.nan
    model = lmer("y ~ f + x + (1 | g)", data, tau2=1.0)
    again = model.refit(np.arange(95.0) % 4)
    assert again.tau2 == again.known_tau2 == 1 and len(again.rows_table()) == 96
    assert again.means("f").estimate.shape == (3,) and again.predict(data).mean.shape == (96,)
    with pytest.raises(InputError, match="95 values"):
        model.refit(np.arange(96.0))


def test_update_changes_the_method_only():
    model = fits()["intercepts"]
    other = model.update(method="ML")
    assert _same(other, fits()["ml"]) and other.method == "ML"
    assert _same(other.update(method="REML"), model)
    assert other.anova().equals(fits()["ml"].anova())  # nothing of the old fit is left over
    alone = fit(Gram.from_arrays(model.rows.y, model.rows.X, model.rows.terms))
    assert _same(alone.update(method="ML"), other)
    y, X, terms, weights = problem(5)
    none = fit(y, X, terms, weights=weights)
    assert none.tau2 == 0 and _same(none.update(method="REML"), none)


def test_several_models_as_lme4_compares_them():
    said = SAID["compare"]
    formulas = ["y ~ f + k + (1 | g)", "y ~ f * k + x + (1 | g)", "y ~ k + (1 | g)"]
    table = compare(*[lmer(formula, FACTORIAL) for formula in formulas])
    assert table.index.tolist() == [formulas[2], formulas[0], formulas[1]]
    assert table["method"].tolist() == ["ML"] * 3
    pairs = {"parameters": "parameters", "aic": "aic", "bic": "bic", "criterion": "deviance"}
    for ours, theirs in pairs.items():
        assert table[ours].to_numpy() == pytest.approx(said[theirs], rel=1e-8), ours
    for column in ("statistic", "df", "p"):
        assert np.isnan(table[column].iloc[0])
        assert table[column].to_numpy()[1:] == pytest.approx(said[column][1:], rel=1e-6)


def test_two_fits_by_reml_with_other_columns_are_fitted_again():
    small, large = fits()["intercepts"], lmer("y ~ f + k + (1 | g)", FACTORIAL)
    found = compare(small, large)
    by_hand = compare(small.update(method="ML"), large.update(method="ML"))
    assert found.method == "ML" and "again by ML" in found.note and "again" not in by_hand.note
    assert found.statistic == pytest.approx(by_hand.statistic) and found.df == 3
    mixed = compare(fits()["ml"], large)
    assert mixed.statistic == pytest.approx(found.statistic)


def test_the_note_says_the_p_value_of_the_boundary():
    """Which variance is new is read from names; the mixture is scipy's chi-squared."""
    data = datasets.load("sleepstudy")
    odd = data["Subject"].astype(int) % 2 == 1
    data["a"], data["b"] = odd * 1.0, ~odd * 1.0
    bars = ("1 | Subject", "Days || Subject", "Days | Subject", "0 + Days | Subject")
    level, apart, slopes, alone = (lmer(f"Reaction ~ Days + ({bar})", data) for bar in bars)
    two = lmer("Reaction ~ Days + (0 + a | Subject) + (0 + b | Subject)", data)
    for small, large, ranks in (
        (level, apart, (1,)),
        (alone, apart, (1,)),
        (level, slopes, (1, 2)),
    ):
        found = compare(small, large)
        p = sum(chi2.sf(found.statistic, rank) for rank in ranks) / 2
        assert found.note.startswith(f"p = {p:.2g} by the mixture for a variance on the boundary")
        assert f"half chi-squared with {found.df - 1} and half with {found.df}" in found.note
    assert "none lies on the boundary" in compare(apart, slopes).note
    assert "If variances" in compare(level, two).note  # two variances in place of one
    assert chi2.sf(compare(level, two).statistic, 1) == pytest.approx(compare(level, two).p_value)
    batches = datasets.load("Dyestuff2").assign(half=list("ab") * 15)
    zero = lmer("Yield ~ 1 + (1 | Batch)", batches)
    assert "If variances" in compare(zero, lmer("Yield ~ 1 + (1 | Batch/half)", batches)).note
    penicillin = datasets.load("Penicillin")
    samples = lmer("diameter ~ 1 + (1 | sample)", penicillin)
    found = compare(samples, lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin))
    p = chi2.sf(found.statistic, 1) / 2
    assert found.note.startswith(f"p = {p:.2g} ") and "half with 1 degrees" in found.note


def test_fits_by_reml_with_the_same_columns_stay():
    data = datasets.load("sleepstudy")
    small = lmer("Reaction ~ Days + (1 | Subject)", data)
    middle = lmer("Reaction ~ Days + (Days || Subject)", data)
    table = compare(fits()["sleepstudy"], small, middle)
    assert table["method"].tolist() == ["REML"] * 3 and table["df"].tolist()[1:] == [1, 1]
    assert table["statistic"].sum() == pytest.approx(small.criterion - 1743.62827, abs=1e-4)


def test_models_that_are_not_nested_stand_side_by_side_only():
    a, b = lmer("y ~ f + (1 | g)", FACTORIAL, "ML"), lmer("y ~ f + (1 | h)", FACTORIAL, "ML")
    table = compare(a, b, lmer("y ~ f + (1 | g) + (1 | h)", FACTORIAL, "ML"))
    assert table["p"].isna().tolist() == [True, True, False]
    with pytest.raises(InputError, match="equally many"):
        compare(a, b)


def test_other_rows_are_not_compared():
    a = lmer("y ~ f + (1 | g)", FACTORIAL)
    for other in (
        lmer("y ~ f + (1 | g)", FACTORIAL.iloc[1:]),
        lmer("I(2 * y) ~ f + (1 | g)", FACTORIAL),
        lmer("y ~ f + (1 | g)", FACTORIAL, weights="w"),
    ):
        with pytest.raises(InputError, match="same data"):
            compare(a, other)


def test_the_table_of_models_in_polars():
    data = pl.from_pandas(FACTORIAL)
    models = [lmer(f"y ~ {x} + (1 | g)", data) for x in ("1", "f", "f + k")]
    table = compare(*models)
    assert isinstance(table, pl.DataFrame) and table.columns[0] == "fit"
    arrays = [fit(m.rows.y, m.rows.X, Term(m.rows.terms[0].codes)) for m in models]
    plain = compare(*arrays)
    assert isinstance(plain, pd.DataFrame) and plain.index.tolist() == ["fit 1", "fit 2", "fit 3"]
    assert table["bic"].to_list() == pytest.approx(plain["bic"].tolist())


def test_models_whose_columns_are_not_the_others_are_not_nested():
    """More parameters and a lower criterion are not enough: f is no combination of x and z."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=len(FACTORIAL))
    data = FACTORIAL.assign(z=z, y=FACTORIAL.y + 3 * z)
    small, large = lmer("y ~ f + (1 | g)", data, "ML"), lmer("y ~ x * z + (1 | g)", data, "ML")
    assert large.criterion < small.criterion
    with pytest.raises(InputError, match="no special case") as refusal:
        compare(large, small)
    assert ", ".join(small.names[1:]) in str(refusal.value)
    both = lmer("y ~ f + x * z + (1 | g)", data, "ML")
    table = compare(small, large, both)
    assert np.isnan(table["p"].iloc[1]) and not np.isnan(table["p"].iloc[2])
    assert table["statistic"].iloc[2] == pytest.approx(large.criterion - both.criterion)
    turned = lmer("y ~ I(x + z) + I(x - z) + (1 | g)", data, "ML")
    assert compare(turned, large).df == 1
    assert compare(fit(small.gram), fit(both.gram)).df == len(both.fixed) - len(small.fixed)
