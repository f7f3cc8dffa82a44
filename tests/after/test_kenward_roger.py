"""Kenward and Roger's method against pbkrtest, and against n x n matrices."""

import numpy as np
import pytest
from saturated import problem
from witness import SAID, covariance, fits

from mixhier_lite import Gram, InputError, Term, fit, lmer

METHOD = "kenward-roger"


@pytest.mark.parametrize("name", SAID["kenward_roger"])
def test_standard_errors_and_degrees_of_freedom_are_those_of_pbkrtest(name):
    said, model = SAID["kenward_roger"][name], fits()[name]
    each = model.contrast(np.eye(len(model.fixed)), method=METHOD)
    assert each.se == pytest.approx(said["se"], rel=1e-6)
    assert each.df == pytest.approx(said["df"], rel=1e-6)
    table = model.anova(method=METHOD)
    for column in table.columns:
        theirs = np.atleast_1d(said["anova"][column])
        assert table[column].to_numpy() == pytest.approx(theirs, rel=1e-5), column


def _dense(model):
    """Phi, its enlarged form, P and W from the matrices of every entry of Sigma, and the noise."""
    rows, X = model.rows, model.rows.X @ CENTRED
    V, changes = covariance(model), []
    for t, i, j in model.cells:
        term, block = rows.terms[t], model.gram.blocks[t]
        Z = np.ones((model.n, 1)) if term.Z is None else term.Z
        if block.correlated and block.q == 2:
            Z = Z @ CENTRED[:2, :2]
        K = np.eye(block.J) if block.K is None else block.K
        E = np.zeros((block.q, block.q))
        E[i, j] = E[j, i] = 1
        changes.append((Z @ E @ Z.T) * K[np.ix_(term.codes, term.codes)])
    if model.known_tau2 is None:
        changes.append(np.diag(1 / (np.ones(model.n) if rows.weights is None else rows.weights)))
    inverse = np.linalg.inv(V)
    Phi = np.linalg.inv(X.T @ inverse @ X)
    on_contrasts = inverse - inverse @ X @ Phi @ X.T @ inverse
    P = [-X.T @ inverse @ C @ inverse @ X for C in changes]
    information = [
        [np.trace(on_contrasts @ a @ on_contrasts @ b) / 2 for b in changes] for a in changes
    ]
    W = np.linalg.inv(information)
    inner = np.zeros_like(Phi)
    for r, a in enumerate(changes):
        for s, b in enumerate(changes):
            Q = X.T @ inverse @ a @ inverse @ b @ inverse @ X
            inner += W[r, s] * (Q - P[r] @ Phi @ P[s])
    return Phi, Phi + 2 * Phi @ inner @ Phi, P, W


RNG = np.random.default_rng(9)
g, h = np.repeat(np.arange(7), [2, 3, 4, 5, 6, 4, 6]), np.arange(30) % 4
x = 1900 + RNG.normal(size=30)
X = np.column_stack([np.ones(30), x, h == 1])
y = RNG.normal(size=7)[g] + 0.8 * RNG.normal(size=7)[g] * (x - 1900) + RNG.normal(size=30)
M = RNG.normal(size=(7, 14))
CENTRED = np.array([[1.0, -1900.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
MODELS = {
    "slopes far from zero, weighted": fit(y, X, Term(g, X[:, :2]), weights=1.0 + h),
    "uncorrelated": fit(y, X, Term(g, np.column_stack([np.ones(30), x - 1900]), correlated=False)),
    "related and crossed": fit(y, X, [Term(g, K=M @ M.T / 14), Term(h)]),
    "known noise": fit(y, X, Term(g), tau2=0.7),
    "on the boundary": fit(y, X, Term(h)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_gram_says_what_the_rows_do(name):
    """Single coefficients by their formula, df = 2 (l'Phi l)^2 / Var(l'Phi l)."""
    model = MODELS[name]
    Phi, adjusted, P, W = _dense(model)
    L = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1900.0, 0.5]])
    found = model.contrast(L, method=METHOD)
    L = L @ CENTRED
    assert found.cov == pytest.approx(L @ adjusted @ L.T, rel=1e-5, abs=1e-7)
    for row, df in zip(L, found.df, strict=True):
        slope = np.array([row @ Phi @ change @ Phi @ row for change in P])
        assert df == pytest.approx(2 * (row @ Phi @ row) ** 2 / (slope @ W @ slope), rel=1e-5)


def test_means_and_a_gram_will_do():
    model = fits()["intercepts"]
    rows = model.rows
    alone = fit(Gram.from_arrays(rows.y, rows.X, rows.terms, names=model.names))
    ours, theirs = (m.contrast("fb - fc", method=METHOD) for m in (model, alone))
    assert ours.t == pytest.approx(theirs.t) and ours.method == METHOD
    means = model.means("f", method=METHOD)
    assert means.contrast("b - c").df == pytest.approx(
        model.contrast("fb - fc + fb:kv / 2 - fc:kv / 2", method=METHOD).df
    )
    assert means.contrast().method == METHOD


def test_a_balanced_layout_has_the_f_test_of_its_analysis_of_variance():
    """Four treatments in six blocks: nothing is enlarged, and df2 is (4 - 1) (6 - 1)."""
    rng = np.random.default_rng(2)
    treatment, block = np.tile(np.arange(4), 6), np.repeat(np.arange(6), 4)
    X = (treatment[:, None] == np.arange(4)).astype(float)
    y = 2 * rng.normal(size=6)[block] + rng.normal(size=24)
    L = np.array([[1.0, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])
    found = fit(y, X, Term(block)).contrast(L, method=METHOD)
    table = y.reshape(6, 4)
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    between = 6 * table.mean(axis=0).var(ddof=1)
    assert found.F == pytest.approx(between / ((rest**2).sum() / 15))
    assert found.F_df == pytest.approx((3, 15))


def test_where_it_does_not_apply_it_says_so():
    wide = np.repeat(np.arange(501), 3)
    many = fit(RNG.normal(size=1503), np.ones((1503, 1)), Term(wide, RNG.normal(size=(1503, 2))))
    saturated = problem(5)
    none = fit(*saturated[:3], weights=saturated[3])
    for model, words in (
        (fits()["ml"], "a fit by ML"),
        (none, "estimated as zero"),
        (many, "1000 random effects at most"),
    ):
        with pytest.raises(InputError) as refusal:
            model.contrast(np.eye(len(model.fixed))[:1], method=METHOD)
        assert words in str(refusal.value)
    with pytest.raises(InputError, match="method is unknown"):
        lmer("y ~ 1 + (1 | g)", _frame()).anova(method="z")


def _frame():
    import pandas as pd

    return pd.DataFrame({"y": y, "g": g})
