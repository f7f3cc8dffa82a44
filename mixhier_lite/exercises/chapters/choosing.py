"""Exercises of chapter *choosing*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import fit
from ...gram.term import Term
from ...inputs import Array
from ...known.groups import indicator
from ...known.mixed import LinearMixedModel, gls_blup
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Numbers,
    Unfit,
    choice,
    data,
    exercise,
    number,
)

# --- choosing-1: who still agrees?


def _least(lams: Array) -> list[float]:
    """Where REML, GCV and leave-one-out are least when batch E has lost four of its samples."""
    y, batch, one = data.dyestuff()
    keep = np.ones(30, dtype=bool)
    keep[np.flatnonzero(batch == "E")[1:]] = False
    y = y[keep]
    one = one[keep]
    D = indicator(batch[keep])
    W = np.hstack([one, D])
    curves = []
    for lam in lams:
        M = W.T @ W + lam * np.diag([0.0] + [1.0] * 6)
        hat = W @ np.linalg.solve(M, W.T)
        e = y - hat @ y
        h = np.diag(hat)
        reml = np.linalg.slogdet(M)[1] - 6 * np.log(lam) + 25 * np.log(y @ e)
        errors = [((e / (1 - leverage)) ** 2).mean() for leverage in (h.mean(), h)]
        curves.append([reml, *errors])
    return [float(lams[k]) for k in np.argmin(curves, axis=0)]


def _who_agrees() -> str:
    reml, gcv, left_out = _least(np.geomspace(0.3, 30, 1001))
    same = [np.isclose(a, b, rtol=0.02) for a, b in ((reml, gcv), (gcv, left_out))]
    names = {(True, True): "all three", (True, False): "reml and gcv",
             (False, True): "gcv and the left out", (False, False): "no two"}  # fmt: skip
    return names[bool(same[0]), bool(same[1])]


AGREE = choice("choosing-1", _who_agrees)

# --- choosing-2: a whole group left out


def _squares(rng: np.random.Generator) -> tuple[Any, ...]:
    J = int(rng.integers(3, 9))
    m = int(rng.integers(2, 7))
    return float(rng.uniform(20, 60)), float(rng.uniform(10, 40)), J, m


def group_left_out(SSB: float, SSW: float, J: int, m: int) -> float:
    """Mean squared error of prediction when each of J groups of m rows in turn is left out."""
    return (SSW + (J / (J - 1)) ** 2 * SSB) / (J * m)


GROUP_OUT = exercise(
    "choosing-2",
    Function("f(SSB, SSW, J, m)", _squares, Number(EXACT)),
    group_left_out,
    level_of_all=lambda SSB, SSW, J, m: (SSB + SSW) / (J * m),
    not_squared=lambda SSB, SSW, J, m: (SSW + J / (J - 1) * SSB) / (J * m),
    means_alone=lambda SSB, SSW, J, m: (J / (J - 1)) ** 2 * SSB / (J * m),
    not_a_mean=lambda SSB, SSW, J, m: SSW + (J / (J - 1)) ** 2 * SSB,
    unbiased=lambda SSB, SSW, J, m: SSB / (J - 1) + SSW / (J * m - J),
)

# --- limits-5: a sample or a batch


@cache
def _fitted() -> tuple[Array, Array]:
    """Residuals and leverages at the REML estimates."""
    y, batch, one = data.dyestuff()
    found = fit(y, one, Term(batch))
    D = indicator(batch)
    W = np.hstack([one, D])
    penalty = found.tau2 / found.Sigma[0].item() * np.diag([0.0] + [1.0] * 6)
    hat = W @ np.linalg.solve(W.T @ W + penalty, W.T)
    return y - hat @ y, np.diag(hat)


def _means_of_batches() -> tuple[Array, Array]:
    y, batch, _ = data.dyestuff()
    D = indicator(batch)
    return y, D @ (D.T @ y) / 5


def _left_out() -> Array:
    (e, h) = _fitted()
    (y, own) = _means_of_batches()
    others = (30 * y.mean() - 5 * own) / 25
    return np.array([((e / (1 - h)) ** 2).mean(), ((y - others) ** 2).mean()])


def _in_sample() -> Array:
    return np.array([(_fitted()[0] ** 2).mean(), _left_out()[1]])


def _level_of_all() -> Array:
    return np.array([_left_out()[0], data.dyestuff()[0].var()])


def _own_others() -> Array:
    y, own = _means_of_batches()
    return np.array([((y - (5 * own - y) / 4) ** 2).mean(), _left_out()[1]])


SAMPLE = exercise(
    "limits-5",
    Numbers(),
    _left_out,
    wrong_order=lambda: _left_out()[::-1],
    in_sample=_in_sample,
    level_of_all=_level_of_all,
    roots=lambda: np.sqrt(_left_out()),
    unshrunken=_own_others,
)

# --- limits-4: a unit for a verdict


def _factor(answer: object) -> float:
    factor = float(number(answer, "one number"))
    if factor == 0:
        raise Unfit("Zero times the order is no unit: the column would vanish.")
    if not 1e-6 < abs(factor) < 1e6:
        raise Unfit("Such a unit leaves no digits for the computation: stay within a million.")
    return factor


def _verdict(factor: float) -> float:
    """One if the REML criterion is smaller with the order of the batches, else minus one."""
    y, batch, one = data.dyestuff()
    order = 1 + np.unique(batch, return_inverse=True)[1].astype(float)
    added = fit(y, np.column_stack([one, factor * order]), Term(batch)).criterion
    without = fit(y, one, Term(batch)).criterion
    return 1.0 if added < without else -1.0


UNIT = exercise(
    "limits-4",
    Counterexample(_factor, _verdict, lambda factor: _verdict(1.0)),
    sign=lambda factor: abs(factor) == 1,
    smaller=lambda factor: abs(factor) < 1,
    not_far_enough=lambda factor: abs(factor) > 1,
)

# --- variance-4: one step of EM


def _data(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    return X, D, rng.normal(5, 3, len(X)), *data.variances(rng)


def _parts(X: Array, D: Array, y: Array, s: float, t: float) -> tuple[float, ...]:
    """Sums of squares of effects and residuals, trace of the PEV, edf."""
    model = LinearMixedModel(X, D, s * np.eye(D.shape[1]), t)
    effects = gls_blup(model, y)
    b = effects.random
    e = y - X @ effects.fixed - D @ effects.random
    trace = float(np.trace(effects.random_cov))
    return float(b @ b), float(e @ e), trace, D.shape[1] - trace / s


def em_step(X: Array, D: Array, y: Array, sigma2: float, tau2: float) -> Array:
    """One step of EM for REML, shape (2,)."""
    (n, p) = X.shape
    J = D.shape[1]
    bb, ee, trace, edf = _parts(X, D, y, sigma2, tau2)
    return np.array([(bb + trace) / J, (ee + tau2 * (p + edf)) / n])


def _em_known_alpha(X: Array, D: Array, y: Array, s: float, t: float) -> Array:
    (n, _) = X.shape
    J = D.shape[1]
    bb, ee, _, _ = _parts(X, D, y, s, t)
    a = D.sum(axis=0)
    return np.array([(bb + (t / (a + t / s)).sum()) / J, (ee + (a * t / (a + t / s)).sum()) / n])


def _schall(X: Array, *rest: Any) -> Array:
    bb, ee, _, edf = _parts(X, *rest)
    return np.array([bb / edf, ee / (len(X) - X.shape[1] - edf)])


def _face_value(X: Array, D: Array, *rest: Any) -> Array:
    bb, ee, _, _ = _parts(X, D, *rest)
    return np.array([bb / D.shape[1], ee / len(X)])


STEP = exercise(
    "variance-4",
    Function("f(X, D, y, sigma2, tau2)", _data),
    em_step,
    face_value=_face_value,
    known_alpha=_em_known_alpha,
    schall=_schall,
    residuals_at_face_value=lambda *a: np.array([em_step(*a)[0], _face_value(*a)[1]]),
    alpha_not_counted=lambda *a: np.array(
        [em_step(*a)[0], em_step(*a)[1] - a[4] * a[0].shape[1] / len(a[2])]
    ),
)
