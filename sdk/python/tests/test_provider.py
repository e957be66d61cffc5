"""Providers of models, deployments, and sources."""

from __future__ import annotations

import dataclasses
import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from served import Failed, instance, rows_of, served

from quern import plugin
from quern.plugin import _protocol as pb


@dataclasses.dataclass
class Settings:
    """Settings of the block."""

    endpoint: str = "https://example.com"
    """Where it is."""
    key: str | None = plugin.argument(default=None, sensitive=True)


p = plugin.Plugin("q", version="0.1.0-dev", config=Settings)


@p.model("q_shout")
class Shout(plugin.Provider):
    limit: int = 10

    def prepare(self, p: plugin.Prepare) -> None:
        p.set_model(plugin.ModelInfo(max_concurrency=8, timeout=60, retries=3, cache=True, price=plugin.Price(input=1.5, output=2)))

    def check(self) -> None:
        if self.limit == 0:
            raise plugin.CallError("no limit")

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        text = request.messages[-1].content
        if len(text) > self.limit:
            raise plugin.CallError("too long", status=429, temporary=True, retry_after=1.5)
        if text == "bug":
            raise KeyError("x")
        return plugin.ChatResponse(text.upper(), usage=plugin.Usage(input=len(text), output=1))

    def embed(self, texts):
        return plugin.Embeddings([[len(t), 0.5] for t in texts], input_tokens=7)


@dataclasses.dataclass
class Rule:
    """One rule."""

    name: plugin.Label
    say: str
    """What to say."""
    when: plugin.Row[bool] | None = None


@p.deploy("q_copy", state_version=1)
class Copy(plugin.Deployment):
    path: Path
    wait: datetime.timedelta = datetime.timedelta(seconds=90)
    rate: Decimal = Decimal("0.1")
    since: datetime.date | None = None
    extra: Any = None
    model: plugin.Model
    rule: list[Rule] = []

    def prepare(self, p: plugin.Prepare) -> None:
        p.set_value_type({"path": str, "digest": str, "new": str | None})

    def read(self, state):
        return state if Path(state.value["path"]).exists() else None

    def plan(self, plan):
        if plan.prior is None:
            return plugin.DeploymentPlan("create")
        if plan.known("path") and str(self.path) != plan.prior.value["path"]:
            return plugin.DeploymentPlan("replace", [plugin.Change("path", plan.prior.value["path"], str(self.path), True)])
        return plugin.DeploymentPlan("none" if plan.digest("model") == plan.prior.value["digest"] else "update")

    def apply(self, apply):
        self.path.write_text(Path(self.model.path("weights")).read_text())
        if self.extra == "fail":
            raise plugin.PartlyApplied("half done", plugin.State({"path": str(self.path), "digest": "?", "new": None}))
        apply.warn("slow")
        return plugin.State({"path": str(self.path), "digest": self.model.digest, "new": str(self.wait)}, private=b"p")

    def delete(self, delete):
        Path(delete.state.value["path"]).unlink(missing_ok=True)

    @classmethod
    def upgrade_state(cls, version, state):
        return plugin.State({"path": state.value["where"], "digest": "old"})


@p.source("q_lines", columns={"n": int, "text": str})
class Lines(plugin.Source):
    parts: dict[str, list[str]]
    later: int = 0

    def prepare(self, p: plugin.Prepare) -> None:
        if p.known("later") and self.later < 0:
            p.error(f"later must be at least 0\nIt is {self.later}.", argument="later")

    def fingerprint(self, memo: bytes) -> plugin.Fingerprint:
        return plugin.Fingerprint(json.dumps(self.parts), f"{len(self.parts)} parts", memo + b"!")

    def read(self, out: plugin.RowWriter) -> None:
        for name, lines in self.parts.items():

            def read(name=name, lines=lines):
                for i, line in enumerate(lines):
                    if line:
                        out.write({"n": i, "text": line})
                    else:
                        out.quarantine(f"{name}:{i}", "\udcff", "it is empty")

            out.part(name, read)

    def preview(self, out: plugin.RowWriter, max_bytes: int) -> plugin.RowCount:
        out.write({"n": 1, "text": "x" * max_bytes})
        return plugin.RowCount(5, exact=True, size=9)


@p.configure
def configure() -> None:
    if p.settings.endpoint == "bad":
        raise plugin.Error("bad endpoint", argument="endpoint")


@pytest.fixture(scope="module")
def client():
    with served(p, {"endpoint": "x", "key": None}) as c:
        yield c


