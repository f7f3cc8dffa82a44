"""Any columns of Z: the coordinates, and the posterior far from zero, against quadrature."""

import functools

import numpy as np
import pytest

from mixhier_lite import InputError, Term, fit, gaussian, integrate, priors, sample
from mixhier_lite.bayes.charts import charts
from mixhier_lite.bayes.importance import weighted
from mixhier_lite.bayes.posterior import posterior_of
from mixhier_lite.bayes.quadrature import settled
from mixhier_lite.priors import Prior, as_prior
from mixhier_lite.variance.assembly import assemble

# --- the coordinates themselves


def curves(far, q=2, J=7, rows=6, seed=0, **options):
    """A fit of polynomial slopes in x, whose mean is far from zero."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(J), rows), rng.uniform(-1.5, 1.5, J * rows)
    centred = x[:, None] ** np.arange(q)
    B = rng.normal(size=(J, q)) * 0.7 ** np.arange(q)
    y = (centred * B[g]).sum(axis=1) + rng.normal(size=J * rows)
    Z = (x + far)[:, None] ** np.arange(q)
    return fit(y, Z, Term(g, Z, name="person"), **options)


def in_each_chart(model):
    rng = np.random.default_rng(1)
    found = charts(assemble(model.gram, True, None))
    for chart in found:
        m = len(chart.sds)
        x, w = rng.uniform(0.3, 2.5, (3, m)), rng.uniform(-0.8, 0.8, (3, chart.size - m))
        yield chart, np.hstack([x, w])
    assert len(found) == 2


@pytest.mark.parametrize("q", [2, 3, 4])
def test_coordinates_of_roots_are_the_coordinates(q):
    for chart, at in in_each_chart(curves(20.0, q)):
        np.testing.assert_allclose(chart.coordinates(chart.roots(at)), at, rtol=1e-6)


@pytest.mark.parametrize("q", [2, 3])
def test_volume_is_the_jacobian(q):
    """log_volume, by differences of Sigma in every coordinate."""
    rows, columns = np.tril_indices(q)
    for chart, at in in_each_chart(curves(5.0, q)):

        def Sigma(place):
            T = chart.roots(place[None])[0][0]  # noqa: B023
            return (T @ T.T)[rows, columns]

        off = []
        for place, log_volume in zip(at, chart.log_volume(at), strict=True):
            steps = 1e-5 * np.eye(chart.size)
            J = [(Sigma(place + s) - Sigma(place - s)) / 2e-5 for s in steps]
            off.append(np.linalg.slogdet(J)[1] - log_volume)
        np.testing.assert_allclose(off, q * np.log(2), atol=1e-5)  # the constant left out


@pytest.mark.parametrize("q", [2, 3])
def test_shares_of_the_charts_are_one_together(q):
    """The densities of all charts over one measure sum to likelihood times prior."""
    over = posterior_of(curves(10.0, q), as_prior(priors.half_normal(2)))
    first = over.views[0]
    at = next(in_each_chart(over.model))[1]
    given, t = first.given(at), np.zeros((3, 1))
    readers = over.charts[0]
    values = []
    for view in over.views:
        own = view.chart.coordinates(given.T)
        # per unit of Sigma
        values.append(view.log_density(own, given, t)[:, 0] - view.chart.log_volume(own))
    alone = over.log_density(given, t)[:, 0] + first._log_slope(at, given)
    constant = {2: np.log(0.5), 3: -np.log(np.pi**2 / 2)}[q]  # of uniform correlations
    expected = alone - readers.log_volume(at) + constant
    np.testing.assert_allclose(np.logaddexp(*values), expected, atol=1e-6)


def test_ordinary_columns_have_one_chart():
    for far in (0.0, 1.0):
        assert len(posterior_of(curves(far), as_prior(None)).views) == 1


# --- balanced slopes far from zero: quadrature of a posterior of three unknowns


def balanced(seed, slope, J=10, m=6):
    rng, t = np.random.default_rng(seed), np.arange(m) - (m - 1) / 2
    B = rng.normal(size=(J, 2)) * [1.0, slope]
    return B[:, :1] + B[:, 1:] * t + rng.normal(size=(J, m)), t


def balanced_fit(Y, t, far):
    J, m = Y.shape
    X = np.column_stack([np.ones(J * m), np.tile(t + far, J)])
    return fit(Y.ravel(), X, Term(np.repeat(np.arange(J), m), X, name="person"), tau2=1.0)


class Balanced:
    """Flat on the sds at x = 0, tau = 1: sums over b, g and d, Sigma = L L', L = [b 0; g d].

    In centred columns the slope has the row (b, 0) and the intercept (g, d). At x = 0 the
    intercept has (g - far b, d), so flat sds with a uniform correlation are the density
    d / ((g - far b)^2 + d^2) over (b, g, d). Nodes along g are dense around 0 and around far b.
    """

    def __init__(self, Y, t, far):
        J, m = Y.shape
        Z = np.column_stack([np.ones(m), t])
        levels = Y @ Z @ np.linalg.inv(Z.T @ Z)
        S = (levels - levels.mean(axis=0)).T @ (levels - levels.mean(axis=0))
        v0, v1 = 1 / m, 1 / (t @ t)
        log_b = np.linspace(np.log(2e-5 / max(far, 1)), np.log(30), 320)
        log_d = np.linspace(np.log(1e-4), np.log(200), 110)
        angle = (np.arange(160) + 0.5) / 160 * np.pi - np.pi / 2
        self.b, d = np.exp(log_b), np.exp(log_d)[:, None]
        mass, level = [], []
        for b in self.b:
            around = [np.broadcast_to(np.tan(angle), (len(d), 160)), far * b + d * np.tan(angle)]
            g = np.sort(np.hstack(around), axis=1)
            det = (d**2 + v0) * (b**2 + v1) + g**2 * v1
            squares = (b**2 + v1) * S[0, 0] - 2 * g * b * S[0, 1] + (g**2 + d**2 + v0) * S[1, 1]
            prior = d / ((g - far * b) ** 2 + d**2)
            f = np.exp(-(J - 1) / 2 * np.log(det) - squares / det / 2) * prior * d * b
            f[:, 1:-1] *= (g[:, 2:] - g[:, :-2]) / 2
            f[:, [0, -1]] = 0.0
            mass.append(f.sum())
            level.append((f * np.sqrt((g - far * b) ** 2 + d**2)).sum())
        self.total = np.sum(mass) * (log_b[1] - log_b[0]) * (log_d[1] - log_d[0])
        self.mass = np.array(mass) / np.sum(mass)
        self.mean = np.array([np.sum(level) / np.sum(mass), self.mass @ self.b])
        self.small = self.mass[self.b < 0.05].sum()


@functools.cache
def at_zero(seed, slope):
    """Logs of the integral of the same data with the covariate around zero: theirs and ours."""
    Y, t = balanced(seed, slope)
    return integrate(balanced_fit(Y, t, 0.0)).log_marginal, np.log(Balanced(Y, t, 0.0).total)


@pytest.mark.parametrize(
    ("far", "seed", "slope"), [(5.0, 0, 0.3), (100.0, 0, 0.3), (2000.0, 2, 1.0), (1e4, 0, 0.3)]
)
@pytest.mark.slow
def test_slopes_far_from_zero_against_quadrature(far, seed, slope):
    """The posterior has a spike at a slope sd of zero, and a hill; the shares are right."""
    Y, t = balanced(seed, slope)
    own, model = Balanced(Y, t, far), balanced_fit(Y, t, far)
    told = integrate(model)
    assert told.error < 1e-3
    np.testing.assert_allclose(told.mean.sds[0], own.mean, rtol=2e-3)
    below = told.nodes.distribution(1)(0.05)
    assert below == pytest.approx(own.small, abs=4e-3)
    theirs, ours = at_zero(seed, slope)
    expected = np.log(own.total) - ours
    assert told.log_marginal - theirs == pytest.approx(expected, abs=1e-3)
    draws = sample(model, 4000, np.random.default_rng(3))
    b = draws.sds[0][:, 1]
    share = (b < 0.05).mean()
    assert abs(share - own.small) < 4.5 * np.sqrt(own.small * (1 - own.small) / 4000) + 2e-3
    sd = np.sqrt(own.mass @ (own.b - own.mean[1]) ** 2)
    assert abs(b.mean() - own.mean[1]) < 4.5 * sd / np.sqrt(4000)
    for of in (0, 1):  # the distribution function, where a sd is no coordinate
        value = np.median(draws.sds[0][:, of])
        assert told.nodes.distribution(of)(value) == pytest.approx(0.5, abs=4.5 / np.sqrt(16000))


# --- posterior(Z A) = posterior(Z) x w


MAPS = {
    "shift": [[1, 0.8], [0, 1]],
    "far shift": [[1, 6.0], [0, 1]],
    "scaling": [[3, 0], [0, 1e-3]],
    "permutation": [[0, 1], [1, 0]],
    "any": [[1, -0.4], [0.5, 1.2]],
}
KINDS = {
    "plain": {},
    "weights": {"weights": np.random.default_rng(4).uniform(0.3, 3, 42)},
    "tau known": {"tau2": 0.8},
}


def turned(A, options, labels=None, order=None):
    """Slopes in columns Z A; X stays as it is. Z itself is nearly orthogonal."""
    rng, order = np.random.default_rng(6), slice(None) if order is None else order
    g, x = np.repeat(np.arange(7), 6), rng.normal(size=42)
    Z = np.column_stack([np.ones(42), x])
    y = (Z * (rng.normal(size=(7, 2)) * [1, 0.6])[g]).sum(axis=1) + rng.normal(size=42)
    options = {k: v[order] if k == "weights" else v for k, v in options.items()}
    g = g if labels is None else labels[g]
    return fit(y[order], Z[order], Term(g[order], (Z @ A)[order]), **options)


def halves(told, into, log_det):
    """Integrals over half of a posterior: of 1, tau, alpha and the sds over 1 + the sds.

    w = prod (sd / sd')^q over |det A|^(q + 1) makes posterior(Z A) of posterior(Z), and as it has
    poles, w / (1 + w) of the one is compared with 1 / (1 + w) of the other.
    """
    nodes, over = told.nodes, told.over
    root = over.roots(nodes.given.T, np.ones(len(nodes.mass)))[0]
    Sigma = root @ root.swapaxes(1, 2)
    new = into @ Sigma @ into.T
    here, there = (np.einsum("nkk->nk", S).prod(axis=1) for S in (Sigma, new))
    share = here / (here + there * np.exp(3 * log_det))  # the weight of the other's columns here
    log_half = told.log_marginal + np.log(nodes.mass.sum(axis=1) @ share)
    mass = nodes.mass * share[:, None]
    mass /= mass.sum()
    tau = nodes.tau * over.y_unit
    sds = np.sqrt(np.einsum("nkk->nk", Sigma))[:, None] * nodes.tau[..., None]
    readers = np.sqrt(np.einsum("nkk->nk", new))[:, None] * nodes.tau[..., None]
    alpha = over.fixed(nodes.given.alpha)  # its mean given the variances, under a flat prior
    means = [mass.ravel() @ (s / (1 + s)).reshape(-1, 2) for s in (sds, readers)]
    return log_half, mass.ravel() @ tau.ravel(), mass.sum(axis=1) @ alpha, *means


@functools.cache
def unturned(kind):
    """The posterior in the columns Z themselves."""
    return integrate(turned(np.eye(2), KINDS[kind]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "plain") for name in MAPS),
        ("far shift", "tau known"),
        ("far shift", "weights"),
        ("any", "weights"),
    ],
)
@pytest.mark.slow
def test_other_columns_are_another_weight(name, kind):
    """posterior(Z A) = posterior(Z) w / E[w], and the log marginals differ by log E[w]."""
    A = np.array(MAPS[name], dtype=float)
    log_det = np.log(np.abs(np.linalg.det(A)))
    a, b = unturned(kind), integrate(turned(A, KINDS[kind]))
    one = halves(a, np.linalg.inv(A), log_det)
    other = halves(b, A, -log_det)
    assert other[0] == pytest.approx(one[0], abs=1e-3)
    assert other[1] == pytest.approx(one[1], rel=5e-4)
    np.testing.assert_allclose(other[2], one[2], atol=1e-3)
    np.testing.assert_allclose(other[3], one[4], rtol=2e-3)
    np.testing.assert_allclose(other[4], one[3], rtol=2e-3)
    draws = sample(b.over.model, 4000, np.random.default_rng(2))
    off = draws.sds[0].mean(axis=0) - b.mean.sds[0]
    assert (np.abs(off) < 4.5 * b.sd.sds[0] / np.sqrt(4000)).all()
    assert abs(np.sqrt(draws.tau2).mean() - b.mean.tau) <= 4.5 * b.sd.tau / np.sqrt(4000) + 1e-9


@pytest.mark.slow
def test_rows_and_labels_in_another_order():
    A, order = np.array([[1, 9.0], [0, 1]]), np.random.default_rng(0).permutation(42)
    labels = np.array(list("gacbfed"))
    a = integrate(turned(A, {}))
    b = integrate(turned(A, {}, labels, order))
    np.testing.assert_allclose(b.mean.sds[0], a.mean.sds[0], rtol=1e-6)
    place = np.argsort(labels)
    np.testing.assert_allclose(b.mean.random[0], a.mean.random[0][place], rtol=1e-5, atol=1e-7)
    assert b.log_marginal == pytest.approx(a.log_marginal, abs=1e-8)


@pytest.mark.slow
def test_importance_sampling_far_from_zero_against_the_grids():
    """One posterior in two charts, by grids and by weighted points."""
    prior = Prior(priors.half_normal(5), priors.half_normal(2), gaussian([0, 0], 1e4 * np.eye(2)))
    over = posterior_of(curves(8.0), prior)
    exact, points = settled(over)[0], weighted(over, 20000, np.random.default_rng(1))
    error = 4.5 / np.sqrt(points.effective)
    assert points.log_marginal == pytest.approx(exact.log_marginal, abs=error)
    for k in range(2):
        for value in (0.5, 1.0, 3.0):
            right = exact.distribution(k)(value)
            assert points.distribution(k)(value) == pytest.approx(right, abs=error / 2)


# --- refusals, and what a reader is told


def test_rejection_gives_up_in_words(monkeypatch):
    monkeypatch.setattr("mixhier_lite.bayes.rejection.TRIES", 0)
    with pytest.raises(InputError, match="too rough for rejection sampling") as refusal:
        sample(curves(0.0), 10**4, np.random.default_rng(0))
    kept, _, tried = refusal.value.got.split()
    assert int(kept) < 10**4 <= int(tried)


@pytest.mark.slow
def test_a_reader_is_told_where_the_prior_sits():
    sentence = "sits on the standard deviations of person where its covariates are zero"
    for far, told in ((0.0, False), (2000.0, True)):
        model = curves(far)
        for posterior in (integrate(model), sample(model, 20, np.random.default_rng(0))):
            assert (sentence in str(posterior)) == told
