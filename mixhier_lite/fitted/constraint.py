"""A parameter held fixed: -2 log likelihood as a function of all others, with its slopes.

The columns of a term are ordered so that the parameter stands first. With T lower triangular,
the first standard deviation is then its first entry alone, and the first correlation needs only
the second row. So what is left is a function without bounds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..inputs import Array
from ..variance.assembly import lower_root
from .objective import Objective, Point

Sloped = Callable[[Array], tuple[float, Array]]
"""A function of a vector: its value and its gradient."""


@dataclass(frozen=True, eq=False)
class Constraint(ABC):
    """One parameter of a model, to be held fixed."""

    objective: Objective
    t: int = 0
    """The term to which the parameter belongs, if to any."""
    columns: tuple[int, ...] = ()
    """Its columns of that term."""
    k: int = 0
    """Its column of X, if it has one."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the parameter."""

    @property
    @abstractmethod
    def estimate(self) -> float:
        """Its estimate."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The values that it may take."""
        return -np.inf, np.inf

    @property
    @abstractmethod
    def step(self) -> float:
        """A first small step away from the estimate."""

    @abstractmethod
    def at(self, value: float) -> Sloped:
        """-2 log likelihood with the parameter held at a value, as a function of all others."""

    @property
    def cells(self) -> list[tuple[int, int, int]]:
        """Term, row and column of the entries of T that are free."""
        return [cell for cell in self.objective.model.cells if not self._is_held(*cell)]

    def _is_held(self, t: int, i: int, j: int) -> bool:
        return False

    def start(self) -> Array:
        """The estimates of the others."""
        T = self._ordered()
        return np.array([T[t][i, j] for t, i, j in self.cells])

    def starts(self, f: Sloped) -> list[Array]:
        """Low points of f where all random effects have one standard deviation."""
        free = np.array([float(i == j) for _, i, j in self.cells])
        sizes = np.geomspace(0.01, 100.0, 13)
        points = [np.append(s * free, np.zeros(len(self.start()) - len(free))) for s in sizes]
        values = np.array([np.inf, *(f(x)[0] for x in points), np.inf])
        low = (values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])
        return [points[k] for k in np.flatnonzero(low & np.isfinite(values[1:-1]))]

    def _order(self, t: int) -> list[int]:
        """The columns of a term, those of the parameter first."""
        first = self.columns if t == self.t else ()
        rest = range(self.objective.model.gram.blocks[t].q)
        return [*first, *(k for k in rest if k not in first)]

    def _turn(self, t: int) -> Array:
        """R, shape (q, q): what is searched is R T, and its first row is the parameter's own.

        Where the columns are correlated, R'R is Z'WZ over all rows but for a factor, so that the
        search does not know where a covariate has its zero. R is lower triangular in the new
        order: the first row is a multiple of the first column's own.
        """
        order = self._order(t)
        unit = self.objective.units[t]
        if not self.objective.model.gram.blocks[t].correlated:
            return np.asarray(np.diag(unit)[order])
        R = _lower(self.objective.assembly.columns[t][:, order])
        return np.asarray(R[:, np.argsort(order)])

    @cached_property
    def _turns(self) -> list[Array]:
        """R of every term."""
        return [self._turn(t) for t in range(len(self.objective.model.T))]

    def _ordered(self) -> list[Array]:
        """R T of every term at the estimates, lower triangular."""
        return [lower_root(R @ T) for R, T in zip(self._turns, self.objective.model.T, strict=True)]

    def _unpack(self, x: Array) -> list[Array]:
        """R T of every term, with zeros where it is held."""
        T = [np.zeros(t.shape) for t in self.objective.model.T]
        for (t, i, j), entry in zip(self.cells, x, strict=False):
            T[t][i, j] = entry
        return T

    def _solve(
        self,
        T: list[Array],
        tau: float | None = None,
        coefficient: tuple[int, float] | None = None,
    ) -> Point | None:
        """Solve at T, given as R T: slopes are in the entries of R T as well."""
        pairs = zip(self._turns, T, strict=True)
        own = [np.asarray(np.linalg.solve(R, each)) for R, each in pairs]
        point = self.objective.at(own, tau, coefficient)
        if point is None:
            return None
        turned = zip(self._turns, point.slopes, strict=True)
        return replace(point, slopes=[np.asarray(np.linalg.solve(R.T, each)) for R, each in turned])

    def _of_cells(self, slopes: list[Array]) -> Array:
        """The slopes in the entries that are free."""
        return np.array([slopes[t][i, j] for t, i, j in self.cells])


