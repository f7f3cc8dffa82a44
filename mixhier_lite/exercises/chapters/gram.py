"""Exercises of chapter *gram*."""

from fractions import Fraction
from typing import Any

import numpy as np

from ...inputs import Array
from ...known.groups import indicator
from ..framework import (
    EXACT,
    Counterexample,
    Function,
    Number,
    Unfit,
    array,
    choice,
    data,
    exercise,
    parts,
)

# --- gram-1: what cannot come back


def _summaries(X: Array, D: Array, y: Array) -> dict[str, float]:
    """Four numbers from the rows of a fit with sigma2 = tau2 = 1."""
    W = np.hstack([X, D])
    inverse = np.linalg.inv(W.T @ W + np.diag(np.arange(W.shape[1]) >= X.shape[1]))
    e = y - W @ (inverse @ (W.T @ y))
    h = ((W @ inverse) * W).sum(axis=1)
    return {
        "standard errors": float(np.trace(inverse)),
        "residual sum of squares": float(e @ e),
        "generalised cross-validation": float(e @ e / (1 - h.mean()) ** 2),
        "leave-one-out errors": float(((e / (1 - h)) ** 2).sum()),
    }


def _lost() -> str:
    rng = np.random.default_rng()
    X, D = data.design(rng)
    y = rng.standard_normal(len(X))
    turn = np.linalg.qr(rng.standard_normal((len(X), len(X))))[0]
    before = _summaries(X, D, y)
    after = _summaries(turn @ X, turn @ D, turn @ y)
    return ", ".join(k for k in before if not np.isclose(before[k], after[k]))


LOST = choice("gram-1", _lost)

# --- gram-2: sums about two centres


def _two_sites(rng: np.random.Generator) -> tuple[Any, ...]:
    k = int(rng.integers(2, 5))
    n = rng.permutation(np.arange(6, 30))[:2]
    sites = [(int(size), rng.normal(3, 4, k), size * data.spd(rng, k)) for size in n]
    return *sites[0], *sites[1]


def merged(n1: int, m1: Array, S1: Array, n2: int, m2: Array, S2: Array) -> Array:
    """Sums of squares and products about the common mean, shape (k, k)."""
    S: Array = S1 + S2 + n1 * n2 / (n1 + n2) * np.outer(m1 - m2, m1 - m2)
    return S


def _about(centre: Array, *sites: Any) -> Array:
    """Sums about any centre."""
    n1, m1, S1, n2, m2, S2 = sites
    moved = n1 * np.outer(m1 - centre, m1 - centre) + n2 * np.outer(m2 - centre, m2 - centre)
    return np.asarray(S1 + S2 + moved, dtype=np.float64)


CENTRES = exercise(
    "gram-2",
    Function("f(n1, m1, S1, n2, m2, S2)", _two_sites),
    merged,
    two_centres=lambda n1, m1, S1, n2, m2, S2: S1 + S2,
    sites_alike=lambda *sites: _about((sites[1] + sites[4]) / 2, *sites),
    centre_zero=lambda *sites: _about(np.zeros(len(sites[1])), *sites),
    moved_once=lambda n1, m1, S1, n2, m2, S2: S1 + S2 + np.outer(m1 - m2, m1 - m2),
    covariance_matrix=lambda *s: merged(*s) / (s[0] + s[3] - 1),
)

# --- gram-3: five folds, five Grams


def _matrix() -> Array:
    """[D X y] of the radon data, shape (919, 88)."""
    y, floor, _, county = data.radon()
    return np.column_stack([indicator(county), np.ones(len(y)), floor, y])


def _from_gram(G: Array, lam: float = 5.7, J: int = 85) -> Array:
    """(-beta, -alpha, 1) from Gram plus penalty."""
    penalty = np.diag(np.where(np.arange(len(G) - 1) < J, lam, 0.0))
    return np.append(-np.linalg.solve(G[:-1, :-1] + penalty, G[:-1, -1]), 1.0)


def _folds(lam: float = 5.7, level: bool = False, kept: bool = False, k: int = 5) -> float:
    """Mean squared error over folds; population level only, or with the fold left in."""
    Z = _matrix()
    fold = np.arange(len(Z)) % k
    whole = Z.T @ Z
    total = 0.0
    for f in range(k):
        part = Z[fold == f].T @ Z[fold == f]
        v = _from_gram(whole if kept else whole - part, lam)
        v = np.where(np.arange(len(v)) < 85, 0.0, v) if level else v
        total += float(v @ part @ v)
    return total / len(Z)


