"""Chapter *flat*: integrals on grids, exact conditioning and simulation as witnesses."""

import numpy as np
import pytest
from scipy.stats import norm
from test_routes import ROUTES, flat_posterior, rational, solve_exactly, times

from mixhier_lite import (
    GaussianFactor,
    InputError,
    LinearMixedModel,
    flat,
    gaussian,
    gls_blup,
    henderson,
    indicator,
    posterior,
    ridge,
)

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)


def eight_groups(n_j=(9, 5, 3, 1, 0), sigma2=2.0, seed=5):
    """A model with intercept and covariate, unbalanced, one level empty; and a response."""
    rng = np.random.default_rng(seed)
    D = indicator(np.repeat(np.arange(len(n_j)), n_j), levels=range(len(n_j)))
    X = np.column_stack([np.ones(len(D)), rng.standard_normal(len(D))])
    model = LinearMixedModel(X, D, sigma2 * np.eye(len(n_j)), 0.8)
    return model, model.simulate([3.0, -1.0], rng)[0]


def everything(effects):
    return np.concatenate([effects.fixed, effects.random, effects.cov.ravel()])


# --- the flat-prior posterior ------------------------------------------------------------------


def moments(log_density, axes):
    """Mean and covariance of a density on a grid, by the trapezoid rule (equal weights)."""
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    weights = np.exp(log_density(points))
    weights /= weights.sum()
    mean = weights @ points
    rest = points - mean
    return mean, (rest * weights[:, None]).T @ rest


X1 = np.array([1.0, 0.5, -1.0, 2.0, 1.0])
Y = np.array([2.0, 1.0, -2.5, 4.0, -0.5])
MEMBER = np.array([0, 0, 0, 1, 1])


def squares(a, b, levels=MEMBER):
    """Sum of squared residuals, observation by observation; b holds one array a group."""
    return sum((Y[i] - X1[i] * a - b[levels[i]]) ** 2 for i in range(5))


WIDE = np.arange(-14, 14.01, 0.25)


@pytest.mark.theorem("thm-flat")
@every_route
def test_flat_posterior_by_numerical_integration(route):
    """Likelihood times prior, summed over a grid: no linear algebra, no Gaussian formula.

    The trapezoid rule is exact for Gaussians up to exp(-2 pi^2 sd^2 / h^2), here below 1e-12.
    """
    s11, s22, s12 = 2.0, 1.5, -0.6

    def log_density(c):
        a, b, d = c.T
        prior = (s22 * b**2 - 2 * s12 * b * d + s11 * d**2) / (s11 * s22 - s12**2)
        return -squares(a, [b, d]) / (2 * 0.9) - prior / 2

    mean, cov = moments(log_density, [WIDE] * 3)
    Sigma = np.array([[s11, s12], [s12, s22]])
    effects = route(LinearMixedModel(X1[:, None], indicator(MEMBER), Sigma, 0.9), Y)
    np.testing.assert_allclose(np.append(effects.fixed, effects.random), mean, rtol=1e-9)
    np.testing.assert_allclose(effects.cov, cov, rtol=1e-9, atol=1e-10)


@pytest.mark.theorem("thm-flat")
@pytest.mark.parametrize("route", [gls_blup, ridge, flat_posterior])
def test_flat_posterior_with_a_singular_sigma(route):
    """beta = (b, 2b): the prior lives on a line, and so does the integral."""
    mean, cov = moments(
        lambda c: -squares(c[:, 0], [c[:, 1], 2 * c[:, 1]]) / (2 * 0.9) - c[:, 1] ** 2 / (2 * 1.7),
        [WIDE / 2] * 2,
    )
    Sigma = 1.7 * np.outer([1, 2], [1, 2])
    effects = route(LinearMixedModel(X1[:, None], indicator(MEMBER), Sigma, 0.9), Y)
    line = np.array([[1, 0], [0, 1], [0, 2]])
    np.testing.assert_allclose(np.append(effects.fixed, effects.random), line @ mean, rtol=1e-9)
    np.testing.assert_allclose(effects.cov, line @ cov @ line.T, rtol=1e-9, atol=1e-10)


