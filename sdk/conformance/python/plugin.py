"""The conformance plugin, which ../README.md specifies, on the Python SDK."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc

from quern import plugin


@dataclasses.dataclass
class Settings:
    greeting: str = "hello"
    """What conform_values returns."""


p = plugin.Plugin("conform", version="1.0.0", config=Settings)


@p.configure
def configure() -> None:
    if not p.settings.greeting:
        raise plugin.Error("there is no greeting\nWrite one.", argument="greeting")


# Sources.


@dataclasses.dataclass
class PartRow:
    part: str
    n: int


@p.source("conform_parts", columns=PartRow)
class Parts(plugin.Source):
    """A source that consists of parts."""

    parts: list[str]
    """The names of the parts."""
    rows: int = 2
    """The number of rows in each part."""
    bad: int = 0
    """The row of each part that is set aside."""
    fail: str | None = None
    """What fails: fingerprint or read."""

    def prepare(self, p: plugin.Prepare) -> None:
        if p.known("rows") and self.rows < 0:
            p.error(f"rows must be at least 0\nIt is {self.rows}.", argument="rows")

    def fingerprint(self, memo: bytes) -> plugin.Fingerprint:
        if self.fail == "fingerprint":
            raise plugin.Error("there is no fingerprint\nTry again.", argument="fail")
        return plugin.Fingerprint(f"{','.join(self.parts)}:{self.rows}", f"{len(self.parts)} parts", memo + b"!")

    def read(self, out: plugin.RowWriter) -> None:
        for i, name in enumerate(self.parts, 1):
            out.part("part:" + name, functools.partial(self.write, out, name), name="part " + name)
            out.progress(i, len(self.parts), "parts")
            if self.fail == "read":
                raise plugin.Error("reading failed\nTry again.", argument="fail")

    def preview(self, out: plugin.RowWriter, max_bytes: int) -> plugin.RowCount:
        self.write(out, self.parts[0])
        return plugin.RowCount(len(self.parts) * self.rows, exact=True, size=len(self.parts))

    def write(self, out: plugin.RowWriter, part: str) -> None:
        for n in range(1, self.rows + 1):
            if n == self.bad:
                out.quarantine(f"part {part}, row {n}", str(n), "it is bad")
            else:
                out.write(PartRow(part, n))


@dataclasses.dataclass
class Point:
    a: int | None
    b: list[str | None] | None


@p.source(
    "conform_types",
    columns={
        "string": str, "int64": int, "float64": float, "bool": bool, "binary": bytes, "date": datetime.date,
        "timestamp": datetime.datetime, "list": list[str], "struct": Point,
    },
)  # fmt: skip
class Types(plugin.Source):
    """A source with columns of all types. It has neither parts nor a preview."""

    empty: bool = False
    """There are no rows."""

    def fingerprint(self, memo: bytes) -> str:
        return str(self.empty)

    def read(self, out: plugin.RowWriter) -> None:
        rows: list[list[Any]] = [
            ["é\n", "", None],
            [1, -(2**63), None],
            [0.1, 1e300, None],
            [True, False, None],
            [b"\x00\xff", b"", None],
            [datetime.date(2024, 1, 1), datetime.date(1969, 12, 31), None],
            [1704067200000001, -1, None],
            [["a", None], [], None],
            [{"a": 7, "b": ["a", None]}, {"a": None, "b": None}, None],
        ]
        columns = [pa.array([] if self.empty else values, f.type) for values, f in zip(rows, out.schema)]
        out.write(pa.record_batch(columns, schema=out.schema))


@p.source("conform_child", columns=PartRow)
class Child(plugin.Source):
    """A source that starts a process which outlives the call."""

    def fingerprint(self, memo: bytes) -> str:
        child = subprocess.Popen(["sleep", "1000"])
        Path(p.root, "child").write_text(str(child.pid))
        return str(child.pid)

    def read(self, out: plugin.RowWriter) -> None:
        raise plugin.Error("it has no rows")


# Row-wise types.


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


# Stages on whole datasets.


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


@p.evaluate("conform_sum", stop_seconds=7)
class Sum(plugin.Runner):
    """Adds up a column."""

    dataset: plugin.Dataset
    """The rows."""
    n: plugin.Row[int]
    """What is added up."""
    do: str | None = None
    """What else it does: warn, fail, pending, or wait."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_report()
        p.add_dataset({"n": int}, name="seen")
        p.set_lineage("n", plugin.LineageSource(argument=self.n.key, unchanged=True), output="seen")
        p.set_rows_lineage(plugin.LineageSource(input="dataset", column="n"), output="seen")
        p.set_value_type({"sum": int})

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
    made = [plugin.PromptLogprob(w, -i, plugin.TokenLogprob("a", -0.5)) if i else plugin.PromptLogprob(w, None) for i, w in enumerate(words)]
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


