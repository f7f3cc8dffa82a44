"""Chapter *limits*: where the equalities end, and what still holds there."""

import numpy as np
import pytest
from dense import criterion
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import comb, digamma, expit, gammaln

from mixhier_lite import (
    LinearMixedModel,
    Term,
    compare,
    datasets,
    fit,
    flat,
    gaussian,
    gls_blup,
    indicator,
    integrate,
    posterior,
    sample,
)

# --- y not normal: mode and mean -----------------------------------------------------------------

POISSON = {"log": lambda y, eta: y * eta - np.exp(eta), "slope": lambda y, eta: y - np.exp(eta)}
NORMAL = {"log": lambda y, eta: -((y - eta) ** 2) / 2, "slope": lambda y, eta: y - eta}
LOGIT = {
    "log": lambda y, eta: y * eta - np.logaddexp(0, eta),
    "slope": lambda y, eta: y - expit(eta),
}


def mode_and_mean(law, y, W, p, sigma=1.0, reach=(9, 5), steps=(181, 101)):
    """eta at the joint mode, its mean and that of the summed slopes, on a grid over three unknowns.

    The first p columns of W belong to alpha (grid of +-reach[0]), the rest to beta.
    """

    def log_p(c):
        eta = np.tensordot(W, c, (1, 0))
        rows = law["log"](y.reshape(-1, *[1] * (eta.ndim - 1)), eta).sum(axis=0)
        return rows - (c[p:] ** 2).sum(axis=0) / (2 * sigma**2)

    found = minimize(lambda c: -log_p(c), np.zeros(3), tol=1e-12).x
    axes = [found[k] + np.linspace(-1, 1, steps[k >= p]) * reach[k >= p] for k in range(3)]
    c = np.stack(np.meshgrid(*axes, indexing="ij"))
    weight = np.exp(log_p(c) - log_p(found))
    weight /= weight.sum()
    eta = np.tensordot(W, c, (1, 0))
    mean = (eta * weight).sum(axis=(1, 2, 3))
    slopes = law["slope"](y.reshape(-1, 1, 1, 1), eta).sum(axis=0)
    return W @ found, mean, (slopes * weight).sum()


DESIGNS = {
    "two groups": (np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 1.0]]), 1),
    "covariate": (np.array([[1, -1, 1], [1, 0.5, 1], [1, 1, 1], [1, 0, 0], [1, 0.2, 0.0]]), 2),
}


@pytest.mark.theorem("thm-mode-mean")
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("y", [[0, 1, 0, 2, 1], [3, 0, 1, 6, 2], [1, 1, 1, 1, 1]])
def test_poisson_mode_and_mean_part(design, y):
    """Slopes vanish at the mode and on average; exp(mean) adds up to less than the counts."""
    (W, p), y = DESIGNS[design], np.array(y, float)
    mode, mean, slopes = mode_and_mean(POISSON, y, W, p)
    assert np.exp(mode).sum() == pytest.approx(y.sum(), abs=1e-4)
    assert slopes == pytest.approx(0, abs=2e-3)
    assert np.exp(mean).sum() < y.sum() - 0.1


@pytest.mark.theorem("thm-mode-mean")
@pytest.mark.parametrize("design", DESIGNS)
def test_normal_mode_is_the_mean(design):
    W, p = DESIGNS[design]
    mode, mean, slopes = mode_and_mean(NORMAL, np.array([0.3, -1, 2, 1.1, 0.4]), W, p)
    np.testing.assert_allclose(mode, mean, atol=1e-4)
    assert slopes == pytest.approx(0, abs=1e-4)


@pytest.mark.theorem("thm-mode-mean")
def test_logit_can_go_either_way():
    """Why part 2 leaves it out: by symmetry, answers and their opposites change the sign."""
    W = DESIGNS["two groups"][0]
    y = np.array([1.0, 0, 0, 0, 1])
    gap = [np.subtract(*mode_and_mean(LOGIT, z, W, 1, reach=(14, 5))[:2]) for z in (y, 1 - y)]
    np.testing.assert_allclose(gap[0], -gap[1], atol=1e-4)
    assert np.abs(gap[0]).max() > 0.1
    even = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1.0]])
    mode, mean, _ = mode_and_mean(LOGIT, np.array([1.0, 0, 0, 1]), even, 1, reach=(14, 5))
    np.testing.assert_allclose(mode, mean, atol=1e-4)


