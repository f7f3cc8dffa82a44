"""The posterior of the variances against dense algebra, published numbers and brute force."""

import functools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import null_space
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import (
    beta,
    cauchy,
    expon,
    halfnorm,
    kstest,
    multivariate_normal,
    norm,
    rankdata,
    t,
)

from mixhier_lite import (
    Gram,
    InputError,
    LinearMixedModel,
    Prior,
    Term,
    datasets,
    fit,
    flat,
    gaussian,
    gls_blup,
    indicator,
    integrate,
    lmer,
    priors,
    sample,
)
from mixhier_lite.bayes.importance import weighted
from mixhier_lite.bayes.quadrature import Grids, settled, sketch
from mixhier_lite.bayes.rejection import _steps
from mixhier_lite.bayes.sampling import as_prior, posterior_of

Y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
SE = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
ONES = np.ones((8, 1))


def schools(method="REML"):
    return fit(Y, ONES, Term(np.arange(8)), method, tau2=1, weights=1 / SE**2)


def seed_groups(rows=30, seed=1, group_covariate=False, intercept=True):
    data = datasets.four_groups(np.random.default_rng(seed), rows)
    columns = [np.ones(4 * rows)] * intercept + [data.x]
    columns += [data.D @ [1, 0, 2, 1]] * group_covariate
    X = np.column_stack(columns)
    return fit(data.y, X, Term(data.groups)), data.y, X, data.D


def far_inside(rule, panels=1):
    """Gauss-Legendre nodes and weights on (0, 1), in panels of equal length."""
    nodes, weights = np.polynomial.legendre.leggauss(rule)
    nodes = (np.arange(panels)[:, None] + (nodes + 1) / 2) / panels
    return nodes.ravel(), np.tile(weights / 2 / panels, panels)


# --- eight schools


def test_eight_schools_golden():
    """The published answer under a prior flat in mu and in the sd between schools."""
    for method in ("ML", "REML"):
        assert schools(method).Sigma[0][0, 0] == 0
    told = integrate(schools())
    assert round(told.mean.fixed[0], 2) == 7.93
    assert round(told.sd.fixed[0], 2) == 5.18
    assert round(told.quantile(0.5).sds[0][0], 2) == 5.24
    assert round(told.mean.sds[0][0], 2) == 6.58
    assert round(told.mean.fixed[0] + told.mean.random[0][0, 0], 2) == 11.40
    assert told.error < 1e-6


def given_sigma(sigma):
    """The likelihood with mu integrated out, and moments of mu and beta, given many sigma."""
    V = np.square(sigma)[:, None] + SE**2  # diagonal
    A = (1 / V).sum(axis=1)
    mu = (Y / V).sum(axis=1) / A
    r2 = ((Y - mu[:, None]) ** 2 / V).sum(axis=1)
    log_L = -(np.log(V).sum(axis=1) + np.log(A) + r2 + 7 * np.log(2 * np.pi)) / 2
    kept = np.square(sigma)[:, None] / V
    mean, var = kept * (Y - mu[:, None]), kept * SE**2 + kept**2 / A[:, None]
    return np.exp(log_L), np.column_stack([mu, mean]), np.column_stack([1 / A, var])


def half(distribution):
    """The density of the absolute value of what lies as often above zero as below."""
    return lambda s: 2 * distribution.pdf(s)


@pytest.mark.parametrize(
    ("prior", "density"),
    [
        (priors.flat(), lambda s: 1.0),
        (priors.flat_variance(), lambda s: 2 * s),
        (priors.half_normal(7), halfnorm(scale=7).pdf),
        (priors.half_cauchy(7), half(cauchy(scale=7))),
        (priors.half_t(4, 7), half(t(4, scale=7))),
        (priors.exponential(7), expon(scale=7).pdf),
    ],
    ids=lambda value: repr(value) if isinstance(value, priors.SdPrior) else "",
)
def test_eight_schools_against_one_dimensional_quadrature(prior, density):
    def masses(end=np.inf):  # sigma = 10 u / (1 - u): zero to infinity in one piece
        u, w = far_inside(150)
        last = 1.0 if np.isinf(end) else end / (10 + end)
        sigma = 10 * u * last / (1 - u * last)
        likelihood, means, variances = given_sigma(sigma)
        mass = likelihood * density(sigma) * w * last * 10 / (1 - u * last) ** 2
        return mass, sigma, means, variances

    mass, sigma, means, variances = masses()
    total, mass = mass.sum(), mass / mass.sum()
    told = integrate(schools(), prior)
    assert told.log_marginal == pytest.approx(np.log(total), abs=1e-6)
    mean = mass @ sigma
    assert told.mean.sds[0][0] == pytest.approx(mean, rel=1e-5)
    sd = np.sqrt(mass @ (sigma - mean) ** 2)
    assert told.sd.sds[0][0] == pytest.approx(sd, rel=1e-4)
    found, sds = (np.append(u.fixed, u.random[0]) for u in (told.mean, told.sd))
    np.testing.assert_allclose(found, mass @ means, rtol=1e-5)
    square = mass @ (variances + (means - found) ** 2)
    np.testing.assert_allclose(sds, np.sqrt(square), rtol=1e-5)
    for p in (0.05, 0.5, 0.95):
        q = told.quantile(p)
        assert masses(q.sds[0][0])[0].sum() / total == pytest.approx(p, abs=1e-6)
        below = ndtr((np.append(q.fixed, q.random[0]) - means) / np.sqrt(variances))
        np.testing.assert_allclose(mass @ below, p, atol=1e-5)
    assert told.mean.tau == pytest.approx(1) and told.sd.tau < 1e-9


PIECES = np.array([0, 1e-4, 1e-2, 0.1, 1, 10, 100, 1e3, 1e5])


@functools.cache
def mass_of_schools(density, *ends):
    """Mass of the eight schools between the first end and the last, in pieces."""

    def at(s):
        return given_sigma([s])[0][0] * density(s)

    pieces = zip(ends[:-1], ends[1:], strict=True)
    return sum(quad(at, low, high, epsabs=0, limit=500)[0] for low, high in pieces)


@functools.cache
def told_of_schools(prior):
    """What the package says of the eight schools."""
    return integrate(schools(), prior)


@pytest.mark.parametrize(
    ("prior", "density"),
    [
        (priors.flat(), lambda s: 1.0),
        (priors.half_cauchy(0.5), half(cauchy(scale=0.5))),
        (priors.half_t(3, 1), half(t(3))),
    ],
    ids=["flat", "half-Cauchy", "half-t"],
)
@pytest.mark.parametrize("p", [1e-6, 1e-3, 0.01, 0.2, 0.999, 1 - 1e-6])
@pytest.mark.slow
def test_extreme_quantiles_of_a_standard_deviation(prior, density, p):
    """The share of an adaptive quadrature of its own below the quantile, and near zero p itself."""
    q = told_of_schools(prior).quantile(p).sds[0][0]
    total = mass_of_schools(density, *PIECES)
    if p < 0.5:
        share = mass_of_schools(density, *PIECES[PIECES < q], q) / total
        assert share == pytest.approx(p, rel=1e-5)
    else:
        share = mass_of_schools(density, q, *PIECES[PIECES > q]) / total
        assert share == pytest.approx(1 - p, abs=1e-8, rel=1e-3)


