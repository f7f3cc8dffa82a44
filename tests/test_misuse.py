"""Arguments of a wrong type, size or value are refused in words: one line for each that was not."""

import decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from oddities import Loud

from mixhier_lite import (
    Effects,
    GaussianFactor,
    Gram,
    InputError,
    LinearMixedModel,
    Prior,
    Term,
    centred,
    compare,
    datasets,
    exercises,
    fit,
    flat,
    gather,
    gather_partitions,
    henderson,
    indicator,
    kinship,
    lmer,
    mixed_model_equations,
    pedigree_relatedness,
    plot,
    posterior,
    priors,
)

RNG = np.random.default_rng(0)
g, X = np.repeat(np.arange(8), 5), np.ones((40, 1))
y = RNG.standard_normal(40) + g
MODEL = fit(y, X, Term(g))
KNOWN = LinearMixedModel(X, indicator(g), np.eye(8), 1.0)
DATA = pd.DataFrame({"y": y, "g": g, "x": RNG.standard_normal(40)})
TWICE = fit(y, np.column_stack([X, DATA.x]), Term(g), names=["a", "a"])
FORMULA = lmer("y ~ f + (1 | g)", DATA.assign(f=np.tile(["a", "b"], 20)))
LINE = lmer("y ~ x + (x | g)", DATA)
AXES = Figure().subplots()

