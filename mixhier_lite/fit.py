"""Estimating the variances, and with them everything else."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import summary
from .assembly import Assembly, assemble
from .blup import Solved, conditional_variances, error_variances, random_effects
from .errors import InputError
from .gram import Gram
from .inputs import Array, positive, real
from .optimum import minimise
from .prediction import Prediction, predict
from .refusals import refuse_gram, refuse_perfect
from .term import Labels, Term

if TYPE_CHECKING:
    from .bootstrap import Bootstrap


@dataclass(frozen=True, eq=False)
class Fit:
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
    """X, terms and weights of the rows; None after ``fit(gram)``."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.gram.n

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of X."""
        return self.gram.names

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms."""
        return tuple(k.name or f"term {t + 1}" for t, k in enumerate(self.gram.blocks))

    @property
    def levels(self) -> tuple[Labels, ...]:
        """The labels of each term, shape (J_t,)."""
        return tuple(k.levels for k in self.gram.blocks)

    @property
    def Sigma(self) -> tuple[Array, ...]:
        """The covariance of each term's coefficients, shape (q_t, q_t), without K."""
        return tuple(self.tau2 * (T @ T.T) for T in self.T)

    @property
    def theta(self) -> Array:
        """The lower triangle of every T, column by column; its diagonal where uncorrelated."""
        parts = [
            T.T[np.triu_indices(len(T))] if k.correlated else np.diag(T)
            for T, k in zip(self.T, self.gram.blocks, strict=True)
        ]
        return np.concatenate([*parts, np.zeros(0)])

    @property
    def loglik(self) -> float:
        """Log likelihood (ML) or restricted log likelihood (REML)."""
        return -self.criterion / 2

    @property
    def df(self) -> int:
        """Number of parameters estimated."""
        return len(self.fixed) + len(self.theta) + (not self.tau2_known)

    @property
    def aic(self) -> float:
        """Akaike's criterion, criterion + 2 df."""
        return self.criterion + 2 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion, criterion + df log n."""
        return self.criterion + self.df * float(np.log(self.n))

    @cached_property
    def _solved(self) -> Solved:
        return solved(self)

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

    def predict(
        self,
        X: Any,
        terms: Term | Sequence[Term] | None = None,
        new_groups: str = "error",
    ) -> Prediction:
        """Predict new rows from arrays, or from a data frame after ``lmer``.

        Parameters
        ----------
        X : array_like, shape (n_new, p), or data frame
        terms : Term or sequence of Term, optional
            The groups of the new rows. None averages over groups.
        new_groups : {"error", "population"}
            What to do with a group that the fit has not seen: refuse it, or average over groups.

        Returns
        -------
        Prediction
        """
        if hasattr(X, "columns") and self.design is not None:
            X, terms = self.design.rows(X, new_groups)
        return predict(self._solved, self.fixed, self.Sigma, X, terms, new_groups)

    def simulate(self, rng: np.random.Generator) -> Array:
        """Draw a new response for the rows of the fit, shape (n,), with new random effects.

        Raises
        ------
        InputError
            The fit holds a Gram only, and a Gram has no rows.
        """
        if self.rows is None:
            raise InputError(
                "this fit holds a Gram, and a Gram has no rows to simulate.",
                "a fit from arrays or a formula",
                "fit(gram)",
                "call fit(y, X, terms)",
            )
        X, terms, weights = self.rows
        y: Array = X @ self.fixed
        y += rng.standard_normal(len(y)) * np.sqrt(self.tau2 / weights)
        for term, T in zip(terms, self.T, strict=True):
            u = rng.standard_normal((len(term.levels), term.q)) @ T.T * np.sqrt(self.tau2)
            beta = u if term.root is None else term.root @ u
            y += beta[term.codes, 0] if term.Z is None else (term.Z * beta[term.codes]).sum(axis=1)
        return y

    def interval(self, level: float = 0.95) -> Array:
        """Wald intervals of the fixed effects, shape (p, 2); too short with few groups."""
        return np.asarray(summary.wald(self, level))

    def bootstrap(
        self, draws: int, rng: np.random.Generator, progress: bool = False
    ) -> "Bootstrap":
        """Draw data from the fit and fit them again, see :func:`mixhier_lite.bootstrap`."""
        from .bootstrap import bootstrap

        return bootstrap(self, draws, rng, progress)

    def table(self, level: float = 0.95) -> Any:
        """Fixed effects with standard errors and Wald intervals, as a data frame."""
        return summary.fixed_table(self, level)

    def random_table(self, t: int = 0) -> Any:
        """Random effects of term t, as a data frame.

        ``sd, alpha known`` is the root of ``cond_var`` and ``sd`` that of ``random_cov``.
        """
        return summary.random_table(self, t)

    def summary(self) -> str:
        """Write the fit as text."""
        return summary.text(self)

    def __str__(self) -> str:
        """The summary."""
        return summary.text(self)

    def _repr_html_(self) -> str:
        return summary.html(self)


def fit(
    y: npt.ArrayLike | Gram,
    X: npt.ArrayLike | None = None,
    terms: Term | Sequence[Term] | None = None,
    method: str = "REML",
    weights: npt.ArrayLike | None = None,
    tau2: float | None = None,
    names: Sequence[str] | None = None,
) -> Fit:
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
    >>> model.tau2.round(4), model.Sigma[0].round(4)
    (np.float64(0.5), array([[12.0833]]))
    """
    if method not in ("REML", "ML"):
        raise InputError(
            "method is unknown.", "'REML' or 'ML'", repr(method), "see chapter variance"
        )
    if isinstance(y, Gram):
        if X is not None or terms is not None or weights is not None or names is not None:
            raise InputError(
                "a Gram already holds X, terms, weights and names.",
                "fit(gram, method=..., tau2=...)",
                "a Gram together with one of them",
                "leave them out, or pass arrays throughout",
            )
        gram, rows = y, None
    else:
        if X is None or terms is None:
            raise InputError(
                "X and terms are missing.",
                "fit(y, X, terms) or fit(gram)",
                "y alone",
                "pass X = np.ones((n, 1)) for an intercept and terms = Term(groups)",
            )
        gram = Gram.from_arrays(y, X, terms, weights, names)
        terms = (terms,) if isinstance(terms, Term) else tuple(terms)
        w = np.ones(gram.n) if weights is None else np.array(weights, dtype=np.float64)
        rows = (real(X, "X", 2), terms, w)
    known = None if tau2 is None else positive(tau2, "tau2")
    refuse_gram(gram, known, method == "REML")
    assembly = assemble(gram, method == "REML", known)
    shapes = tuple((k.q, k.correlated) for k in gram.blocks)
    T = minimise(assembly.criterion, shapes)
    singular = not all(t.any(axis=0).all() for t in T)
    return replace(_finished(assembly, T, method, singular, known), rows=rows)


