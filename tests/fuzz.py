"""Call every public name with right and wrong arguments: ``make fuzz``, or fuzz.py CALLS SEED.

Three things may happen: an answer, which is compared with dense algebra where that is cheap; an
``InputError``; and nothing else. A warning is as bad as another's exception. No input is changed.
"""

import io
import signal
import sys
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stdout
from functools import cache

import dense
import exact
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from oddities import DRESSED, SPOILT, WRONG, NothingToDo, read_only

import mixhier_lite as ml
from mixhier_lite import InputError, Prior, Term, datasets, exercises, kinship, priors

SECONDS = 60
"""Longest time that a call may compute."""


class Draw:
    """Where the arguments of one call come from: right ones, and with some luck wrong ones."""

    def __init__(self, rng):
        """Decide how wrong this call is: not at all, or in one or two of its arguments."""
        self.rng = rng
        self.right = True
        """Whether no argument has been wrong so far."""
        self.slips = int(rng.choice([0, 0, 1, 1, 1, 2]))
        self.watched = []

    def one(self, *choices):
        """One of some things."""
        return choices[self.rng.integers(len(choices))]

    def slip(self, share=0.35):
        """Whether this argument is a wrong one."""
        if self.slips and self.rng.random() < share:
            self.slips -= 1
            self.right = False
            return True
        return False

    def wrong(self):
        """Something that nobody means."""
        return self.one(*WRONG)()

    def either(self, right):
        """A right argument that is no array, or a wrong one."""
        return self.wrong() if self.slip() else right

    def array(self, array):
        """An array of numbers in some form, or spoilt, or a wrong argument."""
        array = np.array(array, dtype=np.float64)
        if self.slip():
            if self.rng.random() < 0.5:
                return self.wrong()
            try:
                array = self.one(*SPOILT)(array, self.rng)
            except (IndexError, ValueError):
                pass
        elif self.rng.random() < 0.3:
            array = self.one(*DRESSED)(array)
        elif self.rng.random() < 0.3:
            array = read_only(array)
        if isinstance(array, np.ndarray):
            self.watched.append((array, array.copy(), array.flags.writeable))
        return array

    def untouched(self):
        """Whether no array that was passed has been changed."""
        return all(
            old.tobytes() == array.tobytes() and writeable == array.flags.writeable
            for array, old, writeable in self.watched
            if array.dtype != object
        )

    # --- right arguments

    def generator(self):
        """A source of random numbers."""
        return self.either(np.random.default_rng(self.rng.integers(99)))

    def level(self):
        """The coverage of an interval."""
        return self.either(self.one(0.5, 0.9, 0.95, np.float32(0.9), 0.99))

    def labels(self, codes):
        """Labels of groups, of some kind."""
        kind = self.rng.integers(10)
        if self.slip(0.3):
            return self.wrong()
        return [
            lambda: codes,
            lambda: codes.astype(float),
            lambda: [f"s{k}" for k in codes],
            lambda: np.array([f"s{k}" for k in codes]),
            lambda: np.array([f"s{k}".encode() for k in codes]),
            lambda: [("a", int(k)) for k in codes],
            lambda: np.datetime64("2020-01-01") + codes.astype("timedelta64[D]"),
            lambda: pd.Categorical([f"s{k}" for k in codes]),
            lambda: pl.Series([f"s{k}" for k in codes]),
            lambda: pd.Series(codes, dtype="Int64") if len(codes) % 2 else codes - 5,
        ][kind]()

    def covariance(self, k):
        """A covariance, sometimes singular."""
        root = self.rng.normal(size=(k, self.one(k, k, max(k - 1, 0))))
        return root @ root.T


class Known(Draw):
    """A small model with known variances."""

    def __init__(self, rng):
        """Draw n, p and J."""
        super().__init__(rng)
        self.n, self.p, self.J = rng.integers(1, 9), rng.integers(0, 3), rng.integers(0, 4)
        self.codes = rng.integers(0, max(self.J, 1), self.n)

    def model(self):
        """The model, with one of its arguments wrong or none."""
        X = np.column_stack([np.ones(self.n), 5 + self.rng.normal(size=self.n)])[:, : self.p]
        D = self.rng.normal(size=(self.n, self.J))
        if self.rng.random() < 0.6:
            D = (self.codes[:, None] == np.arange(self.J)).astype(float)
        tau2 = self.either(float(10.0 ** self.rng.integers(-6, 7)))
        Sigma = self.covariance(self.J)
        return ml.LinearMixedModel(self.array(X), self.array(D), self.array(Sigma), tau2)

    def response(self):
        """y."""
        return self.array(self.rng.normal(size=self.n))


def known_oracle(model, y, effects):
    """GLS, BLUP and their standard errors are those of 500 digits."""
    truth, sd = exact.effects(model, y)
    found = np.append(effects.fixed, effects.random)
    found_sd = np.sqrt(np.maximum(np.diag(effects.cov), 0.0))
    floor = 1e-6 * np.abs(truth) + 1e-9 * np.abs(truth).max(initial=0.0) + 1e-280
    assert (np.diag(effects.cov) >= 0).all(), "a negative variance"
    assert (np.abs(found - truth) <= 1e-2 * sd + floor).all(), ("estimates", found, truth, sd)
    prior_sd = np.sqrt(np.append(np.full(model.p, np.inf), np.diag(model.Sigma)))
    off = np.abs(found_sd - sd) <= 1e-2 * sd + 1e-7 * np.minimum(prior_sd, 1e300) + 1e-280
    assert off.all(), ("standard errors", found_sd, sd)


