"""Three stages: factors that multiply, the posterior, and the two forms of one model."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from mixhier_lite import (
    GaussianFactor,
    HierarchicalModel,
    InputError,
    LinearMixedModel,
    Term,
    centred,
    fit,
    flat,
    gaussian,
    gls_blup,
    indicator,
    posterior,
    priors,
)
from mixhier_lite.datasets import four_groups

SEEDS = range(8)


def spd(rng, size):
    """A covariance without structure, of moderate condition."""
    A = rng.normal(size=(size, size))
    return A @ A.T / size + 0.3 * np.eye(size)


def condition(mean, cov, seen, values):
    """Mean and covariance of the rest of a joint Gaussian, given the entries ``seen``."""
    rest = np.setdiff1d(np.arange(len(mean)), seen)
    weights = np.linalg.solve(cov[np.ix_(seen, seen)], cov[np.ix_(seen, rest)]).T
    given = mean[rest] + weights @ (values - mean[seen])
    return given, cov[np.ix_(rest, rest)] - weights @ cov[np.ix_(seen, rest)]


def joint_moments(model, m, C):
    """Mean and covariance of (alpha, beta, y), entry by entry from the three stages."""
    n, p, J = model.n, model.p, model.J
    mean, cov = np.zeros(p + J + n), np.zeros((p + J + n, p + J + n))
    rows = np.eye(p + J + n, p + J + n)  # each variable in terms of alpha, beta and noise
    rows[p + J :, :p], rows[p + J :, p : p + J] = model.X, model.D
    source = np.zeros_like(cov)
    source[:p, :p], source[p : p + J, p : p + J] = C, model.Sigma
    source[p + J :, p + J :] = model.tau2 * np.eye(n)
    for a, b in itertools.product(range(len(mean)), repeat=2):
        cov[a, b] = rows[a] @ source @ rows[b]
    mean[:p], mean[p + J :] = m, model.X @ m
    return mean, cov


# --- factors


def on_a_grid(factor, points):
    """Evaluate exp(-c'Pc/2 + h'c) at each row of ``points``, one term at a time."""
    P, h = factor.precision, factor.shift
    k = len(h)
    exponent = sum(h[a] * points[:, a] for a in range(k))
    for a, b in itertools.product(range(k), repeat=2):
        exponent = exponent - P[a, b] * points[:, a] * points[:, b] / 2
    return np.exp(exponent)


@pytest.mark.parametrize("seed", SEEDS)
def test_product_of_factors_is_the_product_of_densities(seed):
    """On a grid: multiply the numbers, normalise, and take moments by summation."""
    rng = np.random.default_rng(seed)
    row = rng.normal(size=(1, 2))
    line = GaussianFactor(row.T @ row, row[0] * rng.normal())  # says nothing across its row
    first, second = (gaussian(rng.normal(size=2), spd(rng, 2)) for _ in range(2))
    axis = np.linspace(-12, 12, 401)
    points = np.array(list(itertools.product(axis, axis)))
    density = on_a_grid(first, points) * on_a_grid(second, points) * on_a_grid(line, points)
    mean = np.average(points, axis=0, weights=density)
    cov = np.cov(points.T, aweights=density, ddof=0)
    for product in (first * second * line, line * (second * first)):
        assert np.linalg.solve(product.precision, product.shift) == pytest.approx(mean, abs=1e-8)
        assert np.linalg.inv(product.precision) == pytest.approx(cov, abs=1e-8)


def test_factor_that_is_flat_changes_nothing():
    prior = gaussian([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]])
    same = prior * flat(2)
    assert np.array_equal(same.precision, prior.precision)
    assert np.array_equal(same.shift, prior.shift)


def test_factors_over_different_coefficients_do_not_multiply():
    with pytest.raises(ValueError):
        gaussian([0.0], [[1.0]]) * gaussian([0.0, 0.0], np.eye(2))


def test_factor_is_frozen():
    factor = gaussian([0.0], [[1.0]])
    for name in ("precision", "shift"):
        with pytest.raises(AttributeError):
            setattr(factor, name, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_gaussian_is_the_density_with_its_mean_and_covariance(seed):
    rng = np.random.default_rng(seed)
    mean, cov = rng.normal(size=3), spd(rng, 3)
    factor = gaussian(mean, cov)
    assert factor.precision @ cov == pytest.approx(np.eye(3), abs=1e-10)
    # the exponent is stationary at the mean
    points = mean + np.vstack([np.zeros(3), 1e-4 * np.eye(3), -1e-4 * np.eye(3)])
    values = np.log(on_a_grid(factor, points))
    assert (values[1:4] - values[4:]) / 2e-4 == pytest.approx(np.zeros(3), abs=1e-8)


def test_gaussian_takes_coefficients_of_very_different_size():
    for seed in range(50):
        size = 10.0 ** np.array([-8, 0, 8])
        C = spd(np.random.default_rng(seed), 3)
        factor = gaussian(np.zeros(3), C * np.outer(size, size))
        assert factor.precision * np.outer(size, size) @ C == pytest.approx(np.eye(3), abs=1e-9)


def test_gaussian_on_no_coefficients():
    factor = gaussian([], np.zeros((0, 0)))
    assert factor.precision.shape == (0, 0) and factor.shift.shape == (0,)


@pytest.mark.parametrize(
    ("mean", "cov", "words"),
    [
        ([0, 0], np.eye(3), "cov has the wrong shape"),
        ([0, 0], [1, 1], "cov has the wrong number of axes"),
        (0, [[1]], "mean has the wrong number of axes"),
        ([[0]], [[1]], "mean has the wrong number of axes"),
        ([0, 0], [[1, 0.5], [0.4, 1]], "cov is not symmetric"),
        ([0, 0], [[1, 2], [2, 1]], "cov is not positive semi-definite"),
        ([0], [[-1]], "cov is not positive semi-definite"),
        ([0], [[0]], "cov is singular"),
        ([0, 0], [[1, 1], [1, 1]], "cov is singular"),
        ([0, 0], np.diag([1.0, 0.0]), "cov is singular"),
        ([0, np.nan], np.eye(2), "mean has missing or infinite"),
        ([0, 0], np.diag([1, np.inf]), "cov has missing or infinite"),
        (["a"], [[1]], "mean does not hold real numbers"),
    ],
)
def test_gaussian_refuses(mean, cov, words):
    with pytest.raises(InputError, match=words):
        gaussian(mean, cov)


def test_gaussian_refuses_every_singular_covariance():
    """Also where rounding leaves the smallest eigenvalue just above zero."""
    for seed in range(100):
        A = np.random.default_rng(seed).normal(size=(3, 2))
        with pytest.raises(InputError, match="cov is singular"):
            gaussian(np.zeros(3), A @ A.T)


# --- the posterior under a proper prior


def models(seed):
    """Models of each kind that a proper prior serves."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(4), rng.permutation([1, 2, 3, 5]))
    D, x = indicator(groups), rng.normal(size=(11, 1))
    one, root = np.ones((11, 1)), rng.normal(size=(4, 2))
    inputs = {
        "plain": (np.hstack([one, x]), D, spd(rng, 4)),
        "dense D": (x, rng.normal(size=(11, 4)), spd(rng, 4)),
        "singular Sigma": (np.hstack([one, x]), D, root @ root.T),
        "Sigma zero": (np.hstack([one, x]), D, np.zeros((4, 4))),
        "empty group": (x, np.hstack([D, 0 * one]), spd(rng, 5)),
        "column twice": (np.hstack([x, x]), D, spd(rng, 4)),
        "column of zeros": (np.hstack([x, 0 * x]), D, spd(rng, 4)),
        "more columns than rows": (rng.normal(size=(11, 14)), D, spd(rng, 4)),
        "X = D": (D, D, spd(rng, 4)),
        "no fixed effect": (np.zeros((11, 0)), D, spd(rng, 4)),
        "no random effect": (x, np.zeros((11, 0)), np.zeros((0, 0))),
        "one row": (x[:1], D[:1], spd(rng, 4)),
    }
    built = {kind: LinearMixedModel(*args, tau2=0.6) for kind, args in inputs.items()}
    return {kind: (model, 3 * rng.normal(size=model.n), rng) for kind, model in built.items()}


