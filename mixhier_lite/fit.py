"""Estimating the variances, and with them everything else."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from .assembly import Assembly, assemble
from .blup import Solved, conditional_variances, error_variances, random_effects
from .gram import Gram, Names, Terms, Weights
from .inputs import Array, positive, unchecked
from .optimum import DEAR, Start, minimise, whole
from .refusals import left_of_y, refuse_gram, refused
from .report import Report
from .term import Term


@dataclass(frozen=True, eq=False)
class Fit(Report):
    """A fitted linear mixed model."""

    gram: Gram
    """The data."""
    method: str
    """"REML" or "ML"."""
    T: tuple[Array, ...] = field(repr=False)
    """For each term a root of Sigma / tau2: T T' = Sigma / tau2, shape (q, q)."""
    singular: bool
    """Whether the estimated covariance of a term is rank deficient."""
    criterion: float
    """-2 log likelihood, or the REML criterion (lme4's constants)."""
    tau2: float
    """Variance of the noise (of a row of weight one)."""
    tau2_known: bool
    fixed: Array
    """alpha_hat, shape (p,)."""
    fixed_cov: Array
    """Covariance of alpha_hat, shape (p, p)."""
    design: Any = field(default=None, repr=False)
    """How ``lmer`` builds columns from a data frame; None after ``fit``."""
    formula: str | None = None
    """The formula, after ``lmer``."""
    rows: Any = field(default=None, repr=False)
    """X, terms and weights (or None) of the rows; None after ``fit(gram)``."""

    @property
    def Sigma(self) -> tuple[Array, ...]:
        """The covariance of each term's coefficients, shape (q_t, q_t), without K."""
        return tuple(self.tau2 * (T @ T.T) for T in self.T)

    @property
    def theta(self) -> Array:
        """The lower triangle of every T, column by column; its diagonal where uncorrelated."""
        pairs = zip(self.T, self.gram.blocks, strict=True)
        some = [T.T[np.triu_indices(len(T))] if k.correlated else np.diag(T) for T, k in pairs]
        return np.concatenate(some)

    @cached_property
    def _solved(self) -> Solved:
        known = self.tau2 if self.tau2_known else None
        assembly = assemble(self.gram, self.method == "REML", known, pool=False)
        T = assembly.to_scaled(self.T)
        at = assembly.criterion.solve(T)
        assert at is not None
        return Solved(assembly, T, at)

    @cached_property
    def random(self) -> tuple[Array, ...]:
        """The BLUPs of each term, shape (J_t, q_t)."""
        return random_effects(self._solved)

    @cached_property
    def cond_var(self) -> tuple[Array, ...]:
        """Variance of beta given y were alpha known, shape (J_t, q_t, q_t)."""
        return conditional_variances(self._solved)

    @cached_property
    def random_cov(self) -> tuple[Array, ...]:
        """Prediction error variance = flat-prior posterior variance, shape (J_t, q_t, q_t)."""
        return error_variances(self._solved)


def fit(
    y: ArrayLike | Gram, X: ArrayLike | None = None, terms: Terms | None = None,
    method: str = "REML", weights: Weights = None, tau2: float | None = None, names: Names = None,
) -> Fit:  # fmt: skip
    """Fit y = X alpha + sum of Z beta + eps by REML or ML, from arrays or from a Gram.

    Parameters
    ----------
    y : array_like, shape (n,), or Gram
        With a Gram neither X, terms, weights nor names are passed.
    X : array_like, shape (n, p)
    terms : Term or sequence of Term
    method : {"REML", "ML"}
    weights : array_like, shape (n,), optional
        Var(eps_i) = tau2 / w_i.
    tau2 : float, optional
        Known variance of the noise: with ``tau2=1, weights=1/se**2`` this is meta-analysis.
    names : sequence of str, optional
        Names of the columns of X.

    Raises
    ------
    InputError
        An input for which the model has no answer; see the messages.

    Examples
    --------
    >>> y, g = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 8.0]), np.repeat([0, 1, 2], 2)
    >>> model = fit(y, np.ones((6, 1)), Term(g))
    >>> round(model.tau2, 4), model.Sigma[0].round(4)
    (0.5, array([[12.0833]]))
    """
    if method not in ("REML", "ML"):
        raise refused("method", method=method)
    if isinstance(y, Gram):
        if any(given is not None for given in (X, terms, weights, names)):
            raise refused("both")
        gram, rows = y, None
    else:
        if X is None or terms is None:
            raise refused("y-alone")
        gram = Gram.from_arrays(y, X, terms, weights, names)
        w = None if weights is None else np.array(weights, dtype=np.float64)
        rows = (unchecked(X, "X", 2), (terms,) if isinstance(terms, Term) else tuple(terms), w)
    known = None if tau2 is None else positive(tau2, "tau2")
    refuse_gram(gram, known)
    assembly, T = _optimum(gram, method == "REML", known)
    return _finished(assembly, T, method, known, rows)


def _optimum(gram: Gram, reml: bool, known: float | None) -> tuple[Assembly, list[Array]]:
    """Find T for every term; where looking around is costly, from what each term says alone."""
    assembly, start = assemble(gram, reml, known), None
    if assembly.criterion.size[1] > DEAR and len(gram.blocks) > 1:
        start = _alone(gram, reml, known)
    shapes = [(k.q, k.correlated) for k in gram.blocks]
    return assembly, minimise(assembly.criterion, shapes, start)


def _alone(gram: Gram, reml: bool, known: float | None) -> Start:
    """T that each term finds alone, over the noise that all leave; second derivatives there."""
    T, bends, noise = [], [], []
    for k in gram.blocks:
        alone, (own,) = _optimum(replace(gram, blocks=(k,), cross={}), reml, known)
        face = whole(alone.criterion, [(k.q, k.correlated)])
        at = alone.criterion.solve([own])
        T.append(own)
        noise.append(1e-300 if at is None else at.tau2)
        bends.append(face.local(face.pack([own])[None])[2][0])
    total = left_of_y(gram) / alone.scale[-1] ** 2 / alone.criterion.nu
    least = max(sum(noise) - (len(noise) - 1) * total, min(noise) / 4)
    share = np.sqrt(np.array(noise) / (least if known is None else noise))
    return [t * c for t, c in zip(T, share)], block_diag(*bends)


def _finished(
    assembly: Assembly, T: list[Array], method: str, known: float | None, rows: Any
) -> Fit:
    """Read the estimates at the optimum, in the reader's units."""
    gram, criterion = assembly.gram, assembly.criterion
    at = criterion.solution(*criterion.many([t[None] for t in T]))
    p, x, y = gram.p, assembly.scale[:-1], assembly.scale[-1]
    if at is None or (known is None and at.tau2 * y**2 * gram.n <= 1e-12 * left_of_y(gram)):
        raise refused("perfect")
    back = gram.H_inverse[:p, :p] / x * y
    fixed, root = gram.H_inverse[:p, :p] @ gram.H[:p, p] + back @ at.alpha, back @ at.root
    roots = tuple(_upright(t / d[:, None]) for t, d in zip(T, assembly.units, strict=True))
    singular = not all(t.any(axis=0).all() for t in T)
    tau2 = at.tau2 * y**2
    cov = at.tau2 * root @ root.T
    about = gram, method, roots, singular, at.value, float(tau2), known is not None, fixed, cov
    return Fit(*about, rows=rows)


def _upright(T: Array) -> Array:
    """Give every column of T a positive leading entry; T T' stays the same."""
    lead = T[np.argmax(T != 0, axis=0), np.arange(len(T))]
    return T * np.where(lead < 0, -1.0, 1.0)
