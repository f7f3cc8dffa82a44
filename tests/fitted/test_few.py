"""Chapter *few*: intervals and tests with few groups, by sums, quadrature and simulated rows."""

import numpy as np
import pytest
from dense import criterion
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from mixhier_lite import Term, fit, indicator, integrate, sample

# --- few groups ----------------------------------------------------------------------------------


def balanced(J, m, ratio, seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(J), m)
    y = 4 + np.sqrt(ratio) * rng.normal(size=J)[groups] + rng.normal(size=J * m)
    means = y.reshape(J, m).mean(axis=1)
    MSB = m * means.var(ddof=1)
    MSW = ((y.reshape(J, m) - means[:, None]) ** 2).sum() / (J * (m - 1))
    return y, groups, MSB, MSW


def test_plug_in_and_t_intervals_are_those_of_the_fit():
    """The formulas of the chapter against the package, in the interior and on the boundary."""
    seen = set()
    for seed in range(12):
        J, m = 4, 5
        y, groups, MSB, MSW = balanced(J, m, 0.2, seed)
        model = fit(y, np.ones((J * m, 1)), Term(groups))
        inner = MSB > MSW
        v = MSB if inner else (3 * MSB + 16 * MSW) / 19
        seen.add(bool(inner))
        half = np.diff(model.interval(0.95)[0])[0] / 2
        assert half == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(v / 20), rel=1e-6)
        half = np.diff(model.satterthwaite().interval(0.95)[0])[0] / 2
        assert half == pytest.approx(
            stats.t.ppf(0.975, 3 if inner else 19) * np.sqrt(v / 20), rel=2e-3
        )
    assert seen == {True, False}


def profile_half(SSB, SSW, J, m):
    """The chapter's closed form, of sqrt(n) times the half-width."""
    n, rise = J * m, stats.chi2.ppf(0.95, 1)
    MSW, SST = SSW / (n - J), SSB + SSW
    edge = max(J * MSW - SSB, 0.0)
    if edge == 0:
        return np.sqrt(SSB * np.expm1(rise / J))
    pooled = SST * np.expm1(rise / n)
    if pooled <= edge:
        return np.sqrt(pooled)
    return np.sqrt(J * np.exp((n * np.log(SST / n) + rise - (n - J) * np.log(MSW)) / J) - SSB)


@pytest.mark.slow
def test_profile_interval_in_its_three_cases():
    """By a minimiser of -2 log density over both variances, and by the package."""
    cases = set()
    for seed in range(14):
        J, m = 4, 5
        y, groups, MSB, MSW = balanced(J, m, 0.1, seed)
        n, SSB, SSW = J * m, (J - 1) * MSB, J * (m - 1) * MSW
        half = profile_half(SSB, SSW, J, m)

        def deviance(x, SSB=SSB, SSW=SSW, n=n, J=J):  # x = n times the squared distance
            def at(f):
                tau2 = ((SSB + x) / f + SSW) / n
                return J * np.log(f) + n * np.log(tau2)

            inside = minimize_scalar(at, bounds=(1, 500), method="bounded", options={"xatol": 1e-9})
            return min(inside.fun, at(1.0))

        rise = stats.chi2.ppf(0.95, 1)
        assert deviance(half**2) - deviance(0.0) == pytest.approx(rise, abs=1e-5)
        low, high = fit(y, np.ones((n, 1)), Term(groups)).profile().interval()[-1]
        assert [low, high] == pytest.approx(
            [y.mean() - half / np.sqrt(n), y.mean() + half / np.sqrt(n)], rel=1e-4
        )
        wide = SSB + half**2 > J * MSW
        cases.add("inside" if SSB > J * MSW else "leaves zero" if wide else "stays at zero")
    assert "inside" in cases and "leaves zero" in cases


