"""Stages on whole datasets."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from base import p
from quern import plugin


@dataclasses.dataclass
class Item:
    name: plugin.Label
    value: float | None = None
    """A number."""


@dataclasses.dataclass
class ItemValue:
    name: str
    value: float | None


@dataclasses.dataclass
class Returned:
    greeting: str
    number: float
    exact: Decimal | None
    whole: int | None
    text: str | None
    flag: bool | None
    listed: list[str]
    mapped: dict[str, float]
    items: list[ItemValue]


@p.evaluate("conform_values")
class Values(plugin.Runner):
    """Returns its arguments."""

    number: float = 0.1
    """A number."""
    exact: Decimal | None = None
    """A number with all its digits."""
    whole: int | None = None
    """A whole number."""
    text: str | None = None
    """A text."""
    flag: bool | None = None
    """Yes or no."""
    listed: list[str] | None = None
    """A list."""
    mapped: dict[str, float] | None = None
    """A map."""
    item: list[Item] = []
    """Blocks."""
    file: Path | None = None
    """A file that the result depends on."""

    def prepare(self, p: plugin.Prepare) -> None:
        for key in ("number", "exact", "whole", "text", "flag", "listed", "mapped", "item"):
            if not p.known(key):
                p.warn("it is not known yet", argument=key)
        if self.file:
            p.add_file(self.file.name, self.file)

    def run(self, run: plugin.Run) -> Returned:
        items = [ItemValue(i.name, i.value) for i in self.item]
        return Returned(
            p.settings.greeting, self.number, self.exact, self.whole, self.text, self.flag, self.listed or [], self.mapped or {}, items
        )


# What a stage expects to pay.
PRICE = 1.5


@p.evaluate("conform_sum", stop_seconds=7)
class Sum(plugin.Runner):
    """Adds up a column."""

    dataset: plugin.Dataset
    """The rows."""
    n: plugin.Row[int]
    """What is added up."""
    do: str | None = None
    """What else it does: warn, fail, pending, pay, or wait."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_report()
        p.add_dataset({"n": int}, name="seen")
        p.set_lineage("n", plugin.LineageSource(argument=self.n.key, unchanged=True), output="seen")
        p.set_rows_lineage(plugin.LineageSource(input="dataset", column="n"), output="seen")
        p.set_value_type({"sum": int})
        if self.do == "pay":
            p.pays("Nobody knows.")
            p.set_estimate(money=PRICE)

    def check_sample(self, check: plugin.SampleCheck) -> None:
        s = check.sample(self.dataset)
        if s is None:
            check.warn("no rows are known yet", argument="dataset")
            return
        if self.do == "fail":
            raise plugin.Error("no n is good\nChange them.", argument="n")
        for i, n in enumerate(s.table(self.n).column(0).to_pylist()):
            if n is None:
                check.warn(f"there is no n\nIt is row {i}.", argument="n")
        if not s.complete and s.total is not None:
            check.set_estimate(rows=s.total, seconds=s.total / 10)

    def run(self, run: plugin.Run) -> None:
        if self.do == "warn":
            run.warn("some n are odd\nThat is fine.", argument="n")
        if self.do == "fail":
            raise plugin.Error("no n is good\nChange them.", argument="n")
        if self.do == "pending":
            raise plugin.Pending("the job runs", check_after=90)
        if self.do == "pay":
            if run.money_left is not None and run.money_left < PRICE:
                raise plugin.Error(f"the money is not enough\nThere is {run.money_left:g} left.", argument="do")
            run.paid(2)
            run.paid(-0.25)
        if self.do == "wait":
            self.wait(run)
        total = row = 0
        for batch in self.dataset.batches(self.n):
            run.write(pa.record_batch({"n": batch.column(0)}), output="seen")
            for n in batch.column(0).to_pylist():
                if n is None:
                    run.fail_row(row, "there is no n")
                else:
                    total += n
                row += 1
        Path(run.folder(), "report.md").write_text(f"The sum is {total}.\n")
        run.set_value({"sum": total})

    def wait(self, run: plugin.Run) -> None:
        """Waits until it is asked to stop and then saves a checkpoint, unless there is one."""
        checkpoint = Path(run.work_dir, "checkpoint")
        if checkpoint.exists():
            return
        run.progress(0, unit="rows", message="waiting")
        while not run.wait(60):
            pass
        checkpoint.write_text("stopped")
        run.check()