class Data(Draw):
    """Rows of a mixed model."""

    def __init__(self, rng):
        """Draw the layout."""
        super().__init__(rng)
        self.n, self.J = int(rng.integers(8, 40)), int(rng.integers(2, 7))
        self.codes = np.append(np.arange(self.J), rng.integers(0, self.J, self.n - self.J))
        self.second = rng.integers(0, 3, self.n)
        self.x = rng.normal(size=self.n) * self.one(1.0, 1.0, 10.0) + self.one(0.0, 0.0, 50.0)
        self.y = rng.normal(size=self.n) + self.one(0.0, 2.0) * rng.normal(size=self.J)[self.codes]
        self.X = np.column_stack([np.ones(self.n), self.x, rng.normal(size=self.n)])
        self.X = self.X[:, : rng.integers(0, 4)]

    def weights(self):
        """Weights, or none."""
        return self.one(None, None, self.array(self.rng.uniform(0.5, 2, self.n)))

    def term(self):
        """One term."""
        Z = self.one(None, None, self.X[:, :2] if self.X.shape[1] > 1 else None)
        K = self.one(None, None, None, self.covariance(self.J) + np.eye(self.J))
        return Term(
            self.labels(self.codes),
            None if Z is None else self.array(Z),
            None if K is None else self.array(K),
            self.either(self.one(True, True, False)),
            self.either(None),
            self.either(self.one(None, "g")),
            self.either(()),
        )

    def terms(self):
        """One term or two."""
        return self.either(self.one(self.term(), self.term(), [self.term(), Term(self.second)]))

    def rows(self):
        """The arguments of a fit."""
        names = None if self.rng.random() < 0.7 else tuple("abc")[: self.X.shape[1]]
        return {
            "y": self.array(self.y),
            "X": self.array(self.X),
            "terms": self.terms(),
            "weights": self.weights(),
            "names": self.either(names),
        }

    def frame(self):
        """A data frame of some library with columns of all kinds."""
        n, rng = self.n, self.rng
        columns = {
            "y": self.y,
            "x": self.x,
            "whole": rng.integers(0, 5, n),
            "f": np.array(list("abc"))[rng.integers(0, 3, n)],
            "g": np.array([f"s{k}" for k in self.codes]),
            "h": self.second,
            "odd name": rng.normal(size=n),
            "a.b": rng.normal(size=n),
            "truth": rng.random(n) < 0.5,
            "w": rng.uniform(0.5, 2, n),
            "day": np.datetime64("2020-01-01", "ns") + self.codes.astype("timedelta64[D]"),
        }
        data = pd.DataFrame(columns)
        if self.slip(0.3):
            spoil = self.rng.integers(9)
            name = self.one(*columns)
            if spoil == 0:
                return self.wrong()
            if spoil == 1:
                data = data.drop(columns=name)
            elif spoil == 2:
                data = data.iloc[: self.one(0, 1, 2)]
            elif spoil == 3:
                data[name] = [self.wrong()] + [None] * (n - 1)
            elif spoil == 4:
                data[name] = self.one(None, np.nan, 1.0, "a", np.inf, 1e200)
            elif spoil == 5:
                data = pd.concat([data, data[[name]]], axis=1)
            elif spoil == 6:
                data[name] = data[name].astype(object)
                data.loc[0, name] = self.one(None, "q", 1e300, -1, np.nan, True)
            elif spoil == 7:
                data[name] = pd.Categorical(data[name].astype(str))
            else:
                data["x"] = data["x"] * 1e-200 + self.one(0.0, 1e9)
        kind = self.rng.integers(6)
        try:
            if kind == 1:
                return pl.from_pandas(data)
            if kind == 2:
                return pa.Table.from_pandas(data, preserve_index=False)
            if kind == 3:
                return data.convert_dtypes()
            if kind == 4:
                return data.convert_dtypes(dtype_backend="pyarrow")
        except Exception:  # this library cannot hold such columns
            pass
        return data.sample(frac=1.0, random_state=1) if kind == 5 else data


FIXED = ["1", "x", "x + f", "0 + f", "f * x", "I(x**2)", "np.exp(x / 100)", "`odd name`", "a.b",
         "0", "C(h)", "truth", "center(x)", "poly(x, 2)", "whole", "x + x", "-1 + x", "x:f",
         "np.where(x > 0, x, 0)", "scale * x"]  # fmt: skip
RANDOM = ["(1 | g)", "(x | g)", "(x || g)", "(1 | g) + (1 | h)", "(1 | h/g)", "(1 | g:h)",
          "(0 + x | g)", "(f | g)", "(1 | day)", "(`odd name` | g)", "(a.b | g)"]  # fmt: skip
ODD = ["", "~", "y", "y ~ x", "y ~ . + (1 | g)", "y ~ x + (1 | ", "y ~ x + 1 | g", "~ x + (1 | g)",
       "y ~ x + (1 | g) + offset(x)", "y | x ~ 1 + (1 | g)", "y ~ nope + (1 | g)",
       "f ~ x + (1 | g)", "y ~ x + (1 | nope)", "y ~ x^2 + (1 | g)", "y ~ I(x^2) + (1 | g)",
       "y ~ (((x))) + (1 | g)",
       "y ~ x + (1 | g | h)", "y ~ x + (| g)", "y ~ x + (1 | g + h)", "y ~ x + () + (1 | g)",
       "y ~ 1/0 + (1 | g)", "y ~ x[ + (1 | g)", "y ~ `x + (1 | g)", "y ~ 'x' + (1 | g)",
       "y ~ np.log(x) + (1 | g)", "np.log(y) ~ x + (1 | g)", "y ~ x + (1|g)\n", "y ~ é + (1 | g)",
       "y ~ x ~ (1 | g)", "y ~ lambda: 3 + (1 | g)", "y ~ x.mean() + (1 | g)", "y ~ 3 + (1 | g)",
       "I(y) ~ x + (1 | g)", "y + x ~ 1 + (1 | g)", "y ~ x + (1 | 3)", "y ~ x - (1 | g)",
       "0 ~ x + (1 | g)", "y ~ x %in% f + (1 | g)", "y ~ {x} + (1 | g)", "y ~ bs(x, 3) + (1 | g)",
       "y ~ x + (1 | g) # c", "y ~ \x00", "y ~ x + (x ** 2 | g)", "y ~ g + (1 | g)"]  # fmt: skip


