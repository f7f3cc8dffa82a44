import numpy as np
import pandas as pd
import pytest
from dense import criterion
from scipy.optimize import minimize, minimize_scalar

from mixhier_lite import Gram, InputError, Term, datasets, fit, gather, lmer
from mixhier_lite.datasets import four_groups
from mixhier_lite.fitted.constraint import CorrelationConstraint
from mixhier_lite.fitted.objective import ml_objective
from mixhier_lite.fitted.profile import constraints


@pytest.fixture(scope="module")
def sleepstudy():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def test_sleepstudy(sleepstudy):
    """The intervals printed in the manual of lme4 (``confint`` of the model of its vignette)."""
    lme4 = [
        (14.38, 37.72),
        (-0.482, 0.685),
        (3.80, 8.75),
        (22.90, 28.86),
        (237.68, 265.13),
        (7.36, 13.58),
    ]
    profile = sleepstudy.profile()
    assert np.allclose(profile.interval(), lme4, rtol=0, atol=0.006), profile.table()
    assert profile.names[1] == "cor(Days, (Intercept) | Subject)"


def test_correlation_keeps_its_sign(sleepstudy):
    """Lengths without a sign: turning one round must not turn the correlation."""
    held = CorrelationConstraint(ml_objective(sleepstudy.update(method="ML")), 0, (0, 1))
    x = held.start()
    for flip in ([-1, 1], [1, -1]):
        assert held.at(0.5)(x * flip)[0] == held.at(0.5)(x)[0]
    assert held.at(-0.5)(x)[0] > held.at(0.5)(x)[0]


def kinds_of_model():
    """One of each way in which a criterion is solved: (formula, data, more arguments)."""
    sleepstudy, penicillin = datasets.load("sleepstudy"), datasets.load("Penicillin")
    rng = np.random.default_rng(8)
    root = rng.normal(size=(6, 6))
    kin = {"Batch": pd.DataFrame(root @ root.T, index=[*"ABCDEF"], columns=[*"ABCDEF"])}
    yield "Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"), {}
    yield "Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"), {"relatedness": kin}
    yield "Reaction ~ Days + (Days | Subject)", sleepstudy, {}
    yield "Reaction ~ Days + (Days || Subject)", sleepstudy, {"tau2": 700.0}
    yield "diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin, {}
    yield "diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin, {"tau2": 0.3}


@pytest.mark.parametrize("case", [*kinds_of_model()], ids=lambda case: f"{case[0]}, {[*case[2]]}")
def test_slopes(case):
    """Of every parameter's function, away from its lowest point, by differences of its value."""
    formula, data, more = case
    objective = ml_objective(lmer(formula, data, method="ML", **more))
    rng = np.random.default_rng(3)
    for held in constraints(objective):
        f = held.at(held.estimate + held.step)
        x = held.start() + 0.3 * rng.normal(size=len(held.start()))
        _, slope = f(x)
        steps = 1e-5 * np.eye(len(x))
        differences = [(f(x + d)[0] - f(x - d)[0]) / 2e-5 for d in steps]
        scale = 1.0 + np.abs(slope).max(initial=0.0)
        assert np.allclose(slope, differences, rtol=0, atol=1e-6 * scale), held.name


def test_dyestuff():
    """The help page of lme4's ``profile``; its spline is 0.002 off at the lower end."""
    model = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    lme4 = [[12.1985292, 84.0630513], [38.2299848, 67.6576964], [1486.4515, 1568.54849]]
    assert np.allclose(model.profile().interval(), lme4, rtol=3e-4, atol=0)


@pytest.mark.parametrize("name", ["Dyestuff", "Dyestuff2"])
def test_closed_form(name):
    """Balanced data: two sums of squares say everything; Dyestuff2 is on the boundary."""
    data = datasets.load(name)
    curve = lmer("Yield ~ 1 + (1 | Batch)", data, method="ML").profile().curves[0]
    y = data["Yield"].to_numpy(float).reshape(6, 5)
    between, within = 5 * ((y.mean(axis=1) - y.mean()) ** 2).sum(), 5 * y.var(axis=1).sum()

    def lowest(s):
        def deviance(log_tau):
            tau2 = np.exp(2 * log_tau)
            wide = tau2 + 5 * s**2
            return 6 * np.log(wide) + 24 * np.log(tau2) + within / tau2 + between / wide

        return minimize_scalar(deviance, bracket=(0.0, 3.0), tol=1e-12).fun

    rises = [lowest(s) - lowest(curve.estimate) for s in curve.values]
    assert np.allclose(curve.zeta**2, rises, rtol=0, atol=1e-6)
    low, high = curve.interval(0.9)
    assert lowest(high) - lowest(curve.estimate) == pytest.approx(1.6448536**2, abs=1e-3)
    assert (low == 0) == (name == "Dyestuff2")