KINDS = list(models(0))
SINGULAR_X = ["column twice", "column of zeros", "more columns than rows"]


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_is_the_joint_gaussian_conditioned_on_y(kind):
    for seed in SEEDS:
        model, y, rng = models(seed)[kind]
        m, C = rng.normal(size=model.p), spd(rng, model.p)
        effects = posterior(model, y, gaussian(m, C))
        k = model.p + model.J
        mean, cov = condition(*joint_moments(model, m, C), np.arange(k, k + model.n), y)
        assert np.append(effects.fixed, effects.random) == pytest.approx(mean, abs=1e-8)
        assert effects.cov == pytest.approx(cov, abs=1e-8)


def test_posterior_mean_is_where_the_density_is_highest():
    """A numerical optimiser on the three log densities, which knows no linear algebra."""
    model, y, rng = models(3)["plain"]
    m, C = rng.normal(size=2), spd(rng, 2)
    C_inverse, Sigma_inverse = np.linalg.inv(C), np.linalg.inv(model.Sigma)

    def minus_log_density(c):
        a, b = c[:2], c[2:]
        e = y - model.X @ a - model.D @ b
        return (e @ e / 0.6 + b @ Sigma_inverse @ b + (a - m) @ C_inverse @ (a - m)) / 2

    found = minimize(minus_log_density, np.zeros(6), tol=1e-12).x
    effects = posterior(model, y, gaussian(m, C))
    assert np.append(effects.fixed, effects.random) == pytest.approx(found, abs=1e-5)


