"""The SDK for quern plugins in Python.

A plugin is a program that offers types, such as ``label "acme_length"``. A type is a
class that derives from Source, Mapper, FlatMapper, Runner, Provider, or Deployment.
Its fields are the arguments of the block.
"""

from typing import TYPE_CHECKING, Any

from ._arguments import Label, argument
from ._columns import Column
from ._errors import CallError, Error, Pending, RowError, Stopped
from ._handles import Artifact, Dataset, File, Late, Model, Prompt, Row, RowOrModel, Shard, Signature, Subject
from ._llm import ChatRequest, ChatResponse, Message, OutputSchema, PromptLogprob, PromptMessage, TokenLogprob, Tool, ToolCall, Usage
from ._output import Output, OutputTokens, OutputToolCall
from ._plugin import Plugin
from ._prepare import BatchLimits, LineageSource, ModelCalls, ModelInfo, Prepare, Price, Selection
from ._source import Fingerprint, RowCount
from ._stages import Deployment, FlatMapper, Mapper, ModelFiles, Predictor, Provider, Runner, Source

if TYPE_CHECKING:
    from ._deployment import Apply, Change, Delete, DeploymentPlan, PartlyApplied, Plan, State
    from ._provider import BatchAnswer, BatchRequest, BatchStatus, BatchSubmission, Embeddings
    from ._run import Run
    from ._sample import Sample, SampleCheck
    from ._writer import RowWriter

# Names whose modules are loaded when they are first used: Arrow takes as long as everything else.
_LATER = {
    "BatchAnswer": "_provider",
    "BatchRequest": "_provider",
    "BatchStatus": "_provider",
    "BatchSubmission": "_provider",
    "Embeddings": "_provider",
    "RowWriter": "_writer",
    "Run": "_run",
    "Sample": "_sample",
    "SampleCheck": "_sample",
    **dict.fromkeys(("Apply", "Change", "Delete", "DeploymentPlan", "PartlyApplied", "Plan", "State"), "_deployment"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)


__all__ = [
    "Apply",
    "Artifact",
    "BatchAnswer",
    "BatchLimits",
    "BatchRequest",
    "BatchStatus",
    "BatchSubmission",
    "CallError",
    "Change",
    "ChatRequest",
    "ChatResponse",
    "Column",
    "Dataset",
    "Delete",
    "Deployment",
    "DeploymentPlan",
    "Embeddings",
    "Error",
    "File",
    "Fingerprint",
    "FlatMapper",
    "Label",
    "Late",
    "LineageSource",
    "Mapper",
    "Message",
    "Model",
    "ModelCalls",
    "ModelFiles",
    "ModelInfo",
    "Output",
    "OutputSchema",
    "OutputTokens",
    "OutputToolCall",
    "PartlyApplied",
    "Pending",
    "Plan",
    "Plugin",
    "Predictor",
    "Prepare",
    "Price",
    "Prompt",
    "PromptLogprob",
    "PromptMessage",
    "Provider",
    "Row",
    "RowCount",
    "RowError",
    "RowOrModel",
    "RowWriter",
    "Run",
    "Runner",
    "Sample",
    "SampleCheck",
    "Selection",
    "Shard",
    "Signature",
    "Source",
    "State",
    "Stopped",
    "Subject",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "Usage",
    "argument",
]