def fit_oracle(model, rows, tau2):
    """The criterion at the estimates is what dense algebra says it is."""
    terms = rows["terms"] if isinstance(rows["terms"], list | tuple) else [rows["terms"]]
    y, X = np.asarray(rows["y"], dtype=float), np.asarray(rows["X"], dtype=float)
    unit = np.abs(y).max()
    if not 1e-30 < unit < 1e30 or np.linalg.cond(np.column_stack([X, y / unit])) > 1e6:
        return  # plain sums of squares lose the digits that are asked for
    weights = None if rows["weights"] is None else np.asarray(rows["weights"], dtype=float)
    parts = [(k.codes, np.ones((k.n, 1)) if k.Z is None else k.Z, k.K) for k in terms]
    if any(np.linalg.cond(Z) > 1e6 for _, Z, _ in parts) or np.abs(model.T[0]).max() > 1e5:
        return
    if weights is not None and weights.max() / weights.min() > 1e6:
        return
    known = None if tau2 is None else float(tau2)
    right = dense.criterion(y, X, parts, list(model.T), model.method, weights, known)
    off = abs(model.criterion - right)
    assert off <= 1e-6 * (1 + abs(right)), ("criterion", model.criterion, right)


# --- what is called

CALLS = {}


def calls(name):
    """Register a function that draws arguments and makes a call of this name."""

    def register(function):
        CALLS[name] = function
        return function

    return register


@cache
def rows_of_fits():
    """Groups, X and a data frame: rows of the fits below."""
    rng = np.random.default_rng(7)
    g, h = np.repeat(np.arange(6), 6), np.tile(np.arange(4), 9)
    x = rng.normal(size=36)
    y = 1 + x + 2 * rng.normal(size=6)[g] + rng.normal(size=4)[h] + rng.normal(size=36)
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "h": h, "f": np.tile(list("ab"), 18)})
    return g, np.column_stack([np.ones(36), x]), data


@cache
def fits():
    """Fits of many kinds."""
    rng, (g, X, data) = np.random.default_rng(8), rows_of_fits()
    y, h, none = data["y"].to_numpy(), data["h"].to_numpy(), np.empty((36, 0))
    A = kinship.pedigree_relatedness({k: (None, None) if k < 2 else (0, 1) for k in range(6)})
    return [
        ml.fit(y, X, Term(g)),
        ml.fit(y, X, Term(g, X), "ML"),
        ml.fit(y, X, Term(g, X, correlated=False)),
        ml.fit(y, none, Term(g)),
        ml.fit(y, X, [Term(g), Term(h)], weights=rng.uniform(1, 2, 36)),
        ml.fit(y, X, Term(g, K=A)),
        ml.fit(y, X, Term(g), tau2=1.0),
        ml.fit(ml.Gram.from_arrays(y, X, Term(g))),
        ml.fit(rng.normal(size=36), X, Term(g, X)),  # on the boundary, most likely
        ml.lmer("y ~ x * f + (x | g)", data),
        ml.lmer("y ~ x + (1 | g) + (1 | h)", pl.from_pandas(data)),
    ]


@cache
def profiles():
    """Profiles of two fits."""
    return [fits()[0].profile(), fits()[3].profile()]


@cache
def integrals():
    """Posteriors, of estimated and of known noise."""
    return [ml.integrate(fits()[0]), ml.integrate(fits()[6])]


@calls("LinearMixedModel")
def _(rng):
    s = Known(rng)
    model = s.model()
    assert model.V.shape == (model.n, model.n) and model.L.shape == model.Sigma.shape
    assert np.allclose(
        model.L @ model.L.T,
        model.Sigma,
        rtol=1e-6,
        atol=1e-300 + 1e-9 * np.abs(model.Sigma).max(initial=0),
    )
    return s


for _route in ("gls_blup", "ridge", "henderson", "posterior"):

    @calls(_route)
    def _(rng, route=_route):
        s = Known(rng)
        model, y = s.either(s.model()), s.response()
        last = (s.either(ml.flat(s.p)),) if route == "posterior" else ()
        effects = getattr(ml, route)(model, y, *last)
        if route != "posterior" or not last[0].precision.any():
            known_oracle(model, y, effects)
        return s


@calls("LinearMixedModel.simulate")
def _(rng):
    s = Known(rng)
    model = s.model()
    y, beta = model.simulate(s.array(rng.normal(size=model.p)), s.generator())
    assert y.shape == (model.n,) and beta.shape == (model.J,) and np.isfinite(y).all()
    return s


@calls("LinearMixedModel.response")
def _(rng):
    s = Known(rng)
    model = s.model()
    assert model.response(s.response()).shape == (model.n,)
    return s


@calls("posterior with a prior")
def _(rng):
    s = Known(rng)
    model = s.model()
    prior = ml.gaussian(s.array(rng.normal(size=model.p)), s.array(s.covariance(model.p)))
    effects = ml.posterior(model, s.response(), s.either(prior * ml.flat(model.p)))
    assert (np.diag(effects.cov) >= 0).all() and np.isfinite(effects.fixed).all()
    return s


@calls("gaussian")
def _(rng):
    s = Draw(rng)
    k = rng.integers(0, 4)
    factor = ml.gaussian(s.array(rng.normal(size=k)), s.array(s.covariance(k)))
    assert factor.precision.shape == (len(factor.shift),) * 2
    return s


