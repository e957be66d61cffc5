"""Trained models that are called like any language model."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quern import plugin

from . import artifact
from .chat import Defaults, answer
from .serve import Device, DType, Model, Source
from .tokens import Tokenizer

if TYPE_CHECKING:
    import pyarrow as pa

# The texts that are classified at once.
_BATCH = 32

# Links to the files of models, under their names. They are gone when the process ends.
_folders: list[tempfile.TemporaryDirectory[str]] = []


class Trained:
    """A trained model, with the defaults of quern."""

    def __init__(self, files: Sequence[plugin.File]) -> None:
        at = source(files)
        self._model = Model(at, Tokenizer(at.folder))

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        return answer(self._model, request, Defaults())

    def embed(self, texts: Sequence[str]) -> plugin.Embeddings:
        vectors, tokens = self._model.embed(texts)
        return plugin.Embeddings(vectors, tokens)


def source(files: Sequence[plugin.File], *, device: Device = "auto", dtype: DType = "auto") -> Source:
    """Returns the files of an artifact as a model to load. Adapters of the same base share its weights in memory."""
    folder = view(files)
    description = artifact.describe(folder)
    adapter = folder / artifact.ADAPTER_FOLDER
    own = {f.name: f.digest for f in files if f.name.startswith(artifact.ADAPTER_FOLDER + "/")}
    base = {f.name: f.digest for f in files if f.name not in own and f.name != artifact.DESCRIPTION}
    return Source(
        folder,
        identity=_identity({n: d for n, d in base.items() if n == "config.json" or n.endswith((".safetensors", ".index.json"))}),
        adapter=adapter if adapter.exists() else None,
        adapter_identity=_identity(own) if own else "",
        head="causal" if description is None else description.head,
        labels=0 if description is None else outputs_of(description),
        max_length=0 if description is None else int(description.arguments.get("max_length") or 0),
        device=device,
        dtype=dtype,
    )


def outputs_of(description: artifact.Description) -> int:
    """Returns how many outputs a reward model or classifier has; 0 for other models."""
    return {"reward": 1, "classifier": len(description.labels)}.get(description.head, 0)


class Classifier:
    """A trained classifier. It returns ``label`` and ``confidence`` of each text; null for null."""

    def __init__(self, files: Sequence[plugin.File]) -> None:
        at = source(files)
        description = artifact.describe(at.folder)
        if description is None or description.head != "classifier":
            raise plugin.Error('the model does not predict labels\nOnly a model that train "hf_classifier" trained does.')
        self._labels = description.labels
        self._model = Model(at, Tokenizer(at.folder))

    def predict(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        given = batch.column("text").to_pylist()
        # Texts of similar length in a batch need little padding.
        order = sorted((i for i, t in enumerate(given) if t is not None), key=lambda i: len(given[i]))
        labels: list[str | None] = [None] * len(given)
        confidences: list[float | None] = [None] * len(given)
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            for i, logits in zip(part, self._model.outputs([given[i] for i in part]), strict=True):
                best = max(range(len(logits)), key=logits.__getitem__)
                labels[i] = self._labels[best]
                confidences[i] = 1 / sum(math.exp(x - logits[best]) for x in logits)
        return pa.record_batch({"label": pa.array(labels, pa.string()), "confidence": pa.array(confidences, pa.float64())})


def view(files: Sequence[plugin.File]) -> Path:
    """Returns a folder with the files of an artifact under their names, as long as the process lives."""
    _folders.append(tempfile.TemporaryDirectory(prefix="quern-hf-"))
    return artifact.view(files, _folders[-1].name)


def _identity(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
