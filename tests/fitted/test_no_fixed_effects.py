"""Models without fixed effects, ``y ~ 0 + (1 | g)``: right all the way."""

import numpy as np
import pandas as pd
import pytest

from mixhier_lite import Term, fit, integrate, lmer, sample

RNG = np.random.default_rng(0)
g, h = np.repeat(np.arange(8), 5), np.tile(np.arange(5), 8)
x = RNG.standard_normal(40)
y = RNG.standard_normal(40) + 2 * RNG.standard_normal(8)[g] + RNG.standard_normal(5)[h]
NONE = np.empty((40, 0))
Z = np.column_stack([np.ones(40), x])
K = 0.5 * np.eye(8) + 0.5
TERMS = {
    "intercepts": [Term(g)],
    "slopes": [Term(g, Z)],
    "independent slopes": [Term(g, Z, correlated=False)],
    "crossed": [Term(g), Term(h)],
    "related": [Term(g, K=K)],
    "related slopes": [Term(g, Z, K)],
    "three terms": [Term(g), Term(h, Z), Term(g, x[:, None])],
}
CASES = [(name, tau2) for name in TERMS for tau2 in (None, 1.0)]


def _dense(model, terms):
    """V, and for each term Z of all levels with the covariance of its effects."""
    V, parts = model.tau2 * np.eye(40), []
    for term, Sigma in zip(terms, model.Sigma, strict=True):
        columns = np.ones((40, 1)) if term.Z is None else term.Z
        wide = np.zeros((40, len(term.levels), term.q))
        wide[np.arange(40), term.codes] = columns
        wide = wide.reshape(40, -1)
        G = np.kron(np.eye(len(term.levels)) if term.K is None else term.K, Sigma)
        V = V + wide @ G @ wide.T
        parts.append((wide, G))
    return V, parts


@pytest.mark.parametrize(("name", "tau2"), CASES)
def test_effects_and_their_variances_are_those_of_dense_algebra(name, tau2):
    terms = TERMS[name]
    model = fit(y, NONE, terms, tau2=tau2)
    V, parts = _dense(model, terms)
    criterion = np.linalg.slogdet(2 * np.pi * V)[1] + y @ np.linalg.solve(V, y)
    assert model.criterion == pytest.approx(criterion, abs=1e-8)
    for t, (wide, G) in enumerate(parts):
        J, q = model.random[t].shape
        assert model.random[t].ravel() == pytest.approx(G @ wide.T @ np.linalg.solve(V, y))
        given_y = G - G @ wide.T @ np.linalg.solve(V, wide @ G)
        blocks = np.einsum("jkjl->jkl", given_y.reshape(J, q, J, q))
        assert np.abs(model.cond_var[t] - blocks).max() < 1e-9
        assert np.abs(model.random_cov[t] - blocks).max() < 1e-9
        assert (np.einsum("jkk->jk", model.cond_var[t]) >= 0).all()
    old = model.predict(NONE, terms)
    assert old.mean == pytest.approx(y - model.tau2 * np.linalg.solve(V, y))
    mean_cov = (V - model.tau2 * np.eye(40)) @ np.linalg.inv(V) * model.tau2
    assert old.var_mean == pytest.approx(np.diag(mean_cov), abs=1e-9)
    new = model.predict(NONE)
    assert (new.mean == 0).all() and (new.var_mean == 0).all()


@pytest.mark.parametrize(("name", "tau2"), CASES)
@pytest.mark.slow
def test_every_verb_works(name, tau2):
    rng, terms = np.random.default_rng(3), TERMS[name]
    model = fit(y, NONE, terms, tau2=tau2)
    assert model.criterion == pytest.approx(fit(y, NONE, terms, "ML", tau2=tau2).criterion)
    assert model.certificate.ok and model.df == len(model.theta) + (tau2 is None)
    assert model.interval().shape == (0, 2) == model.satterthwaite().interval().shape
    assert len(model.table()) == 0 and "Fixed effects" not in model.summary()
    assert all(np.isfinite(model.random_table(t).to_numpy()).all() for t in range(len(terms)))
    assert model.simulate(rng).shape == (40,)
    drawn = model.bootstrap(2, rng)
    assert drawn.fixed.shape == (2, 0) and drawn.interval().shape == (0, 2)
    nobody = [Term([], np.empty((0, k.q)) if k.Z is not None else None) for k in terms]
    assert model.predict(NONE[:0]).mean.shape == (0,) == model.predict(NONE[:0], nobody).mean.shape


@pytest.mark.parametrize("name", ["intercepts", "independent slopes", "crossed", "related"])
@pytest.mark.slow
def test_profile_and_posterior(name):
    model = fit(y, NONE, TERMS[name])
    table = model.profile().table()
    assert len(table) == len(model.theta) + 1 and (table["lower"] <= table["ML estimate"]).all()
    posterior = integrate(model)
    assert posterior.mean.fixed.shape == (0,) == posterior.quantile(0.5).fixed.shape
    drawn = sample(model, 4000, np.random.default_rng(1))
    assert drawn.fixed.shape == (4000, 0)
    inside = np.quantile(drawn.random[0][:, 3, 0], 0.5)
    assert inside == pytest.approx(posterior.quantile(0.5).random[0][3, 0], abs=0.05)


@pytest.mark.parametrize("formula", ["y ~ 0 + (1 | g)", "y ~ -1 + (1 | g)", "y ~ (1 | g) - 1"])
def test_formulas_without_fixed_effects(formula):
    data = pd.DataFrame({"y": y, "g": g})
    model, arrays = lmer(formula, data), fit(y, NONE, Term(g))
    assert model.names == () and model.criterion == pytest.approx(arrays.criterion)
    assert model.predict(data).mean == pytest.approx(arrays.predict(NONE, Term(g)).mean)
    stranger = model.predict(data.assign(g=99), new_groups="population")
    assert (stranger.mean == 0).all()
    assert model.predict(data[:0]).mean.shape == (0,)
