"""What R's packages say (tests/reference/after), and our fits of the same models."""

import json
from functools import cache

import numpy as np
import pandas as pd
from conftest import ROOT

from mixhier_lite import datasets, lmer

FOLDER = ROOT / "tests" / "reference" / "after"
SAID = json.loads((FOLDER / "said.json").read_text(encoding="utf-8"))
FACTORIAL = pd.read_csv(FOLDER / "factorial.csv")
BCG = pd.read_csv(FOLDER / "bcg.csv")
HOLED = FACTORIAL[~((FACTORIAL["f"] == "c") & (FACTORIAL["k"] == "v"))]
"""Without the rows of one cell."""


@cache
def fits():
    """The models of after.R, by name."""
    centred = FACTORIAL.assign(x=FACTORIAL["x"] - 10)
    sleepstudy = datasets.load("sleepstudy")
    return {
        "sleepstudy": lmer("Reaction ~ Days + (Days | Subject)", sleepstudy),
        "rats": lmer("weight ~ Time * Diet + (Time | Rat)", datasets.load("BodyWeight")),
        "intercepts": lmer("y ~ f * k + x + (1 | g)", FACTORIAL),
        "crossed": lmer("y ~ f * k + f:x + (1 | g) + (1 | h)", FACTORIAL),
        "slopes": lmer("y ~ f * k + x + (x | g)", centred),
        "weighted": lmer("y ~ f + k + x + (1 | g)", FACTORIAL, weights="w"),
        "no_intercept": lmer("y ~ 0 + f + x:k + (1 | g)", FACTORIAL),
        "interaction": lmer("y ~ f * x + k + (1 | g)", FACTORIAL),
        "ml": lmer("y ~ f * k + x + (1 | g)", FACTORIAL, method="ML"),
    }


def covariance(model):
    """V of a fit by its rows, shape (n, n), written down directly."""
    rows = model.rows
    V = np.diag(model.tau2 / (np.ones(model.n) if rows.weights is None else rows.weights))
    for term, Sigma, block in zip(rows.terms, model.Sigma, model.gram.blocks, strict=True):
        Z = np.ones((model.n, 1)) if term.Z is None else term.Z
        K = np.eye(block.J) if block.K is None else block.K
        V = V + (Z @ Sigma @ Z.T) * K[np.ix_(term.codes, term.codes)]
    return V