def test_gaussian_prior_is_one_more_row_for_each_coefficient():
    """A flat prior and p more observations of alpha: m ~ N(alpha, C)."""
    for seed in SEEDS:
        model, y, rng = models(seed)["plain"]
        m, sd = rng.normal(size=2), np.array([0.5, 2.0])
        scale = np.sqrt(model.tau2) / sd
        more = LinearMixedModel(
            np.vstack([model.X, np.diag(scale)]),
            np.vstack([model.D, np.zeros((2, model.J))]),
            model.Sigma,
            model.tau2,
        )
        with_rows = posterior(more, np.append(y, scale * m), flat(2))
        with_prior = posterior(model, y, gaussian(m, np.diag(sd**2)))
        assert with_prior.fixed == pytest.approx(with_rows.fixed, abs=1e-10)
        assert with_prior.random == pytest.approx(with_rows.random, abs=1e-10)
        assert with_prior.cov == pytest.approx(with_rows.cov, abs=1e-10)


@pytest.mark.parametrize("kind", SINGULAR_X)
def test_rank_deficient_x_needs_a_proper_prior(kind):
    model, y, rng = models(1)[kind]
    with pytest.raises(InputError, match=r"not identified(.|\n)*proper prior: posterior\(model"):
        posterior(model, y, flat(model.p))
    assert np.isfinite(posterior(model, y, gaussian(np.zeros(model.p), np.eye(model.p))).cov).all()


def test_half_a_prior_does_where_it_covers_the_gap():
    """Flat on one of two equal columns, proper on the other: the sum is learned from y."""
    model, y, _ = models(1)["column twice"]
    half = GaussianFactor(np.diag([4.0, 0.0]), np.array([4.0, 0.0]))  # alpha_1 ~ N(1, 1/4)
    alone = posterior(dataclasses.replace(model, X=model.X[:, :1]), y, flat(1))
    effects = posterior(model, y, half)
    assert effects.fixed == pytest.approx([1.0, alone.fixed[0] - 1.0], abs=1e-8)
    assert effects.fixed_cov[0, 0] == pytest.approx(0.25)