def test_kenward_and_roger_stay_with_the_groups_where_the_estimate_is_zero():
    seen = set()
    for seed in range(12):
        y, groups, MSB, MSW = balanced(4, 5, 0.1, seed)
        model = fit(y, np.ones((20, 1)), Term(groups))
        found = model.contrast([[1.0]], method="kenward-roger")
        assert found.df == pytest.approx(3.0)
        assert found.se == pytest.approx(model.fixed_cov[0, 0] ** 0.5)
        df = model.satterthwaite().df[0]
        assert df == pytest.approx(3 if MSB > MSW else 19, rel=1e-6)
        seen.add(bool(MSB > MSW))
    assert seen == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_bootstrap_interval_by_drawn_sums_of_squares(ratio):
    """The errors of draws from the fit in their own standard errors, without any row."""
    J, m = 4, 5
    y, groups, MSB, MSW = balanced(J, m, 0.5, 2)
    means = np.repeat(y.reshape(J, m).mean(axis=1), m)
    target = (1 + m * ratio) * MSW if ratio else 0.3 * MSW
    y = y - means + y.mean() + np.sqrt(target / MSB) * (means - y.mean())
    model = fit(y, np.ones((J * m, 1)), Term(groups))
    assert model.singular == (ratio == 0)
    f, rng, draws = 1 + m * ratio, np.random.default_rng(3), 400_000
    between = f * rng.chisquare(J - 1, draws) / (J - 1)
    within = rng.chisquare(J * (m - 1), draws) / (J * (m - 1))
    pooled = ((J - 1) * between + J * (m - 1) * within) / (J * m - 1)
    own = np.sqrt(np.where(between > within, between, pooled))
    cut = np.quantile(np.abs(np.sqrt(f) * rng.normal(size=draws)) / own, 0.95)
    low, high = model.bootstrap(2000, np.random.default_rng(4)).interval()[0]
    # a tail of fifty draws on each side: the half-length has a standard error of 4 %
    assert (high - low) / 2 == pytest.approx(cut * model.fixed_cov[0, 0] ** 0.5, rel=0.12)


@pytest.mark.slow
def test_draws_from_a_balanced_fit_have_the_mean_for_their_estimate():
    """So the percentiles of a bootstrap of the mean are the plug-in interval."""
    y, groups, _, _ = balanced(5, 4, 1.0, 3)
    model = fit(y, np.ones((20, 1)), Term(groups))
    rng = np.random.default_rng(5)
    for _ in range(20):
        drawn = model.simulate(rng)
        assert fit(drawn, np.ones((20, 1)), Term(groups)).fixed[0] == pytest.approx(drawn.mean())
    drawn = model.bootstrap(2000, rng).fixed[:, 0]
    ends = np.quantile(drawn, [0.025, 0.975])
    assert ends == pytest.approx(model.interval()[0], abs=0.05 * np.ptp(ends))


def bayes_half(F, J, m, c=np.inf):
    """Half-width in units of sqrt(MSW / n): quadrature over f, after tau and alpha by formula."""
    n = J * m

    def r2(f):
        return (J - 1) * F / f + n - J

    def density(x):  # of x = log sqrt(f - 1)
        f = 1 + np.exp(2 * x)
        prior = 1 / (1 + (f - 1) / m / c**2)
        return np.exp(x) * prior * f ** (-(J - 1) / 2) * (r2(f) / n) ** (-(n - 3) / 2)

    total = quad(density, -20, 25, limit=400)[0]

    def below(half):
        def part(x):
            f = 1 + np.exp(2 * x)
            return density(x) * stats.t.cdf(half / np.sqrt(f * r2(f) / (n - 3)), n - 3)

        return quad(part, -20, 25, limit=400)[0] / total

    return brentq(lambda half: below(half) - 0.975, 0.1, 1e4)


@pytest.mark.parametrize("J", [3, 4, 10])
@pytest.mark.parametrize("F", [0.3, 1.5, 8.0])
@pytest.mark.slow
def test_bayesian_interval_is_that_of_the_package(J, F):
    """Of integrate for any MSB / MSW, and of sample for one."""
    y, groups, MSB, MSW = balanced(J, 5, 1.0, J)
    means = np.repeat(y.reshape(J, 5).mean(axis=1), 5)
    y = y - means + np.sqrt(F * MSW / MSB) * (means - means.mean())
    model = fit(y, np.ones((len(y), 1)), Term(groups))
    half = bayes_half(F, J, 5) * np.sqrt(MSW / len(y))
    ends = [integrate(model).quantile(p).fixed[0] for p in (0.025, 0.975)]
    # three groups: the package leaves out the far end of a tail without a mean
    np.testing.assert_allclose(ends, [-half, half], rtol=1e-3 if J == 3 else 1e-5)
    if F == 1.5:
        draws = sample(model, 100_000, np.random.default_rng(1)).fixed[:, 0]
        assert (np.abs(draws) < half).mean() == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize("c", [2.0, np.inf])
