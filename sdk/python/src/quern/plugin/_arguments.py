"""The arguments of a block: a dataclass becomes its schema, and a configuration an instance of it."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from . import _protocol as pb
from ._columns import hints_of, optional
from ._docs import attribute_docs
from ._durations import parse_duration
from ._errors import Error, Fault
from ._handles import Artifact, Dataset, Handle, Late, Model, Prompt, Row, RowOrModel, Scope, Subject
from ._json import anything, dumps
from ._unknown import Unknown

_OPTIONS = "quern"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class _Options:
    doc: str = ""
    sensitive: bool = False
    operational: bool = False
    recorded: bool = False
    feature: bool = False
    constant: bool = False
    rows_of: str = ""
    late: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class _Label:
    """Marks the label of a block."""


# The type of a field that holds a label of a block: ``rule "spam" { … }``.
Label = typing.Annotated[str, _Label()]


def argument(
    *,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    doc: str = "",
    sensitive: bool = False,
    operational: bool = False,
    recorded: bool = False,
    feature: bool = False,
    constant: bool = False,
    rows_of: str = "",
    late: Mapping[str, Any] | None = None,
) -> Any:
    """Describes an argument in more detail than its type and default do.

    Args:
        default: The value if users do not set it. Without one, they must.
        default_factory: A function that makes the default.
        doc: What it is for, in Markdown; the first sentence is the summary. A
            docstring below the field does the same.
        sensitive: It is never shown or stored.
        operational: It does not affect results (a path, a limit, a timeout).
        recorded: Its value is written to the results, so quern refuses a secret in it.
        feature: For a trainer's row expression: the model needs it to predict.
        constant: For a row expression: it may be the same for every row.
        rows_of: For a row expression: the dataset argument that ``row`` refers to.
        late: For a Late: the additional names of the expression and their types. A
            model's answer has the type Output.
    """
    options = _Options(doc, sensitive, operational, recorded, feature, constant, rows_of, late or {})
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata={_OPTIONS: options})
    return dataclasses.field(default=default, metadata={_OPTIONS: options})


# How a type is written in a configuration, and how its values are decoded.
_Decode = Callable[[Any], Any]


def _number(convert: Callable[[Any], Any]) -> _Decode:
    def decode(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise ValueError("a number is required")
        return convert(value)

    return decode


def _whole(value: int | Decimal) -> int:
    if isinstance(value, Decimal) and value.adjusted() > _MOST_DIGITS:  # int would take memory for each digit
        raise ValueError(f"the number {value:.6g} is too large")
    if value != int(value):
        raise ValueError(f"a whole number is required, not {value}")
    return int(value)


_MOST_DIGITS = 1000


def _real(value: int | Decimal) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"the number {Decimal(value):.6g} is out of range\nA number must be between -1.7e308 and 1.7e308.")
    return number


def _exactly(kind: type, name: str) -> _Decode:
    def decode(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"a {name} is required")
        return value

    return decode


def _parsed(parse: Callable[[str], Any], what: str) -> _Decode:
    def decode(value: Any) -> Any:
        try:
            return parse(value)
        except ValueError as e:
            raise ValueError(what or str(e)) from None

    return decode


def _path(value: str) -> Path:
    # Path("") would be the working folder.
    if not value:
        raise ValueError('a path is required, and this one is empty\nTo name the folder of the configuration, write ".".')
    return Path(value)


# By Python type: the cty type, the decoder, and the value where none is known yet.
_PLAIN: dict[Any, tuple[str, _Decode, Any]] = {
    str: ("string", _exactly(str, "string"), ""),
    bool: ("bool", _exactly(bool, "bool"), False),
    int: ("number", _number(_whole), 0),
    float: ("number", _number(_real), 0.0),
    Decimal: ("number", _number(Decimal), Decimal(0)),
    datetime.timedelta: ("string", _parsed(parse_duration, ""), datetime.timedelta(0)),
    datetime.date: ("string", _parsed(datetime.date.fromisoformat, "a date such as 2026-01-31 is required"), datetime.date.min),
    datetime.datetime: (
        "string",
        _parsed(datetime.datetime.fromisoformat, "a time such as 2026-01-31T12:00:00+00:00 is required"),
        datetime.datetime.min,
    ),
    Path: ("string", _path, Path()),
    Any: ("dynamic", anything, None),
}

_ACCEPTS: dict[Any, list[pb.ArtifactKind]] = {
    Dataset: [pb.ARTIFACT_KIND_DATASET],
    Model: [pb.ARTIFACT_KIND_MODEL],
    Artifact: [pb.ARTIFACT_KIND_DATASET, pb.ARTIFACT_KIND_MODEL, pb.ARTIFACT_KIND_REPORT],
    Prompt: [pb.ARTIFACT_KIND_PROMPT],
    RowOrModel: [pb.ARTIFACT_KIND_MODEL],
    Subject: [pb.ARTIFACT_KIND_MODEL, pb.ARTIFACT_KIND_PROMPT],
    Row: [],
    Late: [],
}
_PER_ROW = (Row, RowOrModel, Subject, Late)

_ROW_TYPES: dict[Any, str] = {str: "string", int: "number", float: "number", bool: "bool", Any: "dynamic"}


@dataclasses.dataclass
class Field:
    """A field of an argument dataclass. Exactly one of plain, handle, and block is set, or label is true."""

    name: str
    options: _Options
    required: bool
    default: Any = None
    has_default: bool = False
    nullable: bool = False
    label: bool = False
    plain: Any = None
    one_of: tuple[str, ...] = ()
    handle: Any = None
    values: str = ""  # of a row expression: what its values are converted to
    values_type: Any = None
    collection: str = ""  # of handles: "", list, or map
    block: Body | None = None
    single: bool = False

    def argument(self, doc: str) -> pb.Argument:
        o = self.options
        out = pb.Argument(
            name=self.name,
            doc=o.doc or doc,
            required=self.required,
            sensitive=o.sensitive,
            operational=o.operational,
            recorded=o.recorded,
            feature=o.feature,
            constant=o.constant,
            rows_of=o.rows_of,
            one_of=self.one_of,
        )
        if self.handle is None:
            out.type = dumps(cty_type(self.plain)).encode()
            if self.has_default and self.default is not None:
                out.default_value = dumps(self.default).encode()
            return out
        out.accepts.extend(_ACCEPTS[self.handle])
        out.per_row = self.handle in _PER_ROW
        if out.per_row:
            out.type = dumps(self.values).encode()
        if self.collection:
            out.collection = pb.COLLECTION_LIST if self.collection == "list" else pb.COLLECTION_MAP
        for name, t in o.late.items():
            out.late[name] = dumps(cty_type(t)).encode()
        return out

    def decode(self, value: Any, pointer: str, key: str, scope: Scope, unknown: Unknown) -> Any:
        """Returns the field's value. Where it is unknown, the default or an empty value."""
        if self.label:
            return value
        if self.block is not None:
            return self._blocks(value, pointer, key, scope, unknown)
        if unknown.has(pointer, key):
            return self._absent(empty=True)
        if value is None:
            return self._absent(empty=False)
        if self.handle is not None:
            return self._handles(value, pointer, key, scope, unknown)
        try:
            return _decode(self.plain, value, pointer, key, unknown)
        except ValueError as e:
            raise Error(str(e), argument=key) from None

    def _absent(self, empty: bool) -> Any:
        if self.has_default:
            return copy.copy(self.default)
        if self.nullable or not empty:
            return None
        if self.collection:
            return [] if self.collection == "list" else {}
        return None if self.handle is not None else _empty(self.plain)

    def _handles(self, value: Any, pointer: str, key: str, scope: Scope, unknown: Unknown) -> Any:
        if self.collection == "list":
            made = [self._handle(v, f"{pointer}/{i}", f"{key}.{i}", scope, unknown) for i, v in enumerate(value)]
            return [h for h in made if h is not None]
        if self.collection == "map":
            pairs = {k: self._handle(v, f"{pointer}/{_escape(k)}", f"{key}.{k}", scope, unknown) for k, v in value.items()}
            return {k: h for k, h in pairs.items() if h is not None}
        return self._handle(value, pointer, key, scope, unknown)

    def _handle(self, value: Any, pointer: str, key: str, scope: Scope, unknown: Unknown) -> Handle | None:
        if unknown.has(pointer, key) or value is None:
            return None
        if self.handle is Subject:
            return _subject(value, pointer, key, scope, unknown)
        if not isinstance(value, str):
            raise Error(f"argument {key!r} must refer to something", argument=key)
        made: Handle = self.handle(value, scope)
        return made

    def _blocks(self, value: Any, pointer: str, key: str, scope: Scope, unknown: Unknown) -> Any:
        assert self.block is not None
        if unknown.has(pointer, key):
            value = []
        made = []
        for i, block in enumerate(value or ()):
            step = self.block.labels_of(block) or str(i)
            made.append(self.block.decode(block, f"{pointer}/{i}", f"{key}.{step}", scope, unknown))
        if not self.single:
            return made
        return made[0] if made else None


