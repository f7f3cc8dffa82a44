"""Whether a point is a minimum of the criterion: what is checked, and how exactly."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from ..inputs import Array
from ..values import Value
from .curvature import Blocks, Curvature, in_entries
from .theta import ActiveEntries, RootForm

SMALL = 1e-6
"""How far a minimum may be from one, in the units of a certificate."""


@dataclass(frozen=True, repr=False)
class Certificate(Value):
    """That a fit is at a minimum of its criterion. It is local: it does not look elsewhere.

    It is the same in every basis of Z and in every unit of y (chapter *variance*).
    """

    gradient: float
    """sqrt(g'E^+ g), with the gradient g and the expected second derivatives E
    (:eq:`eq-certificate-gradient`): half its square is about how much lower the criterion may be,
    and it is sqrt 2 times the distance from the minimum in standard errors."""
    curvature: float
    """The least second derivative, in units of the expected one
    (:eq:`eq-certificate-curvature`); infinite where all variances are zero."""
    boundary: float | None
    """Slope of the criterion into the directions in which Sigma has no variance, the least, in
    units of its standard deviation (:eq:`eq-certificate-boundary`); None where there is no such
    direction."""

    @property
    def ok(self) -> bool:
        """Whether the fit is at a minimum."""
        into = 0.0 if self.boundary is None else self.boundary
        return bool(self.gradient <= SMALL and self.curvature >= -SMALL and into >= -SMALL)


def certify(entries: ActiveEntries, bare: list[Array]) -> Certificate:
    """Certify a point, given as ``entries.bare`` has it."""
    faces = [Face.of(form, root) for form, root in zip(entries.forms, bare, strict=True)]
    T = [face.T for face in faces]
    curvature = entries.criterion.curvature(T)
    if curvature is None:
        return _by_differences(entries, bare)
    gradient = entries.criterion.gradient(T)
    if gradient is None:  # nothing is left of y within rounding: no minimum
        return Certificate(np.inf, -np.inf, None)
    changes = block_diag(*(face.changes for face in faces))
    g = changes @ np.concatenate([slope.ravel() for slope in gradient[1]])
    second = entries.criterion.derivatives([t[None] for t in T]).hessian
    H = changes @ _whole({pair: block[0] for pair, block in second.items()}) @ changes.T
    E = changes @ _whole(in_entries(curvature.expected(), T)) @ changes.T
    to_unit = _unit_basis(E)
    scaled_g = to_unit.T @ g
    scaled_H = to_unit.T @ H @ to_unit
    least = np.linalg.eigvalsh(scaled_H).min(initial=1e300)
    away = np.linalg.norm(scaled_g)
    return Certificate(float(away), float(least), into_boundary(entries, bare, curvature))


def _unit_basis(E: Array) -> Array:
    """Directions U with U'E U = I, without those that E does not see, shape (k, up to k)."""
    diagonal = np.diag(E)
    told = diagonal > 1e-12 * diagonal.max(initial=0.0)
    size = np.sqrt(diagonal[told])
    of_told = E[np.ix_(told, told)] / np.outer(size, size)
    values, axes = np.linalg.eigh(of_told)
    seen = values > 1e-10
    unit = axes[:, seen] / np.sqrt(values[seen])
    out = np.zeros((len(E), unit.shape[1]))
    out[told] = unit / size[:, None]
    return out


@dataclass(frozen=True, eq=False)
class Face:
    """A root T of one term, and the changes of it that leave its rank as it is (:eq:`eq-face`)."""

    T: Array
    """Shape (q, q), with columns of zeros where rank is lacking."""
    changes: Array
    """One in a row, shape (k, q^2); those that only turn T, T C with C C' = I, are not in it."""

    @classmethod
    def of(cls, form: RootForm, bare: Array) -> "Face":
        """Read the face of a root as ``ActiveEntries.bare`` has it.

        Where the term is correlated, T has the axes u_j of T T' for columns, the longest first, and
        column j changes along u_j, u_j+1, ...: a triangle. To turn the axes of a large covariance
        costs far more than to stretch them, and the two stay apart.
        """
        T = form.frame @ bare
        live = np.flatnonzero(bare.any(axis=0)).tolist()
        axes = form.frame
        places = [(j, j) for j in live]
        if form.correlated:
            axes, sizes, _ = np.linalg.svd(T)
            rank = len(live)
            T = np.where(np.arange(form.q) < rank, axes * sizes, 0.0)
            places = [(i, j) for j in range(rank) for i in range(j, form.q)]
        changes = np.zeros((len(places), form.q, form.q))
        for k, (i, j) in enumerate(places):
            changes[k, :, j] = axes[:, i]
        return cls(T, changes.reshape(len(places), form.q**2))


def _whole(blocks: Blocks) -> Array:
    """A bilinear form of all terms as one matrix, shape (sum of q^2, sum of q^2)."""
    terms = range(1 + max(t for t, _ in blocks))
    size = [len(blocks[t, t]) ** 2 for t in terms]
    parts = [[blocks[s, t].reshape(size[s], size[t]) for t in terms] for s in terms]
    return np.asarray(np.vstack([np.hstack(row) for row in parts]))


def into_boundary(entries: ActiveEntries, bare: list[Array], curvature: Curvature) -> float | None:
    """The least slope into directions without variance, in its standard deviations."""
    slopes = []
    for t, direction in lacking(entries, bare, curvature.N):
        own = curvature.given_tau2[t, t]
        square = np.outer(direction, direction).ravel()
        variance = 2 * square @ own.reshape(len(square), -1) @ square
        slope = float(direction @ curvature.N[t] @ direction)
        slopes.append(slope / float(np.sqrt(variance + 1e-300)))
    return min(slopes) if slopes else None


def lacking(entries: ActiveEntries, bare: list[Array], N: list[Array]) -> list[tuple[int, Array]]:
    """Directions in which a term has no variance: eigenvectors of N there, or columns."""
    out: list[tuple[int, Array]] = []
    for t, (form, root) in enumerate(zip(entries.forms, bare, strict=True)):
        if form.correlated:
            T = form.frame @ root
            U, sizes, _ = np.linalg.svd(T)
            rank = (sizes > 1e-12 * max(sizes[0], 1e-300)).sum()
            null = U[:, rank:]
            inside = null.T @ (N[t] + N[t].T) @ null
            axes = null @ np.linalg.eigh(inside)[1]
            out += [(t, axis) for axis in axes.T]
        else:
            out += [(t, form.frame[:, i]) for i in np.flatnonzero(~root.any(axis=0))]
    return out


def _by_differences(entries: ActiveEntries, bare: list[Array]) -> Certificate:
    """The same where second derivatives are differences: they stand for the expected ones."""
    inside, x = entries.inside(bare)
    at = inside.local(x[None])
    values, axes = np.linalg.eigh(at.hessian[0])
    size = np.abs(values)
    along = axes.T @ at.gradient[0]
    away = np.sqrt((along**2 / np.maximum(size, 1e-300)).sum())
    least = (values / size.max(initial=1e-300)).min(initial=1.0)
    N = gradient_of_covariance(entries, bare)
    slopes = [u @ N[t] @ u / (u @ u) for t, u in lacking(entries, bare, N)]
    spread = np.sqrt(2 * entries.criterion.likelihood.n)
    into = min(slopes) / spread if slopes else None
    return Certificate(float(away), float(least), into)


def gradient_of_covariance(entries: ActiveEntries, bare: list[Array]) -> list[Array]:
    """N for every term, the gradient with respect to T T' (:eq:`eq-kkt`)."""
    T = entries.framed(bare)
    curvature = entries.criterion.curvature(T)
    if curvature is not None:
        return curvature.N
    # read from 2 N T at a neighbour of full rank, 1e-12 away in T T'
    near = []
    for t in T:
        values, vectors = np.linalg.eigh(t @ t.T)
        values = np.clip(values, 0.0, None) + 1e-12 * (1 + (t**2).sum())
        near.append(vectors * np.sqrt(values))
    at = entries.criterion.gradient(near)
    assert at is not None
    pairs = zip(near, at[1], strict=True)
    return [np.asarray(np.linalg.solve(t.T, G.T / 2).T, dtype=np.float64) for t, G in pairs]