@pytest.mark.parametrize("J", [4, 6])
@pytest.mark.slow
def test_bayesian_interval_by_a_sum_over_sigma_tau_and_alpha(J, c):
    """The two priors of (sigma, tau), as they stand: the density of the data on a grid of three.

    One is flat, the other flat times 1 / (1 + sigma^2 / (c tau)^2). The density of sigma given tau
    has the factor 1 / tau besides, and would be a third.
    """
    m, n = 5, 5 * J
    y, groups, MSB, MSW = balanced(J, m, 1.0, 3)
    x = np.linspace(-7, 9, 321)  # log sigma
    s, t = np.exp(x)[:, None], np.sqrt(MSW) * np.exp(np.linspace(-1.2, 1.6, 141))
    v = m * s**2 + t**2
    rest = -((J - 1) * MSB / v + (n - J) * MSW / t**2) / 2
    log_p = rest - (J * np.log(v) + 2 * (n - J) * np.log(t)) / 2 + np.log(s * t) + np.log(v) / 2
    log_p = log_p - np.log1p((s / (c * t)) ** 2)
    half = bayes_half(MSB / MSW, J, m, c) * np.sqrt(MSW / n)

    def inside(log_p):
        p = np.exp(log_p - log_p.max())
        return (p * (2 * stats.norm.cdf(half / np.sqrt(v / n)) - 1)).sum() / p.sum()

    assert inside(log_p) == pytest.approx(0.95, abs=5e-5)
    if c == 2:
        assert abs(inside(log_p - np.log(t)) - 0.95) > 2e-4
    assert y.mean() == pytest.approx(fit(y, np.ones((n, 1)), Term(groups)).fixed[0])


@pytest.mark.parametrize(
    ("J", "expected"),
    [
        (3, (0.837, 0.874, 0.935, 0.979, 1.0)),
        (6, (0.895, 0.914, 0.949, 0.952, 0.970)),
        (20, (0.935, 0.941, 0.950, 0.950, 0.955)),
    ],
)
@pytest.mark.slow
def test_coverage_by_simulated_data(J, expected):
    rng, m, draws = np.random.default_rng(J), 5, 20_000
    n = J * m
    y = rng.normal(size=(draws, J, 1)) + rng.normal(size=(draws, J, m))
    means = y.mean(axis=2)
    MSB = m * means.var(axis=1, ddof=1)
    MSW = ((y - means[:, :, None]) ** 2).sum(axis=(1, 2)) / (n - J)
    inner = MSB > MSW
    v = np.where(inner, MSB, ((J - 1) * MSB + (n - J) * MSW) / (n - 1))
    t = stats.t.ppf(0.975, np.where(inner, J - 1, n - 1))
    grid = np.geomspace((MSB / MSW).min(), (MSB / MSW).max(), 12)
    half = np.interp(np.log(MSB / MSW), np.log(grid), np.log([bayes_half(F, J, m) for F in grid]))
    squares = zip((J - 1) * MSB, (n - J) * MSW, strict=True)
    halves = (
        1.96 * np.sqrt(v / n),
        np.array([profile_half(*pair, J, m) for pair in squares]) / np.sqrt(n),
        t * np.sqrt(v / n),
        stats.t.ppf(0.975, J - 1) * np.sqrt(v / n),
        np.exp(half) * np.sqrt(MSW / n),
    )
    found = [(np.abs(means.mean(axis=1)) < half).mean() for half in halves]
    np.testing.assert_allclose(found, expected, atol=0.006)


@pytest.mark.parametrize(("ratio", "given"), [(1.0, 0.991), (0.25, 0.9985)])
def test_t_of_three_means_is_exact_over_all_data_and_too_wide_where_it_is_used(ratio, given):
    rng, draws = np.random.default_rng(7), 200_000
    y = np.sqrt(ratio) * rng.normal(size=(draws, 3, 1)) + rng.normal(size=(draws, 3, 5))
    means = y.mean(axis=2)
    MSB, MSW = 5 * means.var(axis=1, ddof=1), y.var(axis=2, ddof=1).mean(axis=1)
    covers = np.abs(means.mean(axis=1)) < stats.t.ppf(0.975, 2) * np.sqrt(MSB / 15)
    assert covers.mean() == pytest.approx(0.95, abs=0.002)
    assert covers[MSB > MSW].mean() == pytest.approx(given, abs=0.001)