def _subject(value: Any, pointer: str, key: str, scope: Scope, unknown: Unknown) -> Subject:
    if isinstance(value, str):
        return Subject(value, scope, Model(value, scope) if value in scope.instance.inputs else None)
    model, prompt = value.get("model"), value.get("prompt")
    for name in ("model", "prompt"):
        unknown.has(f"{pointer}/{name}", f"{key}.{name}")
    return Subject(key, scope, model and Model(model, scope), prompt and Prompt(prompt, scope))


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


class Body:
    """The fields of an argument dataclass."""

    def __init__(self, cls: type, without: Sequence[str] = ()) -> None:
        if not dataclasses.is_dataclass(cls):
            raise Fault(f"{cls.__name__} is not a dataclass")
        self.cls = cls
        hints = hints_of(cls)
        self.fields = [_field(cls, f, hints[f.name]) for f in dataclasses.fields(cls) if f.init and f.name not in without]

    def proto(self) -> pb.Body:
        docs = attribute_docs(self.cls)
        out = pb.Body()
        for f in self.fields:
            doc = docs.get(f.name, "")
            if f.block is not None:
                out.blocks.append(
                    pb.Block(
                        name=f.name,
                        doc=f.options.doc or doc,
                        labels=[i.name for i in f.block.fields if i.label],
                        body=f.block.proto(),
                        min_items=1 if f.required else 0,
                        max_items=1 if f.single else 0,
                    )
                )
            elif not f.label:
                out.arguments.append(f.argument(doc))
        return out

    def decode(self, config: Mapping[str, Any], pointer: str, key: str, scope: Scope, unknown: Unknown) -> Any:
        """Returns an instance of the dataclass."""
        values = {
            f.name: f.decode(config.get(f.name), f"{pointer}/{f.name}", f"{key}.{f.name}" if key else f.name, scope, unknown)
            for f in self.fields
        }
        return self.cls(**values)

    def labels_of(self, block: Mapping[str, Any]) -> str:
        return ".".join(str(block[f.name]) for f in self.fields if f.label and block.get(f.name) is not None)

    def handles(self) -> Iterator[Field]:
        return (f for f in self.fields if f.handle is not None)


