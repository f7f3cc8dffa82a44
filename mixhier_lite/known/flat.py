"""Chapter *flat*: the flat prior on the fixed effects."""

import numpy as np

from ..inputs import count
from .hierarchical import GaussianFactor


def flat(p: int) -> GaussianFactor:
    """Flat prior on p fixed effects: a precision of exactly zero (:prf:ref:`thm-flat`).

    Parameters
    ----------
    p : int
        Number of fixed effects, >= 0.

    Raises
    ------
    InputError
        p negative or not an integer.

    Examples
    --------
    >>> from mixhier_lite import flat
    >>> flat(2).precision
    array([[0., 0.],
           [0., 0.]])
    """
    p = count(p, "p", 0, "fixed effects", "pass X.shape[1]", most=10**4)
    return GaussianFactor(np.zeros((p, p)), np.zeros(p))