@dataclasses.dataclass
class Prompted:
    messages: list[plugin.PromptMessage]


@p.train("conform_prompt")
class Prompter(plugin.Runner):
    """Produces a prompt with another system message."""

    dataset: plugin.Dataset
    """The rows."""
    prompt: plugin.Prompt
    """The prompt to start from."""
    system: str
    """The system message."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_prompt("prompt")
        p.set_value_type(Prompted)

    def run(self, run: plugin.Run) -> Prompted:
        return Prompted([plugin.PromptMessage("system", self.system)])


@p.train("conform_mean", models=["conform.mean/v1"])
class Mean(plugin.Runner):
    """Trains a model that predicts the mean."""

    dataset: plugin.Dataset
    """The rows."""
    x: plugin.Row[float] = plugin.argument(feature=True)
    """What is known."""
    y: plugin.Row[float]
    """What is predicted."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model("conform.mean/v1", inputs={"x": float}, outputs={"y": float})

    def run(self, run: plugin.Run) -> None:
        values = self.dataset.table(self.y).column(0).to_pylist()
        Path(run.folder(), "mean.json").write_text(f"{sum(values) / len(values):g}")

    @classmethod
    def load_model(cls, model: plugin.ModelFiles) -> plugin.Predictor:
        return Predictor(float(Path(model.path("mean.json")).read_text()))


class Predictor:
    def __init__(self, mean: float) -> None:
        self.mean = mean

    def predict(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[plugin.RowError]]:
        made = pa.record_batch({"y": [self.mean] * batch.num_rows}, schema=pa.schema({"y": pa.float64()}))
        return made, [plugin.RowError("there is no x", row=i) for i, x in enumerate(batch["x"].to_pylist()) if x is None]


class Echo:
    """A language model that says a word and what it is told."""

    def __init__(self, model: plugin.ModelFiles | plugin.Model) -> None:
        self.word = Path(model.path("word")).read_text()

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        out = plugin.ChatResponse("", usage=plugin.Usage(input=2, output=1))
        if not request.prompt_logprobs or request.max_tokens != 0:
            out.text = f"{self.word} {request.prompt or request.messages[-1].content}"
        if request.prompt_logprobs:
            out.prompt_logprobs = _scores(request)
        return out

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[len(self.word + t)] for t in texts]


def _scores(request: plugin.ChatRequest) -> list[plugin.PromptLogprob]:
    """Returns a token for each word."""
    words = re.findall(r"[^ ]+ ?", request.prompt)
    made = [
        plugin.PromptLogprob(w, -i, plugin.TokenLogprob("a", -0.5)) if i else plugin.PromptLogprob(w, None) for i, w in enumerate(words)
    ]
    return made + [plugin.PromptLogprob(m.content, None, message=i) for i, m in enumerate(request.messages)]


@p.train("conform_echo", models=["conform.echo/v1"])
class TrainEcho(plugin.Runner):
    """Trains a language model."""

    word: str
    """What the model says first."""

    def prepare(self, p: plugin.Prepare) -> None:
        info = plugin.ModelInfo(capabilities=["chat", "complete", "embed", "score"], price=plugin.Price(0, 0), cache=True)
        p.add_model("conform.echo/v1", model=info)

    def run(self, run: plugin.Run) -> None:
        Path(run.folder(), "word").write_text(self.word)

    @classmethod
    def load_language_model(cls, model: plugin.ModelFiles) -> Echo:
        return Echo(model)


@p.model("conform_wrapped")
class Wrapped(plugin.Provider):
    """Calls a language model as its block says."""

    artifact: plugin.Model | None = None
    """A model that conform_echo trained."""
    loud: bool = False
    """It says everything in capital letters."""

    def prepare(self, p: plugin.Prepare) -> None:
        if self.artifact and self.artifact.format != "conform.echo/v1":
            raise plugin.Error(f"the format is wrong\nIt is {self.artifact.format}.", argument="artifact")
        p.set_model(plugin.ModelInfo(cache=True))

    def open(self) -> None:
        if self.artifact:
            self.echo = Echo(self.artifact)

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        if not self.artifact:
            raise plugin.CallError("it wraps no model")
        out = self.echo.chat(request)
        if self.loud:
            out.text = out.text.upper()
        return out

    def embed(self, texts: list[str]) -> plugin.Embeddings:
        raise plugin.CallError(f"{self.echo.word} embeds nothing")
