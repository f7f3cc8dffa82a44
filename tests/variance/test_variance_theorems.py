"""Chapter *variance*, its theorems: integrals, exact fractions and dense scans as witnesses."""

from fractions import Fraction

import numpy as np
import pytest
from dense import criterion
from scipy.linalg import null_space
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal

from mixhier_lite import Gram, Term, datasets, fit
from mixhier_lite.variance.assembly import assemble
from mixhier_lite.variance.certificate import gradient_of_covariance
from mixhier_lite.variance.theta import ActiveEntries


def unbalanced(seed=0, sizes=(7, 5, 4, 2, 1), sigma=2.0):
    """An unbalanced layout with intercept and covariate."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = np.column_stack([np.ones(len(groups)), rng.normal(size=len(groups))])
    y = X @ [3.0, -1.0] + sigma * rng.normal(size=len(sizes))[groups] + rng.normal(size=len(groups))
    return y, X, groups


def direct(y, X, groups, sigma2, tau2, method="REML"):
    """The criterion at both variances, from an n x n matrix (dense.py)."""
    T = [np.array([[np.sqrt(sigma2 / tau2)]])]
    return criterion(y, X, [(groups, np.ones((len(y), 1)), None)], T, method, None, tau2)


def marginal(X, groups, sigma2, tau2):
    return sigma2 * np.equal.outer(groups, groups) + tau2 * np.eye(len(X))


# --- REML is the likelihood with a flat alpha ---------------------------------------------------


@pytest.mark.theorem("thm-reml")
@pytest.mark.parametrize("sigma2, tau2", [(0.0, 1.3), (0.7, 1.0), (4.0, 0.4)])
def test_the_integral_over_alpha_is_the_reml_likelihood(sigma2, tau2):
    """A sum over a grid of alpha; the package is asked with its tau2 known, at its own optimum."""
    y, X, groups = unbalanced()
    V = marginal(X, groups, sigma2, tau2)
    one, two = np.arange(-12, 18, 0.1), np.arange(-6, 5, 0.05)
    pairs = np.stack(np.meshgrid(one, two, indexing="ij"), axis=-1).reshape(-1, 2)
    density = multivariate_normal(np.zeros(len(y)), V).pdf(y - pairs @ X.T)
    integral = -2 * np.log(density.sum() * 0.1 * 0.05)
    assert integral == pytest.approx(direct(y, X, groups, sigma2, tau2), abs=1e-8)
    at = assemble(Gram.from_arrays(y, X, Term(groups)), True, tau2)
    T = [np.array([[np.sqrt(sigma2 / tau2)]])]
    assert at.criterion.solve(at.inwards(T)).value == pytest.approx(integral, abs=1e-8)


@pytest.mark.theorem("thm-reml")
@pytest.mark.parametrize("seed", range(3))
def test_orthonormal_contrasts_and_others(seed):
    y, X, groups = unbalanced(seed)
    model = fit(y, X, Term(groups))
    V = marginal(X, groups, model.Sigma[0][0, 0], model.tau2)
    K = null_space(X.T)
    at_y = multivariate_normal(np.zeros(K.shape[1]), K.T @ V @ K).logpdf(K.T @ y)
    assert at_y == pytest.approx(np.linalg.slogdet(X.T @ X)[1] / 2 + model.loglik, abs=1e-8)
    B = np.random.default_rng(seed).normal(size=(K.shape[1],) * 2)
    other = multivariate_normal(np.zeros(len(B)), B @ K.T @ V @ K @ B.T).logpdf(B @ K.T @ y)
    assert other == pytest.approx(at_y - np.linalg.slogdet(B)[1], abs=1e-6)


@pytest.mark.theorem("thm-reml")
def test_a_proper_prior_tends_to_reml_from_below_at_rate_one_over_kappa():
    y, X, groups = unbalanced(2)
    model = fit(y, X, Term(groups))
    V = marginal(X, groups, model.Sigma[0][0, 0], model.tau2)
    gaps = []
    for kappa in (1e2, 1e3, 1e4, 1e5):
        log_p = multivariate_normal(np.zeros(len(y)), V + kappa * X @ X.T).logpdf(y)
        gaps.append(log_p + np.log(2 * np.pi * kappa) - model.loglik)
    assert max(gaps) < 0
    assert np.allclose(np.diff(np.log10(np.abs(gaps[1:]))), -1, atol=0.01)
    spread = np.trace(model.fixed_cov) + model.fixed @ model.fixed
    assert gaps[-1] == pytest.approx(-spread / 2e5, rel=1e-2)


@pytest.mark.theorem("thm-reml")
def test_flat_alpha_gives_reml_and_not_ml():
    """Maximise the integral over alpha itself (a sum), on Dyestuff; ML is elsewhere."""
    data = datasets.load("Dyestuff")
    y, groups = data["Yield"].to_numpy(float), np.repeat(np.arange(6), 5)

    def log_integral(log_sds):
        sigma2, tau2 = np.exp(2 * log_sds)
        values, vectors = np.linalg.eigh(marginal(y, groups, sigma2, tau2))
        rest = vectors.T @ (y[:, None] - np.arange(1300, 1760))
        logs = -(np.log(2 * np.pi * values)[:, None] + rest**2 / values[:, None]).sum(axis=0) / 2
        return np.log(np.exp(logs - logs.max()).sum()) + logs.max()  # a step of one gram

    found = minimize(lambda s: -log_integral(s), np.log([30, 60]), method="Nelder-Mead").x
    assert np.exp(2 * found) == pytest.approx([1764.05, 2451.25], rel=1e-3)
    reml, ml = (fit(y, np.ones((30, 1)), Term(groups), method) for method in ("REML", "ML"))
    assert -2 * log_integral(found) == pytest.approx(reml.criterion, abs=1e-6)
    assert reml.Sigma[0][0, 0] == pytest.approx(1764.05, rel=1e-9)
    assert ml.Sigma[0][0, 0] == pytest.approx(4165 / 3, rel=1e-9)


# --- balanced one-way layout --------------------------------------------------------------------


def pencil(rows, method):
    """The closed form in fractions; rows holds the groups."""
    J, m = len(rows), len(rows[0])
    n, grand = J * m, Fraction(sum(map(sum, rows)), J * m)
    between = sum(m * (Fraction(sum(row), m) - grand) ** 2 for row in rows)
    within = sum((v - Fraction(sum(row), m)) ** 2 for row in rows for v in row)
    k, nu = (J - 1, n - 1) if method == "REML" else (J, n)
    noise = within / (n - J)
    if between / k > noise:
        return (between / k - noise) / m, noise
    return Fraction(0), (between + within) / nu


@pytest.mark.theorem("thm-anova")
@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("seed", range(12))
def test_the_pencil_agrees_with_a_scan_and_with_fit(method, seed):
    rng = np.random.default_rng(seed)
    J, m = int(rng.integers(2, 7)), int(rng.integers(2, 6))
    rows = (rng.integers(0, 3 + seed, J)[:, None] + rng.integers(0, 7, (J, m))).tolist()
    sigma2, tau2 = (float(v) for v in pencil(rows, method))
    y, groups = np.ravel(rows).astype(float), np.repeat(np.arange(J), m)
    X = np.ones((len(y), 1))
    model = fit(y, X, Term(groups), method)
    assert model.Sigma[0][0, 0] == pytest.approx(sigma2, rel=1e-10, abs=0)
    assert model.tau2 == pytest.approx(tau2, rel=1e-10)
    best = direct(y, X, groups, sigma2, tau2, method)
    sizes = np.append(0, np.geomspace(1e-3, 1e3, 60))
    curve = np.array([
        criterion(y, X, [(groups, X, None)], [np.array([[np.sqrt(t)]])], method) for t in sizes
    ])  # fmt: skip
    assert best <= curve.min() + 1e-9
    falls = np.diff(curve) < 0
    assert not (falls[1:] & ~falls[:-1]).any()  # one minimum: never up and then down


@pytest.mark.theorem("thm-anova")
def test_dyestuff_by_pencil():
    rows = datasets.load("Dyestuff")["Yield"].astype(int).to_numpy().reshape(6, 5).tolist()
    assert pencil(rows, "REML") == (Fraction(35281, 20), Fraction(9805, 4))
    assert pencil(rows, "ML") == (Fraction(4165, 3), Fraction(9805, 4))


# --- the boundary -------------------------------------------------------------------------------


def slope_at(y, X, groups, Z, Theta, method, direction):
    """One-sided derivative of the dense criterion in Sigma / tau2, along a p.s.d. direction."""
    values = []
    for h in (0.0, 1e-5, 2e-5):
        w, U = np.linalg.eigh(Theta + h * direction)
        root = U * np.sqrt(np.clip(w, 0, None))
        values.append(criterion(y, X, [(groups, Z, None)], [root], method))
    return (4 * values[1] - values[2] - 3 * values[0]) / 2e-5


def certificate(y, X, groups, Z, method, T):
    """N of the package, in the reader's units."""
    at = assemble(Gram.from_arrays(y, X, Term(groups, Z)), method == "REML", None)
    entries = ActiveEntries.all_of(at.criterion, at.forms)
    R = at.columns[0]
    return R.T @ gradient_of_covariance(entries, at.bare([T]))[0] @ R


