"""Supervised fine-tuning, compared with transformers and TRL."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import time

import datasets
import pytest
import torch
import transformers
import trl
from conftest import CHATML, tiny_llama
from quern_hf import data, sft, stage
from quern_hf.stage import Lora
from quern_hf.tokens import Tokenizer
from safetensors.torch import load_file
from stories import CHAT_TEMPLATE
from test_data import TEMPLATES, conversations
from training import sft_job, sha256, train

torch.set_num_threads(1)
datasets.disable_progress_bars()


@pytest.mark.parametrize("template", [*TEMPLATES.values(), CHAT_TEMPLATE])
def test_conversations_are_rendered_and_masked_as_by_transformers(tmp_path, template):
    tiny_llama(tmp_path, template=template)
    ours, theirs = Tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for messages in conversations(12):
        assert ours.template.render(messages, reply=True) == theirs.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        marked = "{% generation %}" in template
        want = theirs.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=marked)
        got = data.chat(ours, messages)
        assert got.ids == want["input_ids"]
        if marked:
            assert [int(w) for w in got.written] == want["assistant_masks"]
    assert data.plain(ours, "once").ids == [*theirs("once")["input_ids"], theirs.eos_token_id]


def plain_trl(base: pathlib.Path, rows: list, folder: pathlib.Path, **more) -> trl.SFTTrainer:
    """The script without quern."""
    args = {
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "lr_scheduler_type": "cosine",
        "logging_steps": 1,
        "max_length": 256,
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "assistant_only_loss": True,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        **more.pop("args", {}),
    }
    trainer = trl.SFTTrainer(
        model=str(base),
        args=trl.SFTConfig(str(folder), **args),
        train_dataset=datasets.Dataset.from_list([{"messages": m} for m in rows]),
        **more,
    )
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> pathlib.Path:
    """A base whose template marks what is generated, as TRL needs it."""
    return tiny_llama(tmp_path_factory.mktemp("marked"), dropout=0.1, template=TEMPLATES["marked"])


ARGUMENTS = {"batch_size": 4, "epochs": 2.0, "learning_rate": 1e-3, "warmup": 2.0, "schedule": "cosine", "log_steps": 1}


@pytest.mark.parametrize("packing", [False, True])
def test_the_weights_are_those_of_trl(tmp_path, marked, packing):
    rows = conversations(18)
    want = plain_trl(marked, rows, tmp_path / "trl", args={"packing": packing})
    job = sft_job(tmp_path / "quern", marked, rows, packing=packing, **ARGUMENTS)
    curves, metrics = train(job)
    got = load_file(tmp_path / "quern/output/model.safetensors")
    weights = {k: v for k, v in want.model.state_dict().items() if k in got}
    assert len(got) > 10 and set(got) == set(weights)
    assert all(torch.equal(got[k], weights[k]) for k in got)
    losses = [row["loss"] for row in want.state.log_history if "loss" in row]
    assert [c["loss"] for c in curves] == losses
    assert metrics["tokens"] == want.state.log_history[-2]["num_tokens"]


def test_packed_rows_give_the_loss_of_single_rows(tmp_path, tiny):
    rows = conversations(12)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny).eval()
    losses = {}
    for packing in (False, True):
        job = sft_job(tmp_path / str(packing), tiny, rows, packing=packing)
        examples = sft.dataset(job.data, job.arguments)
        collate = trl.trainer.sft_trainer.DataCollatorForLanguageModeling(258, padding_free=packing)
        batch = collate(list(examples))
        learned = [i for i in batch["labels"].flatten().tolist() if i != data.IGNORED]
        texts = sorted(Tokenizer(tiny).backend.decode(learned, skip_special_tokens=False).split("<|im_end|>"))
        with torch.no_grad():
            losses[packing] = (model(**batch, use_cache=False).loss.item(), texts)
    assert len(examples) < len(rows)
    assert losses[True][0] == pytest.approx(losses[False][0], abs=1e-5)
    assert losses[True][1] == losses[False][1] == sorted([m["content"] for r in rows for m in r if m["role"] == "assistant"] + [""])


def test_the_loss_does_not_depend_on_how_a_batch_is_split(tmp_path):
    base = tiny_llama(tmp_path / "base", template=CHATML)
    losses = []
    for size, accumulation in ((8, 1), (4, 2), (2, 4), (1, 8)):
        job = sft_job(
            tmp_path / str(size),
            base,
            conversations(36),
            batch_size=size,
            gradient_accumulation=accumulation,
            learning_rate=1e-3,
            epochs=2.0,
            log_steps=1,
        )
        curves, _ = train(job)
        losses.append([c["loss"] for c in curves])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=1e-4)
        print("largest difference", max(abs(a - b) for a, b in zip(other, losses[0])))
    assert losses[0][-1] < losses[0][0] - 0.01


class Told:
    """A run that nobody stops, as far as ``launch`` needs it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def wait(self, seconds: float) -> bool:
        time.sleep(seconds)
        return False

    def check(self) -> None:
        pass

    def progress(self, done: int, total: int, unit: str, message: str) -> None:
        self.messages.append(f"{done}/{total} {message}")


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    base = tiny_llama(tmp_path / "base")
    given = {"learning_rate": 1e-3, "epochs": 2.0, "log_steps": 1}
    one, _ = train(sft_job(tmp_path / "one", base, conversations(16), batch_size=4, **given))
    job, told = sft_job(tmp_path / "two", base, conversations(16), batch_size=2, processes=2, **given), Told()
    stage.launch(told, job, 2)
    two, metrics = job.results()
    assert [c["loss"] for c in two] == pytest.approx([c["loss"] for c in one], abs=1e-4)
    assert metrics["steps"] == 8 and metrics["tokens"] == one[-1]["tokens"]
    assert told.messages[-1].startswith("8/8 epoch 2.0/2 · loss ")