def test_a_direction_without_data_keeps_its_prior():
    model, y, rng = models(2)["column twice"]
    m, C, across = rng.normal(size=2), spd(rng, 2), np.array([1.0, -1.0])
    C = (C[::-1, ::-1] + C) / 2  # symmetric in the two columns: the sum says nothing of across
    effects = posterior(model, y, gaussian(m, C))
    assert across @ effects.fixed == pytest.approx(across @ m)
    assert across @ effects.fixed_cov @ across == pytest.approx(across @ C @ across)


@pytest.mark.parametrize("p", [0, 1, 3])
def test_prior_of_another_size_is_refused(p):
    model, y, _ = models(0)["plain"]
    with pytest.raises(
        InputError, match=rf"prior and X do not match(.|\n)*on 2 fixed(.|\n)*on {p}"
    ):
        posterior(model, y, gaussian(np.zeros(p), np.eye(p)))


def test_other_models_and_other_priors_are_refused():
    model, y, _ = models(0)["plain"]
    fitted = fit(np.arange(6.0) % 4, np.ones((6, 1)), Term([0, 0, 1, 1, 2, 2]))
    with pytest.raises(InputError, match=r"not a LinearMixedModel(.|\n)*got: Fit"):
        posterior(fitted, y, gaussian([0, 0], np.eye(2)))
    with pytest.raises(InputError, match=r"not a prior on alpha(.|\n)*got: SdPrior"):
        posterior(model, y, priors.half_normal(1))


@pytest.mark.parametrize("y", [np.zeros(10), np.zeros((11, 1)), np.full(11, np.nan)])
def test_response_that_does_not_fit_is_refused(y):
    with pytest.raises(InputError, match="y"):
        posterior(models(0)["plain"][0], y, gaussian([0, 0], np.eye(2)))


def test_posterior_leaves_its_inputs_alone():
    model, y, _ = models(0)["plain"]
    prior, before = gaussian([1, 2], np.eye(2)), y.copy()
    P, h = prior.precision.copy(), prior.shift.copy()
    posterior(model, y, prior)
    assert np.array_equal(y, before)
    assert np.array_equal(prior.precision, P) and np.array_equal(prior.shift, h)


# --- the centred and the zero-centred form


def group_level(seed):
    """Random U and D of each kind, with a Sigma that may be singular."""
    rng = np.random.default_rng(seed)
    groups = np.append(np.arange(5), rng.integers(5, size=rng.integers(2, 12)))
    D, x = indicator(groups), rng.normal(size=(len(groups), 1))
    with_empty = np.insert(D, 2, 0, axis=1)
    kinds = {
        "indicator": D,
        "empty group": with_empty,
        "no row to spare": np.eye(5)[rng.permutation(5)],
        "one group": np.ones((2, 1)),
        "random slopes": np.hstack([D, x * D]),
        "dense": rng.normal(size=(30, 5)),
        "more columns than rows": rng.normal(size=(4, 9)),
    }
    for kind, D in kinds.items():
        J, p = D.shape[1], rng.integers(1, 4)
        root = rng.normal(size=(J, rng.integers(1, J + 1)))
        yield kind, HierarchicalModel(rng.normal(size=(J, p)), D, root @ root.T, 0.8)


@pytest.mark.theorem("thm-centred")
def test_every_product_d_u_has_a_centred_form():
    for seed in range(40):
        for kind, model in group_level(seed):
            mixed = model.to_mixed()
            D, columns = model.D.tolist(), model.U.T.tolist()
            X = [[sum(d * u for d, u in zip(row, u, strict=True)) for u in columns] for row in D]
            assert np.allclose(mixed.X, X, rtol=0, atol=1e-12)
            if np.linalg.matrix_rank(model.D) < mixed.J:  # there are many U
                with pytest.raises(InputError, match="many centred forms"):
                    centred(mixed)
                continue
            back = centred(mixed)
            assert back.D @ back.U == pytest.approx(mixed.X, abs=1e-10), kind
            assert back.U == pytest.approx(model.U, abs=1e-8), kind
            for name in ("D", "Sigma", "tau2"):
                assert np.array_equal(getattr(back, name), getattr(model, name))
                assert np.array_equal(getattr(mixed, name), getattr(model, name))


