"""The boundary tau2 = 0: where it is an answer, and where the likelihood has no bound."""

import numpy as np
import pytest
from saturated import Dense, problem, relatives

from mixhier_lite import Gram, InputError, Term, fit
from mixhier_lite.variance import noise
from mixhier_lite.variance.assembly import Parts
from mixhier_lite.variance.bounded import is_bounded
from mixhier_lite.variance.noise import regular_rows
from mixhier_lite.variance.noiseless import Noiseless
from mixhier_lite.variance.optimum import Optimum
from mixhier_lite.variance.saturated import could_saturate, saturated_rows


def at_zero(y, X, terms, weights, method="REML"):
    """The criterion without noise, and where its columns and units are."""
    parts = Parts.of(Gram.from_arrays(y, X, terms, weights), method == "REML", None)
    return parts, parts.assembled(), Noiseless(parts.likelihood, saturated_rows(parts))


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", range(12))
def test_criterion_without_noise_and_its_derivatives(seed, method):
    y, X, terms, weights = problem(seed)
    dense = Dense(y, X, terms, weights, method)
    parts, assembly, criterion = at_zero(y, X, terms, weights, method)
    rng = np.random.default_rng(seed)
    T = [t @ t.T + np.eye(len(t)) if term.correlated else np.diag(np.diag(t))
         for term in terms for t in [rng.normal(size=(term.q, term.q))]]  # fmt: skip
    inwards = assembly.inwards(T)

    def value(T):
        out = [
            np.linalg.solve(R, t) * parts.scale[-1] for R, t in zip(parts.columns, T, strict=True)
        ]
        return dense.criterion(dense.G([t @ t.T for t in out]))

    assert criterion.solve(inwards)[0] == pytest.approx(value(inwards), rel=1e-9)
    assert criterion.values([t[None] for t in inwards])[0] == criterion.solve(inwards)[0]
    slopes = criterion.gradient(inwards)[1]
    found = criterion.derivatives([t[None] for t in inwards])
    for t, root in enumerate(inwards):
        for i, j in np.ndindex(root.shape):
            step = 1e-5 * np.eye(root.size)[i * len(root) + j].reshape(root.shape)
            up, down = (
                [r + sign * step if s == t else r for s, r in enumerate(inwards)]
                for sign in (1, -1)
            )
            assert slopes[t][i, j] == pytest.approx(
                (value(up) - value(down)) / 2e-5, rel=1e-5, abs=1e-5
            )
            ahead, behind = criterion.gradient(up)[1], criterion.gradient(down)[1]
            for s in range(len(T)):
                column = found.hessian[s, t][0, :, :, i, j]
                np.testing.assert_allclose(
                    column, (ahead[s] - behind[s]) / 2e-5, rtol=1e-4, atol=1e-4
                )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", range(18))
def test_no_better_point_exists(seed, method):
    """With noise or without: the numerical optimiser shares nothing with the package."""
    y, X, terms, weights = problem(seed)
    dense = Dense(y, X, terms, weights, method)
    try:
        model = fit(y, X, terms, method, weights)
    except InputError as refusal:
        assert "no bound" in str(refusal) and method == "ML"
        return
    V = dense.G(model.Sigma) + model.tau2 * dense.W_inverse
    assert model.criterion == pytest.approx(dense.criterion(V), abs=1e-6)
    with np.errstate(all="ignore"):
        assert model.criterion <= dense.least(seed) + 1e-6
    assert model.certificate.ok


def test_both_kinds_of_answer_are_among_these():
    fits = [fit(y, X, terms, weights=w) for y, X, terms, w in map(problem, (7, 8, 11, 12))]
    assert [model.tau2 == 0 for model in fits] == [True, True, False, False]


@pytest.mark.parametrize("seed", [2, 6, 13])
def test_a_search_that_went_astray_is_led_back(seed, monkeypatch):
    """Where the slope towards noise is negative, the minimum is found from there."""
    y, X, terms, weights = problem(seed)
    right = fit(y, X, terms, weights=weights)

    def astray(parts):
        assembly = parts.assembled()
        away = assembly.inwards([1e6 * np.eye(term.q) for term in terms])
        return assembly, Optimum(away, False, 1)

    monkeypatch.setattr(noise, "optimum", astray)
    found = fit(y, X, terms, weights=weights)
    assert right.tau2 > 0 and found.criterion == pytest.approx(right.criterion, abs=1e-8)


def layouts():
    """Name, y, X, terms, and whether REML and ML are bounded: None where that is not known."""
    rng = np.random.default_rng(50)
    n = 14
    one, y, K = np.ones((n, 1)), rng.normal(size=n), relatives(rng, n)
    yield "relatives", y, one, [Term(np.arange(n), K=K)], (True, True)
    markers = rng.normal(size=(n, 40))
    markers -= markers.mean(axis=0)
    centred = [Term(np.arange(n), K=markers @ markers.T)]
    yield "centred markers, intercept", y, one, centred, (True, False)
    farm = np.arange(n) % 4
    both = [Term(farm), Term(np.arange(n), K=K)]
    yield "farms and relatives", y, one, both, (True, True)
    exact = 2.0 + np.array([1.0, -2.0, 0.5, 0.3])[farm]
    yield "farms that say it all", exact, one, both, (False, False)
    for rows, q, known in [(2, 2, (True, True)), (1, 2, (True, None)), (2, 3, (None, None))]:
        g = np.repeat(np.arange(12), rows)
        X, y = rng.normal(size=(12 * rows, q)), rng.normal(size=12 * rows)
        yield f"{rows} rows a level, {q} columns", y, X, [Term(g, X)], known
        apart = [Term(g, X, correlated=False)]
        yield f"{rows} rows a level, {q} columns, uncorrelated", y, X, apart, (True, True)


