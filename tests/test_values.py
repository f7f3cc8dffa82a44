"""Values are values: results cannot be written to, keep nothing of the caller's, show one line."""

import copy
import pickle
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from saturated import problem

from mixhier_lite import (
    EQUIVALENCES,
    Effects,
    GaussianFactor,
    HierarchicalModel,
    InputError,
    LinearMixedModel,
    Prior,
    Term,
    compare,
    datasets,
    fit,
    gaussian,
    gls_blup,
    henderson,
    indicator,
    integrate,
    lmer,
    pedigree_relatedness,
    posterior,
    priors,
    ridge,
    sample,
)
from mixhier_lite.after.rows import row_by_row
from mixhier_lite.fitted.kenward_roger import kenward_roger
from mixhier_lite.fitted.knapp_hartung import knapp_hartung
from mixhier_lite.fitted.satterthwaite import precision
from mixhier_lite.kinship import Relatedness


def _rows():
    rng = np.random.default_rng(5)
    g, h = np.repeat(np.arange(8), 5), np.tile(np.arange(5), 8)
    x = rng.standard_normal(40)
    y = x + 2 * rng.standard_normal(8)[g] + rng.standard_normal(5)[h] + rng.standard_normal(40)
    return y, np.column_stack([np.ones(40), x]), g, h


def _categories():
    y, _, g, h = _rows()
    return lmer("y ~ f + (1 | g)", pd.DataFrame({"y": y, "g": g, "f": h.astype(str)}))


def _results():
    rng = np.random.default_rng(6)
    y, X, g, h = _rows()
    model = LinearMixedModel(X, indicator(g), 2 * np.eye(8), 1.0)
    one, slopes = fit(y, X, Term(g)), fit(y, X, Term(g, X, name="group"))
    two = fit(y, X, [Term(g), Term(h)], weights=1.0 + h)
    found = {
        "Gram": one.gram,
        "Gram of two terms": two.gram,
        "Block": slopes.gram.blocks[0],
        "Term": Term(g, X, np.eye(8), name="group"),
        "LinearMixedModel": model,
        "HierarchicalModel": HierarchicalModel(np.ones((8, 1)), indicator(g), np.eye(8), 1.0),
        "GaussianFactor": gaussian([0.0], [[4.0]]),
        "Equivalence": EQUIVALENCES[0],
        "gls_blup": gls_blup(model, y),
        "henderson": henderson(model, y),
        "ridge": ridge(model, y),
        "posterior": posterior(model, y, gaussian([0.0, 0.0], np.eye(2))),
        "Relatedness": pedigree_relatedness({k: (None, None) for k in range(30)}),
        "FourGroups": datasets.four_groups(rng),
        "Mice": datasets.mice(),
        "Prior": Prior(sd=[priors.half_normal(2)], fixed=gaussian([0.0, 0.0], np.eye(2))),
        "SdPrior": priors.half_t(3, 2.5),
        "Comparison": compare(one, slopes),
        "Certificate": slopes.certificate,
        "predict": slopes.predict(X, Term(g, X)),
        "Contrast": slopes.contrast(np.eye(2)),
        "Means": _categories().means("f"),
        "Grid": _categories().design.grid,
        "R2": slopes.r2,
        "refit": one.refit(y[::-1]),
        "update": slopes.update(method="ML"),
        "KenwardRoger": kenward_roger(slopes),
        "KnappHartung": knapp_hartung(fit(y, X, Term(g), tau2=1.0), precision(slopes)),
        "Precision": precision(slopes),
        "RowByRow": row_by_row(slopes, slopes.rows),
        "bootstrap": one.bootstrap(3, rng),
        "profile": one.profile(),
        "Curve": one.profile().curves[0],
        "satterthwaite": slopes.satterthwaite(),
        "Draws": sample(two, 40, rng),
        "Integral": integrate(one),
        "Unknowns": integrate(one).mean,
        "lmer": lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy")),
    }
    none = fit(*problem(5)[:3], weights=problem(5)[3])
    assert none.tau2 == 0
    for name, model in (("fit", one), ("slopes", slopes), ("two", two), ("no noise", none)):
        model.random, model.cond_var, model.random_cov  # noqa: B018  (so that they are kept)
        found[name] = model
    return found


