"""Exercises of chapter *scale*."""

from typing import Any

import numpy as np

from ...after.fit import fit
from ...gram.gram import Gram
from ...gram.stream import gather
from ...gram.term import Term
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
)

# --- scale-1: everything twice


def _noise_of_two() -> str:
    y, labels, _ = data.rail()
    once = Gram.from_arrays(y, np.ones((18, 1)), Term(labels))
    one = fit(once).tau2
    two = fit(gather([once, once])).tau2
    return "no change" if np.isclose(one, two) else "smaller" if two < one else "larger"


TWICE = choice("scale-1", _noise_of_two)

# --- scale-2: a plan from two measurements


def _two_runs(rng: np.random.Generator) -> tuple[Any, ...]:
    n1 = int(rng.integers(1, 3)) * 10**6
    n2 = int(rng.integers(5, 9)) * 10**6
    once = rng.uniform(0.5, 2)
    per_row = rng.uniform(1e-7, 3e-7)
    runs = (n1, float(once + per_row * n1), n2, float(once + per_row * n2))
    return *runs, int(rng.integers(1, 9)) * 10**9, int(rng.integers(8, 64))


def seconds(n1: float, t1: float, n2: float, t2: float, n: float, cores: int) -> float:
    """The part that grows with rows is shared by the cores, the rest is done once."""
    per_row = (t2 - t1) / (n2 - n1)
    return t1 - per_row * n1 + per_row * n / cores


PLAN = exercise(
    "scale-2",
    Function("f(n1, t1, n2, t2, n, cores)", _two_runs, Number(EXACT)),
    seconds,
    search_for_every_row=lambda n1, t1, n2, t2, n, c: t2 / n2 * n / c,
    averaged=lambda n1, t1, n2, t2, n, c: (t1 + t2) / (n1 + n2) * n / c,
    search_left_out=lambda n1, t1, n2, t2, n, c: (t2 - t1) / (n2 - n1) * n / c,
    one_core=lambda n1, t1, n2, t2, n, c: seconds(n1, t1, n2, t2, n, 1),
    search_shared=lambda n1, t1, n2, t2, n, c: seconds(n1, t1, n2, t2, n, 1) / c,
)

# --- scale-3: sums of squares from chunks


def _chunks(rng: np.random.Generator) -> tuple[Any, ...]:
    n = rng.permutation(np.arange(3, 40))[: rng.integers(3, 7)].astype(float)
    return n, rng.normal(20, 3, len(n)), (n - 1) * rng.uniform(1, 4, len(n))


def merged(n: Array, means: Array, squares: Array) -> Array:
    """Mean of all rows, and their sum of squares about it."""
    mean = n @ means / n.sum()
    return np.array([mean, squares.sum() + n @ (means - mean) ** 2])


def _about(mean: float, n: Array, means: Array, squares: Array) -> Array:
    return np.array([mean, squares.sum() + n @ (means - mean) ** 2])


MERGE = exercise(
    "scale-3",
    Function("f(n, means, squares)", _chunks),
    merged,
    plain_mean=lambda n, means, q: _about(means.mean(), n, means, q),
    about_own_means=lambda n, means, q: np.array([merged(n, means, q)[0], q.sum()]),
    counted_once=lambda n, means, q: np.array(
        [merged(n, means, q)[0], q.sum() + ((means - means.mean()) ** 2).sum()]
    ),
    variance=lambda n, means, q: merged(n, means, q) / [1, n.sum() - 1],
)

# --- scale-4: how many products


def _met(rng: np.random.Generator) -> tuple[Any, ...]:
    """Unequal levels, some pairs of which meet more than once."""
    J = rng.integers(8, 14)
    K = rng.integers(4, 7)
    first = np.append(np.arange(J), rng.integers(0, J, 30))
    second = np.append(np.arange(J) % K, rng.integers(0, K, 30))
    order = rng.permutation(len(first))
    return first[order], second[order]


def products(first: Any, second: Any) -> float:
    """The sum of d (d + 1) / 2, d the number of different levels that a level meets."""
    d = (indicator(first).T @ indicator(second) > 0).sum(axis=1)
    return float((d * (d + 1) / 2).sum())


def _by_rows(first: Any, second: Any) -> float:
    d = indicator(first).sum(axis=0)
    return float((d * (d + 1) / 2).sum())


def _one_by_one(first: Any, second: Any, part: float) -> float:
    d = (indicator(first).T @ indicator(second) > 0).sum(axis=1)
    return float((d * (d + part)).sum())


PRODUCTS = exercise(
    "scale-4",
    Function("f(first, second)", _met, Number(EXACT)),
    products,
    wrong_factor=lambda first, second: products(second, first),
    rows_counted=_by_rows,
    pairs_twice=lambda first, second: _one_by_one(first, second, 0),
    without_diagonal=lambda first, second: _one_by_one(first, second, -1) / 2,
)

# --- scale-5: an entry that stays empty

_STUDENTS = np.repeat([0, 1, 2], 2)
_LECTURERS = np.tile([0, 1], 3)


def _slopes(answer: object) -> Array:
    x = array(answer, "a vector x")
    if x.shape != (6,):
        raise Unfit(f"The vector x needs six entries; yours has shape {x.shape}.")
    if np.abs(x).min() < 1e-3 * np.abs(x).max():
        raise Unfit("No entry of x may be zero, or nearly: then a student would not have met the "
                    "lecturer.")  # fmt: skip
    return x


def _entry(x: Array) -> float:
    """S_12 with random slopes of students eliminated, lambda = 1."""
    D1 = x[:, None] * indicator(_STUDENTS)
    D2 = indicator(_LECTURERS)
    S = D2.T @ D2 + np.eye(2) - D2.T @ D1 @ np.linalg.solve(D1.T @ D1 + np.eye(3), D1.T @ D2)
    return float(S[0, 1])


def _fills(x: Array) -> float:
    return 1.0 if abs(_entry(x)) > 1e-9 else -1.0


EMPTY = exercise(
    "scale-5",
    Counterexample(_slopes, _fills, lambda x: 1.0),
    same_signs=lambda x: bool((x[::2] * x[1::2] > 0).all()),
    opposite_signs=lambda x: bool((x[::2] * x[1::2] < 0).all()),
    sum_not_zero=lambda x: True,
)

# --- scale-6: how many sizes


def _many_rows(rng: np.random.Generator) -> tuple[Any, ...]:
    k = int(rng.integers(5, 400))
    return (k * (k + 1) // 2 + int(rng.choice([-1, -1, 0, 1])),)


def sizes(n: int) -> int:
    """The largest k with 1 + 2 + ... + k <= n, by counting."""
    k = 0
    while n > k:
        k += 1
        n -= k
    return k


SIZES = exercise(
    "scale-6",
    Function("f(n)", _many_rows, Number(EXACT), trials=40),
    sizes,
    root_of_n=lambda n: int(n**0.5),
    root_of_2n=lambda n: int((2 * n) ** 0.5),
    one_too_many=lambda n: sizes(n) + 1,
    one_too_few=lambda n: sizes(n) - 1,
)
