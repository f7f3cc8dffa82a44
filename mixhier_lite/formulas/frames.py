"""Any data frame, read as plain columns: of pandas in every backend, of polars, of pyarrow.

A column becomes one of five kinds, whatever holds it: whole numbers, numbers, truth values,
strings (as Python's objects), or a category with its own order. Dates, durations and other
objects stay what they are, and serve as labels of groups.
"""

import decimal
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, refused
from ..fitted.tables import Origin
from ..labels import Codes, Labels, coded

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Factor:
    """A column of a data frame whose values are levels."""

    codes: Codes
    """Position of each row's level, shape (n,)."""
    levels: Labels
    """Those that have rows, sorted, or in the order of a category."""
    category: bool
    """Whether their order is the reader's."""


@dataclass(frozen=True, eq=False)
class Table:
    """Some columns of a data frame, of the rows that are complete."""

    plain: Any
    """A pandas.DataFrame of the columns that are values."""
    factors: dict[str, Factor]
    """The columns that are levels."""
    kept: Mask
    """The rows of the frame that have no missing value in these columns, shape (n,)."""


def column_names(data: Any) -> list[Any]:
    """The names of a data frame's columns; refused where it is none."""
    if isinstance(data, str):
        raise refused("text-for-a-data-frame", start=data[:40])
    if type(data).__name__ == "LazyFrame":  # which warns when it is asked for its columns
        raise refused("lazy-data-frame", kind=type(data).__name__)
    if not hasattr(data, "columns") or callable(data.columns):
        raise refused("not-a-data-frame", kind=type(data).__name__)
    if hasattr(data, "column_names"):  # of pyarrow, where columns are the columns themselves
        return list(data.column_names)
    return list(data.columns)


def read(
    data: Any,
    values: Iterable[str],
    factors: Iterable[str] = (),
    also_complete: Mask | None = None,
) -> Table:
    """Read some columns and leave out rows with a missing value in them.

    Parameters
    ----------
    data : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    values, factors : iterable of str
        Names of columns that are read as values, and as levels; one may be both.
    also_complete : array of bool, shape (n,), optional
        Rows that may be kept at all.

    Raises
    ------
    InputError
        No data frame, or a lazy one; a column that is not there, or there twice; complex numbers.
    """
    import pandas as pd

    names = column_names(data)
    values = list(dict.fromkeys(values))
    factors = list(factors)
    wanted = list(dict.fromkeys([*values, *factors]))
    for name in wanted:
        if (count := names.count(name)) != 1:
            raise unknown_column(name, names) if count == 0 else refused("column-twice", name=name)
    frame = _eager(data)
    columns = {name: _pandas(frame[name]) for name in wanted}
    kept = np.ones(len(frame), dtype=bool) if also_complete is None else also_complete.copy()
    for column in columns.values():
        kept &= ~np.asarray(pd.isna(column), dtype=bool)
    if not kept.all():
        rows = np.flatnonzero(kept)
        columns = {name: _pandas(frame[name][rows]) for name in wanted}
    plain = {name: _plain(name, columns[name]) for name in values}
    index = pd.RangeIndex(int(kept.sum()))
    return Table(
        pd.DataFrame(plain, index=index, copy=False),
        {name: _factor(name, columns[name]) for name in factors},
        kept,
    )


def unknown_column(
    name: str, names: Iterable[Any], remedy: str = "check the spelling"
) -> InputError:
    """The refusal of a column that is not there."""
    return refused("unknown-column", name=name, columns=[str(c) for c in names][:20], remedy=remedy)


def _library(data: Any) -> str:
    """Which library a data frame is of: pandas, polars or pyarrow."""
    return type(data).__module__.partition(".")[0]


def origin(data: Any, kept: Mask) -> Origin:
    """What tables need to know of a data frame and of the rows of it that were used."""
    library = _library(data)
    return Origin(
        library=library if library in ("polars", "pyarrow") else "pandas",
        index=data.index.copy() if library == "pandas" else None,
        kept=None if kept.all() else kept,
    )


def _eager(data: Any) -> Any:
    """The frame by one interface for all libraries."""
    try:
        import narwhals
    except ModuleNotFoundError:
        raise refused("formulaic-missing") from None
    if _library(data) == "pandas" and not data.columns.is_unique:
        data = data.loc[:, ~data.columns.duplicated()]  # doubles that nobody wants
    try:
        return narwhals.from_native(data, eager_only=True)
    except TypeError:
        lazy = _library(data) in ("dask", "polars", "duckdb", "ibis", "pyspark")
        raise refused(
            "lazy-data-frame" if lazy else "not-a-data-frame", kind=type(data).__name__
        ) from None