def test_width_with_three_groups():
    ratio = bayes_half(6.0, 3, 5) / (stats.t.ppf(0.975, 2) * np.sqrt(6))
    assert ratio == pytest.approx(3.9, abs=0.05)


def test_with_three_groups_the_mean_of_alpha_does_not_exist():
    """Its absolute moment up to log sigma = x grows with x for ever; with four groups it stops."""

    def partial(J, x_max, F=2.0, m=5):
        n = J * m

        def part(x):
            f = 1 + np.exp(2 * x)
            r2 = ((J - 1) * F / f + n - J) / n
            return np.exp(x) * f ** (-(J - 1) / 2) * r2 ** (-(n - 3) / 2) * np.sqrt(f * r2)

        return quad(part, -20, x_max, limit=400)[0]

    growth = np.diff([partial(3, x) for x in (10, 20, 30)])
    assert growth[1] == pytest.approx(growth[0], rel=1e-6) and growth[0] > 1
    assert partial(4, 30) == pytest.approx(partial(4, 10), rel=1e-3)


# --- is there any variance? ----------------------------------------------------------------------


@pytest.mark.theorem("thm-zero-mass")
@pytest.mark.parametrize(("J", "m", "ratio"), [(2, 5, 0), (4, 5, 0), (4, 5, 0.25), (10, 2, 0.1)])
@pytest.mark.slow
def test_probability_of_zero(J, m, ratio):
    """Simulated rows, sums of squares from them; the fit itself for the first forty."""
    rng, draws = np.random.default_rng(J * m), 100_000
    y = np.sqrt(ratio) * rng.normal(size=(draws, J, 1)) + rng.normal(size=(draws, J, m))
    means, k, r = y.mean(axis=2), J - 1, J * (m - 1)
    SSB = m * ((means - means.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    SSW = ((y - means[:, :, None]) ** 2).sum(axis=(1, 2))
    f = 1 + m * ratio
    expected = stats.f.cdf(1 / f, k, r), stats.f.cdf(J / (k * f), k, r)
    zero = SSB / k <= SSW / r, SSB / J <= SSW / r
    for share, p in zip(zero, expected, strict=True):
        assert share.mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / draws))
    for i in range(40):
        for share, method in zip(zero, ("REML", "ML"), strict=True):
            X, groups = np.ones((J * m, 1)), np.repeat(np.arange(J), m)
            assert fit(y[i].ravel(), X, Term(groups), method).singular == share[i]


def statistic(F, J, m, method="REML"):
    k, r = J - 1, J * (m - 1)
    phi, k, nu = (F, k, k + r) if method == "REML" else (F * k / J, J, J + r)
    return nu * np.log((k * phi + r) / nu) - k * np.log(phi) if phi > 1 else 0.0


@pytest.mark.theorem("thm-zero-mass")
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_statistic_is_the_difference_of_the_criteria(method):
    """From an n x n covariance matrix at zero and at the fitted optimum."""
    positive = 0
    for seed in range(15):
        y, groups, MSB, MSW = balanced(5, 4, 0.1, seed)
        X, one = np.ones((20, 1)), np.ones((20, 1))
        model = fit(y, X, Term(groups), method)
        values = [
            criterion(y, X, [(groups, one, None)], [np.array([[t]])], method, None)
            for t in (0.0, model.theta[0])
        ]
        expected = statistic(MSB / MSW, 5, 4, method)
        assert values[0] - values[1] == pytest.approx(expected, abs=1e-7)
        positive += expected > 0
    assert 5 < positive < 15


