"""Stages that ask models through quern, and rows that wait."""

from __future__ import annotations

import json
import threading
import time

import pyarrow as pa
import pytest
from served import Failed, Host, arguments, encode, instance, rows_of, served

from quern import plugin
from quern.plugin import _protocol as pb

p = plugin.Plugin("m", version="0.1.0")
MODEL = {"model": pb.Input(kind=pb.ARTIFACT_KIND_MODEL, capabilities=["chat", "embed"])}


@p.label("m_ask", batch_rows=2, concurrency=4)
class Ask(plugin.Mapper):
    text: plugin.Row[str]
    model: plugin.Model

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model_calls(plugin.ModelCalls(prompt="text", model="model"))

    def map_row(self, text: str) -> str:
        answer = self.model.chat(text)
        if answer.text == "HM":
            self.model.reject(text)
            raise plugin.RowError("no answer")
        return answer.text


@p.label("m_prompted")
class Prompted(plugin.Mapper):
    prompt: plugin.Prompt
    model: plugin.Model

    def map_row(self, prompt: plugin.ChatRequest) -> str:
        return self.model.chat(prompt, draw=1, accept_truncated=True).text


@p.evaluate("m_library")
class Library(plugin.Runner):
    """Hands its model to a library, and depends on a script."""

    model: plugin.Model
    script: str

    def prepare(self, p: plugin.Prepare) -> None:
        p.use_openai_api()
        p.add_file("script", self.script)
        p.add_file("weights", "/weights", digest="sha256:known")
        p.set_value_type({"at": str})

    def run(self, run: plugin.Run) -> None:
        api = self.model.openai_api
        run.set_value({"at": f"{api.base_url} {api.api_key} {api.model}"})


@p.transform("m_wait")
class Wait(plugin.Mapper):
    text: plugin.Row[str]

    def map_row(self, text: str, token: bytes) -> str:
        if not token:
            raise plugin.Pending("submitted", token=text.encode(), check_after=60)
        return f"done {token.decode()}"


@p.transform("m_wait_batch", columns=str)
class WaitBatch(plugin.Mapper):
    text: plugin.Row[str]

    def map_batch(self, batch, tokens):
        made = pa.record_batch({"it": pa.array([tokens[i].decode() if i in tokens else None for i in range(batch.num_rows)])})
        return made, [plugin.Pending("submitted", row=i) for i in range(batch.num_rows) if i not in tokens]


@pytest.fixture(scope="module")
def client():
    with served(p) as c:
        yield c


def ask():
    return instance("label", "m_ask", {}, columns={"text": "string"}, rows={"text": "string"}, inputs=MODEL, address="label.said")


def texts(*values):
    return pa.record_batch({"text": pa.array(values, pa.string())})


def test_rows_ask_a_model_at_the_same_time_and_are_answered_in_order(client):
    together = threading.Barrier(4, timeout=20)

    def chat(model, request, draw):
        assert (model, draw) == ("model", 0)
        text = request["messages"][0]["content"]
        if text.startswith("w"):
            together.wait()  # all four are being asked
        return text.upper()

    host = Host(chat)
    with host.serving() as socket:
        answers = client.map(ask(), [texts("w1", "w2"), texts("w3", "w4"), texts("a", None)], host_socket=socket)
    assert [r["said"] for r in rows_of(answers)] == ["W1", "W2", "W3", "W4", "A", None]


def test_no_more_requests_are_open_than_allowed(client):
    host = Host(lambda *_: time.sleep(0.02) or "x")
    with host.serving() as socket:
        client.map(ask(), [texts(*"abcdefgh")], host_socket=socket, open_chats=2)
    assert host.most == 2


