"""What an answer may be, how it is read, and when it counts as right."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import InputError
from .answers import Unfit, Values, array, described, frame, number
from .definition import Exercise
from .timeout import OutOfTime, run
from .verdict import Verdict

ROUNDED = 1e-3
"""Relative tolerance for a number that may have been rounded to four digits."""
EXACT = 1e-6
"""Relative tolerance for what a function returns: rounding, and no more."""


class Value:
    """A form whose answers are compared as values: a subclass reads them and compares them."""

    def read(self, answer: object) -> Any:
        """Read an answer, or raise :class:`Unfit` with the reason."""
        raise NotImplementedError

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values that were read count as equal."""
        raise NotImplementedError

    def differs(self, value: Any, truth: Any) -> str:
        """Say how a wrong value differs from the truth, without saying what the truth is."""
        raise NotImplementedError

    def judge(self, exercise: Exercise, answer: object, rng: np.random.Generator) -> Verdict:
        """Compare with the truth, then with the known mistakes."""
        try:
            value = self.read(answer)
        except Unfit as reason:
            return Verdict(False, str(reason))
        assert exercise.truth is not None
        truth = self.read(exercise.truth())
        if self.same(value, truth):
            return Verdict(True, exercise.after)
        for mistake in exercise.mistakes:
            if self.same(value, self.read(mistake.wrong())):
                return Verdict(False, mistake.hint)
        return Verdict(False, self.differs(value, truth))


@dataclass(frozen=True)
class Number(Value):
    """One number."""

    rel: float = ROUNDED

    def read(self, answer: object) -> Values:
        """Read one number."""
        return number(answer, "one number")

    def same(self, one: Values, other: Values) -> bool:
        """Equal but for rounding."""
        return bool(np.isclose(one, other, rtol=self.rel, atol=1e-12))

    def differs(self, value: Values, truth: Values) -> str:
        """Near, or far."""
        if np.isclose(value, truth, rtol=0.02):
            return (
                "Close, but not it: keep four digits until the end, and look for a neighbouring "
                "formula (another divisor, a row too few?)."
            )
        return "A number is what is asked for, but not this one, and the mistake is none I know."


@dataclass(frozen=True)
class Numbers(Value):
    """An array: a vector, a matrix."""

    rel: float = ROUNDED

    def read(self, answer: object) -> Values:
        """Read an array."""
        return array(answer, "an array")

    def same(self, one: Values, other: Values) -> bool:
        """Equal in shape, and in every entry but for rounding."""
        scale = float(np.abs(other).max(initial=0.0))
        return one.shape == other.shape and bool(
            np.allclose(one, other, rtol=0, atol=self.rel * scale + 1e-12)
        )

    def differs(self, value: Values, truth: Values) -> str:
        """The shape, the order, or some of the entries."""
        if value.shape != truth.shape:
            if value.ndim == 2 and value.shape == truth.shape[::-1]:
                return f"Your array has shape {value.shape}: it is asked for the other way round."
            return f"Your array has shape {value.shape}; the question asks for {truth.shape}."
        if self.same(np.sort(value, axis=None), np.sort(truth, axis=None)):
            return "These are the right numbers, in another order than the one asked for."
        near = np.isclose(value, truth, rtol=self.rel, atol=self.rel * float(np.abs(truth).max()))
        if near.any():
            first = tuple(int(i) for i in np.argwhere(~near)[0])
            where = first[0] if len(first) == 1 else first
            return f"Some entries are right; the first that is not stands at index {where}."
        return "The shape is right, the numbers are not, and the mistake is none I know."


@dataclass(frozen=True)
class Table(Value):
    """A data frame, compared by the labels of its columns and of its rows."""

    columns: tuple[str, ...]
    key: str
    """Column, or name of the index, that labels the rows; their order does not matter."""
    rel: float = ROUNDED

    def read(self, answer: object) -> Any:
        """Read a data frame."""
        return frame(answer, self.columns, self.key)

    def _wrong_columns(self, one: Any, other: Any) -> list[str]:
        entries = Numbers(self.rel)
        pairs = ((c, one[c].to_numpy(float), other[c].to_numpy(float)) for c in self.columns)
        return [name for name, a, b in pairs if not entries.same(a, b)]

    def same(self, one: Any, other: Any) -> bool:
        """Equal labels, and equal entries but for rounding."""
        return list(one[self.key]) == list(other[self.key]) and not self._wrong_columns(one, other)

    def differs(self, value: Any, truth: Any) -> str:
        """The rows, or which columns."""
        if len(value) != len(truth):
            return f"Your data frame has {len(value)} rows: there is to be one for each label."
        if list(value[self.key]) != list(truth[self.key]):
            return f"The labels in column {self.key!r} are not those of the data."
        wrong = self._wrong_columns(value, truth)
        return f"The rows are right, but not the numbers in {' and '.join(map(repr, wrong))}."


