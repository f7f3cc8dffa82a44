"""What residuals, shapes, deletions and a wrong covariance do: the theorems of chapter checks."""

import itertools
import json

import numpy as np
import pytest
from conftest import ROOT
from scipy.linalg import null_space

from mixhier_lite import LinearMixedModel, Term, datasets, fit, gls_blup, indicator, lmer


def problem(seed, rank=None):
    """Unequal groups with a covariate, any Sigma of some rank."""
    rng = np.random.default_rng(seed)
    D = indicator(rng.permutation(np.repeat(range(4), (2, 3, 4, 5))))
    X = np.column_stack([np.ones(14), D @ rng.normal(size=4) + rng.normal(size=14)])
    root = rng.normal(size=(4, rank or 4))
    return LinearMixedModel(X, D, root @ root.T, 1.7), rng.normal(size=14)


def linear_map(model, of):
    """The matrix of a linear function of y, column by column."""
    return np.column_stack([of(gls_blup(model, unit), unit) for unit in np.eye(model.n)])


def given_fixed(model):
    return linear_map(model, lambda found, y: y - model.X @ found.fixed)


def given_random(model):
    return linear_map(model, lambda found, y: y - model.X @ found.fixed - model.D @ found.random)


def by_contrasts(model):
    """Q by contrasts of X, which needs no inverse of V."""
    C = null_space(model.X.T)
    return C @ np.linalg.solve(C.T @ model.V @ C, C.T)


# --- residuals of both kinds


@pytest.mark.theorem("thm-residuals")
@pytest.mark.parametrize("rank", [4, 2])
@pytest.mark.parametrize("seed", range(3))
def test_covariances_of_residuals(seed, rank):
    """Maps of y by gls_blup and their covariances, against contrasts of X."""
    model, y = problem(seed, rank)
    V, Q, tau2 = model.V, by_contrasts(model), model.tau2
    R, E = given_fixed(model), given_random(model)
    of_alpha = linear_map(model, lambda found, _: found.fixed)
    assert pytest.approx(V @ Q @ y, abs=1e-10) == R @ y
    assert pytest.approx(V - model.X @ of_alpha @ V @ of_alpha.T @ model.X.T) == R @ V @ R.T
    assert pytest.approx(tau2 * Q @ y, abs=1e-10) == E @ y
    assert pytest.approx(tau2**2 * Q) == E @ V @ E.T
    assert pytest.approx(tau2**2 * Q) == E * tau2  # Cov(y, eps) = tau2 I
    h = 1 - np.diag(E)  # what a fitted value changes by where y does by one
    assert np.diag(E @ V @ E.T) == pytest.approx(tau2 * (1 - h))
    error = E @ V @ E.T - 2 * tau2 * E + tau2 * np.eye(model.n)
    assert np.diag(error) == pytest.approx(tau2 * h)
    assert E @ V @ of_alpha.T == pytest.approx(0, abs=1e-10)


@pytest.mark.theorem("thm-residuals")
@pytest.mark.parametrize("rank", [4, 1])
def test_residuals_lean_upwards_by_edf(rank):
    model, _ = problem(5, rank)
    E = given_random(model)
    to_random = linear_map(model, lambda found, _: model.D @ found.random)
    with_fitted = np.trace(E @ model.V @ (np.eye(model.n) - E).T)
    assert with_fitted == pytest.approx(model.tau2 * np.trace(to_random), rel=1e-10)
    assert with_fitted > 0.1
    none = LinearMixedModel(model.X, model.D, np.zeros((4, 4)), model.tau2)
    E = given_random(none)
    assert np.trace(E @ none.V @ (np.eye(none.n) - E).T) == pytest.approx(0, abs=1e-10)


@pytest.mark.theorem("thm-residuals")
def test_group_sums_of_residuals_are_lambda_times_the_blups():
    model, y = problem(2)
    same = LinearMixedModel(model.X, model.D, 2.5 * np.eye(4), model.tau2)
    sums = same.D.T @ given_random(same) @ y
    assert sums == pytest.approx(1.7 / 2.5 * gls_blup(same, y).random)
    ratio = model.D.T @ given_random(model) @ y / gls_blup(model, y).random
    assert np.ptp(ratio) > 0.1  # false where Sigma is no multiple of I


