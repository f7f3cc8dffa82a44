"""A fitted model and its verbs: predict, simulate, tell, draw again, test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import refused
from ..fitted import summary
from ..fitted.bootstrap import Bootstrap, bootstrap
from ..fitted.estimates import Estimates, estimate
from ..fitted.prediction import NewRows, Prediction, check_new_groups, new_rows, predict
from ..fitted.profile import Profile, profile
from ..fitted.satterthwaite import Precision, Satterthwaite, precision, satterthwaite
from ..fitted.simulation import Rows, simulated
from ..fitted.summary import About
from ..fitted.tables import Origin
from ..gram.gram import Gram, Names, Terms, Weights
from ..gram.term import Term
from ..inputs import Array, generator, index_of, one_of, positive, unchecked
from ..values import brief, frozen
from . import rows as by_row
from .anova import anova
from .combination import read_combinations
from .contrast import Contrast, contrast
from .means import Means, means
from .r2 import R2, r2


class Reader(Protocol):
    """What reads the rows of a data frame for a fit, see :class:`mixhier_lite.formulas.design`."""

    @property
    def dropped(self) -> int:
        """Rows left out of the fit."""
        ...

    @property
    def origin(self) -> Origin:
        """The data frame."""
        ...

    @property
    def aliased(self) -> tuple[str, ...]:
        """Columns of X that were dropped."""
        ...

    def rows(self, data: Any, new_groups: str) -> NewRows:
        """The columns and groups of new rows."""
        ...

    def hypotheses(self) -> list[tuple[str, Array]]:
        """L of the hypothesis of type III of every term."""
        ...

    def averages(self, factor: str, by: str | None) -> tuple[list[tuple[Any, ...]], Array]:
        """Cells, and the rows of X that their means are."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Estimates):
    """A fitted linear mixed model."""

    design: "Reader | None" = field(default=None, repr=False)
    """How ``lmer`` builds columns from a data frame; None after ``fit``."""
    formula: str | None = None
    """The formula, after ``lmer``."""
    rows: Rows | None = field(default=None, repr=False)
    """y, X, terms and weights of the rows; None after ``fit(gram)``."""

    @property
    def aliased(self) -> tuple[str, ...]:
        """Columns of X that ``lmer(..., aliased="drop")`` left out as combinations of others."""
        return () if self.design is None else self.design.aliased

    @property
    def fitted(self) -> Array:
        """X alpha_hat + Z beta_tilde of the rows that were used, shape (n,).

        For every row of a data frame, nan where one has a missing value: ``predict(data).mean``.
        Refused where the fit holds a Gram only.
        """
        return _read_only(by_row.fitted(self, by_row.held(self.rows, "fitted")))

    @property
    def residuals(self) -> Array:
        """The response less ``fitted``, shape (n,). Refused where the fit holds a Gram only."""
        rows = by_row.held(self.rows, "residuals")
        return _read_only(rows.y - by_row.fitted(self, rows))

    def rows_table(self) -> Any:
        """Fitted values, residuals and the influence of each row, as a data frame.

        ``fitted`` and ``population`` are means given the random effects and averaged over groups,
        ``residual`` is y less the former. ``leverage`` h is what ``fitted`` changes by where y of
        the row changes by one, with the variances as they are; then residual / (1 - h) is what
        the fit would miss the row by, had it not seen it. ``standardised`` is the residual over
        its standard deviation, sqrt(tau2 (1 - h) / w). ``cook`` is lme4's ``cooks.distance``:
        how far the row moves all effects, fixed and random, in their own metric and over p. It is
        standardised^2 h / (1 - h) / p.

        A row of the data is a row of the table. It is missing where the fit did not use the row,
        and the last columns are nan where a row alone decides its fitted value, and without
        fixed effects (``cook``). Without noise ``leverage`` is one, ``cook`` infinite, and
        ``standardised`` its limit.

        Raises
        ------
        InputError
            The fit holds a Gram only.
        """
        found = by_row.row_by_row(self, by_row.held(self.rows, "rows_table()"))
        return self.origin.table_of_rows({f.name: getattr(found, f.name) for f in fields(found)})

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
        rows = self.read_rows(X, terms, new_groups)
        return predict(self.effects, self.gram, self.fixed, self.roots, rows)

    def read_rows(self, X: Any, terms: Term | Sequence[Term] | None, new_groups: str) -> NewRows:
        """Read new rows, from arrays or from a data frame, as :meth:`predict` takes them."""
        check_new_groups(new_groups)
        if hasattr(X, "columns") and self.design is not None:
            return self.design.rows(X, new_groups)
        return new_rows(self.gram, X, terms, new_groups)

    @property
    def r2(self) -> R2:
        """Marginal and conditional R squared (Nakagawa), of the rows that were used.

        ``performance::r2_nakagawa``, which leaves weights out of account. Refused where the fit
        holds a Gram only.
        """
        return r2(self, by_row.held(self.rows, "r2"))

    @property
    def icc(self) -> float:
        """Adjusted intraclass correlation, the random share of what X alpha leaves.

        It is random / (random + noise) of ``r2``: how alike two rows of the same levels are. With
        random slopes that depends on the rows, and this is an average over them.
        """
        shares = r2(self, by_row.held(self.rows, "icc"))
        return shares.random / (shares.random + shares.noise)

    def refit(self, y: ArrayLike) -> "Fit":
        """Fit another response to the same rows, by the same method.

        Parameters
        ----------
        y : array_like, shape (n,)
            Of the rows that were used; ``simulate(rng)`` returns such a one.

        Raises
        ------
        InputError
            The fit holds a Gram only; y of another length, or what ``fit`` refuses.
        """
        rows = by_row.held(self.rows, "refit(y)")
        values = unchecked(y, "y", 1)
        if len(values) != self.n:
            raise refused("response-of-other-rows", n=self.n, n_values=len(values))
        gram = Gram.from_arrays(values, rows.X, rows.terms, rows.weights, self.names)
        found = estimate(gram, self.method, self.known_tau2)
        return replace(self, **vars(found), rows=replace(rows, y=values.copy()))

    def update(self, method: str) -> "Fit":
        """Fit the same data by another method: ``update(method="ML")``. A Gram is enough."""
        one_of(method, "method", ("REML", "ML"), "see chapter variance")
        return replace(self, **vars(estimate(self.gram, method, self.known_tau2)))

    def simulate(self, rng: np.random.Generator) -> Array:
        """Draw a new response for the rows of the fit, shape (n,), with new random effects.

        Raises
        ------
        InputError
            The fit holds a Gram only, and a Gram has no rows.
        """
        return simulated(self, by_row.held(self.rows, "simulate"), generator(rng))

    def interval(self, level: float = 0.95) -> Array:
        """Wald intervals of the fixed effects, shape (p, 2); too short with few groups.

        ``satterthwaite().interval(level)`` and ``bootstrap(draws, rng).interval(level)`` allow
        for few groups, ``profile().interval(level)`` for a likelihood that is not a parabola.
        """
        return summary.wald(self, level)

    def bootstrap(self, draws: int, rng: np.random.Generator, progress: bool = False) -> Bootstrap:
        """Draw data from the fit and fit them again."""
        return bootstrap(self, self.rows, draws, rng, progress)

    def satterthwaite(self) -> Satterthwaite:
        """Degrees of freedom for t intervals."""
        return satterthwaite(self)

    def profile(self, progress: bool = False) -> Profile:
        """Profile likelihood of every parameter; a fit by REML is fitted by ML for it."""
        return replace(profile(self, progress), origin=self.origin)

    def table(self, level: float = 0.95, df: bool | None = None) -> Any:
        """Fixed effects with their standard errors, tests and intervals, as a data frame.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        df : bool, optional
            True tests by Student's t with Satterthwaite's degrees of freedom, False by z, which
            takes the variances as known: its df are infinite. The default is t where that costs
            no more than the fit did: one term, or few random effects.

        Returns
        -------
        data frame
            A row per column of X: estimate, se, df, t, p, lower, upper. Of the library whose data
            frame was fitted, of pandas after arrays. A variance that is estimated as zero is
            taken as known, and so is a tau2 that was given.
        """
        return summary.fixed_table(self, self.origin, level, df)

    def random_table(self, t: int | str = 0) -> Any:
        """Random effects of term t, which is a number from 0 or a name, as a data frame.

        ``sd, alpha known`` is the root of ``cond_var`` and ``sd`` that of ``random_cov``. A
        random intercept that is alone in its term is called 1, beside slopes (Intercept).
        """
        return summary.random_table(self, self.origin, self.term_number(t))

    def term_number(self, t: int | str) -> int:
        """The number of a term, counted from 0, from its number or its name.

        Raises
        ------
        InputError
            No term of that name, or several.
        """
        return index_of(t, "t", "term", self.term_names)

    def contrast(
        self, L: Any, names: Sequence[str] | None = None, method: str = "satterthwaite"
    ) -> Contrast:
        """Estimate and test linear combinations of the fixed effects, one by one and together.

        Parameters
        ----------
        L : array_like, shape (k, p) or (p,), or str, or mapping, or a list of these two
            Coefficients of ``fixed``, or a text in the names of ``names``: ``"Days - 2"``,
            ``"(fb + fc) / 2 = fd"``. A mapping has a number for each of some names, or else a
            combination of any form for each label.
        names : sequence of str, optional
            What to call the combinations, k of them.
        method : {"satterthwaite", "kenward-roger", "knapp-hartung"}
            Degrees of freedom. Kenward and Roger's also enlarge the standard errors for what is
            not known of the variances, and scale F; they need REML, noise, and at most a
            thousand random effects. Knapp and Hartung's are for a ``tau2`` that was given, as in
            a meta-analysis: n - p, with standard errors scaled by what is left of y,
            (y - X alpha)'V^-1 (y - X alpha) / (n - p).

        Returns
        -------
        Contrast

        Raises
        ------
        InputError
            Names that no coefficient has; L of another shape; a combination of nothing.

        Notes
        -----
        lmerTest's ``contest``; pbkrtest; metafor's ``test = "knha"``. The p-values of several
        rows are not adjusted for their number.

        Examples
        --------
        >>> y, g = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 8.0]), np.repeat([0, 1, 2], 2)
        >>> found = fit(y, np.ones((6, 1)), Term(g), names=["mean"]).contrast("mean - 4")
        >>> found.estimate.round(4), found.df.round(4)
        (array([0.8333]), array([2.]))
        """
        combinations = read_combinations(L, self.names, names)
        return contrast(self, self._precision, combinations, method, self.origin)

    def anova(self, method: str = "satterthwaite") -> Any:
        """F tests of the terms of the formula, of type III, as a data frame.

        The hypothesis of a term is that its coefficients are zero under sum-to-zero coding, that
        is, averaged equally over the levels of all other factors, whatever coding was fitted.
        A covariate that interacts with a factor stands at zero in the hypothesis of the latter.

        Parameters
        ----------
        method : {"satterthwaite", "kenward-roger", "knapp-hartung"}
            Degrees of freedom, as in ``contrast``.

        Returns
        -------
        data frame
            A row per term, without the intercept: F, df1, df2, p.

        Raises
        ------
        InputError
            A fit without a formula; columns that were dropped.

        Notes
        -----
        lmerTest's ``anova``. In ``f / k`` lmerTest tests
        f at the first level of k; here f is averaged over the levels of k, as everywhere.
        """
        hypotheses = self._read_by("anova()").hypotheses()
        return anova(self, self._precision, self.origin, hypotheses, method)

    def means(self, factor: str, by: str | None = None, method: str = "satterthwaite") -> Means:
        """Estimated marginal means of the levels of a factor.

        Each is what the fixed part says of the level where all covariates are at their means over
        the rows that were used, averaged equally over the levels of all other factors. It is nan
        where columns were dropped and the data do not tell it, of an empty cell, say.

        Parameters
        ----------
        factor : str
            A column of the data that is a factor in the fixed part; truth values are factors.
        by : str, optional
            Another one: then there is a mean for each combination, not averaged over it.
        method : {"satterthwaite", "kenward-roger", "knapp-hartung"}
            Degrees of freedom, as in ``contrast``.

        Returns
        -------
        Means
            ``.table()``, and ``.contrast()`` for differences.

        Raises
        ------
        InputError
            A fit without a formula; what is no factor.

        Notes
        -----
        emmeans, whose own default is Kenward and Roger's method. Beside an interaction with a
        covariate the means, and their differences, hold at the covariate's mean and nowhere else.
        """
        cells, L = self._read_by("means()").averages(factor, by)
        factors = (factor,) if by is None else (factor, by)
        return means(self, self._precision, self.origin, factors, cells, L, method)

    def summary(self, df: bool | None = None) -> str:
        """Write the fit as text, with tests as in ``table``.

        Raises
        ------
        InputError
            df neither true nor false.
        """
        return summary.text(self, self._about, df)

    def _read_by(self, verb: str) -> "Reader":
        """What has read the formula, or the reason why there is none."""
        if self.design is None:
            raise refused("fit-without-formula", verb=verb)
        return self.design

    @cached_property
    def _precision(self) -> Precision:
        """How well the variances of the fixed effects are known."""
        return precision(self)

    @property
    def _about(self) -> About:
        """What a summary says beside the estimates."""
        dropped = 0 if self.design is None else self.design.dropped
        return About(self.formula, dropped, self.aliased)

    @property
    def origin(self) -> Origin:
        """The data frame of the rows; where arrays were passed, one of pandas."""
        return Origin() if self.design is None else self.design.origin

    def __repr__(self) -> str:
        """One line: what was fitted to what, and how well."""
        what = self.formula or f"{len(self.fixed)} fixed effects"
        criterion = "REML criterion" if self.reml else "-2 log likelihood"
        groups = ", ".join(
            f"{len(levels)} levels of {name}"
            for name, levels in zip(self.term_names, self.levels, strict=True)
        )
        return f"Fit({brief(what)}, {criterion} {self.criterion:.6g}, {self.n} rows, {groups})"

    def __str__(self) -> str:
        """The summary."""
        return summary.text(self, self._about)

    def _repr_html_(self) -> str:
        return summary.html(self, self._about)


def _read_only(values: Array) -> Array:
    """The same, which nobody can change."""
    view: Array = frozen(values)
    return view


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
    if isinstance(y, Gram):
        if any(given is not None for given in (X, terms, weights, names)):
            raise refused("gram-beside-arrays")
        return _fit_gram(y, None, method, tau2)
    if X is None or terms is None:
        raise refused("y-alone")
    gram = Gram.from_arrays(y, X, terms, weights, names)
    return _fit_gram(gram, Rows.of(y, X, terms, weights), method, tau2)


def fit_rows(rows: Rows, method: str, tau2: float | None, names: Names) -> Fit:
    """Fit rows that nobody else can change, and keep them."""
    gram = Gram.from_arrays(rows.y, rows.X, rows.terms, rows.weights, names)
    return _fit_gram(gram, rows, method, tau2)


def _fit_gram(gram: Gram, rows: Rows | None, method: str, tau2: float | None) -> Fit:
    one_of(method, "method", ("REML", "ML"), "see chapter variance")
    known_tau2 = None if tau2 is None else positive(tau2, "tau2")
    return Fit(**vars(estimate(gram, method, known_tau2)), rows=rows)