class SdConstraint(Constraint):
    """The standard deviation of one column of a term."""

    @property
    def name(self) -> str:
        """Its column and its term."""
        (k,) = self.columns
        return (
            f"sd({_column(self.objective, self.t, k)} | {self.objective.model.term_names[self.t]})"
        )

    @property
    def estimate(self) -> float:
        """The root of the diagonal of Sigma."""
        (k,) = self.columns
        return float(np.sqrt(self.objective.model.Sigma[self.t][k, k]))

    @property
    def bounds(self) -> tuple[float, float]:
        """Not negative."""
        return 0.0, np.inf

    @property
    def step(self) -> float:
        """Small beside the estimate, or beside the noise where that is zero."""
        return 0.1 * max(self.estimate, 0.3 * self._noise)

    @property
    def _noise(self) -> float:
        """The noise in the units of this column: the held entry is sd / noise."""
        (k,) = self.columns
        return float(np.sqrt(self.objective.model.tau2) / self._turns[self.t][0, k])

    def _is_held(self, t: int, i: int, j: int) -> bool:
        return (t, i, j) == (self.t, 0, 0)

    def start(self) -> Array:
        """The others, with log tau last where it is not known."""
        known = self.objective.model.known_tau2 is not None
        return super().start() if known else np.append(super().start(), 0.0)

    def at(self, value: float) -> Sloped:
        """c T has the held entry: the noise, c times its estimate, is free and moves with it."""
        held = value / self._noise
        noise = float(np.sqrt(self.objective.model.tau2))

        def f(x: Array) -> tuple[float, Array]:
            c = 1.0 if self.objective.model.known_tau2 is not None else float(np.exp(x[-1]))
            cT = self._unpack(x)
            cT[self.t][0, 0] = held
            point = self._solve([each / c for each in cT], c * noise) if c > 0 else None
            if point is None:
                return lost(x)
            of_cells = self._of_cells(point.slopes) / c
            if self.objective.model.known_tau2 is not None:
                return point.value, of_cells
            shrinking = sum((s * T).sum() for s, T in zip(point.slopes, cT, strict=True)) / c
            return point.value, np.append(of_cells, point.of_log_tau - shrinking)

        return f


class CorrelationConstraint(Constraint):
    """The correlation of two columns of a term."""

    @property
    def name(self) -> str:
        """Its columns and its term."""
        j, i = (_column(self.objective, self.t, k) for k in self.columns)
        return f"cor({i}, {j} | {self.objective.model.term_names[self.t]})"

    @property
    def estimate(self) -> float:
        """Zero where one of the two does not vary."""
        j, i = self.columns
        S = self.objective.model.Sigma[self.t]
        size = float(np.sqrt(S[i, i]) * np.sqrt(S[j, j]))
        return float(np.clip(S[i, j] / size, -1, 1)) if size > 0 else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Between -1 and 1."""
        return -1.0, 1.0

    @property
    def step(self) -> float:
        """Small beside one."""
        return 0.05

    def _turn(self, t: int) -> Array:
        """Columns of its term are scaled only: both rows are the parameter's own."""
        if t != self.t:
            return super()._turn(t)
        return np.asarray(np.diag(self.objective.units[t])[self._order(t)])

    def _is_held(self, t: int, i: int, j: int) -> bool:
        return (t, i, j) == (self.t, 1, 0)

    def start(self) -> Array:
        """The others; the second row's length stands in its diagonal."""
        T = self._ordered()
        T[self.t][1, 1] = np.hypot(*T[self.t][1, :2])
        return np.array([T[t][i, j] for t, i, j in self.cells])

    def at(self, value: float) -> Sloped:
        """The second row has a free length and a held direction; lengths have no sign."""
        direction = np.array([value, np.sqrt(1 - value**2)])

        def f(x: Array) -> tuple[float, Array]:
            T = self._unpack(x)
            own = T[self.t]
            signs = np.where(np.diag(own)[:2] < 0, -1.0, 1.0)
            own[0, 0] *= signs[0]
            own[1, :2] = signs[1] * own[1, 1] * direction
            point = self._solve(T)
            if point is None:
                return lost(x)
            slopes = list(point.slopes)
            slopes[self.t] = of_own = slopes[self.t].copy()
            of_own[0, 0] *= signs[0]
            of_own[1, 1] = signs[1] * (of_own[1, :2] @ direction)
            return point.value, self._of_cells(slopes)

        return f


class NoiseConstraint(Constraint):
    """The standard deviation of the noise."""

    @property
    def name(self) -> str:
        """Always the same."""
        return "sd(noise)"

    @property
    def estimate(self) -> float:
        """The root of tau2."""
        return float(np.sqrt(self.objective.model.tau2))

    @property
    def bounds(self) -> tuple[float, float]:
        """Positive."""
        return 0.0, np.inf

    @property
    def step(self) -> float:
        """A fraction of its standard error."""
        return 0.2 * self.estimate / float(np.sqrt(2 * self.objective.nu))

    def at(self, value: float) -> Sloped:
        """The random effects keep their size while the noise moves."""
        ratio = value / self.estimate

        def f(x: Array) -> tuple[float, Array]:
            point = self._solve([T / ratio for T in self._unpack(x)], value) if value > 0 else None
            return lost(x) if point is None else (point.value, self._of_cells(point.slopes) / ratio)

        return f


class CoefficientConstraint(Constraint):
    """A fixed effect."""

    @property
    def name(self) -> str:
        """Its column of X."""
        return self.objective.model.names[self.k]

    @property
    def estimate(self) -> float:
        """Its estimate."""
        return float(self.objective.model.fixed[self.k])

    @property
    def step(self) -> float:
        """A fraction of its standard error."""
        return 0.3 * float(np.sqrt(self.objective.model.fixed_cov[self.k, self.k]))

    def at(self, value: float) -> Sloped:
        """What is left of y when its column has this coefficient."""

        def f(x: Array) -> tuple[float, Array]:
            point = self._solve(self._unpack(x), coefficient=(self.k, value))
            return lost(x) if point is None else (point.value, self._of_cells(point.slopes))

        return f


def lost(x: Array) -> tuple[float, Array]:
    """Where the likelihood has no value: too far, and taken back."""
    return np.inf, np.zeros(len(x))


def _lower(columns: Array) -> Array:
    """A lower triangular R with R'R = columns'columns and a positive diagonal."""
    R = np.linalg.qr(columns[:, ::-1])[1][::-1, ::-1]
    return np.asarray(R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None])


def _column(objective: Objective, t: int, k: int) -> str:
    return objective.model.gram.blocks[t].column_names[k]
