"""The model, its marginal form, GLS and BLUP, and the limits of the variance ratio."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal, norm, poisson

from mixhier_lite import (
    Effects,
    InputError,
    LinearMixedModel,
    flat,
    gls_blup,
    henderson,
    indicator,
    posterior,
    ridge,
)


def crossed(seed=0, n=12, p=2, J=4):
    """Draw a model without any structure: dense X, D and Sigma."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(J, J))
    X, D = rng.normal(size=(n, p)), rng.normal(size=(n, J))
    return LinearMixedModel(X, D, A @ A.T, tau2=0.7)


def strains(n_j, sigma2=4.0, tau2=4.0, p=1):
    """Independent groups of the given sizes, with an intercept (p = 1) or nothing fixed."""
    D = indicator(np.repeat(np.arange(len(n_j)), n_j), levels=range(len(n_j)))
    return LinearMixedModel(np.ones((len(D), p)), D, sigma2 * np.eye(len(n_j)), tau2)


def v_by_definition(model):
    """Cov(y_i, y_k), one entry at a time."""
    V = np.zeros((model.n, model.n))
    for i in range(model.n):
        for k in range(model.n):
            V[i, k] = model.tau2 * (i == k)
            for a in range(model.J):
                for b in range(model.J):
                    V[i, k] += model.D[i, a] * model.Sigma[a, b] * model.D[k, b]
    return V


def weights(model):
    """Rows of the linear rules y -> (alpha_hat, beta_tilde), from unit responses."""
    effects = [gls_blup(model, e) for e in np.eye(model.n)]
    return np.array([np.append(e.fixed, e.random) for e in effects]).T


def error_cov(model, C):
    """Covariance of C y - (alpha, beta) over repetitions, for rules with C X = (I, 0)."""
    miss = C @ model.D - np.vstack([np.zeros((model.p, model.J)), np.eye(model.J)])
    return miss @ model.Sigma @ miss.T + model.tau2 * C @ C.T


# --- the marginal model


@pytest.mark.theorem("thm-mixed-marginal")
@pytest.mark.parametrize("rank", [2, 1])
def test_integral_of_the_joint_density_is_the_normal_density_with_v(rank):
    """Gauss-Hermite quadrature over u, with beta = R u and R R' = Sigma."""
    rng = np.random.default_rng(rank)
    R = np.array([[1.0, 0.0], [0.6, 0.5]])[:, :rank]
    model = LinearMixedModel(rng.normal(size=(4, 1)), rng.normal(size=(4, 2)), R @ R.T, 1.3)
    alpha, y = np.array([0.8]), rng.normal(size=4)
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    u = np.stack(np.meshgrid(*[node] * rank), axis=-1).reshape(-1, rank)
    w = np.prod(np.stack(np.meshgrid(*[weight] * rank), axis=-1).reshape(-1, rank), axis=1)
    mean = model.X @ alpha + u @ (model.D @ R).T
    density = np.exp(norm.logpdf(y, mean, np.sqrt(model.tau2)).sum(axis=1))
    integral = density @ w / np.sqrt(2 * np.pi) ** rank
    marginal = multivariate_normal(model.X @ alpha, model.V).pdf(y)
    assert integral == pytest.approx(marginal, rel=1e-10)


@pytest.mark.theorem("thm-mixed-marginal")
def test_moments_do_not_need_normality():
    """Skewed beta and eps with the right covariances: y has covariance V, and D Sigma with beta."""
    model, rng, draws = crossed(1, n=5, J=3), np.random.default_rng(2), 200_000
    R = np.linalg.cholesky(model.Sigma)
    beta = (rng.exponential(size=(draws, 3)) - 1) @ R.T
    eps = np.sqrt(model.tau2) * (rng.exponential(size=(draws, 5)) - 1)
    y = beta @ model.D.T + eps
    joint = np.block([[model.V, model.D @ model.Sigma], [model.Sigma @ model.D.T, model.Sigma]])
    scale = np.sqrt(np.diag(joint))
    gap = np.cov(np.hstack([y, beta]).T) - joint
    # kurtosis 9 at most: a correlation has a standard error below 3 / sqrt(draws)
    assert np.abs(gap / np.outer(scale, scale)).max() < 5 * 3 / np.sqrt(draws)


@pytest.mark.parametrize("seed", range(3))
def test_v_is_its_definition_entry_by_entry(seed):
    model = crossed(seed)
    assert model.V == pytest.approx(v_by_definition(model), abs=1e-12)


def test_v_of_groups_reads_off():
    V = strains([2, 1], sigma2=3, tau2=0.5).V
    assert pytest.approx(np.array([[3.5, 3, 0], [3, 3.5, 0], [0, 0, 3.5]])) == V


