"""train "hf_embedding": models that turn texts into vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from quern import plugin

from . import hf
from .artifact import FORMATS
from .data import Counts, RowsFile, write_items
from .job import Job
from .pooling import Pooling
from .stage import Training
from .texts import Text, texts_of
from .tokens import Tokenizer

_ROWS = "validation.0.dataset"
_COLUMNS = ("anchor", "positive", "negative")


@dataclasses.dataclass
class Validation:
    """Rows to evaluate on while training. The arguments are as in the trainer's block."""

    dataset: plugin.Dataset
    """The rows. None of them should be among the rows to train on."""
    anchor: plugin.Row[str] = plugin.argument(rows_of=_ROWS)
    """A text, such as a question."""
    positive: plugin.Row[str] = plugin.argument(rows_of=_ROWS)
    """A text that is to be near it."""
    negative: plugin.Row[str] | None = plugin.argument(default=None, rows_of=_ROWS)
    """A text that is to be far from it."""
    steps: int | None = None
    """Evaluates after every so many steps. The default is after each epoch."""
    patience: int | None = None
    """Ends training after so many evaluations without a lower loss, and keeps the weights with the lowest."""


@hf.train("hf_embedding", models=FORMATS, stop_seconds=300)
class Embedding(Training):
    """Fine-tunes a model so that the vectors of related texts are near each other.

    For each `anchor`, the model learns to find its `positive` among the positives, and the negatives, of all rows of the batch (InfoNCE, which sentence-transformers calls
    `MultipleNegativesRankingLoss`). So larger batches are harder and teach more, and a batch should not contain two rows whose positives are interchangeable. `gradient_accumulation` does not make such a batch
    larger.

    The stage is a model that can embed. It has the `modules.json` of sentence-transformers, which loads it, too. `curves` is a dataset of losses, and the values are metrics as of `train "hf_sft"`.

    ```hcl
    train "hf_embedding" "search" {
      base     = model.encoder
      dataset  = source.pairs
      anchor   = row.question
      positive = row.passage
    }
    ```
    """

    module = "quern_hf.embedding"
    method = "embedding"
    head = "embedding"

    anchor: plugin.Row[str]
    """A text, such as a question."""
    positive: plugin.Row[str]
    """A text that is to be near it, such as a passage that answers the question."""
    negative: plugin.Row[str] | None
    """A text that is to be far from it, such as a passage that looks like an answer but is none."""
    pooling: Literal["mean", "cls", "lasttoken", "max"] = "mean"
    """How the vectors of tokens become that of a text: their mean, the first one, the last one, or the maximum of each number."""
    normalize: bool = True
    """Whether vectors have the length 1."""
    temperature: float = 0.05
    """The cosine similarities are divided by it. Lower values make the model care more about the nearest wrong texts."""
    max_length: int = 256
    """The maximum number of tokens of a text. Longer texts that the model embeds are cut."""
    validation: Validation | None
    """Rows to evaluate on while training."""

    def check(self, p: plugin.Prepare) -> None:
        super().check(p)
        if p.known("temperature") and not self.temperature > 0:
            p.error("temperature must be greater than 0", argument="temperature")
        if p.known("batch_size") and self.batch_size < 2 and self.negative is None:
            p.error(
                "batch_size must be at least 2\nThe wrong texts for a row are those of the other rows of its batch.", argument="batch_size"
            )

    def handles(self, given: Any) -> list[plugin.Row[Any]]:
        return [h for h in (given.anchor, given.positive, given.negative) if h is not None]

    def make(self, tokenizer: Tokenizer, given: Any, row: Mapping[str, Any]) -> list[Related]:
        values = [row[h.key] for h in self.handles(given)]
        if any(v is None for v in values):
            raise ValueError('A text is null\nLeave such rows out, for example with transform "filter".')
        return [Related([texts_of(tokenizer)(v) for v in values])]

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str) -> Counts:
        handles = self.handles(given)
        with RowsFile(path, _COLUMNS[: len(handles)]) as out:
            return write_items(
                given.dataset.batches(*handles, batch_rows=1024),
                lambda row: self.make(tokenizer, given, row),
                out,
                max_length=self.max_length,
                longer=self.longer,
                dataset=dataset,
                progress=lambda rows: run.progress(rows, given.dataset.rows or 0, "rows", "reading rows"),
            )


