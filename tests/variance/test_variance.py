import functools
from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from dense import criterion, least_overlap
from scipy.optimize import minimize

from mixhier_lite import Gram, InputError, Term, datasets, fit, indicator
from mixhier_lite.variance.assembly import Parts, assemble, unpooled
from mixhier_lite.variance.boundary import leave_boundary
from mixhier_lite.variance.certificate import certify
from mixhier_lite.variance.criterion import roots as cholesky_roots
from mixhier_lite.variance.crossing import Dense, Paired, Sparse, Split
from mixhier_lite.variance.information import average_information
from mixhier_lite.variance.newton import LARGE_DENSE
from mixhier_lite.variance.optimum import minimise, nearby
from mixhier_lite.variance.starts import scored
from mixhier_lite.variance.theta import ActiveEntries


def random_model(seed):
    """A small unbalanced model: terms as (groups, Z, K), whether correlated, weights."""
    rng = np.random.default_rng(seed)
    n, J = int(rng.integers(9, 26)), int(rng.integers(2, 7))
    g = np.append(np.arange(J), rng.choice(J, n - J, p=rng.dirichlet(np.full(J, 0.5))))
    x = rng.normal(size=n) + rng.choice([0, 2]) * rng.normal(size=J)[g]
    X = np.column_stack([np.ones(n), x])
    y = X.sum(axis=1) + rng.choice([0, 0.5, 3]) * rng.normal(size=J)[g] + rng.standard_t(3, size=n)
    h, one = np.append([0, 1, 2], rng.integers(0, 3, n - 3)), np.ones((n, 1))
    K = np.cov(rng.normal(size=(J, 3)))
    terms, correlated = [
        ([(g, one, None)], [True]),
        ([(g, X, None)], [True]),
        ([(g, X, None)], [False]),
        ([(g, one, None), (h, one, None)], [True, True]),
        ([(g, one, K)], [True]),
        ([(g, X, K), (h, X[:, 1:], None)], [True, True]),
    ][seed % 6]
    return y, X, terms, correlated, [None, rng.uniform(0.3, 3, n)][seed % 2]


def cells(terms, correlated):
    for t, ((_, Z, _), c) in enumerate(zip(terms, correlated, strict=True)):
        q = Z.shape[1]
        yield from ((t, i, j) for j in range(q) for i in range(q) if (i >= j if c else i == j))


def roots(theta, terms, correlated):
    T = [np.zeros((Z.shape[1],) * 2) for _, Z, _ in terms]
    for (t, i, j), value in zip(cells(terms, correlated), theta, strict=True):
        T[t][i, j] = value
    return T


def package_terms(terms, correlated):
    return [Term(g, Z, K, c) for (g, Z, K), c in zip(terms, correlated, strict=True)]


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("seed", range(12))
def test_criterion_and_gradient(seed, method):
    """The criterion is the dense one; the gradient is its slope."""
    y, X, terms, correlated, w = random_model(seed)
    gram = Gram.from_arrays(y, X, package_terms(terms, correlated), w)
    rng, tau2 = np.random.default_rng(seed), [None, 1.7][seed % 2]
    T = [np.tril(rng.normal(size=(Z.shape[1],) * 2)) for _, Z, _ in terms]
    assembly = assemble(gram, method == "REML", tau2)
    scaled = assembly.inwards(T)
    at = assembly.criterion.solve(scaled)
    assert at.value == pytest.approx(criterion(y, X, terms, T, method, w, tau2), abs=1e-9)
    value, G = assembly.criterion.gradient(scaled)
    assert value == pytest.approx(at.value, abs=1e-10)
    for t, slope in enumerate(G):
        for i, j in np.ndindex(slope.shape):
            up, down = ([s.copy() for s in scaled] for _ in range(2))
            up[t][i, j] += 1e-5
            down[t][i, j] -= 1e-5
            difference = assembly.criterion.solve(up).value - assembly.criterion.solve(down).value
            assert slope[i, j] == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_many_solves_at_once(seed):
    """Many T in one call are what ``solve`` gives one by one, and what n x n algebra gives."""
    y, X, terms, correlated, w = random_model(seed)
    rng, qs = np.random.default_rng(seed), [Z.shape[1] for _, Z, _ in terms]
    assembly = assemble(Gram.from_arrays(y, X, package_terms(terms, correlated), w), True, None)
    T = [np.tril(rng.normal(size=(5, q, q))) * rng.choice([0, 1, 30], (5, 1, 1)) for q in qs]
    log_det, S = assembly.criterion.evaluate(T)
    for k, each in enumerate(zip(*T, strict=True)):
        at = assembly.criterion.solve(each)
        found = assembly.criterion.likelihood.solution(log_det[k : k + 1], S[k : k + 1])
        assert (found.value, found.tau2) == pytest.approx((at.value, at.tau2), rel=1e-9)
        np.testing.assert_allclose(found.alpha, at.alpha, atol=1e-9 * abs(S[k]).max())
        V = np.diag(1 / (np.ones(len(y)) if w is None else w))
        dense = -np.linalg.slogdet(V)[1]
        for (g, Z, K), t, R in zip(terms, each, assembly.columns, strict=True):
            t = np.linalg.solve(R, t)
            V = V + (np.equal.outer(g, g) if K is None else K[np.ix_(g, g)]) * (Z @ t @ t.T @ Z.T)
        assert log_det[k] == pytest.approx(dense + np.linalg.slogdet(V)[1], abs=1e-8)


