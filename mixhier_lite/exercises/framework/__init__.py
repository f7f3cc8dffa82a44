"""What a chapter writes its exercises with.

An exercise is a form of answer, a truth and mistakes, all of them computed; its words stand in a
file beside the chapter's module.
"""

from .answers import Unfit, array, number, parts
from .forms import EXACT, Counterexample, Function, Number, Numbers, Table, Word
from .words import choice, exercise

__all__ = [
    "EXACT",
    "Counterexample",
    "Function",
    "Number",
    "Numbers",
    "Table",
    "Unfit",
    "Word",
    "array",
    "choice",
    "exercise",
    "number",
    "parts",
]
