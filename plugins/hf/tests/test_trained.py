"""Trained models that are called, and exported, with the real quern."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import quern
import stories
import torch
from conftest import ROOT, Pipeline
from quern_hf import artifact
from quern_hf.tokens import Tokenizer
from test_gguf import llama_cpp, post
from transformers import AutoModelForCausalLM

TEXTS = ["Tell me about Lily.", "Who is Tom?", "A dog ran to the park."]
TALE = "The dog sat on the red box and said hello to all the birds."

HEAD = """
source "jsonl" "texts" {
  path = "texts.jsonl"
}
model "hf" "base" {
  path       = "stories"
  max_tokens = 24
}
"""


def sft(name: str, seed: int, lora: bool = True) -> str:
    return f"""
train "hf_sft" "{name}" {{
  base          = model.base
  dataset       = source.texts
  messages      = [{{ role = "user", content = row.text }}, {{ role = "assistant", content = row.tale }}]
  {"lora { r = 8 }" if lora else ""}
  learning_rate = 0.005
  schedule      = "constant"
  steps         = 40
  batch_size    = 3
  seed          = {seed}
}}
"""


def asks(name: str, model: str) -> str:
    return f"""
transform "hf_ask" "{name}" {{
  input = source.texts
  text  = row.text
  model = {model}
}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    torch.set_num_threads(1)
    monkeypatch.setattr("conftest.PROGRAM", ROOT / "plugins/hf/tests/asking.py")
    made = Pipeline(tmp_path)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t, "tale": TALE}) + "\n" for t in TEXTS))
    stories.save(tmp_path / "stories")
    made.write("")
    made.quern("init")
    return made


def folder_of(pipeline: Pipeline, address: str) -> Path:
    """The folder of an artifact, with its files under their names."""
    folder = pipeline.folder / "of" / address
    for name, path in quern.files(address, pipeline.folder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def said(pipeline: Pipeline, name: str) -> list[str]:
    return [row["said"] for row in quern.load(f"transform.{name}", pipeline.folder).to_pylist()]


def answers(folder: Path, model, tokens: int) -> list[str]:
    """The answers of transformers' own generate."""
    tokenizer, out = Tokenizer(folder), []
    for text in TEXTS:
        prompt = tokenizer.backend.encode(
            tokenizer.template.render([{"role": "user", "content": text}], reply=True), add_special_tokens=False
        ).ids
        limit = min(tokens, 512 - len(prompt))
        whole = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=limit, do_sample=False)[0].tolist()
        out.append(tokenizer.backend.decode(whole)[len(tokenizer.backend.decode(prompt)) :])
    return out


def with_adapter(folder: Path):
    base = AutoModelForCausalLM.from_pretrained(folder)
    return peft.PeftModel.from_pretrained(base, folder / "adapter").eval()


def test_adapters_over_one_base_answer_as_with_peft(pipeline):
    block = 'model "hf" "short" {\n  artifact = train.one\n  max_tokens = 5\n}\n'
    blocks = sft("one", 1) + sft("two", 2) + block
    asked = asks("one", "train.one") + asks("two", "train.two") + asks("short", "model.short") + asks("base", "model.base")
    pipeline.write(HEAD + blocks + asked)
    pipeline.apply()
    one, two = folder_of(pipeline, "train.one"), folder_of(pipeline, "train.two")
    context = 512  # no limit but the model's own
    assert said(pipeline, "one") == answers(one, with_adapter(one), context)
    assert said(pipeline, "two") == answers(two, with_adapter(two), context)
    assert said(pipeline, "short") == answers(one, with_adapter(one), 5)
    assert said(pipeline, "base") == answers(one, AutoModelForCausalLM.from_pretrained(one), 24)
    assert said(pipeline, "one") != said(pipeline, "two")
    assert "sat on the red box" in said(pipeline, "one")[0]
    assert "No changes" in pipeline.quern("plan")


def test_exports_answer_as_the_model_does(pipeline):
    exports = "".join(
        f"""
transform "hf_export" "{name}" {{
  model  = train.one
  format = "{name}"
  {more}
}}
"""
        for name, more in {"merged": "", "adapter": "", "gguf": 'type = "f32"'}.items()
    )
    pipeline.write(HEAD + sft("one", 1) + exports + asks("asked", "transform.merged"))
    pipeline.apply()
    one, merged, adapter = (folder_of(pipeline, a) for a in ("train.one", "transform.merged", "transform.adapter"))
    tuned = with_adapter(one)
    whole = AutoModelForCausalLM.from_pretrained(merged)
    tokens = torch.tensor([Tokenizer(one).backend.encode("Once upon a time, there was a dog").ids])
    base = AutoModelForCausalLM.from_pretrained(one)
    want = tuned(tokens).logits

    def difference(model) -> float:
        """The largest difference, as a share of the largest logit."""
        return float((model(tokens).logits - want).abs().max() / want.abs().max())

    assert difference(whole) < 1e-5 < difference(base)
    assert said(pipeline, "asked") == answers(one, tuned, 512)
    assert artifact.describe(merged) == artifact.describe(one)
    assert sorted(p.name for p in adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    alone = peft.PeftModel.from_pretrained(base, adapter)
    assert torch.equal(alone(tokens).logits, tuned(tokens).logits)
    with llama_cpp(folder_of(pipeline, "transform.gguf") / "model.gguf") as url:
        for text, want in zip(TEXTS, answers(one, tuned, 100), strict=True):
            prompt = Tokenizer(one).template.render([{"role": "user", "content": text}], reply=True)
            split = post(f"{url}/tokenize", {"content": prompt, "add_special": False, "parse_special": True})["tokens"]
            assert split == Tokenizer(one).backend.encode(prompt, add_special_tokens=False).ids
            got = post(f"{url}/completion", {"prompt": split, "n_predict": 100, "temperature": 0, "repeat_penalty": 1})
            assert got["content"].strip() == want.strip()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('model = train.full\n  format = "adapter"', "the model has no adapter"),
        ('model = model.base\n  format = "merged"\n  type = "f16"', 'type belongs to the format "gguf"'),
        ('model = model.other\n  format = "gguf"', "GPT2LMHeadModel cannot be written as GGUF"),
    ],
)
def test_what_cannot_be_exported_is_an_error_of_the_plan(pipeline, arguments, says):
    shutil.copytree(pipeline.folder / "stories", pipeline.folder / "other")
    config = pipeline.folder / "other/config.json"
    config.write_text(config.read_text().replace("LlamaForCausalLM", "GPT2LMHeadModel"))
    other = 'model "hf" "other" {\n  path = "other"\n}\n'
    pipeline.write(HEAD + other + sft("full", 1, lora=False) + f'transform "hf_export" "out" {{\n  {arguments}\n}}\n')
    text = pipeline.quern("plan", fails=True)
    assert says.lower() in " ".join(text.replace("│", " ").split()).lower() and "main.quern.hcl" in text