@dataclasses.dataclass(frozen=True)
class Related:
    """The texts of a row: anchor, positive, and negative if there is one."""

    texts: list[Text]

    @property
    def length(self) -> int:
        return max(t.length for t in self.texts)

    @property
    def tokens(self) -> int:
        return sum(t.length for t in self.texts)

    @property
    def targets(self) -> int:
        return 1

    @property
    def row(self) -> dict[str, Any]:
        return {name: t.ids for name, t in zip(_COLUMNS, self.texts)}

    def cut(self, length: int) -> Related:
        return Related([t.cut(length) for t in self.texts])


def train(job: Job) -> None:
    """Trains, in a process of its own."""
    import datasets
    import transformers

    from . import trainer, weights

    a = job.arguments
    tokenizer = weights.tokenizer(job)
    model = weights.load(job, transformers.AutoModel)
    if (adapter := weights.lora(job, "FEATURE_EXTRACTION")) is not None:
        import peft

        model = peft.get_peft_model(model, adapter)
    pooling = Pooling(a["pooling"], a["normalize"], a["max_length"])
    args = trainer.arguments_of(job, transformers.TrainingArguments, remove_unused_columns=False, label_names=["anchor_input_ids"])

    def make(cls: type[Any]) -> Any:
        made = cls(
            model=model,
            args=args,
            train_dataset=datasets.Dataset.from_file(job.data),
            eval_dataset=datasets.Dataset.from_file(job.validation) if job.validation else None,
            data_collator=Collate(tokenizer.pad_token_id),
            processing_class=tokenizer,
        )
        made.pooling, made.temperature = pooling, a["temperature"]
        return made

    done = trainer.fit(job, make, contrastive())
    if done.accelerator.is_main_process:
        weights.save(job, done.accelerator.unwrap_model(done.model))
        pooling.write(Path(job.output), model.config.hidden_size)


def contrastive() -> type[Any]:
    """Returns the class that trains."""
    import torch
    import transformers

    class Contrastive(transformers.Trainer):
        """Trains with the loss of Embedding."""

        pooling: Pooling
        temperature: float

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            vectors = [
                self.pooling.pool(
                    model(input_ids=inputs[f"{name}_input_ids"], attention_mask=inputs[f"{name}_attention_mask"]).last_hidden_state,
                    inputs[f"{name}_attention_mask"],
                )
                for name in _COLUMNS
                if f"{name}_input_ids" in inputs
            ]
            loss = info_nce(vectors[0], torch.cat(vectors[1:]), self.temperature)
            return (loss, {"vectors": vectors[0]}) if return_outputs else loss

    return Contrastive


def info_nce(anchors: Any, candidates: Any, temperature: float) -> Any:
    """The mean over anchors of the cross-entropy of finding their positives, which are the first of the candidates, by cosine similarity."""
    import torch

    scores = torch.nn.functional.normalize(anchors, dim=-1) @ torch.nn.functional.normalize(candidates, dim=-1).T / temperature
    return torch.nn.functional.cross_entropy(scores.float(), torch.arange(len(anchors), device=scores.device))


class Collate:
    """Makes a batch of rows: pads the texts of each column."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        from .texts import padded

        columns = [name for name in _COLUMNS if name in rows[0]]
        made = {name: padded([r[name] for r in rows], self._pad) for name in columns}
        return {f"{name}_{kind}": tensor for name, tensors in made.items() for kind, tensor in tensors.items()}
