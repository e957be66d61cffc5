"""Stages on whole inputs."""

from __future__ import annotations

import os
import shutil
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from . import _protocol as pb
from ._columns import from_proto
from ._errors import CallError, Fault, Pending, legible, warning
from ._handles import Scope
from ._json import dumps, loads
from ._plugin import Type
from ._prepare import block_name
from ._rows import RowBuffer
from ._stream import Stream

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
        if output not in self._rows:
            declared = self._output(output, pb.ARTIFACT_KIND_DATASET)
            self._rows[output] = RowBuffer(from_proto(declared.columns), lambda data: self._send_rows(output, data))
        self._rows[output].write(rows)

    def _send_rows(self, output: str, data: bytes) -> None:
        self._stream.send(pb.RunResponse(rows=pb.Rows(output=output, rows=data)))

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
        done = pb.Done(folders=self.folders)
        if value_type:
            done.value_json = _value(self.value, value_type)
        elif self.value is not None:
            raise Fault("run set a value, but prepare did not declare one")
        return done


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
