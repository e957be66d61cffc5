"""Columns and their types, without Arrow: Prepare and the schema need no more."""

from __future__ import annotations

import dataclasses
import datetime
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Union

from . import _protocol as pb
from ._column_types import parse, struct
from ._errors import Fault

_PYTHON: dict[Any, str] = {
    str: "string",
    int: "int64",
    float: "float64",
    bool: "bool",
    bytes: "binary",
    datetime.date: "date",
    datetime.datetime: "timestamp",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A named, typed column of a dataset.

    Attributes:
        name: The column's name.
        type: ``string``, ``int64``, ``float64``, ``bool``, ``binary``, ``date``,
            ``timestamp``, ``list<T>``, or ``struct<name:T,…>``.
    """

    name: str
    type: str


# What declares columns: a dataclass, or names with types. A type is a column type,
# a Python type, or an Arrow type.
Columns = Union[type, Mapping[str, Any], Iterable[Column]]


def columns_of(declared: Columns) -> list[Column]:
    """Returns the columns that a declaration means."""
    if isinstance(declared, type) and dataclasses.is_dataclass(declared):
        return [Column(name, column_type(t)) for name, t in field_types(declared)]
    if isinstance(declared, Mapping):
        return [Column(name, column_type(t)) for name, t in declared.items()]
    if isinstance(declared, Iterable) and not isinstance(declared, (str, type)):
        return [Column(c.name, column_type(c.type)) for c in declared]
    raise Fault(f"{declared!r} does not declare columns: use a dataclass, or a dict of names and types")


def hints_of(of: Any) -> dict[str, Any]:
    """Returns the types of a class's fields or a function's parameters. A name that is not defined is a Fault."""
    try:
        return typing.get_type_hints(of, include_extras=True)
    except NameError as e:
        name = getattr(of, "__qualname__", of)
        raise Fault(
            f"a type of {name} cannot be found: {e}. Define and import what the SDK reads at the top of the file, not in a function or under TYPE_CHECKING"
        ) from None


def field_types(declared: type) -> list[tuple[str, Any]]:
    """Returns the names and types of a dataclass's fields, in order."""
    hints = hints_of(declared)
    return [(f.name, hints[f.name]) for f in dataclasses.fields(declared)]


def column_type(declared: Any) -> str:
    """Returns the column type of a Python type, an Arrow type, or a column type."""
    if isinstance(declared, str):
        return str(parse(declared))
    inner = optional(declared)
    if inner is not None:
        return column_type(inner)
    if declared in _PYTHON:
        return _PYTHON[declared]
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Annotated:
        return column_type(args[0])
    if origin is typing.Literal and all(isinstance(a, str) for a in args):
        return "string"
    if origin in (list, typing.Sequence) or getattr(origin, "__name__", "") == "Sequence":
        return f"list<{column_type(args[0])}>"
    if isinstance(declared, type) and dataclasses.is_dataclass(declared):
        return struct([(name, column_type(t)) for name, t in field_types(declared)])
    if type(declared).__module__.startswith("pyarrow"):
        from ._arrow_types import type_name

        return type_name(declared)
    raise Fault(
        f"{declared!r} is not the type of a column: use str, int, float, bool, bytes, date, datetime, a list of these, or a dataclass"
    )


def optional(declared: Any) -> Any:
    """Returns T for ``T | None``, else None."""
    if typing.get_origin(declared) in (Union, types.UnionType):
        rest = [a for a in typing.get_args(declared) if a is not type(None)]
        if len(rest) == 1 and len(typing.get_args(declared)) == 2:
            return rest[0]
    return None


def to_proto(columns: Iterable[Column]) -> list[pb.Column]:
    return [pb.Column(name=c.name, type=c.type) for c in columns]


def from_proto(columns: Iterable[pb.Column]) -> list[Column]:
    return [Column(c.name, c.type) for c in columns]
