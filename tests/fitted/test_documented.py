"""Documented examples of lme4, MixedModels.jl and statsmodels, and panels over calendar years."""

import sys

import numpy as np
import pytest
from conftest import ROOT

FOLDER = ROOT / "tests" / "reference" / "documented"
sys.path.insert(0, str(FOLDER))
import documented  # noqa: E402

ROWS = documented.SAID["rows"]
NAMES = [f"{row['data']}, {row['method']}, {row['program']}" for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_ours_is_the_truth_and_theirs_is_not_below_it(row):
    model = documented.ours(row["data"], row["formula"], row["method"])
    least = documented.truth(row)
    assert model.criterion == pytest.approx(least, abs=1e-7)
    assert model.certificate.ok
    if row["within"] is not None:
        assert row["criterion"] == pytest.approx(least, abs=row["within"])
    else:  # a search that ended elsewhere
        assert row["criterion"] > least + 10


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_number_says_where_it_comes_from(row):
    assert row["program"] in documented.SAID["about"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_panel_is_the_same_from_its_own_middle(seed):
    from mixhier_lite import lmer

    data = documented.panel(seed)
    far = documented.ours(f"panel {seed}", "y ~ year + (year | g)", "REML")
    near = lmer("y ~ year + (year | g)", data.assign(year=data["year"] - 2005))
    assert far.criterion == pytest.approx(near.criterion, abs=1e-8)
    assert far.fixed[1] == pytest.approx(near.fixed[1], rel=1e-8)
    assert far.fixed_se[1] == pytest.approx(near.fixed_se[1], rel=1e-8)
    to_near = np.array([[1.0, 2005.0], [0.0, 1.0]])
    assert to_near @ far.Sigma[0] @ to_near.T == pytest.approx(near.Sigma[0], rel=1e-5)


def test_the_oracle_of_the_truth_is_the_criterion_of_the_fits():
    data = documented.panel(1)
    X = np.column_stack([np.ones(220), data["year"] - 2005])
    from mixhier_lite import Term, fit

    for method in ("REML", "ML"):
        model = fit(data["y"], X, Term(data["g"], X), method)
        groups = data["g"].to_numpy()
        value = documented.likelihood(data["y"].to_numpy(), X, X, groups, model.T[0], method)
        assert model.criterion == pytest.approx(value, abs=1e-8)


def test_the_table():
    table = documented.table()
    assert len(table) == len(ROWS) and table["ours - truth"].abs().max() < 1e-7
    worst = table.groupby("program")["theirs - truth"].max()
    assert worst["statsmodels 0.15.0"] > 100 and worst["MixedModels.jl"] < 1e-6
