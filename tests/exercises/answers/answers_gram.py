"""Right and wrong answers to the exercises of chapter *gram*."""

import numpy as np
from scipy.stats import norm

from mixhier_lite import LinearMixedModel, datasets, gls_blup, henderson, indicator

radon = datasets.load("radon")
y = radon["y_gh"].to_numpy()
X, D = np.column_stack([np.ones(919), radon["floor"]]), indicator(radon["county"])


def rows_of(n, m, S, rng):
    """Make n rows with these means and sums about them."""
    Q = np.linalg.qr(np.column_stack([np.ones(n), rng.standard_normal((n, len(m)))]))[0][:, 1:]
    return m + Q @ np.linalg.cholesky(S).T


def from_rows(n1, m1, S1, n2, m2, S2):
    rng = np.random.default_rng(3)
    rows = np.vstack([rows_of(n1, m1, S1, rng), rows_of(n2, m2, S2, rng)])
    return np.cov(rows.T, bias=True) * (n1 + n2)


def about(centre, n1, m1, S1, n2, m2, S2):
    rng = np.random.default_rng(4)
    rows = np.vstack([rows_of(n1, m1, S1, rng), rows_of(n2, m2, S2, rng)]) - centre
    return rows.T @ rows


def held_out(sigma2=0.1, tau2=0.57, k=5, county=1, seen=False):
    """Squared errors of every home, fold by fold, with the rows and the package."""
    fold, errors = np.arange(919) % k, np.zeros(919)
    for f in range(k):
        out = fold == f
        use = np.ones(919, bool) if seen else ~out
        effects = henderson(LinearMixedModel(X[use], D[use], sigma2 * np.eye(85), tau2), y[use])
        errors[out] = y[out] - X[out] @ effects.fixed - county * D[out] @ effects.random
    return errors**2


def leave_one_out():
    W = np.hstack([X, D])
    H = W @ np.linalg.solve(W.T @ W + np.diag([0, 0] + [5.7] * 85), W.T)
    return np.mean(((y - H @ y) / (1 - np.diag(H))) ** 2)


mean_square = held_out().mean()
shared = ["heart", "lung", "lung"], ["lung", "heart", "lung"]  # the same sizes at both sites


def test_the_two_fits_differ():
    """The answer to gram-4, by the package."""
    rng = np.random.default_rng(1)
    response = rng.standard_normal(6)

    def mean(rows, labels):
        D = indicator(labels)
        model = LinearMixedModel(np.ones((len(D), 1)), D, np.eye(D.shape[1]), 1.0)
        found = gls_blup(model, response[rows])
        return found.fixed[0], 1 / found.fixed_cov[0, 0]

    (a, u), (b, v) = mean(slice(3), shared[0]), mean(slice(3, 6), shared[1])
    merged = mean(slice(6), shared[0] + shared[1])
    assert abs((u * a + v * b) / (u + v) - merged[0]) > 1e-3 and u + v > merged[1]


test_the_two_fits_differ()


def densities(w, ss, tau2):
    """Both densities at alpha = 0.7 and no groups; deviations of each patient sum to zero."""
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(len(w)), w)
    deviation = rng.standard_normal(len(who))
    deviation -= (np.bincount(who, deviation) / w)[who]
    deviation *= np.sqrt(ss / (deviation @ deviation))
    means = rng.standard_normal(len(w))
    readings = norm.logpdf(means[who] + deviation, 0.7, np.sqrt(tau2)).sum()
    return -2 * (readings - norm.logpdf(means, 0.7, np.sqrt(tau2 / w)).sum())


def without_logs(w, ss, tau2):
    return densities(w, ss, tau2) - np.log(w).sum()


def all_readings(w, ss, tau2):
    return w.sum() * np.log(2 * np.pi * tau2) + np.log(w).sum() + ss / tau2


RIGHT = {
    "gram-1": "leave-one-out errors",
    "gram-2": from_rows,
    "gram-3": mean_square,
    "gram-4": shared,
    "gram-5": [1e9 + 1, 1e9 + 2, 1e9 + 4],
    "gram-6": densities,
}

exact_by_luck = 2.0**40 + 2.0**15 * np.array([0, 1, 1, 0])

WRONG = {
    "gram-1": [
        ("standard errors", "diagonal of an inverse"),
        ("residual sum of squares", "v'Gv"),
        ("generalised cross-validation", "is a trace"),
    ],
    "gram-2": [
        (lambda n1, m1, S1, n2, m2, S2: S1 + S2, "two different means"),
        (lambda *s: about((s[1] + s[4]) / 2, *s), "counts both sites alike"),
        (lambda *s: about(0, *s), "centre zero"),
        (lambda *s: s[2] + s[5] + np.outer(s[1] - s[4], s[1] - s[4]), "comes in once;"),
        (lambda *s: from_rows(*s) / (s[0] + s[3] - 1), "covariance matrix"),
    ],
    "gram-3": [
        (held_out(seen=True).mean(), "has seen them"),
        (held_out(county=0).mean(), "fixed effects alone"),
        (mean_square**0.5, "took the root"),
        (held_out().sum(), "divide by their number"),
        (held_out(0.57, 0.1).mean(), "upside down"),
        (leave_one_out(), "one home at a time"),
    ],
    "gram-4": [
        ((["a", "a", "b"], ["c", "d", "d"]), "no ward in common"),
        ((["a", "a", "b", "b"], ["b", "a", "a", "b"]), "of one size"),
        (([1], [1]), "of one size"),
    ],
    "gram-5": [
        ([1.0, 2.0, 4.0], "Large or small numbers alone"),
        ([1e14, -3e14, 2e14], "Large or small numbers alone"),
        ([1e5 + 1, 1e5 + 2, 1e5 + 4], "on the way"),
        (exact_by_luck, "by luck"),
    ],
    "gram-6": [
        (without_logs, "higher and narrower"),
        (lambda w, ss, t: without_logs(w, ss, t) - np.log(w).sum(), "wrong sign"),
        (all_readings, "one normal density for each reading"),
        (lambda w, ss, t: ss / t, "changes in the exponent"),
        (lambda w, ss, t: densities(w, ss, t) / -2, "difference of log likelihoods"),
    ],
}
