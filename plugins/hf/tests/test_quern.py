"""Trainers with the real quern: crashes, Ctrl-C, shared bases, and errors of plans."""

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

KILLS = int(os.environ.get("KILLS", 10))


def rows(count: int, start: int = 0) -> str:
    """Rows with a conversation each, as JSON lines."""
    return "".join(json.dumps({"id": i, "messages": m}) + "\n" for i, m in enumerate(conversations(start + count)[start:]))


BASE = """
source "jsonl" "rows" { path = "rows.jsonl" }
train "hf_folder" "base" {
  dataset = source.rows
  path    = "base"
}
"""


def sft(name: str = "tuned", more: str = "", base: str = "train.base") -> str:
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


def step_of(folder: pathlib.Path) -> int:
    """The step of the last checkpoint of the training that is under way."""
    found = folder.glob(".quern/**/checkpoints/checkpoint-*")
    return max((int(p.name.partition("-")[2]) for p in found), default=0)


def reach(process, folder: pathlib.Path, step: int) -> None:
    """Waits for a checkpoint of a step."""
    while step_of(folder) < step:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def test_a_run_that_is_killed_again_and_again_gives_the_weights_of_an_undisturbed_one(trained, tmp_path):
    whole = with_base(Pipeline(tmp_path / "whole"))
    whole.quern("init")
    whole.write(BASE + sft(more="epochs = 2"))
    whole.apply()
    trained.write(BASE + sft(more="epochs = 2\n  checkpoint_steps = 1"))
    moments = random.Random(7)
    for kill in range(1, KILLS + 1):
        with trained.start("apply", "-auto-approve", start_new_session=True) as process:
            reach(process, trained.folder, kill)
            time.sleep(moments.random() * 0.1)
            os.killpg(process.pid, signal.SIGKILL)
    assert KILLS <= step_of(trained.folder) < 12, "the last kill came too late to prove anything"
    trained.apply()
    assert trained.digest("train.tuned") == whole.digest("train.tuned")
    assert trained.value("train.tuned")["value"]["tokens"] == whole.value("train.tuned")["value"]["tokens"]


def files(pipeline: Pipeline, address: str) -> dict[str, str]:
    """The digests of the files of a model, by name."""
    listed = json.loads(pipeline.quern("artifact", "files", address, "-json"))["files"]
    return {f["name"]: pathlib.Path(f["path"]).name for f in listed}
