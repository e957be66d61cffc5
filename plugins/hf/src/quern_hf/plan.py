"""What a plan can say about a training before anything is downloaded or trained.

The checks read some rows and the small files of the base: its tokenizer, chat template,
and configuration. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .data import Item
from .tokens import TemplateError

# The share of rows that cannot be trained on, or are too long, beyond which a plan warns.
_FEW = 0.01


@dataclasses.dataclass
class Sample:
    """What becomes of some rows of a dataset.

    Attributes:
        items: What training would read of them.
        failed: The rows that cannot be trained on, counted from 0, and why.
        total: The number of rows of the dataset; None: unknown.
        complete: The sample is the whole dataset.
    """

    items: list[Item]
    failed: list[tuple[int, str]]
    total: int | None
    complete: bool

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, Any]],
        make: Callable[[Mapping[str, Any]], Sequence[Item]],
        *,
        total: int | None = None,
        complete: bool = False,
    ) -> Sample:
        """Makes what training would make of rows."""
        out = cls([], [], len(rows) if complete else total, complete)
        for number, row in enumerate(rows):
            try:
                out.items += make(row)
            except (TemplateError, ValueError) as e:
                out.failed.append((number, str(e)))
        return out

    @property
    def rows(self) -> int:
        """The number of rows that were looked at, of which each made as many items as any other."""
        return len(self.items) + len(self.failed)

    def tokens(self, max_length: int) -> int | None:
        """The number of tokens of the whole dataset, or None if the number of its rows is unknown."""
        if self.total is None or not self.items:
            return None
        counted = sum(min(i.tokens, max_length) if i.length == i.tokens else i.tokens for i in self.items)
        return round(counted / self.rows * self.total)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something to tell the user before training: an error, or a warning."""

    text: str
    argument: str
    error: bool


def failures(sample: Sample, argument: str) -> Iterator[Finding]:
    """Finds rows that cannot be trained on. Training would fail with the first of them."""
    if sample.failed:
        number, why = sample.failed[0]
        summary, _, detail = why.partition("\n")
        others = (
            f" {len(sample.failed):,} of the {sample.rows:,} rows that were looked at cannot be trained on."
            if len(sample.failed) > 1
            else ""
        )
        yield Finding(f"Row {number + 1:,} cannot be trained on\n{summary.rstrip('.')}. {detail}".rstrip() + others, argument, True)


def lengths(sample: Sample, max_length: int, longer: str) -> Iterator[Finding]:
    """Finds rows that are longer than the maximum."""
    numbers = [n for n, i in enumerate(sample.items) if i.length > max_length]
    if not numbers:
        return
    share = len(numbers) / len(sample.items)
    longest = max(numbers, key=lambda n: sample.items[n].length)
    text = (
        f"{share:.1%} of the rows have more than max_length = {max_length:,} tokens\n"
        f"Of {len(sample.items):,} rows that were looked at, the longest is row {longest + 1:,}, with {sample.items[longest].length:,} tokens. "
    )
    if longer == "error":
        yield Finding(
            text + 'Raise max_length, or set longer = "truncate" to cut such rows or longer = "drop" to leave them out.', "max_length", True
        )
    elif share > _FEW:
        what = "cut, and what is missing is not learned" if longer == "truncate" else "left out"
        yield Finding(text + f"They are {what}.", "max_length", False)


def overlap(sample: Sample, validation: Sample, argument: str) -> Iterator[Finding]:
    """Finds rows that are in both datasets, among those that were looked at."""
    seen = {json.dumps(i.row, sort_keys=True) for i in sample.items}
    both = [n for n, i in enumerate(validation.items) if json.dumps(i.row, sort_keys=True) in seen]
    if both:
        yield Finding(
            f"{len(both):,} of {len(validation.items):,} rows to evaluate on are also trained on\n"
            f'The first is row {both[0] + 1:,} of the validation dataset. The evaluation loss would be too low. Split the rows with transform "split".',
            argument,
            False,
        )


def steps(rows: int, *, batch_size: int, processes: int, accumulation: int, epochs: float, most: int | None) -> int:
    """Returns the number of the optimizer's steps."""
    if most is not None:
        return most
    batches = math.ceil(rows / (batch_size * processes))
    return math.ceil(epochs * math.ceil(batches / accumulation))


