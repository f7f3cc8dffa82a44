"""Henderson's equations against optimisers, brute force, determinants and published solutions."""

import json

import numpy as np
import pytest
from conftest import ROOT
from scipy.linalg import hilbert, invhilbert
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

from mixhier_lite import (
    InputError,
    LinearMixedModel,
    flat,
    gls_blup,
    henderson,
    indicator,
    log_joint,
    mixed_model_equations,
    posterior,
    ridge,
)
from mixhier_lite.datasets import four_groups
from mixhier_lite.known.henderson import precision
from mixhier_lite.linalg import solve_and_invert

ROUTES = {
    "henderson": henderson,
    "gls_blup": gls_blup,
    "ridge": ridge,
    "posterior": lambda model, y: posterior(model, y, flat(model.p)),
}


def random_covariance(rng, J):
    root = rng.normal(size=(J, J + 2))
    return root @ root.T / J


def random_model(seed, kind):
    """Draw a model with p = 2, J = 4, n = 13 and tau2 different from one, and a response."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(13), rng.normal(size=13)])
    groups = rng.choice(4, 13, p=[0.1, 0.2, 0.3, 0.4])
    D = {
        "unbalanced": indicator(groups, levels=range(4)),
        "empty group": indicator(np.minimum(groups, 2), levels=range(4)),
        "any real D": rng.normal(size=(13, 4)),
    }[kind]
    model = LinearMixedModel(X, D, random_covariance(rng, 4), rng.uniform(0.3, 3))
    return model, model.simulate([1.0, -2.0], rng)[0]


KINDS = pytest.mark.parametrize("kind", ["unbalanced", "empty group", "any real D"])
SEEDS = pytest.mark.parametrize("seed", range(3))


def points(effects):
    return np.append(effects.fixed, effects.random)


def reference(name):
    return json.loads((ROOT / "tests" / "reference" / f"{name}.json").read_text(encoding="utf-8"))


def robinson():
    known = reference("robinson1991")
    X, D = indicator(known["herd"]), indicator(known["sire"])
    return LinearMixedModel(X, D, known["sigma2"] * np.eye(4), known["tau2"]), known


def mrode():
    known = reference("mrode_3_1")
    X = indicator(known["sex"], levels=["M", "F"])
    D = indicator(known["calf"], levels=range(1, 9))
    Sigma = known["sigma2"] * np.array(known["relatedness"])
    return LinearMixedModel(X, D, Sigma, known["tau2"]), known


# --- thm-henderson ------------------------------------------------------------------------


@KINDS
@SEEDS
@pytest.mark.theorem("thm-henderson")
def test_an_optimiser_that_knows_only_densities_finds_the_same_maximum(kind, seed):
    model, y = random_model(seed, kind)
    prior = multivariate_normal(np.zeros(4), model.Sigma)

    def minus_log_density(c):
        mean = model.X @ c[:2] + model.D @ c[2:]
        return -norm.logpdf(y, mean, np.sqrt(model.tau2)).sum() - prior.logpdf(c[2:])

    found = minimize(minus_log_density, np.zeros(6), method="BFGS", options={"gtol": 1e-4})
    # finite differences: the gradient is off by 1e-7 or so, coefficients by that times cov
    assert points(henderson(model, y)) == pytest.approx(found.x, abs=1e-3)


@KINDS
@SEEDS
@pytest.mark.theorem("thm-henderson")
def test_the_solution_is_gls_and_blup_by_the_inverse_of_v(kind, seed):
    model, y = random_model(seed, kind)
    V_inv = np.linalg.inv(model.D @ model.Sigma @ model.D.T + model.tau2 * np.eye(model.n))
    alpha = np.linalg.inv(model.X.T @ V_inv @ model.X) @ model.X.T @ V_inv @ y
    beta = model.Sigma @ model.D.T @ V_inv @ (y - model.X @ alpha)
    assert points(henderson(model, y)) == pytest.approx(np.append(alpha, beta), rel=1e-9)


@KINDS
@pytest.mark.theorem("thm-henderson")
def test_cov_is_the_covariance_of_the_errors(kind):
    """Propagate (beta, eps) through the linear map y -> solution; no inverse is involved."""
    model, _ = random_model(5, kind)
    G = np.column_stack([points(henderson(model, row)) for row in np.eye(model.n)])
    assert G @ model.X == pytest.approx(np.eye(6)[:, :2], abs=1e-10)  # alpha drops out
    from_beta = G @ model.D - np.eye(6)[:, 2:]
    variance = from_beta @ model.Sigma @ from_beta.T + model.tau2 * G @ G.T
    assert henderson(model, np.zeros(13)).cov == pytest.approx(variance, abs=1e-10)


@pytest.mark.theorem("thm-henderson")
def test_without_full_rank_the_fit_and_the_predictions_are_still_unique():
    model, y = random_model(7, "unbalanced")
    X = np.column_stack([model.X, model.X @ [1.0, 3.0]])  # null vector (1, 3, -1)
    deficient = LinearMixedModel(X, model.D, model.Sigma, model.tau2)
    A = mixed_model_equations(deficient)
    b = np.append(X.T @ y, model.D.T @ y)
    shortest = np.linalg.lstsq(A, b, rcond=1e-12)[0]
    other = shortest + 5 * np.array([1, 3, -1, 0, 0, 0, 0])
    expected = henderson(model, y)
    for solution in (shortest, other):
        assert A @ solution == pytest.approx(b, abs=1e-9)
        assert X @ solution[:3] == pytest.approx(model.X @ expected.fixed, abs=1e-9)
        assert solution[3:] == pytest.approx(expected.random, abs=1e-9)
    with pytest.raises(InputError, match=r"not identified(?s:.*)columns \[0, 1, 2\]"):
        henderson(deficient, y)


@KINDS
@pytest.mark.theorem("thm-henderson")
def test_spherical_effects_handle_a_singular_sigma(kind):
    """beta = L u with a 4 x 2 root: compare with the formulas in V, and with their limit."""
    model, y = random_model(11, kind)
    L = np.random.default_rng(1).normal(size=(4, 2))
    u = henderson(LinearMixedModel(model.X, model.D @ L, np.eye(2), model.tau2), y)
    V_inv = np.linalg.inv(model.D @ L @ L.T @ model.D.T + model.tau2 * np.eye(13))
    alpha = np.linalg.solve(model.X.T @ V_inv @ model.X, model.X.T @ V_inv @ y)
    assert u.fixed == pytest.approx(alpha, rel=1e-9)
    beta = L @ L.T @ model.D.T @ V_inv @ (y - model.X @ alpha)
    assert L @ u.random == pytest.approx(beta, rel=1e-9)
    nearly = LinearMixedModel(model.X, model.D, L @ L.T + 1e-7 * np.eye(4), model.tau2)
    limit = henderson(nearly, y)
    assert points(limit) == pytest.approx(np.append(u.fixed, L @ u.random), abs=1e-5)
    assert limit.random_cov == pytest.approx(L @ u.random_cov @ L.T, abs=1e-5)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.theorem("thm-henderson")
def test_robinsons_nine_lactations(route):
    model, known = robinson()
    effects = route(model, np.array(known["y"]))
    assert points(effects) == pytest.approx(np.array(known["published"]), abs=0.005)
    assert points(effects) == pytest.approx(np.array(known["solution"]), rel=1e-11)
    assert np.diag(effects.cov) == pytest.approx(np.array(known["pev"]), rel=1e-11)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.theorem("thm-henderson")
def test_mrodes_calves(route):
    """Eight related animals, of which 1 to 3 have no record."""
    model, known = mrode()
    effects = route(model, np.array(known["y"]))
    # BLUPF90 prints eight decimals; against exact arithmetic the last one or two are off
    assert points(effects) == pytest.approx(np.array(known["blupf90_solution"]), abs=1e-7)
    assert np.sqrt(np.diag(effects.cov)) == pytest.approx(np.array(known["blupf90_se"]), abs=1e-7)
    assert points(effects) == pytest.approx(np.array(known["solution"]), rel=1e-11)
    accuracy = np.sqrt(1 - np.diag(effects.random_cov) / known["sigma2"])
    assert accuracy == pytest.approx(np.array(known["accuracy"]), rel=1e-11)


def test_mrodes_relatedness_follows_from_the_pedigree():
    """An animal's gene comes from sire or dam with chance 1/2 each (no inbreeding here)."""
    known = reference("mrode_3_1")
    A = np.zeros((9, 9))  # row 0: the unknown parent
    for animal, parents in ((int(k), v) for k, v in known["pedigree"].items()):
        A[animal, :animal] = A[:animal, animal] = A[parents, :animal].sum(axis=0) / 2
        A[animal, animal] = 1 + A[parents[0], parents[1]] / 2
    assert np.array_equal(A[1:, 1:], known["relatedness"])


