"""Draws from the posterior, and their export to ArviZ with named dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from ..after.fit import Fit
from ..after.rows import held
from ..gram.term import Term
from ..inputs import Array, flag, generator, level_of
from ..labels import Labels
from ..values import Value, frozen
from .parameters import Unknowns
from .predictive import predictive, with_groups
from .summary import correlations_and_icc, names_of, text


@dataclass(frozen=True, eq=False, repr=False)
class Draws(Value):
    """Draws from the posterior of everything that is unknown, S of them."""

    model: Fit = field(repr=False)
    """The fit that lent the data."""
    fixed: Array
    """alpha, shape (S, p)."""
    random: tuple[Array, ...]
    """beta of each term, shape (S, J_t, q_t)."""
    roots: tuple[Array, ...] = field(repr=False)
    """A root of each Sigma, shape (S, q_t, q_t), which keeps digits that a product loses."""
    tau2: Array
    """Variance of the noise, shape (S,)."""
    ess: float
    """Effective number of draws, S where they are independent."""
    exists: Unknowns = field(repr=False)
    """Moments of order below these exponents exist, as ``Integral`` has them."""

    @cached_property
    def Sigma(self) -> tuple[Array, ...]:
        """Covariance of each term's coefficients, shape (S, q_t, q_t), without K."""
        products: tuple[Array, ...] = frozen(
            tuple(root @ root.swapaxes(1, 2) for root in self.roots)
        )
        return products

    @property
    def sds(self) -> tuple[Array, ...]:
        """Standard deviation of each column of each term, shape (S, q_t)."""
        return tuple(np.linalg.norm(root, axis=2) for root in self.roots)

    def table(self, level: float = 0.95) -> Any:
        """Means, standard deviations and equal-tailed intervals, as a data frame.

        Its columns are ``mean``, ``sd``, ``lower`` and ``upper``; its rows are the fixed effects,
        the standard deviations of random effects and their correlations, tau, and the intraclass
        correlation ``icc`` where the fit has rows. It is of the library whose frame was fitted.

        Draws have a mean and a standard deviation always. Where the posterior has none, the table
        says so as ``Integral`` does: inf, and nan for the mean of a fixed effect.

        Parameters
        ----------
        level : float
            Probability of the intervals.

        Raises
        ------
        InputError
            level not between 0 and 1.
        """
        return self.model.origin.table({"parameter": names_of(self.model)}, self._columns(level))

    def _columns(self, level: float) -> dict[str, Array]:
        tail = (1 - level_of(level)) / 2
        shares = correlations_and_icc(self.model, self.roots, self.tau2)
        variances = np.column_stack([*self.sds, *shares.correlations, np.sqrt(self.tau2)])
        values = np.column_stack([self.fixed, variances, *shares.icc])
        low, high = np.quantile(values, [tail, 1 - tail], axis=0)
        bounded = np.inf  # the moments of a correlation, and of the icc, exist all
        orders = np.concatenate(
            [
                self.exists.fixed,
                *self.exists.sds,
                np.full(len(shares.correlations), bounded),
                [self.exists.tau],
                np.full(len(shares.icc), bounded),
            ]
        )
        none = np.where(np.arange(values.shape[1]) < self.fixed.shape[1], np.nan, np.inf)
        mean = np.where(orders > 1, values.mean(axis=0), none)
        sd = np.where(orders > 2, values.std(axis=0), np.inf)
        return {"mean": mean, "sd": sd, "lower": low, "upper": high}

    def __str__(self) -> str:
        """The table with intervals of 95 %, and where the prior sits."""
        return text(self.model, self._columns(0.95))

    def predict(
        self,
        X: Any,
        terms: Term | Sequence[Term] | None = None,
        new_groups: str = "error",
        noise: bool = False,
        rng: np.random.Generator | None = None,
    ) -> Array:
        """The posterior of the means of new rows, X alpha + Z beta, or of new observations.

        Parameters
        ----------
        X, terms, new_groups
            The new rows, as for :meth:`mixhier_lite.Fit.predict`. A group that the fit has not
            seen is drawn from N(0, Sigma), once for all of its rows; where nothing is known of
            the groups, every row has one of its own.
        noise : bool
            Add the noise of a row of weight one: posterior predictive observations.
        rng : numpy.random.Generator, optional
            For new groups and for the noise. Without it the same numbers are drawn each time.

        Returns
        -------
        array, shape (S, n_new)
            Nan for rows with a missing value.

        Raises
        ------
        InputError
            As for ``Fit.predict``; random slopes whose columns are not given.
        """
        flag(noise, "noise")
        source = np.random.default_rng(0) if rng is None else generator(rng)
        rows = with_groups(self.model.read_rows(X, terms, new_groups), self.model.gram.blocks)
        values = predictive(self.fixed, self.random, self.roots, rows, source)
        if noise:
            values += np.sqrt(self.tau2)[:, None] * source.standard_normal(values.shape)
        out = np.full((len(values), len(rows.kept)), np.nan)
        out[:, rows.kept] = values
        return out

    @property
    def log_likelihood(self) -> Array:
        """Log density of each row given alpha, beta and tau2 of each draw, shape (S, n).

        It is conditional on the random effects, so that what is made of it, such as ``arviz.loo``,
        is about new rows of the same groups. Leaving out a group needs the density with beta
        integrated out, since draws have seen the group: fit without it, and ``predict`` it.
        Refused where the fit holds a Gram only.
        """
        rows = held(self.model.rows, "log_likelihood")
        off = rows.y - self.predict(rows.X, rows.terms)
        weights = 1.0 if rows.weights is None else rows.weights
        variance = self.tau2[:, None] / weights
        return np.asarray(-(np.log(2 * np.pi * variance) + off**2 / variance) / 2)

    def to_arviz(self, log_likelihood: bool = False) -> Any:
        """The draws as ArviZ's InferenceData (a DataTree from ArviZ 1.0 on); needs arviz.

        A term ``g`` becomes ``random g``, ``sd g`` and ``Sigma g``, with the dimensions ``g`` and
        ``g column``. Terms of one name are told apart by their columns: ``g: 1`` and ``g: x``.

        Independent draws have no chains. They are dealt out to four, where S is divisible and 16
        or more, so that ArviZ's own checks have something to compare. Weighted draws are dealt out
        too, and ArviZ cannot see their weights: its effective sample sizes are too large, and the
        one to go by is ``ess``, which the posterior carries as its attribute ``ess``.

        Parameters
        ----------
        log_likelihood : bool
            Add :attr:`log_likelihood`, S times n numbers, for ``arviz.loo`` and its like.

        Raises
        ------
        InputError
            Rows are asked for, and the fit holds a Gram only.
        """
        return inference_data(self, flag(log_likelihood, "log_likelihood"))


