"""When a posterior exists, which of its moments do, and what is refused."""

import warnings
from itertools import chain, combinations

import numpy as np
import pytest
from scipy.linalg import null_space

from mixhier_lite import InputError, Prior, Term, datasets, fit, gaussian, integrate, priors, sample
from mixhier_lite.bayes.posterior import posterior_of
from mixhier_lite.bayes.propriety import existence
from mixhier_lite.priors import as_prior


def likelihood(y, X, terms, sds, tau=1.0):
    """Log of the dense likelihood with alpha integrated out; terms are (groups, Z)."""
    V, sds = tau**2 * np.eye(len(y)), iter(sds)
    for g, Z in terms:
        same = np.equal.outer(g, g)
        for z in Z.T:
            V = V + next(sds) ** 2 * same * np.outer(z, z)
    K = null_space(X.T)
    C, z = K.T @ V @ K, K.T @ y
    return -(np.linalg.slogdet(C)[1] + z @ np.linalg.solve(C, z)) / 2


def power(y, X, terms, chosen, m):
    """Slope on log-log axes far out, where the standard deviations of a set grow together."""
    ends = [np.where(np.isin(np.arange(m), chosen), far, 1.0) for far in (3e3, 3e4)]
    values = [likelihood(y, X, terms, sds) for sds in ends]
    return (values[1] - values[0]) / np.log(10)


def subsets(m):
    return chain.from_iterable(combinations(range(m), k) for k in range(1, m + 1))


def designs():
    """Response, X and terms."""
    data = datasets.four_groups(np.random.default_rng(1), 5)
    one, g = np.ones((20, 1)), data.groups
    X, rng = np.column_stack([one, data.x]), np.random.default_rng(0)
    h = np.tile([0, 1, 2, 3, 4], 4)
    covariate = np.column_stack([X, data.D @ [1, 0, 2, 1]])
    z = rng.normal(size=20)
    return {
        "intercept": (data.y, X, [(g, one)]),
        "group covariate": (data.y, covariate, [(g, one)]),
        "none": (data.y, X[:, 1:], [(g, one)]),
        "crossed": (data.y, one, [(g, one), (h, one)]),
        "nested": (data.y, one, [(g, one), (g * 2 + (h > 2), one)]),
        "slopes": (data.y, np.column_stack([one, z]), [(g, np.column_stack([one, z]))]),
    }


SLOPES = {"intercept": -3, "group covariate": -2, "none": -4}


@pytest.mark.theorem("thm-proper-variance-prior")
@pytest.mark.parametrize("name", SLOPES)
def test_likelihood_falls_like_the_power_r(name):
    y, X, terms = designs()[name]
    assert power(y, X, terms, [0], 1) == pytest.approx(SLOPES[name], abs=1e-3)
    D = np.equal.outer(terms[0][0], np.arange(4)).astype(float)
    r = np.linalg.matrix_rank(np.hstack([X, D])) - np.linalg.matrix_rank(X)
    assert r == -SLOPES[name]
    at_zero = [likelihood(y, X, terms, [s]) for s in (0, 1e-4)]
    assert np.isfinite(at_zero).all() and np.ptp(at_zero) < 1e-4


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", designs())
@pytest.mark.slow
def test_exponents_are_the_slopes(name, known):
    """What is left of the power after the room of a set: for every set, from dense algebra."""
    y, X, terms = designs()[name]
    m = sum(Z.shape[1] for _, Z in terms)
    package = [Term(g, Z, correlated=False) for g, Z in terms]
    model = fit(y, X, package, tau2=1.0 if known else None)
    for prior, tail in ((priors.flat(), 0), (priors.half_t(2, 3), 3), (priors.half_cauchy(3), 2)):
        left = {}
        for chosen in subsets(m):
            fall = -power(y, X, terms, chosen, m)
            assert fall == pytest.approx(round(fall), abs=5e-3)
            left[chosen] = round(fall) - len(chosen) * (1 - tail)
        if min(left.values()) <= 0:
            with pytest.raises(InputError, match="improper"):
                integrate(model, prior)
            continue
        expected = [min(v for chosen, v in left.items() if k in chosen) for k in range(m)]
        told = integrate(model, prior)
        assert np.concatenate(told.exists.sds).tolist() == expected
        assert np.isinf(np.concatenate(told.mean.sds)).tolist() == [e <= 1 for e in expected]
        assert np.isinf(np.concatenate(told.sd.sds)).tolist() == [e <= 2 for e in expected]