def test_digits_at_an_extreme_variance_ratio():
    """sigma2/tau2 = 1e8: one correction from the rows leaves rounding, not its multiple."""
    rng = np.random.default_rng(3)
    D = indicator(np.repeat(range(5), [1, 2, 3, 8, 20]))
    X = np.column_stack([np.ones(34), rng.normal(size=34)])
    model = LinearMixedModel(X, D, 1e8 * np.eye(5), 1.0)
    y = model.simulate([1.0, 2.0], rng)[0]
    scale = np.abs(y).max()
    assert points(henderson(model, y)) / scale == pytest.approx(
        points(ridge(model, y)) / scale, abs=1e-12
    )


# --- thm-determinant ----------------------------------------------------------------------


@KINDS
@SEEDS
@pytest.mark.theorem("thm-determinant")
def test_one_matrix_holds_both_determinants(kind, seed):
    model, _ = random_model(seed + 20, kind)
    X, D, Sigma, tau2 = model.X, model.D, model.Sigma, model.tau2
    V = D @ Sigma @ D.T + tau2 * np.eye(13)
    inner = X.T @ np.linalg.inv(V) @ X
    left = np.linalg.slogdet(V)[1] + np.linalg.slogdet(inner)[1]
    inside = np.linalg.slogdet(mixed_model_equations(model))[1]
    right = inside + (13 - 2 - 4) * np.log(tau2) + np.linalg.slogdet(Sigma)[1]
    assert right == pytest.approx(left, rel=1e-10)


