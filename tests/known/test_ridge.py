"""Chapter *ridge*: shrinkage, penalties, degrees of freedom, leave-one-out, kernels."""

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from scipy.optimize import minimize, minimize_scalar
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeCV

from mixhier_lite import InputError, LinearMixedModel, gls_blup, indicator, ridge

LAMBDAS = np.geomspace(1e-4, 1e4, 41)
CLADES = np.kron(np.eye(2), np.full((3, 3), 0.8)) + 0.2 * np.eye(6)


def strains(seed, Sigma=None, sizes=(9, 6, 1, 7, 2, 1), tau2=6.0):
    """Six strains of unequal size, an intercept and an age; Sigma = 4 I unless given."""
    rng = np.random.default_rng(seed)
    D = indicator(np.repeat(np.arange(6), sizes), levels=range(6))
    X = np.column_stack([np.ones(len(D)), rng.uniform(6, 12, len(D))])
    model = LinearMixedModel(X, D, 4.0 * np.eye(6) if Sigma is None else Sigma, tau2)
    return model, 10 + 1.5 * X[:, 1] + D @ rng.normal(0, 2, 6) + rng.normal(0, 2, len(D))


def numerical_minimum(criterion, size):
    """Minimise a quadratic from its values alone (central differences are exact for it)."""
    return minimize(criterion, np.zeros(size), method="BFGS", jac="3-point", tol=1e-7).x


def points(effects):
    return np.concatenate([effects.fixed, effects.random])


def with_penalty(model, lam):
    """Change sigma2 so that ridge() uses this lambda."""
    return LinearMixedModel(model.X, model.D, model.tau2 / lam * np.eye(model.J), model.tau2)


def hat_diagonal(fit, y):
    """Change of each fitted value with its own response, by differences of a linear map."""
    base = fit(y)
    return np.array([(fit(y + step) - base) @ step for step in np.eye(len(y))])


def residual_maker(X):
    return np.eye(len(X)) - X @ np.linalg.pinv(X)


# The penalty


@pytest.mark.theorem("thm-ridge")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gls_and_blup_minimise_the_penalised_criterion(seed):
    model, y = strains(seed)
    lam = 6.0 / 4.0

    def criterion(c):
        e = y - model.X @ c[:2] - model.D @ c[2:]
        return e @ e + lam * c[2:] @ c[2:]

    found = numerical_minimum(criterion, 8)
    np.testing.assert_allclose(points(ridge(model, y)), found, atol=1e-5)
    np.testing.assert_allclose(points(gls_blup(model, y)), found, atol=1e-5)


@pytest.mark.theorem("thm-ridge")
def test_scikit_learn_fits_the_random_intercept_model():
    """Its intercept is free; other fixed effects are projected out."""
    model, y = strains(4)
    one_way = LinearMixedModel(np.ones((model.n, 1)), model.D, model.Sigma, model.tau2)
    outside = Ridge(alpha=1.5).fit(model.D, y)
    np.testing.assert_allclose(
        points(gls_blup(one_way, y)), [outside.intercept_, *outside.coef_], rtol=1e-10
    )
    M = residual_maker(model.X)
    outside = Ridge(alpha=1.5, fit_intercept=False).fit(M @ model.D, M @ y)
    np.testing.assert_allclose(ridge(model, y).random, outside.coef_, atol=1e-10)


@pytest.mark.theorem("thm-ridge")
def test_penalising_alpha_too_is_another_estimator():
    """It follows neither a change of the zero of y nor the best fit; ridge does both."""
    model, y = strains(5)
    W = np.hstack([model.X, model.D])
    everything = Ridge(alpha=1.5, fit_intercept=False)
    ours = points(ridge(model, y))
    assert np.abs(everything.fit(W, y).coef_ - ours).max() > 0.3
    shift = np.array([100.0, -3.0])
    moved = points(ridge(model, y + model.X @ shift))
    np.testing.assert_allclose(moved - ours, [*shift, *np.zeros(6)], atol=1e-10)
    leaked = everything.fit(W, y + model.X @ shift).coef_ - everything.fit(W, y).coef_
    assert np.abs(leaked[2:]).max() > 1
    beside = Ridge(alpha=1.5).fit(W[:, 1:], y)
    assert abs(beside.coef_[0] - ours[1]) > 0.01


