"""The plugin py: transforms that are functions in the user's own files.

``python -m quern.functions`` serves it, as does the console script of a package
that names ``quern.functions:main``, whose dependencies the functions can import.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quern import plugin

from .plugin._columns import Column, column_type, columns_of, hints_of

if TYPE_CHECKING:
    import pyarrow as pa


def _version() -> str:
    """The version of the package; in a checkout, where it is not installed, one under development."""
    try:
        return version("quern-dev")
    except PackageNotFoundError:
        return "0.0.0.dev0"


py = plugin.Plugin("py", version=_version())


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of the user and what its annotations say.

    Attributes:
        call: The function.
        parameters: The type of each parameter.
        required: The parameters that have no default.
        result: The type that it returns for a row; for a flat map, that of one of the rows.
    """

    call: Callable[..., Any]
    parameters: dict[str, Any]
    required: list[str]
    result: Any

    def columns(self, name: str) -> list[Column]:
        """The columns that it makes: one for each field of a dataclass or TypedDict, else one with the given name."""
        if dataclasses.is_dataclass(self.result):
            return columns_of(typing.cast(type, self.result))
        if typing.is_typeddict(self.result):
            return columns_of(hints_of(self.result))
        return columns_of({name: _without_none(self.result)})


def load(reference: str, flat: bool) -> Function:
    """Imports ``FILE.py:NAME``, where the file is relative to the configuration.

    Raises:
        plugin.Error: The reference, or the function's annotations, cannot be used.
    """
    path, _, name = reference.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise plugin.Error(f'Malformed function {reference!r}\nWrite FILE.py:NAME, such as "clean.py:normalize".', argument="function")
    file = Path(py.root, path).resolve()
    if not file.is_file():
        raise plugin.Error(
            f"File {path} does not exist\nThe path of a function's file is relative to the configuration.", argument="function"
        )
    function = getattr(_module(file), name, None)
    if not inspect.isfunction(function):
        raise plugin.Error(f"{path} has no function {name!r}\nWrite the name of a function that the file defines.", argument="function")
    return _typed(function, reference, flat)


def _module(file: Path) -> types.ModuleType:
    """Imports a file as a module of its own folder, so that it can import the files next to it."""
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    module = importlib.import_module(file.stem)
    found = Path(module.__file__ or "").resolve()
    if found != file:
        raise plugin.Error(
            f"{file.name} cannot be imported\nThe name {file.stem!r} belongs to {found}. Rename your file.", argument="function"
        )
    return module


def _typed(function: Callable[..., Any], reference: str, flat: bool) -> Function:
    hints = hints_of(function)
    result = hints.pop("return", None)
    parameters = inspect.signature(function).parameters
    untyped = [name for name in parameters if name not in hints]
    if untyped or result is None or result is type(None):
        missing = f"the parameter {untyped[0]!r}" if untyped else "what it returns"
        raise plugin.Error(
            f"{reference} lacks an annotation\nThe columns follow from annotations. Annotate {missing}, as in: def f(text: str) -> str.",
            argument="function",
        )
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) for p in parameters.values()):
        raise plugin.Error(
            f"{reference} has parameters without fixed names\nEach parameter gets the value of one argument.", argument="function"
        )
    if flat:
        if not typing.get_args(result):
            raise plugin.Error(
                f"{reference} must return the rows that a row becomes\nAnnotate it with Iterator[T] or list[T].", argument="function"
            )
        result = typing.get_args(result)[0]
    required = [name for name, p in parameters.items() if p.default is p.empty]
    return Function(function, {name: hints[name] for name in parameters}, required, result)


def imported(root: str) -> Iterator[tuple[str, str]]:
    """The names and paths of all modules that were imported from files of the user: those in the folder of the configuration."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py"):
            continue
        path = os.path.realpath(file)
        if path.startswith(os.path.realpath(root) + os.sep) and "site-packages" not in path:
            yield os.path.relpath(path, os.path.realpath(root)).replace(os.sep, "/"), path


def _without_none(hint: Any) -> Any:
    """T of ``T | None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _nullable(hint: Any) -> bool:
    return hint is Any or _without_none(hint) is not hint


def _prepare(self: Any, p: plugin.Prepare, flat: bool) -> None:
    if not p.known("function"):
        return
    function = load(self.function, flat)
    for name, path in imported(py.root):
        p.add_file(name, path)
    _check_arguments(self, function)
    for column in function.columns(p.name):
        if p.has_column(column.name):
            p.drop_columns(column.name)
            p.error(
                f"Column {column.name!r} exists already\nA function cannot replace a column of the input. Return the value under another name.",
                argument="function",
            )
        p.add_column(column.name, column.type)


def _check_arguments(self: Any, function: Function) -> None:
    """Compares the arguments with the parameters, by name and type."""
    for name in self.arguments:
        if name not in function.parameters:
            known = ", ".join(function.parameters) or "none"
            raise plugin.Error(f"{self.function} has no parameter {name!r}\nIts parameters are: {known}.", argument=f"arguments.{name}")
    for name in function.required:
        if name not in self.arguments:
            raise plugin.Error(
                f"The parameter {name!r} of {self.function} has no value\nAdd it to arguments, as in {name} = row.{name}.",
                argument="arguments",
            )
    for name, row in self.arguments.items():
        hint = _without_none(function.parameters[name])
        if hint is Any:
            continue
        wanted, given = column_type(hint), row.type
        if wanted != given and (given, wanted) != ("int64", "float64"):
            raise plugin.Error(
                f"The parameter {name!r} of {self.function} is a {wanted}, but the value is a {given}\nConvert the value, or change the annotation.",
                argument=f"arguments.{name}",
            )


