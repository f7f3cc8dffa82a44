"""What the intervals promise, kept or not kept over simulated data.

Tolerances are four standard errors of the Monte Carlo itself.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtrit

from mixhier_lite import Term, datasets, fit, lmer
from mixhier_lite.datasets import four_groups

pytestmark = pytest.mark.slow


def simulated(rng, J, n, Sigma, fits):
    """Fits of y = 1 + beta_j + eps with J groups of n rows, and the true effects."""
    groups, X = np.repeat(np.arange(J), n), np.ones((J * n, 1))
    for _ in range(fits):
        beta = rng.normal(size=J) * np.sqrt(Sigma)
        yield fit(1 + beta[groups] + rng.normal(size=J * n), X, Term(groups)), beta


def share(hits):
    """Share of hits, and four binomial standard errors at 95 %."""
    return np.mean(hits), 4 * np.sqrt(0.95 * 0.05 / len(hits))


def test_many_groups():
    """J = 100: Wald intervals of alpha, and of a new row of a new group, cover."""
    rng, alpha, new = np.random.default_rng(1), [], []
    for model, _ in simulated(rng, 100, 3, 0.7, 400):
        low, high = model.interval()[0]
        alpha.append(low < 1 < high)
        told = model.predict(np.ones((1, 1)), Term(["new"]), new_groups="population")
        y = 1 + np.sqrt(0.7) * rng.normal() + rng.normal()
        new.append(abs(y - told.mean[0]) < 1.959964 * np.sqrt(told.var_new[0]))
    for hits in (alpha, new):
        covered, tolerance = share(hits)
        assert covered == pytest.approx(0.95, abs=tolerance)


def test_six_groups():
    """J = 6: z falls short by what t with 5 df says, P(|t| < 1.96) = 0.893; Satterthwaite's holds.

    A group of 20 keeps Sigma off the boundary, where no df of an estimate helps.
    """
    z, t = [], []
    for model, _ in simulated(np.random.default_rng(2), 6, 20, 1.0, 600):
        for hits, interval in ((z, model.interval()), (t, model.satterthwaite().interval())):
            low, high = interval[0]
            hits.append(low < 1 < high)
    covered, tolerance = share(t)
    assert covered == pytest.approx(0.95, abs=tolerance)
    short, wide = np.mean(z), 4 * np.sqrt(0.893 * 0.107 / len(z))
    assert short == pytest.approx(0.8927, abs=wide)
    assert short < 0.95 - wide / 2


def test_prediction_error_variance():
    """The mean square error of the BLUPs is ``random_cov``; ``cond_var`` is too small."""
    pev, known = [], []
    for model, beta in simulated(np.random.default_rng(3), 30, 8, 1.0, 300):
        error = ((model.random[0][:, 0] - beta) ** 2).mean()
        pev.append(error - model.random_cov[0].mean())
        known.append(error - model.cond_var[0].mean())
    assert abs(np.mean(pev)) < 4 * np.std(pev) / np.sqrt(300)
    assert np.mean(known) > 6 * np.std(known) / np.sqrt(300)


def test_bootstrap_t():
    """Six batches: the bootstrap finds the 2.571 of t with 5 df where z has 1.960."""
    model = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    drawn = model.bootstrap(400, np.random.default_rng(4))
    se = np.sqrt(model.fixed_cov[0, 0])
    low, high = drawn.interval()[0]
    assert (high - low) / 2 / se == pytest.approx(stdtrit(5, 0.975), rel=0.15)
    # draws that err upwards say that the estimate errs upwards
    upwards = replace(drawn, fixed=model.fixed + np.abs(drawn.fixed - model.fixed))
    low, high = upwards.interval()[0]
    assert low < model.fixed[0] - 2 * se < high < model.fixed[0]


def test_seeds_example():
    """Five a group: REML slopes average 0.560; one local search averages 0.507.

    20,000 fits from default_rng(1) gave 0.5609 with standard error 0.0033.
    """
    rng, slopes, one = np.random.default_rng(5), [], np.ones(20)
    for _ in range(1200):
        data = four_groups(rng, 5)
        model = fit(data.y, np.column_stack([one, data.x]), Term(data.groups))
        slopes.append(model.fixed[1])
    assert np.mean(slopes) == pytest.approx(0.560, abs=4 * np.std(slopes) / np.sqrt(1200))
