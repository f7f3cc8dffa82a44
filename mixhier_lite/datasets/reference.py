"""Published measurements, as data frames."""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import refused
from ..inputs import one_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """Where a data set comes from."""

    what: str
    """What was measured."""
    published: str
    """Where it was first published."""
    circulates: str
    """The package that hands it around, with its licence."""
    sha256: str
    """Checksum of the file with lines that end in a line feed, as on Linux."""
    labels: tuple[str, ...] = ()
    """Columns that hold labels, though they look like numbers."""


_LME4 = "R packages lme4 and nlme, GPL >= 2"

SOURCES = {
    "sleepstudy": Source(
        "Reaction time (ms) of 18 subjects on days 0 to 9 of sleep restriction; 180 rows.",
        "Belenky et al. (2003), Journal of Sleep Research 12, 1-12",
        _LME4,
        "0a002bec8be2fa9d40dbbf3d5038e614d113a4fd5bf8813f6f4271c3d6294675",
        ("Subject",),
    ),
    "Dyestuff": Source(
        "Yield of dyestuff from 6 batches of an intermediate product; 30 rows.",
        "Davies (1947), in Box and Tiao (1973), Bayesian Inference in Statistical Analysis",
        _LME4,
        "4fa4c10f8db617562965d43014e2bb15df244f2cc0a1f83f47b3cd4ac40c17a1",
    ),
    "Dyestuff2": Source(
        "Simulated yields whose variance between batches is estimated as zero; 30 rows.",
        "Box and Tiao (1973), Bayesian Inference in Statistical Analysis, table 5.1.4",
        _LME4,
        "89a3b0b90c777b66b45cd1468dfebec3ec4b11928d226f674ec39087fe8db368",
    ),
    "Penicillin": Source(
        "Diameter of the zone of inhibition on 24 plates for 6 samples, crossed; 144 rows.",
        "Davies and Goldsmith (1972), Statistical Methods in Research and Production",
        _LME4,
        "9a26c574d34d1b6d5a6fcb31d296ffa65fe0339eea4b77f502d90b7f2b4eca24",
    ),
    "Rail": Source(
        "Travel time of a wave in 6 rails, measured three times each; 18 rows.",
        "Devore (2000), Probability and Statistics for Engineering and the Sciences",
        _LME4,
        "76d59332d92121a2bcd20f8fde0f35c8616c5ab5d2cbffbc84809e909fdd3e9b",
        ("Rail",),
    ),
    "Pastes": Source(
        "Strength of a chemical paste from 10 batches, 3 casks of each, assayed twice; 60 rows. "
        "The labels of casks start again in every batch.",
        "Davies and Goldsmith (1972), Statistical Methods in Research and Production, section 6.5",
        _LME4,
        "1ccc038f2636384688511818410a6e5b4a3d61d2f23cda657e43b2596ffd1331",
    ),
    "BodyWeight": Source(
        "Weight (g) of 16 rats on three diets on 11 days of 64; 176 rows. The experiment started "
        "several weeks before day 1.",
        "Crowder and Hand (1990), Analysis of Repeated Measures, table 2.4",
        _LME4,
        "38eb7b5b2333749e96fd764cb21f255d04f8e6b94c306f9c4ff6ff71f10f83d3",
        ("Rat", "Diet"),
    ),
    "radon": Source(
        "Radon in 919 homes of Minnesota, with floor, county and the county's log uranium. "
        "`y_gh` is the log activity with zeros set to 0.1, as Gelman and Hill have it; "
        "`log_radon`, the column that circulates, is log(activity + 0.1).",
        "EPA state residential radon survey; Gelman and Hill (2007), Data Analysis Using "
        "Regression and Multilevel/Hierarchical Models",
        "R package rstanarm, GPL 3",
        "fc2c2bf75b18b9582bdab80c8b9f65780ceec5c5405b68805a8225c89665569f",
    ),
    "bcg": Source(
        "Tuberculosis with and without BCG vaccine in 13 trials: cases and others (`tpos`, "
        "`tneg`) among the vaccinated, the same (`cpos`, `cneg`) among controls, and the "
        "latitude in degrees (`ablat`).",
        "Colditz et al. (1994), JAMA 271, 698-702",
        "R package metadat (metafor's dat.bcg), GPL >= 2",
        "892192ea82a30c6ae3aadd1f825661390637daf80fda45dd91d6d84cbe438c32",
    ),
}
"""The data sets that ``load`` knows, with their provenance."""


def load(name: str, backend: str = "pandas") -> Any:
    """Load a published data set; in pandas its provenance stands in ``.attrs``.

    Parameters
    ----------
    name : str
        One of ``sleepstudy``, ``Dyestuff``, ``Dyestuff2``, ``Penicillin``, ``Rail``, ``Pastes``,
        ``BodyWeight``, ``radon``, ``bcg``.
    backend : {"pandas", "polars", "pyarrow"}
        The library of the data frame.

    Raises
    ------
    InputError
        An unknown name or backend; no pandas, or not the backend; a file that is not the one that
        was published here.
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise refused("unknown-data-set", known=", ".join(SOURCES), name=name)
    one_of(backend, "backend", ("pandas", "polars", "pyarrow"), "leave it out for pandas")
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise refused("pandas-missing") from None
    source = SOURCES[name]
    raw = files(__package__).joinpath(f"{name}.csv").read_bytes()
    raw = raw.replace(b"\r\n", b"\n")  # a checkout on Windows may end lines in two bytes
    found = sha256(raw).hexdigest()
    if found != source.sha256:
        raise refused("data-file-changed", name=name, recorded=source.sha256, found=found)
    data = pd.read_csv(BytesIO(raw), dtype=dict.fromkeys(source.labels, str))
    data.attrs = {
        "name": name,
        "what": source.what,
        "published": source.published,
        "circulates": source.circulates,
        "sha256": source.sha256,
    }
    return data if backend == "pandas" else _of_another_library(data, backend)


def _of_another_library(data: "pd.DataFrame", backend: str) -> Any:
    """The same as a data frame of polars, or a table of pyarrow."""
    columns = {name: data[name].tolist() for name in data.columns}
    try:
        if backend == "polars":
            import polars

            return polars.DataFrame(columns)
        import pyarrow

        return pyarrow.table(columns)
    except ModuleNotFoundError:
        raise refused("backend-missing", backend=backend) from None
