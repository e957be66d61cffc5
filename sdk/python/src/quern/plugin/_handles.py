"""Arguments that hold artifacts or row expressions.

A handle is bound to one instance. While quern plans, it says what is known about
what it refers to; while the stage runs, it gives access to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from . import _protocol as pb
from ._columns import Column, from_proto
from ._errors import Error
from ._llm import ChatRequest, ChatResponse, Message, request_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ._dataset import Name
    from ._errors import RowError
    from ._host import Host, OpenAIAPI
    from ._unknown import Unknown

T = TypeVar("T")

_KINDS = {
    pb.ARTIFACT_KIND_DATASET: "dataset",
    pb.ARTIFACT_KIND_MODEL: "model",
    pb.ARTIFACT_KIND_REPORT: "report",
    pb.ARTIFACT_KIND_PROMPT: "prompt",
}


class BlockType(Protocol):
    """The type of a block that others can refer to."""

    def block(self, instance: pb.Instance) -> tuple[Any, Unknown]:
        """Returns the block's stage, and what is not known of it."""


@dataclasses.dataclass
class Scope:
    """What the handles of one instance refer to: inputs while planning, artifacts while running."""

    instance: pb.Instance
    artifacts: Mapping[str, pb.Artifact] = dataclasses.field(default_factory=dict)
    host: Host | None = None
    running: bool = False
    types: Mapping[tuple[str, str], BlockType] = dataclasses.field(default_factory=dict)

    def needs_host(self) -> Host:
        if self.host is None:
            raise Error("models cannot be asked here\nA stage can ask models while it maps or runs, if it has a model as an argument.")
        return self.host


@dataclasses.dataclass(frozen=True)
class Signature:
    """The columns that a model's prediction reads and returns."""

    inputs: Sequence[Column]
    outputs: Sequence[Column]


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a model or report.

    Attributes:
        name: A relative path with slashes.
        path: The absolute path in the local cache. The file is read-only.
        digest: ``sha256:…`` of the content.
        size: In bytes.
    """

    name: str
    path: str
    digest: str
    size: int


class Handle:
    """An argument that refers to something. ``key`` is the argument's key."""

    key: str

    def __init__(self, key: str, scope: Scope) -> None:
        self.key = key
        self._scope = scope

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"


class _Input(Handle):
    """An argument that holds an artifact."""

    @property
    def _artifact(self) -> pb.Artifact:
        artifact = self._scope.artifacts.get(self.key)
        if artifact is None:
            raise Error(f"{self.key!r} cannot be read here\nIts content is available while the stage runs.", argument=self.key)
        return artifact

    @property
    def _info(self) -> pb.Artifact | pb.Input:
        """What is known: the artifact, or what quern expects it to be."""
        return self._scope.artifacts.get(self.key) or self._scope.instance.inputs[self.key]

    @property
    def kind(self) -> str:
        """``dataset``, ``model``, ``report``, or ``prompt``."""
        return _KINDS[self._info.kind]

    @property
    def digest(self) -> str:
        """``sha256:…`` of the content. Available while the stage runs."""
        return self._artifact.digest

    @property
    def files(self) -> list[File]:
        """The files of a model or report. Available while the stage runs."""
        return [File(f.name, f.path, f.digest, f.size) for f in self._artifact.files]

    def path(self, name: str) -> str:
        """Returns the path of a file of a model or report by its name."""
        return path_of(self._artifact, name)


def path_of(artifact: pb.Artifact, name: str) -> str:
    for f in artifact.files:
        if f.name == name:
            return f.path
    raise Error(f"the artifact ({artifact.format}) has no file {name!r}\nIt has {', '.join(f.name for f in artifact.files) or 'no files'}.")


def _name(column: str | Handle) -> Name:
    return (column.key, True) if isinstance(column, Handle) else (column, False)


def _names(columns: Sequence[str | Handle]) -> list[Name]:
    return [_name(c) for c in columns]


