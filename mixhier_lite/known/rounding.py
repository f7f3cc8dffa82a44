"""How much of an answer is rounding, and the refusal where that is too much."""

import numpy as np

from ..errors import refused
from ..inputs import Array
from .effects import Effects

EPS = float(np.finfo(float).eps)


def enough_digits(
    found: Effects,
    rows: Array,
    y: Array,
    tau2: float,
    c: Array,
    cov: Array,
    to_effects: Array,
    prior: Array,
    sds: Array,
) -> Effects:
    """Return effects that were found by normal equations, or refuse them for their rounding.

    The effects are ``to_effects c``, and c solves ``P c = h`` with the precision
    ``P = W'W / tau2 + prior`` and ``W = rows to_effects``.

    Parameters
    ----------
    found : Effects
    rows : array, shape (n, p + J)
        [X, D].
    y : array, shape (n,)
    tau2 : float
    c : array, shape (p + J,)
        The solution, corrected once from the rows.
    cov, to_effects, prior : array, shape (p + J, p + J)
        cov is P^-1.
    sds : array, shape (p + J,)
        Of the prior's covariance, where the prior has been inverted from it; else 0.

    Raises
    ------
    InputError
        Rounding leaves neither two digits of a standard error nor six digits of an effect.

    Notes
    -----
    To first order, with eps for the rounding of a number.
    """
    W = rows @ to_effects
    largest = np.abs(rows) @ np.abs(to_effects)  # |W|, and what has cancelled in it
    gain = to_effects @ cov
    size = np.abs(c)
    e = np.abs(y - W @ c)

    # |dP| <= eps d d' + prior |dSigma| prior with |dSigma| <= eps sds sds', and P^-1 moves by
    # P^-1 dP P^-1
    d = np.sqrt((largest**2).sum(axis=0) / tau2 + np.diag(prior))
    of_prior = np.abs(gain @ prior) @ sds
    growth = np.abs(gain) @ d + of_prior
    spread = np.abs(to_effects) @ np.abs(cov) @ (d + np.abs(prior) @ sds)
    of_variance = EPS * growth * spread

    # what the correction leaves of a first error, and the rounding of the correction itself
    first = EPS * growth * (d @ size + sds @ np.abs(prior @ c))
    repaired = EPS * (d @ np.abs(cov) @ d) * first
    from_rows = np.abs(gain @ W.T) @ (np.abs(y) + largest @ size) / tau2
    left = largest.T @ e / tau2 + np.abs(prior) @ size
    error = repaired + EPS * (
        from_rows + np.abs(gain) @ left + of_prior * (sds @ np.abs(prior @ c))
    )
    if too_much(found, error) or (of_variance > np.diag(found.cov) / 100).any():
        raise refused("rounding-too-large-in-normal-equations")
    return found


def too_much(found: Effects, error: Array) -> bool:
    """Whether an error is above a hundredth of an sd and in the first six digits of an effect."""
    effects = np.append(found.fixed, found.random)
    sd = np.sqrt(np.diag(found.cov))
    of_their_own = 1e-6 * np.abs(effects) + 1e-9 * np.abs(effects).max(initial=0.0)
    return bool((error > sd / 100 + of_their_own).any())
