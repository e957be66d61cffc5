"""Stages on whole datasets: evaluators, trainers, and how they stop."""

from __future__ import annotations

import dataclasses
import json
import os
import threading

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served import Failed, Host, decode, encode, instance, rows_of, served

from quern import plugin
from quern.plugin import _protocol as pb

p = plugin.Plugin("r", version="0.1.0")


@dataclasses.dataclass
class Metrics:
    rows: int
    accuracy: float


@p.evaluate("r_accuracy")
class Accuracy(plugin.Runner):
    dataset: plugin.Dataset
    label: plugin.Row[str]
    target: plugin.Row[str]

    def run(self, run: plugin.Run) -> Metrics:
        rows = correct = 0
        for batch in self.dataset.batches(self.label, self.target, batch_rows=3):
            for label, target in zip(*(c.to_pylist() for c in batch.columns)):
                rows += 1
                correct += label == target
            run.progress(rows, self.dataset.rows or 0, "rows")
        if not rows:
            raise plugin.Error("no row has a target\nAdd rows.", argument="target")
        return Metrics(rows, correct / rows)


@p.train("r_majority", models=["r.majority/v1"], stop_seconds=7)
class Majority(plugin.Runner):
    dataset: plugin.Dataset
    text: plugin.Row[str] = plugin.argument(feature=True)
    target: plugin.Row[str]
    epochs: int = 1

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model("r.majority/v1", inputs={"text": self.text.type}, outputs={"label": "string"})
        p.add_dataset({"epoch": int, "loss": float}, name="losses")

    def run(self, run: plugin.Run) -> None:
        checkpoint = os.path.join(run.work_dir, "epoch")
        epoch = first = int(open(checkpoint).read()) if os.path.exists(checkpoint) else 0
        counts: dict[str, int] = {}
        try:
            for epoch in range(first, self.epochs):
                for batch in self.dataset.batches(self.target):
                    for target in batch.column(0).drop_null().to_pylist():
                        counts[target] = counts.get(target, 0) + 1
                run.write({"epoch": epoch, "loss": 1 / (epoch + 1)}, output="losses")
                run.wait(0.001)
        except plugin.Stopped:
            with open(checkpoint, "w") as f:
                f.write(str(epoch))
            raise
        with open(os.path.join(run.folder(), "label.txt"), "w") as f:
            f.write(max(sorted(counts), key=lambda k: counts[k]) if counts else "")

    @classmethod
    def load_model(cls, model: plugin.ModelFiles) -> plugin.Predictor:
        return Constant(open(model.path("label.txt")).read())


class Constant:
    def __init__(self, label: str) -> None:
        self.label = label

    def predict(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[plugin.RowError]]:
        made = pa.record_batch({"label": pa.array([self.label] * batch.num_rows).dictionary_encode()})
        return made, [plugin.RowError("no text", row=i) for i, v in enumerate(batch["text"].to_pylist()) if v is None]


@p.transform("r_predicted", columns={"label": str})
class Predicted(plugin.Runner):
    dataset: plugin.Dataset
    model: plugin.Model

    def run(self, run: plugin.Run) -> None:
        for batch in self.dataset.batches("text"):
            made, errors = self.model.predict(batch)
            for e in errors:
                run.fail_row(e.row, e.message)
            run.write(made)


@p.transform("r_wait", columns={"n": int})
class Wait(plugin.Runner):
    dataset: plugin.Dataset

    def run(self, run: plugin.Run) -> None:
        print("a line of output")
        run.warn("careful\nreally", argument="dataset")
        raise plugin.Pending("job ft-7: epoch 2 of 3", check_after=300)


@p.transform("r_faults", columns={"n": int})
class Faults(plugin.Runner):
    what: str

    def run(self, run: plugin.Run):
        if self.what == "undeclared":
            run.write({"m": 1})
        if self.what == "type":
            run.write(pa.record_batch({"n": ["a"]}))
        if self.what == "value":
            return Metrics(1, 2)
        if self.what == "bug":
            helper()