def test_a_level_without_rows_has_the_constants_and_no_other_covariates():
    """gamma of a group that nobody saw is the mean of all, here of a balanced layout."""
    y = np.array([10.0, 11, 13, 12])
    D = indicator(["a", "a", "b", "b"], levels=["a", "b", "new"])
    model = LinearMixedModel(np.ones((4, 1)), D, 4 * np.eye(3), 1.0)
    effects = gls_blup(model, y)
    gamma = centred(model).U @ effects.fixed + effects.random
    shrunk = 11.5 + 8 / 9 * np.array([-1, 1, 0])  # w = n sigma2 / (n sigma2 + tau2)
    assert gamma == pytest.approx(shrunk, abs=1e-12)
    altitude = D @ [[3.0], [5.0], [7.0]]
    with pytest.raises(InputError, match=r"many centred forms") as refusal:
        centred(LinearMixedModel(np.hstack([np.ones((4, 1)), altitude]), D, np.eye(3), 1.0))
    assert "among columns [2] of D" in refusal.value.got
    assert "columns [1] of X" in refusal.value.got


@pytest.mark.theorem("thm-centred")
def test_centred_form_without_columns(capfd):
    """Nothing to represent is represented; something in terms of nothing is not."""
    D = indicator([0, 1, 1])
    assert centred(LinearMixedModel(np.zeros((3, 0)), D, np.eye(2), 1.0)).U.shape == (2, 0)
    nothing = (np.zeros((3, 0)), np.zeros((0, 0)), 1.0)
    assert centred(LinearMixedModel(np.zeros((3, 0)), *nothing)).U.shape == (0, 0)
    with pytest.raises(InputError, match=r"columns \[0\] of X outside it; 1e\+02 %"):
        centred(LinearMixedModel(np.ones((3, 1)), *nothing))
    assert capfd.readouterr() == ("", ""), "LAPACK speaks to the reader"


@pytest.mark.theorem("thm-centred")
def test_both_forms_draw_the_same_data():
    """Monte Carlo: coefficients drawn around U alpha, each row looked up in its group."""
    rng = np.random.default_rng(5)
    groups, U = [0, 0, 1, 2, 2, 2], np.array([[1.0, -1.0], [1.0, 0.5], [1.0, 2.0]])
    Sigma, m, C = spd(rng, 3), np.array([2.0, -1.0]), spd(rng, 2)
    mixed = HierarchicalModel(U, indicator(groups), Sigma, 0.5).to_mixed()
    draws = 200_000
    alpha = rng.multivariate_normal(m, C, size=draws)
    around = rng.multivariate_normal(np.zeros(3), Sigma, size=draws)
    gamma = np.array([alpha @ U[j] + around[:, j] for j in range(3)])
    y = gamma[groups].T + np.sqrt(0.5) * rng.normal(size=(draws, 6))
    cov = mixed.X @ C @ mixed.X.T + mixed.V
    sd = np.sqrt(np.diag(cov))
    noise = 5 / np.sqrt(draws)
    assert np.abs((y.mean(axis=0) - mixed.X @ m) / sd).max() < noise
    assert np.abs((np.cov(y.T) - cov) / np.outer(sd, sd)).max() < 1.5 * noise


