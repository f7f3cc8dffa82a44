"""What a fit tells where its noise is zero: against many digits of arithmetic at tau2 = 1e-25."""

import pickle

import numpy as np
import pytest
from saturated import Dense, effects, problem, relatives
from scipy.linalg import eigh

from mixhier_lite import Gram, InputError, Prior, Term, fit, integrate, priors, sample

SEEDS = [1, 4, 5, 7, 8, 9, 14, 20, 22]
"""Problems without noise by REML: relatives, farms, weights, lines; with one variance of zero."""


def noiseless(seed):
    y, X, terms, weights = problem(seed)
    model = fit(y, X, terms, weights=weights)
    assert model.tau2 == 0.0 and isinstance(model.tau2, float)
    return model, y, X, terms, weights


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.slow
def test_effects_are_the_limit(seed):
    model, y, X, terms, weights = noiseless(seed)
    alpha, cov, beta, cond_var, pev = effects(y, X, terms, weights, model.Sigma, "1e-25")
    np.testing.assert_allclose(model.fixed, alpha[:, 0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.fixed_cov, cov, rtol=1e-8, atol=1e-11)
    start = 0
    for t in range(len(terms)):
        J, q = model.random[t].shape
        own = slice(start, start + J * q)
        np.testing.assert_allclose(model.random[t].ravel(), beta[own, 0], rtol=1e-8, atol=1e-10)
        for found, whole in ((model.cond_var, cond_var), (model.random_cov, pev)):
            blocks = np.einsum("jkjl->jkl", whole[own, own].reshape(J, q, J, q))
            np.testing.assert_allclose(found[t], blocks, rtol=1e-7, atol=1e-10)
        start += J * q


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.slow
def test_predictions_and_theta(seed):
    """Rows of the fit are fitted exactly; new groups bring their own variance."""
    model, y, X, terms, weights = noiseless(seed)
    at = model.predict(X, terms)
    np.testing.assert_allclose(at.mean, y, atol=1e-9)
    np.testing.assert_allclose(at.var_mean, 0, atol=1e-10)
    np.testing.assert_allclose(at.var_new, 0, atol=1e-10)

    # the same rows in groups that nobody has seen
    ones = [np.ones((len(y), 1)) if term.Z is None else term.Z for term in terms]
    new = [Term(np.full(len(y), 10**6), Z) for Z in ones]
    apart = model.predict(X, new, new_groups="population")
    of_alpha = np.einsum("nk,kl,nl->n", X, model.fixed_cov, X)
    spread = sum(np.einsum("nk,kl,nl->n", Z, S, Z) for Z, S in zip(ones, model.Sigma, strict=True))
    np.testing.assert_allclose(apart.mean, X @ model.fixed, rtol=1e-10)
    np.testing.assert_allclose(apart.var_mean, of_alpha, rtol=1e-9)
    np.testing.assert_allclose(apart.var_new, of_alpha + spread, rtol=1e-9)

    roots = np.concatenate([root[np.tril_indices(len(root))] if term.correlated else np.diag(root)
                            for root, term in zip(model.roots, terms, strict=True)])  # fmt: skip
    assert ((model.theta == 0) == (roots == 0)).all()
    assert np.isinf(model.theta[roots != 0]).all()
    assert set(np.sign(model.theta)) == set(np.sign(roots))
    lacking = [np.linalg.matrix_rank(S) < len(S) for S in model.Sigma]
    assert model.singular == any(lacking)
    assert model.certificate.ok
    assert model.certificate.boundary <= model.noiseless.zero.slope  # towards noise too
    assert "without any noise" in model.summary()
    assert len(model.random_table(0)) == len(model.random[0])
    assert pickle.loads(pickle.dumps(model)).criterion == model.criterion


def test_a_level_without_records():
    """It is told through its relatives, as at any noise."""
    rng = np.random.default_rng(0)
    K = relatives(rng, 15)
    y = np.linalg.cholesky(K)[:12] @ rng.normal(size=15)
    term = Term(np.arange(12), K=K, levels=np.arange(15))
    model = fit(y, np.ones((12, 1)), term)
    assert model.tau2 == 0
    _, _, beta, cond_var, pev = effects(y, np.ones((12, 1)), [term], None, model.Sigma, "1e-25")
    np.testing.assert_allclose(model.random[0][:, 0], beta[:, 0], rtol=1e-9)
    np.testing.assert_allclose(model.cond_var[0][:, 0, 0], np.diag(cond_var), atol=1e-10)
    np.testing.assert_allclose(model.random_cov[0][:, 0, 0], np.diag(pev), rtol=1e-8, atol=1e-10)
    new = model.predict(np.ones((1, 1)), Term([14], levels=np.arange(15)))
    assert new.mean[0] == pytest.approx(model.fixed[0] + model.random[0][14, 0])
    assert new.var_mean[0] > 0 and new.var_new[0] == new.var_mean[0]


def test_degrees_of_freedom():
    """One variance has n - p; several, what the curvature of the density in Sigma says."""
    model, y, X, *_ = noiseless(5)
    np.testing.assert_allclose(model.satterthwaite().df, len(y) - X.shape[1], rtol=1e-9)

    model, y, X, terms, weights = noiseless(7)
    dense, q = Dense(y, X, terms, weights, "REML"), 2
    lower = np.tril_indices(q)
    scale = np.sqrt(np.diag(model.Sigma[0]))  # steps that are small beside each entry

    def at(x):
        S = np.zeros((q, q))
        S[lower] = x
        return [(S + np.tril(S, -1).T) * np.outer(scale, scale)]

    def variances(x):
        V_inverse = np.linalg.inv(dense.G(at(x)))
        return np.log(np.diag(np.linalg.inv(X.T @ V_inverse @ X)))

    def criterion(x):
        return dense.criterion(dense.G(at(x)))

    x, steps = (model.Sigma[0] / np.outer(scale, scale))[lower], 1e-3 * np.eye(3)
    H = np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        both, apart = steps[i] + steps[j], steps[i] - steps[j]
        H[i, j] = (
            criterion(x + both) + criterion(x - both) - criterion(x + apart) - criterion(x - apart)
        )
    H /= 4e-6
    g = np.array([(variances(x + a) - variances(x - a)) / 2e-3 for a in steps])
    df = 1 / np.einsum("kp,kl,lp->p", g, np.linalg.inv(H), g)
    np.testing.assert_allclose(model.satterthwaite().df, df, rtol=1e-3)
    assert np.isfinite(model.satterthwaite().interval()).all()


@pytest.mark.slow
def test_simulation_and_bootstrap_have_no_noise_either():
    model, y, X, terms, _ = noiseless(7)
    rng = np.random.default_rng(3)
    draws = np.array([model.simulate(rng) for _ in range(4000)]) - X @ model.fixed
    G = Dense(y, X, terms, None, "REML").G(model.Sigma)
    sd = np.sqrt((np.outer(np.diag(G), np.diag(G)) + G**2) / 4000)
    assert (abs(draws.T @ draws / 4000 - G) < 5 * sd).all()
    again = model.bootstrap(40, np.random.default_rng(4))
    assert (again.tau2 == 0).any() and (again.tau2 >= 0).all()
    assert again.Sigma[0][:, 0, 0].mean() == pytest.approx(model.Sigma[0][0, 0], rel=0.5)


def test_a_profile_is_refused_in_words():
    model, *_ = noiseless(5)
    with pytest.raises(InputError, match="noise is estimated as zero"):
        model.profile()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_and_zeros(scale):
    """Neither the unit of y, nor that of a covariate, nor where it is zero, makes noise."""
    y, X, terms, weights = problem(7)
    plain = fit(y, X, terms, weights=weights)
    A = np.array([[1.0, 20.0], [0.0, 3.0]])  # 3 t + 20
    moved = fit(scale * (y + 100), X @ A, Term(terms[0].groups, X @ A), weights=weights)
    n, p = X.shape
    there = plain.criterion + 2 * (n - p) * np.log(scale) + 2 * np.log(3)
    assert moved.tau2 == 0 and moved.criterion == pytest.approx(there, abs=1e-7)
    np.testing.assert_allclose(
        A @ moved.Sigma[0] @ A.T, scale**2 * plain.Sigma[0], rtol=1e-5, atol=1e-8 * scale**2
    )
    np.testing.assert_allclose(moved.satterthwaite().df[1], plain.satterthwaite().df[1], rtol=1e-5)


def test_genomic_prediction_with_one_record_each():
    """REML finds no noise in some data sets and says so; ML with centred markers has no end."""
    rng, n, m, zero = np.random.default_rng(0), 30, 300, 0
    for _ in range(12):
        frequency = rng.uniform(0.1, 0.5, m)
        markers = rng.binomial(2, frequency, (n, m)) - 2 * frequency
        K = markers @ markers.T / (2 * frequency * (1 - frequency)).sum()
        y = markers @ rng.normal(size=m) / 5 + rng.normal(size=n)
        term = Term(np.arange(n), K=K)
        model = fit(y, np.ones((n, 1)), term)
        dense = Dense(y, np.ones((n, 1)), [term], None, "REML")
        ratios = np.append(0, np.geomspace(1e-6, 1e3, 91))
        values = [dense.best_scale(K + ratio * np.eye(n)) for ratio in ratios]
        assert model.criterion <= min(values) + 1e-9
        assert (model.tau2 == 0) == (np.argmin(values) == 0)
        if model.tau2 == 0:
            zero += 1
            sigma2 = dense.z @ np.linalg.solve(dense.C.T @ K @ dense.C, dense.z) / (n - 1)
            assert model.Sigma[0][0, 0] == pytest.approx(sigma2, rel=1e-9)
    assert 0 < zero < 12
    centred = markers - markers.mean(axis=0)
    with pytest.raises(InputError, match="no bound"):
        fit(y, np.ones((n, 1)), Term(np.arange(n), K=centred @ centred.T), "ML")
    assert fit(y, np.ones((n, 1)), Term(np.arange(n), K=centred @ centred.T)).certificate.ok


def test_the_posterior_behind_it():
    """integrate and sample, against a plain sum over a grid of both standard deviations."""
    model, y, X, terms, weights = noiseless(5)
    dense = Dense(y, X, terms, weights, "REML")
    prior = Prior(sd=priors.half_normal(2), noise=priors.half_normal(1))
    nodes, w = np.polynomial.legendre.leggauss(120)
    s, t = 6 * (nodes + 1) / 2, 5 * (nodes + 1) / 2
    weight = np.outer(w, w)
    inner = dense.C.T @ dense.W_inverse @ dense.C
    G = dense.C.T @ dense.G([np.eye(1)]) @ dense.C
    values, vectors = eigh(G, inner)
    z = vectors.T @ dense.z
    V = s[:, None, None] ** 2 * values + t[None, :, None] ** 2
    log = -(np.log(V) + z**2 / V).sum(axis=2) / 2
    log = log - (s[:, None] / 2) ** 2 / 2 - t[None, :] ** 2 / 2
    mass = weight * np.exp(log - log.max())
    mass /= mass.sum()
    found = integrate(model, prior)
    assert found.mean.sds[0][0] == pytest.approx((mass * s[:, None]).sum(), rel=1e-3)
    assert found.mean.tau == pytest.approx((mass * t[None]).sum(), rel=1e-3)
    draws = sample(model, 4000, np.random.default_rng(5), prior=prior)
    tau = np.sqrt(draws.tau2)
    assert tau.mean() == pytest.approx((mass * t[None]).sum(), abs=5 * tau.std() / np.sqrt(4000))


def test_a_gram_is_enough():
    model, y, X, terms, weights = noiseless(7)
    parts = [np.arange(0, len(y), 2), np.arange(1, len(y), 2)]
    of = [None if weights is None else weights[rows] for rows in parts]
    grams = [Gram.from_arrays(y[r], X[r], Term(terms[0].codes[r], terms[0].Z[r]), w)
             for r, w in zip(parts, of, strict=True)]  # fmt: skip
    merged = fit(grams[0] + grams[1])
    assert merged.tau2 == 0 and merged.criterion == pytest.approx(model.criterion, abs=1e-8)
    np.testing.assert_allclose(merged.random[0], model.random[0], rtol=1e-5, atol=1e-7)