def helper() -> None:
    raise RuntimeError("boom\nin two lines")


@p.transform("r_selected")
class Selected(plugin.Runner):
    dataset: plugin.Dataset
    column: bool = False
    drop: bool = True
    do: str = ""

    def prepare(self, p: plugin.Prepare) -> None:
        p.keep_input("dataset", selection=plugin.Selection(rows_of="dataset") if self.drop else None)
        if self.column:
            p.add_column("n", int)

    def run(self, run: plugin.Run) -> None:
        n = pa.record_batch({"n": pa.array(range(10))}) if self.column else None
        keep = {
            "chunked": pa.chunked_array([[True, False] * 3, [True, False] * 2]),
            "arrow": pa.array([True] * 10),
            "null": [None] * 10,
            "short": [True] * 9,
        }
        run.write_selected(None if self.do == "missing" else n, keep.get(self.do, [False] * 9 + [True]))


@p.evaluate("r_shards")
class Shards(plugin.Runner):
    dataset: plugin.Dataset
    label: plugin.Row[str]

    def run(self, run: plugin.Run) -> None:
        for shard in self.dataset.shards:
            read = [b.num_rows for b in shard.batches("text", self.label, batch_rows=4)]
            run.warn(f"{shard.rows} {read} {len(shard.groups)} {shard.digest('text')} {shard.digest(self.label)} {shard.digest('x')}")


@pytest.fixture(scope="module")
def client():
    with served(p) as c:
        yield c


@pytest.fixture
def dataset(tmp_path):
    """A dataset of ten rows in two shards, one of which has two column groups."""
    rows = {
        "text": ["a", None, "c", "d", "e", "f", "g", "h", "i", "j"],
        "label": ["x", "y"] * 5,
        "target": ["x"] * 9 + [None],
    }

    def group(path, columns, first, end):
        table = pa.table({stored: pa.array(rows[n][first:end], pa.string()) for stored, n, _ in columns})
        pq.write_table(table, tmp_path / path, row_group_size=2)
        return pb.ColumnGroup(
            path=str(tmp_path / path), columns=[pb.StoredColumn(stored=s, name=n, argument=a, digest=f"sha256:{n}") for s, n, a in columns]
        )

    text, label, target = ("text", "text", False), ("c1", "label", True), ("target", "target", True)
    string = lambda *names: [pb.Column(name=n, type="string") for n in names]
    return pb.Artifact(
        kind=pb.ARTIFACT_KIND_DATASET,
        digest="sha256:1",
        rows=10,
        columns=string("text"),
        arguments=string("label", "target"),
        shards=[
            pb.Shard(rows=7, groups=[group("a", [text, label], 0, 7), group("b", [target], 0, 7)]),
            pb.Shard(rows=3, groups=[group("c", [text, label, target], 7, 10)]),
        ],
    )


DATASET = {"dataset": pb.Input(kind=pb.ARTIFACT_KIND_DATASET, columns=[pb.Column(name="text", type="string")])}


def accuracy():
    return instance("evaluate", "r_accuracy", {}, rows={"label": "string", "target": "string"}, inputs=DATASET)


def train(**config):
    return instance("train", "r_majority", config, rows={"text": "string", "target": "string"}, inputs=DATASET)


def test_an_evaluator_returns_its_metrics(client, dataset):
    prepared = client.prepare(accuracy())
    assert json.loads(prepared.value_type) == ["object", {"rows": "number", "accuracy": "number"}]
    events = client.run(accuracy(), inputs={"dataset": dataset})
    assert json.loads(events[-1].done.value_json) == {"rows": 10, "accuracy": 0.5}
    assert any(e.progress.done == 10 for e in events)


