"""Chapter *bayes*: priors on the variances, exactly.

Everything is read from the Gram, so that the cost does not grow with the rows. The posterior of
the variances is a density in a few dimensions (:prf:ref:`thm-theta-posterior`); alpha and beta
given the variances are Gaussian.
"""

import numpy as np

from ..after.fit import Fit
from ..errors import refused
from ..inputs import count, generator
from ..priors import Prior, SdPrior, as_prior
from .conditional import draw_effects
from .draws import Draws
from .importance import resample, weighted
from .integral import Integral
from .posterior import posterior_of
from .propriety import existence
from .quadrature import settled, sketch
from .rejection import independent

LARGEST = 10**9
"""Numbers that the draws of all random effects hold at most."""


def sample(
    model: Fit, draws: int, rng: np.random.Generator, prior: Prior | SdPrior | None = None
) -> Draws:
    """Draw alpha, beta, Sigma and tau2 from their posterior, from the Gram alone.

    The draws are independent with up to three variance parameters beside tau2 (random slopes, or
    three crossed factors); with more they are weighted draws of importance sampling, resampled.

    Parameters
    ----------
    model : Fit
        Lends its Gram and whether tau2 is known. Its method and estimates do not matter.
    draws : int
    rng : numpy.random.Generator
    prior : Prior or SdPrior, optional
        Default: flat on every standard deviation and on alpha, correlations uniform.

    Raises
    ------
    InputError
        The posterior is improper, and why; or more variances than importance sampling can do.

    Examples
    --------
    >>> from mixhier_lite import Term, fit, sample
    >>> y, g = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 8.0, 3.0, 2.0]), np.repeat(np.arange(4), 2)
    >>> model = fit(y, np.ones((8, 1)), Term(g))
    >>> sample(model, 1000, np.random.default_rng(0)).random[0].shape
    (1000, 4, 1)
    """
    _has_data(model)
    generator(rng)
    effects = sum(block.J * block.q for block in model.gram.blocks)
    most = LARGEST // (effects + model.gram.p + 1)
    count(draws, "draws", 1, "draws", "pass for instance draws=1000", most)
    over = posterior_of(model, as_prior(prior))
    exists = existence(over)
    if over.size <= 3:
        t, given = independent(sketch(over), draws, rng)
        effective = float(draws)
    else:
        points = weighted(over, max(20000, 4 * draws), rng)
        chosen = resample(points, draws, rng)
        t = points.t[chosen, 0]
        given = points.given[chosen]
        effective = 1 / (1 / draws + 1 / points.effective)
    tau = over.tau(given, t)
    mean, variance = given.moments_of_z(tau)
    z = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
    alpha = given.alpha + np.einsum("nij,nj->ni", given.root, z)
    v = np.column_stack([-alpha, np.ones(draws)])
    random = draw_effects(over.unpooled, given.T, v, tau, rng)
    tau2 = (tau * over.y_unit) ** 2
    return Draws(
        model=model,
        fixed=over.fixed(alpha),
        random=tuple(random),
        roots=tuple(over.roots(given.T, tau)),
        tau2=tau2,
        ess=effective,
        exists=exists,
    )


def integrate(model: Fit, prior: Prior | SdPrior | None = None) -> Integral:
    """The same posterior as numbers: means, standard deviations, quantiles, log marginal.

    Parameters
    ----------
    model : Fit
    prior : Prior or SdPrior, optional
        As for :func:`mixhier_lite.sample`.

    Raises
    ------
    InputError
        As for :func:`mixhier_lite.sample`.

    Examples
    --------
    Eight schools (Gelman 2006), with a flat prior on mu and on the sd between schools.

    >>> import numpy as np
    >>> from mixhier_lite import Term, fit, integrate
    >>> y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    >>> se = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    >>> model = fit(y, np.ones((8, 1)), Term(np.arange(8)), tau2=1, weights=1 / se**2)
    >>> posterior = integrate(model)
    >>> posterior.mean.fixed.round(2), posterior.mean.sds[0].round(2)
    (array([7.93]), array([6.58]))
    """
    _has_data(model)
    over = posterior_of(model, as_prior(prior))
    exists = existence(over)
    if over.size <= 3:
        found, change = settled(over)
        return Integral(over, found, exists, max(change, found.beyond(exists.sds)))
    points = weighted(over, 40000, np.random.default_rng(0))
    return Integral(over, points, exists, float(points.effective**-0.5))


def _has_data(model: Fit) -> None:
    if not isinstance(model, Fit):
        raise refused("model-is-no-fit", kind=type(model).__name__)