def _field(cls: type, f: dataclasses.Field[Any], hint: Any) -> Field:
    try:
        return _describe(f, hint)
    except Fault as e:
        raise Fault(f"field {cls.__name__}.{f.name}: {e}") from None


def _describe(f: dataclasses.Field[Any], hint: Any) -> Field:
    if re.fullmatch(r"[a-z][a-z0-9_]*", f.name) is None:
        raise Fault("its name is not valid: use lowercase letters, digits, and underscores")
    out = Field(f.name, f.metadata.get(_OPTIONS, _Options()), required=True)
    if f.default is not dataclasses.MISSING:
        out.default, out.has_default = f.default, True
    elif f.default_factory is not dataclasses.MISSING:
        out.default, out.has_default = f.default_factory(), True
    inner = optional(hint)
    out.nullable = inner is not None
    hint = hint if inner is None else inner
    out.required = not (out.nullable or out.has_default)
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extras = typing.get_args(hint)
        out.label = any(isinstance(e, _Label) for e in extras)
    if out.label:
        return out
    _describe_type(out, hint)
    if out.handle is None and out.block is None:
        _check_plain(out)
    elif out.has_default and out.default not in (None, [], {}, ()):
        raise Fault("an artifact, a row expression, or a block cannot have a default")
    return out


