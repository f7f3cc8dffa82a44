"""What a chapter cannot compute in passing: answers of other programs, and times of long runs."""

import json
from importlib.resources import files
from typing import Any

from ..errors import refused

RECORDS = {
    "lme4": "Fits by lme4, an R package; tests/reference/rosetta/lme4.R writes them.",
    "mixedmodels": "Fits by MixedModels.jl, quoted from its own tests.",
    "bambi_pymc": "Draws by bambi and PyMC; tests/reference/rosetta/bambi_pymc.py writes them.",
    "years": "Fits by lme4, statsmodels, mixedlm; tests/reference/checks/years.py writes them.",
    "scaling": "Seconds against four counts; tests/benchmarks/scaling.py measures and writes them.",
}
"""The records that ``record`` knows, and where they come from."""


def record(name: str) -> dict[str, Any]:
    """Read what was computed or measured elsewhere, with versions and date under ``"about"``.

    Parameters
    ----------
    name : str
        One of ``lme4``, ``mixedmodels``, ``bambi_pymc``, ``years``, ``scaling``.

    Raises
    ------
    InputError
        An unknown name.
    """
    if not isinstance(name, str) or name not in RECORDS:
        raise refused("unknown-record", known=", ".join(RECORDS), name=name)
    text = files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