@calls("GaussianFactor")
def _(rng):
    s = Draw(rng)
    k = rng.integers(0, 4)
    factor = ml.GaussianFactor(s.array(s.covariance(k)), s.array(rng.normal(size=k)))
    product = factor * s.either(ml.flat(k))
    assert np.array_equal(product.precision, factor.precision)
    return s


@calls("flat")
def _(rng):
    s = Draw(rng)
    assert not ml.flat(s.either(int(rng.integers(0, 5)))).precision.any()
    return s


@calls("HierarchicalModel")
def _(rng):
    s = Known(rng)
    D = (s.codes[:, None] == np.arange(s.J)).astype(float)
    U = rng.normal(size=(s.J, s.p))
    tau2 = s.either(1.0)
    model = ml.HierarchicalModel(s.array(U), s.array(D), s.array(np.eye(s.J)), tau2)
    assert np.allclose(model.to_mixed().X, model.D @ model.U)
    return s


@calls("centred")
def _(rng):
    s = Known(rng)
    model = ml.centred(s.either(s.model()))
    assert model.U.shape[0] == model.D.shape[1]
    return s


@calls("Effects")
def _(rng):
    s = Draw(rng)
    p, J = rng.integers(0, 3, 2)
    effects = ml.Effects(
        s.array(rng.normal(size=p)), s.array(rng.normal(size=J)), s.array(np.eye(p + J))
    )
    assert effects.fixed_cov.shape == (len(effects.fixed),) * 2 and effects.random_cov.ndim == 2
    return s


@calls("log_joint")
def _(rng):
    s = Known(rng)
    model = s.model()
    alpha, beta = s.array(rng.normal(size=model.p)), s.array(rng.normal(size=model.J))
    assert not np.isnan(ml.log_joint(s.either(model), s.response(), alpha, beta))
    return s


@calls("mixed_model_equations")
def _(rng):
    s = Known(rng)
    assert np.isfinite(ml.mixed_model_equations(s.either(s.model()))).all()
    return s


@calls("EQUIVALENCES.gap")
def _(rng):
    s = Known(rng)
    theorem, model = s.one(*ml.EQUIVALENCES), s.model()
    gap = theorem.gap(s.either(model), s.response())
    assert gap >= 0 or np.isnan(gap)
    return s


@calls("EQUIVALENCES.in_scope")
def _(rng):
    s = Known(rng)
    assert s.one(*ml.EQUIVALENCES).in_scope(s.model()) in (True, False)
    return s


@calls("indicator")
def _(rng):
    s = Draw(rng)
    codes = rng.integers(0, 4, rng.integers(0, 9))
    levels = s.either(None)
    D = ml.indicator(s.labels(codes), levels)
    assert (D.sum(axis=1) == 1).all()
    if levels is None and len(D) == len(codes):
        assert np.array_equal(
            D.argmax(axis=1)[:, None] == D.argmax(axis=1), codes[:, None] == codes
        ) or D.shape[1] != len(set(codes))
    return s


@calls("Term")
def _(rng):
    s = Data(rng)
    term = s.term()
    assert term.n == len(term.codes) and term.codes.max(initial=-1) < len(term.levels)
    return s


@calls("Gram.from_arrays")
def _(rng):
    s = Data(rng)
    rows = s.rows()
    gram = ml.Gram.from_arrays(**rows)
    V = np.column_stack([np.asarray(rows[k], dtype=float) for k in ("X", "y")])
    w = np.ones(gram.n) if rows["weights"] is None else np.asarray(rows["weights"], dtype=float)
    right = V.T @ (w[:, None] * V)
    size = np.outer(np.sqrt(np.diag(right)), np.sqrt(np.diag(right)))
    plain = np.isfinite(right).all() and size.min(initial=1) > 1e-200
    if plain and np.linalg.cond(right / size) < 1e6:
        assert (np.abs(gram.H.T @ gram.C @ gram.H - right) <= 1e-9 * size + 1e-200).all()
    return s


@calls("Gram +")
def _(rng):
    s = Data(rng)
    chunks = _chunks(s)
    a, b = (ml.Gram.from_arrays(**{k: v for k, v in c.items() if k != "else"}) for c in chunks)
    both = a + s.either(b)
    assert both.n == a.n + b.n and sum([a, b]).n == both.n
    return s


def _chunks(s):
    """Two chunks of rows, with something wrong in one of them or not."""
    cut, out = int(s.rng.integers(1, s.n)), []
    for part in (slice(0, cut), slice(cut, s.n)):
        chunk = {"y": s.y[part], "X": s.X[part], "terms": Term(s.codes[part])}
        if s.slip():
            chunk[s.one("y", "X", "terms", "weights", "names", "else")] = s.wrong()
        out.append(chunk)
    return out


@calls("gather")
def _(rng):
    s = Data(rng)
    chunks = _chunks(s)
    given = s.either(s.one(chunks, iter(chunks), tuple(chunks)))
    try:
        gram = ml.gather(given, s.either(False))
    except NothingToDo:  # what a generator raises is its own affair
        return s
    if s.right and s.n > s.X.shape[1] + s.J:
        model, whole = ml.fit(gram), ml.fit(s.y, s.X, Term(s.codes))
        off = abs(model.criterion - whole.criterion)
        assert off <= 1e-7 * (1 + abs(whole.criterion)), ("gathered", model, whole)
    return s


@calls("gather_partitions")
def _(rng):
    s = Data(rng)
    chunks = _chunks(s)

    def same(chunk):
        return chunk

    to_gram = s.either(same)
    try:
        ml.gather_partitions(s.either(chunks), to_gram, s.either(2))
    except NothingToDo:  # what a generator raises is its own affair
        pass
    except TypeError:  # and so is what somebody's function of a partition raises, such as int
        if to_gram is same:
            raise
    return s


