"""What commands of quern say about a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """An error or a warning.

    Attributes:
        severity: ``error`` or ``warning``.
        summary: What is wrong.
        detail: Why, and what to do about it.
        file: The file of the configuration that it is about, relative to the pipeline's folder; empty if there is none.
        line: The line in that file, counted from 1; 0 if there is none.
        address: The stage that it is about; empty if it is about none.
    """

    severity: str
    summary: str
    detail: str = ""
    file: str = ""
    line: int = 0
    address: str = ""


@dataclasses.dataclass(frozen=True)
class Spend:
    """What calls to language models cost.

    Attributes:
        calls: The calls that a provider answered.
        cached_calls: The calls that the cache answered, which cost nothing.
        input_tokens: The tokens of the requests of ``calls``.
        output_tokens: The tokens of their answers.
        cost: Their cost in the currency of the models' prices.
        unpriced_calls: The calls that ``cost`` does not include because a price is unknown.
    """

    calls: int = 0
    cached_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    unpriced_calls: int = 0


@dataclasses.dataclass(frozen=True)
class Stage:
    """What a run did with a stage.

    Attributes:
        address: Such as ``label.intent``.
        status: ``done``, ``pending``, ``failed``, ``interrupted``, or ``skipped``.
        kind: Such as ``label``; like what follows, empty or 0 if the stage was skipped.
        type: Such as ``rules``.
        action: What happened, such as ``run`` or ``reuse``.
        seconds: How long it took.
        rows: The rows that it produced or, for a model or a report, that it read.
        new_rows: Of these, the rows that were computed in this run.
        reused_rows: The rows whose result was known.
        failed_rows: The rows that failed.
        pending_rows: The rows that wait for something outside; apply again later.
        outputs: The digests of its artifacts by port.
        spend: What its calls to language models cost.
        diagnostics: Why it failed, and its warnings.
        because: The stages that it needs and that are not done, if it was skipped.
    """

    address: str
    status: str
    kind: str = ""
    type: str = ""
    action: str = ""
    seconds: float = 0.0
    rows: int = 0
    new_rows: int = 0
    reused_rows: int = 0
    failed_rows: int = 0
    pending_rows: int = 0
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    spend: Spend = Spend()
    diagnostics: tuple[Diagnostic, ...] = ()
    because: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of ``apply``.

    Attributes:
        id: The ID in the history; empty if there was nothing to do.
        environment: The environment.
        status: ``done``, ``failed``, ``interrupted``, or ``pending`` if a stage waits for something outside, such as a person or a batch API.
        seconds: How long it took.
        stages: The stages that had something to do, by address. What is unchanged is not among them.
        spend: What all calls to language models cost.
        outputs: The values of the pipeline's outputs that are not sensitive. If there was nothing to do, it is empty.
        warnings: All warnings.
    """

    id: str
    environment: str
    status: str
    seconds: float
    stages: Mapping[str, Stage]
    spend: Spend
    outputs: Mapping[str, Any]
    warnings: tuple[Diagnostic, ...]
