"""Pictures of a fit show the numbers that they say they show."""

import json

import matplotlib as mpl
import numpy as np
import pytest
from conftest import ROOT
from matplotlib import pyplot as plt

from mixhier_lite import InputError, Term, datasets, fit, integrate, lmer, plot, sample

mpl.use("agg")
SLEEP = datasets.load("sleepstudy")
MODEL = lmer("Reaction ~ Days + (Days | Subject)", SLEEP)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def points(ax, scatter=0):
    return np.asarray(ax.collections[scatter].get_offsets())


def test_caterpillar_in_order_of_size_with_intervals_of_the_errors():
    ax = plot.caterpillar(MODEL, 0, column=1)
    drawn, half = ax.containers[0], MODEL.random_cov[0][:, 1, 1] ** 0.5 * 1.959964
    order = np.argsort(-MODEL.random[0][:, 1])
    np.testing.assert_allclose(drawn[0].get_xdata(), MODEL.random[0][order, 1], rtol=1e-3)
    segments = drawn[2][0].get_segments()
    widths = [np.ptp(segment[:, 0]) / 2 for segment in segments]
    np.testing.assert_allclose(widths, half[order], rtol=2e-3)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [str(MODEL.levels[0][j]) for j in order]
    assert ax.get_xlabel() == "effect on Days" and ax.get_ylabel() == "Subject"
    one = lmer("Reaction ~ 1 + (1 | Subject)", SLEEP)
    for model in (MODEL, one):
        assert plot.caterpillar(model).get_xlabel() == "effect on the intercept"


def test_residuals_against_fitted_values():
    figure, own = plt.subplots()
    assert plot.residuals(MODEL, ax=own) is own
    expected = np.column_stack([MODEL.fitted, MODEL.residuals])
    np.testing.assert_allclose(points(own), expected, rtol=1e-3, atol=1e-3)
    assert len(figure.axes) == 1


