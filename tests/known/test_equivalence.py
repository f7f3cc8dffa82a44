"""Every record of EQUIVALENCES holds where its scope says so, and fails somewhere else."""

import dataclasses

import numpy as np
import pytest
import sympy as sp
import theorems
from scipy.optimize import minimize
from scipy.stats import norm

from mixhier_lite import (
    EQUIVALENCES,
    Equivalence,
    InputError,
    LinearMixedModel,
    flat,
    gls_blup,
    henderson,
    indicator,
    posterior,
    ridge,
)

ROUTES = {
    "gls_blup": gls_blup,
    "henderson": henderson,
    "ridge": ridge,
    "posterior": lambda model, y: posterior(model, y, flat(model.p)),
}
RECORDS = {record.label: record for record in EQUIVALENCES}
SEEDS = range(4)

# --- models, random and unbalanced; the variance ratio ranges over four powers of ten


def zoo(seed):
    """One random model of each kind."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(6), rng.permutation([1, 1, 2, 3, 4, 9]))
    n = len(groups)
    D, one, x = indicator(groups), np.ones((n, 1)), rng.normal(size=(n, 1))
    t = 10 + x  # nearly parallel to the intercept
    u = D @ np.column_stack([np.ones(6), rng.normal(size=6)])
    lonely = np.eye(n)[:, [rng.integers(n)]]
    dense_D, dense_X = rng.normal(size=(n, 6)), rng.normal(size=(n, 3))
    A = rng.normal(size=(6, 6))
    sigma2 = 10 ** rng.uniform(-2, 2)
    dense, sphere, singular = A @ A.T + 0.1 * np.eye(6), sigma2 * np.eye(6), A[:, :2] @ A[:, :2].T
    inputs = {
        "dense": (dense_X, dense_D, dense),
        "dense, spherical": (dense_X, dense_D, sphere),
        "groups": (np.hstack([one, x]), D, dense),
        "groups, spherical": (np.hstack([one, x]), D, sphere),
        "group level": (u, D, dense),
        "group level, spherical": (u, D, sphere),
        "nearly group level": (u + 1e-4 * np.hstack([0 * x, x]), D, sphere),
        "unequal variances": (np.hstack([one, x]), D, np.diag([1.0, 2, 3, 4, 5, 6])),
        "slopes, spherical": (np.hstack([one, t]), np.hstack([D, t * D]), np.eye(12) * sigma2),
        "no intercept": (x, D, sphere),
        "no fixed effect": (np.zeros((n, 0)), D, sphere),
        "empty group": (u, np.hstack([D, np.zeros((n, 1))]), sigma2 * np.eye(7)),
        "more columns than rows": (x[:8], rng.normal(size=(8, 20)), sigma2 * np.eye(20)),
        "singular": (np.hstack([one, x]), D, singular),
        "lonely row": (np.hstack([one, lonely]), D, sphere),
    }
    models = {kind: LinearMixedModel(*args, tau2=0.7) for kind, args in inputs.items()}
    # an equality of algebra: y is any vector, not only one that the model would draw
    return {kind: (model, 5 + 3 * rng.normal(size=model.n)) for kind, model in models.items()}


ALL = set(zoo(0))
REGULAR = ALL - {"singular"}
SPHERICAL = {kind for kind in ALL if "spherical" in kind} | {
    "nearly group level",
    "no intercept",
    "no fixed effect",
    "empty group",
    "more columns than rows",
    "lonely row",
}
IN_SCOPE = {  # by hand, from the theorems
    "thm-mixed-marginal": REGULAR,
    "thm-gls-blup": ALL,
    "thm-henderson": REGULAR,
    "thm-determinant": REGULAR,
    "thm-zero-sum": {kind for kind in REGULAR if kind.startswith("group")}
    | {"unequal variances", "empty group", "lonely row", "slopes, spherical"}
    | {"nearly group level"},
    "thm-centred": {"group level", "group level, spherical", "empty group"}
    | {"more columns than rows", "slopes, spherical", "no fixed effect"},
    "thm-flat": ALL,
    "thm-three-variances": ALL,
    "thm-calibration": ALL,
    "thm-ridge": SPHERICAL,
    "thm-shrinkage": SPHERICAL
    - {"dense, spherical", "slopes, spherical", "more columns than rows"},
    "thm-edf": SPHERICAL,
    "thm-loo": ALL - {"lonely row"},
    "thm-general-ridge": ALL,
}
COUNTER_EXAMPLES = {
    "thm-mixed-marginal": ["singular"],
    "thm-henderson": ["singular"],
    "thm-determinant": ["singular"],
    "thm-zero-sum": ["no intercept", "dense"],
    "thm-centred": ["groups", "no intercept", "nearly group level"],
    "thm-ridge": ["groups", "unequal variances"],
    "thm-shrinkage": ["groups", "unequal variances", "slopes, spherical"],
    "thm-edf": ["groups", "unequal variances"],
    "thm-loo": ["lonely row"],
}


@pytest.mark.parametrize("label", RECORDS)
@pytest.mark.slow
def test_holds_in_its_scope(label):
    record, seen = RECORDS[label], 0
    for seed in SEEDS:
        for kind, (model, y) in zoo(seed).items():
            if record.in_scope(model):
                if seed == 0:
                    assert record.left(model, y).shape == record.right(model, y).shape, kind
                assert record.gap(model, y) <= record.tolerance, (kind, seed)
                seen += 1
    assert seen >= 3 * len(SEEDS)


@pytest.mark.parametrize("label", RECORDS)
def test_scope_as_code_is_the_scope_of_the_theorem(label):
    for seed in SEEDS:
        models = zoo(seed).items()
        assert {k for k, (model, _) in models if RECORDS[label].in_scope(model)} == IN_SCOPE[label]


@pytest.mark.parametrize("label", RECORDS)
def test_would_notice_a_slightly_wrong_variance(label):
    """The comparison has power: one side at another tau2 is far outside the tolerance."""
    record = RECORDS[label]
    model, y = zoo(1)["group level, spherical"]
    wrong = dataclasses.replace(model, tau2=1.01 * model.tau2)
    mixed = Equivalence(**{**vars(record), "right": lambda m, y: record.right(wrong, y)})
    assert mixed.gap(model, y) > 1e3 * record.tolerance


def _fails(record, model, y):
    """Say whether an equality breaks: a gap that anyone would see, or a refusal in words."""
    try:
        return record.gap(model, y) > 1e-3
    except InputError:
        return True


@pytest.mark.parametrize(
    ("label", "kind"),
    [(label, kind) for label in RECORDS for kind in COUNTER_EXAMPLES.get(label, ())],
)
def test_ends_where_it_says(label, kind):
    for seed in SEEDS:
        model, y = zoo(seed)[kind]
        assert not RECORDS[label].in_scope(model)
        assert _fails(RECORDS[label], model, y), seed


def test_every_scope_that_can_fail_has_a_counter_example():
    assert set(COUNTER_EXAMPLES) == {label for label, kinds in IN_SCOPE.items() if kinds != ALL}


@pytest.mark.parametrize(
    "label", [k for k in RECORDS if RECORDS[k].scope.startswith("exact given")]
)
def test_refuses_alpha_that_is_not_identified(label):
    model, y = zoo(2)["groups, spherical"]
    twice = dataclasses.replace(model, X=np.hstack([model.X, model.X[:, :1]]))
    with pytest.raises(InputError, match="not identified"):
        RECORDS[label].gap(twice, y)


# --- models at the edge of sense: in scope, and too small for a relative gap or a loop


EDGES = {
    "J = 0": LinearMixedModel(np.ones((5, 1)), np.ones((5, 0)), np.eye(0), 1.0),
    "p = 0": LinearMixedModel(np.ones((5, 0)), indicator([0, 0, 1, 1, 1]), np.eye(2), 1.0),
    "one group": LinearMixedModel(np.ones((5, 1)), np.ones((5, 1)), np.eye(1), 1.0),
    "D inside X": LinearMixedModel(np.eye(5)[:, :2], np.eye(5)[:, :2], np.eye(2), 1.0),
    "one row": LinearMixedModel(np.ones((1, 1)), np.ones((1, 1)), np.eye(1), 1.0),
    "one row, p = 0": LinearMixedModel(np.ones((1, 0)), np.ones((1, 1)), np.eye(1), 1.0),
    "Sigma = 0": LinearMixedModel(np.ones((5, 1)), np.eye(5), np.zeros((5, 5)), 1.0),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("label", RECORDS)
def test_holds_at_the_edge_of_its_scope(label, edge, capfd):
    model, record = EDGES[edge], RECORDS[label]
    if record.in_scope(model):
        assert record.gap(model, np.array([1.0, 3.0, 2.5, -1.0, 2.0])[: model.n]) <= 1e-9
    assert capfd.readouterr().out == "", "LAPACK speaks to the reader"


# --- the records as a list


def test_labels_are_the_theorems_of_the_first_seven_chapters():
    labels = [record.label for record in EQUIVALENCES]
    assert len(set(labels)) == len(labels)
    part_one = tuple(f"{number:02}-" for number in range(1, 8))
    proved = [result.label for result in theorems.results() if result.page.startswith(part_one)]
    without_a_record = {"thm-limits", "thm-flat-limit", "thm-penalty-prior", "lem-residual",
                        "thm-design-effect", "thm-james-stein"}  # fmt: skip
    assert set(labels) | without_a_record == set(proved)
    pages = {result.label: result.page for result in theorems.results()}
    assert [pages[label] for label in labels] == sorted(pages[label] for label in labels)


def test_titles_are_those_of_the_theorems():
    titles = {result.label: result.title for result in theorems.results()}
    for record in EQUIVALENCES:
        assert record.title == titles[record.label]


def test_records_say_what_and_when():
    for record in EQUIVALENCES:
        assert record.statement and record.scope and 0 < record.tolerance <= 1e-9
        narrow = IN_SCOPE[record.label] != ALL
        assert narrow == any(word in record.scope for word in ("definite", "=", "any one"))


def test_gap_is_relative_to_the_largest_entry_of_both_sides():
    def record(left, right):
        return Equivalence(
            "",
            "",
            "",
            "",
            lambda m, y: np.array(left),
            lambda m, y: np.array(right),
            lambda m: True,
        )

    model, y = zoo(0)["groups"]
    assert record([1.0, -4.0], [1.0, -5.0]).gap(model, y) == pytest.approx(0.2)
    assert record([1.0, 8.0], [3.0, 8.0]).gap(model, y) == pytest.approx(0.25)
    assert record([0.0, 0.0], [0.0, 0.0]).gap(model, y) == 0
    assert record([], []).gap(model, y) == 0
    assert not record([np.nan], [1.0]).gap(model, y) <= 1


# --- a witness: values of the densities only, no linear algebra


@pytest.fixture(scope="module")
def small():
    """Five records in three groups, one fixed effect that varies within groups."""
    X, D = np.array([[1.0], [2.0], [1.0], [0.0], [3.0]]), indicator([0, 0, 1, 1, 2])
    return LinearMixedModel(X, D, 2.0 * np.eye(3), 1.5), np.array([1.0, 3.0, 2.5, -1.0, 2.0])


def _log_density(model, y, alpha, beta):
    """Log p(y, beta; alpha) for a batch of points, from its definition one number at a time."""
    log_p = norm.logpdf(beta, 0, np.sqrt(model.Sigma[0, 0])).sum(axis=-1)
    for i in range(model.n):
        mean = sum(alpha[..., k] * model.X[i, k] for k in range(model.p))
        mean = mean + sum(beta[..., j] * model.D[i, j] for j in range(model.J))
        log_p = log_p + norm.logpdf(y[i], mean, np.sqrt(model.tau2))
    return log_p


@pytest.mark.parametrize("route", ROUTES)
def test_numerical_maximum_of_the_density_is_every_route(small, route):
    model, y = small
    found = minimize(lambda c: -_log_density(model, y, c[:1], c[1:]), np.zeros(4), tol=1e-10)
    effects = ROUTES[route](model, y)
    assert np.append(effects.fixed, effects.random) == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.slow
def test_weighted_draws_from_the_prior_have_the_mean_and_covariance_of_every_route(small, route):
    model, y = small
    rng = np.random.default_rng(11)
    alpha = rng.uniform(-5, 7, (400_000, 1))  # flat wherever the likelihood is not negligible
    beta = np.sqrt(2.0) * rng.standard_normal((400_000, 3))
    log_w = _log_density(model, y, alpha, beta) - norm.logpdf(beta, 0, np.sqrt(2.0)).sum(axis=1)
    w = np.exp(log_w - log_w.max())
    draws = np.hstack([alpha, beta])
    effects = ROUTES[route](model, y)
    noise = 5 / np.sqrt(w.sum() ** 2 / (w**2).sum())  # five Monte Carlo standard errors
    scale = np.sqrt(np.diag(effects.cov))
    assert np.append(effects.fixed, effects.random) == pytest.approx(
        np.average(draws, axis=0, weights=w), abs=noise * scale.max()
    )
    assert (
        np.abs(np.cov(draws.T, aweights=w) - effects.cov) < 2 * noise * np.outer(scale, scale)
    ).all()
    assert noise < 0.05


# --- a proof for one small design: formulas in the place of numbers

Y = sp.Matrix(sp.symbols("y1:5"))
SIGMA2, TAU2, KAPPA = sp.symbols("sigma2 tau2 kappa", positive=True)
X = sp.ones(4, 1)
D = sp.Matrix([[1, 0], [1, 0], [0, 1], [0, 1]])
W = X.row_join(D)


def best_rule():
    """Return the matrix that makes GLS and BLUP of y, from V."""
    V_inverse = (SIGMA2 * D * D.T + TAU2 * sp.eye(4)).inv()
    for_alpha = (X.T * V_inverse * X).inv() * X.T * V_inverse
    return for_alpha.col_join(SIGMA2 * D.T * V_inverse * (sp.eye(4) - X * for_alpha))


def errors_of(rule):
    """Return the covariance of (rule y - (alpha, beta)), for a rule that is unbiased for alpha."""
    assert sp.simplify(rule * X) == sp.Matrix([1, 0, 0])
    miss = rule * D - sp.zeros(1, 2).col_join(sp.eye(2))
    return SIGMA2 * miss * miss.T + TAU2 * rule * rule.T


def equations(price_of_alpha=0):
    """Return Henderson's matrix, or one that penalises alpha."""
    lam = TAU2 / SIGMA2
    return W.T * W + sp.diag(price_of_alpha, lam, lam)