def test_a_quantile_beyond_all_resolution_is_refused(monkeypatch):
    told = integrate(schools())
    for always in (0.0, 1.0):
        monkeypatch.setattr(Grids, "distribution", lambda *_: lambda value: always)  # noqa: B023
        with pytest.raises(InputError, match="so close to 0 or 1"):
            told.quantile(0.5).sds  # noqa: B018


# --- brute force over the dense likelihood


class Brute:
    """The posterior of (sigma, tau) on a grid of its own, by n x n algebra at every point."""

    def __init__(self, y, X, D, density, upto=np.inf, tau_upto=np.inf):
        (u, w), (v, wv), scale = far_inside(24, 4), far_inside(16, 5), np.std(y)
        last = 1.0 if np.isinf(upto) else upto / (scale + upto)
        low, high = 0.02 * scale, min(4 * scale, tau_upto)
        tau = low * (high / low) ** v
        mass, self.points, self.means, self.vars = [], [], [], []
        for ui, wi in zip(u * last, w * last, strict=True):
            sigma = scale * ui / (1 - ui)
            V = sigma**2 * D @ D.T + tau[:, None, None] ** 2 * np.eye(len(y))
            inverse = np.linalg.inv(V)
            A = np.linalg.inv(X.T @ inverse @ X)
            alpha = np.einsum("kij,jn,knm,m->ki", A, X.T, inverse, y)
            e = y - alpha @ X.T
            r2 = np.einsum("ki,kij,kj->k", e, inverse, e)
            log_L = np.linalg.slogdet(V)[1] - np.linalg.slogdet(A)[1] + r2
            log_L = -(log_L + (len(y) - X.shape[1]) * np.log(2 * np.pi)) / 2
            jacobian = scale / (1 - ui) ** 2 * tau * np.log(high / low)
            mass.append(np.exp(log_L) * wi * wv * jacobian * density(sigma))
            self.points.append(np.column_stack([np.full(80, sigma), tau]))
            H = sigma**2 * D.T @ inverse
            Q = inverse - inverse @ X @ A @ X.T @ inverse
            var = sigma**2 - sigma**4 * np.einsum("nj,knm,mj->kj", D, Q, D)
            self.means.append(np.column_stack([alpha, np.einsum("kjn,kn->kj", H, e)]))
            self.vars.append(np.column_stack([np.einsum("kii->ki", A), var]))
        self.total = np.sum(mass)
        self.mass = np.concatenate(mass) / self.total
        self.points, self.means = np.concatenate(self.points), np.concatenate(self.means)
        self.vars = np.maximum(np.concatenate(self.vars), 1e-12)

    def quantile(self, k, p):
        def excess(x):
            return self.mass @ ndtr((x - self.means[:, k]) / np.sqrt(self.vars[:, k])) - p

        return brentq(excess, -200, 200, xtol=1e-10)


CASES = {
    "half-normal": (priors.half_normal(6), halfnorm(scale=6).pdf),
    "flat": (priors.flat(), lambda s: 1.0),
}


@pytest.mark.parametrize("rows", [5, 15])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_four_groups_against_brute_force(name, rows):
    prior, density = CASES[name]
    model, y, X, D = seed_groups(rows, 5)
    told, brute = integrate(model, prior), Brute(y, X, D, density)
    assert told.log_marginal == pytest.approx(np.log(brute.total), abs=1e-4)
    for k, found in ((0, told.mean.sds[0][0]), (1, told.mean.tau)):
        assert found == pytest.approx(brute.mass @ brute.points[:, k], rel=1e-4)
    tau_sd = np.sqrt(brute.mass @ (brute.points[:, 1] - told.mean.tau) ** 2)
    assert told.sd.tau == pytest.approx(tau_sd, rel=1e-4)
    flat_means = np.append(told.mean.fixed, told.mean.random[0])
    np.testing.assert_allclose(flat_means, brute.mass @ brute.means, rtol=1e-4, atol=1e-4)
    if name == "half-normal":
        sd = np.sqrt(brute.mass @ (brute.points[:, 0] - told.mean.sds[0][0]) ** 2)
        assert told.sd.sds[0][0] == pytest.approx(sd, rel=1e-4)
        square = brute.mass @ (brute.vars + (brute.means - flat_means) ** 2)
        sds = np.append(told.sd.fixed, told.sd.random[0])
        np.testing.assert_allclose(sds, np.sqrt(square), rtol=1e-4)
    for p in (0.1, 0.5, 0.9):
        q = told.quantile(p)
        for k, value in enumerate(np.append(q.fixed, q.random[0])):
            assert value == pytest.approx(brute.quantile(k, p), rel=2e-4, abs=2e-4)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_quantiles_of_standard_deviations(name):
    """A grid that ends at the quantile holds its share of the mass."""
    prior, density = CASES[name]
    model, y, X, D = seed_groups(5, 5)
    q, whole = integrate(model, prior).quantile(0.7), Brute(y, X, D, density).total
    assert Brute(y, X, D, density, upto=q.sds[0][0]).total / whole == pytest.approx(0.7, abs=1e-4)
    assert Brute(y, X, D, density, tau_upto=q.tau).total / whole == pytest.approx(0.7, abs=1e-4)


def z_scores(draws, told):
    """Of means and of shares below quantiles, for every scalar."""
    S = len(draws.tau2)
    columns = [draws.fixed, *(b.reshape(S, -1) for b in draws.random), *draws.sds]
    values = np.column_stack([*columns, np.sqrt(draws.tau2)])

    def whole(u):
        return np.concatenate([u.fixed, *(b.ravel() for b in u.random), *u.sds, [u.tau]])

    out = [(values.mean(axis=0) - whole(told.mean)) / np.maximum(whole(told.sd), 1e-12) * S**0.5]
    for p in (0.05, 0.25, 0.5, 0.75, 0.95):
        below = (values <= whole(told.quantile(p))).mean(axis=0)
        out.append((below - p) / np.sqrt(p * (1 - p) / S))
    return np.array(out)


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_distribution_of_the_integrals(name):
    """z below 4.5: with 48 scores each, a false alarm once in 3,000 seeds; the seed is fixed."""
    model = seed_groups()[0]
    draws = sample(model, 40000, np.random.default_rng(2), CASES[name][0])
    z = z_scores(draws, integrate(model, CASES[name][0]))
    assert np.abs(z).max() < 4.5
    assert draws.ess == 40000
    values = np.column_stack([draws.fixed, draws.random[0][..., 0], np.sqrt(draws.tau2)])
    ranks = values.argsort(axis=0).argsort(axis=0) / len(values) - 0.5
    lag_one = (ranks[1:] * ranks[:-1]).mean(axis=0) * 12
    assert np.abs(lag_one).max() < 4.5 / np.sqrt(40000)  # independent


