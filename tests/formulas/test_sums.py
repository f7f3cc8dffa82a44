"""Sums of columns are put beside each other here; formulaic makes the same of them."""

import formulaic
import numpy as np
import pandas as pd
import pytest

from mixhier_lite import InputError, Term, fit, lmer
from mixhier_lite.formulas.columns import levels_of
from mixhier_lite.formulas.names import Piece
from mixhier_lite.formulas.sums import sum_of_columns

RNG = np.random.default_rng(5)
DATA = pd.DataFrame(
    {
        "x": RNG.normal(size=8),
        "z": np.arange(8) - 3,
        "a b": RNG.normal(size=8),
        "x.y": RNG.normal(size=8),
        "true": np.arange(8) % 3 == 0,
        "large": np.arange(8, dtype=np.uint64) + 2**63,
        "f": list("uvuvuvuw"),
    }
)
SUMS = "1|0|x|1 + x|0 + x|x + 1|x + 0|z + x|0 + `a b` + x|`a b` + z + `x.y`|true|1 + large".split(
    "|"
)
OTHERS = "f|x + f|x:z|x * z|x - 1|(x)|I(x)|x + x|1 + 1|0 + 1|x + I(z**2)|x / z|-1 + x|2 + x".split(
    "|"
)


@pytest.mark.parametrize("text", SUMS)
def test_a_sum_is_what_formulaic_makes_of_it(text):
    own = sum_of_columns(Piece.of(text, "a piece", set(DATA), {}), DATA)
    theirs = formulaic.model_matrix(text, DATA)
    assert own.values.shape == theirs.shape == (8, len(own.names))
    assert np.array_equal(own.values, np.asarray(theirs, dtype=float))
    names = [name.replace("(Intercept)", "Intercept") for name in own.names]
    assert names == [str(name) for name in theirs.columns]
    assert [str(term) for term in own.recipe.spec.terms] == [
        str(term) for term in theirs.model_spec.terms
    ]
    assert own.recipe.categories == levels_of(theirs.model_spec) == {}
    new = DATA[["x", "z", "a b", "x.y", "true", "large"]][::-1]
    again = theirs.model_spec.get_model_matrix(new)
    assert np.array_equal(own.recipe.columns(new), np.asarray(again, dtype=float))


@pytest.mark.parametrize("text", OTHERS)
def test_everything_else_is_left_to_formulaic(text):
    assert sum_of_columns(Piece.of(text, "a piece", set(DATA), {}), DATA) is None


def test_new_rows_that_hold_no_numbers_are_refused():
    rows = DATA.assign(g=np.arange(8) // 2)
    model = lmer("x ~ z + (1 | g)", rows)
    with pytest.raises(InputError, match="column 'z' holds no numbers"):
        model.predict(rows.assign(z=rows["f"]))


def test_a_fit_shares_no_memory_with_the_frame():
    rows = pd.DataFrame({"y": RNG.normal(size=40), "g": np.arange(40) // 4})
    model = lmer("y ~ 1 + (1 | g)", rows)
    before = model.rows.y.copy()
    rows["y"].to_numpy(copy=False)
    values = rows._mgr.blocks[0].values  # what no reader does
    values.setflags(write=True)
    values[:] = 0
    assert np.array_equal(model.rows.y, before)
    assert not model.rows.y.flags.writeable and not model.rows.X.flags.writeable


def test_a_new_combination_is_no_animal_without_rows():
    """Levels that only K has stand for no combination of the data's levels."""
    levels = ["a:u", "a:v", "b:u", "b:v", "c:u"]
    K = pd.DataFrame(np.eye(5), index=levels, columns=levels)
    rows = pd.DataFrame({"f": list("aabb") * 4, "h": list("uvuv") * 4, "y": RNG.normal(size=16)})
    model = lmer("y ~ 1 + (1 | f:h)", rows, relatedness={"f:h": K})
    assert len(model.levels[0]) == 5
    new = pd.DataFrame({"f": ["a", "q"], "h": ["v", "r"]})
    with pytest.raises(InputError, match="q:r"):
        model.predict(new)
    mean = model.predict(new, new_groups="population").mean
    assert mean[0] == pytest.approx(model.fixed[0] + model.random[0][1, 0])
    assert mean[1] == pytest.approx(model.fixed[0])


@pytest.mark.parametrize("labels", ["gaps", "texts", "category", "floats", "objects"])
def test_levels_of_a_frame_are_those_of_arrays(labels):
    codes = RNG.permutation(np.repeat(np.arange(6), 5))
    y, x = RNG.normal(size=30) + codes, RNG.normal(size=30)
    levels = {
        "gaps": np.array([-7, 0, 1, 9, 30, 4000]),
        "texts": np.array(["b", "c d", "e:f", "g`", "z", "ä"]),
        "category": pd.Categorical(list("zyxwvu"), categories=list("zyxwvuts")),
        "floats": np.array([-0.5, 0.0, 0.1, 1e9, 1e10, 1e300]),
        "objects": np.array([10**30 + k for k in range(6)], dtype=object),
    }[labels]
    model = lmer("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": levels[codes]}))
    X = np.column_stack([np.ones(30), x])
    right = fit(y, X, Term(codes, X))
    assert np.array_equal(model.rows.terms[0].codes, codes)
    assert model.levels[0].tolist() == list(levels)
    assert model.criterion == pytest.approx(right.criterion, abs=1e-9)
    assert np.allclose(model.random[0], right.random[0], atol=1e-7)