# What is outside.


@p.model("conform_model")
class Model(plugin.Provider):
    """Repeats messages in capital letters."""

    limit: int = 10
    """The number of characters that a message can have."""
    name: str = ""
    """A name to pin."""
    batch: bool = False
    """Submit requests as batches."""

    def prepare(self, p: plugin.Prepare) -> None:
        if self.name:
            p.pin(self.name, self.resolve)
        batch = plugin.BatchLimits(requests=3) if self.batch else None
        p.set_model(
            plugin.ModelInfo(max_concurrency=8, timeout=60, retries=3, cache=True, price=plugin.Price(input=1.5, output=1.5), batch=batch)
        )

    def resolve(self) -> str:
        if self.name == "gone":
            raise plugin.Error("gone cannot be resolved\nWrite another name.", argument="name")
        return f"commit of {self.name}"

    def check(self) -> None:
        if self.limit == 0:
            raise plugin.CallError("the limit is 0")

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        text = request.messages[-1].content
        if len(text) > self.limit:
            raise plugin.CallError(f"{len(text)} characters are too many", status=429, temporary=True, retry_after=1.5)
        return plugin.ChatResponse(text.upper(), usage=plugin.Usage(input=2, output=1))

    def submit_batch(self, batch: plugin.BatchSubmission) -> bytes:
        if batch.begun_seconds_ago is not None:
            return f"{batch.name} again".encode()
        # The token has the requests, so that no batch has to be kept.
        lines = [f"{r.id} {r.request.messages[-1].content}" for r in batch.requests]
        if batch.name == "refused":
            raise plugin.CallError("it was refused", status=400)
        return "\n".join([batch.name, *lines]).encode()

    def read_batch(self, token: bytes) -> plugin.BatchStatus:
        if token == b"waits":
            return plugin.BatchStatus(answered=1, total=2, message="1 of 2 are done", check_after=60)
        if token == b"gone":
            return plugin.BatchStatus(done=True, message="it is gone")
        _, *lines = token.decode().split("\n")
        return plugin.BatchStatus(done=True, answered=len(lines), total=len(lines), answers=self.answers(lines))

    def answers(self, lines: list[str]) -> Iterator[plugin.BatchAnswer]:
        for line in lines:
            id, space, text = line.partition(" ")
            if not space:
                raise plugin.CallError("it is cut off", temporary=True)
            try:
                answer = self.chat(plugin.ChatRequest([plugin.Message("user", text)]))
                yield plugin.BatchAnswer(id, answer)
            except plugin.CallError as e:
                yield plugin.BatchAnswer(id, error=e)

    def embed(self, texts: list[str]) -> plugin.Embeddings:
        if "wrong" in texts:
            raise plugin.CallError("it is wrong", status=400)
        return plugin.Embeddings([[len(t), 0.5] for t in texts], input_tokens=7)


@dataclasses.dataclass
class BaseValue:
    limit: int
    pin: str | None