@pytest.mark.slow
def test_draws_given_the_variances_are_normal():
    """Standardised by their own (sigma, tau), draws of (alpha, beta) have covariance I."""
    model, y, X, D = seed_groups(3, 5)
    draws = sample(model, 3000, np.random.default_rng(3), priors.half_normal(5))
    z = []
    for a, b, s, tau2 in zip(draws.fixed, draws.random[0], draws.Sigma[0], draws.tau2, strict=True):
        known = gls_blup(LinearMixedModel(X, D, s[0, 0] * np.eye(4), tau2), y)
        off = np.append(a, b) - np.append(known.fixed, known.random)
        z.append(np.linalg.solve(np.linalg.cholesky(known.cov), off))
    assert np.abs(np.mean(z, axis=0)).max() < 4.5 / np.sqrt(3000)
    assert np.abs(np.cov(np.transpose(z)) - np.eye(6)).max() < 4.5 * np.sqrt(2 / 3000)


def test_draws_of_a_balanced_layout_are_normal():
    """Closed forms: alpha given (sigma, tau), then beta given alpha, in 100,000 draws."""
    y, m = np.random.default_rng(1).normal(size=(4, 3)) + [[0], [1], [3], [5]], 3
    model = fit(y.ravel(), np.ones((12, 1)), Term(np.repeat(np.arange(4), m)))
    draws = sample(model, 100_000, np.random.default_rng(4), priors.half_normal(3))
    sigma2, tau2, alpha = draws.Sigma[0][:, 0, 0], draws.tau2, draws.fixed[:, 0]
    keep = m * sigma2 / (m * sigma2 + tau2)
    z = (alpha - y.mean()) / np.sqrt((m * sigma2 + tau2) / 12)
    mean = keep[:, None] * (y.mean(axis=1) - alpha[:, None])
    beta = (draws.random[0][..., 0] - mean) / np.sqrt(keep * tau2 / m)[:, None]
    z = np.column_stack([z, beta])
    assert np.abs(z.mean(axis=0)).max() < 4.5 / np.sqrt(100_000)
    assert np.abs(np.cov(z.T) - np.eye(5)).max() < 4.5 * np.sqrt(2 / 100_000)


@pytest.mark.parametrize("seed", [6, 21, 39])
@pytest.mark.slow
def test_no_step_towers_over_the_density(seed):
    """On a narrow ridge the staircase of the proposal stays near its summit, so draws end."""
    rng, g = np.random.default_rng(seed), np.repeat(np.arange(5), 4)
    X = np.column_stack([np.ones(20), rng.normal(size=20)])
    B = rng.normal(size=(5, 2)) * [1, 1.5]
    model = fit((X * B[g]).sum(axis=1) + 0.15 * rng.normal(size=20), X, Term(g, X))
    prior = Prior(priors.half_normal(1), priors.half_normal(1))
    (nodes,) = sketch(posterior_of(model, prior)).parts
    assert _steps(nodes).max() < nodes.log_density.max() + 3
    draws, told = sample(model, 4000, rng, prior), integrate(model, prior)
    error = told.sd.sds[0] / np.sqrt(4000)
    assert (np.abs(draws.sds[0].mean(axis=0) - told.mean.sds[0]) < 4.5 * error).all()


# --- the density itself


