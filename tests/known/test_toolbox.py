"""The lemmas of the toolbox, each against evidence that shares no algebra with its proof.

Identities between matrices are checked in rational arithmetic, where equal means equal.
Statements about densities are checked by integrating the densities on a grid, or by drawing.
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest, multivariate_normal, norm

from mixhier_lite import GaussianFactor, flat, gaussian

SEEDS = range(3)


def random_pd(rng, k):
    A = rng.normal(size=(k, k))
    return A @ A.T + 0.3 * np.eye(k)


# --- exact arithmetic


def exact(array):
    """Integers as fractions, so that nothing is rounded."""
    return np.vectorize(Fraction, otypes=[object])(array)


def eliminate(M):
    """Gauss-Jordan on fractions: (determinant, inverse)."""
    k = len(M)
    A, det = np.hstack([M, exact(np.eye(k, dtype=int))]), Fraction(1)
    for i in range(k):
        pivot = next(r for r in range(i, k) if A[r, i] != 0)
        if pivot != i:
            A[[i, pivot]], det = A[[pivot, i]], -det
        det *= A[i, i]
        A[i] = A[i] / A[i, i]
        for r in range(k):
            if r != i:
                A[r] = A[r] - A[r, i] * A[i]
    return det, A[:, k:]


def inverse(M):
    return eliminate(M)[1]


def determinant(M):
    return eliminate(M)[0]


def same(A, B):
    return np.shape(A) == np.shape(B) and bool(np.all(A == B))


def integer_pd(rng, k):
    A = rng.integers(-3, 4, size=(k, k))
    return exact(A @ A.T + np.eye(k, dtype=int))


def noise_effects_and_columns(seed, n=5, k=3):
    """R (n, n) and S (k, k), positive definite, and A (n, k), all of integers."""
    rng = np.random.default_rng(seed)
    return integer_pd(rng, n), integer_pd(rng, k), exact(rng.integers(-3, 4, size=(n, k)))


def test_elimination_agrees_with_numpy():
    M = np.random.default_rng(0).integers(-4, 5, size=(6, 6))
    M[0, 0] = 0  # needs an exchange of rows
    det, inv = eliminate(exact(M))
    assert float(det) == pytest.approx(np.linalg.det(M), rel=1e-10)
    assert inv.astype(float) == pytest.approx(np.linalg.inv(M), rel=1e-10)


# --- Gaussian vectors


@pytest.mark.theorem("lem-affine")
def test_affine_map_of_draws_is_the_gaussian_of_the_lemma():
    rng = np.random.default_rng(1)
    L, m = rng.normal(size=(4, 2)), rng.normal(size=4)  # S = L L' has rank 2
    A, b = rng.normal(size=(3, 4)), rng.normal(size=3)
    draws = (m + rng.standard_normal((200_000, 2)) @ L.T) @ A.T + b
    mean, cov = A @ m + b, A @ (L @ L.T) @ A.T
    sd = np.sqrt(np.diag(cov))
    standard_errors = 5 / np.sqrt(len(draws))
    assert np.abs(draws.mean(axis=0) - mean).max() < standard_errors * sd.max()
    assert (np.abs(np.cov(draws.T) - cov) < 2 * standard_errors * np.outer(sd, sd)).all()
    t = rng.normal(size=3)
    assert kstest(draws @ t, norm(t @ mean, np.sqrt(t @ cov @ t)).cdf).pvalue > 0.001


@pytest.mark.theorem("lem-affine")
@pytest.mark.parametrize("independent", [True, False], ids=["Gaussian", "uniform"])
def test_uncorrelated_means_independent_for_gaussians_and_not_in_general(independent):
    rng = np.random.default_rng(2)
    draw = rng.standard_normal if independent else lambda size: rng.uniform(-1, 1, size)
    u = draw((400_000, 2))
    plus, minus = u.sum(axis=1), u[:, 0] - u[:, 1]  # uncorrelated in both cases
    assert abs(np.corrcoef(plus, minus)[0, 1]) < 0.01
    assert (abs(np.corrcoef(plus**2, minus**2)[0, 1]) < 0.01) == independent


@pytest.mark.theorem("lem-conditioning")
@pytest.mark.parametrize("seed", SEEDS)
def test_slice_of_the_joint_density_is_the_conditional_one(seed):
    rng = np.random.default_rng(seed)
    S, m, z2 = random_pd(rng, 4), rng.normal(size=4), rng.normal(size=2)
    G = S[:2, 2:] @ np.linalg.inv(S[2:, 2:])
    mean, cov = m[:2] + G @ (z2 - m[2:]), S[:2, :2] - G @ S[2:, :2]
    axes = [m[k] + np.linspace(-12, 12, 401) * np.sqrt(S[k, k]) for k in range(2)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    joint = np.hstack([points, np.broadcast_to(z2, points.shape)])
    weights = multivariate_normal(m, S).pdf(joint)
    assert np.average(points, axis=0, weights=weights) == pytest.approx(mean, abs=1e-7)
    assert np.cov(points.T, aweights=weights, ddof=0) == pytest.approx(cov, abs=1e-7)


@pytest.mark.theorem("lem-conditioning")
def test_best_affine_predictor_without_normality():
    """Fifty atoms with probabilities: the lemma against least squares on the atoms."""
    rng = np.random.default_rng(3)
    z, prob = rng.exponential(size=(50, 4)) ** 2, rng.dirichlet(np.ones(50))
    m, S = np.average(z, axis=0, weights=prob), np.cov(z.T, aweights=prob, ddof=0)
    G = S[:2, 2:] @ np.linalg.inv(S[2:, 2:])
    root, rows = np.sqrt(prob)[:, None], np.column_stack([np.ones(50), z[:, 2:]])
    least = np.linalg.lstsq(root * rows, root * z[:, :2], rcond=None)[0]
    assert least[1:].T == pytest.approx(G, rel=1e-9)
    assert least[0] == pytest.approx(m[:2] - G @ m[2:], rel=1e-9)

    def error(a, B):
        e = z[:, :2] - a - z[:, 2:] @ B.T
        return e.T @ (prob[:, None] * e)

    best = error(m[:2] - G @ m[2:], G)
    assert best == pytest.approx(S[:2, :2] - G @ S[2:, :2], rel=1e-9)
    for _ in range(20):
        worse = error(m[:2] - G @ m[2:] + rng.normal(size=2), G + rng.normal(size=(2, 2)))
        assert np.linalg.eigvalsh(worse - best)[0] > -1e-12


# --- matrices in blocks


@pytest.mark.theorem("lem-schur")
@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_of_the_inverse_and_the_determinant(seed):
    rng = np.random.default_rng(seed)
    M = exact(rng.integers(-5, 6, size=(5, 5)) + 11 * np.eye(5, dtype=int))  # not symmetric
    A, B, C, E = M[:2, :2], M[:2, 2:], M[2:, :2], M[2:, 2:]
    det, inv = eliminate(M)
    Ei, Ai = inverse(E), inverse(A)
    T, U = A - B @ Ei @ C, E - C @ Ai @ B
    Ti = inverse(T)
    assert det == determinant(E) * determinant(T) == determinant(A) * determinant(U)
    assert same(inv[:2, :2], Ti)
    assert same(inv[:2, 2:], -Ti @ B @ Ei)
    assert same(inv[2:, :2], -Ei @ C @ Ti)
    assert same(inv[2:, 2:], Ei + Ei @ C @ Ti @ B @ Ei)
    assert same(inv[2:, 2:], inverse(U))


@pytest.mark.theorem("lem-schur")
def test_positive_definite_if_and_only_if_both_parts_are():
    rng, seen = np.random.default_rng(4), []
    for _ in range(200):
        M = rng.normal(size=(4, 4)) + rng.choice([0, 4]) * np.eye(4)
        M = M + M.T
        T = M[:2, :2] - M[:2, 2:] @ np.linalg.inv(M[2:, 2:]) @ M[2:, :2]
        parts = [np.linalg.eigvalsh(part)[0] > 0 for part in (M[2:, 2:], T)]
        assert (np.linalg.eigvalsh(M)[0] > 0) == all(parts)
        seen.append(tuple(parts))
    assert len(set(seen)) == 4  # every combination occurred


@pytest.mark.theorem("lem-push-through")
@pytest.mark.parametrize("seed", SEEDS)
def test_push_through_is_exact(seed):
    R, S, A = noise_effects_and_columns(seed)
    Ri, Vi = inverse(R), inverse(A @ S @ A.T + R)
    Qi = inverse(A.T @ Ri @ A + inverse(S))
    assert same(Qi @ A.T @ Ri, S @ A.T @ Vi)
    assert same(Qi, S - S @ A.T @ Vi @ A @ S)


@pytest.mark.theorem("lem-woodbury")
@pytest.mark.parametrize("seed", SEEDS)
def test_woodbury_is_exact(seed):
    R, S, A = noise_effects_and_columns(seed)
    Ri = inverse(R)
    inner = inverse(A.T @ Ri @ A + inverse(S))
    assert same(inverse(R + A @ S @ A.T), Ri - Ri @ A @ inner @ A.T @ Ri)


@pytest.mark.theorem("lem-woodbury", "lem-determinant")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_root_serves_where_the_covariance_is_singular(seed):
    R, _, A = noise_effects_and_columns(seed)
    L = exact(np.random.default_rng(seed).integers(-3, 4, size=(3, 3)))
    L[:, 2] = L[:, 0] + L[:, 1]
    assert determinant(R) > 0 and np.linalg.matrix_rank(L.astype(float)) == 2
    V, Ri, B = R + A @ (L @ L.T) @ A.T, inverse(R), A @ L
    core = exact(np.eye(3, dtype=int)) + B.T @ Ri @ B
    assert same(inverse(V), Ri - Ri @ B @ inverse(core) @ B.T @ Ri)
    assert determinant(V) == determinant(R) * determinant(core)


@pytest.mark.theorem("lem-determinant")
@pytest.mark.parametrize("seed", SEEDS)
def test_determinant_of_a_sum_is_exact(seed):
    R, S, A = noise_effects_and_columns(seed)
    core = inverse(S) + A.T @ inverse(R) @ A
    product = determinant(R) * determinant(S) * determinant(core)
    assert determinant(R + A @ S @ A.T) == product


# --- quadratic exponents


def grid(half_width, points, centre=(0.0, 0.0)):
    """Points of a square grid in the plane, and the area of a cell."""
    axis = np.linspace(-half_width, half_width, points)
    cells = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return cells + centre, (axis[1] - axis[0]) ** 2


def exponent(P, h, c):
    return -0.5 * np.einsum("ij,jk,ik->i", c, P, c) + c @ h


@pytest.mark.theorem("lem-square")
@pytest.mark.parametrize("seed", SEEDS)
def test_maximum_moments_and_integral_of_a_quadratic_exponent(seed):
    rng = np.random.default_rng(seed)
    P, h = random_pd(rng, 2), rng.normal(size=2)
    m, cov = np.linalg.solve(P, h), np.linalg.inv(P)
    top = minimize(lambda c: -exponent(P, h, c[None])[0], np.zeros(2), tol=1e-10)
    assert top.x == pytest.approx(m, abs=1e-5)
    assert -top.fun == pytest.approx(h @ cov @ h / 2, abs=1e-8)
    c, area = grid(14 * np.sqrt(np.diag(cov).max()), 501)
    f = np.exp(exponent(P, h, c))
    constant = 2 * np.pi / np.sqrt(np.linalg.det(P)) * np.exp(h @ cov @ h / 2)
    assert f.sum() * area == pytest.approx(constant, rel=1e-9)
    assert np.average(c, axis=0, weights=f) == pytest.approx(m, abs=1e-8)
    assert np.cov(c.T, aweights=f, ddof=0) == pytest.approx(cov, abs=1e-8)


@pytest.mark.theorem("lem-square")
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_integral_over_a_growing_square_has_no_limit_where_the_precision_is_singular(tilt):
    w = np.array([0.6, 0.8])
    P, h = np.eye(2) - np.outer(w, w), tilt * w
    assert np.linalg.matrix_rank(P) == 1
    inside = [np.exp(exponent(P, h, c)).sum() * area for c, area in (grid(r, 801) for r in (8, 16))]
    assert inside[1] > 1.9 * inside[0]


@pytest.mark.theorem("lem-product")
@pytest.mark.parametrize("seed", SEEDS)
def test_product_of_densities_on_a_grid(seed):
    """Prior, a likelihood that sees one direction only, and a flat factor, multiplied."""
    rng = np.random.default_rng(seed)
    m, S, R, y = rng.normal(size=2), random_pd(rng, 2), random_pd(rng, 3), rng.normal(size=3)
    W = np.outer(rng.normal(size=3), rng.normal(size=2))
    Ri = np.linalg.inv(R)
    likelihood = GaussianFactor(W.T @ Ri @ W, W.T @ Ri @ y)
    product = gaussian(m, S) * likelihood * flat(2)
    c, _ = grid(12 * np.sqrt(np.diag(S).max()), 401, centre=m)
    density = multivariate_normal(m, S).pdf(c) * multivariate_normal(y, R).pdf(c @ W.T)
    cov = np.linalg.inv(product.precision)
    assert np.average(c, axis=0, weights=density) == pytest.approx(cov @ product.shift, abs=1e-7)
    assert np.cov(c.T, aweights=density, ddof=0) == pytest.approx(cov, abs=1e-7)


@pytest.mark.theorem("lem-product")
def test_flat_times_a_likelihood_that_sees_one_direction_cannot_be_normalised():
    W, y = np.array([[0.6, 0.8], [1.2, 1.6]]), np.array([1.0, 0.0])
    product = flat(2) * GaussianFactor(W.T @ W, W.T @ y)
    assert np.linalg.matrix_rank(product.precision) == 1
    inside = []
    for half_width in (8, 16, 32):
        c, area = grid(half_width, 801)
        inside.append(multivariate_normal(y, np.eye(2)).pdf(c @ W.T).sum() * area)
    assert inside[1] > 1.9 * inside[0] and inside[2] > 1.9 * inside[1]


# --- least squares


def curved(b):
    """Penalise b by something that is neither quadratic nor symmetric."""
    return 2 * np.log(np.cosh(b)).sum() + np.exp(b[0] / 3)


def search(objective, k):
    """Minimise numerically, from zero."""
    return minimize(objective, np.zeros(k), method="BFGS", options={"gtol": 1e-9}).x


@pytest.mark.theorem("lem-projection")
@pytest.mark.parametrize("penalty", [lambda b: 0.0, curved], ids=["none", "curved"])
def test_joint_search_ends_where_the_search_after_projection_does(penalty):
    rng = np.random.default_rng(5)
    X, Z, y = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), rng.normal(size=9)
    M = np.eye(9) - X @ np.linalg.inv(X.T @ X) @ X.T
    joint = search(
        lambda c: ((y - X @ c[:2] - Z @ c[2:]) ** 2).sum() + penalty(c[2:]),
        5,
    )
    b = search(lambda b: ((M @ y - M @ Z @ b) ** 2).sum() + penalty(b), 3)
    assert joint[2:] == pytest.approx(b, abs=1e-5)
    assert joint[:2] == pytest.approx(np.linalg.inv(X.T @ X) @ X.T @ (y - Z @ b), abs=1e-5)
    if penalty is not curved:
        assert np.linalg.inv(Z.T @ M @ Z) @ Z.T @ M @ y == pytest.approx(b, abs=1e-5)


@pytest.mark.theorem("lem-projection")
def test_projection_serves_generalised_least_squares_after_whitening():
    rng = np.random.default_rng(6)
    X, Z, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 2)), rng.normal(size=8)
    V = random_pd(rng, 8)
    K = np.linalg.inv(np.linalg.cholesky(V))  # K'K = V^-1

    def distance(c):
        e = y - X @ c[:2] - Z @ c[2:]
        return e @ np.linalg.inv(V) @ e

    KX, KZ, Ky = K @ X, K @ Z, K @ y
    M = np.eye(8) - KX @ np.linalg.inv(KX.T @ KX) @ KX.T
    assert search(distance, 4)[2:] == pytest.approx(
        np.linalg.inv(KZ.T @ M @ KZ) @ KZ.T @ M @ Ky, abs=1e-5
    )