@p.evaluate("conform_base")
class Base(plugin.Runner):
    """Returns the arguments of the model block that it is given."""

    base: plugin.Model
    """The model."""

    def prepare(self, p: plugin.Prepare) -> None:
        if self.base.block(Model) is None:
            p.error('base must be a model "conform_model"', argument="base")
        elif not self.base.block_known("limit"):
            p.warn("its limit is not known yet", argument="base")

    def run(self, run: plugin.Run) -> BaseValue:
        block = self.base.block(Model)
        assert block is not None
        return BaseValue(block.limit, self.base.pins.get(block.name))


@p.deploy("conform_file", state_version=1)
class File(plugin.Deployment):
    """Writes a digest to a file."""

    artifact: plugin.Artifact
    """What is deployed."""
    path: str
    """The file."""
    fail: bool = False
    """It fails after the file was written."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.set_value_type({"path": str})

    def read(self, state: plugin.State) -> plugin.State | None:
        return state if Path(state.value["path"]).exists() else None

    def plan(self, plan: plugin.Plan) -> plugin.DeploymentPlan:
        if plan.exists("artifact"):
            for f in self.artifact.files:
                if Path(f.path).read_text() == "broken":
                    raise plugin.Error(f"{f.name} of {self.artifact.digest} is broken", argument="artifact")
        if plan.prior is None:
            return plugin.DeploymentPlan("create")
        prior = plan.prior.value["path"]
        if plan.known("path") and prior != self.path:
            return plugin.DeploymentPlan("replace", [plugin.Change("path", prior, self.path, forces_replacement=True)])
        deployed = plan.prior.private.decode()
        return plugin.DeploymentPlan("none" if plan.digest("artifact") == deployed else "update")

    def apply(self, apply: plugin.Apply) -> plugin.State:
        digest = self.artifact.digest
        try:
            Path(self.path).write_text(digest)
        except OSError as e:
            raise plugin.Error(f"the file cannot be written\n{e}", argument="path") from e
        state = plugin.State({"path": self.path}, private=digest.encode())
        if self.fail:
            raise plugin.PartlyApplied("it is half done\nTry again.", state, argument="fail")
        apply.warn("the file was written", argument="path")
        return state

    def delete(self, delete: plugin.Delete) -> None:
        if delete.state is not None:
            Path(delete.state.value["path"]).unlink(missing_ok=True)

    def import_deployment(self, id: str) -> plugin.State | None:
        path = Path(id)
        return plugin.State({"path": id}, private=path.read_bytes()) if path.exists() else None

    @classmethod
    def upgrade_state(cls, version: int, state: plugin.State) -> plugin.State:
        """Converts states of version 0, in which path was called where."""
        return plugin.State({"path": state.value["where"]}, private=state.private)


# Functions.


@p.function("join", behavior_version=2, deprecated="Write a template instead.")
def join(separator: str, *texts: str | None) -> str | None:
    """Joins texts.

    Null is left out.

    Args:
        separator: What is put between the texts.
        texts: The texts.
    """
    if separator == "?":
        raise plugin.Error("it is a question", argument="separator")
    if separator == "!":
        raise plugin.Error("it is an order")
    if separator == "crash":
        os._exit(7)
    given = [t for t in texts if t is not None]
    return separator.join(given) if given else None


@dataclasses.dataclass
class Tagged:
    name: str
    tags: list[str]


@dataclasses.dataclass
class All:
    flag: bool
    whole: int
    real: float
    name: str
    tags: list[str]


@p.function("same")
def same(flag: bool, whole: int, real: float, item: Tagged) -> All:
    """Returns its arguments."""
    return All(flag, whole, real, item.name, item.tags)


@p.function("repeat")
def repeat(text: Annotated[pa.Array, str], times: Annotated[pa.Array, int]) -> Annotated[pa.Array, str]:
    """Repeats a text."""
    return pa.array([t * n for t, n in zip(text.to_pylist(), times.to_pylist())], pa.string())


if __name__ == "__main__":
    p.serve(workers=int(os.environ.get("CONFORM_WORKERS", "1")))
