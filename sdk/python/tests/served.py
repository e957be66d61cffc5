"""A plugin served in this process, and a client as quern has it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import grpc
import pyarrow as pa

from quern.plugin import Plugin
from quern.plugin import _protocol as pb
from quern.plugin._arrow import arrow_type, decode, encode, type_name
from quern.plugin._process import LIMITS
from quern.plugin._server import SERVICE, Server, serve


class Failed(Exception):
    """A diagnostic of severity error."""

    def __init__(self, d: pb.Diagnostic) -> None:
        super().__init__(f"{d.summary}\n{d.detail}".strip())
        self.summary, self.detail, self.argument = d.summary, d.detail, d.argument


def check(diagnostics: Iterable[pb.Diagnostic]) -> None:
    for d in diagnostics:
        if d.severity == pb.Diagnostic.SEVERITY_ERROR:
            raise Failed(d)


class Client:
    """Calls a plugin over gRPC."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, method: str, request: Any, kind: str = "unary_unary", **options: Any) -> Any:
        """Makes a call: unary_unary, unary_stream, or stream_stream."""
        names = {"Preview": "ReadResponse"}
        response = getattr(pb, names.get(method, method + "Response"))
        serialize = (lambda m: m.SerializeToString())
        return getattr(self.channel, kind)(f"/{SERVICE}/{method}", serialize, response.FromString)(request, **options)

    def schema(self) -> pb.GetSchemaResponse:
        return self.call("GetSchema", pb.GetSchemaRequest())

    def prepare(self, instance: pb.Instance) -> pb.Prepared:
        [prepared] = self.call("Prepare", pb.PrepareRequest(instances=[instance])).prepared
        return prepared

    def map(self, instance: pb.Instance, batches: Iterable[pa.RecordBatch], **start: Any) -> list[pb.MapResponse]:
        """Maps batches and returns the answers, without progress. A failure is raised."""
        requests = itertools.chain(
            [pb.MapRequest(start=instance, **start)], (pb.MapRequest(rows=encode(arguments(b, instance))) for b in batches)
        )
        answers = []
        for answer in self.call("Map", requests, "stream_stream"):
            check(answer.diagnostics)
            if not answer.finished:
                answers.append(answer)
        return answers

    def read(self, instance: pb.Instance, **request: Any) -> list[pb.ReadResponse]:
        events = list(self.call("Read", pb.ReadRequest(instance=instance, **request), "unary_stream"))
        check(e.diagnostic for e in events if e.HasField("diagnostic"))
        return events

    def run(self, instance: pb.Instance, **request: Any) -> list[pb.RunResponse]:
        events = list(self.call("Run", pb.RunRequest(instance=instance, **request), "unary_stream"))
        check(e.diagnostic for e in events if e.HasField("diagnostic"))
        return events


def arguments(batch: pa.RecordBatch, instance: pb.Instance) -> pa.RecordBatch:
    """Marks the columns that are row arguments of an instance."""
    fields = [f.with_metadata({b"quern.argument": f.name.encode()}) if f.name in instance.row_arguments else f for f in batch.schema]
    return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields))


def instance(kind: str, type: str, config: Mapping[str, Any], **more: Any) -> pb.Instance:
    """Returns an instance as quern sends it.

    Args:
        kind: The kind of the block.
        type: The type.
        config: The configuration. ``inputs`` and ``row_arguments`` of it follow from ``more``.
        more: ``columns``, of the dataset ``input``; ``rows``, row arguments with their column types; fields of the message.
    """
    config = dict(config)
    out = pb.Instance(kind=kind, type=type, address=more.pop("address", f"{kind}.it"))
    columns = more.pop("columns", None)
    if columns is not None:
        config["input"] = "input"
        made = [pb.Column(name=n, type=t) for n, t in columns.items()]
        out.inputs["input"].CopyFrom(pb.Input(kind=pb.ARTIFACT_KIND_DATASET, columns=made))
    for key, t in more.pop("rows", {}).items():
        config.setdefault(key, key)
        out.row_arguments[key].CopyFrom(pb.RowArgument(type=t, rows_of="input"))
    out.config_json = json.dumps(config).encode()
    out.unknown.extend(more.pop("unknown", ()))
    assert not more, more
    return out


def rows_of(responses: Iterable[Any]) -> list[dict[str, Any]]:
    """Returns the rows of responses."""
    return [row for r in responses if r.rows for row in decode(r.rows).to_pylist()]


@contextlib.contextmanager
def served(plugin: Plugin, settings: Mapping[str, Any] | None = None) -> Iterator[Client]:
    """Serves a plugin on a socket."""
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "plugin.sock")
        server = serve(Server(plugin), socket, threading.Event())
        try:
            with grpc.insecure_channel(f"unix:{socket}", options=LIMITS) as channel:
                client = Client(channel)
                config = json.dumps(dict(settings or {})).encode()
                check(client.call("Configure", pb.ConfigureRequest(config_json=config, root="/root")).diagnostics)
                yield client
        finally:
            server.stop(0).wait()
