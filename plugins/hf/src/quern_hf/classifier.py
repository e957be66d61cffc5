"""train "hf_classifier": models that predict labels of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from quern import plugin

from . import hf
from .artifact import FORMATS, Description
from .data import Counts, RowsFile, write_items
from .job import Job
from .stage import Training
from .texts import Text, texts_of
from .tokens import Tokenizer

_ROWS = "validation.0.dataset"


@dataclasses.dataclass
class Validation:
    """Rows to evaluate on while training."""

    dataset: plugin.Dataset
    """The rows. None of them should be among the rows to train on."""
    text: plugin.Row[str] = plugin.argument(rows_of=_ROWS)
    """The text."""
    target: plugin.Row[str] = plugin.argument(rows_of=_ROWS)
    """The correct label."""
    steps: int | None = None
    """Evaluates after every so many steps. The default is after each epoch."""
    patience: int | None = None
    """Ends training after so many evaluations without a lower loss, and keeps the weights with the lowest."""


@hf.train("hf_classifier", models=FORMATS, stop_seconds=300)
class Classifier(Training):
    """Fine-tunes a model to predict labels of texts.

    The model gets a new last layer with an output for each label of the dataset, in alphabetical order. It returns `label` and `confidence`, the probability of that label, as
    `train "linear"` does. Encoders such as BERT suit this best; of a model that generates text, the last token's state is used.

    The stage is a model. `curves` is a dataset of losses, and the values are metrics as of `train "hf_sft"`.

    ```hcl
    train "hf_classifier" "intent" {
      base    = model.encoder
      dataset = transform.parts.train
      text    = row.text
      target  = row.intent
    }
    ```
    """

    module = "quern_hf.classifier"
    method = "classifier"
    head = "classifier"

    text: plugin.Row[str] = plugin.argument(feature=True)
    """The text to classify. The expression is stored with the model, which evaluates it for each row that it predicts."""
    target: plugin.Row[str]
    """The correct label. Rows without one, and without a text, are dropped and counted."""
    class_weight: Literal["none", "balanced"] = "none"
    """`balanced` gives all labels the same weight, however many rows they have; `none` gives all rows the same weight."""
    max_length: int = 256
    """The maximum number of tokens of a text. Longer texts that the model predicts are cut."""
    validation: Validation | None
    """Rows to evaluate on while training."""

    def signature(self) -> tuple[dict[str, type], dict[str, type]]:
        return {"text": str}, {"label": str, "confidence": float}

    def handles(self, given: Any) -> list[plugin.Row[Any]]:
        return [given.text, given.target]

    def make(self, tokenizer: Tokenizer, given: Any, row: Mapping[str, Any]) -> list[Labeled]:
        text, target = row[given.text.key], row[given.target.key]
        if text is None or target is None:
            return []
        if not hasattr(self, "_numbers"):  # while planning, not all labels are known
            return [Labeled(texts_of(tokenizer)(text), 0)]
        if target not in self._numbers:
            raise ValueError(
                f"The label {target!r} is not in the dataset to train on\nA model cannot predict a label that it has not seen."
            )
        return [Labeled(texts_of(tokenizer)(text), self._numbers[target])]

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str) -> Counts:
        if given is self:
            self._numbers = {label: i for i, label in enumerate(self._all_labels())}
        with RowsFile(path, ("input_ids", "labels")) as out:
            return write_items(
                given.dataset.batches(*self.handles(given), batch_rows=1024),
                lambda row: self.make(tokenizer, given, row),
                out,
                max_length=self.max_length,
                longer=self.longer,
                dataset=dataset,
                progress=lambda rows: run.progress(rows, given.dataset.rows or 0, "rows", "reading rows"),
            )

    def _all_labels(self) -> list[str]:
        found: set[str] = set()
        for batch in self.dataset.batches(self.target):
            found.update(label for label in batch[0].unique().to_pylist() if label is not None)
        if len(found) < 2:
            raise plugin.Error(
                f"The dataset has {'only the label ' + repr(found.pop()) if found else 'no labels'}\nA classifier needs at least two.",
                argument="target",
            )
        return sorted(found)

    def description(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().description(arguments), "labels": list(self._numbers)}


@dataclasses.dataclass(frozen=True)
class Labeled:
    """A text with the number of its label."""

    text: Text
    label: int

    @property
    def length(self) -> int:
        return self.text.length

    tokens = length

    @property
    def targets(self) -> int:
        return 1

    @property
    def row(self) -> dict[str, Any]:
        return {"input_ids": self.text.ids, "labels": [self.label]}

    def cut(self, length: int) -> Labeled:
        return Labeled(self.text.cut(length), self.label)


def train(job: Job) -> None:
    """Trains, in a process of its own."""
    import datasets
    import transformers

    from . import trainer, weights

    labels = Description(**job.description).labels
    tokenizer = weights.tokenizer(job)
    numbers = {label: i for i, label in enumerate(labels)}
    model = weights.load(
        job,
        transformers.AutoModelForSequenceClassification,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id=numbers,
        pad_token_id=tokenizer.pad_token_id,
    )
    if (adapter := weights.lora(job, "SEQ_CLS")) is not None:
        import peft

        model = peft.get_peft_model(model, adapter)
    data = datasets.Dataset.from_file(job.data)
    args = trainer.arguments_of(job, transformers.TrainingArguments, remove_unused_columns=False)
    loss = loss_of(class_weights(data, len(labels)) if job.arguments["class_weight"] == "balanced" else None)

    def make(cls: type[Any]) -> Any:
        return cls(
            model=model,
            args=args,
            train_dataset=data,
            eval_dataset=datasets.Dataset.from_file(job.validation) if job.validation else None,
            data_collator=Collate(tokenizer.pad_token_id),
            processing_class=tokenizer,
            compute_loss_func=loss,
        )

    done = trainer.fit(job, make, transformers.Trainer)
    if done.accelerator.is_main_process:
        weights.save(job, done.accelerator.unwrap_model(done.model))


def class_weights(data: Any, labels: int) -> list[float]:
    """Returns weights with which all labels weigh the same, and a row weighs 1 on average."""
    counts = [0] * labels
    for batch in data.with_format("arrow").iter(16384):
        for number in batch["labels"].combine_chunks().flatten().to_pylist():
            counts[number] += 1
    return [sum(counts) / (sum(1 for c in counts if c) * c) if c else 0.0 for c in counts]


def loss_of(weights: Sequence[float] | None) -> Any:
    """Returns the loss of a batch: the mean over the rows of all batches that make up a step."""
    import torch

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        logits = outputs["logits"].float()
        given = None if weights is None else torch.tensor(weights, device=logits.device)
        total = torch.nn.functional.cross_entropy(logits, labels, weight=given, reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


class Collate:
    """Makes a batch of rows: pads the tokens, and takes the labels out of their lists."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        from .texts import padded

        return {**padded([r["input_ids"] for r in rows], self._pad), "labels": torch.tensor([r["labels"][0] for r in rows])}