REFUSED = {
    # results
    "bootstrap with a seed": (lambda: MODEL.bootstrap(3, 42), "rng is not a generator"),
    "bootstrap of a million million": (lambda: MODEL.bootstrap(10**12, RNG), "number of data sets"),
    "progress as a word": (lambda: MODEL.bootstrap(2, RNG, "yes"), "neither true nor false"),
    "progress as a table": (lambda: MODEL.profile(DATA), "neither true nor false"),
    "simulate with a seed": (lambda: MODEL.simulate(42), "rng is not a generator"),
    "no such term": (lambda: MODEL.random_table(1), "term"),
    "a term by True": (lambda: MODEL.random_table(True), "term"),
    "a percentage": (lambda: MODEL.interval(95), "coverage of an interval"),
    "a level of two": (lambda: MODEL.table([0.5, 0.9]), "coverage of an interval"),
    "a contrast of nothing": (lambda: MODEL.contrast(None), "L"),
    "a contrast of a table": (lambda: MODEL.contrast(DATA), "L"),
    "a contrast by a name of two": (lambda: TWICE.contrast("a - 1"), "several coefficients"),
    "a contrast by a name of two, weighted": (lambda: TWICE.contrast({"a": 1}), "several"),
    "a contrast by a number": (lambda: MODEL.contrast(1.0), "L"),
    "a coefficient that is no number": (lambda: MODEL.contrast({"x0": Loud()}), "L"),
    "a contrast with a bracket open": (lambda: MODEL.contrast("(x0"), "cannot be read"),
    "an odd method": (lambda: MODEL.contrast("x0", method=None), "method is unknown"),
    "df as a number": (lambda: MODEL.table(0.9, 17), "neither true nor false"),
    "anova of arrays": (lambda: MODEL.anova(), "has no formula"),
    "anova by an odd method": (lambda: FORMULA.anova(3), "method is unknown"),
    "means by an odd method": (lambda: FORMULA.means("f", method=True), "method is unknown"),
    "means of arrays": (lambda: MODEL.means("g"), "has no formula"),
    "means of everything": (lambda: FORMULA.means(None), "no factor"),
    "means by a table": (lambda: FORMULA.means("f", DATA), "no factor"),
    "pairs of pairs": (lambda: FORMULA.means("f").contrast("pairs - pairs"), "cannot be read"),
    "terms as a number": (lambda: MODEL.predict(X, 3), "not a Term"),
    "X as a word": (lambda: MODEL.predict("X"), "real numbers"),
    "an odd way with new groups": (lambda: MODEL.predict(X, None, ["error"]), "new_groups"),
    "a fit and a word": (lambda: compare(MODEL, "x"), "fit 2 is not a"),
    "one fit": (lambda: compare(MODEL), "nothing to compare"),
    "a list of fits": (lambda: compare([MODEL, MODEL]), "nothing to compare"),
    "refit with a seed": (lambda: MODEL.refit(1), "number of axes"),
    "refit half of it": (lambda: MODEL.refit(y[:20]), "does not match the rows"),
    "refit with words": (lambda: MODEL.refit(["a"] * 40), "real numbers"),
    "refit with a hole": (lambda: MODEL.refit(np.where(g == 3, np.nan, y)), "missing or infinite"),
    "update to nothing": (lambda: MODEL.update(None), "method is unknown"),
    # Grams
    "a Gram and a fit": (lambda: MODEL.gram + MODEL, "Gram"),
    "a sum that starts elsewhere": (lambda: sum([MODEL.gram], start=1), "Gram"),
    "gather a Gram": (lambda: gather(MODEL.gram), "chunks"),
    "gather a table": (lambda: gather([DATA]), "chunk"),
    "gather a scalar array": (lambda: gather(np.array(3.0)), "chunks"),
    "gather a ragged response": (
        lambda: gather([{"y": [1, [2]], "X": X, "terms": Term(g)}]),
        "y does not hold real numbers",
    ),
    "a chunk without X": (lambda: gather([{"y": y}]), "chunk"),
    "no partitions": (lambda: gather_partitions(None, len), "chunks"),
    "a number for partitions": (lambda: gather_partitions(np.array(3.0), len), "chunks"),
    "no function of a partition": (lambda: gather_partitions([], "f"), "to_gram is not a function"),
    "a tree of 2.0": (lambda: gather_partitions([1], len, 2.0), "split_every"),
    # terms
    "columns that are no names": (lambda: Term(g, columns=3), "columns is not a list of names"),
    "columns in one word": (lambda: Term(g, columns="x"), "columns is not a list of names"),
    "columns as a scalar array": (lambda: Term(g, columns=np.array("x")), "columns is not a list"),
    "a name that is a number": (lambda: Term(g, name=3), "name is not a text"),
    "a ragged K": (lambda: Term([0, 1], K=[[1.0], [1.0, 2.0]]), "K does not hold real numbers"),
    "K as one number": (lambda: Term(g, K=2.0), "K is one number"),
    "K that is nothing": (lambda: Term(g, K=Loud()), "K does not hold real numbers"),
    "groups that are nothing": (lambda: Term(Loud()), "groups is not a vector of labels"),
    # fits
    "method as an array": (lambda: fit(y, X, Term(g), np.arange(3)), "method is unknown"),
    "names as a number": (lambda: fit(y, X, Term(g), names=3), "names is not a list"),
    "an integer of 400 digits": (lambda: fit([10**400, *y[1:]], X, Term(g)), "real numbers"),
    "tau2 of 1e-320": (lambda: fit(y, X, Term(g), tau2=1e-320), "too small to square"),
    "tau2 of 1e308": (lambda: fit(y, X, Term(g), tau2=1e308), "too large to square"),
    "a known noise that is nothing": (lambda: fit(y, X, Term(g), tau2=Loud()), "real numbers"),
    "a formula that is none": (lambda: lmer(None, DATA), "formula is no text"),
    "a bar in the response": (lambda: lmer("y|x ~ 1 + (1|g)", DATA), "random term"),
    "lists as groups": (
        lambda: lmer("y ~ 1 + (1 | g)", DATA.assign(g=[[k] for k in g])),
        "can be changed",
    ),
    "relatedness as a list": (
        lambda: lmer("y ~ 1 + (1 | g)", DATA, relatedness=[1]),
        "does not say whose",
    ),
    # known variances
    "a ragged Sigma": (
        lambda: LinearMixedModel(X, indicator(g), [[1.0], [1.0, 2.0]], 1.0),
        "Sigma does not hold real numbers",
    ),
    "a column of 1e-200": (
        lambda: LinearMixedModel(X * 1e-200, indicator(g), np.eye(8), 1.0),
        "X is too small to square",
    ),
    "y of 1e200": (lambda: henderson(KNOWN, y * 1e200), "y is too large to square"),
    "an array as a model": (lambda: centred(X), "model is not a"),
    "another array": (lambda: mixed_model_equations(X), "model is not a"),
    "a factor with nan": (lambda: GaussianFactor([[np.nan]], [0.0]), "missing or infinite"),
    "a scalar precision": (lambda: posterior(KNOWN, y, GaussianFactor(1.0, [0.0])), "one number"),
    "a factor times two": (lambda: flat(1) * 2, "a factor is not a"),
    "a prior on 1e400 effects": (lambda: flat(10**400), "number of fixed effects"),
    "a prior on 1e6 effects": (lambda: flat(10**6), "10000 or less"),
    "effects of another size": (lambda: Effects([1.0], [], np.eye(2)), "cov does not match"),
    "effects that are words": (lambda: Effects("a", "b", "c"), "real numbers"),
    # priors
    "a tiny scale": (lambda: priors.half_t(3, 1e-320), "neither tiny nor huge"),
    "a huge df": (lambda: priors.half_t(1e308, 1), "neither tiny nor huge"),
    "a scale that is no number": (lambda: priors.half_normal("2"), "scale"),
    "a prior of words": (lambda: Prior(sd="flat"), "sd is not a prior"),
    "a relatedness out of range": (lambda: Term(g, K=1e200 * np.eye(8)), "K is too large"),
    "a relatedness of nothing": (lambda: Term(g, K=1e-300 * np.eye(8)), "K is too small"),
    "a new row at infinity": (lambda: LINE.predict(DATA.assign(x=np.inf)), "X of the new rows"),
    "a new row far out": (lambda: LINE.predict(DATA.assign(x=1e200)), "X of the new rows"),
    # pedigrees, data, exercises
    "a list as a pedigree": (lambda: pedigree_relatedness(["a"]), "parents is not a pedigree"),
    "a list as a parent": (lambda: pedigree_relatedness({"a": ([1], None)}), "can be changed"),
    "labels that do not match": (lambda: kinship.Relatedness(np.eye(2), ["a"]), "do not match"),
    "a matrix of words": (lambda: kinship.Relatedness("ab", ["a", "b"]), "real numbers"),
    "a list of data sets": (lambda: datasets.load(["sleepstudy"]), "data set is unknown"),
    "an unknown record": (lambda: datasets.record(None), "record is unknown"),
    "four groups of seed 1": (lambda: datasets.four_groups(1), "rng is not a generator"),
    "half a row a group": (lambda: datasets.four_groups(RNG, 0.5), "n_per_group"),
    "progress of an array": (lambda: exercises.progress(np.arange(2)), "no chapter"),
    # figures
    "digits of words": (lambda: plot.four_digits("abc"), "real numbers"),
    "no axes": (lambda: plot.draw_matrix(np.eye(2), None), "ax is not an Axes"),
    "a vector as a matrix": (lambda: plot.draw_matrix([1.0, 2.0], AXES), "number of axes"),
    "an empty matrix": (lambda: plot.draw_matrix(np.empty((0, 2)), AXES), "no entries"),
    "a fifth group": (lambda: plot.draw_groups([1.0], [1.0], [4], AXES), "no colour"),
    "groups of another length": (lambda: plot.draw_groups([1.0], [1.0], [0, 1], AXES), "rows"),
    "no colour": (lambda: plot.draw_intervals([1.0], [1.0], AXES, 3), "color is not a colour"),
    "negative widths": (lambda: plot.draw_intervals([1.0], [-1.0], AXES, "C0"), "negative"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.filterwarnings("error")
def test_misuse_is_refused_in_words(what):
    call, words = REFUSED[what]
    with pytest.raises(InputError) as refusal:
        call()
    assert words in str(refusal.value), str(refusal.value)
    assert len(str(refusal.value)) < 1000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", [1, 46, 52])
def test_a_search_that_goes_too_far_warns_of_nothing(seed):
    """Slopes that all but fit eleven rows: on the way T is so large that digits are lost."""
    rng = np.random.default_rng(seed)
    groups, one = np.append(np.arange(5), rng.integers(0, 5, 6)), np.ones(11)
    X = np.column_stack([one, 50 + 10 * rng.normal(size=11), rng.random(11) < 0.5])
    Z = np.column_stack([one, np.round(rng.normal(size=11), 2)])
    with pytest.raises(InputError, match="no bound|fits perfectly"):
        fit(np.round(rng.normal(size=11), 2), X, Term(groups, Z), "ML")


def test_right_arguments_in_odd_dress_are_taken():
    exact = fit(y, X, Term(g))
    for values in (y.tolist(), y.astype(object), y.astype(np.longdouble), y.astype(">f8"),
                   [decimal.Decimal(str(v)) for v in y], [Fraction(v) for v in y]):  # fmt: skip
        assert fit(values, X, Term(g)).criterion == pytest.approx(exact.criterion, rel=1e-12)
    assert Gram.from_arrays(y[::-1], X, Term(g[::-1])).n == 40
    assert Term(g, columns=np.array(["a"])).columns == ("a",)
    assert flat(np.int64(2)).precision.shape == (2, 2)
    assert repr(priors.half_normal(np.float32(2))) == "half_normal(2)"


@pytest.mark.parametrize("unit", ["D", "s", "ms", "ns", "fs", "as"])
def test_labels_in_every_unit_of_time(unit):
    """numpy turns no number of seconds into attoseconds."""
    times = np.repeat(np.array([5, 7, 11], dtype=f"datetime64[{unit}]"), 4)
    model = fit(RNG.standard_normal(12), np.ones((12, 1)), Term(times))
    seen = model.predict(np.ones((2, 1)), Term(times[[0, 8]]))
    assert seen.mean == pytest.approx(model.fixed[0] + model.random[0][[0, 2], 0])
    assert np.array_equal(Term(times, levels=np.unique(times)[::-1]).codes, 2 - Term(times).codes)
    if unit in ("D", "s", "ms"):  # the same instants in another unit
        again = model.predict(np.ones((12, 1)), Term(times.astype("datetime64[ns]")))
        assert again.mean == pytest.approx(model.predict(np.ones((12, 1)), Term(times)).mean)


def test_ends_of_a_profile_at_the_smallest_level():
    for curve in fit(y, X, Term(g)).profile().curves:
        low, high = curve.interval(1e-320)
        assert low == pytest.approx(curve.estimate, rel=1e-6) and high == pytest.approx(low)