@pytest.mark.theorem("thm-centred")
def test_both_forms_have_the_same_posterior():
    """Condition (alpha, gamma, y), built stage by stage in the centred form's own letters."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for kind, model in group_level(seed):
            n, J, p = *model.D.shape, model.U.shape[1]
            m, C, y = rng.normal(size=p), spd(rng, p), rng.normal(size=n)
            mean, cov = m, C
            for A, S in ((model.U, model.Sigma), (model.D, model.tau2 * np.eye(n))):
                A = np.hstack([np.zeros((len(A), len(mean) - A.shape[1])), A])  # on the last ones
                mean = np.append(mean, A @ mean)
                cov = np.block([[cov, cov @ A.T], [A @ cov, A @ cov @ A.T + S]])
            mean, cov = condition(mean, cov, np.arange(p + J, p + J + n), y)
            effects = posterior(model.to_mixed(), y, gaussian(m, C))
            to_gamma = np.block([[np.eye(p), np.zeros((p, J))], [model.U, np.eye(J)]])
            means = to_gamma @ np.append(effects.fixed, effects.random)
            assert means == pytest.approx(mean, abs=1e-7), kind
            assert to_gamma @ effects.cov @ to_gamma.T == pytest.approx(cov, abs=1e-7), kind


@pytest.mark.theorem("thm-centred")
def test_a_covariate_that_varies_within_groups_has_none():
    """Whatever U is, some of the column stays: an optimiser finds how little that can be."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        groups = np.append([0, 0], rng.integers(3, size=8))
        D = indicator(groups, levels=range(3))
        X = np.column_stack([np.ones(10), rng.normal(size=10), D @ rng.normal(size=3)])
        left = minimize(lambda u: ((X[:, 1] - u[groups]) ** 2).sum(), np.zeros(3)).fun  # noqa: B023
        share = f"{100 * left / (X[:, 1] ** 2).sum():.2g}"
        with pytest.raises(InputError) as refusal:
            centred(LinearMixedModel(X, D, np.eye(3), 1.0))
        assert refusal.value.got.startswith(f"columns [1] of X outside it; {share} %")
        centred(LinearMixedModel(X[:, [0, 2]], D, np.eye(3), 1.0))


@pytest.mark.theorem("thm-centred")
@pytest.mark.parametrize("step", [1.0, 1e-3, 1e-6, 1e-9])
def test_one_row_that_differs_is_enough(step):
    D = indicator([0, 0, 0, 1, 1])
    X = D @ np.array([[1.0, 3.0], [1.0, -2.0]])
    assert centred(LinearMixedModel(X, D, np.eye(2), 1.0)).U[:, 1] == pytest.approx([3.0, -2.0])
    X[1, 1] += step
    with pytest.raises(InputError, match=r"columns \[1\] of X outside"):
        centred(LinearMixedModel(X, D, np.eye(2), 1.0))


def test_refusal_names_every_column_and_measures_the_worst():
    X = np.array([[1.0, 9.0, 1.0, 3.0], [1.0, 11.0, 1.0, -3.0], [1.0, 0.0, 2.0, 1.0]])
    with pytest.raises(InputError) as refusal:
        centred(LinearMixedModel(X, indicator([0, 0, 1]), np.eye(2), 1.0))
    # column 1 loses 2 of 202, column 3 loses 18 of 19
    assert refusal.value.got.startswith("columns [1, 3] of X outside it; 95 % of")
    assert "squares of column 3" in refusal.value.got


@pytest.mark.theorem("thm-centred")
def test_rounding_is_no_variation():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        D = indicator([0, 1, 1])[rng.permutation(3)[: rng.integers(2, 4)]]
        U = 2000 + rng.normal(size=(2, 2))
        model = LinearMixedModel((D @ U) * 1.1 / 1.1, D, np.eye(2), 1.0)
        assert D @ centred(model).U == pytest.approx(model.X, rel=1e-12)


@pytest.mark.theorem("thm-centred")
def test_the_four_groups_have_none_with_intercepts_and_one_with_slopes():
    for seed in range(20):
        data = four_groups(np.random.default_rng(seed))
        within = sum(((v - v.mean()) ** 2).sum() for v in data.x.reshape(4, 30))
        share = 100 * within / (data.x**2).sum()
        assert 1 < share < 3
        X = np.column_stack([np.ones(120), data.x])
        with pytest.raises(InputError) as refusal:
            centred(LinearMixedModel(X, data.D, np.eye(4), 1.0))
        assert f"columns [1] of X outside it; {share:.2g} %" in refusal.value.got
        D = np.hstack([data.D, data.x[:, None] * data.D])
        U = centred(LinearMixedModel(X, D, np.eye(8), 1.0)).U
        assert U.T == pytest.approx(np.array([[1] * 4 + [0] * 4, [0] * 4 + [1] * 4]), abs=1e-9)