@pytest.mark.theorem("thm-proper-variance-prior")
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", SLOPES)
def test_flat_on_sigma_on_its_square_and_on_its_log(name, known):
    """r >= 2, r >= 3, never; always for a proper prior."""
    y, X, terms = designs()[name]
    model, r = fit(y, X, Term(terms[0][0]), tau2=1.0 if known else None), -SLOPES[name]
    assert integrate(model).exists.sds[0][0] == r - 1
    if r >= 3:
        assert integrate(model, priors.flat_variance()).exists.sds[0][0] == r - 2
    else:
        with pytest.raises(InputError, match="cannot bound the standard deviation") as refusal:
            integrate(model, priors.flat_variance())
        assert f"rank X = {r}," in str(refusal.value)
    with pytest.raises(InputError, match="piles up at a standard deviation of zero"):
        integrate(model, priors.flat_log())
    for proper in (priors.half_normal(3), priors.half_cauchy(3), priors.exponential(3)):
        assert integrate(model, proper).exists.sds[0][0] > 1
    if not known:
        told = integrate(model, Prior(noise=priors.flat_log()))
        assert told.exists.sds[0][0] == r - 1


@pytest.mark.parametrize("groups", [2, 3])
def test_two_and_three_groups(groups):
    """With an intercept r = 1 and 2: no posterior; a posterior whose mean is infinite."""
    rng, g = np.random.default_rng(2), np.repeat(np.arange(groups), 6)
    model = fit(rng.normal(size=len(g)) + g, np.ones((len(g), 1)), Term(g, name="herd"))
    if groups == 2:
        for use in (integrate, lambda m: sample(m, 10, rng)):
            with pytest.raises(InputError, match="standard deviation of herd from above"):
                use(model)
        assert np.isfinite(integrate(model, priors.half_normal(2)).mean.sds[0][0])
        told = integrate(model, Prior(fixed=gaussian([0], [[9]])))  # alpha known a little: r = 2
        assert told.exists.sds[0][0] == 1
        return
    told = integrate(model)
    assert told.mean.sds[0][0] == np.inf and told.sd.sds[0][0] == np.inf
    assert np.isnan(told.mean.fixed[0]) and told.sd.fixed[0] == np.inf
    medians = [np.median(sample(model, 20000, np.random.default_rng(s)).sds[0]) for s in (3, 4)]
    assert told.quantile(0.5).sds[0][0] == pytest.approx(np.mean(medians), rel=0.03)


def test_no_sample_shows_an_infinite_variance():
    """Four groups: the variance of sigma is infinite; that of the draws grows for ever."""
    data = datasets.four_groups(np.random.default_rng(1))
    model = fit(data.y, np.column_stack([np.ones(120), data.x]), Term(data.groups))
    told = integrate(model)
    assert told.exists.sds[0][0] == 2 and np.isfinite(told.mean.sds[0][0])
    assert told.sd.sds[0][0] == np.inf and told.sd.random[0].min() == np.inf
    assert np.isfinite(told.sd.tau) and np.isfinite(told.sd.fixed[1])  # the slope is within
    assert told.sd.fixed[0] == np.inf
    tail = np.sort(sample(model, 100000, np.random.default_rng(0)).sds[0][:, 0])[-2000:]
    hill = 1 / np.log(tail[1:] / tail[0]).mean()  # the exponent, read off the largest draws
    assert hill == pytest.approx(2, abs=4 * 2 / np.sqrt(2000))


def test_few_rows_cannot_bound_the_noise():
    y, g = np.array([1.0, 2, 4, 3]), np.array([0, 0, 1, 2])
    model = fit(y, np.ones((4, 1)), Term(g))
    with pytest.raises(InputError, match="improper"):
        integrate(model, Prior(sd=priors.flat(), noise=priors.flat_variance()))
    assert integrate(model, Prior(priors.half_normal(2), priors.half_normal(2))).mean.tau > 0


def test_rank_deficient_X_is_refused_before():
    with pytest.raises(InputError, match="linearly dependent"):
        fit(np.arange(6.0) ** 2, np.ones((6, 2)), Term(np.repeat([0, 1, 2], 2)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, rng: sample(m, 0, rng), "draws is the number of draws"),
        (lambda m, rng: sample(m, 2.5, rng), "draws is the number of draws"),
        (lambda m, rng: sample(m, True, rng), "draws is the number of draws"),
        (lambda m, rng: integrate(m, "half_normal"), "prior is not a prior"),
        (lambda m, rng: integrate(m, Prior(sd=[priors.flat()] * 2)), "different numbers of terms"),
        (
            lambda m, rng: integrate(m, Prior(sd=[[priors.flat()] * 2])),
            "does not match its columns",
        ),
        (lambda m, rng: integrate(m, Prior(sd=[["flat"]])), "does not match its columns"),
        (lambda m, rng: integrate(m, Prior(fixed=gaussian([0, 0], np.eye(2)))), "do not match"),
        (lambda m, rng: priors.half_normal(0), "scale must be positive"),
        (lambda m, rng: priors.half_cauchy(-1), "scale must be positive"),
        (lambda m, rng: priors.half_t(0, 1), "df must be positive"),
        (lambda m, rng: priors.exponential(np.nan), "mean"),
        (lambda m, rng: integrate(m).quantile(0), "probability is not one"),
        (lambda m, rng: integrate(m).quantile(1.5), "probability is not one"),
    ],
)
def test_bad_input(call, said):
    rng, g = np.random.default_rng(0), np.repeat(np.arange(5), 4)
    model = fit(rng.normal(size=20), np.ones((20, 1)), Term(g))
    with warnings.catch_warnings(), pytest.raises(InputError, match=said):
        warnings.simplefilter("error")
        call(model, rng)


