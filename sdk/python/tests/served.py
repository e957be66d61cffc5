"""A plugin served in this process, and a client as quern has it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pyarrow as pa

from quern.plugin import CallError, Plugin
from quern.plugin import _protocol as pb
from quern.plugin._arrow import decode, encode
from quern.plugin._limits import LIMITS
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
        serialize = lambda m: m.SerializeToString()
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


class Host:
    """HostService, as quern serves it to a stage.

    ``chat`` answers a request (model, JSON, draw) with a text or raises a CallError; ``predict`` and ``evaluate`` answer batches.
    """

    def __init__(self, chat=None, predict=None, evaluate=None):
        self.answer_chat, self.answer_predict, self.answer_evaluate = chat, predict, evaluate
        self.rejected: list[tuple[str, str, int]] = []
        self.accepting: list[bool] = []
        self.open = self.most = 0

    def chat(self, requests, context):
        for r in requests:
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                self.accepting.append(r.accepts_truncated)
                text = self.answer_chat(r.model, json.loads(r.request), r.draw)
                yield pb.HostServiceChatResponse(
                    response=json.dumps({"text": text, "usage": {"input": 1, "output": 2}, "cost": 0.5}).encode()
                )
            except CallError as e:
                yield pb.HostServiceChatResponse(error=pb.CallError(message=e.message, status=e.status, temporary=e.temporary))
            except PermissionError as e:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(e))
            finally:
                self.open -= 1

    def embed(self, r, context):
        return pb.HostServiceEmbedResponse(embeddings=[pb.Embedding(values=[len(t), 0.5]) for t in r.texts])

    def reject(self, r, context):
        self.rejected.append((r.model, r.request.decode(), r.draw))
        return pb.HostServiceRejectResponse()

    def predict(self, requests, context):
        assert next(requests).start
        for r in requests:
            for rows, errors, more in self.answer_predict(decode(r.rows)):
                yield pb.HostServicePredictResponse(rows=encode(rows), errors=errors, more=more)

    def evaluate(self, r, context):
        values, errors = self.answer_evaluate(r.argument, decode(r.rows))
        return pb.HostServiceEvaluateResponse(rows=encode(pa.record_batch({"value": values})), errors=errors)

    @contextlib.contextmanager
    def serving(self):
        """Yields the path of the socket."""
        unary, both = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        serialize = lambda m: m.SerializeToString()
        handlers = {
            name: kind(function, getattr(pb, f"HostService{name}Request").FromString, serialize)
            for name, kind, function in (
                ("Chat", both, self.chat),
                ("Predict", both, self.predict),
                ("Embed", unary, self.embed),
                ("Reject", unary, self.reject),
                ("Evaluate", unary, self.evaluate),
            )
        }
        with tempfile.TemporaryDirectory() as folder:
            server = grpc.server(ThreadPoolExecutor(64), options=LIMITS)
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("quern.plugin.v1.HostService", handlers)])
            server.add_insecure_port(f"unix:{folder}/host.sock")
            server.start()
            try:
                yield f"{folder}/host.sock"
            finally:
                server.stop(0).wait()


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
        more: ``columns``, of the dataset ``input``; ``inputs``, other inputs; ``rows``, row arguments with their column types; fields of the message.
    """
    config = dict(config)
    inputs = more.pop("inputs", {})
    out = pb.Instance(kind=kind, type=type, address=more.pop("address", f"{kind}.it"))
    columns = more.pop("columns", None)
    if columns is not None:
        config["input"] = "input"
        made = [pb.Column(name=n, type=t) for n, t in columns.items()]
        out.inputs["input"].CopyFrom(pb.Input(kind=pb.ARTIFACT_KIND_DATASET, columns=made))
    for key, t in more.pop("rows", {}).items():
        if "." not in key:
            config.setdefault(key, key)
        out.row_arguments[key].CopyFrom(pb.RowArgument(type=t, rows_of="input"))
    for key, made in inputs.items():
        out.inputs[key].CopyFrom(made)
        if "." not in key:
            config.setdefault(key, key)
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
