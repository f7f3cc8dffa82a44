"""One exercise: its words, the form of its answer, the truth, and the mistakes known by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from .verdict import Verdict

Level = Literal["easy", "medium", "hard"]
Kind = Literal["prove", "compute", "predict", "break"]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give, and what to say to them."""

    name: str
    """For instance ``upside_down``: what the code and the file of words call it."""
    wrong: Callable[..., Any]
    """Computes it: a function of nothing, of the inputs where a function is asked for, or a
    test of the given input where a counterexample is asked for."""
    hint: str
    """Names the mistake and not the answer."""


class Form(Protocol):
    """What an answer may be, and when it counts as right."""

    def judge(self, exercise: "Exercise", answer: object, rng: np.random.Generator) -> Verdict:
        """Compare an answer with the truth, then with the known mistakes."""
        ...


@dataclass(frozen=True)
class Exercise:
    """One exercise; its statement stands in the book under the label ``ex-`` + id."""

    id: str
    """For instance ``ridge-2``: the chapter it was written for and a number that never changes."""
    chapter: str
    """Slug of the chapter with which it stands now."""
    title: str
    """What the book and the worksheet call it."""
    level: Level
    """How hard it is."""
    kind: Kind
    """What it asks of the reader."""
    form: Form
    """What an answer looks like, and when two answers count as equal."""
    truth: Callable[..., Any] | None
    """Computes the right answer when called. None where the check runs both sides instead."""
    mistakes: tuple[Mistake, ...]
    """Mistakes that are known by name, the likeliest first."""
    after: str
    """What to say to a right answer."""

    @property
    def variable(self) -> str:
        """The name of the answer in a worksheet, for instance ``ridge_2``."""
        return self.id.replace("-", "_")
