"""Documented examples of other programs, and panels over calendar years: theirs, ours, the truth.

``python documented.py`` prints the table; with ``truth`` it finds the truth once more, and with
``ask`` it asks the programs that Python can run. What they said is in said.json.
"""

import json
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from mixhier_lite import datasets, lmer

HERE = Path(__file__).parent
SAID = json.loads((HERE / "said.json").read_text(encoding="utf-8"))
EXACT = json.loads((HERE.parent / "fits.json").read_text(encoding="utf-8"))["fits"]


def panel(seed):
    """Twenty people over the years 2000 to 2010, intercepts and slopes that vary about 2005."""
    rng = np.random.default_rng(seed)
    g, year = np.repeat(np.arange(20), 11), np.tile(np.arange(2000.0, 2011.0), 20)
    b = rng.multivariate_normal([0, 0], [[1, 0.2], [0.2, 0.25]], 20)
    y = 5 + 0.5 * (year - 2005) + b[g, 0] + b[g, 1] * (year - 2005) + 0.5 * rng.normal(size=220)
    return pd.DataFrame({"y": y, "year": year, "g": g.astype(str)})


def of_statsmodels(name):
    """A table that statsmodels brings with its tests."""
    import statsmodels

    folder = Path(statsmodels.__file__).parent / "regression" / "tests" / "results"
    return pd.read_csv(folder / f"{name}.csv", index_col=0)


@cache
def data(name):
    """The data of an example."""
    if name in ("dietox", "pastes"):
        return of_statsmodels(name)
    if name.startswith("panel"):
        return panel(int(name.split()[1]))
    if name == "sleepstudy + 2000":
        plain = datasets.load("sleepstudy")
        return plain.assign(year=plain["Days"] + 2000.0)
    return datasets.load(name)


@cache
def ours(name, formula, method):
    """Our fit of an example."""
    return lmer(formula, data(name), method)


def truth(row):
    """The least criterion: of 22 digits where fits.json has it, else of many searches."""
    if "exact" in row:
        return float(EXACT[f"{row['exact']}:{row['method']}"]["criterion"])
    return SAID["truth"][f"{row['data']}, {row['formula']}, {row['method']}"]


def table():
    """One row for each example and program."""
    rows = []
    for row in SAID["rows"]:
        fit, least = ours(row["data"], row["formula"], row["method"]), truth(row)
        off = {"theirs - truth": row["criterion"] - least, "ours - truth": fit.criterion - least}
        shown = {key: row[key] for key in ("data", "formula", "method", "program")}
        rows.append(
            shown | {"theirs": row["criterion"], "ours": fit.criterion, "truth": least} | off
        )
    return pd.DataFrame(rows)


# --- the truth: the n x n likelihood group by group, searched in columns made orthonormal


def likelihood(y, X, Z, groups, T, method):
    """-2 log likelihood or REML criterion at T T' = Sigma / tau2, tau2 at its best."""
    p, n, log_det, S = X.shape[1], len(y), 0.0, 0.0
    for label in np.unique(groups):
        rows = groups == label
        M, ZT = np.column_stack([X, y])[rows], Z[rows] @ T
        V = np.eye(rows.sum()) + ZT @ ZT.T
        log_det += np.linalg.slogdet(V)[1]
        S = S + M.T @ np.linalg.solve(V, M)
    r2 = S[p, p] - S[p, :p] @ np.linalg.solve(S[:p, :p], S[:p, p])
    nu = n - p if method == "REML" else n
    reml = np.linalg.slogdet(S[:p, :p])[1] if method == "REML" else 0.0
    return log_det + reml + nu * (1 + np.log(2 * np.pi * r2 / nu))


def least(y, X, Z, groups, method, starts=6):
    """The lowest of several searches; what scipy finds from random points."""
    q = Z.shape[1]
    orthonormal = np.linalg.qr(Z)[0] * np.sqrt(len(y))
    # log det X'V^-1X of REML depends on the columns of X
    other = np.linalg.qr(X)[0]
    change = 2 * np.linalg.slogdet(np.linalg.qr(X)[1])[1] if method == "REML" else 0.0
    cells, rng = np.tril_indices(q), np.random.default_rng(0)

    def value(theta):
        T = np.zeros((q, q))
        T[cells] = theta
        return likelihood(y, other, orthonormal, groups, T, method)

    found = [
        minimize(value, rng.normal(size=len(cells[0])), method="BFGS", options={"gtol": 1e-7}).fun
        for _ in range(starts)
    ]
    return min(found) + change


def least_of_two_factors(y, a, b):
    """The lowest -2 log likelihood of a mean and two random intercepts."""
    same = [np.equal.outer(k, k).astype(float) for k in (a, b)]
    one, n = np.ones((len(y), 1)), len(y)

    def value(theta):
        V = np.eye(n) + theta[0] ** 2 * same[0] + theta[1] ** 2 * same[1]
        S = np.column_stack([one, y]).T @ np.linalg.solve(V, np.column_stack([one, y]))
        r2 = S[1, 1] - S[0, 1] ** 2 / S[0, 0]
        return np.linalg.slogdet(V)[1] + n * (1 + np.log(2 * np.pi * r2 / n))

    starts = [(1.0, 1.0), (0.1, 3.0), (3.0, 0.1), (5.0, 5.0)]
    return min(
        minimize(value, start, method="BFGS", options={"gtol": 1e-7}).fun for start in starts
    )


def find_truth():
    """Search every example that fits.json does not have."""
    found = {}
    for row in SAID["rows"]:
        d, name = data(row["data"]), f"{row['data']}, {row['formula']}, {row['method']}"
        if "exact" in row or name in found:
            continue
        y = d[row["y"]].to_numpy(dtype=float)
        if "factors" in row:
            value = least_of_two_factors(y, *(d[k].to_numpy() for k in row["factors"]))
        else:
            X = np.column_stack([np.ones(len(d)), d[row["x"]]])
            Z = X if f"({row['x']} |" in row["formula"] else X[:, :1]
            value = least(y, X, Z, d[row["group"]].to_numpy(), row["method"])
        found[name] = round(value, 9)
    print(json.dumps(found, indent=1))


def ask():
    """Ask statsmodels and mixedlm."""
    import mixedlm
    import statsmodels.formula.api as smf

    warnings.simplefilter("ignore")
    for row in SAID["rows"]:
        if "group" not in row:
            continue
        d, fixed = data(row["data"]), row["formula"].split(" + (")[0]
        slopes = f"~{row['x']}" if f"({row['x']} |" in row["formula"] else "~1"
        if row["program"].startswith("statsmodels"):
            model = smf.mixedlm(fixed, d, groups=d[row["group"]], re_formula=slopes).fit()
            print(row["data"], row["program"], -2 * model.llf)
        elif row["program"].startswith("mixedlm"):
            print(row["data"], row["program"], mixedlm.lmer(row["formula"], d).deviance)


if __name__ == "__main__":
    if sys.argv[1:] == ["truth"]:
        find_truth()
    elif sys.argv[1:] == ["ask"]:
        ask()
    else:
        with pd.option_context("display.width", 200, "display.max_columns", None):
            print(table().to_string(index=False, float_format=lambda v: f"{v:.8g}"))