@pytest.mark.theorem("thm-ridge")
def test_a_dropped_level_goes_free_of_penalty():
    """With one level dropped, zero means 'like strain 1', not 'like the average strain'."""
    model, y = strains(6)
    one_way = LinearMixedModel(np.ones((model.n, 1)), model.D, model.Sigma, model.tau2)
    blup = gls_blup(one_way, y).random
    dropped = Ridge(alpha=1.5).fit(model.D[:, 1:], y).coef_
    assert np.abs(dropped - (blup[1:] - blup[0])).max() > 0.3
    far = Ridge(alpha=1e9).fit(model.D[:, 1:], y)
    np.testing.assert_allclose(far.coef_, 0, atol=1e-6)


@pytest.mark.theorem("thm-ridge")
@pytest.mark.parametrize("kappa", [-4.0 / 6.0, 3.0, 100.0])
def test_a_shared_shift_is_invisible_beside_an_intercept(kappa):
    """Part 2: only the action of Sigma on the row space of (I - P_X) D matters."""
    model, y = strains(7)
    shared = LinearMixedModel(model.X, model.D, model.Sigma + kappa, model.tau2)
    np.testing.assert_allclose(points(gls_blup(shared, y)), points(ridge(model, y)), atol=1e-9)


@pytest.mark.theorem("thm-ridge")
def test_what_sigma_does_outside_the_row_space_is_free():
    """With a covariate z of the strains in X, D 1 and D z are in col(X): any Sigma there."""
    model, y = strains(8)
    rng = np.random.default_rng(8)
    z = rng.normal(size=6)
    X = np.column_stack([model.X, model.D @ z])
    Q = np.linalg.qr(np.column_stack([np.ones(6), z]))[0]
    free = Q @ np.array([[3.0, 1.0], [1.0, 0.5]]) @ Q.T
    Sigma = 4 * (np.eye(6) - Q @ Q.T) + free
    spherical = LinearMixedModel(X, model.D, model.Sigma, model.tau2)
    other = LinearMixedModel(X, model.D, Sigma, model.tau2)
    np.testing.assert_allclose(points(gls_blup(other, y)), points(ridge(spherical, y)), atol=1e-9)
    without_z = LinearMixedModel(model.X, model.D, Sigma, model.tau2)
    assert gap_over_lambda(without_z, y) > 0.05


def gap_over_lambda(model, y):
    """Smallest distance between the BLUP and any ridge fit."""
    blup = gls_blup(model, y).random
    fits = [ridge(with_penalty(model, lam), y).random for lam in LAMBDAS]
    return min(np.abs(fit - blup).max() for fit in fits)


@pytest.mark.theorem("thm-ridge")
def test_other_covariances_are_ridge_for_no_lambda():
    related, y = strains(181, 4 * CLADES)
    assert gap_over_lambda(related, y) > 0.3
    # Part 3: without the intercept [X D] has full column rank, and a shared shift shows.
    age = related.X[:, 1:]
    shared = LinearMixedModel(age, related.D, 4 * np.eye(6) + 100, related.tau2)
    assert gap_over_lambda(shared, y) > 0.05


@pytest.mark.theorem("thm-ridge")
def test_effects_inside_the_space_of_x_are_never_predicted():
    """With col(D) inside col(X) the condition of part 2 is empty: every BLUP is zero."""
    model, y = strains(9)
    dummies = LinearMixedModel(model.D, model.D, 4 * CLADES, model.tau2)
    np.testing.assert_allclose(gls_blup(dummies, y).random, 0, atol=1e-9)
    np.testing.assert_allclose(ridge(with_penalty(dummies, 7.0), y).random, 0, atol=1e-9)


