"""Random slopes: shrinkage in the plane, the balanced closed form, and where the zero is."""

import json

import numpy as np
import pytest
from conftest import ROOT
from dense import criterion
from scipy.optimize import minimize

from mixhier_lite import InputError, Term, datasets, fit, lmer

FITS = ROOT / "tests" / "reference" / "fits.json"
REFERENCE = json.loads(FITS.read_text(encoding="utf-8"))["fits"]


def unbalanced(seed, q=2, J=7):
    """Groups of three to nine rows; each has its own Z_j = X_j of full column rank."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(J), rng.integers(q + 1, 10, J))
    X = np.column_stack([np.ones(len(groups)), rng.normal(1, 2, (len(groups), q - 1))])
    gamma = np.arange(1, q + 1) + rng.normal(size=(J, q)) @ rng.normal(size=(q, q))
    y = (X * gamma[groups]).sum(axis=1) + rng.normal(size=len(groups))
    return y, X, groups


def covariance(seed, q, rank=None):
    root = np.random.default_rng(seed).normal(size=(q, rank or q))
    return root @ root.T


def gls_and_blup(y, X, groups, Sigma, tau2):
    """The n x n formulas, written with V alone."""
    same = np.equal.outer(groups, groups)
    V = same * (X @ Sigma @ X.T) + tau2 * np.eye(len(y))
    alpha = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y))
    weighted = X * np.linalg.solve(V, y - X @ alpha)[:, None]
    sums = np.array([weighted[groups == j].sum(axis=0) for j in np.unique(groups)])
    return alpha, sums @ Sigma


def own_lines(y, X, groups, tau2):
    """Coefficients of each group alone and their sampling covariances."""
    rows = [groups == j for j in np.unique(groups)]
    b = np.array([np.linalg.lstsq(X[r], y[r], rcond=None)[0] for r in rows])
    return b, [tau2 * np.linalg.inv(X[r].T @ X[r]) for r in rows]


@pytest.mark.theorem("thm-plane-shrinkage")
@pytest.mark.parametrize(("q", "rank"), [(1, 1), (2, 2), (2, 1), (3, 3), (3, 1)])
def test_own_and_common_coefficients_are_averaged(q, rank):
    """Parts 1 and 2 against the dense formulas, unbalanced, Sigma singular or not."""
    y, X, groups = unbalanced(q, q)
    Sigma, tau2 = covariance(10 * q + rank, q, rank), 1.7
    alpha, beta = gls_and_blup(y, X, groups, Sigma, tau2)
    b, S = own_lines(y, X, groups, tau2)
    M = [np.linalg.inv(Sigma + s) for s in S]
    for j in range(len(b)):
        W = Sigma @ M[j]
        assert np.allclose(alpha + beta[j], W @ b[j] + (np.eye(q) - W) @ alpha, atol=1e-10)
    mean = np.linalg.solve(sum(M), sum(m @ v for m, v in zip(M, b, strict=True)))
    assert np.allclose(alpha, mean, atol=1e-10)
    if q == 1:
        n_j, lam = np.bincount(groups), tau2 / Sigma[0, 0]
        assert np.allclose(beta[:, 0], n_j / (n_j + lam) * (b[:, 0] - alpha[0]), atol=1e-12)


@pytest.mark.theorem("thm-plane-shrinkage")
def test_equal_designs_give_the_plain_mean():
    rng = np.random.default_rng(1)
    Z, y = np.column_stack([np.ones(5), rng.normal(size=5)]), rng.normal(size=20)
    alpha, beta = gls_and_blup(
        y, np.tile(Z, (4, 1)), np.repeat(np.arange(4), 5), covariance(2, 2), 0.6
    )
    b = np.linalg.lstsq(Z, y.reshape(4, 5).T, rcond=None)[0].T
    assert np.allclose(alpha, b.mean(axis=0)) and np.allclose(beta.sum(axis=0), 0, atol=1e-12)


@pytest.mark.theorem("thm-plane-shrinkage")
@pytest.mark.parametrize("seed", range(4))
def test_arrows_run_to_lower_contours(seed):
    """Part 3: a numerical minimiser finds the end of each arrow, on a lower contour."""
    y, X, groups = unbalanced(seed)
    Sigma, tau2 = covariance(seed, 2), 0.9
    alpha, beta = gls_and_blup(y, X, groups, Sigma, tau2)
    b, S = own_lines(y, X, groups, tau2)
    prior = np.linalg.inv(Sigma)
    for b_j, S_j, beta_j in zip(b, S, beta, strict=True):
        noise = np.linalg.inv(S_j)

        def misfit(c, b_j=b_j, noise=noise):
            return (c - b_j) @ noise @ (c - b_j) + (c - alpha) @ prior @ (c - alpha)

        found = minimize(misfit, b_j, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert np.allclose(found.x, alpha + beta_j, atol=1e-5)
        v = b_j - alpha
        assert beta_j @ prior @ beta_j < v @ prior @ v
        values, vectors = map(np.real, np.linalg.eig(Sigma @ np.linalg.inv(Sigma + S_j)))
        assert np.all((values > 0) & (values < 1))
        assert abs(np.cross([*beta_j, 0], [*v, 0])[2]) > 1e-6  # not straight at the centre


@pytest.mark.theorem("thm-plane-shrinkage")
def test_an_eigenvector_is_shrunk_straight():
    """Two groups at plus and minus an eigenvector of W: alpha_hat is zero, both come straight."""
    Z = np.column_stack([np.ones(6), np.arange(6)])
    Sigma, tau2 = np.array([[2.0, 0.3], [0.3, 0.5]]), 1.3
    W = Sigma @ np.linalg.inv(Sigma + tau2 * np.linalg.inv(Z.T @ Z))
    keep, vectors = map(np.real, np.linalg.eig(W))
    for k in range(2):
        v = vectors[:, k]
        X, groups = np.vstack([Z, Z]), np.repeat([0, 1], 6)
        alpha, beta = gls_and_blup(np.append(Z @ v, -Z @ v), X, groups, Sigma, tau2)
        assert np.allclose(alpha, 0, atol=1e-12)
        assert np.allclose(beta, keep[k] * np.array([v, -v]), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_shrinks_by_the_matrix(seed):
    """At the fit's own estimates, on unbalanced data."""
    y, X, groups = unbalanced(seed)
    model = fit(y, X, Term(groups, Z=X))
    alpha, beta = gls_and_blup(y, X, groups, model.Sigma[0], model.tau2)
    assert np.allclose(model.fixed, alpha, atol=1e-8)
    assert np.allclose(model.random[0], beta, atol=1e-8)


