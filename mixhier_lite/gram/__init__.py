"""From rows to sufficient statistics: terms, one pass, sums that merge, what they identify."""

from .gram import Block, Gram
from .scale import gather_partitions
from .stream import gather
from .term import Term

__all__ = ["Block", "Gram", "Term", "gather", "gather_partitions"]
