"""A stage's connection to quern, through which it asks models."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pyarrow as pa

from . import _protocol as pb
from ._arrow import ARGUMENT, LATE, cut, decode, encode, schema_of
from ._columns import from_proto
from ._errors import CallError, Fault, RowError, Stopped
from ._limits import LIMITS
from ._llm import ChatRequest, ChatResponse

_SERVICE = "/quern.plugin.v1.HostService/"


@dataclass(frozen=True)
class OpenAIAPI:
    """Where a stage's language models can be called through OpenAI's API.

    Requests are cached, limited, retried, and counted like those of ``Model.chat``, so
    a client should not retry them.
    """

    base_url: str
    """Such as ``http://127.0.0.1:40123/v1``."""
    api_key: str
    """The key that every request needs."""
    model: str
    """The name of the model in requests."""


class Host:
    """A call's connection to quern. All methods can be called from many threads."""

    def __init__(self, socket: str, open_chats: int, openai: tuple[str, str] | None = None) -> None:
        self.openai = openai
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=LIMITS)
        self._chatting = threading.BoundedSemaphore(open_chats) if open_chats > 0 else contextlib.nullcontext()
        self._idle: queue.SimpleQueue[_Exchange] = queue.SimpleQueue()
        self._predictions: dict[str, _Exchange] = {}
        self._lock = threading.Lock()
        self._streams: list[_Exchange] = []

    def close(self) -> None:
        for stream in self._streams:
            stream.end()
        self._channel.close()

    def openai_api(self, model: str) -> OpenAIAPI:
        if self.openai is None:
            raise Fault("the stage has no address of OpenAI's API; call use_openai_api in prepare")
        return OpenAIAPI(*self.openai, model=model)

    def chat(self, model: str, request: ChatRequest, draw: int, accept_truncated: bool) -> ChatResponse:
        with self._chatting:
            try:
                stream = self._idle.get_nowait()
            except queue.Empty:
                stream = self._open("Chat", pb.HostServiceChatRequest, pb.HostServiceChatResponse)
            asked = pb.HostServiceChatRequest(model=model, request=request.encode(), draw=draw, accepts_truncated=accept_truncated)
            answer = stream.ask(asked)
            self._idle.put(stream)
        if answer.HasField("error"):
            raise call_error(answer.error)
        return ChatResponse.decode(answer.response)

    def reject(self, model: str, request: ChatRequest, draw: int) -> None:
        reject = pb.HostServiceRejectRequest(model=model, request=request.encode(), draw=draw)
        self._call("Reject", reject, pb.HostServiceRejectResponse)

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        answer = self._call("Embed", pb.HostServiceEmbedRequest(model=model, texts=texts), pb.HostServiceEmbedResponse)
        if answer.HasField("error"):
            raise call_error(answer.error)
        if len(answer.embeddings) != len(texts):
            raise Fault(f"model {model!r} returned {len(answer.embeddings)} embeddings for {len(texts)} texts")
        return [list(e.values) for e in answer.embeddings]

    def evaluate(self, argument: str, batch: pa.RecordBatch, late: Mapping[str, pa.Array]) -> tuple[pa.Array, list[RowError]]:
        fields = [f for f in batch.schema if ARGUMENT not in (f.metadata or {})]
        columns = [c for f, c in zip(batch.schema, batch.columns) if ARGUMENT not in (f.metadata or {})]
        for name in sorted(late):
            fields.append(pa.field(name, late[name].type, metadata={LATE: name}))
            columns.append(late[name])
        rows = encode(pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)))
        answer = self._call("Evaluate", pb.HostServiceEvaluateRequest(argument=argument, rows=rows), pb.HostServiceEvaluateResponse)
        return decode(answer.rows).column(0), [_row_error(e, 0) for e in answer.errors]

    def predict(self, model: str, artifact: pb.Artifact, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[RowError]]:
        made: list[pa.RecordBatch] = []
        errors: list[RowError] = []
        outputs = schema_of(from_proto(artifact.signature.outputs))
        for piece in cut(batch):
            if piece.excess:
                made.append(pa.RecordBatch.from_arrays([pa.nulls(1, f.type) for f in outputs], schema=outputs))
                errors.append(RowError(f"the values that the model needs take {piece.excess}", row=piece.first))
                continue
            row = piece.first
            for answer in self._predict(model, piece.rows, piece.end - piece.first):
                part = decode(answer.rows)
                errors.extend(_row_error(e, row) for e in answer.errors)
                row += part.num_rows
                made.append(part)
        table = pa.Table.from_batches(made)
        return table.combine_chunks().to_batches()[0] if table.num_rows else made[0], errors

    def _predict(self, model: str, rows: bytes, count: int) -> Iterator[pb.HostServicePredictResponse]:
        with self._lock:
            stream = self._predictions.get(model)
            if stream is None:
                stream = self._open("Predict", pb.HostServicePredictRequest, pb.HostServicePredictResponse)
                stream.send(pb.HostServicePredictRequest(start=model))
                self._predictions[model] = stream
            answer = stream.ask(pb.HostServicePredictRequest(rows=rows))
            yield answer
            while answer.more:
                answer = stream.receive()
                yield answer

    def _open(self, method: str, request: Any, response: Any) -> _Exchange:
        call = self._channel.stream_stream(_SERVICE + method, request.SerializeToString, response.FromString)
        stream = _Exchange(call)
        self._streams.append(stream)
        return stream

    def _call(self, method: str, request: Any, response: Any) -> Any:
        with _over():
            return self._channel.unary_unary(_SERVICE + method, type(request).SerializeToString, response.FromString)(request)


class _Exchange:
    """A stream with one open request at a time."""

    def __init__(self, call: Any) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers = call(iter(self._requests.get, None))

    def end(self) -> None:
        self._requests.put(None)

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def receive(self) -> Any:
        with _over():
            return next(self._answers)

    def ask(self, request: Any) -> Any:
        self.send(request)
        return self.receive()


@contextlib.contextmanager
def _over() -> Iterator[None]:
    """A status means that the run is over for this stage; quern tells the user why."""
    try:
        yield
    except StopIteration:
        raise Stopped("quern ended the stage") from None
    except grpc.RpcError as e:
        raise Stopped(f"quern ended the stage: {e.details()}") from None


def call_error(e: pb.CallError) -> CallError:
    retry = e.retry_after_seconds if e.HasField("retry_after_seconds") else None
    after = e.check_after_seconds if e.HasField("check_after_seconds") else None
    return CallError(e.message, status=e.status, temporary=e.temporary, retry_after=retry, pending=e.pending, check_after=after)


def _row_error(e: pb.RowError, first: int) -> RowError:
    return RowError(e.message, row=first + e.row, temporary=e.temporary)
