"""The fit does not depend on the columns in which the reader writes a model."""

import functools

import numpy as np
import pytest
from dense import criterion
from random_fits import random_problem

from mixhier_lite import Gram, Term, datasets, fit, gather
from mixhier_lite.variance.assembly import assemble
from mixhier_lite.variance.certificate import certify
from mixhier_lite.variance.theta import ActiveEntries

KINDS = (
    *("plain", "weights", "known tau2", "ML", "K"),
    *("two terms", "slopes in two terms", "three columns", "six columns"),
)


def layout(kind, seed=0):
    """Rows with a covariate of mean zero; terms as (groups, Z, K), and arguments of fit."""
    rng = np.random.default_rng(seed)
    J, n = 9, 72
    g = rng.permutation(np.append(np.repeat(np.arange(J), 4), rng.integers(0, J, n - 4 * J)))
    x = rng.normal(size=n)
    Z = np.column_stack([np.ones(n), x - x.mean()])
    more = {"three columns": 1, "six columns": 4}.get(kind, 0)
    Z = np.column_stack([Z, rng.normal(size=(n, more))])
    beta = rng.normal(size=(J, Z.shape[1])) * [1.5, 0.8, 0.6, 0.0, 0.0, 0.4][: Z.shape[1]]
    y = Z[:, :2] @ [1.0, 0.5] + (Z * beta[g]).sum(axis=1) + rng.normal(size=n)
    K, terms = None, []
    if kind == "K":
        M = rng.normal(size=(J, 30))
        K = M @ M.T / 30
    terms.append((g, Z, K))
    if "two terms" in kind:
        h = rng.integers(0, 6, n)
        y = y + rng.normal(size=6)[h]
        terms.append((h, Z if kind == "slopes in two terms" else np.ones((n, 1)), None))
    arguments = {"method": "ML" if kind == "ML" else "REML"}
    if kind == "weights":
        arguments["weights"] = rng.uniform(0.3, 3, n)
    if kind == "known tau2":
        arguments["tau2"] = 1.3
    return y, Z[:, :2].copy(), terms, arguments


def fitted(y, X, terms, arguments, A=None):
    """A fit with the columns of each term that has them multiplied by A."""
    out = []
    for g, Z, K in terms:
        maps = A is not None and Z.shape[1] == len(A)
        out.append(Term(g, Z @ A if maps else Z, K))
    return fit(y, X, out, **arguments), out


