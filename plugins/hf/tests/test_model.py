"""model "hf" with the real quern."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import hub
import pytest
import quern
import stories
import torch
from conftest import ROOT, Pipeline
from quern_hf.tokens import Tokenizer
from transformers import AutoModelForCausalLM

TEXTS = ["Tell me about Lily.", "Who is Tom?", "A dog ran to the park."]

SOURCE = """
source "jsonl" "texts" {
  path = "texts.jsonl"
}
"""


def asks(name: str) -> str:
    return f"""
transform "hf_ask" "{name}_said" {{
  input = source.texts
  text  = row.text
  model = model.{name}
}}
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return stories.save(tmp_path_factory.mktemp("stories"))


@pytest.fixture
def pipeline(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr("conftest.PROGRAM", ROOT / "plugins/hf/tests/asking.py")
    made = Pipeline(tmp_path)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    shutil.copytree(folder, tmp_path / "stories")
    made.write("")
    made.quern("init")
    return made


def test_a_branch_of_the_hub_is_pinned_until_it_is_upgraded(pipeline, folder, tmp_path):
    with hub.serving("org/small") as remote:
        first = remote.push(folder)
        environment = {"HF_ENDPOINT": remote.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        pipeline.env.update(environment)
        pipeline.head = pipeline.head.replace("environment = [", f"environment = [{', '.join(map(json.dumps, environment))}, ")
        pipeline.write(SOURCE + 'model "hf" "small" {\n  repo = "org/small"\n  max_tokens = 8\n}\n' + asks("small"))
        pipeline.apply()
        assert first in (pipeline.folder / ".quern.lock.hcl").read_text()
        before = said(pipeline, "small")
        # The branch moves, and nothing changes.
        second = remote.push(folder, **{"README.md": b"changed"})
        assert "No changes" in pipeline.quern("plan")
        pipeline.quern("init", "-upgrade")
        assert second in (pipeline.folder / ".quern.lock.hcl").read_text()
        pipeline.apply()
        assert said(pipeline, "small") == before
        # Without a connection, the cache is enough.
        pipeline.env["HF_HUB_OFFLINE"] = "1"
        asked = len(remote.asked)
        assert "No changes" in pipeline.quern("plan")
        pipeline.write(SOURCE + 'model "hf" "small" {\n  repo = "org/small"\n  max_tokens = 9\n}\n' + asks("small"))
        pipeline.apply()
        assert len(remote.asked) == asked
        pipeline.env["HF_HOME"] = str(tmp_path / "empty")
        pipeline.write(SOURCE + 'model "hf" "small" {\n  repo = "org/small"\n  max_tokens = 10\n}\n' + asks("small"))
        text = " ".join(pipeline.quern("plan", fails=True).replace("│", " ").split())
        assert "HF_HUB_OFFLINE is set" in text and "hf download org/small" in text and "main.quern.hcl" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "Set path, gguf, repo, or artifact"),
        ('path = "stories"\n  repo = "org/small"', "path and repo cannot be combined"),
        ('path = "missing"', "missing is not a folder"),
        ('path = "."', "is not the folder of a model"),
        ('gguf = "texts.jsonl"', "texts.jsonl is not a GGUF file"),
        ('path = "stories"\n  temperature = -1', "temperature must be at least 0"),
        ('path = "stories"\n  top_p = 0', "top_p must be greater than 0"),
        ('path = "pickled"', "PyTorch's pickle format"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_the_plan(pipeline, arguments, says):
    shutil.copytree(pipeline.folder / "stories", pipeline.folder / "pickled")
    (pipeline.folder / "pickled/model.safetensors").rename(pipeline.folder / "pickled/pytorch_model.bin")
    pipeline.write(SOURCE + f'model "hf" "small" {{\n  {arguments}\n}}\n' + asks("small"))
    text = " ".join(pipeline.quern("plan", fails=True).replace("│", " ").split())
    assert says.lower() in text.lower() and "main.quern.hcl" in text


def said(pipeline: Pipeline, name: str) -> list[str]:
    return quern.load(f"transform.{name}_said", pipeline.folder).to_pylist()


def test_answers_are_those_of_transformers_and_are_asked_once(pipeline, folder):
    block = 'model "hf" "small" {\n  path = "stories"\n  max_tokens = 24\n}\n'
    pipeline.write(SOURCE + block + asks("small"))
    pipeline.apply()
    tokenizer, plain = Tokenizer(folder), AutoModelForCausalLM.from_pretrained(folder)
    for row in said(pipeline, "small"):
        text = tokenizer.template.render([{"role": "user", "content": row["text"]}], reply=True)
        prompt = tokenizer.backend.encode(text, add_special_tokens=False).ids
        want = plain.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)[0].tolist()
        assert row["said"] == tokenizer.backend.decode(want)[len(tokenizer.backend.decode(prompt)) :]
    assert "No changes" in pipeline.quern("plan")
    # Where the files are does not matter, but what they are does.
    (pipeline.folder / "stories").rename(pipeline.folder / "elsewhere")
    pipeline.write(SOURCE + block.replace('"stories"', '"elsewhere"') + asks("small"))
    assert "No changes" in pipeline.quern("plan")
    weights = pipeline.folder / "elsewhere/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 64
    weights.write_bytes(content)
    assert "transform.small_said" in pipeline.quern("plan")
