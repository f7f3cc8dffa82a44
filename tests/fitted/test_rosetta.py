"""The chapter in seven tools: what is stored agrees with us to the digits that it claims."""

import csv
import functools
import warnings

import numpy as np
import pytest
from conftest import ROOT

from mixhier_lite import InputError, Prior, datasets, fit, indicator, integrate, lmer, priors
from mixhier_lite.gram.term import Term

FOLDER = ROOT / "tests" / "reference" / "rosetta"
TABLES = {"four_groups": (1, 30), "few_rows": (5, 5)}  # seed, rows in each group
LME4, JULIA, SAMPLED = (datasets.record(name) for name in ("lme4", "mixedmodels", "bambi_pymc"))


def four_groups(name="four_groups"):
    import pandas as pd

    seed, rows = TABLES[name]
    g = datasets.four_groups(np.random.default_rng(seed), rows)
    return pd.DataFrame({"y": g.y, "x": g.x, "group": (g.groups + 1).astype(str)})


FORMULAS = {
    "Dyestuff": ("Yield ~ 1 + (1 | Batch)", lambda: datasets.load("Dyestuff")),
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", lambda: datasets.load("sleepstudy")),
    "four_groups": ("y ~ x + (1 | group)", four_groups),
}


def ours(name, method="REML"):
    formula, data = FORMULAS[name]
    return lmer(formula, data(), method=method)


def words(o):
    """The seven things that the chapter compares."""
    return {
        "criterion": o.criterion,
        "alpha": o.fixed,
        "se": np.sqrt(np.diag(o.fixed_cov)),
        "sd": np.sqrt(np.diag(o.Sigma[0])),
        "tau": o.tau2**0.5,
        "beta": o.random[0],
        "condVar": o.cond_var[0],
    }


def digits(theirs, mine):
    theirs, mine = np.asarray(theirs, dtype=float), np.asarray(mine)
    assert theirs.shape == mine.shape
    return -np.log10(np.abs(theirs - mine).max() / np.abs(mine).max() + 1e-16)


# --- the data are the same, and every file says where it comes from


@pytest.mark.parametrize("name", TABLES)
def test_tables_hold_the_four_groups_to_the_last_bit(name):
    rows = list(csv.DictReader((FOLDER / f"{name}.csv").open(encoding="utf-8")))
    g = datasets.four_groups(np.random.default_rng(TABLES[name][0]), TABLES[name][1])
    np.testing.assert_array_equal([float(row["y"]) for row in rows], g.y)
    np.testing.assert_array_equal([float(row["x"]) for row in rows], g.x)
    assert [int(row["group"]) - 1 for row in rows] == g.groups.tolist()


@pytest.mark.parametrize("stored", [LME4, SAMPLED], ids=["lme4", "bambi_pymc"])
def test_stored_results_name_script_version_and_date(stored):
    about = stored["about"]
    assert (FOLDER / about["script"]).exists() and about["version"]
    assert about["date"].startswith("2026-")


def test_quoted_results_say_that_they_are_quoted():
    assert "not run" in JULIA["about"]["how"] and "MixedModels.jl/blob/" in JULIA["about"]["source"]
    assert "four_groups" not in JULIA["fits"]["ML"]


# --- lme4, stored

CLAIMED = {"criterion": 10, "alpha": 10, "se": 4, "sd": 4, "tau": 5, "beta": 4, "condVar": 4}


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in FORMULAS for method in ("REML", "ML")][:-1],
)
def test_lme4_agrees(name, method):
    """Except the four groups by ML, where it ends in another minimum: the next test."""
    stored, o = LME4["fits"][method][name], ours(name, method)
    assert stored["levels"] == [str(level) for level in o.levels[0]]
    for word, mine in words(o).items():
        assert digits(stored[word], mine) > CLAIMED[word], word


@pytest.mark.parametrize(
    ("key", "name", "method", "higher"),
    [("four_groups_ML", "four_groups", "ML", 30.4), ("few_rows_REML", "few_rows", "REML", 0.13)],
)
def test_lme4_starts_beside_the_wrong_minimum(key, name, method, higher):
    """Its first guess is a ratio of variances of y; from 10 it finds our optimum."""
    stored, data = LME4["two_minima"][key], four_groups(name)
    o = lmer("y ~ x + (1 | group)", data, method=method)
    between = data.groupby("group")["y"].transform("mean").var()
    assert stored["start"] ** 2 == pytest.approx(between / (data["y"].var() - between), rel=1e-12)
    assert stored["default"]["theta"] == [0]
    assert stored["default"]["criterion"] - o.criterion == pytest.approx(higher, abs=0.05)
    assert stored["from_10"]["criterion"] == pytest.approx(o.criterion, rel=1e-9)
    np.testing.assert_allclose(stored["from_10"]["theta"], o.theta, rtol=1e-6)