@pytest.mark.theorem("thm-flat")
@every_route
def test_an_empty_level_keeps_its_prior(route):
    model, y = eight_groups()
    effects = route(model, y)
    assert effects.random[4] == 0
    np.testing.assert_allclose(effects.cov[6], [0, 0, 0, 0, 0, 0, 2.0], atol=1e-15)
    smaller = route(LinearMixedModel(model.X, model.D[:, :4], 2 * np.eye(4), 0.8), y)
    np.testing.assert_allclose(effects.random[:4], smaller.random, rtol=1e-12)
    np.testing.assert_allclose(effects.cov[:6, :6], smaller.cov, rtol=1e-12, atol=1e-15)


@pytest.mark.theorem("thm-flat")
@every_route
def test_an_empty_level_with_relatives_is_regressed_on_them(route):
    model, y = eight_groups()
    Sigma = 0.5 ** np.abs(np.subtract.outer(range(5), range(5)))  # a chain: 4 knows only 3
    effects = route(LinearMixedModel(model.X, model.D, Sigma, 0.8), y)
    np.testing.assert_allclose(effects.random[4], 0.5 * effects.random[3], rtol=1e-12)
    variance = 1 - 0.5**2 + 0.5**2 * effects.random_cov[3, 3]
    np.testing.assert_allclose(effects.random_cov[4, 4], variance, rtol=1e-12)


def condition_exactly(model, y, mean, cov):
    """E and Var of (alpha, beta) given y with alpha ~ N(mean, cov), in rational arithmetic.

    Joint Gaussian conditioning as in a first course: C12 C22^-1 (y - E y) and
    C11 - C12 C22^-1 C21. Nothing is scaled, completed or inverted on the side of alpha.
    """
    p, J = model.p, model.J
    W = rational(np.hstack([model.X, model.D]))
    C11 = rational(np.zeros((p + J, p + J)))
    for block, at in ((rational(cov), 0), (rational(model.Sigma), p)):
        for i, row in enumerate(block):
            C11[at + i][at : at + len(row)] = row
    C12 = times(C11, list(zip(*W, strict=True)))
    C22 = times(W, C12)
    for i in range(model.n):
        C22[i][i] += rational(model.tau2)[0][0]
    prior_mean = rational(np.append(mean, np.zeros(J)))
    expected = times(prior_mean, list(zip(*W, strict=True)))[0]
    rest = [a - b for a, b in zip(rational(y)[0], expected, strict=True)]
    C21 = [list(row) for row in zip(*C12, strict=True)]
    right = solve_exactly(C22, [[*row, r] for row, r in zip(C21, rest, strict=True)])
    change = times(C12, right)
    points = [float(m + row[-1]) for m, row in zip(prior_mean[0], change, strict=True)]
    after = [
        [float(a - b) for a, b in zip(row, less, strict=False)]
        for row, less in zip(C11, change, strict=True)
    ]
    return np.concatenate([points, np.ravel(after)])


@pytest.mark.theorem("thm-flat", "thm-flat-limit")
def test_flat_posterior_is_the_limit_of_exact_conditioning():
    """With kappa = 1e40 and no rounding, the gap to flat is 1e-40: the flat limit itself."""
    model, y = eight_groups((3, 2, 1, 0))
    limit = condition_exactly(model, y, np.zeros(2), 1e40 * np.eye(2))
    for route in ROUTES:
        np.testing.assert_allclose(everything(route(model, y)), limit, rtol=1e-9, atol=1e-12)


@pytest.mark.theorem("thm-flat")
@pytest.mark.parametrize("alpha", [(0.0, 0.0), (50.0, -20.0)])
def test_posterior_covariance_is_the_error_covariance_over_repetitions(alpha):
    model, _ = eight_groups()
    errors = simulated_errors(model, np.array(alpha), 20_000)[0]
    cov = flat_posterior(model, np.zeros(model.n)).cov
    sd = np.sqrt(np.diag(cov))
    # correlations of 20,000 draws have standard errors up to 0.01 (variances: sqrt(2) times)
    assert np.abs((np.cov(errors.T) - cov) / np.outer(sd, sd)).max() < 0.045
    assert np.abs(errors.mean(axis=0) / sd).max() < 4 / np.sqrt(20_000)