@pytest.mark.theorem("thm-boundary")
@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("seed", range(8))
def test_kkt_holds_at_every_optimum_in_two_dimensions(seed, method):
    """Slopes and intercepts: N Sigma = 0, N p.s.d., and b'Nb is the slope of a dense criterion."""
    rng = np.random.default_rng(seed)
    groups, Z = np.repeat(np.arange(6), 4), np.column_stack([np.ones(24), rng.normal(size=24)])
    u = rng.normal(size=6)
    effects = np.outer(u, [1.0, 0.7]) * (seed % 3)
    y = 1 + (Z * effects[groups]).sum(axis=1) + rng.normal(size=24)
    model = fit(y, Z, Term(groups, Z), method)
    N = certificate(y, Z, groups, Z, method, model.T[0])
    size = np.abs(N).max() + 1
    assert np.abs(N @ model.Sigma[0]).max() < 1e-6 * size * max(1, model.Sigma[0].max())
    assert np.linalg.eigvalsh(N)[0] > -1e-7 * size
    Theta = model.T[0] @ model.T[0].T
    for b in rng.normal(size=(4, 2)):
        slope = slope_at(y, Z, groups, Z, Theta, method, np.outer(b, b))
        assert slope == pytest.approx(b @ N @ b, rel=1e-3, abs=2e-3 * size)


