"""Data that the book and its exercises use."""

from .four_groups import FourGroups, four_groups

__all__ = ["FourGroups", "four_groups"]