def dying(after: int):
    """The step of a trainer that is interrupted after some."""
    step, count = transformers.Trainer.training_step, itertools.count(1)

    def dies(self, *args, **kwargs):
        if next(count) > after:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    return dies


@pytest.mark.parametrize("stop", ["crash", "early", "adapter"])
def test_a_run_that_continues_from_a_checkpoint_is_the_same_to_the_bit(tmp_path, tiny, stop, monkeypatch):
    """All that a checkpoint contains: weights, optimizer, schedule, random numbers (the model has dropout), position, and curves."""
    given = {"lora": None, "learning_rate": 1e-3, "batch_size": 2, "gradient_accumulation": 2, "epochs": 2.0, "log_steps": 3}
    # What the model learns does not help it with noise, so that the evaluation loss rises soon.
    noise = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": "~|^{}\\<>`"}]] * 4
    more = {"validation": noise if stop == "early" else conversations(4), "evaluate_steps": 2, "patience": 1 if stop == "early" else 99}
    if stop == "early":
        given["learning_rate"] = 0.02
    weights = "model.safetensors"
    if stop == "adapter":
        given["lora"], weights = Lora(r=4, dropout=0.1), "adapter/adapter_model.safetensors"
    whole = sft_job(tmp_path / "whole", tiny, conversations(18), **more, **given)
    curves, metrics = train(whole)
    killed = sft_job(tmp_path / "killed", tiny, conversations(18), checkpoint_steps=1, **more, **given)
    for after in (3, 2, 9):
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(transformers.Trainer, "training_step", dying(after))
            train(killed)
    again, metrics_again = train(killed)
    assert sha256(killed, weights) == sha256(whole, weights)
    times = ("seconds", "seconds_per_step", "tokens_per_second", "peak_memory")
    assert [{k: v for k, v in c.items() if k not in times} for c in again] == [
        {k: v for k, v in c.items() if k not in times} for c in curves
    ]
    assert {k: v for k, v in metrics_again.items() if k not in times} == {k: v for k, v in metrics.items() if k not in times}
    assert metrics["steps"] == 10 if stop != "early" else metrics["best_step"] < metrics["steps"] < 10