def _pandas(column: Any) -> Any:
    """One column as a pandas.Series, categories in their order.

    A category of polars has no order but that of its strings; an Enum has one of its own.
    """
    import narwhals

    if column.implementation.is_polars() and column.dtype == narwhals.Categorical:
        column = column.cast(narwhals.String)
    native = column.to_native()
    try:
        found = native if column.implementation.is_pyarrow() else column
        found = found.to_pandas().reset_index(drop=True)
    except Exception:  # pandas has no such columns: 128 bits of polars, bins of Arrow
        return _objects(column.to_list())
    if str(found.dtype).startswith("dictionary"):  # pandas would lose the order of the categories
        return found.array.__arrow_array__().to_pandas()
    return found


def _plain(name: str, column: Any) -> Any:
    """A column without missing values, as one of the plain kinds."""
    import pandas as pd
    from pandas.api import types

    dtype = column.dtype
    if not _is_known(dtype):
        return _plain_objects(name, column.array.__arrow_array__().to_pylist())
    if isinstance(dtype, pd.CategoricalDtype):
        codes, levels = _category(name, column)
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(levels), dtype.ordered))
    if types.is_bool_dtype(dtype):
        return column.astype(bool)
    if types.is_complex_dtype(dtype):
        raise refused("complex-column", name=name)
    if types.is_integer_dtype(dtype):  # with a sign, so that a difference may be negative
        large = types.is_unsigned_integer_dtype(dtype) and len(column) and column.max() >= 2**63
        return column.astype(np.uint64 if large else np.int64)
    if types.is_numeric_dtype(dtype):
        found = column.astype(np.float64)
        if getattr(dtype, "itemsize", 0) > 8 and found.nunique() < len(np.unique(column)):
            raise refused("closer-than-floats", name=name, kinds=str(dtype))
        return found
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return pd.Series(column.to_numpy())
    return _plain_objects(name, list(column))


def _plain_objects(name: str, values: list[Any]) -> Any:
    """A column of objects: numbers as numbers, everything else as it is."""
    import pandas as pd

    kinds = set(map(type, values))
    if any(issubclass(k, complex | np.complexfloating) for k in kinds):
        raise refused("complex-column", name=name)
    real = numbers.Real | decimal.Decimal | np.bool_
    if kinds and all(issubclass(k, real) for k in kinds):
        if all(issubclass(k, bool | np.bool_) for k in kinds):
            return pd.Series(values, dtype=bool)
        if not all(issubclass(k, numbers.Integral) for k in kinds):
            found = pd.Series(values, dtype=np.float64)
            if kinds != {float} and found.nunique() < len(set(values)):
                raise refused("closer-than-floats", name=name, kinds=sorted(map(_name, kinds)))
            return found
        if -(2**63) <= min(values) and max(values) < 2**63:
            return pd.Series(values, dtype=np.int64)  # longer ones are labels, of any length
    if any(issubclass(k, str) for k in kinds) and any(issubclass(k, real) for k in kinds):
        raise refused("mixed-column", name=name, kinds=sorted(map(_name, kinds)))
    return _objects(values)


def _objects(values: list[Any]) -> Any:
    """A column of objects as they are."""
    import pandas as pd

    found = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # one by one: numpy looks into none of them
        found[row] = value
    return pd.Series(found, dtype=object)


def _factor(name: str, column: Any) -> Factor:
    """A column without missing values as levels: what takes long is asked of each level once."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, levels = _category(name, column)
        return Factor(codes, labels_of(levels), True)
    if not _is_known(column.dtype) or column.dtype == np.longdouble:
        column = _plain(name, column)
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
    if column.dtype.kind in "iu" and isinstance(values, np.ndarray):
        found = coded(values)  # which need not be sorted
        return Factor(found.codes, found.levels, False)
    try:
        codes, distinct = pd.factorize(values)
    except (TypeError, NotImplementedError):  # lists, say, which are no labels
        codes = np.arange(len(values))
        distinct = values
    found = coded(labels_of(_plain(name, pd.Series(distinct, dtype=distinct.dtype))))
    return Factor(found.codes[codes], found.levels, False)


def _category(name: str, column: Any) -> tuple[Codes, Any]:
    """The codes of a category without missing values, and the levels that have rows."""
    import pandas as pd

    codes = column.cat.codes.to_numpy()
    used = np.bincount(codes, minlength=len(column.cat.categories)) > 0
    place = np.cumsum(used) - 1
    return place[codes], _plain(name, pd.Series(column.cat.categories[used]))


def labels_of(column: Any) -> Labels:
    """The labels of a plain column."""
    if hasattr(column, "cat"):
        column = column.astype(object)
    labels: Labels = np.array(column.to_numpy())
    return labels


def _name(kind: type) -> str:
    return kind.__name__


def _is_known(dtype: Any) -> bool:
    """Whether pandas can say what kind of values a column of Arrow's holds."""
    try:
        return bool(dtype.type)
    except NotImplementedError:
        return False
