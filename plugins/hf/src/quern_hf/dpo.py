"""train "hf_dpo": preference optimization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quern import plugin

from . import hf
from .data import Counts, Item
from .job import Job
from .preference import Pair, check_preferences, handles_of, items, named, write
from .stage import Training
from .tokens import Tokenizer

_ROWS = "validation.0.dataset"


@dataclass
class Validation:
    """Rows to evaluate on while training. The arguments are as in the trainer's block."""

    dataset: plugin.Dataset
    """The rows. None of them should be among the rows to train on."""
    messages: plugin.Row[Any] | None = plugin.argument(default=None, rows_of=_ROWS)
    """The conversation before the answers."""
    prompt: plugin.Prompt | None = plugin.argument(default=None, rows_of=_ROWS)
    """The prompt that the answers are for."""
    chosen: plugin.Row[str] | None = plugin.argument(default=None, rows_of=_ROWS)
    """The better answer."""
    rejected: plugin.Row[str] | None = plugin.argument(default=None, rows_of=_ROWS)
    """The worse answer."""
    completion: plugin.Row[str] | None = plugin.argument(default=None, rows_of=_ROWS)
    """An answer."""
    label: plugin.Row[bool] | None = plugin.argument(default=None, rows_of=_ROWS)
    """Whether it is a good one."""
    steps: int | None = None
    """Evaluates after every so many steps. The default is after each epoch."""
    patience: int | None = None
    """Ends training after so many evaluations without a lower loss, and keeps the weights with the lowest."""


@hf.train("hf_dpo", stop_seconds=300)
class Dpo(Training):
    """Trains a language model to give answers that people or judges prefer.

    The loss is that of DPO, KTO, or ORPO. DPO and ORPO need two answers to each prompt, `chosen` and `rejected`; KTO also learns from single answers with
    a `label`. The base is usually a model that was fine-tuned before, such as `train.sft`. DPO and KTO keep the model close to the base, the more the
    greater `beta` is.

    The stage is a model. `curves` is a dataset of losses, and the values are metrics as of `train "hf_sft"`.
    """

    module = "quern_hf.dpo"

    loss: Literal["dpo", "kto", "orpo"] = "dpo"
    """The loss."""
    messages: plugin.Row[Any] | None
    """The conversation before the answers: a list of objects with `role` and `content`."""
    prompt: plugin.Prompt | None
    """A prompt that the answers are for, in place of `messages`."""
    chosen: plugin.Row[str] | None
    """The better answer."""
    rejected: plugin.Row[str] | None
    """The worse answer."""
    completion: plugin.Row[str] | None
    """With `loss = "kto"`: an answer, in place of `chosen` and `rejected`."""
    label: plugin.Row[bool] | None
    """With `completion`: whether it is a good answer."""
    beta: float = 0.1
    """DPO and KTO: how close to keep the model to the base. ORPO: the weight of the odds ratio."""
    desirable_weight: float = 1.0
    """KTO: the weight of good answers."""
    undesirable_weight: float = 1.0
    """KTO: the weight of other answers."""
    learning_rate: float = 1e-6
    """The highest learning rate. With an adapter, use about ten times as much."""
    epochs: float = 1.0
    """How often to train on each row."""
    validation: Validation | None
    """Rows to evaluate on while training."""
    template: str | None = None
    """A chat template (Jinja) in place of the base's. It becomes part of the model."""

    @property
    def method(self) -> str:  # type: ignore[override]
        return self.loss

    @property
    def chat_template(self) -> str | None:
        return self.template

    def check(self, p: plugin.Prepare) -> None:
        super().check(p)
        check_preferences(p, self, "")
        if self.validation is not None:
            check_preferences(p, self.validation, "validation.0.")
        self.check_template(p, "messages" if self.messages else "prompt")
        if self.completion is not None and self.loss != "kto":
            p.error(f'loss = "{self.loss}" compares two answers\nSet chosen and rejected, or use loss = "kto".', argument="completion")
        if self.loss == "kto" and self.batch_size < 2 and p.known("batch_size"):
            p.error(
                "KTO needs a batch_size of at least 2\nIt compares each answer with those of other rows in its batch.",
                argument="batch_size",
            )
        if p.known("beta") and self.beta <= 0:
            p.error(f"beta must be greater than 0\nIt is {self.beta}.", argument="beta")

    sequences = 2

    @property
    def kind(self) -> type[Pair] | None:
        """What becomes of a row."""
        return None if self.loss == "kto" else Pair

    @property
    def references(self) -> int:  # type: ignore[override]
        return 0 if self.lora or self.loss == "orpo" else 1

    def handles(self, given: Any) -> list[plugin.Row[Any]]:
        return list(handles_of(given).values())

    def make(self, tokenizer: Tokenizer, given: Any, row: Mapping[str, Any]) -> Sequence[Item]:
        return items(tokenizer, named(given, row), self.kind)

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str) -> Counts:
        limits = {"max_length": self.max_length, "longer": self.longer}
        return write(run, tokenizer, given, path, dataset, limits, self.kind)


