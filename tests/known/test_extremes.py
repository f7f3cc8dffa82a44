"""The four routes where numbers are extreme: right, or refused, and never nonsense."""

from functools import cache

import exact
import numpy as np
import pytest

from mixhier_lite import (
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
    "ridge": ridge,
    "henderson": henderson,
    "posterior": lambda model, y: posterior(model, y, flat(model.p)),
}
G = np.array([0, 0, 0, 1, 1, 2, 2, 2])
RNG = np.random.default_rng(3)
X_NEAR = RNG.integers(-8, 9, 8) / 8.0
Y = 1 + 0.5 * X_NEAR + 2 * RNG.normal(size=3)[G] + RNG.normal(size=8)
KERNEL = np.exp(-((np.arange(8)[:, None] - np.arange(8)) ** 2) / 60.0)  # condition about 1e13

MODELS = {}
for exponent in (-30, -20, -12, -6, 0, 6, 12, 20, 30):
    tau2 = 10.0**exponent
    X = np.column_stack([np.ones(8), X_NEAR])
    MODELS[f"tau2 = 1e{exponent}"] = LinearMixedModel(X, indicator(G), np.eye(3), tau2)
    MODELS[f"Sigma = 1e{exponent}"] = LinearMixedModel(X, indicator(G), tau2 * np.eye(3), 1.0)
    MODELS[f"a kernel, tau2 = 1e{exponent}"] = LinearMixedModel(X[:, :1], np.eye(8), KERNEL, tau2)
    MODELS[f"clones, tau2 = 1e{exponent}"] = LinearMixedModel(
        X, indicator(G), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], tau2
    )
for exponent in (3, 6, 9, 12):
    far = np.column_stack([np.ones(8), 10.0**exponent + X_NEAR])
    MODELS[f"x = 1e{exponent} + 1"] = LinearMixedModel(far, indicator(G), 4 * np.eye(3), 1.0)
    near = np.column_stack([np.ones(8), 1 + 10.0**-exponent * X_NEAR])
    MODELS[f"X collinear to 1e-{exponent}"] = LinearMixedModel(near, indicator(G), np.eye(3), 1.0)
    units = np.column_stack([np.ones(8), 10.0**exponent * X_NEAR])
    MODELS[f"x in units of 1e{exponent}"] = LinearMixedModel(units, indicator(G), np.eye(3), 1.0)

MUST_ANSWER = {
    "ridge": [f"tau2 = 1e{k}" for k in (-6, 0, 6, 12, 20, 30)]
    + [f"Sigma = 1e{k}" for k in (-30, -20, -12, -6, 0, 6, 12)]
    + [f"x = 1e{k} + 1" for k in (3, 6)]
    + [f"x in units of 1e{k}" for k in (3, 6, 9, 12)],
    "gls_blup": [f"tau2 = 1e{k}" for k in (-6, 0, 6, 12, 20, 30)]
    + [f"Sigma = 1e{k}" for k in (-30, -20, -12, -6, 0, 6)]
    + [f"x = 1e{k} + 1" for k in (3, 6)]
    + [f"x in units of 1e{k}" for k in (3, 6, 9, 12)],
    "henderson": [f"tau2 = 1e{k}" for k in (-6, 0, 6)] + ["x = 1e3 + 1"],
    "posterior": [f"tau2 = 1e{k}" for k in (-6, 0, 6)] + ["x = 1e3 + 1"],
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("error")
def test_right_or_refused(route, name):
    """Five digits, or an error below a hundredth of a standard error; these to one per cent."""
    model = MODELS[name]
    try:
        found = ROUTES[route](model, Y)
    except InputError:
        assert name not in MUST_ANSWER[route], "a model that can be computed is refused"
        return
    truth, sd = exact.effects(model, Y)
    estimates, own_sd = np.append(found.fixed, found.random), np.sqrt(np.diag(found.cov))
    assert (np.diag(found.cov) >= 0).all()
    assert (np.abs(estimates - truth) <= 1e-2 * sd + 1e-5 * np.abs(truth)).all(), (
        estimates,
        truth,
        sd,
    )
    scale = np.append(np.full(model.p, np.inf), np.sqrt(np.diag(model.Sigma)))
    assert (np.abs(own_sd - sd) <= 1e-2 * sd + 1e-7 * np.minimum(scale, sd.max())).all()


def test_the_oracle_is_that_of_the_definition():
    """On a model that any algebra solves."""
    model = MODELS["tau2 = 1e0"]
    V = model.V
    inverse = np.linalg.inv(V)
    cov = np.linalg.inv(model.X.T @ inverse @ model.X)
    alpha = cov @ model.X.T @ inverse @ Y
    beta = model.Sigma @ model.D.T @ inverse @ (Y - model.X @ alpha)
    truth, sd = exact.effects(model, Y)
    assert truth == pytest.approx(np.append(alpha, beta), rel=1e-10)
    assert sd[:2] == pytest.approx(np.sqrt(np.diag(cov)), rel=1e-10)


LOW_RANK = {
    "two of three": np.array([[1.0, 1], [-1, 0], [0, -3]]),
    "whose Cholesky factor rounds to a pivot": np.array([[-3.0, 2], [3, 0], [-1, -3]]),
    "of several units": np.array([[2.0, 0], [0, 2.0**-30], [0, 3 * 2.0**-30]]),
}


@pytest.mark.parametrize("route", ["gls_blup", "ridge"])
@pytest.mark.parametrize("name", LOW_RANK)
@pytest.mark.parametrize("exponent", [-26, -20, -12, 0, 12])
def test_a_sigma_of_low_rank_has_no_eigenvalues_of_rounding(route, name, exponent):
    """What rounding leaves of a zero is large beside a small tau2."""
    root = LOW_RANK[name] * 2.0**20
    rng = np.random.default_rng(1)
    model = LinearMixedModel(
        np.empty((5, 0)), rng.normal(size=(5, 3)), root @ root.T, 10.0**exponent
    )
    y = rng.normal(size=5)
    try:
        found = ROUTES[route](model, y)
    except InputError:
        assert exponent <= {"gls_blup": 0, "ridge": -26}[route]
        return
    truth, sd = exact.effects(model, y)
    assert (np.abs(found.random - truth) <= 1e-3 * sd + 1e-6 * np.abs(truth)).all()
    assert np.sqrt(np.diag(found.cov)) == pytest.approx(sd, rel=1e-3)


def extreme(seed):
    """A model of three to seven rows whose variances and columns have any size, and y."""
    rng = np.random.default_rng(seed)
    n, p, J = rng.integers(2, 8), rng.integers(0, 3), rng.integers(1, 4)
    D = rng.normal(size=(n, J))
    if rng.random() < 0.5:
        D = (rng.integers(0, J, n)[:, None] == np.arange(J)).astype(float)
    x = rng.normal(size=n) * 10.0 ** rng.integers(-6, 3) + rng.choice([0, 1, 1e3, 1e6, 1e9])
    root = np.diag(10.0 ** rng.integers(-15, 16, J))
    if rng.random() < 0.7:
        root = rng.integers(-3, 4, size=(J, rng.integers(1, J + 1))) * 2.0 ** rng.integers(-50, 51)
    tau2 = 10.0 ** rng.integers(-30, 31)
    X = np.column_stack([np.ones(n), x])[:, :p]
    y = rng.normal(size=n) * 10.0 ** rng.integers(-5, 6) + rng.choice([0, 100])
    return LinearMixedModel(X, D, root @ root.T, tau2), y


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "root", [[[-1, 0], [2, 3], [-3, 3]], [[0, -1], [0, 2], [2, 1]], [[-3, 0], [2, 0], [1, 2]]]
)
def test_a_sigma_that_rounding_keeps_from_a_root_is_refused(root):
    """Its eigenvalues say that it has an inverse, and LAPACK that it has none."""
    Sigma = np.array(root, dtype=float) @ np.array(root).T
    with pytest.raises(InputError, match="Sigma is singular"):
        henderson(LinearMixedModel(np.empty((3, 0)), np.eye(3), Sigma, 1.0), np.ones(3))


