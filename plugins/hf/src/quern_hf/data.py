"""Training data: rows become tokens, in a file that training maps into memory.

Rows are read in batches and written at once, so neither the dataset nor its tokens
need to fit into memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from quern import plugin

from .tokens import Message, TemplateError, Tokenizer

if TYPE_CHECKING:
    import pyarrow as pa

IGNORED = -100
"""The label of a token that the loss ignores."""

Longer = Literal["error", "truncate", "drop"]
"""What happens to rows that are longer than the maximum length."""

# Rows that are written at once.
_ROWS = 1024


class Item(Protocol):
    """What training reads at once: a row of its file."""

    @property
    def length(self) -> int:
        """The number of tokens of the longest sequence in it."""

    @property
    def tokens(self) -> int:
        """The number of all tokens."""

    @property
    def targets(self) -> int:
        """The number of tokens that the loss counts. An item without any is left out."""

    @property
    def row(self) -> dict[str, Any]:
        """The values, by column."""

    def cut(self, length: int) -> Item:
        """Returns the first tokens of each sequence."""


@dataclasses.dataclass(frozen=True)
class Example:
    """Tokens to learn from, and for each whether the model is to write it."""

    ids: list[int]
    written: list[bool]

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def targets(self) -> int:
        return sum(self.written[1:])  # nothing predicts the first token

    @property
    def row(self) -> dict[str, Any]:
        return {"input_ids": self.ids, "labels": [i if w else IGNORED for i, w in zip(self.ids, self.written)]}

    def cut(self, length: int) -> Example:
        return Example(self.ids[:length], self.written[:length])


@dataclasses.dataclass
class Counts:
    """What is in the data.

    Attributes:
        rows: Rows to train on.
        tokens: Their tokens.
        targets: Those of the tokens that the loss counts.
        longer: Rows that were longer than the maximum length.
        longest: The number of tokens of the longest row.
        longest_row: Where it is in the dataset.
        dropped: Rows that are not trained on.
    """

    rows: int = 0
    tokens: int = 0
    targets: int = 0
    longer: int = 0
    longest: int = 0
    longest_row: int = 0
    dropped: int = 0

    @property
    def read(self) -> int:
        """The number of rows of the dataset."""
        return self.rows + self.dropped

    def see(self, number: int, length: int, max_length: int) -> bool:
        """Notes the length of a row and returns whether it is longer than the maximum."""
        if length > self.longest:
            self.longest, self.longest_row = length, number
        self.longer += length > max_length
        return length > max_length

    def add(self, items: Sequence[Item], out: RowsFile) -> None:
        """Writes the items of a row; a row without any is dropped."""
        self.rows += bool(items)
        self.dropped += not items
        for item in items:
            self.tokens += item.tokens
            self.targets += item.targets
            out.write(item.row)

    def too_long(self, max_length: int) -> str:
        """Says which rows are too long, and what to do about it."""
        share = self.longer / max(1, self.read)
        return (
            f"{self.longer:,} of {self.read:,} rows ({share:.1%}) have more than max_length = {max_length:,} tokens\n"
            f"The longest is row {self.longest_row + 1:,}, with {self.longest:,} tokens. "
            'Raise max_length, or set longer = "truncate" to cut them or longer = "drop" to leave them out.'
        )


def conversation(value: Any) -> list[Message]:
    """Returns the messages of a row.

    Raises:
        ValueError: It has none.
    """
    if not value:
        raise ValueError("It has no messages.")
    return list(value)


def prompted(request: str, target: str) -> tuple[list[Message], Sequence[Any] | None]:
    """Returns the conversation of a prompt and its answer, and the functions that the model can call.

    Args:
        request: The JSON of a request, as a prompt makes it.
        target: The answer to learn.
    """
    content = json.loads(request)
    tools = [{"type": "function", "function": t} for t in content.get("tools") or ()]
    return [*content["messages"], {"role": "assistant", "content": target}], tools or None


def chat(tokenizer: Tokenizer, messages: Sequence[Message], *, last: bool = False, tools: Sequence[Any] | None = None) -> Example:
    """Returns the tokens of a conversation. The model is to write those of the assistant's messages, or only of the last.

    Raises:
        TemplateError: The template is missing or refuses the conversation.
    """
    if tokenizer.template is None:
        raise TemplateError(NO_TEMPLATE)
    return Example(*tokenizer.rendered(tokenizer.template.conversation(messages, last=last, tools=tools)))


NO_TEMPLATE = (
    "The base model has no chat template\n"
    "It was not trained on conversations. Use a model that was, give a chat_template, or train on texts with the argument text."
)


def plain(tokenizer: Tokenizer, text: str) -> Example:
    """Returns the tokens of a text, all of which the model is to write."""
    ids = tokenizer.text(text)
    return Example(ids, [True] * len(ids))


class RowsFile:
    """A file of Arrow's streaming format. It has its name once the block of its ``with`` has ended without an error.

    Args:
        path: Where to write it.
        columns: The names of the columns that are lists of tokens.
        label: There is also a column ``label`` of conditions.
    """

    def __init__(self, path: str | Path, columns: Sequence[str], *, label: bool = False) -> None:
        import pyarrow as pa

        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = self.path.with_name(self.path.name + ".unfinished")
        fields = [pa.field(c, pa.list_(pa.int32())) for c in columns]
        self._schema = pa.schema([*fields, pa.field("label", pa.bool_())] if label else fields)
        self._file = open(self._unfinished, "wb")
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._waiting: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        self._waiting.append(row)
        if len(self._waiting) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._waiting, self._schema))
            self._waiting.clear()

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
            self._writer.close()
        self._file.close()
        if kind is None:
            os.replace(self._unfinished, self.path)


def write_items(
    batches: Iterable[pa.RecordBatch],
    make: Callable[[Mapping[str, Any]], Sequence[Item]],
    out: RowsFile,
    *,
    max_length: int,
    longer: Longer,
    dataset: str,
    progress: Callable[[int], None] = lambda rows: None,
) -> Counts:
    """Writes what training reads of the rows of a dataset.

    Args:
        batches: The rows.
        make: Makes the items of a row, whose values are named by their arguments.
        out: The file.
        max_length: The maximum number of tokens of a sequence.
        longer: What to do with longer ones.
        dataset: The argument of the dataset, for messages.
        progress: Is told how many rows were read.

    Raises:
        plugin.Error: A row cannot be learned from, or is too long.
    """
    counts = Counts()
    for number, row in enumerate(rows(batches)):
        items = made(make, row, number, dataset)
        if counts.see(number, max((i.length for i in items), default=0), max_length) and longer == "truncate":
            items = [i.cut(max_length) for i in items]
        counts.add([i for i in items if i.length <= max_length and i.targets], out)
        if number % 256 == 0:
            progress(number)
    if counts.longer and longer == "error":
        raise plugin.Error(counts.too_long(max_length), argument="max_length")
    if not counts.rows:
        raise plugin.Error(f"No rows to train on\nThe dataset has {counts.read:,} rows, and none has a token to learn.", argument=dataset)
    return counts


def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yields the rows of batches."""
    for batch in batches:
        yield from batch.to_pylist()


def made(make: Callable[[Mapping[str, Any]], Any], row: Mapping[str, Any], number: int, dataset: str) -> Any:
    """Returns what a function makes of a row. An error says which row it is."""
    try:
        return make(row)
    except (TemplateError, ValueError) as e:
        raise plugin.Error(in_row(e, number), argument=dataset) from None


def in_row(error: Exception, number: int) -> str:
    """Returns the text of an error about a row, counted from 0."""
    summary, _, detail = str(error).partition("\n")
    return f"Row {number + 1:,} cannot be trained on\n{summary.rstrip('.')}. {detail}".rstrip()
