"""Finding an exercise by its id."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module

from .framework.definition import Exercise

CHAPTERS = (
    "groups",
    "mixed",
    "henderson",
    "hierarchical",
    "flat",
    "ridge",
    "equivalence",
    "gram",
    "variance",
    "choosing",
    "slopes",
    "nested",
    "kinship",
    "bayes",
    "adjusting",
    "contrasts",
    "checks",
    "few",
    "scale",
    "rosetta",
    "limits",
)
"""Slugs of the chapters, in the order of the book: each has exercises."""


def chapters() -> tuple[str, ...]:
    """Slugs of the chapters that have exercises, in the order of the book."""
    return CHAPTERS


@cache
def of_chapter(slug: str) -> tuple[Exercise, ...]:
    """The exercises of one chapter, in the order in which its module defines them."""
    module = import_module(f".chapters.{slug}", __package__)
    return tuple(value for value in vars(module).values() if isinstance(value, Exercise))


def everything() -> tuple[Exercise, ...]:
    """All exercises of the book."""
    return tuple(exercise for slug in chapters() for exercise in of_chapter(slug))


def find(id: object) -> Exercise:
    """Find an exercise, or say which id was meant (LookupError)."""
    if not isinstance(id, str):
        raise LookupError(
            "The first argument is the id of an exercise, a string such as 'groups-1'; the answer "
            "is the second."
        )
    name = id.strip().lower().removeprefix("ex-").replace("_", "-")
    slug = name.rpartition("-")[0]
    known = of_chapter(slug) if slug in chapters() else ()
    if exercise := next((e for e in known if e.id == name), None):
        return exercise
    for exercise in everything():  # one that stands with another chapter has kept its id
        if exercise.id == name:
            return exercise
    ids = [exercise.id for exercise in known or everything()]
    near = get_close_matches(name, ids, n=1, cutoff=0.6)
    meant = f"Did you mean {near[0]!r}?" if near else "Ids look like 'groups-1'."
    raise LookupError(f"There is no exercise {id[:40]!r}. {meant}")
