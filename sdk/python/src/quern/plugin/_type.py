"""A type that a plugin offers: what follows from its class."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from . import _protocol as pb
from ._arguments import Body, Field
from ._columns import Column, Columns, column_type, columns_of, hints_of, optional
from ._docs import doc_of
from ._errors import Error, Fault, diagnostic
from ._handles import Prompt, Row, Scope
from ._json import loads
from ._prepare import Prepare
from ._stages import Deployment, FlatMapper, Mapper, Provider, Runner, Source, Stage
from ._unknown import Unknown

_MODES: dict[type[Stage], tuple[int, Sequence[str]]] = {
    Source: (pb.MODE_READ, ("source",)),
    Mapper: (pb.MODE_MAP, ("transform", "label")),
    FlatMapper: (pb.MODE_FLAT_MAP, ("transform",)),
    Runner: (pb.MODE_RUN, ("transform", "label", "train", "evaluate")),
    Provider: (pb.MODE_MODEL, ("model",)),
    Deployment: (pb.MODE_DEPLOY, ("deploy",)),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the decorators take beyond the kind and the name."""

    behavior_version: int = 1
    columns: Columns | None = None
    batch_rows: int = 0
    concurrency: int = 1
    stop_seconds: float = 0
    models: Sequence[str] = ()
    state_version: int = 0


class Type:
    """A type on offer."""

    def __init__(self, kind: str, name: str, cls: type[Stage], options: Options, types: Mapping[tuple[str, str], Type]) -> None:
        self.kind, self.name, self.cls, self.options = kind, name, cls, options
        self._types = types  # those of the plugin, for model blocks
        self.base = next((b for b in _MODES if issubclass(cls, b)), None)
        if self.base is None:
            raise Fault(f"{cls.__name__} must derive from {', '.join(b.__name__ for b in _MODES)}")
        self.mode, kinds = _MODES[self.base]
        if kind not in kinds:
            raise Fault(f"a {self.base.__name__} is a {' or '.join(kinds)}, not a {kind}")
        self.body = Body(cls)
        self.function = self._function()
        # The method wants the tokens of pending rows.
        self.tokens = self.function.token if self.function else _wants_tokens(cls)
        self.declared = options.columns
        if self.function is not None and self.declared is None:
            self.declared = self.function.result
        needed = {Runner: ("run",), Provider: ("chat", "embed")}.get(self.base)
        if needed and not any(hasattr(cls, m) for m in needed):
            raise Fault(f"{cls.__name__} needs a method {' or '.join(needed)}")
        if self.function is None and self.base in (Mapper, FlatMapper):
            if not hasattr(cls, "map_batch"):
                raise Fault(f"{cls.__name__} needs a method map_row or map_batch")
            if self.declared is None and cls.prepare is Stage.prepare:
                raise Fault("map_batch needs declared columns: write columns=… in the decorator, or declare them in prepare")

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"'

    def _function(self) -> RowFunction | None:
        if self.base not in (Mapper, FlatMapper) or not hasattr(self.cls, "map_row"):
            return None
        if hasattr(self.cls, "map_batch"):
            raise Fault(f"{self.cls.__name__} has both map_row and map_batch: keep one")
        return RowFunction(self.cls, self.body, self.base is FlatMapper)

    def schema(self) -> pb.Type:
        o = self.options
        return pb.Type(
            kind=self.kind,
            name=self.name,
            doc=doc_of(self.cls),
            mode=typing.cast(Any, self.mode),
            behavior_version=o.behavior_version,
            body=self.body.proto(),
            state_version=o.state_version,
        )

    def decode(self, instance: pb.Instance, unknown: Unknown, scope: Scope | None = None) -> Any:
        """Returns the stage of an instance."""
        scope = scope or Scope(instance)
        scope.types = self._types
        return self.body.decode(loads(instance.config_json or b"{}"), "", "", scope, unknown)

    def block(self, instance: pb.Instance) -> tuple[Any, Unknown]:
        """Returns the stage of a block that another one refers to, and what is not known of it."""
        unknown = Unknown(instance.unknown)
        return self.decode(instance, unknown), unknown

    def prepare(self, instance: pb.Instance) -> pb.Prepared:
        """Prepares an instance. A failure becomes a diagnostic of that instance alone."""
        unknown = Unknown(instance.unknown)
        p = Prepare(instance, unknown)
        try:
            self.declare(self.decode(instance, unknown), p)
        except Exception as e:
            p.out.diagnostics.append(diagnostic(e, str(self)))
        return p.out

    def declare(self, stage: Any, p: Prepare) -> None:
        """Declares what follows from the class, and calls its prepare."""
        mapped = self.base in (Mapper, FlatMapper)
        if mapped and stage.input is not None:
            p.keep_input()
        stage.prepare(p)
        if mapped and stage.input is not None and self.declared is not None:
            p.add_columns([c for c in self.made(p.name) if not p.has_column(c.name) or not _is_made(p, c)])
        elif self.declared is not None and not mapped:
            p.add_dataset(self.declared)
        value = self._value_type()
        if value is not None and not p.out.value_type:
            p.set_value_type(value)
        if mapped and self.options.batch_rows > 0:
            p.out.batch_rows, p.out.open_requests = self.options.batch_rows, max(1, self.options.concurrency)
        p.out.stop_seconds = self.options.stop_seconds
        p.out.checks_sample = self.base is Runner and hasattr(self.cls, "check_sample")
        if self.base is Provider:
            self._declare_model(p)

    def _declare_model(self, p: Prepare) -> None:
        if not p.out.HasField("model"):
            if not p.failed:
                raise Fault("prepare did not call set_model")
        elif not p.out.model.capabilities:
            p.out.model.capabilities.extend(c for c in ("chat", "embed") if hasattr(self.cls, c))

    def made(self, block: str) -> list[Column]:
        """Returns the columns of the declaration, with their names in a dataset."""
        declared: Any = self.declared
        if not isinstance(declared, (Mapping, list, tuple)) and not dataclasses.is_dataclass(declared):
            declared = {block: declared}  # the type of a single column
        columns = columns_of(typing.cast(Any, declared))
        if self.kind != "label":
            return columns
        return [Column(block if i == 0 else f"{block}_{c.name}", c.type) for i, c in enumerate(columns)]

    def _value_type(self) -> Any:
        if self.base is not Runner:
            return None
        returns = hints_of(getattr(self.cls, "run")).get("return")
        return returns if isinstance(returns, type) and dataclasses.is_dataclass(returns) else None

    def ready(self, instance: pb.Instance, scope: Scope) -> tuple[Any, pb.Prepared]:
        """Returns a stage for the work itself: everything is known, and errors of prepare are raised."""
        unknown = Unknown(instance.unknown)
        stage = self.decode(instance, unknown, scope)
        if unknown.keys:
            raise Error(f"the value of argument {unknown.keys[0]!r} is not known yet", argument=unknown.keys[0])
        p = Prepare(instance, unknown)
        self.declare(stage, p)
        for d in p.out.diagnostics:
            if d.severity == pb.Diagnostic.SEVERITY_ERROR:
                raise Error(f"{d.summary}\n{d.detail}", argument=d.argument)
        stage.open()
        return stage, p.out