@pytest.mark.parametrize("tau2", [None, 1.7])
@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 7, 10])
def test_second_derivatives(seed, method, tau2):
    """The slope is the gradient's, and the second derivatives are its differences."""
    y, X, terms, correlated, w = random_model(seed)
    gram = Gram.from_arrays(y, X, package_terms(terms, correlated), w)
    c, rng = assemble(gram, method == "REML", tau2).criterion, np.random.default_rng(seed)
    T = [np.tril(rng.normal(size=(3, Z.shape[1], Z.shape[1]))) for _, Z, _ in terms]
    found = c.derivatives(T)
    for k, each in enumerate(zip(*T, strict=True)):
        value, slope = c.gradient(each)
        assert found.value[k] == pytest.approx(value, abs=1e-9)
        for s, G in enumerate(slope):
            np.testing.assert_allclose(found.gradient[s][k], G, rtol=1e-8, atol=1e-8)
        for t, root in enumerate(each):
            for i, j in np.ndindex(root.shape):
                e = np.zeros(root.shape)
                e[i, j] = 1e-5
                up, down = (
                    c.gradient([r + sign * e if s == t else r for s, r in enumerate(each)])[1]
                    for sign in (1, -1)
                )
                for s in range(len(each)):
                    np.testing.assert_allclose(
                        found.hessian[s, t][k, :, :, i, j],
                        (up[s] - down[s]) / 2e-5,
                        rtol=1e-4,
                        atol=1e-4,
                    )


def reml_in_many_digits(y, covariances, shares):
    """The REML criterion but for a constant: V = I + the sum of (1 + share)^2 G, X a one."""
    V = mp.eye(len(y))
    for G, share in zip(covariances, shares, strict=True):
        V += (1 + share) ** 2 * G
    y, one = mp.matrix(y), mp.ones(len(y), 1)
    Vy, V1 = mp.lu_solve(V, y), mp.lu_solve(V, one)
    xx, xy, yy = ((a.T * b)[0] for a, b in ((one, V1), (one, Vy), (y, Vy)))
    return mp.log(mp.det(V)) + mp.log(xx) + (len(y) - 1) * mp.log(yy - xy**2 / xx)