@pytest.mark.theorem("thm-residuals")
def test_in_the_sample_the_lean_is_exact_at_reml():
    data = datasets.load("sleepstudy")
    model = lmer("Reaction ~ Days + (1 | Subject)", data)
    leverage = model.rows_table()["leverage"].to_numpy()
    edf = leverage.sum() - 2
    assert model.residuals @ model.fitted == pytest.approx(model.tau2 * edf, rel=1e-8)


# --- how much of a shape gets through


def standardised_moments(values, p):
    """Skewness and excess kurtosis of a discrete distribution."""
    mean = p @ values
    sd = np.sqrt(p @ (values - mean) ** 2)
    return np.array([p @ ((values - mean) / sd) ** k for k in (3, 4)]) - (0, 3)


def two_points(p):
    """A variable with mean zero and variance one: values and probabilities."""
    return np.array([-np.sqrt(p / (1 - p)), np.sqrt((1 - p) / p)]), np.array([1 - p, p])


@pytest.mark.theorem("thm-shape")
@pytest.mark.parametrize(
    ("m", "p", "q"), [(1, 0.1, 0.3), (2, 0.1, 0.5), (5, 0.2, 0.1), (7, 0.5, 0.05)]
)
def test_shape_by_counting_all_outcomes(m, p, q):
    """All values of one effect and m noises, with their probabilities; BLUP by gls_blup."""
    sigma2, tau2 = 1.3, 2.9
    (b, pb), (c, pc) = two_points(p), two_points(q)
    model = LinearMixedModel(np.zeros((m, 0)), np.ones((m, 1)), [[sigma2]], tau2)
    weights = gls_blup(model, np.ones(m)).random[0] / m
    blup, mean, chance = [], [], []
    for which in itertools.product((0, 1), repeat=m + 1):
        noise = c[list(which[1:])]
        y = np.sqrt(sigma2) * b[which[0]] + np.sqrt(tau2) * noise
        blup.append(weights * y.sum())
        mean.append(y.mean())
        chance.append(pb[which[0]] * pc[list(which[1:])].prod())
    found = standardised_moments(np.array(blup), np.array(chance))
    w = m / (m + tau2 / sigma2)
    of_b, of_c = standardised_moments(b, pb), standardised_moments(c, pc)
    expected = (w ** np.array([1.5, 2]) * of_b
                + (1 - w) ** np.array([1.5, 2]) * of_c / (np.sqrt(m), m))  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-10)
    assert standardised_moments(np.array(mean), np.array(chance)) == pytest.approx(found)


@pytest.mark.theorem("thm-shape")
def test_shape_needs_independent_noise():
    """Two noises that are the same one: their mean keeps its skewness."""
    (b, pb), (c, pc) = two_points(0.1), two_points(0.2)
    value = (b[:, None] + 2 * c).ravel()
    found = standardised_moments(value, np.outer(pb, pc).ravel())
    w = 2 / (2 + 4)
    g = [standardised_moments(*pair)[0] for pair in ((b, pb), (c, pc))]
    assert abs(found[0] - (w**1.5 * g[0] + (1 - w) ** 1.5 * g[1] / np.sqrt(2))) > 0.1


# --- one row, one group


@pytest.mark.theorem("thm-deletion")
@pytest.mark.parametrize("seed", range(3))
def test_one_row_moves_all_effects(seed):
    """The row is deleted and all is solved again; the distance by Henderson's matrix."""
    model, y = problem(seed)
    W = np.hstack([model.X, model.D])
    M = W.T @ W
    M[2:, 2:] += model.tau2 * np.linalg.inv(model.Sigma)
    whole = gls_blup(model, y)
    c, e = np.append(whole.fixed, whole.random), given_random(model) @ y
    h = 1 - np.diag(given_random(model))
    for i in range(model.n):
        rest = np.arange(model.n) != i
        less = LinearMixedModel(model.X[rest], model.D[rest], model.Sigma, model.tau2)
        found = gls_blup(less, y[rest])
        left = np.append(found.fixed, found.random)
        assert c - left == pytest.approx(np.linalg.solve(M, W[i]) * e[i] / (1 - h[i]), rel=1e-8)
        s2 = e[i] ** 2 / (model.tau2 * (1 - h[i]))
        cook = (c - left) @ M @ (c - left) / (2 * model.tau2)
        assert cook == pytest.approx(s2 / 2 * h[i] / (1 - h[i]), rel=1e-8)