def chat(client, *texts, **config):
    requests = [pb.ChatRequest(start=instance("model", "q_shout", config))]
    requests += [pb.ChatRequest(request=json.dumps({"messages": [{"role": "user", "content": t}], "unknown": 1}).encode()) for t in texts]
    return list(client.call("Chat", iter(requests), "stream_stream"))


def test_a_provider_answers_requests(client):
    info = client.prepare(instance("model", "q_shout", {})).model
    assert (list(info.capabilities), info.price.input, info.price.HasField("cached_input"), info.cache) == (
        ["chat", "embed"],
        1.5,
        False,
        True,
    )
    ok, late, bug, again = chat(client, "hi", "far too long", "bug", "yo")
    assert json.loads(ok.response) == {"text": "HI", "finish_reason": "stop", "usage": {"input": 2, "output": 1}}
    assert (late.error.message, late.error.status, late.error.temporary, late.error.retry_after_seconds) == ("too long", 429, True, 1.5)
    assert bug.error.message.startswith("KeyError: 'x'") and not bug.error.temporary
    assert json.loads(again.response)["text"] == "YO"


def test_a_provider_embeds_and_checks(client):
    out = client.call("Embed", pb.EmbedRequest(model=instance("model", "q_shout", {}), texts=["a", "bc"]))
    assert [list(e.values) for e in out.embeddings] == [[1, 0.5], [2, 0.5]] and out.input_tokens == 7
    assert not client.call("CheckModel", pb.CheckModelRequest(model=instance("model", "q_shout", {}))).HasField("error")
    out = client.call("CheckModel", pb.CheckModelRequest(model=instance("model", "q_shout", {"limit": 0})))
    assert out.error.message == "no limit"


def test_all_types_of_arguments_have_a_schema(client):
    schema = client.schema()
    assert [(a.name, a.sensitive, a.required, a.doc) for a in schema.config.arguments] == [
        ("endpoint", False, False, "Where it is."),
        ("key", True, False, ""),
    ]
    body = next(t for t in schema.types if t.name == "q_copy").body
    assert [(a.name, a.type, a.default_value, a.required) for a in body.arguments] == [
        ("path", b'"string"', b"", True),
        ("wait", b'"string"', b'"90s"', False),
        ("rate", b'"number"', b"0.1", False),
        ("since", b'"string"', b"", False),
        ("extra", b'"dynamic"', b"", False),
        ("model", b"", b"", True),
    ]
    [rule] = body.blocks
    assert (rule.name, list(rule.labels), rule.min_items, rule.max_items) == ("rule", ["name"], 0, 0)
    assert [(a.name, a.per_row, a.doc) for a in rule.body.arguments] == [("say", False, "What to say."), ("when", True, "")]


def deployed(tmp_path, **config):
    return instance("deploy", "q_copy", {"path": str(tmp_path / "out"), "wait": "1h30m", **config}, inputs={"model": pb.Input(kind=2)})


def artifact(tmp_path):
    (tmp_path / "w").write_text("weights")
    return {"model": pb.Artifact(kind=2, digest="sha256:9", files=[pb.File(name="weights", path=str(tmp_path / "w"))])}


def test_a_deployment_is_planned_applied_read_and_deleted(client, tmp_path):
    it = deployed(tmp_path)
    assert client.call("PlanDeployment", pb.PlanDeploymentRequest(instance=it)).action == pb.DEPLOYMENT_ACTION_CREATE
    out = client.call("ApplyDeployment", pb.ApplyDeploymentRequest(instance=it, inputs=artifact(tmp_path)))
    assert json.loads(out.state.value_json) == {"path": str(tmp_path / "out"), "digest": "sha256:9", "new": "1:30:00"}
    assert (out.state.version, out.state.private) == (1, b"p") and out.diagnostics[0].summary == "slow"
    plan = lambda **more: client.call("PlanDeployment", pb.PlanDeploymentRequest(instance=it, prior=out.state, **more))
    assert plan(digests={"model": "sha256:9"}).action == pb.DEPLOYMENT_ACTION_NONE
    assert plan().action == pb.DEPLOYMENT_ACTION_UPDATE
    assert not plan().HasField("upgraded")
    assert client.call("ReadDeployment", pb.ReadDeploymentRequest(instance=it, state=out.state)).HasField("state")
    client.call("DeleteDeployment", pb.DeleteDeploymentRequest(instance=it, state=out.state))
    assert not client.call("ReadDeployment", pb.ReadDeploymentRequest(instance=it, state=out.state)).HasField("state")


