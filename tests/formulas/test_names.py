"""What a formula's words mean: columns by any name, and things of the caller's."""

import copy
import pickle
import unicodedata

import numpy as np
import pandas as pd
import pytest

from mixhier_lite import InputError, Term, fit, lmer

RNG = np.random.default_rng(0)
N = 72
G = np.repeat(np.arange(12), 6)
X = RNG.normal(size=N)
F = RNG.choice(list("abc"), N)
Y = 1 + X + (F == "b") + RNG.normal(size=12)[G] + 0.3 * RNG.normal(size=N)
DATA = pd.DataFrame({"y": Y, "x": X, "f": F, "g": G})
ONE = np.ones(N)


def by_hand(*columns, groups=G, Z=None):
    """The fit that a formula should make."""
    return fit(Y, np.column_stack([ONE, *columns]), Term(groups, Z))


def same(model, other):
    assert model.criterion == pytest.approx(other.criterion, abs=1e-8)
    assert model.fixed == pytest.approx(other.fixed, abs=1e-7)


ODD_NAMES = ["IL-6", "a+b", "a|b", "a~b", "a:b", "a/b", "a*b", "x^2", "(x)", "x y", "50%", "é",
             "1st", "x.1", "my.b", "if", "I", "'q'", "log(x)", "0"]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_covariate_of_any_name_in_backticks(name):
    model = lmer(f"y ~ `{name}` + (1 | g)", DATA.rename(columns={"x": name}))
    same(model, by_hand(X))
    assert model.names == ("(Intercept)", name)
    new = DATA.rename(columns={"x": name})
    assert model.predict(new).mean == pytest.approx(by_hand(X).predict(
        np.column_stack([ONE, X]), Term(G)).mean)  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_grouping_factor_and_a_slope_of_any_name(name):
    data = DATA.rename(columns={"g": name})
    model = lmer(f"y ~ x + (1 | `{name}`)", data)
    same(model, by_hand(X))
    assert model.term_names == (name,) and model.random_table(name).shape == (12, 4)
    slopes = lmer(f"y ~ x + (`{name}` | g)", DATA.assign(**{name: X}))
    same(slopes, by_hand(X, Z=np.column_stack([ONE, X])))


def test_backticks_inside_a_function():
    data = DATA.rename(columns={"x": "IL-6"})
    same(lmer("y ~ I(`IL-6` ** 2) + (1 | g)", data), by_hand(X**2))
    same(lmer("I(`the y` * 1) ~ x + (1 | g)", DATA.rename(columns={"y": "the y"})), by_hand(X))


def test_names_with_dots_need_no_backticks():
    data = DATA.rename(columns={"x": "x.1", "g": "sub.id", "f": "the.f"})
    model = lmer("y ~ x.1 + (1 | sub.id)", data)
    same(model, by_hand(X))
    assert model.names == ("(Intercept)", "x.1") and model.term_names == ("sub.id",)


def test_a_dot_alone_is_refused():
    for formula in ("y ~ . + (1 | g)", "np.log(y) ~ . + (1 | g)", "y ~ x + (. | g)"):
        with pytest.raises(InputError, match="every column, the response's own too"):
            lmer(formula, DATA)


def test_a_column_called_intercept_is_refused():
    with pytest.raises(InputError, match="Intercept"):
        lmer("y ~ Intercept + (1 | g)", DATA.rename(columns={"x": "Intercept"}))
    same(lmer("y ~ x + (1 | g)", DATA.assign(Intercept=3.0)), by_hand(X))  # not used


@pytest.mark.parametrize("name", ["y", "x", "g"])
def test_two_columns_of_one_name_are_refused_where_they_are_used(name):
    twice = pd.concat([DATA, 2 * DATA[["y", "x", "g"]][[name]]], axis=1)
    with pytest.raises(InputError, match="two columns|twice|more than one"):
        lmer("y ~ x + (1 | g)", twice)
    same(lmer("y ~ x + (1 | g)", pd.concat([DATA, DATA[["f"]]], axis=1)), by_hand(X))


