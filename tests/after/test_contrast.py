"""Linear combinations of the fixed effects against lmerTest, metafor, algebra and simulation."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from saturated import problem
from witness import BCG, FACTORIAL, SAID, covariance, fits

from mixhier_lite import Gram, InputError, Term, datasets, fit, lmer
from mixhier_lite.after.combination import read
from mixhier_lite.fitted.satterthwaite import is_cheap
from mixhier_lite.variance.assembly import assemble

COLUMNS = ["estimate", "se", "df", "t", "p", "lower", "upper"]


@pytest.mark.parametrize("name", SAID["models"])
def test_the_table_is_that_of_lmertest(name):
    said, model = SAID["models"][name], fits()[name]
    table = model.table()
    assert list(table.columns) == COLUMNS and list(table.index) == list(model.names)
    for column in ("estimate", "se", "df", "t"):
        assert table[column].to_numpy() == pytest.approx(np.array(said[column]), rel=1e-6)
    assert table["p"].to_numpy() == pytest.approx(np.array(said["p"]), rel=1e-5)
    one_by_one = model.contrast(np.eye(len(model.fixed))).table()
    assert one_by_one.to_numpy() == pytest.approx(table.to_numpy(), rel=1e-9)


@pytest.mark.parametrize("name", SAID["several"])
def test_several_rows_at_once_as_lmertest(name):
    said, model = SAID["several"][name], fits()[name]
    found = model.contrast(np.eye(len(model.fixed))[said["rows"]])
    assert found.F == pytest.approx(said["F"], rel=1e-6)
    assert found.F_df == pytest.approx((said["df1"], said["df2"]), rel=1e-6)
    assert found.F_p == pytest.approx(said["p"], rel=1e-6)


def test_a_combination_is_itself_whatever_the_columns_are():
    """The same question of the same model in other columns of X."""
    model = fits()["intercepts"]
    rows, p = model.rows, len(model.fixed)
    B = np.random.default_rng(3).normal(size=(p, p))
    other = fit(rows.y, rows.X @ B, rows.terms)
    L = np.random.default_rng(4).normal(size=(3, p))
    one, two = model.contrast(L), other.contrast(L @ B)
    for value in ("estimate", "se", "df", "t", "p", "F"):
        assert getattr(one, value) == pytest.approx(getattr(two, value), rel=1e-7)
    assert one.F_df == pytest.approx(two.F_df)
    VX = np.linalg.solve(covariance(model), rows.X)
    assert one.cov == pytest.approx(L @ np.linalg.solve(rows.X.T @ VX, L.T), rel=1e-8)
    assert one.F == pytest.approx(one.estimate @ np.linalg.solve(one.cov, one.estimate) / 3)


def test_dependent_rows_are_counted_once():
    model = fits()["intercepts"]
    L = np.eye(7)[[1, 2]]
    twice = model.contrast(np.vstack([L, L[0] - L[1], 1e-6 * L[1]]))
    once = model.contrast(L)
    assert twice.F == pytest.approx(once.F, rel=1e-7) and twice.F_df[0] == 2
    assert twice.t[3] == pytest.approx(once.t[1])


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("Days", [0, 1, 0, 0, 0]),
        ("Days - 2", [0, 1, 0, 0, -2]),
        ("Days = 2", [0, 1, 0, 0, -2]),
        ("(Intercept) + 10 * Days", [1, 10, 0, 0, 0]),
        ("`(Intercept)` + Days*10", [1, 10, 0, 0, 0]),
        ("-(fb - fb:Days) / 2 + 1e-1", [0, 0, -0.5, 0.5, 0.1]),
        ("fb:Days-Days", [0, -1, 0, 1, 0]),
        ("fb + -2 * Days", [0, -2, 1, 0, 0]),
        (" 2 * (3 * Days + 1) - - .5 ", [0, 6, 0, 0, 2.5]),
        ("3 / 4 = fb = ", None),
        ("Days fb", None),
        ("Days * fb", None),
        ("1 / Days", None),
        ("Days / 0", None),
        ("Day", None),
        ("Days2", None),
        ("(Days", None),
        ("", None),
        ("Days +", None),
        ("1e400 * Days", None),
        ("(" * 10_000, None),
        ("(" * 200 + "Days" + ")" * 200, None),
        ("x" * 20_000, None),
    ],
)
def test_combinations_are_read(text, row):
    names = ["(Intercept)", "Days", "fb", "fb:Days"]
    if row is not None:
        assert read(text, names) == pytest.approx(row)
        return
    with pytest.raises(InputError) as refusal:
        read(text, names)
    assert "cannot be read" in refusal.value.wrong and len(str(refusal.value)) < 500


def test_every_form_of_a_combination():
    model = fits()["sleepstudy"]
    L = np.array([[0.0, 1.0], [1.0, 5.0]])
    forms = [
        L,
        L.tolist(),
        ["Days", "(Intercept) + 5 * Days"],
        [{"Days": 1}, {"(Intercept)": 1, "Days": np.float32(5)}],
        {"slope": "Days", "at 5": {"(Intercept)": 1, "Days": 5}},
        {"slope": [0, 1], "at 5": np.array([1, 5])},
    ]
    for form in forms:
        assert np.array_equal(model.contrast(form).L, L)
    assert model.contrast(forms[4]).names == ("slope", "at 5")
    assert model.contrast(L).names == ("Days", "(Intercept) + 5 Days")
    assert model.contrast({"Days": -1.5}).names == ("-1.5 Days",)
    assert model.contrast(L, ["a", "b"]).names == ("a", "b")
    assert model.contrast(L[0]).estimate == pytest.approx(model.fixed[1:])
    against = model.contrast("Days - 10")
    assert against.estimate == pytest.approx(model.fixed[1:] - 10)
    assert against.se == pytest.approx(model.fixed_se[1:])


@pytest.mark.parametrize(("test", "formula"), [("", "yi ~ 1"), ("_ablat", "yi ~ ablat")])
def test_meta_analysis_is_that_of_metafor(test, formula):
    model = lmer(f"{formula} + (1 | trial)", BCG, tau2=1, weights=1 / BCG["vi"])
    by_z, by_t = SAID["metafor"]["z" + test], SAID["metafor"]["knha" + test]
    each = np.eye(len(model.fixed))
    assert model.Sigma[0][0, 0] == pytest.approx(by_z["tau2"], rel=1e-6)
    assert model.fixed == pytest.approx(np.ravel(by_z["estimate"]), rel=1e-6)
    assert model.fixed_se == pytest.approx(np.ravel(by_z["se"]), rel=1e-6)
    corrected = model.contrast(each, method="knapp-hartung")
    assert corrected.se == pytest.approx(np.ravel(by_t["se"]), rel=1e-6)
    assert corrected.p == pytest.approx(np.ravel(by_t["p"]), rel=1e-6)
    ends = np.column_stack([np.ravel(by_t["lower"]), np.ravel(by_t["upper"])])
    assert corrected.interval() == pytest.approx(ends, rel=1e-6)
    last = model.contrast(each[-1], method="knapp-hartung")
    assert last.F == pytest.approx(by_t["QM"], rel=1e-6)
    assert last.F_df == (1, 13 - len(each)) and last.F_p == pytest.approx(by_t["QMp"], rel=1e-6)


def test_the_mean_of_a_new_study_is_that_of_metafor():
    model = lmer("yi ~ 1 + (1 | trial)", BCG, tau2=1, weights=1 / BCG["vi"])
    new = model.predict(BCG[["trial"]].assign(trial=99), new_groups="population")
    interval = new.interval(of="group")[0]
    assert interval == pytest.approx(SAID["metafor"]["z"]["new"], rel=1e-6)


def test_known_noise_the_boundary_and_no_noise():
    rng = np.random.default_rng(1)
    g, X = np.repeat(np.arange(6), 5), np.column_stack([np.ones(30), rng.normal(size=30)])
    y = rng.normal(size=(6, 5))
    y = (y - y.mean(axis=1, keepdims=True)).ravel()  # levels that differ by less than noise would
    flat = fit(y, X, Term(g))
    assert flat.singular
    table = flat.table()
    assert table["df"].to_numpy() == pytest.approx([28, 28])  # what least squares says
    assert "taken as known" in flat.summary()
    known = fit(y, X, Term(g), tau2=4.0)
    assert known.singular and np.isinf(known.table()["df"]).all()
    assert "noise that is known" in known.summary()
    y, X, terms, weights = problem(5)
    none = fit(y, X, terms, weights=weights)
    each = none.contrast(np.eye(len(none.fixed)))
    assert none.tau2 == 0 and each.df == pytest.approx(none.satterthwaite().df)
    assert each.se == pytest.approx(none.fixed_se)


def test_z_where_t_would_cost_more_and_t_on_demand():
    crossed = lmer("y ~ f + (1 | g) + (1 | h)", _many())
    assert not is_cheap(crossed)
    table = crossed.table()
    assert np.isinf(table["df"]).all() and "df=True" in crossed.summary()
    by_t = crossed.table(df=True)
    assert (by_t["df"] < 1000).all() and "Satterthwaite" in crossed.summary(df=True)
    assert (by_t["p"] > table["p"]).all()
    small = fits()["sleepstudy"]
    assert np.isinf(small.table(df=False)["df"]).all()
    assert small.table(df=False)["lower"].to_numpy() == pytest.approx(small.interval()[:, 0])
    assert small.table(0.5)["upper"].to_numpy() == pytest.approx(
        small.satterthwaite().interval(0.5)[:, 1]
    )


def _many():
    """Crossed factors with more levels than one dense matrix is made of."""
    rng = np.random.default_rng(2)
    g, h = rng.integers(0, 200, 900), rng.integers(0, 90, 900)
    y = rng.normal(size=200)[g] + rng.normal(size=90)[h] + rng.normal(size=900)
    return pd.DataFrame({"y": y, "g": g, "h": h, "f": np.tile(list("abc"), 300)})


@pytest.mark.parametrize("name", ["sleepstudy", "crossed", "slopes", "many", "related"])
def test_what_is_cheap_is_what_the_engine_has_exactly(name):
    rng = np.random.default_rng(5)
    if name == "many":
        model = lmer("y ~ f + (1 | g) + (1 | h)", _many())
    elif name == "related":
        K, g = np.eye(9) + 0.3, np.repeat(np.arange(9), 4)
        Z = np.column_stack([np.ones(36), rng.normal(size=36)])
        model = fit(rng.normal(size=36) + g, Z, Term(g, Z, K=K))
    else:
        model = fits()[name]
    exact = assemble(model.gram, model.reml, model.known_tau2).criterion.exact
    assert is_cheap(model) == exact


def test_a_gram_is_enough():
    model = fits()["intercepts"]
    rows = model.rows
    alone = fit(Gram.from_arrays(rows.y, rows.X, rows.terms, names=model.names))
    assert alone.contrast("fb - fc").df == pytest.approx(model.contrast("fb - fc").df)
    assert alone.table().equals(model.table())


@pytest.mark.slow
def test_p_values_are_uniform_where_the_hypothesis_holds():
    """Six groups, unbalanced: far too few for z."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(6), [2, 3, 4, 4, 5, 8])
    X = np.column_stack([np.ones(26), (g < 3).astype(float)])
    p_of_t, p_of_z = np.empty((2, 400))
    for k in range(400):
        y = 2 * rng.normal(size=6)[g] + rng.normal(size=26)
        model = fit(y, X, Term(g))
        p_of_t[k] = model.contrast([0, 1]).p[0]
        p_of_z[k] = model.table(df=False)["p"].iloc[1]
    error = np.sqrt(0.05 * 0.95 / 400)
    assert abs((p_of_t < 0.05).mean() - 0.05) < 3 * error < (p_of_z < 0.05).mean() - 0.05