def balanced(seed, scale):
    rng = np.random.default_rng(seed)
    Z = np.column_stack([np.ones(6), rng.normal(size=6)])
    gamma = [3.0, -1.0] + scale * rng.normal(size=(9, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    y = (gamma @ Z.T + rng.normal(size=(9, 6))).ravel()
    return y, np.tile(Z, (9, 1)), np.repeat(np.arange(9), 6)


def with_a_pencil(y, Z, J, method):
    Y = y.reshape(J, -1)
    b = np.linalg.lstsq(Z, Y.T, rcond=None)[0].T
    tau2 = ((Y - b @ Z.T) ** 2).sum() / (J * (len(Z) - Z.shape[1]))
    B = np.cov(b.T, ddof=1 if method == "REML" else 0)
    return b.mean(axis=0), B - tau2 * np.linalg.inv(Z.T @ Z), tau2


@pytest.mark.theorem("thm-balanced-slopes")
@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", range(3))
def test_the_pencil_finds_the_optimum(seed, method):
    """No point that a search on the dense criterion finds is better, and the fit is there."""
    y, X, groups = balanced(seed, 2.0)
    alpha, Sigma, tau2 = with_a_pencil(y, X[:6], 9, method)
    assert np.linalg.eigvalsh(Sigma)[0] > 0
    model = fit(y, X, Term(groups, Z=X), method)
    assert np.allclose(model.fixed, alpha) and np.allclose(model.Sigma[0], Sigma, rtol=1e-7)
    assert model.tau2 == pytest.approx(tau2, rel=1e-9)

    def value(t):
        T = np.array([[t[0], 0], [t[1], t[2]]])
        return criterion(y, X, [(groups, X, None)], [T], method)

    best = np.linalg.cholesky(Sigma / tau2)[[0, 1, 1], [0, 0, 1]]
    for start in ([1.0, 0.0, 1.0], best * 1.5, [3.0, -2.0, 0.2]):
        assert value(best) <= minimize(value, start).fun + 1e-7
    steps = 0.05 * np.random.default_rng(seed).normal(size=(30, 3))
    assert all(value(best) < value(best + step) for step in steps)


@pytest.mark.theorem("thm-balanced-slopes")
def test_without_a_covariance_the_optimum_is_on_the_boundary():
    singular = 0
    for seed in range(8):
        y, X, groups = balanced(seed, 0.1)
        Sigma = with_a_pencil(y, X[:6], 9, "REML")[1]
        model = fit(y, X, Term(groups, Z=X))
        assert model.singular == (np.linalg.eigvalsh(Sigma)[0] <= 0)
        singular += model.singular
    assert 2 < singular


def dense_criterion(y, X, groups, Sigma, tau2):
    """The REML criterion at both variances; Sigma may be singular."""
    values, vectors = np.linalg.eigh(Sigma / tau2)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    return criterion(y, X, [(groups, X, None)], [root], "REML", None, tau2)


@pytest.mark.theorem("thm-balanced-slopes")
@pytest.mark.parametrize("scale", [2.0, 0.1])
def test_in_precisions_the_criterion_is_convex_up_to_the_boundary(scale):
    """The middle of any two models, some of them singular, is a model and lies below the mean."""
    y, X, groups = balanced(1, scale)
    inverse, rng, singular = np.linalg.inv(X[:6].T @ X[:6]), np.random.default_rng(2), 0
    for _ in range(60):
        ends = [(covariance(rng, 2, rng.integers(1, 3)), rng.uniform(0.2, 4)) for _ in range(2)]
        singular += sum(np.linalg.det(Sigma) < 1e-12 for Sigma, _ in ends)
        precisions = [np.linalg.inv(Sigma + tau2 * inverse) for Sigma, tau2 in ends]
        middle_tau2 = 2 / (1 / ends[0][1] + 1 / ends[1][1])
        middle = np.linalg.inv((precisions[0] + precisions[1]) / 2) - middle_tau2 * inverse
        assert np.linalg.eigvalsh(middle)[0] > -1e-10
        mean = np.mean([dense_criterion(y, X, groups, *end) for end in ends])
        assert dense_criterion(y, X, groups, middle, middle_tau2) < mean
    assert singular > 20


@pytest.mark.theorem("thm-balanced-slopes")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_every_search_on_balanced_data_ends_at_the_same_minimum(seed):
    """From twelve starts, where the estimate is on the boundary and where it is inside."""
    y, X, groups = balanced(seed, 0.1 if seed % 2 else 2.0)

    def value(t):
        T = np.array([[t[0], 0], [t[1], t[2]]])
        return criterion(y, X, [(groups, X, None)], [T], "REML")

    starts = np.random.default_rng(seed).normal(0, 2, (12, 3))
    ends = []
    for start in starts:
        rough = minimize(value, start, method="Nelder-Mead", options={"maxiter": 4000})
        ends.append(minimize(value, rough.x, method="Nelder-Mead", options={"xatol": 1e-9}).fun)
    assert np.ptp(ends) < 1e-5
    assert min(ends) == pytest.approx(fit(y, X, Term(groups, Z=X)).criterion, abs=1e-6)


@pytest.mark.theorem("thm-balanced-slopes")
def test_two_columns_without_covariance_can_have_two_minima():
    """What the scope says: equal Z, a diagonal Sigma, and a second minimum."""
    several = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        Z = np.column_stack([np.ones(4), [2.0, 3, 4, 5]])
        X, groups = np.tile(Z, (6, 1)), np.repeat(np.arange(6), 4)
        gamma = rng.normal(size=(6, 2)) * [0.7, 0.3]
        y = (gamma @ Z.T + rng.normal(size=(6, 4))).ravel()

        def value(t, y=y, X=X, groups=groups):
            return criterion(y, X, [(groups, X, None)], [np.diag(t)], "REML")

        ends = [
            minimize(value, start, bounds=[(0, None)] * 2, options={"ftol": 1e-13}).fun
            for start in ([3.0, 0.01], [0.01, 2.0])
        ]
        several += abs(ends[0] - ends[1]) > 1e-3
    assert several > 0


def sleep():
    data = datasets.load("sleepstudy")
    X = np.column_stack([np.ones(180), data["Days"]])
    return data, data["Reaction"].to_numpy(), X


@pytest.mark.parametrize("bar", ["|", "||"])
def test_published_numbers_from_formula_and_arrays(bar):
    data, y, X = sleep()
    key = {"|": "sleepstudy.slope:REML", "||": "sleepstudy.slope_uncorr:REML"}[bar]
    reference = REFERENCE[key]
    formula = lmer(f"Reaction ~ Days + (Days {bar} Subject)", data)
    arrays = fit(y, X, Term(data["Subject"], Z=X, correlated=bar == "|"))
    for model in (formula, arrays):
        assert model.criterion == pytest.approx(float(reference["criterion"]), rel=1e-12)
        assert np.allclose(model.theta, [float(v) for v in reference["theta"]], rtol=1e-9)
    if bar == "|":
        S = formula.Sigma[0]
        sd = np.sqrt(np.diag(S))
        assert np.allclose(sd, [24.7404514, 5.9221331], atol=5e-7)
        assert S[0, 1] / sd.prod() == pytest.approx(0.0655513, abs=5e-7)
        assert np.sqrt(formula.tau2) == pytest.approx(25.5918156, abs=5e-7)
        assert formula.levels[0][0] == "308"
        assert np.allclose(formula.random[0][0], [2.2585655, 9.1989719], atol=5e-7)
        pencil = with_a_pencil(y, X[:10], 18, "REML")
        assert np.allclose(S, pencil[1], rtol=1e-9) and np.allclose(formula.fixed, pencil[0])


@pytest.mark.parametrize("zero", [2, 5, -30])
def test_only_one_bar_survives_a_shift_of_the_zero(zero):
    data, y, X = sleep()
    A = np.array([[1, zero], [0, 1]])  # coefficients counted from the new zero: A gamma
    shifted = X @ np.linalg.inv(A)
    one, two, one_moved, two_moved = (
        fit(y, Z, Term(data["Subject"], Z=Z, correlated=correlated))
        for Z in (X, shifted)
        for correlated in (True, False)
    )
    assert one_moved.criterion == pytest.approx(one.criterion, abs=1e-8)
    assert np.allclose(one_moved.fixed, A @ one.fixed)
    assert np.allclose(one_moved.Sigma[0], A @ one.Sigma[0] @ A.T, rtol=1e-7)
    assert np.allclose(one_moved.random[0], one.random[0] @ A.T, atol=1e-6)
    assert two_moved.criterion > two.criterion + 2
    assert two_moved.criterion > one.criterion


@pytest.mark.parametrize("day", [0.0, 4.5, 12.0])
def test_predictions_of_old_and_new_people(day):
    """Error variances from the weights of y, for which neither H nor P is needed."""
    data, y, X = sleep()
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    Sigma, tau2, z = model.Sigma[0], model.tau2, np.array([1.0, day])
    people = np.repeat(np.arange(18), 10)
    V = np.equal.outer(people, people) * (X @ Sigma @ X.T) + tau2 * np.eye(180)
    columns = np.eye(180)
    own = np.array([gls_and_blup(e, X, people, Sigma, tau2) for e in columns], dtype=object)
    average = np.array([z @ alpha for alpha, _ in own])
    known = average + np.array([z @ beta[0] for _, beta in own])
    cov = X @ Sigma @ z * (people == 0)  # Cov(y, z'beta_308)
    row = data.iloc[:1].assign(Days=day)
    p = model.predict(row)
    var_known = known @ V @ known - 2 * known @ cov + z @ Sigma @ z
    assert p.mean[0] == pytest.approx(known @ y, rel=1e-9)
    assert p.var_mean[0] == pytest.approx(var_known, rel=1e-8)
    assert p.var_new[0] == pytest.approx(var_known + tau2, rel=1e-8)
    new = model.predict(row.drop(columns="Subject"), new_groups="population")
    with pytest.raises(InputError, match="(?s)no column 'Subject'.*new_groups='population'"):
        model.predict(row.drop(columns="Subject"))
    var_average = average @ V @ average
    assert new.mean[0] == pytest.approx(average @ y, rel=1e-9)
    assert new.var_mean[0] == pytest.approx(var_average, rel=1e-8)
    assert new.var_new[0] == pytest.approx(var_average + z @ Sigma @ z + tau2, rel=1e-8)