@pytest.mark.parametrize("lam", [0.01, 1.0, 100.0])
def test_balanced_one_way_alpha_hat_does_not_depend_on_lambda(lam):
    rng = np.random.default_rng(10)
    y = rng.normal(5, 2, 12)
    balanced = LinearMixedModel(np.ones((12, 1)), np.kron(np.eye(4), np.ones((3, 1))), np.eye(4), 1)
    np.testing.assert_allclose(ridge(with_penalty(balanced, lam), y).fixed, y.mean())
    unequal = indicator(np.repeat(np.arange(4), (1, 2, 3, 6)))
    fits = [
        ridge(with_penalty(LinearMixedModel(np.ones((12, 1)), unequal, np.eye(4), 1), k), y).fixed
        for k in (lam, 2 * lam)
    ]
    assert abs(fits[0][0] - fits[1][0]) > 1e-3


# Shrinkage


@pytest.mark.theorem("thm-shrinkage")
@pytest.mark.parametrize("sizes", [(9, 6, 1, 7, 2, 1), (4, 4, 4, 4, 4, 4), (0, 5, 1, 0, 3, 30)])
def test_each_blup_is_its_mean_residual_times_w(sizes):
    """Against the minimum over one number, group by group."""
    model, y = strains(11, sizes=sizes)
    effects = gls_blup(model, y)
    r = y - model.X @ effects.fixed
    for j, n_j in enumerate(sizes):
        own = r[model.D[:, j] == 1]
        best = minimize_scalar(lambda b, own=own: ((own - b) ** 2).sum() + 1.5 * b**2, tol=1e-10).x
        assert effects.random[j] == pytest.approx(best, abs=1e-6)
        if n_j:
            assert effects.random[j] == pytest.approx(n_j / (n_j + 1.5) * own.mean(), abs=1e-10)
            assert ridge(model, y).random[j] == pytest.approx(effects.random[j], abs=1e-10)
        else:
            assert ridge(model, y).random[j] == pytest.approx(0, abs=1e-12)


@pytest.mark.theorem("thm-shrinkage")
def test_the_smallest_group_need_not_move_most():
    model, y = strains(181)
    sizes = model.D.sum(axis=0)
    effects = ridge(model, y)
    r_bar = model.D.T @ (y - model.X @ effects.fixed) / sizes
    moved = np.abs(r_bar - effects.random)
    np.testing.assert_allclose(moved, 1.5 / (sizes + 1.5) * np.abs(r_bar), atol=1e-10)
    # by hand: p = 0, lambda = 1; means 1 and 9 of 1 and 3 rows move by 1/2 and by 9/4
    by_hand = LinearMixedModel(np.zeros((4, 0)), indicator([0, 1, 1, 1]), np.eye(2), 1)
    np.testing.assert_allclose(ridge(by_hand, [1, 8, 9, 10]).random, [1 / 2, 27 / 4])


# Effective degrees of freedom


def edf_by_eigenvalues(model, lam):
    eigenvalues = np.linalg.eigvalsh(model.D.T @ residual_maker(model.X) @ model.D)
    return (eigenvalues / (eigenvalues + lam)).sum()


@pytest.mark.theorem("thm-edf")
@pytest.mark.parametrize("lam", [0.1, 1.5, 40.0])
def test_edf_is_the_divergence_of_the_fit(lam):
    model, y = strains(12, sizes=(5, 4, 1, 0, 2, 1))
    model = with_penalty(model, lam)
    edf = edf_by_eigenvalues(model, lam)

    def random_part(v):
        return model.D @ gls_blup(model, v).random

    def whole(v):
        effects = ridge(model, v)
        return model.X @ effects.fixed + model.D @ effects.random

    assert hat_diagonal(random_part, y).sum() == pytest.approx(edf, abs=1e-9)
    assert hat_diagonal(whole, y).sum() == pytest.approx(2 + edf, abs=1e-9)
    known = LinearMixedModel(np.zeros((model.n, 0)), model.D, model.Sigma, model.tau2)
    sizes = model.D.sum(axis=0)
    divergence = hat_diagonal(lambda v: known.D @ gls_blup(known, v).random, y).sum()
    assert divergence == pytest.approx((sizes / (sizes + lam)).sum(), abs=1e-9)
    assert divergence > edf