@pytest.mark.slow
def test_tables_come_back_in_the_kind_that_went_in():
    plain = FACTORIAL.drop(columns="w")
    model = fits()["intercepts"]
    profile = model.profile().table()
    for frame in (pl.from_pandas(plain), pa.Table.from_pandas(plain)):
        other = lmer("y ~ f * k + x + (1 | g)", frame)
        for table, wanted in (
            (other.table(), model.table()),
            (other.contrast("fb - fc").table(), model.contrast("fb - fc").table()),
            (other.random_table(), model.random_table()),
            (other.profile().table(), profile),
        ):
            assert type(table) is type(frame)
            as_pandas = table.to_pandas() if isinstance(table, pa.Table) else None
            rows = (
                as_pandas.to_dict("list")
                if as_pandas is not None
                else table.to_dict(as_series=False)
            )
            first, *rest = rows
            assert first == wanted.index.name and rows[first] == wanted.index.tolist()
            for name in rest:
                assert rows[name] == pytest.approx(wanted[name].tolist(), rel=1e-6)


def test_refusals_name_the_remedy():
    model = fits()["sleepstudy"]
    none = fit(*problem_without_X())
    for call, words in (
        (lambda: model.contrast("days"), "cannot be read"),
        (lambda: model.contrast({"days": 1}), "no coefficient has this name"),
        (lambda: model.contrast([[1.0, 2.0, 3.0]]), "does not match the fixed effects"),
        (lambda: model.contrast([0, 0]), "nothing to estimate"),
        (lambda: model.contrast("Days - Days"), "nothing to estimate"),
        (lambda: model.contrast([]), "L"),
        (lambda: model.contrast({}), "nothing to estimate"),
        (lambda: model.contrast("Days", ["a", "b"]), "names do not match"),
        (lambda: model.contrast("Days", "a"), "not a list of names"),
        (lambda: model.contrast("Days", method="kr"), "method is unknown"),
        (lambda: model.contrast("Days", method="knapp-hartung"), "noise that is known"),
        (lambda: model.contrast("Days").interval(95), "coverage"),
        (lambda: model.table(df="yes"), "neither true nor false"),
        (lambda: model.summary(df=1), "neither true nor false"),
        (lambda: none.contrast([1.0]), "no fixed effects"),
    ):
        with pytest.raises(InputError) as refusal:
            call()
        assert words in str(refusal.value), str(refusal.value)


def problem_without_X():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(5), 4)
    return rng.normal(size=20) + g, np.empty((20, 0)), Term(g)


def test_the_intercept_of_years_is_known_as_well_as_they_let_it():
    """A covariate far from zero: the answer at its middle does not lose its digits."""
    data = datasets.load("sleepstudy")
    data["year"] = data["Days"] + 2000.0
    far = lmer("Reaction ~ year + (year | Subject)", data).contrast("(Intercept) + 2005 * year")
    near = fits()["sleepstudy"].contrast("(Intercept) + 5 * Days")
    for value in ("estimate", "se", "df"):
        assert getattr(far, value) == pytest.approx(getattr(near, value), rel=1e-7)
