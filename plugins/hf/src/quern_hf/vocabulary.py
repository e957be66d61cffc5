"""A new tokenizer for a model that was trained with another one.

The embedding of a text for which both tokenizers have a token is kept. That of a new token begins as the
mean of the embeddings of the old tokens that its text consists of, which is called fast
vocabulary transfer (Gee et al., 2022). Everything else in the model stays as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import artifact
from .tokens import Tokenizer

if TYPE_CHECKING:
    import tokenizers
    import torch

_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_ROLES = ("bos", "eos", "pad")


def replace(base: Path, tokenizer: Path, folder: Path) -> None:
    """Writes a model with another tokenizer into a folder.

    Args:
        base: The folder of the model.
        tokenizer: The folder of the tokenizer.
        folder: The folder to write. It appears once all of it is written.
    """
    import transformers

    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    before, after = Tokenizer(base), Tokenizer(tokenizer)
    _embed(model, origins(before, after))
    for config in (model.config, model.generation_config):
        for role in _ROLES:
            name = after.special.get(f"{role}_token")
            setattr(config, f"{role}_token_id", None if name is None else after.backend.token_to_id(name))
    model.save_pretrained(unfinished)
    written = {f.name for f in unfinished.iterdir()}
    artifact.copy_base(base, unfinished, skip=lambda name: name in _FILES or name in written or ".safetensors" in name)
    artifact.copy_base(tokenizer, unfinished, skip=lambda name: name not in _FILES)
    unfinished.rename(folder)


def _embed(model: Any, found: Sequence[Sequence[int]]) -> None:
    """Gives a model the embeddings of new tokens, each the mean of those of some old tokens; of none: the mean of all."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    embeddings = _means(inputs.weight, found)
    scores = None if outputs.weight is inputs.weight else _means(outputs.weight, found)
    bias = None if getattr(outputs, "bias", None) is None else _means(outputs.bias, found)
    model.resize_token_embeddings(len(found), mean_resizing=False)
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    inputs.weight.data.copy_(embeddings)
    if scores is not None:
        outputs.weight.data.copy_(scores)
    if bias is not None:
        outputs.bias.data.copy_(bias)


def _means(weight: torch.Tensor, found: Sequence[Sequence[int]]) -> torch.Tensor:
    import torch

    exact = weight.detach().float()
    whole = exact.mean(dim=0)
    return torch.stack([exact[list(ids)].mean(dim=0) if ids else whole for ids in found]).to(weight.dtype)


def origins(before: Tokenizer, after: Tokenizer) -> list[list[int]]:
    """Returns for each token of a tokenizer, by its number, the tokens of the one before that its embedding begins as."""
    old, new = before.backend, after.backend
    roles = {text: before.special[role] for role, text in after.special.items() if role in before.special}
    special = {t.content for t in new.get_added_tokens_decoder().values() if t.special}
    writes = _Writer(old)
    vocabulary = new.get_vocab()
    out: list[list[int]] = [[] for _ in range(max(vocabulary.values()) + 1)]
    for token, number in vocabulary.items():
        if token in special:
            known = old.token_to_id(roles.get(token, token))
            out[number] = [] if known is None else [known]
        else:
            out[number] = writes.tokens(token, _text(new, number))
    return out


class _Writer:
    """Finds the tokens of a tokenizer that write a text."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._texts = {i: _text(tokenizer, i) for i in sorted(tokenizer.get_vocab(with_added_tokens=False).values())}
        # Tokens for single bytes come first in vocabularies, and write what letters also write.
        self._tokens = {text: i for i, text in self._texts.items() if text}

    def tokens(self, token: str, text: str) -> list[int]:
        """Returns the tokens that write what a token of another tokenizer writes.

        Args:
            token: The other tokenizer's name of the token.
            text: What it writes; empty: a part of a character.
        """
        same = self._tokenizer.token_to_id(token)
        if same is not None and self._texts.get(same) == text:
            return [same]
        # Some tokenizers put a space before each text.
        for given in (text, text.removeprefix(" ")):
            ids: list[int] = self._tokenizer.encode(given, add_special_tokens=False).ids
            if "".join(self._texts.get(i, "") for i in ids) == text:
                return ids
        found = self._tokens.get(text)
        return ids if found is None else [found]


def _text(tokenizer: tokenizers.Tokenizer, number: int) -> str:
    """Returns what a token adds to a text, or nothing if it is a part of a character."""
    added = tokenizer.decode([number, number])[len(tokenizer.decode([number])) :]
    return "" if "\ufffd" in added else added