def test_levels_in_a_contrast_keep_the_name_of_the_column():
    model = lmer("y ~ C(f, levels=['c', 'b', 'a']) + (1 | g)", DATA)
    assert model.names[1:] == ("C(f, levels=['c', 'b', 'a'])b", "C(f, levels=['c', 'b', 'a'])a")
    same(model, by_hand(F == "b", F == "a"))
    assert lmer("y ~ f * x + (1 | g)", DATA).names == (
        "(Intercept)", "fb", "fc", "x", "fb:x", "fc:x")  # fmt: skip


def test_a_function_that_warns_but_is_finite():
    model = lmer("y ~ np.where(x > 0, np.log(x), 0) + (1 | g)", DATA)
    with np.errstate(all="ignore"):
        column = np.where(X > 0, np.log(X), 0)
    same(model, by_hand(column))
    assert np.isfinite(model.predict(DATA).mean).all()
    with pytest.raises(InputError, match="not finite|infinite"):
        lmer("y ~ np.log(x) + (1 | g)", DATA)


# --- the caller's


def half(values):
    return values / 2


SCALE = 3.0


def test_functions_and_numbers_of_the_caller_are_seen():
    offset = 0.25  # noqa: F841

    def shifted(values):
        return values - 1

    same(lmer("y ~ half(x) + (1 | g)", DATA), by_hand(X / 2))
    same(lmer("y ~ shifted(x) + (1 | g)", DATA), by_hand(X - 1))
    same(lmer("y ~ I(x * SCALE + offset) + (1 | g)", DATA), by_hand(X * SCALE + 0.25))


def test_they_are_taken_by_value_and_travel_with_the_fit():
    power = 2
    model = lmer("y ~ I(half(x) ** power) + (1 | g)", DATA)
    before = model.predict(DATA).mean
    power = 3  # noqa: F841
    assert np.array_equal(model.predict(DATA).mean, before)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(DATA).mean, before)


def test_a_fit_that_cannot_be_saved_says_so():
    def local(values):
        return values - 1

    model = lmer("y ~ local(x) + (1 | g)", DATA)
    with pytest.raises(InputError, match="uses 'local'"):
        pickle.dumps(model)
    again = copy.deepcopy(model)
    assert np.array_equal(again.predict(DATA).mean, model.predict(DATA).mean)


def test_modules_of_the_caller_are_saved_by_name():
    import scipy.special as special

    model = lmer("y ~ special.expit(x) + (1 | g)", DATA)
    same(model, by_hand(special.expit(X)))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(DATA).mean, model.predict(DATA).mean)


@pytest.mark.parametrize(
    "name", ["name", "text", "data", "frame", "formula", "spec", "method", "np2"]
)
def test_no_variable_of_the_package_is_taken_for_a_column(name):
    with pytest.raises(InputError, match=f"no column '{name}'"):
        lmer(f"y ~ {name} + (1 | g)", DATA)
    with pytest.raises(InputError):
        lmer(f"y ~ I({name} * 1) + (1 | g)", DATA)


def test_columns_come_before_things_of_the_caller():
    x, half = 7.0, 1.0  # noqa: F841
    same(lmer("y ~ I(x * 2) + (1 | g)", DATA), by_hand(2 * X))


def test_what_has_an_entry_for_each_row_belongs_into_the_data():
    extra = np.arange(N)  # noqa: F841
    with pytest.raises(InputError, match="has an entry for each row"):
        lmer("y ~ I(extra * 1.0) + (1 | g)", DATA)


# --- missing values, by the columns that are used


def test_rows_with_a_missing_value_in_a_dotted_name_are_dropped():
    data = DATA.rename(columns={"x": "x.1", "g": "sub.id"}).astype({"sub.id": float})
    for column in ("x.1", "sub.id", "y"):
        some = data.copy()
        some.loc[3, column] = np.nan
        model = lmer("y ~ x.1 + (1 | sub.id)", some)
        assert model.n == N - 1 and "1 row with a missing value was left out" in model.summary()
    two = DATA.assign(h=np.tile([0.0, 0, 1, 1, 1, 1], 12))
    two.loc[[2, 11], "h"] = np.nan
    right = lmer("y ~ 1 + (1 | g:h)", two)
    dotted = lmer("y ~ 1 + (1 | my.g:my.h)", two.rename(columns={"g": "my.g", "h": "my.h"}))
    assert right.n == dotted.n == N - 2
    assert dotted.criterion == pytest.approx(right.criterion)


