"""theta: the entries of T that are free, as a vector, and the criterion as a function of it.

The search is over these entries. In them a covariance of lower rank is no edge but a matrix with
columns of zeros; without these columns it is an ordinary point again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from .criterion import Criterion
from .curvature import Derivatives

Cells = tuple[tuple[int, int, int], ...]
"""Term, row and column of entries of T."""


@dataclass(frozen=True, eq=False)
class RootForm:
    """What T of one term may be."""

    correlated: bool
    """Lower triangular where correlated, else diagonal."""
    frame: Array
    """T of the criterion is frame @ (that matrix), shape (q, q): not I where uncorrelated, since
    then only the reader's own columns are independent."""

    @classmethod
    def free(cls, q: int) -> "RootForm":
        """A correlated term with q columns."""
        return cls(True, np.eye(q))

    @property
    def q(self) -> int:
        """Number of columns."""
        return len(self.frame)

    def to_bare(self, slope: Array) -> Array:
        """A slope in T, (..., q, q), as one in the matrix before the frame."""
        return slope if self.correlated else np.asarray(self.frame.T @ slope)


def free_cells(terms: Sequence[tuple[int, bool]]) -> Cells:
    """All entries of T that are free, in the order of theta: term by term, column by column.

    ``terms`` has the number of columns of each term, and whether they are correlated.
    """
    return tuple(
        (t, i, j)
        for t, (q, correlated) in enumerate(terms)
        for j in range(q)
        for i in (range(j, q) if correlated else (j,))
    )


@dataclass(frozen=True, eq=False)
class Points:
    """The criterion at N points: its value, gradient and second derivatives in theta."""

    x: Array
    """Shape (N, k)."""
    value: Array
    """Shape (N,)."""
    gradient: Array
    """Shape (N, k)."""
    hessian: Array
    """Shape (N, k, k)."""

    def __getitem__(self, index: npt.NDArray[np.bool_]) -> "Points":
        """Some of them."""
        return Points(self.x[index], self.value[index], self.gradient[index], self.hessian[index])

    def updated(self, better: npt.NDArray[np.bool_], new: "Points") -> "Points":
        """Those of ``new`` where they are better."""
        return Points(
            np.where(better[:, None], new.x, self.x),
            np.where(better, new.value, self.value),
            np.where(better[:, None], new.gradient, self.gradient),
            np.where(better[:, None, None], new.hessian, self.hessian),
        )