@pytest.mark.theorem("thm-determinant")
def test_the_joint_density_integrates_to_its_maximum_times_a_determinant():
    """Quadrature over (a, b): Laplace's approximation is exact here."""
    y = np.array([1.0, 2.0, 4.0])
    model = LinearMixedModel(np.array([[1.0], [1], [2]]), [[1.0], [0], [1]], [[0.7]], 0.5)
    best = henderson(model, y)
    sd = np.sqrt(np.diag(best.cov))
    grid = np.linspace(-9, 9, 41)
    density = [
        [np.exp(log_joint(model, y, best.fixed + s * sd[0], best.random + t * sd[1])) for t in grid]
        for s in grid
    ]
    integral = np.sum(density) * np.prod(sd) * (grid[1] - grid[0]) ** 2
    # p(y | flat alpha) = 2 pi tau2 det(M)^(-1/2) exp(log joint at its maximum)
    height = np.exp(log_joint(model, y, best.fixed, best.random))
    M = mixed_model_equations(model)
    assert integral == pytest.approx(2 * np.pi * 0.5 / np.sqrt(np.linalg.det(M)) * height, rel=1e-9)


# --- thm-zero-sum -------------------------------------------------------------------------


def intercept_case(Sigma, X=None):
    rng = np.random.default_rng(31)
    D = indicator(np.repeat(range(5), [1, 2, 4, 9, 3]), levels=range(5))
    X = np.column_stack([np.ones(19), rng.normal(size=19)]) if X is None else X
    model = LinearMixedModel(X, D, Sigma, 0.8)
    return model, 10 + 3 * rng.normal(size=19)


@pytest.mark.theorem("thm-zero-sum")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_independent_predictions_sum_to_zero_with_an_intercept(route):
    model, y = intercept_case(1.7 * np.eye(5))
    random = route(model, y).random
    assert random.sum() == pytest.approx(0, abs=1e-11)
    assert np.abs(random).max() > 0.1


@pytest.mark.theorem("thm-zero-sum")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_related_predictions_cancel_after_weighting(route):
    K = random_covariance(np.random.default_rng(4), 5)
    random = route(*intercept_case(K)).random
    assert np.linalg.solve(K, random).sum() == pytest.approx(0, abs=1e-11)
    assert abs(random.sum()) > 0.1  # the plain sum does not vanish


@pytest.mark.theorem("thm-zero-sum")
def test_dummies_that_span_the_constant_are_as_good_as_an_intercept():
    model, known = robinson()
    assert gls_blup(model, np.array(known["y"])).random.sum() == pytest.approx(0, abs=1e-11)


