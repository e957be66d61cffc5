"""The grammar of column types."""

from __future__ import annotations

import ast
import dataclasses
import json
import re

from ._errors import Fault

SCALARS = ("string", "int64", "float64", "bool", "binary", "date", "timestamp")


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