class Dataset(_Input):
    """An argument that holds a dataset."""

    @property
    def columns(self) -> list[Column]:
        """All columns while planning; those that are read while the stage runs."""
        return from_proto(self._info.columns)

    @property
    def arguments(self) -> list[Column]:
        """The row arguments that belong to the dataset, by their keys. Available while the stage runs."""
        return from_proto(self._artifact.arguments)

    @property
    def rows(self) -> int | None:
        """The number of rows; None if it is not known yet."""
        info = self._info
        if isinstance(info, pb.Input) and not info.HasField("rows"):
            return None
        return info.rows

    def batches(self, *columns: str | Row[Any] | Prompt, batch_rows: int = 16384) -> Iterator[pa.RecordBatch]:
        """Reads the rows while the stage runs.

        Args:
            columns: What to read, in this order: names of columns, and handles of
                row arguments. By default, all columns and then all row arguments.
            batch_rows: The number of rows in a batch; the last can have fewer.

        The fields of a batch have the columns' names and the arguments' keys.
        """
        from ._dataset import read

        return read(self._artifact, _names(columns), batch_rows)

    def table(self, *columns: str | Row[Any] | Prompt) -> pa.Table:
        """Reads all rows into memory. See ``batches``."""
        from ._dataset import table

        return table(self._artifact, _names(columns))

    @property
    def shards(self) -> list[Shard]:
        """The parts that the rows are stored in, in order. Available while the stage runs."""
        return [Shard(self._artifact, s) for s in self._artifact.shards]


class Shard:
    """Some consecutive rows of a dataset.

    Attributes:
        rows: Their number.
        groups: The Parquet files that contain them, for engines that read files themselves. Each has some of the columns.
    """

    def __init__(self, artifact: pb.Artifact, shard: pb.Shard) -> None:
        self._artifact = artifact
        self._shard = shard
        self.rows = shard.rows
        self.groups: list[pb.ColumnGroup] = list(shard.groups)

    def digest(self, column: str | Row[Any] | Prompt) -> str:
        """Returns the digest of a column's or row argument's values, by which ``Run.kept`` can find what is known about them.

        It is empty for a column that is not read. That of a computed row argument is comparable only within a definition.
        """
        name, argument = _name(column)
        return next((c.digest for g in self.groups for c in g.columns if c.name == name and c.argument == argument), "")

    def batches(self, *columns: str | Row[Any] | Prompt, batch_rows: int = 16384) -> Iterator[pa.RecordBatch]:
        """Reads these rows. See ``Dataset.batches``."""
        from ._dataset import read

        return read(self._artifact, _names(columns), batch_rows, [self._shard])


