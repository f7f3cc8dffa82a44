import json
import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import ROOT

from mixhier_lite import Fit, InputError, Term, compare, datasets, fit, lmer
from mixhier_lite.formulas.parse import parse

SLEEP = "Reaction ~ Days + (Days | Subject)"


def test_sleepstudy():
    model = lmer(SLEEP, datasets.load("sleepstudy"))
    assert model.criterion == pytest.approx(1743.628271958490760688, rel=1e-13)
    assert model.names == ("(Intercept)", "Days") and model.term_names == ("Subject",)
    assert model.levels[0][0] == "308"
    assert model.random[0][0] == pytest.approx([2.2585655, 9.1989719], abs=1e-7)


def test_parse():
    parts = parse("log(y) ~ 0 + x*(a + b) - 1 + (0 + x || a/b) + (1 | c:d)")
    assert parts.response == "log(y)" and parts.fixed == "0 + x*(a + b) - 1"
    assert [(b.columns, b.name, b.correlated) for b in parts.bars] == [
        ("0 + x", "a", False),
        ("0 + x", "a:b", False),
        ("1", "c:d", True),
    ]


def test_factors_interactions_and_nesting():
    data = datasets.load("Penicillin")
    data["lab"] = np.repeat(["u", "v", "w"], 48)
    data["kind"] = pd.Categorical(data["sample"], categories=list("FEDCBAZ"))
    data.loc[[3, 9], "diameter"] = np.nan
    nested = lmer("diameter ~ kind + (1 | lab/plate)", data)
    assert nested.term_names == ("lab", "lab:plate") and nested.levels[1][0] == "u:a"
    model = lmer("diameter ~ kind * lab + (1 | lab:plate)", data)
    assert model.names[:3] == ("(Intercept)", "kindE", "kindD") and model.names[-1] == "kindA:labw"
    assert model.n == 142 and "2 rows with missing values" in model.summary()
    used = data.dropna()
    one = np.ones(142)
    X = [(used["sample"] == s) * 1.0 for s in "EDCBA"]
    labs = [(used["lab"] == k) * 1.0 for k in "vw"]
    X = np.column_stack([one, *X, *labs, *[x * k for k in labs for x in X]])
    pairs = used["lab"].astype(str) + used["plate"].astype(str)
    by_hand = fit(used["diameter"], X, Term(pairs))
    assert model.criterion == pytest.approx(by_hand.criterion, abs=1e-9)
    assert np.allclose(model.fixed, by_hand.fixed, atol=1e-9)


def test_predictions_from_a_frame():
    data = datasets.load("sleepstudy")
    model = lmer(SLEEP, data)
    new = pd.DataFrame({"Days": [3.0, 10.0], "Subject": ["308", "999"]})
    with pytest.raises(InputError, match="has not seen"):
        model.predict(new)
    two = model.predict(new, new_groups="population")
    b = model.random[0][0]
    assert two.mean[0] == pytest.approx(model.fixed @ [1, 3] + b @ [1, 3])
    assert two.mean[1] == pytest.approx(model.fixed @ [1, 10])
    z = np.array([1.0, 10.0])
    spread = z @ model.Sigma[0] @ z + model.tau2
    assert two.var_new[1] == pytest.approx(two.var_mean[1] + spread)
    assert np.allclose(model.predict(new[["Days"]], new_groups="population").mean[1], two.mean[1])