def brute(f, k):
    """The lowest value of f over k numbers, from two starts."""
    found = [minimize(f, np.full(k, s), method="BFGS", options={"gtol": 1e-4}) for s in (0.4, 1.2)]
    return min(f.fun for f in found)


@pytest.mark.slow
def test_dense_likelihood():
    """Weights, a random slope and a crossed factor, against the n x n likelihood."""
    rng = np.random.default_rng(4)
    n, g, h = 40, np.arange(40) % 6, np.arange(40) % 13 % 3
    X, w = np.column_stack([np.ones(n), rng.normal(size=n)]), rng.uniform(0.5, 2, n)
    b = rng.normal(size=(6, 2)) @ [[1.5, 0.5], [0.0, 0.8]]
    y = X @ [1.0, 2.0] + (X * b[g]).sum(axis=1) + rng.normal(size=3)[h] + rng.normal(size=n)
    one = np.ones((n, 1))
    terms, dense = [Term(g, X), Term(h)], [(g, X, None), (h, one, None)]
    model = fit(y, X, terms, "ML", w)
    curves = {curve.name: curve for curve in model.profile().curves}

    def roots(a, b, c, d):
        return [np.array([[a, 0.0], [b, c]]), np.array([[d]])]

    def slope(value):
        rest = X[:, :1]
        return lambda t: criterion(y - value * X[:, 1], rest, dense, roots(*t), "ML", w)

    def noise(value):
        return lambda t: criterion(y, X, dense, roots(*t), "ML", w, value**2)

    def first(value):
        def f(t):
            tau = np.exp(t[0])
            return criterion(y, X, dense, roots(value / tau, *t[1:]), "ML", w, tau**2)

        return f

    def second(value):
        def f(t):  # the second row has length value / tau and a free angle
            tau, angle = np.exp(t[0]), t[1]
            row = value / tau * np.array([np.sin(angle), np.cos(angle)])
            return criterion(y, X, dense, roots(t[2], *row, t[3]), "ML", w, tau**2)

        return f

    def correlation(value):
        def f(t):
            row = abs(t[1]) * np.array([value, np.sqrt(1 - value**2)])
            return criterion(y, X, dense, roots(abs(t[0]), *row, t[2]), "ML", w)

        return f

    cases = {"x1": (slope, 4), "sd(noise)": (noise, 4), "sd(z1 | term 1)": (first, 4)}
    cases |= {"sd(z2 | term 1)": (second, 4), "cor(z2, z1 | term 1)": (correlation, 3)}
    for name, (held, k) in cases.items():
        curve = curves[name]
        for i in (3, len(curve.values) - 5):
            lowest = brute(held(curve.values[i]), k)
            rise = lowest - model.criterion
            assert curve.zeta[i] ** 2 == pytest.approx(rise, abs=2e-5), (name, i)
            assert np.sign(curve.zeta[i]) == np.sign(curve.values[i] - curve.estimate)


@pytest.mark.parametrize("seed", range(3))
def test_two_humps(seed):
    """Five rows per group of the four groups, against a dense scan of the one variance ratio."""
    data = four_groups(np.random.default_rng(seed), 5)
    X = np.column_stack([np.ones(20), data.x])
    model = fit(data.y, X, Term(data.groups), method="ML")
    curve = model.profile().curves[-1]
    ratios = np.append(0.0, np.geomspace(1e-4, 1e6, 600))  # Sigma / tau2
    same = np.equal.outer(data.groups, data.groups).astype(float)
    inverses = [np.linalg.inv(np.eye(20) + r * same) for r in ratios]
    dets = np.array([4 * np.log1p(5 * r) for r in ratios])
    for value, zeta in zip(curve.values, curve.zeta, strict=True):
        e = data.y - value * data.x
        sums = np.array([e @ W @ e - (W @ e).sum() ** 2 / W.sum() for W in inverses])
        rise = (dets + 20 * (np.log(2 * np.pi * sums / 20) + 1)).min() - model.criterion
        assert zeta**2 == pytest.approx(rise, abs=2e-3)


def test_known_noise():
    """Meta-analysis: the noise has no profile, and the mean's is that of a grid."""
    y, se = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    model = fit(y, np.ones((8, 1)), Term(np.arange(8)), weights=1 / se**2, tau2=1.0)
    profile = model.profile()
    assert profile.names == ("sd(1 | term 1)", "x0")
    v = se**2 + np.append(0.0, np.geomspace(1e-3, 1e3, 2000))[:, None] ** 2
    curve = profile.curves[1]
    lowest = [(np.log(v) + (y - a) ** 2 / v).sum(axis=1).min() for a in curve.values]
    assert np.allclose(curve.zeta**2, np.array(lowest) - min(lowest), rtol=0, atol=1e-4)