def _finished(
    assembly: Assembly, T: list[Array], method: str, singular: bool, known: float | None
) -> Fit:
    """Read the estimates at the optimum, in the reader's units."""
    gram, at = assembly.gram, assembly.criterion.solve(T)
    refuse_perfect(gram, assembly, at)
    assert at is not None
    p = gram.p
    x, y = assembly.scale[:p], assembly.scale[p]
    back = gram.H_inverse[:p, :p] / x
    fixed = gram.H_inverse[:p, :p] @ gram.H[:p, p] + back @ (at.alpha * y)
    root = back @ at.root * y
    roots = tuple(_upright(t) for t in assembly.to_units(T))
    tau2 = at.tau2 * y**2
    cov = at.tau2 * root @ root.T
    return Fit(gram, method, roots, singular, at.value, float(tau2), known is not None, fixed, cov)


def solved(model: Fit) -> Solved:
    """Solve a fitted model level by level, without pooling."""
    assembly = assemble(
        model.gram, model.method == "REML", model.tau2 if model.tau2_known else None, pool=False
    )
    T = assembly.to_scaled(list(model.T))
    at = assembly.criterion.solve(T)
    assert at is not None
    return Solved(assembly, T, at)


def _upright(T: Array) -> Array:
    """Give every column of T a positive leading entry; T T' stays the same."""
    lead = T[np.argmax(T != 0, axis=0), np.arange(len(T))]
    return T * np.where(lead < 0, -1.0, 1.0)
