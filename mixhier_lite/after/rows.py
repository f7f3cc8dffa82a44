"""What a fit says of each row of its data: fitted values, residuals, and the row's influence.

With the variances fixed the fitted values X alpha_hat + Z beta_tilde are linear in y. The share
that a row has in its own fitted value is its leverage h. Without the row, the fit would miss it by
residual / (1 - h), so nothing has to be fitted again.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import refused
from ..fitted.estimates import Estimates
from ..fitted.simulation import Rows
from ..gram.gram import Block
from ..gram.term import Term
from ..inputs import Array
from ..values import Value

SHARE_OF_ITS_OWN = 1e-9
"""1 - leverage below which a row alone decides its fitted value."""


@dataclass(frozen=True, eq=False, repr=False)
class RowByRow(Value):
    """Numbers of each row, shape (n,) each."""

    fitted: Array
    """X alpha_hat + Z beta_tilde."""
    population: Array
    """X alpha_hat."""
    residual: Array
    """y less fitted."""
    standardised: Array
    """Residuals in units of their own standard deviation, sqrt(tau2 (1 - h) / w)."""
    leverage: Array
    """h, what fitted changes by where the row's y changes by one."""
    cook: Array
    """Cook's distance."""


def held(rows: Rows | None, verb: str) -> Rows:
    """The rows of a fit, or the reason why there are none."""
    if rows is None:
        raise refused("gram-has-no-rows", verb=verb)
    return rows


def population(model: Estimates, rows: Rows) -> Array:
    """X alpha_hat, shape (n,)."""
    return np.asarray(rows.X @ model.fixed)


def fitted(model: Estimates, rows: Rows) -> Array:
    """X alpha_hat + Z beta_tilde, shape (n,)."""
    found = population(model, rows)
    for term, beta in zip(rows.terms, model.random, strict=True):
        own = beta[term.codes]
        found += own[:, 0] if term.Z is None else np.einsum("nq,nq->n", term.Z, own)
    return found


def row_by_row(model: Estimates, rows: Rows) -> RowByRow:
    """Fitted values, residuals, leverage and Cook's distance of every row.

    The error variance of a fitted value is tau2 h / w, so that h is read off it.
    """
    values = fitted(model, rows)
    residual = rows.y - values
    if model.tau2 == 0:
        standardised, leverage, cook = _without_noise(model, rows)
    else:
        noise = model.tau2 / (np.ones(model.n) if rows.weights is None else rows.weights)
        seen = [(term.codes, columns(term)) for term in rows.terms]
        leverage = model.effects.variance_of_mean(rows.X, seen) / noise
        left = np.where(1 - leverage > SHARE_OF_ITS_OWN, 1 - leverage, np.nan)
        standardised = residual / np.sqrt(noise * left)
        cook = standardised**2 * leverage / left / (len(model.fixed) or np.nan)
    return RowByRow(
        fitted=values,
        population=population(model, rows),
        residual=residual,
        standardised=standardised,
        leverage=leverage,
        cook=cook,
    )


def columns(term: Term) -> Array:
    """Z of a term, shape (n, q)."""
    return np.ones((term.n, 1)) if term.Z is None else term.Z


def _without_noise(model: Estimates, rows: Rows) -> tuple[Array, Array, Array]:
    """Standardised residuals, leverage and Cook's distance in the limit tau2 -> 0.

    Every row is fitted, and what is missed without a row stays finite: it is (P y)_i / P_ii with
    variance 1 / P_ii, where P = C (C'V C)^-1 C' and C holds contrasts of X. Measured in units of
    no noise it is infinitely far.
    """
    terms = zip(rows.terms, model.roots, model.gram.blocks, strict=True)
    V = sum(_covariance(term, root, block) for term, root, block in terms)
    C = np.linalg.qr(rows.X, mode="complete")[0][:, rows.X.shape[1] :]
    P = C @ np.linalg.solve(C.T @ V @ C, C.T)
    standardised = (P @ rows.y) / np.sqrt(np.diag(P))
    return standardised, np.ones(model.n), np.full(model.n, np.inf if len(model.fixed) else np.nan)


def _covariance(term: Term, root: Array, block: Block) -> Array:
    """Z Sigma Z', between rows of related levels only, shape (n, n)."""
    A = columns(term) @ root
    codes = term.codes
    same = np.equal.outer(codes, codes) if block.K is None else block.K[np.ix_(codes, codes)]
    return np.asarray((A @ A.T) * same)
