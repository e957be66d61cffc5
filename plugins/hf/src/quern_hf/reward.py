"""train "hf_reward": reward models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quern import plugin

from . import hf
from .data import Counts, Item
from .job import Job
from .preference import WholePair, check_preferences, handles_of, items, named, write
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
    steps: int | None = None
    """Evaluates after every so many steps. The default is after each epoch."""
    patience: int | None = None
    """Ends training after so many evaluations without a lower loss, and keeps the weights with the lowest."""


@hf.train("hf_reward", stop_seconds=300)
class Reward(Training):
    """Trains a reward model: it scores answers so that the better of two has the higher score (Bradley-Terry).

    The stage is a model. `curves` is a dataset of losses, and the values are metrics as of `train "hf_sft"`.
    """

    module = "quern_hf.reward"
    method = "reward"
    head = "reward"

    messages: plugin.Row[Any] | None
    """The conversation before the answers: a list of objects with `role` and `content`."""
    prompt: plugin.Prompt | None
    """A prompt that the answers are for, in place of `messages`."""
    chosen: plugin.Row[str]
    """The better answer."""
    rejected: plugin.Row[str]
    """The worse answer."""
    learning_rate: float = 1e-4
    """The highest learning rate."""
    epochs: float = 1.0
    """How often to train on each row."""
    validation: Validation | None
    """Rows to evaluate on while training."""

    def check(self, p: plugin.Prepare) -> None:
        super().check(p)
        check_preferences(p, self, "")
        if self.validation is not None:
            check_preferences(p, self.validation, "validation.0.")
        self.check_template(p, "messages" if self.messages else "prompt")
        if self.longer == "truncate":
            p.error('A reward model must see the end of an answer\nUse longer = "drop" to leave long rows out.', argument="longer")

    sequences = 2

    def handles(self, given: Any) -> list[plugin.Row[Any]]:
        return list(handles_of(given).values())

    def make(self, tokenizer: Tokenizer, given: Any, row: Mapping[str, Any]) -> Sequence[Item]:
        return items(tokenizer, named(given, row), WholePair)

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str) -> Counts:
        limits = {"max_length": self.max_length, "longer": self.longer}
        return write(run, tokenizer, given, path, dataset, limits, WholePair)


def train(job: Job) -> None:
    """Trains, in a process of its own."""
    import datasets
    import transformers
    import trl

    from . import trainer, weights

    args = trainer.arguments_of(job, trl.RewardConfig, max_length=job.arguments["max_length"])
    tokenizer = weights.tokenizer(job)
    model = weights.load(job, transformers.AutoModelForSequenceClassification, num_labels=1, pad_token_id=tokenizer.pad_token_id)

    def make(cls: type[Any]) -> Any:
        return cls(
            model=model,
            args=args,
            train_dataset=datasets.Dataset.from_file(job.data),
            eval_dataset=datasets.Dataset.from_file(job.validation) if job.validation else None,
            processing_class=tokenizer,
            peft_config=weights.lora(job, "SEQ_CLS"),
        )

    done = trainer.fit(job, make, trl.RewardTrainer)
    if done.accelerator.is_main_process:
        weights.save(job, done.accelerator.unwrap_model(done.model))
