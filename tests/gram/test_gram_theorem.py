"""Chapter *gram*: what the Gram knows about the data, and what it has forgotten."""

from fractions import Fraction

import numpy as np
import pytest
from dense import criterion
from scipy.stats import multivariate_normal

from mixhier_lite import (
    Gram,
    LinearMixedModel,
    Term,
    fit,
    flat,
    gaussian,
    gls_blup,
    henderson,
    indicator,
    posterior,
    ridge,
)

SIZES = (8, 6, 4, 2, 0)
TAU2 = 1.7


def patients(seed):
    """Five wards (one of them empty), an intercept and a covariate, weights."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(5), SIZES)
    D, n = indicator(g, levels=range(5)), len(g)
    X = np.column_stack([np.ones(n), rng.normal(1, 2, n)])
    y = X @ [3.0, -1.0] + D @ rng.normal(0, 2, 5) + rng.normal(0, 1, n)
    root = rng.normal(size=(5, 5))
    return D, X, y, rng.uniform(0.5, 3, n), root @ root.T + 0.1 * np.eye(5)


def gram_of(D, X, y, w=None):
    """Add up row by row, as part 3 of the theorem writes it."""
    Z = np.column_stack([D, X, y])
    w = np.ones(len(Z)) if w is None else w
    return sum(weight * np.outer(row, row) for weight, row in zip(w, Z, strict=True))


def from_gram(G, Sigma, tau2, prior=None):
    """Estimates (alpha, beta), their covariance and edf from nothing but G."""
    J = len(Sigma)
    order = [*range(J, len(G) - 1), *range(J)]
    G11, g = G[:-1, :-1][np.ix_(order, order)], G[:-1, -1][order]
    p = len(g) - J
    P, shift = np.zeros((p + J, p + J)), np.zeros(p + J)
    P[p:, p:] = tau2 * np.linalg.inv(Sigma)
    if prior is not None:
        mean, cov = prior
        P[:p, :p] = tau2 * np.linalg.inv(cov)
        shift[:p] = P[:p, :p] @ mean
    inverse = np.linalg.inv(G11 + P)
    c = inverse @ (g + shift)
    v = np.append(-np.append(c[p:], c[:p]), 1.0)
    return c, tau2 * inverse, float(np.trace(inverse @ G11)), float(v @ G @ v)


def whitened(D, X, y, w, Sigma):
    """Turn weighted rows into rows of weight one, for the routes of Part I."""
    r = np.sqrt(w)
    return LinearMixedModel(r[:, None] * X, r[:, None] * D, Sigma, TAU2), r * y


def joined(effects):
    return np.append(effects.fixed, effects.random)


def flat_posterior(model, y):
    return posterior(model, y, flat(model.p))


def leave_out(D, X, y, Sigma, folds):
    """Errors of predicting each fold from the fit to the other rows, fold by fold."""
    errors = np.empty(len(y))
    for fold in folds:
        keep = np.setdiff1d(np.arange(len(y)), fold)
        rest = gls_blup(LinearMixedModel(X[keep], D[keep], Sigma, TAU2), y[keep])
        errors[fold] = y[fold] - X[fold] @ rest.fixed - D[fold] @ rest.random
    return errors


def twin_of(D, X, y):
    """Return another response with the same fit, whose residuals point towards one row."""
    columns = np.hstack([D, X])
    P = columns @ np.linalg.pinv(columns)
    direction = (np.eye(len(y)) - P)[-1]
    size = np.linalg.norm(y - P @ y)
    return P @ y + size * direction / np.linalg.norm(direction)


def rotation(seed, n):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


# Enough


@pytest.mark.theorem("thm-gram")
@pytest.mark.parametrize("route", [gls_blup, henderson, ridge, flat_posterior])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_route_is_a_function_of_the_gram(route, seed):
    D, X, y, w, Sigma = patients(seed)
    c, cov, _, _ = from_gram(gram_of(D, X, y, w), Sigma, TAU2)
    effects = route(*whitened(D, X, y, w, Sigma))
    np.testing.assert_allclose(joined(effects), c, rtol=1e-9)
    np.testing.assert_allclose(effects.cov, cov, rtol=1e-8, atol=1e-12)


@pytest.mark.theorem("thm-gram")
def test_the_weighted_model_by_its_n_by_n_covariance():
    """No route of the package: V with tau2 / w on the diagonal, and the textbook formulas."""
    D, X, y, w, Sigma = patients(3)
    c, cov, edf, _ = from_gram(gram_of(D, X, y, w), Sigma, TAU2)
    V_inv = np.linalg.inv(D @ Sigma @ D.T + TAU2 * np.diag(1 / w))
    A = np.linalg.inv(X.T @ V_inv @ X)
    gls = A @ X.T @ V_inv
    blup = Sigma @ D.T @ V_inv @ (np.eye(len(y)) - X @ gls)
    np.testing.assert_allclose(c, np.append(gls @ y, blup @ y), rtol=1e-9)
    np.testing.assert_allclose(cov[:2, :2], A, rtol=1e-9)
    assert edf == pytest.approx(np.trace(X @ gls + D @ blup), rel=1e-10)


@pytest.mark.theorem("thm-gram")
@pytest.mark.parametrize("rank", [5, 2])
def test_the_density_from_the_gram_alone(rank):
    """log p(y; alpha) at an alpha that is not the estimate; Sigma may be singular."""
    D, X, y, w, _ = patients(4)
    n, L = len(y), np.random.default_rng(4).normal(size=(5, rank))
    alpha = np.array([2.5, -0.7])
    outside = multivariate_normal(X @ alpha, D @ L @ L.T @ D.T + TAU2 * np.diag(1 / w)).logpdf(y)
    G = gram_of(D, X, y, w)
    v = np.concatenate([np.zeros(5), -alpha, [1.0]])
    inner = np.eye(rank) + L.T @ G[:5, :5] @ L / TAU2
    b = L.T @ (G @ v)[:5] / TAU2
    exponent = v @ G @ v / TAU2 - b @ np.linalg.solve(inner, b)
    log_det = n * np.log(TAU2) - np.log(w).sum() + np.linalg.slogdet(inner)[1]
    assert outside == pytest.approx(-(n * np.log(2 * np.pi) + log_det + exponent) / 2, rel=1e-11)


@pytest.mark.theorem("thm-gram")
def test_the_posterior_under_another_prior():
    D, X, y, w, Sigma = patients(5)
    prior = np.array([1.0, 0.0]), np.array([[2.0, 0.3], [0.3, 0.5]])
    c, cov, _, _ = from_gram(gram_of(D, X, y, w), Sigma, TAU2, prior)
    model, rows = whitened(D, X, y, w, Sigma)
    bayes = posterior(model, rows, gaussian(*prior))
    np.testing.assert_allclose(joined(bayes), c, rtol=1e-9)
    np.testing.assert_allclose(bayes.cov, cov, rtol=1e-8, atol=1e-12)


@pytest.mark.theorem("thm-gram")
def test_random_effects_eliminated_level_by_level():
    """The (p + 1) x (p + 1) matrix of eq-eliminated is tau2 [X y]'V^-1 [X y]."""
    D, X, y, w, _ = patients(6)
    sigma2 = 2.3
    gram = Gram.from_arrays(y, X, Term(np.repeat(np.arange(5), SIZES), levels=range(5)), w)
    a, B = gram.blocks[0].A[:, 0], gram.blocks[0].B[:, 0]
    S = gram.H.T @ (gram.C - B.T @ (B / (a + TAU2 / sigma2))) @ gram.H
    Xy = np.column_stack([X, y])
    V = sigma2 * D @ D.T + TAU2 * np.diag(1 / w)
    np.testing.assert_allclose(S, TAU2 * Xy.T @ np.linalg.solve(V, Xy), rtol=1e-9)


