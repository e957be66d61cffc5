"""model "hf" with the real quern."""

from __future__ import annotations

import json
import os
import shutil
import time
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