@pytest.mark.theorem("thm-edf")
def test_edf_is_the_covariance_of_fit_and_response():
    """Sum of Cov(fit_i, y_i) over tau2, by simulation with scikit-learn's fits."""
    model, y = strains(13)
    rng = np.random.default_rng(13)
    eps = rng.normal(0, np.sqrt(model.tau2), (model.n, 20_000))
    M = residual_maker(model.X)
    outside = Ridge(alpha=1.5, fit_intercept=False).fit(M @ model.D, M @ (y[:, None] + eps))
    fits = model.D @ outside.coef_.T
    simulated = (fits * eps).sum(axis=0).mean() / model.tau2
    assert simulated == pytest.approx(edf_by_eigenvalues(model, 1.5), rel=0.05)


@pytest.mark.theorem("thm-edf")
@pytest.mark.parametrize("sizes", [(9, 6, 1, 7, 2, 1), (5, 0, 4, 3, 0, 2)])
def test_edf_goes_down_from_a_rank_to_zero(sizes):
    model, y = strains(14, sizes=sizes)
    values = [edf_by_eigenvalues(model, lam) for lam in LAMBDAS]
    assert (np.diff(values) < 0).all()
    rank = np.linalg.matrix_rank(np.hstack([model.X, model.D])) - 2
    assert rank == np.count_nonzero(sizes) - 1
    divergence = []
    for extreme in (with_penalty(model, 1e-7), with_penalty(model, 1e8)):
        fit = hat_diagonal(lambda v, m=extreme: m.D @ ridge(m, v).random, y)
        divergence.append(fit.sum())
    np.testing.assert_allclose(divergence, [rank, 0], atol=1e-5)


@pytest.mark.theorem("thm-edf")
def test_edf_for_related_strains_uses_whitened_columns():
    model, y = strains(15, 4 * CLADES)
    A = model.D @ model.L
    eigenvalues = np.linalg.eigvalsh(A.T @ residual_maker(model.X) @ A)
    edf = (eigenvalues / (eigenvalues + model.tau2)).sum()
    divergence = hat_diagonal(lambda v: model.D @ gls_blup(model, v).random, y).sum()
    assert divergence == pytest.approx(edf, abs=1e-9)


# Leave one out


@pytest.mark.theorem("thm-loo")
@pytest.mark.parametrize("Sigma", [None, 4 * CLADES, np.ones((6, 6))], ids=["iid", "kin", "rank 1"])
def test_leave_one_out_needs_one_fit(Sigma):
    model, y = strains(16, Sigma)

    def fitted(v):
        effects = ridge(model, v)
        return model.X @ effects.fixed + model.D @ effects.random

    h = hat_diagonal(fitted, y)
    assert (h > 0).all() and (h < 1).all()
    refits = []
    for i in range(model.n):
        keep = np.arange(model.n) != i
        rest = LinearMixedModel(model.X[keep], model.D[keep], model.Sigma, model.tau2)
        refit = gls_blup(rest, y[keep])
        refits.append(y[i] - model.X[i] @ refit.fixed - model.D[i] @ refit.random)
    np.testing.assert_allclose((y - fitted(y)) / (1 - h), refits, atol=1e-9)


@pytest.mark.theorem("thm-loo")
def test_leave_one_out_errors_are_those_of_scikit_learn():
    model, y = strains(17)
    one_way = LinearMixedModel(np.ones((model.n, 1)), model.D, model.Sigma, model.tau2)
    effects = ridge(one_way, y)
    W = np.hstack([one_way.X, one_way.D])
    h = np.einsum("ij,jk,ik->i", W, effects.cov, W) / one_way.tau2
    ours = ((y - W @ points(effects)) / (1 - h)) ** 2
    outside = RidgeCV(alphas=[1.5], store_cv_results=True).fit(model.D, y)
    np.testing.assert_allclose(ours, outside.cv_results_[:, 0], rtol=1e-8)


