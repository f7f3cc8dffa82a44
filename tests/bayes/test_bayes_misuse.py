"""Misuse of the Bayesian side: every argument of a wrong kind is refused in words."""

import warnings

import numpy as np
import pytest

from mixhier_lite import (
    InputError,
    LinearMixedModel,
    Prior,
    Term,
    centred,
    fit,
    flat,
    gaussian,
    integrate,
    pedigree_relatedness,
    priors,
    sample,
)
from mixhier_lite.kinship import Relatedness

GROUPS = np.repeat(np.arange(5), 3)
MODEL = fit(np.random.default_rng(0).normal(size=15), np.ones((15, 1)), Term(GROUPS))
TOLD = integrate(MODEL)
DRAWS = sample(MODEL, 5, np.random.default_rng(0))


class Odd:
    """A thing that nobody expects."""


def raising(s):
    raise KeyError("s")


THINGS = {
    "None": None,
    "true": True,
    "minus": -1,
    "nan": np.nan,
    "infinite": np.inf,
    "endless": 10**400,
    "complex": 1j,
    "complex of numpy": np.complex128(1),
    "duration": np.timedelta64(1, "D"),
    "text": "abc",
    "digits": "0.5",
    "bytes": b"x",
    "empty list": [],
    "list": [0.5, 0.6],
    "dict": {"a": 1},
    "array": np.array([0.5]),
    "matrix": np.zeros((2, 3)),
    "labels": np.array(["a"]),
    "masked": np.ma.masked_array([1.0, 2.0], [0, 1]),
    "odd": Odd(),
    "class": object,
    "function": len,
    "no array": lambda s: "x",
    "wrong shape": lambda s: np.zeros(3),
    "nan everywhere": lambda s: s * np.nan,
    "raising": raising,
    "old generator": np.random.RandomState(1),
    "fit": MODEL,
    "integral": TOLD,
    "prior for others": Prior([priors.flat()] * 2),
    "density": priors.flat,
    "changeable parent": {"a": ([1], None)},
    "changeable pair": {"a": ((1, [2]), None)},
    "one parent": {"a": ("b",)},
}
CALLS = {
    "integrate": (integrate, [MODEL, priors.flat()]),
    "sample": (sample, [MODEL, 3, np.random.default_rng(0), priors.flat()]),
    "quantile": (TOLD.quantile, [0.5]),
    "Integral.table": (TOLD.table, [0.9]),
    "Draws.table": (DRAWS.table, [0.9]),
    "Draws.predict": (DRAWS.predict, [np.ones((2, 1)), None, "population", True, None]),
    "SdPrior": (priors.SdPrior, ["even", np.zeros_like, 0.0, 0.0]),
    "half_normal": (priors.half_normal, [1.0]),
    "half_t": (priors.half_t, [3.0, 1.0]),
    "half_cauchy": (priors.half_cauchy, [1.0]),
    "exponential": (priors.exponential, [1.0]),
    "Prior": (Prior, [priors.flat(), priors.flat(), None]),
    "pedigree": (pedigree_relatedness, [{"a": (None, None)}]),
    "Relatedness": (Relatedness, [np.eye(2), ["a", "b"]]),
    "centred": (centred, [LinearMixedModel(np.ones((2, 1)), np.eye(2), np.eye(2), 1.0)]),
    "gaussian": (gaussian, [[0.0], [[1.0]]]),
    "flat": (flat, [1]),
}
FINE = {
    ("integrate", 0, "fit"),
    ("integrate", 1, "None"),
    ("sample", 0, "fit"),
    ("sample", 3, "None"),
    ("Draws.predict", 1, "None"),
    ("Draws.predict", 3, "true"),
    ("Draws.predict", 4, "None"),
    ("SdPrior", 0, "text"),
    ("SdPrior", 0, "digits"),
    ("SdPrior", 2, "minus"),
    ("SdPrior", 3, "minus"),
    ("SdPrior", 2, "infinite"),
    ("SdPrior", 3, "infinite"),
    ("Prior", 0, "empty list"),  # it is refused where it meets a model
    ("Prior", 0, "list"),
    ("Prior", 2, "None"),
    ("Relatedness", 1, "list"),
    ("gaussian", 0, "array"),
    *((name, 0, "true") for name in ("half_normal", "half_cauchy", "exponential", "half_t")),
    ("half_t", 1, "true"),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_of_a_wrong_kind_is_refused_in_words(name):
    function, right = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(*right)
        for place in range(len(right)):
            for thing, wrong in THINGS.items():
                arguments = [*right[:place], wrong, *right[place + 1 :]]
                if (name, place, thing) in FINE:
                    function(*arguments)
                    continue
                with pytest.raises(InputError) as refusal:
                    function(*arguments)
                assert "Traceback" not in str(refusal.value), (place, thing)


@pytest.mark.parametrize("sd", [[], [0.5], ["flat"], [[priors.flat(), "flat"]]])
def test_a_prior_that_does_not_fit_its_model(sd):
    with pytest.raises(InputError, match="different numbers of terms|does not match its columns"):
        integrate(MODEL, Prior(sd))


@pytest.mark.parametrize(
    "probability", [[0.025, 0.975], (0.5,), np.array([0.5]), "0.5", 0, 1, True]
)
def test_a_quantile_has_one_probability(probability):
    with pytest.raises(InputError, match="probability is not one number") as refusal:
        TOLD.quantile(probability)
    assert "call again for each further quantile" in refusal.value.remedy


def test_more_draws_than_memory_are_refused():
    with pytest.raises(InputError, match="draws is the number of draws"):
        sample(MODEL, 10**9, np.random.default_rng(0))


def test_a_prior_keeps_nothing_of_the_callers():
    given = [[priors.flat()]]
    prior = Prior(given)
    given[0].append("flat")
    given.append("flat")
    assert repr(prior.sd) == "((flat(),),)"


def test_student_with_many_degrees_of_freedom_is_normal():
    s = np.linspace(0.1, 5, 20)
    normal = priors.half_normal(2).log_density(s)
    for df in (1e9, 1e15):
        np.testing.assert_allclose(priors.half_t(df, 2).log_density(s), normal, atol=1e-8)
