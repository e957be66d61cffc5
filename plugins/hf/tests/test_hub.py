"""Repositories of a stand-in for the Hugging Face Hub, read with the real huggingface_hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub
import pytest
from conftest import ROOT

# Each call has a process of its own, because huggingface_hub reads the environment when it is imported.
CALL = """
import json, sys
from quern import plugin
from quern_hf.hub import Repository
name, of, arguments = json.loads(sys.argv[1])
try:
    print(json.dumps({"returned": str(getattr(Repository(**of), name)(*arguments))}))
except plugin.Error as e:
    print(json.dumps({"error": str(e), "argument": e.argument}))
"""


class Client:
    """Calls methods of Repository."""

    def __init__(self, url: str, cache: Path) -> None:
        self.env = {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def __call__(
        self, method: str, *arguments: str, name: str = "org/model", env: dict[str, str] | None = None, **more: Any
    ) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT / "sdk/python/src"), str(ROOT / "plugins/hf/src")])
        given = json.dumps([method, {"name": name, **more}, arguments])
        environment = {**os.environ, **self.env, "PYTHONPATH": path, **(env or {})}
        done = subprocess.run([sys.executable, "-c", CALL, given], capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[hub.Hub]:
    with hub.serving("org/model") as made:
        folder = tmp_path / "content"
        (folder / "onnx").mkdir(parents=True)
        (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        (folder / "tokenizer.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100_000)
        (folder / "pytorch_model.bin").write_bytes(b"pickle")
        (folder / "onnx/model.json").write_text("{}")
        made.push(folder)
        yield made


@pytest.fixture
def client(remote: hub.Hub, tmp_path: Path) -> Client:
    return Client(remote.url, tmp_path / "cache")


def test_a_branch_is_resolved_and_its_files_are_downloaded(client, remote):
    commit = client("resolve")["returned"]
    assert commit == remote.branches["main"]
    assert int(client("missing", commit)["returned"]) == 25_600_000 + 41
    folder = Path(client("download", commit)["returned"])
    assert sorted(f.name for f in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "model.safetensors").read_bytes() == remote.commits[commit]["model.safetensors"]
    asked = len(remote.asked)
    assert client("missing", commit)["returned"] == "0"
    assert client("download", commit)["returned"] == str(folder)
    assert not [a for a in remote.asked[asked:] if a[0] == "GET" and "/resolve/" in a[1]], "nothing is downloaded twice"


def test_plans_download_no_weights(client, remote):
    folder = Path(client("describe", client("resolve")["returned"])["returned"])
    assert sorted(f.name for f in folder.iterdir()) == ["config.json", "tokenizer.json"]
    assert not any("safetensors" in path for _, path, _ in remote.asked)


def test_a_download_whose_connection_is_lost_resumes(client, remote):
    commit = remote.branches["main"]
    remote.cuts = [11_000_000, 22_000_000]  # the client writes 10 MiB at a time
    folder = Path(client("download", commit)["returned"])
    assert (folder / "model.safetensors").read_bytes() == remote.commits[commit]["model.safetensors"]
    asked = [r for method, path, r in remote.asked if method == "GET" and path.endswith(".safetensors")]
    assert [int(r.removeprefix("bytes=").split("-")[0]) if r else 0 for r in asked] == [0, 10 * 2**20, 20 * 2**20]


def test_a_download_that_failed_begins_with_the_file_that_is_missing(client, remote):
    commit = remote.branches["main"]
    remote.cuts = [1_000_000] * 20
    assert "broke off" in client("download", commit)["error"]
    remote.cuts, before = [], len(remote.asked)
    assert "returned" in client("download", commit)
    fetched = [path.rpartition("/")[2] for method, path, _ in remote.asked[before:] if method == "GET" and "/resolve/" in path]
    assert fetched == ["model.safetensors"]


def test_offline_the_cache_is_enough_or_the_error_says_what_to_do(client, remote):
    offline = {"HF_HUB_OFFLINE": "1"}
    failed = client("resolve", env=offline)
    assert "HF_HUB_OFFLINE is set" in failed["error"] and "hf download org/model" in failed["error"]
    commit = client("resolve")["returned"]
    client("describe", commit)
    failed = client("missing", commit, env=offline)
    assert "HF_HUB_OFFLINE is set" in failed["error"] and failed["argument"] == "repo"
    client("download", commit)
    asked = len(remote.asked)
    assert client("resolve", env=offline)["returned"] == commit
    assert client("missing", commit, env=offline)["returned"] == "0"
    assert "returned" in client("download", commit, env=offline)
    assert len(remote.asked) == asked


def test_a_hub_that_cannot_be_reached_is_an_error(client):
    failed = client("resolve", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert "the hub cannot be reached" in failed["error"]


def test_a_token_is_sent(client, remote):
    remote.token = "hf_secret"
    assert "HF_TOKEN" in client("resolve")["error"]
    assert client("resolve", env={"HF_TOKEN": "hf_secret"})["returned"] == remote.branches["main"]
    remote.gated = True
    assert "only with permission" in client("resolve")["error"]


@pytest.mark.parametrize(
    ("of", "says", "argument"),
    [
        ({"name": "org/other"}, "the hub has no model 'org/other'", "repo"),
        ({"revision": "v9"}, "org/model has no revision 'v9'", "revision"),
        ({"name": "a/b/c"}, "is not the name of a repository", "repo"),
    ],
)
def test_what_does_not_exist_is_named(client, of, says, argument):
    failed = client("resolve", **of)
    assert says in failed["error"] and failed["argument"] == argument


def test_pickles_need_permission(client, remote):
    files = dict(remote.commits[remote.branches["main"]])
    del files["model.safetensors"]
    commit = "a" * 40
    remote.commits[commit] = files
    assert "allow_pickle = true" in client("missing", commit)["error"]
    assert "returned" in client("missing", commit, allow_pickle=True)
    folder = Path(client("download", commit, allow_pickle=True)["returned"])
    assert (folder / "pytorch_model.bin").read_bytes() == b"pickle"
    del files["pytorch_model.bin"]
    assert "no weights in the safetensors format" in client("missing", commit)["error"]