def test_relatedness_and_weights():
    rng = np.random.default_rng(1)
    strains = np.array(list("abcdef"))
    data = pd.DataFrame({"g": strains[rng.integers(0, 5, 60)], "w": rng.uniform(1, 2, 60)})
    M = rng.normal(size=(6, 9))
    K = M @ M.T / 9
    data["y"] = (np.linalg.cholesky(K) @ rng.normal(size=6))[np.searchsorted(strains, data["g"])]
    data["y"] += rng.normal(size=60)
    order = [3, 1, 5, 0, 2, 4]
    labelled = pd.DataFrame(K, strains, strains).iloc[order, order]
    model = lmer("y ~ 1 + (1 | g)", data, weights="w", relatedness={"g": labelled})
    term = Term(data["g"], K=K, levels=strains)
    by_hand = fit(data["y"], np.ones((60, 1)), term, weights=data["w"])
    assert model.criterion == pytest.approx(by_hand.criterion, abs=1e-9)
    assert model.levels[0].tolist() == strains.tolist()
    assert np.allclose(model.random[0], by_hand.random[0], atol=1e-9)
    with pytest.raises(InputError, match="does not carry the levels"):
        lmer("y ~ 1 + (1 | g)", data, relatedness={"g": labelled.drop(index="a", columns="a")})


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Reaction ~ Nights + (1 | Subject)", "no column .Nights."),
        ("Reaction ~ offset(Days) + (1 | Subject)", "offset"),
        ("Reaction ~ Days | Subject", "without brackets"),
        ("Reaction ~ (1 | Nobody)", "no column 'Nobody'"),
        ("Reaction Days", "cannot be read"),
        ("Reaction ~ (1 | Subject + Days)", "random term cannot be read"),
        ("Subject ~ 1 + (1 | Days)", "not one column of numbers"),
        ("Reaction ~ Days + I(2 * Days) + (1 | Subject)", "Days, I"),
        ("Reaction ~ I(Days^2) + (1 | Subject)", "is not a power"),
        ("Reaction ~ Days + (I((Days + 1)^2) | Subject)", "is not a power"),
        ("Reaction ~ np.abs((Days)^2) + (1 | Subject)", "is not a power"),
        ("Reaction ~ {Days^2} + (1 | Subject)", "is not a power"),
    ],
)
def test_refusals(formula, words):
    with pytest.raises(InputError, match=words):
        lmer(formula, datasets.load("sleepstudy"))


def test_powers():
    """Outside of functions ^ crosses columns, as in R; inside, ** is Python's power."""
    data = datasets.load("sleepstudy")
    curved = lmer("Reaction ~ I(Days**2) + (1 | Subject)", data)
    X = np.column_stack([np.ones(180), data["Days"] ** 2.0])
    assert curved.criterion == pytest.approx(
        fit(data["Reaction"], X, Term(data["Subject"])).criterion
    )
    data["odd"] = np.where(data["Days"] % 2 == 1, "odd", "even")
    crossed = lmer("Reaction ~ (Days + odd)^2 + (1 | Subject)", data)
    assert crossed.names == ("(Intercept)", "Days", "oddodd", "Days:oddodd")


def test_unknown_data_set():
    with pytest.raises(InputError, match="sleepstudy, Dyestuff"):
        datasets.load("iris")


def test_summary_and_tables():
    model = lmer(SLEEP, datasets.load("sleepstudy"))
    text, page = model.summary(), model._repr_html_()
    for word in ("18 levels of Subject", "1743.6283", "24.74", "0.066", "251.41"):
        assert word in text and word in page
    table = model.table()
    assert table.loc["Days", "se"] == pytest.approx(1.545788894, abs=1e-8)
    random = model.random_table(0)
    name = "(Intercept)"
    assert (random[f"sd of {name}"] > random[f"sd, alpha known of {name}"]).all()
    assert random.index[0] == "308"
    flat = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    assert "exactly zero" in flat.summary()


def test_compare():
    data = datasets.load("sleepstudy")
    small = lmer("Reaction ~ Days + (1 | Subject)", data)
    large = lmer(SLEEP, data)
    test = compare(large, small)
    assert test.df == 2 and test.statistic == pytest.approx(1786.46508539 - 1743.62827196)
    assert test.p_value == pytest.approx(np.exp(-test.statistic / 2)) and "boundary" in test.note
    assert test.method == "REML" and "again by ML" not in test.note