# --- combinations of columns


def cells(J, both, rng):
    """J groups of six; x is 0 or 1, and both values occur in the first groups only."""
    g, i = np.repeat(np.arange(J), 6), np.arange(6 * J)
    x = np.where((g < both) & (i % 6 < 3), 0.0, 1.0)
    X = np.column_stack([np.ones(6 * J), x])
    return rng.normal(size=J)[g] + 0.5 * x + rng.normal(size=6 * J), X, g


def log_density_of_sd0(y, X, g, s0, eta=1):
    """Of (sd1, 1 + rho) summed out, on a grid of its own: in cell means, without cancellation."""
    x, far = X[:, 1], np.geomspace(1e-4, 1, 700) * s0
    s1 = s0 + np.concatenate([-far[::-1], [0.0], far, s0 * np.geomspace(1, 1e3, 200)[1:]])
    d = np.geomspace(1e-12, 2, 700)
    s1, d = s1[:, None], d[None]
    v0, v01 = s0**2 + 0 * d * s1, s0**2 + (d - 1) * s0 * s1
    v1 = (s1 - s0) ** 2 + 2 * d * s0 * s1
    P00 = P01 = P11 = h0 = h1 = squares = logs = 0.0
    for j in np.unique(g):
        at0, at1 = y[(g == j) & (x == 0)], y[(g == j) & (x == 1)]
        b, m1 = v1 + 1 / len(at1), at1.mean()
        if not len(at0):
            P11, h1 = P11 + 1 / b, h1 + m1 / b
            squares, logs = squares + m1**2 / b, logs + np.log(b)
            continue
        a, m0 = v0 + 1 / len(at0), at0.mean()
        # a b - v01^2 with v0 v1 - v01^2 = s0^2 s1^2 d (2 - d)
        det = (s0 * s1) ** 2 * d * (2 - d) + v0 / len(at1) + v1 / len(at0)
        det = det + 1 / len(at0) / len(at1)
        P00, P01, P11 = P00 + b / det, P01 - v01 / det, P11 + a / det
        h0, h1 = h0 + (b * m0 - v01 * m1) / det, h1 + (a * m1 - v01 * m0) / det
        squares = squares + (b * m0**2 - 2 * v01 * m0 * m1 + a * m1**2) / det
        logs = logs + np.log(det)
    D = P00 * P11 - P01**2
    fitted = (P11 * h0**2 - 2 * P01 * h0 * h1 + P00 * h1**2) / D
    log_L = -(logs + np.log(D) + squares - fitted) / 2
    log_L = log_L + (eta - 1) * np.log(d * (2 - d) + 1e-300)  # of 1 - rho^2
    peak = log_L.max()
    return peak + np.log(np.gradient(s1[:, 0]) @ np.exp(log_L - peak) @ np.gradient(d[0]))


@pytest.mark.parametrize(("both", "eta"), [(2, 1), (3, 1), (5, 1), (2, 2), (3, 1.5)])
@pytest.mark.slow
def test_a_combination_that_few_groups_know(both, eta):
    """Z (1, -1)' = 1 - x is zero in most groups: along it r = both - 1, r + 2 eta - 1 is left."""
    y, X, g = cells(10, both, np.random.default_rng(5))
    fall = log_density_of_sd0(y, X, g, 1e3, eta) - log_density_of_sd0(y, X, g, 100.0, eta)
    exponent, left = -fall / np.log(10) - 1, both + 2 * eta - 2
    assert exponent == pytest.approx(left, abs=0.02)
    prior = Prior(correlation=priors.lkj(eta))
    told = integrate(fit(y, X, Term(g, X), tau2=1.0), prior)
    assert told.exists.sds[0].tolist() == [left, left]
    assert np.isinf(told.sd.sds[0]).all() == (left <= 2)


