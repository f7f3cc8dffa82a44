"""Tables of a posterior, and what it says of new rows."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from mixhier_lite import InputError, Term, datasets, fit, integrate, lmer, priors, sample


def slopes(seed=3, J=10, m=6):
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(J), m), rng.normal(size=J * m)
    Z = np.column_stack([np.ones(J * m), x])
    y = (Z * (rng.normal(size=(J, 2)) * [1.0, 0.7])[g]).sum(axis=1) + rng.normal(size=J * m)
    return fit(y, Z, Term(g, Z, name="g"), tau2=1.0), Z, g  # so that quadrature is quick


MODEL, Z, G = slopes()
DRAWS = sample(MODEL, 4000, np.random.default_rng(1), prior=priors.half_normal(2))


def test_two_tables_of_one_posterior():
    """By draws, and by quadrature: within the error of 4,000 independent draws."""
    drawn = DRAWS.table()
    told = integrate(MODEL, prior=priors.half_normal(2)).table()
    assert list(drawn.columns) == list(told.columns) == ["mean", "sd", "lower", "upper"]
    names = ["x0", "x1", "sd of z1 by g", "sd of z2 by g"]
    assert list(told.index) == [*names, "correlation of z1 and z2 by g", "tau", "icc"]
    assert list(drawn.index) == list(told.index)
    for table in (drawn, told):
        assert list(table.loc["tau"]) == pytest.approx([1, 0, 1, 1], abs=1e-12)
    drawn, told = drawn.drop("tau"), told.drop("tau")
    error = told["sd"] / np.sqrt(4000)
    assert (abs(drawn["mean"] - told["mean"]) < 4.5 * error).all()
    assert (abs(drawn["sd"] / told["sd"] - 1) < 0.08).all()
    S = DRAWS.Sigma[0]
    r = S[:, 0, 1] / np.sqrt(S[:, 0, 0] * S[:, 1, 1])
    of_a_row = np.einsum("skl,kl->s", S, Z.T @ Z / len(Z))  # the mean of z' Sigma z
    values = np.column_stack([DRAWS.fixed, DRAWS.sds[0], r, of_a_row / (of_a_row + 1)])
    for end, share in (("lower", 0.025), ("upper", 0.975)):
        below = (values < told[end].to_numpy()).mean(axis=0)
        assert (abs(below - share) < 4.5 * np.sqrt(0.025 * 0.975 / 4000)).all(), (end, below)
    narrow = DRAWS.table(level=0.5).drop("tau")
    assert ((narrow["lower"] > drawn["lower"]) & (narrow["upper"] < drawn["upper"])).all()
    assert str(DRAWS).splitlines()[0].split() == ["mean", "sd", "lower", "upper"]


@pytest.mark.parametrize(("J", "p"), [(4, 1), (5, 1), (4, 2)])
def test_draws_have_no_moment_that_the_posterior_has_not(J, p):
    """Orders below r - 1 exist, and r = J - p: for (4, 1) no sd, for (4, 2) no mean either."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(J), 5)
    X = np.column_stack([np.ones(5 * J), g % 3])[:, :p]
    model = fit(3 * rng.normal(size=J)[g] + rng.normal(size=5 * J), X, Term(g, name="g"))
    drawn, told = sample(model, 400, rng).table(), integrate(model).table()
    for column in ("mean", "sd"):
        for kind in (np.isfinite, np.isnan):
            np.testing.assert_array_equal(kind(drawn[column]), kind(told[column]))
    assert np.isinf(drawn.loc["sd of 1 by g", "sd"]) == (J - p <= 3)
    assert np.isinf(drawn.loc["sd of 1 by g", "mean"]) == np.isnan(drawn["mean"].iloc[0])
    assert np.isnan(drawn["mean"].iloc[0]) == (J - p <= 2) and np.isfinite(drawn.loc["icc"]).all()


def test_a_correlation_and_the_icc_by_hand():
    few = sample(MODEL, 50, np.random.default_rng(0))
    table, S = few.table(), few.Sigma[0]
    r = S[:, 0, 1] / np.sqrt(S[:, 0, 0] * S[:, 1, 1])
    assert table.loc["correlation of z1 and z2 by g", "mean"] == pytest.approx(r.mean())
    of_rows = np.array([[z @ own @ z for z in Z] for own in S]).mean(axis=1)
    assert table.loc["icc", "mean"] == pytest.approx((of_rows / (of_rows + few.tau2)).mean())


def test_rows_of_groups_that_the_fit_has_seen():
    rows = np.array([0, 17, 59])
    found = DRAWS.predict(Z[rows], Term(G[rows], Z[rows]))
    assert found.shape == (4000, 3)
    for s in (0, 999):
        for k, row in enumerate(rows):
            beta = DRAWS.fixed[s] + DRAWS.random[0][s, G[row]]
            assert found[s, k] == pytest.approx(Z[row] @ beta, rel=1e-12)


