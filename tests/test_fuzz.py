"""A slice of ``make fuzz``, that it covers every public name, and that it sees what is wrong."""

import inspect

import fuzz
import numpy as np
import pytest

import mixhier_lite
from mixhier_lite import InputError, datasets, exercises, kinship, plot, priors
from mixhier_lite.after.contrast import Contrast
from mixhier_lite.after.means import Means
from mixhier_lite.bayes.integral import Integral
from mixhier_lite.fitted.bootstrap import Bootstrap
from mixhier_lite.fitted.profile import Curve, Profile
from mixhier_lite.fitted.satterthwaite import Satterthwaite

INSIDE = {"InputError", "Draws", "Fit", "Comparison", "Equivalence", "Gram"}
"""Classes that nobody makes by hand: their makers and methods are called."""
SLOW = ("Fit.profile", "Profile.interval", "Profile.table", "Curve.interval", "sample", "integrate")
SLOW = (*SLOW, "Integral.quantile", "Integral.mean, .sd", "Draws.to_arviz", "Fit.*")
ENGINE = {"Term.matrix", "Prior.on_sds", "Prior.on_fixed", "Relatedness.among", "Fit.read_rows"}
ENGINE |= {"Fit.term_number"}
"""What has no underscore and is not for readers; called on the way."""


def _made_here(module, names):
    prefix = module.__name__.removeprefix("mixhier_lite").lstrip(".")
    for name in names:
        value = getattr(module, name)
        if callable(value) and name not in INSIDE:
            yield f"{prefix}.{name}".lstrip(".")


def test_every_public_function_is_called():
    public = list(_made_here(mixhier_lite, mixhier_lite.__all__))
    public += _made_here(exercises, ["check", "progress"])
    public += _made_here(datasets, ["load", "record", "four_groups", "mice"])
    for module, skipped in (
        (plot, {"style"}),
        (kinship, set()),
        (priors, {"as_prior", "log_symmetric"}),
    ):
        own = {n for n, f in vars(module).items() if inspect.isfunction(f)}
        own = {n for n in own if getattr(module, n).__module__ == module.__name__}
        public += _made_here(module, [n for n in own - skipped if n[0] != "_"])
    called = set(fuzz.CALLS) | {f"kinship.{name}" for name in fuzz.CALLS}
    missing = {name for name in public if name not in called}
    assert missing == set()


RESULTS = [
    mixhier_lite.Fit,
    mixhier_lite.Draws,
    mixhier_lite.LinearMixedModel,
    mixhier_lite.Term,
    mixhier_lite.Prior,
    kinship.Relatedness,
    Bootstrap,
    Contrast,
    Means,
    Curve,
    Profile,
    Satterthwaite,
    Integral,
]


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_every_method_of_a_result_is_called(kind):
    methods = {
        f"{kind.__name__}.{name}"
        for name, value in inspect.getmembers(kind, inspect.isfunction)
        if name[0] != "_"
    }
    assert methods - set(fuzz.CALLS) <= ENGINE


@pytest.mark.slow
def test_a_slice_of_the_calls():
    tally, wrong = fuzz.run(200, seed=5, without=SLOW)
    assert wrong == {}
    counts = np.array([[c["answer"], c["refused"]] for c in tally.values()]).sum(axis=0)
    assert counts.sum() == 200 and counts.min() > 40


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda s: 1 / 0, "ZeroDivisionError"),
        (lambda s: np.log(np.zeros(2)), "RuntimeWarning"),
        (lambda s: s.array(np.ones(3)).__setitem__(0, 2.0), "an input was changed"),
        (lambda s: print("hm"), "something was printed"),
        (lambda s: (_ for _ in ()).throw(InputError("a", "b", "c", "")), "odd words"),
    ],
)
def test_it_sees_what_is_wrong(monkeypatch, fault, told):
    def call(rng):
        s = fuzz.Draw(rng)
        s.slips, s.rng = 0, np.random.default_rng(1)
        fault(s) if told != "odd words" else next(fault(s))
        return s

    monkeypatch.setitem(fuzz.CALLS, "faulty", call)
    assert told in fuzz.once("faulty", 0)


def test_its_oracles_see_wrong_numbers():
    rng = np.random.default_rng(2)
    s = fuzz.Known(rng)
    s.slips, s.n, s.p, s.J = 0, 6, 1, 2
    s.codes = np.array([0, 0, 0, 1, 1, 1])
    model, y = s.model(), rng.normal(size=6)
    effects = mixhier_lite.ridge(model, y)
    fuzz.known_oracle(model, y, effects)
    for fixed, cov in ((1.05, 1.0), (1.0, 1.1)):
        other = mixhier_lite.Effects(effects.fixed * fixed, effects.random, effects.cov * cov)
        with pytest.raises(AssertionError):
            fuzz.known_oracle(model, y, other)
    g, X, data = fuzz.rows_of_fits()
    rows = {"y": data["y"], "X": X, "terms": mixhier_lite.Term(g), "weights": None}
    fuzz.fit_oracle(fuzz.fits()[0], rows, None)
    with pytest.raises(AssertionError):
        fuzz.fit_oracle(fuzz.fits()[0], {**rows, "y": data["y"] * 1.01}, None)
