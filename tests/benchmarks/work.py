"""The work that is timed: data from fixed seeds, or from packages that carry them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixhier_lite import Fit, Term, datasets, fit, lmer


@dataclass(frozen=True, eq=False)
class Work:
    """One model and its data, as arrays; labels are integers 0..J-1."""

    name: str
    what: str
    y: np.ndarray
    X: np.ndarray
    codes: tuple[np.ndarray, ...]
    """One for each term."""
    formula: str
    """In columns y, x1, x2, ... and g1, g2."""
    Z: np.ndarray | None = None
    """Columns of the first term; None is a random intercept."""
    K: np.ndarray | None = None

    @property
    def J(self):
        return [int(codes.max()) + 1 for codes in self.codes]

    @property
    def n(self):
        return len(self.y)

    @cached_property
    def frame(self):
        import pandas as pd

        x = {f"x{k}": self.X[:, k] for k in range(1, self.X.shape[1])}
        return pd.DataFrame(
            {"y": self.y, **x, **{f"g{t + 1}": g for t, g in enumerate(self.codes)}}
        )

    def fit(self, method: str = "REML", correlated: bool = True) -> Fit:
        """Fit from arrays, with all checks of the inputs."""
        first, *others = self.codes
        terms = [Term(first, self.Z, self.K, correlated), *map(Term, others)]
        return fit(self.y, self.X, terms, method)

    def fit_frame(self) -> Fit:
        """Fit from a data frame."""
        return lmer(
            self.formula, self.frame, relatedness=None if self.K is None else {"g1": self.K}
        )


def sleepstudy() -> Work:
    data = datasets.load("sleepstudy")
    days, codes = data["Days"].to_numpy(float), np.unique(data["Subject"], return_inverse=True)[1]
    X = np.column_stack([np.ones(len(days)), days])
    y = data["Reaction"].to_numpy(float)
    return Work("W1", "sleepstudy, correlated slopes", y, X, (codes,), "y ~ x1 + (x1 | g1)", X)


def random_intercept(name: str, what: str, rows: int, levels: int, p: int, seed: int) -> Work:
    """Unbalanced: a level's share of the rows is drawn, and no level is empty."""
    rng = np.random.default_rng(seed)
    share = rng.gamma(2.0, size=levels)
    drawn = rng.choice(levels, rows - levels, p=share / share.sum())
    g = rng.permutation(np.concatenate([np.arange(levels), drawn]))
    X = np.ones((rows, p))
    X[:, 1:] = rng.normal(size=(rows, p - 1))
    y = X @ np.arange(p, 0.0, -1.0) + rng.normal(size=levels)[g] + rng.normal(size=rows)
    formula = " + ".join(["y ~ 1", *(f"x{k}" for k in range(1, p)), "(1 | g1)"])
    return Work(name, what, y, X, (g,), formula)


def small_intercept() -> Work:
    return random_intercept("W2", "random intercept, 1e3 groups, 1e5 rows", 10**5, 10**3, 5, 2)


def large_intercept() -> Work:
    return random_intercept("W3", "the same, 1e5 groups, 1e7 rows", 10**7, 10**5, 5, 3)


def slopes() -> Work:
    rng, rows, levels = np.random.default_rng(4), 10**6, 10**4
    g = rng.permutation(np.concatenate([np.arange(levels), rng.integers(0, levels, rows - levels)]))
    X = np.ones((rows, 3))
    X[:, 1:] = rng.normal(size=(rows, 2))
    beta = rng.multivariate_normal([0, 0], [[1.0, 0.3], [0.3, 0.5]], levels)
    y = X @ [2.0, 1.0, 0.5] + beta[g, 0] + beta[g, 1] * X[:, 1] + rng.normal(size=rows)
    what, formula = "intercept + slope, 1e4 groups, 1e6 rows", "y ~ x1 + x2 + (x1 | g1)"
    return Work("W4", what, y, X, (g,), formula, X[:, :2].copy())


def insteval() -> Work:
    """Ratings of lecturers d by students s; mixedlm and lme4 carry the data."""
    try:
        from mixedlm.datasets import load_insteval
    except ImportError:
        raise LookupError("InstEval is taken from mixedlm: pip install mixedlm") from None
    data = load_insteval()
    service = np.asarray(data["service"]).astype(float).ravel()
    X = np.column_stack([np.ones(len(data)), service])
    codes = tuple(np.unique(np.asarray(data[k]), return_inverse=True)[1] for k in "sd")
    what = "crossed, InstEval, 2,972 x 1,128 levels"
    y = data["y"].to_numpy(float)
    return Work("W5", what, y, X, codes, "y ~ x1 + (1 | g1) + (1 | g2)")


def ratings() -> Work:
    return _ratings("W8a", 10**6, 20_000, 2_000)


def many_ratings() -> Work:
    return _ratings("W8b", 10**7, 150_000, 10_000)


def _ratings(name: str, rows: int, people: int, things: int) -> Work:
    """The shape of ratings: a few people rate much, a few things are rated much (Zipf)."""
    rng, codes = np.random.default_rng(8), []
    for levels in (people, things):
        share = 1 / (10 + np.arange(levels))
        drawn = rng.choice(levels, rows - levels, p=share / share.sum())
        codes.append(rng.permutation(np.concatenate([np.arange(levels), drawn])))
    X = np.column_stack([np.ones(rows), rng.normal(size=rows)])
    y = X @ [3.0, 0.2] + rng.normal(size=rows)
    for g, sd in zip(codes, (0.5, 0.7), strict=True):
        y += sd * rng.normal(size=int(g.max()) + 1)[g]
    what = f"crossed, ratings: {rows:.0e} rows, {people:,} x {things:,}, Zipf".replace("e+0", "e")
    return Work(name, what, y, X, tuple(codes), "y ~ x1 + (1 | g1) + (1 | g2)")


def relatedness() -> Work:
    rng, J = np.random.default_rng(6), 2000
    markers = rng.binomial(2, rng.uniform(0.1, 0.5, 5000), (J, 5000)).astype(float)
    markers = (markers - markers.mean(axis=0)) / markers.std(axis=0)
    K = markers @ markers.T / markers.shape[1]
    X = np.column_stack([np.ones(J), rng.normal(size=J)])
    beta = markers @ rng.normal(size=5000) / np.sqrt(5000)
    y = X @ [1.0, 0.5] + beta + rng.normal(size=J)
    what = "relatedness, 2,000 individuals, dense K"
    return Work("W6", what, y, X, (np.arange(J),), "y ~ x1 + (1 | g1)", None, K)


def seed_groups() -> Work:
    data = datasets.four_groups(np.random.default_rng(7))
    X = np.column_stack([np.ones(len(data.y)), data.x])
    what = "posterior, four groups of thirty"
    return Work("W7a", what, data.y, X, (data.groups,), "y ~ x1 + (1 | g1)")


def posterior_intercept() -> Work:
    what = "posterior, 1e3 groups, 1e5 rows"
    return random_intercept("W7b", what, 10**5, 10**3, 5, 2)