@pytest.mark.parametrize(
    ("formula", "unused"),
    [
        ("y ~ np.exp(x) + (1 | g)", "exp"),
        ("y ~ C(f, Treatment('b')) + (1 | g)", "b"),
        ("y ~ C(f, contr.treatment('b')) + (1 | g)", "treatment"),
        ("y ~ half(x) + (1 | g)", "half"),
        ("y ~ I(half(x) * SCALE) + (1 | g)", "half"),
        ("y ~ x + (1 | g)", "np"),
    ],
)
def test_a_missing_value_where_nobody_looks_drops_no_row(formula, unused):
    data = DATA.assign(**{unused: np.where(np.arange(N) < 30, np.nan, 1.0)})
    model = lmer(formula, data)
    assert model.n == N and model.predict(data).mean.shape == (N,)


def test_predictions_keep_rows_with_missing_values():
    model = lmer("y ~ x + (1 | g)", DATA)
    new = DATA.astype({"g": float})
    new.loc[4, "x"] = new.loc[7, "g"] = new.loc[9, "y"] = new.loc[11, "f"] = np.nan
    mean = model.predict(new).mean
    assert np.flatnonzero(np.isnan(mean)).tolist() == [4, 7]
    rest = np.delete(np.arange(N), [4, 7])
    assert mean[rest] == pytest.approx(model.predict(DATA).mean[rest])


HUGE = [("I(year ** 7)", "year"), ("np.power(year, 7)", "year"), ("{-pop * gdp}", "pop"),
        ("np.square(gdp)", "gdp"), ("pop:gdp", "pop"), ("I(`day no` - 5)", "day no")]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), HUGE)
def test_whole_numbers_do_not_wrap_around(text, name):
    """numpy's do: 2020**7 in 64 bits, 3 - 5 where there is no sign."""
    k = np.tile(np.arange(6), 12)
    data = DATA.assign(year=2015 + k, pop=(k + 3) * 10**9, gdp=(k % 5 + 1) * 10**10)
    data["day no"] = k.astype("uint8")
    model = lmer(f"y ~ {text} + (1 | g)", data)
    exact = lmer(f"y ~ {text} + (1 | g)", data.astype({name: float}))
    assert model.criterion == pytest.approx(exact.criterion, abs=1e-8)
    assert model.fixed == pytest.approx(exact.fixed, rel=1e-7)
    assert model.predict(data.iloc[:9]).mean == pytest.approx(exact.fitted[:9])


def test_whole_numbers_stay_whole_where_they_are_names():
    k = np.tile(np.arange(6), 12)
    data = DATA.assign(k=k, w=k % 3)
    scores = np.array([0.3, 1.0, 4.0])  # which only whole numbers can index
    names = lmer("y ~ C(k) + I(scores[w]) + (C(w) | g)", data, aliased="drop").names
    assert len(scores) == 3 and names[1:6] == tuple(f"C(k){level}" for level in range(1, 6))


def test_braces_are_brackets_of_pythons():
    same(lmer("y ~ {x * 2 - 1 * x} + (1 | g)", DATA), by_hand(X))
    same(lmer("y ~ {x + 1} + (1 | g)", DATA), by_hand(X + 1))


def test_levels_with_brackets_have_names_like_others():
    data = DATA.assign(f=DATA.f.map({"a": "(0, 1]", "b": "(1, 2]", "c": "[T.x]"}))
    model = lmer("y ~ f * x + (1 | g)", data)
    assert model.names[1:3] == ("f(1, 2]", "f[T.x]") and set(model.names[-2:]) == {
        "f(1, 2]:x",
        "f[T.x]:x",
    }
    plain = lmer("y ~ f * x + (1 | g)", DATA)
    assert model.fixed == pytest.approx(plain.fixed)
    assert model.contrast({"f[T.x]": 1}).t == pytest.approx(plain.contrast("fc").t)


