"""Related levels with one coefficient each: by way of a tridiagonal matrix they are independent."""

import numpy as np

from .inputs import Array, square_root


def independent(K: Array, a: Array, B: Array) -> tuple[Array, Array]:
    """Make related levels independent: their Z_j'W Z_j, (J,), and Z_j'W [X y], (J, p + 1).

    They come from the eigenvalues of D^1/2 K D^1/2, D = diag(a), and from the product of the
    eigenvectors with D^-1/2 B, without the eigenvectors of the full matrix.
    """
    from scipy.linalg import eigh_tridiagonal
    from scipy.linalg.lapack import dormqr, dsytrd, dsytrd_lwork

    seen = np.flatnonzero(a > 0)
    root = np.sqrt(a[seen])
    R = (K if len(seen) == len(K) else K[np.ix_(seen, seen)]) * root
    R *= root[:, None]
    work = int(dsytrd_lwork(len(R), lower=1)[0])
    Q, d, e, tau, _ = dsytrd(R.T, lower=1, lwork=work, overwrite_a=1)
    b = np.asfortranarray(B[seen] / root[:, None])
    if len(R) > 2:
        b[1:] = dormqr("L", "T", Q[1:, :-1], tau, b[1:], 64 * b.shape[1])[0]
    values, vectors = eigh_tridiagonal(d, e)
    if values[0] < -1e-10 * values[-1]:
        square_root(K, "K")  # says why
    found = np.asarray(np.clip(values, 0, None), dtype=np.float64)
    return found, np.sqrt(found)[:, None] * (vectors.T @ b)
