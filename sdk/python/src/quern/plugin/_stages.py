"""The base classes of types: derive from one of them.

A subclass is a dataclass whose fields are the arguments of the block. quern makes an
instance of it for each piece of work, so what ``open`` prepares can be kept in ``self``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ._arguments import argument
from ._errors import Error
from ._handles import Dataset, File, Signature, path_of

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import dataclass_transform

    from . import _protocol as pb
    from ._deployment import Apply, Delete, DeploymentPlan, Plan, State
    from ._errors import RowError
    from ._prepare import Prepare
    from ._source import Fingerprint
    from ._writer import RowWriter
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, field_specifiers=(argument, dataclasses.field))
class Stage:
    """What all types have in common. Derive from a subclass of it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, value in list(vars(cls).items()):
            # A list as a default is as safe as any: each instance gets its own.
            if name in cls.__dict__.get("__annotations__", {}) and isinstance(value, (list, dict)):
                setattr(cls, name, dataclasses.field(default_factory=value.copy))
        dataclasses.dataclass(kw_only=True, repr=False, eq=False)(cls)

    def prepare(self, p: Prepare) -> None:
        """Validates the arguments and declares the output, with the methods of ``p``.

        quern calls it while planning, when values can be unknown (see
        ``p.known``), and once more before the work. It must be deterministic.
        """

    def open(self) -> None:
        """Prepares once what the work needs, with all values known: compiles patterns, loads files."""

    def close(self) -> None:
        """Releases what ``open`` acquired."""


class Source(Stage):
    """Reads rows from outside. Declare the columns with ``columns=`` of the decorator or in ``prepare``.

    A source that can return some of its rows quickly and free of charge also has
    ``preview``, from which quern estimates the cost of language models:

        def preview(self, out: RowWriter, max_bytes: int) -> RowCount: ...
    """

    def fingerprint(self, memo: bytes) -> Fingerprint | str:
        """Identifies the current content at low cost.

        Args:
            memo: The memo that the last call returned, or empty.
        """
        raise NotImplementedError

    def read(self, out: RowWriter) -> None:
        """Writes all rows, in the same order whenever the content is the same."""
        raise NotImplementedError


class Mapper(Stage):
    """Adds columns to rows. It has one of these methods:

        def map_row(self, text: str) -> T: ...
        def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch: ...

    The parameters of ``map_row`` are row arguments by their names. Its return type
    declares the columns: a scalar is one column with the block's name, a dataclass
    one column for each field. A row with a null in a parameter that cannot be None
    is not passed on; its result is null. ``RowError`` fails a row. A row that raised
    ``Pending`` earlier brings its token if the last parameter is ``token: bytes``; for
    ``map_batch``, a second parameter is a mapping from rows to tokens.

    The columns of ``map_batch`` are declared with ``columns=`` of the decorator or
    in ``prepare``. It returns a batch of the same number of rows, or a pair of it
    and the list of RowErrors.

    What it produces for a row must depend on that row and the arguments alone.
    """

    input: Dataset
    """The rows to work on."""


class FlatMapper(Stage):
    """Produces any number of rows for each row. It has one of these methods:

        def map_row(self, text: str) -> Iterable[T]: ...
        def map_batch(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[int]]: ...

    As for a Mapper, but ``map_row`` yields rows, and ``map_batch`` returns the rows of
    the first row, then those of the second, and so on, and their counts. A triple also
    has the RowErrors. Columns of the input are repeated on each row.
    """

    input: Dataset
    """The rows to work on."""


class Predictor(Protocol):
    """A loaded model. If it has a method ``close``, it is called at the end."""

    def predict(self, batch: pa.RecordBatch) -> pa.RecordBatch | tuple[pa.RecordBatch, Sequence[RowError]]:
        """Takes the columns of the signature's inputs and returns those of its outputs, with as many rows."""


class ModelFiles:
    """A model as read-only files in the local cache."""

    def __init__(self, artifact: pb.Artifact) -> None:
        from ._columns import from_proto

        self._artifact = artifact
        self.format: str = artifact.format
        self.digest: str = artifact.digest
        self.files = [File(f.name, f.path, f.digest, f.size) for f in artifact.files]
        self.signature = Signature(from_proto(artifact.signature.inputs), from_proto(artifact.signature.outputs))

    def path(self, name: str) -> str:
        """Returns the path of a file by its name."""
        return path_of(self._artifact, name)


class Runner(Stage):
    """Reads whole inputs and produces any artifacts: datasets, models, reports, and values.

    It has this method, whose return type declares the values, if there are any:

        def run(self, run: Run) -> T: ...

    It can also have this method, which looks at some rows while quern plans, if the
    stage will run and some of its rows are known:

        def check_sample(self, check: SampleCheck) -> None: ...

    For the same arguments and inputs, it must produce the same bytes.

    A runner that trains language models (see ``p.add_model``) also has

        @classmethod
        def load_language_model(cls, model: ModelFiles) -> M: ...

    It is called once for each model, of one of the formats that ``models=`` of the
    decorator names. ``M`` has ``chat``, ``embed``, or both, as a Provider has, which
    are called from many threads for as long as the plugin lives.
    """

    @classmethod
    def load_model(cls, model: ModelFiles) -> Predictor:
        """Loads a model of one of the formats that ``models=`` of the decorator names, so that any stage can predict with it."""
        raise Error(f"{cls.__name__} cannot load models")


class Provider(Stage):
    """Calls language models. It has one or both of these methods, which make one attempt:

        def chat(self, request: ChatRequest) -> ChatResponse: ...
        def embed(self, texts: Sequence[str]) -> Embeddings: ...

    If the API answers many requests later, for less money, it can have these as well:

        def submit_batch(self, batch: BatchSubmission) -> bytes: ...
        def read_batch(self, token: bytes) -> BatchStatus: ...

    quern calls them in place of ``chat`` for a model whose ``ModelInfo`` has ``batch``
    set. ``submit_batch`` returns what ``read_batch`` needs to find the batch again: at
    most 4,096 bytes, and no secret. Of a batch that no longer exists, ``read_batch``
    returns that it is done, without answers.

    Calls come from many threads. They raise CallError if the attempt failed; any
    other exception counts as permanent. ``prepare`` declares the model with
    ``p.set_model``.

    One of the fields can be a Model: a trained model, of this or another plugin,
    which the block wraps. ``prepare`` checks its format, and ``open`` reads its files.
    """

    def check(self) -> None:
        """Raises CallError if calls would fail, as far as is known without calling anything."""


class Deployment(Stage):
    """Manages something outside the store that outlives a run. ``prepare`` declares the attributes of its state with ``p.set_value_type``."""

    def read(self, state: State) -> State | None:
        """Returns the current state, or None if the deployment no longer exists."""
        raise NotImplementedError

    def plan(self, plan: Plan) -> DeploymentPlan:
        """Returns what ``apply`` would do. It changes nothing."""
        raise NotImplementedError

    def apply(self, apply: Apply) -> State:
        """Creates or updates the deployment.

        If it fails after it created something, it raises ``PartlyApplied`` with the state.
        """
        raise NotImplementedError

    def delete(self, delete: Delete) -> None:
        """Deletes the deployment. If it no longer exists, that is no error."""
        raise NotImplementedError

    @classmethod
    def upgrade_state(cls, version: int, state: State) -> State:
        """Converts a state that was written with a lower ``state_version``."""
        raise Error(f"{cls.__name__} cannot upgrade a state of version {version}")
