"""Chapter *groups*: which observation belongs to which group."""

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..inputs import Array
from ..labels import coded


def indicator(groups: npt.ArrayLike, levels: npt.ArrayLike | None = None) -> Array:
    """Indicator matrix D of group membership (see :prf:ref:`def-indicator`).

    Parameters
    ----------
    groups : array_like, shape (n,)
        A label for each observation: integers, strings, anything that sorts.
    levels : array_like, shape (J,), optional
        The labels in the order of the columns. Default: the sorted distinct labels.
        A level without observations gets a column of zeros.

    Returns
    -------
    ndarray, shape (n, J)
        ``D[i, j]`` is 1.0 where observation i belongs to level j, else 0.0; rows sum to one.

    Raises
    ------
    InputError
        A label that is missing or stands in no level; repeated levels; no observation.

    Notes
    -----
    Equivalent to ``pandas.get_dummies(groups, dtype=float)`` without a data frame.

    Examples
    --------
    >>> from mixhier_lite import indicator
    >>> indicator(["b", "a", "b"])
    array([[0., 1.],
           [1., 0.],
           [0., 1.]])
    """
    rows = coded(groups, levels)
    if len(rows) == 0:
        raise refused("no-groups")
    D = np.zeros((len(rows), len(rows.levels)))
    D[np.arange(len(rows)), rows.codes] = 1.0
    return D