def simulated_errors(model, alpha, size, j=None, b=0.0, seed=8):
    """Errors of (alpha_hat, beta_tilde) over repeated (beta, y), and beta; beta_j = b if given.

    Drawn here and not by the package; effects are linear in y, so unit responses give all.
    """
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(model.Sigma)
    beta = rng.standard_normal((size, model.J)) @ root.T
    if j is not None:  # Sigma is diagonal wherever this is used
        beta[:, j] = b
    y = model.X @ alpha + beta @ model.D.T
    y += np.sqrt(model.tau2) * rng.standard_normal(y.shape)
    unit = [gls_blup(model, row) for row in np.eye(model.n)]
    rule = np.array([np.append(effects.fixed, effects.random) for effects in unit])
    truth = np.hstack([np.tile(alpha, (size, 1)), beta])
    return y @ rule - truth, beta


# --- proper or not -----------------------------------------------------------------------------

ONES, SLOPE = np.ones(4), np.array([0.0, 1.0, 2.0, 4.0])
DESIGNS = {
    "full rank": ([ONES, SLOPE], True),
    "the same column twice": ([SLOPE, 2 * SLOPE], False),
    "a column of zeros": ([ONES, np.zeros(4)], False),
}


@pytest.mark.theorem("thm-flat")
@pytest.mark.parametrize("name", DESIGNS)
def test_proper_exactly_where_the_integral_is_finite(name):
    """The mass of likelihood times prior in a growing box converges, or grows with the box."""
    columns, proper = DESIGNS[name]
    X, y, D = np.column_stack(columns), np.array([1.0, 0.0, 2.0, 1.0]), np.ones((4, 1))

    def mass(width):
        a, b, u = np.meshgrid(*[np.arange(-width, width, 0.5)] * 2, np.arange(-9, 9, 0.5))
        e = sum((y[i] - X[i, 0] * a - X[i, 1] * b - u) ** 2 for i in range(4))
        return np.exp(-e / 2 - u**2 / 2).sum()

    assert np.isclose(mass(40) / mass(20), 1.0 if proper else 2.0, atol=0.05)
    model = LinearMixedModel(X, D, np.eye(1), 1.0)
    for route in ROUTES:
        if proper:
            assert np.isfinite(everything(route(model, y))).all()
        else:
            with pytest.raises(InputError, match="alpha is not identified.*improper"):
                route(model, y)


@every_route
def test_refusal_names_the_columns_and_the_remedy(route):
    model, y = eight_groups()
    X = np.column_stack([model.X, model.X[:, 0] - 2 * model.X[:, 1], np.arange(model.n) ** 2])
    with pytest.raises(InputError) as refusal:
        route(LinearMixedModel(X, model.D, model.Sigma, 0.8), y)
    assert "columns [0, 1, 2]" in refusal.value.got
    assert "gaussian(mean, cov)" in refusal.value.remedy


@every_route
def test_more_fixed_effects_than_rows_are_refused(route):
    model = LinearMixedModel(np.eye(2, 3), np.ones((2, 1)), np.eye(1), 1.0)
    with pytest.raises(InputError, match="improper"):
        route(model, [1.0, 2.0])


def test_a_proper_prior_accepts_a_rank_deficient_design():
    """Along the null space of X the data are silent, and the prior comes back."""
    model, y = eight_groups((3, 2))
    doubled = LinearMixedModel(model.X[:, [1, 1]], model.D, model.Sigma, 0.8)
    effects = posterior(doubled, y, gaussian([1.0, 5.0], 9 * np.eye(2)))
    expected = condition_exactly(doubled, y, np.array([1.0, 5.0]), 9 * np.eye(2))
    np.testing.assert_allclose(everything(effects), expected, rtol=1e-9, atol=1e-12)
    blind = np.array([1, -1]) / np.sqrt(2)
    np.testing.assert_allclose(blind @ effects.fixed, blind @ [1, 5], rtol=1e-9)
    np.testing.assert_allclose(blind @ effects.fixed_cov @ blind, 9, rtol=1e-9)


def test_a_partly_flat_prior_is_judged_by_the_directions_that_need_it():
    model, y = eight_groups((3, 2))
    twice = LinearMixedModel(model.X[:, [1, 1]], model.D, model.Sigma, 0.8)
    on_second = GaussianFactor(np.diag([0.0, 1.0]), np.zeros(2))
    assert np.isfinite(everything(posterior(twice, y, on_second))).all()
    silent = LinearMixedModel(model.X * [0, 1], model.D, model.Sigma, 0.8)  # column 0 is zero
    with pytest.raises(InputError, match="improper"):
        posterior(silent, y, on_second)