def test_flat_variances_need_two_contrasts_of_every_combination():
    rng = np.random.default_rng(5)
    for both in (2, 3):
        y, X, g = cells(12, both, rng)
        model = fit(y, X, Term(g, X), tau2=1.0)
        if both == 2:  # r = 1 along (1, -1)
            with pytest.raises(InputError, match="improper") as refusal:
                sample(model, 5, rng, priors.flat_variance())
            assert "a combination of columns" in refusal.value.got
        else:
            found = existence(posterior_of(model, as_prior(priors.flat_variance())))
            assert found.sds[0].tolist() == [1, 1]


def power_along(y, X, g, Z, F, far=(3e3, 3e4)):
    """How fast the dense likelihood falls along a subspace, from two places far out."""
    K, values = null_space(X.T), []
    same = np.equal.outer(g, g)
    for s in far:
        V = np.eye(len(y)) + s**2 * same * (Z @ F @ F.T @ Z.T)
        values.append(np.linalg.slogdet(K.T @ V @ K)[1] / 2)
    return round((values[1] - values[0]) / np.log(far[1] / far[0]))


def few_rows(seed):
    """Groups of one to four rows; two slopes, which are in X or not."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 2, 3, 4], size=9)
    g = np.repeat(np.arange(9), sizes)
    z = rng.choice([0.0, 1.0, 2.0], size=len(g))
    Z = np.column_stack([np.ones(len(g)), z])
    X = [Z, Z[:, :1], Z[:, 1:]][seed % 3]
    return rng.normal(size=len(g)) + Z @ [1, 1], X, g, Z


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.slow
def test_exponents_of_correlated_slopes(seed):
    """The closed rule for two columns, with kernels and ranks from the rows."""
    y, X, g, Z = few_rows(seed)
    lines = [null_space(Z[g == j]) for j in range(9) if np.linalg.matrix_rank(Z[g == j]) == 1]
    off_axes = [u / np.linalg.norm(u) for u in lines if np.abs(u).min() > 1e-9]
    axes = [power_along(y, X, g, Z, np.eye(2)[:, [k]]) for k in (0, 1)]
    plane = power_along(y, X, g, Z, np.eye(2))
    least = min([power_along(y, X, g, Z, u) for u in off_axes], default=99)
    cases = ((priors.flat(), 0, 1), (priors.flat_variance(), -1, 1), (priors.half_t(1, 3), 2, 1))
    for on_sds, tail, eta in (*cases, (priors.flat(), 0, 1.5)):
        prior = Prior(sd=on_sds, correlation=priors.lkj(eta))
        combined = least + 2 * eta - 1 + 2 * tail
        left = [min(r - 1 + tail, plane - 2 + 2 * tail, combined) for r in axes]
        model = fit(y, X, Term(g, Z), tau2=1.0)
        if min(left) <= 0:
            with pytest.raises(InputError, match="improper"):
                existence(posterior_of(model, as_prior(prior)))
        else:
            found = existence(posterior_of(model, as_prior(prior)))
            assert found.sds[0].tolist() == left


def test_exponents_of_three_columns():
    """One row in most levels: their kernel is a plane, in which lines of two columns lie."""
    rng = np.random.default_rng(2)
    g = np.append(np.repeat(np.arange(4), 5), np.arange(4, 14))
    Z = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    Z[20:, 1:] = [1.0, 1.0]  # three lines of two columns each are unseen in ten levels
    y = rng.normal(size=30)
    X = Z[:, :1]
    for u in ([0.0, 1, -1], [1, 0, -1], [1, -1, 0]):
        assert power_along(y, X, g, Z, np.array(u)[:, None] / np.sqrt(2)) == 4
    plane = np.linalg.svd(Z[20:21])[2][1:].T
    assert power_along(y, X, g, Z, plane) == 8
    found = existence(posterior_of(fit(y, X, Term(g, Z), tau2=1.0), as_prior(None)))
    # e_k: r - 1, axes r - 2, all r - 3; the line (k = 2) r + 2, the plane (f = 2, k = 3) r + 1
    axes = [power_along(y, X, g, Z, np.eye(3)[:, [k]]) - 1 for k in range(3)]
    twos = [power_along(y, X, g, Z, np.eye(3)[:, list(k)]) - 2 for k in ((0, 1), (0, 2), (1, 2))]
    all_three = power_along(y, X, g, Z, np.eye(3)) - 3
    expected = [
        min(axes[0], twos[0], twos[1], all_three, 6),
        min(axes[1], twos[0], twos[2], all_three, 6),
        min(axes[2], twos[1], twos[2], all_three, 6),
    ]
    assert found.sds[0].tolist() == expected
