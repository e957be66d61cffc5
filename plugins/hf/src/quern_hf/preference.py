"""train "hf_dpo" and "hf_reward": what learns from preferences."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quern import plugin

from .data import Counts, Example, Item, RowsFile, chat, conversation, write_items
from .sft import check_messages
from .tokens import Message, Tokenizer


@dataclass(frozen=True)
class Answer:
    """An answer to a prompt, or whether it is a good one.

    Attributes:
        prompt: The tokens of what comes before it.
        ids: Its tokens, with the one that ends it.
        good: Whether the model is to give such answers.
    """

    prompt: list[int]
    ids: list[int]
    good: bool = True

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.ids)

    tokens = length

    @property
    def targets(self) -> int:
        return len(self.ids)

    @property
    def row(self) -> dict[str, Any]:
        return {"prompt_ids": self.prompt, "completion_ids": self.ids, "label": self.good}

    def cut(self, length: int) -> Answer:
        return Answer(self.prompt, self.ids[: max(0, length - len(self.prompt))], self.good)


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt, of which the first is better."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def tokens(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def targets(self) -> int:
        return len(self.chosen) + len(self.rejected) if self.chosen and self.rejected else 0

    @property
    def row(self) -> dict[str, Any]:
        return {"prompt_ids": self.prompt, "chosen_ids": self.chosen, "rejected_ids": self.rejected}

    def cut(self, length: int) -> Pair:
        left = max(0, length - len(self.prompt))
        return Pair(self.prompt, self.chosen[:left], self.rejected[:left])


@dataclass(frozen=True)
class WholePair(Pair):
    """A pair for a reward model, which reads each answer with its prompt and scores the whole."""

    @property
    def row(self) -> dict[str, Any]:
        return {"chosen_ids": self.prompt + self.chosen, "rejected_ids": self.prompt + self.rejected}


def asked(row: Mapping[str, Any]) -> tuple[list[Message], Sequence[Any] | None]:
    """Returns the messages before the answers of a row, and the functions that the model can call."""
    if "messages" in row:
        return conversation(row["messages"]), None
    content = json.loads(row["prompt"])
    return content["messages"], [{"type": "function", "function": t} for t in content.get("tools") or ()] or None


def answer(tokenizer: Tokenizer, row: Mapping[str, Any], text: str, good: bool = True) -> Answer:
    """Returns the tokens of an answer to the prompt of a row.

    Raises:
        ValueError: The conversation cannot be rendered.
    """
    messages, tools = asked(row)
    made: Example = chat(tokenizer, [*messages, {"role": "assistant", "content": text}], last=True, tools=tools)
    first = made.written.index(True)
    last = len(made.written) - made.written[::-1].index(True)
    return Answer(made.ids[:first], made.ids[first:last], good)


def pair(tokenizer: Tokenizer, row: Mapping[str, Any], kind: type[Pair] = Pair) -> Pair:
    """Returns the tokens of the two answers of a row.

    Raises:
        ValueError: The answers are equal, or the conversation cannot be rendered.
    """
    if row["chosen"] == row["rejected"]:
        raise ValueError("chosen and rejected are equal\nThere is nothing to prefer. Leave such rows out.")
    chosen, rejected = (answer(tokenizer, row, row[name]) for name in ("chosen", "rejected"))
    same = 0
    for a, b in zip(chosen.prompt, rejected.prompt):
        if a != b:
            break
        same += 1
    # The end of the prompt can be one token with the begin of an answer.
    return kind(chosen.prompt[:same], chosen.prompt[same:] + chosen.ids, rejected.prompt[same:] + rejected.ids)


def write(
    run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str, limits: Mapping[str, Any], kind: type[Pair] | None
) -> Counts:
    """Writes the preferences of a dataset.

    Without a kind, each answer is an item of its own: first the better ones, then the worse ones, so that the neighbors of an
    answer are to other prompts.

    Args:
        run: The run, for progress.
        tokenizer: The tokenizer.
        given: The stage, or its block ``validation``.
        path: The file.
        dataset: The key of the dataset, for messages.
        limits: ``max_length`` and ``longer``.
        kind: What becomes of a row with two answers.
    """
    handles = handles_of(given)

    def pass_over(make: Callable[[Mapping[str, Any]], Item], out: RowsFile) -> Counts:
        return write_items(
            given.dataset.batches(*handles.values(), batch_rows=1024),
            lambda values: [make(named(given, values))],
            out,
            dataset=dataset,
            progress=lambda rows: run.progress(rows, given.dataset.rows or 0, "rows", "reading rows"),
            **limits,
        )

    columns = ("prompt_ids", "completion_ids") if kind is None else ("chosen_ids", "rejected_ids")
    with RowsFile(path, ("prompt_ids", *columns) if kind is Pair else columns, label=kind is None) as out:
        if kind is not None:
            return pass_over(lambda row: pair(tokenizer, row, kind), out)
        if "completion" in handles:
            return pass_over(lambda row: answer(tokenizer, row, row["completion"], row["label"]), out)
        counts = pass_over(lambda row: answer(tokenizer, row, row["chosen"], True), out)
        worse = pass_over(lambda row: answer(tokenizer, row, row["rejected"], False), out)
        counts.tokens, counts.targets = counts.tokens + worse.tokens, counts.targets + worse.targets
        return counts


_COLUMNS = ("messages", "prompt", "chosen", "rejected", "completion", "label")


def handles_of(given: Any) -> dict[str, plugin.Row[Any]]:
    """Returns the row arguments of a stage or its block ``validation``, by name."""
    return {n: h for n in _COLUMNS if (h := getattr(given, n, None)) is not None}


def named(given: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a row by the names of their arguments.

    Raises:
        ValueError: One of them is null.
    """
    row = {name: values[h.key] for name, h in handles_of(given).items()}
    empty = [name for name, value in row.items() if value is None]
    if empty:
        raise ValueError(f'{" and ".join(empty)} is null\nLeave such rows out, for example with transform "filter".')
    return row


def items(tokenizer: Tokenizer, row: Mapping[str, Any], kind: type[Pair] | None) -> Sequence[Item]:
    """Returns what becomes of a row; see ``write``."""
    if kind is not None:
        return [pair(tokenizer, row, kind)]
    if "completion" in row:
        return [answer(tokenizer, row, row["completion"], row["label"])]
    return [answer(tokenizer, row, row["chosen"], True), answer(tokenizer, row, row["rejected"], False)]


def check_preferences(p: plugin.Prepare, given: Any, at: str) -> None:
    """Reports prompts or answers that are missing, or given in several ways."""
    place = at.removesuffix(".0.") if at else ""
    if (given.messages is None) == (given.prompt is None):
        what = "The prompt is missing" if given.messages is None else "The prompt is given twice"
        p.error(
            f"{what}\nSet messages to the conversation before the answers, or prompt to a prompt.",
            argument=at + "messages" if given.messages else place,
        )
    if given.messages is not None:
        check_messages(p, given.messages)
    pairs, single = [(given.chosen, given.rejected), (getattr(given, "completion", None), getattr(given, "label", None))]
    if (single[0] is None) != (single[1] is None):
        p.error("completion and label belong together\nThe label says whether the completion is a good answer.", argument=place)
    if (pairs[0] is None) != (pairs[1] is None) or (pairs[0] is None and single[0] is None):
        p.error("Answers are missing\nSet chosen to the better answer and rejected to the worse one.", argument=place)
    if pairs[0] is not None and single[0] is not None:
        p.error("Answers are given twice\nSet chosen and rejected, or completion and label.", argument=at + "completion")