def train(job: Job) -> None:
    """Trains, in a process of its own."""
    import datasets
    import transformers

    from . import trainer, weights

    a = job.arguments
    cls, config, more = _trainers(a)
    args = trainer.arguments_of(job, config, max_length=a["max_length"], beta=a["beta"], **more)
    tokenizer = weights.tokenizer(job)

    def make(checkpointed: type[Any]) -> Any:
        return checkpointed(
            model=weights.load(job, transformers.AutoModelForCausalLM),
            args=args,
            train_dataset=datasets.Dataset.from_file(job.data),
            eval_dataset=datasets.Dataset.from_file(job.validation) if job.validation else None,
            processing_class=tokenizer,
            peft_config=weights.lora(job, "CAUSAL_LM"),
        )

    done = trainer.fit(job, make, cls)
    if done.accelerator.is_main_process:
        weights.save(job, done.accelerator.unwrap_model(done.model), a["template"])


def _trainers(a: dict[str, Any]) -> tuple[type[Any], type[Any], dict[str, Any]]:
    """Returns the trainer of a loss, which takes tokens as they are, the class of its arguments, and further arguments."""
    import trl

    if a["loss"] == "dpo":

        class DPOTrainer(trl.DPOTrainer):  # type: ignore[misc]
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                return dataset

        return DPOTrainer, trl.DPOConfig, {}
    if a["loss"] == "kto":
        weights = {name: a[name] for name in ("desirable_weight", "undesirable_weight")}
        return _kto(), trl.KTOConfig, weights
    from trl.experimental import orpo

    class ORPOTrainer(orpo.ORPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: dict[str, list[int]], model: Any = None) -> dict[str, list[int]]:
            return _labeled(feature)

    return ORPOTrainer, orpo.ORPOConfig, {}


def _kto() -> type[Any]:
    import trl

    class KTOTrainer(trl.KTOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, *_: Any) -> Any:
            """Adds to each answer that of another row of its batch, from which the KL divergence is estimated."""

            def rotate(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
                answers = batch["completion_ids"]
                return {"KL_completion_ids": [answers[-1], *answers[:-1]]}

            return dataset.map(rotate, batched=True, batch_size=args.per_device_train_batch_size) if self.calculate_KL else dataset

    return KTOTrainer


def _labeled(row: dict[str, list[int]]) -> dict[str, list[int]]:
    """Returns the tokens of a pair as ORPO's trainer wants them."""
    prompt = row["prompt_ids"]
    out = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
    for name in ("chosen", "rejected"):
        answer = row[f"{name}_ids"]
        out[f"{name}_input_ids"] = prompt + answer
        out[f"{name}_attention_mask"] = [1] * len(prompt + answer)
        out[f"{name}_labels"] = [-100] * len(prompt) + answer
    return out