def test_flat_is_a_precision_of_exactly_zero():
    for p in (1, 3, np.int64(2)):
        factor = flat(p)
        assert factor.precision.shape == (p, p) and not factor.precision.any()
        assert factor.shift.shape == (p,) and not factor.shift.any()
    prior = gaussian([1.0, 2.0], np.diag([3.0, 4.0]))
    assert np.array_equal((flat(2) * prior).precision, prior.precision)


def test_flat_of_no_effects_is_a_model_without_fixed_effects():
    model, y = eight_groups()
    bare = LinearMixedModel(model.X[:, :0], model.D, model.Sigma, 0.8)
    effects = posterior(bare, y, flat(0))
    assert effects.fixed.shape == (0,) and effects.cov.shape == (5, 5)
    sums, n_j = model.D.T @ y, model.D.sum(axis=0)
    np.testing.assert_allclose(effects.random, sums / (n_j + 0.8 / 2), rtol=1e-12)


@pytest.mark.parametrize("p", [-1, 1.5, 2.0, True, "2", None, [1]])
def test_flat_refuses_what_is_no_number_of_effects(p):
    with pytest.raises(InputError, match="p is the number of fixed effects") as refusal:
        flat(p)
    assert repr(p) in refusal.value.got


@pytest.mark.parametrize("p", [0, 1, 3])
def test_a_prior_on_another_number_of_effects_is_refused(p):
    model, y = eight_groups()
    with pytest.raises(InputError, match="prior and X do not match"):
        posterior(model, y, flat(p))


# --- the flat limit ----------------------------------------------------------------------------

C = np.array([[2.0, 0.5], [0.5, 1.0]])
M0 = np.array([-4.0, 6.0])
KAPPAS = np.array([1e3, 1e4, 1e5, 1e6])


def information(model):
    """A = X'V^-1X and H = Sigma D'V^-1X."""
    V_inv = np.linalg.inv(model.V)
    return model.X.T @ V_inv @ model.X, model.Sigma @ model.D.T @ V_inv @ model.X


def slope(gaps):
    return np.diff(np.log10(gaps)) / np.diff(np.log10(KAPPAS))


@pytest.mark.theorem("thm-flat-limit")
@pytest.mark.parametrize("kappa", [0.1, 10.0, 1e4])
def test_gaussian_prior_by_exact_conditioning(kappa):
    """Part 1 at finite kappa: the closed form and the package, against rational arithmetic."""
    model, y = eight_groups((3, 2, 1, 0))
    effects = posterior(model, y, gaussian(M0, kappa * C))
    expected = condition_exactly(model, y, M0, kappa * C)
    np.testing.assert_allclose(everything(effects), expected, rtol=1e-9, atol=1e-11)

    flat_one, (A, H) = gls_blup(model, y), information(model)
    S = np.linalg.inv(A) @ np.linalg.inv(np.linalg.inv(A) + kappa * C)
    move, shrink = S @ (M0 - flat_one.fixed), S @ np.linalg.inv(A)
    k = 2 + model.J
    mean, cov = expected[:k], expected[k:].reshape(k, k)
    np.testing.assert_allclose(mean[:2], flat_one.fixed + move, rtol=1e-9)
    np.testing.assert_allclose(mean[2:], flat_one.random - H @ move, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cov[:2, :2], flat_one.fixed_cov - shrink, rtol=1e-9)
    shrunk = flat_one.random_cov - H @ shrink @ H.T
    np.testing.assert_allclose(cov[2:, 2:], shrunk, rtol=1e-9, atol=1e-12)


@pytest.mark.theorem("thm-flat-limit")
@pytest.mark.parametrize("part", ["fixed", "random", "fixed_cov", "random_cov", "cov"])
def test_the_gap_to_flat_falls_with_slope_minus_one(part):
    model, y = eight_groups()
    target = getattr(posterior(model, y, flat(2)), part)
    wide = [getattr(posterior(model, y, gaussian(M0, k * C)), part) for k in KAPPAS]
    np.testing.assert_allclose(slope([np.abs(w - target).max() for w in wide]), -1, atol=0.005)