def random_model(seed):
    rng = np.random.default_rng(seed)
    n, J = int(rng.integers(14, 24)), int(rng.integers(4, 7))
    g = np.append(np.arange(J), rng.integers(0, J, n - J))
    h = np.append(np.arange(3), rng.integers(0, 3, n - 3))
    x, one = rng.normal(size=n), np.ones((n, 1))
    X, K = np.column_stack([np.ones(n), x]), np.cov(rng.normal(size=(J, J + 2)))
    Z3 = np.column_stack([X, rng.normal(size=n)])
    terms, correlated = [
        ([(g, one, None)], [True]),
        ([(g, X, None)], [True]),
        ([(g, X, None)], [False]),
        ([(g, one, None), (h, one, None)], [True, True]),
        ([(g, one, K)], [True]),
        ([(g, Z3, None)], [True]),
    ][seed % 6]
    y = X @ [1, 2] + rng.normal(size=J)[g] + rng.normal(size=n)
    w = [None, rng.uniform(0.3, 3, n)][seed % 2]
    tau2 = [None, None, 0.7][seed % 3]
    alpha = [None, gaussian([0.5, 1], [[2, 0.3], [0.3, 1]])][seed // 2 % 2]
    return y, X, terms, correlated, w, tau2, alpha


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.theorem("thm-theta-posterior")
def test_density_is_the_dense_one(seed):
    """log p(y, x, w, t) is likelihood, prior and the Jacobian of the coordinates."""
    y, X, terms, correlated, w, tau2, alpha = random_model(seed)
    package = [Term(g, Z, K, c) for (g, Z, K), c in zip(terms, correlated, strict=True)]
    model = fit(y, X, package, weights=w, tau2=tau2)
    over = posterior_of(model, Prior(priors.half_t(3, 1.5), priors.half_normal(2), alpha))
    (view,), rng, m = over.views, np.random.default_rng(seed), len(over.sds)
    at = np.column_stack([rng.uniform(0.3, 2, (4, m)), rng.uniform(-0.8, 0.8, (4, over.size - m))])
    times = rng.normal(size=(4, 1)) * (tau2 is None)

    def unknowns(at, time):
        """Standard deviations, correlations and tau, in the reader's units."""
        given = view.given(at[None])
        tau = over.tau(given, time[None])[0]
        Sigma = [root[0] @ root[0].T for root in over.roots(given.T, tau)]
        sds = [np.sqrt(np.diag(S)) for S in Sigma]
        rho = [
            (S / np.outer(s, s))[np.tril_indices(len(s), -1)]
            for S, s, c in zip(Sigma, sds, correlated, strict=True)
            if c
        ]
        return np.concatenate([*sds, *rho, tau * over.y_unit]), Sigma

    for point, time in zip(at, times, strict=True):
        value = view.log_density(point[None], view.given(point[None]), time[None])[0, 0]
        u, Sigma = unknowns(point, time)
        tau, free = u[-1], over.size + (tau2 is None)
        V = tau**2 * np.diag(1 / (np.ones(len(y)) if w is None else w))
        for (g, Z, K), S in zip(terms, Sigma, strict=True):
            same = np.equal.outer(g, g) if K is None else K[np.ix_(g, g)]
            V = V + same * (Z @ S @ Z.T)
        if alpha is None:
            K = null_space(X.T)
            dense = multivariate_normal(np.zeros(len(y) - 2), K.T @ V @ K).logpdf(K.T @ y)
            dense -= np.linalg.slogdet(X.T @ X)[1] / 2
        else:
            cov = np.linalg.inv(alpha.precision)
            dense = multivariate_normal(X @ cov @ alpha.shift, V + X @ cov @ X.T).logpdf(y)
        dense += np.log(2 * t(3, scale=1.5).pdf(u[:m])).sum()
        dense += halfnorm(scale=2).logpdf(tau) if tau2 is None else 0.0
        q = max(Z.shape[1] for _, Z, _ in terms)
        dense -= {0: 0, 1: np.log(2), 3: np.log(np.pi**2 / 2)}[over.size - m] if q > 1 else 0.0
        coordinates = np.append(point, time)[:free]
        J = np.empty((free, free))
        for k in range(free):
            step = np.zeros(over.size + 1)
            step[k] = 1e-5
            up, down = (np.append(point, time) + s * step for s in (1, -1))
            J[:, k] = (unknowns(up[:-1], up[-1:])[0] - unknowns(down[:-1], down[-1:])[0])[:free]
        dense += np.linalg.slogdet(J / 2e-5)[1]
        assert len(coordinates) == free
        assert value == pytest.approx(dense, abs=1e-6)


@pytest.mark.theorem("thm-theta-posterior")
def test_height_area_and_mixture():
    """Parts 1 to 3, by sums over tau: exp(-crit/2) r2^((k+1)/2), chi-squared, multivariate t."""
    model, y, X, _ = seed_groups(3, 5)
    blocks = indicator(np.repeat(np.arange(4), 3))
    K, n = null_space(X.T), 12
    tau = np.linspace(0.02, 60, 60001)
    for k in (0, 1, -1):
        ratios = []
        for theta in (0.3, 1.0, 4.0):
            V = theta**2 * blocks @ blocks.T + np.eye(n)
            C, z = K.T @ V @ K, K.T @ y
            r2 = z @ np.linalg.solve(C, z)
            crit = np.linalg.slogdet(C)[1] + (n - 2) * np.log(r2)
            log_L = -np.linalg.slogdet(C)[1] / 2 - (n - 2) * np.log(tau) - r2 / 2 / tau**2
            area = np.exp(log_L) * tau**k
            ratios.append(area.sum() / (np.exp(-crit / 2) * r2 ** ((k + 1) / 2)))
            f = n - 2 - k - 1
            mean = (area * r2 / tau**2).sum() / area.sum()
            assert mean == pytest.approx(f, rel=1e-3)  # chi-squared with f df
            assert (area * (r2 / tau**2) ** 2).sum() / area.sum() == pytest.approx(
                f * (f + 2), rel=1e-3
            )
            known = gls_blup(LinearMixedModel(X, blocks, theta**2 * np.eye(4), 1), y)
            x, sd = known.random[0] + 1.3, np.sqrt(known.cov[2, 2])
            below = (area * ndtr(1.3 / (tau * sd))).sum() / area.sum()
            scale = sd * np.sqrt(r2 / f)
            assert below == pytest.approx(t(f).cdf((x - known.random[0]) / scale), rel=1e-4)
        assert np.ptp(ratios) < 1e-4 * ratios[0]


@pytest.mark.theorem("thm-theta-posterior")
def test_reml_is_a_mode_in_one_parametrisation_only():
    frame = datasets.load("Dyestuff")
    y, batch = frame["Yield"].to_numpy(), frame["Batch"]
    model = fit(y, np.ones((30, 1)), Term(batch))
    K, D = null_space(np.ones((1, 30))), indicator(batch)

    def log_density(sigma2, tau2):
        return multivariate_normal(
            np.zeros(29), K.T @ (sigma2 * D @ D.T + tau2 * np.eye(30)) @ K
        ).logpdf(K.T @ y)

    def slopes(f, at):
        h = 1e-3 * at
        return (
            np.array([(f(*(at + h * e)) - f(*(at - h * e))) / (2 * h @ e) for e in np.eye(2)]) * at
        )

    at = np.array([model.Sigma[0][0, 0], model.tau2])
    assert np.abs(slopes(log_density, at)).max() < 1e-4

    def flat_in_sds(sigma, tau):
        return log_density(sigma**2, tau**2)

    def in_sds(sigma, tau):
        return flat_in_sds(sigma, tau) + np.log(4 * sigma * tau)

    assert np.abs(slopes(flat_in_sds, np.sqrt(at))).max() < 1e-4
    np.testing.assert_allclose(slopes(in_sds, np.sqrt(at)), 1, atol=1e-4)


# --- more variances: importance sampling


def random_slopes(seed=4, J=9, rows=6):
    rng, g = np.random.default_rng(seed), np.repeat(np.arange(J), rows)
    X = np.column_stack([np.ones(J * rows), rng.normal(size=J * rows)])
    B = rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 0.6]], J)
    y = X @ [1, 2] + (X * B[g]).sum(axis=1) + rng.normal(size=J * rows)
    return fit(y, X, Term(g, X)), y, X, g


@pytest.mark.slow
def test_importance_sampling_against_quadrature():
    """One posterior of three coordinates and t, summed over a grid and over weighted points."""
    model = random_slopes()[0]
    over = posterior_of(model, as_prior(priors.half_normal(2)))
    assert over.size == 3
    exact, points = settled(over)[0], weighted(over, 40000, np.random.default_rng(1))
    assert points.effective > 0.3 * 40000
    error = 4.5 / np.sqrt(points.effective)
    assert points.log_marginal == pytest.approx(exact.log_marginal, abs=error)
    for k in range(3):
        for value in (0.6, 0.9, 1.2):
            assert points.distribution(k)(value) == pytest.approx(
                exact.distribution(k)(value), abs=error / 2
            )
    w = [nodes.mass.sum(axis=1) @ over.charts[0].coordinates(nodes.given.T)[:, 2] for nodes in
         (exact, points)]  # fmt: skip
    assert w[1] == pytest.approx(w[0], abs=error)


def four_coordinates():
    _, y, X, g = random_slopes()
    h = np.tile(np.arange(6), 9)
    return fit(y + np.array([0.5, -1, 0, 1, 0.3, -0.4])[h], X, [Term(g, X), Term(h)])


@pytest.mark.slow
def test_more_than_three_coordinates_report_their_effective_size():
    model, prior = four_coordinates(), priors.half_normal(2)
    draws = sample(model, 4000, np.random.default_rng(5), prior)
    assert 2000 < draws.ess < 4000
    told = integrate(model, prior)
    assert 0 < told.error < 0.02
    values = [draws.fixed[:, 1], draws.sds[0][:, 0], draws.sds[1][:, 0], np.sqrt(draws.tau2)]
    at, sd = ([u.fixed[1], u.sds[0][0], u.sds[1][0], u.tau] for u in (told.mean, told.sd))
    for value, mean, spread in zip(values, at, sd, strict=True):
        assert abs(value.mean() - mean) < 4.5 * spread * np.sqrt(1 / draws.ess + told.error**2)


