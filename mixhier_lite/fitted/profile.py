"""Profile likelihood: one parameter held fixed, all others at their best."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import refused
from ..inputs import Array, level_of
from ..progress import shown
from ..values import Value
from .constraint import (
    CoefficientConstraint,
    Constraint,
    CorrelationConstraint,
    NoiseConstraint,
    SdConstraint,
    Sloped,
)
from .estimates import Estimates, estimate
from .objective import Objective, ml_objective
from .tables import Origin

STEP = 0.3
"""Distance of two grid points in zeta."""
REACH = 3.4
"""Where the grid ends: enough for a level of 0.999."""


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Value):
    """The profile of one parameter."""

    name: str
    estimate: float
    """Where the likelihood is highest: by ML, also after a fit by REML."""
    values: Array
    """Values at which the parameter is held, ascending, shape (g,)."""
    zeta: Array
    """Signed root of the rise of -2 log likelihood above its minimum, shape (g,)."""
    bounds: tuple[float, float]
    """The values that the parameter may take at all."""

    def interval(self, level: float = 0.95) -> Array:
        """The values that a likelihood-ratio test does not refuse, from the first to the last."""
        from scipy.special import ndtri

        z = float(ndtri((1 + level_of(level)) / 2))
        if z > REACH - 0.1:
            raise refused("level-beyond-profile", level=level)
        return np.array([self._end(z, -1), self._end(z, 1)])

    def _end(self, z: float, side: int) -> float:
        """The last crossing of zeta = +-z on one side, or the bound where there is none."""
        from scipy.interpolate import CubicSpline
        from scipy.optimize import brentq

        inside = np.flatnonzero(np.abs(self.zeta) <= z)
        last = int(inside[-1 if side > 0 else 0])
        beyond = last + side
        if not 0 <= beyond < len(self.zeta):
            return self.bounds[(side + 1) // 2]
        line = CubicSpline(self.values, self.zeta)

        def short(value: float) -> float:
            """How far zeta is from +-z, negative inside."""
            return side * float(line(value)) - z

        if short(self.values[last]) >= 0:  # z is zero but for rounding
            return float(self.values[last])
        return float(brentq(short, self.values[last], self.values[beyond]))


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Value):
    """The profiles of all parameters, as after lme4's ``profile``."""

    curves: tuple[Curve, ...]
    """Standard deviations and correlations in the order of ``theta``, noise, fixed effects."""
    origin: Origin = field(default=Origin(), repr=False)
    """The data frame that was fitted, for tables."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, shape (k,)."""
        return tuple(curve.name for curve in self.curves)

    def interval(self, level: float = 0.95) -> Array:
        """Likelihood intervals of all parameters, shape (k, 2)."""
        return np.array([curve.interval(level) for curve in self.curves]).reshape(-1, 2)

    def table(self, level: float = 0.95) -> Any:
        """Estimates by ML with likelihood intervals, as a data frame.

        The profile belongs to the likelihood, so its estimates are by ML also after a fit by REML,
        whose own are in ``Fit.summary``. The intervals are lme4's ``confint``.
        """
        lower, upper = self.interval(level).T
        estimates = np.array([curve.estimate for curve in self.curves])
        columns = {"ML estimate": estimates, "lower": lower, "upper": upper}
        return self.origin.table({"parameter": np.array(self.names, dtype=object)}, columns)


def profile(model: Estimates, progress: bool = False) -> Profile:
    """Profile the likelihood of every standard deviation, correlation and fixed effect.

    The profile belongs to the likelihood: a REML fit is first fitted by ML, as lme4 does.

    Parameters
    ----------
    model : Estimates
    progress : bool
        Show a progress bar (needs tqdm).

    Notes
    -----
    Bates, Maechler, Bolker and Walker (2015), section 5.1. The likelihood may have several
    humps. So the far end of each side is searched from several starts, and whatever is found
    there is followed back towards the estimate for as long as it is better.
    """
    if model.method != "ML":
        model = estimate(model.gram, "ML", model.known_tau2)
    if model.noiseless is not None:
        raise refused("no-profile-without-noise")
    objective = ml_objective(model)
    return Profile(
        tuple(_curve(held, objective) for held in shown(constraints(objective), progress))
    )