@pytest.mark.theorem("thm-flat-limit")
def test_the_leading_coefficients():
    model, y = eight_groups()
    effects, (A, H) = posterior(model, y, flat(2)), information(model)
    wide = posterior(model, y, gaussian(M0, 1e6 * C))
    lead = np.linalg.solve(A, np.linalg.solve(C, M0 - effects.fixed))
    np.testing.assert_allclose(1e6 * (wide.fixed - effects.fixed), lead, rtol=1e-4)
    np.testing.assert_allclose(
        1e6 * (wide.random - effects.random), -H @ lead, rtol=1e-4, atol=1e-8
    )
    curve = np.linalg.inv(A) @ np.linalg.inv(C) @ np.linalg.inv(A)
    np.testing.assert_allclose(1e6 * (effects.fixed_cov - wide.fixed_cov), curve, rtol=1e-4)


@pytest.mark.theorem("thm-flat-limit")
def test_a_prior_centred_on_the_estimate_moves_no_mean_but_every_variance():
    model, y = eight_groups()
    effects = posterior(model, y, flat(2))
    for kappa in (1e-2, 1.0, *KAPPAS):
        lucky = posterior(model, y, gaussian(effects.fixed, kappa * C))
        np.testing.assert_allclose(lucky.fixed, effects.fixed, rtol=1e-11)
        np.testing.assert_allclose(lucky.random, effects.random, rtol=1e-11)
    lucky = [posterior(model, y, gaussian(effects.fixed, k * C)).fixed_cov for k in KAPPAS]
    gaps = [np.abs(w - effects.fixed_cov).max() for w in lucky]
    np.testing.assert_allclose(slope(gaps), -1, atol=0.005)


@pytest.mark.theorem("thm-flat-limit")
def test_a_combination_without_leading_term_falls_with_slope_minus_two():
    model, y = eight_groups()
    effects, (A, _) = posterior(model, y, flat(2)), information(model)
    m = effects.fixed + C @ A @ [0.0, 3000.0]  # A^-1 C^-1 (m - alpha_hat) has no first entry
    wide = [posterior(model, y, gaussian(m, k * C)) for k in KAPPAS]
    first, second = np.abs([w.fixed - effects.fixed for w in wide]).T
    np.testing.assert_allclose(slope(first), -2, atol=0.005)
    np.testing.assert_allclose(slope(second), -1, atol=0.005)


# --- two variances -----------------------------------------------------------------------------


def cond_var(model):
    """Var(beta | y, alpha): the posterior of the model without fixed effects."""
    bare = LinearMixedModel(model.X[:, :0], model.D, model.Sigma, model.tau2)
    return ridge(bare, np.zeros(model.n)).cov


@pytest.mark.theorem("thm-three-variances")
@every_route
def test_pev_is_the_conditional_variance_plus_the_price_of_alpha(route):
    model, y = eight_groups()
    A, H = information(model)
    price = route(model, y).random_cov - cond_var(model)
    np.testing.assert_allclose(price, H @ np.linalg.inv(A) @ H.T, rtol=1e-9, atol=1e-12)
    values = np.linalg.eigvalsh(price)
    assert values.min() > -1e-12 and (values > 1e-9).sum() == np.linalg.matrix_rank(H) == 2


@pytest.mark.theorem("thm-three-variances")
def test_no_price_where_the_groups_and_x_do_not_meet():
    """D'X = 0: a covariate centred within groups, and no intercept."""
    model, y = eight_groups((4, 3, 2, 0))
    x = model.X[:, 1] - model.D @ np.linalg.lstsq(model.D, model.X[:, 1], rcond=None)[0]
    centred = LinearMixedModel(x[:, None], model.D, model.Sigma, 0.8)
    np.testing.assert_allclose(gls_blup(centred, y).random_cov, cond_var(centred), atol=1e-12)
    apart = gls_blup(model, y).random_cov - cond_var(model)
    assert np.diag(apart)[:3].min() > 0.05


