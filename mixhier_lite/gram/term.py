"""One random-effects term: which group each row belongs to, and what varies by group."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array, large_enough, real, small_enough, texts, unchecked
from ..kinship import Relatedness
from ..labels import Codes, Labels, coded
from ..linalg import WRITTEN, not_one_number, square_root, symmetric
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Term(Value):
    """One random-effects term: Z_i' beta_j for every row i of group j, beta_j ~ N(0, Sigma).

    Parameters
    ----------
    groups : array_like, shape (n,)
        A label for each row.
    Z : array_like, shape (n, q), optional
        The columns whose coefficients vary by group. Default: one column of ones.
    K : array_like, shape (J, J), or Relatedness, optional
        Relatedness of the levels, in the order of ``levels``: Cov(beta_j, beta_k) = K_jk Sigma.
        Symmetric and positive semi-definite; may be singular. What ``pedigree_relatedness``
        returns has labels of its own, and needs no order. A K that was written with six digits or
        made in single precision may miss both by its rounding: the nearest matrix that does not is
        used, and the summary of the fit says so.
    correlated : bool
        Whether Sigma has off-diagonal entries.
    levels : array_like, shape (J,), optional
        The labels in order. Default: the labels of a labelled K, else the sorted distinct
        labels. A level without rows is kept.
    name : str, optional
        What tables call the term.
    columns : sequence of str, optional
        What tables call the columns of Z.

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
    """Once read, a :class:`mixhier_lite.labels.Coded`: positions among the levels."""
    Z: Array | None = None
    K: Any = None
    correlated: bool = True
    levels: Any = None
    name: str | None = None
    columns: tuple[str, ...] = field(default=(), repr=False)
    asymmetry: float = field(init=False, repr=False, default=0.0)
    """How far K was from symmetric, in shares of its largest entry: what rounding had left."""

    def __post_init__(self) -> None:
        """Read the labels, Z and K once, and keep copies."""
        levels = self.levels
        if levels is None and isinstance(self.K, Relatedness):
            levels = self.K.levels
        rows = coded(self.groups, levels)
        Z = None if self.Z is None else _columns(self.Z, len(rows))
        K, asymmetry = (None, 0.0) if self.K is None else _relatedness(self.K, rows.levels)
        if not (self.name is None or isinstance(self.name, str)):
            raise refused("term-name-no-text", given=self.name)
        if not isinstance(self.correlated, bool | np.bool_):
            raise refused("correlated-no-flag", given=self.correlated)
        columns = texts(self.columns, "columns")
        if columns and len(columns) != (1 if Z is None else Z.shape[1]):
            raise refused(
                "names-of-columns-of-Z", q=1 if Z is None else Z.shape[1], n_names=len(columns)
            )
        read = {"groups": rows, "levels": rows.levels, "Z": Z, "K": K, "columns": columns}
        read["asymmetry"] = asymmetry
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @property
    def codes(self) -> Codes:
        """Position of each row's label in ``levels``, shape (n,)."""
        codes: Codes = self.groups.codes
        return codes

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
        start = np.arange(self.n + 1) * self.q
        shape = (self.n, len(self.levels) * self.q)
        return csr_matrix((Z.ravel(), columns.ravel(), start), shape)


def as_terms(terms: Any) -> tuple[Term, ...]:
    """One term or several, as a tuple; refused what is none."""
    several = (terms,) if isinstance(terms, Term) else terms
    if not isinstance(several, list | tuple) or not all(isinstance(k, Term) for k in several):
        raise refused("not-a-term", name="terms", given=f"{terms!r:.60}", kind=type(terms).__name__)
    return tuple(several)


def _columns(Z: Any, n: int) -> Array:
    """Read Z, (n, q)."""
    read = real(Z, "Z", 2)
    if len(read) != n or read.shape[1] == 0:
        raise refused("rows-of-Z", n=n, shape=read.shape)
    return read


def _relatedness(K: Any, levels: Labels) -> tuple[Array, float]:
    """Read K, (J, J), in the order of the levels, and its asymmetry within rounding.

    A labelled K is brought into that order.
    """
    if isinstance(K, Relatedness):
        K = K.among(levels)
    not_one_number(K, "K", len(levels), "level")
    given = unchecked(K, "K", 2)
    if given.shape != (len(levels), len(levels)):
        raise refused("size-of-kinship", J=len(levels), shape=given.shape)
    small_enough(given, "K")
    large_enough(given, "K")
    read = symmetric(given, "K", len(levels), "level", WRITTEN)
    if len(read) <= 500:
        square_root(read, "K", WRITTEN)  # refuses it at once; where that takes long, the fit does
    scale = float(np.abs(read).max(initial=0.0))
    gap = float(np.abs(given - read).max(initial=0.0))
    return read, gap / scale if gap else 0.0
