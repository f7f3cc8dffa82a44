"""Answers as JSON, so that nothing that a worksheet holds is ever unpickled or run here."""

import base64
import math
from dataclasses import fields, is_dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from ...known.hierarchical import GaussianFactor, HierarchicalModel
from ...known.mixed import LinearMixedModel

MODELS = {kind.__name__: kind for kind in (LinearMixedModel, HierarchicalModel, GaussianFactor)}
"""Frozen values of the package that may be part of an answer."""
LARGEST = 500_000
"""Bytes of one message; an answer of this book is far smaller."""
MOST = 5_000
"""Values in one answer, and letters in one array of strings: they take the place of bytes once
they are read, and what is computed from n values may take n times n."""


class Opaque:
    """Stands for an answer of a type that no exercise asks for."""

    def __init__(self, name: str) -> None:
        self.__class__ = type(name, (Opaque,), {})


def pack(value: Any) -> Any:
    """Write a value with what JSON has."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if value is ...:
        return {"dots": True}
    if isinstance(value, (np.longdouble, Decimal)):
        return float(value)
    if isinstance(value, Real) and not isinstance(value, np.generic):  # a fraction, say
        return float(value)
    if isinstance(value, np.generic):
        return pack(value.item())
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return {"other": type(value).__name__}
    if isinstance(value, np.ndarray):
        return _pack_array(value)
    if isinstance(value, (list, tuple)):  # a subclass too: numpy's results have names
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(part)] for key, part in value.items()]}
    kind = type(value).__name__
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        index = None if _plain(value.index) else [list(map(str, value.index.names)),
                                                  *_columns(value.index.to_frame())]  # fmt: skip
        return {"frame": _columns(value), "names": list(map(str, value.columns)), "index": index}
    if hasattr(value, "to_numpy"):  # a series or an index
        return pack(value.to_numpy())
    if kind in MODELS and is_dataclass(value):
        parts = {f.name: pack(getattr(value, f.name)) for f in fields(value) if f.init}
        return {"model": kind, "parts": parts}
    if callable(value):
        return {"function": True}
    return _pack_sequence(value) or {"other": kind}


def _pack_sequence(value: Any) -> Any:
    """Write what numpy reads as an array, such as a matrix of another library."""
    try:
        found = np.asarray(value)
    except Exception:
        return None
    kinds = "biufcO" if found.ndim else "biufc"
    return _pack_array(found) if found.dtype.kind in kinds else None


def _plain(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex"


def _columns(frame: Any) -> list[Any]:
    return [pack(frame.iloc[:, k].to_numpy()) for k in range(frame.shape[1])]


def _pack_array(value: Any) -> Any:
    if value.dtype.kind in "biufc" and value.dtype.itemsize <= 16:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    entries = [pack(part) for part in value.ravel().tolist()]
    if value.dtype.kind in "mM":  # times, of which numpy makes whole numbers
        entries = [{"other": value.dtype.name}] * value.size
    return {"entries": entries, "shape": list(value.shape), "text": value.dtype.kind == "U"}


def received(parcel: Any, function: Any = None) -> Any:
    """Read back what a worksheet sent, or refuse what would take much more room than its bytes.

    Raises
    ------
    ValueError
        The value is larger than any answer, or its parts do not fit together.
    """
    if values_in(parcel) > MOST:
        raise ValueError(f"more than {MOST} values")
    return unpack(parcel, function)


def values_in(parcel: Any) -> int:
    """Count the values that a parcel unpacks to, before it is unpacked."""
    if isinstance(parcel, list):
        return sum(values_in(part) for part in parcel)
    if not isinstance(parcel, dict):
        return 1
    if "array" in parcel:
        return math.prod(max(int(size), 1) for size in parcel["shape"])
    if "entries" in parcel:
        entries = parcel["entries"]
        longest = max((len(part) for part in entries if isinstance(part, str)), default=1)
        return max(values_in(entries), len(entries) * longest * bool(parcel["text"]))
    if "frame" in parcel:
        columns = [*parcel["frame"], *(parcel["index"] or [[]])[1:]]
        if not all(isinstance(column, dict) and "shape" in column for column in columns):
            raise ValueError("a column that is no array")
        return sum(values_in(column) for column in columns)
    return 1 + sum(values_in(part) for part in parcel.values())


def unpack(parcel: Any, function: Any = None) -> Any:
    """Read a value back; ``function`` stands where a function stood."""
    if parcel is None or isinstance(parcel, (bool, int, float, str)):
        return parcel
    if "dots" in parcel:
        return ...
    if "array" in parcel or "entries" in parcel:
        return _unpack_array(parcel, function)
    for sequence in (list, tuple):
        if sequence.__name__ in parcel:
            return sequence(unpack(part, function) for part in parcel[sequence.__name__])
    if "dict" in parcel:
        return {unpack(key): unpack(part, function) for key, part in parcel["dict"]}
    if "frame" in parcel:
        return _unpack_frame(parcel)
    if "model" in parcel:
        parts = {str(key): unpack(part) for key, part in parcel["parts"].items()}
        return MODELS[parcel["model"]](**parts)
    return function if "function" in parcel else Opaque(str(parcel.get("other"))[:40])


def _unpack_array(parcel: Any, function: Any) -> Any:
    shape = [int(size) for size in parcel["shape"]]
    if "array" in parcel:
        dtype = np.dtype(parcel["dtype"])
        if dtype.kind not in "biufc":
            raise ValueError("no numbers")
        return np.frombuffer(base64.b64decode(parcel["array"]), dtype).reshape(shape).copy()
    entries = [unpack(part, function) for part in parcel["entries"]]
    found = np.empty(len(entries), dtype=object)
    found[:] = entries
    return (found.astype(str) if parcel["text"] else found).reshape(shape)


def _unpack_frame(parcel: Any) -> Any:
    import pandas as pd

    columns = [unpack(column) for column in parcel["frame"]]
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame.columns = pd.Index([str(name) for name in parcel["names"]])
    if parcel["index"] is not None:
        names, *levels = parcel["index"]
        arrays = [unpack(level) for level in levels]
        plain = [None if name == "None" else name for name in names]
        frame.index = (
            pd.Index(arrays[0], name=plain[0])
            if len(arrays) == 1
            else pd.MultiIndex.from_arrays(arrays, names=plain)
        )
    return frame
