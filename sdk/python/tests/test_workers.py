"""Worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from served import Client, Failed, Host, instance, rows_of

from quern import plugin
from quern.plugin import _protocol as pb
from quern.plugin._process import COOKIE

SOURCE = str(Path(__file__).parents[1] / "src")

PROGRAM = """
import dataclasses, os, time
from collections.abc import Iterator
from quern import plugin

@dataclasses.dataclass
class Settings:
    suffix: str = ""

p = plugin.Plugin("w", version="0.1.0", config=Settings)

@dataclasses.dataclass
class Out:
    text: str
    pid: int

@p.transform("w_map")
class Map(plugin.Mapper):
    text: plugin.Row[str]

    def prepare(self, p):
        p.drop_columns()

    def map_row(self, text: str) -> Out:
        if text == "slow":
            time.sleep(0.5)
        if text == "bug":
            raise KeyError(text)
        if text == "crash":
            os._exit(7)
        if text == "fail":
            raise plugin.RowError("no")
        return Out(text + p.settings.suffix, os.getpid())

@p.transform("w_ask", concurrency=8)
class Ask(plugin.Mapper):
    text: plugin.Row[str]
    model: plugin.Model

    def map_row(self, text: str) -> str:
        return self.model.chat(text).text

@p.train("w_train", models=["w.pid/v1"])
class Train(plugin.Runner):
    def run(self, run):
        pass

    @classmethod
    def load_model(cls, model):
        return Pid()

class Pid:
    def predict(self, batch):
        import pyarrow as pa
        return pa.record_batch({"pid": [os.getpid()] * batch.num_rows})

p.serve(workers=2)
"""


@pytest.fixture
def started(tmp_path):
    program = tmp_path / "plugin.py"
    program.write_text(PROGRAM)
    env = {**os.environ, "QUERN_PLUGIN": COOKIE, "PLUGIN_UNIX_SOCKET_DIR": str(tmp_path), "PYTHONPATH": SOURCE}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, str(program)], stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True)
    client = Client(grpc.insecure_channel("unix:" + process.stdout.readline().decode().split("|")[3]))
    client.call("Configure", pb.ConfigureRequest(config_json=b'{"suffix": "!"}'))
    yield client, process
    process.stdin.close()
    process.stdin = None
    process.communicate(timeout=20)


def it(type="w_map", **more):
    return instance("transform", type, {}, columns={"text": "string"}, rows={"text": "string"}, address="transform.out", **more)


def texts(*values):
    return pa.record_batch({"text": list(values)})


def test_batches_are_spread_and_answered_in_order(started):
    client, process = started
    answers = client.map(it(), [texts("slow")] + [texts(str(i), "fail") for i in range(10)])
    rows = rows_of(answers)
    assert [r["text"] for r in rows if r["text"]] == ["slow!", *(f"{i}!" for i in range(10))]
    pids = {r["pid"] for r in rows if r["pid"]}
    assert len(pids) == 2 and process.pid not in pids
    assert [[e.row for e in a.errors] for a in answers] == [[]] + [[1]] * 10
    assert client.map(it(), []) == []


def test_a_failure_in_a_worker_is_the_stages(started):
    client, _ = started
    with pytest.raises(Failed) as e:
        client.map(it(), [texts("a"), texts("bug"), texts("b")])
    assert e.value.summary == "KeyError: 'bug'" and "in map_row" in e.value.detail
    assert rows_of(client.map(it(), [texts("a")]))[0]["text"] == "a!"


def test_workers_ask_models_and_report_progress_together(started):
    client, _ = started
    model = {"model": pb.Input(kind=pb.ARTIFACT_KIND_MODEL, capabilities=["chat"])}

    def chat(model, request, draw):
        text = request["messages"][0]["content"]
        if text == "bad":
            raise plugin.CallError("refused")
        return text.upper()

    with Host(chat).serving() as socket:
        answers = client.map(it("w_ask", inputs=model), [texts("a", "bad"), texts("c"), texts("bad")], host_socket=socket, open_chats=4)
    assert [r["out"] for r in rows_of(answers)] == ["A", None, "C", None]


def test_predictions_are_spread_too(started):
    client, process = started
    signature = pb.Signature(inputs=[pb.Column(name="text", type="string")], outputs=[pb.Column(name="pid", type="int64")])
    start = pb.PredictRequest(start=pb.Artifact(format="w.pid/v1", signature=signature))
    from quern.plugin._arrow import encode

    requests = iter([start] + [pb.PredictRequest(rows=encode(texts("a", "b")))] * 6)
    pids = [r["pid"] for r in rows_of(client.call("Predict", requests, "stream_stream"))]
    assert len(pids) == 12 and len(set(pids)) == 2 and process.pid not in pids


def test_a_worker_that_crashes_ends_the_plugin(started):
    client, process = started
    with pytest.raises(grpc.RpcError):
        client.map(it(), [texts("crash")])
    assert process.wait(20) == 7
    assert b"a worker process ended (exit code 7)" in process.stderr.read()