@pytest.mark.theorem("thm-boundary")
@pytest.mark.parametrize("method", ["ML", "REML"])
def test_n_positive_definite_makes_zero_a_strict_local_minimum(method):
    hits = 0
    for seed in range(12):
        y, X, groups = unbalanced(seed, sigma=0.0)
        Z = X
        N = certificate(y, X, groups, Z, method, np.zeros((2, 2)))
        if np.linalg.eigvalsh(N)[0] < 0.05:
            continue
        hits += 1
        at_zero = criterion(y, X, [(groups, Z, None)], [np.zeros((2, 2))], method)
        rng = np.random.default_rng(seed)
        for root in rng.normal(size=(30, 2, 2)) * 1e-2:
            assert criterion(y, X, [(groups, Z, None)], [root], method) > at_zero
    assert hits >= 2


@pytest.mark.theorem("thm-boundary")
@pytest.mark.parametrize("method", ["ML", "REML"])
def test_in_balanced_data_the_sign_at_zero_decides(method):
    at_boundary = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups, X = np.repeat(np.arange(4), 3), np.ones((12, 1))
        y = rng.normal(size=12) + 0.4 * rng.normal(size=4)[groups]
        N = certificate(y, X, groups, X, method, np.zeros((1, 1)))[0, 0]
        terms = [(groups, X, None)]
        curve = [
            criterion(y, X, terms, [np.array([[s]])], method)
            for s in np.append(0, np.geomspace(1e-3, 30, 30))
        ]
        assert (np.argmin(curve) == 0) == (N >= 0)
        assert fit(y, X, Term(groups), method).singular == (N >= 0)
        at_boundary += N >= 0
    assert 3 < at_boundary < 17