@pytest.mark.theorem("thm-gram")
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_equal_grams_equal_estimates_of_the_variances(method):
    """The package is given the rows, of data and of twin; n x n algebra scores both."""
    D, X, y, _, _ = patients(7)
    g = D.argmax(axis=1)
    twin = twin_of(D, X, y)
    assert np.abs(twin - y).max() > 0.5
    a, b = (fit(response, X, Term(g), method=method) for response in (y, twin))
    for name in ("fixed", "fixed_cov", "tau2", "criterion"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9)
    np.testing.assert_allclose(a.Sigma[0], b.Sigma[0], rtol=1e-7)
    np.testing.assert_allclose(a.random_cov[0], b.random_cov[0], rtol=1e-7)
    terms = [(g, np.ones((len(g), 1)), None)]
    assert a.criterion == pytest.approx(criterion(twin, X, terms, a.T, method), rel=1e-10)
    for theta in (0.1, 1.0, 3.0):
        T = [np.array([[theta]])]
        scores = [criterion(response, X, terms, T, method) for response in (y, twin)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-10)


# Sums


@pytest.mark.theorem("thm-gram")
@pytest.mark.parametrize("seed", range(3))
def test_grams_of_parts_add_up(seed):
    """Integers, so that the sums are exact in any order and any grouping."""
    rng = np.random.default_rng(seed)
    D, n = indicator(rng.integers(0, 4, 30), levels=range(4)), 30
    X, y, w = rng.integers(-9, 9, (n, 2)), rng.integers(-99, 99, n), rng.integers(1, 5, n)
    Z = np.column_stack([D, X, y]).astype(int)
    whole = Z.T @ np.diag(w) @ Z
    shuffled = rng.permutation(n)
    parts = np.split(shuffled, np.sort(rng.integers(0, n, 4)))
    total = sum((Z[k].T @ np.diag(w[k]) @ Z[k] for k in parts), np.zeros((7, 7), dtype=int))
    np.testing.assert_array_equal(total, whole)
    np.testing.assert_array_equal(gram_of(D, X, y, w), whole)


