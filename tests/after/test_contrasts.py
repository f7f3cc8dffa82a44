"""Codings, degrees of freedom of balanced slopes, three means, and cones: the chapter's claims."""

import numpy as np
import pytest
from dense import criterion
from scipy.optimize import nnls
from scipy.stats import chi2, f_oneway, t, ttest_ind
from witness import SAID, fits

from mixhier_lite import LinearMixedModel, Term, compare, datasets, fit, gls_blup, lmer

# --- another coding


def layout(seed, p=3):
    """Unbalanced groups, a random X and an invertible B far from orthogonal."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(6), [2, 3, 5, 4, 6, 7])
    X = np.column_stack([np.ones(27), rng.normal(size=(27, p - 1))])
    B = rng.normal(size=(p, p)) + np.diag([3.0, 1.0, 0.5])
    y = X @ [1.0, 2.0, -1.0] + 2 * rng.normal(size=6)[g] + rng.normal(size=27)
    return y, X, B, g


@pytest.mark.theorem("thm-coding")
@pytest.mark.parametrize("seed", range(3))
def test_another_coding_given_the_variances(seed):
    """Parts 1 and 2 in dense algebra, at variances that nobody estimated."""
    y, X, B, g = layout(seed)
    D = np.equal.outer(g, np.arange(6)).astype(float)
    one = gls_blup(LinearMixedModel(X, D, 1.3 * np.eye(6), 0.8), y)
    two = gls_blup(LinearMixedModel(X @ B, D, 1.3 * np.eye(6), 0.8), y)
    assert np.allclose(B @ two.fixed, one.fixed, rtol=1e-9)
    assert np.allclose(B @ two.fixed_cov @ B.T, one.fixed_cov, rtol=1e-9)
    assert np.allclose(two.random, one.random) and np.allclose(two.random_cov, one.random_cov)
    terms = [(g, np.ones((27, 1)), None)]
    for theta in (0.0, 0.4, 3.0):
        T = [np.array([[theta]])]
        for method, moved in (("ML", 0.0), ("REML", 2 * np.log(abs(np.linalg.det(B))))):
            before, after = (criterion(y, W, terms, T, method) for W in (X, X @ B))
            assert after - before == pytest.approx(moved, abs=1e-8)


@pytest.mark.theorem("thm-coding")
@pytest.mark.parametrize("seed", range(3))
def test_another_coding_of_a_fit(seed):
    """Estimated variances stay; a question asked in the new names has the same answer."""
    y, X, B, g = layout(seed)
    one, two = fit(y, X, Term(g)), fit(y, X @ B, Term(g))
    assert two.Sigma[0] == pytest.approx(one.Sigma[0], rel=1e-7)
    assert two.criterion - one.criterion == pytest.approx(2 * np.log(abs(np.linalg.det(B))))
    assert two.aic - one.aic == pytest.approx(two.criterion - one.criterion)
    L = np.random.default_rng(seed).normal(size=(2, 3))
    asked, again = one.contrast(L), two.contrast(L @ B)
    for value in ("estimate", "se", "df", "p", "F", "F_p"):
        assert getattr(again, value) == pytest.approx(getattr(asked, value), rel=1e-6)
    # the same row of numbers, read as names, is another question
    assert np.abs(two.contrast(L).t - asked.t).max() > 0.1
    # and columns that span another space are another model
    other = fit(y, np.column_stack([X[:, :2], X[:, 2] ** 2]), Term(g))
    assert np.abs(other.fitted - one.fitted).max() > 0.01 > np.abs(two.fitted - one.fitted).max()


# --- degrees of freedom


def balanced(seed, q, r, J=11, m=6, sd=1.5):
    """Groups with the same Z and covariates of their own; returns also U and Z."""
    rng = np.random.default_rng(seed)
    Z = np.column_stack([np.ones(m), *rng.normal(size=(q - 1, m))])
    U = np.column_stack([np.ones(J), *rng.normal(size=(r - 1, J))])
    gamma = U @ rng.normal(size=(r, q)) + sd * rng.normal(size=(J, q)) @ rng.normal(size=(q, q))
    y = (gamma @ Z.T + 0.5 * rng.normal(size=(J, m))).ravel()
    X = np.kron(U, Z)  # columns: for each covariate of U, all of Z
    return y, X, U, Z, Term(np.repeat(np.arange(J), m), Z=np.tile(Z, (J, 1)))


@pytest.mark.theorem("thm-balanced-df")
@pytest.mark.parametrize(("q", "r"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 2)])
def test_own_coefficients_are_a_regression(q, r):
    """Estimates, standard errors, df, t and F of the fit are those of J own numbers."""
    y, X, U, Z, term = balanced(10 * q + r, q, r)
    model, J = fit(y, X, term), len(U)
    assert np.linalg.eigvalsh(model.Sigma[0])[0] > 1e-3
    b = np.linalg.lstsq(Z, y.reshape(J, -1).T, rcond=None)[0].T
    rng = np.random.default_rng(1)
    for _ in range(3):
        a, c = rng.normal(size=r), rng.normal(size=q)
        own = b @ c
        gamma, sse, *_ = np.linalg.lstsq(U, own, rcond=None)
        se = np.sqrt(sse[0] / (J - r) * a @ np.linalg.solve(U.T @ U, a))
        found = model.contrast(np.kron(a, c))
        assert found.estimate[0] == pytest.approx(a @ gamma, rel=1e-7)
        assert found.se[0] == pytest.approx(se, rel=1e-7)
        assert found.df[0] == pytest.approx(J - r, rel=1e-7)
        assert found.p[0] == pytest.approx(2 * t.sf(abs(a @ gamma / se), J - r), rel=1e-5)
    if r > 1:  # all covariates but the first, one c
        reduced = ((own - own.mean()) ** 2).sum()
        F = (reduced - sse[0]) / (r - 1) / (sse[0] / (J - r))
        found = model.contrast(np.kron(np.eye(r)[1:], c))
        assert found.F == pytest.approx(F, rel=1e-6)
        assert found.F_df == pytest.approx((r - 1, J - r), rel=1e-6)
    ml = fit(y, X, term, method="ML")
    if np.linalg.eigvalsh(ml.Sigma[0])[0] > 1e-3:
        assert ml.fixed_se == pytest.approx(model.fixed_se * np.sqrt((J - r) / J), rel=1e-6)


@pytest.mark.theorem("thm-balanced-df")
def test_outside_of_the_scope_the_df_are_others():
    """Groups with different rows; and an estimate on the boundary."""
    y, X, U, Z, term = balanced(22, 2, 2, sd=0.4)
    kept = np.random.default_rng(0).random(len(y)) < 0.7
    groups = np.repeat(np.arange(len(U)), len(Z))[kept]
    less = fit(y[kept], X[kept], Term(groups, Z=np.tile(Z, (len(U), 1))[kept]))
    assert np.abs(less.contrast(np.eye(4)).df - 9).max() > 0.1
    y, X, *_, term = balanced(3, 2, 1, sd=0.0)
    flat = fit(y, X, term)
    assert flat.singular and np.abs(flat.contrast(np.eye(2)).df - 10).max() > 1


@pytest.mark.theorem("thm-balanced-df")
def test_rats_and_sleepers_as_other_programs_have_them():
    """Where 13 and 17 come from, and the F of sixteen slopes; nlme counts rows."""
    rats, said = fits()["rats"], SAID["trends"]
    names = ["Time", "Time + Time:Diet2", "Time + Time:Diet3"]
    rates = rats.contrast(names)
    assert rates.estimate == pytest.approx(said["means"]["Time.trend"], rel=1e-8)
    assert rates.se == pytest.approx(said["means"]["SE"], rel=1e-6)
    assert rates.df == pytest.approx(said["means"]["df"], rel=1e-6)
    pairs = rats.contrast(
        ["0 - Time:Diet2", "0 - Time:Diet3", "Time:Diet2 - Time:Diet3"]
    )  # emmeans takes the first less the second
    assert pairs.estimate == pytest.approx(said["pairs"]["estimate"], rel=1e-8)
    assert pairs.p == pytest.approx(said["pairs"]["p.value"], rel=1e-6)
    order = np.argsort(pairs.p)
    raised = np.maximum.accumulate(pairs.p[order] * [3, 2, 1])
    assert raised == pytest.approx(np.array(said["holm"])[order], rel=1e-6)
    slopes = np.linalg.lstsq(
        np.column_stack([np.ones(11), rats.rows.X[:11, 1]]), rats.rows.y.reshape(16, 11).T
    )[0][1]
    F = f_oneway(slopes[:8], slopes[8:12], slopes[12:])
    found = rats.contrast(np.eye(6)[4:])
    assert (found.F, found.F_p) == pytest.approx(tuple(F), rel=1e-7)
    assert found.F_df == pytest.approx((2, 13)) and set(said["nlme_df"]) == {13, 157}
    both = fits()["sleepstudy"]
    for method in ("satterthwaite", "kenward_roger"):
        together = both.contrast(np.eye(2), method=method.replace("_", "-"))
        F, df1, df2 = SAID["hotelling"][method]
        assert together.F == pytest.approx(F, rel=1e-6)
        assert together.F_df == pytest.approx((df1, df2), rel=1e-6)
    assert together.F_df == pytest.approx((2, 16))  # Hotelling's, and not 17


# --- three means


def false_alarms(mu, protected=True, m=5, draws=20_000, level=0.05):
    """How often a true hypothesis about a pair is rejected, F first."""
    rng = np.random.default_rng(len(mu))
    K, f = len(mu), len(mu) * (m - 1)
    mean = np.array(mu) + rng.normal(size=(draws, K)) / np.sqrt(m)
    s2 = rng.chisquare(f, draws) / f
    from scipy.stats import f as F

    first = m * mean.var(axis=1, ddof=1) / s2 > F.isf(level, K - 1, f)
    i, j = np.triu_indices(K, 1)
    true = np.equal(np.array(mu)[i], np.array(mu)[j])
    size = np.abs(mean[:, i] - mean[:, j]) / np.sqrt(2 * s2 / m)[:, None]
    pairs = (size > t.isf(level / 2, f)) & true
    return (pairs.any(axis=1) & (first if protected else True)).mean()


@pytest.mark.theorem("thm-three-means")
def test_F_first_protects_three_means_and_not_four():
    error = 3 * np.sqrt(0.05 * 0.95 / 20_000)
    for mu in ([0, 0, 0], [0, 0, 9], [0, 0, 0.8], [-2, 1, 1], [0, 5, 9]):
        assert false_alarms(mu) < 0.05 + error
    assert false_alarms([0, 0, 9]) > 0.05 - error  # and the level is used
    assert false_alarms([0, 0, 0], protected=False) > 0.1
    assert false_alarms([0, 0, 0, 9]) > 0.1  # four: three true hypotheses without protection


# --- the cone


def to_the_cone(z, theta):
    """Squared length of the nearest point of a cone, by non-negative least squares."""
    edges = np.array([[1.0, np.cos(theta)], [0.0, np.sin(theta)]])
    weights = np.array([nnls(edges, each)[0] for each in z])
    return ((weights @ edges.T) ** 2).sum(axis=1)


@pytest.mark.theorem("thm-cone")
@pytest.mark.parametrize("theta", [0.3, 0.8, np.pi / 2, 2.5, np.pi - 1e-9])
def test_the_distance_in_a_cone(theta):
    z = np.random.default_rng(int(100 * theta)).normal(size=(20_000, 2))
    if theta < 3:
        found = to_the_cone(z, theta)
    else:  # a half-plane: only the second coordinate is bound
        found = z[:, 0] ** 2 + np.maximum(z[:, 1], 0) ** 2
    share = theta / (2 * np.pi)
    assert abs((found < 1e-12).mean() - (0.5 - share)) < 3 * 0.5 / np.sqrt(len(z))
    for x in (0.1, 1.0, 3.0, 6.0):
        wanted = chi2.sf(x, 1) / 2 + share * chi2.sf(x, 2)
        error = np.sqrt(wanted * (1 - wanted) / len(z))
        assert abs((found > x).mean() - wanted) < 4 * error


@pytest.mark.theorem("thm-cone")
@pytest.mark.slow
def test_two_variances_of_many_groups():
    """The statistic of a fit against the cone with the angle of the expected information."""
    rng = np.random.default_rng(4)
    J, m, draws = 120, 3, 250
    x = np.array([0.0, 1.0, 2.0])
    Z = np.column_stack([np.ones(m), x])
    X, g = np.tile(Z, (J, 1)), np.repeat(np.arange(J), m)
    # per group, with X out of the way for many groups: 1, xx', I
    M = [np.ones((m, m)), np.outer(x, x), np.eye(m)]
    info = np.array([[np.trace(a @ b) for b in M] for a in M])
    info = info[:2, :2] - np.outer(info[:2, 2], info[2, :2]) / info[2, 2]
    theta = np.arccos(info[0, 1] / np.sqrt(info[0, 0] * info[1, 1]))
    assert 0.2 < theta < 1.3  # an angle far from the right one
    nu = J * m - 2
    Q = np.eye(J * m) - X @ np.linalg.pinv(X)
    found = np.empty(draws)
    model = fit(rng.normal(size=J * m), X, Term(g, Z=X, correlated=False))
    for k in range(draws):
        y = rng.normal(size=J * m)
        r2 = y @ Q @ y
        none = nu * (np.log(2 * np.pi * r2 / nu) + 1) + np.linalg.slogdet(X.T @ X)[1]
        found[k] = none - model.refit(y).criterion
    zero = 0.5 - theta / (2 * np.pi)
    assert abs((found < 1e-7).mean() - zero) < 3 * np.sqrt(zero * (1 - zero) / draws)
    x = 2.0
    wanted = chi2.sf(x, 1) / 2 + theta / (2 * np.pi) * chi2.sf(x, 2)
    assert abs((found > x).mean() - wanted) < 3 * np.sqrt(wanted * (1 - wanted) / draws)
    assert wanted < chi2.sf(x, 2) - 0.1


# --- a covariance for each diet


@pytest.mark.slow
def test_a_covariance_for_each_diet_is_welch():
    """Fit and pencil: a gain of 28.6, Welch's tests of own slopes, and what the gain is worth."""
    data = datasets.load("BodyWeight")
    one = lmer("weight ~ Time * Diet + (Time | Rat)", data)
    for k in "123":
        data[f"d{k}"] = (data["Diet"] == k) * 1.0
        data[f"t{k}"] = data[f"d{k}"] * data["Time"]
    bars = " + ".join(f"(0 + d{k} + t{k} | Rat)" for k in "123")
    each = lmer(f"weight ~ Time * Diet + {bars}", data)
    Z = np.column_stack([np.ones(11), data["Time"][:11]])
    own = np.linalg.lstsq(Z, data["weight"].to_numpy().reshape(16, 11).T, rcond=None)[0].T
    diet = data["Diet"].to_numpy()[::11]

    def gain(b):
        B = [np.cov(b[..., diet == k], bias=True) * (diet == k).sum() for k in "123"]
        free = np.array([(diet == k).sum() - 1 for k in "123"])
        logs = [np.linalg.slogdet(S / f)[1] for S, f in zip(B, free, strict=True)]
        return 13 * np.linalg.slogdet(sum(B) / 13)[1] - free @ logs

    found = compare(one, each)
    assert found.df == 6 and "If variances" in found.note
    assert found.statistic == pytest.approx(gain(own.T), abs=1e-5)
    asked = each.contrast(["Time:Diet2", "Time:Diet3", "Time:Diet3 - Time:Diet2"])
    for row, (i, k) in enumerate(("21", "31", "32")):
        welch = ttest_ind(own[diet == i, 1], own[diet == k, 1], equal_var=False)
        assert asked.df[row] == pytest.approx(welch.df, rel=1e-4)
        assert asked.p[row] == pytest.approx(welch.pvalue, rel=1e-4)
    rng = np.random.default_rng(0)
    drawn = np.array([gain(rng.normal(size=(2, 16))) for _ in range(4000)])
    assert 0.0005 < (drawn > found.statistic).mean() < 0.005  # "0.002", and not 7e-5