class _Caller:
    """Calls a function for the rows of a batch."""

    def __init__(self, function: Function, arguments: Any) -> None:
        self.function, self.arguments = function, arguments
        self.required = [n for n in arguments if not _nullable(function.parameters[n])]
        self.floats = {n for n, h in function.parameters.items() if _without_none(h) is float}

    def results(self, batch: pa.RecordBatch) -> Iterator[Any]:
        """What the function returned for each row: None for a row with a null that it does not take, and a RowError for one that failed."""
        columns = {name: self._values(name, row, batch) for name, row in self.arguments.items()}
        for i in range(batch.num_rows):
            values = {name: column[i] for name, column in columns.items()}
            if any(values[name] is None for name in self.required):
                yield None
                continue
            try:
                yield self.function.call(**values)
            except plugin.RowError as e:
                yield plugin.RowError(e.message, row=i, temporary=e.temporary)

    def _values(self, name: str, row: plugin.Row[Any], batch: pa.RecordBatch) -> list[Any]:
        values: list[Any] = row.values(batch).to_pylist()
        return [None if v is None else float(v) for v in values] if name in self.floats else values


def _record(
    columns: Sequence[Column], results: Sequence[Any], errors: list[plugin.RowError], counts: list[int] | None, name: str
) -> pa.RecordBatch:
    """The columns of what a function returned."""
    import pyarrow as pa

    from .plugin._arrow import schema_of
    from .plugin._map import column

    schema = schema_of(columns)
    single = not results or not any(dataclasses.is_dataclass(r) or isinstance(r, dict) for r in results)
    arrays = []
    for field in schema:
        values = list(results) if single else [_member(r, field.name) for r in results]
        arrays.append(column(values, field, errors, counts, name))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _member(result: Any, name: str) -> Any:
    if result is None:
        return None
    return result[name] if isinstance(result, dict) else getattr(result, name)


@py.transform("py_map")
class PyMap(plugin.Mapper):
    """Adds columns that a Python function in your own file computes.

    The function gets the values of `arguments` by the names of its parameters, and its annotations say which columns it returns: a
    dataclass or a `TypedDict` is a column for each field, and any other type one column with the block's name. A row
    with a null is passed on only if the parameter's type includes `None`; otherwise its result is null.

    quern calls the function only for rows whose result it does not have. The content of the file, and of the files that it
    imports from the folder of the configuration, is part of the stage's definition.
    """

    function: str
    """The function, as `FILE.py:NAME`. The file is relative to the configuration."""
    arguments: dict[str, plugin.Row[Any]]
    """The values of the parameters, by name, such as `{ text = row.body }`."""

    def prepare(self, p: plugin.Prepare) -> None:
        _prepare(self, p, flat=False)
        self.block = p.name

    def open(self) -> None:
        self.loaded = load(self.function, flat=False)

    def map_batch(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[plugin.RowError]]:
        errors: list[plugin.RowError] = []
        results: list[Any] = []
        for result in _Caller(self.loaded, self.arguments).results(batch):
            if isinstance(result, plugin.RowError):
                errors.append(result)
                result = None
            results.append(result)
        return _record(self.loaded.columns(self.block), results, errors, None, self.function), errors


@py.transform("py_flat_map")
class PyFlatMap(plugin.FlatMapper):
    """Replaces each row with the rows that a Python function in your own file returns for it: none, one, or many.

    As for `py_map`, but the function is annotated with `Iterator[T]` or `list[T]`, where `T` says which columns a row has. The columns of
    the input are repeated on each row.
    """

    function: str
    """The function, as `FILE.py:NAME`. The file is relative to the configuration."""
    arguments: dict[str, plugin.Row[Any]]
    """The values of the parameters, by name, such as `{ text = row.body }`."""

    def prepare(self, p: plugin.Prepare) -> None:
        _prepare(self, p, flat=True)
        self.block = p.name

    def open(self) -> None:
        self.loaded = load(self.function, flat=True)

    def map_batch(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[int], list[plugin.RowError]]:
        errors: list[plugin.RowError] = []
        counts: list[int] = []
        rows: list[Any] = []
        for result in self._rows(batch):
            if isinstance(result, plugin.RowError):
                errors.append(result)
                result = []
            counts.append(len(result))
            rows += result
        return _record(self.loaded.columns(self.block), rows, errors, counts, self.function), counts, errors

    def _rows(self, batch: pa.RecordBatch) -> Iterator[Any]:
        """The rows of each row. A generator fails while it is read."""
        for i, result in enumerate(_Caller(self.loaded, self.arguments).results(batch)):
            try:
                yield result if isinstance(result, plugin.RowError) else list(result or ())
            except plugin.RowError as e:
                yield plugin.RowError(e.message, row=i, temporary=e.temporary)


def main() -> None:
    py.serve()


if __name__ == "__main__":
    main()