@pytest.mark.theorem("thm-three-variances")
def test_each_variance_is_the_mean_square_error_of_its_own_prediction():
    """Over repeated (beta, y): alpha known gives condVar, alpha estimated gives PEV."""
    model, _ = eight_groups((20, 6, 3, 1, 0))
    estimated, _ = simulated_errors(model, np.array([3.0, -1.0]), 20_000)
    bare = LinearMixedModel(model.X[:, :0], model.D, model.Sigma, 0.8)
    known, _ = simulated_errors(bare, np.zeros(0), 20_000)
    pev, cond = np.diag(gls_blup(model, np.zeros(30)).random_cov), np.diag(cond_var(model))
    # a mean of 20,000 squares has the relative standard error sqrt(2 / 20,000) = 0.01
    np.testing.assert_allclose((estimated[:, 2:] ** 2).mean(axis=0), pev, rtol=0.04)
    np.testing.assert_allclose((known**2).mean(axis=0), cond, rtol=0.04)
    assert pev[0] / cond[0] > 8 and np.isclose(pev[4], cond[4])


# --- calibration -------------------------------------------------------------------------------


@pytest.mark.theorem("thm-calibration")
@pytest.mark.parametrize("alpha", [(0.0, 0.0), (50.0, -20.0)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_cover_exactly_on_average_over_beta(alpha, level):
    model, _ = eight_groups()
    effects = flat_posterior(model, np.zeros(model.n))
    errors, _ = simulated_errors(model, np.array(alpha), 20_000, seed=9)
    z = norm.ppf((1 + level) / 2)
    covered = (np.abs(errors) <= z * np.sqrt(np.diag(effects.cov))).mean(axis=0)
    assert np.abs(covered - level).max() < 4 * np.sqrt(level * (1 - level) / 20_000)
    k = np.array([1.0, 0.5, 1, 0, 0, 0, 0])  # the mean of group 0 at x = 0.5
    covered = (np.abs(errors @ k) <= z * np.sqrt(k @ effects.cov @ k)).mean()
    assert abs(covered - level) < 4 * np.sqrt(level * (1 - level) / 20_000)


def coverage(model, j, b, z):
    """The formula of the theorem, b in units of the prior sd."""
    rho = gls_blup(model, np.zeros(model.n)).random_cov[j, j] / model.Sigma[j, j]
    upper, lower = ((s * z + np.sqrt(rho) * b) / np.sqrt(1 - rho) for s in (1, -1))
    return norm.cdf(upper) - norm.cdf(lower)


@pytest.mark.theorem("thm-calibration")
@pytest.mark.parametrize("b", [-3.0, 0.0, 1.5, 3.0])
@pytest.mark.parametrize("j", [0, 3])
def test_coverage_given_beta_is_another_number(j, b):
    model, _ = eight_groups()
    sd = np.sqrt(gls_blup(model, np.zeros(model.n)).random_cov[j, j])
    errors, _ = simulated_errors(model, np.array([3.0, -1.0]), 20_000, j, b * np.sqrt(2.0))
    seen = (np.abs(errors[:, 2 + j]) <= 1.96 * sd).mean()
    expected = coverage(model, j, b, 1.96)
    assert abs(seen - expected) < 4 * np.sqrt(max(expected * (1 - expected), 1e-3) / 20_000)
    assert seen > 0.96 if b == 0 else seen < 0.94


@pytest.mark.theorem("thm-calibration")
def test_coverage_given_beta_averages_to_the_level():
    """Integrated over beta_j ~ N(0, Sigma_jj), the conditional coverage is 2 Phi(z) - 1."""
    model, _ = eight_groups()
    b = np.arange(-12, 12.005, 0.01)
    for j in range(4):
        for z in (0.5, 1.96):
            mean = (coverage(model, j, b, z) * norm.pdf(b)).sum() * 0.01
            np.testing.assert_allclose(mean, 2 * norm.cdf(z) - 1, rtol=1e-10)


@pytest.mark.theorem("thm-calibration")
def test_the_error_leans_against_beta():
    """Cov(beta_tilde - beta, beta) = -PEV, also with a correlated Sigma."""
    model, _ = eight_groups()
    Sigma = 0.5 ** np.abs(np.subtract.outer(range(5), range(5)))
    model = LinearMixedModel(model.X, model.D, Sigma, 0.8)
    errors, beta = simulated_errors(model, np.array([3.0, -1.0]), 40_000)
    pev = henderson(model, np.zeros(model.n)).random_cov
    seen = errors[:, 2:].T @ beta / 40_000
    np.testing.assert_allclose(seen, -pev, atol=4 / np.sqrt(40_000))