def test_an_error_is_shown_at_an_argument(client, dataset):
    empty = pb.Artifact()
    empty.CopyFrom(dataset)
    del empty.shards[:]
    with pytest.raises(Failed) as e:
        client.run(accuracy(), inputs={"dataset": empty})
    assert (e.value.summary, e.value.detail, e.value.argument) == ("no row has a target", "Add rows.", "target")


def test_a_trainer_writes_a_model_that_predicts(client, dataset, tmp_path):
    prepared = client.prepare(train())
    assert [(o.name, o.kind, o.format) for o in prepared.outputs] == [("", 2, "r.majority/v1"), ("losses", 1, "")]
    assert prepared.stop_seconds == 7
    events = client.run(train(), inputs={"dataset": dataset}, work_dir=str(tmp_path))
    assert rows_of(e.rows for e in events if e.HasField("rows")) == [{"epoch": 0, "loss": 1.0}]
    path = os.path.join(events[-1].done.folders[""], "label.txt")

    model = pb.Artifact(kind=pb.ARTIFACT_KIND_MODEL, format="r.majority/v1", signature=prepared.outputs[0].signature)
    model.files.append(pb.File(name="label.txt", path=path))
    rows = pa.record_batch({"text": ["a", None]})
    requests = iter(
        [pb.PredictRequest(start=model), pb.PredictRequest(rows=encode(rows)), pb.PredictRequest(rows=encode(rows.slice(0, 0)))]
    )
    answers = list(client.call("Predict", requests, "stream_stream"))
    assert [decode(a.rows).to_pylist() for a in answers] == [[{"label": "x"}, {"label": "x"}], []]
    assert [(e.row, e.message) for e in answers[0].errors] == [(1, "no text")]


def test_stop_lets_a_run_save_a_checkpoint(client, dataset, tmp_path):
    events = client.call(
        "Run", pb.RunRequest(instance=train(epochs=10**6), inputs={"dataset": dataset}, work_dir=str(tmp_path), call="c1"), "unary_stream"
    )
    seen = []

    def read():
        try:
            list(events)
        except grpc.RpcError as e:
            seen.append(e.code())

    reader = threading.Thread(target=read)
    reader.start()
    threading.Event().wait(0.3)
    client.call("Stop", pb.StopRequest(call="c1"))
    reader.join(10)
    assert seen == [grpc.StatusCode.CANCELLED]
    assert 1 <= int((tmp_path / "epoch").read_text()) < 10**6


def test_a_call_that_was_stopped_before_it_began_ends_at_once(client, dataset, tmp_path):
    client.call("Stop", pb.StopRequest(call="early"))
    with pytest.raises(grpc.RpcError, match="the call was stopped"):
        client.run(train(epochs=10**6), inputs={"dataset": dataset}, work_dir=str(tmp_path), call="early")


def test_a_canceled_call_frees_its_work(client, dataset, tmp_path):
    request = pb.RunRequest(instance=train(epochs=10**9), inputs={"dataset": dataset}, work_dir=str(tmp_path))
    events = client.call("Run", request, "unary_stream")
    threading.Event().wait(0.2)
    events.cancel()
    for _ in range(200):
        if (tmp_path / "epoch").exists():
            return
        threading.Event().wait(0.05)
    raise AssertionError("the work goes on")


def test_work_for_a_call_that_has_ended_already_is_stopped(dataset, tmp_path):
    from quern.plugin._server import Server

    class Ended:
        """The context of a call that was canceled before its handler began."""

        def add_callback(self, callback):
            return False

        def is_active(self):
            return False

        def abort(self, code, details):
            raise grpc.RpcError(code)

    request = pb.RunRequest(instance=train(epochs=10**9), inputs={"dataset": dataset}, work_dir=str(tmp_path))
    with pytest.raises(grpc.RpcError):
        list(Server(p).run(request, Ended()))