def test_root_of_sigma():
    for Sigma in (np.diag([4.0, 0.0]), np.ones((2, 2)), np.array([[2.0, 1.0], [1.0, 3.0]])):
        L = LinearMixedModel(np.ones((2, 1)), np.eye(2), Sigma, 1).L
        assert pytest.approx(Sigma, abs=1e-12) == L @ L.T


# --- simulate


def test_simulate_has_the_moments_of_the_model():
    model, alpha, rng, draws = crossed(3, n=4, J=2), [1.0, -2.0], np.random.default_rng(4), 20_000
    pairs = [model.simulate(alpha, rng) for _ in range(draws)]
    y, beta = (np.array(part) for part in zip(*pairs, strict=True))
    scale = np.sqrt(np.diag(model.V) / draws)
    assert (np.abs(y.mean(axis=0) - model.X @ alpha) < 5 * scale).all()
    assert (np.abs(beta.mean(axis=0)) < 5 * np.sqrt(np.diag(model.Sigma) / draws)).all()
    joint = np.block(
        [[v_by_definition(model), model.D @ model.Sigma], [model.Sigma @ model.D.T, model.Sigma]]
    )
    sd = np.sqrt(np.diag(joint))
    gap = np.cov(np.hstack([y, beta]).T) - joint
    assert np.abs(gap / np.outer(sd, sd)).max() < 5 * np.sqrt(2 / draws)


