"""Simulation-based calibration: the rank of a true value among draws from its posterior.

Truth from the prior, data from the truth, 99 draws from the posterior: the rank of the truth is
uniform on 0..99. Nobody draws from a flat prior, but two exact devices replace it.

* sd ~ U(0, U) instead of flat on (0, inf). Only data sets whose flat posterior has less than 1e-3
  of its mass beyond U are kept. A selection that looks at y alone leaves the posterior of what is
  kept as it is, and on these data the two priors have the same posterior up to those 1e-3.
* alpha fixed instead of flat. Under a flat alpha the posterior of beta and the variances is the one
  given contrasts of y that are free of alpha, whose distribution is the same for every alpha. Given
  these contrasts, alpha is a location of what is left of y, and a flat prior on a location gives
  exact ranks at each of its values.

A quantity is judged by its mean rank (normal) and by ten bins (chi-squared), each at 5e-7: with
some 110 quantities a false alarm has a probability below 1.2e-4, and the seeds are fixed.
"""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from mixhier_lite import InputError, Prior, Term, fit, gaussian, priors, sample
from mixhier_lite.bayes.posterior import View, posterior_of
from mixhier_lite.bayes.quadrature import sketch

pytestmark = pytest.mark.slow
LEVEL = 5e-7
DRAWS = 99


def half_normal(rng, scale):
    return scale * abs(rng.standard_normal())


def half_t(rng, df, scale):
    return scale * abs(rng.standard_t(df))


class Kind:
    """One kind of model under one prior: simulate a truth and data, fit, and name quantities."""

    def __init__(self, sims, draw, prior, rows=(), terms=1, keep=None, **options):
        self.sims, self.draw, self.prior, self.keep = sims, draw, prior, keep
        self.options = {"q": 1, "K": None, "weights": False, "tau2": None, "p": 1} | options
        self.terms, self.rows = terms, rows

    def simulate(self, rng):
        """The truth and the fitted model."""
        o, g = self.options, self.rows[0]
        n, x = len(g), rng.standard_normal(len(g))
        X = np.column_stack([np.ones(n), x])[:, : max(o["p"], o["q"])]
        truth = self.draw(rng)  # sds of each term, rho, tau, alpha
        alpha = truth.get("alpha", np.arange(1.0, X.shape[1] + 1))
        y, terms, effects = X @ alpha, [], []
        for t, labels in enumerate(self.rows):
            J, q = labels.max() + 1, o["q"] if t == 0 else 1
            sd = np.atleast_1d(truth["sds"][t])
            rho = np.eye(q) + truth.get("rho", 0.0) * (1 - np.eye(q))
            root = np.linalg.cholesky(np.outer(sd, sd) * rho + 1e-300 * np.eye(q))
            K = o["K"] if t == 0 else None
            u = (
                rng.standard_normal((J, q))
                if K is None
                else np.linalg.cholesky(K) @ (rng.standard_normal((J, q)))
            )
            beta = u @ root.T
            Z = X[:, :q]
            y = y + (Z * beta[labels]).sum(axis=1)
            terms.append(Term(labels, Z, K, truth.get("rho") is not None, np.arange(J)))
            effects.append(beta)
        w = rng.uniform(0.3, 3, n) if o["weights"] else None
        y = y + truth["tau"] * rng.standard_normal(n) / np.sqrt(1.0 if w is None else w)
        if self.keep is not None and not self.keep.glance(y, g):
            return {}, None
        model = fit(y, X, terms, weights=w, tau2=o["tau2"])
        told = {f"alpha {k}": a for k, a in enumerate(alpha)}
        for t, (beta, sd) in enumerate(zip(effects, truth["sds"], strict=True)):
            for k, value in enumerate(np.atleast_1d(sd)):
                told[f"beta {t} {k}"], told[f"sd {t} {k}"] = beta[-1, k], value
        if truth.get("rho") is not None:
            told["rho"] = truth["rho"]
        if o["tau2"] is None:
            told["tau"] = truth["tau"]
            told["ratio"] = np.sum([np.sum(np.square(s)) for s in truth["sds"]]) / truth["tau"] ** 2
        return told, model

    def drawn(self, model, rng):
        """The same quantities from the posterior."""
        draws, out = sample(model, DRAWS, rng, self.prior), {}
        out |= {f"alpha {k}": draws.fixed[:, k] for k in range(draws.fixed.shape[1])}
        for t, (beta, sd) in enumerate(zip(draws.random, draws.sds, strict=True)):
            for k in range(sd.shape[1]):
                out[f"beta {t} {k}"], out[f"sd {t} {k}"] = beta[:, -1, k], sd[:, k]
        S = draws.Sigma[0]
        out["rho"] = S[:, 0, -1] / np.sqrt(S[:, 0, 0] * S[:, -1, -1])
        out["tau"] = np.sqrt(draws.tau2)
        out["ratio"] = sum(np.sum(s**2, axis=1) for s in draws.sds) / draws.tau2
        return out

    def ranks(self, seed, sims=None):
        """Ranks of the truth, for every quantity."""
        rng, found, refused = np.random.default_rng(seed), {}, 0
        while len(found.get("alpha 0", ())) < (sims or self.sims):
            truth, model = self.simulate(rng)
            if model is None or (self.keep is not None and not self.keep(model, self.prior)):
                continue
            try:
                drawn = self.drawn(model, rng)
            except InputError as refusal:  # which looks at y alone
                refused += 1
                assert "too rough" in str(refusal) and refused <= self.sims / 3
                continue
            for name, value in truth.items():
                found.setdefault(name, []).append((drawn[name] < value).sum())
        return {name: np.array(ranks) for name, ranks in found.items()}


