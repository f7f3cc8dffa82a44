"""What a fitted model is: its estimates, and all values that follow from them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from ..errors import refused
from ..gram.estimable import left_of_y, refuse_gram
from ..gram.gram import Gram
from ..inputs import Array
from ..labels import Labels
from ..variance.assembly import Assembly, assemble
from ..variance.optimum import DEAR, minimise, whole
from .blup import Solved, conditional_variances, error_variances, random_effects


@dataclass(frozen=True, eq=False)
class Estimates:
    """The estimates of a linear mixed model."""

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

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.gram.n

    @property
    def reml(self) -> bool:
        """Whether the criterion is that of REML."""
        return self.method == "REML"

    @property
    def known_tau2(self) -> float | None:
        """tau2 where it was given, None where it is estimated."""
        return self.tau2 if self.tau2_known else None

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
        return tuple(self.tau2 * (T @ T.T) for T in self.T)

    @property
    def theta(self) -> Array:
        """The lower triangle of every T, column by column; its diagonal where uncorrelated."""
        pairs = zip(self.T, self.gram.blocks, strict=True)
        some = [T.T[np.triu_indices(len(T))] if k.correlated else np.diag(T) for T, k in pairs]
        return np.concatenate(some)

    @cached_property
    def solved(self) -> Solved:
        """The model solved at the estimates, level by level."""
        assembly = assemble(self.gram, self.reml, self.known_tau2, pool=False)
        T = assembly.to_scaled(self.T)
        at = assembly.criterion.solve(T)
        assert at is not None
        return Solved(assembly, T, at)

    @cached_property
    def random(self) -> tuple[Array, ...]:
        """The BLUPs of each term, shape (J_t, q_t)."""
        return random_effects(self.solved)

    @cached_property
    def cond_var(self) -> tuple[Array, ...]:
        """Variance of beta given y were alpha known, shape (J_t, q_t, q_t)."""
        return conditional_variances(self.solved)

    @cached_property
    def random_cov(self) -> tuple[Array, ...]:
        """Prediction error variance = flat-prior posterior variance, shape (J_t, q_t, q_t)."""
        return error_variances(self.solved)

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
        return float(self.criterion + 2 * self.df)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, criterion + df log n."""
        return float(self.criterion + self.df * np.log(self.n))


def estimate(gram: Gram, method: str, known_tau2: float | None) -> Estimates:
    """Estimate the variances from a Gram, and with them everything else.

    Raises
    ------
    InputError
        Data for which the model has no answer.
    """
    refuse_gram(gram, known_tau2)
    assembly, T = _optimum(gram, method == "REML", known_tau2)
    return _finished(assembly, T, method, known_tau2)


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


def _finished(
    assembly: Assembly, T: list[Array], method: str, known_tau2: float | None
) -> Estimates:
    """Read the estimates at the optimum, in the reader's units."""
    gram, criterion = assembly.gram, assembly.criterion
    at = criterion.solution(*criterion.many([t[None] for t in T]))
    p, x, y = gram.p, assembly.scale[:-1], assembly.scale[-1]
    if at is None or (known_tau2 is None and at.tau2 * y**2 * gram.n <= 1e-12 * left_of_y(gram)):
        raise refused("perfect")
    back = gram.H_inverse[:p, :p] / x * y
    fixed, root = gram.H_inverse[:p, :p] @ gram.H[:p, p] + back @ at.alpha, back @ at.root
    roots = tuple(_upright(t / d[:, None]) for t, d in zip(T, assembly.units, strict=True))
    singular = not all(t.any(axis=0).all() for t in T)
    return Estimates(
        gram=gram,
        method=method,
        T=roots,
        singular=singular,
        criterion=at.value,
        tau2=float(at.tau2 * y**2),
        tau2_known=known_tau2 is not None,
        fixed=fixed,
        fixed_cov=at.tau2 * root @ root.T,
    )


def _upright(T: Array) -> Array:
    """Give every column of T a positive leading entry; T T' stays the same."""
    lead = T[np.argmax(T != 0, axis=0), np.arange(len(T))]
    return T * np.where(lead < 0, -1.0, 1.0)
