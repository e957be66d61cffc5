"""Functions for expressions."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any

from . import _protocol as pb
from ._columns import column_type, hints_of, optional
from ._errors import Error, Fault, Malformed, RowError, diagnostic, legible


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter: its column type, whether it can be null, and the dataclass that its values become, if any."""

    name: str
    column: str
    nullable: bool
    made: Callable[..., Any] | None

    def proto(self, doc: str) -> pb.Parameter:
        return pb.Parameter(name=self.name, doc=doc, type=self.column, nullable=self.nullable)

    def value(self, value: Any) -> Any:
        return self.made(**value) if self.made is not None and value is not None else value


class Function:
    """A function on offer."""

    def __init__(self, name: str, function: Callable[..., Any], *, behavior_version: int, deprecated: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise Fault("a name consists of lowercase letters, digits, and underscores")
        self.name, self.function = name, function
        self._behavior_version, self._deprecated = behavior_version, deprecated
        hints = hints_of(function)
        self.parameters: list[Parameter] = []
        self.variadic: Parameter | None = None
        arrays: set[bool] = set()
        for p in inspect.signature(function).parameters.values():
            if p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) or p.default is not p.empty:
                raise Fault(f"the parameter {p.name!r} must be positional and have no default")
            if p.name not in hints:
                raise Fault(f"the parameter {p.name!r} has no type")
            hint, array = _element(hints[p.name])
            arrays.add(array)
            parameter = _parameter(p.name, hint)
            if p.kind is p.VAR_POSITIONAL:
                self.variadic = parameter
            else:
                self.parameters.append(parameter)
        if "return" not in hints:
            raise Fault("it has no return type")
        result, array = _element(hints["return"])
        arrays.add(array)
        if self.variadic is None and not self.parameters:
            raise Fault("it has no parameters")
        if len(arrays) > 1:
            raise Fault("its parameters and its result must all be arrays, or none of them")
        self.result, self.arrays = column_type(result), array

    def __str__(self) -> str:
        return f'function "{self.name}"'

    def schema(self) -> pb.Function:
        summary, text, docs = _documentation(inspect.getdoc(self.function) or "")
        return pb.Function(
            name=self.name,
            summary=summary,
            doc=text,
            parameters=[p.proto(docs.get(p.name, "")) for p in self.parameters],
            variadic=self.variadic.proto(docs.get(self.variadic.name, "")) if self.variadic else None,
            result=self.result,
            deprecated=self._deprecated,
            behavior_version=self._behavior_version,
        )

    def call(self, request: pb.CallFunctionRequest) -> pb.CallFunctionResponse:
        """Computes the calls of a request."""
        from ._arrow import received

        batch = received(request.arguments)
        self._check(batch.schema)
        errors: dict[int, pb.FunctionError] = {}
        results = self._whole(batch, errors) if self.arrays else self._each(batch, errors)
        return _response(results, errors)

    def parameter(self, i: int) -> Parameter | None:
        return self.parameters[i] if i < len(self.parameters) else self.variadic

    def _check(self, schema: Any) -> None:
        from ._arrow_types import arrow_type

        if len(schema) < len(self.parameters) or self.variadic is None and len(schema) > len(self.parameters):
            raise Malformed(f"{self} has {len(self.parameters)} parameters, but the request has {len(schema)} arguments")
        for i, field in enumerate(schema):
            p = self.parameter(i)
            assert p is not None
            if not field.type.equals(arrow_type(p.column)):
                raise Malformed(f"the argument {p.name!r} of {self} has the type {field.type}, not {p.column}")

    def _whole(self, batch: Any, errors: dict[int, pb.FunctionError]) -> Any:
        """Calls a function of arrays."""
        import pyarrow as pa

        from ._arrow import Unfit, coerce
        from ._arrow_types import arrow_type

        want = arrow_type(self.result)
        try:
            made = self.function(*batch.columns)
            if isinstance(made, pa.ChunkedArray):
                made = made.combine_chunks()
            if not isinstance(made, pa.Array) or len(made) != batch.num_rows:
                raise Fault(f"{self} returned {type(made).__name__}, but must return an array with {batch.num_rows} values")
            return coerce(made, want)
        except Unfit as e:
            failure: Exception = Fault(f"the result of {self} {e}")
        except Exception as e:
            failure = e
        for i in range(batch.num_rows):
            errors[i] = self._error(i, failure)
        return pa.nulls(batch.num_rows, want)

    def _each(self, batch: Any, errors: dict[int, pb.FunctionError]) -> Any:
        """Calls a function of single values."""
        import pyarrow as pa

        from ._arrow_types import arrow_type
        from ._rows import plain

        want = arrow_type(self.result)
        results: list[Any] = []
        columns = [column.to_pylist() for column in batch.columns]
        for i, row in enumerate(zip(*columns)):
            try:
                made = plain(self.function(*self._values(row)))
                pa.array([made], want)  # one that does not fit fails its own call only
                results.append(made)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as e:
                results.append(None)
                errors[i] = self._error(i, Fault(f"the result does not fit: {e}"))
            except Exception as e:
                results.append(None)
                errors[i] = self._error(i, e)
        return pa.array(results, want)

    def _values(self, row: Iterable[Any]) -> list[Any]:
        values = []
        for i, value in enumerate(row):
            p = self.parameter(i)
            assert p is not None
            if value is None and not p.nullable:
                raise Error(f"{p.name} must not be null", argument=p.name)
            values.append(p.value(value))
        return values

    def _error(self, call: int, e: Exception) -> pb.FunctionError:
        if isinstance(e, RowError):
            return pb.FunctionError(call=call, message=legible(e.message))
        if isinstance(e, Fault):
            return pb.FunctionError(call=call, message=legible(str(e)))
        d = diagnostic(e, str(self))
        out = pb.FunctionError(call=call, message=f"{d.summary}\n{d.detail}".strip())
        names = [p.name for p in (*self.parameters, *([self.variadic] if self.variadic else []))]
        if d.argument in names:
            out.argument = names.index(d.argument)
        return out


