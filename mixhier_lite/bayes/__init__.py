"""Chapter *bayes*: priors on the variances, and the exact posterior of everything."""

from .draws import Draws
from .sampling import integrate, sample

__all__ = ["Draws", "integrate", "sample"]
