"""What bambi and PyMC say about the cases of the chapter "rosetta": sampled posteriors.

An environment of its own (about 1 GB): ``pip install bambi "arviz<1" "matplotlib<3.11"``, then in
this folder ``python bambi_pymc.py``, some 15 minutes. It writes bambi_pymc.json: for every scalar
its posterior mean and standard deviation with their Monte Carlo errors, quantiles and effective
sample size; the versions, the seed and the date.

Priors: flat on fixed effects and on the standard deviation of the noise, half-normal on the
standard deviations of random effects, uniform on a correlation.
"""

import json
from datetime import date
from importlib.metadata import version
from pathlib import Path

import arviz as az
import bambi as bmb
import numpy as np
import pandas as pd
import pymc as pm

HERE = Path(__file__).parent
DATASETS = HERE.parents[2] / "mixhier_lite" / "datasets"
SEED, DRAWS, CHAINS = 20, 10_000, 4
SAMPLER = {"draws": DRAWS, "tune": 2000, "chains": CHAINS, "cores": 2, "random_seed": SEED}
SAMPLER |= {"target_accept": 0.98, "progressbar": False}
SCALES = {"Dyestuff": [100], "sleepstudy": [50, 10], "four_groups": [10]}


def by_bambi(formula, data, fixed, random, scales, **options):
    priors = {"sigma": bmb.Prior("HalfFlat")}  # the noise: our tau
    priors |= {name: bmb.Prior("Flat") for name in fixed}
    for name, scale in zip(random, scales, strict=True):
        spread = bmb.Prior("HalfNormal", sigma=scale)
        priors[name] = bmb.Prior("Normal", mu=0, sigma=spread)
    return bmb.Model(formula, data, priors=priors, **options).fit(**SAMPLER)


def by_pymc(data, scales):  # with the correlation that bambi leaves out
    person, people = pd.factorize(data["Subject"])
    with pm.Model(coords={"person": people, "column": ["1", "Days"]}):
        alpha = pm.Flat("alpha", shape=2)
        spread = pm.HalfNormal.dist(sigma=scales, shape=2)
        root, correlation, _ = pm.LKJCholeskyCov("L", n=2, eta=1, sd_dist=spread)
        u = pm.Normal("u", dims=("person", "column"))
        beta = pm.Deterministic("beta", u @ root.T, dims=("person", "column"))
        pm.Deterministic("correlation", correlation[0, 1])
        line = alpha + beta[person]
        mean = line[:, 0] + line[:, 1] * data["Days"].to_numpy()
        pm.Normal("y", mean, pm.HalfFlat("tau"), observed=data["Reaction"].to_numpy())
        return pm.sample(**SAMPLER)


def summary(draws: np.ndarray) -> dict[str, float]:
    """Numbers of one scalar, from its draws, shape (chains, draws)."""
    named, center = az.convert_to_dataset({"v": draws}), draws.mean()
    squares = az.convert_to_dataset({"v": (draws - center) ** 2})
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95])
    return {
        "mean": float(center),
        "sd": float(draws.std()),
        "median": float(median),
        "q05": float(low),
        "q95": float(high),
        "mcse_mean": float(az.mcse(named, method="mean")["v"]),
        "mcse_sd": float(az.mcse(squares, method="mean")["v"] / (2 * draws.std())),
        "ess": float(az.ess(named)["v"]),
        "rhat": float(az.rhat(named)["v"]),
    }


def read_off(idata, alpha, sd, tau, beta, levels) -> dict:
    """Summaries of everything; ``alpha`` and ``sd`` lists of draws, ``beta`` a list by column."""
    array = [np.asarray(column) for column in beta]  # each (chains, draws, levels)
    rows = range(len(levels))
    return {
        "levels": [str(level) for level in levels],
        "alpha": [summary(np.asarray(draws)) for draws in alpha],
        "sd": [summary(np.asarray(draws)) for draws in sd],
        "tau": summary(np.asarray(tau)),
        "beta": [[summary(column[:, :, k]) for column in array] for k in rows],
        "divergences": int(idata.sample_stats["diverging"].sum()),
    }


def bambi_case(formula, data, fixed, random, scales, **options) -> dict:
    """Fit one case with bambi."""
    idata = by_bambi(formula, data, fixed, random, scales, **options)
    p = idata.posterior
    levels = p[random[0]].coords[p[random[0]].dims[-1]].to_numpy()
    sd = [p[f"{name}_sigma"] for name in random]
    return read_off(idata, [p[n] for n in fixed], sd, p["sigma"], [p[n] for n in random], levels)


def pymc_case(data, scales) -> dict:
    """Fit sleepstudy with its correlation."""
    idata = by_pymc(data, scales)
    p = idata.posterior
    alpha, sd = ([np.asarray(p[n])[:, :, k] for k in (0, 1)] for n in ("alpha", "L_stds"))
    beta = [p["beta"].sel(column=c) for c in ("1", "Days")]
    out = read_off(idata, alpha, sd, p["tau"], beta, p["person"].to_numpy())
    return out | {"correlation": summary(np.asarray(p["correlation"]))}


def main() -> None:
    """Run all cases and write the file."""
    text = {"Batch": str, "Subject": str, "group": str}
    paths = [DATASETS / "Dyestuff.csv", DATASETS / "sleepstudy.csv", HERE / "four_groups.csv"]
    dyestuff, sleep, four = (pd.read_csv(path, dtype=text) for path in paths)
    people = ["1|Subject", "Days|Subject"]
    fits = {
        "Dyestuff": bambi_case(
            "Yield ~ 1 + (1|Batch)", dyestuff, ["Intercept"], ["1|Batch"], SCALES["Dyestuff"]
        ),
        "four_groups": bambi_case(
            "y ~ x + (1|group)",
            four,
            ["Intercept", "x"],
            ["1|group"],
            SCALES["four_groups"],
            noncentered=False,
        ),
        "sleepstudy_uncorrelated": bambi_case(
            "Reaction ~ Days + (Days|Subject)",
            sleep,
            ["Intercept", "Days"],
            people,
            SCALES["sleepstudy"],
        ),
        "sleepstudy": pymc_case(sleep, SCALES["sleepstudy"]),
    }
    about = {
        "program": "bambi and PyMC",
        "version": {name: version(name) for name in ("bambi", "pymc", "pytensor", "numpy")},
        "date": date.today().isoformat(),
        "script": Path(__file__).name,
        "seed": SEED,
        "draws": DRAWS * CHAINS,
        "scales": SCALES,
    }
    text = json.dumps({"about": about, "fits": fits}) + "\n"
    (DATASETS / "bambi_pymc.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