def test_progress_and_levels(capsys):
    model = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    profile = model.profile(progress=True)
    assert "3/3" in capsys.readouterr().err
    for level in (0, 1, 95, "95"):
        for interval in (model.interval, profile.interval, model.satterthwaite().interval):
            with pytest.raises(InputError, match="coverage of an interval"):
                interval(level)
    with pytest.raises(InputError, match="does not reach"):
        profile.interval(0.99999)
    with pytest.raises(AttributeError):
        profile.curves = ()


def test_satterthwaite_balanced(sleepstudy):
    """On balanced data the df are those of the t test on the groups' own estimates."""
    assert np.allclose(sleepstudy.satterthwaite().df, 17, rtol=1e-3)
    model = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    assert model.satterthwaite().df == pytest.approx([5], rel=1e-3)
    batches = datasets.load("Dyestuff")["Yield"].to_numpy(float).reshape(6, 5).mean(axis=1)
    half = 2.570581836 * batches.std(ddof=1) / np.sqrt(6)
    expected = [[batches.mean() - half, batches.mean() + half]]
    assert np.allclose(model.satterthwaite().interval(), expected, rtol=1e-5)


def test_satterthwaite_boundary():
    """Where Sigma is zero, all rows speak: n - p; where tau2 is known as well, z."""
    data = datasets.load("Dyestuff2")
    model = lmer("Yield ~ 1 + (1 | Batch)", data)
    assert model.singular
    assert model.satterthwaite().df == pytest.approx([29], rel=1e-6)
    known = fit(data["Yield"], np.ones((30, 1)), Term(data["Batch"]), tau2=100.0)
    assert np.allclose(known.satterthwaite().interval(0.9), known.interval(0.9), rtol=1e-6)


def test_satterthwaite_unbalanced():
    """df = 2 v^2 / (g'A g) in the variances themselves, with the n x n likelihood."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(7), [1, 2, 3, 4, 6, 8, 9])
    X = np.column_stack([np.ones(33), np.arange(33) % 2 + 0.3 * g])
    y = X @ [1.0, 2.0] + rng.normal(size=7)[g] + rng.normal(size=33)
    model = fit(y, X, Term(g))

    def deviance(v):
        T = [np.array([[np.sqrt(v[0] / v[1])]])]
        return criterion(y, X, [(g, np.ones((33, 1)), None)], T, "REML", None, v[1])

    def variances(v):
        V = v[1] * np.eye(33) + v[0] * np.equal.outer(g, g)
        return np.diag(np.linalg.inv(X.T @ np.linalg.solve(V, X)))

    v = np.array([model.Sigma[0][0, 0], model.tau2])
    steps = np.diag(1e-3 * v)
    slopes = np.array([(variances(v + d) - variances(v - d)) / (2 * d.sum()) for d in steps])
    H = np.array([
        [deviance(v + d + e) - deviance(v + d - e) - deviance(v - d + e) + deviance(v - d - e)
         for e in steps] for d in steps
    ]) / (4 * np.outer(np.diag(steps), np.diag(steps)))  # fmt: skip
    errors = np.einsum("ik,ij,jk->k", slopes, 2 * np.linalg.inv(H), slopes)
    df = 2 * variances(v) ** 2 / errors
    assert np.allclose(model.satterthwaite().df, df, rtol=1e-3)


def test_gather(capsys):
    """Chunks from a generator, as Grams or as arrays, give the Gram of the whole."""
    rng = np.random.default_rng(3)
    y, g = rng.normal(size=60), rng.integers(0, 5, 60)
    X = np.column_stack([np.ones(60), rng.normal(size=60)])
    parts = np.split(np.arange(60), [7, 20, 21, 50])
    arrays = ({"y": y[r], "X": X[r], "terms": Term(g[r])} for r in parts)
    grams = [Gram.from_arrays(y[r], X[r], Term(g[r])) for r in parts]
    whole = fit(y, X, Term(g)).criterion
    assert fit(gather(arrays)).criterion == pytest.approx(whole, rel=1e-10)
    assert fit(gather(grams, progress=True)).criterion == pytest.approx(whole, rel=1e-10)
    assert "5/5" in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing to gather"):
        gather([])


@pytest.mark.filterwarnings("error")
def test_a_profile_in_units_of_1e90():
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(8), 5), rng.normal(size=40)
    X = np.column_stack([np.ones(40), x])
    y = (X * (1 + rng.normal(size=(8, 2)))[g]).sum(axis=1) + rng.normal(size=40)
    one, far = (fit(unit * y, X, Term(g, X)).profile() for unit in (1.0, 1e90))
    units = np.where([name.startswith("cor") for name in one.names], 1.0, 1e90)
    assert far.interval() / units[:, None] == pytest.approx(one.interval(), rel=1e-5)