def _is_made(p: Prepare, column: Column) -> bool:
    """Reports whether prepare itself declared the column."""
    return any(c.name == column.name and c.origin == pb.COLUMN_ORIGIN_UNSPECIFIED for out in p.out.outputs for c in out.columns)


@dataclasses.dataclass
class Parameter:
    """A parameter of a row's function."""

    field: Field
    nullable: bool


class RowFunction:
    """The method map_row of a class: which row arguments it takes, and what it returns."""

    def __init__(self, cls: type, body: Body, flat: bool) -> None:
        function = getattr(cls, "map_row")
        hints = hints_of(function)
        fields = {f.name: f for f in body.handles() if f.handle in (Row, Prompt)}
        self.parameters: list[Parameter] = []
        names = list(inspect.signature(function).parameters)[1:]
        self.token = names[-1:] == ["token"] and "token" not in fields
        for name in names[:-1] if self.token else names:
            if name not in fields:
                raise Fault(f"the parameter {name!r} of map_row is not a row argument: {cls.__name__} has {', '.join(fields) or 'none'}")
            hint = hints.get(name, Any)
            self.parameters.append(Parameter(fields[name], hint is Any or optional(hint) is not None))
        if not self.parameters:
            raise Fault("map_row takes no row argument")
        self.result = _result(hints.get("return"), flat)


def _wants_tokens(cls: type) -> bool:
    return hasattr(cls, "map_batch") and len(inspect.signature(getattr(cls, "map_batch")).parameters) > 2


def _result(declared: Any, flat: bool) -> Any:
    if declared is None:
        raise Fault("map_row needs a return type, which declares the new columns")
    if flat:
        if not typing.get_args(declared):
            raise Fault("map_row of a FlatMapper must return an Iterable, Iterator, or list of rows")
        declared = typing.get_args(declared)[0]
    inner = optional(declared)
    declared = declared if inner is None else inner
    column_type(declared)  # a Fault if it is none
    return declared
