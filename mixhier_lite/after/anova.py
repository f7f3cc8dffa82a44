"""The analysis of variance of a formula: an F test for each of its terms, of type III."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..fitted.estimates import Estimates
from ..fitted.satterthwaite import Precision
from ..fitted.tables import Origin
from ..inputs import Array, one_of
from .combination import Combinations
from .contrast import METHODS, contrast


def anova(
    model: Estimates,
    known: Precision,
    origin: Origin,
    hypotheses: Sequence[tuple[str, Array]],
    method: str,
) -> Any:
    """Data frame of the F tests of L alpha = 0 for the L of every term."""
    one_of(method, "method", METHODS, "satterthwaite is for variances that are estimated")
    found = []
    for _, L in hypotheses:
        rows = Combinations(L, np.zeros(len(L)), ("",) * len(L))
        found.append(contrast(model, known, rows, method, origin))
    columns = {
        "F": np.array([each.F for each in found]),
        "df1": np.array([each.F_df[0] for each in found]),
        "df2": np.array([each.F_df[1] for each in found]),
        "p": np.array([each.F_p for each in found]),
    }
    return origin.table({"term": np.array([name for name, _ in hypotheses], dtype=object)}, columns)
