"""Symmetric matrices: reading, rooting and solving them, one by one or many at once."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from .errors import InputError, refused
from .inputs import Array, real

EXACT = 1e-10
"""How far from symmetric and p.s.d. a covariance may be, in shares of its largest entry."""
WRITTEN = 1e-5
"""The same for a relatedness, which was written with six digits or made in single precision."""


def covariance(value: npt.ArrayLike, name: str, size: int, of: str) -> tuple[Array, Array]:
    """Read a symmetric p.s.d. matrix; return it with a root ``L``, ``L L'`` equal to it."""
    S = symmetric(value, name, size, of)
    return S, square_root(S, name)


def symmetric(
    value: npt.ArrayLike, name: str, size: int, of: str, rounding: float = EXACT
) -> Array:
    """Read a symmetric matrix; it may be asymmetric by ``rounding`` times its largest entry."""
    not_one_number(value, name, size, of)
    S = real(value, name, 2)
    if S.shape != (size, size):
        raise refused("not-a-square-matrix", name=name, size=size, each=of, shape=S.shape)
    scale = max(S.max(initial=0.0), -S.min(initial=0.0))
    bands = (slice(k, k + 64) for k in range(0, size, 64))  # of rows, that fit into the cache
    gap = max((np.abs(S[k, : k.stop] - S[: k.stop, k].T).max() for k in bands), default=0.0)
    if gap > rounding * scale:
        i, j = np.unravel_index(np.argmax(np.abs(S - S.T)), S.shape)
        raise refused(
            "not-symmetric",
            name=name,
            i=i,
            j=j,
            entry=S[i, j],
            mirrored=S[j, i],
            share=gap / scale,
            rounding=rounding,
        )
    if gap > 0:
        S = (S + S.T) / 2
        S.setflags(write=False)
    return S


def not_one_number(value: object, name: str, size: int, of: str) -> None:
    """Refuse a variance where a matrix is meant."""
    if isinstance(value, (int, float, np.number)) or getattr(value, "shape", None) == ():
        raise refused("one-number-for-a-matrix", name=name, size=size, each=of, given=value)


def square_root(S: Array, name: str, rounding: float = EXACT) -> Array:
    """Cholesky's root where S is positive definite, the eigenvalue root where it is singular.

    Eigenvalues that are negative within ``rounding`` of the entries count as zero: n x n errors
    of one size have a norm of about sqrt(n) times that size.
    """
    try:
        factor: Array = np.linalg.cholesky(S).astype(np.float64, copy=False)
        factor.setflags(write=False)
        if (np.diag(factor) ** 2 > _zero(S) * np.diag(S)).all():
            return factor  # else a pivot is what rounding has left of zero
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(S)
    least = EXACT * max(values[-1], 0.0)
    if rounding > EXACT:
        least = max(least, rounding * np.sqrt(len(S)) * np.abs(S).max())
    if values[0] < -least or values[-1] < 0:
        raise refused(
            "not-positive-semidefinite",
            name=name,
            smallest=values[0],
            largest=values[-1],
            rounding=-least,
        )
    L: Array = _root_of_rank(S, values, vectors)
    L.setflags(write=False)
    return L


def _zero(S: Array) -> float:
    """What rounding may leave of an eigenvalue that is zero, in shares of the largest."""
    return 4 * len(S) * float(np.finfo(float).eps)


def _root_of_rank(S: Array, values: Array, vectors: Array) -> Array:
    """The eigenvalue root without what rounding has left of eigenvalues that are zero.

    That is small beside the largest, and may be large beside tau2. Where variances have different
    units the eigenvalues are those of the correlations, but for powers of two.
    """
    variances = np.diag(S)
    s = 2.0 ** -np.round(np.log2(np.where(variances > 0, variances, 1.0)) / 2)
    if np.ptp(s) > 0:
        scaled = np.linalg.eigh(s[:, None] * S * s)
        if scaled[0][0] < -EXACT * scaled[0][-1]:  # p.s.d. beside the largest entry only
            s = np.ones(len(S))
        else:
            values, vectors = scaled
    else:
        s = np.ones(len(S))
    zero = values <= _zero(S) * values[-1]
    return np.asarray(vectors / s[:, None] * np.sqrt(np.where(zero, 0.0, values)))


