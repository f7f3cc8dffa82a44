"""Chapter *limits*: where the equalities end, and what still holds there."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.special import comb, digamma, expit, gammaln

from mixhier_lite import (
    LinearMixedModel,
    Term,
    fit,
    flat,
    gaussian,
    gls_blup,
    indicator,
    posterior,
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
@pytest.mark.slow
def test_poisson_mode_and_mean_part(design, y):
    """Slopes vanish at the mode and on average; exp(mean) adds up to less than the counts."""
    (W, p), y = DESIGNS[design], np.array(y, float)
    mode, mean, slopes = mode_and_mean(POISSON, y, W, p)
    assert np.exp(mode).sum() == pytest.approx(y.sum(), abs=1e-4)
    assert slopes == pytest.approx(0, abs=2e-3)
    assert np.exp(mean).sum() < y.sum() - 0.1


@pytest.mark.theorem("thm-mode-mean")
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
def test_normal_mode_is_the_mean(design):
    W, p = DESIGNS[design]
    mode, mean, slopes = mode_and_mean(NORMAL, np.array([0.3, -1, 2, 1.1, 0.4]), W, p)
    np.testing.assert_allclose(mode, mean, atol=1e-4)
    assert slopes == pytest.approx(0, abs=1e-4)


@pytest.mark.theorem("thm-mode-mean")
@pytest.mark.slow
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
@pytest.mark.slow
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
