"""Data that the book and its exercises use."""

from .four_groups import FourGroups, four_groups
from .mice import Mice, mice
from .records import RECORDS, record
from .reference import SOURCES, Source, load

__all__ = [
    "RECORDS",
    "SOURCES",
    "FourGroups",
    "Mice",
    "Source",
    "four_groups",
    "load",
    "mice",
    "record",
]