def test_two_bars_and_a_factor():
    """lme4 correlates the columns of a factor, so that its intercept is one of their sums."""
    data = datasets.load("sleepstudy")
    data["half"] = np.where(data["Days"] < 5, "a", "b")
    stored, written_out = LME4["two_bars"], "(1 | Subject) + (0 + half | Subject)"
    assert written_out in stored["split"] and stored["parameters"] == 4
    with pytest.raises(InputError, match="covariances of Subject and Subject cannot be told apart"):
        lmer(f"Reaction ~ Days + {written_out}", data)
    split = lmer("Reaction ~ Days + (0 + half | Subject)", data)
    assert len(split.theta) == 3 and stored["criterion"] == pytest.approx(split.criterion, rel=1e-8)
    here = lmer("Reaction ~ Days + (half || Subject)", data)
    assert len(here.theta) == 2 and here.criterion > split.criterion + 1


# --- MixedModels.jl, quoted


@pytest.mark.parametrize("name", ["Dyestuff", "sleepstudy"])
def test_mixedmodels_agrees(name):
    stored, o = JULIA["fits"]["ML"][name], ours(name, "ML")
    mine = words(o) | {"theta": o.theta}
    claimed = {"criterion": 11, "alpha": 14, "se": 5, "sd": 5, "tau": 9, "theta": 5}
    for word in set(stored) & set(claimed):
        assert digits(stored[word], mine[word]) > claimed[word], word
    if name == "sleepstudy":
        assert stored["first_random"] == pytest.approx(o.random[0][0, 0], rel=1e-4)
        assert stored["first_cond_var"] == pytest.approx(o.cond_var[0][0, 0, 0], rel=1e-5)
        assert stored["last_cond_var"] == pytest.approx(o.cond_var[0][-1, 1, 1], rel=1e-5)


def test_mixedmodels_by_reml():
    stored, o = JULIA["fits"]["REML"]["Dyestuff"], ours("Dyestuff")
    assert stored["criterion"] == pytest.approx(o.criterion, rel=1e-11)
    assert stored["alpha_variance"] == pytest.approx(o.fixed_cov[0, 0], rel=1e-6)


# --- mixedlm and statsmodels, live


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", FORMULAS)
def test_mixedlm_agrees(name, method):
    mixedlm = pytest.importorskip("mixedlm")
    formula, data = FORMULAS[name]
    with warnings.catch_warnings(action="ignore"):
        m = mixedlm.lmer(formula, data(), REML=method == "REML")
    o = ours(name, method)
    group = o.term_names[0]
    beta, var = m.ranef(condVar=True)[group], m.ranef(condVar=True).condVar[group]
    mine = words(o)
    assert digits(m.deviance, mine["criterion"]) > 10
    assert digits(list(m.fixef().values()), mine["alpha"]) > 7
    assert digits(m.vcov(), o.fixed_cov) > 6
    assert digits(m.VarCorr().groups[group].cov, o.Sigma[0]) > 6
    assert digits(m.sigma, mine["tau"]) > 7
    assert digits(np.column_stack(list(beta.values())), mine["beta"]) > 7
    cond_sd = np.diagonal(mine["condVar"], axis1=1, axis2=2)
    assert digits(np.column_stack(list(var.values())), cond_sd) > 6


def statsmodels(name, likelihood, **options):
    smf = pytest.importorskip("statsmodels.formula.api")
    fixed, columns, group = {
        "Dyestuff": ("Yield ~ 1", "1", "Batch"),
        "sleepstudy": ("Reaction ~ Days", "Days", "Subject"),
        "four_groups": ("y ~ x", "1", "group"),
    }[name]
    model = smf.mixedlm(fixed, FORMULAS[name][1](), groups=group, re_formula=columns)
    with warnings.catch_warnings(action="ignore"):
        return model.fit(reml=likelihood == "REML", **options)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("sharp", [False, True], ids=["default", "sharper"])