def test_what_was_created_is_not_lost_with_an_error(client, tmp_path):
    out = client.call("ApplyDeployment", pb.ApplyDeploymentRequest(instance=deployed(tmp_path, extra="fail"), inputs=artifact(tmp_path)))
    assert out.diagnostics[0].summary == "half done" and json.loads(out.state.value_json)["digest"] == "?"


def test_states_are_upgraded_and_newer_ones_refused(client, tmp_path):
    old = pb.DeploymentState(value_json=b'{"where": "/x"}')
    out = client.call("PlanDeployment", pb.PlanDeploymentRequest(instance=deployed(tmp_path), prior=old))
    assert json.loads(out.upgraded.value_json) == {"path": "/x", "digest": "old", "new": None} and out.upgraded.version == 1
    new = pb.DeploymentState(value_json=b"{}", version=2)
    out = client.call("PlanDeployment", pb.PlanDeploymentRequest(instance=deployed(tmp_path), prior=new))
    assert out.diagnostics[0].summary == "the state of the deployment is newer than the plugin"


@pytest.mark.parametrize(
    ("config", "summary"),
    [
        ({"wait": "soon"}, '"soon" is not a duration'),
        ({"since": "yesterday"}, "a date such as 2026-01-31 is required"),
        ({"path": ""}, "a path is required, and this one is empty"),
        ({"rate": "x"}, "a number is required"),
    ],
)
def test_a_value_of_the_wrong_form_is_shown_at_its_argument(client, tmp_path, config, summary):
    [d] = client.prepare(deployed(tmp_path, **config)).diagnostics
    assert (d.summary, d.argument) == (summary, next(iter(config)))


def test_a_source_is_read_by_part(client):
    it = instance("source", "q_lines", {"parts": {"a": ["x", ""], "b": ["y"], "c": []}})
    events = client.read(it, known_parts=["b"])
    assert rows_of(events) == [{"n": 0, "text": "x"}]
    parts = [(e.part.fingerprint, e.part.rows, e.part.known, e.part.quarantined) for e in events if e.HasField("part")]
    assert parts == [("a", 1, False, 1), ("b", 0, True, 0), ("c", 0, False, 0)]
    [aside] = [e.quarantined for e in events if e.HasField("quarantined")]
    assert (aside.origin, aside.content, aside.error) == ("a:1", "?", "it is empty")
    f = client.call("Fingerprint", pb.FingerprintRequest(instance=it, memo=b"m"))
    assert (f.summary, f.memo) == ("3 parts", b"m!")


def test_a_source_has_a_preview(client):
    it = instance("source", "q_lines", {"parts": {}})
    events = list(client.call("Preview", pb.PreviewRequest(instance=it, bytes=3), "unary_stream"))
    assert rows_of(events) == [{"n": 1, "text": "xxx"}]
    assert (events[-1].count.rows, events[-1].count.exact, events[-1].count.size) == (5, True, 9)


def test_unknown_values_are_empty_and_no_error_is_reported_about_them(client):
    it = instance("source", "q_lines", {"parts": {"a": [None]}, "later": None}, unknown=["/later", "/parts/a/0"])
    prepared = client.prepare(it)
    assert not prepared.diagnostics and [c.name for c in prepared.outputs[0].columns] == ["n", "text"]
    with pytest.raises(Failed, match="is not known yet"):
        client.read(it)
    [d] = client.prepare(instance("source", "q_lines", {"parts": {}, "later": -1})).diagnostics
    assert (d.summary, d.detail, d.argument) == ("later must be at least 0", "It is -1.", "later")


def test_settings_are_checked(client):
    with pytest.raises(Failed) as e, served(p, {"endpoint": "bad"}):
        pass
    assert e.value.argument == "endpoint"


def test_a_call_that_makes_no_sense_ends_with_a_status(client):
    for call, kind, it, code in (
        ("Prepare", "unary_unary", pb.PrepareRequest(instances=[pb.Instance(kind="label", type="q_none")]), grpc.StatusCode.NOT_FOUND),
        ("Fingerprint", "unary_unary", pb.FingerprintRequest(instance=instance("model", "q_shout", {})), grpc.StatusCode.INVALID_ARGUMENT),
        ("Map", "stream_stream", iter([pb.MapRequest(rows=b"")]), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as e:
            list(client.call(call, it, kind)) if kind != "unary_unary" else client.call(call, it, kind)
        assert e.value.code() == code
