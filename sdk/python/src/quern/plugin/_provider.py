"""Providers of language models."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from . import _protocol as pb
from ._errors import CallError, Error, Malformed, diagnostic
from ._handles import Scope
from ._llm import ChatRequest
from ._plugin import Type


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """What ``Provider.embed`` returns.

    Attributes:
        vectors: One for each text, in order.
        input_tokens: The tokens that the provider reported.
    """

    vectors: Sequence[Sequence[float]]
    input_tokens: int = 0


class Models:
    """The models that were called. Each is decoded, prepared, and opened once, and lives as long as the plugin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, bytes], threading.Lock] = {}
        self._open: dict[tuple[str, bytes], Any] = {}

    def get(self, type: Type, instance: pb.Instance) -> Any:
        """Returns a model. After a failure, the next call tries again."""
        key = (instance.address, instance.config_json)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._open:
                self._open[key], _ = type.ready(instance, Scope(instance, running=True))
            return self._open[key]


def chat(models: Models, type: Type, instance: pb.Instance, requests: Iterator[pb.ChatRequest]) -> Iterator[pb.ChatResponse]:
    """Answers requests one after the other. Raises Malformed."""
    for r in requests:
        request = _decode(r.request)
        try:
            answer = models.get(type, instance).chat(request)
            yield pb.ChatResponse(response=answer.encode())
        except Exception as e:
            yield pb.ChatResponse(error=_call_error(e, type))


def _decode(text: bytes) -> ChatRequest:
    try:
        return ChatRequest.decode(text)
    except (Error, ValueError, TypeError, KeyError, AttributeError) as e:
        raise Malformed(f"the request is not valid: {e}") from e


def embed(models: Models, type: Type, request: pb.EmbedRequest) -> pb.EmbedResponse:
    try:
        given = models.get(type, request.model).embed(list(request.texts))
        e = given if isinstance(given, Embeddings) else Embeddings(given)
        if len(e.vectors) != len(request.texts):
            raise CallError(f"the model returned {len(e.vectors)} embeddings for {len(request.texts)} texts")
        made = [pb.Embedding(values=v) for v in e.vectors]
        return pb.EmbedResponse(embeddings=made, input_tokens=e.input_tokens)
    except Exception as e:
        return pb.EmbedResponse(error=_call_error(e, type))


def check(models: Models, type: Type, request: pb.CheckModelRequest) -> pb.CheckModelResponse:
    try:
        models.get(type, request.model).check()
        return pb.CheckModelResponse()
    except Exception as e:
        return pb.CheckModelResponse(error=_call_error(e, type))


def _call_error(e: Exception, type: Type) -> pb.CallError:
    if isinstance(e, CallError):
        return pb.CallError(message=e.message, status=e.status, temporary=e.temporary, retry_after_seconds=e.retry_after)
    d = diagnostic(e, str(type))
    temporary = isinstance(e, (TimeoutError, ConnectionError))
    return pb.CallError(message=f"{d.summary}\n{d.detail}".strip(), temporary=temporary)
