"""Fitted values, residuals and the influence of rows, by dense algebra, by deletion and by lme4."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from saturated import problem
from witness import FACTORIAL, SAID, covariance, fits

from mixhier_lite import Gram, InputError, Term, datasets, fit, lmer, pedigree_relatedness

COLUMNS = ["fitted", "population", "residual", "standardised", "leverage", "cook"]
RNG = np.random.default_rng(12)
g, h = np.repeat(np.arange(8), 4), np.tile(np.arange(4), 8)
x = 5 + RNG.standard_normal(32)
X = np.column_stack([np.ones(32), x])
y = x + RNG.standard_normal(8)[g] + 0.5 * RNG.standard_normal(4)[h] + RNG.standard_normal(32)
y += 1.5 * RNG.standard_normal(8)[g] * (x - 5)
A = pedigree_relatedness({k: (None, None) if k < 2 else (0, 1) for k in range(8)})
MODELS = {
    "intercept": fit(y, X, Term(g)),
    "slopes by ML, weighted": fit(y, X, Term(g, X), "ML", weights=1.0 + h),
    "crossed": fit(y, X, [Term(g), Term(h, X)]),
    "related": fit(y, X, Term(g, K=A)),
    "related, and crossed": fit(y, X, [Term(g, K=A), Term(h)]),
    "known noise": fit(y, X, Term(g), tau2=0.5, weights=1.0 + h),
    "on the boundary": fit(RNG.standard_normal(32), X, Term(g)),
    "a level without rows": fit(y, X, Term(g, levels=np.arange(10))),
}


@pytest.mark.parametrize("name", MODELS)
def test_fitted_values_are_predictions_of_the_rows(name):
    model = MODELS[name]
    table = model.rows_table()
    assert list(table.columns) == COLUMNS and len(table) == 32
    assert model.fitted == pytest.approx(model.predict(X, list(model.rows.terms)).mean, abs=1e-12)
    assert model.fitted + model.residuals == pytest.approx(model.rows.y, abs=1e-12)
    assert table["population"].to_numpy() == pytest.approx(X @ model.fixed)
    assert not model.fitted.flags.writeable and not model.residuals.flags.writeable


@pytest.mark.parametrize("name", MODELS)
def test_leverage_is_what_a_row_changes_of_its_own_fitted_value(name):
    """The variances stay as they are; y moves by one."""
    model = MODELS[name]
    V = covariance(model)
    noise = model.tau2 / (np.ones(32) if model.rows.weights is None else model.rows.weights)
    VX = np.linalg.solve(V, X)
    hat = X @ np.linalg.solve(X.T @ VX, VX.T)
    hat = hat + (V - np.diag(noise)) @ np.linalg.solve(V, np.eye(32) - hat)
    table = model.rows_table()
    assert hat @ model.rows.y == pytest.approx(model.fitted, rel=1e-8)
    assert table["leverage"].to_numpy() == pytest.approx(np.diag(hat), rel=1e-8)
    own_error = (np.eye(32) - hat) @ V @ (np.eye(32) - hat).T
    standardised = model.residuals / np.sqrt(np.diag(own_error))
    assert table["standardised"].to_numpy() == pytest.approx(standardised, rel=1e-7)


def _effects(V, X, y, ZL):
    """alpha_hat, and u of beta_tilde = L u, with known variances."""
    VX = np.linalg.solve(V, X)
    alpha = np.linalg.solve(VX.T @ X, VX.T @ y)
    return np.append(alpha, ZL.T @ np.linalg.solve(V, y - X @ alpha))


@pytest.mark.parametrize("name", ["intercept", "slopes by ML, weighted", "known noise"])
def test_influence_is_what_really_happens_without_the_row(name):
    """The row is deleted, and all effects are found again from the other rows."""
    model = MODELS[name]
    table, V = model.rows_table(), covariance(model)
    w = np.ones(32) if model.rows.weights is None else model.rows.weights
    columns = np.ones((32, 1)) if model.rows.terms[0].Z is None else X
    q = columns.shape[1]
    Z = np.zeros((32, 8 * q))
    for i in range(32):
        Z[i, g[i] * q : (g[i] + 1) * q] = columns[i]
    ZL = Z @ np.kron(np.eye(8), model.roots[0])
    both = np.column_stack([X, ZL])
    # what the data say of alpha and u, and that u has variance one
    precision = both.T @ (w[:, None] * both) / model.tau2
    precision[2:, 2:] += np.eye(8 * q)
    whole = _effects(V, X, y, ZL)
    for i in range(32):
        rest = np.arange(32) != i
        other = _effects(V[np.ix_(rest, rest)], X[rest], y[rest], ZL[rest])
        missed = y[i] - both[i] @ other
        assert table["residual"][i] / (1 - table["leverage"][i]) == pytest.approx(missed, rel=1e-8)
        cook = (whole - other) @ precision @ (whole - other) / 2
        assert table["cook"][i] == pytest.approx(cook, rel=1e-7)


@pytest.mark.parametrize("name", SAID["models"])
def test_rows_as_lme4_has_them(name):
    said, table = SAID["models"][name], fits()[name].rows_table()
    rounding = 1e-8 * np.abs(said["fitted"]).max()
    for column in ("fitted", "population", "residual", "leverage", "cook"):
        theirs = np.array(said[column])
        assert table[column].to_numpy() == pytest.approx(theirs, rel=1e-6, abs=rounding), column


def test_without_noise_rows_are_fitted_and_influence_has_its_limit():
    y, X, terms, weights = problem(5)
    model = fit(y, X, terms, weights=weights)
    assert model.tau2 == 0
    table = model.rows_table()
    assert table["residual"].abs().max() < 1e-8 * np.abs(y).max()
    assert (table["leverage"] == 1).all() and np.isinf(table["cook"]).all()
    # a little noise is close to none
    noisy = covariance(model) + 1e-7 * np.diag(model.Sigma[0].max() / np.asarray(weights))
    VX = np.linalg.solve(noisy, X)
    P = np.linalg.inv(noisy) - VX @ np.linalg.solve(X.T @ VX, VX.T)
    near = (P @ y) / np.sqrt(np.diag(P))
    assert table["standardised"].to_numpy() == pytest.approx(near, rel=1e-3, abs=1e-3)


def test_rows_that_decide_alone_and_models_without_fixed_effects():
    alone = np.column_stack([X, np.arange(32) == 7])
    table = fit(y, alone, Term(g)).rows_table()
    assert table["leverage"][7] == pytest.approx(1) and np.isnan(table["cook"][7])
    assert np.isnan(table["standardised"][7]) and table.drop(index=7).notna().all(axis=None)
    none = fit(y, np.empty((32, 0)), Term(g)).rows_table()
    assert none["cook"].isna().all() and none["standardised"].notna().all()


def test_rows_of_a_frame_are_its_own_and_missing_where_left_out():
    data = FACTORIAL.set_index(pd.Index([f"row {k}" for k in range(96)]))
    data.loc[["row 3", "row 90"], "x"] = np.nan
    formula = "y ~ x + (1 | g)"
    model = lmer(formula, data)
    table = model.rows_table()
    assert len(model.fitted) == 94 and len(table) == 96 and table.index.equals(data.index)
    assert table.isna().all(axis=1).tolist() == data["x"].isna().tolist()
    assert table["fitted"].to_numpy() == pytest.approx(model.predict(data).mean, nan_ok=True)
    assert table["residual"].dropna().to_numpy() == pytest.approx(model.residuals)
    plain = data.reset_index(drop=True)
    for frame in (pl.from_pandas(plain), pa.Table.from_pandas(plain)):
        other = lmer(formula, frame).rows_table()
        assert type(other) is type(frame)
        columns = other.columns if isinstance(other, pl.DataFrame) else other.column_names
        assert list(columns) == COLUMNS
        for name in COLUMNS:
            values = other[name].to_numpy()
            assert values == pytest.approx(table[name].to_numpy(), rel=1e-9, nan_ok=True)
            assert other[name].null_count == 2 if hasattr(other[name], "chunks") else True
        if isinstance(other, pl.DataFrame):
            assert other["cook"].null_count() == 2


def test_a_gram_has_no_rows():
    model = fit(Gram.from_arrays(y, X, Term(g)))
    for call in (lambda: model.fitted, lambda: model.residuals, model.rows_table):
        with pytest.raises(InputError, match="no rows") as refusal:
            call()
        assert "lmer with a formula" in refusal.value.remedy


def test_rows_of_a_saved_fit():
    import pickle

    data = datasets.load("sleepstudy")
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    again = pickle.loads(pickle.dumps(model))
    assert again.rows_table().equals(model.rows_table()) and not again.fitted.flags.writeable