@dataclass(frozen=True, eq=False)
class ActiveEntries:
    """The criterion as a function of some entries of T, the others zero.

    Its methods take many vectors at once, shape (N, k).
    """

    criterion: Criterion
    forms: tuple[RootForm, ...]
    cells: Cells

    @classmethod
    def all_of(cls, criterion: Criterion, forms: Sequence[RootForm]) -> "ActiveEntries":
        """All entries that are free."""
        cells = free_cells([(form.q, form.correlated) for form in forms])
        return cls(criterion, tuple(forms), cells)

    def only(self, cells: Cells) -> "ActiveEntries":
        """Fewer entries."""
        return replace(self, cells=cells)

    def inside(self, bare: Sequence[Array]) -> tuple["ActiveEntries", Array]:
        """The entries of the columns that are not zero, and their values, shape (k,)."""
        cells = tuple((t, i, j) for t, i, j in self.cells if bare[t][:, j].any())
        fewer = self.only(cells)
        return fewer, fewer.theta(bare)

    def bare(self, x: Array) -> list[Array]:
        """The matrices whose entries theta is, shape (..., q, q) for x of shape (..., k)."""
        out = [np.zeros((*x.shape[:-1], form.q, form.q)) for form in self.forms]
        for k, (t, i, j) in enumerate(self.cells):
            out[t][..., i, j] = x[..., k]
        return out

    def framed(self, bare: Sequence[Array]) -> list[Array]:
        """T for every term from its bare matrix."""
        pairs = zip(self.forms, bare, strict=True)
        return [each if form.correlated else form.frame @ each for form, each in pairs]

    def unpack(self, x: Array) -> list[Array]:
        """T for every term, shape (..., q, q)."""
        return self.framed(self.bare(x))

    def pack(self, T: Sequence[Array]) -> Array:
        """The entries of T, shape (k,)."""
        pairs = zip(self.forms, T, strict=True)
        bare = [np.asarray(np.linalg.solve(form.frame, each), np.float64) for form, each in pairs]
        return self.theta(bare)

    def theta(self, bare: Sequence[Array]) -> Array:
        """theta of bare matrices, shape (k,): the way back from ``bare``."""
        return np.array([bare[t][i, j] for t, i, j in self.cells])

    @cached_property
    def diagonal(self) -> npt.NDArray[np.bool_]:
        """Which entries stand on a diagonal, shape (k,)."""
        return np.array([i == j for _, i, j in self.cells], dtype=bool)

    @cached_property
    def _ends_row(self) -> npt.NDArray[np.intp]:
        """For each entry the one on the diagonal of its row, itself where there is none."""
        place = {cell: k for k, cell in enumerate(self.cells)}
        return np.array(
            [place.get((t, i, i), k) for k, (t, i, _) in enumerate(self.cells)], dtype=np.intp
        )

    def scale(self, x: Array) -> Array:
        """The unit of a step: an entry has the size of its row, but no less than one."""
        return np.asarray(np.sqrt(1.0 + x[:, self._ends_row] ** 2))

    def values(self, x: Array) -> Array:
        """The criterion, shape (N,)."""
        return self.criterion.values(self.unpack(x))

    def local(self, x: Array, near: Points | None = None) -> Points:
        """The criterion with its derivatives.

        Where second derivatives are not exact they are differences of the gradient, or those of
        a point that is ``near``, corrected by how the gradient has changed since.
        """
        if not self.criterion.exact:
            found = [self._by_differences(x[n], near, n) for n in range(len(x))]
            return Points(x, *(np.array(part) for part in zip(*found, strict=True)))
        return self._points(x, self.criterion.derivatives(self.unpack(x)))

    def roughly(self, x: Array) -> Points:
        """The criterion at one point, (k,), with second derivatives that are about right."""
        return self._points(x[None], self.criterion.roughly(self.unpack(x)))

    def _points(self, x: Array, at: Derivatives) -> Points:
        """Derivatives in the entries of T of every term as those in theta."""
        k = len(self.cells)
        gradient = np.empty((len(x), k))
        hessian = np.empty((len(x), k, k))
        for s, (own, i, j) in enumerate(self._places):
            gradient[:, own] = self.forms[s].to_bare(at.gradient[s])[:, i, j]
            for t, (other, m, n) in enumerate(self._places):
                block = at.hessian[s, t]
                if not (self.forms[s].correlated and self.forms[t].correlated):
                    block = _framed(block, self.forms[s].frame, self.forms[t].frame)
                entries = block[:, i[:, None], j[:, None], m, n]
                hessian[:, own[:, None], other] = entries
        return Points(x, at.value, gradient, hessian)

    @cached_property
    def _places(self) -> list[npt.NDArray[np.intp]]:
        """For each term the positions of its entries in theta, their rows and columns: (3, k)."""
        out = []
        for term in range(len(self.forms)):
            own = [(k, i, j) for k, (t, i, j) in enumerate(self.cells) if t == term]
            out.append(np.array(own, dtype=np.intp).reshape(-1, 3).T)
        return out

    def gradient(self, x: Array) -> tuple[float, Array]:
        """The criterion and its gradient at one point, (k,)."""
        at = self.criterion.gradient(self.unpack(x))
        out = np.zeros(len(x))
        if at is None:
            return 1e300, out
        value, slopes = at
        for k, (t, i, j) in enumerate(self.cells):
            out[k] = self.forms[t].frame[:, i] @ slopes[t][:, j]
        return value, out

    def _by_differences(self, x: Array, near: Points | None, n: int) -> tuple[float, Array, Array]:
        value, g = self.gradient(x)
        if near is not None:
            s = x - near.x[n]
            if (np.abs(s) < 0.1 * (1.0 + np.abs(x))).all():
                # symmetric rank one: the second derivatives agree with what the gradient did
                r = g - near.gradient[n] - near.hessian[n] @ s
                sure = abs(r @ s) > 1e-8 * np.sqrt((r @ r) * (s @ s))
                return value, g, near.hessian[n] + (np.outer(r, r) / (r @ s) if sure else 0.0)
        return value, g, self._differences(x, g)

    def _differences(self, x: Array, here: Array) -> Array:
        """Second derivatives, (k, k), as forward differences from the gradient here, (k,).

        They are made symmetric.
        """
        steps = 1e-5 * np.diag(1.0 + np.abs(x))
        rows = [(self.gradient(x + e)[1] - here) / e.max() for e in steps]
        H = np.array(rows, dtype=np.float64).reshape(len(x), len(x))
        return np.asarray((H + H.T) / 2)


def _framed(block: Array, left: Array, right: Array) -> Array:
    """Second derivatives of T, (N, q, q, r, r), as those of bare matrices."""
    if len(left) == len(right) == 1:
        return np.asarray(block * (left[0, 0] * right[0, 0]))
    once = np.einsum("nijkl,ia->najkl", block, left)
    return np.asarray(np.einsum("najkl,kb->najbl", once, right))
