"""Chapter *adjusting*: Mundlak's identity, the seed's example, radon."""

import json

import numpy as np
import pytest
from conftest import ROOT

from mixhier_lite import LinearMixedModel, Term, datasets, fit, gls_blup, lmer, ridge
from mixhier_lite.datasets import four_groups

FITS = ROOT / "tests" / "reference" / "fits.json"
REFERENCE = json.loads(FITS.read_text(encoding="utf-8"))["radon"]
SIGMA2 = np.geomspace(1e-3, 1e3, 13)


def confounded(seed, sizes=None):
    """Groups of unequal sizes with two covariates that lean on beta and on each other."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 8, 12) if sizes is None else sizes
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n, beta = len(groups), rng.normal(0, 2, len(sizes))
    shared, u = rng.standard_normal(n), rng.standard_normal(len(sizes))
    x1 = -beta[groups] + rng.standard_normal(n) + shared
    x2 = beta[groups] + rng.standard_normal(n) + shared
    y = x1 - 2 * x2 + (beta + u)[groups] + rng.standard_normal(n)
    return y, np.column_stack([x1, x2]), np.column_stack([np.ones(n), u[groups]]), groups


def means(v, groups, w=None):
    """Group means, one for each row, by a loop over groups."""
    out = np.empty_like(v)
    for j in np.unique(groups):
        out[groups == j] = np.average(
            v[groups == j], axis=0, weights=None if w is None else w[groups == j]
        )
    return out


def dummies(groups):
    return (groups[:, None] == np.unique(groups)).astype(float)


def within(y, X2, groups, w=None):
    """Regression on X2 and group dummies: the coefficients of X2 and (X'WX)^-1."""
    s = np.sqrt(np.ones(len(y)) if w is None else w)
    W = np.hstack([X2, dummies(groups)]) * s[:, None]
    q = X2.shape[1]
    return np.linalg.lstsq(W, y * s, rcond=None)[0][:q], np.linalg.inv(W.T @ W)[:q, :q]


def dense(y, X, V):
    """Generalised least squares, on rows whitened by a Cholesky root of V."""
    root = np.linalg.cholesky(V)
    A = np.linalg.solve(root, X)
    return np.linalg.lstsq(A, np.linalg.solve(root, y), rcond=None)[0], np.linalg.inv(A.T @ A)


@pytest.mark.theorem("thm-mundlak")
@pytest.mark.parametrize("seed", range(4))
def test_with_all_means_the_slopes_are_the_within_slopes(seed):
    """For every sigma2 and for any Sigma, singular ones too; and so are the variances."""
    y, X2, X1, groups = confounded(seed)
    J, D = groups[-1] + 1, dummies(groups)
    X = np.hstack([X1, X2, means(X2, groups)])
    expected, unscaled = within(y, X2, groups)
    rng = np.random.default_rng(seed)
    roots = [np.sqrt(s) * np.eye(J) for s in (0, *SIGMA2)]
    roots += [rng.normal(0, size, (J, r)) for size in (0.1, 3) for r in (1, 4, J)]
    for L in roots:
        tau2 = rng.uniform(0.1, 5)
        a, cov = dense(y, X, D @ L @ L.T @ D.T + tau2 * np.eye(len(y)))
        np.testing.assert_allclose(a[2:4], expected, atol=1e-9)
        np.testing.assert_allclose(cov[2:4, 2:4], tau2 * unscaled, rtol=1e-8)
        model = LinearMixedModel(X, D, L @ L.T, tau2)
        for route in (gls_blup, ridge):
            np.testing.assert_allclose(route(model, y).fixed[2:4], expected, atol=1e-8)


@pytest.mark.theorem("thm-mundlak")
def test_slope_plus_coefficient_of_the_mean_is_the_between_slope():
    y, X2, X1, groups = confounded(11)
    D, bar = dummies(groups), means(X2, groups)
    for sigma2 in SIGMA2:
        V = sigma2 * D @ D.T + np.eye(len(y))
        a = dense(y, np.hstack([X1, X2, bar]), V)[0]
        # group means alone, weighted by their own variances: J rows instead of n
        n_j = np.bincount(groups)
        one = np.cumsum(n_j) - n_j
        between = dense(
            means(y, groups)[one], np.hstack([X1, bar])[one], np.diag(sigma2 + 1 / n_j)
        )[0]
        np.testing.assert_allclose(a[2:4] + a[4:], between[2:], atol=1e-9)


@pytest.mark.theorem("thm-mundlak")
@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", range(6))
def test_the_fitted_slopes_are_the_within_slopes(seed, method):
    """At estimated variances; with weights, the means are weighted too."""
    y, X2, X1, groups = confounded(seed)
    w = np.random.default_rng(seed).uniform(0.2, 5, len(y)) if seed % 2 else None
    X = np.hstack([X1, X2, means(X2, groups, w)])
    expected, unscaled = within(y, X2, groups, w)
    model = fit(y, X, Term(groups), method=method, weights=w)
    np.testing.assert_allclose(model.fixed[2:4], expected, atol=1e-8)
    np.testing.assert_allclose(model.fixed_cov[2:4, 2:4], model.tau2 * unscaled, rtol=1e-7)


@pytest.mark.theorem("thm-mundlak")
def test_weights_need_weighted_means():
    y, X2, X1, groups = confounded(3)
    w = np.random.default_rng(3).uniform(0.2, 5, len(y))
    X = np.hstack([X1, X2, means(X2, groups)])
    slopes = fit(y, X, Term(groups), weights=w).fixed[2:4]
    assert np.abs(slopes - within(y, X2, groups, w)[0]).max() > 1e-4


@pytest.mark.theorem("thm-mundlak")
def test_one_of_two_means_is_not_enough():
    """The slope then depends on sigma2."""
    y, X2, X1, groups = confounded(5)
    D, expected = dummies(groups), within(y, X2, groups)[0][0]
    X = np.hstack([X2, X1, means(X2[:, :1], groups)])
    slopes = [dense(y, X, s * D @ D.T + np.eye(len(y)))[0][0] for s in SIGMA2]
    assert max(slopes) - min(slopes) > 0.02
    assert np.abs(np.array(slopes[:8]) - expected).min() > 1e-3
    assert abs(slopes[-1] - expected) < 1e-3  # sigma2 to infinity: within, as thm-limits says


@pytest.mark.theorem("thm-mundlak")
def test_random_slopes_break_it_and_the_projection_on_all_columns_repairs_it():
    y, X2, X1, groups = confounded(8, sizes=[4, 9, 5, 7, 6, 8, 4, 5])
    D = np.hstack([dummies(groups), dummies(groups) * X2[:, 1:]])
    fixed = np.hstack([X2, X1])
    P = D @ np.linalg.pinv(D)
    with_means = np.hstack([fixed, means(X2, groups)])
    with_lines = np.hstack([fixed, P @ X2[:, :1]])
    lines = np.linalg.lstsq(np.hstack([X2[:, :1], D]), y, rcond=None)[0][0]
    found = []
    for sigma2 in SIGMA2:
        V = sigma2 * D @ D.T + np.eye(len(y))
        found.append(dense(y, with_means, V)[0][0])
        assert dense(y, with_lines, V)[0][0] == pytest.approx(lines, abs=1e-8)
    assert np.abs(np.array(found) - within(y, X2, groups)[0][0]).max() > 0.01
    assert max(found) - min(found) > 0.01


# The seed's example


def global_optimum(data):
    """REML slope by a scan of phi, from sums of squares within and between equal groups."""
    x, y, groups = data.x, data.y, data.groups
    n, (xb, yb) = len(x), (means(v, groups) for v in (data.x, data.y))
    W = [[(a - b) @ (c - d) for c, d in ((x, xb), (y, yb))] for a, b in ((x, xb), (y, yb))]
    B = [[(b - b.mean()) @ (d - d.mean()) for d in (xb, yb)] for b in (xb, yb)]
    phi = np.geomspace(1e-7, 1, 4001)
    S = np.array(W)[:, :, None] + phi * np.array(B)[:, :, None]
    r2 = S[1, 1] - S[0, 1] ** 2 / S[0, 0]
    criterion = (n - 2) * np.log(r2) - 3 * np.log(phi) + np.log(S[0, 0])
    k = criterion.argmin()
    return S[0, 1, k] / S[0, 0, k]


@pytest.mark.parametrize("n_per_group", [2, 5, 30])
def test_random_intercept_slope_of_the_four_groups(n_per_group):
    """The fit is the highest of all hills, found by a scan that shares nothing with it."""
    rng = np.random.default_rng(n_per_group)
    for _ in range(40):
        data = four_groups(rng, n_per_group)
        X = np.column_stack([np.ones(len(data.x)), data.x])
        found = fit(data.y, X, Term(data.groups)).fixed[1]
        assert found == pytest.approx(global_optimum(data), abs=5e-3)


@pytest.mark.slow
def test_the_bias_depends_on_the_size_of_the_groups():
    """Means over data sets, by the scan: 0.13, 0.56 and 0.97; two humps at five rows per group."""
    mean, share = {}, {}
    for n, draws in ((2, 600), (5, 1200), (30, 300)):
        rng = np.random.default_rng(n)
        slopes = np.array([global_optimum(four_groups(rng, n)) for _ in range(draws)])
        mean[n], share[n] = slopes.mean(), ((slopes > 0.3) & (slopes < 0.5)).mean()
    assert mean[2] == pytest.approx(0.13, abs=0.05)
    assert mean[5] == pytest.approx(0.56, abs=0.05)
    assert mean[30] == pytest.approx(0.973, abs=0.02)
    assert share[5] < 0.08  # the valley between the humps


def test_mundlak_repairs_the_four_groups():
    rng = np.random.default_rng(2)
    for n in (2, 5, 30):
        data = four_groups(rng, n)
        x_bar = means(data.x, data.groups)
        X = np.column_stack([np.ones(len(data.x)), data.x, x_bar])
        slope = fit(data.y, X, Term(data.groups)).fixed[1]
        expected = within(data.y, data.x[:, None], data.groups)[0][0]
        assert slope == pytest.approx(expected, abs=1e-9)


# Radon


@pytest.mark.parametrize("fixed", ["floor", "floor+log_uranium"])
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_radon(fixed, method):
    reference = REFERENCE[f"y_gh ~{fixed}+(1|county) {method}"]
    model = lmer(f"y_gh ~ {fixed} + (1 | county)", datasets.load("radon"), method=method)
    np.testing.assert_allclose(model.fixed, list(reference["fixef"].values()), rtol=1e-6)
    se = np.sqrt(np.diag(model.fixed_cov))
    np.testing.assert_allclose(se, list(reference["se"].values()), rtol=1e-6)
    sds = [np.sqrt(model.Sigma[0][0, 0]), np.sqrt(model.tau2)]
    np.testing.assert_allclose(sds, reference["sdcor"], rtol=1e-5)
    assert model.criterion == pytest.approx(reference["criterion"], rel=1e-9)


def test_radon_numbers_of_the_text():
    """Gelman and Hill (2007), chapter 12, refitted: the digits that the chapter prints."""
    data = datasets.load("radon")
    plain, uranium = [
        lmer(f"y_gh ~ {fixed} + (1 | county)", data) for fixed in ("floor", "floor + log_uranium")
    ]
    np.testing.assert_allclose(plain.fixed, [1.462, -0.693], atol=6e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(plain.fixed_cov)), [0.052, 0.070], atol=6e-4)
    np.testing.assert_allclose(uranium.fixed, [1.466, -0.668, 0.720], atol=6e-4)
    sds = [[np.sqrt(m.Sigma[0][0, 0]), np.sqrt(m.tau2)] for m in (plain, uranium)]
    np.testing.assert_allclose(sds, [[0.328, 0.756], [0.156, 0.758]], atol=6e-4)


def test_the_slope_of_floor_with_county_means_is_the_one_with_county_dummies():
    data = datasets.load("radon")
    data["bar"] = data.groupby("county").floor.transform("mean")
    model = lmer("y_gh ~ floor + bar + log_uranium + (1 | county)", data)
    groups, y = data.county.to_numpy(), data.y_gh.to_numpy()
    expected = within(y, data[["floor"]].to_numpy(float), groups)[0][0]
    assert model.fixed[model.names.index("floor")] == pytest.approx(expected, abs=1e-9)
