import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from conftest import ROOT
from dense import criterion

from mixhier_lite import Gram, InputError, LinearMixedModel, Term, datasets, fit, gls_blup

HERE = ROOT / "tests" / "reference"
REFERENCE = json.loads((HERE / "fits.json").read_text(encoding="utf-8"))


def numbers(values):
    return np.array([float(v) for v in values])


def gap(left, right):
    left, right = np.asarray(left, float), np.asarray(right, float)
    return np.abs(left - right).max() / max(np.abs(right).max(), 1e-300)


def design(key):
    name = key.split(".")[0]
    data = datasets.load(name)
    one = np.ones(len(data))
    if name == "sleepstudy":
        Z = np.column_stack([one, data["Days"]])
        term = {"slope": Z, "slope_uncorr": Z}.get(key.split(".")[1])
        X = Z[:, :1] if key.endswith("null") else Z
        terms = [Term(data["Subject"], term, correlated="uncorr" not in key)]
        return data["Reaction"], X, terms
    if name == "Penicillin":
        return data["diameter"], one[:, None], [Term(data["plate"]), Term(data["sample"])]
    return data["Yield"], one[:, None], [Term(data["Batch"])]


@pytest.mark.parametrize("key", REFERENCE["fits"])
def test_reference_fits(key):
    reference = REFERENCE["fits"][key]
    name, method = key.split(":")
    model = fit(*design(name), method)
    assert model.criterion == pytest.approx(float(reference["criterion"]), rel=1e-13)
    assert np.allclose(model.theta, numbers(reference["theta"]), rtol=0, atol=1e-11)
    assert np.sqrt(model.tau2) == pytest.approx(float(reference["sigma"]), rel=1e-12)
    assert np.allclose(model.fixed, numbers(reference["fixef"].values()), rtol=1e-12)
    se = np.sqrt(np.diag(model.fixed_cov))
    assert np.allclose(se, numbers(reference["se"].values()), rtol=1e-11)
    assert model.singular == (name == "Dyestuff2")
    if "ranef" in reference:
        ours = np.concatenate([r.ravel() for r in model.random])
        assert gap(ours, numbers(reference["ranef"])) < 1e-11
        for blocks, entry in [
            (model.cond_var, "condVar_diag"),
            (model.random_cov, "posterior_var_diag_flat_alpha"),
        ]:
            ours = np.concatenate([np.einsum("jkk->jk", b).ravel() for b in blocks])
            assert gap(ours, numbers(reference[entry])) < 1e-11


@pytest.mark.parametrize("key", REFERENCE["radon"])
def test_reference_radon(key):
    """lme4's own optimum, which carries about seven digits of theta."""
    response, formula, method = key.split()
    fixed, reference, data = formula.split("+(")[0], REFERENCE["radon"][key], datasets.load("radon")
    one, floor, uranium = np.ones(len(data)), data["floor"], data["log_uranium"]
    columns = [one] + [floor] * ("floor" in fixed) + [uranium] * ("uranium" in fixed)
    X = np.column_stack(columns + [floor * uranium] * ("*" in fixed))
    Z = np.column_stack([one, floor]) if "1+floor|" in formula else None
    model = fit(data[response], X, Term(data["county"], Z), method)
    assert model.criterion == pytest.approx(reference["criterion"], rel=1e-12)
    assert np.allclose(model.fixed, numbers(reference["fixef"].values()), rtol=1e-6)
    assert np.allclose(model.theta, numbers(reference["theta"]), rtol=0, atol=2e-6)


@pytest.mark.parametrize("path", sorted((HERE / "nist_anova").glob("*.dat")), ids=lambda p: p.stem)
def test_nist(path):
    """Exact arithmetic on the rounded data: twelve digits, also where thirteen are constant."""
    rows = [
        line.split() for line in path.read_text(encoding="utf-8").splitlines()[60:] if line.strip()
    ]
    groups, y = [row[0] for row in rows], [float(row[1]) for row in rows]
    exact = {
        g: [Fraction(v) for v, h in zip(y, groups, strict=True) if h == g] for g in set(groups)
    }
    J, N, n = len(exact), len(y), len(y) // len(exact)
    means = {g: sum(values) / n for g, values in exact.items()}
    grand = sum(means.values()) / J
    between = n * sum((m - grand) ** 2 for m in means.values())
    within = sum((v - means[g]) ** 2 for g, values in exact.items() for v in values)
    for method, df, all_df in [("REML", J - 1, N - 1), ("ML", J, N)]:
        tau2 = within / (N - J)
        sigma2 = (between / df - tau2) / n
        if sigma2 <= 0:
            sigma2, tau2 = Fraction(0), (between + within) / all_df
        model = fit(y, np.ones((N, 1)), Term(groups), method)
        assert abs(Fraction(float(model.tau2)) / tau2 - 1) < 1e-11
        assert abs(Fraction(float(model.fixed[0])) / grand - 1) < 1e-13
        assert model.singular == (sigma2 == 0)
        if sigma2:
            assert abs(Fraction(float(model.Sigma[0][0, 0])) / sigma2 - 1) < 1e-11
        else:
            assert model.Sigma[0][0, 0] == 0