@pytest.mark.theorem("thm-loo")
def test_a_row_that_identifies_alpha_alone_has_leverage_one():
    """The scope: without that row X loses rank, and its residual is zero."""
    model, y = strains(18)
    X = np.column_stack([model.X, np.arange(model.n) == 3])
    effects = ridge(LinearMixedModel(X, model.D, model.Sigma, model.tau2), y)
    W = np.hstack([X, model.D])
    assert W[3] @ effects.cov @ W[3] / model.tau2 == pytest.approx(1, abs=1e-10)
    assert y[3] - W[3] @ points(effects) == pytest.approx(0, abs=1e-10)


# Any covariance, and kernels


@pytest.mark.theorem("thm-general-ridge")
@pytest.mark.parametrize("rank", [6, 2])
def test_ridge_is_gaussian_process_regression_with_kernel_d_sigma_d(rank):
    """X empty: kernel ridge gives the fit, a Gaussian process its posterior covariance too."""
    model, y = strains(19)
    A = np.random.default_rng(19).normal(size=(6, rank))
    model = LinearMixedModel(np.zeros((model.n, 0)), model.D, A @ A.T, model.tau2)
    effects = ridge(model, y)
    K = model.D @ model.Sigma @ model.D.T
    machine = KernelRidge(alpha=model.tau2, kernel="precomputed").fit(K, y)
    np.testing.assert_allclose(model.D @ effects.random, machine.predict(K), atol=1e-9)
    process = GaussianProcessRegressor(DotProduct(0, "fixed"), alpha=model.tau2, optimizer=None)
    mean, cov = process.fit(model.D @ A, y).predict(np.eye(6) @ A, return_cov=True)
    np.testing.assert_allclose(effects.random, mean, atol=1e-9)
    np.testing.assert_allclose(effects.cov, cov, atol=1e-9)


@pytest.mark.theorem("thm-general-ridge")
@pytest.mark.parametrize("rank", [6, 2])
def test_whitened_ridge_and_its_dual_are_gls_and_blup(rank):
    """With X: a numerical minimum for another root of Sigma, and the kriging equations."""
    model, y = strains(20)
    rng = np.random.default_rng(20)
    root = rng.normal(size=(6, rank))
    model = LinearMixedModel(model.X, model.D, root @ root.T, model.tau2)
    effects = ridge(model, y)
    blup = gls_blup(model, y)
    np.testing.assert_allclose(points(effects), points(blup), atol=1e-9)
    np.testing.assert_allclose(effects.cov, blup.cov, atol=1e-9)

    def criterion(c):
        e = y - model.X @ c[:2] - model.D @ root @ c[2:]
        return e @ e + model.tau2 * c[2:] @ c[2:]

    found = numerical_minimum(criterion, 2 + rank)
    np.testing.assert_allclose(points(effects), [*found[:2], *(root @ found[2:])], atol=1e-5)

    K = model.D @ model.Sigma @ model.D.T
    border = np.block([[K + model.tau2 * np.eye(model.n), model.X], [model.X.T, np.zeros((2, 2))]])
    c, a = np.split(np.linalg.solve(border, [*y, 0, 0]), [model.n])
    residual = y - model.X @ effects.fixed - model.D @ effects.random
    np.testing.assert_allclose(a, effects.fixed, atol=1e-9)
    np.testing.assert_allclose(model.Sigma @ model.D.T @ c, effects.random, atol=1e-9)
    np.testing.assert_allclose(model.tau2 * c, residual, atol=1e-9)
    x_new, d_new = rng.normal(size=2), rng.normal(size=6)
    np.testing.assert_allclose(
        x_new @ a + d_new @ model.Sigma @ model.D.T @ c,
        x_new @ effects.fixed + d_new @ effects.random,
        atol=1e-9,
    )


# Penalties are priors


def mixed_form(B, S, sigma2, tau2):
    """Split c'Sc as the theorem does: a model, and the matrix that takes (a, b) to c."""
    values, vectors = np.linalg.eigh(S)
    null = values < 1e-9 * values[-1]
    N, R = vectors[:, null], vectors[:, ~null] / np.sqrt(values[~null])
    model = LinearMixedModel(B @ N, B @ R, sigma2 * np.eye(R.shape[1]), tau2)
    return model, np.hstack([N, R])


