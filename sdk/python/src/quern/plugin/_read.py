"""Sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import _protocol as pb
from ._columns import Column, from_proto
from ._errors import Fault, diagnostic
from ._handles import Scope
from ._source import Fingerprint
from ._stream import Stream
from ._type import Type
from ._unknown import Unknown
from ._writer import RowWriter


def fingerprint(type: Type, request: pb.FingerprintRequest) -> pb.FingerprintResponse:
    """Identifies the content. It does not prepare the instance: prepare may read much more."""
    try:
        given = type.decode(request.instance, Unknown(request.instance.unknown)).fingerprint(request.memo)
    except Exception as e:
        return pb.FingerprintResponse(diagnostics=[diagnostic(e, str(type))])
    f = Fingerprint(given) if isinstance(given, str) else given
    return pb.FingerprintResponse(fingerprint=f.value, memo=f.memo, summary=f.summary)


def read(type: Type, request: pb.ReadRequest, stream: Stream[pb.ReadResponse]) -> Iterator[pb.ReadResponse]:
    """Sends the rows of a source."""

    def work() -> None:
        stage, columns = _ready(type, request.instance)
        try:
            out = RowWriter(columns, stream, request.memo, request.known_parts)
            stage.read(out)
            out.finish()
        finally:
            stage.close()

    return stream.responses(work)


def preview(type: Type, request: pb.PreviewRequest, stream: Stream[pb.ReadResponse]) -> Iterator[pb.ReadResponse]:
    """Sends some rows of a source, and their number."""

    def work() -> None:
        stage, columns = _ready(type, request.instance)
        try:
            out = RowWriter(columns, stream)
            count = stage.preview(out, request.bytes)
            out.finish()
            stream.send(pb.ReadResponse(count=pb.RowCount(rows=count.rows, exact=count.exact, size=count.size)))
        finally:
            stage.close()

    return stream.responses(work)


def _ready(type: Type, instance: pb.Instance) -> tuple[Any, list[Column]]:
    stage, prepared = type.ready(instance, Scope(instance, running=True))
    if len(prepared.outputs) != 1 or prepared.outputs[0].name:
        raise Fault("prepare must declare one dataset: write columns=… in the decorator, or call add_dataset")
    return stage, from_proto(prepared.outputs[0].columns)