ANSWERS = {"gls_blup": 170, "ridge": 215, "henderson": 135, "posterior": 200}
"""Fewer than these of 300, and a route refuses what it can compute."""


@cache
def truth_of(seed):
    """Effects and standard errors of an extreme model, once for all routes."""
    return exact.effects(*extreme(seed))


def right_or_refused(route, seed):
    """Compare with the definition, and say whether there was an answer."""
    model, y = extreme(seed)
    try:
        found = ROUTES[route](model, y)
    except InputError:
        return False
    truth, sd = truth_of(seed)
    own_sd = np.sqrt(np.diag(found.cov))
    error = np.append(found.fixed, found.random) - truth
    floor = 1e-6 * np.abs(truth) + 1e-9 * np.abs(truth).max(initial=0.0)
    assert (np.abs(error) <= 1e-2 * sd + floor).all(), seed
    prior_sd = np.sqrt(np.append(np.full(model.p, np.inf), np.diag(model.Sigma)))
    assert (np.abs(own_sd - sd) <= 1e-2 * sd + 1e-7 * np.minimum(prior_sd, 1e300)).all(), seed
    return True


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.slow
def test_random_models_of_any_size_are_right_or_refused(route):
    answers = sum(right_or_refused(route, seed) for seed in range(300))
    assert answers > ANSWERS[route]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("route", ROUTES)
def test_models_that_rounding_once_got_wrong(route):
    """Among eight thousand: a tenth of an sd to a million of them, in one or two routes each."""
    for seed in (606, 763, 840, 969, 1642, 2647, 2724, 2783, 3563, 3640, 3811, 4013, 4059, 4262):
        right_or_refused(route, seed)


@pytest.mark.parametrize("route", ["henderson", "posterior"])
def test_an_ill_conditioned_sigma_alone_is_no_reason_to_refuse(route):
    """Rounding of Sigma^-1 meets the rows before it meets the effects."""
    L = np.random.default_rng(1).normal(size=(4, 2))
    D = np.random.default_rng(2).normal(size=(8, 4))
    model = LinearMixedModel(np.ones((8, 1)), D, L @ L.T + 1e-7 * np.eye(4), 1.0)
    found = ROUTES[route](model, Y)
    truth, _ = exact.effects(model, Y)
    assert np.append(found.fixed, found.random) == pytest.approx(truth, rel=1e-6, abs=1e-7)
