import numpy as np
import pytest

from mixhier_lite import Gram, InputError, Term, fit
from mixhier_lite.gram.estimable import left_of_y


def data(seed, n=120):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, 9, n), rng.integers(0, 5, n), rng.normal(size=n) + 50
    X = np.column_stack([np.ones(n), x])
    y = X @ [2.0, 0.5] + rng.normal(size=9)[g] + rng.normal(size=n)
    return y, X, np.array(list("abcdefghi"))[g], h, rng.uniform(0.5, 2, n)


def terms(X, g, h, rows):
    centred = X[:, 1:] - 50
    return [Term(g[rows], np.hstack([X[:, :1], centred])[rows]), Term(h[rows])]


def test_gram_is_the_cross_product():
    y, X, g, h, w = data(1)
    gram = Gram.from_arrays(y, X, [Term(g)], w)
    V = np.column_stack([X, y])
    assert np.allclose(gram.H.T @ gram.C @ gram.H, V.T @ (w[:, None] * V), rtol=1e-12)
    D = (g[:, None] == np.unique(g)).astype(float)
    assert np.allclose(gram.blocks[0].A[:, 0, 0], D.T @ w)
    assert np.allclose(gram.blocks[0].B[:, 0] @ gram.H, D.T @ (w[:, None] * V), rtol=1e-12)
    assert gram.log_weights == pytest.approx(np.log(w).sum())


@pytest.mark.parametrize("cuts", [[60], [1, 2, 3], [40, 41, 90], list(range(10, 120, 10))])
def test_chunks_merge_to_the_whole(cuts):
    y, X, g, h, w = data(2)
    edges = [0, *cuts, len(y)]
    parts = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    whole = fit(y, X, terms(X, g, h, slice(None)), weights=w)
    total = None
    for rows in np.random.default_rng(3).permutation(np.array(parts, dtype=object)):
        gram = Gram.from_arrays(y[rows], X[rows], terms(X, g, h, rows), w[rows])
        total = gram if total is None else total + gram
    merged = fit(total)
    assert merged.criterion == pytest.approx(whole.criterion, abs=1e-9)
    assert np.allclose(merged.fixed, whole.fixed, rtol=1e-9)
    for t in range(2):
        assert merged.levels[t].tolist() == whole.levels[t].tolist()
        assert np.allclose(merged.random[t], whole.random[t], atol=1e-9)
        assert np.allclose(merged.random_cov[t], whole.random_cov[t], atol=1e-9)