# Memory.


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a decoder of the Llama family.

    Attributes:
        hidden: The size of the residual stream.
        intermediate: The size of the feed-forward layers.
        layers: The number of layers.
        queries: The size of all query heads together.
        keys: The size of all key heads together, and of all value heads.
        vocabulary: The number of tokens.
        tied: The output layer has the weights of the embedding.
        biases: The projections of queries, keys, and values have biases.
        norms: The number of weights of the norms of a layer.
    """

    hidden: int
    intermediate: int
    layers: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool
    biases: bool
    norms: int

    @classmethod
    def read(cls, folder: str | Path) -> Shape | None:
        """Reads the sizes from ``config.json``; None if it describes another family."""
        return cls.of(json.loads(Path(folder, "config.json").read_text(encoding="utf-8")))

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape | None:
        """Returns the sizes in a configuration; None if it is of another family."""
        family = config.get("model_type")
        if family not in ("llama", "mistral", "qwen2", "qwen3", "smollm3"):
            return None
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        head = config.get("head_dim") or hidden // heads
        return cls(
            hidden=hidden,
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            queries=heads * head,
            keys=(config.get("num_key_value_heads") or heads) * head,
            vocabulary=config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings")),
            biases=family == "qwen2" or bool(config.get("attention_bias")),
            norms=2 * hidden + (2 * head if family == "qwen3" else 0),
        )

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """The inputs and outputs of the linear layers of one layer, by name."""
        h, i = self.hidden, self.intermediate
        return {
            "q_proj": (h, self.queries),
            "k_proj": (h, self.keys),
            "v_proj": (h, self.keys),
            "o_proj": (self.queries, h),
            "gate_proj": (h, i),
            "up_proj": (h, i),
            "down_proj": (i, h),
        }

    @property
    def linear_parameters(self) -> int:
        """The number of weights of the linear layers, without the output layer."""
        return self.layers * sum(a * b for a, b in self.linear.values())

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        biases = self.queries + 2 * self.keys if self.biases else 0
        return self.linear_parameters + embeddings + self.hidden + self.layers * (self.norms + biases)

    def adapter_parameters(self, r: int, targets: Sequence[str] | None = None) -> int:
        """The number of weights of an adapter.

        Args:
            r: Its rank.
            targets: The linear layers that have one; None: all.
        """
        return self.layers * sum(r * (a + b) for name, (a, b) in self.linear.items() if targets is None or name in targets)


def memory(
    shape: Shape,
    *,
    tokens: int,
    precision: str,
    lora: Mapping[str, Any] | None,
    quantized: bool,
    gradient_checkpointing: bool,
    optimizer: str = "adamw",
    references: int = 0,
) -> int:
    """Returns about how much memory training takes on each GPU, in bytes, without the GPU's own overhead.

    Args:
        shape: The sizes of the model.
        tokens: The number of tokens in a batch, with padding.
        precision: The precision of the computation.
        lora: The adapter: ``r`` and ``targets``.
        quantized: The base is in 4 bits.
        gradient_checkpointing: Activations of a layer are computed again for its gradients.
        optimizer: The optimizer.
        references: The number of further copies of the base, as DPO on all weights has.
    """
    element = 4 if precision == "float32" else 2
    state = {"adamw": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 1, "sgd": 0}[optimizer]
    if lora is None:
        # Weights, gradients, and the optimizer in float32; autocast keeps another copy of the weights.
        trained = shape.parameters * (8 + state) + (shape.linear_parameters * element if element < 4 else 0)
        frozen = 0
    else:
        trained = shape.adapter_parameters(lora["r"], lora.get("targets")) * (8 + state)
        rest = (shape.parameters - shape.linear_parameters) * element
        # NF4 with double quantization: 4 bits, and 0.127 for the constants.
        frozen = rest + (int(shape.linear_parameters * 4.127 / 8) if quantized else shape.linear_parameters * element)
    copies = references * shape.parameters * (4 if lora is None else 0)
    return trained + frozen + copies + activations(shape, tokens=tokens, element=element, checkpointing=gradient_checkpointing)


def activations(shape: Shape, *, tokens: int, element: int, checkpointing: bool) -> int:
    """Returns the size of what the forward pass keeps for the backward pass, in bytes.

    Args:
        shape: The sizes of the model.
        tokens: The number of tokens in a batch.
        element: The size of a number in the precision of the computation.
        checkpointing: Only the input of each layer is kept; the rest is kept for one layer at a time.
    """
    h, i = shape.hidden, shape.intermediate
    # Inputs of the two norms and what they normalize to, queries, keys, values, the output of attention, and four of the feed-forward layer.
    layer = tokens * (6 * h + 2 * shape.queries + 2 * shape.keys + 4 * i) * element
    ends = tokens * 3 * h * element
    if checkpointing:
        return shape.layers * tokens * h * element + layer + ends
    return shape.layers * layer + ends
