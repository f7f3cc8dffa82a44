"""Small models that could fit every row, and their criteria as n x n algebra on contrasts of X."""

import numpy as np
from scipy.linalg import block_diag, null_space

from mixhier_lite import Term


def relatives(rng, n):
    M = rng.normal(size=(n, 3 * n))
    return M @ M.T / (3 * n)


def problem(seed):
    """y, X, terms and weights: six kinds of layout, with no noise, a little, or much."""
    rng = np.random.default_rng(seed)
    kind, noise = seed % 6, rng.choice([0, 0, 0.3])
    if kind == 0:  # one record each, of relatives
        n = int(rng.integers(12, 30))
        K = relatives(rng, n)
        X = np.column_stack([np.ones(n), rng.normal(size=(n, rng.integers(0, 3)))])
        terms, y = [Term(np.arange(n), K=K)], np.linalg.cholesky(K) @ rng.normal(size=n)
    elif kind == 4:  # the same, in farms
        n = int(rng.integers(14, 24))
        K, farm = relatives(rng, n), np.append(np.arange(4), rng.integers(0, 4, n - 4))
        X, terms = np.ones((n, 1)), [Term(farm), Term(np.arange(n), K=K)]
        y = (
            np.linalg.cholesky(K) @ rng.normal(size=n)
            + rng.choice([0, 1]) * rng.normal(size=4)[farm]
        )
    elif kind == 5:  # one record each, of other precision
        n = int(rng.integers(12, 20))
        X, terms = np.ones((n, 1)), [Term(np.arange(n))]
        y, noise = rng.normal(size=n), 0
    else:  # lines through one row a level, two, or three with a square
        J, rows = int(rng.integers(9, 15)), [0, 2, 1, 3][kind]
        g = np.repeat(np.arange(J), rows)
        if kind == 1:
            g = np.append(g, np.arange(J, J + 3))
        n = len(g)
        X = np.column_stack([np.ones(n), rng.normal(size=(n, 2 if rows == 3 else 1))])
        if rows == 1:
            X[:, 0] = rng.normal(size=n)
        terms = [Term(g, X, correlated=bool(rng.random() < 0.7))]
        y = (X * rng.normal(size=(g.max() + 1, X.shape[1]))[g]).sum(axis=1)
    y = y + noise * rng.normal(size=n)
    weights = rng.uniform(0.4, 2.5, n) if kind == 5 or rng.random() < 0.4 else None
    return y, X, terms, weights


class Dense:
    """ML or REML of one problem."""

    def __init__(self, y, X, terms, weights, method):
        self.y, self.X, self.reml, self.n = y, X, method == "REML", len(y)
        self.W_inverse = np.diag(1 / (np.ones(self.n) if weights is None else weights))
        self.C = null_space(X.T)
        self.z = self.C.T @ y
        self.nu = self.n - X.shape[1] * self.reml
        self.terms, self.cells, self.Z, self.cov = terms, [], [], []
        for t, term in enumerate(terms):
            Z = np.ones((self.n, 1)) if term.Z is None else term.Z
            K = np.eye(len(term.levels)) if term.K is None else term.K
            self.Z.append(Z)
            self.cov.append(K[np.ix_(term.codes, term.codes)])
            q = Z.shape[1]
            self.cells += [
                (t, i, j) for j in range(q) for i in (range(j, q) if term.correlated else (j,))
            ]

    def G(self, Sigma):
        """V without noise."""
        parts = zip(self.cov, self.Z, Sigma, strict=True)
        return sum(cov * (Z @ S @ Z.T) for cov, Z, S in parts)

    def Sigma(self, entries):
        T = [np.zeros((Z.shape[1],) * 2) for Z in self.Z]
        for (t, i, j), entry in zip(self.cells, entries, strict=True):
            T[t][i, j] = entry
        return [root @ root.T for root in T]

    def criterion(self, V):
        """At this V, nothing profiled; infinite where it is singular."""
        inner = self.C.T @ V @ self.C
        sign, log_det = np.linalg.slogdet(inner)
        if self.reml:
            log_det += np.linalg.slogdet(self.X.T @ self.X)[1]
        else:
            sign, log_det = np.linalg.slogdet(V)
        if sign <= 0:
            return np.inf
        return self.nu * np.log(2 * np.pi) + log_det + self.z @ np.linalg.solve(inner, self.z)

    def best_scale(self, V):
        """The criterion at the best multiple of V."""
        scale = self.z @ np.linalg.solve(self.C.T @ V @ self.C, self.z) / self.nu
        return self.criterion(scale * V) if scale > 0 else np.inf

    def least(self, seed, starts=5):
        """The lowest value that a numerical optimiser finds, with noise and without."""
        from scipy.optimize import minimize

        rng, k = np.random.default_rng(seed), len(self.cells)

        def with_noise(x):
            tau2 = 10 ** np.clip(x[-1], -12, 6)
            found = self.best_scale(self.G(self.Sigma(x[:-1])) + tau2 * self.W_inverse)
            return min(found, 1e9)

        def without(x):
            return min(self.best_scale(self.G(self.Sigma(x))), 1e9)

        points = [
            np.append(rng.normal(size=k) * 10 ** rng.uniform(-1.5, 1), rng.uniform(-8, 1))
            for _ in range(50)
        ]
        points = sorted(points, key=with_noise)[:starts]
        found = [minimize(with_noise, x, method="BFGS").fun for x in points]
        return min(found + [minimize(without, x[:-1], method="BFGS").fun for x in points])


def effects(y, X, terms, weights, Sigma, tau2, digits=60):
    """alpha_hat, its covariance, BLUPs, condVar and PEV at any tau2 > 0, in many digits."""
    import mpmath

    with mpmath.workdps(digits):
        n, Z, S = len(y), [], []
        for term, cov in zip(terms, Sigma, strict=True):
            own = np.ones((n, 1)) if term.Z is None else term.Z
            q, J = own.shape[1], len(term.levels)
            D = np.zeros((n, J, q))
            D[np.arange(n), term.codes] = own
            Z.append(D.reshape(n, J * q))
            S.append(np.kron(np.eye(J) if term.K is None else term.K, cov))
        D, S, X, y = (mpmath.matrix(np.asarray(a).tolist()) for a in
                      (np.hstack(Z), block_diag(*S), X, y))  # fmt: skip
        w = np.ones(n) if weights is None else weights
        noise = mpmath.diag([mpmath.mpf(tau2) / mpmath.mpf(float(each)) for each in w])
        V_inverse = (D * S * D.T + noise) ** -1
        cov = (X.T * V_inverse * X) ** -1
        alpha = cov * X.T * V_inverse * y
        H = S * D.T * V_inverse
        cond_var = S - H * D * S
        found = alpha, cov, H * (y - X * alpha), cond_var, cond_var + H * X * cov * (H * X).T
        return [np.array(each.tolist(), dtype=float) for each in found]