@pytest.mark.theorem("thm-deletion")
def test_cooks_distance_is_that_of_rows_table():
    data = datasets.load("sleepstudy")
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    table = model.rows_table()
    X, D = np.column_stack([np.ones(180), data["Days"]]), indicator(data["Subject"])
    Z = np.einsum("ij,ik->ijk", D, X).reshape(180, 36)
    dense = LinearMixedModel(X, Z, np.kron(np.eye(18), model.Sigma[0]), model.tau2)
    W = np.hstack([X, Z])
    M = W.T @ W
    M[2:, 2:] += model.tau2 * np.linalg.inv(dense.Sigma)
    y = data["Reaction"].to_numpy()
    whole = gls_blup(dense, y)
    for i in (0, 56, 59, 100):
        rest = np.arange(180) != i
        less = gls_blup(LinearMixedModel(X[rest], Z[rest], dense.Sigma, model.tau2), y[rest])
        moved = np.append(whole.fixed - less.fixed, whole.random - less.random)
        assert table["cook"][i] == pytest.approx(moved @ M @ moved / (2 * model.tau2), rel=1e-6)


@pytest.mark.theorem("thm-deletion")
@pytest.mark.parametrize("seed", range(3))
def test_one_group_moves_the_fixed_effects(seed):
    model, y = problem(seed)
    model = LinearMixedModel(model.X, model.D, 2.5 * np.eye(4), model.tau2)
    alpha, V = gls_blup(model, y).fixed, model.V
    blocks = [model.D[:, j] == 1 for j in range(4)]
    A = sum(model.X[j].T @ np.linalg.solve(V[np.ix_(j, j)], model.X[j]) for j in blocks)
    for j in blocks:
        of_j = np.linalg.solve(V[np.ix_(j, j)], model.X[j])
        less = LinearMixedModel(model.X[~j], model.D[~j], model.Sigma, model.tau2)
        step = np.linalg.solve(A - model.X[j].T @ of_j, of_j.T @ (y[j] - model.X[j] @ alpha))
        assert gls_blup(less, y[~j]).fixed == pytest.approx(alpha - step, rel=1e-9)


@pytest.mark.theorem("thm-deletion")
def test_variances_that_are_estimated_anew_are_another_matter():
    data = datasets.load("radon")
    y, county = data["y_gh"].to_numpy(), data["county"].to_numpy()
    X = np.column_stack([np.ones(919), data["floor"]])
    full, rest = fit(y, X, Term(county)), county != "MARSHALL"
    anew = fit(y[rest], X[rest], Term(county[rest])).fixed
    fixed = LinearMixedModel(
        X[rest], indicator(county[rest]), full.Sigma[0] * np.eye(84), full.tau2
    )
    as_they_are = gls_blup(fixed, y[rest]).fixed
    assert np.abs(anew - as_they_are).max() > 1e-4


# --- a wrong covariance


