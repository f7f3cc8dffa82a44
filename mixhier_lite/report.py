"""What a fit can tell: predictions, intervals, tables, a summary."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import summary
from .assembly import assemble
from .blup import Solved, conditional_variances, error_variances, random_effects
from .errors import InputError
from .groups import Labels
from .inputs import Array
from .prediction import Prediction, predict
from .term import Term

if TYPE_CHECKING:
    from .bootstrap import Bootstrap
    from .profile import Profile
    from .satterthwaite import Satterthwaite


class Report:
    """Methods of :class:`mixhier_lite.Fit` that only read it."""

    @property
    def n(self: Any) -> int:
        """Number of rows."""
        return int(self.gram.n)

    @property
    def names(self: Any) -> tuple[str, ...]:
        """Names of the columns of X."""
        return tuple(self.gram.names)

    @property
    def term_names(self: Any) -> tuple[str, ...]:
        """Names of the terms."""
        return tuple(k.name or f"term {t + 1}" for t, k in enumerate(self.gram.blocks))

    @property
    def levels(self: Any) -> tuple[Labels, ...]:
        """The labels of each term, shape (J_t,)."""
        return tuple(k.levels for k in self.gram.blocks)

    @property
    def Sigma(self: Any) -> tuple[Array, ...]:
        """The covariance of each term's coefficients, shape (q_t, q_t), without K."""
        return tuple(self.tau2 * (T @ T.T) for T in self.T)

    @property
    def theta(self: Any) -> Array:
        """The lower triangle of every T, column by column; its diagonal where uncorrelated."""
        pairs = zip(self.T, self.gram.blocks, strict=True)
        some = [T.T[np.triu_indices(len(T))] if k.correlated else np.diag(T) for T, k in pairs]
        return np.concatenate(some)

    @cached_property
    def _solved(self: Any) -> Solved:
        known = self.tau2 if self.tau2_known else None
        assembly = assemble(self.gram, self.method == "REML", known, pool=False)
        T = assembly.to_scaled(self.T)
        at = assembly.criterion.solve(T)
        assert at is not None
        return Solved(assembly, T, at)

    @cached_property
    def random(self: Any) -> tuple[Array, ...]:
        """The BLUPs of each term, shape (J_t, q_t)."""
        return random_effects(self._solved)

    @cached_property
    def cond_var(self: Any) -> tuple[Array, ...]:
        """Variance of beta given y were alpha known, shape (J_t, q_t, q_t)."""
        return conditional_variances(self._solved)

    @cached_property
    def random_cov(self: Any) -> tuple[Array, ...]:
        """Prediction error variance = flat-prior posterior variance, shape (J_t, q_t, q_t)."""
        return error_variances(self._solved)

    @property
    def loglik(self: Any) -> float:
        """Log likelihood (ML) or restricted log likelihood (REML)."""
        return float(-self.criterion / 2)

    @property
    def df(self: Any) -> int:
        """Number of parameters estimated."""
        return len(self.fixed) + len(self.theta) + (not self.tau2_known)

    @property
    def aic(self: Any) -> float:
        """Akaike's criterion, criterion + 2 df."""
        return float(self.criterion + 2 * self.df)

    @property
    def bic(self: Any) -> float:
        """Schwarz's criterion, criterion + df log n."""
        return float(self.criterion + self.df * np.log(self.n))

    def predict(
        self: Any,
        X: Any,
        terms: Term | Sequence[Term] | None = None,
        new_groups: str = "error",
    ) -> Prediction:
        """Predict new rows from arrays, or from a data frame after ``lmer``.

        Parameters
        ----------
        X : array_like, shape (n_new, p), or data frame
        terms : Term or sequence of Term, optional
            The groups of the new rows, for arrays. None takes every row for one of a new group,
            even where the fit knows the group. With a data frame the groups are its columns, and
            this is not used: leave a grouping column out, and pass ``new_groups="population"``,
            to average over its groups. Leaving out all of them is lme4's ``re.form = NA``.
        new_groups : {"error", "population"}
            What to do with a group that the fit has not seen: refuse it, or average over groups.

        Returns
        -------
        Prediction
        """
        if hasattr(X, "columns") and self.design is not None:
            X, terms = self.design.rows(X, new_groups)
        return predict(self._solved, self.fixed, self.Sigma, X, terms, new_groups)

    def simulate(self: Any, rng: np.random.Generator) -> Array:
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
        y += rng.standard_normal(len(y)) * np.sqrt(
            self.tau2 / (1.0 if weights is None else weights)
        )
        for term, T, block in zip(terms, self.T, self.gram.blocks, strict=True):
            u = rng.standard_normal((len(term.levels), term.q)) @ T.T * np.sqrt(self.tau2)
            beta = u if block.root is None else block.root @ u
            y += beta[term.codes, 0] if term.Z is None else (term.Z * beta[term.codes]).sum(axis=1)
        return y

    def interval(self: Any, level: float = 0.95) -> Array:
        """Wald intervals of the fixed effects, shape (p, 2); too short with few groups.

        ``satterthwaite().interval(level)`` and ``bootstrap(draws, rng).interval(level)`` allow
        for few groups, ``profile().interval(level)`` for a likelihood that is not a parabola.
        """
        return np.asarray(summary.wald(self, level))

    def bootstrap(
        self: Any, draws: int, rng: np.random.Generator, progress: bool = False
    ) -> "Bootstrap":
        """Draw data from the fit and fit them again."""
        from .bootstrap import bootstrap

        return bootstrap(self, draws, rng, progress)

    def satterthwaite(self: Any) -> "Satterthwaite":
        """Degrees of freedom for t intervals."""
        from .satterthwaite import satterthwaite

        return satterthwaite(self)

    def profile(self: Any, progress: bool = False) -> "Profile":
        """Profile likelihood of every parameter."""
        from .profile import profile

        return profile(self, progress)

    def table(self: Any, level: float = 0.95) -> Any:
        """Fixed effects with standard errors and Wald intervals, as a data frame."""
        return summary.fixed_table(self, level)

    def random_table(self: Any, t: int = 0) -> Any:
        """Random effects of term t, as a data frame.

        ``sd, alpha known`` is the root of ``cond_var`` and ``sd`` that of ``random_cov``. A
        random intercept that is alone in its term is called 1, beside slopes (Intercept).
        """
        return summary.random_table(self, t)

    def summary(self: Any) -> str:
        """Write the fit as text.

        The Wald intervals take the estimated variances as known. With few groups they are too
        short: ``satterthwaite().interval()`` allows for that.
        """
        return summary.text(self)

    def __str__(self: Any) -> str:
        """The summary."""
        return summary.text(self)

    def _repr_html_(self: Any) -> str:
        return summary.html(self)
