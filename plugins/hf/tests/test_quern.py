"""Trainers with the real quern: shared bases, and errors of plans."""

from __future__ import annotations

import json
import pathlib

import pytest
from conftest import Pipeline, tiny_llama
from test_data import conversations


def rows(count: int, start: int = 0) -> str:
    """Rows with a conversation each, as JSON lines."""
    return "".join(json.dumps({"id": i, "messages": m}) + "\n" for i, m in enumerate(conversations(start + count)[start:]))


BASE = """
source "jsonl" "rows" { path = "rows.jsonl" }
model "hf" "base" { path = "base" }
"""


def sft(name: str = "tuned", more: str = "", base: str = "model.base") -> str:
    return f"""
train "hf_sft" "{name}" {{
  base                   = {base}
  dataset                = source.rows
  messages               = row.messages
  learning_rate          = 0.001
  batch_size             = 2
  gradient_accumulation  = 2
  gradient_checkpointing = false
  precision              = "float32"
  log_steps              = 3
  {more}
}}
"""


@pytest.fixture
def trained(pipeline: Pipeline) -> Pipeline:
    """A pipeline with a base that has dropout, and rows."""
    return with_base(pipeline)


def with_base(pipeline: Pipeline) -> Pipeline:
    tiny_llama(pipeline.folder / "base", dropout=0.1)
    pipeline.write(BASE, rows_jsonl=rows(24))
    return pipeline


def test_ten_adapters_share_their_base(trained):
    more = "steps = 1\n  count = {}\n  seed = count.index\n  lora {{ r = 2 }}"
    trained.write(BASE + sft(more=more.format(1)))
    trained.apply()
    before = stored(trained.folder)
    trained.write(BASE + sft(more=more.format(10)))
    trained.quern("apply", "-auto-approve", "-parallelism=2")
    digests = {trained.digest(f"train.tuned[{i}]") for i in range(10)}
    assert len(digests) == 10
    base = (trained.folder / "base/model.safetensors").stat().st_size
    adapter = 2 * 2 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
    assert stored(trained.folder) - before < 9 * (adapter + 12_000) < 9 * base
    assert sum(f.stat().st_size == base for f in (trained.folder / ".quern/blobs").rglob("*") if f.is_file()) == 1


def stored(folder: pathlib.Path) -> int:
    """The size of the store's blobs, in bytes."""
    return sum(f.stat().st_size for f in (folder / ".quern/blobs").rglob("*") if f.is_file())


def planned(pipeline: Pipeline, fails: bool = True) -> str:
    """What a plan prints, in small letters and on one line."""
    return " ".join(pipeline.quern("plan", fails=fails).replace("│", " ").split()).casefold()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('text = "x${row.id}"', "Rows are given in several ways"),
        ("target = row.id", "prompt and target belong together"),
        ("epochs = -1", "epochs must be greater than 0"),
        ('quantize = "nf4"', "quantize needs lora"),
        ('quantize = "nf4"\n  lora {}', "needs bitsandbytes"),
        ('engine = "unsloth"', "Unsloth is not installed"),
        ("lora { dropout = 1 }", "dropout must be at least 0 and less than 1"),
        ('template = "{% if %}"', "The chat template has an error in line 1"),
    ],
)
def test_a_plan_says_what_cannot_work_and_where(trained, more, says):
    trained.write(BASE + sft(more=more))
    text = planned(trained)
    assert says.casefold() in text and "main.quern.hcl line" in text


def test_a_plan_says_that_conversations_are_in_the_wrong_form(trained):
    shares = [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}] * 3
    trained.write(BASE + sft().replace("row.messages", "row.conversations"), rows_jsonl="".join(json.dumps(s) + "\n" for s in shares))
    text = planned(trained)
    assert "messages must be a list of objects with role and content" in text and "sharegpt" in text


def test_a_plan_says_that_a_base_has_no_chat_template(trained):
    (trained.folder / "base/chat_template.jinja").unlink()
    trained.write(BASE + sft())
    assert "the base model has no chat template" in planned(trained)


def test_a_plan_says_how_many_steps_there_are(trained):
    trained.write(BASE)
    trained.apply()
    for more, says in {
        "epochs = 3": "18 steps of 4 rows",
        'longer = "drop"\n  epochs = 0.5': "at most 3 steps of 4 rows",
        "steps = 7": "7 steps of 4 rows",
    }.items():
        trained.write(BASE + sft(more=more))
        assert says in planned(trained, fails=False)
    trained.apply()
    assert trained.value("train.tuned")["value"]["steps"] == 7