@pytest.mark.theorem("thm-zero-mass")
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_statistic_increases_and_its_test_is_the_F_test(method):
    F = np.linspace(0.1, 30, 400)
    values = np.array([statistic(x, 6, 3, method) for x in F])
    assert np.all(np.diff(values[values > 0]) > 0)
    y, groups, MSB, MSW = balanced(6, 3, 1.0, 1)
    table = stats.f_oneway(*y.reshape(6, 3))
    assert MSB / MSW == pytest.approx(table.statistic)
    rng, k, r = np.random.default_rng(9), 5, 12
    null = np.sort(rng.f(k, r, 400_000))
    as_large = (
        np.array([statistic(x, 6, 3, method) for x in null[::200]])
        >= statistic(MSB / MSW, 6, 3, method)
    ).mean()
    assert as_large == pytest.approx(table.pvalue, abs=5e-3)


@pytest.mark.theorem("thm-zero-mass")
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_the_half_comes_with_groups_and_not_with_rows(method):
    def tail(c, J, m):
        at = brentq(lambda F: statistic(F, J, m, method) - c, 1.0, 1e4)
        return stats.f.sf(at, J - 1, J * (m - 1))

    for c in (0.5, 2.706, 6.0):
        gaps = [abs(tail(c, J, 3) / (stats.chi2.sf(c, 1) / 2) - 1) for J in (10, 1000, 100_000)]
        assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.02
    top = (lambda J: 1) if method == "REML" else (lambda J: J / (J - 1))
    many = stats.f.cdf(top(100_000), 99_999, 200_000)
    assert many == pytest.approx(0.5, abs=0.004)
    large = stats.f.cdf(top(4), 3, 4 * 10**6)
    assert large == pytest.approx(stats.chi2.cdf(3 * top(4), 3), abs=1e-5) and large > 0.6


# Any design


def eigenvalues_on_contrasts(X, D):
    """The d_i of the theorem and their contrasts, from an orthonormal basis made by QR."""
    contrasts = np.linalg.qr(X, mode="complete")[0][:, X.shape[1] :]
    d, U = np.linalg.eigh(contrasts.T @ D @ D.T @ contrasts)
    return d, contrasts @ U


@pytest.mark.theorem("thm-zero-unbalanced")
def test_the_sign_of_the_slope_at_zero_is_that_of_the_weighted_sum():
    """The slope is a difference quotient of the criterion that an n x n matrix gives."""
    rng, signs = np.random.default_rng(31), set()
    groups = np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13])
    X, Z = np.column_stack([np.ones(32), rng.normal(size=32)]), np.ones((32, 1))
    d, contrasts = eigenvalues_on_contrasts(X, indicator(groups))
    for _ in range(60):
        y = rng.normal(size=32)

        def value(theta, y=y):
            return criterion(y, X, [(groups, Z, None)], [np.array([[theta]])], "REML")

        slope = (value(1e-2) - value(0.0)) / 1e-4
        weighted = ((d - d.mean()) * (contrasts.T @ y) ** 2).sum()
        if abs(weighted) > 0.2:
            assert (slope > 0) == (weighted < 0)
            signs.add(slope > 0)
    assert signs == {True, False}


def share_of_zeros(sizes, draws, rng):
    """How often a fit of pure noise has zero as a local minimum, by the slope at zero."""
    n = sum(sizes)
    y = rng.normal(size=(draws, n))
    y -= y.mean(axis=1, keepdims=True)
    sums = np.add.reduceat(y, np.append(0, np.cumsum(sizes)[:-1]), axis=1)
    tau2 = (y**2).sum(axis=1) / (n - 1)
    # trace(Q D D') - y' D D' y / tau2, where Q takes the mean away
    trace = n - (np.array(sizes) ** 2).sum() / n
    return (trace - (sums**2).sum(axis=1) / tau2 > 0).mean()


@pytest.mark.theorem("thm-zero-unbalanced")
def test_one_half_needs_that_no_group_dominates_and_not_that_they_are_equal():
    rng = np.random.default_rng(32)
    many = tuple(rng.integers(1, 9, 400))
    assert share_of_zeros(many, 4000, rng) == pytest.approx(0.5, abs=0.05)
    dominated = (2,) * 200 + (2000,)
    assert share_of_zeros(dominated, 4000, rng) > 0.6
    d, _ = eigenvalues_on_contrasts(np.ones((40, 1)), indicator(np.repeat(range(4), [2, 3, 5, 30])))
    exact = (rng.normal(size=(200_000, 39)) ** 2 @ (d - d.mean()) < 0).mean()
    assert share_of_zeros((2, 3, 5, 30), 40_000, rng) == pytest.approx(exact, abs=0.015)


