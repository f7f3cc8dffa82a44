"""What exercises are made of: published data as arrays, and random designs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...datasets import load
from ...inputs import Array
from ...known.groups import indicator

Labels = npt.NDArray[Any]


def rail() -> tuple[Array, Labels, Labels]:
    """Travel time y (18,), the rail of each row, and the six rails, sorted."""
    data = load("Rail")
    labels = data["Rail"].to_numpy(str)
    return data["travel"].to_numpy(float), labels, np.unique(labels)


def dyestuff() -> tuple[Array, Labels, Array]:
    """Yield y (30,), the batch of each row, and an intercept (30, 1)."""
    data = load("Dyestuff")
    return data["Yield"].to_numpy(float), data["Batch"].to_numpy(str), np.ones((30, 1))


def penicillin() -> tuple[Array, Labels, Labels]:
    """Diameter y (144,), the plate and the sample of each row."""
    data = load("Penicillin")
    plate = data["plate"].to_numpy(str)
    sample = data["sample"].to_numpy(str)
    return data["diameter"].to_numpy(float), plate, sample


def radon() -> tuple[Array, Array, Array, Labels]:
    """Log radon ``y_gh``, floor and log uranium (919,), and the county of each home."""
    data = load("radon")
    columns = (data[c].to_numpy(float) for c in ("y_gh", "floor", "log_uranium"))
    y, floor, uranium = columns
    return y, floor, uranium, data["county"].to_numpy(str)


def pastes() -> tuple[Array, Labels, Labels]:
    """Strength y (60,), the batch of each row, and the cask, whose labels start again in each."""
    data = load("Pastes")
    batch = data["batch"].to_numpy(str)
    cask = data["cask"].to_numpy(str)
    return data["strength"].to_numpy(float), batch, cask


def body_weight() -> tuple[Array, Array, Labels, Labels]:
    """Weight and day (176,), the rat and the diet of each row."""
    data = load("BodyWeight")
    weight = data["weight"].to_numpy(float)
    day = data["Time"].to_numpy(float)
    return weight, day, data["Rat"].to_numpy(str), data["Diet"].to_numpy(str)


def groups(rng: np.random.Generator, equal: bool = False) -> Labels:
    """Letters for 3 to 6 groups of 2 to 9 rows, shuffled, that do not appear in sorted order."""
    J = int(rng.integers(3, 7))
    sizes = np.full(J, rng.integers(2, 8)) if equal else rng.permutation(np.arange(2, 10))[:J]
    labels = rng.permutation(np.repeat(np.array(list("abcdef"))[:J], sizes))
    last = np.flatnonzero(labels == np.unique(labels)[-1])[0]
    labels[[0, last]] = labels[[last, 0]]
    return labels


def design(rng: np.random.Generator, p: int = 2) -> tuple[Array, Array]:
    """Draw X (n, p), a column of ones and covariates, and an indicator D of unequal groups."""
    D = indicator(groups(rng))
    means = 2 * rng.standard_normal((D.shape[1], p - 1))
    x = D @ means + rng.standard_normal((len(D), p - 1))
    return np.column_stack([np.ones(len(D)), x]), D


def spd(rng: np.random.Generator, size: int) -> Array:
    """Draw a positive definite matrix that is not diagonal."""
    A = rng.standard_normal((size, size + 2))
    S: Array = A @ A.T / size + 0.3 * np.eye(size)
    return S


def variances(rng: np.random.Generator) -> tuple[float, float]:
    """Draw sigma2 and tau2, both away from one and from each other."""
    return float(rng.uniform(2, 4)), float(rng.uniform(5, 9))


def people(
    rng: np.random.Generator, pencil: Callable[[Array, Array], Array], tau: float
) -> tuple[Array, Array]:
    """Draw times t and lines of 5 to 11 people at these times, Y of shape (J, len(t)).

    ``pencil(t, Y)`` is the REML estimate of Sigma; it is inside the boundary, and well so.
    """
    t = np.sort(rng.uniform(0, 6, int(rng.integers(4, 8))))
    t += 0.5 * np.arange(len(t))
    Z = np.column_stack([np.ones(len(t)), t])
    while True:
        J = int(rng.integers(5, 12))
        root = np.linalg.cholesky(4 * spd(rng, 2))
        b = (20.0, 3.0) + rng.standard_normal((J, 2)) @ root.T
        Y = b @ Z.T + tau * rng.standard_normal((J, len(t)))
        if np.linalg.eigvalsh(pencil(t, Y))[0] > 0.2:
            return t, Y
