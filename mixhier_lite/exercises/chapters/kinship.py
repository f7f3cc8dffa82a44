"""Exercises of chapter *kinship*."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...after.fit import fit
from ...gram.term import Term
from ...inputs import Array
from ...kinship import pedigree_relatedness
from ...known.mixed import LinearMixedModel
from ...known.ridge import ridge
from ..framework import Counterexample, Function, Numbers, Unfit, choice, data, exercise, parts

# --- kinship-1: a foal of its own grandsire


def _stud() -> Array:
    parents: dict[Any, Any] = {
        "stallion": (None, None), "mare": (None, None),
        "filly": ("stallion", "mare"), "foal": ("stallion", "filly")}  # fmt: skip
    return pedigree_relatedness(parents).matrix.copy()


def _foal(A: Array) -> Array:
    """Relatedness to the stallion, inbreeding, correlation with the stallion."""
    return np.array([A[3, 0], A[3, 3] - 1, A[3, 0] / (A[3, 3] * A[0, 0]) ** 0.5])


def _not_inbred() -> Array:
    A = _stud()
    A[3, 3] = A[0, 0]
    return _foal(A)


def _with_diagonal() -> Array:
    moved: Array = _foal(_stud()) + _stud()[0, 0] * np.array([0.0, 1.0, 0.0])
    return moved


FOAL = exercise(
    "kinship-1",
    Numbers(),
    lambda: _foal(_stud()),
    not_inbred=_not_inbred,
    whole_diagonal=_with_diagonal,
    halved=lambda: np.append(_foal(_stud())[:2] / 2, _foal(_stud())[2]),
    covariance=lambda: _foal(_stud())[[0, 1, 0]],
)

# --- kinship-2: effects of markers


def _on_markers(rng: np.random.Generator) -> tuple[Any, ...]:
    X, D = data.design(rng)
    S = 1.0 * rng.choice([-1.0, 1.0], (D.shape[1], int(rng.integers(12, 20))))
    S += 0.1 * rng.standard_normal(S.shape)
    return X, D, S, rng.normal(10, 3, len(X)), *data.variances(rng)


def marker_effects(X: Array, D: Array, S: Array, y: Array, sigma2: float, tau2: float) -> Array:
    """Ridge on markers with the variance sigma2 / m for each, shape (m,)."""
    m = S.shape[1]
    return ridge(LinearMixedModel(X, D @ S, sigma2 / m * np.eye(m), tau2), y).random


MARKERS = exercise(
    "kinship-2",
    Function("f(X, D, S, y, sigma2, tau2)", _on_markers),
    marker_effects,
    variance_of_a_strain=lambda X, D, S, y, s, t: marker_effects(X, D, S, y, s * S.shape[1], t),
    upside_down=lambda X, D, S, y, s, t: marker_effects(X, D, S, y, t * S.shape[1] ** 2, s),
    predictions=lambda X, D, S, y, s, t: S @ marker_effects(X, D, S, y, s, t),
    K_left_out=lambda X, D, S, y, s, t: S.T @ S @ marker_effects(X, D, S, y, s, t) / S.shape[1],
    without_fixed_effects=lambda X, D, S, y, s, t: marker_effects(X[:, :0], D, S, y, s, t),
)

# --- kinship-3: another code for the same markers


def _recoded() -> str:
    rng = np.random.default_rng()
    for _ in range(50):
        S = rng.choice([-1.0, 1.0], (12, 40))
        labels = np.repeat(np.arange(12), 4)
        y = 10 + (S @ rng.normal(0, 0.4, 40))[labels] + rng.standard_normal(48)
        fits = [
            fit(y, np.ones((48, 1)), Term(labels, K=coded @ coded.T / 40))
            for coded in (S, (S + 1) / 2)
        ]
        sigma2, tau2 = np.array([(f.Sigma[0].item(), f.tau2) for f in fits]).T
        if sigma2[0] > 0.5:
            break
    one, two = (f.random[0][:, 0] - f.random[0].mean() for f in fits)
    if not (np.allclose(one, two, atol=1e-3) and np.allclose(tau2[0], tau2[1], rtol=1e-3)):
        return "everything"
    names = {-2: "sigma2 a quarter", 0: "nothing", 2: "sigma2 four times"}
    return names.get(int(np.round(np.log2(sigma2[1] / sigma2[0]))), "everything")


CODE = choice("kinship-3", _recoded)

# --- kinship-4: an ancestor without a record


def _ancestor(answer: object) -> tuple[dict[Any, Any], Any]:
    parents, name = parts(answer, 2, "(parents, name)")
    if not isinstance(parents, Mapping):
        raise Unfit("The first part of the tuple is to be a dict, as in the chapter: an animal "
                    "and the pair of its parents.")  # fmt: skip
    if name not in parents:
        raise Unfit("The second part of the tuple is to be one of the animals of the pedigree.")
    if len(parents) < 3:
        raise Unfit("Two animals at least are to remain when you take one out.")
    pedigree_relatedness(parents)
    return dict(parents), name


def _others(given: tuple[dict[Any, Any], Any]) -> Array:
    parents, name = given
    keep = [k for k, other in enumerate(parents) if other != name]
    return pedigree_relatedness(parents).matrix[np.ix_(keep, keep)]


def _taken_out(given: tuple[dict[Any, Any], Any]) -> Array:
    parents, name = given
    rest = {animal: tuple(None if parent == name else parent for parent in pair)
            for animal, pair in parents.items() if animal != name}  # fmt: skip
    return pedigree_relatedness(rest).matrix


def _offspring(given: tuple[dict[Any, Any], Any]) -> int:
    parents, name = given
    return sum(name in pair for pair in parents.values())


ANCESTOR = exercise(
    "kinship-4",
    Counterexample(_ancestor, _others, _taken_out),
    childless=lambda given: _offspring(given) == 0,
    single_calf=lambda given: _offspring(given) == 1,
)

# --- kinship-5: clones among the relatives


def _with_clones(rng: np.random.Generator) -> tuple[Any, ...]:
    J = int(rng.integers(8, 12))
    S = rng.choice([-1.0, 1.0], (J, 30)) + 0.3 * rng.standard_normal((1, 30))
    order = rng.permutation(J)
    measured = np.zeros(J, dtype=bool)
    measured[order[:5]] = True
    S[order[1]] = S[order[0]]  # two of the measured are clones
    K = S @ S.T / 30
    return K, measured, K[np.ix_(measured, measured)] @ rng.standard_normal(5)


def from_relatives(K: Array, measured: Any, blup: Array) -> Any:
    """K_uo K_oo^+ beta_o, shape (number of unmeasured,)."""
    return _smooth(K, measured, blup)[~measured]


def _smooth(K: Array, o: Any, blup: Array) -> Any:
    return K[:, o] @ np.linalg.pinv(K[np.ix_(o, o)], hermitian=True) @ blup


def _weighted(K: Array, o: Any, blup: Array) -> Any:
    return K[np.ix_(~o, o)] @ blup


RELATIVES = exercise(
    "kinship-5",
    Function("f(K, measured, blup)", _with_clones),
    from_relatives,
    relatedness_alone=_weighted,
    weights_sum_to_one=lambda K, o, b: _weighted(K, o, b) / _weighted(K, o, np.ones(len(b))),
    one_by_one=lambda K, o, b: _weighted(K, o, b) / np.diag(K)[o].mean(),
    block_of_inverse=lambda K, o, b: _weighted(np.linalg.pinv(K, hermitian=True), o, b),
    all_strains=_smooth,
)

# --- kinship-6: the inverse is sparse


def _pedigree(rng: np.random.Generator) -> tuple[Any, ...]:
    """Elders first; some animals are inbred, and some of these are parents."""
    parents: dict[Any, tuple[str | None, str | None]] = {
        "k": (None, None), "b": (None, None), "h": ("k", "b"), "a": ("k", "h"),
        "g": ("a", None), "c": ("a", "g")}  # fmt: skip
    for name in "fed"[: rng.integers(1, 4)]:
        one, two = rng.choice(list(parents), 2, replace=False)
        parents[name] = (str(one), None if rng.random() < 0.3 else str(two))
    return parents, np.diag(pedigree_relatedness(parents)) - 1


def _rule(parents: Mapping[str, Any], weights: Array) -> Array:
    """(I - T)' diag(weights) (I - T) with one half at the parents in T."""
    names = list(parents)
    rest = np.eye(len(parents))
    for j, pair in enumerate(parents.values()):
        rest[j, [names.index(parent) for parent in pair if parent]] = -0.5
    return np.asarray(rest.T @ (weights[:, None] * rest))


def _known(parents: Mapping[str, Any]) -> Array:
    return np.array([sum(p is not None for p in pair) for pair in parents.values()])


SPARSE = exercise(
    "kinship-6",
    Function("f(parents, inbreeding)", _pedigree),
    lambda parents, inbreeding: np.linalg.inv(pedigree_relatedness(parents)),
    parents_not_inbred=lambda parents, F: _rule(parents, 1 / (1 - _known(parents) / 4)),
    own_inbreeding=lambda parents, F: _rule(parents, 1 / (1 + F - _known(parents) / 4)),
    all_founders=lambda parents, F: _rule(parents, np.ones(len(parents))),
    not_inverted=lambda p, F: pedigree_relatedness(p),
)