@pytest.mark.parametrize("T", [1.0, 1e2, 1e4])
@pytest.mark.slow
def test_second_derivatives_of_several_terms_keep_their_digits(T):
    """Along a term's own T, per share of it, for noise of 1 / T of the effects: in 60 digits.

    The columns of the first term are not those of the criterion, and one has no variance.
    """
    rng = np.random.default_rng(6)
    g, h = rng.integers(0, 5, 20), rng.integers(0, 2, 20)
    x, z = rng.normal(5, 4, 20), rng.normal(size=20)
    Z = np.column_stack([np.ones(20), x, z])
    beta = rng.normal(size=(5, 3)) * [1, 1, 0]
    y = (Z * beta[g]).sum(axis=1) + rng.normal(size=2)[h] + rng.normal(size=20) / T
    terms = [Term(g, Z, correlated=False), Term(h, Z[:, :2])]
    assembly = assemble(Gram.from_arrays(y, np.ones((20, 1)), terms), True, None)
    roots = [T * np.diag([1.0, 1.0, 0.0]), T * np.diag([1.0, 1.0])]
    own = assembly.inwards(roots)
    second = assembly.criterion.derivatives([t[None] for t in own]).hessian
    with mp.workdps(60):
        covariances = []
        for term, root in zip(terms, roots, strict=True):
            whole = mp.matrix((term.Z @ root).tolist())
            same = np.equal.outer(term.codes, term.codes)
            G = whole * whole.T
            covariances.append(mp.matrix(20, 20))
            for i, j in np.argwhere(same).tolist():
                covariances[-1][i, j] = G[i, j]
        e = mp.mpf(10) ** -12
        f = {
            shares: reml_in_many_digits(y.tolist(), covariances, [e * k for k in shares])
            for shares in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)]
        }
        of_first = (f[1, 0] - 2 * f[0, 0] + f[-1, 0]) / e**2
        of_second = (f[0, 1] - 2 * f[0, 0] + f[0, -1]) / e**2
        of_both = (f[1, 1] - 2 * f[0, 0] + f[-1, -1]) / e**2
    truth = {(0, 0): of_first, (1, 1): of_second, (0, 1): (of_both - of_first - of_second) / 2}
    for (s, t), right in truth.items():
        along = np.einsum("ijkl,ij,kl->", second[s, t][0], own[s], own[t])
        assert along == pytest.approx(float(right), rel=1e-5)


@pytest.mark.parametrize("singular", [False, True])
def test_tridiagonal_is_dense(singular):
    """Related levels, some without records and some with several: the reduced form is exact."""
    rng, J, n = np.random.default_rng(3), 9, 20
    M = rng.normal(size=(J, 4 if singular else 12))
    g, X = rng.integers(0, J - 2, n), np.column_stack([np.ones(n), rng.normal(size=n)])
    term = Term(g, K=M @ M.T, levels=np.arange(J))
    gram = Gram.from_arrays(rng.normal(size=n), X, term, rng.uniform(1, 2, n))
    fast, slow = (build(gram, True, None).criterion for build in (assemble, unpooled))
    check_alike(fast, slow)


@pytest.mark.parametrize("known", [None, 1.3])
@pytest.mark.parametrize("reml", [True, False])
def test_levels_that_are_alike_are_one(reml, known):
    """Levels with the same sum of weights are pooled; so nothing changes."""
    rng, n = np.random.default_rng(4), 40
    g, X = np.arange(n) % 11, np.column_stack([np.ones(n), rng.normal(size=n)])
    gram = Gram.from_arrays(rng.normal(size=n), X, Term(g))
    fast, slow = (build(gram, reml, known).criterion for build in (assemble, unpooled))
    assert fast.a.size < 11 and type(fast) is not type(slow)
    check_alike(fast, slow)


def check_alike(fast, slow):
    """Two ways to one criterion of a scalar term agree in all that a criterion is asked for."""
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
    T = np.array([0.0, 1e-3, 0.7, 40.0])[:, None, None]
    for a, b in zip(fast.evaluate([T]), slow.evaluate([T]), strict=True):
        close(a, b)
    one, other = fast.derivatives([T]), slow.derivatives([T])
    close(one.value, other.value)
    close(one.gradient[0], other.gradient[0])
    close(one.hessian[0, 0], other.hessian[0, 0])
    for t in T[1:]:
        a, b = fast.gradient([t]), slow.gradient([t])
        close(a[0], b[0])
        close(a[1][0], b[1][0])
        close(fast.slope_of_S([t])[0], slow.slope_of_S([t])[0])
        here, there = fast.curvature([t]), slow.curvature([t])
        assert here.nu == there.nu
        for name in ("N", "trace"):
            close(getattr(here, name)[0], getattr(there, name)[0])
        close(here.given_tau2[0, 0], there.given_tau2[0, 0])