@pytest.mark.theorem("thm-zero-unbalanced")
def test_a_fit_of_noise_is_at_zero_no_more_often_than_zero_is_a_minimum():
    rng, groups = np.random.default_rng(33), np.repeat(np.arange(5), [1, 2, 4, 8, 16])
    X = np.ones((31, 1))
    d, contrasts = eigenvalues_on_contrasts(X, indicator(groups))
    at_zero = local = 0
    for _ in range(200):
        y = rng.normal(size=31)
        minimum = ((d - d.mean()) * (contrasts.T @ y) ** 2).sum() < 0
        zero = fit(y, X, Term(groups)).Sigma[0][0, 0] == 0
        assert minimum or not zero
        local, at_zero = local + minimum, at_zero + zero
    assert 60 < at_zero <= local


def test_rejection_rates_of_the_text():
    """Four groups of five, from simulated rows: 1.8 % and 3.7 % instead of 5 %."""
    rng = np.random.default_rng(10)
    F = rng.f(3, 16, 400_000)
    values = 19 * np.log((3 * F + 16) / 19) - 3 * np.log(F)
    for cut, rate in ((3.841, 0.018), (2.706, 0.037)):
        assert ((values > cut) & (F > 1)).mean() == pytest.approx(rate, abs=0.0015)


def test_null_statistic_is_the_difference_of_the_criteria():
    """The chapter's maximum over t, at the contrasts of y, against an n x n matrix at the fit."""
    groups = np.repeat(np.arange(5), [1, 2, 4, 8, 16])
    X, Z = np.ones((31, 1)), np.ones((31, 1))
    d, contrasts = eigenvalues_on_contrasts(X, indicator(groups))
    positive = 0
    for seed in range(25):
        y = np.random.default_rng(seed).normal(size=31)
        z2 = (contrasts.T @ y) ** 2
        t = np.append(0, np.geomspace(1e-4, 1e3, 4000))[:, None]
        gain = 30 * np.log(z2.sum() / (z2 / (1 + t * d)).sum(axis=1)) - np.log1p(t * d).sum(axis=1)
        theta = fit(y, X, Term(groups)).theta[0]
        values = [
            criterion(y, X, [(groups, Z, None)], [np.array([[k]])], "REML") for k in (0.0, theta)
        ]
        assert gain.max() == pytest.approx(values[0] - values[1], abs=1e-4)
        positive += gain.max() > 0.01
    assert 3 < positive < 22


def test_cuts_of_the_text_by_fits_of_noise():
    """Six groups of five: 5 % of the differences lie above 2.3, by the F distribution."""
    cut = statistic(stats.f.ppf(0.95, 5, 24), 6, 5)
    assert cut == pytest.approx(2.3, abs=0.05)


# --- planning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma2", "tau2", "g"), [(1.0, 1.0, 25.0), (0.25, 1.0, 9.0)])
def test_best_rows_per_group_by_search(sigma2, tau2, g):
    """And what a mean of so many groups and rows really scatters by, from simulated rows."""

    def variance(m):
        return (sigma2 + tau2 / m) * (g + m)

    best = minimize_scalar(variance, bounds=(0.1, 200), options={"xatol": 1e-9}).x
    assert best == pytest.approx(np.sqrt(g * tau2 / sigma2), rel=1e-5)
    J, m, rng = 8, round(best), np.random.default_rng(6)
    rows = rng.normal(0, np.sqrt(sigma2), (40_000, J, 1))
    means = rows[:, :, 0] + rng.normal(0, np.sqrt(tau2 / m), (40_000, J))
    assert means.mean(axis=1).var() * J * (g + m) == pytest.approx(variance(m), rel=0.03)


def test_half_width_with_the_design_effect():
    for J, m, rho in ((6, 20, 0.05), (24, 5, 0.5)):
        sigma2, tau2 = rho, 1 - rho
        by_groups = np.sqrt((sigma2 + tau2 / m) / J)
        by_rows = np.sqrt((1 + (m - 1) * rho) / (J * m))
        assert by_groups == pytest.approx(by_rows)
    effective = [round(120 / (1 + (m - 1) * rho)) for rho in (0.05, 0.5) for m in (20, 5)]
    assert effective == [62, 100, 11, 40]
