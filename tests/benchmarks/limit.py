"""What a fit has to do at least: one plain pass over the rows, or the model's factorisations."""

import numpy as np


def one_pass(work):
    """Gather X'X, X'y, y'y and, for every level, Z'Z, Z'X, Z'y with numpy and scipy alone.

    Plain numpy, whole columns at a time: nothing is checked, shifted, stacked or cut into blocks.
    """
    from scipy.sparse import csc_matrix

    X, y, g, (J, *_) = work.X, work.y, work.codes[0], work.J
    start = np.arange(work.n + 1)
    columns = [np.ones(work.n)] if work.Z is None else np.ascontiguousarray(work.Z.T)
    sums = [X.T @ X, X.T @ y, y @ y]
    for k, z in enumerate(columns):
        G = csc_matrix((z, g, start), (J, work.n))
        sums += [G @ X, G @ y]
        sums += [np.bincount(g, minlength=J)] if work.Z is None else [G @ work.Z[:, k:]]
    return sums


def tridiagonal(work):
    """LAPACK's reduction of K to tridiagonal form, without vectors."""
    from scipy.linalg.lapack import dsytrd, dsytrd_lwork

    size, _ = dsytrd_lwork(len(work.K), lower=1)
    return dsytrd(work.K, lower=1, lwork=int(size))


def factorisations(work, asked):
    """Cholesky factors for all values, and inverses for all slopes, of the smaller factor."""
    from scipy.linalg.lapack import dpotrf, dpotri

    m = min(work.J)
    A = np.full((m, m), 0.5, order="F") + m * np.eye(m)
    for k in range(asked["values"]):
        L = dpotrf(A, lower=1)[0]
        if k < asked["slopes"]:
            dpotri(L, lower=1)