def test_quantiles_lie_on_the_line_where_the_model_is_true():
    """Effects and residuals of a large simulated fit have a standard deviation of one."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(400), 3)
    y = 2 * rng.normal(size=400)[g] + rng.normal(size=1200)
    model = fit(y, np.ones((1200, 1)), Term(g))
    for t in (None, 0):
        at = points(plot.qq(model, t))
        assert (np.diff(at, axis=0) >= 0).all()
        slope, shift = np.polyfit(*at.T, 1)
        assert slope == pytest.approx(1, abs=0.03) and shift == pytest.approx(0, abs=0.02)
    assert len(points(plot.qq(model))) == 1200 and len(points(plot.qq(model, 0))) == 400


def test_shrinkage_goes_from_the_own_line_of_a_person_to_the_blup():
    ax = plot.shrinkage(MODEL)
    for j, person in enumerate(MODEL.levels[0]):
        rows = SLEEP[SLEEP["Subject"] == person]
        slope, start = np.polyfit(rows["Days"], rows["Reaction"], 1)
        own = points(ax)[j] + MODEL.fixed
        np.testing.assert_allclose(own, [start, slope], rtol=2e-3, atol=0.02)
    np.testing.assert_allclose(points(ax, 1), MODEL.random[0], rtol=1e-3)
    one = lmer("Reaction ~ 1 + (1 | Subject)", SLEEP)
    lines = plot.shrinkage(one).lines
    means = SLEEP.groupby("Subject")["Reaction"].mean().to_numpy() - one.fixed
    np.testing.assert_allclose([line.get_ydata()[0] for line in lines], means, rtol=2e-3)
    np.testing.assert_allclose(
        [line.get_ydata()[1] for line in lines], one.random[0][:, 0], rtol=1e-3
    )


def test_profile_zeta_is_straight_for_a_mean_and_bent_for_a_standard_deviation():
    model = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"), method="ML")
    profile = model.profile()
    ax = plot.profile_zeta(profile)
    lines = ax.lines[1:]
    named = {text.get_text(): text.xy for text in ax.texts}
    for line, curve in zip(lines, profile.curves, strict=True):
        assert named.pop(curve.name) == tuple(line.get_xydata()[-1])  # a label leads to its end
    assert not named
    heights = [text.get_position()[1] for text in ax.texts]
    assert min(-np.diff(heights)) > 0.08  # labels do not lie on each other
    bend = {}
    for line, curve in zip(lines, profile.curves, strict=True):
        at, zeta = line.get_data()
        ends = np.interp([-1, 1], zeta, at)
        assert ends[1] - ends[0] == pytest.approx(2, abs=0.02)  # an interval of 68 % has two halves
        bend[curve.name] = np.interp(2, zeta, at) / -np.interp(-2, zeta, at)
    mean = bend.pop("(Intercept)")
    assert mean == pytest.approx(1, abs=0.01) and all(ratio > 1.2 for ratio in bend.values())


def trials():
    """The log risk ratios of the BCG trials, with their variances."""
    data = datasets.load("bcg")
    n1, n2 = data["tpos"] + data["tneg"], data["cpos"] + data["cneg"]
    yi = np.log(data["tpos"] / n1) - np.log(data["cpos"] / n2)
    return data.assign(yi=yi, vi=1 / data["tpos"] - 1 / n1 + 1 / data["cpos"] - 1 / n2)


def bars(container):
    """The centres and both ends of horizontal intervals, shape (J, 3), from top to bottom."""
    ends = np.array([segment[:, 0] for segment in container[2][0].get_segments()])
    return np.column_stack([container[0].get_xdata(), ends])


def test_a_forest_shows_what_metafor_says():
    """Own estimates, BLUPs, the mean by Knapp and Hartung, and the mean of a new study."""
    said = json.loads((ROOT / "tests/reference/after/said.json").read_text(encoding="utf-8"))
    by_z, by_t = said["metafor"]["z"], said["metafor"]["knha"]
    data = trials().iloc[::-1]  # in the order of the rows, not of the levels
    model = lmer("yi ~ 1 + (1 | trial)", data, tau2=1, weights=1 / data["vi"])
    ax = plot.forest(model, method="knapp-hartung")
    own, blup, mean, new = (bars(container) for container in ax.containers)
    half = 1.959964 * np.sqrt(data["vi"])
    alone = np.column_stack([data["yi"], data["yi"] - half, data["yi"] + half])
    np.testing.assert_allclose(own, alone, rtol=1e-3, atol=1e-3)
    theirs = np.column_stack([by_z["blup"][name] for name in ("pred", "pi.lb", "pi.ub")])[::-1]
    np.testing.assert_allclose(blup, theirs, rtol=1e-3, atol=1e-3)
    mu = by_z["estimate"]
    np.testing.assert_allclose(mean, [[mu, by_t["lower"], by_t["upper"]]], rtol=1e-3)
    np.testing.assert_allclose(new, [[mu, *by_z["new"]]], rtol=1e-3)
    named = [label.get_text() for label in ax.get_yticklabels()]
    assert named == [str(j) for j in range(13, 0, -1)] + ["mean", "a new study's mean"]
    assert ax.get_ylabel() == "trial" and ax.get_xlabel() == "estimate"
    rows = [container[0].get_ydata() for container in ax.containers]
    assert (rows[0] < rows[1]).all() and rows[1].max() < rows[2] < rows[3]
    by_satterthwaite = model.contrast([1.0]).interval()[0]
    again = bars(plot.forest(model).containers[2])[0]
    np.testing.assert_allclose(again, [mu, *by_satterthwaite], rtol=1e-3)


def test_a_forest_with_a_moderator_has_no_one_mean():
    data = trials()
    model = lmer("yi ~ ablat + (1 | trial)", data, tau2=1, weights=1 / data["vi"])
    ax = plot.forest(model, level=0.5)
    own, blup = (bars(container) for container in ax.containers)
    np.testing.assert_allclose(blup[:, 0], model.fitted, rtol=1e-3)
    half = 0.6744898 * np.sqrt(data["vi"])
    np.testing.assert_allclose((own[:, 2] - own[:, 1]) / 2, half, rtol=2e-3)
    assert len(ax.get_yticklabels()) == 13 and len(ax.lines) == 2  # without the line of a mean


def areas(ax):
    """For each density its curve as a function of places, the interval, the median, the mean."""
    found = []
    fills, lines, dots = (ax.collections[k::3] for k in range(3))
    for row, parts in enumerate(zip(ax.lines, fills, lines, dots, strict=True)):
        curve, fill, line, dot = parts
        at, height = curve.get_data()
        ends = fill.get_paths()[0].vertices[:, 0]
        (segment,) = line.get_segments()
        offset = dot.get_offsets()[0]
        assert segment[0, 0] == segment[1, 0] and offset[1] == segment[1, 1] == row
        found.append((at, row - height, (ends.min(), ends.max()), segment[0, 0], offset[0]))
    return found


def test_densities_of_the_schools_are_those_of_brute_force():
    """One standard deviation with a flat prior: a sum over a fine grid, n by n."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    se = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    model = fit(y, np.ones((8, 1)), Term(np.arange(8), name="school"), tau2=1, weights=1 / se**2)
    s = np.arange(0.005, 400, 0.01)
    v = s[:, None] ** 2 + se**2
    mu = (y / v).sum(axis=1) / (1 / v).sum(axis=1)
    log = -(np.log(v) + (y - mu[:, None]) ** 2 / v).sum(axis=1) / 2
    dense = np.exp(log - np.log((1 / v).sum(axis=1)) / 2)
    below = np.cumsum(dense) / dense.sum()
    ends = [np.interp(p, below, s + 0.005) for p in (0.05, 0.95, 0.5)]
    mean = s @ dense / dense.sum()
    ax = plot.posterior_sds(integrate(model), level=0.9)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sd of 1 by school"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["90 %", "median", "mean"]
    ((at, height, interval, median, average),) = areas(ax)
    np.testing.assert_allclose([*interval, median, average], [*ends, mean], rtol=2e-3)
    assert at[0] < 1 and at[-1] == pytest.approx(1.5 * ends[1] - ends[0] / 2, rel=0.02)
    shape = np.interp(at, s, dense)
    np.testing.assert_allclose(height, 0.8 * shape / shape.max(), atol=2e-3)


