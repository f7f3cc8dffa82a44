"""Data that the book and its exercises use."""

from .four_groups import FourGroups, four_groups
from .reference import SOURCES, Source, load

__all__ = ["SOURCES", "FourGroups", "Source", "four_groups", "load"]
