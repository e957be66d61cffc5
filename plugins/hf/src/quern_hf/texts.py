"""Single texts as training data, with the tokens that a model expects around them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .tokens import Tokenizer

if TYPE_CHECKING:
    import tokenizers


@dataclasses.dataclass(frozen=True)
class Text:
    """A text as tokens."""

    ids: list[int]
    text: str
    by: Texts

    @property
    def length(self) -> int:
        return len(self.ids)

    def cut(self, length: int) -> Text:
        """Returns the text with at most so many tokens. Those that end a text stay."""
        return Text(self.by.truncated(length).encode(self.text).ids, self.text, self.by)


class Texts:
    """Turns texts into tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # A text without tokens has the token that ends texts.
        self._empty = [tokenizer.eos or 0]
        self._truncated: dict[int, tokenizers.Tokenizer] = {}

    def __call__(self, text: str) -> Text:
        return Text(self._tokenizer.backend.encode(text).ids or self._empty, text, self)

    def all(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """Returns the tokens of texts, each cut to the maximum length; 0: not cut."""
        encoded = self.truncated(max_length).encode_batch(list(texts))
        return [e.ids or self._empty for e in encoded]

    def truncated(self, max_length: int) -> tokenizers.Tokenizer:
        """Returns the tokenizer with a maximum length; 0: none."""
        if max_length not in self._truncated:
            import tokenizers

            copy = tokenizers.Tokenizer.from_str(self._tokenizer.backend.to_str())
            if max_length:
                copy.enable_truncation(max_length)
            self._truncated[max_length] = copy
        return self._truncated[max_length]


@functools.lru_cache(maxsize=8)
def texts_of(tokenizer: Tokenizer) -> Texts:
    """Returns what turns texts into tokens with a tokenizer, which is made once."""
    return Texts(tokenizer)


def padded(rows: Sequence[Sequence[int]], pad: int, *, left: bool = False) -> dict[str, Any]:
    """Returns texts of different lengths as the tensors ``input_ids`` and ``attention_mask`` (texts x tokens), padded on one side."""
    import torch

    longest = max(len(r) for r in rows)
    tokens = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        part = slice(longest - len(row), longest) if left else slice(0, len(row))
        tokens[i, part] = torch.tensor(row, dtype=torch.long)
        mask[i, part] = 1
    return {"input_ids": tokens, "attention_mask": mask}