def same(a, b, A, terms_a, terms_b, X, rel=1e-8):
    """What does not depend on the basis is the same; Sigma, and BLUPs, map."""
    assert b.criterion == pytest.approx(a.criterion, rel=rel, abs=rel)
    assert b.tau2 == pytest.approx(a.tau2, rel=10 * rel)
    np.testing.assert_allclose(b.fixed, a.fixed, rtol=10 * rel, atol=10 * rel)
    np.testing.assert_allclose(b.fixed_cov, a.fixed_cov, rtol=10 * rel, atol=10 * rel)
    for t, Sigma in enumerate(a.Sigma):
        back = A if len(Sigma) == len(A) else np.eye(len(Sigma))
        np.testing.assert_allclose(back @ b.Sigma[t] @ back.T, Sigma, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(b.random[t] @ back.T, a.random[t], rtol=1e-6, atol=1e-6)
        PEV = back @ b.random_cov[t] @ back.T
        np.testing.assert_allclose(PEV, a.random_cov[t], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(b.satterthwaite().df, a.satterthwaite().df, rtol=1e-6)
    one, two = a.predict(X, terms_a), b.predict(X, terms_b)
    for name in ("mean", "var_mean", "var_new"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-6, atol=1e-6)
    assert b.singular == a.singular
    assert a.certificate.ok and b.certificate.ok


@functools.cache
def as_it_is(kind, seed=0):
    """A layout, and its fit and terms in its own columns."""
    of = layout(kind, seed)
    return of, fitted(*of)


@pytest.mark.parametrize("shift", [3.0, -1e4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_the_zero_of_a_covariate(kind, shift):
    (y, X, terms, arguments), (a, terms_a) = as_it_is(kind)
    A = np.eye(terms[0][1].shape[1])
    A[0, 1] = shift  # x + shift
    b, terms_b = fitted(y, X, terms, arguments, A)
    same(a, b, A, terms_a, terms_b, X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_any_invertible_matrix(kind, seed):
    (y, X, terms, arguments), (a, terms_a) = as_it_is(kind, seed)
    q = terms[0][1].shape[1]
    A = np.random.default_rng([seed, 7]).normal(size=(q, q)) + 2 * np.eye(q)
    b, terms_b = fitted(y, X, terms, arguments, A)
    same(a, b, A, terms_a, terms_b, X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_columns_of_X_map_too(kind):
    """The criterion of REML moves by 2 log abs det B, and that of ML does not."""
    (y, X, terms, arguments), (a, _) = as_it_is(kind)
    B = np.array([[1.0, 0.7], [-0.4, 2.5]])
    b, _ = fitted(y, X @ B, terms, arguments)
    moved = 2 * np.log(abs(np.linalg.det(B))) if arguments["method"] == "REML" else 0.0
    assert b.criterion - a.criterion == pytest.approx(moved, abs=1e-8)
    np.testing.assert_allclose(B @ b.fixed, a.fixed, rtol=1e-8)
    np.testing.assert_allclose(B @ b.fixed_cov @ B.T, a.fixed_cov, rtol=1e-7)
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weights", [False, True])
def test_independent_columns_are_scaled_and_permuted(weights):
    y, X, terms, arguments = layout("weights" if weights else "three columns")
    (g, Z, _), *_ = terms
    order, scale = np.arange(Z.shape[1])[::-1], 10.0 ** np.arange(Z.shape[1])
    a = fit(y, X, Term(g, Z, correlated=False), **arguments)
    b = fit(y, X, Term(g, (Z * scale)[:, order], correlated=False), **arguments)
    assert b.criterion == pytest.approx(a.criterion, abs=1e-9)
    np.testing.assert_allclose(b.theta[order] * scale, a.theta, rtol=1e-7)
    np.testing.assert_allclose(b.satterthwaite().df, a.satterthwaite().df, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_labels_and_chunks(kind):
    """Other names and another order of the levels; rows in chunks, each shifted by its own."""
    (y, X, terms, arguments), (whole, _) = as_it_is(kind)
    names = np.random.default_rng(3).permutation(9)
    renamed = [Term(g, Z, K) for g, Z, K in terms]
    if terms[0][2] is None:
        renamed[0] = Term(names[terms[0][0]], terms[0][1])
        again = fit(y, X, renamed, **arguments)
        assert again.criterion == pytest.approx(whole.criterion, abs=1e-9)
        np.testing.assert_allclose(again.random[0][names], whole.random[0], atol=1e-7)
    shifted = terms[0][1] + np.eye(terms[0][1].shape[1])[1] * 2000.0
    chunks = []
    for rows in (slice(0, 20), slice(20, 21), slice(21, 72)):
        parts = []
        for t, (g, Z, K) in enumerate(terms):
            levels = np.arange(g.max() + 1)
            parts.append(Term(g[rows], (shifted if t == 0 else Z)[rows], K, levels=levels))
        w = arguments.get("weights")
        chunks.append(Gram.from_arrays(y[rows], X[rows], parts, None if w is None else w[rows]))
    rest = {key: value for key, value in arguments.items() if key != "weights"}
    merged = fit(gather(chunks), **rest)
    assert merged.criterion == pytest.approx(whole.criterion, abs=1e-7)
    assert merged.tau2 == pytest.approx(whole.tau2, rel=1e-7)


@pytest.mark.slow
def test_profile_at_another_zero():
    """What does not belong to the intercept's own standard deviation stays."""
    y, X, terms, arguments = layout("ML")
    A = np.array([[1.0, 50.0], [0.0, 1.0]])
    a, b = (fitted(y, X, terms, arguments, each)[0].profile() for each in (None, A))
    for one, two in zip(a.curves, b.curves, strict=True):
        if one.name.startswith("sd(z2") or one.name in ("sd(noise)", "x0", "x1"):
            np.testing.assert_allclose(two.interval(), one.interval(), rtol=2e-3, atol=2e-3)


def test_the_year():
    """Random slopes on a calendar year: the golden criterion, and where the search used to end."""
    data = datasets.load("sleepstudy")
    y, g = data["Reaction"].to_numpy(float), np.unique(data["Subject"], return_inverse=True)[1]
    X = np.column_stack([np.ones(len(y)), data["Days"].to_numpy(float) + 2000])
    model = fit(y, X, Term(g, X))
    assert model.criterion == pytest.approx(1743.62827195849076, abs=1e-8)
    assert model.satterthwaite().df == pytest.approx([17.0, 17.0], abs=1e-6)
    assert model.fixed_cov[1, 1] ** 0.5 == pytest.approx(1.5457896, rel=1e-6)
    # a spurious end of a search in the columns as they are: 36 too high, slopes without variance
    end = fit(y, X, Term(g))
    T = [np.diag([float(end.theta[0]), 1e-9])]
    dense = criterion(y, X, [(g, X, None)], T, "REML")
    assert dense > 1743.63 + 35
    assembly = assemble(model.gram, True, None)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    assert not certify(entries, assembly.bare(T)).ok
    assert certify(entries, assembly.bare(model.T)).ok


def test_certificates_of_degenerate_optima():
    """Between as within, so that zero is stationary to the second order; and a plain zero."""
    rng = np.random.default_rng(0)
    e = rng.normal(size=(6, 4))
    e -= e.mean(axis=1, keepdims=True)
    u = rng.normal(size=6)
    u -= u.mean()
    within = (e**2).sum() / 18
    u *= np.sqrt(within / 4 / (u @ u / 5))
    level = fit((e + u[:, None]).ravel(), np.ones((24, 1)), Term(np.repeat(np.arange(6), 4)))
    assert level.Sigma[0][0, 0] < 1e-6 and level.certificate.ok
    data = datasets.load("Dyestuff2")
    zero = fit(data["Yield"], np.ones((30, 1)), Term(data["Batch"]))
    assert zero.singular and zero.certificate.ok and zero.certificate.boundary > 0.5
    dyestuff = datasets.load("Dyestuff")
    inside = fit(dyestuff["Yield"], np.ones((30, 1)), Term(dyestuff["Batch"]))
    assert inside.certificate.boundary is None and inside.certificate.gradient < 1e-10


def test_to_turn_a_root_is_no_direction_of_a_certificate():
    """T and T C with C C' = I are the same Sigma; 0.7 stands beside 107 in T of this model."""
    y, X, terms, weights, method = random_problem(183)
    model = fit(y, X, [Term(g, Z, K, c) for g, Z, K, c in terms], method, weights)
    assembly = assemble(model.gram, method == "REML", None)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    first, second = assembly.bare(model.T)
    rng = np.random.default_rng(0)
    for _ in range(20):
        turned = first.copy()
        turned[:, :3] @= np.linalg.qr(rng.normal(size=(3, 3)))[0]
        found = certify(entries, [turned, second])
        assert found.gradient < 1e-9
        assert found.curvature == pytest.approx(model.certificate.curvature, rel=1e-5)


def test_where_nothing_is_left_of_y_is_no_minimum():
    """A search on its way to no noise may end there; what then follows is no error."""
    y = np.random.default_rng(0).normal(size=12)
    terms = [Term(np.arange(12)), Term(np.repeat(np.arange(6), 2))]
    assembly = assemble(Gram.from_arrays(y, np.ones((12, 1)), terms), True, None)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    far = [np.full((1, 1), 1e8)] * 2
    assert assembly.criterion.gradient(far) is None
    assert not certify(entries, far).ok


@pytest.mark.parametrize("seed", range(3))
def test_certificates_where_an_evaluation_counts(seed):
    """Large crossed factors, whose second derivatives are not exact."""
    rng = np.random.default_rng(seed)
    n, J = 12_000, (2000, 300)
    g, h = rng.integers(0, J[0], n), rng.zipf(1.3, n) % J[1]
    y = 0.3 * rng.normal(size=J[0])[g] + 0.5 * rng.normal(size=J[1])[h] + rng.normal(size=n)
    model = fit(y, np.column_stack([np.ones(n), rng.normal(size=n)]), [Term(g), Term(h)])
    assert model.certificate.ok, model.certificate


@pytest.mark.parametrize(("noise", "seed"), [(1e-3, 36), (5e-4, 1), (5e-4, 12), (5e-4, 22)])
def test_certificates_beside_hardly_any_noise(noise, seed):
    """The criterion rounds where sd / tau is in the thousands; a small variance hides there."""
    rng = np.random.default_rng(seed)
    farms, fields = np.repeat(np.arange(4), 6), np.repeat(np.arange(8), 3)
    y = rng.normal(size=8)[fields] + noise * rng.normal(size=24)
    model = fit(y, np.ones((24, 1)), [Term(farms), Term(fields)])
    assert model.certificate.ok, model.certificate
    # what the rows of a field say of the noise, nearly all there is
    within = y.reshape(8, 3) - y.reshape(8, 3).mean(axis=1, keepdims=True)
    assert model.tau2 == pytest.approx((within**2).sum() / 16, rel=1e-4)


@pytest.mark.parametrize("kind", ["plain", "K", "two terms"])
def test_what_is_said_of_rows_far_from_zero(kind):
    """In the reader's columns x^2 S_11 + 2 x S_01 + S_00 loses its digits, (1e7)^2 of them."""
    y, X, terms, arguments = layout(kind)
    X[:, 1] = np.round(X[:, 1] * 2.0**20) / 2.0**20  # so that x + 1e7 loses nothing
    terms = [(g, X if Z.shape[1] > 1 else Z, K) for g, Z, K in terms]
    A = np.array([[1, 1e7], [0, 1]])
    (near, of_near), (far, of_far) = (fitted(y, X @ B, terms, arguments, B) for B in (np.eye(2), A))
    for groups in (lambda term: term.groups, lambda term: np.full(len(y), 99)):
        found, expected = (
            model.predict(rows, [Term(groups(term), term.Z) for term in own], "population")
            for model, rows, own in ((far, X @ A, of_far), (near, X, of_near))
        )
        assert found.var_mean == pytest.approx(expected.var_mean, rel=1e-6)
        assert found.var_group == pytest.approx(expected.var_group, rel=1e-6)
    assert far.icc == pytest.approx(near.icc, rel=1e-6)
    leverage = far.rows_table()["leverage"].to_numpy()
    assert leverage == pytest.approx(near.rows_table()["leverage"].to_numpy(), rel=1e-6)
