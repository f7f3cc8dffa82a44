"""What lme4, statsmodels and mixedlm say of sleepstudy when days are counted from far away.

Run in this folder: ``python years.py``. It writes mixhier_lite/datasets/years.json, with versions
and the date. Where a search ends early, its end moves with the machine: the numbers are a record.
"""

import json
import subprocess
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mixhier_lite import datasets

HERE = Path(__file__).parent
ORIGINS = [0, 10, 40, 100, 400, 1000, 2000]


def by_lme4():
    """The fits of years.R."""
    command = ["Rscript", "years.R", *map(str, ORIGINS)]
    run = subprocess.run(command, cwd=HERE, check=True, capture_output=True, encoding="utf-8")
    found = json.loads(run.stdout)
    return found["version"], found["fits"]


def by_python(program, ask):
    """The fits of a Python program, with what it warned of."""
    fits = []
    for origin in ORIGINS:
        data = datasets.load("sleepstudy")
        data["year"] = data["Days"] + float(origin)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            numbers = dict(zip(("criterion", "slope", "se"), map(float, ask(data)), strict=True))
        texts = list(dict.fromkeys(" ".join(str(w.message).split()) for w in said))
        fits.append(numbers | {"said": texts})
    return f"{program} {version(program)}", fits


def of_statsmodels(data):
    """Criterion, slope and its standard error."""
    import statsmodels.formula.api as smf

    model = smf.mixedlm("Reaction ~ year", data, groups="Subject", re_formula="~year").fit()
    return -2 * model.llf, model.fe_params["year"], model.bse_fe["year"]


def of_mixedlm(data):
    """Criterion, slope and its standard error."""
    import mixedlm

    model = mixedlm.lmer("Reaction ~ year + (year | Subject)", data)
    return model.deviance, model.fixef()["year"], np.sqrt(np.diag(model.vcov()))[1]


def main():
    """Ask everybody, and write."""
    asked = {
        "lme4": by_lme4(),
        "statsmodels": by_python("statsmodels", of_statsmodels),
        "mixedlm": by_python("mixedlm", of_mixedlm),
    }
    about = {
        "what": "sleepstudy by REML, Reaction ~ year + (year | Subject), year = Days + origin.",
        "script": "tests/reference/checks/years.py",
        "date": str(date.today()),
        "programs": [name for name, _ in asked.values()],
    }
    out = {"about": about, "origin": ORIGINS} | {key: fits for key, (_, fits) in asked.items()}
    file = HERE.parents[2] / "mixhier_lite" / "datasets" / "years.json"
    file.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
