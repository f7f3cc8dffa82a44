"""A progress bar on request, for what can take long."""

from collections.abc import Iterable
from typing import TypeVar

from .errors import refused
from .inputs import flag

Item = TypeVar("Item")


def shown(items: Iterable[Item], progress: bool) -> Iterable[Item]:
    """The same items, with a progress bar where ``progress`` is true.

    Raises
    ------
    InputError
        ``progress=True`` without tqdm; progress neither true nor false.
    """
    if not flag(progress, "progress"):
        return items
    try:
        from tqdm.auto import tqdm
    except ImportError as missing:
        raise refused("tqdm-missing") from missing
    bar: Iterable[Item] = tqdm(items)
    return bar