class Model(_Input):
    """An argument that holds a model: a model block, or a model that a stage trained."""

    @property
    def format(self) -> str:
        """The format of a trained model, such as ``quern.linear/v1``."""
        return self._info.format

    @property
    def signature(self) -> Signature:
        """What a prediction reads and returns."""
        s = self._info.signature
        return Signature(from_proto(s.inputs), from_proto(s.outputs))

    @property
    def capabilities(self) -> list[str]:
        """``chat``, ``complete``, ``score``, ``embed``, ``predict``."""
        return list(self._scope.instance.inputs[self.key].capabilities)

    def block(self, provider: type[T]) -> T | None:
        """Returns the model block, such as the base model of a trainer. Only its fields can be used: it is neither prepared nor open.

        Values that are not known yet are defaults or empty; see ``block_known``.

        Args:
            provider: The class of the block's type.

        Returns:
            None if the model is a trained one, or a block of another type.
        """
        made, _ = self._block()
        return made if isinstance(made, provider) else None

    def block_known(self, key: str) -> bool:
        """Reports whether the argument of the model block at a key has a value already."""
        _, unknown = self._block()
        return unknown is not None and unknown.known(key)

    def _block(self) -> tuple[Any, Unknown | None]:
        block = self._scope.instance.inputs[self.key].model
        type = self._scope.types.get((block.kind, block.type))
        return (None, None) if type is None else type.block(block)

    @property
    def pins(self) -> dict[str, str]:
        """What the names that the model block pinned refer to; see ``Prepare.pin``."""
        return dict(self._scope.instance.inputs[self.key].model.pins)

    def chat(self, request: str | Sequence[Message] | ChatRequest, *, draw: int = 0, accept_truncated: bool = False) -> ChatResponse:
        """Asks the model, through quern: it waits, retries, caches, and counts costs.

        Args:
            request: A text, messages, or a whole request.
            draw: The number of the answer, if several are wanted.
            accept_truncated: The stage can use an answer that ended at the token limit, so
                quern caches it like any other. Otherwise the next run asks again.

        Raises:
            CallError: This request failed. Any other exception ends the stage.
        """
        return self._scope.needs_host().chat(self.key, request_of(request), draw, accept_truncated)

    def reject(self, request: str | Sequence[Message] | ChatRequest, *, draw: int = 0) -> None:
        """Says that the answer cannot be used, so that the next run asks again instead of using the cache."""
        self._scope.needs_host().reject(self.key, request_of(request), draw)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Returns the embedding of each text, in order.

        Raises:
            CallError: The request failed.
        """
        return self._scope.needs_host().embed(self.key, texts)

    @property
    def openai_api(self) -> OpenAIAPI:
        """Where the model can be called through OpenAI's API, if ``prepare`` called ``use_openai_api``."""
        return self._scope.needs_host().openai_api(self.key)

    def inputs(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the columns of ``signature.inputs`` in a batch of rows that the model is to predict over.

        They are the row arguments ``KEY.NAME``, which quern computes for a RowOrModel or a Subject.
        """
        from ._arrow import select

        return select(batch, {c.name: f"{self.key}.{c.name}" for c in self.signature.inputs})

    def predict(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[RowError]]:
        """Applies a trained model to rows with the columns of ``signature.inputs``.

        Returns:
            As many rows, with the columns of ``signature.outputs``, and the rows
            that failed; their results are to be ignored.
        """
        return self._scope.needs_host().predict(self.key, self._artifact, batch)


class Artifact(_Input):
    """An argument that holds an artifact of any kind."""

    @property
    def dataset(self) -> Dataset | None:
        """The artifact as a dataset, if it is one."""
        return Dataset(self.key, self._scope) if self.kind == "dataset" else None

    @property
    def model(self) -> Model | None:
        """The artifact as a model, if it is one."""
        return Model(self.key, self._scope) if self.kind == "model" else None


class Row(Handle, Generic[T]):
    """An argument that holds a row expression, such as ``row.body`` or ``lower(row.title)``.

    quern evaluates it, and the stage gets its values as a column. ``T`` is what the
    values are converted to: ``str``, ``int``, ``float``, ``bool``, or ``Any``.
    """

    @property
    def type(self) -> str:
        """The column type of the values."""
        return self._scope.instance.row_arguments[self.key].type

    @property
    def column(self) -> str:
        """The column's name if the expression is just ``row.NAME``, else empty."""
        return self._scope.instance.row_arguments[self.key].column

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """Returns the values in a batch of a mapper."""
        from ._arrow import argument

        return argument(batch, self.key)


class Prompt(Row[str]):
    """An argument that holds a prompt: a request for each row.

    A row's function gets it as a ChatRequest; in a batch it is a column of JSON.
    """


class Late(Handle, Generic[T]):
    """An argument that holds a row expression that also uses names of the stage, such as a model's output.

    Declare the names with ``argument(late={"output": str})``.
    """

    @property
    def type(self) -> str:
        """The column type of the values."""
        return self._scope.instance.row_arguments[self.key].type

    def evaluate(self, batch: pa.RecordBatch, **late: pa.Array) -> tuple[pa.Array, list[RowError]]:
        """Computes the values for rows.

        Args:
            batch: The columns of the dataset that the expression reads.
            late: The values of the late names, one for each row.

        Returns:
            A value for each row, and the rows that failed.
        """
        return self._scope.needs_host().evaluate(self.key, batch, late)


class RowOrModel(Handle):
    """An argument that holds a row expression or a model."""

    @property
    def row(self) -> Row[Any] | None:
        """The row expression, if it is one."""
        return None if self.key in self._scope.instance.inputs else Row(self.key, self._scope)

    @property
    def model(self) -> Model | None:
        """The model, if it is one."""
        return Model(self.key, self._scope) if self.key in self._scope.instance.inputs else None


class Subject(Handle):
    """An argument that holds what an evaluator measures: a model with a prompt, a trained model, or a row expression."""

    def __init__(self, key: str, scope: Scope, model: Model | None = None, prompt: Prompt | None = None) -> None:
        super().__init__(key, scope)
        self.model = model
        self.prompt = prompt

    @property
    def row(self) -> Row[Any] | None:
        """The row expression, if it is one."""
        return Row(self.key, self._scope) if self.model is None else None