@calls("fit")
def _(rng):
    s = Data(rng)
    rows, tau2 = s.rows(), s.either(s.one(None, None, 1.0))
    method = s.either(s.one("REML", "ML"))
    model = ml.fit(method=method, tau2=tau2, **rows)
    fit_oracle(model, rows, tau2)
    assert model.certificate.ok
    for values in (*model.random, *model.cond_var, *model.random_cov, model.fixed):
        assert np.isfinite(values).all()
    return s


@calls("fit(gram)")
def _(rng):
    s = Data(rng)
    gram = ml.Gram.from_arrays(s.y, s.X, Term(s.codes))
    method, tau2 = s.either(s.one("REML", "ML")), s.either(s.one(None, 1.0))
    model = ml.fit(s.either(gram), s.either(None), s.either(None), method, tau2=tau2)
    fit_oracle(model, {"y": s.y, "X": s.X, "terms": Term(s.codes), "weights": None}, tau2)
    return s


@calls("lmer")
def _(rng):
    s = Data(rng)
    scale = 2.0  # noqa: F841  (the formula sees it)
    formula = f"y ~ {s.one(*FIXED)} + {s.one(*RANDOM)}"
    if s.slip(0.5):
        formula = s.one(*ODD, s.wrong())
    data = s.frame()
    K = pd.DataFrame(np.eye(s.J) + 0.5, *[[f"s{k}" for k in range(s.J)]] * 2)
    options = {
        "method": s.either(s.one("REML", "ML")),
        "weights": s.either(s.one(None, None, "w")),
        "relatedness": s.either(s.one(None, None, {"g": K})),
        "tau2": s.either(s.one(None, None, None, 1.0)),
        "aliased": s.either(s.one("refuse", "drop")),
    }
    model = ml.lmer(formula, data, **options)
    for told in (repr(model), model.summary(), model._repr_html_()):
        assert told
    if isinstance(formula, str) and s.watched == []:
        again = model.predict(s.either(data), new_groups=s.either("population"))
        assert again.mean.ndim == 1 and (again.var_mean[~np.isnan(again.mean)] >= 0).all()
    return s


@calls("lmer against fit")
def _(rng):
    s = Data(rng)
    s.slips = 0
    data = s.frame()
    if s.one(True, False):
        model = ml.lmer("y ~ x + (1 | g)", data, weights="w")
        names = ["x", "g", "w", "y"]
    else:
        model = ml.lmer("y ~ x + (x | g)", data)
        names = ["x", "g", "y"]
    table = data.to_pandas() if isinstance(data, pa.Table) else data
    plain = {name: np.asarray(table[name].to_numpy()) for name in names}
    X = np.column_stack([np.ones(s.n), plain["x"].astype(float)])
    groups = [str(label) for label in plain["g"]]
    w = plain["w"].astype(float) if "w" in names else None
    other = ml.fit(
        plain["y"].astype(float), X, Term(groups, None if "w" in names else X), weights=w
    )
    assert abs(model.criterion - other.criterion) < 1e-7 * (1 + abs(other.criterion))
    new = model.predict(data)
    assert np.allclose(new.mean, other.predict(X, Term(groups, None if w is not None else X)).mean)
    return s


# --- methods of results


@calls("Fit.predict")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    how = s.either(s.one("error", "population"))
    if model.design is not None:
        data = rows_of_fits()[2].sample(7, replace=True, random_state=int(rng.integers(99)))
        if s.slip():
            data = data.assign(**{s.one("x", "f", "g", "h"): s.one(np.nan, "q", 1e200, None)})
        if s.slip():
            data = data.drop(columns=s.one("x", "f", "g", "h", "y"))
        found = model.predict(s.either(data), new_groups=how)
    else:
        m = int(rng.integers(0, 8))
        labels, columns, _ = rows_of_fits()
        X, g = columns[:m, : len(model.fixed)], labels[:m]
        terms = [
            Term(g if t == 0 else g % 4, None if k.constant else columns[:m, : k.q])
            for t, k in enumerate(model.gram.blocks)
        ]
        terms = s.either(s.one(terms, None))
        found = model.predict(s.array(X), terms, how)
        if terms is not None and isinstance(terms, list) and s.slips == 0 and len(found.mean) == m:
            Z = [np.ones((m, 1)) if k.Z is None else k.Z for k in terms]
            pairs = zip(Z, model.random, (g, g % 4), strict=False)
            assert len(found.mean) == m and all(z.shape[1] == b.shape[1] for z, b, _ in pairs)
    kept = ~np.isnan(found.mean)
    assert (found.var_mean[kept] >= 0).all()
    return s


@calls("Fit.simulate")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    assert model.simulate(s.generator()).shape == (model.n,)
    return s


@calls("Fit.rows_table")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    table = model.rows_table()
    assert np.allclose(table["fitted"], model.fitted) and len(model.residuals) == model.n
    return s


@calls("Fit.interval")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    low, high = model.interval(s.level()).T
    assert (low <= model.fixed).all() and (model.fixed <= high).all()
    return s


@calls("Fit.bootstrap")
def _(rng):
    s = Draw(rng)
    drawn = s.one(*fits()).bootstrap(s.either(2), s.generator(), s.either(False))
    assert np.isfinite(drawn.fixed).all()
    return s


@calls("Fit.satterthwaite")
def _(rng):
    s = Draw(rng)
    found = s.one(*fits()).satterthwaite()
    assert (found.df > 0).all() and found.interval(s.level()).shape == (len(found.df), 2)
    return s


@calls("Fit.profile")
def _(rng):
    s = Draw(rng)
    found = fits()[rng.integers(4)].profile(s.either(False))
    table = found.table(s.level())
    assert (table["lower"] <= table["upper"]).all()
    return s


