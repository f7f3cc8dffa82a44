"""R squared and the intraclass correlation, against performance and against simulation."""

import numpy as np
import pytest
from witness import FACTORIAL, SAID, fits

from mixhier_lite import Gram, InputError, Term, fit, lmer

RNG = np.random.default_rng(3)
g, x = np.repeat(np.arange(9), 5), RNG.normal(size=45)
X = np.column_stack([np.ones(45), x])
y = x + RNG.normal(size=9)[g] * (1 + x) + RNG.normal(size=45)


@pytest.mark.parametrize("name", SAID["r2"])
def test_r2_is_that_of_performance(name):
    said, model = SAID["r2"][name], fits()[name]
    assert model.r2.marginal == pytest.approx(said["marginal"], rel=1e-6)
    assert model.r2.conditional == pytest.approx(said["conditional"], rel=1e-6)
    assert model.icc == pytest.approx(said["icc"], rel=1e-6)


def test_the_parts_are_the_variances_of_simulated_rows():
    """Slopes, related levels of unequal variance, and weights; a row's variance is drawn."""
    M = RNG.normal(size=(9, 9))
    w = RNG.uniform(0.5, 3, 45)
    model = fit(y, X, Term(g, X, K=M @ M.T / 9 + np.eye(9)), weights=w)
    drawn = np.array([model.simulate(RNG) for _ in range(6000)])
    about = drawn - X @ model.fixed
    parts = model.r2
    assert parts.random + parts.noise == pytest.approx((about**2).mean(), rel=0.05)
    assert parts.noise == pytest.approx((model.tau2 / w).mean())
    assert parts.fixed == pytest.approx(np.var(X @ model.fixed, ddof=1))
    whole = parts.fixed + parts.random + parts.noise
    assert parts.marginal == pytest.approx(parts.fixed / whole)
    assert 1 - parts.conditional == pytest.approx(parts.noise / whole)


def test_the_icc_is_the_correlation_of_two_rows_of_a_level():
    model = fit(y + g, np.ones((45, 1)), Term(g))
    sigma2 = model.Sigma[0][0, 0]
    assert model.icc == pytest.approx(sigma2 / (sigma2 + model.tau2))
    assert 0.5 < model.icc < 1 and model.r2.marginal < 1e-20
    assert model.r2.conditional == pytest.approx(model.icc)


def test_edges():
    flat = lmer("y ~ x + (1 | g)", FACTORIAL.assign(g=np.arange(96) % 7))
    assert flat.singular and flat.icc == 0 and flat.r2.marginal == flat.r2.conditional > 0
    assert fit(y, np.empty((45, 0)), Term(g)).r2.fixed == 0
    known = fit(y, X, Term(g), tau2=4.0, weights=np.full(45, 2.0))
    assert known.r2.noise == 2
    with pytest.raises(InputError, match="no rows for icc"):
        fit(Gram.from_arrays(y, X, Term(g))).icc  # noqa: B018