@pytest.mark.theorem("thm-gram")
def test_merged_grams_hold_the_sums_of_all_rows():
    """Sites with different levels: every block of the merged Gram, by label."""
    rng = np.random.default_rng(8)
    labels = np.array(["lung", "heart", "eye", "skin"])[rng.integers(0, 4, 60)]
    X = np.column_stack([np.ones(60), rng.normal(50, 9, 60)])
    y, w = rng.normal(130, 8, 60), rng.uniform(0.5, 2, 60)
    first = np.arange(60) < 40  # two sites share a ward
    sites = (labels == "lung") & first, labels != "lung", (labels == "lung") & ~first
    grams = [Gram.from_arrays(y[s], X[s], Term(labels[s]), w[s]) for s in sites]
    for merged in (grams[0] + (grams[1] + grams[2]), grams[2] + grams[0] + grams[1]):
        assert merged.n == 60
        assert merged.log_weights == pytest.approx(np.log(w).sum(), rel=1e-12)
        block = merged.blocks[0]
        assert sorted(block.levels) == ["eye", "heart", "lung", "skin"]
        V = np.column_stack([X, y])
        np.testing.assert_allclose(merged.H.T @ merged.C @ merged.H, V.T @ (w[:, None] * V))
        for label, a, b in zip(block.levels, block.A[:, 0, 0], block.B[:, 0], strict=True):
            here = labels == label
            assert a == pytest.approx(w[here].sum(), rel=1e-12)
            assert block.rows[list(block.levels).index(label)] == here.sum()
            np.testing.assert_allclose(b @ merged.H, w[here] @ V[here], rtol=1e-12)