RESULTS = _results()
BOOKS_OF_THE_ENGINE = ("noiseless", "spec", "over", "nodes", "model")  # not results
READ = {"Fit": ("random", "cond_var", "random_cov")}


def _arrays(value, path=""):
    """Every array that a result holds, with the way to it."""
    if isinstance(value, np.ndarray):
        yield path, value
    elif hasattr(value, "indptr"):
        for name in ("data", "indices", "indptr"):
            yield f"{path}.{name}", getattr(value, name)
    elif isinstance(value, tuple | list):
        for k, part in enumerate(value):
            yield from _arrays(part, f"{path}[{k}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _arrays(part, f"{path}[{key}]")
    elif is_dataclass(value):
        names = [f.name for f in fields(value)] + list(READ.get(type(value).__name__, ()))
        for name in names:
            if name not in BOOKS_OF_THE_ENGINE:
                yield from _arrays(getattr(value, name), f"{path}.{name}")


@pytest.mark.parametrize("name", RESULTS)
def test_nothing_of_a_result_can_be_written_to(name):
    assert [path for path, array in _arrays(RESULTS[name]) if array.flags.writeable] == []


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_nor_of_its_copy(name, again):
    if name == "Equivalence":
        pytest.skip("its sides are functions of no name")
    found = again(RESULTS[name])
    assert [path for path, array in _arrays(found) if array.flags.writeable] == []
    pairs = zip(_arrays(RESULTS[name]), _arrays(found), strict=True)
    assert all(a == b and np.array_equal(u, v) for (a, u), (b, v) in pairs)


@pytest.mark.parametrize("name", RESULTS)
def test_shown_in_one_line(name):
    shown = repr(RESULTS[name])
    assert "\n" not in shown and 3 < len(shown) < 400, shown


def test_a_line_tells_what_it_shows():
    assert repr(RESULTS["lmer"]) == (
        "Fit('Reaction ~ Days + (Days | Subject)', REML criterion 1743.63, 180 rows, "
        "18 levels of Subject)"
    )
    assert "cov=array (10, 10)" in repr(RESULTS["gls_blup"])
    few = repr(Effects([1.5, -2.0], [], np.eye(2)))
    assert few == "Effects(fixed=[1.5, -2], random=[], cov=array (2, 2))"
    assert repr(Relatedness(np.eye(2), ["a", "b"])) == "Relatedness of 2: 'a', 'b'"


def test_arithmetic_in_place_changes_no_fit():
    model = lmer("Reaction ~ Days + (1 | Subject)", datasets.load("sleepstudy"))
    before = model.summary(), model.random_table().iloc[0, 0]
    for array in (model.random[0], model.cond_var[0], model.random_cov[0], model.fixed):
        with pytest.raises(ValueError, match="read-only"):
            array -= array[0]
    table = model.random_table()
    table.iloc[:, 0] = 0.0
    assert (model.summary(), model.random_table().iloc[0, 0]) == before


# --- nothing of the caller's


def _writeable(*arrays):
    return all(np.asarray(a).flags.writeable for a in arrays)


def test_what_the_caller_changes_later_changes_nothing():
    y, X, g, _ = _rows()
    weights, K, levels, Z = np.ones(40), np.eye(8), np.arange(8), X.copy()
    term = Term(g, Z, K, levels=levels)
    model = fit(y, X, term, weights=weights)

    def told():
        rng = np.random.default_rng(1)
        pair = model.simulate(rng), model.bootstrap(2, rng).fixed
        return np.concatenate([pair[0], pair[1].ravel(), model.random[0].ravel(), term.codes])

    before = told()
    for array in (y, X, g, weights, K, levels, Z):
        assert array.flags.writeable, "an input is not made read-only"
        array *= 3
    fresh = model.simulate(np.random.default_rng(1))
    assert np.array_equal(told(), before) and np.array_equal(fresh, before[:40])


def test_known_variances_keep_copies():
    y, X, g, _ = _rows()
    D, Sigma = indicator(g), np.eye(8)
    model = LinearMixedModel(X, D, Sigma, 1.0)
    P, h = np.eye(2), np.zeros(2)
    prior = GaussianFactor(P, h)
    before = posterior(model, y, prior)
    for array in (X, D, Sigma, P, h):
        assert array.flags.writeable
        array += 1
    assert np.array_equal(posterior(model, y, prior).cov, before.cov)
    fixed, random, cov = np.zeros(1), np.zeros(1), np.eye(2)
    effects = Effects(fixed, random, cov)
    for array in (fixed, random, cov):
        array += 1
    assert effects.fixed[0] == effects.random[0] == effects.cov[0, 1] == 0
    with pytest.raises(InputError, match="cov does not match"):
        Effects([1.0], [2.0], np.eye(3))


def test_relatedness_and_priors_keep_copies():
    A, levels = np.eye(3), np.array(["a", "b", "c"])
    K = Relatedness(A, levels)
    A += 1
    levels[:] = "x"
    assert K[0, 1] == 0 and K.levels.tolist() == ["a", "b", "c"] and _writeable(A, levels)
    sds = [[priors.flat(), priors.flat()], priors.half_normal(1)]
    prior = Prior(sd=sds)
    sds[0][1] = sds[1] = priors.exponential(9)
    assert [[repr(p) for p in term] for term in prior.on_sds([2, 1])] == [
        ["flat()", "flat()"],
        ["half_normal(1)"],
    ]


def test_a_formula_keeps_what_it_saw_of_its_caller():
    data = datasets.load("sleepstudy")
    knots = {"at": [5.0, [7.0]]}
    formula = "Reaction ~ I((Days - knots['at'][1][0]) ** 2) + (1 | Subject)"
    model = lmer(formula, data)
    before = model.predict(data).mean
    knots["at"][1][0] = 100.0
    assert np.array_equal(model.predict(data).mean, before)
    data.loc[:, "Days"] = 0
    assert np.array_equal(model.predict(datasets.load("sleepstudy")).mean, before)


def test_replace_makes_terms_models_and_priors_anew():
    y, X, g, _ = _rows()
    term = Term(g, X, correlated=False, name="group", columns=("1", "x"))
    named = replace(term, name="site")
    assert (named.name, named.columns, named.correlated) == ("site", ("1", "x"), False)
    assert np.array_equal(named.codes, term.codes) and np.array_equal(named.Z, term.Z)
    turned = replace(term, levels=np.arange(8)[::-1])
    assert np.array_equal(turned.codes, 7 - term.codes)
    labelled = Term(["b", "a"], K=Relatedness(np.diag([1.0, 2.0]), ["b", "a"]))
    again = replace(labelled, name="strain")
    assert np.array_equal(again.K, labelled.K) and again.levels.tolist() == ["b", "a"]
    model = LinearMixedModel(X, indicator(g), np.eye(8), 1.0)
    assert np.array_equal(replace(model, Sigma=4 * np.eye(8)).L, 2 * np.eye(8))
    assert replace(Prior(), noise=priors.half_normal(2)).noise.name == "half_normal(2)"
    assert fit(y, X, named).term_names == ("site",)


def test_tables_can_be_changed_and_are_fresh():
    model = RESULTS["slopes"]
    table = model.table()
    table["estimate"] += 1.0
    assert isinstance(table, pd.DataFrame) and not table.equals(model.table())
