"""Estimating the variances, and with them everything else."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from .assembly import Assembly, assemble
from .gram import Gram, Names, Terms, Weights
from .inputs import Array, positive, unchecked
from .optimum import DEAR, minimise, whole
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


def _alone(gram: Gram, reml: bool, known: float | None) -> Any:
    """T that each term finds alone, over the noise that all leave; second derivatives there."""
    faces, T, noise = [], [], []
    for k in gram.blocks:
        alone, (t,) = _optimum(replace(gram, blocks=(k,), cross={}), reml, known)
        faces.append(whole(alone.criterion, [(k.q, k.correlated)]))
        T.append(t)
        noise.append([getattr(alone.criterion.solve([x]), "tau2", 1e-300) for x in (t, 0 * t)])
    left, (total, *_) = np.array(noise).T
    least = left if known else max(left.sum() - (len(T) - 1) * total, left.min() / 4)
    bends = [face.local(face.pack([t])[None])[2][0] for face, t in zip(faces, T, strict=True)]
    return [t * c for t, c in zip(T, np.sqrt(left / least), strict=True)], block_diag(*bends)


def _finished(assembly: Assembly, T: list[Array], method: str, known: Any, rows: Any) -> Fit:
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
    tau2, cov = float(at.tau2 * y**2), at.tau2 * root @ root.T
    about = gram, method, roots, singular, at.value, tau2, known is not None, fixed, cov
    return Fit(*about, rows=rows)


def _upright(T: Array) -> Array:
    """Give every column of T a positive leading entry; T T' stays the same."""
    lead = T[np.argmax(T != 0, axis=0), np.arange(len(T))]
    return T * np.where(lead < 0, -1.0, 1.0)
