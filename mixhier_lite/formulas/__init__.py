"""Formulas and data frames: ``"y ~ x + (x | g)"`` becomes y, X and terms."""

from .formula import lmer

__all__ = ["lmer"]