def signs(n):
    """All vectors of signs: independent variables of mean zero and variance one, exactly."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


@pytest.mark.theorem("thm-sandwich")
@pytest.mark.parametrize("seed", range(3))
def test_mean_and_covariance_under_another_truth(seed):
    """Means over all outcomes of y, which has a covariance that the model does not know."""
    rng = np.random.default_rng(seed)
    D = indicator([0, 0, 0, 1, 1, 2, 2])
    X = np.column_stack([np.ones(7), rng.normal(size=7)])
    model = LinearMixedModel(X, D, 2 * np.eye(3), 0.8)
    root = rng.normal(size=(7, 7))
    alpha = np.array([3.0, -2.0])
    found = np.array([gls_blup(model, X @ alpha + root @ s).fixed for s in signs(7)])
    A = X.T @ np.linalg.solve(model.V, X)
    B = np.linalg.solve(model.V, X).T @ root @ root.T @ np.linalg.solve(model.V, X)
    sandwich = np.linalg.solve(A, np.linalg.solve(A, B).T)
    assert found.mean(axis=0) == pytest.approx(alpha)
    assert np.cov(found.T, bias=True) == pytest.approx(sandwich)
    assert np.abs(gls_blup(model, X[:, 0]).fixed_cov - sandwich).max() > 0.01
    wrong_mean = np.array([gls_blup(model, X[:, 1] ** 2 + root @ s).fixed for s in signs(7)])
    assert np.abs(wrong_mean.mean(axis=0)).max() > 0.1  # E(y) is not X (0, 0)'


@pytest.mark.theorem("thm-sandwich")
def test_the_report_is_right_without_V_being_so():
    """Part 2: Omega - V may be anything at right angles to V^-1 X, and no more."""
    model, _ = problem(1)
    VX = np.linalg.solve(model.V, model.X)
    away = null_space(VX.T)[:, :2]
    A = np.linalg.inv(model.X.T @ VX)
    for extra, right in ((away, True), (away + VX[:, :1], False)):
        Omega = model.V + 3 * extra @ extra.T
        true = A @ VX.T @ Omega @ VX @ A
        assert np.allclose(true, A, atol=1e-10) == right


@pytest.mark.theorem("thm-sandwich")
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_estimated_variances_leave_the_estimate_symmetric(method):
    rng = np.random.default_rng(4)
    groups = np.repeat(range(5), (2, 3, 4, 5, 6))
    X = np.column_stack([np.ones(20), rng.normal(size=20)])
    alpha, moved = np.array([3.0, -2.0]), []
    for _ in range(10):
        u = rng.exponential(size=5)[groups] + rng.standard_t(3, size=20)
        up, down = (fit(X @ alpha + s * u, X, Term(groups), method) for s in (1, -1))
        assert up.fixed + down.fixed == pytest.approx(2 * alpha, abs=1e-6)
        assert up.tau2 == pytest.approx(down.tau2, rel=1e-6)
        moved.append(up.fixed - alpha)
    assert np.std(moved, axis=0).min() > 0.05


@pytest.mark.theorem("thm-sandwich")
def test_a_rule_that_is_not_even_makes_it_biased():
    """Rows that turn out high get less weight: symmetric noise, and the mean is too low."""
    u = signs(3)
    weights = np.where(u > 0, 0.5, 1.0)
    estimate = (weights * u).sum(axis=1) / weights.sum(axis=1)
    assert estimate.mean() < -0.1


@pytest.mark.theorem("thm-forgiving")
def test_the_report_of_balanced_random_slopes_is_that_of_the_own_lines():
    y = datasets.load("sleepstudy")["Reaction"].to_numpy()
    for m in (10, 8, 6):  # the first days
        Z = np.column_stack([np.ones(m), np.arange(m)])
        Y = y.reshape(18, 10)[:, :m]
        X, who = np.tile(Z, (18, 1)), np.repeat(range(18), m)
        model = fit(Y.ravel(), X, Term(who, Z=X))
        lines = np.linalg.lstsq(Z, Y.T, rcond=None)[0]
        assert not model.singular
        assert model.fixed_cov == pytest.approx(np.cov(lines) / 18, rel=1e-6)
        alone = fit(Y.ravel(), X, Term(who))
        assert alone.fixed_cov[1, 1] < 0.8 * model.fixed_cov[1, 1]


@pytest.mark.theorem("thm-forgiving")
def test_its_mean_is_the_covariance_whatever_the_noise_is():
    """Means over all outcomes: three people of three rows with three covariances."""
    rng = np.random.default_rng(7)
    Z = np.column_stack([np.ones(3), [0.0, 1, 3]])
    roots = rng.normal(size=(3, 3, 3)) * np.array([1, 4, 0.3])[:, None, None]
    outcomes = signs(9).reshape(512, 3, 3)
    y = np.einsum("jab,sjb->sja", roots, outcomes)
    b = y @ np.linalg.pinv(Z).T
    reports = np.mean([np.cov(own.T) / 3 for own in b], axis=0)
    true = np.cov(b.mean(axis=1).T, bias=True)
    assert reports == pytest.approx(true)
    shared = y + outcomes[:, :1, :1]  # people who are not independent
    b = shared @ np.linalg.pinv(Z).T
    reports = np.mean([np.cov(own.T) / 3 for own in b], axis=0)
    assert np.abs(reports - np.cov(b.mean(axis=1).T, bias=True)).max() > 0.1


@pytest.mark.theorem("thm-forgiving")
def test_on_the_boundary_the_report_is_another_one():
    rng = np.random.default_rng(3)
    X, who = np.tile(np.column_stack([np.ones(5), np.arange(5)]), (6, 1)), np.repeat(range(6), 5)
    y = rng.normal(size=30)
    model = fit(y, X, Term(who, Z=X))
    lines = np.linalg.lstsq(X[:5], y.reshape(6, 5).T, rcond=None)[0]
    assert model.singular
    assert np.abs(model.fixed_cov / (np.cov(lines) / 6) - 1).max() > 0.05


# --- the year trap


def test_what_other_programs_said_is_right_near_zero_and_wrong_far_away():
    said, data = datasets.record("years"), datasets.load("sleepstudy")
    fits = json.loads((ROOT / "tests/reference/fits.json").read_text(encoding="utf-8"))["fits"]
    least = float(fits["sleepstudy.slope:REML"]["criterion"])
    for name in ("lme4", "statsmodels", "mixedlm"):
        assert any(text.startswith(name) for text in said["about"]["programs"])
        near, far = said[name][0], said[name][-1]
        assert near["criterion"] == pytest.approx(least, abs=1e-5)
        assert min(fit["criterion"] for fit in said[name]) > least - 1e-5
        assert far["criterion"] > least + 10 and far["se"] < 0.6 * near["se"]
    for origin in said["origin"]:
        far = data.assign(year=data["Days"] + float(origin))
        model = lmer("Reaction ~ year + (year | Subject)", far)
        assert model.criterion == pytest.approx(least, abs=1e-7) and model.certificate.ok
        assert model.fixed_se[1] == pytest.approx(said["mixedlm"][0]["se"], rel=1e-5)


# --- what programs in R say, as three chapters quote it


@pytest.mark.slow
def test_what_the_chapters_quote_of_r_is_what_it_said():
    """The prose holds R's numbers, and what the package can say of them agrees."""
    folder = ROOT / "tests/reference"
    said = json.loads((folder / "checks/programs.json").read_text(encoding="utf-8"))
    names = ("16-contrasts", "17-checks", "20-rosetta", "newcomers")
    pages = [(ROOT / f"book/{name}.md").read_text(encoding="utf-8") for name in names]
    contrasts, checks, rosetta, newcomers = pages
    rats = said["body_weight"]
    assert "lme4 1.1-31" in contrasts and "lmerTest 3.1-3" in contrasts
    assert said["about"]["packages"]["lme4"] == "1.1.31" and "max|grad| = 0.015" in contrasts
    assert "max|grad| = 0.0147879" in rats["default"]["says"] and rats["bobyqa"]["says"] == []
    assert f"the weights {rats['default']['df'][0]:.1f}" in contrasts
    assert f"lme4's own `anova` says {rats['in_order'][1]:.1f}, term by term" in contrasts
    assert f"at their means, {rats['joint_tests'][1]:.1f}." in contrasts
    model = lmer("weight ~ Time * Diet + (Time | Rat)", datasets.load("BodyWeight"))
    assert model.anova()["F"].to_numpy() == pytest.approx(rats["bobyqa"]["F"], rel=1e-5)
    assert model.contrast(np.eye(6)).df == pytest.approx(rats["bobyqa"]["df"], rel=1e-6)
    assert model.profile().interval()[-1] == pytest.approx(rats["profile"], abs=2e-4)
    assert rats["nlme_df"] == 157
    noise = said["noise"]
    for what in ("slope {slope:.2f}", "error {se:.2f}", "memory of {memory:.2f}"):
        assert what.format(**noise) in checks
    assert "3.1-162" in checks and "without convergence" in noise["without_control"]
    far = {name: found["years_2000"] for name, found in said["optimisers"].items()}
    assert sum(value < 1743.63 for value in far.values()) == 2 and len(far) == 5
    assert "two of five arrive" in checks
    four = np.genfromtxt(folder / "rosetta/four_groups.csv", delimiter=",", names=True)
    X = np.column_stack([np.ones(120), four["x"]])
    rss = np.linalg.lstsq(X, four["y"])[1][0]
    wrong = 120 * (1 + np.log(2 * np.pi * rss / 120))  # the criterion where sigma is zero
    for found in said["optimisers"].values():
        assert found["four_groups_ML"] == pytest.approx(wrong, abs=1e-5)
    assert f"all end at {wrong:.2f}" in rosetta
    assert f"{said['anova']['refit']:.2f} there, {said['anova']['not']:.2f} here" in newcomers
