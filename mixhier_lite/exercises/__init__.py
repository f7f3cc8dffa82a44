"""Exercises that answer back: ``check("groups-1", answer)`` names the mistake, not the answer."""

from .desk import Progress, check, progress
from .verdict import Verdict

__all__ = ["Progress", "Verdict", "check", "progress"]