def test_poor_importance_sampling_is_refused(monkeypatch):
    monkeypatch.setattr("mixhier_lite.bayes.importance.POOR", 0.999)
    with pytest.raises(InputError, match="too rough for importance sampling"):
        sample(four_coordinates(), 10, np.random.default_rng(0), priors.half_normal(2))


# --- first mistakes


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Prior(fixed=priors.flat()), r"fixed is not(.|\n)*got: fixed of type SdPrior"),
        (lambda: Prior(sd=flat(1)), r"sd is not(.|\n)*got: sd of type GaussianFactor"),
        (lambda: Prior(gaussian([0], [[1]])), r"sd is not(.|\n)*got: sd of type GaussianFactor"),
        (lambda: Prior(noise=flat(1)), r"noise is not(.|\n)*got: noise of type GaussianFactor"),
        (lambda: sample(schools(), 10, 1), r"rng is not(.|\n)*got: int"),
        (lambda: integrate(LinearMixedModel(ONES, np.eye(8), np.eye(8), 1)), "model is not a fit"),
        (lambda: sample("y ~ 1", 10, np.random.default_rng(1)), "model is not a fit"),
    ],
)
def test_things_that_stand_in_the_wrong_place_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


# --- numbers that chapters quote in their text


def test_a_prior_on_everything():
    """Chapter "bayes": one Prior for sigma, tau and alpha, tau being known here."""
    prior = Prior(priors.half_normal(10), priors.exponential(1), gaussian([0], [[25.0]]))
    s = np.arange(0.05, 100, 0.1)[:, None]
    v = s**2 + SE**2
    P = (1 / v).sum(axis=1) + 1 / 25  # alpha integrated out, mean zero
    h = (Y / v).sum(axis=1)
    log_p = -(np.log(v) + Y**2 / v).sum(axis=1) / 2 + h**2 / P / 2 - np.log(P) / 2
    p = np.exp(log_p - s[:, 0] ** 2 / 200)
    assert integrate(schools(), prior).mean.fixed[0] == pytest.approx(p @ (h / P) / p.sum(), 1e-3)


def test_a_person_not_yet_seen():
    """Chapter "slopes": 9 and 13 % wider than the plug-in, averaged over the variances."""
    data = datasets.load("sleepstudy")
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    draws = sample(model, 20000, np.random.default_rng(21))
    for day, wider in ((0, 0.09), (9, 0.13)):
        z = np.array([1, day])
        centre, var = draws.fixed @ z, np.einsum("i,sij,j->s", z, draws.Sigma[0], z) + draws.tau2
        low, high = (
            brentq(lambda x: ndtr((x - centre) / np.sqrt(var)).mean() - q, -2000, 3000)  # noqa: B023
            for q in (0.025, 0.975)
        )
        row = data.iloc[:1].assign(Days=float(day)).drop(columns="Subject")
        told = model.predict(row, new_groups="population")
        assert (high - low) / (3.92 * np.sqrt(told.var_new[0])) - 1 == pytest.approx(
            wider, abs=6e-3
        )


def test_a_chain_in_u():
    """Chapter "bayes": sigma of the schools, drawn with u in beta = sigma u, forgets at once."""
    rng, w, sigma, chain = np.random.default_rng(3), 1 / SE**2, 5.0, []
    for _ in range(4000):
        W = np.hstack([ONES, sigma * np.eye(8)])
        R = np.linalg.cholesky(W.T @ (W * w[:, None]) + np.diag([0] + [1] * 8))
        z = np.linalg.solve(R, W.T @ (w * Y)) + rng.standard_normal(9)
        alpha, *u = np.linalg.solve(R.T, z)
        precision = (u := np.array(u)) ** 2 @ w  # sigma given the rest: normal, cut off at zero
        mean, sd = (w * u) @ (Y - alpha) / precision, precision**-0.5
        sigma = mean - sd * ndtri(ndtr(mean / sd) * rng.random())
        chain.append(sigma)
    assert np.median(chain) == pytest.approx(integrate(schools()).quantile(0.5).sds[0][0], rel=0.08)
    x = rankdata(chain) - 2000.5
    assert [x[:-lag] @ x[lag:] / (x @ x) for lag in (1, 10)] == pytest.approx([0.4, 0], abs=0.06)


def test_ranks_of_prior_draws_are_flat():
    """Chapter "bayes": ranks do not notice code that never looks at y."""
    rng = np.random.default_rng(1)
    truth, *draws = abs(10 * rng.standard_normal((10, 20000))) * rng.standard_normal((10, 20000))
    count = np.bincount((draws < truth).sum(axis=0), minlength=10)
    assert abs(count - 2000).max() < 4.5 * np.sqrt(1800)


def test_the_reported_error_can_be_too_large_and_the_intervals_too_short():
    """Chapter "bayes": 20 groups of five, sigma2 0.01, tau2 1, in the formulas of thm-anova."""
    rng, S, J, m, sigma2 = np.random.default_rng(2), 20000, 20, 5, 0.01
    beta = np.sqrt(sigma2) * rng.standard_normal((S, J))
    means = beta + rng.standard_normal((S, J)) / np.sqrt(m)
    off = means - means.mean(axis=1, keepdims=True)
    SSB, SSW = m * (off**2).sum(axis=1), rng.chisquare(J * (m - 1), S)
    MSB, MSW = SSB / (J - 1), SSW / (J * (m - 1))
    tau2 = np.where(MSB > MSW, MSW, (SSB + SSW) / (J * m - 1))
    found = np.maximum(MSB - MSW, 0) / m
    w = found / (found + tau2 / m)
    error, reported = w[:, None] * off - beta, found * (1 - w + w / J)
    assert (error**2).mean() == pytest.approx(0.018, abs=1e-3)
    assert reported.mean() == pytest.approx(0.023, abs=1e-3)
    assert (error**2 < 1.96**2 * reported[:, None]).mean() == pytest.approx(0.5, abs=0.02)


# --- the third variance


@pytest.mark.theorem("thm-full-variance")
def test_law_of_total_variance():
    """Eight schools: E[PEV] + Var[prediction] by own quadrature; PEV at the fit is zero."""
    u, w = far_inside(150)
    likelihood, means, variances = given_sigma(10 * u / (1 - u))
    mass = likelihood * w / (1 - u) ** 2
    mass /= mass.sum()
    expected = mass @ variances + mass @ (means - mass @ means) ** 2
    told = integrate(schools())
    full = np.append(told.sd.fixed, told.sd.random[0]) ** 2
    np.testing.assert_allclose(full, expected, rtol=1e-5)
    assert (full > mass @ variances).all()
    plug_in = schools().random_cov[0][:, 0, 0]
    np.testing.assert_allclose(plug_in, 0, atol=1e-12)