@pytest.mark.slow
def test_statsmodels_agrees(name, method, sharp):
    s = statsmodels(name, method, **({"method": "bfgs", "gtol": 1e-9} if sharp else {}))
    o = ours(name, method)
    assert digits(-2 * s.llf, o.criterion) > (10 if sharp else 7)
    assert digits(s.fe_params, o.fixed) > (6 if sharp else 3)
    assert digits(s.cov_re, o.Sigma[0]) > (5 if sharp else 2)
    assert digits(s.scale, o.tau2) > (5 if sharp else 4)
    assert digits(list(s.random_effects.values()), o.random[0]) > (5 if sharp else 4)
    assert digits(list(s.random_effects_cov.values()), o.cond_var[0]) > (5 if sharp else 4)
    packed = s.cov_re.to_numpy()[np.tril_indices(len(s.cov_re))] / s.scale
    np.testing.assert_allclose(s.params.iloc[len(o.fixed) :], packed, rtol=1e-10)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_statsmodels_inverts_the_whole_curvature(method):
    """Its standard errors are of (alpha, sigma2 / tau2) jointly, with tau2 profiled out."""
    g = datasets.four_groups(np.random.default_rng(1))
    X, y, reml = np.column_stack([np.ones(120), g.x]), g.y, method == "REML"

    def height(at):
        V = np.eye(120) + at[2] * g.D @ g.D.T
        e = y - X @ at[:2]
        logs = np.linalg.slogdet(V)[1]
        logs += np.linalg.slogdet(X.T @ np.linalg.solve(V, X))[1] if reml else 0
        return logs + (120 - 2 * reml) * np.log(e @ np.linalg.solve(V, e))

    o = ours("four_groups", method)
    at, step = np.array([*o.fixed, o.theta[0] ** 2]), np.diag([1e-3, 1e-4, 1e-2])
    corners = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
    curvature = [
        [sum(s * height(at + a * i + b * j) for a, b, s in corners) / (4 * i.sum() * j.sum())
         for j in step]
        for i in step
    ]  # fmt: skip
    whole = np.sqrt(np.diag(np.linalg.inv(np.array(curvature) / 2)))[:2]
    theirs = statsmodels("four_groups", method, method="bfgs", gtol=1e-9).bse_fe
    np.testing.assert_allclose(theirs, whole, rtol=1e-5)
    assert theirs["x"] > 1.04 * np.sqrt(o.fixed_cov[1, 1])


def test_statsmodels_prints_a_standard_error_in_another_unit():
    smf = pytest.importorskip("statsmodels.formula.api")
    s = smf.mixedlm("Reaction ~ Days", datasets.load("sleepstudy"), groups="Subject").fit()
    printed = float(s.summary().tables[1].iloc[-1, 1])
    assert printed == pytest.approx(s.bse.iloc[-1] * s.scale**0.5, abs=1e-3)


# --- scikit-learn, our variances


@pytest.mark.parametrize("name", FORMULAS)
def test_scikit_learn_agrees(name):
    pytest.importorskip("sklearn")
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import DotProduct
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import Ridge

    o, data = ours(name), FORMULAS[name][1]()
    y = data[FORMULAS[name][0].split(" ~ ")[0]].to_numpy(dtype=float)
    slopes = [data[c] for c in ("Days", "x") if c in data]
    X = np.column_stack([np.ones(len(y)), *slopes])
    J, q = o.random[0].shape
    D = (indicator(data[o.term_names[0]])[:, :, None] * X[:, None, :q]).reshape(len(y), -1)
    L = np.kron(np.eye(J), np.linalg.cholesky(o.Sigma[0]))
    W, M = D @ L, np.eye(len(y)) - X @ np.linalg.pinv(X)

    def blocks(cov):
        return np.array([cov[q * j : q * j + q, q * j : q * j + q] for j in range(J)])

    u = Ridge(alpha=o.tau2, fit_intercept=False).fit(M @ W, M @ y).coef_
    assert digits((L @ u).reshape(J, q), o.random[0]) > 11
    kernel = KernelRidge(kernel="precomputed", alpha=o.tau2).fit(W @ W.T, y - X @ o.fixed)
    assert digits((L @ W.T @ kernel.dual_coef_).reshape(J, q), o.random[0]) > 11
    process = GaussianProcessRegressor(DotProduct(0, "fixed"), alpha=o.tau2, optimizer=None)
    mean, cov = process.fit(W, y - X @ o.fixed).predict(L, return_cov=True)
    assert digits(mean.reshape(J, q), o.random[0]) > 11
    assert digits(blocks(cov), o.cond_var[0]) > 11
    wide = process.fit(np.hstack([1e4 * X, W]), y)
    cov = wide.predict(np.hstack([np.zeros((J * q, X.shape[1])), L]), return_cov=True)[1]
    assert digits(blocks(cov), o.random_cov[0]) > 4