def test_a_stage_can_be_pending(client, dataset):
    events = client.run(instance("transform", "r_wait", {}, inputs=DATASET), inputs={"dataset": dataset})
    assert (events[-1].pending.reason, events[-1].pending.check_after_seconds) == ("job ft-7: epoch 2 of 3", 300)
    [d] = [e.diagnostic for e in events if e.HasField("diagnostic")]
    assert (d.severity, d.summary, d.detail, d.argument) == (2, "careful", "really", "dataset")


def test_a_stage_predicts_with_a_model_of_another_plugin(client, dataset):
    signature = pb.Signature(inputs=[pb.Column(name="text", type="string")], outputs=[pb.Column(name="label", type="string")])
    model = pb.Artifact(kind=pb.ARTIFACT_KIND_MODEL, signature=signature)
    inputs = {**DATASET, "model": pb.Input(kind=pb.ARTIFACT_KIND_MODEL, signature=signature)}

    def predict(rows):
        made = pa.record_batch({"label": rows["text"]})
        yield made.slice(0, 1), [], True  # in two messages
        yield made.slice(1), [pb.RowError(row=i, message="no") for i, t in enumerate(made["label"].slice(1)) if not t.is_valid], False

    with Host(predict=predict).serving() as socket:
        it = instance("transform", "r_predicted", {}, inputs=inputs)
        events = client.run(it, inputs={"dataset": dataset, "model": model}, host_socket=socket)
    assert [r["label"] for r in rows_of(e.rows for e in events if e.HasField("rows"))] == ["a", None, *"cdefghij"]
    assert [(e.failure.row, e.failure.message) for e in events if e.HasField("failure")] == [(1, "no")]


@pytest.mark.parametrize(
    ("what", "summary", "detail"),
    [
        ("undeclared", "the plugin is faulty", 'a row lacks the column "n"'),
        ("type", "the plugin is faulty", 'column "n" has the Arrow type string, but int64 was declared'),
        ("value", "the plugin is faulty", "run set a value, but prepare did not declare one"),
        ("bug", "RuntimeError: boom", "in helper"),
    ],
)
def test_mistakes_of_the_author_are_named(client, what, summary, detail):
    with pytest.raises(Failed) as e:
        client.run(instance("transform", "r_faults", {"what": what}))
    assert e.value.summary == summary and detail in e.value.detail
    assert "quern/plugin" not in e.value.detail


@pytest.mark.parametrize(
    ("config", "dropped"),
    [({}, [*range(9)]), ({"column": True}, [*range(9)]), ({"column": True, "do": "chunked"}, [1, 3, 5, 7, 9]), ({"do": "arrow"}, [])],
)
def test_a_runner_drops_rows_of_its_input(client, dataset, config, dropped):
    events = client.run(instance("transform", "r_selected", config, inputs=DATASET), inputs={"dataset": dataset})
    [sent] = [e.rows for e in events if e.HasField("rows")]
    assert list(sent.dropped) == dropped
    assert decode(sent.rows).num_rows == 10


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"drop": False}, "only an output of keep_input with a selection can drop rows"),
        ({"do": "null"}, "keep has a null"),
        ({"column": True, "do": "short"}, "there are 10 rows, but keep has 9 values"),
        ({"column": True, "do": "missing"}, "n"),
    ],
)
def test_mistakes_with_dropped_rows_are_named(client, dataset, config, fault):
    with pytest.raises(Failed, match=fault) as e:
        client.run(instance("transform", "r_selected", config, inputs=DATASET), inputs={"dataset": dataset})
    assert e.value.summary == "the plugin is faulty"


def test_shards_are_read_one_by_one(client, dataset):
    it = instance("evaluate", "r_shards", {}, rows={"label": "string"}, inputs=DATASET)
    events = client.run(it, inputs={"dataset": dataset})
    told = [e.diagnostic.summary for e in events if e.HasField("diagnostic")]
    assert told == ["7 [4, 3] 2 sha256:text sha256:label ", "3 [3] 1 sha256:text sha256:label "]