def small(seed, n=40):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, 6, n), rng.integers(0, 4, n), rng.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    y = X @ [3.0, 1.0] + rng.normal(size=6)[g] + rng.normal(size=4)[h] * x + rng.normal(size=n)
    return y, X, g, h, rng.uniform(0.5, 2, n)


def models():
    y, X, g, h, w = small(1)
    root = np.random.default_rng(2).normal(size=(6, 3))
    yield "intercept", y, X, [Term(g)], None
    yield "weights", y, X, [Term(g)], w
    yield "slopes", y, X, [Term(g, X)], w
    yield "independent", y, X, [Term(h, X, correlated=False)], None
    yield "crossed", y, X, [Term(g), Term(h, X[:, 1:])], w
    yield "related", y, X, [Term(g, K=root @ root.T)], w
    yield "related and not", y, X, [Term(g, X, K=root @ root.T), Term(h)], w


@pytest.mark.parametrize("case", list(models()), ids=lambda c: c[0])
def test_effects_are_those_of_the_known_variances(case):
    """Given the estimated variances, the n x n algebra of gls_blup gives the same answer."""
    _, y, X, terms, w = case
    model = fit(y, X, terms, weights=w)
    D, Sigma = full(terms, model.Sigma)
    s = np.ones(len(y)) if w is None else np.sqrt(w)
    effects = gls_blup(LinearMixedModel(s[:, None] * X, s[:, None] * D, Sigma, model.tau2), s * y)
    assert gap(model.fixed, effects.fixed) < 1e-10
    assert gap(model.fixed_cov, effects.fixed_cov) < 1e-10
    assert np.allclose(np.concatenate([r.ravel() for r in model.random]), effects.random, atol=1e-9)
    gain = Sigma @ D.T @ np.linalg.inv(D @ Sigma @ D.T + model.tau2 * np.diag(1 / s**2))
    start = 0
    for t, term in enumerate(terms):
        for j in range(len(term.levels)):
            at = slice(start, start + term.q)
            own = (Sigma - gain @ D @ Sigma)[at, at]
            assert np.allclose(model.cond_var[t][j], own, atol=1e-9)
            assert np.allclose(model.random_cov[t][j], effects.random_cov[at, at], atol=1e-9)
            start += term.q
    rows = np.hstack([X, D])
    prediction = model.predict(X, terms)
    both = np.concatenate([effects.fixed, effects.random])
    assert np.allclose(prediction.mean, rows @ both, atol=1e-9)
    variance = np.einsum("ni,ij,nj->n", rows, effects.cov, rows)
    assert np.allclose(prediction.var_mean, variance, atol=1e-9)
    assert np.allclose(prediction.var_new, variance + model.tau2, atol=1e-9)


def full(terms, Sigmas):
    """D and Sigma of all terms, as matrices."""
    from scipy.linalg import block_diag

    columns, blocks = [], []
    for term, S in zip(terms, Sigmas, strict=True):
        J, q, n = len(term.levels), term.q, term.n
        Z = np.ones((n, 1)) if term.Z is None else term.Z
        D = np.zeros((n, J, q))
        D[np.arange(n), term.codes] = Z
        columns.append(D.reshape(n, -1))
        blocks.append(np.kron(np.eye(J) if term.K is None else term.K, S))
    Sigma = block_diag(*blocks)
    return np.hstack(columns), (Sigma + Sigma.T) / 2


def answers(model):
    return {
        "fixed": model.fixed,
        "cov": model.fixed_cov,
        "Sigma": np.concatenate([S.ravel() for S in model.Sigma]),
        "random": np.concatenate([r.ravel() for r in model.random]),
        "tau2": np.array([model.tau2]),
    }


