"""Random models against a search that shares nothing with the package: ``make search``.

The oracle is the n x n likelihood with its gradient. It is searched from many random points by
scipy's BFGS, in columns of Z that are made orthonormal by QR where a term is correlated.
"""

import sys

import numpy as np
from dense import criterion
from scipy.optimize import minimize

from mixhier_lite import InputError, Term, fit


def random_problem(seed):
    """y, X, terms as (groups, Z, K, correlated), weights and method of a random model."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(25, 85))
    X = np.column_stack([np.ones(n), rng.normal(size=(n, rng.integers(0, 3)))])
    y = rng.normal(size=n) * 10 ** rng.uniform(-0.5, 0.5)
    terms = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        q = int(rng.choice([1, 1, 2, 2, 3, 4]))
        J = int(rng.integers(3, min(41, max(5, n // (2 * q)))))  # more than q rows a level
        share = rng.dirichlet(np.full(J, rng.choice([0.5, 5.0])))
        g = np.append(np.arange(J), rng.choice(J, n - J, p=share))
        Z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
        kind = rng.integers(0, 4)
        if q > 1 and kind == 1:
            Z[:, 1:] += 10 ** rng.uniform(0, 3.5)  # far from zero
        if q > 1 and kind == 2:
            Z[:, -1] = Z[:, 0] + 10 ** rng.uniform(-3, -1) * Z[:, -1]  # near-collinear
        if q > 1 and kind == 3:
            Z = Z @ rng.normal(size=(q, q))
        K = None
        if q == 1 and rng.random() < 0.2:
            M = rng.normal(size=(J, 2 * J))
            K = M @ M.T / (2 * J)
        rank = int(rng.integers(0, q + 1))
        L = rng.normal(size=(q, rank)) * 10 ** rng.uniform(-1, 0.7)
        scale = np.sqrt((Z**2).mean(axis=0))
        y = y + (Z / scale * (rng.normal(size=(J, rank)) @ L.T)[g]).sum(axis=1)
        terms.append((g, Z, K, bool(kind == 1 or rng.random() < 0.75)))
    weights = None if rng.random() < 0.6 else rng.uniform(0.3, 3, n)
    return y, X, terms, weights, str(rng.choice(["REML", "ML"]))


def oracle(y, X, terms, weights, method):
    """The number of entries of all T, and the criterion with its gradient as a function of them.

    V / tau2 is W^-1 plus a matrix for each entry of each T T' times that entry. A change dV of it
    changes -2 log likelihood by tr(Q dV) - (Vy)'dV(Vy) / tau2, where Vy is V^-1 (y - X alpha_hat),
    and Q is V^-1 by ML and V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1 by REML: Searle, Casella and
    McCulloch (1992), section 6.
    """
    n, p = X.shape
    nu = n - p if method == "REML" else n
    noise = np.diag(1 / (np.ones(n) if weights is None else weights))
    cells, bases = [], []
    for t, (g, Z, K, correlated) in enumerate(terms):
        q = Z.shape[1]
        R = np.linalg.qr(Z)[1] / np.sqrt(n) if correlated else np.diag((Z**2).mean(0) ** 0.5)
        own = Z @ np.linalg.inv(R)
        same = np.equal.outer(g, g) if K is None else K[np.ix_(g, g)]
        bases.append(np.einsum("ai,bj,ab->ijab", own, own, same).reshape(q, q, n * n))
        cells += [(t, i, j) for j in range(q) for i in (range(j, q) if correlated else (j,))]

    def f(theta):
        T = [np.zeros(basis.shape[:2]) for basis in bases]
        for (t, i, j), entry in zip(cells, theta, strict=True):
            T[t][i, j] = entry
        V = noise + sum(
            (
                np.tensordot(t @ t.T, basis, 2).reshape(n, n)
                for t, basis in zip(T, bases, strict=True)
            )
        )
        try:
            root = np.linalg.cholesky(V)
            inverse = np.linalg.inv(V)
            VX = inverse @ X
            XVX = np.linalg.cholesky(X.T @ VX)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros(len(theta))
        left = VX @ np.linalg.inv(XVX).T
        Q = inverse - left @ left.T
        Vy = Q @ y
        r2 = y @ Vy
        value = 2 * np.log(np.diag(root)).sum() + nu * (np.log(2 * np.pi * r2 / nu) + 1)
        if method == "REML":
            value += 2 * np.log(np.diag(XVX)).sum()
        slope = (Q if method == "REML" else inverse) - np.outer(Vy, Vy) * nu / r2
        slopes = [2 * (basis @ slope.ravel()) @ t for t, basis in zip(T, bases, strict=True)]
        gradient = np.array([slopes[t][i, j] for t, i, j in cells])
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, gradient) if finite else (1e10, np.zeros(len(theta)))

    return len(cells), f


def excess(seed, starts=2):
    """How much lower the oracle finds the criterion than the package; None where it refuses."""
    y, X, terms, weights, method = random_problem(seed)
    try:
        model = fit(y, X, [Term(g, Z, K, c) for g, Z, K, c in terms], method, weights)
    except InputError:
        return None
    entries, f = oracle(y, X, terms, weights, method)
    # REML depends on the columns of X only; those of Z are the oracle's own
    rng = np.random.default_rng([seed, 1])
    places = rng.normal(size=(40, entries)) * 10 ** rng.uniform(-2, 1.5, size=(40, entries))
    places = np.vstack([np.zeros(entries), places])
    values = np.array([f(x)[0] for x in places])
    best = values.min()
    for x in places[np.argsort(values)[:starts]]:
        best = min(best, minimize(f, x, jac=True, method="BFGS").fun)
    own = criterion(y, X, [(g, Z, K) for g, Z, K, _ in terms], list(model.T), method, weights)
    assert abs(own - model.criterion) < 1e-5 * (1 + abs(own)), (
        f"seed {seed}: the criterion is not what it says"
    )
    assert model.certificate.ok, f"seed {seed}: {model.certificate}"
    return model.criterion - best


def main(count, first=0):
    """Print every model whose criterion the oracle beats by more than 1e-6, and how many."""
    worse, refused = 0, 0
    for seed in range(first, first + count):
        gap = excess(seed, starts=8)
        refused += gap is None
        if gap is not None and gap > 1e-6:
            worse += 1
            print(f"seed {seed}: {gap:.2e} above the best known", flush=True)
    print(f"{count} models, {refused} refused, {worse} worse by more than 1e-6")
    return worse


if __name__ == "__main__":
    sys.exit(min(main(*map(int, sys.argv[1:])), 1))