def groups(J, rows):
    return np.repeat(np.arange(J), rows)


class Inside:
    """Whether the posterior lies below U, and that of tau between two ends."""

    def __init__(self, U, low=0.0):
        self.U, self.low = U, low

    def glance(self, y, labels):
        """Sort most of the others out at a look at y, before anything is fitted."""
        means = np.bincount(labels, y) / np.bincount(labels)
        within = np.sqrt(((y - means[labels]) ** 2).sum() / (len(y) - len(means)))
        return means.std() < 0.5 * self.U and 2.5 * self.low < within < 0.5 * self.U

    def __call__(self, model, prior):
        """Look at the posterior."""
        nodes = sketch(posterior_of(model, prior))
        lost = 2 - nodes.distribution(0)(self.U) - nodes.distribution(1)(self.U)
        return lost + (nodes.distribution(1)(self.low) if self.low else 0.0) < 1e-3


def kinds():
    tree = np.array([[1, 0.5, 0.25, 0, 0], [0.5, 1, 0.5, 0, 0], [0.25, 0.5, 1, 0, 0]])
    K = np.vstack([tree, [0, 0, 0, 1, 0.4], [0, 0, 0, 0.4, 1]])
    crossed = (groups(5, 6), np.tile(np.arange(3), 10))
    nested = (groups(4, 6), groups(8, 3))
    weak = Prior(priors.half_normal(1), priors.half_normal(1))

    def noise(rng, **rest):
        return rest | {"tau": half_normal(rng, 1)}

    return {
        "flat": Kind(
            150,
            lambda rng: {"sds": [rng.uniform(0, 3)], "tau": rng.uniform(0, 3)},
            Prior(),
            rows=(groups(10, 2),),
            keep=Inside(3.0),
        ),
        "flat variance, flat log noise": Kind(
            100,
            lambda rng: {
                "sds": [3 * np.sqrt(rng.uniform())],
                "tau": np.exp(rng.uniform(np.log(0.02), np.log(3))),
            },
            Prior(priors.flat_variance(), priors.flat_log()),
            rows=(groups(12, 2),),
            keep=Inside(3.0, 0.02),
        ),
        "K, half-normal": Kind(
            200,
            lambda rng: noise(rng, sds=[half_normal(rng, 1.5)]),
            Prior(priors.half_normal(1.5), priors.half_normal(1)),
            rows=(groups(5, 3),),
            K=K,
        ),
        "weights, half-Cauchy": Kind(
            200,
            lambda rng: noise(rng, sds=[half_t(rng, 1, 1)]),
            Prior(priors.half_cauchy(1), priors.half_normal(1)),
            rows=(np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4]),),
            weights=True,
        ),
        "known tau2, half-t, Gaussian alpha": Kind(
            200,
            lambda rng: {
                "sds": [half_t(rng, 3, 1)],
                "tau": 0.8,
                "alpha": np.array([1, -1]) + np.array([2, 0.5]) * rng.standard_normal(2),
            },
            Prior(priors.half_t(3, 1), fixed=gaussian([1, -1], np.diag([4, 0.25]))),
            rows=(groups(4, 2),),
            tau2=0.64,
            p=2,
        ),
        "exponential, five rows": Kind(
            200,  # enough to notice a wrong exponent, below
            lambda rng: {"sds": [rng.exponential(1)], "tau": rng.exponential(0.7)},
            Prior(priors.exponential(1), priors.exponential(0.7)),
            rows=(np.array([0, 0, 1, 1, 2]),),
        ),
        "slopes, independent": Kind(
            70,
            lambda rng: noise(rng, sds=[[rng.exponential(1), half_normal(rng, 0.5)]]),
            Prior([[priors.exponential(1), priors.half_normal(0.5)]], priors.half_normal(1)),
            rows=(groups(5, 4),),
            q=2,
        ),
        "slopes, correlated": Kind(
            60,
            lambda rng: noise(
                rng, sds=[[half_normal(rng, 1), half_normal(rng, 1)]], rho=rng.uniform(-1, 1)
            ),
            weak,
            rows=(groups(5, 4),),
            q=2,
        ),
        "crossed": Kind(
            50,
            lambda rng: noise(rng, sds=[half_t(rng, 4, 1), rng.exponential(1)]),
            Prior([priors.half_t(4, 1), priors.exponential(1)], priors.half_normal(1)),
            rows=crossed,
        ),
        "nested": Kind(
            40,
            lambda rng: noise(rng, sds=[half_normal(rng, 1), half_normal(rng, 1)]),
            weak,
            rows=nested,
        ),
        "three crossed": Kind(
            24,
            lambda rng: noise(rng, sds=[half_normal(rng, 1) for _ in range(3)]),
            weak,
            rows=(*crossed, np.repeat(np.tile([0, 1, 2, 3], 8), 1)[:30]),
        ),
        "importance sampling: slopes, correlated, and a crossed term": Kind(
            8,
            lambda rng: noise(
                rng,
                sds=[[half_normal(rng, 1), half_normal(rng, 1)], half_normal(rng, 1)],
                rho=rng.uniform(-1, 1),
            ),
            weak,
            rows=crossed,
            q=2,
        ),
    }


