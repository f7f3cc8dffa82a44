"""Data frames for the reader, of the library whose data frame was fitted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..inputs import Array
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Origin(Value):
    """The data frame that a fit comes from, as far as tables need to know it."""

    library: str = "pandas"
    """pandas (also after arrays), polars or pyarrow."""
    index: Any = field(default=None, repr=False)
    """The labels of its rows, in pandas."""
    kept: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    """The rows that were used, shape (n,); None where all were."""

    def table(self, labels: Mapping[str, Any], columns: Mapping[str, Any]) -> Any:
        """A data frame whose rows have labels: an index in pandas, first columns elsewhere.

        Labels that its library cannot hold, periods in polars for one, stand there as texts.
        """
        try:
            return self._table(labels, columns)
        except Exception:
            return self._table({name: _texts(values) for name, values in labels.items()}, columns)

    def _table(self, labels: Mapping[str, Any], columns: Mapping[str, Any]) -> Any:
        if self.library == "polars":
            import polars

            return polars.DataFrame({k: _plain(v) for k, v in {**labels, **columns}.items()})
        if self.library == "pyarrow":
            import pyarrow

            return pyarrow.table({k: _plain(v) for k, v in {**labels, **columns}.items()})
        import pandas as pd

        if len(labels) == 1:
            ((name, values),) = labels.items()
            index = pd.Index(values, name=name)
        else:
            index = pd.MultiIndex.from_arrays(list(labels.values()), names=list(labels))
        return pd.DataFrame(dict(columns), index=index)

    def table_of_rows(self, columns: Mapping[str, Array]) -> Any:
        """A data frame with a row for each row of the data, missing where one was not used."""
        full = {name: self._spread(values) for name, values in columns.items()}
        if self.library == "polars":
            import polars

            return polars.DataFrame(full, nan_to_null=True)
        if self.library == "pyarrow":
            import pyarrow

            arrays = {k: pyarrow.array(v, from_pandas=True) for k, v in full.items()}
            return pyarrow.table(arrays)
        import pandas as pd

        return pd.DataFrame(full, index=self.index)

    def _spread(self, values: Array) -> Array:
        """Nan where a row was left out."""
        if self.kept is None:
            return values
        full = np.full(len(self.kept), np.nan)
        full[self.kept] = values
        return full


def _plain(values: Any) -> list[Any]:
    """Labels and numbers as Python's own, which every library reads."""
    return list(np.asarray(values).tolist()) if isinstance(values, np.ndarray) else list(values)


def _texts(values: Any) -> list[str]:
    """Labels as texts of Unicode, which half a surrogate pair is not."""
    return [str(value).encode("utf-8", "backslashreplace").decode() for value in _plain(values)]