def _element(hint: Any) -> tuple[Any, bool]:
    """Returns the type of a value, and whether the hint is ``Annotated[pa.Array, TYPE]``."""
    if typing.get_origin(hint) is typing.Annotated:
        array, *rest = typing.get_args(hint)
        if getattr(array, "__module__", "").startswith("pyarrow"):
            return rest[0], True
    return hint, False


def _parameter(name: str, hint: Any) -> Parameter:
    inner = optional(hint)
    value = hint if inner is None else inner
    made = value if isinstance(value, type) and dataclasses.is_dataclass(value) else None
    return Parameter(name, column_type(value), inner is not None, made)


def _response(results: Any, errors: dict[int, pb.FunctionError]) -> pb.CallFunctionResponse:
    """Returns as many results as fit into a message."""
    import pyarrow as pa

    from ._arrow import cut

    schema = pa.schema([pa.field("result", results.type)])
    piece = cut(pa.RecordBatch.from_arrays([results], schema=schema))[0]
    if piece.excess:
        errors[0] = pb.FunctionError(message=f"the result takes {piece.excess}")
    return pb.CallFunctionResponse(results=piece.rows, errors=[errors[i] for i in sorted(errors) if i < max(piece.end, 1)])


def _documentation(text: str) -> tuple[str, str, dict[str, str]]:
    """Splits a docstring into its first line, the rest, and what its section "Args:" says."""
    summary, _, rest = text.partition("\n")
    rest, _, args = rest.partition("Args:\n")
    docs: dict[str, str] = {}
    name = ""
    for line in args.splitlines():
        if not line.strip():
            break
        found = re.match(r" {1,4}\*?(\w+): (.*)", line)
        if found:
            name = found[1]
            docs[name] = found[2].strip()
        elif name:
            docs[name] += " " + line.strip()
    return summary.strip(), rest.strip(), docs