RESERVED = ("chain", "draw", "sample", "coefficient", "fixed", "tau", "row", "y")
"""Names that ArviZ or the export uses itself, so that no term can have them."""


def inference_data(draws: Draws, with_rows: bool = False) -> Any:
    """Hand over alpha, beta, Sigma, standard deviations and tau, with names and levels."""
    import arviz

    model = draws.model
    S = len(draws.tau2)
    posterior: dict[str, Array] = {"fixed": draws.fixed, "tau": np.sqrt(draws.tau2)}
    coords: dict[str, Labels] = {"coefficient": _numbered(model.names)}
    dims = {"fixed": ["coefficient"]}
    for t, names in enumerate(_names_of_terms(model)):
        block = model.gram.blocks[t]
        posterior[names.random] = draws.random[t]
        posterior[names.sd] = draws.sds[t]
        posterior[names.Sigma] = draws.Sigma[t]
        dims[names.random] = [names.levels, names.rows]
        dims[names.sd] = [names.rows]
        dims[names.Sigma] = [names.rows, names.columns]
        coords[names.levels] = _index(block.levels)
        coords[names.rows] = coords[names.columns] = _numbered(block.column_names)
    chains = next(k for k in (4, 2, 1) if S % k == 0 and S >= k**2)  # ArviZ warns of short ones
    groups = {"posterior": posterior}
    if with_rows:
        groups["log_likelihood"] = {"y": draws.log_likelihood}
        dims["y"] = ["row"]
        coords["row"] = np.arange(model.n)
    dealt: dict[str, Any] = {
        group: {key: v.reshape(chains, S // chains, *v.shape[1:]) for key, v in values.items()}
        for group, values in groups.items()
    }
    if int(arviz.__version__.split(".")[0]) < 1:
        data = arviz.from_dict(**dealt, coords=coords, dims=dims)
    else:
        data = arviz.from_dict(dealt, coords=coords, dims=dims)
    data.posterior.attrs["ess"] = draws.ess
    return data


@dataclass(frozen=True)
class _Names:
    """What one term's dimensions and variables are called."""

    levels: str

    @property
    def rows(self) -> str:
        """The dimension of the columns of Z."""
        return f"{self.levels} column"

    @property
    def columns(self) -> str:
        """The second dimension of Sigma."""
        return f"{self.levels} column'"

    @property
    def random(self) -> str:
        """The random effects."""
        return f"random {self.levels}"

    @property
    def sd(self) -> str:
        """The standard deviations."""
        return f"sd {self.levels}"

    @property
    def Sigma(self) -> str:
        """The covariance."""
        return f"Sigma {self.levels}"

    @property
    def all(self) -> set[str]:
        """Dimensions and variables: to xarray they are names of one kind."""
        return {self.levels, self.rows, self.columns, self.random, self.sd, self.Sigma}


def _names_of_terms(model: Fit) -> list[_Names]:
    """Names that no two terms share: of terms on one factor the columns are told as well."""
    taken = set(RESERVED)
    found = []
    for name, block in zip(model.term_names, model.gram.blocks, strict=True):
        if model.term_names.count(name) > 1:
            name = f"{name}: {', '.join(block.column_names)}"
        spellings = (name if k == 1 else f"{name} ({k})" for k in count(1))
        names = next(each for each in map(_Names, spellings) if not each.all & taken)
        taken |= names.all
        found.append(names)
    return found


def _numbered(names: Sequence[str]) -> Labels:
    """Names of columns as an index; where one is there twice, the second is called "x (2)"."""
    found: list[str] = []
    for name in names:
        spellings = (name if k == 1 else f"{name} ({k})" for k in count(1))
        found.append(next(each for each in spellings if each not in found))
    return np.array(found)


def _index(levels: Labels) -> Labels:
    """Levels as an index of xarray, which takes tuples for coordinates of several axes."""
    if any(isinstance(level, tuple) for level in levels):
        return np.array([str(level) for level in levels])
    return levels