def test_compare_refuses_a_larger_model_that_fits_worse():
    """Not nested: the statistic is negative, and 1 would not be its p-value."""
    data = datasets.load("sleepstudy")
    data["seventh"] = np.array(list("abcdefg"))[np.arange(180) % 7]
    small = lmer("Reaction ~ Days + (1 | Subject)", data, "ML")
    other = lmer("Reaction ~ 1 + seventh + (1 | Subject)", data, "ML")
    assert small.criterion < other.criterion and small.df < other.df
    for pair in ((small, other), (other, small)):
        with pytest.raises(InputError, match="higher criterion: it cannot contain"):
            compare(*pair)
    # Nested and equal within rounding: a variance that is zero.
    flat = datasets.load("Dyestuff2").assign(lab=np.arange(30) % 3)
    two = [lmer(f"Yield ~ 1 + (1 | Batch){more}", flat) for more in ("", " + (1 | lab)")]
    assert compare(*two).statistic >= -1e-6


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I(x^2) + (1 | g)",
        "y ~ x + (I(x^2) | g)",
        "y ~ np.sqrt((x)^2) + (1 | g)",
        "y ~ {x^2} + (1 | g)",
        "y ~ I((x^2 + 1)) + (1 | g)",
        "I(y^2) ~ x + (1 | g)",
        "y ~ np.exp(x)*I((x + 1)^2) + (1 | g)",
    ],
)
def test_a_power_as_in_r_inside_a_function_is_refused(formula):
    with pytest.raises(InputError, match="(?s)not a power.*\\*\\*"):
        parse(formula)


@pytest.mark.parametrize(
    "fixed",
    ["(a + b)^2", "a + (a + b)^2 + np.log(x)", "((a + b)^2)", "I(x**2)", "`x^2` + I(`x^2`)"],
)
def test_powers_outside_of_functions_are_crossings(fixed):
    assert parse(f"y ~ {fixed} + (1 | g)").fixed == fixed
    if "`" not in fixed:
        rng = np.random.default_rng(4)
        data = pd.DataFrame(rng.uniform(1, 2, (40, 4)), columns=list("yabx"))
        model = lmer(f"y ~ {fixed} + (1 | g)", data.assign(g=np.arange(40) % 5))
        assert ("a:b" in model.names) == ("^" in fixed)


@pytest.mark.slow
def test_the_calls_in_the_table_from_lme4():
    """Every call runs, and the numbers are those of lme4 1.1-31."""
    page = (ROOT / "book" / "newcomers.md").read_text(encoding="utf-8")
    table = page.partition("(from-lme4)=")[2].partition("Not")[0]
    rows = re.findall(r"^\| .* \| (.*) \|$", table, re.MULTILINE)[1:]
    d = datasets.load("sleepstudy").rename(columns={"Subject": "g", "Reaction": "y"})
    names = {"f": "y ~ Days + (Days | g)", "d": d, "t": 0, "rng": np.random.default_rng(1)}
    names |= {"lmer": lmer, "compare": compare, "scipy": scipy, "new": d.assign(g="nobody")}
    names |= {"m": lmer(names["f"], d), "w": 1.0 * (d["Days"] > 4) + 1}
    names |= {"m0": lmer("y ~ Days + (1 | g)", d), "m1": names["m"]}
    names |= {"h": lmer("y ~ half + (1 | g)", d.assign(half=d["Days"] > 4))}
    values = {}
    for code in re.findall(r"`([^`]+)`", " ".join(rows)):
        call = code.replace("1000", "20")
        if re.match(r"\w+ ?= ?\w", call):
            exec(call, names)  # noqa: S102
        else:
            values[code] = eval(call, names)  # noqa: S307
    assert len(rows) >= 18 and len(values) >= 18
    residuals, coef, known, new, table, two = (
        next(value for code, value in values.items() if word in code)
        for word in ("m.resid", "m.fixed + ", "drop(", "predict(new, new", "m.table", "contrast")
    )
    assert residuals[:3] == pytest.approx([-4.103656, -14.625218, -42.195579], abs=2e-4)
    assert coef[0] == pytest.approx([253.6637, 19.666262], abs=2e-4)
    assert known[:2] == pytest.approx([251.4051, 261.8724], abs=1e-4)
    assert new[:2] == pytest.approx(known[:2])
    assert table["p"].iloc[1] == pytest.approx(2 * scipy.stats.t.sf(6.7715, 17), rel=1e-3)
    assert two.F_df[0] == 2 and two.df == pytest.approx([17, 17])  # 17 of lmerTest
    assert values["m.singular"] is False
    weighted = lmer("y ~ Days + (1 | g)", d, weights=names["weights"])
    assert weighted.criterion == pytest.approx(1806.426, abs=6e-4)