@pytest.mark.theorem("thm-zero-sum")
def test_any_combination_of_the_columns_of_d_that_x_contains_cancels():
    rng = np.random.default_rng(8)
    D, c = rng.normal(size=(12, 3)), np.array([1.0, -2.0, 0.5])
    X = np.column_stack([D @ c, rng.normal(size=12)])
    Sigma = random_covariance(rng, 3)
    beta = gls_blup(LinearMixedModel(X, D, Sigma, 1.3), rng.normal(size=12)).random
    pull = np.linalg.solve(Sigma, beta)
    assert c @ pull == pytest.approx(0, abs=1e-11)
    assert abs(pull.sum()) > 1e-3


@pytest.mark.theorem("thm-zero-sum")
def test_without_an_intercept_the_sum_is_not_zero():
    """The four groups with a slope only: their true intercepts are 2, 4, 8 and 12."""
    data = four_groups(np.random.default_rng(4))
    model = LinearMixedModel(data.x[:, None], data.D, 16 * np.eye(4), 1.0)
    for route in ROUTES.values():
        assert route(model, data.y).random.sum() > 1


# --- the functions of the chapter -----------------------------------------------------------


def test_henderson_s_matrix_by_hand():
    model, _ = robinson()
    by_hand = [
        [2, 0, 0, 1, 0, 0, 1],
        [0, 3, 0, 0, 1, 0, 2],
        [0, 0, 4, 0, 0, 2, 2],
        [1, 0, 0, 11, 0, 0, 0],
        [0, 1, 0, 0, 11, 0, 0],
        [0, 0, 2, 0, 0, 12, 0],
        [1, 2, 2, 0, 0, 0, 15],
    ]
    assert mixed_model_equations(model) == pytest.approx(np.array(by_hand, float), abs=1e-13)


def test_the_penalty_is_tau2_times_the_inverse_of_sigma():
    # the inverse of [[2, 1], [1, 2]] is [[2, -1], [-1, 2]] / 3
    model = LinearMixedModel([[1.0], [1]], np.eye(2), [[2.0, 1], [1, 2]], 6.0)
    by_hand = [[2.0, 1, 1], [1, 1 + 4, -2], [1, -2, 1 + 4]]
    assert mixed_model_equations(model) == pytest.approx(np.array(by_hand), abs=1e-13)


@pytest.mark.parametrize("power", [-60, 0, 60])
def test_precision_inverts_at_any_scale(power):
    # the inverse of [[2, 1, 0], [1, 2, 1], [0, 1, 2]], by hand; powers of two scale exactly
    scale = 2.0 ** np.array([power, 0, -3])
    Sigma = scale[:, None] * np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]) * scale
    exact = np.array([[3.0, -2, 1], [-2, 4, -2], [1, -2, 3]]) / 4 / np.outer(scale, scale)
    assert precision(Sigma) == pytest.approx(exact, rel=1e-13)
    assert np.array_equal(precision(Sigma), precision(Sigma).T)


def test_precision_accepts_a_correlation_close_to_one():
    r = 1 - 2.0**-43  # smallest eigenvalue 1e-13, five hundred times rounding
    assert precision(np.array([[1, r], [r, 1]]))[0, 0] == pytest.approx(2.0**42, rel=1e-2)


SINGULAR = {
    "zero": np.zeros((3, 3)),
    "a constant effect": np.diag([1.0, 0.0, 2.0]),
    "twins": np.array([[1.0, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]]),
    "twins of different scale": np.array([[1.0, 1e4, 0], [1e4, 1e8, 0], [0, 0, 1]]),
    "low rank": np.outer([1.0, 2, 3], [1.0, 2, 3]),
}


@pytest.mark.parametrize("Sigma", SINGULAR.values(), ids=SINGULAR)
def test_a_singular_sigma_is_refused_with_the_alternative(Sigma):
    rng = np.random.default_rng(0)
    D = rng.normal(size=(8, 3))
    model, y = LinearMixedModel(np.ones((8, 1)), D, Sigma, 1.0), rng.normal(size=8)
    for refused in (
        lambda: henderson(model, y),
        lambda: mixed_model_equations(model),
        lambda: log_joint(model, y, [0.0], np.zeros(3)),
    ):
        with pytest.raises(InputError, match="Sigma is singular") as refusal:
            refused()
        named = {name for name in ROUTES if name in refusal.value.remedy}
        assert named == {"gls_blup", "ridge", "posterior"}
    # the remedy works; with variances up to 1e8 the precision loses half of the digits
    answers = [points(ROUTES[name](model, y)) for name in sorted(named)]
    for answer in answers[1:]:
        assert answer == pytest.approx(answers[0], abs=1e-9 * max(1, Sigma.max() / 1e5))


