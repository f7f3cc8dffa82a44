"""Priors on standard deviations, and on everything that a posterior needs one for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .errors import InputError, refused
from .inputs import Array, instance, is_number, real
from .known.hierarchical import GaussianFactor
from .values import Value


@dataclass(frozen=True, eq=False)
class SdPrior:
    """A density over one standard deviation s >= 0, normalised where that can be done."""

    name: str
    """How it is written, for instance ``half_normal(25)``."""
    log_density: Callable[[Array], Array]
    """log density as a function of s, in the units of s."""
    tail: float
    """The density falls like s^-tail for large s; infinite where it falls faster."""
    origin: float = 0.0
    """The density is like s^origin for small s."""

    def __post_init__(self) -> None:
        """Refuse what is no density of standard deviations."""
        instance(self.name, str, "name", "pass how it is written, for instance 'uniform(5)'")
        for name, power in (("tail", self.tail), ("origin", self.origin)):
            huge = isinstance(power, int) and abs(power) > 1e9
            if not is_number(power) or power != power or huge:
                raise refused("not-a-power", name=name, given=power)
        _probe(self.log_density)

    def __repr__(self) -> str:
        """Its name."""
        return self.name


def _probe(log_density: object) -> None:
    """Refuse what does not turn an array of standard deviations into log densities."""
    s = np.array([[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]])
    try:
        with np.errstate(all="ignore"):
            found = log_density(s.copy())  # type: ignore[operator]
        values = np.asarray(found, dtype=np.float64)
        got = f"an array of shape {values.shape}, from s of shape {s.shape}"
        good = values.shape == s.shape and not (np.isnan(values) | (values == np.inf)).any()
    except Exception as problem:  # whatever a stranger's function may raise
        got = f"{log_density!r:.60}, which ends in {type(problem).__name__}: {problem!s:.60}"
        good = False
    if not good:
        raise refused("not-a-log-density", answer=got)


# The densities are functions of this module with their parameters bound, so that they pickle.


def _log_flat_variance(s: Array) -> Array:
    return np.asarray(np.log(2 * s))


def _log_flat_log(s: Array) -> Array:
    return np.asarray(-np.log(s))


def _log_half_normal(s: Array, scale: float) -> Array:
    peak = 0.5 * np.log(2 / np.pi) - np.log(scale)
    return np.asarray(peak - (s / scale) ** 2 / 2)


def _log_half_t(s: Array, df: float, scale: float) -> Array:
    from scipy.special import betaln

    peak = np.log(2 / scale) - betaln(df / 2, 0.5) - 0.5 * np.log(df)
    return np.asarray(peak - (df + 1) / 2 * np.log1p((s / scale) ** 2 / df))


def _log_exponential(s: Array, mean: float) -> Array:
    return np.asarray(-s / mean - np.log(mean))


def flat() -> SdPrior:
    """Flat on s >= 0: the default of :func:`mixhier_lite.sample` (Gelman 2006)."""
    return SdPrior("flat()", np.zeros_like, 0.0)


def flat_variance() -> SdPrior:
    """Flat on s^2: proper only with three independent contrasts or more."""
    return SdPrior("flat_variance()", _log_flat_variance, -1.0, 1.0)


def flat_log() -> SdPrior:
    """Flat on log s: never proper for a random effect, harmless for the noise."""
    return SdPrior("flat_log()", _log_flat_log, 1.0, -1.0)


def half_normal(scale: float) -> SdPrior:
    """The normal density of standard deviation ``scale``, folded at zero."""
    scale = _scale(scale)
    return SdPrior(f"half_normal({scale:g})", partial(_log_half_normal, scale=scale), np.inf)


def half_t(df: float, scale: float) -> SdPrior:
    """Student's t with ``df`` degrees of freedom and this scale, folded at zero."""
    df = _scale(df, "df")
    scale = _scale(scale)
    density = partial(_log_half_t, df=df, scale=scale)
    return SdPrior(f"half_t({df:g}, {scale:g})", density, df + 1)


def half_cauchy(scale: float) -> SdPrior:
    """``half_t(1, scale)``."""
    scale = _scale(scale)
    density = partial(_log_half_t, df=1.0, scale=scale)
    return SdPrior(f"half_cauchy({scale:g})", density, 2.0)


def exponential(mean: float) -> SdPrior:
    """Exponential with this mean."""
    mean = _scale(mean, "mean")
    return SdPrior(f"exponential({mean:g})", partial(_log_exponential, mean=mean), np.inf)


@dataclass(frozen=True)
class LKJ:
    """A density over correlation matrices R, det(R)^(eta - 1), normalised."""

    eta: float

    def __repr__(self) -> str:
        """How it is written."""
        return f"lkj({self.eta:g})"

    def log_constant(self, q: int) -> float:
        """Log of the constant of det(R)^(eta - 1) over that of the uniform density, R (q, q).

        In partial correlations the density is a product of symmetric beta densities over (-1, 1)
        whose parameters are b = (q - j) / 2 + eta - 1, for row i and column j < i.
        """
        found = 0.0
        for j in range(q):
            b = (q - j) / 2
            found += (q - 1 - j) * (log_symmetric(b + self.eta - 1) - log_symmetric(b))
        return found


