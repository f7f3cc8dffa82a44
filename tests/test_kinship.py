"""Chapter *kinship*: pedigrees, markers, never-measured strains, clones, the cost of ignoring K."""

import dense
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import Ridge

from mixhier_lite import (
    Gram,
    InputError,
    LinearMixedModel,
    Term,
    fit,
    gls_blup,
    henderson,
    indicator,
    ridge,
)
from mixhier_lite.kinship import pedigree_relatedness

MRODE = {
    1: (None, None),
    2: (None, None),
    3: (None, None),
    4: (1, None),
    5: (3, 2),
    6: (1, 2),
    7: (4, 5),
    8: (3, 6),
}
# Mrode (2014), example 3.1: A, and the solutions at sigma2 = 20, tau2 = 40.
MRODE_A = (
    np.array(
        [
            [8, 0, 0, 4, 0, 4, 2, 2],
            [0, 8, 0, 0, 4, 4, 2, 2],
            [0, 0, 8, 0, 4, 0, 2, 4],
            [4, 0, 0, 8, 0, 2, 4, 1],
            [0, 4, 4, 0, 8, 2, 4, 3],
            [4, 4, 0, 2, 2, 8, 2, 4],
            [2, 2, 2, 4, 4, 2, 8, 2],
            [2, 2, 4, 1, 3, 4, 2, 8],
        ]
    )
    / 8
)
MRODE_SEX = [4.358502, 3.404430]
MRODE_BLUP = [0.098445, -0.018770, -0.041084, -0.008663, -0.185732, 0.176872, -0.249459, 0.182615]


def mrode_model(A):
    """Build the five records of the eight animals, with a mean for each sex."""
    D = indicator([4, 5, 6, 7, 8], levels=list(MRODE))
    X = indicator(["M", "F", "F", "M", "M"], levels=["M", "F"])
    return LinearMixedModel(X, D, 20 * A, 40), np.array([4.5, 2.9, 3.9, 3.5, 5.0])


class Strains:
    """Strains with markers and repeated records, the last two of them never measured."""

    def __init__(self, seed, J=9, m=30, sigma2=3.0, tau2=2.0, shared=0.7):
        rng = np.random.default_rng(seed)
        common = rng.choice([-1.0, 1.0], (2, m))[np.arange(J) % 2]
        self.M = np.where(rng.random((J, m)) < shared, common, rng.choice([-1.0, 1.0], (J, m)))
        self.m, self.sigma2, self.tau2 = m, sigma2, tau2
        self.K = self.M @ self.M.T / m
        self.levels = [f"s{j}" for j in range(J)]
        codes = np.append(np.arange(J - 2), rng.integers(J - 2, size=3 * J))
        self.groups = np.array(self.levels)[codes]
        self.codes, self.D = codes, indicator(self.groups, levels=self.levels)
        self.X = np.column_stack([np.ones(len(codes)), rng.standard_normal(len(codes))])
        self.y, self.beta = self.model().simulate([5.0, 1.0], rng)

    def model(self, M=None, X=None):
        M = self.M if M is None else M
        X = self.X if X is None else X
        return LinearMixedModel(X, self.D, self.sigma2 * M @ M.T / self.m, self.tau2)

    def on_markers(self, M=None):
        M = self.M if M is None else M
        prior = self.sigma2 / self.m * np.eye(self.m)
        return LinearMixedModel(self.X, self.D @ M, prior, self.tau2)

    def fit(self, K=None, method="REML"):
        K = self.K if K is None else K
        return fit(self.y, self.X, Term(self.groups, K=K, levels=self.levels), method=method)


# The pedigree


def dropped_alleles(parents, m, rng):
    """Founder alleles with names of their own fall through the pedigree: (J, 2, m)."""
    alleles, unused = {}, iter(range(10**6))
    for name, pair in parents.items():
        alleles[name] = [
            np.full(m, next(unused))
            if parent is None
            else np.choose(rng.integers(2, size=m), alleles[parent])
            for parent in pair
        ]
    return np.array(list(alleles.values()))


def test_mrode_relatedness_and_solutions():
    A = pedigree_relatedness(MRODE)
    np.testing.assert_array_equal(A, MRODE_A)
    model, y = mrode_model(A)
    for route in (henderson, gls_blup, ridge):
        effects = route(model, y)
        np.testing.assert_allclose(effects.fixed, MRODE_SEX, atol=6e-7)
        np.testing.assert_allclose(effects.random, MRODE_BLUP, atol=6e-7)
        assert abs(np.linalg.solve(A, effects.random).sum()) < 1e-10
        assert abs(effects.random.sum()) > 0.01