LAYOUTS = [pytest.param(*layout[1:], id=layout[0]) for layout in layouts()]


@pytest.mark.parametrize(("y", "X", "terms", "known"), LAYOUTS)
@pytest.mark.slow
def test_bounds(y, X, terms, known):
    for method, bounded in zip(("REML", "ML"), known, strict=True):
        _, assembly, criterion = at_zero(y, X, terms, None, method)
        assert is_bounded(criterion.rows, assembly.forms, method == "REML") is bounded
        if bounded is False or (bounded is None and method == "ML"):
            with pytest.raises(InputError, match="has no bound"):
                fit(y, X, terms, method)


def test_a_likelihood_without_a_bound_falls_for_ever():
    """Centred markers and farms that say it all: each decade of the noise lowers the criterion."""
    falling = {name: (y, X, terms) for name, y, X, terms, known in layouts() if False in known}
    assert len(falling) == 2
    for y, X, terms in falling.values():
        dense = Dense(y, X, terms, None, "ML")
        Sigma = [np.eye(1), 0 * np.eye(1)][: len(terms)]
        noise = [10.0**-k * np.eye(len(y)) for k in range(2, 8)]
        values = [dense.criterion(dense.G(Sigma) + each) for each in noise]
        assert (np.diff(values) < -2.2).all()


def test_the_slope_towards_noise():
    """It is that of the density, and where it is negative the noise is not zero."""
    for seed in (0, 1, 4, 12):
        y, X, terms, weights = problem(seed)
        dense = Dense(y, X, terms, weights, "REML")
        parts, assembly, criterion = at_zero(y, X, terms, weights)
        T = assembly.inwards([np.eye(term.q) for term in terms])
        G = dense.G([np.eye(term.q) for term in terms])

        def value(tau2, dense=dense, G=G):
            return dense.criterion(G + tau2 * dense.W_inverse)

        unit2 = parts.scale[-1] ** 2
        slope, sd = criterion.slope_of_noise([t / np.sqrt(unit2) for t in T])
        h = 1e-6
        difference = (-3 * value(0) + 4 * value(h) - value(2 * h)) / (2 * h)
        assert slope / unit2 == pytest.approx(difference, rel=1e-4)
        inner = np.linalg.inv(dense.C.T @ G @ dense.C)
        Q = dense.C @ inner @ dense.C.T @ dense.W_inverse
        assert sd / unit2 == pytest.approx(np.sqrt(2 * np.trace(Q @ Q)), rel=1e-8)


def test_n_rows_from_a_gram():
    """Chunks, levels without rows, no X at all; and None where the model cannot fit every row."""
    rng = np.random.default_rng(51)
    J, n = 12, 20
    K, g = relatives(rng, J + 3), np.append(np.repeat(np.arange(8), 2), np.arange(8, 12))
    Z, w = np.column_stack([np.ones(n), rng.normal(size=n)]), rng.uniform(0.5, 2, n)
    y = rng.normal(size=n)
    for X in (np.ones((n, 1)), np.zeros((n, 0))):
        term = [
            Term(g[rows], Z[rows], K, levels=np.arange(J + 3)) for rows in (slice(9), slice(9, n))
        ]
        parts = [slice(9), slice(9, n)]
        gram = sum(Gram.from_arrays(y[r], X[r], k, w[r]) for r, k in zip(parts, term, strict=True))
        whole = fit(gram)
        again = fit(y, X, Term(g, Z, K, levels=np.arange(J + 3)), weights=w)
        assert whole.criterion == pytest.approx(again.criterion, abs=1e-8)
        dense = Dense(y, X, [Term(g, Z, K, levels=np.arange(J + 3))], w, "REML")
        V = dense.G(whole.Sigma) + whole.tau2 * dense.W_inverse
        assert whole.criterion == pytest.approx(dense.criterion(V), abs=1e-7)
        rows = saturated_rows(Parts.of(gram, True, None))
        assert rows.X.shape == X.shape and rows.Z[0].shape == (n, 2 * (J + 3))
    more = Gram.from_arrays(np.append(y, 1.0), np.ones((n + 1, 1)), Term(np.append(g, 0)))
    assert saturated_rows(Parts.of(more, True, None)) is None

    # two rows at one time: as many columns as rows by a count, and yet something is left over
    for pairs in (1, 2):
        people, t = np.repeat(np.arange(10), 2), rng.normal(size=20)
        t[1 : 2 * pairs : 2] = t[0 : 2 * pairs : 2]
        lines, y = np.column_stack([np.ones(20), t]), rng.normal(size=20)
        parts = Parts.of(Gram.from_arrays(y, lines, Term(people, lines)), True, None)
        assert could_saturate(parts.gram)
        assert regular_rows(parts, parts.assembled().forms) is None
        assert (saturated_rows(parts) is None) == (pairs == 2)  # y itself spans one row
        assert fit(parts.gram).tau2 > 0
