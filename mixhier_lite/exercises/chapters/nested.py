"""Exercises of chapter *nested*."""

from functools import cache
from typing import Any

import numpy as np

from ...after.fit import Fit, fit
from ...gram.term import Term
from ...inputs import Array
from ...labels import Labels
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
    parts,
)

# --- nested-1: casks with numbers


def _by_other_labels() -> str:
    y, batch, cask = data.pastes()
    whole = np.char.add(np.char.add(batch, ":"), cask)
    number = 1 + np.unique(whole, return_inverse=True)[1]
    one = np.ones((len(y), 1))
    slash = fit(y, one, [Term(batch), Term(whole)]).criterion
    numbered = fit(y, one, [Term(batch), Term(number)]).criterion
    if np.isclose(slash, numbered, rtol=1e-9):
        return "same"
    return "higher" if numbered > slash else "lower"


NUMBERED = choice("nested-1", _by_other_labels)

# --- nested-2: labels that go astray


def _labels(rng: np.random.Generator) -> tuple[Labels, Labels]:
    while True:
        inner = rng.choice(np.array(list("abcdefgh")), 30)
        outer = rng.choice(np.array(["u", "v", "w", "x"]), 30)
        home = dict(zip("abcdefgh", rng.choice(np.array(["u", "v", "w"]), 8), strict=True))
        stays = np.isin(inner, list("abc"))
        outer[stays] = [home[label] for label in inner[stays]]
        met = _others(inner, outer)
        wrong = [_astray(outer, inner), _surplus(inner, outer), _rows_astray(inner, outer)]
        # no mistake may give the right number by chance
        if 0 < (met > 1).sum() < len(met) and _astray(inner, outer) not in wrong:
            return inner, outer


def _others(inner: Labels, outer: Labels) -> Array:
    """How many levels of outer each level of inner meets."""
    return np.array([len(np.unique(outer[inner == level])) for level in np.unique(inner)], float)


def _astray(inner: Labels, outer: Labels) -> float:
    return float((_others(inner, outer) > 1).sum())


def _surplus(inner: Labels, outer: Labels) -> float:
    return float((_others(inner, outer) - 1).sum())


def _rows_astray(inner: Labels, outer: Labels) -> float:
    met = dict(zip(np.unique(inner), _others(inner, outer), strict=True))
    return float(sum(met[label] > 1 for label in inner))


ASTRAY = exercise(
    "nested-2",
    Function("f(inner, outer)", _labels, Number(EXACT)),
    _astray,
    other_way=lambda inner, outer: _astray(outer, inner),
    surplus=_surplus,
    rows=_rows_astray,
)

# --- nested-3: ten times the plates


@cache
def _plates(method: str) -> Fit:
    y, plate, sample = data.penicillin()
    return fit(y, np.ones((len(y), 1)), [Term(plate), Term(sample)], method)


def _change(more: Any = (10, 1, 10), power: float = 0.5, method: str = "REML") -> float:
    """Factor by which a power of the variance of the mean changes, its parts divided by more."""
    model = _plates(method)
    per = np.array([model.Sigma[0][0, 0] / 24, model.Sigma[1][0, 0] / 6, model.tau2 / 144])
    return float(((per / more).sum() / per.sum()) ** power)


TENFOLD = exercise(
    "nested-3",
    Number(),
    _change,
    all_tenfold=lambda: _change((10, 10, 10)),
    variance=lambda: _change(power=1),
    ml=lambda: _change(method="ML"),
    noise_kept=lambda: _change((10, 1, 1)),
)

# --- nested-4: crossed and yet without fill


def _two_factors(answer: object) -> tuple[Labels, Labels]:
    """Numbers of the levels of both factors, neither nested in the other."""
    pair = parts(answer, 2, "(first, second) of two lists of labels")
    first, second = ([str(label) for label in _list(part)] for part in pair)
    if len(first) != len(second) or not 3 <= len(first) <= 12:
        raise Unfit("Give two lists of the same length, from 3 to 12 rows; yours have "
                    f"{len(first)} and {len(second)}.")  # fmt: skip
    codes = [np.unique(labels, return_inverse=True)[1] for labels in (first, second)]
    if min(_others(*codes).max(), _others(*codes[::-1]).max()) < 2:
        raise Unfit("One of your factors is nested in the other: there the claim says nothing.")
    return codes[0], codes[1]


def _list(part: object) -> Any:
    if isinstance(part, (list, tuple, np.ndarray)):
        return part
    raise Unfit("Give two lists of labels, one label for each row.")


def _rings(given: tuple[Labels, Labels]) -> float:
    """Whether some levels that meet form a ring: more meetings than a forest has."""
    first, second = given
    meetings = np.unique(np.column_stack([first, second]), axis=0)
    J = int(first.max()) + 1
    K = int(second.max()) + 1
    island = np.arange(J + K)
    for one, other in meetings:
        island[island == island[J + other]] = island[one]
    forest = J + K - len(np.unique(island))
    return float(len(meetings) > forest)


def _everybody_meets(given: tuple[Labels, Labels]) -> bool:
    first, second = given
    meetings = np.unique(np.column_stack([first, second]), axis=0)
    return bool(len(meetings) == (first.max() + 1) * (second.max() + 1))


CHAIN = exercise(
    "nested-4",
    Counterexample(_two_factors, _rings, lambda given: 1.0),
    full=_everybody_meets,
    ring=lambda given: True,
)

# --- nested-5: prices


def _prices(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(v) for v in np.exp(rng.uniform(-1.5, 1.5, 6)))


def stages(s1: float, s2: float, t2: float, kb: float, kc: float, ka: float) -> Array:
    """Casks per batch and assays per cask at the least variance for the money."""
    return np.sqrt([s2 / s1 * kb / kc, t2 / s2 * kc / ka])


PRICES = exercise(
    "nested-5",
    Function("f(s1, s2, t2, kb, kc, ka)", _prices, Numbers(EXACT)),
    stages,
    no_root=lambda *given: stages(*given) ** 2,
    prices_upside_down=lambda s1, s2, t2, *k: stages(s1, s2, t2, *(1 / each for each in k)),
    variances_upside_down=lambda s1, s2, t2, *k: stages(1 / s1, 1 / s2, 1 / t2, *k),
    all_assays=lambda *given: stages(*given) * [1, stages(*given)[0]],
)
