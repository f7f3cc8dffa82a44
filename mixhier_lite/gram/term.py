"""One random-effects term: which group each row belongs to, and what varies by group."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array, finite, unchecked
from ..known.groups import Codes, positions
from ..linalg import square_root, symmetric


@dataclass(frozen=True, eq=False)
class Term:
    """One random-effects term: Z_i' beta_j for every row i of group j, beta_j ~ N(0, Sigma).

    Parameters
    ----------
    groups : array_like, shape (n,)
        A label for each row. Integer labels 0..J-1 are neither sorted nor copied.
    Z : array_like, shape (n, q), optional
        The columns whose coefficients vary by group. Default: one column of ones.
    K : array_like, shape (J, J), optional
        Relatedness of the levels, in the order of ``levels``: Cov(beta_j, beta_k) = K_jk Sigma.
        Symmetric and positive semi-definite; may be singular.
    correlated : bool
        Whether Sigma has off-diagonal entries.
    levels : array_like, shape (J,), optional
        The labels in order. Default: the sorted distinct labels. A level without rows is kept.
    name : str, optional
        What tables call the term.

    Raises
    ------
    InputError
        Missing labels; labels outside ``levels``; Z of another length; K no relatedness.

    Examples
    --------
    >>> Term(["b", "a", "b"]).codes
    array([1, 0, 1])
    """

    groups: Any
    Z: Array | None = None
    K: Array | None = None
    correlated: bool = True
    levels: Any = None
    name: str | None = None
    columns: tuple[str, ...] = field(init=False, repr=False, default=())
    """Names of the columns of Z, known after ``lmer``."""
    codes: Codes = field(init=False, repr=False)
    """Position of each row's label in ``levels``, shape (n,)."""

    def __post_init__(self) -> None:
        """Read the labels, Z and K once."""
        codes, levels = positions(self.groups, self.levels)
        Z, K = self.Z, self.K
        if Z is not None:
            Z = unchecked(Z, "Z", 2)
            finite(Z, "Z")
            if len(Z) != len(codes) or Z.shape[1] == 0:
                raise refused("Z", n=len(codes), shape=Z.shape)
        if K is not None:
            if np.ndim(K) == 2 and np.shape(K) != (len(levels), len(levels)):
                raise refused("K", J=len(levels), shape=np.shape(K))
            K = symmetric(K, "K", len(levels), "level")
        vars(self).update(codes=codes, levels=levels, groups=codes, Z=Z, K=K)
        if K is not None and len(K) <= 500:
            square_root(K, "K")  # refuses it at once; where that takes long, the fit does it

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def q(self) -> int:
        """Number of coefficients that vary by group."""
        return 1 if self.Z is None else int(self.Z.shape[1])

    def matrix(self, shift: Array) -> Any:
        """Z less a shift of its rows, of all levels as one sparse matrix, shape (n, J q)."""
        from scipy.sparse import csr_matrix

        Z = np.ones((self.n, 1)) if self.Z is None else self.Z - shift
        columns = self.codes[:, None] * self.q + np.arange(self.q)
        start, shape = np.arange(self.n + 1) * self.q, (self.n, len(self.levels) * self.q)
        return csr_matrix((Z.ravel(), columns.ravel(), start), shape)