def constraints(objective: Objective) -> list[Constraint]:
    """Every parameter: spreads and correlations of each term, noise, fixed effects."""
    model = objective.model
    held = list[Constraint]()
    for t, block in enumerate(model.gram.blocks):
        for j in range(block.q):
            held.append(SdConstraint(objective, t, (j,)))
            for i in range(j + 1, block.q) if block.correlated else ():
                held.append(CorrelationConstraint(objective, t, (j, i)))
    if model.known_tau2 is None:
        held.append(NoiseConstraint(objective))
    return [*held, *(CoefficientConstraint(objective, k=k) for k in range(len(model.fixed)))]


def _curve(held: Constraint, objective: Objective) -> Curve:
    """Follow the profile to both sides of the estimate."""
    x = held.start()
    with np.errstate(all="ignore"):  # infinite values are steps too far, and taken back
        start = _lowest(held.at(held.estimate), Low(0.0, x, np.eye(len(x)) / np.sqrt(objective.nu)))
        below, above = (_side(held, side, start) for side in (-1, 1))
    values = np.concatenate([below[0][::-1], [held.estimate], above[0]])
    zeta = np.concatenate([-below[1][::-1], [0.0], above[1]])
    return Curve(held.name, held.estimate, values, zeta, held.bounds)


@dataclass(frozen=True, eq=False)
class Low:
    """The lowest value of a function, where it is, and in which metric it was found."""

    value: float
    x: Array
    root: Array
    """R R' is about the inverse of the second derivatives, shape (len(x), len(x))."""


def _side(held: Constraint, side: int, start: Low) -> tuple[Array, Array]:
    """Values and roots of the rise on one side of the estimate, outwards."""
    bound = held.bounds[(side + 1) // 2]
    value = held.estimate
    z = 0.0
    step = held.step
    values = [value]
    lows = [start]
    for _ in range(200):
        if value == bound or z > REACH:
            break
        new = value + side * step
        if side * (bound - new) < 0.3 * step:
            new = bound
        step = abs(new - value)
        low = _lowest(held.at(new), _ahead(values, lows, new))
        rise = low.value - start.value
        root = float(np.sqrt(max(rise, 0.0))) if np.isfinite(rise) else np.inf
        if root - z > 2 * STEP and step > 1e-9 * (abs(value) + held.step):
            step *= max(STEP / (root - z), 0.1)
            continue
        step *= float(np.clip(STEP / max(abs(root - z), 1e-9), 0.3, 3.0))
        value = new
        z = root
        values.append(value)
        lows.append(low)
    _other_humps(held, values, lows)
    rises = np.array([low.value - start.value for low in lows[1:]])
    return np.array(values[1:]), np.sqrt(np.maximum(rises, 0.0))


def _ahead(values: list[float], lows: list[Low], new: float) -> Low:
    """A start for the next point: the line through the last two."""
    if len(values) < 2:
        return lows[-1]
    ratio = (new - values[-1]) / (values[-1] - values[-2])
    return replace(lows[-1], x=lows[-1].x + ratio * (lows[-1].x - lows[-2].x))


def _other_humps(held: Constraint, values: list[float], lows: list[Low]) -> None:
    """Search the last point from other starts, and follow what is better back, in place."""
    if len(values) == 1 or not len(lows[-1].x):
        return
    last = lows[-1]
    f = held.at(values[-1])
    found = [_lowest(f, replace(last, x=x)) for x in held.starts(f)]
    better = min([last, *found], key=lambda low: low.value)
    for g in range(len(values) - 1, 0, -1):
        if better.value >= lows[g].value - 1e-6:
            break
        lows[g] = better
        better = _lowest(held.at(values[g - 1]), better)


def _lowest(f: Sloped, start: Low) -> Low:
    """The lowest value of f near a start, by BFGS in the metric of the start."""
    from scipy.optimize import minimize

    x = start.x
    R = start.root
    if not len(x):
        return Low(f(x)[0], x, R)

    def g(z: Any) -> tuple[float, Any]:
        value, slope = f(x + R @ z)
        return value, R.T @ slope

    found = minimize(
        g, np.zeros(len(x)), jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 40}
    )
    root = R @ np.linalg.cholesky(np.asarray(found.hess_inv, dtype=np.float64))
    return Low(float(found.fun), x + R @ found.x, root)
