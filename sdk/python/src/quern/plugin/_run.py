"""Stages on whole inputs."""

from __future__ import annotations

import os
import shutil
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from . import _protocol as pb
from ._arrow import conform
from ._columns import from_proto
from ._errors import CallError, Fault, Pending, legible, warning
from ._handles import File, Scope
from ._json import dumps, loads
from ._prepare import block_name
from ._rows import RowBuffer, pieces
from ._stream import Stream
from ._type import Type

_PROGRESS_EVERY = 0.1

_FOLDERS = (pb.ARTIFACT_KIND_MODEL, pb.ARTIFACT_KIND_REPORT)


class Run:
    """One execution of a Runner."""

    def __init__(self, request: pb.RunRequest, outputs: Mapping[str, pb.Output], stream: Stream[pb.RunResponse]) -> None:
        self.address: str = request.instance.address
        """The instance's address, such as ``train.intent["a"]``, for messages."""
        self.name = block_name(request.instance.address)
        """The block's name, the second part of the address."""
        self.work_dir: str = request.work_dir
        """A folder for this stage alone. If a run is interrupted, the next one gets
        the same folder with its contents: save checkpoints there, and look for them first."""
        self.folders: dict[str, str] = {}
        self.value: Any = None
        self._outputs = outputs
        self._stream = stream
        self._last = 0.0
        self._rows: dict[str, RowBuffer] = {}
        self._kept_again: list[str] = []
        self._kept_folder = ""
        self.kept: dict[str, File] = {f.name: File(f.name, f.path, f.digest, f.size) for f in request.kept}
        """The files that the last run of the same definition kept, by name. They save work, such as computing
        again what is known about rows that are still there; the result must be the same without them. They
        are missing in the first run, and when the user requests a new result."""
        self.money_left: float | None = request.money_left if request.HasField("money_left") else None
        """The most that the run may pay now, because of budgets; None: no budget limits it.
        A run whose ``prepare`` called ``pays`` must fail before it pays more."""

    @property
    def stopping(self) -> bool:
        """quern asked the work to end: save a checkpoint, and return or call ``check``."""
        return self._stream.stop.is_set()

    def check(self) -> None:
        """Raises Stopped if quern asked the work to end."""
        self._stream.check()

    def wait(self, seconds: float) -> bool:
        """Sleeps, and returns early with True if quern asks the work to end."""
        return self._stream.stop.wait(seconds)

    def write(self, rows: Any, *, output: str = "") -> None:
        """Appends rows to a dataset output. Raises Stopped once quern asked the work to end.

        Args:
            rows: A record batch, a table, a data frame, or one row: a dataclass or a
                dict with the declared columns.
            output: The name of the output.
        """
        self.check()
        self._buffer(output).write(rows)

    def write_selected(self, rows: Any, keep: Iterable[Any]) -> None:
        """Is ``write`` for the next rows of an output that ``keep_input`` declared with a selection.

        Args:
            rows: A record batch, a table, or a data frame with the columns of ``add_column``; None without such columns.
            keep: True for each row that the output has, false for each one to drop: a list or an Arrow or numpy array.
        """
        self.check()
        out = self._output("", pb.ARTIFACT_KIND_DATASET)
        if not out.rows_of or not out.selections:
            raise Fault("only an output of keep_input with a selection can drop rows")
        kept = list(keep.to_pylist() if isinstance(keep, (pa.Array, pa.ChunkedArray)) else keep)
        if None in kept:
            raise Fault("keep has a null: it must be true or false for each row")
        buffer = self._buffer("")
        buffer.flush()
        batch = conform(_without_columns(len(kept)) if rows is None else rows, buffer.schema)
        if batch.num_rows != len(kept):
            raise Fault(f"there are {batch.num_rows} rows, but keep has {len(kept)} values")
        for piece in pieces(batch):
            dropped = [i for i, k in enumerate(kept[piece.first : piece.end]) if not k]
            self._stream.send(pb.RunResponse(rows=pb.Rows(rows=piece.rows, dropped=dropped)))

    def _buffer(self, output: str) -> RowBuffer:
        if output not in self._rows:
            declared = self._output(output, pb.ARTIFACT_KIND_DATASET)
            own = [c for c in declared.columns if c.origin != pb.COLUMN_ORIGIN_INPUT]
            self._rows[output] = RowBuffer(from_proto(own), lambda data: self._send_rows(output, data))
        return self._rows[output]

    def _send_rows(self, output: str, data: bytes) -> None:
        self._stream.send(pb.RunResponse(rows=pb.Rows(output=output, rows=data)))

    def keep_again(self, *names: str) -> None:
        """Keeps files of ``kept`` for the next run, by name."""
        self._kept_again.extend(names)

    def keep_folder(self) -> str:
        """Returns the folder for new files that the next run of the same definition gets as ``kept``.

        It exists. If a run is interrupted, the next attempt finds the files there, so a file should
        get its name when it is complete.
        """
        self._kept_folder = os.path.join(self.work_dir, "kept")
        os.makedirs(self._kept_folder, exist_ok=True)
        return self._kept_folder

    def folder(self, output: str = "") -> str:
        """Returns the folder for the files of a model or report output. It exists, and is empty when it is first asked for."""
        if output not in self.folders:
            self._output(output, *_FOLDERS)
            path = os.path.join(self.work_dir, "output-" + urllib.parse.quote(output, safe=""))
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            self.folders[output] = path
        return self.folders[output]

    def set_value(self, value: Any) -> None:
        """Sets the plain values of the stage, as ``prepare`` declared them. A ``run`` that returns a dataclass need not call it."""
        self.value = value

    def progress(self, done: int, total: int = 0, unit: str = "", message: str = "") -> None:
        """Reports how much is done; ``total`` is 0 if unknown. Calls in quick succession are combined."""
        now = time.monotonic()
        if now - self._last >= _PROGRESS_EVERY or 0 < total <= done:
            self._last = now
            progress = pb.Progress(done=done, total=total, unit=unit, message=legible(message))
            self._stream.send(pb.RunResponse(progress=progress))

    def paid(self, money: float) -> None:
        """Reports money that the run has just paid, or can no longer avoid paying.

        It is in addition to what was reported before, also in earlier runs of the
        stage. A negative amount corrects an earlier one that was an estimate.
        """
        self._stream.send(pb.RunResponse(paid=money))

    def fail_row(self, row: int, message: str, *, temporary: bool = False) -> None:
        """Reports that a row, counted from 0 in its dataset, has no result. If more fail than ``max_errors`` allows, quern ends the run."""
        failure = pb.RowError(row=row, message=legible(message), temporary=temporary)
        self._stream.send(pb.RunResponse(failure=failure))

    def warn(self, text: str, *, argument: str = "") -> None:
        """Shows the user a warning without ending the run. The first line of the text is the summary."""
        self._stream.send(pb.RunResponse(diagnostic=warning(text, argument)))

    def _output(self, name: str, *kinds: int) -> pb.Output:
        output = self._outputs.get(name)
        if output is None:
            raise Fault(f"output {name!r} was not declared in prepare")
        if output.kind not in kinds:
            raise Fault(f"output {name!r} was declared as another kind of artifact")
        return output

    def finish(self, value_type: bytes) -> pb.Done:
        """Checks that everything that was declared exists."""
        for buffer in self._rows.values():
            buffer.flush()
        for name, output in self._outputs.items():
            if output.kind in _FOLDERS and name not in self.folders:
                raise Fault(f"output {name!r} was declared, but run did not call folder({name!r})")
        done = pb.Done(folders=self.folders, kept=self._kept_again, kept_folder=self._kept_folder)
        if value_type:
            done.value_json = _value(self.value, value_type)
        elif self.value is not None:
            raise Fault("run set a value, but prepare did not declare one")
        return done


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _value(value: Any, value_type: bytes) -> bytes:
    if value is None:
        raise Fault("prepare declared a value, but run returned none")
    encoded = dumps(value)
    declared, given = set(loads(value_type)[1]), set(loads(encoded.encode()))
    if declared != given:
        raise Fault(f"the value does not have the declared members: {', '.join(sorted(declared ^ given))}")
    return encoded.encode()


def serve_run(type: Type, request: pb.RunRequest, scope: Scope, stream: Stream[pb.RunResponse]) -> Iterator[pb.RunResponse]:
    """Carries out a stage. Failures of the stage are raised."""

    def work() -> None:
        stage, prepared = type.ready(request.instance, scope)
        try:
            run = Run(request, {o.name: o for o in prepared.outputs}, stream)
            stream.check()
            try:
                value = stage.run(run)
            except (Pending, CallError) as e:
                if isinstance(e, CallError) and not e.pending:
                    raise
                stream.send(pb.RunResponse(pending=pb.Pending(reason=legible(e.message), check_after_seconds=e.check_after)))
                return
            if value is not None:
                run.set_value(value)
            stream.send(pb.RunResponse(done=run.finish(prepared.value_type)))
        finally:
            stage.close()

    return stream.responses(work)