def _rows(label):
    """The calls in each row of a table of the page for newcomers: on the left, and on the right."""
    page = (ROOT / "book" / "newcomers.md").read_text(encoding="utf-8")
    table = page.partition(f"({label})=")[2].partition("\n\nNot here")[0]
    rows = re.findall(r"^\| (.*?) (?<!\\)\| (.*) \|$", table, re.MULTILINE)[1:]
    return [
        [re.findall("`([^`]+)`", cell.replace("\\|", "|")) for cell in (left, right)]
        for left, right in rows
    ]


def _numbers(value):
    """What two programs can be compared by, one array; None for a text."""
    name = type(value).__name__
    if name == "MixedLMResultsWrapper":
        return value.llf
    if name == "Fit":
        return value.loglik
    if name == "ContrastResults":
        return np.stack([value.effect, np.ravel(value.sd)])
    if name == "Contrast":
        return np.stack([value.estimate, value.se])
    if name == "WaldTestResults":
        return np.array([np.ravel(chi2)[0] / df for chi2, _, df in value.table.to_numpy()[1:]])
    if isinstance(value, dict):
        return np.stack([np.asarray(each) for each in value.values()])
    if isinstance(value, pd.DataFrame) and "F" in value:
        return value["F"].to_numpy()
    return None if value is None or name == "Summary" else np.asarray(value, dtype=float)


@pytest.mark.slow
def test_the_calls_in_the_table_from_statsmodels():
    """Every call runs, and the first on the right has the numbers of the one on the left."""
    formula_api = pytest.importorskip("statsmodels.formula.api")
    from statsmodels.regression.mixed_linear_model import MixedLM

    d = datasets.load("sleepstudy").rename(columns={"Subject": "g", "Reaction": "y"})
    d["half"] = np.where(d["Days"] > 4, "late", "early")
    X = np.column_stack([np.ones(len(d)), d["Days"]])
    names = {
        "np": np,
        "p": datasets.load("Penicillin"),
        "d": d,
        "y": d["y"].to_numpy(),
        "X": X,
        "Z": X,
        "g": d["g"].to_numpy(),
    }
    names |= {"mixedlm": formula_api.mixedlm, "MixedLM": MixedLM}
    names |= {"lmer": lmer, "fit": fit, "Term": Term}
    by_slope = "y ~ Days + (Days | g)"
    theirs, theirs_by_ml = (
        formula_api.mixedlm("y ~ Days", d, groups="g", re_formula="Days") for _ in range(2)
    )  # two models: a second fit of one changes what the first one tells
    names |= {"s": theirs.fit(), "s1": theirs_by_ml.fit(reml=False)}
    names |= {"m": lmer(by_slope, d), "m1": lmer(by_slope, d, method="ML")}
    rows, compared = _rows("from-statsmodels"), 0
    for (left, *more), (right, *others) in rows:
        assert more == []
        for call in others:
            if "(" in call or "." in call:
                assert eval(call, names) is not None  # noqa: S307
        there, here = (_numbers(eval(call, names)) for call in (left, right))  # noqa: S307
        if there is None:
            continue
        close = 1e-7 if np.ndim(there) == 0 and "scale" not in left else 3e-4
        np.testing.assert_allclose(
            here, there, rtol=0, atol=close * np.abs(there).max(), err_msg=f"{left}: {right}"
        )
        compared += 1
    assert len(rows) == 24 and compared == 23


