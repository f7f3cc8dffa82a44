"""Chapter *choosing*: recipes by dense algebra, and scores by leaving out for real."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal, norm
from test_variance_theorems import direct, marginal, unbalanced

from mixhier_lite import LinearMixedModel, Term, compare, datasets, fit, gls_blup, indicator

# --- the variances from the effects -------------------------------------------------------------


def recipes(y, X, D, sigma2, tau2):
    """Both recipes of thm-schall, from matrices of size n alone: no edf formula, no C22 formula."""
    V = sigma2 * D @ D.T + tau2 * np.eye(len(y))
    alpha_of = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.inv(V))
    beta_of = sigma2 * D.T @ np.linalg.solve(V, np.eye(len(y)) - X @ alpha_of)
    error = np.hstack([beta_of @ D - np.eye(D.shape[1]), beta_of])  # beta_tilde - beta
    scale = np.append(np.full(D.shape[1], sigma2), np.full(len(y), tau2))
    C22, edf = (error * scale) @ error.T, np.trace(D @ beta_of)
    assert edf == pytest.approx(D.shape[1] - np.trace(C22) / sigma2)
    b, e = beta_of @ y, y - X @ alpha_of @ y - D @ beta_of @ y
    (n, p), J = X.shape, D.shape[1]
    schall = b @ b / edf, e @ e / (n - p - edf)
    em = (b @ b + np.trace(C22)) / J, (e @ e + tau2 * (p + edf)) / n
    return np.array(schall), np.array(em)


@pytest.mark.theorem("thm-schall")
@pytest.mark.parametrize("seed", range(4))
def test_both_recipes_stand_still_at_the_optimum_and_only_there(seed):
    y, X, groups = unbalanced(seed)
    D, model = indicator(groups), fit(y, X, Term(groups))
    at = np.array([model.Sigma[0][0, 0], model.tau2])
    assert at[0] > 0
    for new in recipes(y, X, D, *at):
        assert new == pytest.approx(at, rel=1e-8)
    # elsewhere the update of each variance has the sign of minus the slope of the criterion
    rng = np.random.default_rng(seed)
    for s, t in np.exp(rng.normal(size=(10, 2))):
        up = direct(y, X, groups, s * 1.0001, t) - direct(y, X, groups, s / 1.0001, t)
        out = direct(y, X, groups, s, t * 1.0001) - direct(y, X, groups, s, t / 1.0001)
        for new in recipes(y, X, D, s, t):
            assert np.array_equal(np.sign(new - [s, t]), -np.sign([up, out]))


@pytest.mark.theorem("thm-schall")
def test_both_recipes_reach_the_optimum_and_em_never_climbs():
    y, X, groups = unbalanced(1)
    D, model = indicator(groups), fit(y, X, Term(groups))
    for which in (0, 1):
        at, before = (9.0, 9.0), np.inf
        for _ in range(300):
            value = direct(y, X, groups, *at)
            assert which == 0 or value <= before + 1e-9
            at, before = recipes(y, X, D, *at)[which], value
        assert at == pytest.approx([model.Sigma[0][0, 0], model.tau2], rel=1e-6)


# --- there is no joint mode ---------------------------------------------------------------------


def log_joint(y, X, groups, alpha, b, sigma2, tau2=1.0):
    """Number by number, flat prior on sigma2."""
    noise = norm.logpdf(y, X @ alpha + b[groups], np.sqrt(tau2)).sum()
    return noise + norm.logpdf(b, 0, np.sqrt(sigma2)).sum()


@pytest.mark.theorem("thm-joint-mode")
def test_the_joint_density_has_no_top_and_the_integrated_one_has():
    y, X, groups = unbalanced(3, sigma=0.5)
    alpha, zero = np.array([3.0, -1.0]), np.zeros(5)
    sizes = 10.0 ** np.arange(0, -21, -4.0)
    joint = [log_joint(y, X, groups, alpha, zero, s) for s in sizes]
    assert np.allclose(np.diff(joint), 5 / 2 * np.log(1e4))  # J = 5: without end
    # a prior that vanishes like s^(J/2) is the border: bounded, and like s^(J/2 - 0.1) it is not
    assert np.allclose(np.array(joint) + 2.5 * np.log(sizes), joint[0])
    assert np.all(np.diff(np.array(joint) + 2.4 * np.log(sizes)) > 0)
    # with beta integrated out (a product of one-dimensional integrals) the bound of the theorem
    for s in (1e-8, 1e-2, 1.0, 1e4):
        total = 0.0
        for j in range(5):
            r = (y - X @ alpha)[groups == j]
            sd = np.sqrt(s / (1 + s * len(r)))  # where the integrand lives
            centre, width = sd**2 * r.sum(), 12 * sd
            total += np.log(quad(
                lambda b, r=r, s=s: np.exp(norm.logpdf(r, b).sum() + norm.logpdf(b, 0, s**0.5)),
                centre - width, centre + width, epsabs=0,
            )[0])  # fmt: skip
        assert total <= -len(y) / 2 * np.log(2 * np.pi)
        V = marginal(X, groups, s, 1.0)
        assert total == pytest.approx(multivariate_normal(X @ alpha, V).logpdf(y), abs=1e-6)


@pytest.mark.theorem("thm-joint-mode")
def test_climbing_the_joint_density_ends_at_zero():
    """Dyestuff, from the REML estimate: the third recipe of the chapter."""
    y = datasets.load("Dyestuff")["Yield"].to_numpy(float)
    D, X = indicator(np.repeat(np.arange(6), 5)), np.ones((30, 1))
    sigma2, tau2, before = 1764.05, 2451.25, -np.inf
    for _ in range(400):
        effects = gls_blup(LinearMixedModel(X, D, sigma2 * np.eye(6), tau2), y)
        e = y - X @ effects.fixed - D @ effects.random
        value = norm.logpdf(e, 0, tau2**0.5).sum()
        value += norm.logpdf(effects.random, 0, sigma2**0.5).sum()
        assert value > before
        sigma2, tau2, before = effects.random @ effects.random / 6, e @ e / 30, value
        if sigma2 < 1e-8:
            break
    assert sigma2 < 1e-8


def climb(y, J, m, tau2, start):
    """Maximise the joint density of J groups of m rows, told nothing but its formula.

    From the alpha and beta that are given by ``start``; returns log(m sigma2) and the gradient of
    the log density there.
    """
    rows = y.reshape(J, m)

    def minus_log(c):
        alpha, beta, sigma2 = c[0], c[1 : J + 1], np.exp(c[-1])
        fit_of_rows = ((rows - alpha - beta[:, None]) ** 2).sum() / tau2
        return (fit_of_rows + beta @ beta / sigma2 + J * np.log(sigma2)) / 2

    return minimize(minus_log, start, method="BFGS", options={"gtol": 1e-9}), minus_log


def dyestuff_stretched(by):
    """The six batches with means that lie ``by`` times as far apart; SSB / J and MSW."""
    rows = datasets.load("Dyestuff")["Yield"].to_numpy(float).reshape(6, 5)
    means = rows.mean(axis=1, keepdims=True)
    stretched = rows + (by - 1) * (means - rows.mean())
    return stretched.ravel(), by**2 * 5 * ((means - rows.mean()) ** 2).sum() / 6


def start_at(y, u, tau2):
    """The best alpha and beta for a sigma2 = u / 5, and its logarithm."""
    means = y.reshape(6, 5).mean(axis=1)
    return np.append(np.append(y.mean(), u / (u + tau2) * (means - y.mean())), np.log(u / 5))


@pytest.mark.theorem("thm-local-joint-mode")
@pytest.mark.parametrize("by", [1.1, 1.5, 3.0])
def test_an_optimiser_stops_at_the_local_joint_mode(by):
    tau2 = 2451.25
    y, c = dyestuff_stretched(by)
    upper = (c - 2 * tau2 + np.sqrt(c * (c - 4 * tau2))) / 2
    found, minus_log = climb(y, 6, 5, tau2, start_at(y, 1.5 * upper, tau2))
    assert 5 * np.exp(found.x[-1]) == pytest.approx(upper, rel=1e-4)
    rng = np.random.default_rng(3)  # a maximum: every step away loses
    steps = rng.normal(size=(200, 8)) * [1, 1, 1, 1, 1, 1, 1, 0.01]
    assert all(minus_log(found.x + step) > found.fun for step in steps)
    # part 3: ML of sigma2 at this tau2, from the density of the means
    means = y.reshape(6, 5).mean(axis=1)
    ml = minimize_scalar(
        lambda s: -norm.logpdf(means, means.mean(), np.sqrt(s + tau2 / 5)).sum(), bounds=(0, 1e5)
    ).x
    assert np.exp(found.x[-1]) < ml - tau2 / 5


@pytest.mark.theorem("thm-local-joint-mode")
def test_the_lower_root_is_a_saddle():
    tau2 = 2451.25
    y, c = dyestuff_stretched(1.5)
    lower = (c - 2 * tau2 - np.sqrt(c * (c - 4 * tau2))) / 2
    at = start_at(y, lower, tau2)
    minus_log = climb(y, 6, 5, tau2, at)[1]
    gradient = [(minus_log(at + h) - minus_log(at - h)) / 2e-4 for h in 1e-4 * np.eye(8)]
    assert np.abs(gradient).max() < 1e-5
    lower_side, upper_side = (start_at(y, lower * k, tau2) for k in (0.8, 1.25))
    assert max(minus_log(lower_side), minus_log(upper_side)) < minus_log(at)  # along the ridge
    assert minus_log(at + [5, 0, 0, 0, 0, 0, 0, 0]) > minus_log(at)  # and across it
    assert minus_log(at + [0, 5, 0, 0, 0, 0, 0, 0]) > minus_log(at)


@pytest.mark.theorem("thm-local-joint-mode")
@pytest.mark.parametrize(("share", "falls"), [(0.98, False), (1.02, True)])
def test_below_four_times_the_noise_nothing_stops_the_climb(share, falls):
    """Along the ridge the density falls towards zero sigma2 somewhere, or nowhere."""
    tau2 = 2451.25
    y, c = dyestuff_stretched(np.sqrt(share * 4 * tau2 / dyestuff_stretched(1.0)[1]))
    assert c == pytest.approx(share * 4 * tau2)
    minus_log = climb(y, 6, 5, tau2, start_at(y, tau2, tau2))[1]
    ridge = [minus_log(start_at(y, u, tau2)) for u in np.geomspace(tau2 / 50, 50 * tau2, 2001)]
    assert np.any(np.diff(ridge) < 0) == falls


@pytest.mark.theorem("thm-local-joint-mode")
def test_at_four_times_the_noise_the_climb_pauses_and_goes_on():
    """One stationary point, at m sigma2 = tau2: the whole gradient is zero, both sides differ."""
    tau2 = 2451.25
    y, _ = dyestuff_stretched(np.sqrt(4 * tau2 / dyestuff_stretched(1.0)[1]))
    at = start_at(y, tau2, tau2)
    minus_log = climb(y, 6, 5, tau2, at)[1]
    gradient = [(minus_log(at + h) - minus_log(at - h)) / 2e-4 for h in 1e-4 * np.eye(8)]
    assert np.abs(gradient).max() < 1e-5
    ridge = [minus_log(start_at(y, u, tau2)) for u in tau2 * np.geomspace(0.1, 10, 41)]
    assert np.all(np.diff(ridge) > 0)


# --- which model is better? ----------------------------------------------------------------------


def radon(*more):
    data = datasets.load("radon")
    y, county = data.y_gh.to_numpy(), data.county.to_numpy()
    X = np.column_stack([np.ones(919), data.floor, *(data[name] for name in more)])
    return y, X, county, fit(y, X, Term(county), "ML")


@pytest.mark.parametrize(
    ("more", "aic", "conditional", "house", "gone"),
    [((), 2172, 2140, 0.6058, 0.6982), (("log_uranium",), 2133, 2124, 0.5914, 0.6024)],
)
@pytest.mark.slow
def test_four_scores_of_radon(more, aic, conditional, house, gone):
    """By n x n matrices, and by leaving out for real: rows and counties one at a time."""
    y, X, county, model = radon(*more)
    s2, tau2 = model.Sigma[0][0, 0], model.tau2
    V = s2 * np.equal.outer(county, county) + tau2 * np.eye(919)
    assert stats.multivariate_normal(X @ model.fixed, V).logpdf(y) == pytest.approx(model.loglik)
    assert 2 * (X.shape[1] + 2) - 2 * model.loglik == pytest.approx(aic, abs=0.5)
    inverse = np.linalg.inv(V)
    gls = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    hat = np.eye(919) - tau2 * inverse @ (np.eye(919) - X @ gls)
    given = stats.norm.logpdf(y, hat @ y, np.sqrt(tau2)).sum()
    assert -2 * given + 2 * (np.trace(hat) + 1) == pytest.approx(conditional, abs=0.5)

    def predicted(out):
        model = LinearMixedModel(X[~out], indicator(county, sorted(set(county)))[~out],
                                 s2 * np.eye(85), tau2)  # fmt: skip
        rest = gls_blup(model, y[~out])
        return X[out] @ rest.fixed + indicator(county, sorted(set(county)))[out] @ rest.random

    errors = (y - hat @ y) / (1 - np.diag(hat))
    assert (errors**2).mean() == pytest.approx(house, abs=6e-5)
    for i in (0, 400, 918):
        assert y[i] - predicted(np.arange(919) == i)[0] == pytest.approx(errors[i], abs=1e-8)
    total = 0.0
    for name in np.unique(county):
        out = county == name
        A = X[~out].T @ np.linalg.solve(V[np.ix_(~out, ~out)], np.c_[X, y][~out])
        error = y[out] - X[out] @ np.linalg.solve(A[:, :-1], A[:, -1])
        if name in (county[0], county[500]):
            np.testing.assert_allclose(y[out] - predicted(out), error, atol=1e-8)
        total += error @ error
    assert total / 919 == pytest.approx(gone, abs=6e-5)


def test_the_unit_of_a_covariate_decides_for_reml():
    y, X, county, _ = radon()
    share = indicator(county) @ (
        indicator(county).T @ X[:, 1] / np.bincount(indicator(county).argmax(axis=1))
    )
    gains, again = {}, {}
    for method in ("REML", "ML"):
        small = fit(y, X, Term(county), method)
        for scale in (1, 100):
            large = fit(y, np.column_stack([X, scale * share]), Term(county), method)
            gains[method, scale] = small.criterion - large.criterion
            again[method, scale] = compare(small, large)
    assert gains["REML", 1] == pytest.approx(0.90, abs=0.01)
    assert gains["REML", 1] - gains["REML", 100] == pytest.approx(2 * np.log(100), abs=1e-6)
    assert gains["ML", 1] == pytest.approx(gains["ML", 100], abs=1e-6)
    for (method, _), found in again.items():  # compare goes by ML
        assert found.statistic == pytest.approx(gains["ML", 1], abs=1e-6)
        assert ("again by ML" in found.note) == (method == "REML")


# --- prediction and likelihood --------------------------------------------------------------------


def left_out_for_real(y, groups, lam):
    """Delete every row in turn and predict it from the others, by formulas of size n - 1."""
    errors = []
    for i in range(len(y)):
        keep = np.arange(len(y)) != i
        V = np.equal.outer(groups[keep], groups[keep]) / lam + np.eye(keep.sum())
        weights = np.linalg.solve(V, np.ones(keep.sum()))
        level = weights @ y[keep] / weights.sum()
        shared = (groups[keep] == groups[i]) / lam
        errors.append(y[i] - level - shared @ np.linalg.solve(V, y[keep] - level))
    return np.mean(np.square(errors))


def gcv(y, groups, lam):
    V = np.equal.outer(groups, groups) / lam + np.eye(len(y))
    one = np.ones((len(y), 1))
    Q = (
        np.linalg.inv(V)
        - np.linalg.solve(V, one @ one.T) @ np.linalg.inv(V) / np.linalg.solve(V, one).sum()
    )
    return np.mean((Q @ y) ** 2) / (np.trace(Q) / len(y)) ** 2


def least(score, y, groups):
    found = minimize_scalar(
        lambda x: score(y, groups, np.exp(x)), bounds=(-4, 9), options={"xatol": 1e-8}
    )
    return np.exp(found.x)


@pytest.mark.theorem("thm-one-lambda")
@pytest.mark.parametrize("seed", range(4))
def test_balanced_criteria_choose_the_lambda_of_the_fit(seed):
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(4), 3)
    y = 2.0 * rng.normal(size=4)[groups] + rng.normal(size=12)
    model = fit(y, np.ones((12, 1)), Term(groups))
    assert not model.singular
    for lam in (0.1, 1.0, 20.0):
        assert gcv(y, groups, lam) == pytest.approx(left_out_for_real(y, groups, lam), rel=1e-9)
    expected = model.tau2 / model.Sigma[0][0, 0]
    assert least(left_out_for_real, y, groups) == pytest.approx(expected, rel=1e-4)
    MSB = 3 * y.reshape(4, 3).mean(axis=1).var(ddof=1)
    MSW = y.reshape(4, 3).var(axis=1, ddof=1).mean()
    assert 3 / (3 + expected) == pytest.approx(1 - MSW / MSB)


@pytest.mark.theorem("thm-one-lambda")
def test_where_the_fit_is_zero_every_penalty_is_too_small():
    data = datasets.load("Dyestuff2")
    y, groups = data["Yield"].to_numpy(float), np.repeat(np.arange(6), 5)
    assert fit(y, np.ones((30, 1)), Term(groups)).singular
    errors = [left_out_for_real(y, groups, lam) for lam in np.geomspace(0.01, 1e5, 25)]
    assert np.all(np.diff(errors) < 0)


@pytest.mark.theorem("thm-one-lambda")
def test_groups_of_different_size_part_them():
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(5), [1, 2, 3, 5, 9])
    y = rng.normal(size=5)[groups] + rng.normal(size=20)
    found = [least(score, y, groups) for score in (gcv, left_out_for_real)]
    model = fit(y, np.ones((20, 1)), Term(groups))
    lams = np.array([*found, model.tau2 / model.Sigma[0][0, 0]])
    assert np.all(np.abs(np.log(lams[:, None] / lams))[np.triu_indices(3, 1)] > 0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "noise", "ahead"),
    [((1, 1), (1, 1), "REML"), ((1, 1), (0.5, 1.5), "left out"), ((1.3, 0.2), (1, 1), "left out")],
)
def test_who_predicts_known_groups_best(spread, noise, ahead):
    """REML by the fit, leave one out by its formula from a dense hat matrix; errors compared."""
    sizes = np.array([1, 1, 2, 2, 3, 4, 6, 9, 14, 20, 30, 40])
    groups, big = np.repeat(np.arange(12), sizes), sizes > 8
    D, X = indicator(groups), np.ones((132, 1))
    spread, noise = (np.where(big, pair[1], pair[0]) for pair in (spread, noise))
    W, lams = np.hstack([X, D]), np.geomspace(0.05, 50, 31)
    penalty = np.diag([0.0] + [1.0] * 12)
    hats = [W @ np.linalg.solve(W.T @ W + lam * penalty, W.T) for lam in lams]
    rng, gaps = np.random.default_rng(4), []
    for _ in range(300):
        beta = spread * rng.normal(size=12)
        y = beta[groups] + noise[groups] * rng.normal(size=132)
        scores = [(((y - hat @ y) / (1 - np.diag(hat))) ** 2).sum() for hat in hats]
        by_row = hats[int(np.argmin(scores))] @ y
        model = fit(y, X, Term(groups))
        by_reml = model.fixed[0] + model.random[0][groups, 0]
        errors = [((fitted - beta[groups]) ** 2).mean() for fitted in (by_reml, by_row)]
        gaps.append(errors[1] - errors[0])
    mean, error = np.mean(gaps), np.std(gaps) / np.sqrt(300)
    assert mean > error if ahead == "REML" else mean < -error