def log_symmetric(b: float) -> float:
    """Log of the constant of (1 - w^2)^(b - 1) over (-1, 1)."""
    from scipy.special import betaln

    return float(-betaln(b, b) - (2 * b - 1) * np.log(2))


def lkj(eta: float) -> LKJ:
    """Correlations with the density det(R)^(eta - 1) (Lewandowski, Kurowicka and Joe 2009).

    With eta = 1, the default, it is uniform; the larger eta, the closer to zero the correlations
    of random effects are thought to be. Each one alone is 2 B - 1, B of a symmetric beta density
    with the parameter eta + q / 2 - 1. eta is 1 or more: below, the density has poles at the
    singular matrices, which no grid resolves.
    """
    number = float(real(eta, "eta", 0))
    if not 1 <= number <= 1e6:
        raise refused("eta-out-of-range", given=number)
    return LKJ(number)


@dataclass(frozen=True, eq=False, repr=False)
class Prior(Value):
    """What is believed of the variances and of alpha before the data.

    Parameters
    ----------
    sd : SdPrior, or one for each term, or for each term one for each of its columns
        On the standard deviations of random effects, in the reader's units.
    noise : SdPrior
        On the standard deviation tau; not used where tau2 is known.
    fixed : GaussianFactor, optional
        On alpha: ``gaussian(mean, cov)``, or ``flat(p)``, which is the default.
    correlation : LKJ
        On the correlations of each term's random effects, which ``lkj(1)`` leaves uniform.

    Examples
    --------
    >>> from mixhier_lite import Prior, priors
    >>> Prior(sd=priors.half_normal(25)).sd
    half_normal(25)
    """

    sd: SdPrior | Sequence[SdPrior | Sequence[SdPrior]] = flat()
    noise: SdPrior = flat()
    fixed: GaussianFactor | None = None
    correlation: LKJ = LKJ(1.0)

    def __post_init__(self) -> None:
        """Tell a prior on alpha from one on a standard deviation: both have a ``flat``."""
        if not isinstance(self.sd, SdPrior):
            if not isinstance(self.sd, list | tuple):
                raise _not_on_sds("sd", self.sd)
            parts = (tuple(k) if isinstance(k, list | tuple) else k for k in self.sd)
            object.__setattr__(self, "sd", tuple(parts))  # a copy that nobody changes
        if not isinstance(self.noise, SdPrior):
            raise _not_on_sds("noise", self.noise)
        if not isinstance(self.fixed, (GaussianFactor, type(None))):
            raise refused("fixed-no-prior-on-alpha", kind=type(self.fixed).__name__)
        instance(self.correlation, LKJ, "correlation", "pass for instance priors.lkj(2)")

    def on_sds(self, q: Sequence[int]) -> list[list[SdPrior]]:
        """One prior for each column of each term; ``q`` are their numbers of columns."""
        terms = [self.sd] * len(q) if isinstance(self.sd, SdPrior) else list(self.sd)
        if len(terms) != len(q):
            raise refused("prior-of-other-terms", n_terms=len(q), n_priors=len(terms))
        found = [
            [part] * k if isinstance(part, SdPrior) else _columns(part)
            for part, k in zip(terms, q, strict=True)
        ]
        for t, (part, k) in enumerate(zip(found, q, strict=True)):
            if len(part) != k or not all(isinstance(one, SdPrior) for one in part):
                raise refused("prior-of-other-columns-of-Z", number=t + 1, q=k, given=part)
        return found

    def on_fixed(self, p: int) -> GaussianFactor:
        """The factor over alpha."""
        factor = self.fixed or GaussianFactor(np.zeros((p, p)), np.zeros(p))
        if len(factor.shift) != p:
            raise refused("prior-on-other-alpha", p=p, n_effects=len(factor.shift))
        return factor


def _not_on_sds(name: str, given: object) -> InputError:
    return refused("not-a-prior-on-an-sd", name=name, kind=type(given).__name__)


def _columns(part: object) -> list[SdPrior]:
    """The priors of a term's columns, whatever was given; ``on_sds`` looks at them."""
    return list(part) if isinstance(part, list | tuple) else []


def as_prior(prior: Prior | SdPrior | None) -> Prior:
    """Read the argument ``prior``: a bare density is meant for the random effects."""
    if prior is None:
        return Prior()
    if isinstance(prior, SdPrior):
        return Prior(sd=prior)
    if not isinstance(prior, Prior):
        raise refused("not-a-prior", kind=type(prior).__name__)
    return prior


def _scale(value: float, name: str = "scale") -> float:
    number = float(real(value, name, 0))
    if not 1e-100 < number < 1e100:
        raise refused("scale-out-of-range", name=name, given=number)
    return number