@calls("Fit.table")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    assert len(model.table(s.level(), s.either(s.one(None, True, False)))) == len(model.fixed)
    return s


@calls("Fit.contrast")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    p = len(model.fixed)
    names = list(model.names) or ["x"]
    L = s.one(
        s.array(rng.normal(size=(int(rng.integers(1, 4)), p))),
        s.either(s.one(f"2 * {names[-1]} - 1", f"{names[0]} / 3 = 2 * {names[-1]}", "(", "1 +")),
        s.either({names[0]: s.either(2), names[-1]: s.either(-1.5)}),
        s.either({"a": s.either(names[0]), "b": s.either([1.0] * p)}),
    )
    method = s.one("satterthwaite", "satterthwaite", "kenward-roger", "knapp-hartung")
    found = model.contrast(L, s.either(None), s.either(method))
    assert (found.df > 0).all() and ((found.p >= 0) & (found.p <= 1)).all() and found.F >= 0
    return s


METHOD = "kenward-roger"


@calls("Fit.refit")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    again = model.refit(s.array(rng.normal(size=36)))
    assert again.n == 36 and again.method == model.method and again.icc >= 0
    return s


@calls("Fit.update")
def _(rng):
    s = Draw(rng)
    again = s.one(*fits()).update(s.either(s.one("REML", "ML")))
    assert again.update(method=again.method).criterion == again.criterion
    return s


@calls("Fit.anova")
def _(rng):
    s = Draw(rng)
    table = s.one(*fits(), *fits()[-2:] * 4).anova(s.either(METHOD))
    assert len(table) in (1, 3) and ((table["p"] >= 0) & (table["p"] <= 1)).all()
    return s


@calls("Fit.means")
def _(rng):
    s = Draw(rng)
    found = s.one(fits()[0], *[fits()[9]] * 5).means(
        s.either("f"), s.either(None), s.either(METHOD)
    )
    assert found.levels[0].tolist() == ["a", "b"] and (found.df > 0).all()
    return s


for _what in ("interval", "table"):

    @calls(f"Means.{_what}")
    def _(rng, what=_what):
        s = Draw(rng)
        assert len(getattr(fits()[9].means("f"), what)(s.level())) == 2
        return s


@calls("Means.contrast")
def _(rng):
    s = Draw(rng)
    L = s.either(s.one("pairs", "b - a", {"a": 1}, np.eye(2)))
    assert (fits()[9].means("f").contrast(L, s.either(None)).df > 0).all()
    return s


for _what in ("interval", "table"):

    @calls(f"Contrast.{_what}")
    def _(rng, what=_what):
        s = Draw(rng)
        found = fits()[9].contrast(np.eye(len(fits()[9].fixed))[: rng.integers(1, 4)])
        assert len(getattr(found, what)(s.level())) == len(found.estimate)
        return s


@calls("Fit.random_table")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    assert len(model.random_table(s.either(s.one(0, *model.term_names)))) > 0
    return s


@calls("Fit.summary")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    assert (
        "\n" not in repr(model)
        and model.summary(s.either(None)) == str(model)
        and model._repr_html_()
    )
    return s


@calls("Fit.*")
def _(rng):
    s = Draw(rng)
    model = s.one(*fits())
    for name in dir(type(model)):
        if not name.startswith("_"):
            getattr(model, name)
    return s


@calls("Bootstrap.interval")
def _(rng):
    s = Draw(rng)
    drawn = s.one(*fits()[:4]).bootstrap(3, np.random.default_rng(1))
    assert drawn.interval(s.level()).shape[1] == 2
    return s


@calls("Profile.interval")
def _(rng):
    s = Draw(rng)
    profile = s.one(*profiles())
    assert profile.interval(s.level()).shape == (len(profile.names), 2)
    return s


@calls("Profile.table")
def _(rng):
    s = Draw(rng)
    assert len(s.one(*profiles()).table(s.level()))
    return s


@calls("Curve.interval")
def _(rng):
    s = Draw(rng)
    low, high = s.one(*s.one(*profiles()).curves).interval(s.level())
    assert low <= high
    return s


@calls("Satterthwaite.interval")
def _(rng):
    s = Draw(rng)
    assert s.one(*fits()).satterthwaite().interval(s.level()).shape[1] == 2
    return s


@calls("compare")
def _(rng):
    s = Draw(rng)
    some = [s.either(s.one(*fits())) for _ in range(s.one(2, 2, 3, 4))]
    found = ml.compare(*some)
    if len(some) > 2:
        assert len(found) == len(some) and not (found["p"] < 0).any()
    else:
        assert 0 <= found.p_value <= 1
    return s


def _prior(s, model):
    sd = s.one(
        None,
        priors.half_normal(s.either(2.0)),
        priors.half_cauchy(s.either(2.0)),
        priors.half_t(s.either(3.0), s.either(2.0)),
        priors.exponential(s.either(2.0)),
        priors.flat(),
        priors.flat_variance(),
        priors.flat_log(),
    )
    if sd is None or s.rng.random() < 0.3:
        return s.either(sd)
    noise = s.either(s.one(priors.flat(), priors.flat_log(), priors.half_normal(3)))
    p = len(model.fixed)
    fixed = s.either(s.one(None, ml.flat(p), ml.gaussian(np.zeros(p), 9 * np.eye(p))))
    many = s.either(s.one(sd, [sd] * len(model.T), [[sd] * T.shape[0] for T in model.T]))
    of_rows = s.either(s.one(priors.lkj(1), priors.lkj(s.either(2.0))))
    return s.either(Prior(sd=many, noise=noise, fixed=fixed, correlation=of_rows))