def test_many_in_parts():
    """What is too large for one go is done in parts, or one by one."""
    rng, n = np.random.default_rng(0), 3000
    g, h, y = rng.integers(0, 300, n), rng.integers(0, 200, n), rng.normal(size=n)
    x = rng.normal(size=n)
    for terms in ([Term(g, np.column_stack([np.ones(n), x]))], [Term(g), Term(h)]):
        c = assemble(Gram.from_arrays(y, np.ones((n, 1)), terms), True, None).criterion
        T = [np.tril(rng.normal(size=(1500 // len(terms) ** 6, k.q, k.q))) for k in terms]
        log_det, S = c.evaluate(T)
        for k in range(0, len(S), max(1, len(S) // 5)):
            at = c.solve([t[k] for t in T])
            found = c.likelihood.solution(log_det[k : k + 1], S[k : k + 1])
            assert (found.value, found.tau2) == pytest.approx((at.value, at.tau2), rel=1e-12)


@pytest.mark.parametrize("seed", [*range(24), 77, 143, 277, 528, 623])
@pytest.mark.slow
def test_no_better_point_exists(seed):
    """A search that shares nothing with the package: random points, then scipy's BFGS."""
    y, X, terms, correlated, w = random_model(seed)
    rng = np.random.default_rng(seed)
    k = len(list(cells(terms, correlated)))
    for method in ("ML", "REML"):
        try:
            model = fit(y, X, package_terms(terms, correlated), method, w)
        except InputError as refusal:
            if "the same likelihood" in str(refusal):
                given = [(*term, c) for term, c in zip(terms, correlated, strict=True)]
                assert least_overlap(X, given, w) < 1e-12
            else:
                assert "perfectly" in str(refusal) or "linearly dependent" in str(refusal)
            continue

        def value(theta, method=method):
            return criterion(y, X, terms, roots(theta, terms, correlated), method, w)

        assert value(model.theta) == pytest.approx(model.criterion, abs=1e-8)
        points = rng.normal(size=(80, k)) * 10 ** rng.uniform(-2, 2, size=(80, k))
        values = [value(x) for x in points]
        best = min(min(values), value(np.zeros(k)))
        for i in np.argsort(values)[:2]:
            found = minimize(value, points[i], method="BFGS").fun
            best = min(best, found if np.isfinite(found) else np.inf)
        assert model.criterion <= best + 1e-6


@pytest.mark.slow
def test_the_seed_with_five_a_group():
    """A dense scan finds nothing better, though many of these likelihoods have two humps."""
    theta = np.concatenate([[0], 10 ** np.linspace(-3, 3, 120)])
    humps, slopes = 0, []
    for seed in range(150):
        d = datasets.four_groups(np.random.default_rng(seed), 5)
        X = np.column_stack([np.ones(20), d.x])
        model = fit(d.y, X, Term(d.groups))
        slopes.append(model.fixed[1])
        if seed < 40:
            terms = [(d.groups, np.ones((20, 1)), None)]
            scan = [criterion(d.y, X, terms, [np.array([[s]])], "REML") for s in theta]
            assert model.criterion <= min(scan) + 1e-9
            assert model.criterion == pytest.approx(min(scan), abs=0.05)
            inner = np.array(scan)
            humps += ((inner[1:-1] < inner[:-2]) & (inner[1:-1] < inner[2:])).sum() > 1 or (
                scan[1] >= scan[0] and min(scan) < scan[0] - 1e-6
            )
    assert humps > 4
    assert abs(np.mean(slopes) - 0.560) < 4 * np.std(slopes) / np.sqrt(150)


def test_zero_is_locally_but_not_globally_best():
    """10 groups of 100 with no deviation and 10 singletons at +-5."""
    rng = np.random.default_rng(1)
    e = rng.normal(size=(10, 100))
    e = (e - e.mean(axis=1, keepdims=True)) / e.std()
    y = np.append(e.ravel(), np.tile([5.0, -5.0], 5))
    g = np.append(np.repeat(np.arange(10), 100), np.arange(10, 20))
    X, terms = np.ones((len(y), 1)), [(g, np.ones((len(y), 1)), None)]
    model = fit(y, X, Term(g))
    zero, near = (criterion(y, X, terms, [np.array([[s]])], "REML") for s in (0.0, 1e-2))
    assert near > zero > model.criterion + 100
    assert not model.singular and model.theta[0] ** 2 == pytest.approx(11.7, rel=0.1)


def test_boundary_is_exact():
    """Dyestuff2: zero, with the residual variance of the pooled data; nothing warns."""
    y = datasets.load("Dyestuff2")
    model = fit(y["Yield"], np.ones((30, 1)), Term(y["Batch"]), "ML")
    assert (
        model.singular and model.theta[0] == 0 and np.array_equal(model.random[0], np.zeros((6, 1)))
    )
    assert model.tau2 == pytest.approx(y["Yield"].var(ddof=0), rel=1e-14)


def test_singular_is_true_exactly_at_the_boundary():
    """REML is positive and ML exactly zero on balanced data whose F lies in between."""
    e = np.array([-1.0, 0.5, 0.5])
    means = np.sqrt(np.array([1.0, -1.0, 0.0]) ** 2) * [1, -1, 0] * 0.56
    y = (means[:, None] + e).ravel()
    F = 3 * means.var(ddof=1) / e.var(ddof=1)
    assert 1 < F < 1.5
    X, g = np.ones((9, 1)), np.repeat([0, 1, 2], 3)
    assert fit(y, X, Term(g), "ML").singular
    model = fit(y, X, Term(g), "REML")
    assert not model.singular
    assert model.Sigma[0][0, 0] == pytest.approx((F - 1) * e.var(ddof=1) / 3, rel=1e-9)


def test_perfect_correlation_is_rank_one():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 6), rng.normal(size=72)
    u = rng.normal(size=12)
    X = np.column_stack([np.ones(72), x])
    y = u[g] + 2 * u[g] * x + rng.normal(size=72)
    model = fit(y, X, Term(g, X))
    S = model.Sigma[0]
    assert model.singular == (np.linalg.matrix_rank(S, tol=1e-9 * S.max()) < 2)
    assert not fit(y + 3 * rng.normal(size=12)[g] * x, X, Term(g, X)).singular


@pytest.mark.parametrize(("name", "certified"), [("Dyestuff", False), ("Dyestuff2", True)])
def test_certificate_at_zero(name, certified):
    """Zero is stationary in T for all data; N tells a boundary optimum from a spurious one."""
    data = datasets.load(name)
    gram = Gram.from_arrays(data["Yield"], np.ones((30, 1)), Term(data["Batch"]))
    assembly, zero = assemble(gram, True, None), [np.zeros((1, 1))]
    c, entries = assembly.criterion, ActiveEntries.all_of(assembly.criterion, assembly.forms)
    assert np.array_equal(c.gradient(zero)[1][0], zero[0])
    assert certify(entries, zero).ok == certified
    away = leave_boundary(entries, zero)
    assert (away is None) == certified
    if away is not None:
        assert c.solve(entries.unpack(away)).value < c.solve(zero).value


def test_a_narrow_valley_with_correlation_minus_one_is_found():
    """Two optima of rank one; the better has correlation -1 and is seen only near the boundary."""
    y, X, terms, correlated, w = random_model(637)
    (groups, Z, K), T = terms[0], np.array([[1.62595788, 0.0], [-0.760855658, 0.0]])
    model = fit(y, X, Term(groups, Z, K, correlated[0]), "ML", w)
    assert criterion(y, X, terms, [T], "ML", w) == pytest.approx(32.56, abs=1e-3)
    assert model.criterion <= criterion(y, X, terms, [T], "ML", w) + 1e-9
    assert model.singular and model.theta[1] < 0


def balanced(seed):
    """Every group has the same X, which is also Z."""
    rng, J, X = np.random.default_rng(seed), 12, np.column_stack([np.ones(6), np.arange(6.0)])
    beta = rng.normal(size=(J, 2)) * [2.0, 0.7]
    y = (X @ (beta.T + [[1.0], [0.5]])).T.ravel() + rng.normal(size=6 * J)
    return y, np.tile(X, (J, 1)), Term(np.repeat(np.arange(J), 6), np.tile(X, (J, 1)))


@pytest.mark.parametrize("seed", range(4))
def test_one_step_of_scoring_is_the_answer_where_groups_are_alike(seed):
    """From wherever it starts: REML is then the estimate from mean squares."""
    y, X, term = balanced(seed)
    assembly = assemble(Gram.from_arrays(y, X, term), True, None)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    # mean squares: the groups' own lines, their covariance, and the noise around them
    own = np.stack([np.linalg.lstsq(X[:6], part, rcond=None)[0] for part in y.reshape(12, 6)])
    tau2 = ((y.reshape(12, 6) - own @ X[:6].T) ** 2).sum() / (12 * 4)
    Sigma = np.cov(own.T) - tau2 * np.linalg.inv(X[:6].T @ X[:6])
    for x in ([0.2, 0.0, 0.2], [5.0, -3.0, 0.5], [30.0, 4.0, 30.0]):
        (T,) = assembly.outwards(entries.unpack(scored(entries, np.array(x))[0]))
        np.testing.assert_allclose(tau2 * T @ T.T, Sigma, rtol=1e-8)


@pytest.mark.slow
def test_expected_second_derivatives():
    """They are the mean, over data drawn at T, of what the slope in T T' changes by."""
    y, X, term = balanced(0)
    keep = np.random.default_rng(1).random(len(y)) < 0.7  # groups differ now
    g, X, T = term.codes[keep], X[keep], np.array([[1.5, 0.0], [0.4, 0.6]])
    rng, own, observed = np.random.default_rng(2), [], []
    for _ in range(300):
        y = ((rng.normal(size=(12, 2)) @ T.T)[g] * X).sum(axis=1) + rng.normal(size=len(X))
        assembly = assemble(Gram.from_arrays(y, X, Term(g, X)), True, 1.0)
        R, (t,) = assembly.columns[0], assembly.inwards([T])
        at = assembly.criterion.curvature([t])
        N = assembly.criterion.gradient([t])[1][0] / 2 @ np.linalg.inv(t)
        np.testing.assert_allclose(at.N[0], N, atol=1e-9 * abs(N).max())
        # in the reader's columns; those of the criterion depend on y
        bend = np.einsum("ijkl,ia,jb,kc,ld->abcd", at.scoring(), R, R, R, R)
        changes = []
        for E in np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]]) * 1e-4:
            up, down = (np.linalg.cholesky(t @ t.T + R @ e @ R.T) for e in (E, -E))
            found = [assembly.criterion.curvature([root]).N[0] for root in (up, down)]
            change = R.T @ (found[0] - found[1]) @ R / 2
            changes.append(change - np.einsum("abcd,cd->ab", bend, E))
        observed.append(changes)
        own.append(bend)
    gap = np.array(observed)
    assert np.ptp(own, axis=0).max() < 1e-9 * np.max(own)  # known before there is a y
    assert (abs(gap.mean(axis=0)) < 5 * gap.std(axis=0) / np.sqrt(len(gap))).all()


def crossed(n=900, J=400, m=250):
    rng = np.random.default_rng(0)
    g, h = (rng.permutation(np.append(np.arange(k), rng.integers(0, k, n - k))) for k in (J, m))
    y = rng.normal(size=J)[g] + 0.7 * rng.normal(size=m)[h] + rng.normal(size=n)
    return y, np.column_stack([np.ones(n), rng.normal(size=n)]), g, h


@pytest.mark.parametrize("slopes", [False, True])
def test_all_ways_to_keep_the_crossing_agree(slopes, monkeypatch):
    """With the products of a level's entries, without them, as one array: the same."""
    monkeypatch.setattr("mixhier_lite.variance.crossing.BLOCK", 10**4)  # 40 columns at once
    y, X, g, h = crossed()
    gram = Gram.from_arrays(y, X, [Term(g, X if slopes else None), Term(h)])
    equations = assemble(gram, True, None).criterion.equations
    rng, q, J, m = np.random.default_rng(1), equations.q, equations.J, equations.m
    paired = equations.crossing
    assert type(paired) is Paired
    A12 = np.stack([A.toarray() for A in paired.A12])
    root, Q = rng.normal(size=(2, q, q, J)), rng.normal(size=(2, m, m))
    Q = Q + Q.swapaxes(1, 2)
    P = np.einsum("naij,nakj->nikj", root, root)
    fill = np.einsum("kjm,nklj,ljr->nmr", A12, P, A12, optimize=True)
    within = np.einsum("kjm,nmr,ljr->nklj", A12, Q, A12, optimize=True)
    E = rng.normal(size=(q, q, J))
    explained = np.einsum("kaj,abj,lbj->kl", E, within[0], E)
    R, effects = rng.normal(size=(2, q, 3, J)), rng.normal(size=(2, m, 3))
    from_levels = np.einsum("kjm,nkrj->nmr", A12, R)
    to_levels = np.einsum("kjm,nmr->nkrj", A12, effects)
    v = rng.normal(size=(len(g), q))
    of_rows = np.einsum("ik,kim->im", v, A12[:, g])
    sparse = Sparse(paired.start, paired.columns, paired.values, m)
    chosen = rng.random(J) < 0.3
    few, others = sparse.some(chosen), sparse.some(~chosen)
    split = Split(chosen, Dense(np.stack([A.toarray() for A in few.A12])), others)
    for kept in (paired, sparse, Dense(A12), split):
        np.testing.assert_allclose(kept.fill(root), fill, atol=1e-10 * abs(fill).max())
        close = 1e-10 * abs(explained).max()
        np.testing.assert_allclose(kept.explained(E, Q[0]), explained, atol=close)
        np.testing.assert_allclose(kept.within(Q), within, atol=1e-10 * abs(within).max())
        np.testing.assert_allclose(kept.from_levels(R), from_levels, atol=1e-9)
        np.testing.assert_allclose(kept.to_levels(effects), to_levels, atol=1e-9)
        np.testing.assert_allclose(kept.of_rows(g, v), of_rows, atol=1e-12)


def test_the_crossing_is_kept_in_the_way_that_suits_its_size(monkeypatch):
    """Small ones as an array, and products of entries only while these are not too many."""
    y, X, g, h = crossed(90, 40, 25)

    def kept(*terms):
        gram = Gram.from_arrays(y, X, [Term(each) for each in terms])
        return type(unpooled(gram, True, None).levels.equations.crossing)

    assert kept(g) is Dense and kept(g, h) is Dense
    monkeypatch.setattr("mixhier_lite.variance.crossing.SMALL", 999)  # 40 x 25 entries
    assert kept(g, h) is Paired
    monkeypatch.setattr("mixhier_lite.variance.crossing.MANY_PAIRS", 90)
    assert kept(g, h) is Split
    monkeypatch.setattr("mixhier_lite.variance.crossing.MANY_COLUMNS", 1.0)
    assert kept(g, h) is Sparse


@pytest.mark.parametrize("known", [None, 0.8])
@pytest.mark.parametrize("slopes", [False, True])
def test_average_information_without_an_n_by_n_matrix(slopes, known):
    """As its formula has it, of a large crossed model far from its minimum."""
    y, X, g, h = crossed(500, 260, 210)
    parts = Parts.of(Gram.from_arrays(y, X, [Term(g, X if slopes else None), Term(h)]), True, known)
    levels = parts.assembled().criterion
    assert not levels.exact
    T = [np.array([[0.6, 0.0], [0.2, 0.5]]) if slopes else np.array([[0.6]]), np.array([[0.9]])]
    factor = levels.factor([t[None] for t in T])
    at = levels.likelihood.profiled(factor.log_det, factor.S)
    found = average_information(factor, at)

    columns = [
        X[:, : len(T[0])] @ np.linalg.inv(parts.columns[0]),
        1 / parts.columns[1] + 0 * y[:, None],
    ]
    Z = [
        indicator(codes)[:, :, None] * rows[:, None]
        for codes, rows in zip((g, h), columns, strict=True)
    ]
    Omega = np.eye(len(y)) + sum(
        np.einsum("njq,qr,mjr->nm", z, t @ t.T, z, optimize=True) for z, t in zip(Z, T, strict=True)
    )
    inverse = np.linalg.inv(Omega)
    Q = inverse - inverse @ X @ np.linalg.inv(X.T @ inverse @ X) @ X.T @ inverse
    nu = len(y) - X.shape[1]
    e = Q @ y / np.sqrt(y @ Q @ y / nu if known is None else known)
    M = [
        np.einsum("nj,mj->nm", z[:, :, a], z[:, :, b])
        for z in Z
        for a, b in np.ndindex(z.shape[2], z.shape[2])
    ]
    Me = np.array([m @ e for m in M])
    taken = np.outer(Me @ e, Me @ e) / nu * (known is None)
    stated = Me @ Q @ Me.T - taken
    np.testing.assert_allclose(found, stated, atol=1e-9 * abs(stated).max())


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_a_dear_fit_has_its_digits(method):
    """Six digits are enough where an evaluation is dear; the next step would be that short."""
    y, X, g, h = crossed()
    terms = [Term(g), Term(h)]
    model = fit(y, X, terms, method)
    assembly = assemble(model.gram, method == "REML", None)
    assert assembly.criterion.dense > LARGE_DENSE
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    x = np.ravel(assembly.bare(model.T))
    at = entries.local(x[None])
    assert abs(np.linalg.solve(at.hessian[0], at.gradient[0]) / (1 + x)).max() < 1e-5
    dense = [(t.codes, np.ones((len(y), 1)), None) for t in terms]
    own = criterion(y, X, dense, list(model.T), method, None)
    assert model.criterion == pytest.approx(own, abs=1e-7)
    for away in ([1.03, 1.0], [1.0, 1.03], [0.97, 1.0], [1.0, 0.97]):
        moved = [T * c for T, c in zip(model.T, away, strict=True)]
        assert criterion(y, X, dense, moved, method, None) > own


def test_wrong_second_derivatives_at_the_start_are_no_end(monkeypatch):
    """They make the first step short, which is not to be taken for an arrival."""
    y, X, g, h = crossed()
    assembly = assemble(Gram.from_arrays(y, X, [Term(g), Term(h)]), True, None)
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    best = minimise(entries).T
    for wrong in (1e2, 1e5):
        started = replace(entries.roughly(1.1 * np.ravel(best)), hessian=wrong * np.eye(2)[None])
        monkeypatch.setattr(ActiveEntries, "roughly", lambda self, x, at=started: at)
        found = nearby(entries, 1.1 * np.ravel(best))
        monkeypatch.undo()
        assert found.arrived
        np.testing.assert_allclose(np.ravel(found.T), np.ravel(best), rtol=1e-5)


@pytest.mark.parametrize(("i", "j"), [(3, 0), (64, 63), (63, 64), (20, 149), (149, 148), (128, 5)])
def test_an_asymmetry_is_found_wherever_it_is(i, j):
    K = np.eye(150)
    K[i, j] = 0.1
    with pytest.raises(InputError, match=rf"K\[{i}, {j}\] = 0.1|K\[{j}, {i}\] = 0 "):
        Term(np.arange(150), K=K)


def test_roots_of_what_is_not_positive_definite():
    """One at a time or among others, it has a root so large that no search goes there."""
    y, X, g, _ = crossed()
    likelihood = assemble(Gram.from_arrays(y, X, Term(g)), True, None).criterion.likelihood
    good, bad = 4 * np.eye(3), np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for S in ([bad], [good, bad], [bad, good, bad]):
        for matrix, L in zip(S, cholesky_roots(np.array(S)), strict=True):
            assert (L[0, 0] > 1e99) if matrix is bad else np.array_equal(L, 2 * np.eye(3))
    assert likelihood.solution(np.zeros(1), bad[None]) is None