@pytest.mark.theorem("thm-penalty-prior")
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_a_quadratic_penalty_is_a_mixed_model(rank):
    rng = np.random.default_rng(21)
    B, y = rng.normal(size=(12, 5)), rng.normal(size=12)
    root = rng.normal(size=(rank, 5))
    S, sigma2, tau2 = root.T @ root, 2.0, 0.5
    model, to_c = mixed_form(B, S, sigma2, tau2)
    effects = gls_blup(model, y)
    assert model.p == 5 - rank

    def criterion(c):
        return ((y - B @ c) ** 2).sum() + tau2 / sigma2 * c @ S @ c

    np.testing.assert_allclose(to_c @ points(effects), numerical_minimum(criterion, 5), atol=1e-5)
    # Posterior: minus its log density is criterion / (2 tau2); second differences give the Hessian.
    at_zero, unit = criterion(np.zeros(5)), np.eye(5)
    hessian = np.array(
        [[criterion(u + v) - criterion(u) - criterion(v) + at_zero for v in unit] for u in unit]
    )
    cov = np.linalg.inv(hessian / (2 * tau2))
    np.testing.assert_allclose(to_c @ effects.cov @ to_c.T, cov, atol=1e-8)


@pytest.mark.theorem("thm-penalty-prior")
@pytest.mark.parametrize("lam", [0.01, 1.0, 1e4])
def test_a_smoothing_spline_is_a_mixed_model(lam):
    """Outside witness: scipy's smoothing spline, whose penalty is the integral of f''^2."""
    rng = np.random.default_rng(22)
    x = np.sort(rng.uniform(0, 10, 25))
    y = np.sin(x) + 0.5 * x + rng.normal(0, 0.3, 25)
    gaps = np.diff(x)
    Q = np.zeros((25, 23))
    for k in range(23):
        Q[k : k + 3, k] = [1 / gaps[k], -1 / gaps[k] - 1 / gaps[k + 1], 1 / gaps[k + 1]]
    G = (
        np.diag((gaps[:-1] + gaps[1:]) / 3)
        + np.diag(gaps[1:-1] / 6, 1)
        + np.diag(gaps[1:-1] / 6, -1)
    )
    model, to_c = mixed_form(np.eye(25), Q @ np.linalg.solve(G, Q.T), 1 / lam, 1.0)
    assert model.p == 2
    smooth = to_c @ points(ridge(model, y))
    np.testing.assert_allclose(smooth, make_smoothing_spline(x, y, lam=lam)(x), atol=1e-6)


@pytest.mark.theorem("thm-penalty-prior")
def test_the_null_space_of_second_differences_is_the_straight_lines():
    """The chapter's smoother: its fixed part is the line; heavy penalties leave only that."""
    t = np.arange(20.0)
    y = np.cos(t / 3) + 0.2 * t
    second = np.diff(np.eye(20), 2, axis=0)
    line = np.polyval(np.polyfit(t, y, 1), t)
    for lam in (1.0, 1e9):
        model, to_c = mixed_form(np.eye(20), second.T @ second, 1 / lam, 1.0)
        effects = ridge(model, y)
        np.testing.assert_allclose(model.X @ effects.fixed, line, atol=1e-7)
        bends = second @ to_c[:, 2:]
        np.testing.assert_allclose(bends @ bends.T, np.eye(18), atol=1e-8)
        heavy = to_c @ points(effects)
    np.testing.assert_allclose(heavy, line, atol=1e-4)


@pytest.mark.theorem("thm-penalty-prior")
def test_a_direction_that_neither_data_nor_penalty_sees_is_refused():
    """Outside the scope: some c has B c = 0 and S c = 0."""
    B = np.column_stack([np.eye(4), np.zeros(4)])
    S = np.diag([1.0, 1, 1, 0, 0])
    model, _ = mixed_form(B, S, 1.0, 1.0)
    with pytest.raises(InputError, match="not identified"):
        ridge(model, np.arange(4))


# The function


def test_shapes_and_symmetry():
    model, y = strains(23)
    effects = ridge(model, y)
    assert effects.fixed.shape == (2,) and effects.random.shape == (6,)
    assert effects.fixed_cov.shape == (2, 2) and effects.random_cov.shape == (6, 6)
    np.testing.assert_allclose(effects.cov, effects.cov.T, rtol=1e-12, atol=1e-14)


