"""Trainers that are killed, or stopped with Ctrl-C, give the weights of an undisturbed run."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import time

import pytest
from conftest import Pipeline, tiny_llama
from test_data import conversations

# How often a run is killed; the default is 10 times for hf_sft, and 3 times for the others.
KILLS = int(os.environ.get("KILLS", 0))

BLOCKS = """
source "jsonl" "rows" { path = "rows.jsonl" }
model "hf" "base" { path = "base" }
"""
SETTINGS = {
    "base": "model.base",
    "dataset": "source.rows",
    "learning_rate": "0.001",
    "batch_size": "4",
    "epochs": "60",
    "gradient_checkpointing": "false",
    "precision": '"float32"',
    "log_steps": "3",
}
WORDS = """
train "hf_tokenizer" "words" {
  dataset    = source.rows
  text       = row.text
  vocab_size = 270
}
"""
VALIDATION = """
  validation {
    dataset = source.rows
    text    = row.text
    target  = row.label
    steps   = 7
  }
"""
TRAINERS = {
    "sft": ("hf_sft", {"messages": "row.messages", "batch_size": "2", "gradient_accumulation": "2"}, ""),
    "adapter": ("hf_sft", {"messages": "row.messages", "packing": "true", "max_length": "256"}, "lora { r = 2 }"),
    "dpo": ("hf_dpo", {"messages": "row.asked", "chosen": "row.text", "rejected": "row.worse"}, ""),
    "kto": ("hf_dpo", {"loss": '"kto"', "messages": "row.asked", "chosen": "row.text", "rejected": "row.worse"}, ""),
    "reward": ("hf_reward", {"messages": "row.asked", "chosen": "row.text", "rejected": "row.worse"}, ""),
    "classifier": ("hf_classifier", {"text": "row.text", "target": "row.label"}, VALIDATION),
    "tokenizer": ("hf_sft", {"text": "row.text", "tokenizer": "train.words"}, ""),
    "embedding": ("hf_embedding", {"anchor": "row.text", "positive": "row.worse"}, ""),
}


def train(name: str, more: str = "") -> str:
    type, arguments, blocks = TRAINERS[name]
    words = WORDS if "tokenizer" in arguments else ""
    lines = "".join(f"  {k} = {v}\n" for k, v in {**SETTINGS, **arguments}.items())
    return f'{BLOCKS}{words}train "{type}" "tuned" {{\n{lines}  {blocks}\n  {more}\n}}\n'


def with_base(pipeline: Pipeline) -> Pipeline:
    """A pipeline with a base that has dropout, and rows."""
    tiny_llama(pipeline.folder / "base", dropout=0.1)
    rows = [
        {"messages": m, "asked": m[:-1], "text": f"It is {i}.", "worse": "I do not know" + "!" * (i % 4), "label": f"class {i % 3}"}
        for i, m in enumerate(conversations(24))
    ]
    pipeline.write(BLOCKS, rows_jsonl="".join(json.dumps(r) + "\n" for r in rows))
    return pipeline


@pytest.fixture
def pipelines(pipeline: Pipeline, tmp_path: pathlib.Path) -> tuple[Pipeline, Pipeline]:
    """A pipeline to kill, and one that is left alone."""
    whole = with_base(Pipeline(tmp_path / "whole"))
    whole.quern("init")
    return with_base(pipeline), whole


def step_of(folder: pathlib.Path) -> int:
    """The step of the last checkpoint of the training that is under way."""
    while True:
        try:
            found = list(folder.glob(".quern/staging/*/*/checkpoints/checkpoint-*"))
        except FileNotFoundError:  # a folder was removed while it was searched
            continue
        return max((int(p.name.partition("-")[2]) for p in found), default=0)


def killed(pipeline: Pipeline, step: int, moment: float) -> None:
    """Applies, and kills quern, the plugin, and the trainer a moment after the checkpoint of a step."""
    with pipeline.start("apply", "-auto-approve", start_new_session=True) as process:
        while step_of(pipeline.folder) < step:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_run_that_is_killed_again_and_again_gives_the_weights_of_an_undisturbed_one(pipelines, name):
    pipeline, whole = pipelines
    kills = KILLS or (10 if name == "sft" else 3)
    whole.write(train(name))
    whole.apply()
    steps = whole.value("train.tuned")["value"]["steps"]
    # Ctrl-C saves a checkpoint, though none is due.
    pipeline.write(train(name))
    with pipeline.start("apply", "-auto-approve", "-json") as process:
        for line in process.stdout:
            if f'"total":{steps},"unit":"steps"' in line:
                process.send_signal(signal.SIGINT)
                break
        process.communicate()
    stopped = step_of(pipeline.folder)
    assert 0 < stopped < steps - kills
    pipeline.write(train(name, "checkpoint_steps = 1"))
    moments = random.Random(7)
    for kill in range(stopped + 1, stopped + kills + 1):
        killed(pipeline, kill, moments.random() * 0.1)
    assert stopped + kills <= step_of(pipeline.folder) < steps, "the last kill came too late to prove anything"
    pipeline.write(train(name))
    pipeline.apply()
    assert pipeline.digest("train.tuned") == whole.digest("train.tuned")
    assert pipeline.value("train.tuned")["value"]["tokens"] == whole.value("train.tuned")["value"]["tokens"]


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "wordpiece"])
def test_a_tokenizer_that_is_killed_again_and_again_is_that_of_an_undisturbed_run(pipelines, algorithm):
    """It has no checkpoints: it begins again."""
    pipeline, whole = pipelines
    words = random.Random(1)
    rows = ["".join(words.choices("abcdefghij ", k=200)) for _ in range(2_000)]
    for p in pipelines:
        p.write(
            'source "jsonl" "texts" { path = "texts.jsonl" }\n'
            'train "hf_tokenizer" "tuned" {\n  dataset = source.texts\n  text = row.text\n'
            f'  vocab_size = 1000\n  algorithm = "{algorithm}"\n}}\n',
            texts_jsonl="".join(json.dumps({"text": t}) + "\n" for t in rows),
        )
    whole.apply()
    assert whole.value("train.tuned")["value"]["rows"] == len(rows)
    moments = random.Random(7)
    for _ in range(KILLS or 3):
        with pipeline.start("apply", "-auto-approve", start_new_session=True) as process:
            while not list(pipeline.folder.glob(".quern/staging/*")):
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.005)
            time.sleep(moments.random() * 0.2)
            os.killpg(process.pid, signal.SIGKILL)
    pipeline.apply()
    assert pipeline.digest("train.tuned") == whole.digest("train.tuned")
