"""What no data of a layout could tell apart is refused; the oracle is a rank of n x n matrices."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from dense import least_overlap
from scipy.linalg import block_diag

from mixhier_lite import Gram, InputError, Term, fit, lmer
from mixhier_lite.variance.assembly import Parts
from mixhier_lite.variance.identified import (
    Overlap,
    directions,
    more_entries_than_rows_tell,
    plainly_identified,
    refuse_unidentified,
)


def people(J, times):
    """J people with rows at some times: who, when, and X with both intercept and slope."""
    who, t = np.repeat(np.arange(J), len(times)), np.tile(np.array(times, float), J)
    return who, t, np.column_stack([np.ones(len(t)), t])


def relatives(n, seed=1):
    M = np.random.default_rng(seed).normal(size=(n, 2 * n))
    return M @ M.T / (2 * n)


def sibs(*sizes):
    """Families of full sibs: one half of their genes in common."""
    return block_diag(*[(np.eye(k) + np.ones((k, k))) / 2 for k in sizes])


def dummies(g):
    return (g[:, None] == np.unique(g)).astype(float)


NOISE, WITHIN, BY_X, TERMS = "the noise and", "from each other", "take up", "covariances of"


def layouts():
    """Name, X, terms, weights, and what the refusal says: None where all is identified."""
    rng = np.random.default_rng(20)
    who, t, X = people(20, [0, 1])
    both = [(who, X, None, True)]
    yield "two rows at the same times", X, both, None, NOISE
    own = np.column_stack([np.ones(40), rng.normal(size=40)])
    yield "two rows at own times", own, [(who, own, None, True)], None, None
    late = X.copy()
    late[-2:, 1] = [2, 4]
    yield "one of twenty at other times", late, [(who, late, None, True)], None, None
    year = X + [0, 2000]
    yield "two rows in the same years", year, [(who, year, None, True)], None, NOISE
    steps = np.tile(np.tril(np.ones((4, 4))), (9, 1))
    subject = np.repeat(np.arange(9), 4)
    yield "four stools, each once", steps, [(subject, steps, None, True)], None, NOISE
    signs = np.column_stack([np.ones(40), 2 * t - 1])
    yield "signs, uncorrelated", X, [(who, signs, None, False)], None, NOISE
    yield "zero and one, uncorrelated", X, [(who, X, None, False)], None, None

    one, single = np.ones((20, 1)), np.arange(20)
    yield "a row a level", one, [(single, one, None, True)], None, NOISE
    w = np.linspace(1, 3, 20)
    yield "a row a level, weighted", one, [(single, one, None, True)], w, None
    yield "a row a level, relatives", one, [(single, one, relatives(20), True)], None, None
    nearly = 1 + 1e-4 * w
    yield "a row a level, weights nearly equal", one, [(single, one, None, True)], nearly, None
    small = 1e-20 * relatives(20)
    yield "relatives in small units", one, [(single, one, small, True)], None, None
    yield "strangers with a K", one, [(single, one, np.eye(20), True)], None, NOISE
    yield "one family", one, [(single, one, sibs(20), True)], None, NOISE
    six = sibs(4, 4, 3, 3, 3, 3)
    yield "six families", one, [(single, one, six, True)], None, None
    yield "all clones", one, [(single, one, np.ones((20, 20)), True)], None, BY_X

    g, ones = np.repeat(np.arange(8), 5), np.ones((40, 1))
    for name, dose, said in [
        ("treated or not", np.arange(8) % 2, WITHIN),
        ("three doses", np.arange(8) % 3, None),
    ]:
        Z = np.column_stack([np.ones(40), dose[g]])
        yield name, Z, [(g, Z, None, True)], None, said
        yield f"{name}, uncorrelated", Z, [(g, Z, None, False)], None, None
    x = rng.normal(size=(40, 1))
    line = np.hstack([ones, x])
    yield "groups in X", dummies(g), [(g, ones, None, True)], None, BY_X
    fixed = np.hstack([dummies(g), x])
    yield "groups in X, random line", fixed, [(g, line, None, True)], None, BY_X
    yield "groups in X, random slope", fixed, [(g, x, None, True)], None, None
    yield "a term twice", ones, [(g, ones, None, True)] * 2, None, TERMS
    h = np.arange(40) % 3
    nested = [(h, ones, None, True), (g, line, None, True), (g, ones, None, True)]
    yield "slopes and an intercept", line, nested, None, TERMS + " term 2 and term 3"
    apart = [(g, ones, None, True), (g, x, None, True)]
    yield "intercept, then slope", line, apart, None, None
    signed = dummies(who) * np.tile([[1], [-1]], (20, 1))
    pairs = np.hstack([ones, signed])
    yield "differences within pairs in X", pairs, [(who, ones, None, True)], None, NOISE
    crossed = [(np.arange(40) // 8, ones, None, True), (np.arange(40) % 8, ones, None, True)]
    yield "crossed, a row a cell", ones, crossed, None, None
    cells = [*crossed, (np.arange(40), ones, None, True)]
    yield "crossed, with cells", ones, cells, None, NOISE + " the covariance of term 3"


LAYOUTS = [pytest.param(*layout[1:], id=layout[0]) for layout in layouts()]


@pytest.mark.parametrize("tau2", [None, 1.0], ids=["", "known noise"])
@pytest.mark.parametrize(("X", "terms", "w", "said"), LAYOUTS)
def test_what_the_layout_identifies(X, terms, w, said, tau2):
    y = np.random.default_rng(21).normal(size=len(X))
    given = [Term(g, Z, K, correlated) for g, Z, K, correlated in terms]
    smallest = least_overlap(X, terms, w, tau2 is not None)
    if said is None or (tau2 is not None and said.startswith(NOISE)):
        assert smallest > (1e-4 if w is None or np.ptp(w) > 0.1 else 1e-10)
        refuse_unidentified(Parts.of(Gram.from_arrays(y, X, given, w), True, tau2))
    else:
        assert smallest < 1e-12
        with pytest.raises(InputError, match=said):
            fit(y, X, given, weights=w, tau2=tau2)


@pytest.mark.parametrize("seed", range(12))
def test_overlap_is_that_of_dense_matrices(seed):
    """Weights, relatives on either of two terms or both, uncorrelated columns, no X at all."""
    rng = np.random.default_rng(seed)
    n, p = 30, int(rng.integers(0, 4))
    X, w = rng.normal(size=(n, p)), rng.uniform(0.5, 2, n)
    terms = []
    for t in range(2):
        J, q = int(rng.integers(4, 8)), int(rng.integers(1, 4))
        g = np.append(np.arange(J), rng.integers(0, J, n - J))
        K = relatives(J, seed) if seed >> t & 1 else None
        terms.append(Term(g, rng.normal(size=(n, q)) + 1, K, bool(rng.random() < 0.7)))
    parts = Parts.of(Gram.from_arrays(rng.normal(size=n), X, terms, w), True, None)
    found = Overlap.of(parts)

    M = []
    for term, block, R in zip(terms, parts.gram.blocks, parts.columns, strict=True):
        Z, q = term.Z @ np.linalg.inv(R), term.q
        K = np.eye(block.J) if block.K is None else block.K
        same = K[np.ix_(term.codes, term.codes)]
        M += [same * (Z @ D.reshape(q, q) @ Z.T) for D in directions(block, R)]
        if not block.correlated:  # the reader's own columns, one at a time
            for own, column in zip(M[-q:], term.Z.T, strict=True):
                alone = same * np.outer(column, column)
                np.testing.assert_allclose(own / own[0, 0], alone / alone[0, 0], rtol=1e-9)
    M.append(np.diag(1 / w))
    W = np.diag(w)
    Q = W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W
    before = [[np.trace(W @ a @ W @ b) for b in M] for a in M]
    np.testing.assert_allclose(found.before, before, rtol=1e-9, atol=1e-9)
    on_contrasts = [[np.trace(Q @ a @ Q @ b) for b in M] for a in M]
    np.testing.assert_allclose(found.on_contrasts, on_contrasts, rtol=1e-8, atol=1e-8)


def test_merged_chunks_are_refused_as_the_whole():
    """Chunks that are shifted by other first rows: years, two for each person."""
    who, _, X = people(12, [2000, 2001])
    y = np.random.default_rng(22).normal(size=24)
    halves = np.arange(12), np.arange(23, 11, -1)
    grams = [Gram.from_arrays(y[rows], X[rows], Term(who[rows], X[rows])) for rows in halves]
    assert not np.array_equal(grams[0].blocks[0].H, grams[1].blocks[0].H)
    with pytest.raises(InputError, match=NOISE):
        fit(grams[0] + grams[1])


def test_a_level_with_nearly_all_rows_hides_no_other():
    """A hundred million rows in one level, and thirty levels of two: identified all the same."""
    rng = np.random.default_rng(23)
    g = np.repeat(np.arange(31), 2)
    y = rng.normal(size=31)[g] + rng.normal(size=62)
    gram = Gram.from_arrays(y, np.ones((62, 1)), Term(g))
    first = Gram.from_arrays(y[:2], np.ones((2, 1)), Term(g[:2], levels=np.arange(31)))
    for _ in range(26):
        first = first + first
    model = fit(gram + first)
    assert 0 < model.Sigma[0][0, 0] < 10


def test_ergostool_and_a_treatment_by_formula():
    """Columns are named, and what to do: the fixed effects stay."""
    import pandas as pd

    rng = np.random.default_rng(24)
    data = pd.DataFrame({"id": np.repeat(range(10), 4), "treat": np.repeat([0.0, 1.0], 20)})
    data["y"] = rng.normal(size=10)[data["id"]] + rng.normal(size=40)
    with pytest.raises(InputError, match=r"columns \(Intercept\), treat") as refusal:
        lmer("y ~ treat + (treat | id)", data)
    assert "drop that column from the term" in refusal.value.remedy
    assert lmer("y ~ treat + (1 | id)", data).certificate.ok
    data["stool"] = np.tile(list("abcd"), 10)
    with pytest.raises(InputError, match=NOISE):
        lmer("y ~ stool + (stool | id)", data)


@pytest.mark.parametrize("seed", range(60))
def test_counting_never_passes_what_the_exact_test_refuses(seed):
    """Layouts on both sides: levels of one row, covariates constant within levels, X that takes."""
    rng = np.random.default_rng(seed)
    J, p, q = rng.integers(2, 14), rng.integers(1, 5), rng.integers(1, 3)
    g = np.repeat(np.arange(J), rng.integers(1, 5, J))
    n = len(g)
    x = rng.normal(size=n) if seed % 3 else rng.normal(size=J)[g]
    Z = np.column_stack([np.ones(n), x])[:, :q]
    taken = (g[:, None] == np.arange(p)) if seed % 2 else rng.normal(size=(n, p))
    X = np.column_stack([np.ones(n), taken[:, 1:]])
    if n <= p or np.linalg.matrix_rank(X) < p:
        return
    gram = Gram.from_arrays(rng.normal(size=n), X, Term(g, Z))
    parts = Parts.of(gram, True, None)
    found = Overlap.of(parts)
    told_apart = found.vanishing(np.ones(len(found.term), dtype=bool)) is None
    assert told_apart or not plainly_identified(parts)


@pytest.mark.parametrize(
    "X",
    [np.ones((12, 1)), np.kron(np.eye(4), np.ones((3, 1)))],
    ids=["a row a level", "X holds the levels"],
)
def test_counting_does_not_pass_what_it_must_not(X):
    """As many levels as rows: the noise is theirs. As many columns of X: the levels are its."""
    g = np.arange(12) if X.shape[1] == 1 else np.repeat(np.arange(4), 3)
    parts = Parts.of(Gram.from_arrays(np.sin(np.arange(12.0)), X, Term(g)), True, None)
    assert not plainly_identified(parts)
    with pytest.raises(InputError):
        refuse_unidentified(parts)


def test_counting_spares_the_exact_test():
    g = np.repeat(np.arange(9), 4)
    gram = Gram.from_arrays(np.sin(np.arange(36.0)), np.ones((36, 1)), Term(g))
    assert plainly_identified(Parts.of(gram, True, None))


@pytest.mark.parametrize("shift", [0.0, 3.7, 2000.0])
@pytest.mark.parametrize("dose", [(0, 1), (-1, 1), (0.3, 0.7)])
def test_rounding_of_a_column_that_is_zero_in_a_level_counts_as_no_rank(dose, shift):
    """In the columns of the search one is zero in treated levels, the other in the others."""
    who = np.repeat(np.arange(10), 3)
    X = np.column_stack([np.ones(30), np.array(dose)[who % 2] + shift])
    for seed in range(8):
        y = np.random.default_rng(seed).normal(size=30)
        parts = Parts.of(Gram.from_arrays(y, X, Term(who, X)), True, None)
        assert not plainly_identified(parts)
        with pytest.raises(InputError, match=WITHIN):
            fit(y, X, Term(who, X))


def test_counting_refuses_what_the_exact_test_has_no_memory_for():
    """Slopes on texts that are all different: 180 columns have 16,290 covariances."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.normal(size=180), "z": [f"{k}" for k in range(180)]})
    data["g"] = np.arange(180) % 15
    tracemalloc.start()
    with pytest.raises(InputError, match=WITHIN) as refusal:
        lmer("y ~ 1 + (z | g)", data)
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()
    assert "and 170 more" in str(refusal.value) and len(str(refusal.value)) < 1000


@pytest.mark.parametrize("seed", range(20))
def test_what_counting_refuses_the_exact_test_refuses_too(seed):
    rng = np.random.default_rng(seed)
    J, q = int(rng.integers(1, 5)), int(rng.integers(2, 6))
    g = np.append(np.arange(J), rng.integers(0, J, int(rng.integers(2, 12))))
    n = len(g)
    Z, X = rng.normal(size=(n, q)), np.ones((n, 1))
    block = Gram.from_arrays(rng.normal(size=n), X, Term(g, Z)).blocks[0]
    counted = more_entries_than_rows_tell(block)
    changes = [
        (g[:, None] == g) * (Z @ D.reshape(q, q) @ Z.T) for D in directions(block, np.eye(q))
    ]
    rank = np.linalg.matrix_rank(np.reshape(changes, (len(changes), -1)))
    assert rank < len(changes) if counted else rank == len(changes)