@pytest.mark.theorem("thm-mode-mean")
def test_poisson_posterior_is_proper_unless_all_counts_are_zero():
    def mass(total, low):  # of alpha below zero, one group with beta = 0
        return quad(lambda a: np.exp(total * a - np.exp(a)), low, 0)[0]

    assert mass(0, -80) == pytest.approx(mass(0, -40) + 40, rel=1e-6)
    assert mass(1, -80) == pytest.approx(mass(1, -40), rel=1e-9)
    beta = np.random.default_rng(0).normal(size=(1000, 3))
    y, total = np.array([2, 0, 1]), 3
    log_ratio = beta @ y - total * np.log(np.exp(beta).sum(axis=1))
    assert log_ratio.max() <= 0  # the bound of the proof
    area = quad(lambda a: np.exp(beta[0] @ y + total * a - np.exp(a + beta[0]).sum()), -30, 5)[0]
    assert np.log(area) == pytest.approx(log_ratio[0] + gammaln(total), abs=1e-6)


def test_five_wards_by_weighted_draws():
    """The alpha of the chapter's wards is a log gamma variable given beta: draws, no grid."""
    y, rng = np.array([0, 1, 3, 6, 15]), np.random.default_rng(1)
    beta = rng.normal(size=(400_000, 5)) + np.log(y + 1) - np.log(y + 1).mean()
    centre = np.log(y + 1) - np.log(y + 1).mean()
    log_M = np.log(np.exp(beta).sum(axis=1))
    log_w = (
        beta @ y - 25 * log_M - (beta**2).sum(axis=1) / 2 + ((beta - centre) ** 2).sum(axis=1) / 2
    )
    w = np.exp(log_w - log_w.max())
    mean = (w / w.sum()) @ (digamma(25) - log_M[:, None] + beta)
    np.testing.assert_allclose(mean, [-0.09, 0.35, 1.00, 1.62, 2.57], atol=0.012)
    assert np.exp(mean).sum() == pytest.approx(23.13, abs=0.15)


# --- y not normal: variances ---------------------------------------------------------------------


def shares(m, sigma=1.5):
    """Probabilities of 0, 1 .. m times yes, one adaptive integral each."""
    return np.array(
        [
            quad(
                lambda b, k=k: (
                    comb(m, k) * expit(b) ** k * expit(-b) ** (m - k) * stats.norm.pdf(b, 0, sigma)
                ),
                -15,
                15,
            )[0]
            for k in range(m + 1)
        ]
    )


@pytest.mark.parametrize(("m", "expected"), [(2, 0.84), (8, 1.25), (32, 1.41)])
def test_pql_by_repeated_fits(m, expected):
    """Working responses and weights, a fit of the package, and again: the textbook's loop."""
    k = np.repeat(np.arange(m + 1), np.round(2000 * shares(m)).astype(int))
    x, s2 = np.zeros(len(k)), 1.0
    for _ in range(400):
        p = expit(x)
        w = m * p * (1 - p)
        z = x + (k - m * p) / w
        work = fit(z, np.ones((len(k), 1)), Term(np.arange(len(k))), "ML", weights=w, tau2=1.0)
        before, s2 = s2, work.Sigma[0][0, 0]
        x = work.fixed[0] + work.random[0][:, 0]
        if abs(s2 - before) < 1e-5:
            break
    assert np.sqrt(s2) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("m", "expected"), [(2, 1.10), (8, 1.46)])
