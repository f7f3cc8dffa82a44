"""Data that the book and its exercises use."""

from .four_groups import FourGroups, four_groups
from .records import RECORDS, record
from .reference import SOURCES, Source, load

__all__ = ["RECORDS", "SOURCES", "FourGroups", "Source", "four_groups", "load", "record"]