@pytest.mark.theorem("thm-full-variance")
def test_the_third_variance_can_be_smaller():
    """25 single rows and three pairs: below the plug-in PEV in the middle, above at the ends."""
    single = ndtri((np.arange(25) + 0.5) / 25)
    y = np.append(single, [0.35, -0.35] * 3)
    g = np.append(np.arange(25), [25, 25, 26, 26, 27, 27])
    model, D = fit(y, np.ones((31, 1)), Term(g)), indicator(g)
    variances = (model.Sigma[0][0, 0], model.tau2)
    known = gls_blup(
        LinearMixedModel(np.ones((31, 1)), D, variances[0] * np.eye(28), variances[1]), y
    )
    plug_in = np.sqrt(np.diag(known.random_cov))
    brute = Brute(y, np.ones((31, 1)), D, lambda s: 1.0)
    mean = brute.mass @ brute.means
    full = np.sqrt(brute.mass @ (brute.vars + (brute.means - mean) ** 2))[1:]
    np.testing.assert_allclose(integrate(model).sd.random[0][:, 0], full, rtol=1e-4)
    ratio = full / plug_in
    assert ratio[12] < 0.9 and ratio[0] > 1.5
    inner = brute.mass @ brute.vars[:, 1:]
    assert (inner < full**2 * (1 + 1e-12)).all() and inner[0] < 0.9 * full[0] ** 2


def test_gibbs_agrees():
    """A Gibbs sampler for sleepstudy-like groups shares only the model with the exact draws."""
    frame = datasets.load("Dyestuff")
    y, D = frame["Yield"].to_numpy() - 1500, indicator(frame["Batch"])
    model, rng = fit(y, np.ones((30, 1)), Term(frame["Batch"])), np.random.default_rng(1)
    A = np.hstack([np.ones((30, 1)), D])
    sigma2, tau2, chain = 1000.0, 1000.0, []
    for _ in range(12000):
        P = A.T @ A / tau2 + np.diag([0.0, *[1 / sigma2] * 6])
        root = np.linalg.cholesky(np.linalg.inv(P))
        c = root @ (root.T @ (A.T @ y) / tau2 + rng.standard_normal(7))
        sigma2 = c[1:] @ c[1:] / rng.chisquare(5)
        tau2 = ((y - A @ c) ** 2).sum() / rng.chisquare(29)
        chain.append([c[0], np.sqrt(sigma2), np.sqrt(tau2), c[1]])
    chain, told = np.array(chain), integrate(model)
    for p in (0.1, 0.5, 0.9):
        q = told.quantile(p)
        at = [q.fixed[0], q.sds[0][0], q.tau, q.random[0][0, 0]]
        batches = (chain <= at).reshape(40, 300, 4).mean(axis=1)
        error = batches.std(axis=0, ddof=1) / np.sqrt(40)
        assert np.abs((batches.mean(axis=0) - p) / error).max() < 4.5


# --- what must not matter


def same(a, b, rtol):
    parts = [(u.fixed, *u.random, *u.sds, u.tau) for u in (a, b)]
    for x, y in zip(*parts, strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-9)