def test_a_small_sigma_is_not_a_singular_one():
    model, known = robinson()
    tiny = LinearMixedModel(model.X, model.D, 1e-14 * np.eye(4), 1.0)
    effects = henderson(tiny, np.array(known["y"]))
    assert effects.fixed == pytest.approx([105, 310 / 3, 105])  # herd means
    assert np.diag(effects.random_cov) == pytest.approx(np.full(4, 1e-14), rel=1e-9)


@KINDS
def test_log_joint_is_the_normal_density_of_y_and_beta_together(kind):
    """One (n + J)-dimensional normal density, with the cross-covariance D Sigma."""
    model, y = random_model(41, kind)
    alpha, beta = np.array([0.4, -1.5]), np.array([0.3, -0.2, 1.1, 0.7])
    cross = model.D @ model.Sigma
    cov = np.block([[model.V, cross], [cross.T, model.Sigma]])
    mean = np.append(model.X @ alpha, np.zeros(4))
    expected = multivariate_normal(mean, cov).logpdf(np.append(y, beta))
    assert log_joint(model, y, alpha, beta) == pytest.approx(expected, rel=1e-10)


def test_models_without_fixed_or_without_random_effects():
    y = np.array([1.0, 3.0, 8.0])
    no_fixed = LinearMixedModel(np.zeros((3, 0)), np.eye(3), 2 * np.eye(3), 1.0)
    assert henderson(no_fixed, y).random == pytest.approx(y * 2 / 3)
    no_random = LinearMixedModel(np.ones((3, 1)), np.zeros((3, 0)), np.zeros((0, 0)), 3.0)
    assert henderson(no_random, y).fixed == pytest.approx([4.0])
    assert henderson(no_random, y).cov == pytest.approx(np.array([[1.0]]))


@pytest.mark.parametrize(
    ("y", "wrong"), [([1.0, 2.0], "numbers of rows"), ([1.0, np.nan, 2.0], "missing or infinite")]
)
def test_a_bad_response_is_refused(y, wrong):
    model = LinearMixedModel(np.ones((3, 1)), np.eye(3), np.eye(3), 1.0)
    with pytest.raises(InputError, match=wrong):
        henderson(model, y)


def test_solve_and_invert_against_an_exact_inverse():
    """Hilbert's matrix has an inverse of whole numbers; powers of two scale it exactly."""
    s = 2.0 ** np.array([0, 40, -7, -40])
    A = s[:, None] * hilbert(4) * s
    exact = invhilbert(4) / np.outer(s, s)
    x = np.array([1.0, -2.0, 3.0, 4.0]) / s
    solution, inverse = solve_and_invert(A, A @ x, "A")
    # condition number 1.6e4 whatever the scaling
    assert solution * s == pytest.approx(x * s, rel=1e-10)
    assert inverse / exact == pytest.approx(np.ones((4, 4)), rel=1e-10)
    assert np.array_equal(inverse, inverse.T)


def test_solve_and_invert_refuses_a_singular_matrix_by_its_name():
    with pytest.raises(InputError, match="The herd book is singular to working precision"):
        solve_and_invert(np.array([[1.0, 2], [2, 3.9]]), np.ones(2), "The herd book")


def test_equations_that_are_singular_within_rounding_are_refused():
    """Beyond sigma2/tau2 = 1e15 the equations hold no digit of the penalty."""
    model = LinearMixedModel(np.ones((4, 1)), np.eye(4), 1e16 * np.eye(4), 1.0)
    with pytest.raises(InputError, match="singular to working precision"):
        henderson(model, [0.0, 1.0, 2.0, 30.0])
    assert ridge(model, [0.0, 1.0, 2.0, 30.0]).fixed == pytest.approx(8.25)


def test_log_joint_refuses_vectors_of_the_wrong_length():
    model = LinearMixedModel(np.ones((4, 1)), np.eye(4), np.eye(4), 1.0)
    with pytest.raises(InputError, match="do not match the model"):
        log_joint(model, np.zeros(4), [0.0, 0.0], np.zeros(4))
