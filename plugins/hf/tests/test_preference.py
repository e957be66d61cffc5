"""DPO, KTO, ORPO, and reward models, compared with TRL."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace

import datasets
import pytest
import torch
import trl
from conftest import tiny_llama
from quern import plugin
from quern.testing import new
from quern_hf import preference
from quern_hf.dpo import Dpo
from quern_hf.job import Job
from quern_hf.reward import Reward
from quern_hf.tokens import Tokenizer
from safetensors.torch import load_file
from test_data import TEMPLATES
from training import sha256, train
from trl.experimental import orpo

torch.set_num_threads(1)
datasets.disable_progress_bars()

ROWS = [
    {"messages": [{"role": "user", "content": f"What is {i}?"}], "chosen": f"It is {i}.", "rejected": "I do not know" + "!" * (i % 4)}
    for i in range(16)
]

# Nothing follows the token that ends a message: TRL would count it as part of the answer.
BASE = "plain"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> pathlib.Path:
    return tiny_llama(tmp_path_factory.mktemp("base"), template=TEMPLATES[BASE])


ARGUMENTS = {"learning_rate": 1e-3, "batch_size": 4, "epochs": 2.0, "log_steps": 1, "precision": "float32", "gradient_checkpointing": False}


def job(folder: pathlib.Path, base: pathlib.Path, cls: type, kind: type | None, rows: list = ROWS, **arguments) -> Job:
    stage = new(cls, **{**ARGUMENTS, **arguments})
    tokenizer = Tokenizer(base)
    (folder / "output").mkdir(parents=True)

    import pyarrow as pa

    dataset = SimpleNamespace(batches=lambda *_, **__: [pa.RecordBatch.from_pylist(rows)], rows=len(rows))
    given = SimpleNamespace(dataset=dataset, **{name: SimpleNamespace(key=name) for name in rows[0]})
    run = SimpleNamespace(progress=lambda *_: None)
    limits = {"max_length": 256, "longer": "error"}
    preference.write(run, tokenizer, given, folder / "train.arrow", "dataset", limits, kind)
    return Job(
        module=stage.module,
        method=stage.method,
        base=str(base),
        output=str(folder / "output"),
        work_dir=str(folder),
        data=str(folder / "train.arrow"),
        validation=None,
        evaluate_steps=None,
        patience=None,
        checkpoint_steps=None,
        checkpoint_seconds=3600,
        arguments=stage.arguments(),
        description={"method": stage.method},
    )


def plain_trl(cls: type, config: type, base: pathlib.Path, folder: pathlib.Path, **args):
    """The script without quern."""
    given = config(
        str(folder),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        learning_rate=1e-3,
        logging_steps=1,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        max_length=256,
        **args,
    )
    said = [{"prompt": r["messages"], **{n: [{"role": "assistant", "content": r[n]}] for n in ("chosen", "rejected")}} for r in ROWS]
    import transformers

    more = {"processing_class": transformers.AutoTokenizer.from_pretrained(base)}
    model = str(base)
    if cls is trl.RewardTrainer:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=258, dtype=torch.float32)
    elif cls is orpo.ORPOTrainer:
        model = transformers.AutoModelForCausalLM.from_pretrained(base)
    trainer = cls(model=model, args=given, train_dataset=datasets.Dataset.from_list(said), **more)
    trainer.train()
    return trainer


@pytest.mark.parametrize("loss", ["dpo", "orpo", "kto", "reward"])
def test_the_weights_are_those_of_trl(tmp_path, base, loss):
    trainers = {
        "dpo": (trl.DPOTrainer, trl.DPOConfig, preference.Pair),
        "orpo": (orpo.ORPOTrainer, orpo.ORPOConfig, preference.Pair),
        "kto": (trl.KTOTrainer, trl.KTOConfig, None),
        "reward": (trl.RewardTrainer, trl.RewardConfig, preference.WholePair),
    }
    cls, config, kind = trainers[loss]
    torch.manual_seed(42)
    want = plain_trl(cls, config, base, tmp_path / "trl")
    if loss == "reward":
        made = job(tmp_path / "quern", base, Reward, kind)
    else:
        made = job(tmp_path / "quern", base, Dpo, kind, loss=loss)
    curves, _ = train(made)
    assert [c["loss"] for c in curves] == pytest.approx([r["loss"] for r in want.state.log_history if "loss" in r], abs=1e-6)
    got = load_file(tmp_path / "quern/output/model.safetensors")
    weights = want.model.state_dict()
    assert len(got) > 10
    for name, tensor in got.items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-6, rtol=0, msg=name)
    assert curves[-1]["loss"] < curves[0]["loss"]


def test_an_adapter_over_an_adapter_keeps_the_files_of_its_base(tmp_path, base):
    """DPO over a model that LoRA fine-tuned: the first adapter becomes part of the weights, which are the same for every variant."""
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": None, "rslora": False, "dora": False}

    def tuned(name: str, base: pathlib.Path, **more) -> Job:
        made = job(tmp_path / name, base, Dpo, preference.Pair, **more)
        made.arguments["lora"] = lora
        train(made)
        return made

    first = tuned("first", base)
    assert sha256(first) == sha256_of(base / "model.safetensors")
    assert sha256(first, "tokenizer.json") == sha256_of(base / "tokenizer.json")
    variants = [tuned(f"beta{beta}", pathlib.Path(first.output), beta=beta) for beta in (0.1, 0.5)]
    assert sha256(variants[0]) == sha256(variants[1]) != sha256(first)
    assert sha256(variants[0], "adapter/adapter_model.safetensors") != sha256(variants[1], "adapter/adapter_model.safetensors")


def sha256_of(path: pathlib.Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_answers_that_are_equal_are_refused(base):
    with pytest.raises(ValueError, match="chosen and rejected are equal"):
        preference.pair(Tokenizer(base), {**ROWS[0], "rejected": ROWS[0]["chosen"]})


def test_arguments_that_do_not_fit_the_loss_are_refused():
    class Said:
        def __init__(self):
            self.errors = []

        def known(self, key):
            return True

        def error(self, text, *, argument=""):
            self.errors.append((argument, text.partition("\n")[0]))

    said = Said()
    row = object.__new__(plugin.Row)
    preference.check_preferences(said, new(Dpo, prompt=row, completion=row), "")
    assert said.errors == [("", "completion and label belong together")]
