"""Right and wrong answers to the exercises of chapter *choosing*."""

import numpy as np

from mixhier_lite import LinearMixedModel, datasets, henderson, ridge

# --- samples and batches of the dyestuff

groups = datasets.load("Dyestuff")["Yield"].to_numpy(float).reshape(6, 5)
MSB, MSW = 5 * groups.mean(axis=1).var(ddof=1), groups.var(axis=1, ddof=1).mean()
sigma2 = (MSB - MSW) / 5


def brute_force():
    """Delete, solve GLS and BLUP by the two formulas, predict; one sample at a time."""
    y, label = groups.ravel(), np.repeat(range(6), 5)
    errors = []
    for i in range(30):
        keep = np.arange(30) != i
        same = label[keep][:, None] == label[keep]
        inverse = np.linalg.inv(sigma2 * same + MSW * np.eye(29))
        level = inverse.sum(axis=0) @ y[keep] / inverse.sum()
        effect = sigma2 * (label[keep] == label[i]) @ inverse @ (y[keep] - level)
        errors.append(y[i] - level - effect)
    return np.mean(np.square(errors))


others = (groups.sum() - groups.sum(axis=1)) / 25
one_out, batch_out = brute_force(), ((groups - others[:, None]) ** 2).mean()
means = groups.mean(axis=1)
shrunk = means.mean() + sigma2 / (sigma2 + MSW / 5) * (means - means.mean())
seen = ((groups - shrunk[:, None]) ** 2).mean()
own_four = ((groups - (groups.sum(axis=1, keepdims=True) - groups) / 4) ** 2).mean()


# --- a group left out


def rows_with(SSB, SSW, J, m):
    """J groups of m rows that have these sums of squares."""
    rng = np.random.default_rng(J)
    means, rest = rng.normal(size=J), rng.normal(size=(J, m))
    means, rest = means - means.mean(), rest - rest.mean(axis=1, keepdims=True)
    means *= np.sqrt(SSB / m / (means @ means))
    return 3 + means[:, None] + rest * np.sqrt(SSW / (rest**2).sum())


def left_out(SSB, SSW, J, m, lam=2.0):
    """Delete each group, and predict it by the penalised fit of the others."""
    rows, errors = rows_with(SSB, SSW, J, m), []
    D = np.kron(np.eye(J - 1), np.ones((m, 1)))
    model = LinearMixedModel(np.ones((m * (J - 1), 1)), D, np.eye(J - 1), lam)
    for j in range(J):
        errors.append(rows[j] - ridge(model, np.delete(rows, j, axis=0).ravel()).fixed[0])
    return np.mean(np.square(errors))


for lam in (0.1, 50.0):
    assert np.isclose(left_out(30.0, 20.0, 4, 3, lam), left_out(30.0, 20.0, 4, 3))


def own_included(SSB, SSW, J, m):
    return rows_with(SSB, SSW, J, m).var()


# --- one step of EM


def expected_squares(X, D, y, sigma2, tau2):
    """Average over the joint posterior of (alpha, beta), by Henderson's inverse."""
    p, J = X.shape[1], D.shape[1]
    effects = henderson(LinearMixedModel(X, D, sigma2 * np.eye(J), tau2), y)
    W, c, C = np.hstack([X, D]), np.append(effects.fixed, effects.random), effects.cov
    noise = np.sum((y - W @ c) ** 2) + np.trace(W @ C @ W.T)
    return np.array([(c[p:] @ c[p:] + np.trace(C[p:, p:])) / J, noise / len(y)])


def known_alpha(X, D, y, sigma2, tau2):
    J = D.shape[1]
    effects = ridge(LinearMixedModel(X, D, sigma2 * np.eye(J), tau2), y)
    V = np.linalg.inv(D.T @ D / tau2 + np.eye(J) / sigma2)
    b, e = effects.random, y - X @ effects.fixed - D @ effects.random
    return np.array([(b @ b + np.trace(V)) / J, (e @ e + np.trace(D @ V @ D.T)) / len(y)])


def face_value(X, D, y, sigma2, tau2):
    effects = ridge(LinearMixedModel(X, D, sigma2 * np.eye(D.shape[1]), tau2), y)
    e = y - X @ effects.fixed - D @ effects.random
    return np.array([np.mean(effects.random**2), np.mean(e**2)])


def schall(X, D, y, sigma2, tau2):
    b2, e2 = face_value(X, D, y, sigma2, tau2) * (D.shape[1], len(y))
    lam, M = tau2 / sigma2, np.eye(len(y)) - X @ np.linalg.pinv(X)
    eigenvalues = np.linalg.eigvalsh(D.T @ M @ D)
    edf = (eigenvalues / (eigenvalues + lam)).sum()
    return np.array([b2 / edf, e2 / (len(y) - X.shape[1] - edf)])


def half_a_step(*inputs):
    return np.array([expected_squares(*inputs)[0], face_value(*inputs)[1]])


def blind_to_alpha(X, D, y, sigma2, tau2):
    return expected_squares(X, D, y, sigma2, tau2) - (0, tau2 * X.shape[1] / len(y))


RIGHT = {
    "choosing-1": "no two",
    "choosing-2": left_out,
    "limits-5": [one_out, batch_out],
    "limits-4": 3600,
    "variance-4": expected_squares,
}

WRONG = {
    "choosing-1": [
        ("all three", "not any more"),
        ("REML and GCV", "such pair"),
        ("gcv and the left out", "average one"),
    ],
    "choosing-2": [
        (own_included, "helped to make"),
        (lambda B, W, J, m: (W + B * J / (J - 1)) / (J * m), "square is stretched"),
        (lambda B, W, J, m: left_out(B, W, J, m) - W / J / m, "rows scatter as well"),
        (lambda *given: left_out(*given) * given[2] * given[3], "sum of the squared"),
        (lambda B, W, J, m: B / (J - 1) + W / J / (m - 1), "degrees of freedom"),
    ],
    "limits-5": [
        ([batch_out, one_out], "other order"),
        ([seen, batch_out], "has seen them"),
        ([one_out, ((groups - groups.mean()) ** 2).mean()], "batch itself in it"),
        (np.sqrt([one_out, batch_out]), "took roots"),
        ([own_four, batch_out], "shrinks that mean"),
    ],
    "limits-4": [
        (-1, "A sign"),
        (1 / 60, "other way"),
        (20, "twice a logarithm"),
        (-24.0, "twice a logarithm"),
    ],
    "variance-4": [
        (face_value, "face value"),
        (known_alpha, "conditional variances"),
        (schall, "Schall's"),
        (half_a_step, "residuals are too small"),
        (blind_to_alpha, "but not those of alpha"),
    ],
}
