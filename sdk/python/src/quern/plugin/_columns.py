"""Columns and their types, without Arrow: Prepare and the schema need no more."""

from __future__ import annotations

import ast
import dataclasses
import datetime
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Union

from . import _protocol as pb
from ._errors import Fault

SCALARS = ("string", "int64", "float64", "bool", "binary", "date", "timestamp")

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
        from ._arrow import type_name

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


def struct(fields: list[tuple[str, str]]) -> str:
    """Returns the column type of a struct."""
    return "struct<" + ",".join(f"{_quoted(name)}:{t}" for name, t in fields) + ">"


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False)


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """A parsed column type: a scalar, a list of ``items``, or a struct of ``fields``."""

    name: str
    items: ColumnType | None = None
    fields: tuple[tuple[str, ColumnType], ...] | None = None

    def __str__(self) -> str:
        if self.items is not None:
            return f"list<{self.items}>"
        if self.fields is not None:
            return struct([(name, str(t)) for name, t in self.fields])
        return self.name


def parse(text: str) -> ColumnType:
    """Parses a column type. An invalid one is a Fault."""
    t, rest = _parse(text, text)
    if rest:
        raise Fault(f"column type {text!r}: {rest!r} is left over")
    return t


def _parse(rest: str, text: str) -> tuple[ColumnType, str]:
    word = re.match(r"[a-z0-9_]*", rest)
    name = word.group() if word else ""
    rest = rest[len(name) :]
    if name in SCALARS:
        return ColumnType(name), rest
    if name == "list" and rest.startswith("<"):
        items, rest = _parse(rest[1:], text)
        return ColumnType("list", items=items), _after(rest, ">", text)
    if name == "struct" and rest.startswith("<"):
        fields: list[tuple[str, ColumnType]] = []
        rest = rest[1:]
        while not rest.startswith(">"):
            if fields:
                rest = _after(rest, ",", text)
            field, rest = _field_name(rest, text)
            t, rest = _parse(_after(rest, ":", text), text)
            fields.append((field, t))
        return ColumnType("struct", fields=tuple(fields)), rest[1:]
    raise Fault(f"unknown column type {text!r}: use {', '.join(SCALARS)}, list<T>, or struct<name:T,...>")


def _field_name(rest: str, text: str) -> tuple[str, str]:
    # Go and Python have the same escapes.
    quoted = re.match(r'"(?:[^"\\]|\\.)*"', rest)
    if quoted is not None:
        return ast.literal_eval(quoted.group()), rest[quoted.end() :]
    word = re.match(r"[A-Za-z0-9_-]+", rest)
    if word is None:
        raise Fault(f"column type {text!r}: a field needs a name")
    return word.group(), rest[word.end() :]


def _after(rest: str, mark: str, text: str) -> str:
    if not rest.startswith(mark):
        raise Fault(f"column type {text!r}: {mark!r} is missing")
    return rest[len(mark) :]


def to_proto(columns: Iterable[Column]) -> list[pb.Column]:
    return [pb.Column(name=c.name, type=c.type) for c in columns]


def from_proto(columns: Iterable[pb.Column]) -> list[Column]:
    return [Column(c.name, c.type) for c in columns]