def rounding_of(K: Array) -> float:
    """How far a symmetric K is from its root times itself, in shares of its largest entry."""
    scale = float(np.abs(K).max(initial=0.0))
    try:
        np.linalg.cholesky(K + EXACT * scale * np.eye(len(K)))
        return 0.0
    except np.linalg.LinAlgError:
        root = square_root(K, "K", WRITTEN)
        return float(np.abs(root @ root.T - K).max() / scale)


PRECISE = 1e5 * float(np.finfo(float).eps)
"""The least squared pivot, of a matrix with unit diagonal, that leaves five digits or more."""


def well_conditioned(pivots: Array, what: str) -> None:
    """Refuse columns that are linearly dependent within what rounding leaves of them.

    Parameters
    ----------
    pivots : array, shape (k,)
        Diagonal of the triangular factor, over the norms of the columns.
    what : str
        Whose columns they are.
    """
    least = float(np.abs(pivots).min(initial=1.0))
    if not least > 1e3 * float(np.finfo(float).eps):
        raise _not_precise(what, f"a pivot of {least:.2g} beside columns of length one")


def cholesky_factor(A: Array, what: str) -> tuple[Array, Array]:
    """Lower Cholesky factor of D A D and the diagonal of D, which scales A to a unit diagonal.

    The scaling is by powers of two and hence exact, so that a small pivot is a sign of dependence
    and not of small units. A matrix that is singular within rounding is refused.
    """
    s: Array = 2.0 ** -np.round(np.log2(np.diag(A)) / 2)
    try:
        L: Array = cho_factor(s[:, None] * A * s, lower=True, check_finite=False)[0]
    except np.linalg.LinAlgError:
        raise _not_precise(what, f"{len(A)} columns that are dependent within rounding") from None
    least = float((np.diag(L) ** 2).min(initial=1.0))
    if least < PRECISE:
        raise _not_precise(what, f"a pivot of {least:.2g} beside a unit diagonal")
    return L, s


def _not_precise(what: str, got: str) -> InputError:
    return refused("singular-within-rounding", matrix=what, sign=got)


def solve_and_invert(A: Array, b: Array, what: str) -> tuple[Array, Array]:
    """Return A^-1 b and A^-1 by Cholesky, or refuse an A that is singular within rounding."""
    L, s = cholesky_factor(A, what)
    inverse = s[:, None] * cho_solve((L, True), np.diag(s))
    return s * cho_solve((L, True), s * b), (inverse + inverse.T) / 2


def is_singular(S: Array) -> tuple[bool, float]:
    """Say whether a covariance is singular, with the smallest eigenvalue of its correlations.

    Correlations, because coefficients of very different size are no sign of singularity.
    """
    if not len(S):
        return False, 1.0
    scale = np.sqrt(np.diag(S))
    correlation = S / np.outer(scale, scale) if (scale > 0).all() else 0 * S
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    return bool(smallest <= _zero(S)), smallest


def dependent_columns(X: Array) -> list[int]:
    """Find the columns of X that take part in a linear dependence (empty at full rank)."""
    norms = np.linalg.norm(X, axis=0)
    if X.shape[1] == 0:
        return []
    scaled = X / np.where(norms > 0, norms, 1.0)
    R = np.linalg.qr(scaled, mode="r") if len(X) >= X.shape[1] else scaled
    _, s, Vt = np.linalg.svd(R, full_matrices=True)
    rank = int((s > max(X.shape) * np.finfo(float).eps * max(s[0], 1.0)).sum())
    null = Vt[rank:]
    return [int(k) for k in np.flatnonzero(np.abs(null).max(axis=0, initial=0.0) > 1e-6)]


def identified(X: Array) -> None:
    """Refuse an X whose columns are linearly dependent: alpha would not be identified."""
    columns = dependent_columns(X)
    if columns:
        raise refused("alpha-not-identified", p=X.shape[1], columns=columns)
