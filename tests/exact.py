"""GLS and BLUP from their definition in hundreds of digits, nothing shared with the package."""

import mpmath as mp
import numpy as np

DIGITS = 500


def effects(model, y):
    """(alpha, beta) and their standard errors by V^-1, each of shape (p + J,).

    Of errors alpha_hat - alpha and beta_tilde - beta: their covariances are (X'V^-1X)^-1 and
    Sigma - Sigma D'P D Sigma, P = V^-1 - V^-1 X (X'V^-1X)^-1 X'V^-1.
    """
    with mp.workdps(DIGITS):
        X, D, Sigma = (
            mp.matrix(a.tolist()) if a.size else None for a in (model.X, model.D, model.Sigma)
        )
        response = mp.matrix([float(v) for v in np.asarray(y, dtype=float)])
        V = mp.eye(model.n) * mp.mpf(model.tau2)
        if D is not None:
            V += D * Sigma * D.T
        P = V**-1
        alpha, variances = [], []
        if X is not None:
            cov = (X.T * P * X) ** -1
            alpha = cov * X.T * P * response
            variances += [cov[k, k] for k in range(model.p)]
            P = P - P * X * cov * X.T * P
        beta = []
        if D is not None:
            gain = Sigma * D.T
            beta = gain * (P * response)
            cov = Sigma - gain * P * gain.T
            variances += [cov[k, k] for k in range(model.J)]
        truth = np.array([float(v) for v in [*alpha, *beta]])
        return truth, np.sqrt(np.maximum([float(v) for v in variances], 0.0))
