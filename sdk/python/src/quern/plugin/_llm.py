"""Requests to language models and their answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import Error


@dataclasses.dataclass
class ToolCall:
    """A call of a tool that a model asks for. ``arguments`` is JSON as the model wrote it; it can be malformed."""

    name: str
    arguments: str
    id: str = ""


@dataclasses.dataclass
class Message:
    """One message of a conversation. ``role`` is system, user, assistant, or tool."""

    role: str
    content: str = ""
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str = ""


@dataclasses.dataclass
class PromptMessage:
    """A message of a prompt that a stage produces, before the question. ``role`` is system, user, or assistant."""

    role: str
    content: str


@dataclasses.dataclass
class Tool:
    """A function that a model may call. ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None


@dataclasses.dataclass
class OutputSchema:
    """The JSON schema that an answer must have."""

    schema: Mapping[str, Any]
    name: str = ""
    strict: bool = False


@dataclasses.dataclass
class ChatRequest:
    """A request to a language model. Members that are None have the model's defaults.

    It has either messages or a ``prompt``, which the model continues as it is.
    With ``prompt_logprobs``, the answer has the log-probabilities of the tokens of the
    prompt or the messages; with ``max_tokens`` 0 as well, the model generates nothing.
    """

    messages: Sequence[Message] = ()
    tools: Sequence[Tool] = ()
    output: OutputSchema | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    logprobs: bool = False
    prompt: str = ""
    prompt_logprobs: bool = False

    def encode(self) -> bytes:
        """Returns the request as JSON."""
        return json.dumps(_compact(self), ensure_ascii=False, separators=(",", ":")).encode()

    @staticmethod
    def decode(text: str | bytes) -> ChatRequest:
        """Returns the request of a JSON text. Members that this version does not know are ignored."""
        given = _known(ChatRequest, json.loads(text))
        given["messages"] = [_message(m) for m in given.get("messages", ())]
        given["tools"] = [Tool(**_known(Tool, t)) for t in given.get("tools") or ()]
        if given.get("output"):
            given["output"] = OutputSchema(**_known(OutputSchema, given["output"]))
        return ChatRequest(**given)


@dataclasses.dataclass
class Usage:
    """Tokens of a request. ``input`` includes ``cached_input``."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    estimated: bool = False


@dataclasses.dataclass
class TokenLogprob:
    """A token of an answer and the natural logarithm of its probability."""

    token: str
    logprob: float


@dataclasses.dataclass
class PromptLogprob:
    """A token of a request.

    Attributes:
        token: Its text. Joined, the texts of all tokens give the prompt. If a token
            ends in the middle of a character, its text is empty, and the token that
            completes the character has the whole character. The text of a token that
            the model adds, such as one for the beginning, is empty, too.
        logprob: The natural logarithm of its probability after the tokens before it;
            None for the first.
        top: The most likely token in its place; None if the model does not say.
        message: The index of the message whose content, or end, it is; None for
            tokens of the chat template, and for a prompt.
    """

    token: str
    logprob: float | None
    top: TokenLogprob | None = None
    message: int | None = None


@dataclasses.dataclass
class ChatResponse:
    """An answer of a language model.

    ``finish_reason`` is stop, length, tool_calls, content_filter, refusal, or error.
    quern adds ``latency`` (seconds), ``cost``, ``cached``, and ``digest`` (the key of a cached answer) for stages.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = dataclasses.field(default_factory=Usage)
    tool_calls: Sequence[ToolCall] = ()
    refusal: str = ""
    thinking: str = ""
    logprobs: Sequence[TokenLogprob] = ()
    prompt_logprobs: Sequence[PromptLogprob] = ()
    model: str = ""
    latency: float = 0
    cost: float | None = None
    cached: bool = False
    digest: str = ""

    @property
    def refused(self) -> bool:
        """The model, or a filter of its provider, refused to answer."""
        return bool(self.refusal) or self.finish_reason in ("refusal", "content_filter")

    def encode(self) -> bytes:
        """Returns the answer as JSON, for quern."""
        out = _compact(self)
        out["finish_reason"], out["usage"] = self.finish_reason, {"input": 0, "output": 0, **out.get("usage", {})}
        for added in ("latency", "cost", "cached", "digest"):
            out.pop(added, None)
        return json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode()

    @staticmethod
    def decode(text: bytes) -> ChatResponse:
        """Returns the answer of a JSON text. Members that this version does not know are ignored."""
        given = _known(ChatResponse, json.loads(text))
        given["usage"] = Usage(**_known(Usage, given.get("usage") or {}))
        given["tool_calls"] = [ToolCall(**_known(ToolCall, c)) for c in given.get("tool_calls") or ()]
        given["logprobs"] = [TokenLogprob(**_known(TokenLogprob, t)) for t in given.get("logprobs") or ()]
        given["prompt_logprobs"] = [_scored(t) for t in given.get("prompt_logprobs") or ()]
        return ChatResponse(**{"text": "", **given})


def request_of(given: str | Sequence[Message] | ChatRequest) -> ChatRequest:
    """Returns a request: a text is the user's only message."""
    if isinstance(given, ChatRequest):
        return given
    if isinstance(given, str):
        return ChatRequest([Message("user", given)])
    return ChatRequest(list(given))


def _scored(given: Mapping[str, Any]) -> PromptLogprob:
    known = {"logprob": None, **_known(PromptLogprob, given)}
    if "top" in known:
        known["top"] = TokenLogprob(**_known(TokenLogprob, known["top"]))
    return PromptLogprob(**known)


def _message(given: Mapping[str, Any]) -> Message:
    known = _known(Message, given)
    known["content"] = _content(known.get("content", ""))
    known["tool_calls"] = [ToolCall(**{"name": "", "arguments": "", **_known(ToolCall, c)}) for c in known.get("tool_calls") or ()]
    return Message(**known)


def _content(given: Any) -> str:
    """Returns the text of a message: a string, or a list of texts."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise Error("a message has content that is not text\nRequests carry text only.")
    texts = []
    for part in given:
        if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS:
            part = part.get("text")
        if not isinstance(part, str):
            raise Error("a message has content that is not text\nRequests carry text only.")
        texts.append(part)
    return "".join(texts)


# The types of the parts of a message that are texts, in the forms of several providers.
_TEXT_PARTS = ("text", "input_text", "output_text")


def _known(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the members that a dataclass has; null means the default."""
    names = {f.name for f in dataclasses.fields(kind)}
    return {name: value for name, value in given.items() if name in names and value is not None}


def _compact(value: Any) -> Any:
    """Returns a dataclass as JSON, in the order of its fields, without defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {}
        for f in dataclasses.fields(value):
            member = getattr(value, f.name)
            required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            if required or member is not None and member != f.default and member != ():
                out[f.name] = _compact(member)
        if isinstance(value, Message):
            out["content"] = value.content
        return {name: member for name, member in out.items() if member != []}
    if isinstance(value, (list, tuple)):
        return [_compact(v) for v in value]
    return value