# --- bambi and PyMC, stored: against quadrature that shares no algebra with the package


def exact(Y, X, Z, spread, weight, scales):
    """Posterior of J like groups by brute force, under the stored script's priors.

    Y (J, m), X (J, m, p), Z (m, q); Sigma / tau2 on a grid, ``spread`` (G, q, q), with the grid's
    ``weight`` (G,) in (sd / tau, correlation). Returns mean and sd of every scalar.
    """
    J, m, p = X.shape
    q = Z.shape[1]
    inverse = np.linalg.inv(np.eye(m) + Z @ spread @ Z.T)
    gain = spread @ Z.T @ inverse
    A = np.einsum("jmp,gmn,jnr->gpr", X, inverse, X, optimize=True)
    c = np.einsum("jmp,gmn,jn->gp", X, inverse, Y, optimize=True)
    A_inverse = np.linalg.inv(A)
    alpha = np.einsum("gpr,gr->gp", A_inverse, c)
    r2 = np.einsum("jm,gmn,jn->g", Y, inverse, Y, optimize=True) - (c * alpha).sum(axis=1)
    logs = J * np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(A)[1]
    ratio = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
    tau = np.sqrt(r2 / (J * m))[:, None] * np.exp(np.linspace(-1, 1, 161))
    log_p = (q + 1 - (J * m - p)) * np.log(tau) - r2[:, None] / tau**2 / 2 + logs[:, None] / 2
    log_p -= ((ratio / scales) ** 2).sum(axis=1)[:, None] * tau**2 / 2
    weights = np.exp(log_p - log_p.max()) * weight[:, None]
    weights /= weights.sum()
    by_grid, tau2 = weights.sum(axis=1), (weights * tau**2).sum(axis=1)

    def moments(mean, variance_over_tau2):
        first = np.tensordot(by_grid, mean, 1)
        second = np.tensordot(by_grid, mean**2, 1) + np.tensordot(tau2, variance_over_tau2, 1)
        return first, np.sqrt(second - first**2)

    H = np.einsum("gqm,jmp->gjqp", gain, X)
    beta = np.einsum("gqm,jm->gjq", gain, Y) - np.einsum("gjqp,gp->gjq", H, alpha)
    cond = np.diagonal(spread - gain @ Z @ spread, axis1=1, axis2=2)[:, None, :]
    PEV = cond + np.einsum("gjqp,gpr,gjqr->gjq", H, A_inverse, H, optimize=True)
    sd = [np.array([(weights * f).sum(), (weights * f**2).sum()])
          for f in (tau, *(ratio[:, [k]] * tau for k in range(q)))]  # fmt: skip
    sd = [(first, np.sqrt(second - first**2)) for first, second in sd]
    cov = np.diagonal(A_inverse, axis1=1, axis2=2)
    return {"alpha": moments(alpha, cov), "tau": sd[0], "sd": sd[1:], "beta": moments(beta, PEV)}


def line(points, low, high):
    """Ratios on a log scale and their weights."""
    ratio = np.exp(np.linspace(np.log(low), np.log(high), points))
    return ratio, ratio


def within(stored, mean, sd):
    """Mean and standard deviation agree within four Monte Carlo errors, and these are small."""
    assert stored["rhat"] < 1.01 and stored["ess"] > 4000
    assert abs(stored["mean"] - mean) < 4 * stored["mcse_mean"]
    assert abs(stored["sd"] - sd) < 4 * stored["mcse_sd"]
    assert stored["mcse_mean"] < 0.02 * sd


