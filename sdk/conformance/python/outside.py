"""What is outside: models and deployments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from base import p
from quern import plugin


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
            return plugin.DeploymentPlan("replace", [plugin.Change("path", prior, self.path, forces_replacement=True)], coexists=True)
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
