"""Exercises that answer back: ``check("groups-1", answer)`` names the mistake, not the answer."""

from .framework.verdict import Verdict
from .session import Progress, check, progress

__all__ = ["Progress", "Verdict", "check", "progress"]