def test_order_of_rows_and_names_of_groups():
    model, y, X, _ = seed_groups(5, 5)
    order = np.random.default_rng(0).permutation(20)
    names = np.array(list("wxyz"))[np.repeat(np.arange(4), 5)]
    other = fit(y[order], X[order], Term(names[order]))
    prior = priors.half_cauchy(5)
    a, b = integrate(model, prior), integrate(other, prior)
    same(a.mean, b.mean, 1e-8)
    same(a.quantile(0.2), b.quantile(0.2), 1e-8)
    draws = [sample(m, 50, np.random.default_rng(1), prior) for m in (model, other)]
    np.testing.assert_allclose(draws[0].random[0], draws[1].random[0], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units(unit):
    """y in other units, with the prior's scales: the answer in other units; X too."""
    model, y, X, _ = seed_groups(5, 5)
    g = np.repeat(np.arange(4), 5)
    prior = Prior(priors.half_t(3, 4), priors.half_normal(2), gaussian([1, 2], np.eye(2)))
    scaled = Prior(
        priors.half_t(3, 4 * unit),
        priors.half_normal(2 * unit),
        gaussian([unit, 2], np.diag([unit**2, 1])),
    )
    told = integrate(fit(y, X, Term(g)), prior)
    other = integrate(fit(unit * y, X * [1, unit], Term(g)), scaled)
    back = np.array([unit, 1])
    np.testing.assert_allclose(other.mean.fixed / back, told.mean.fixed, rtol=1e-6)
    np.testing.assert_allclose(other.sd.fixed / back, told.sd.fixed, rtol=1e-6)
    np.testing.assert_allclose(other.mean.random[0] / unit, told.mean.random[0], rtol=1e-6)
    np.testing.assert_allclose(other.mean.sds[0] / unit, told.mean.sds[0], rtol=1e-6)
    assert other.mean.tau / unit == pytest.approx(told.mean.tau, rel=1e-6)
    assert other.log_marginal + 20 * np.log(unit) == pytest.approx(told.log_marginal, abs=1e-6)


def test_a_shift_of_y_moves_alpha_alone():
    model, y, X, _ = seed_groups(5, 5)
    moved = fit(y + X @ [1000, 30], X, Term(np.repeat(np.arange(4), 5)))
    a, b = (integrate(m, priors.exponential(4)) for m in (model, moved))
    np.testing.assert_allclose(b.mean.fixed - [1000, 30], a.mean.fixed, atol=1e-6)
    np.testing.assert_allclose(b.sd.fixed, a.sd.fixed, rtol=1e-6)
    np.testing.assert_allclose(b.mean.random[0], a.mean.random[0], atol=1e-6)
    assert b.mean.sds[0][0] == pytest.approx(a.mean.sds[0][0], rel=1e-6)


def test_only_the_gram_is_needed():
    """No rows are touched: sums of two Grams give the same draws, and hold no array of length n."""
    rng, n = np.random.default_rng(6), 5000
    g, x = rng.integers(0, 10, n), rng.normal(size=n)
    X, y = np.column_stack([np.ones(n), x]), x + rng.normal(size=10)[g] + rng.normal(size=n)
    half = n // 2
    parts = [
        Gram.from_arrays(y[s], X[s], Term(g[s], name="g")) for s in (slice(half), slice(half, n))
    ]
    whole, merged = fit(y, X, Term(g, name="g")), fit(parts[0] + parts[1])
    a, b = (sample(m, 100, np.random.default_rng(0)) for m in (whole, merged))
    np.testing.assert_allclose(a.random[0], b.random[0], rtol=1e-6)
    np.testing.assert_allclose(a.tau2, b.tau2, rtol=1e-9)
    same(integrate(whole).mean, integrate(merged).mean, 1e-7)


@pytest.mark.slow
def test_the_fit_lends_data_and_not_estimates():
    y, X, g = random_slopes()[1:]
    a, b = (integrate(fit(y, X, Term(g, X), method)) for method in ("ML", "REML"))
    np.testing.assert_allclose(a.mean.sds[0], b.mean.sds[0], rtol=1e-4)
    np.testing.assert_allclose(a.mean.fixed, b.mean.fixed, rtol=1e-4)
    assert (np.abs(a.mean.random[0] - b.mean.random[0]) < 5e-3 * a.sd.random[0]).all()
    draws = sample(fit(y, X, Term(g, X)), 500, np.random.default_rng(0))
    assert draws.fixed.shape == (500, 2) and draws.random[0].shape == (500, 9, 2)
    assert draws.Sigma[0].shape == (500, 2, 2) and draws.tau2.shape == (500,)
    np.testing.assert_allclose(draws.sds[0] ** 2, np.einsum("skk->sk", draws.Sigma[0]))
    assert np.linalg.eigvalsh(draws.Sigma[0]).min() > 0


# --- correlations: lkj(eta)


@pytest.mark.parametrize("eta", [1, 2, 3.5])
def test_without_data_a_correlation_is_beta(eta):
    """The noise drowns everything: (r + 1) / 2 is Beta(eta, eta), and p(y) knows no eta."""
    _, y, X, g = random_slopes()
    prior = Prior(sd=priors.half_normal(1), correlation=priors.lkj(eta))
    drowned = fit(y, X, Term(g, X), tau2=1e8)
    told = integrate(drowned, prior)
    plain = integrate(drowned, priors.half_normal(1))
    assert told.log_marginal == pytest.approx(plain.log_marginal, abs=1e-6)
    row = told.table(0.9).loc[lambda table: table.index.str.startswith("correlation")].iloc[0]
    assert row["sd"] == pytest.approx((2 * eta + 1) ** -0.5, rel=1e-4)
    assert row["upper"] == pytest.approx(2 * beta.ppf(0.95, eta, eta) - 1, abs=5e-3)
    draws = sample(drowned, 4000, np.random.default_rng(0), prior)
    r = draws.Sigma[0][:, 0, 1] / draws.sds[0].prod(axis=1)
    assert kstest((r + 1) / 2, beta(eta, eta).cdf).pvalue > 1e-3


@pytest.mark.slow
def test_three_columns_have_a_beta_each():
    """Of q columns it is Beta(eta + q / 2 - 1, the same); drawn by importance."""
    rng = np.random.default_rng(0)
    g, Z = np.repeat(np.arange(9), 6), np.column_stack([np.ones(54), rng.normal(size=(54, 2))])
    drowned = fit(rng.normal(size=54), Z, Term(g, Z), tau2=1e8)
    prior = Prior(sd=priors.half_normal(1), correlation=priors.lkj(2))
    draws = sample(drowned, 4000, rng, prior)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        r = draws.Sigma[0][:, i, j] / draws.sds[0][:, i] / draws.sds[0][:, j]
        off = np.abs(np.sort((r + 1) / 2) - beta.ppf((np.arange(4000) + 0.5) / 4000, 2.5, 2.5))
        assert off.max() < 0.05 and r.var() == pytest.approx(1 / 6, rel=0.08)
    log = [integrate(drowned, p).log_marginal for p in (prior, priors.half_normal(1))]
    assert log[0] == pytest.approx(log[1], abs=0.02)


@pytest.mark.parametrize("far", [0.0, 6.0])
@pytest.mark.slow
def test_lkj_against_dense_sums(far):
    """Two columns, eta = 3: dense densities at nodes of both sds and of rho = sin(angle)."""
    rng, J, m = np.random.default_rng(2), 4, 3
    g, x = np.repeat(np.arange(J), m), np.tile(np.arange(m) - 1.0, J) + far
    Z = np.column_stack([np.ones(J * m), x])
    y = rng.normal(size=J)[g] * (1 + 0.7 * (x - far)) + rng.normal(size=J * m)
    prior = Prior(sd=priors.half_normal(1), correlation=priors.lkj(3))
    told = integrate(fit(y, Z, Term(g, Z, name="g"), tau2=1.0), prior)
    K, same = null_space(Z.T), np.equal.outer(g, g)
    u, v, w = np.ones(J * m), x, K.T @ y
    own = [K.T @ (same * np.outer(a, b)) @ K for a, b in ((u, u), (v, v), (u, v))]
    own[2] = own[2] + own[2].T
    nodes, weights = np.polynomial.legendre.leggauss(48)
    sd, angle = 2.5 * (nodes + 1), np.pi / 2 * nodes
    grids = [a.ravel() for a in np.meshgrid(sd, sd, np.sin(angle), indexing="ij")]
    every = np.meshgrid(weights, weights, weights * np.cos(angle) ** 5, indexing="ij")
    mass = np.prod(every, axis=0).ravel()  # cos for d rho, and cos^4 for (1 - rho^2)^2
    for part in np.array_split(np.arange(len(mass)), 100):
        s0, s1, rho = (a[part, None, None] for a in grids)
        V = np.eye(len(w)) + s0**2 * own[0] + s1**2 * own[1] + s0 * s1 * rho * own[2]
        squares = np.linalg.solve(V, w[:, None])[..., 0] @ w
        log = -(np.linalg.slogdet(V)[1] + squares + (s0**2 + s1**2)[:, 0, 0]) / 2
        mass[part] *= np.exp(log)
    expected = [mass @ value / mass.sum() for value in grids]
    found = told.table()["mean"].to_numpy()[2:5]
    np.testing.assert_allclose(found, expected, rtol=2e-3)


# --- ArviZ


@pytest.mark.slow
def test_arviz_reads_the_draws(monkeypatch):
    """Names, dimensions, summary and plots; ArviZ before and after its version 1.0."""
    az = pytest.importorskip("arviz")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("Agg")
    _, y, X, g = random_slopes()
    model = fit(y, X, Term(g, X, name="person"), names=["level", "slope"])
    draws = sample(model, 400, np.random.default_rng(0))
    data = draws.to_arviz()
    posterior = data.posterior
    assert dict(posterior.sizes)["chain"] == 4 and dict(posterior.sizes)["draw"] == 100
    assert posterior["random person"].dims == ("chain", "draw", "person", "person column")
    assert list(posterior["person"].values) == list(range(9))
    slope = posterior["fixed"].sel(coefficient="slope").values.ravel()
    np.testing.assert_array_equal(slope, draws.fixed[:, 1])
    weighted_draws = replace(draws, ess=123.0)  # the weights of which ArviZ cannot see
    assert weighted_draws.to_arviz().posterior.attrs["ess"] == 123
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ's own
        table = az.summary(data, var_names=["fixed", "sd person", "tau"], round_to="none")
        table = table.astype(float)
        assert table.loc["fixed[slope]", "mean"] == pytest.approx(draws.fixed[:, 1].mean())
        assert table.loc["tau", "sd"] == pytest.approx(np.sqrt(draws.tau2).std(ddof=1), rel=1e-6)
        assert (table["r_hat"] < 1.06).all() and (table["ess_bulk"] > 200).all()
        if int(az.__version__.split(".")[0]) < 1:
            az.plot_trace(data, var_names=["tau"])
            az.plot_posterior(data, var_names=["sd person"])
        else:
            az.plot_trace_dist(data, var_names=["tau"], backend="matplotlib")
            az.plot_dist(data, var_names=["sd person"], backend="matplotlib")
        az.plot_forest(data, var_names=["random person"])
    plt.close("all")


def test_each_row_has_its_density_given_the_effects():
    """scipy's, one draw and one row at a time; the weight of a row divides its variance."""
    _, y, X, g = random_slopes()
    w = np.linspace(0.5, 2, len(y))
    model = fit(y, X, [Term(g, X[:, 1:]), Term(np.arange(len(y)) % 4)], weights=w)
    draws = sample(model, 20, np.random.default_rng(0))
    found = draws.log_likelihood
    assert found.shape == (20, len(y))
    for s, i in [(0, 0), (3, 7), (19, len(y) - 1), (11, 20)]:
        beta, gamma = draws.random[0][s, g[i], 0], draws.random[1][s, i % 4, 0]
        mean = X[i] @ draws.fixed[s] + X[i, 1] * beta + gamma
        sd = np.sqrt(draws.tau2[s] / w[i])
        assert found[s, i] == pytest.approx(norm.logpdf(y[i], mean, sd), rel=1e-10)
    with pytest.raises(InputError, match="has no rows"):
        sample(fit(model.gram), 20, np.random.default_rng(0)).log_likelihood  # noqa: B018


@pytest.mark.slow
def test_arviz_leaves_one_row_out_as_a_fit_without_it_does():
    """Its weighted draws of all rows beside draws that have never seen the row."""
    az = pytest.importorskip("arviz")
    _, y, X, g = random_slopes()
    draws = sample(fit(y, X, Term(g)), 8000, np.random.default_rng(0))
    data = draws.to_arviz(log_likelihood=True)
    assert data.log_likelihood["y"].dims == ("chain", "draw", "row")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ's own
        loo = az.loo(data, pointwise=True)
    told = np.asarray(getattr(loo, "loo_i", getattr(loo, "elpd_i", None)))
    for i in (0, 9, len(y) - 1):
        rest = np.arange(len(y)) != i
        without = sample(fit(y[rest], X[rest], Term(g[rest])), 8000, np.random.default_rng(i))
        mean = without.predict(X[[i]], Term(g[[i]]))[:, 0]
        density = norm.pdf(y[i], mean, np.sqrt(without.tau2))
        in_sample = np.log(np.exp(draws.log_likelihood[:, i]).mean())
        assert told[i] == pytest.approx(np.log(density.mean()), abs=0.01) != in_sample


def arviz_of(terms):
    pytest.importorskip("arviz")
    rng = np.random.default_rng(0)
    model = fit(rng.normal(size=42), np.ones((42, 1)), terms)
    draws = sample(model, 8, np.random.default_rng(0), priors.half_normal(1))
    data = draws.to_arviz(log_likelihood=True)
    told = data.log_likelihood["y"].values
    np.testing.assert_array_equal(told.reshape(8, 42), draws.log_likelihood)
    return draws, data.posterior


def every_draw_is_told(draws, posterior):
    """The arrays that carry random effects, sds and Sigma are those of the draws, one each."""
    for start, arrays in (("random ", draws.random), ("sd ", draws.sds), ("Sigma ", draws.Sigma)):
        told = [v.values for k, v in posterior.data_vars.items() if k.startswith(start)]
        assert len(told) == len(arrays)
        for values, array in zip(told, arrays, strict=True):
            np.testing.assert_array_equal(values.reshape(array.shape), array)


G = np.repeat(np.arange(7), 6)
X1 = np.column_stack([np.ones(42), np.arange(42) % 5])


@pytest.mark.slow
def test_terms_on_one_factor_have_names_of_their_own():
    slope = Term(G, X1[:, 1:], name="g", columns=("x",))
    draws, posterior = arviz_of([Term(G, name="g"), slope, Term(np.arange(42) % 4, name="h")])
    every_draw_is_told(draws, posterior)
    assert {"random g: 1", "random g: x", "random h"} < set(posterior.data_vars)
    assert posterior["random g: x"].dims[2:] == ("g: x", "g: x column")


@pytest.mark.parametrize(
    "name",
    ["chain", "draw", "sample", "coefficient", "fixed", "tau", "h column", "random h", "h"]
    + ["row", "y"],
)
@pytest.mark.slow
def test_a_term_may_be_called_like_anything(name):
    draws, posterior = arviz_of([Term(G, name=name), Term(np.arange(42) % 4, name="h")])
    every_draw_is_told(draws, posterior)


@pytest.mark.slow
def test_columns_of_one_name_and_labels_of_any_kind():
    days = np.datetime64("2020-01-01", "ns") + G * np.timedelta64(1, "D")
    pairs = [(int(g), "x") for g in np.arange(42) % 3]
    terms = [Term(days, X1, name="day", columns=("a", "a")), Term(pairs, name="pair")]
    draws, posterior = arviz_of(terms)
    every_draw_is_told(draws, posterior)
    assert posterior["day column"].values.tolist() == ["a", "a (2)"]
    assert posterior["day"].values[1] == np.datetime64("2020-01-02")
    assert posterior["pair"].values.tolist() == ["(0, 'x')", "(1, 'x')", "(2, 'x')"]


def test_what_is_asked_is_computed_and_no_more(monkeypatch):
    """A standard deviation takes no effects, which cost most where there are many groups."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(12), 5)
    y = rng.normal(size=12)[g] + rng.normal(size=60)
    told = integrate(fit(y, np.ones((60, 1)), Term(g)))
    mean, median = told.mean, told.quantile(0.5)

    def refuse(*_):
        raise AssertionError("an effect was computed")

    with monkeypatch.context() as patch:
        patch.setattr("mixhier_lite.bayes.integral.moments", refuse)
        assert median.sds[0] < mean.sds[0]  # skewed to the right
        assert 0.5 < median.tau < 2 and 0.5 < told.sd.fixed[0] / mean.sds[0] * 12**0.5 < 2
        assert "sd of" in str(told)
        with pytest.raises(AssertionError, match="an effect"):
            mean.random  # noqa: B018
    np.testing.assert_allclose(mean.random[0], median.random[0], atol=0.05)