def _describe_type(out: Field, hint: Any) -> None:
    origin, args = _generic(hint)
    item = args[-1] if args and origin in (list, dict) else hint
    item_origin, item_args = _generic(item)
    if item_origin in _ACCEPTS:
        out.handle = item_origin
        out.values_type = item_args[0] if item_args else Any
        out.values = _row_type(out.values_type)
        out.collection = {list: "list", dict: "map"}.get(origin, "")
        return
    if origin in (list, type(hint)) and isinstance(item, type) and dataclasses.is_dataclass(item):
        out.block, out.single = Body(item), origin is not list
        return
    if typing.get_origin(item) is typing.Literal:
        if item is not hint or not all(isinstance(a, str) for a in item_args):
            raise Fault("a Literal must be of strings, and cannot be in a list or dict")
        out.one_of, hint = item_args, str
    out.plain = hint


def _check_plain(out: Field) -> None:
    cty_type(out.plain)
    o = out.options
    if o.feature or o.constant or o.rows_of or o.late:
        raise Fault("only a row expression can have the options feature, constant, rows_of, and late")
    if out.has_default:
        dumps(out.default)


def _row_type(declared: Any) -> str:
    if isinstance(declared, TypeVar):
        return "dynamic"
    if declared not in _ROW_TYPES:
        raise Fault(f"the values of a row expression can be str, int, float, bool, or Any, not {declared!r}")
    return _ROW_TYPES[declared]


def _generic(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Returns a type without and with its parameters. Sequences count as lists, mappings as dicts."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return (hint if isinstance(hint, type) and issubclass(hint, Handle) else type(hint)), ()
    if origin is Sequence:
        return list, args
    if origin is Mapping:
        return dict, args
    return origin, args


def cty_type(declared: Any) -> Any:
    """Returns the cty type of a Python type, or of names with types, as JSON."""
    if isinstance(declared, Mapping):
        return ["object", {name: cty_type(t) for name, t in declared.items()}]
    inner = optional(declared)
    if inner is not None:
        return cty_type(inner)
    if declared in _PLAIN:
        return _PLAIN[declared][0]
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    if origin in (list, Sequence):
        return ["list", cty_type(args[0])]
    if origin in (dict, Mapping) and args[0] is str:
        return ["map", cty_type(args[1])]
    if origin is typing.Annotated:
        return cty_type(args[0])
    if origin is typing.Literal and all(isinstance(a, str) for a in args):
        return "string"
    if isinstance(declared, type) and dataclasses.is_dataclass(declared):
        hints = hints_of(declared)
        return ["object", {f.name: cty_type(hints[f.name]) for f in dataclasses.fields(declared)}]
    raise Fault(
        f"{declared!r} cannot be the type of a value: use str, int, float, Decimal, bool, date, datetime, timedelta, Path, Any, a list or dict of these, or a dataclass"
    )


def _decode(declared: Any, value: Any, pointer: str, key: str, unknown: Unknown) -> Any:
    if unknown.has(pointer, key):
        return _empty(declared)
    inner = optional(declared)
    if inner is not None:
        return None if value is None else _decode(inner, value, pointer, key, unknown)
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    if origin in (list, Sequence):
        return [_decode(args[0], v, f"{pointer}/{i}", f"{key}.{i}", unknown) for i, v in enumerate(value)]
    if origin in (dict, Mapping):
        return {k: _decode(args[1], v, f"{pointer}/{_escape(k)}", f"{key}.{k}", unknown) for k, v in value.items()}
    if origin is typing.Annotated:
        return _decode(args[0], value, pointer, key, unknown)
    if value is None and declared is not Any:
        raise ValueError(f"argument {key!r} contains null, which is not allowed there")
    return _PLAIN[declared][1](value)


def _empty(declared: Any) -> Any:
    origin = typing.get_origin(declared)
    if origin in (list, Sequence):
        return []
    if origin in (dict, Mapping):
        return {}
    if origin is typing.Annotated:
        return _empty(typing.get_args(declared)[0])
    return _PLAIN[declared][2] if declared in _PLAIN else None