@calls("sample")
def _(rng):
    s = Draw(rng)
    model = fits()[s.one(0, 0, 3, 5, 6, 7)]
    drawn = ml.sample(s.either(model), s.either(4), s.generator(), _prior(s, model))
    assert all(np.isfinite(part).all() for part in (drawn.fixed, *drawn.random, drawn.tau2))
    assert drawn.sds and repr(drawn)
    return s


@calls("integrate")
def _(rng):
    s = Draw(rng)
    model = fits()[s.one(0, 0, 3, 6, 7)]
    found = ml.integrate(s.either(model), _prior(s, model))
    median = found.quantile(s.either(s.one(0.5, 0.1))).sds
    assert np.isfinite(found.log_marginal) and all(np.isfinite(m).all() for m in median)
    return s


@calls("Integral.quantile")
def _(rng):
    s = Draw(rng)
    found = s.one(*integrals()).quantile(s.either(s.one(0.5, 0.05, 0.99)))
    assert np.isfinite(found.fixed).all()
    return s


@calls("Integral.mean, .sd")
def _(rng):
    s = Draw(rng)
    found = s.one(*integrals())
    assert found.mean.fixed.shape == found.sd.fixed.shape
    return s


@calls("Integral.table")
def _(rng):
    s = Draw(rng)
    return _table(s, s.one(*integrals()))


@calls("Draws.table")
def _(rng):
    s = Draw(rng)
    return _table(s, _drawn(s))


def _table(s, found):
    table = found.table(s.either(s.one(0.95, 0.5)))
    assert (table["lower"] <= table["upper"]).all() and np.isfinite(table["mean"]).all()
    return s


def _drawn(s):
    return ml.sample(fits()[s.one(0, 3)], s.one(4, 40), np.random.default_rng(1))


@calls("Draws.predict")
def _(rng):
    s = Draw(rng)
    drawn = _drawn(s)
    m = int(rng.integers(0, 8))
    labels, columns, _ = rows_of_fits()
    X, g, terms = columns[:m, : len(drawn.model.fixed)], labels[:m], []
    for t, block in enumerate(drawn.model.gram.blocks):
        Z = None if block.constant else columns[:m, : block.q]
        terms.append(Term((g if t == 0 else g % 4) + s.one(0, 100), Z))
    how, noise = s.either(s.one("error", "population")), s.either(s.one(False, True))
    generator = s.either(s.one(None, np.random.default_rng(2)))
    found = drawn.predict(s.array(X), s.either(s.one(terms, None)), how, noise, generator)
    assert found.shape[0] == len(drawn.tau2) and np.isfinite(found).all()
    return s


@calls("Draws.to_arviz")
def _(rng):
    s = Draw(rng)
    drawn = ml.sample(fits()[s.one(0, 3)], s.one(4, 8, 40), np.random.default_rng(1))
    assert drawn.to_arviz(s.either(s.one(False, True))) is not None
    return s


@calls("Draws.log_likelihood")
def _(rng):
    s = Draw(rng)
    drawn = ml.sample(s.one(*fits()), 8, rng)
    assert np.isfinite(drawn.log_likelihood).all()
    return s


@calls("Prior")
def _(rng):
    s = Draw(rng)
    prior = _prior(s, s.one(*fits()))
    if isinstance(prior, Prior):
        prior.on_sds([1] * s.one(1, 2)), prior.on_fixed(2)
    return s


for _name, _arguments in {
    "flat": 0, "flat_variance": 0, "flat_log": 0,
    "half_normal": 1, "half_cauchy": 1, "exponential": 1, "half_t": 2,
}.items():  # fmt: skip

    @calls(f"priors.{_name}")
    def _(rng, name=_name, count=_arguments):
        s = Draw(rng)
        prior = getattr(priors, name)(
            *[s.either(s.one(1, 2.5, np.float32(3))) for _ in range(count)]
        )
        density = prior.log_density(np.array([0.5, 1.0, 2.0]))
        assert density.shape == (3,) and not np.isnan(density).any() and repr(prior)
        return s


@calls("priors.lkj")
def _(rng):
    s = Draw(rng)
    prior = priors.lkj(s.either(s.one(1, 2.5, np.float32(3))))
    assert np.isfinite(prior.log_constant(s.one(2, 3))) and repr(prior)
    return s


@calls("pedigree_relatedness")
def _(rng):
    s = Draw(rng)
    k = int(rng.integers(0, 8))
    parents = {}
    for j in range(k):
        known = [None, 0, "NA", *range(j)]
        parents[f"a{j}"] = tuple(
            f"a{i}" if isinstance(i, int) and i else None for i in (s.one(*known), s.one(*known))
        )
    if k and s.slip():
        parents[s.one(*parents)] = s.wrong()
    frame = pd.DataFrame(
        [
            (name, *pair)
            for name, pair in parents.items()
            if isinstance(pair, tuple) and len(pair) == 2
        ],
        columns=["id", "dam", "sire"],
    )
    given = s.either(
        s.one(parents, parents, frame, pl.from_pandas(frame.astype(object)) if k else frame)
    )
    A = ml.pedigree_relatedness(given)
    if len(A):
        values = np.linalg.eigvalsh(np.asarray(A))
        assert np.array_equal(A, A.T) and values[0] > -1e-9 and (np.diag(A) >= 1).all()
    return s


