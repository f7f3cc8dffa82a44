"""Nested and crossed factors: what rows share, mean squares, and orders of elimination."""

import itertools
import json

import numpy as np
import pytest
from conftest import ROOT

from mixhier_lite import LinearMixedModel, Term, datasets, fit, indicator, lmer

SAID = json.loads(
    (ROOT / "tests" / "reference" / "nested" / "said.json").read_text(encoding="utf-8")
)
FORMULAS = {
    "slash": "strength ~ 1 + (1 | batch/cask)",
    "reused": "strength ~ 1 + (1 | batch) + (1 | cask)",
    "batch": "strength ~ 1 + (1 | batch)",
    "sample": "strength ~ 1 + (1 | sample)",
}


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", FORMULAS)
def test_casks_as_lme4_has_them(name, method):
    """Labels that start again, with the slash and without it."""
    said = SAID["Pastes"][method][name]
    model = lmer(FORMULAS[name], datasets.load("Pastes"), method=method)
    assert model.criterion == pytest.approx(said["criterion"], rel=1e-10)
    names = [{"batch:cask": "cask:batch"}.get(term, term) for term in model.term_names]
    for term, Sigma in zip(names, model.Sigma, strict=True):
        assert Sigma[0, 0] ** 0.5 == pytest.approx(said["sd"][term], rel=1e-5)
    assert model.tau2**0.5 == pytest.approx(said["sd"]["Residual"], rel=1e-6)
    assert model.fixed[0] == pytest.approx(said["fixed"]) and model.fixed_se[0] == pytest.approx(
        said["se"], rel=1e-5
    )
    if name == "slash":
        at = list(model.levels[1]).index("B:c")
        assert model.random[1][at, 0] == pytest.approx(said["random"]["cask:batch"]["c:B"], 1e-4)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_plates_as_lme4_has_them(method):
    said = SAID["Penicillin"][method]
    penicillin = datasets.load("Penicillin")
    model = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin, method=method)
    assert model.criterion == pytest.approx(said["criterion"], rel=1e-11)
    for term, Sigma in zip(model.term_names, model.Sigma, strict=True):
        assert Sigma[0, 0] ** 0.5 == pytest.approx(said["sd"][term], rel=1e-5)


# --- what two rows share


def towns(seed, n=40):
    """Pupils of schools of towns; every school has its own label."""
    rng = np.random.default_rng(seed)
    school = rng.integers(0, 9, n)
    return school // 3, school, rng.integers(0, 4, n)  # town, school, and a teacher of anywhere


@pytest.mark.theorem("thm-shared-levels")
def test_covariances_of_rows_add_up_what_they_share():
    """Counted pair by pair, against the dense model, and against drawn data."""
    town, school, teacher = towns(1)
    factors, variances, tau2 = (town, school, teacher), (2.0, 0.7, 1.1), 0.4
    D = np.hstack([indicator(f) for f in factors])
    Sigma = np.diag(np.repeat(variances, [len(np.unique(f)) for f in factors]))
    V = LinearMixedModel(np.ones((40, 1)), D, Sigma, tau2).V
    rng = np.random.default_rng(2)
    drawn = np.sqrt(tau2) * rng.normal(size=(40, 4000))
    for levels, variance in zip(factors, variances, strict=True):
        drawn += np.sqrt(variance) * rng.normal(size=(12, 4000))[levels]
    sampled = drawn @ drawn.T / 4000
    for i, j in itertools.product(range(40), repeat=2):
        shared = sum(v for f, v in zip(factors, variances, strict=True) if f[i] == f[j])
        wanted = shared + tau2 * (i == j)
        assert V[i, j] == pytest.approx(wanted)
        assert abs(sampled[i, j] - wanted) < 6 * np.sqrt((V[i, i] ** 2 + wanted**2) / 4000)


@pytest.mark.theorem("thm-shared-levels")
def test_nested_levels_are_shared_from_the_top_and_crossed_ones_connect():
    town, school, teacher = towns(3)
    depth = np.equal.outer(town, town).astype(int) + np.equal.outer(school, school)
    same_school = np.equal.outer(school, school)
    assert np.array_equal(depth == 2, same_school)  # who shares a school shares the town

    def blocks(*factors):
        """How many sets of rows no covariance connects, by powers of the pattern of V."""
        reach = sum(np.equal.outer(f, f) for f in factors) > 0
        for _ in range(6):
            reach = (reach.astype(float) @ reach) > 0
        return len({tuple(row) for row in reach})

    assert blocks(town, school) == len(np.unique(town)) == 3
    assert blocks(town, school, teacher) == 1
    reused = school % 3  # labels that start again in every town
    assert blocks(town, reused) == 1


# --- mean squares


def nested(seed, J=6, C=3, m=2, sds=(2.0, 1.5, 0.7)):
    rng = np.random.default_rng(seed)
    a, b, c = sds
    y = 5 + a * rng.normal(size=(J, 1, 1)) + b * rng.normal(size=(J, C, 1))
    return y + c * rng.normal(size=(J, C, m))


def squares(y):
    """The three mean squares, with loops and nothing else."""
    J, C, m = y.shape
    batch = sum((y[j].mean() - y.mean()) ** 2 for j in range(J))
    cask = sum((y[j, c].mean() - y[j].mean()) ** 2 for j in range(J) for c in range(C))
    assay = sum(((y[j, c] - y[j, c].mean()) ** 2).sum() for j in range(J) for c in range(C))
    return np.array([C * m * batch / (J - 1), m * cask / (J * (C - 1)), assay / (J * C * (m - 1))])