KINDS = kinds()


def p_values(ranks):
    """Of the mean rank, and of ten bins."""
    ranks = np.asarray(ranks)
    off = ((ranks + 0.5) / (DRAWS + 1)).mean() - 0.5
    mean = 2 * norm.sf(abs(off) * np.sqrt(12 * len(ranks)))
    counts, expected = np.bincount(ranks * 10 // (DRAWS + 1), minlength=10), len(ranks) / 10
    bins = chi2.sf(((counts - expected) ** 2 / expected).sum(), 9)
    return mean, bins if expected >= 5 else 1.0


@pytest.mark.parametrize("name", KINDS)
def test_ranks_are_uniform(name):
    for quantity, ranks in KINDS[name].ranks(seed=len(name)).items():
        mean, bins = p_values(ranks)
        assert mean > LEVEL, (quantity, np.mean(ranks))
        assert bins > LEVEL, (quantity, np.bincount(ranks // 10, minlength=10))


def test_a_wrong_exponent_is_noticed(monkeypatch):
    """exp(-crit/2) in the place of the posterior: without (r2)^((k+1)/2) of thm-theta-posterior."""
    right = View.log_density

    def wrong(self, at, given, t):
        return right(self, at, given, t) - (len(self.over.sds) + 1) / 2 * np.log(given.r2)[:, None]

    monkeypatch.setattr(View, "log_density", wrong)
    ranks = KINDS["exponential, five rows"].ranks(seed=22)
    assert min(p_values(ranks["ratio"])) < LEVEL


def test_a_forgotten_prior_is_noticed():
    """A very wide prior in the place of the half-normal one that the truth came from."""
    kind = KINDS["K, half-normal"]
    other = Kind(200, kind.draw, Prior(priors.half_t(0.5, 9)), kind.rows, K=kind.options["K"])
    ranks = other.ranks(seed=23)
    assert min(p_values(ranks["sd 0 0"])) < LEVEL