def test_relatedness_is_twice_the_probability_of_shared_descent():
    """By Monte Carlo, on a pedigree with inbreeding, a half-known parent and a selfed plant."""
    parents = {**MRODE, 9: (7, 8), 10: (9, 9), 11: (10, None), 12: (9, 6)}
    m = 40_000
    alleles = dropped_alleles(parents, m, np.random.default_rng(1))
    same = np.mean(alleles[:, None, :, None] == alleles[None, :, None, :], axis=-1)
    expected = 2 * same.mean(axis=(2, 3))
    np.testing.assert_allclose(pedigree_relatedness(parents), expected, atol=0.02)


def test_twenty_generations_of_siblings_make_an_inbred_strain():
    """Against the textbook recurrence F(t) = (1 + 2 F(t-1) + F(t-2)) / 4: 98.6 % at twenty."""
    parents = {"f0": (None, None), "m0": (None, None)}
    for t in range(1, 22):
        parents[f"f{t}"] = parents[f"m{t}"] = (f"f{t - 1}", f"m{t - 1}")
    expected = [0.0, 0.0]
    for _ in range(20):
        expected.append((1 + 2 * expected[-1] + expected[-2]) / 4)
    inbreeding = np.diag(pedigree_relatedness(parents))[::2] - 1
    np.testing.assert_allclose(inbreeding, expected, rtol=1e-12)
    assert round(inbreeding[-1], 3) == 0.986


def test_the_order_of_a_pedigree_is_free():
    A, names = pedigree_relatedness(MRODE), list(MRODE)
    order = np.random.default_rng(2).permutation(8)
    shuffled = {names[j]: MRODE[names[j]] for j in order}
    np.testing.assert_array_equal(pedigree_relatedness(shuffled), A[np.ix_(order, order)])
    assert pedigree_relatedness({}).shape == (0, 0)


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"a": ("b", None)}, "not in the pedigree"),
        ({"a": ("b", None), "b": ("a", None)}, "circle"),
        ({"a": ("a", None)}, "circle"),
        ({"a": (None,)}, "two parents"),
        ({"ab": "ab"}, "two parents"),
        ({"a": None}, "two parents"),
    ],
)
def test_a_pedigree_that_cannot_be_is_refused(parents, message):
    with pytest.raises(InputError, match=message):
        pedigree_relatedness(parents)


def test_markers_dropped_through_a_pedigree_estimate_its_relatedness():
    rng = np.random.default_rng(3)
    alleles = dropped_alleles(MRODE, 40_000, rng)
    sign = rng.choice([-1.0, 1.0], (alleles.max() + 1, 40_000))
    M = sign[alleles, np.arange(40_000)].sum(axis=1) / np.sqrt(2)
    np.testing.assert_allclose(M @ M.T / 40_000, MRODE_A, atol=0.03)


# Related individuals are ridge on markers


@pytest.mark.theorem("thm-rrblup")
@pytest.mark.parametrize(("seed", "m"), [(1, 4), (2, 30)])
def test_blup_of_individuals_minimises_the_penalised_marker_criterion(seed, m):
    """A numerical optimiser on the marker effects, for K singular (m = 4) and regular."""
    s = Strains(seed, m=m)
    lam = m * s.tau2 / s.sigma2

    def criterion(c):
        e = s.y - s.X @ c[:2] - s.D @ s.M @ c[2:]
        return e @ e + lam * c[2:] @ c[2:]

    found = minimize(criterion, np.zeros(2 + m), method="BFGS", jac="3-point", tol=1e-7).x
    blup = gls_blup(s.model(), s.y)
    np.testing.assert_allclose(blup.fixed, found[:2], atol=1e-5)
    np.testing.assert_allclose(blup.random, s.M @ found[2:], atol=1e-5)
    back = s.M.T @ np.linalg.pinv(s.K, rcond=1e-10) @ blup.random / m
    np.testing.assert_allclose(back, found[2:], atol=1e-5)


@pytest.mark.theorem("thm-rrblup")
@pytest.mark.parametrize("seed", [3, 4])
def test_scikit_learn_on_markers_agrees_with_the_fitted_individuals(seed):
    """At the variances that fit() estimates; with tau2 / sigma2 as penalty it is far off."""
    s = Strains(seed)
    model = s.fit()
    lam = s.m * model.tau2 / model.Sigma[0].item()
    P = np.eye(len(s.y)) - s.X @ np.linalg.pinv(s.X)

    def blup(penalty):
        outside = Ridge(alpha=penalty, fit_intercept=False, solver="svd")
        return s.M @ outside.fit(P @ s.D @ s.M, P @ s.y).coef_

    np.testing.assert_allclose(model.random[0][:, 0], blup(lam), atol=1e-8)
    assert np.abs(model.random[0][:, 0] - blup(lam / s.m)).max() > 0.3