FOLDS = exercise(
    "gram-3",
    Number(),
    lambda: _folds(),
    seen_before=lambda: _folds(kept=True),
    fixed_effects_alone=lambda: _folds(level=True),
    root=lambda: np.sqrt(_folds()),
    summed=lambda: _folds() * 919,
    upside_down=lambda: _folds(lam=1 / 5.7),
    one_home_at_a_time=lambda: _folds(k=919),
)

# --- gram-4: average or merge


def _two_lists(answer: object) -> tuple[Any, Any]:
    lists = []
    for part in parts(answer, 2, "(north, south) of two lists of labels"):
        if not isinstance(part, (list, tuple, np.ndarray)) or len(part) == 0:
            raise Unfit("Each site needs a list of labels, one for each of its rows.")
        labels = np.asarray([str(label) for label in part])
        if len(labels) > 500:
            raise Unfit("A few rows a site will do; at most 500, please.")
        lists.append(labels)
    return lists[0], lists[1]


def _rule(labels: Any) -> tuple[Array, float]:
    """Row weights of alpha_hat, not yet scaled, and their sum: the precision."""
    D = indicator(labels)
    weights: Array = D @ (1 / (1 + D.sum(axis=0)))
    return weights, float(weights.sum())


def _merge_rule(given: tuple[Any, Any]) -> Array:
    weights, total = _rule(np.concatenate(given))
    return weights / total


def _average_rule(given: tuple[Any, Any]) -> Array:
    (north, a), (south, b) = map(_rule, given)
    return np.append(north, south) / (a + b)


AVERAGE = exercise(
    "gram-4",
    Counterexample(_two_lists, _merge_rule, _average_rule),
    no_ward_in_common=lambda given: not set(given[0]) & set(given[1]),
    weighted_alike=lambda given: True,
)

# --- gram-5: squares and digits


def _some_numbers(answer: object) -> list[float]:
    values = array(answer, "a list of numbers")
    if values.ndim != 1 or not 3 <= len(values) <= 1000:
        raise Unfit("The question asks for a list of three numbers or more (at most 1000).")
    if np.abs(values).max() > 1e15:
        raise Unfit("Take numbers of a size up to 1e15.")
    if np.ptp(values) == 0:
        raise Unfit("All your numbers are equal in the computer: their sum of squares about the "
                    "mean is zero, and there is nothing to lose.")  # fmt: skip
    return [float(v) for v in values]


def _plain(y: list[float]) -> float:
    """y'y - n ybar^2 with floats, one after the other."""
    squares = total = 0.0
    for v in y:
        squares += v * v
        total += v
    return squares - total * total / len(y)


def _exactly(y: list[float]) -> float:
    exact = [Fraction(v) for v in y]
    mean = sum(exact, Fraction(0)) / len(y)
    return float(sum(((v - mean) ** 2 for v in exact), Fraction(0)))


def _constant_part(y: list[float]) -> float:
    return float(abs(np.mean(y)) / np.sqrt(_exactly(y) / len(y)))


DIGITS = exercise(
    "gram-5",
    Counterexample(_some_numbers, _plain, _exactly),
    no_constant_part=lambda y: _constant_part(y) < 10,
    small_constant_part=lambda y: _constant_part(y) < 1e7,
    lucky=lambda y: True,
)

# --- gram-6: the price of averaging


def _readings(rng: np.random.Generator) -> tuple[Any, ...]:
    w = rng.integers(1, 6, int(rng.integers(4, 12)))
    w[0] = 3
    return w, float(rng.uniform(20, 60)), float(rng.uniform(3, 9))


def price(w: Array, ss: float, tau2: float) -> float:
    """-2 log likelihood of single readings less that of weighted means."""
    spare = w.sum() - len(w)
    return float(spare * np.log(2 * np.pi * tau2) + np.log(w).sum() + ss / tau2)


AVERAGING = exercise(
    "gram-6",
    Function("f(w, ss, tau2)", _readings, Number(EXACT)),
    price,
    weights_left_out=lambda w, ss, t: price(w, ss, t) - np.log(w).sum(),
    wrong_sign=lambda w, ss, t: price(w, ss, t) - 2 * np.log(w).sum(),
    readings_only=lambda w, ss, t: price(w, ss, t) + len(w) * np.log(2 * np.pi * t),
    exponent_only=lambda w, ss, t: ss / t,
    log_likelihood=lambda *a: -price(*a) / 2,
)