@pytest.mark.parametrize("case", list(models()), ids=lambda c: c[0])
def test_invariances(case):
    name, y, X, terms, w = case
    base = answers(fit(y, X, terms, weights=w))
    shifted = answers(fit(y + 1e6, X, terms, weights=w))
    shifted["fixed"] = shifted["fixed"] - [1e6, 0]
    order = np.random.default_rng(5).permutation(len(y))
    moved = [
        Term(t.codes[order], None if t.Z is None else t.Z[order], t.K, t.correlated, t.levels)
        for t in terms
    ]
    permuted = fit(y[order], X[order], moved, weights=None if w is None else w[order])
    for other in (shifted, answers(permuted)):
        for key, value in base.items():
            assert np.allclose(
                other[key], value, rtol=1e-9, atol=1e-9 * max(1, np.abs(value).max())
            )
    for unit in (1e-6, 1e6):
        scaled = answers(fit(unit * y, X, terms, weights=w))
        for key, value in base.items():
            power = 1 if key in ("fixed", "random") else 2
            assert gap(scaled[key] / unit**power, value) < 1e-9


def test_relabelled_groups_keep_their_effects():
    y, X, g, _, _ = small(3)
    names = np.array(["f", "b", "e", "a", "d", "c"])
    model, renamed = fit(y, X, Term(g, X)), fit(y, X, Term(names[g], X))
    order = [renamed.levels[0].tolist().index(name) for name in names]
    assert np.allclose(renamed.random[0][order], model.random[0], atol=1e-9)
    assert renamed.criterion == pytest.approx(model.criterion, abs=1e-10)


def test_known_noise_is_meta_analysis():
    """Eight schools (Rubin 1981): the estimate between schools is zero, the mean is pooled."""
    schools = REFERENCE["worked"]["eight_schools"]
    y, se = np.array(schools["y"]), np.array(schools["se"])
    model = fit(y, np.ones((8, 1)), Term(np.arange(8)), tau2=1, weights=1 / se**2)
    assert model.singular and model.Sigma[0][0, 0] == 0 and model.tau2 == 1
    assert model.fixed[0] == pytest.approx(schools["pooled_mean"], rel=1e-12)
    assert model.fixed_cov[0, 0] == pytest.approx(schools["pooled_se"] ** 2, rel=1e-12)
    wide = fit(3 * y, np.ones((8, 1)), Term(np.arange(8)), "ML", 1 / se**2, 1)
    values = [
        criterion(3 * y, np.ones((8, 1)), [(np.arange(8), np.ones((8, 1)), None)],
                  [np.array([[s]])], "ML", 1 / se**2, 1.0)
        for s in np.linspace(0, 60, 2001)
    ]  # fmt: skip
    assert wide.criterion <= min(values) + 1e-10
    assert wide.criterion == pytest.approx(min(values), abs=1e-3)


def test_levels_without_rows():
    y, X, g, _, _ = small(4)
    model = fit(y, X, Term(g, levels=np.arange(8)))
    assert np.array_equal(model.random[0][6:], np.zeros((2, 1)))
    assert np.allclose(model.cond_var[0][6:, 0, 0], model.Sigma[0][0, 0])
    assert model.criterion == pytest.approx(fit(y, X, Term(g)).criterion, abs=1e-10)


def test_nearly_dependent_columns():
    """Years and their squares: the condition number is not squared."""
    rng = np.random.default_rng(8)
    g, year = np.repeat(np.arange(20), 10), rng.uniform(1990, 2020, 200)
    y = 1 + 0.5 * (year - 2000) + 0.1 * (year - 2000) ** 2 + rng.normal(size=20)[g]
    y += rng.normal(size=200)
    raw = fit(y, np.column_stack([np.ones(200), year, year**2]), Term(g))
    c = year - 2000
    centred = fit(y, np.column_stack([np.ones(200), c, c**2]), Term(g))
    assert raw.fixed[2] == pytest.approx(centred.fixed[2], rel=1e-9)
    assert raw.theta[0] == pytest.approx(centred.theta[0], rel=1e-9)
    assert raw.criterion == pytest.approx(centred.criterion, abs=1e-8)