@pytest.mark.slow
def test_densities_of_draws_are_those_of_the_integral():
    """Up to what 20,000 draws in cells can say; a mean that does not exist has no dot."""
    drawn = sample(MODEL, 20000, np.random.default_rng(0))
    exact, counted = (areas(plot.posterior_sds(each)) for each in (integrate(MODEL), drawn))
    ax = plot.posterior_sds(drawn)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["sd of (Intercept) by Subject", "sd of Days by Subject", "tau"]
    for one, other in zip(exact, counted, strict=True):
        np.testing.assert_allclose(other[2] + other[3:], one[2] + one[3:], rtol=0.02)
        assert np.abs(np.interp(other[0], *one[:2]) - other[1]).max() < 0.06
    one = plot.posterior_sds(drawn, "Subject")
    assert len(one.lines) == 2
    three = fit([1.0, 2.0, 4.0], np.ones((3, 1)), Term(list("abc")), tau2=1)
    dot = plot.posterior_sds(integrate(three)).collections[2]
    assert np.ma.getmaskarray(dot.get_offsets()).all()  # nothing is drawn at infinity


def test_a_term_and_a_column_may_be_called_by_name():
    two = lmer("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", SLEEP)
    for draw in (plot.caterpillar, plot.qq):
        by_name, by_number = draw(MODEL, "Subject", "Days"), draw(MODEL, 0, 1)
        named, numbered = (ax.collections[-1] for ax in (by_name, by_number))
        np.testing.assert_array_equal(named.get_offsets(), numbered.get_offsets())
        assert by_name.get_xlabel() == by_number.get_xlabel()
    assert plot.shrinkage(MODEL, "Subject").get_ylabel() == "effect on Days"
    assert MODEL.random_table("Subject").equals(MODEL.random_table(0))
    for call, words in [
        (lambda: plot.caterpillar(MODEL, "subject"), "no such term.*0 or a name: Subject"),
        (lambda: plot.qq(MODEL, 0, "days"), r"no such column.*name: \(Intercept\), Days"),
        (lambda: plot.shrinkage(two, "Subject"), "the number tells them apart"),
        (lambda: MODEL.random_table(True), "no such term"),
    ]:
        with pytest.raises(InputError, match="(?s)" + words):
            call()


@pytest.mark.slow
def test_misuse_in_words():
    rows_gone = fit(MODEL.gram)
    for call, words in [
        (lambda: plot.caterpillar(MODEL, 1), "there is no such term"),
        (lambda: plot.caterpillar(MODEL, 0, 2), "no such column of Subject"),
        (lambda: plot.caterpillar(MODEL, 0, 0, 95), "level"),
        (lambda: plot.caterpillar("fit"), "fit"),
        (lambda: plot.qq(MODEL, "Person"), "there is no such term"),
        (lambda: plot.posterior_sds(MODEL), "no posterior to draw"),
        (lambda: plot.posterior_sds(integrate(MODEL), 1), "there is no such term"),
        (lambda: plot.posterior_sds(integrate(MODEL), level=95), "level"),
        (lambda: plot.residuals(MODEL, ax=3), "ax is not an Axes"),
        (lambda: plot.residuals(rows_gone), "no rows"),
        (lambda: plot.shrinkage(rows_gone), "no rows"),
        (lambda: plot.profile_zeta(MODEL), "profile"),
        (lambda: plot.forest(MODEL), "no meta-analysis"),
        (lambda: plot.forest(rows_gone), "no rows"),
        (lambda: plot.forest("fit"), "fit"),
        (lambda: plot.forest(lmer("Reaction ~ 1 + (1 | Subject)", SLEEP)), "several rows"),
    ]:
        with pytest.raises(InputError, match=words):
            call()