def nfd(name):
    return unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("name", ["größe", "नाम", "ชื่อ", "x²", "µ", "ﬁx"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_column_in_any_normal_form(name, form):
    name = unicodedata.normalize(form, name)
    data = DATA.rename(columns={"x": name})
    model = lmer(f"y ~ {name} + (1 | g)", data)
    same(model, by_hand(X))
    assert model.names[1] == name and model.formula == f"y ~ {name} + (1 | g)"
    same(lmer(f"y ~ 1 + x + ({name} | g)", data.assign(x=X)), by_hand(X, Z=np.c_[ONE, X]))
    groups = DATA.rename(columns={"g": name})
    assert lmer(f"y ~ x + (1 | {name})", groups).term_names == (name,)


def test_a_name_finds_its_column_in_another_normal_form():
    data = DATA.rename(columns={"x": nfd("größe")})
    same(lmer("y ~ größe + (1 | g)", data), by_hand(X))
    other = DATA.rename(columns={"x": "größe"})
    same(lmer(f"y ~ I({nfd('größe')} ** 2) + (1 | g)", other), by_hand(X**2))
    both = data.assign(**{"größe": X**2})
    same(lmer("y ~ größe + (1 | g)", both), by_hand(X**2))
    same(lmer(f"y ~ {nfd('größe')} + (1 | g)", both), by_hand(X))


@pytest.mark.parametrize("function", ["I(ﬁx ** 2)", "I(`ﬁx` ** 2)", "np.exp(ﬁx)"])
def test_a_name_that_python_reads_as_another_is_refused_in_functions(function):
    """Python takes ﬁx for fix, and the model would be of the other column."""
    data = DATA.rename(columns={"x": "ﬁx"}).assign(fix=RNG.normal(size=N))
    with pytest.raises(InputError, match="Python reads another name"):
        lmer(f"y ~ {function} + (1 | g)", data)
    same(lmer("y ~ fix + ﬁx + (1 | g)", data), by_hand(data.fix, X))


def test_a_column_whose_attributes_are_asked_for_is_that_of_the_data():
    x = np.arange(3.0)  # the caller's, which has nothing to do with it
    same(lmer("y ~ x.abs() + (1 | g)", DATA), by_hand(np.abs(X)))
    same(lmer("y ~ I(x - x.mean()) + (1 | g)", DATA), by_hand(X - X.mean()))
    assert len(x) == 3


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("C", "C(f) + C"),
        ("C", "C(C)"),
        ("I", "I(x**2) + I"),
        ("np", "np.log(np)"),
        ("poly", "poly(x, 2) * poly"),
    ],
)
def test_a_column_beside_a_function_of_its_name_is_refused_by_name(name, formula):
    data = DATA.assign(**{name: np.exp(X)})
    with pytest.raises(InputError, match=f"the formula calls {name}, and has a column") as refusal:
        lmer(f"y ~ {formula} + (1 | g)", data)
    assert refusal.value.remedy == "rename the column"
    same(lmer(f"y ~ {name} + (1 | g)", data), by_hand(np.exp(X)))


@pytest.mark.parametrize(
    "formula",
    ["y ~ x + ((1 | g))", "y ~ (x + (1 | g))", "y ~ x + (((1|g)))", "y ~ ((x) + ((1 | (g))))"],
)
def test_brackets_around_random_terms(formula):
    same(lmer(formula, DATA), by_hand(X))


@pytest.mark.parametrize(
    "formula", ["y ~ x - ((1 | g))", "y ~ x * (f + (1 | g))", "y ~ (x | g)(1)"]
)
def test_random_terms_inside_what_is_no_sum_are_refused(formula):
    with pytest.raises(InputError, match="random term"):
        lmer(formula, DATA)