def fitted(y):
    J, C, m = y.shape
    cask = np.repeat(np.arange(J * C), m)
    return fit(y.ravel(), np.ones((y.size, 1)), [Term(cask // C), Term(cask)])


@pytest.mark.theorem("thm-nested-anova")
@pytest.mark.parametrize("shape", [(6, 3, 2), (8, 2, 3), (4, 5, 4)])
def test_mean_squares_are_reml(shape):
    J, C, m = shape
    inside = 0
    for seed in range(4):
        y = nested(seed, *shape)
        ms = squares(y)
        model = fitted(y)
        found = [model.Sigma[0][0, 0], model.Sigma[1][0, 0], model.tau2]
        pencil = [(ms[0] - ms[1]) / (C * m), (ms[1] - ms[2]) / m, ms[2]]
        if ms[0] >= ms[1] >= ms[2]:
            inside += 1
            assert found == pytest.approx(pencil, rel=1e-6, abs=1e-9)
            assert model.fixed_se[0] == pytest.approx(np.sqrt(ms[0] / y.size), rel=1e-7)
            assert model.satterthwaite().df[0] == pytest.approx(J - 1, rel=1e-6)
        else:
            assert model.singular and min(pencil) < 0
    assert inside >= 2


@pytest.mark.theorem("thm-nested-anova")
def test_outside_of_its_order_the_estimate_is_another():
    """Batches that differ less than their casks would make them."""
    y = nested(0, sds=(0.0, 1.5, 0.7))
    y = y - y.mean(axis=(1, 2), keepdims=True)
    ms = squares(y)
    model = fitted(y)
    assert ms[0] < ms[1] and model.Sigma[0][0, 0] == 0
    assert model.Sigma[1][0, 0] != pytest.approx((ms[1] - ms[2]) / 2, rel=1e-3)


@pytest.mark.theorem("thm-nested-anova")
@pytest.mark.slow
def test_mean_squares_have_their_means_and_are_independent():
    draws = np.array([squares(nested(seed)) for seed in range(3000)])
    tau2, s2, s1 = 0.49, 2.25, 4.0
    wanted = np.array([tau2 + 2 * s2 + 6 * s1, tau2 + 2 * s2, tau2])
    df = np.array([5, 12, 18])
    error = wanted * np.sqrt(2 / df / len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - wanted) < 4 * error)
    assert np.all(np.abs(draws.var(axis=0) / (2 * wanted**2 / df) - 1) < 0.25)
    assert np.all(np.abs(np.corrcoef(draws.T)[np.triu_indices(3, 1)]) < 4 / np.sqrt(len(draws)))


# --- orders of elimination


def henderson(first, second, weights=None):
    D = np.hstack([indicator(first), indicator(second)])
    w = np.ones(len(first)) if weights is None else weights
    return D.T @ (w[:, None] * D) + np.diag(np.linspace(0.5, 1.5, D.shape[1]))


def least_fill(H):
    """The fewest zeros that fill in, over all orders of elimination, in numbers."""
    best = np.inf
    for order in itertools.permutations(range(len(H))):
        ordered = H[np.ix_(order, order)]
        L = np.linalg.cholesky(ordered)
        best = min(best, ((np.abs(L) > 1e-10) & (np.tril(ordered) == 0)).sum())
        if best == 0:
            break
    return best


def has_ring(first, second):
    """Take away levels that meet at most one other until none is left, or a ring is."""
    meet = (indicator(first).T @ indicator(second)) > 0
    while meet.size:
        rows, columns = meet.sum(axis=1) > 1, meet.sum(axis=0) > 1
        if rows.all() and columns.all():
            return True
        meet = meet[rows][:, columns]
    return False


@pytest.mark.theorem("thm-elimination-order")
@pytest.mark.slow
def test_every_order_fills_in_exactly_where_there_is_a_ring():
    """Random layouts of at most seven levels: all orders, dense Cholesky factors."""
    rng = np.random.default_rng(7)
    seen = {True: 0, False: 0}
    for _ in range(60):
        n = int(rng.integers(5, 9))
        first, second = rng.integers(0, 4, n), rng.integers(0, 3, n)
        H = henderson(first, second, rng.uniform(0.5, 2, n))
        ring = has_ring(first, second)
        assert (least_fill(H) > 0) == ring
        seen[ring] += 1
    assert min(seen.values()) > 8


@pytest.mark.theorem("thm-elimination-order")
def test_inner_levels_first_and_a_ring_of_four():
    inner = np.array([0, 0, 1, 2, 3, 3, 4])
    H = henderson(inner, inner // 2)
    assert ((np.abs(np.linalg.cholesky(H)) > 1e-10) & (np.tril(H) == 0)).sum() == 0
    back = np.r_[5:8, 0:5]  # outer levels first: here the inner ones of an outer get tied
    turned = H[np.ix_(back, back)]
    assert ((np.abs(np.linalg.cholesky(turned)) > 1e-10) & (np.tril(turned) == 0)).sum() == 2
    assert least_fill(henderson(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))) == 1
    six = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 0])  # a ring of six
    assert least_fill(henderson(*six)) == 3


def test_three_nested_factors_fill_nothing_from_the_innermost_out():
    """Suppliers, their batches, the casks of these; and from the outermost in, a good deal."""
    cask = np.repeat(np.arange(24), 2)
    D = np.hstack([indicator(cask), indicator(cask // 3), indicator(cask // 12)])
    H = D.T @ D + np.eye(D.shape[1])

    def fill(order):
        ordered = H[np.ix_(order, order)]
        return ((np.abs(np.linalg.cholesky(ordered)) > 1e-10) & (np.tril(ordered) == 0)).sum()

    inward = np.arange(len(H))
    assert fill(inward) == 0 and fill(inward[::-1]) > 24