# --- the three-stage model as a value


GOOD = {"U": np.ones((2, 1)), "D": np.eye(3, 2), "Sigma": np.eye(2), "tau2": 1.0}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("U", np.ones((3, 1)), r"U and D do not match(.|\n)*U with 2 rows"),
        ("U", np.ones(2), "U has the wrong number of axes"),
        ("U", [[1.0], [np.nan]], "U has missing or infinite"),
        ("D", np.eye(3), r"U and D do not match(.|\n)*U with 3 rows"),
        ("D", np.ones(2), "D has the wrong number of axes"),
        ("D", np.zeros((0, 2)), "no rows"),
        ("Sigma", np.eye(3), "Sigma has the wrong shape"),
        ("Sigma", [[1.0, 0.5], [0.0, 1.0]], "Sigma is not symmetric"),
        ("Sigma", -np.eye(2), "Sigma is not positive semi-definite"),
        ("tau2", 0.0, "tau2 is a variance"),
        ("tau2", [1.0], "tau2 has the wrong number of axes"),
    ],
)
def test_hierarchical_model_refuses(name, value, words):
    HierarchicalModel(**GOOD)
    with pytest.raises(InputError, match=words):
        HierarchicalModel(**{**GOOD, name: value})


def test_hierarchical_model_without_fixed_effects():
    assert HierarchicalModel(**{**GOOD, "U": np.zeros((2, 0))}).to_mixed().p == 0


@pytest.mark.parametrize("name", GOOD)
def test_hierarchical_model_is_frozen_and_keeps_a_copy(name):
    mine = {key: np.array(value) for key, value in GOOD.items()}
    model = HierarchicalModel(**mine)
    with pytest.raises(AttributeError):
        setattr(model, name, GOOD[name])
    mine[name] += 1
    assert np.array_equal(getattr(model, name), GOOD[name])
    if name != "tau2":
        with pytest.raises(ValueError):
            getattr(model, name)[0] = 9


# --- a sampler that knows only the two conditional distributions


def test_gibbs_sampler_arrives_at_the_posterior():
    rng = np.random.default_rng(8)
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    D, x, sigma2, tau2 = indicator(groups), rng.normal(size=10), 0.5, 2.0
    model = LinearMixedModel(x[:, None], D, sigma2 * np.eye(4), tau2)
    y, m, c = rng.normal(size=10) + 2 * x, 1.0, 4.0
    effects = posterior(model, y, gaussian([m], [[c]]))

    # 400 chains side by side; scalar formulas only
    chains, sweeps, burn = 400, 300, 50
    beta, total, square = np.zeros((chains, 4)), np.zeros(5), np.zeros((5, 5))
    counts = np.bincount(groups)
    by_chain = []
    for sweep in range(sweeps):
        variance = 1 / (x @ x / tau2 + 1 / c)
        alpha = variance * ((y - beta[:, groups]) @ x / tau2 + m / c)
        alpha += np.sqrt(variance) * rng.normal(size=chains)
        rest = y - alpha[:, None] * x
        for j in range(4):
            variance = 1 / (counts[j] / tau2 + 1 / sigma2)
            beta[:, j] = variance * rest[:, groups == j].sum(axis=1) / tau2
            beta[:, j] += np.sqrt(variance) * rng.normal(size=chains)
        if sweep >= burn:
            state = np.column_stack([alpha, beta])
            by_chain.append(state)
            total, square = total + state.sum(axis=0), square + state.T @ state
    n = chains * (sweeps - burn)
    mean = total / n
    cov = square / n - np.outer(mean, mean)
    error = np.mean(by_chain, axis=0).std(axis=0) / np.sqrt(chains)  # from independent chains
    exact, sd = np.append(effects.fixed, effects.random), np.sqrt(np.diag(effects.cov))
    assert np.abs((mean - exact) / error).max() < 4
    assert (error / sd).max() < 0.01
    assert np.abs((cov - effects.cov) / np.outer(sd, sd)).max() < 0.03
