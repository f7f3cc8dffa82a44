"""Right and wrong answers to the exercises of chapter *slopes*."""

import numpy as np
import pandas as pd

from mixhier_lite import LinearMixedModel, Term, datasets, fit, gls_blup, lmer

radon = datasets.load("radon")


def by_lines(Sigma, zero):
    """Second moments of lines that have this covariance exactly, read at the new zero."""
    gamma = np.linalg.cholesky(Sigma).T  # two lines
    moved = np.column_stack([gamma[:, 0] + zero * gamma[:, 1], gamma[:, 1]])
    return moved.T @ moved


def entries(Sigma, zero, corner=None, covariance=None):
    new = by_lines(Sigma, zero)
    a = new[0, 0] if corner is None else corner
    c = new[0, 1] if covariance is None else covariance
    return np.array([[a, c], [c, Sigma[1, 1]]])


def correlation(Sigma):
    return Sigma[0, 1] / np.sqrt(Sigma[0, 0] * Sigma[1, 1])


def kept_correlation(Sigma, zero):
    sd = np.sqrt(np.diag(by_lines(Sigma, zero)))
    return entries(Sigma, zero, covariance=correlation(Sigma) * sd.prod())


def floors(bar="|"):
    """Both floors of every county, by predict."""
    model = lmer(f"y_gh ~ floor + (floor {bar} county)", radon)
    counties = sorted(set(radon["county"]))
    new = [pd.DataFrame({"county": counties, "floor": float(k)}) for k in (0, 1)]
    basement, first = (model.predict(rows).mean for rows in new)
    return pd.DataFrame({"county": counties, "basement": basement, "first": first}), model.fixed


levels, (level, slope) = floors()
deviations = levels.assign(basement=levels.basement - level, first=levels["first"] - level - slope)

t = np.arange(5.0)


def parts(t, Y):
    """Own lines (J, 2), their residual sum of squares, and (Z'Z)^-1 from centred sums."""
    slope = (Y - Y.mean(axis=1, keepdims=True)) @ (t - t.mean()) / (len(t) * t.var())
    b = np.column_stack([Y.mean(axis=1) - slope * t.mean(), slope])
    spread = len(t) * t.var()
    inverse = np.array([[1 / len(t) + t.mean() ** 2 / spread, -t.mean() / spread],
                        [-t.mean() / spread, 1 / spread]])  # fmt: skip
    return b, np.sum((Y - b[:, :1] - b[:, 1:] * t) ** 2), inverse


def own_cov(t, Y, **how):
    return np.cov(parts(t, Y)[0].T, **how)


def noise(t, Y, rows=2):
    """tau2 (Z'Z)^-1 with another divisor."""
    _, sse, inverse = parts(t, Y)
    return sse / (len(Y) * (len(t) - rows)) * inverse


def by_moments(t, Y, **how):
    return own_cov(t, Y, **how) - noise(t, Y)


def test_the_moments_by_fit():
    """The answer to slopes-5, and its ML mistake, by the package."""
    rng = np.random.default_rng(1)
    Y = 20 + 4 * rng.standard_normal((8, 1)) + (3 + rng.standard_normal((8, 1))) * t
    Y += rng.standard_normal((8, 5))
    X = np.tile(np.column_stack([np.ones(5), t]), (8, 1))
    for method, bias in (("REML", False), ("ML", True)):
        found = fit(Y.ravel(), X, Term(np.repeat(range(8), 5), Z=X), method)
        assert np.allclose(found.Sigma[0], by_moments(t, Y, bias=bias), rtol=1e-6)


test_the_moments_by_fit()


def about_zero(t, Y):
    b = parts(t, Y)[0]
    return b.T @ b / (len(Y) - 1) - noise(t, Y)


def dense(d, t, J, Sigma, tau2, people=True):
    """By the covariance of alpha_hat from the dense model."""
    Z, z = np.column_stack([np.ones(len(t)), t]), np.array([1, d])
    D = np.kron(np.eye(J), Z)
    wide = np.kron(np.eye(J), Sigma if people else 1e-12 * np.eye(2))
    model = LinearMixedModel(np.tile(Z, (J, 1)), D, wide, tau2)
    average = z @ gls_blup(model, np.zeros(len(D))).fixed_cov @ z
    return np.array([average, average + z @ Sigma @ z, average + z @ Sigma @ z + tau2])


def average_known(*study):
    right = dense(*study)
    return np.array([right[0], right[1] - right[0], right[2] - right[0]])


def without_line(*study):
    right = dense(*study)
    return np.array([right[0], right[1], right[0] + study[-1]])


RIGHT = {
    "slopes-1": "neither",
    "slopes-2": by_lines,
    "slopes-3": levels.sample(frac=1, random_state=1).set_index("county"),
    "slopes-4": (t, np.array([0.1, 3.0])),
    "slopes-5": by_moments,
    "slopes-6": dense,
}

WRONG = {
    "slopes-1": [
        ("two bars", "if the zero moved"),
        ("one bar", "any covariance"),
        ("both", "in milliseconds"),
    ],
    "slopes-2": [
        (lambda S, z: by_lines(S, -z), "wrong way"),
        (lambda S, z: entries(S, z, corner=S[0, 0] + z**2 * S[1, 1]), "added two variances"),
        (lambda S, z: np.vstack([S[0] + z * S[1], S[1]]), "one side only"),
        (lambda S, z: by_lines(S[::-1, ::-1], z)[::-1, ::-1], "each other's place"),
        (lambda S, z: entries(S, z, covariance=S[0, 1]), "kept the covariance"),
        (kept_correlation, "kept the correlation"),
    ],
    "slopes-3": [
        (deviations, "deviations from the average county"),
        (levels.assign(first=levels["first"] - levels.basement), "second column is the slope"),
        (levels.assign(first=levels.basement + slope), "fixed slope for all"),
        (floors("||")[0], "two bars"),
    ],
    "slopes-4": [
        ((t - t.mean(), np.array([0.1, 3.0])), "is centred"),
        ((np.array([-1.0, 0, 1]), np.array([1.0, -1.0])), "is centred"),
        ((t, np.array([3.0, -0.5])), "too weak"),
    ],
    "slopes-5": [
        (own_cov, "people and noise together"),
        (lambda t, Y: by_moments(t, Y, bias=True), "ML estimate"),
        (about_zero, "about zero"),
        (lambda t, Y: own_cov(t, Y) - noise(t, Y, rows=0), "used up two"),
        (lambda t, Y: np.diag(np.diag(by_moments(t, Y))), "covariance is asked for"),
    ],
    "slopes-6": [
        (
            lambda *study: dense(*study) - dense(*study)[0] + dense(*study, people=False)[0],
            "errs by noise alone",
        ),
        (average_known, "average as known"),
        (lambda *study: dense(*study) ** 0.5, "Standard deviations"),
        (without_line, "on a new person's line"),
        (lambda *study: np.diff(dense(*study), prepend=0), "three parts"),
    ],
}