def test_covariance_is_that_of_the_errors():
    """Simulate (beta, eps) and compare the errors made with the covariance reported."""
    model, _ = strains(24, 4 * CLADES)
    rng = np.random.default_rng(24)
    rule = np.array([points(ridge(model, row)) for row in np.eye(model.n)]).T
    beta = np.linalg.cholesky(model.Sigma) @ rng.standard_normal((6, 100_000))
    eps = np.sqrt(model.tau2) * rng.standard_normal((model.n, 100_000))
    errors = rule @ (model.D @ beta + eps) - np.vstack([np.zeros((2, 100_000)), beta])
    cov, reported = np.cov(errors), ridge(model, np.zeros(model.n)).cov
    scale = np.sqrt(np.diag(reported))
    assert np.abs((cov - reported) / np.outer(scale, scale)).max() < 0.02


def test_no_fixed_effects():
    D = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]])
    model = LinearMixedModel(np.zeros((3, 0)), D, np.diag([2.0, 1.0]), 0.5)
    y = np.array([1.0, -1.0, 2.0])
    effects = ridge(model, y)
    assert effects.fixed.shape == (0,) and effects.cov.shape == (2, 2)
    by_hand = np.linalg.inv(D.T @ D / 0.5 + np.diag([0.5, 1.0]))
    np.testing.assert_allclose(effects.random, by_hand @ D.T @ y / 0.5, atol=1e-12)
    np.testing.assert_allclose(effects.cov, by_hand, atol=1e-12)


def test_no_variance_predicts_zero():
    model, y = strains(25, np.zeros((6, 6)))
    effects = ridge(model, y)
    np.testing.assert_array_equal(effects.random, np.zeros(6))
    slope, intercept = np.polyfit(model.X[:, 1], y, 1)
    np.testing.assert_allclose(effects.fixed, [intercept, slope], atol=1e-9)


def test_more_coefficients_than_rows():
    y = np.array([1.0, 3.0])
    model = LinearMixedModel(np.ones((2, 1)), np.eye(2, 5), np.eye(5), 1.0)
    np.testing.assert_allclose(points(ridge(model, y)), [2, -0.5, 0.5, 0, 0, 0], atol=1e-12)


def test_a_covariate_far_from_zero_keeps_its_digits():
    """Normal equations would square this condition number (4e6) and lose half of the digits."""
    model, y = strains(26)
    age = model.X[:, 1]
    near = ridge(model, y).fixed[1]
    far_X = np.column_stack([np.ones(model.n), age + 2.0**22])
    moved = far_X[:, 1] - 2.0**22
    exact = ridge(
        LinearMixedModel(
            np.column_stack([np.ones(model.n), moved]), model.D, model.Sigma, model.tau2
        ),
        y,
    ).fixed[1]
    assert near == pytest.approx(exact, rel=1e-6)
    far = ridge(LinearMixedModel(far_X, model.D, model.Sigma, model.tau2), y).fixed[1]
    assert far == pytest.approx(exact, rel=1e-8)


def test_a_dependent_column_of_x_is_refused():
    model, y = strains(27)
    X = np.column_stack([model.X, 2 * model.X[:, 1] - 3])
    with pytest.raises(InputError, match="alpha is not identified") as refused:
        ridge(LinearMixedModel(X, model.D, model.Sigma, model.tau2), y)
    assert "[0, 1, 2]" in refused.value.got


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda y: y[:-1], "different numbers of rows"),
        (lambda y: y[:, None], "wrong number of axes"),
        (lambda y: np.where(np.arange(len(y)) == 2, np.nan, y), "missing or infinite"),
    ],
    ids=["too short", "a matrix", "a missing value"],
)
def test_a_wrong_response_is_refused(spoil, words):
    model, y = strains(28)
    with pytest.raises(InputError, match=words):
        ridge(model, spoil(y))


def test_the_response_is_not_modified():
    model, y = strains(29)
    before = y.copy()
    ridge(model, y)
    np.testing.assert_array_equal(y, before)