def test_a_weighted_mean_loses_only_the_corner():
    D, X, y, _, Sigma = patients(9)
    w = np.random.default_rng(9).integers(1, 5, len(y))
    who = np.repeat(np.arange(len(y)), w)
    noise = np.random.default_rng(10).normal(size=len(who))
    noise -= (np.bincount(who, noise) / w)[who]
    readings = gram_of(D[who], X[who], y[who] + noise)
    means = gram_of(D, X, y, w)
    difference = np.zeros_like(means)
    difference[-1, -1] = noise @ noise
    np.testing.assert_allclose(readings - means, difference, atol=1e-10)
    many = gls_blup(LinearMixedModel(X[who], D[who], Sigma, TAU2), y[who] + noise)
    few = gls_blup(*whitened(D, X, y, w, Sigma))
    np.testing.assert_allclose(many.cov, few.cov, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(joined(many), joined(few), rtol=1e-9)


# Not enough


@pytest.mark.theorem("thm-gram")
def test_a_rotation_keeps_the_fit_and_changes_the_errors():
    D, X, y, _, Sigma = patients(11)
    n, Q = len(y), rotation(11, len(y))
    rows = {"data": (D, X, y), "rotated": (Q @ D, Q @ X, Q @ y), "twin": (D, X, twin_of(D, X, y))}
    G = gram_of(D, X, y)
    c, cov, edf, rss = from_gram(G, Sigma, TAU2)
    single, fifths = np.arange(n)[:, None], np.arange(n).reshape(5, 4)
    loo, five, leverages, largest = {}, {}, {}, {}
    for name, (d, x, r) in rows.items():
        np.testing.assert_allclose(gram_of(d, x, r), G, rtol=1e-10, atol=1e-9)
        effects = gls_blup(LinearMixedModel(x, d, Sigma, TAU2), r)
        np.testing.assert_allclose(joined(effects), c, rtol=1e-8)
        W = np.hstack([x, d])
        e, h = r - W @ joined(effects), np.einsum("nk,kl,nl->n", W, effects.cov, W) / TAU2
        assert e @ e == pytest.approx(rss, rel=1e-9)
        assert h.sum() == pytest.approx(edf, rel=1e-9)
        gcv = np.mean(e**2) / (1 - h.mean()) ** 2
        assert gcv == pytest.approx(n * rss / (n - edf) ** 2, rel=1e-9)
        loo[name] = np.mean(leave_out(d, x, r, Sigma, single) ** 2)
        five[name] = np.mean(leave_out(d, x, r, Sigma, fifths) ** 2)
        leverages[name], largest[name] = np.sort(h), np.abs(e).max()
    for name in ("rotated", "twin"):
        assert abs(loo[name] / loo["data"] - 1) > 0.01
        assert abs(five[name] / five["data"] - 1) > 0.01
        assert abs(largest[name] / largest["data"] - 1) > 0.01
    assert np.abs(leverages["rotated"] - leverages["data"]).max() > 0.01


@pytest.mark.theorem("thm-gram")
def test_the_example_of_the_proof_in_fractions():
    one, d = Fraction(1), [Fraction(1), Fraction(2)]
    known = {(3, 1): ("13/5", "-2"), (-1, 3): ("-11/5", "4")}
    residuals = {(3, 1): ("13/6", "-2/3"), (-1, 3): ("-11/6", "4/3")}
    sums = set()
    for y, expected in known.items():
        assert d[0] * y[0] + d[1] * y[1] == 5 and y[0] ** 2 + y[1] ** 2 == 10
        b = [d[i] * y[i] / (d[i] ** 2 + one) for i in (0, 1)]
        errors = y[0] - d[0] * b[1], y[1] - d[1] * b[0]
        assert errors == tuple(map(Fraction, expected))
        whole = Fraction(5, 6)
        assert tuple(y[i] - d[i] * whole for i in (0, 1)) == tuple(map(Fraction, residuals[y]))
        sums.add(sum(e**2 for e in errors))
    assert len(sums) == 2


@pytest.mark.theorem("thm-gram")
@pytest.mark.parametrize("dependent", [False, True])
def test_equal_grams_differ_by_a_rotation(dependent):
    """Orthogonal Procrustes finds the rotation between two roots of one Gram."""
    rng = np.random.default_rng(12)
    A = rng.normal(size=(9, 4))
    if dependent:
        A[:, 3] = A[:, 0] - 2 * A[:, 1]
    values, vectors = np.linalg.eigh(A.T @ A)
    B = np.zeros((9, 4))  # another root, built from the Gram alone
    B[2:6] = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
    np.testing.assert_allclose(B.T @ B, A.T @ A, atol=1e-12)
    left, _, right = np.linalg.svd(B @ A.T)
    Q = left @ right
    np.testing.assert_allclose(Q.T @ Q, np.eye(9), atol=1e-12)
    np.testing.assert_allclose(Q @ A, B, atol=1e-6)


def test_k_grams_are_enough_for_k_folds():
    D, X, y, w, Sigma = patients(13)
    folds = np.random.default_rng(13).permutation(len(y)).reshape(4, 5)
    grams = [gram_of(D[f], X[f], y[f], w[f]) for f in folds]
    for k, fold in enumerate(folds):
        c, *_ = from_gram(sum(grams) - grams[k], Sigma, TAU2)
        v = np.concatenate([-c[2:], -c[:2], [1.0]])
        keep = np.setdiff1d(np.arange(len(y)), fold)
        rest = gls_blup(*whitened(D[keep], X[keep], y[keep], w[keep], Sigma))
        e = y[fold] - X[fold] @ rest.fixed - D[fold] @ rest.random
        assert v @ grams[k] @ v == pytest.approx(w[fold] @ e**2, rel=1e-9)