@dataclass(frozen=True)
class Word(Value):
    """One of several words, which the statement offers."""

    options: tuple[str, ...]

    def read(self, answer: object) -> str:
        """Read one of the words."""
        if not isinstance(answer, str):
            raise Unfit(
                "The question asks for one of the words that it offers, as a string; your answer "
                f"is {described(answer)}."
            )
        word = " ".join(answer.lower().split())
        if word not in self.options:
            raise Unfit("Your word is not among those that the question offers: copy one of them.")
        return word

    def same(self, one: str, other: str) -> bool:
        """The same word."""
        return one == other

    def differs(self, value: str, truth: str) -> str:
        """No more than that."""
        return "That is not what happens. Run it, look, and say why."


@dataclass(frozen=True)
class Function:
    """A function, compared with the reference on fresh random inputs."""

    call: str
    """How it is called, for instance ``f(x, groups)``."""
    inputs: Callable[[np.random.Generator], tuple[Any, ...]]
    """Draws the arguments of one call."""
    returns: Value = field(default_factory=lambda: Numbers(EXACT))
    """The form of what it returns."""
    trials: int = 5

    def judge(self, exercise: Exercise, answer: object, rng: np.random.Generator) -> Verdict:
        """Call it, then compare with the truth and with the known mistakes, call by call."""
        if not callable(answer):
            return Verdict(
                False,
                f"The question asks for the function {self.call} itself, without calling it; "
                f"your answer is {described(answer)}.",
            )
        draws = [self.inputs(rng) for _ in range(self.trials)]
        try:
            found = [self._call(answer, args) for args in draws]
        except Unfit as reason:
            return Verdict(False, str(reason))
        assert exercise.truth is not None
        truths = [self.returns.read(exercise.truth(*args)) for args in draws]
        hits = [self.returns.same(f, t) for f, t in zip(found, truths, strict=True)]
        if all(hits):
            return Verdict(True, exercise.after)
        for mistake in exercise.mistakes:
            if self._is(mistake.wrong, draws, found):
                return Verdict(False, mistake.hint)
        k = hits.index(False)
        said = self.returns.differs(found[k], truths[k])
        if any(hits):
            return Verdict(False, f"Right for some random inputs, not for all. {said}")
        return Verdict(False, f"I called it with random inputs. {said}")

    def _call(self, answer: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call an answer once and read what it returns."""
        try:
            inspect.signature(answer).bind(*args)
        except TypeError:
            raise Unfit(f"Your function cannot be called as {self.call}.") from None
        except ValueError:
            pass  # a built-in function, whose signature is not known
        given = copy.deepcopy(args)
        try:
            result = run(answer, given)
        except OutOfTime:
            raise Unfit("Your function did not return in time: does one of its loops never "
                        "end?") from None  # fmt: skip
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            said = f"{type(problem).__name__}: {problem}"[:200]
            raise Unfit(f"Your function stopped with {said} (called as {self.call} with random "
                        "inputs).") from None  # fmt: skip
        if not all(equal(a, b) for a, b in zip(args, given, strict=True)):
            raise Unfit("Your function changes one of its arguments: work on a copy of it.")
        try:
            return self.returns.read(result)
        except Unfit as reason:
            raise Unfit(f"I called your function with random inputs. {reason}") from None

    def _is(self, wrong: Callable[..., Any], draws: list[Any], found: list[Any]) -> bool:
        """Whether a mistake gives what the answer gave, on all inputs."""
        try:
            expected = (self.returns.read(wrong(*args)) for args in draws)
            return all(self.returns.same(f, e) for f, e in zip(found, expected, strict=True))
        except (ArithmeticError, ValueError, IndexError):  # not on these inputs
            return False


@dataclass(frozen=True)
class Counterexample:
    """An input at which two sides differ; both are run on the answer."""

    read: Callable[[object], Any]
    """Reads the answer and checks what the question demands of it, or raises Unfit."""
    left: Callable[[Any], Any]
    right: Callable[[Any], Any]
    gap: float = 1e-3
    """The sides differ if their largest difference is more than this, relative to the larger."""

    def judge(self, exercise: Exercise, answer: object, rng: np.random.Generator) -> Verdict:
        """Run both sides on the answer."""
        try:
            given = self.read(answer)
        except Unfit as reason:
            return Verdict(False, str(reason))
        except InputError as refusal:
            return Verdict(False, f"The package refuses this input: {refusal.wrong}")
        try:
            left, right = (np.asarray(side(given), dtype=float) for side in (self.left, self.right))
        except InputError as refusal:
            return Verdict(False, f"The package refuses this input: {refusal.wrong}")
        except np.linalg.LinAlgError:
            return Verdict(False, "One of the two sides does not exist at your input.")
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            return Verdict(False, "One of the two sides is not a finite number at your input.")
        scale = max(np.abs(left).max(initial=0.0), np.abs(right).max(initial=0.0))
        if np.abs(left - right).max(initial=0.0) > self.gap * max(scale, 1e-9):
            return Verdict(True, exercise.after)
        for mistake in exercise.mistakes:
            if mistake.wrong(given):
                return Verdict(False, mistake.hint)
        return Verdict(False, "At your input the two sides agree: the equality survives it.")


def equal(one: Any, other: Any) -> bool:
    """Whether an argument is as it was."""
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return one is other or bool(np.all(one == other))
