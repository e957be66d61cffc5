"""Answers of language models as values of a late name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._llm import ChatResponse

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass
class OutputToolCall:
    """A call of a tool. ``arguments`` is any JSON."""

    id: str
    name: str
    arguments: Any


@dataclasses.dataclass
class OutputTokens:
    """The tokens of a request. ``input`` includes ``cached_input``."""

    input: int
    cached_input: int
    output: int
    total: int


@dataclasses.dataclass
class Output:
    """The type of a late name that is a model's answer: ``argument(late={"output": plugin.Output})``.

    What is unknown, such as a cost without prices, is null. ``json`` is the text parsed as JSON, or
    null if it is not JSON.
    """

    text: str
    json: Any
    tool_calls: list[OutputToolCall]
    finish_reason: str
    refused: bool
    refusal: str
    tokens: OutputTokens
    cost: float
    latency: float
    cached: bool
    model: str
    logprobs: list[float]

    @staticmethod
    def array(answers: Sequence[ChatResponse | None]) -> pa.Array:
        """Returns answers as values of such a name. None is null."""
        import pyarrow as pa

        from ._arrow_types import arrow_type

        return pa.array([None if a is None else _output(a) for a in answers], arrow_type(_COLUMN))


_COLUMN = (
    "struct<text:string,json:string,tool_calls:list<struct<id:string,name:string,arguments:string>>,"
    "finish_reason:string,refused:bool,refusal:string,"
    "tokens:struct<input:int64,cached_input:int64,output:int64,total:int64>,"
    "cost:float64,latency:float64,cached:bool,model:string,logprobs:list<float64>>"
)


def _output(a: ChatResponse) -> dict[str, Any]:
    u = a.usage
    return {
        "text": a.text,
        "json": a.text,  # what is not JSON is read as null
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in a.tool_calls],
        "finish_reason": a.finish_reason or None,
        "refused": a.refused,
        "refusal": a.refusal or None,
        "tokens": {"input": u.input, "cached_input": u.cached_input, "output": u.output, "total": u.input + u.output},
        "cost": a.cost,
        "latency": a.latency,
        "cached": a.cached,
        "model": a.model or None,
        "logprobs": [t.logprob for t in a.logprobs] or None,
    }
