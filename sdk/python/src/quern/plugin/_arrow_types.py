"""Column types in Arrow."""

from __future__ import annotations

import functools

import pyarrow as pa

from ._column_types import ColumnType, parse, struct
from ._errors import Fault

_SCALARS = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@functools.lru_cache(maxsize=1024)
def arrow_type(column_type: str) -> pa.DataType:
    """Returns the Arrow type of a column type."""
    return _arrow(parse(column_type))


def _arrow(t: ColumnType) -> pa.DataType:
    if t.items is not None:
        return pa.list_(_arrow(t.items))
    if t.fields is not None:
        return pa.struct([pa.field(name, _arrow(field)) for name, field in t.fields])
    return _SCALARS[t.name]


def type_name(t: pa.DataType) -> str:
    """Returns the column type that values of an Arrow type are converted to."""
    types = pa.types
    if types.is_dictionary(t):
        return type_name(t.value_type)
    if isinstance(t, pa.BaseExtensionType):
        return type_name(t.storage_type)
    for test, name in (
        (is_text, "string"),
        (types.is_integer, "int64"),
        (types.is_floating, "float64"),
        (types.is_boolean, "bool"),
        (is_bytes, "binary"),
        (types.is_date, "date"),
        (types.is_timestamp, "timestamp"),
    ):
        if test(t):
            return name
    if is_list(t):
        return f"list<{type_name(t.value_type)}>"
    if types.is_struct(t):
        return struct([(f.name, type_name(f.type)) for f in t])
    raise Fault(f"a column cannot have the Arrow type {t}: use string, int64, float64, bool, binary, date, timestamp, a list, or a struct")


def is_text(t: pa.DataType) -> bool:
    """Reports whether an Arrow type has texts."""
    return bool(pa.types.is_string(t) or pa.types.is_large_string(t) or _view(t, "string_view"))


def is_bytes(t: pa.DataType) -> bool:
    """Reports whether an Arrow type has bytes."""
    types = pa.types
    return bool(types.is_binary(t) or types.is_large_binary(t) or types.is_fixed_size_binary(t) or _view(t, "binary_view"))


def is_list(t: pa.DataType) -> bool:
    """Reports whether an Arrow type has lists."""
    types = pa.types
    return bool(types.is_list(t) or types.is_large_list(t) or types.is_fixed_size_list(t) or "list_view" in str(t).partition("<")[0])


def _view(t: pa.DataType, name: str) -> bool:
    return str(t) == name