@pytest.mark.theorem("thm-rrblup")
def test_error_variances_follow_from_those_of_the_markers():
    s = Strains(5)
    individuals, markers = gls_blup(s.model(), s.y), ridge(s.on_markers(), s.y)
    np.testing.assert_allclose(
        individuals.random_cov, s.M @ markers.random_cov @ s.M.T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.theorem("thm-rrblup")
def test_simulated_marker_effects_have_the_covariance_of_the_individuals():
    s, rng = Strains(6, J=4), np.random.default_rng(6)
    draws = s.M @ rng.normal(0, np.sqrt(s.sigma2 / s.m), (s.m, 200_000))
    np.testing.assert_allclose(np.cov(draws), s.sigma2 * s.K, atol=0.05)


@pytest.mark.theorem("thm-rrblup")
@pytest.mark.parametrize("seed", [7, 8])
def test_shifting_the_markers_is_observable_only_without_an_intercept(seed):
    s = Strains(seed)
    c = np.random.default_rng(seed).normal(1, 2, s.m)
    moved_M = s.M - c
    before, after = gls_blup(s.model(), s.y), gls_blup(s.model(moved_M), s.y)
    gamma = ridge(s.on_markers(), s.y).random
    np.testing.assert_allclose(ridge(s.on_markers(moved_M), s.y).random, gamma, atol=1e-9)
    np.testing.assert_allclose(after.random, before.random - c @ gamma, atol=1e-9)
    np.testing.assert_allclose(after.fixed, before.fixed + [c @ gamma, 0], atol=1e-9)
    x = np.hstack([np.ones((9, 1)), np.zeros((9, 1)), np.eye(9)])  # alpha_1 + beta_j
    np.testing.assert_allclose(x @ after.cov @ x.T, x @ before.cov @ x.T, atol=1e-9)
    slope = s.X[:, 1:]
    fits = [gls_blup(s.model(M, slope), s.y) for M in (s.M, moved_M)]
    ahead = [slope @ f.fixed + s.D @ f.random for f in fits]
    assert np.abs(ahead[0] - ahead[1]).max() > 0.1


@pytest.mark.theorem("thm-rrblup")
def test_reml_does_not_see_the_shift_and_maximum_likelihood_does():
    """On the densities themselves, away from the optimum; then on the estimates."""
    s = Strains(9)
    centred = s.M - s.M.mean(axis=0)
    K_centred = centred @ centred.T / s.m
    ones = np.ones((len(s.y), 1))
    gap = {"REML": [], "ML": []}
    for ratio in (0.1, 1.0, 7.0):
        T = [np.array([[np.sqrt(ratio)]])]
        for method, gaps in gap.items():
            a, b = (
                dense.criterion(s.y, s.X, [(s.codes, ones, R)], T, method, tau2=s.tau2)
                for R in (s.K, K_centred)
            )
            gaps.append(abs(a - b))
    assert max(gap["REML"]) < 1e-9
    assert min(gap["ML"]) > 0.01
    reml, ml = ([s.fit(R, method).criterion for R in (s.K, K_centred)] for method in gap)
    assert abs(reml[0] - reml[1]) < 1e-8
    assert abs(ml[0] - ml[1]) > 0.01


# Variances, with relatedness


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", [10, 11])
def test_estimates_with_relatedness_minimise_the_dense_criterion(seed, method):
    s = Strains(seed)
    ones = np.ones((len(s.y), 1))

    def criterion(log_theta):
        T = [np.array([[np.exp(log_theta)]])]
        return dense.criterion(s.y, s.X, [(s.codes, ones, s.K)], T, method)

    grid = np.linspace(-6, 4, 41)
    best = grid[np.argmin([criterion(t) for t in grid])]
    found = minimize_scalar(criterion, bounds=(best - 0.3, best + 0.3), options={"xatol": 1e-9})
    model = s.fit(method=method)
    assert model.criterion == pytest.approx(min(found.fun, criterion(-30)), rel=1e-10)
    assert model.theta[0] == pytest.approx(np.exp(found.x), rel=1e-5)
    known = LinearMixedModel(s.X, s.D, model.Sigma[0] * s.K, model.tau2)
    effects = gls_blup(known, s.y)
    np.testing.assert_allclose(model.random[0][:, 0], effects.random, atol=1e-9)
    np.testing.assert_allclose(model.random_cov[0][:, 0, 0], np.diag(effects.random_cov), rtol=1e-8)


def test_the_unit_of_sigma2_is_that_of_the_relatedness():
    s = Strains(12)
    once, twice = s.fit(), s.fit(2 * s.K)
    assert twice.Sigma[0].item() == pytest.approx(once.Sigma[0].item() / 2, rel=1e-8)
    np.testing.assert_allclose(twice.random[0], once.random[0], atol=1e-9)


def test_repeated_records_of_related_strains_merge_by_chunks():
    s = Strains(13)
    half = np.arange(len(s.y)) < len(s.y) // 2
    parts = [
        Gram.from_arrays(s.y[r], s.X[r], Term(s.groups[r], K=s.K, levels=s.levels))
        for r in (half, ~half)
    ]
    whole, merged = s.fit(), fit(parts[0] + parts[1])
    assert merged.criterion == pytest.approx(whole.criterion, rel=1e-12)
    np.testing.assert_allclose(merged.random[0], whole.random[0], atol=1e-9)


# Strains never measured, and clones


def test_a_strain_never_measured_is_regressed_on_its_relatives():
    s = Strains(14)
    model = s.fit()
    beta, o = model.random[0][:, 0], np.arange(9) < 7
    regressed = s.K[np.ix_(~o, o)] @ np.linalg.solve(s.K[np.ix_(o, o)], beta[o])
    np.testing.assert_allclose(beta[~o], regressed, atol=1e-9)
    assert np.abs(beta[~o]).min() > 0.01
    alone = fit(s.y, s.X, Term(s.groups, levels=s.levels)).random[0][:, 0]
    np.testing.assert_array_equal(alone[~o], 0)


@pytest.mark.slow
def test_error_of_a_strain_never_measured_matches_its_stated_variance():
    s = Strains(15)
    model, rng = s.model(), np.random.default_rng(15)
    G = np.array([gls_blup(model, e).random for e in np.eye(len(s.y))]).T
    draws = [model.simulate([5.0, 1.0], rng) for _ in range(20_000)]
    ys, betas = (np.array(part) for part in zip(*draws, strict=True))
    drawn = ((ys @ G.T - betas) ** 2).mean(axis=0)
    stated = np.diag(gls_blup(model, s.y).random_cov)
    np.testing.assert_allclose(drawn, stated, rtol=0.05)
    assert stated[7:].min() < s.sigma2


def test_clones_make_relatedness_singular_and_share_one_prediction():
    s = Strains(16)
    twin = [*range(9), 0]
    K = s.K[np.ix_(twin, twin)]
    model, plain = fit(s.y, s.X, Term(s.groups, K=K, levels=[*s.levels, "twin"])), s.fit()
    assert model.criterion == pytest.approx(plain.criterion, rel=1e-10)
    np.testing.assert_allclose(model.random[0][:, 0], plain.random[0][twin, 0], atol=1e-8)
    np.testing.assert_allclose(model.random_cov[0], plain.random_cov[0][twin], rtol=1e-7)


def test_records_of_clones_may_be_shared_out_between_them():
    """Giving half of a strain's rows to its clone leaves criterion and fit as they were."""
    s = Strains(17)
    groups = s.groups.astype("<U8")
    rows = np.flatnonzero(s.codes == 0)
    assert len(rows) > 2
    groups[rows[::2]] = "twin"
    K = s.K[np.ix_([*range(9), 0], [*range(9), 0])]
    model, plain = fit(s.y, s.X, Term(groups, K=K, levels=[*s.levels, "twin"])), s.fit()
    assert model.criterion == pytest.approx(plain.criterion, rel=1e-10)
    assert model.random[0][9, 0] == pytest.approx(plain.random[0][0, 0], abs=1e-8)


# What ignoring relatedness costs


def test_ignoring_relatedness_costs_most_where_there_are_no_records():
    """Strain means with estimated variances, 40 data sets of three families."""
    rng = np.random.default_rng(18)
    K = np.kron(np.eye(4), np.full((4, 4), 0.7)) + 0.3 * np.eye(16)
    groups = np.repeat(np.arange(16), np.tile([6, 3, 1, 0], 4))
    X = np.ones((len(groups), 1))
    model = LinearMixedModel(X, indicator(groups, levels=range(16)), 4 * K, 4)
    error = np.zeros((2, 16))
    for _ in range(40):
        y, beta = model.simulate([20.0], rng)
        for row, R in zip(error, (None, K), strict=True):
            f = fit(y, X, Term(groups, K=R, levels=np.arange(16)))
            row += (f.fixed[0] + f.random[0][:, 0] - 20 - beta) ** 2 / 40
    ratio = (error[1].reshape(4, 4).mean(axis=0)) / error[0].reshape(4, 4).mean(axis=0)
    assert ratio[3] < 0.7
    assert ratio[3] < ratio[0]


# --- rounding of K


def _markers(J, m, seed=0):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((J, m))
    M[1] = M[0]  # clones
    M -= M.mean(axis=0)  # the relatedness is singular
    g = np.repeat(np.arange(J), 2)
    y = (M @ rng.standard_normal(m) / np.sqrt(m))[g] + rng.standard_normal(2 * J)
    return M, M @ M.T / m, g, y


def _six_digits(K):
    return np.array([[float(f"{entry:.6g}") for entry in row] for row in K])


def _single(M):
    single = M.astype(np.float32)
    return single @ single.T / np.float32(M.shape[1])


@pytest.mark.parametrize(("J", "m"), [(40, 30), (600, 400)])
@pytest.mark.parametrize("kind", ["decimals", "digits", "single precision", "asymmetric"])
@pytest.mark.slow
def test_a_rounded_relatedness_is_accepted_and_named(J, m, kind):
    M, K, g, y = _markers(J, m)
    noise = np.random.default_rng(1).uniform(-5e-7, 5e-7, K.shape)
    written = {
        "decimals": lambda: np.round(K, 6),
        "digits": lambda: _six_digits(K),
        "single precision": lambda: _single(M),
        "asymmetric": lambda: K + noise,
    }[kind]()
    exact, rounded = (fit(y, np.ones((2 * J, 1)), Term(g, K=k)) for k in (K, written))
    assert np.linalg.eigvalsh(written.astype(float))[0] < -1e-9
    assert rounded.Sigma[0] == pytest.approx(exact.Sigma[0], rel=2e-5)
    assert np.abs(rounded.random[0] - exact.random[0]).max() < 2e-4
    assert (rounded.cond_var[0] >= 0).all() and (rounded.random_cov[0] >= 0).all()
    assert "by rounding" in rounded.summary() and "by rounding" not in exact.summary()


@pytest.mark.parametrize("J", [40, 600])
def test_what_is_no_rounding_of_a_relatedness_is_refused(J):
    _, K, g, y = _markers(J, J - 10)
    noise = np.random.default_rng(1).standard_normal(K.shape)
    with pytest.raises(InputError, match="(?s)not symmetric.*rounding may leave 1e-05") as refusal:
        Term(g, K=K + 1e-4 * noise)
    assert "+ K.T) / 2" in refusal.value.remedy
    with pytest.raises(InputError, match="(?s)not positive semi-definite.*rounding may leave"):
        fit(y, np.ones((2 * J, 1)), Term(g, K=K - 0.01 * np.eye(J)))


def test_a_covariance_is_not_rounded():
    """Sigma is the model's and not a measurement: it is taken as it stands."""
    with pytest.raises(InputError, match="not symmetric"):
        LinearMixedModel(np.ones((2, 1)), np.eye(2), [[1, 0.5], [0.500001, 1]], 1.0)


@pytest.mark.parametrize("power", [-30, -14, -6, 6, 14, 30])
def test_the_unit_of_relatedness_moves_to_sigma(power):
    """cK with Sigma / c is the same model, at every size of c."""
    rng = np.random.default_rng(8)
    codes = rng.permutation(np.repeat(np.arange(6), 4))
    root = rng.normal(size=(6, 6))
    K = root @ root.T
    for q in (1, 2):
        Z = np.column_stack([np.ones(24), rng.normal(size=24)])[:, :q]
        effects = (root @ rng.normal(size=(6, q)))[codes]
        y = (Z * effects).sum(axis=1) + rng.normal(size=24)
        one, other = (fit(y, np.ones((24, 1)), Term(codes, Z, K=c * K)) for c in (1, 10.0**power))
        assert other.criterion == pytest.approx(one.criterion, rel=1e-9)
        assert other.certificate.ok
        expected = one.Sigma[0] / 10.0**power
        assert other.Sigma[0] == pytest.approx(expected, rel=1e-5, abs=1e-5 * expected.max())
        assert other.random[0] == pytest.approx(one.random[0], abs=1e-5)