def assert_sampled(case, answer):
    for k, entry in enumerate(case["alpha"]):
        within(entry, answer["alpha"][0][k], answer["alpha"][1][k])
    within(case["tau"], *answer["tau"])
    for entry, numbers in zip(case["sd"], answer["sd"], strict=True):
        within(entry, *numbers)
    for j, row in enumerate(case["beta"]):
        for k, entry in enumerate(row):
            within(entry, answer["beta"][0][j, k], answer["beta"][1][j, k])


@functools.cache
def brute(name):
    """The quadrature for one stored case."""
    if name in ("Dyestuff", "four_groups"):
        data, J = FORMULAS[name][1](), len(SAMPLED["fits"][name]["levels"])
        Y = data[FORMULAS[name][0].split(" ~ ")[0]].to_numpy(dtype=float).reshape(J, -1)
        X = [np.ones_like(Y)] + ([data["x"].to_numpy().reshape(J, -1)] if "x" in data else [])
        ratio, weight = line(1500, 1e-4, 1e3)
        spread = (ratio**2)[:, None, None]
        Z, X = np.ones((Y.shape[1], 1)), np.stack(X, axis=2)
        return exact(Y, X, Z, spread, weight, SAMPLED["about"]["scales"][name])
    Y = datasets.load("sleepstudy")["Reaction"].to_numpy().reshape(18, 10)
    Z = np.column_stack([np.ones(10), np.arange(10)])
    (a, wa), (b, wb) = line(40, 0.02, 8), line(40, 0.04, 1.2)
    rho = np.linspace(-0.975, 0.975, 40) if name == "sleepstudy" else np.zeros(1)
    A, B, R = (grid.ravel() for grid in np.meshgrid(a, b, rho, indexing="ij"))
    spread = np.stack([A**2, A * B * R, A * B * R, B**2], axis=1).reshape(-1, 2, 2)
    weight = np.multiply.outer(np.multiply.outer(wa, wb), np.ones(len(rho))).ravel()
    X = np.broadcast_to(Z, (18, 10, 2))
    return exact(Y, X, Z, spread, weight, SAMPLED["about"]["scales"]["sleepstudy"])


@pytest.mark.parametrize("name", SAMPLED["fits"])
@pytest.mark.slow
def test_draws_agree_with_quadrature(name):
    """bambi's (Days | Subject) has no correlation; PyMC's model has one, uniform."""
    assert_sampled(SAMPLED["fits"][name], brute(name))


def test_sampler_was_content():
    assert all(case["divergences"] < 10 for case in SAMPLED["fits"].values())


def test_a_posterior_mean_is_not_an_estimate():
    """The draws are wider than the plug-in and their mean sd is larger than REML's and ML's."""
    for name in FORMULAS:
        case, o = SAMPLED["fits"][name], ours(name)
        assert case["sd"][0]["mean"] > np.sqrt(o.Sigma[0][0, 0])
        assert case["beta"][0][0]["sd"] > np.sqrt(o.random_cov[0][0, 0, 0])
    assert SAMPLED["fits"]["Dyestuff"]["sd"][0]["mean"] > 50
    y, batch = (datasets.load("Dyestuff")[k].to_numpy() for k in ("Yield", "Batch"))
    assert fit(y, np.ones((30, 1)), Term(batch), method="ML").Sigma[0][0, 0] ** 0.5 < 38


# --- our own integral, against the same quadrature


SLOPES = [("sleepstudy_uncorrelated", "||"), ("sleepstudy", "|")]


@pytest.mark.parametrize(("name", "bar"), [*SLOPES, ("Dyestuff", ""), ("four_groups", "")])
@pytest.mark.slow
def test_integral_is_the_quadrature(name, bar):
    key = name.split("_unc")[0]
    formula, data = FORMULAS[key]
    o = lmer(formula.replace("|", bar) if bar else formula, data())
    sd = [[priors.half_normal(scale) for scale in SAMPLED["about"]["scales"][key]]]
    found = integrate(o, prior=Prior(sd=sd))
    answer = brute(name)
    for k, of in enumerate((found.mean, found.sd)):
        np.testing.assert_allclose(of.fixed, answer["alpha"][k], rtol=1e-4)
        np.testing.assert_allclose(of.tau, answer["tau"][k], rtol=1e-4)
        np.testing.assert_allclose(of.sds[0], [numbers[k] for numbers in answer["sd"]], rtol=1e-3)
        np.testing.assert_allclose(of.random[0], answer["beta"][k], rtol=1e-3, atol=1e-3)
