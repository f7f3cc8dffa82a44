"""Right and wrong answers to the exercises of chapter *variance*."""

import numpy as np
from scipy.special import betainc

from mixhier_lite import Term, datasets, fit, lmer

rail, radon = datasets.load("Rail"), datasets.load("radon")


def rails(method):
    model = fit(rail["travel"], np.ones((18, 1)), Term(rail["Rail"]), method)
    return np.array([model.Sigma[0][0, 0], model.tau2])


reml = rails("REML")
means = rail.groupby("Rail")["travel"].mean()


def fall(method, small="floor", large="floor + log_uranium"):
    models = (lmer(f"y_gh ~ {f} + (1 | county)", radon, method=method) for f in (small, large))
    return np.subtract(*(model.criterion for model in models))


gain = fall("ML")
in_hundredths = fall("ML", large="floor + I(100 * log_uranium)")
assert np.isclose(gain, in_hundredths) and not np.isclose(gain, fall("REML"), rtol=0.05)


def residual_sum(*columns):
    X = np.column_stack([np.ones(919), *(radon[c] for c in columns)])
    y = radon["y_gh"].to_numpy()
    return y @ y - y @ X @ np.linalg.solve(X.T @ X, X.T @ y)


def layout(rows, scatter, singles, far):
    """Six groups with one mean, and single rows on both sides of it."""
    y = np.append(np.tile([scatter, -scatter], 3 * rows), np.tile([far, -far], singles // 2))
    return y, np.append(np.repeat(np.arange(6), rows), np.arange(6, 6 + singles))


def share(J, m, sigma2, tau2, factor=1.0):
    """F as a ratio of gamma variables: their share is a beta variable."""
    a, b, x = (J - 1) / 2, J * (m - 1) / 2, factor * tau2 / (m * sigma2 + tau2)
    return betainc(a, b, a * x / (a * x + b))


def swapped(J, m, sigma2, tau2):
    a, b, x = J * (m - 1) / 2, (J - 1) / 2, tau2 / (m * sigma2 + tau2)
    return betainc(a, b, a * x / (a * x + b))


def test_the_share_of_zeros():
    """The answer to variance-6 by simulation: how often the groups differ less than noise."""
    rng = np.random.default_rng(1)
    y = rng.standard_normal((20000, 4, 1)) + 1.5 * rng.standard_normal((20000, 4, 3))
    between, within = 3 * y.mean(axis=2).var(axis=1, ddof=1), y.var(axis=2, ddof=1).mean(axis=1)
    assert abs(np.mean(between <= within) - share(4, 3, 1.0, 2.25)) < 0.01


test_the_share_of_zeros()

RIGHT = {
    "variance-1": reml,
    "variance-2": "tau2 falls",
    "variance-3": gain,
    "variance-5": layout(4, 1.0, 6, 4.0),
    "variance-6": share,
}

WRONG = {
    "variance-1": [
        (rails("ML"), "ML estimate"),
        (reml**0.5, "Standard deviations"),
        ([means.var(), reml[1]], "variance of the six means"),
        (reml * (3, 1), "once for each measurement"),
        ([3 * means.var(), reml[1]], "two mean squares"),
        (reml[::-1], "sigma2 comes first"),
    ],
    "variance-2": [
        ("both stay", "no more than labels"),
        ("sigma2 falls", "if it could"),
        ("both fall", "cannot"),
    ],
    "variance-3": [
        (fall("REML"), "two REML criteria"),
        (gain / 2, "gain in log likelihood"),
        (-gain, "The sign"),
        (
            919 * np.log(residual_sum("floor") / residual_sum("floor", "log_uranium")),
            "left the counties out",
        ),
    ],
    "variance-5": [
        ((np.array([0.0, 2, 2, 6, 1, 3]), list("aabbcc")), "of one size"),
        ((np.array([0.0, 2, 9, 11, 12, -5]), list("aabbbc")), "does not even pass"),
        (layout(8, 1.0, 2, 1.1), "and it is the answer"),
    ],
    "variance-6": [
        (lambda *layout: 1 - share(*layout), "estimate is positive"),
        (lambda *layout: share(*layout, factor=layout[0] / (layout[0] - 1)), "ML says zero"),
        (lambda J, m, s, t: share(J, m, s, t, ((m * s + t) / t) ** 2), "wrong way round"),
        (lambda J, m, s, t: share(J, m, s / m, t), "once for each row"),
        (lambda J, m, s, t: share(J, m, 0.0, t), "groups were alike"),
        (swapped, "changed places"),
    ],
}