def test_chunks_of_stiff_data():
    """Each chunk is shifted by its own first row, and thirteen constant digits survive."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(6), 20)
    small = np.round(rng.normal(size=120) + g, 3)
    y = 1e12 + np.round(small * 2**10) / 2**10
    parts = [slice(0, 50), slice(50, 70), slice(70, 120)]
    a, b, c = (Gram.from_arrays(y[r], np.ones((len(y[r]), 1)), Term(g[r])) for r in parts)
    exact = fit(y - 1e12, np.ones((120, 1)), Term(g))
    for merged in (fit(a + b + c), fit(c + (b + a))):
        assert merged.Sigma[0][0, 0] == pytest.approx(exact.Sigma[0][0, 0], rel=1e-11)
        assert merged.tau2 == pytest.approx(exact.tau2, rel=1e-11)
        assert merged.fixed[0] - 1e12 == pytest.approx(exact.fixed[0], abs=1e-3)


def test_a_column_that_is_constant_in_one_chunk():
    """x is one throughout the first chunk: which column is the constant, no chunk can know."""
    rng = np.random.default_rng(6)
    g, x = np.tile([0, 1, 2], 20), np.repeat([1.0, 2.0], 30) + 0
    x[30:] += rng.normal(size=30)
    y = 5 * x + rng.normal(size=3)[g] + rng.normal(size=60)
    parts = [slice(0, 30), slice(30, 60)]
    grams = [Gram.from_arrays(y[r], x[r, None], Term(g[r])) for r in parts]
    whole = fit(y, x[:, None], Term(g))
    for merged in (fit(grams[0] + grams[1]), fit(grams[1] + grams[0])):
        assert np.allclose(merged.fixed, whole.fixed, rtol=1e-9)
        assert merged.criterion == pytest.approx(whole.criterion, abs=1e-9)


def test_many_groups_are_pooled_exactly():
    """All n_j equal, some alone, and a hundred thousand groups: closed forms hold."""
    rng = np.random.default_rng(7)
    J = 100_000
    g = np.repeat(np.arange(J), 3)
    y = rng.normal(size=J)[g] + rng.normal(size=3 * J)
    model = fit(y, np.ones((3 * J, 1)), Term(g))
    means = y.reshape(J, 3).mean(axis=1)
    within = ((y.reshape(J, 3) - means[:, None]) ** 2).sum() / (2 * J)
    between = 3 * means.var(ddof=1)
    assert model.tau2 == pytest.approx(within, rel=1e-10)
    assert model.Sigma[0][0, 0] == pytest.approx((between - within) / 3, rel=1e-10)
    alone = np.concatenate([g, np.arange(J, J + 1000)])
    more = np.concatenate([y, rng.normal(size=1000) * np.sqrt(2)])
    both = fit(more, np.ones((len(more), 1)), Term(alone, np.ones((len(more), 1))))
    w = np.ones(len(more))
    w[0] = 1 + 1e-9  # no two levels alike any more in the first group
    slow = fit(more, np.ones((len(more), 1)), Term(alone), weights=w)
    assert both.criterion == pytest.approx(slow.criterion, rel=1e-9)
    assert both.random[0].shape == (J + 1000, 1)


@pytest.mark.parametrize("shift", [0.0, 2000.0])
def test_what_X_alone_leaves_of_y_is_that_of_least_squares(shift):
    """By lstsq on the rows; the Gram has columns of its own, and columns of any size."""
    rng = np.random.default_rng(31)
    n = 40
    x = rng.normal(size=n) + shift
    X = np.column_stack([np.ones(n), x, 1e-5 * rng.normal(size=n)])
    y = 3 * x + rng.normal(size=n)
    w = rng.uniform(0.5, 2, n)
    gram = Gram.from_arrays(y, X, Term(np.arange(n) % 7), weights=w)
    root = np.sqrt(w)
    alpha = np.linalg.lstsq(root[:, None] * X, root * y, rcond=None)[0]
    assert left_of_y(gram) == pytest.approx((w * (y - X @ alpha) ** 2).sum(), rel=1e-9)


def test_a_term_keeps_nothing_of_the_caller():
    g, Z = np.array([0, 1, 2, 1, 0]), np.ones((5, 1))
    term = Term(g, Z)
    g[:], Z[:] = 0, 0.0
    assert term.codes.tolist() == [0, 1, 2, 1, 0] and (term.Z == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        term.codes[0] = 1


def test_refused_merges():
    y, X, g, h, _ = data(5)
    gram = Gram.from_arrays(y, X, Term(g))
    with pytest.raises(InputError, match="different models"):
        gram + Gram.from_arrays(y, X[:, :1], Term(g))
    with pytest.raises(InputError, match="different relatedness"):
        _ = Gram.from_arrays(y, X, Term(h, K=np.eye(5))) + Gram.from_arrays(
            y, X, Term(h, K=2 * np.eye(5))
        )


def test_rows_are_gathered_in_blocks():
    """More rows than fit into one block, and first rows that mislead about what is constant."""
    rng, n = np.random.default_rng(0), 70_000
    x, g = rng.normal(size=n), rng.integers(0, 40, n)
    X = np.column_stack([np.ones(n), x, np.ones(n)])
    X[-1, 0] = 2.0  # the first column is not constant after all; the third is
    X[:, 1] += 5.0
    y, w = 1e4 + rng.normal(size=n), rng.uniform(1, 2, n)
    for weights in (None, w):
        gram = Gram.from_arrays(y, X, [Term(g, X[:, :2]), Term(g)], weights)
        V = np.column_stack([X, y]) @ gram.H_inverse
        assert abs(V[:, 3]).max() < 10, "y is shifted in every row, the last one included"
        W = np.ones(n) if weights is None else weights
        np.testing.assert_allclose(gram.C, V.T @ (W[:, None] * V), rtol=1e-9, atol=1e-6)
        for block, Z in zip(gram.blocks, (X[:, :2], np.ones((n, 1))), strict=True):
            np.testing.assert_array_equal(block.rows, np.bincount(g))
            for j in (0, 39):
                rows = g == j
                ZW = (W[rows, None] * Z[rows]).T
                np.testing.assert_allclose(block.A[j], ZW @ Z[rows], rtol=1e-10)
                np.testing.assert_allclose(block.B[j], ZW @ V[rows], rtol=1e-8, atol=1e-8)


def test_a_bad_value_is_found_after_the_pass():
    """What the sums betray is named with its row, and nothing is copied or changed."""
    n = 70_000
    X, y, g = np.ones((n, 1)), np.arange(n, dtype=float), np.arange(n) % 7
    y[69_000] = np.nan
    with pytest.raises(InputError, match="the first in row 69000"):
        Gram.from_arrays(y, X, Term(g))
    y[69_000] = 1e120
    with pytest.raises(InputError, match="too large to square"):
        Gram.from_arrays(y, X, Term(g))
    assert X.flags.writeable and y.flags.writeable


@pytest.mark.parametrize("late", [150, 69_000])
def test_first_rows_that_mislead(late):
    """A column that looks constant at first is not taken for one, however late it turns."""
    n, rng = 70_000, np.random.default_rng(5)
    X, y, g = np.ones((n, 2)), 1e3 + rng.normal(size=n), np.arange(n) % 7
    X[:, 1] = rng.normal(size=n)
    X[late:, 0] = rng.normal(size=n - late)
    gram, V = Gram.from_arrays(y, X, Term(g)), np.column_stack([X, y])
    np.testing.assert_allclose(gram.H.T @ gram.C @ gram.H, V.T @ V, rtol=1e-10, atol=1e-6)


LAYOUTS = {
    "dummies first": lambda site, treat, x: [*site, x],
    "dummies last": lambda site, treat, x: [x, *site],
    "a treatment before them": lambda site, treat, x: [treat, *site, x],
    "a treatment among them": lambda site, treat, x: [site[0], treat, *site[1:], x],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("order", "centre"), [((0, 1, 2), 1e6), ((2, 0, 1), 1e9)])
@pytest.mark.slow
def test_chunks_by_site_with_dummies_of_the_sites(layout, order, centre):
    """The dummies sum to one in every chunk, though no single one of them is constant."""
    rng = np.random.default_rng(4)
    n, site = 360, np.repeat([0, 1, 2], 120)
    g, h, treat = rng.integers(0, 12, n), rng.integers(0, 5, n), rng.integers(0, 2, n).astype(float)
    off = rng.integers(-(2**12), 2**12, n) / 2**10  # so that centre + off is exact
    dummies = [(site == k).astype(float) for k in range(3)]
    y = off + site + treat + rng.normal(size=12)[g] + off * rng.normal(size=12)[g]
    y += rng.normal(size=5)[h] + rng.normal(size=n)
    w = rng.uniform(0.5, 2, n)

    def design(x):
        return np.column_stack(LAYOUTS[layout](dummies, treat, x))

    def of(x, rows):
        Z = np.column_stack([*dummies, x])  # a variance for each site, and a slope
        return [Term(g[rows], Z[rows]), Term(h[rows])]

    x, every = centre + off, slice(None)
    whole = fit(y, design(off), of(off, every), weights=w)
    total = sum(
        Gram.from_arrays(y[site == k], design(x)[site == k], of(x, site == k), w[site == k])
        for k in order
    )
    merged = fit(total)
    assert merged.criterion == pytest.approx(whole.criterion, abs=1e-7)
    assert merged.tau2 == pytest.approx(whole.tau2, rel=1e-6)
    slope = LAYOUTS[layout](["d"] * 3, "t", "x").index("x")
    assert merged.fixed[slope] == pytest.approx(whole.fixed[slope], rel=1e-6)
    assert merged.fixed_se[slope] == pytest.approx(whole.fixed_se[slope], rel=1e-6)
    assert merged.Sigma[0][3, 3] == pytest.approx(whole.Sigma[0][3, 3], rel=1e-5)


def test_a_constant_of_one_chunk_is_not_taken_for_one_of_the_other():
    """x is 1 in the first chunk, and a year in the second."""
    rng = np.random.default_rng(5)
    n, g = 80, rng.integers(0, 8, 80)
    x = np.where(np.arange(n) < 40, 1.0, 1e6 + rng.normal(size=n))
    y = rng.normal(size=8)[g] + rng.normal(size=n)
    for X in (np.column_stack([x, np.ones(n)]), np.column_stack([np.ones(n), x])):
        rows = [slice(0, 40), slice(40, n)]
        whole = fit(y, X, Term(g))
        for first, second in (rows, rows[::-1]):
            parts = [Gram.from_arrays(y[r], X[r], Term(g[r])) for r in (first, second)]
            merged = fit(parts[0] + parts[1])
            assert merged.tau2 == pytest.approx(whole.tau2, rel=1e-8)
            assert merged.fixed == pytest.approx(whole.fixed, rel=1e-6)