def least_penalised():
    """Return the point where the derivatives of the penalised sum of squares are zero."""
    c = sp.Matrix(sp.symbols("a b1 b2"))
    e = Y - W * c
    price = e.dot(e) + TAU2 / SIGMA2 * (c[1] ** 2 + c[2] ** 2)
    return c.subs(sp.solve([price.diff(letter) for letter in c], list(c)))


def flattened(formula):
    return formula.applyfunc(lambda f: sp.limit(sp.cancel(f), KAPPA, sp.oo))


def conditioned():
    """Return mean and covariance of (alpha, beta) given y, alpha with the variance kappa."""
    prior = sp.diag(KAPPA, SIGMA2, SIGMA2)
    gain = prior * W.T * (W * prior * W.T + TAU2 * sp.eye(4)).inv()
    return gain * Y, prior - gain * W * prior


@pytest.mark.theorem("thm-henderson")
@pytest.mark.theorem("thm-ridge")
@pytest.mark.theorem("thm-flat")
@pytest.mark.slow
def test_two_groups_of_two_rows_agree_as_formulas_in_y_and_both_variances():
    rule = best_rule()
    mean, covariance = conditioned()
    means = [equations().inv() * W.T * Y, least_penalised(), flattened(mean)]
    assert all(sp.simplify(found - rule * Y) == sp.zeros(3, 1) for found in means)
    spreads = [TAU2 * equations().inv(), flattened(covariance)]
    assert all(sp.simplify(found - errors_of(rule)) == sp.zeros(3, 3) for found in spreads)


@pytest.mark.slow
def test_formulas_of_other_recipes_differ():
    """A proper prior and a penalty on alpha are other rules, and their formulas say so."""
    rule = best_rule() * Y
    for other in (conditioned()[0], equations(TAU2 / SIGMA2).inv() * W.T * Y):
        assert all(sp.simplify(difference) != 0 for difference in other - rule)


@pytest.mark.slow
def test_formulas_have_the_numbers_of_every_route():
    y, sigma2, tau2 = [3.0, -1.0, 4.0, 2.5], 2.0, 0.7
    values = dict(zip(Y, y, strict=True)) | {SIGMA2: sigma2, TAU2: tau2}
    points = np.array((best_rule() * Y).subs(values), float).ravel()
    spread = np.array(errors_of(best_rule()).subs(values), float)
    model = LinearMixedModel(np.array(X, float), np.array(D, float), sigma2 * np.eye(2), tau2=tau2)
    for route in ROUTES.values():
        effects = route(model, y)
        np.testing.assert_allclose(np.append(effects.fixed, effects.random), points, rtol=1e-12)
        np.testing.assert_allclose(effects.cov, spread, rtol=1e-12)
