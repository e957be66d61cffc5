"""Embeddings of texts: how the vectors of their tokens become one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .texts import Texts, padded

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class Pooling:
    """How the vectors of tokens become that of a text, as sentence-transformers describes it in ``modules.json``.

    Attributes:
        mode: ``mean``, ``cls`` (the first token), ``lasttoken``, or ``max``.
        normalize: The vector gets the length 1.
        max_length: Texts are cut after so many tokens; 0: at the model's own limit.
    """

    mode: Literal["mean", "cls", "lasttoken", "max"] = "mean"
    normalize: bool = False
    max_length: int = 0

    @staticmethod
    def of(folder: Path) -> Pooling:
        """Reads the description in a model's folder; without one, the mean is taken.

        Raises:
            ValueError: The model has a layer that is not supported.
        """
        if not (folder / "modules.json").exists():
            return Pooling()
        found: dict[str, Any] = {}
        for module in json.loads((folder / "modules.json").read_text()):
            kind = module["type"].rpartition(".")[2]
            if kind == "Pooling":
                found["mode"] = _mode(json.loads((folder / module["path"] / "config.json").read_text()))
            elif kind == "Normalize":
                found["normalize"] = True
            elif kind == "Transformer":
                found["max_length"] = _max_length(folder / module["path"])
            else:
                raise ValueError(f"the model has a layer of the type {module['type']}\nSupported are Transformer, Pooling, and Normalize.")
        return Pooling(**found)

    def write(self, folder: Path, dimensions: int) -> None:
        """Writes the description, so that sentence-transformers reads the model, too."""
        modules = [("Transformer", ""), ("Pooling", "1_Pooling"), *([("Normalize", "2_Normalize")] if self.normalize else [])]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(modules)
        ]
        modes = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken", "max": "max_tokens"}
        pooling = {"word_embedding_dimension": dimensions} | {f"pooling_mode_{m}": m == modes[self.mode] for m in modes.values()}
        _write(folder / "modules.json", listed)
        _write(folder / "1_Pooling" / "config.json", pooling)
        _write(folder / "sentence_bert_config.json", {"max_seq_length": self.max_length or None, "do_lower_case": False})
        if self.normalize:
            (folder / "2_Normalize").mkdir(exist_ok=True)

    def pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns the vectors of texts (texts x dimensions) from those of their tokens (texts x tokens x dimensions)."""
        import torch

        weights = mask[:, :, None].to(states.dtype)
        if self.mode == "mean":
            out = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        elif self.mode == "max":
            out = states.masked_fill(mask[:, :, None] == 0, float("-inf")).amax(1)
        else:
            last = mask.sum(1) - 1 if self.mode == "lasttoken" else torch.zeros_like(mask[:, 0])
            out = states[torch.arange(len(states), device=states.device), last]
        return torch.nn.functional.normalize(out, dim=-1) if self.normalize else out


def _mode(config: dict[str, Any]) -> Literal["mean", "cls", "lasttoken", "max"]:
    modes: dict[str, Literal["mean", "cls", "lasttoken", "max"]] = {
        "mean_tokens": "mean",
        "cls_token": "cls",
        "lasttoken": "lasttoken",
        "max_tokens": "max",
    }
    on = [name.removeprefix("pooling_mode_") for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    if isinstance(config.get("pooling_mode"), str):  # since version 5
        on = [{"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}.get(config["pooling_mode"], config["pooling_mode"])]
    if len(on) != 1 or on[0] not in modes:
        raise ValueError(f"the pooling {' and '.join(on) or 'of the model'} is not supported\nSupported are {', '.join(modes)}.")
    return modes[on[0]]


def _max_length(folder: Path) -> int:
    file = folder / "sentence_bert_config.json"
    return int(json.loads(file.read_text()).get("max_seq_length") or 0) if file.exists() else 0


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link to a file of the base
    path.write_text(json.dumps(content, indent=1) + "\n")


class Encoder:
    """Turns texts into vectors.

    Args:
        texts: Turns them into tokens.
        max_length: Texts are cut after so many tokens; 0: never.
    """

    def __init__(self, texts: Texts, pooling: Pooling, max_length: int) -> None:
        self._texts, self._pooling, self._max_length = texts, pooling, max_length

    def __call__(self, model: Any, texts: Sequence[str]) -> tuple[torch.Tensor, int]:
        """Returns the vectors of texts (texts x dimensions), and how many tokens the texts have."""
        given = {name: t.to(model.device) for name, t in padded(self._texts.all(texts, self._max_length), 0).items()}
        states = model(**given).last_hidden_state
        return self._pooling.pool(states, given["attention_mask"]), int(given["attention_mask"].sum())
