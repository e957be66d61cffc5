"""Providers of language models."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from . import _protocol as pb
from ._errors import CallError, Error, Malformed, diagnostic, legible
from ._handles import Scope
from ._llm import ChatRequest, ChatResponse
from ._stages import ModelFiles
from ._type import Type


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """What ``Provider.embed`` returns.

    Attributes:
        vectors: One for each text, in order.
        input_tokens: The tokens that the provider reported.
    """

    vectors: Sequence[Sequence[float]]
    input_tokens: int = 0


@dataclasses.dataclass(frozen=True)
class BatchRequest:
    """One request of a batch."""

    id: str
    """Identifies the request within the batch: at most 32 letters and digits."""
    request: ChatRequest


@dataclasses.dataclass(frozen=True)
class BatchSubmission:
    """A batch to be submitted.

    Attributes:
        name: Names the batch, with up to 24 letters, digits, and dashes.
        requests: They can be read once.
        begun_seconds_ago: Set if quern has submitted the batch before, so long ago, and
            does not know whether the provider accepted it, for example because of a
            crash. If the provider has a batch of this name, ``submit_batch`` returns its
            token and submits nothing. If it cannot tell yet, it raises a temporary CallError.
    """

    name: str
    requests: Iterator[BatchRequest]
    begun_seconds_ago: float | None = None


@dataclasses.dataclass(frozen=True)
class BatchAnswer:
    """The answer to one request of a batch, or why there is none."""

    id: str
    response: ChatResponse | None = None
    error: CallError | None = None


@dataclasses.dataclass(frozen=True)
class BatchStatus:
    """How far a batch is.

    Attributes:
        done: The batch has ended. quern submits requests again that have neither an
            answer nor a permanent error.
        answered: The number of requests that were processed.
        total: The number of all requests.
        message: How far it is, in one line, or why it ended without answers.
        check_after: When it is worth asking again, in seconds from now.
        answers: Those of a batch that is done, in any order.
    """

    done: bool = False
    answered: int = 0
    total: int = 0
    message: str = ""
    check_after: float | None = None
    answers: Iterable[BatchAnswer] = ()


class Models:
    """The models that were called. Each is opened once, and lives as long as the plugin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, bytes, str], threading.Lock] = {}
        self._open: dict[tuple[str, bytes, str], Any] = {}

    def get(self, called: Called) -> Any:
        """Returns a model. After a failure, the next call tries again."""
        with self._lock:
            lock = self._locks.setdefault(called.key, threading.Lock())
        with lock:
            if called.key not in self._open:
                self._open[called.key] = called.open()
            return self._open[called.key]


@dataclasses.dataclass(frozen=True)
class Called:
    """What calls are for: a block of a provider, which can wrap a trained model, or a model that a runner trained."""

    type: Type
    block: pb.Instance | None = None
    trained: pb.Artifact | None = None

    @property
    def key(self) -> tuple[str, bytes, str]:
        digest = self.trained.digest if self.trained else ""
        return (self.block.address, self.block.config_json, digest) if self.block else ("", b"", digest)

    def open(self) -> Any:
        if self.block is None:
            assert self.trained is not None
            cls: Any = self.type.cls
            return cls.load_language_model(ModelFiles(self.trained))
        wrapped = {key: self.trained for key in self.block.inputs if self.trained}
        stage, _ = self.type.ready(self.block, Scope(self.block, wrapped, running=True))
        return stage


def find(types: Iterable[Type], format: str) -> Type:
    """Returns the type that loads language models of a format."""
    for t in types:
        if format in t.options.models and hasattr(t.cls, "load_language_model"):
            return t
    raise Error(f'no type of the plugin can call models of format "{format}"')


def chat(models: Models, called: Called, requests: Iterator[pb.ChatRequest]) -> Iterator[pb.ChatResponse]:
    """Answers requests one after the other. Raises Malformed."""
    for r in requests:
        request = _decode(r.request)
        try:
            answer = models.get(called).chat(request)
            yield pb.ChatResponse(response=answer.encode())
        except Exception as e:
            yield pb.ChatResponse(error=_call_error(e, called.type))


def _decode(text: bytes) -> ChatRequest:
    try:
        return ChatRequest.decode(text)
    except (Error, ValueError, TypeError, KeyError, AttributeError) as e:
        raise Malformed(f"the request is not valid: {e}") from e


def embed(models: Models, called: Called, texts: Sequence[str]) -> pb.EmbedResponse:
    try:
        given = models.get(called).embed(list(texts))
        e = given if isinstance(given, Embeddings) else Embeddings(given)
        if len(e.vectors) != len(texts):
            raise CallError(f"the model returned {len(e.vectors)} embeddings for {len(texts)} texts")
        made = [pb.Embedding(values=v) for v in e.vectors]
        return pb.EmbedResponse(embeddings=made, input_tokens=e.input_tokens)
    except Exception as e:
        return pb.EmbedResponse(error=_call_error(e, called.type))


def submit_batch(
    models: Models, called: Called, first: pb.SubmitBatchRequest, rest: Iterator[pb.SubmitBatchRequest]
) -> pb.SubmitBatchResponse:
    """Submits a batch. Raises Malformed."""

    def requests() -> Iterator[BatchRequest]:
        for message in itertools.chain([first], rest):
            for r in message.requests:
                yield BatchRequest(r.id, _decode(r.request))

    ago = first.begun_seconds_ago if first.HasField("begun_seconds_ago") else None
    try:
        token = models.get(called).submit_batch(BatchSubmission(first.name, requests(), ago))
    except Malformed:
        raise
    except Exception as e:
        return pb.SubmitBatchResponse(error=_call_error(e, called.type))
    return pb.SubmitBatchResponse(token=token)


def read_batch(models: Models, called: Called, token: bytes) -> Iterator[pb.ReadBatchResponse]:
    try:
        status = models.get(called).read_batch(token)
        yield pb.ReadBatchResponse(
            status=pb.BatchStatus(
                done=status.done,
                answered=status.answered,
                total=status.total,
                message=legible(status.message),
                check_after_seconds=status.check_after,
            )
        )
        if not status.done:
            return
        for a in status.answers:
            answer = pb.BatchAnswer(id=a.id)
            if a.error is not None:
                answer.error.CopyFrom(_call_error(a.error, called.type))
            else:
                answer.response = a.response.encode()
            yield pb.ReadBatchResponse(answer=answer)
    except Exception as e:
        yield pb.ReadBatchResponse(error=_call_error(e, called.type))


def check(models: Models, type: Type, request: pb.CheckModelRequest) -> pb.CheckModelResponse:
    try:
        models.get(Called(type, request.model)).check()
        return pb.CheckModelResponse()
    except Exception as e:
        return pb.CheckModelResponse(error=_call_error(e, type))


def _call_error(e: Exception, type: Type) -> pb.CallError:
    if isinstance(e, CallError):
        return pb.CallError(message=e.message, status=e.status, temporary=e.temporary, retry_after_seconds=e.retry_after)
    d = diagnostic(e, str(type))
    temporary = isinstance(e, (TimeoutError, ConnectionError))
    return pb.CallError(message=f"{d.summary}\n{d.detail}".strip(), temporary=temporary)