def test_an_answer_can_be_rejected_and_a_failed_request_fails_its_row(client):
    def chat(model, request, draw):
        text = request["messages"][0]["content"]
        if text == "busy":
            raise plugin.CallError("try later", status=429, temporary=True)
        return text.upper()

    host = Host(chat)
    with host.serving() as socket:
        [answer] = client.map(ask(), [texts("hm", "busy", "ok")], host_socket=socket)
    assert sorted((e.row, e.message, e.temporary) for e in answer.errors) == [
        (0, "no answer", False),
        (1, "status 429: try later", True),
    ]
    assert host.rejected == [("model", '{"messages":[{"role":"user","content":"hm"}]}', 0)]


def test_the_end_of_the_run_ends_the_stage_even_if_rows_would_catch_exceptions(client):
    def chat(*_):
        raise PermissionError("the budget is spent")

    with Host(chat).serving() as socket, pytest.raises(Failed, match="the budget is spent"):
        client.map(ask(), [texts("a", "b", "c")], host_socket=socket)


def test_failed_rows_are_reported_before_their_batch_is_answered(client):
    go = threading.Event()

    def chat(model, request, draw):
        if request["messages"][0]["content"] == "bad":
            raise plugin.CallError("refused")
        go.wait(20)
        return "x"

    with Host(chat).serving() as socket:
        it = ask()
        requests = iter([pb.MapRequest(start=it, host_socket=socket), pb.MapRequest(rows=encode(arguments(texts("bad", "slow"), it)))])
        answers = client.call("Map", requests, "stream_stream")
        first = next(answers)
        assert (first.finished, first.failed, first.failure, first.rows) == (1, 1, "refused", b"")
        go.set()
        rest = list(answers)
    assert rest[-1].errors[0].row == 0


def test_a_prompt_is_a_request(client):
    seen = []
    it = instance("label", "m_prompted", {"prompt": "prompt"}, columns={}, rows={"prompt": "string"}, inputs=MODEL)
    request = '{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],"temperature":0,"max_tokens":5}'
    host = Host(lambda model, request, draw: seen.append((request, draw)) or "ok")
    with host.serving() as socket:
        client.map(it, [pa.record_batch({"prompt": [request]})], host_socket=socket)
    assert host.accepting == [True]
    assert seen == [
        (
            {
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
                "temperature": 0,
                "max_tokens": 5,
            },
            1,
        )
    ]


def test_a_row_can_be_pending_and_comes_back_with_its_token(client):
    it = instance("transform", "m_wait", {}, columns={}, rows={"text": "string"}, address="transform.it")
    [answer] = client.map(it, [texts("a", None)])
    [e] = answer.errors
    assert (e.row, e.message, e.pending.token, e.pending.check_after_seconds) == (0, "submitted", b"a", 60)
    answers = client.call(
        "Map",
        iter(
            [pb.MapRequest(start=it), pb.MapRequest(rows=encode(arguments(texts("b", "a"), it)), tokens=[pb.RowToken(row=1, token=b"a")])]
        ),
        "stream_stream",
    )
    [answer] = list(answers)
    assert rows_of([answer])[1] == {"it": "done a"} and [e.row for e in answer.errors] == [0]


def test_a_batch_gets_tokens_too(client):
    it = instance("transform", "m_wait_batch", {}, columns={}, rows={"text": "string"}, address="transform.it")
    [answer] = client.map(it, [texts("a", "b")])
    assert [(e.row, e.HasField("pending")) for e in answer.errors] == [(0, True), (1, True)]


def test_a_library_gets_the_address_of_openais_api(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("1")
    made = instance("evaluate", "m_library", {"script": str(script)}, inputs=MODEL)
    api = pb.OpenAIAPI(base_url="http://127.0.0.1:1/v1", api_key="secret")
    with served(p) as client, Host().serving() as socket:
        prepared = client.prepare(made)
        assert prepared.openai_api
        [file, known] = prepared.files
        assert (file.name, file.path) == ("script", str(script))
        assert file.digest == "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        assert (known.name, known.path, known.digest) == ("weights", "/weights", "sha256:known")
        *_, done = client.run(made, host_socket=socket, openai_api=api, work_dir=str(tmp_path))
        assert json.loads(done.done.value_json) == {"at": "http://127.0.0.1:1/v1 secret model"}
