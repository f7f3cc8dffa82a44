"""What a fitted model is: its estimates, and all values that follow from them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import refused
from ..gram.estimable import left_of_y, refuse_gram
from ..gram.gram import Gram
from ..inputs import Array
from ..labels import Labels
from ..values import Value, frozen
from ..variance.assembly import Assembly, Parts, assemble, unpooled
from ..variance.certificate import Certificate, certify
from ..variance.identified import refuse_unidentified
from ..variance.noise import WithoutNoise, lowest
from ..variance.optimum import Optimum
from ..variance.theta import ActiveEntries, free_cells
from .blup import Effects, Solved
from .noiseless import NoiselessEffects


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(Value):
    """The estimates of a linear mixed model."""

    gram: Gram
    """The data."""
    method: str
    """"REML" or "ML"."""
    roots: tuple[Array, ...] = field(repr=False)
    """For each term a lower triangular root of Sigma, shape (q, q)."""
    singular: bool
    """Whether the estimated covariance of a term is rank deficient."""
    criterion: float
    """-2 log likelihood, or the REML criterion (lme4's constants)."""
    tau2: float
    """Variance of the noise (of a row of weight one); 0.0 exactly where none is best."""
    known_tau2: float | None
    """tau2 where it was given, None where it is estimated."""
    fixed: Array
    """alpha_hat, shape (p,)."""
    fixed_cov: Array
    """Covariance of alpha_hat, shape (p, p)."""
    noiseless: NoiselessEffects | None = field(repr=False)
    """The effects where the noise is estimated as zero."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.gram.n

    @property
    def reml(self) -> bool:
        """Whether the criterion is that of REML."""
        return self.method == "REML"

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
    def fixed_se(self) -> Array:
        """Standard errors of alpha_hat, shape (p,)."""
        return np.asarray(np.sqrt(np.diag(self.fixed_cov)))

    @property
    def Sigma(self) -> tuple[Array, ...]:
        """The covariance of each term's coefficients, shape (q_t, q_t), without K."""
        return tuple(root @ root.T for root in self.roots)

    @property
    def T(self) -> tuple[Array, ...]:
        """For each term a root T of Sigma / tau2 = T T', shape (q, q).

        Infinite where there is no noise; what is zero stays zero.
        """
        if self.tau2 > 0:
            return tuple(root / np.sqrt(self.tau2) for root in self.roots)
        return tuple(np.where(root == 0, 0.0, np.copysign(np.inf, root)) for root in self.roots)

    @property
    def theta(self) -> Array:
        """The lower triangle of every T, column by column; its diagonal where uncorrelated."""
        return np.array([self.T[t][i, j] for t, i, j in self.cells])

    @property
    def cells(self) -> tuple[tuple[int, int, int], ...]:
        """Term, row and column of every entry of theta."""
        return free_cells([(block.q, block.correlated) for block in self.gram.blocks])

    @cached_property
    def effects(self) -> Effects:
        """The random effects and their variances at the estimates."""
        if self.noiseless is not None:
            return self.noiseless
        return Solved.at(unpooled(self.gram, self.reml, self.known_tau2), self.T)

    @cached_property
    def certificate(self) -> Certificate:
        """That the estimates are at a minimum of the criterion; local, see Certificate."""
        if self.noiseless is not None:
            return self.noiseless.zero.certificate
        assembly = assemble(self.gram, self.reml, self.known_tau2)
        entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
        return certify(entries, assembly.bare(self.T))

    @cached_property
    def random(self) -> tuple[Array, ...]:
        """The BLUPs of each term, shape (J_t, q_t)."""
        found: tuple[Array, ...] = frozen(self.effects.random)
        return found

    @cached_property
    def cond_var(self) -> tuple[Array, ...]:
        """Variance of beta given y were alpha known, shape (J_t, q_t, q_t)."""
        found: tuple[Array, ...] = frozen(self.effects.cond_var)
        return found

    @cached_property
    def random_cov(self) -> tuple[Array, ...]:
        """Prediction error variance = flat-prior posterior variance, shape (J_t, q_t, q_t)."""
        found: tuple[Array, ...] = frozen(self.effects.random_cov)
        return found

    @property
    def loglik(self) -> float:
        """Log likelihood (ML) or restricted log likelihood (REML)."""
        return -self.criterion / 2

    @property
    def df(self) -> int:
        """Number of parameters estimated."""
        return len(self.fixed) + len(self.theta) + (self.known_tau2 is None)

    @property
    def aic(self) -> float:
        """Akaike's criterion, criterion + 2 df."""
        return float(self.criterion + 2 * self.df)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, criterion + df log n."""
        return float(self.criterion + self.df * np.log(self.n))


FAR = 0.01
"""Distance from a minimum, in standard errors, of a fit that is none."""


def estimate(gram: Gram, method: str, known_tau2: float | None) -> Estimates:
    """Estimate the variances from a Gram, and with them everything else.

    Raises
    ------
    InputError
        Data for which the model has no answer.
    """
    refuse_gram(gram, known_tau2)
    parts = Parts.of(gram, method == "REML", known_tau2)
    refuse_unidentified(parts)
    with np.errstate(all="ignore"):  # steps that lose all digits are too far, and taken back
        assembly, found, zero = lowest(parts)
    if zero is None:
        return _with_noise(assembly, found, method, known_tau2)
    return _without_noise(assembly, zero, method)


def _with_noise(
    assembly: Assembly, found: Optimum, method: str, known_tau2: float | None
) -> Estimates:
    """Read the estimates at the optimum, in the reader's units."""
    gram = assembly.gram
    criterion = assembly.criterion
    T = found.T
    at = criterion.solve(T)
    y_unit2 = assembly.scale[-1] ** 2
    if at is None or (known_tau2 is None and at.tau2 * y_unit2 * gram.n <= 1e-12 * left_of_y(gram)):
        raise refused("perfect-fit")
    if not found.arrived or (known_tau2 is not None and _is_far(assembly, T)):
        raise refused("no-minimum-found", tried=found.tried, criterion=at.value)
    tau2 = float(at.tau2 * y_unit2)
    shift, back = assembly.to_fixed
    root = back @ at.root
    return Estimates(
        gram=gram,
        method=method,
        roots=tuple(np.sqrt(tau2) * t for t in assembly.outwards(T)),
        singular=not all(t.any(axis=0).all() for t in T),
        criterion=at.value,
        tau2=tau2,
        known_tau2=known_tau2,
        fixed=shift + back @ at.alpha,
        fixed_cov=at.tau2 * root @ root.T,
        noiseless=None,
    )


def _is_far(assembly: Assembly, T: list[Array]) -> bool:
    """Whether a step would still lower the criterion.

    Beside a y that is enormous in units of a known tau2, its slope is lost in its value.
    """
    entries = ActiveEntries.all_of(assembly.criterion, assembly.forms)
    return certify(entries, entries.bare(entries.pack(T))).gradient > FAR


def _without_noise(assembly: Assembly, zero: WithoutNoise, method: str) -> Estimates:
    """Read the estimates where the noise is zero."""
    effects = NoiselessEffects(assembly, zero)
    return Estimates(
        gram=assembly.gram,
        method=method,
        roots=tuple(effects.y_unit * t for t in assembly.outwards(zero.T)),
        singular=not all(t.any(axis=0).all() for t in zero.T),
        criterion=zero.value,
        tau2=0.0,
        known_tau2=None,
        fixed=effects.fixed,
        fixed_cov=effects.fixed_cov,
        noiseless=effects,
    )