@calls("Relatedness")
def _(rng):
    s = Draw(rng)
    k = int(rng.integers(0, 5))
    A = kinship.Relatedness(s.array(s.covariance(k)), s.labels(np.arange(k)))
    assert (A * 2).shape == np.asarray(A).shape == A.shape and len(repr(A).splitlines()) == 1
    A.among(A.levels[: len(A) // 2])
    return s


@calls("datasets.load")
def _(rng):
    s = Draw(rng)
    assert len(datasets.load(s.either(s.one(*datasets.reference.SOURCES))))
    return s


@calls("datasets.record")
def _(rng):
    s = Draw(rng)
    assert datasets.record(s.either(s.one(*datasets.records.RECORDS)))
    return s


@calls("datasets.four_groups")
def _(rng):
    s = Draw(rng)
    n = s.either(3)
    drawn = datasets.four_groups(s.generator(), n)
    assert len(drawn.y) == 4 * n
    return s


@calls("datasets.mice")
def _(rng):
    s = Draw(rng)
    assert len(datasets.mice().y) == 26
    return s


@calls("exercises.check")
def _(rng):
    s = Draw(rng)
    ids = ["groups-1", "gram-1", "ridge-2", "bayes-1", "nope-1"]
    assert exercises.check(s.either(s.one(*ids)), s.one(s.wrong(), s.array(np.eye(2)))).message
    return s


@calls("exercises.progress")
def _(rng):
    s = Draw(rng)
    assert repr(exercises.progress(s.either(s.one(None, "ridge"))))
    return s


def _axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


@calls("plot.four_digits")
def _(rng):
    from mixhier_lite import plot

    s = Draw(rng)
    values = rng.normal(size=(3, 2))
    assert plot.four_digits(s.array(values)).ndim >= 0
    return s


@calls("plot.draw_groups")
def _(rng):
    from mixhier_lite import plot

    s = Draw(rng)
    x, y, g = rng.normal(size=8), rng.normal(size=8), rng.integers(0, 4, 8)
    plot.draw_groups(s.array(x), s.array(y), s.either(g), s.either(_axes()), s.either(True))
    return s


@calls("plot.draw_matrix")
def _(rng):
    from mixhier_lite import plot

    s = Draw(rng)
    plot.draw_matrix(s.array(np.eye(3)), s.either(_axes()), s.either("title"))
    return s


def _studies(model, rng):
    """A meta-analysis of six studies, or now and then what was given in its place."""
    from mixhier_lite import Term, fit

    if rng.random() < 0.3:
        return model
    return fit(rng.normal(size=6), np.ones((6, 1)), Term(np.arange(6)), tau2=1.0)


@calls("plot: pictures of a fit")
def _(rng):
    from matplotlib import pyplot as plt

    from mixhier_lite import plot

    s = Draw(rng)
    model, t = s.either(s.one(*fits())), s.either(s.one(0, 0, 1, "term 1"))
    axes = s.either(_axes())
    of = s.one(lambda: ml.sample(model, 20, rng), lambda: ml.integrate(model), lambda: model)
    picture = s.one(
        lambda: plot.caterpillar(model, t, s.either(0), s.either(0.9), axes),
        lambda: plot.residuals(model, axes),
        lambda: plot.qq(model, s.one(None, t), s.either(0), axes),
        lambda: plot.shrinkage(model, t, axes),
        lambda: plot.posterior_sds(of(), s.one(None, t), s.either(0.9), axes),
        lambda: plot.forest(_studies(model, rng), s.either(0.9), s.either("knapp-hartung"), axes),
    )
    try:
        assert picture().get_xlabel() is not None
    finally:
        plt.close("all")
    return s


@calls("plot.draw_intervals")
def _(rng):
    from mixhier_lite import plot

    s = Draw(rng)
    centre, half = rng.normal(size=4), rng.random(4)
    axes = s.either(_axes())
    plot.draw_intervals(s.array(centre), s.array(half), axes, s.either(plot.FIXED), s.either(0.1))
    return s


# --- running


class TooLong(Exception):
    """A call that does not come back."""


def _late(*_):
    raise TooLong(f"more than {SECONDS} seconds")


def once(name, seed):
    """Make one call: "answer", "refused", or what went wrong."""
    rng = np.random.default_rng(seed)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()) as told:
            warnings.simplefilter("error")
            s = CALLS[name](rng)
        assert s.untouched(), "an input was changed"
        assert not told.getvalue(), "something was printed"
    except InputError as refusal:
        parts = (refusal.wrong, refusal.expected, refusal.got, refusal.remedy)
        return "refused" if all(parts) and len(str(refusal)) < 4000 else f"odd words: {refusal}"
    except Exception as problem:
        here = traceback.extract_tb(problem.__traceback__)[-1]
        text = str(problem).splitlines()[0][:160] if str(problem) else ""
        return (
            f"{type(problem).__name__} at {here.filename.rsplit('/', 1)[-1]}:{here.lineno}: {text}"
        )
    return "answer"


def run(count, seed=0, only="", without=()):
    """Make calls in turn; return counts by name, and what went wrong with the seed of each."""
    names = [name for name in CALLS if only in name and name not in without]
    tally, wrong = {name: Counter() for name in names}, {}
    alarm = hasattr(signal, "setitimer")
    for k in range(count):
        name = names[k % len(names)]
        if alarm:
            signal.signal(signal.SIGVTALRM, _late)
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        found = once(name, [seed, k])
        if alarm:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        tally[name][found if found in ("answer", "refused") else "wrong"] += 1
        if found not in ("answer", "refused"):
            wrong.setdefault((name, found), []).append([seed, k])
    return tally, wrong


def main(count=20000, seed=0, only=""):
    """Print the counts by name, and everything that went wrong."""
    tally, wrong = run(int(count), int(seed), only)
    print(f"{'called':28} {'calls':>6} {'answers':>8} {'refusals':>9} {'wrong':>6}")
    for name, counts in sorted(tally.items()):
        cells = counts["answer"], counts["refused"], counts["wrong"]
        print(f"{name:28} {sum(cells):6} {cells[0]:8} {cells[1]:9} {cells[2]:6}")
    for (name, found), seeds in wrong.items():
        print(f"{name}: {found} ({len(seeds)} times, first with {seeds[0]})")
    total = sum((counts for counts in tally.values()), Counter())
    print(f"{sum(total.values())} calls: {dict(total)}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
