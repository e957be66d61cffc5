"""Row-wise types."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from base import p
from quern import plugin


@dataclasses.dataclass
class Rule:
    name: plugin.Label
    when: plugin.Row[bool]
    """The rows that it concerns."""
    add: int = 1
    """What it adds."""


@p.label("conform_length", columns=int)
class Length(plugin.Mapper):
    """A labeler that counts characters."""

    text: plugin.Row[str]
    """The text to measure."""
    limit: int | None = None
    """A longer text fails."""
    rule: list[Rule] = []
    """What is added."""

    def prepare(self, p: plugin.Prepare) -> None:
        if p.known("limit") and self.limit is not None and self.limit < 0:
            p.error(f"limit must be at least 0\nIt is {self.limit}.", argument="limit")
        for rule in self.rule:
            key = f"rule.{rule.name}.add"
            if p.known(key) and rule.add == 0:
                p.warn("the rule adds nothing", argument=key)

    def map_batch(self, batch: pa.RecordBatch) -> Any:
        lengths: list[int | None] = []
        errors = []
        rules = [(rule.when.values(batch).to_pylist(), rule.add) for rule in self.rule]
        for row, text in enumerate(self.text.values(batch).to_pylist()):
            lengths.append(None)
            if text is None:
                continue
            if text == "crash":
                os._exit(7)
            if text == "wrong":
                raise plugin.Error("the text is wrong\nChange it.", argument="text")
            if text == "busy":
                errors.append(plugin.RowError("it is busy", row=row, temporary=True))
                continue
            n = len(text) + sum(add for when, add in rules if when[row])
            if self.limit is not None and n > self.limit:
                errors.append(plugin.RowError(f"{n} is above the limit", row=row))
                continue
            lengths[row] = n
        return pa.record_batch({"length": pa.array(lengths, pa.int64())}), errors


@p.transform("conform_twins", columns={"of_column": str, "of_argument": str})
class Twins(plugin.Mapper):
    """Reads a column and an argument of one name."""

    text: plugin.Row[str]
    """A text."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.read_columns("input", "text")

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"of_column": batch["input.text"], "of_argument": self.text.values(batch)})


@p.transform("conform_copy")
class Copy(plugin.Mapper):
    """Copies row arguments of any type."""

    values: dict[str, plugin.Row[Any]]
    """What is copied."""

    def prepare(self, p: plugin.Prepare) -> None:
        for name, value in sorted(self.values.items()):
            p.add_column(f"{name}_copy", value.type)
            if value.type == "string":
                p.count_values(f"{name}_copy")

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({f"{name}_copy": value.values(batch) for name, value in self.values.items()})


@p.transform("conform_repeat", columns={"repeated": str})
class Repeat(plugin.Mapper):
    """Repeats texts, which makes large rows."""

    text: plugin.Row[str]
    """A text."""
    times: int
    """How often it is repeated."""

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"repeated": pc.binary_repeat(self.text.values(batch).cast(pa.large_string()), self.times)})


@p.label("conform_ask", concurrency=2)
class Ask(plugin.Mapper):
    """A labeler that asks a model."""

    text: plugin.Row[str]
    """What the model is asked."""
    model: plugin.Model
    """The model to ask."""
    http: bool = False
    """Returns where the model's HTTP API is."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model_calls(plugin.ModelCalls(prompt="text", model="model", per_row=1))
        if self.http:
            p.use_openai_api()

    def map_row(self, text: str) -> str:
        if self.http:
            api = self.model.openai_api
            return f"{api.base_url} {api.api_key}"
        try:
            return self.model.chat(text).text
        except plugin.CallError as e:
            if e.pending:
                raise
            raise plugin.RowError(e.message, temporary=e.temporary) from e


@p.transform("conform_host", columns={"again": str, "length": float, "passed": bool, "y": float})
class Host(plugin.Mapper):
    """Has the host do all that it can."""

    text: plugin.Row[str]
    """What the model is asked."""
    model: plugin.Model
    """The model to ask."""
    trained: plugin.Model
    """The model that predicts."""
    check: plugin.Late[bool] = plugin.argument(late={"answer": str})
    """What is computed of an answer."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.read_columns("input", "id")

    def map_batch(self, batch: pa.RecordBatch) -> Any:
        texts = self.text.values(batch).to_pylist()
        answers, again = [], []
        for text in texts:
            answers.append(self.model.chat(text).text)
            self.model.reject(text)
            again.append(self.model.chat(text, draw=1).text)
        lengths = [vector[0] for vector in self.model.embed(texts)]
        passed, failed = self.check.evaluate(batch, answer=pa.array(answers, pa.string()))
        predicted, wrong = self.trained.predict(self.trained.inputs(batch))
        made = pa.record_batch({"again": again, "length": lengths, "passed": passed, "y": predicted.column(0)})
        return made, [*failed, *wrong]


@p.label("conform_later")
class Later(plugin.Mapper):
    """A labeler whose rows are pending at first."""

    text: plugin.Row[str]
    """A text."""

    def map_row(self, text: str, token: bytes) -> str:
        if not token:
            raise plugin.Pending("the job runs", token=f"job of {text}".encode(), check_after=90)
        return f"{text} {token.decode()}"


@p.transform("conform_words", columns={"word": str})
class Words(plugin.FlatMapper):
    """Produces a row for each word."""

    text: plugin.Row[str]
    """A text."""

    def map_row(self, text: str) -> Iterator[str]:
        if text == "wrong":
            raise plugin.RowError("it is wrong")
        yield from text.split()
