"""Values that people pass by mistake, and the many forms in which right ones come."""

import datetime
import decimal
import fractions

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from scipy.sparse import csr_matrix


class NothingToDo(RuntimeError):
    """What Loud raises."""


class Loud:
    """Nothing can be done with it: not even its length or its truth is told."""

    def _no(self, *_):
        raise NothingToDo

    __len__ = __iter__ = __bool__ = __float__ = __array__ = __eq__ = __getitem__ = _no
    __hash__ = None


WRONG = [
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: 3,
    lambda: -1,
    lambda: 10**400,
    lambda: 1.5,
    lambda: np.nan,
    lambda: -np.inf,
    lambda: 1e-320,
    lambda: 1e308,
    lambda: 1j,
    lambda: "x",
    lambda: "",
    lambda: b"x",
    lambda: [],
    lambda: (),
    lambda: {},
    lambda: {"x": 1},
    lambda: {1, 2},
    lambda: object(),
    lambda: Loud(),
    lambda: len,
    lambda: int,
    lambda: np,
    lambda: iter([1.0, 2.0]),
    lambda: range(5),
    lambda: [1.0, [2.0, 3.0]],
    lambda: [[1.0], [2.0, 3.0]],
    lambda: [None, 1.0],
    lambda: ["a", "b", "a"],
    lambda: [b"a", b"b"],
    lambda: [("a", 1), ("b", 2)],
    lambda: np.array(3.0),
    lambda: np.array([]),
    lambda: np.empty((0, 3)),
    lambda: np.empty((3, 0)),
    lambda: np.zeros((2, 2, 2)),
    lambda: np.eye(3),
    lambda: np.array(["a", "b"]),
    lambda: np.array([None, object()]),
    lambda: np.array([1 + 2j, 3.0]),
    lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    lambda: np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    lambda: np.array([1, 2], dtype="timedelta64[s]"),
    lambda: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    lambda: csr_matrix(np.eye(3)),
    lambda: pd.Series([1.0, None]),
    lambda: pd.Categorical(["a", "b", None]),
    lambda: pd.DataFrame({"a": [1.0, 2.0]}),
    lambda: pl.DataFrame({"a": [1.0, 2.0]}),
    lambda: pl.Series([1, 2]),
    lambda: pa.table({"a": [1.0, 2.0]}),
    lambda: pd.NA,
    lambda: pd.NaT,
    lambda: datetime.date(2020, 1, 1),
    lambda: decimal.Decimal("NaN"),
    lambda: fractions.Fraction(1, 3),
    lambda: np.random.default_rng(1),
    lambda: np.random.RandomState(1),
    lambda: ValueError("an error as a value"),
]
"""What stands in the place of an argument."""


def _set(value):
    def change(array, rng):
        if array.size:
            array.flat[rng.integers(array.size)] = value
        return array

    return change


def _same_column(array, rng):
    if array.ndim == 2 and array.shape[1] > 1:
        array[:, 0] = array[:, -1]
    return array


SPOILT = [
    _set(np.nan),
    _set(np.inf),
    _set(1e200),
    _set(-1e120),
    _set(1e-300),
    _set(0.0),
    _same_column,
    lambda array, rng: array[:-1],
    lambda array, rng: array[:0],
    lambda array, rng: array[:1],
    lambda array, rng: np.concatenate([array, array[:1]]),
    lambda array, rng: array[::-1],
    lambda array, rng: array.T,
    lambda array, rng: array[None],
    lambda array, rng: array.ravel(),
    lambda array, rng: array[:, None],
    lambda array, rng: np.zeros_like(array),
    lambda array, rng: -array,
    lambda array, rng: array + 1e9,
    lambda array, rng: array * 10.0 ** rng.integers(-160, 160),
    lambda array, rng: array * 1e-30,
    lambda array, rng: array + 1j,
    lambda array, rng: array.astype(str),
    lambda array, rng: array.astype(object) + decimal.Decimal(0) if not array.size else array,
    lambda array, rng: array > 0,
    lambda array, rng: np.round(array).astype(np.int8, casting="unsafe"),
    lambda array, rng: array.astype(np.float16),
    lambda array, rng: np.ma.masked_array(array, rng.random(array.shape) < 0.2),
]
"""What may happen to an array of numbers: the answer may be another, or a refusal."""

DRESSED = [
    lambda array: array,
    lambda array: array.tolist(),
    lambda array: np.asfortranarray(array),
    lambda array: np.repeat(array, 2, axis=0)[::2],
    lambda array: array[::-1].copy()[::-1],
    lambda array: array.astype(">f8"),
    lambda array: array.astype(np.longdouble),
    lambda array: array.astype(object),
    lambda array: np.ma.masked_array(array),
    lambda array: pd.DataFrame(array) if array.ndim == 2 else pd.Series(array, dtype=float),
    lambda array: pl.Series(array) if array.ndim == 1 else array,
]
"""Forms of one array: the answer must be the same in each."""


def read_only(array):
    """The array as it is, but nobody may write to it."""
    array = array.copy()
    array.setflags(write=False)
    return array