def test_the_calls_in_the_table_from_metafor():
    """Every call runs, and those on the right have the numbers that R's had on the left."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    from mixhier_lite import plot

    folder = ROOT / "tests" / "reference" / "after"
    said = json.loads((folder / "said.json").read_text(encoding="utf-8"))["calls"]
    d = pd.read_csv(folder / "bcg.csv").assign(alloc=datasets.load("bcg")["alloc"])
    names = {"d": d, "pd": pd, "lmer": lmer, "compare": compare, "plot": plot}
    page = (ROOT / "book" / "newcomers.md").read_text(encoding="utf-8")
    table = page.partition("(from-metafor)=")[2].partition("\n\nNot here")[0]
    rows = re.findall(r"^\| `(.*?)` (?<!\\)\| (.*) \|$", table.replace("\\|", "¦"), re.MULTILINE)
    assert sorted(left.replace("¦", "|") for left, _ in rows) == sorted(said)
    for left, right in rows:
        theirs = said[left.replace("¦", "|")]
        parts = right.replace("¦", "|").split(";")
        told, *more = (re.findall("(?<!})`([^`]+)`", part) for part in parts)
        ours = [eval(call, names) for call in told]  # noqa: S307
        for call in sum(more, []):
            if "(" in call:
                assert eval(call, names) is not None  # noqa: S307
        if type(ours[0]).__name__ == "Fit" and told[0].startswith("lmer"):
            names.setdefault("m1" if "m" in names else "m", ours[0])
        if theirs is not None:
            numbers = np.concatenate([np.ravel(_estimates(value)) for value in ours])
            np.testing.assert_allclose(numbers, np.ravel(theirs), rtol=2e-6, err_msg=told[0])
    plt.close("all")


def _estimates(value):
    """Estimates and their standard errors, of a fit or of a contrast; or what is given."""
    if isinstance(value, Fit):
        return [value.fixed, value.fixed_se]
    return [value.estimate, value.se] if hasattr(value, "estimate") else value


def test_compare_refuses_what_cannot_be_nested():
    data = datasets.load("sleepstudy")
    better = lmer("Reaction ~ Days + (1 | Subject)", data, method="ML")
    worse = lmer("Reaction ~ 1 + (Days | Subject)", data.assign(Days=data["Days"] % 3), method="ML")
    with pytest.raises(InputError, match="cannot contain the other"):
        compare(better, worse)


@pytest.mark.slow
def test_simulated_and_redrawn_data_have_the_moments_of_the_model():
    """Fits to drawn Grams and to drawn rows have the same distribution."""
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, 12, 80), rng.normal(size=80)
    X = np.column_stack([np.ones(80), x])
    y = X @ [1.0, 2.0] + rng.normal(size=12)[g] + rng.normal(size=80)
    model = fit(y, X, Term(g, X), weights=rng.uniform(0.5, 2, 80))
    drawn = model.bootstrap(150, rng)
    again = [
        fit(model.simulate(rng), X, Term(g, X), weights=model.rows.weights) for _ in range(150)
    ]
    for a, b in [
        (drawn.fixed[:, 0], [m.fixed[0] for m in again]),
        (drawn.fixed[:, 1], [m.fixed[1] for m in again]),
        (drawn.tau2, [m.tau2 for m in again]),
        (drawn.Sigma[0][:, 0, 0], [m.Sigma[0][0, 0] for m in again]),
    ]:
        error = np.sqrt((np.var(a) + np.var(b)) / 150)
        assert abs(np.mean(a) - np.mean(b)) < 4 * error
        assert 0.5 < np.std(a) / np.std(b) < 2
    with pytest.raises(InputError, match="no rows"):
        fit(model.gram).simulate(rng)


def test_a_formula_without_random_effects_is_refused():
    with pytest.raises(InputError, match="no random effects"):
        lmer("Reaction ~ Days", datasets.load("sleepstudy"))
    with pytest.raises(InputError, match="no random effects"):
        fit(np.arange(4.0), np.ones((4, 1)), [])


@pytest.mark.parametrize("draws", [0, 1, 2.5, True])
def test_bootstrap_needs_a_number_of_draws(draws):
    model = lmer("Reaction ~ Days + (1 | Subject)", datasets.load("sleepstudy"))
    with pytest.raises(InputError, match="number of data sets"):
        model.bootstrap(draws, np.random.default_rng(1))
