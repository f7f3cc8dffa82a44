"""What a check says."""

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Verdict:
    """Whether an answer is right, and a sentence about it that never gives the answer away.

    A verdict counts as true where the answer is right, so that ``assert check(...)`` works.
    """

    right: bool
    """Whether the answer is right."""
    message: str
    """What is right or wrong about it."""

    def __bool__(self) -> bool:
        """Right or not."""
        return self.right

    def __repr__(self) -> str:
        """The verdict in words, as a cell of a notebook shows it."""
        return f"{'right' if self.right else 'not yet'}: {self.message}"
