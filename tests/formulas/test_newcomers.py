"""What the README and the book tell people who come from elsewhere: it runs, and is true."""

import contextlib
import io
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from mixhier_lite import (
    InputError,
    Prior,
    Term,
    datasets,
    fit,
    gaussian,
    integrate,
    lmer,
    priors,
    sample,
)

README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
PAGE = (ROOT / "book" / "newcomers.md").read_text(encoding="utf-8")
API = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
DATA = datasets.load("sleepstudy").rename(columns={"Subject": "g", "Reaction": "y", "Days": "x"})


# --- ten lines


def blocks(page, language):
    """The blocks of one language in a page's ten lines, without the options of a cell."""
    section = page.partition("## Ten lines")[2].partition("\n## ")[0]
    found = re.findall(rf"(?ms)^```{language}\n(?:---\n.*?\n---\n)?(.*?)^```", section)
    return [block.rstrip("\n") for block in found]


def start(line):
    """What a line of the program begins with: two programs differ in lines of one beginning."""
    return line.split(" ")[0]


def printed(program):
    """What a program prints; its figure, of which the first page tells, is closed."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, names)  # noqa: S102
    assert [ax.get_xlabel() for ax in plt.gcf().axes] == ["fitted value"]
    residuals = names["m"].residuals
    assert (residuals > 80).sum() == 1 and (residuals < -80).sum() == 2
    plt.close("all")
    return out.getvalue().rstrip("\n")


def with_other_lines(program, others):
    """A program with some of its lines put in the place of those that begin alike."""
    place = {start(line): line for line in others.splitlines()}
    lines = program.splitlines()
    assert sum(start(line) in place for line in lines) == len(place)
    return "\n".join(place.get(start(line), line) for line in lines)


def test_the_ten_lines_print_what_the_readme_shows():
    program, others = blocks(README, "python")
    shown = blocks(README, "text")
    assert [printed(program)] == shown
    polars = with_other_lines(program, others)
    assert "pd" not in re.findall(r"\w+", polars)
    assert [printed(polars)] == shown


def test_the_first_page_has_the_same_ten_lines():
    assert blocks(INDEX, "{code-cell} ipython3") + blocks(INDEX, "python") == blocks(
        README, "python"
    )
    lines = [line for line in blocks(README, "python")[0].splitlines() if line]
    assert len(lines) == 10


# --- pictures


@pytest.mark.slow
def test_every_picture_of_the_table_is_drawn():
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    from mixhier_lite import plot

    plot.style()
    table = PAGE.partition("(pictures)=")[2]
    calls = re.findall(r"`(plot\.[^`]+)`", table)
    names = {"m": lmer("y ~ x + (x | g)", DATA), "t": 0, "plot": plot, "integrate": integrate}
    names["trials"] = fit([1.0, 2.0, 4.0], np.ones((3, 1)), Term(list("abc")), tau2=1)
    drawn = [eval(call, names) for call in calls]  # noqa: S307
    named = set(re.findall(r"autofunction:: (\w+)", API.partition("(api-pictures)=")[2]))
    assert {call[5:].partition("(")[0] for call in calls} <= named and len(drawn) == 8
    for ax in drawn:
        assert ax.get_ylabel() or ax.get_xlabel()
        assert ax.has_data()
    plt.close("all")


# --- from brms and bambi


def test_every_call_beside_brms_runs_and_the_posterior_is_one():
    table = PAGE.partition("(from-brms)=")[2].partition("(from-metafor)=")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    calls = [call for row in rows for call in re.findall(r"`([^`]+)`", row[1].split("where")[0])]
    prior = Prior(sd=priors.half_t(3, 56), noise=priors.half_t(3, 56))
    m = lmer("y ~ x + (1 | g)", DATA)
    names = {"m": m, "np": np, "gaussian": gaussian, "integrate": integrate, "sample": sample}
    names |= {"Prior": Prior, "priors": priors, "prior": prior, "rng": np.random.default_rng(1)}
    names |= {"i": integrate(m, prior), "s": sample(m, 4000, np.random.default_rng(2), prior)}
    names["new"] = pd.DataFrame({"x": [3, 10], "g": ["308", "309"]})
    calls = [call for call in calls if "arviz" not in call]  # which needs another program
    with contextlib.redirect_stdout(io.StringIO()):
        found = {call: eval(call, names) for call in calls}  # noqa: S307
    assert len(found) == 16 and repr(found[calls[2]]) == repr(prior)
    assert repr(found["Prior(correlation=priors.lkj(1))"]) == repr(Prior())
    one, many = found["i.mean.random[0]"], found["s.random[0]"].mean(axis=0)
    assert many == pytest.approx(one, abs=4.5 * found["i.sd.random[0]"].max() / np.sqrt(4000))
    spread = [found[f"s.predict(new{noise})"].std(axis=0) for noise in ("", ", noise=True")]
    assert (spread[1] > 2 * spread[0]).all()
    stranger = names["new"].assign(g="nobody")
    assert (names["s"].predict(stranger, new_groups="population").std(axis=0) > spread[0]).all()


# --- a meta-analysis


def test_thirteen_trials_print_what_the_page_shows():
    section = PAGE.partition("(thirteen-trials)=")[2].partition("\n(")[0]
    program, shown = re.findall(r"(?s)```(?:python|text)\n(.*?)\n```", section)
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, names)  # noqa: S102
    assert out.getvalue().rstrip("\n") == shown
    (mean,), (new,), (north,) = (names[each] for each in ("mean", "new", "north"))
    assert mean[1] < 0 and north[1] < 0 < new[1]  # what the page says of them
    assert names["m1"].Sigma[0][0, 0] < names["m"].Sigma[0][0, 0] / 2


# --- four workflows


@pytest.mark.slow
def test_four_workflows_run_from_data_to_report(tmp_path, monkeypatch):
    """In their order, as a reader would paste them; each says something of its data."""
    plt = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("arviz")
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    section = PAGE.partition("(workflows)=")[2].partition("\n(save)=")[0]
    imports, *programs = re.findall(r"(?s)```python\n(.*?)\n```", section)
    counts = PAGE.partition("(thirteen-trials)=")[2].partition("\n(")[0]
    before = re.search(r"(?s)```python\n(.*?)\n```", counts)[1]
    names, said, drawn = {}, [], []
    for program in [imports, *programs[:3], before, programs[3]]:
        assert len(program.splitlines()) <= 20
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program, names)  # noqa: S102
        said.append(out.getvalue())
        drawn.append(len(plt.get_fignums()))
        plt.close("all")
    assert len(programs) == 4 and drawn == [0, 1, 1, 1, 0, 1]
    rats, sleep, draws, trials = said[1], said[2], said[3], said[5]
    assert "week:Diet" in rats and "df1" in rats and "p_value" in rats
    assert "correlation" in sleep and "cook" in sleep
    assert "icc" in draws and 0.02 < float(draws.split()[-1]) < 0.98
    assert "cook" in trials and len(pd.read_csv("rats.csv")) == 6
    assert len(pd.read_csv("trials.csv")) == 2 and names["data"].log_likelihood["y"].shape[2] == 180


# --- save and load


def test_the_two_lines_that_save_and_load(tmp_path, monkeypatch):
    program = re.search(r"(?s)\(save\)=.*?```python\n(.*?)```", PAGE)[1]
    monkeypatch.chdir(tmp_path)
    before = lmer("y ~ np.log(x + 1) + (x | g)", DATA)
    names = {"m": before, "Path": Path, "pickle": pickle}
    exec(program, names)  # noqa: S102
    after = names["m"]
    assert after is not before and (tmp_path / "m.pickle").stat().st_size > 1000
    new = pd.DataFrame({"x": [3, 10], "g": ["308", "nobody"]})
    ours, again = (m.predict(new, new_groups="population") for m in (before, after))
    assert np.array_equal(ours.interval(), again.interval())
    assert before.summary() == after.summary() and np.array_equal(before.theta, after.theta)


@pytest.mark.slow
def test_a_saved_fit_is_read_by_another_program(tmp_path):
    before = lmer("y ~ np.log(x + 1) + (x | g)", DATA)
    (tmp_path / "m.pickle").write_bytes(pickle.dumps(before))
    program = "import pickle; print(pickle.load(open('m.pickle', 'rb')).fixed.tolist())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == str(before.fixed.tolist())


def test_what_comes_out_of_a_fit_can_be_saved():
    m = lmer("y ~ x + (1 | g)", DATA)
    draws = sample(m, 20, np.random.default_rng(1))
    again = pickle.loads(pickle.dumps(draws))
    assert np.array_equal(again.fixed, draws.fixed)
    posterior = integrate(m)
    assert np.array_equal(pickle.loads(pickle.dumps(posterior)).mean.fixed, posterior.mean.fixed)
    for value in (m.profile(), m.contrast("x"), m.gram, m.predict(DATA), m.r2):
        assert repr(pickle.loads(pickle.dumps(value))) == repr(value)


@pytest.mark.parametrize("kind", ["lambda", "local"])
def test_a_function_without_a_home_is_refused_when_saved(kind):
    def local(values):
        return values + 1

    own = local if kind == "local" else lambda values: values + 1  # noqa: F841
    m = lmer("y ~ own(x) + (1 | g)", DATA)
    assert np.isfinite(m.predict(DATA).mean).all()
    with pytest.raises(InputError, match="uses 'own'"):
        pickle.dumps(m)


# --- the four traps


def test_a_mean_in_a_formula_is_that_of_the_rows_at_hand():
    late = DATA[DATA["x"] >= 5]
    true = lmer("y ~ x + (1 | g)", DATA).predict(late).mean
    trap = lmer("y ~ I(x - x.mean()) + (1 | g)", DATA)
    slope = trap.fixed[1]
    shift = late["x"].mean() - DATA["x"].mean()
    assert trap.predict(late).mean == pytest.approx(true - slope * shift)
    assert abs(slope * shift) > 25  # milliseconds
    for right in ("center(x)", "scale(x)"):
        m = lmer(f"y ~ {right} + (1 | g)", DATA)
        assert m.predict(late).mean == pytest.approx(true)
        assert m.predict(late[:1]).mean == pytest.approx(true[:1])


def test_weights_in_a_series_are_read_by_position():
    w = 1.0 + (DATA["x"] > 4)
    mixed_up = w.sample(frac=1, random_state=1)
    by_column = lmer("y ~ x + (1 | g)", DATA.assign(w=mixed_up), weights="w")  # pandas aligns here
    in_order = lmer("y ~ x + (1 | g)", DATA, weights=w)
    trap = lmer("y ~ x + (1 | g)", DATA, weights=mixed_up)
    assert by_column.criterion == pytest.approx(in_order.criterion, rel=1e-12)
    assert abs(trap.criterion - in_order.criterion) > 1
    by_position = lmer("y ~ x + (1 | g)", DATA, weights=mixed_up.to_numpy())
    assert trap.criterion == by_position.criterion


def test_ordered_factors_have_treatment_coding():
    third = pd.cut(DATA["x"], [-1, 2, 5, 9], labels=["low", "mid", "high"], ordered=True)
    data = DATA.assign(dose=third)
    m = lmer("y ~ dose + (1 | g)", data)
    assert m.names == ("(Intercept)", "dosemid", "dosehigh")
    polynomial = lmer("y ~ C(dose, contr.poly) + (1 | g)", data)
    assert [name[-2:] for name in polynomial.names[1:]] == [".L", ".Q"]
    low, mid, high = np.cumsum(m.fixed * [1, 0, 0]) + [0, *m.fixed[1:]]
    by_hand = [(high - low) / np.sqrt(2), (low - 2 * mid + high) / np.sqrt(6)]
    assert polynomial.fixed[1:] == pytest.approx(by_hand)
    assert polynomial.fitted == pytest.approx(m.fitted)
    assert polynomial.anova()["F"].iloc[0] == pytest.approx(m.anova()["F"].iloc[0])
    gap = polynomial.criterion - m.criterion
    by_ml, polynomial_by_ml = (each.update(method="ML") for each in (m, polynomial))
    assert abs(gap) > 1 and polynomial_by_ml.criterion == pytest.approx(by_ml.criterion)


def test_whole_numbers_are_a_slope_and_a_category_of_them_a_factor():
    data = DATA.assign(day=pd.Categorical(DATA["x"]))
    factor, slope = (lmer(f"y ~ {name} + (1 | g)", data) for name in ("day", "x"))
    assert len(factor.names) == 10 and len(slope.names) == 2
    assert lmer("y ~ C(x) + (1 | g)", data).fixed == pytest.approx(factor.fixed)
    read_anew = pd.DataFrame({"day": [3, 4], "g": ["308", "308"]})
    means = factor.fixed[0] + factor.fixed[3:5] + factor.random[0][0]
    assert factor.predict(read_anew).mean == pytest.approx(means)
    for odd in ([3, 11], ["3", "4"]):
        with pytest.raises(InputError, match="not seen|cannot be built"):
            factor.predict(read_anew.assign(day=odd))


def test_arrays_take_a_term_as_the_readme_writes_it():
    program = README.partition("or from arrays:")[2].partition("```python\n")[2].partition("```")[0]
    names = {"np": np, "y": [1.0, 2.0, 4.0, 5.0, 4.5, 9.0]}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, names)  # noqa: S102
    by_hand = fit(names["y"], np.ones((6, 1)), Term(list("aabbbc")))
    assert out.getvalue().strip() == by_hand.summary().strip()