@pytest.mark.theorem("thm-boundary")
def test_zero_can_pass_every_local_test_and_be_wrong():
    """The two-humped examples: the proof's, and the seed's at five rows per group."""
    y = np.append(np.tile([1.0, -1.0], 500), np.tile([5.0, -5.0], 5))
    g, X = np.append(np.repeat(np.arange(10), 100), np.arange(10, 20)), np.ones((1010, 1))
    # sums in fractions: N at zero is n - sum n_j^2 / n - nu sum (sum of group)^2 / r2
    exact = 1010 - Fraction(10 * 100**2 + 10, 1010) - Fraction(1009 * 250, 1250)
    assert certificate(y, X, g, X, "REML", np.zeros((1, 1)))[0, 0] == pytest.approx(float(exact))
    model = fit(y, X, Term(g))
    assert round(float(exact)) == 709 and round(model.criterion) == 2971
    assert model.theta[0] ** 2 == pytest.approx(11.5, abs=0.05)
    assert round(criterion(y, X, [(g, X, None)], [np.zeros((1, 1))], "REML")) == 3086

    d = datasets.four_groups(np.random.default_rng(5), 5)
    X = np.column_stack([np.ones(20), d.x])
    Z = np.ones((20, 1))

    def value(s):
        return criterion(d.y, X, [(d.groups, Z, None)], [np.array([[s]])], "REML")

    assert certificate(d.y, X, d.groups, Z, "REML", np.zeros((1, 1)))[0, 0] > 1
    hump = minimize_scalar(lambda s: -value(s), bounds=(0.5, 2), method="bounded")
    best = minimize_scalar(value, bounds=(2, 10), method="bounded")
    assert -hump.fun > value(0) + 1 and hump.x > 1  # a search from 1 rolls to zero
    assert value(0) == pytest.approx(59.866, abs=1e-3) and best.fun == pytest.approx(
        59.731, abs=1e-3
    )
    model = fit(d.y, X, Term(d.groups))
    assert model.criterion == pytest.approx(best.fun, abs=1e-8)
    assert model.theta[0] == pytest.approx(best.x, abs=1e-3)


@pytest.mark.theorem("thm-boundary")
def test_reml_positive_and_ml_exactly_zero():
    """The four numbers of the chapter, by pencil and by fit; Dyestuff2."""
    rows = [[0, 2], [2, 6]]
    assert pencil(rows, "REML") == (2, 5) and pencil(rows, "ML") == (0, Fraction(19, 4))
    y, groups, X = np.array([0.0, 2, 2, 6]), np.array([0, 0, 1, 1]), np.ones((4, 1))
    reml, ml = (fit(y, X, Term(groups), method) for method in ("REML", "ML"))
    assert not reml.singular and reml.Sigma[0][0, 0] == pytest.approx(2, rel=1e-9)
    assert ml.singular and ml.Sigma[0][0, 0] == 0 and ml.tau2 == pytest.approx(4.75, rel=1e-12)
    data = datasets.load("Dyestuff2")
    model = fit(data["Yield"], np.ones((30, 1)), Term(data["Batch"]), "ML")
    assert model.singular and model.criterion == pytest.approx(162.873036653826, rel=1e-10)
