"""The rows that prompts are tried on, and their parts."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from quern import plugin

Candidate = tuple[tuple[str, str], ...]
"""The messages of a prompt before the question: role and content."""


@dataclass(frozen=True)
class Row:
    """A row to try prompts on.

    Attributes:
        index: Its position in the dataset.
        request: The request that the start prompt makes of it.
        answer: The right answer; None if none is given.
        columns: What the metric reads, as a batch of one row.
    """

    index: int
    request: plugin.ChatRequest
    answer: str | None
    columns: Any

    @property
    def question(self) -> str:
        return self.request.messages[-1].content

    @property
    def start(self) -> Candidate:
        return tuple((m.role, m.content) for m in self.request.messages[:-1])


@dataclass
class Parts:
    """Rows for the search, and rows that it never sees, in the order of the dataset."""

    search: list[Row]
    held_out: list[Row]


def split(rows: Iterable[Row], seed: int, held_out: float, most: int) -> Parts:
    """Splits rows by a hash of their questions, so that equal questions are in one part.

    Each part has the rows with the smallest hashes, at most its share of ``most`` in all, and no more are
    in memory. More rows in the dataset change a part only where their hashes are smaller.
    """
    kept_out = round(most * held_out)
    search, held = _Smallest(most - kept_out), _Smallest(kept_out)
    for row in rows:
        digest = hashlib.sha256(f"{seed}\0{row.question}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        (held if share < held_out else search).add(digest[8:16], row)
    return Parts(search.rows(), held.rows())


class _Smallest:
    """The rows with the smallest hashes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._heap: list[tuple[int, int, Row]] = []

    def add(self, hash: bytes, row: Row) -> None:
        entry = (-int.from_bytes(hash, "big"), -row.index, row)
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def rows(self) -> list[Row]:
        return sorted((row for _, _, row in self._heap), key=lambda row: row.index)


def read(dataset: plugin.Dataset, prompt: plugin.Prompt, answer: plugin.Row[str] | None) -> Iterator[Row]:
    """Reads rows from a dataset, batch by batch."""
    columns = [c.name for c in dataset.columns]
    arguments = [a.name for a in dataset.arguments]
    index = 0
    for batch in dataset.batches():
        requests = batch.column(len(columns) + arguments.index(prompt.key))
        answers = batch.column(len(columns) + arguments.index(answer.key)) if answer is not None else None
        read = batch.select(range(len(columns)))  # an argument may have the name of a column
        for i in range(batch.num_rows):
            if not requests[i].is_valid:
                raise plugin.Error(f"The prompt has no value for row {index}\nFilter such rows out first.", argument=prompt.key)
            given = answers[i].as_py() if answers is not None else None
            yield Row(index, plugin.ChatRequest.decode(requests[i].as_py()), given, read.take([i]) if columns else read.slice(i, 1))
            index += 1