def test_a_new_group_is_drawn_once_for_its_rows():
    X = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 2.0], [1.0, 0.0]])
    groups = np.array([77, 77, 77, 5])
    found = DRAWS.predict(X, Term(groups, X), "population", rng=np.random.default_rng(5))
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert np.std(found[:, 2] - found[:, 0]) > 0.5  # its slope is its own
    other = DRAWS.predict(X, Term(np.arange(70, 74), X), "population")
    assert np.std(other[:, 0] - other[:, 1]) > 0.5
    z = X[2]
    expected = np.var(DRAWS.fixed @ z) + np.mean(DRAWS.Sigma[0] @ z @ z)
    kurtosis = 6  # of a normal whose variance is uncertain, generously
    assert np.var(found[:, 2]) == pytest.approx(expected, rel=4.5 * np.sqrt(kurtosis / 4000))
    with pytest.raises(InputError, match="77"):
        DRAWS.predict(X, Term(groups, X))


def test_noise_is_that_of_a_row():
    rows, same = np.zeros(2, dtype=int), np.random.default_rng(2)
    term = Term(G[rows], Z[rows])
    quiet, loud = DRAWS.predict(Z[rows], term), DRAWS.predict(Z[rows], term, noise=True, rng=same)
    noise = (loud - quiet) / np.sqrt(DRAWS.tau2)[:, None]
    assert abs(noise.mean()) < 4.5 / np.sqrt(8000) and abs(noise.std() - 1) < 4.5 / np.sqrt(16000)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4.5 / np.sqrt(4000)
    again = DRAWS.predict(Z[rows], term, noise=True)
    np.testing.assert_array_equal(again, DRAWS.predict(Z[rows], term, noise=True))


def test_a_data_frame_is_read_as_by_the_fit():
    data = datasets.load("Dyestuff")
    model = lmer("Yield ~ 1 + (1 | Batch)", data)
    draws = sample(model, 200, np.random.default_rng(0))
    new = pd.DataFrame({"Batch": ["B", "new", None, "new", "other"]})
    found = draws.predict(new, new_groups="population")
    effect = draws.fixed[:, 0] + draws.random[0][:, list(model.levels[0]).index("B"), 0]
    np.testing.assert_allclose(found[:, 0], effect, rtol=1e-12)
    assert np.isnan(found[:, 2]).all() and np.isfinite(found[:, [0, 1, 3, 4]]).all()
    np.testing.assert_array_equal(found[:, 1], found[:, 3])
    assert (found[:, 1] != found[:, 4]).any()
    unknown = draws.predict(pd.DataFrame({"other": [1, 2]}), new_groups="population")
    assert unknown.shape == (200, 2) and (unknown[:, 0] != unknown[:, 1]).any()


def test_misuse_in_words():
    for call, words in [
        (lambda: DRAWS.predict(Z[:2]), "columns of the random effects are not known"),
        (lambda: DRAWS.predict(Z[:2], Term(G[:2], Z[:2]), noise="yes"), "noise"),
        (lambda: DRAWS.predict(Z[:2], Term(G[:2], Z[:2]), rng=7), "rng is not a generator"),
        (lambda: DRAWS.predict(Z[:2], Term(G[:2], Z[:2]), new_groups="new"), "new_groups"),
        (lambda: DRAWS.table(95), "level"),
        (lambda: integrate(MODEL).table(0), "level"),
    ]:
        with pytest.raises(InputError, match=words):
            call()


def exactly(Z, root):
    """Z times a root of Sigma with no rounding at all."""
    a = [[Fraction(v) for v in row] for row in np.asarray(Z).tolist()]
    b = [[Fraction(v) for v in row] for row in root.tolist()]
    return np.array(
        [[float(sum(z * r for z, r in zip(row, column, strict=True)))
          for column in zip(*b, strict=True)] for row in a]
    )  # fmt: skip


def test_new_groups_and_the_icc_keep_their_digits_far_from_the_zero_of_a_covariate():
    """z' Sigma z of the product Sigma loses (mean / sd)^2: 1e16 times rounding, here."""
    _, Z, g = slopes()
    Z = Z + [0, 1e8]
    rng = np.random.default_rng(4)
    y = (Z - [0, 1e8] + rng.normal(size=(10, 2))[g]).sum(axis=1) + rng.normal(size=60)
    model = fit(y, Z, Term(g, Z, name="g"), tau2=1.0)
    draws = sample(model, 20, rng)
    turned = [exactly(Z, root) for root in draws.roots[0]]
    variance = np.array([(each**2).sum(axis=1).mean() for each in turned])
    assert draws.table().loc["icc", "mean"] == pytest.approx((variance / (1 + variance)).mean())

    new = draws.predict(Z[:3], Term([-1] * 3, Z[:3]), "population", rng=np.random.default_rng(5))
    u = np.random.default_rng(5).standard_normal((20, 1, 2))[:, 0]
    for s in range(20):
        whole = np.column_stack([draws.fixed[s], draws.roots[0][s]])
        expected = exactly(Z[:3], whole) @ np.append(1, u[s])
        assert new[s] == pytest.approx(expected, abs=1e-5)