def test_a_fit_is_a_value():
    y, X, g, _, _ = small(6)
    model = fit(y, X, Term(g), names=["(Intercept)", "x"])
    with pytest.raises(AttributeError):
        model.tau2 = 1.0
    again = pickle.loads(pickle.dumps(model))
    assert again.criterion == model.criterion and again.names == ("(Intercept)", "x")
    assert model.aic == pytest.approx(model.criterion + 2 * 4)
    assert model.bic == pytest.approx(model.criterion + 4 * np.log(40))
    assert model.loglik == -model.criterion / 2


ONE, G = np.ones((6, 1)), [0, 0, 1, 1, 2, 2]
Y = np.array([1.0, 2, 4, 3, 8, 9])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones(6), ONE, Term(G)), "exact combination"),
        ((Y, np.ones((5, 1)), Term(G)), "different numbers of rows"),
        ((Y, ONE, Term(G[:5])), "different numbers of rows"),
        ((np.append(Y[:5], np.nan), ONE, Term(G)), "missing or infinite"),
        ((Y, np.ones((6, 2)), Term(G)), "alpha is not identified"),
        ((Y, ONE, Term([0] * 6)), "one level"),
        ((Y, ONE, Term(range(6))), "noise and the covariance of term 1 cannot be told apart"),
        ((Y, ONE, Term(G, np.ones((6, 2)))), "linearly dependent"),
        (([1, 1, 2, 2, 5, 5], ONE, Term(G)), "fits perfectly"),
        ((Y, ONE, Term(G), "reml"), "method is unknown"),
        ((Y, ONE, Term(G), "REML", [1, 1, 1, 1, 1, 0]), "weights"),
        ((Y, ONE, Term(G), "REML", None, -1), "tau2"),
        ((Y,), "X and terms are missing"),
        ((Gram.from_arrays(Y, ONE, Term(G)), ONE), "already holds"),
        ((Y * 1e120, ONE, Term(G)), "too large"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(InputError, match=words):
        fit(*arguments)


def test_refused_terms():
    with pytest.raises(InputError, match="does not match the levels"):
        Term(G, K=np.eye(2))
    with pytest.raises(InputError, match="not positive semi-definite"):
        Term(G, K=np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(InputError, match="not among levels"):
        Term(G, levels=[0, 1])
    with pytest.raises(InputError, match="missing labels"):
        Term(["a", None, "b"])
    with pytest.raises(InputError, match="Z does not match"):
        Term(G, Z=np.ones((5, 1)))


def test_new_groups():
    y, X, g, _, _ = small(7)
    model = fit(y, X, Term(g))
    with pytest.raises(InputError, match="has not seen"):
        model.predict(X[:1], Term(["nobody"]))
    new = model.predict(X[:1], Term(["nobody"]), new_groups="population")
    average = model.predict(X[:1])
    assert new.mean == pytest.approx(X[:1] @ model.fixed)
    assert new.var_new == pytest.approx(new.var_mean + model.Sigma[0][0, 0] + model.tau2)
    assert average.var_new == pytest.approx(new.var_new)


def test_labels_without_a_term_and_swapped_arrays_are_told():
    data = datasets.load("sleepstudy")
    y, labels = data["Reaction"].to_numpy(float), data["Subject"].to_numpy()
    X = np.column_stack([np.ones(len(y)), data["Days"]])
    for terms in (labels, np.arange(len(y)) % 3, [Term(labels), 7]):
        with pytest.raises(InputError, match=r"not a Term(.|\n)*Term\(groups\)"):
            fit(y, X, terms)
    with pytest.raises(InputError, match="y comes first, X second"):
        fit(X, y, Term(labels))


@pytest.mark.parametrize("seed", [2, 7, 20])
def test_large_crossed_terms_do_not_hide_the_better_of_two_humps(seed):
    """A term of four levels whose likelihood has two humps, beside two of 520 that say little."""
    rng = np.random.default_rng(seed)
    g, n = np.repeat(np.arange(4), 450), 1800
    level = np.array([2.0, 4.0, 8.0, 12.0])[g]
    x = rng.normal(0, 0.1233, n) - level
    y = x + level + rng.normal(size=n)
    others = [Term(rng.permutation(np.arange(n) % 520)) for _ in range(2)]
    X = np.column_stack([np.ones(n), x])
    assert (
        fit(y, X, [*others, Term(g)], "ML").criterion <= fit(y, X, Term(g), "ML").criterion + 1e-6
    )


# --- intervals of predictions


def test_the_mean_of_a_new_study_as_metafor_publishes_it():
    """Log risk ratios, REML: mean -0.7145 (-1.0669 to -0.3622), new study -1.8667 to 0.4376."""
    a, b, c, d = datasets.load("bcg")[["tpos", "tneg", "cpos", "cneg"]].to_numpy().T
    y = np.log(a / (a + b)) - np.log(c / (c + d))
    v = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    model = fit(y, np.ones((13, 1)), Term(np.arange(13)), tau2=1, weights=1 / v)
    new = model.predict(np.ones((1, 1)), Term(["new"]), new_groups="population")
    assert new.interval(of="mean")[0] == pytest.approx([-1.0669, -0.3622], abs=5e-5)
    assert new.interval(of="group")[0] == pytest.approx([-1.8667, 0.4376], abs=5e-5)
    known = model.predict(np.ones((1, 1)), Term([3]))
    assert known.interval(of="group") == pytest.approx(known.interval(of="mean"), rel=1e-15)
    alone = model.predict(np.ones((1, 1)))
    assert alone.var_group == pytest.approx(new.var_group, rel=1e-12)


def test_intervals_of_the_mean_the_group_and_the_row():
    """A known person, and a new one in a known and in a new place: dense conditioning."""
    rng, n = np.random.default_rng(8), 60
    g, h, x = np.arange(n) % 6, np.arange(n) % 5, rng.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    y = X @ [1, 2] + (X * rng.normal(size=(6, 2))[g]).sum(axis=1) + 2 * rng.normal(size=5)[h]
    model = fit(y + rng.normal(size=n), X, [Term(g, X), Term(h)])
    rows, persons, places = np.array([[1, 0.5]] * 3), [2, 77, 77], [1, 1, 99]
    told = model.predict(rows, [Term(persons, rows), Term(places)], new_groups="population")
    S1, S2, tau2 = model.Sigma[0], model.Sigma[1][0, 0], model.tau2
    everyone, everywhere = np.append(g, persons), np.append(h, places)
    Z = np.vstack([X, rows])
    joint = np.equal.outer(everyone, everyone) * (Z @ S1 @ Z.T)
    joint = joint + np.equal.outer(everywhere, everywhere) * S2
    V, C = joint[:n, :n] + tau2 * np.eye(n), joint[:n, n:]
    Vi = np.linalg.inv(V)
    A = np.linalg.inv(X.T @ Vi @ X)
    lean = rows - C.T @ Vi @ X
    var = np.diag(joint[n:, n:]) - np.diag(C.T @ Vi @ C) + np.diag(lean @ A @ lean.T)
    unknown = np.array([0, rows[1] @ S1 @ rows[1], rows[2] @ S1 @ rows[2] + S2])
    for of, expected in (("group", var), ("mean", var - unknown), ("row", var + tau2)):
        low, high = told.interval(0.5, of).T
        assert (high + low) / 2 == pytest.approx(told.mean, abs=1e-12)
        assert (high - low) / 2 == pytest.approx(0.6744897501960817 * np.sqrt(expected), rel=1e-8)
    assert (told.interval(0.5) == told.interval(0.5, "row")).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((95,), "level is the coverage"),
        ((np.complex128(1),), "level is the coverage"),
        ((0.95, "study"), "of is unknown"),
        ((0.95, None), "of is unknown"),
    ],
)
def test_intervals_of_something_else_are_refused(arguments, words):
    model = fit(np.arange(6.0) ** 2, np.ones((6, 1)), Term([0, 0, 1, 1, 2, 2]))
    with pytest.raises(InputError, match=words):
        model.predict(np.ones((1, 1))).interval(*arguments)


def test_a_response_that_is_enormous_beside_a_known_noise():
    """What the noise says is lost in the rounding of y: no answer rather than a wrong one."""
    rng, g = np.random.default_rng(24), np.repeat(np.arange(8), 4)
    y = rng.normal(size=8)[g] + rng.normal(size=32)
    X = np.ones((32, 1))
    assert fit(y, X, Term(g), tau2=1).certificate.ok
    with pytest.raises(InputError, match="beside the known noise"):
        fit(1e56 * y, X, [Term(g), Term(np.arange(32) % 5)], tau2=1)
    with pytest.raises(InputError, match="give X an intercept"):
        fit(1e9 + y, np.empty((32, 0)), Term(g), tau2=1)
    shifted = fit(1e9 + y, X, Term(g), tau2=1).Sigma[0]
    assert shifted == pytest.approx(fit(y, X, Term(g), tau2=1).Sigma[0], rel=1e-6)
