"""Columns that are combinations of others: refused by name, or dropped as lme4 drops them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from witness import FACTORIAL, HOLED, SAID

from mixhier_lite import InputError, lmer

FORMULA = "y ~ f * k + x + (1 | g)"


def test_an_empty_cell_is_dropped_as_lme4_drops_it():
    said, model = SAID["holed"], lmer(FORMULA, HOLED, aliased="drop")
    assert list(model.names) == said["names"] and model.aliased == ("fc:kv",)
    assert model.criterion == pytest.approx(said["criterion"], abs=1e-8)
    assert "before them: fc:kv" in model.summary() and "fc:kv" in model._repr_html_()
    table = model.means("f", by="k").table()
    for ours, theirs in {"estimate": "emmean", "se": "SE", "df": "df", "upper": "upper.CL"}.items():
        wanted = [np.nan if value == "NA" else value for value in said["means"][theirs]]
        assert table[ours].to_numpy() == pytest.approx(wanted, rel=1e-6, nan_ok=True)


def test_it_is_refused_by_name_otherwise():
    for options in ({}, {"aliased": "refuse"}):
        with pytest.raises(InputError, match="a linear dependence among fc:kv") as refusal:
            lmer(FORMULA, HOLED, **options)
        assert "aliased='drop'" in refusal.value.remedy
    for wrong in (None, True, "keep"):
        with pytest.raises(InputError, match="aliased is unknown"):
            lmer(FORMULA, HOLED, aliased=wrong)


def test_where_nothing_is_aliased_nothing_changes():
    plain, other = lmer(FORMULA, FACTORIAL), lmer(FORMULA, FACTORIAL, aliased="drop")
    assert other.aliased == () and np.array_equal(plain.fixed, other.fixed)
    years = FACTORIAL.assign(x=2e6 + FACTORIAL["x"])  # far from zero, but no constant
    assert lmer(FORMULA, years, aliased="drop").aliased == ()


def test_what_the_data_tell_is_told_and_the_rest_is_nan():
    """Answers do not depend on which columns were dropped: the levels in another order."""
    data = HOLED.assign(f=pd.Categorical(HOLED["f"], categories=["c", "b", "a"]))
    one, two = (lmer(FORMULA, d, aliased="drop") for d in (HOLED, data))
    assert one.aliased != two.aliased
    assert one.fitted == pytest.approx(two.fitted)
    seen, again = one.predict(FACTORIAL), two.predict(FACTORIAL)
    empty = ((FACTORIAL["f"] == "c") & (FACTORIAL["k"] == "v")).to_numpy()
    for found in (seen, again):
        assert np.array_equal(np.isnan(found.mean), empty)
        assert np.array_equal(np.isnan(found.var_new), empty)
    assert seen.mean == pytest.approx(again.mean, nan_ok=True)
    assert seen.var_mean == pytest.approx(again.var_mean, nan_ok=True)
    assert np.isnan(one.means("f").estimate).tolist() == [False, False, True]
    pairs = one.means("f", by="k").contrast()
    assert np.isnan(pairs.p).tolist() == [False] * 4 + [True] * 2 and np.isnan(pairs.F)


def test_every_kind_of_dependence():
    data = FACTORIAL.assign(double=2 * FACTORIAL["x"], shifted=FACTORIAL["x"] + 3, one=1.0)
    model = lmer("y ~ x + double + f + shifted + one + (1 | g)", data, aliased="drop")
    assert model.aliased == ("double", "shifted", "one")
    assert model.criterion == pytest.approx(lmer("y ~ x + f + (1 | g)", data).criterion)
    other = data.assign(double=5.0)  # outside of what the data told apart
    assert np.isnan(model.predict(other).mean).all()
    assert model.predict(data).mean == pytest.approx(model.fitted)


def test_hypotheses_of_empty_cells_are_refused_and_a_saved_fit_stays_itself():
    model = lmer(FORMULA, HOLED, aliased="drop")
    with pytest.raises(InputError, match="columns were dropped") as refusal:
        model.anova()
    assert "fc:kv" in refusal.value.got
    again = pickle.loads(pickle.dumps(model))
    assert again.aliased == model.aliased
    assert again.predict(FACTORIAL).mean == pytest.approx(
        model.predict(FACTORIAL).mean, nan_ok=True
    )
    assert model.update(method="ML").aliased == ("fc:kv",)
