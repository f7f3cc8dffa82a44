"""scikit-learn: Ridge on dummies, with the variances handed to it: a part of the work only."""

import numpy as np

from peers import needs

FREE = 10  # columns of X times this are all but unpenalised


def prepare(work):
    needs("sklearn", "scikit-learn")
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge

    if work.Z is not None or work.K is not None or len(work.codes) > 1 or work.n > 10**6:
        raise NotImplementedError("scikit-learn's Ridge is timed with one random intercept (W2)")
    model = work.fit()
    penalty = model.tau2 / model.Sigma[0][0, 0]

    def run():
        D = csr_matrix((np.ones(work.n), work.codes[0], np.arange(work.n + 1)))
        columns = hstack([FREE * work.X[:, 1:], D], format="csr")
        ridge = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-10).fit(columns, work.y)
        gap = np.abs(ridge.coef_[work.X.shape[1] - 1 :] - model.random[0][:, 0]).max()
        assert gap < 1e-4, f"ridge and BLUP differ by {gap:.1g}"

    return run