def test_laplace_and_exact_likelihood(m, expected):
    """Laplace by a numerical mode and numerical curvature; the exact likelihood finds 1.5."""
    p, grid = shares(m), np.linspace(1.0, 1.6, 61)

    def laplace(s):
        total = 0.0
        for k in range(m + 1):

            def h(b, k=k):
                return m * np.logaddexp(0, b) - k * b + b**2 / (2 * s**2)

            b = minimize_scalar(h, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
            d = 1e-3
            total += p[k] * (h(b) + np.log(s**2 * (h(b + d) - 2 * h(b) + h(b - d)) / d**2) / 2)
        return total

    assert grid[np.argmin([laplace(s) for s in grid])] == pytest.approx(expected, abs=0.011)
    exact = minimize_scalar(
        lambda s: -p @ np.log(shares(m, s)), bounds=(1, 2), options={"xatol": 1e-4}
    ).x
    assert exact == pytest.approx(1.5, abs=2e-3)


def test_two_meanings_of_alpha():
    rng = np.random.default_rng(2)
    assert expit(1 + rng.normal(0, 2, 400_000)).mean() == pytest.approx(0.65, abs=0.004)


# --- shape of the random effects, spread and selection -------------------------------------------


def unbalanced(seed=3):
    rng = np.random.default_rng(seed)
    D = indicator(np.repeat(np.arange(6), [1, 2, 2, 4, 6, 9]))
    X = np.column_stack([np.ones(24), rng.standard_normal(24)])
    root = rng.normal(size=(6, 6))
    return LinearMixedModel(X, D, root @ root.T / 4 + np.eye(6), 2.0)


@pytest.mark.theorem("thm-selection")
@pytest.mark.parametrize("singular", [False, True])
def test_covariance_of_the_predictions(singular):
    """From the linear map y -> beta_tilde, column by column."""
    model = unbalanced()
    if singular:
        root = np.random.default_rng(0).normal(size=(6, 2))
        model = LinearMixedModel(model.X, model.D, root @ root.T, 2.0)
    units = [gls_blup(model, unit) for unit in np.eye(24)]
    G = np.column_stack([e.random for e in units])
    P = np.eye(24) - model.X @ np.column_stack([e.fixed for e in units])
    np.testing.assert_allclose(G @ model.V @ P.T, model.Sigma @ model.D.T @ P.T, atol=1e-10)
    pev = units[0].random_cov
    np.testing.assert_allclose(G @ model.V @ G.T, model.Sigma - pev, atol=1e-10)


@pytest.mark.theorem("thm-selection")
def test_the_three_spreads():
    """Sample variances of means, effects and predictions, with effects that are not normal."""
    rng, J, m, sigma2, tau2 = np.random.default_rng(4), 7, 3, 2.0, 5.0
    w = m / (m + tau2 / sigma2)
    beta = np.sqrt(sigma2) * (rng.exponential(size=(40_000, J)) - 1)
    means = beta + rng.normal(0, np.sqrt(tau2 / m), beta.shape)
    model = LinearMixedModel(
        np.ones((J * m, 1)), indicator(np.repeat(np.arange(J), m)), sigma2 * np.eye(J), tau2
    )
    shrink = np.column_stack([gls_blup(model, col).random for col in model.D.T])
    for values, expected in ((means, sigma2 / w), (beta, sigma2), (means @ shrink.T, w * sigma2)):
        assert values.var(axis=1, ddof=1).mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.theorem("thm-selection")
@pytest.mark.parametrize("rule", ["largest", "furthest residual", "smallest of the last two"])
def test_selected_predictions_are_unbiased_and_covered(rule):
    model, draws, rng = unbalanced(), 60_000, np.random.default_rng(5)
    G = np.column_stack([gls_blup(model, unit).random for unit in np.eye(24)])
    pev = np.diag(gls_blup(model, np.zeros(24)).random_cov)
    beta = rng.multivariate_normal(np.zeros(6), model.Sigma, draws)
    y = 3 + beta @ model.D.T + rng.normal(0, np.sqrt(2), (draws, 24))
    blup = y @ G.T
    if rule == "largest":
        s = blup.argmax(axis=1)
    elif rule == "furthest residual":
        P = np.eye(24) - model.X @ np.column_stack([gls_blup(model, u).fixed for u in np.eye(24)])
        s = model.D.argmax(axis=1)[np.abs(y @ P.T).argmax(axis=1)]
    else:
        s = 4 + blup[:, 4:].argmin(axis=1)
    error = (blup - beta)[np.arange(draws), s]
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(draws)
    for z in (1.0, 1.96):
        inside = (np.abs(error) < z * np.sqrt(pev[s])).mean()
        assert inside == pytest.approx(2 * stats.norm.cdf(z) - 1, abs=0.008)
    raw = (y @ model.D / model.D.sum(axis=0) - 3)[np.arange(draws), s] - beta[np.arange(draws), s]
    if rule == "largest":
        assert raw.mean() > 0.2  # a group's own mean is cursed


def largest_of(J, centres, sds, probs, v=0.5):
    """Error and coverage of the largest BLUP, alpha known: order statistics and mixtures.

    beta is a mixture of normals; the group mean has the density f and distribution F.
    """
    w = 1 / (1 + v)
    h = np.linspace(-20, 20, 40_001)[:, None]
    total = np.sqrt(np.square(sds) + v)
    parts = probs * stats.norm.pdf(h, centres, total)
    top = J * parts.sum(axis=1) * (probs * stats.norm.cdf(h, centres, total)).sum(axis=1) ** (J - 1)
    share = parts / parts.sum(axis=1, keepdims=True)
    gain = np.square(sds) / total**2
    mean, sd = centres + gain * (h - centres), np.sqrt(gain * v)
    error = top @ (w * h[:, 0] - (share * mean).sum(axis=1)) * 0.001
    half = 1.96 * np.sqrt(1 - w)
    inside = np.where(
        sd > 0,
        stats.norm.cdf((w * h + half - mean) / np.maximum(sd, 1e-9))
        - stats.norm.cdf((w * h - half - mean) / np.maximum(sd, 1e-9)),
        np.abs(w * h - mean) < half,
    )
    return error, top @ (share * inside).sum(axis=1) * 0.001


@pytest.mark.theorem("thm-selection")
@pytest.mark.parametrize(
    ("shape", "error", "covered"),
    [
        (([0.0], [1.0], [1.0]), 0.0, 0.95),
        (([-1.0, 1.0], [0.0, 0.0], [0.5, 0.5]), 0.39, 0.99),
        (([0.0, 0.0], [3.9, 0.502], [0.05, 0.95]), 0.0, 0.77),
    ],
    ids=["normal", "clumps", "far out"],
)
def test_the_largest_by_order_statistics(shape, error, covered):
    """The chapter's table by integrals instead of draws; part 2 is false without normality."""
    found = largest_of(20, *map(np.array, shape))
    assert found[0] == pytest.approx(error, abs=0.025)
    assert found[1] == pytest.approx(covered, abs=0.015)


def test_best_predictor_of_two_clumps():
    rng = np.random.default_rng(6)
    beta = rng.choice([-1.0, 1.0], 400_000)
    mean = beta + rng.normal(0, np.sqrt(0.5), beta.shape)
    right = stats.norm.pdf(mean, 1, np.sqrt(0.5))
    best = 2 * right / (right + stats.norm.pdf(mean, -1, np.sqrt(0.5))) - 1
    assert ((best - beta) ** 2).mean() == pytest.approx(0.231, abs=0.003)
    assert ((2 / 3 * mean - beta) ** 2).mean() == pytest.approx(1 / 3, abs=0.003)
    draws = 2 / 3 * mean + rng.normal(0, np.sqrt(1 / 3), beta.shape)
    assert draws.var() == pytest.approx(1, abs=0.01)  # the spread of the truth


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


def bayes_half(F, J, m):
    """Half-width in units of sqrt(MSW / n): quadrature over f, after tau and alpha by formula."""
    n = J * m

    def r2(f):
        return (J - 1) * F / f + n - J

    def density(x):  # of x = log sqrt(f - 1)
        f = 1 + np.exp(2 * x)
        return np.exp(x) * f ** (-(J - 1) / 2) * (r2(f) / n) ** (-(n - 3) / 2)

    total = quad(density, -20, 25, limit=400)[0]

    def below(half):
        def part(x):
            f = 1 + np.exp(2 * x)
            return density(x) * stats.t.cdf(half / np.sqrt(f * r2(f) / (n - 3)), n - 3)

        return quad(part, -20, 25, limit=400)[0] / total

    return brentq(lambda half: below(half) - 0.975, 0.1, 1e4)


@pytest.mark.parametrize("J", [3, 4, 10])
@pytest.mark.parametrize("F", [0.3, 1.5, 8.0])
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


@pytest.mark.parametrize("J", [4, 6])
def test_bayesian_interval_by_a_sum_over_sigma_tau_and_alpha(J):
    """A prior flat in sigma and tau, as it stands: the density of the data on a grid of three."""
    m, n = 5, 5 * J
    y, groups, MSB, MSW = balanced(J, m, 1.0, 3)
    x = np.linspace(-7, 9, 321)  # log sigma
    s, t = np.exp(x)[:, None], np.sqrt(MSW) * np.exp(np.linspace(-1.2, 1.6, 141))
    v = m * s**2 + t**2
    rest = -((J - 1) * MSB / v + (n - J) * MSW / t**2) / 2
    log_p = rest - (J * np.log(v) + 2 * (n - J) * np.log(t)) / 2 + np.log(s * t) + np.log(v) / 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    half = bayes_half(MSB / MSW, J, m) * np.sqrt(MSW / n)
    inside = (p * (2 * stats.norm.cdf(half / np.sqrt(v / n)) - 1)).sum()
    assert inside == pytest.approx(0.95, abs=5e-4)
    assert y.mean() == pytest.approx(fit(y, np.ones((n, 1)), Term(groups)).fixed[0])


@pytest.mark.parametrize(("J", "expected"), [(3, (0.837, 0.935, 1.0)), (10, (0.919, 0.95, 0.959))])
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
    halves = 1.96 * np.sqrt(v / n), t * np.sqrt(v / n), np.exp(half) * np.sqrt(MSW / n)
    found = [(np.abs(means.mean(axis=1)) < half).mean() for half in halves]
    np.testing.assert_allclose(found, expected, atol=0.006)


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


# --- a prior on alpha ----------------------------------------------------------------------------


@pytest.mark.theorem("thm-informative")
def test_prior_knowledge_pays_inside_the_ellipse():
    """Mean squared errors from both rules, unit response by unit response."""
    model, m = unbalanced(), np.array([2.0, -1.0])
    C = np.array([[0.5, 0.2], [0.2, 0.3]])
    X, V = model.X, model.V
    rules = []
    for prior in (flat(2), gaussian(m, C)):
        offset = posterior(model, np.zeros(24), prior).fixed
        G = np.column_stack([posterior(model, e, prior).fixed - offset for e in np.eye(24)])
        rules.append((offset, G))
    (_, G), (offset, H) = rules
    A_inv = G @ V @ G.T
    S = A_inv @ np.linalg.inv(A_inv + C)
    root = np.linalg.cholesky(A_inv + 2 * C)
    rng = np.random.default_rng(7)
    for angle in rng.uniform(0, 2 * np.pi, 20):
        for size in (0.0, 0.5, 0.99, 1.0, 1.01, 2.0):
            alpha = m + size * root @ [np.cos(angle), np.sin(angle)]
            bias = offset + H @ X @ alpha - alpha
            np.testing.assert_allclose(bias, S @ (m - alpha), atol=1e-9)
            least = np.linalg.eigvalsh(A_inv - H @ V @ H.T - np.outer(bias, bias))[0]
            if size == 1:
                assert least == pytest.approx(0, abs=1e-9)
            else:
                assert (least > 0) == (size < 1)


@pytest.mark.theorem("thm-informative")
def test_one_coefficient_by_simulation():
    """The four errors that the chapter prints, from data."""
    model = LinearMixedModel(np.ones((20, 1)), indicator(np.repeat(range(4), 5)), 4 * np.eye(4), 9)
    rng, edge = np.random.default_rng(8), np.sqrt(1.45 + 8)
    prior = gaussian([20], [[4]])
    at_0, at_1 = (posterior(model, np.full(20, v), prior).fixed[0] for v in (0.0, 1.0))
    beta, noise = rng.normal(0, 2, (100_000, 4)), rng.normal(0, 3 / np.sqrt(5), (100_000, 4))
    for size, expected in ((0, 0.78), (0.5, 0.95), (1, 1.45), (1.5, 2.29)):
        mean = 20 + size * edge + (beta + noise).mean(axis=1)
        error = at_0 + (at_1 - at_0) * mean - 20 - size * edge
        assert (error**2).mean() == pytest.approx(expected, abs=0.03)


# --- is there any variance? ----------------------------------------------------------------------


@pytest.mark.theorem("thm-zero-mass")
@pytest.mark.parametrize(("J", "m", "ratio"), [(2, 5, 0), (4, 5, 0), (4, 5, 0.25), (10, 2, 0.1)])
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


# --- sizes that say something --------------------------------------------------------------------


def test_informative_sizes_by_expectation():
    """Large-sample values of the three recipes, by sums over sizes and a grid of beta."""
    b = np.linspace(-6, 6, 2401)
    p = stats.norm.pdf(b) * 0.005
    for rate, extra, expected in (
        (np.exp(1 + b), 1, (10.79, 10.34, 10.0)),
        (np.exp(b), 0, (10.96, 10.70, 10.44)),
    ):
        joint = p[:, None] * stats.poisson.pmf(np.arange(400), rate[:, None])
        n = np.arange(400) + extra
        rows = 10 + (joint * n * b[:, None]).sum() / (joint * n).sum()
        seen = joint * (n > 0)
        plain = 10 + (seen * b[:, None]).sum() / seen.sum()
        shrunk = []
        for lam in (3.0, 4.0, 5.0):  # the fitted ratio of the variances is near 4
            w = seen * n / (n + lam)
            shrunk.append(10 + (w * b[:, None]).sum() / w.sum())
        assert rows == pytest.approx(expected[0], abs=0.12)
        assert min(shrunk) - 0.06 < expected[1] < max(shrunk) + 0.06
        assert plain == pytest.approx(expected[2], abs=0.05)
        assert plain + 0.1 < min(shrunk) < max(shrunk) < rows - 0.1


def test_the_mixed_mean_weights_groups_between_rows_and_groups():
    rng = np.random.default_rng(11)
    sizes = rng.integers(1, 30, 40)
    groups = np.repeat(np.arange(40), sizes)
    y = rng.normal(size=40)[groups] + rng.normal(0, 2, len(groups))
    model = fit(y, np.ones((len(y), 1)), Term(groups))
    w = sizes / (sizes + model.tau2 / model.Sigma[0][0, 0])
    means = np.array([y[groups == j].mean() for j in range(40)])
    assert model.fixed[0] == pytest.approx(w @ means / w.sum(), abs=1e-8)