def test_simulate_is_repeatable_and_takes_no_other_randomness():
    model = crossed(5)
    first = model.simulate([1, 2], np.random.default_rng(6))
    again = model.simulate([1, 2], np.random.default_rng(6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    y, beta = model.simulate([1, 2], np.random.default_rng(7))
    assert not np.array_equal(y, first[0])
    assert y.shape == (12,) and beta.shape == (4,)


def test_simulate_keeps_clones_equal():
    """A singular Sigma: two strains with identical genes have identical effects."""
    model = LinearMixedModel(np.ones((2, 1)), np.eye(2), np.ones((2, 2)), 1)
    _, beta = model.simulate([0], np.random.default_rng(8))
    assert beta[0] == pytest.approx(beta[1]) and beta[0] != 0


# --- best among unbiased rules


# What a row is worth when rows come in groups


def rows_of_groups(sizes, sigma2, tau2, draws, seed):
    """Draw beta[j] + noise, a row of the result for each draw, by nothing but its definition."""
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    beta = rng.normal(0, np.sqrt(sigma2), (draws, len(sizes)))
    return beta[:, groups] + rng.normal(0, np.sqrt(tau2), (draws, len(groups)))


@pytest.mark.theorem("thm-design-effect")
def test_rows_of_a_group_have_the_intraclass_correlation():
    y = rows_of_groups([2, 1], 3.0, 1.0, 100_000, 21)
    assert np.corrcoef(y.T)[0] == pytest.approx([1, 3 / 4, 0], abs=0.01)


@pytest.mark.theorem("thm-design-effect")
@pytest.mark.parametrize("sizes", [(1, 4, 7), (5, 5, 5, 5), (1, 1, 1), (9,)])
def test_variance_of_the_mean_is_multiplied_by_the_design_effect(sizes):
    sigma2, tau2, n = 3.0, 2.0, sum(sizes)
    drawn = rows_of_groups(sizes, sigma2, tau2, 100_000, 22).mean(axis=1).var()
    lived_in = sum(size**2 for size in sizes) / n  # the size of the group of an average row
    effect = 1 + (lived_in - 1) * 3 / 5
    assert drawn / (5 / n) == pytest.approx(effect, rel=0.03)


@pytest.mark.theorem("thm-design-effect")
def test_a_slope_between_groups_costs_more_and_one_within_groups_less():
    y = rows_of_groups([4] * 6, 3.0, 2.0, 100_000, 23)
    between = np.repeat([-2.0, -1, 0, 0, 1, 2], 4)
    within = np.tile([-2.0, 0, 1, 1], 6)
    slopes = {name: y @ x / (x @ x) for name, x in (("between", between), ("within", within))}
    independent = {"between": 5 / (between @ between), "within": 5 / (within @ within)}
    effect = {name: slopes[name].var() / independent[name] for name in slopes}
    assert effect["between"] == pytest.approx(1 + 3 * 0.6, rel=0.03)
    assert effect["within"] == pytest.approx(1 - 0.6, rel=0.03)


# The residual


@pytest.mark.theorem("lem-residual")
@pytest.mark.parametrize("root", [np.eye(4), np.tril(np.ones((4, 4))), np.ones((4, 1))])
def test_residual_is_the_deviation_times_the_inverse_of_v(root):
    """Least squares of [y, 0] on [D L; tau I] gives u, and so b, without any V."""
    dense, y = crossed(24), np.random.default_rng(25).normal(size=12)
    model = LinearMixedModel(dense.X, dense.D, root @ root.T, 0.7)
    X, DL, columns = model.X, model.D @ root, root.shape[1]
    V = v_by_definition(model)
    below = np.sqrt(0.7) * np.eye(columns)
    a = np.array([0.3, -2.0])
    u = np.linalg.lstsq(np.vstack([DL, below]), np.append(y - X @ a, np.zeros(columns)))[0]
    left_over = y - X @ a - DL @ u
    np.testing.assert_allclose(V @ left_over, 0.7 * (y - X @ a), atol=1e-10)

    rows = np.block([[X, DL], [np.zeros((columns, 2)), below]])
    c = np.linalg.lstsq(rows, np.append(y, np.zeros(columns)))[0]
    e = y - np.hstack([X, DL]) @ c
    np.testing.assert_allclose(V @ e, 0.7 * (y - X @ c[:2]), atol=1e-10)
    np.testing.assert_allclose(X.T @ e, 0, atol=1e-10)
    np.testing.assert_allclose(model.Sigma @ model.D.T @ e / 0.7, root @ c[2:], atol=1e-10)
    np.testing.assert_allclose(gls_blup(model, y).random, root @ c[2:], atol=1e-10)


@pytest.mark.theorem("thm-gls-blup")
@pytest.mark.parametrize("model", [crossed(9), strains([3, 1, 5]), crossed(10, p=0)])
def test_any_other_unbiased_linear_rule_errs_more(model):
    """Add any d with d'X = 0 to a row of weights: the error variance grows, by d'Vd."""
    C, V = weights(model), v_by_definition(model)
    unbiased = np.vstack([np.eye(model.p), np.zeros((model.J, model.p))])
    assert pytest.approx(unbiased, abs=1e-10) == C @ model.X
    rng = np.random.default_rng(11)
    for scale in (1e-3, 1.0):
        d = scale * rng.normal(size=C.shape)
        d -= np.linalg.lstsq(model.X, d.T, rcond=None)[0].T @ model.X.T
        growth = np.diag(error_cov(model, C + d)) - np.diag(error_cov(model, C))
        price = np.einsum("ri,ij,rj->r", d, V, d)
        assert (growth > 0).all()
        assert growth == pytest.approx(price, rel=1e-6)


@pytest.mark.theorem("thm-gls-blup")
@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_cov_is_the_covariance_of_the_errors_over_repetitions(noise):
    model, alpha, draws = crossed(12, n=8, J=3), np.array([3.0, -5.0]), 100_000
    rng, C, effects = np.random.default_rng(13), weights(model), gls_blup(model, np.zeros(8))
    z = rng.normal(size=(draws, 11)) if noise == "normal" else rng.exponential(size=(draws, 11)) - 1
    beta = z[:, :3] @ np.linalg.cholesky(model.Sigma).T
    y = model.X @ alpha + beta @ model.D.T + np.sqrt(model.tau2) * z[:, 3:]
    errors = y @ C.T - np.hstack([np.tile(alpha, (draws, 1)), beta])
    sd = np.sqrt(np.diag(effects.cov))
    assert (np.abs(errors.mean(axis=0)) < 5 * sd / np.sqrt(draws)).all()
    gap = (np.cov(errors.T) - effects.cov) / np.outer(sd, sd)
    assert np.abs(gap).max() < 5 * 3 / np.sqrt(draws)


@pytest.mark.theorem("thm-gls-blup")
def test_without_normality_a_rule_that_is_not_linear_can_win():
    """The median of symmetric noise is unbiased: worse when normal, better when Laplace."""
    model, draws = strains([1] * 9, sigma2=1e-6, tau2=2.0), 100_000
    hat, rng = weights(model)[0], np.random.default_rng(14)
    gls, median, orthogonal = {}, {}, {}
    for noise, eps in {
        "normal": rng.normal(scale=np.sqrt(2), size=(draws, 9)),
        "Laplace": rng.laplace(size=(draws, 9)),  # variance 2 as well
    }.items():
        a, b = eps @ hat, np.median(eps, axis=1)
        gls[noise], median[noise] = np.mean(a**2), np.mean(b**2)
        orthogonal[noise] = np.mean((b - a) * a) / np.sqrt(np.mean((b - a) ** 2) * np.mean(a**2))
    bound = gls_blup(model, np.zeros(9)).fixed_cov[0, 0]
    assert gls["normal"] == pytest.approx(bound, rel=0.03)
    assert gls["Laplace"] == pytest.approx(bound, rel=0.03)
    assert median["normal"] > 1.2 * bound
    assert median["Laplace"] < 0.9 * bound
    assert abs(orthogonal["normal"]) < 5 / np.sqrt(draws)  # the step of the proof
    assert orthogonal["Laplace"] < -0.2


@pytest.mark.theorem("thm-gls-blup")
def test_james_and_stein_beat_gls_at_every_alpha():
    """Six diets, each on four strains of its own, so that Var(alpha_hat) = I."""
    diet, strain = np.repeat(range(6), 8), np.repeat(range(24), 2)
    model = LinearMixedModel(indicator(diet), indicator(strain), 2 * np.eye(24), 4)
    rng, C = np.random.default_rng(15), weights(model)[:6]
    errors = np.array([C @ model.simulate(np.zeros(6), rng)[0] for _ in range(20_000)])
    assert gls_blup(model, np.zeros(48)).fixed_cov == pytest.approx(np.eye(6), abs=1e-12)
    k = np.arange(400)
    for size in (0.0, 0.3, 1.0, 3.0):
        hat = size + errors
        stein = (1 - 4 / (hat**2).sum(axis=1, keepdims=True)) * hat
        losses = np.array([((guess - size) ** 2).sum(axis=1) for guess in (hat, stein)])
        risk = 6 - 16 * (poisson.pmf(k, 6 * size**2 / 2) / (4 + 2 * k)).sum()
        noise = 5 * losses.std(axis=1) / np.sqrt(20_000)
        assert (np.abs(losses.mean(axis=1) - [6, risk]) < noise).all()
        assert losses[1].mean() < losses[0].mean()


# James and Stein


def stein(z, degrees, tau2):
    """Multiply each row by 1 - (degrees - 2) tau2 / its sum of squares."""
    return (1 - (degrees - 2) * tau2 / (z**2).sum(axis=1, keepdims=True)) * z


@pytest.mark.theorem("thm-james-stein")
@pytest.mark.parametrize(("J", "sigma2"), [(3, 0.5), (6, 0.0), (6, 4.0), (25, 1.0)])
def test_james_and_stein_pay_two_measurements_at_most_for_the_ratio(J, sigma2):
    tau2, draws = 2.0, 200_000
    rng = np.random.default_rng(26)
    beta = rng.normal(0, np.sqrt(sigma2), (draws, J))
    z = beta + rng.normal(0, np.sqrt(tau2), (draws, J))
    ratio = tau2 / (sigma2 + tau2)
    estimates = (J - 2) * tau2 / (z**2).sum(axis=1)
    assert estimates.mean() == pytest.approx(ratio, rel=0.02)
    blup = ((1 - ratio) * z - beta) ** 2
    price = ((stein(z, J, tau2) - beta) ** 2).sum(axis=1) - blup.sum(axis=1)
    error = 5 * price.std() / np.sqrt(draws)
    assert abs(price.mean() - 2 * tau2 * ratio) < error < 0.25
    assert blup.sum(axis=1).mean() == pytest.approx(J * tau2 * (1 - ratio), rel=0.02)
    one_row = LinearMixedModel(np.zeros((J, 0)), np.eye(J), sigma2 * np.eye(J), tau2)
    np.testing.assert_allclose(gls_blup(one_row, z[0]).random, (1 - ratio) * z[0], atol=1e-12)


@pytest.mark.theorem("thm-james-stein")
def test_with_a_mean_one_degree_of_freedom_less_is_unbiased():
    rng, J = np.random.default_rng(27), 7
    z = 30 + rng.normal(0, np.sqrt(1.5 + 0.5), (200_000, J))
    spread = ((z - z.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    assert ((J - 1 - 2) * 0.5 / spread).mean() == pytest.approx(0.25, rel=0.02)
    assert ((J - 2) * 0.5 / spread).mean() > 0.3


@pytest.mark.theorem("thm-james-stein")
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_maximum_likelihood_divides_by_the_number_of_groups(scale):
    z, tau2 = scale * np.array([1.0, -2.0, 2.0, 0.5, -1.5]), 1.0

    def minus_log_likelihood(sigma2):
        return -norm.logpdf(z, 0, np.sqrt(sigma2 + tau2)).sum()

    sigma2 = minimize_scalar(minus_log_likelihood, bounds=(0, 1e3), options={"xatol": 1e-9}).x
    assert tau2 / (sigma2 + tau2) == pytest.approx(min(1, 5 * tau2 / (z @ z)), rel=1e-5)


@pytest.mark.theorem("thm-gls-blup")
def test_the_right_relatedness_beats_every_wrong_one():
    """Two clades of three: rules from another Sigma stay unbiased and err more."""
    K = np.kron(np.eye(2), 0.2 * np.eye(3) + 0.8)
    sizes, rng = (12, 12, 1, 12, 12, 1), np.random.default_rng(16)
    plain = strains(sizes)
    model = LinearMixedModel(plain.X, plain.D, 4 * K, 4)
    to_means = np.hstack([np.ones((6, 1)), np.eye(6)])  # alpha + beta_j

    def error(rule):
        return np.diag(to_means @ error_cov(model, weights(rule)) @ to_means.T)

    best, ignoring = error(model), error(plain)
    assert best == pytest.approx(
        np.diag(to_means @ gls_blup(model, np.zeros(50)).cov @ to_means.T), rel=1e-9
    )
    assert round(ignoring[2], 3) == 1.842 and round(best[2], 3) == 0.995  # printed in the chapter
    for _ in range(10):
        A = rng.normal(size=(6, 6))
        assert (error(LinearMixedModel(model.X, model.D, A @ A.T, 4)) > best).all()


# --- the limits of the variance ratio


@pytest.mark.theorem("thm-limits")
def test_small_variance_gives_pooled_least_squares():
    model = crossed(17)
    y = np.random.default_rng(18).normal(size=12)
    ols = np.linalg.lstsq(model.X, y, rcond=None)[0]
    gaps = []
    for sigma2 in (1e-5, 1e-7):
        effects = gls_blup(LinearMixedModel(model.X, model.D, sigma2 * np.eye(4), 1), y)
        gaps.append(np.abs(np.append(effects.fixed - ols, effects.random)).max())
    assert gaps[0] < 1e-3
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.01)
    none = gls_blup(LinearMixedModel(model.X, model.D, np.zeros((4, 4)), 1), y)
    assert none.fixed == pytest.approx(ols, abs=1e-12) and not none.random.any()


@pytest.mark.theorem("thm-limits")
@pytest.mark.parametrize("kind", ["nothing in col(D)", "intercept", "group level", "dense D"])
def test_large_variance_gives_group_dummies(kind):
    """Unbalanced groups; X_1 in the column space of D, X_2 not."""
    rng = np.random.default_rng(19)
    D = indicator(np.repeat(range(4), [1, 2, 5, 9])) if kind != "dense D" else None
    D = rng.normal(size=(17, 4)) if D is None else D
    inside = {"nothing in col(D)": 0, "intercept": 1, "group level": 2, "dense D": 2}[kind]
    X1 = D @ np.column_stack([np.ones(4), rng.normal(size=4)])[:, :inside]
    X2, y = rng.normal(size=(17, 2)) + 3 * D[:, :2], rng.normal(size=17)
    dummies = np.hstack([D, X2])
    c = np.linalg.lstsq(dummies, y, rcond=None)[0]
    gaps = []
    for sigma2 in (1e4, 1e6):
        model = LinearMixedModel(np.hstack([X1, X2]), D, sigma2 * np.eye(4), 0.5)
        effects = gls_blup(model, y)
        fit = model.X @ effects.fixed + D @ effects.random
        slopes = np.abs(effects.fixed[inside:] - c[4:]).max()
        gaps.append(max(slopes, np.abs(fit - dummies @ c).max()))
    assert gaps[0] < 1e-2
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.01)


def sums_of_products(groups, x, y):
    """(W_xy, B_xy) with plain loops."""
    mean_x, mean_y, within, between = sum(x) / len(x), sum(y) / len(y), 0.0, 0.0
    for j in set(groups):
        rows = [i for i in range(len(x)) if groups[i] == j]
        mx, my = sum(x[i] for i in rows) / len(rows), sum(y[i] for i in rows) / len(rows)
        within += sum((x[i] - mx) * (y[i] - my) for i in rows)
        between += len(rows) * (mx - mean_x) * (my - mean_y)
    return within, between


def slope_by_formula(groups, x, y, sigma2, tau2):
    phi = tau2 / (tau2 + len(x) / len(set(groups)) * sigma2)
    (w_xy, b_xy), (w_xx, b_xx) = sums_of_products(groups, x, y), sums_of_products(groups, x, x)
    return (w_xy + phi * b_xy) / (w_xx + phi * b_xx)


@pytest.mark.theorem("thm-limits")
@pytest.mark.parametrize("sigma2", [0.0, 0.01, 1.0, 19.7, 1e4])
@pytest.mark.parametrize(("J", "size"), [(2, 2), (4, 5), (7, 3), (5, 1)])
def test_balanced_slope_weighs_between_against_within(J, size, sigma2):
    groups, rng = np.repeat(range(J), size), np.random.default_rng(J)
    x = rng.normal(size=J * size) + 2.0 * groups
    y = rng.normal(size=J * size) - 1.5 * groups
    X = np.column_stack([np.ones(J * size), x])
    model = LinearMixedModel(X, indicator(groups), sigma2 * np.eye(J), 0.8)
    expected = slope_by_formula(groups, x, y, sigma2, 0.8)
    assert gls_blup(model, y).fixed[1] == pytest.approx(expected, rel=1e-8)


@pytest.mark.theorem("thm-limits")
@pytest.mark.parametrize("broken", ["unbalanced", "no intercept"])
def test_the_balanced_formula_ends_where_it_says(broken):
    sizes = [1, 2, 9] if broken == "unbalanced" else [4, 4, 4]
    groups, rng = np.repeat(range(3), sizes), np.random.default_rng(20)
    x, y = rng.normal(size=12) + groups, rng.normal(size=12) - groups + 3
    X = np.column_stack([np.ones(12), x])[:, int(broken == "no intercept") :]
    model = LinearMixedModel(X, indicator(groups), np.eye(3), 1)
    assert abs(gls_blup(model, y).fixed[-1] - slope_by_formula(groups, x, y, 1, 1)) > 1e-2


# --- gls_blup: known answers


def test_two_groups_by_hand():
    effects = gls_blup(strains([3, 1]), [19, 20, 21, 25])
    assert effects.fixed == pytest.approx([22], abs=1e-12)
    assert effects.random == pytest.approx([-1.5, 1.5], abs=1e-12)
    assert effects.fixed_cov == pytest.approx(np.array([[1 / (3 / 16 + 1 / 8)]]), rel=1e-12)


def test_nine_lactations_as_published():
    """Robinson (1991): three herds fixed, four sires random."""
    herds, sires = [1, 1, 2, 2, 2, 3, 3, 3, 3], list("ADBDDCCDD")
    y = np.where(np.array(sires) == "D", 100, 110)
    effects = gls_blup(LinearMixedModel(indicator(herds), indicator(sires), 0.1 * np.eye(4), 1), y)
    assert effects.fixed == pytest.approx([105.638657, 104.275738, 105.458437], abs=5e-7)
    assert effects.random == pytest.approx([0.396486, 0.520387, 0.756927, -1.673800], abs=5e-7)
    pev = np.diag(effects.random_cov)
    assert pev == pytest.approx([0.0954, 0.0941, 0.0916, 0.0833], abs=5e-5)


def test_parts_of_effects():
    effects = gls_blup(crossed(23), np.ones(12))
    assert effects.fixed.shape == (2,) and effects.random.shape == (4,)
    assert np.array_equal(effects.fixed_cov, effects.cov[:2, :2])
    assert np.array_equal(effects.random_cov, effects.cov[2:, 2:])
    assert np.array_equal(effects.cov, effects.cov.T)
    with pytest.raises(AttributeError):
        effects.fixed = np.zeros(2)
    assert isinstance(effects, Effects)


# --- edges that are right, not errors


def test_nothing_fixed():
    """p = 0: beta_tilde is n_j sigma2 / (tau2 + n_j sigma2) times the mean of the group."""
    model = strains([3, 1], sigma2=2, tau2=1, p=0)
    y, beta = model.simulate([], np.random.default_rng(24))
    assert y.shape == (4,) and beta.shape == (2,)
    effects = gls_blup(model, [1, 2, 3, 6])
    assert effects.fixed.shape == (0,) and effects.fixed_cov.shape == (0, 0)
    assert effects.random == pytest.approx([6 / 7 * 2, 2 / 3 * 6], rel=1e-12)
    assert np.diag(effects.random_cov) == pytest.approx([2 / 7, 2 / 3], rel=1e-12)


def test_one_group():
    """J = 1 beside an intercept: nothing tells them apart, so beta_tilde is zero."""
    effects = gls_blup(strains([4], sigma2=3, tau2=2), [1, 2, 3, 6])
    assert effects.fixed == pytest.approx([3], abs=1e-12)
    assert effects.random == pytest.approx([0], abs=1e-12)
    assert effects.fixed_cov == pytest.approx(np.array([[3 + 2 / 4]]), rel=1e-12)
    assert effects.random_cov == pytest.approx(np.array([[3.0]]), rel=1e-12)


def test_no_group_is_least_squares():
    X, y = crossed(25).X, np.random.default_rng(26).normal(size=12)
    effects = gls_blup(LinearMixedModel(X, np.zeros((12, 0)), np.zeros((0, 0)), 1), y)
    assert effects.fixed == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-12)
    assert effects.random.shape == (0,)


def test_an_empty_level_is_predicted_zero_with_its_own_variance():
    model = strains([3, 0, 1], sigma2=4, tau2=4)
    effects = gls_blup(model, [19, 20, 21, 25])
    assert effects.random == pytest.approx([-1.5, 0, 1.5], abs=1e-12)
    assert effects.random_cov[1] == pytest.approx([0, 4, 0], abs=1e-12)


def test_a_relative_speaks_for_an_empty_level():
    Sigma = 4 * np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
    plain = strains([3, 0, 1])
    effects = gls_blup(LinearMixedModel(plain.X, plain.D, Sigma, 4), [19, 20, 21, 25])
    assert effects.random == pytest.approx([-1.5, -0.75, 1.5], abs=1e-12)


def one_way(model, y):
    """Intercept and group effects of a one-way layout, by the chapter's hand calculation."""
    n_j, sigma2, tau2 = model.D.sum(axis=0), model.Sigma[0, 0], model.tau2
    mean, w = np.array([y[d == 1].mean() for d in model.D.T]), n_j / (tau2 + n_j * sigma2)
    alpha = (w * mean).sum() / w.sum()
    return np.append(alpha, sigma2 * w * (mean - alpha))


@pytest.mark.parametrize("route", [henderson, ridge, lambda m, y: posterior(m, y, flat(1))])
def test_a_group_of_ten_thousand_rows(route):
    model = strains([10_000, 3, 1], sigma2=2, tau2=1)
    y, _ = model.simulate([5], np.random.default_rng(27))
    effects = route(model, y)
    # sums over 1e4 rows, each rounded to 1e-16 of 1e4 or so, next to a penalty of order one
    assert np.append(effects.fixed, effects.random) == pytest.approx(one_way(model, y), abs=1e-8)


def test_gls_blup_with_two_thousand_rows():
    model = strains([1500, 450, 49, 1], sigma2=2, tau2=1)
    y, _ = model.simulate([5], np.random.default_rng(28))
    effects = gls_blup(model, y)
    assert np.append(effects.fixed, effects.random) == pytest.approx(one_way(model, y), rel=1e-9)


def test_cov_survives_a_huge_variance():
    """At sigma2 = 1e8 the errors are those of least squares on group dummies, within 3e-9."""
    x = np.random.default_rng(29).normal(size=(12, 1))
    D = indicator(np.repeat(range(3), [2, 4, 6]))
    effects = gls_blup(LinearMixedModel(x, D, 1e8 * np.eye(3), 1), np.ones(12))
    W = np.hstack([x, D])
    # Sigma - Sigma D' V^-1 D Sigma, a difference of numbers of 1e8, would be off by 2e-8
    assert np.abs(effects.cov - np.linalg.inv(W.T @ W)).max() < 1e-8


# --- values: frozen, copied, never modified


def test_a_model_is_frozen():
    model = crossed()
    for name in ("X", "D", "Sigma", "tau2", "L", "V", "n", "new"):
        with pytest.raises(AttributeError):
            setattr(model, name, 1.0)
    for name in ("X", "D", "Sigma", "L"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(model, name)[0, 0] = 1.0


def test_inputs_are_copied_and_never_modified():
    old = crossed(30)
    args = {"X": old.X.copy(), "D": old.D.copy(), "Sigma": old.Sigma.copy(), "tau2": 0.7}
    y, alpha = np.arange(12.0), np.array([1.0, 2.0])
    before = {name: np.copy(value) for name, value in args.items()}
    model = LinearMixedModel(**args)
    model.simulate(alpha, np.random.default_rng(31))
    first = gls_blup(model, y)
    assert all(np.array_equal(args[name], before[name]) for name in args)
    assert np.array_equal(y, np.arange(12.0)) and np.array_equal(alpha, [1, 2])
    for name in ("X", "D", "Sigma"):
        args[name][:] = 99.0  # the caller's own arrays stay the caller's
    assert np.array_equal(model.V, old.V)
    assert np.array_equal(gls_blup(model, y).cov, first.cov)


def test_integers_and_lists_become_float64():
    model = LinearMixedModel([[1], [1]], [[1, 0], [0, 1]], [[2, 0], [0, 2]], 1)
    assert all(a.dtype == np.float64 for a in (model.X, model.D, model.Sigma, model.L, model.V))
    assert isinstance(model.tau2, float)
    assert (model.n, model.p, model.J) == (2, 1, 2)


# --- refusals


def with_value(array, value):
    array = np.array(array, dtype=float)
    array[1, 0] = value
    return array


GOOD = {"X": np.ones((3, 1)), "D": np.eye(3)[:, :2], "Sigma": np.eye(2), "tau2": 1.0}
BAD = [
    ({"X": np.ones((4, 1))}, ["X and D have different numbers of rows", "X: 4 rows", "D: 3 rows"]),
    ({"X": np.ones(3)}, ["X has the wrong number of axes", "shape (3,)", "X[:, None]"]),
    ({"D": np.ones(3)}, ["D has the wrong number of axes", "shape (3,)"]),
    ({"X": np.ones((3, 1, 1))}, ["X has the wrong number of axes", "3 axes"]),
    ({"X": with_value(np.ones((3, 1)), np.nan)}, ["X has missing", "1 of 3", "first in row 1"]),
    ({"D": with_value(np.eye(3)[:, :2], np.inf)}, ["D has missing", "1 of 6", "first in row 1"]),
    ({"X": [["a"], ["b"], ["c"]]}, ["X does not hold real numbers", "indicator(groups)"]),
    ({"X": 1j * np.ones((3, 1))}, ["X does not hold real numbers", "complex"]),
    ({"X": [[1.0], [None], [2.0]]}, ["X", "row 1"]),
    ({"X": np.ones((0, 1)), "D": np.ones((0, 2))}, ["X and D have no rows", "n = 0"]),
    ({"Sigma": np.eye(3)}, ["Sigma has the wrong shape", "(2, 2)", "(3, 3)", "np.eye(2)"]),
    ({"Sigma": np.ones((2, 1))}, ["Sigma has the wrong shape", "(2, 1)", "column of D"]),
    ({"Sigma": 2.0}, ["Sigma is one number", "(2, 2)", "got: 2.0", "sigma2 * np.eye(2)"]),
    ({"Sigma": np.array(4)}, ["Sigma is one number", "got: 4", "sigma2 * np.eye(2)"]),
    ({"Sigma": [[1, 0.5], [0.4, 1]]}, ["Sigma is not symmetric", "0.5", "0.4"]),
    ({"Sigma": [[1, 2], [2, 1]]}, ["Sigma is not positive semi-definite", "-1", "correlation"]),
    ({"Sigma": -np.eye(2)}, ["Sigma is not positive semi-definite"]),
    ({"Sigma": with_value(np.eye(2), np.nan)}, ["Sigma has missing", "1 of 4"]),
    ({"tau2": 0}, ["tau2 is a variance and must be positive", "tau2 = 0"]),
    ({"tau2": -1.5}, ["tau2 is a variance and must be positive", "tau2 = -1.5"]),
    ({"tau2": np.nan}, ["tau2 has missing or infinite values"]),
    ({"tau2": np.inf}, ["tau2 has missing or infinite values"]),
    ({"tau2": [1.0, 1.0]}, ["tau2 has the wrong number of axes", "one number"]),
    ({"tau2": "one"}, ["tau2 does not hold real numbers"]),
]


def assert_refused(call, parts):
    """Refuse in the house form: what is wrong, expected, got, what to do."""
    with pytest.raises(InputError) as refusal:
        call()
    error = refusal.value
    assert all([error.wrong, error.expected, error.got, error.remedy])
    assert isinstance(error, ValueError)
    for part in ["expected: ", "got: ", "what to do: ", *parts]:
        assert part in str(error)


@pytest.mark.parametrize(("change", "parts"), BAD, ids=lambda value: str(value)[:40])
def test_refuses_a_bad_model(change, parts):
    LinearMixedModel(**GOOD)
    assert_refused(lambda: LinearMixedModel(**(GOOD | change)), parts)


@pytest.mark.parametrize(
    ("y", "parts"),
    [
        ([1.0, 2.0], ["y and X have different numbers of rows", "y: 2 rows", "X: 3 rows"]),
        ([1.0, np.nan, np.inf], ["y has missing or infinite values", "2 of 3", "first in row 1"]),
        (np.ones((3, 1)), ["y has the wrong number of axes", "(3, 1)", "y.ravel()"]),
        (["a", "b", "c"], ["y does not hold real numbers"]),
    ],
)
def test_refuses_a_bad_response(y, parts):
    assert_refused(lambda: gls_blup(LinearMixedModel(**GOOD), y), parts)


@pytest.mark.parametrize("X", [np.ones((3, 2)), np.zeros((3, 1)), np.arange(12.0).reshape(3, 4)])
def test_refuses_alpha_that_is_not_identified(X):
    model = LinearMixedModel(**(GOOD | {"X": X}))  # the model itself is fine
    assert_refused(lambda: gls_blup(model, np.ones(3)), ["alpha is not identified", "columns ["])


@pytest.mark.parametrize("alpha", [[], [1.0, 2.0]])
def test_refuses_an_alpha_of_the_wrong_length(alpha):
    model, rng = LinearMixedModel(**GOOD), np.random.default_rng(32)
    got = f"{len(alpha)} entries"
    assert_refused(lambda: model.simulate(alpha, rng), ["alpha does not match X", "1 entries", got])
    assert_refused(lambda: model.simulate([np.nan], rng), ["alpha has missing"])


def route_functions():
    from mixhier_lite import flat, henderson, log_joint, posterior, ridge

    return [
        gls_blup,
        henderson,
        ridge,
        lambda model, y: posterior(model, y, flat(1)),
        lambda model, y: log_joint(model, y, [0.0], [0.0, 0.0]),
    ]


@pytest.mark.parametrize("route", route_functions())
def test_every_route_says_that_its_first_argument_is_no_model(route):
    """The habit of ``Ridge().fit(X, y)`` is met by a sentence."""
    parts = ["model is not a LinearMixedModel", "route(model, y)", "ndarray", "fit(y, X, Term"]
    assert_refused(lambda: route(np.ones((3, 1)), np.ones(3)), parts)
