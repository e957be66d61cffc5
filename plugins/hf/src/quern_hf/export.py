"""transform "hf_export": models in the form that other programs read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quern import plugin

from . import artifact, gguf, hf
from .libraries import loading
from .model import HF, capabilities
from .serve import auto_class
from .trained import outputs_of

if TYPE_CHECKING:
    import torch

GGUF = "gguf"
"""The format of a model with one file, ``model.gguf``."""

PEFT = "peft"
"""The format of an adapter alone: the folder that PEFT saves."""


# What is written again for merged weights.
_WEIGHTS = (".safetensors", ".safetensors.index.json")
_CONFIGS = ("config.json", "generation_config.json")


@hf.transform("hf_export")
class Export(plugin.Runner):
    """Converts a model to the form that another program reads.

    - `merged` adds an adapter to the weights of its base. The result is a model of its own in safetensors, as transformers saves it, and answers like any other.
    - `adapter` is the adapter alone, as PEFT saves it.
    - `gguf` is one file for llama.cpp and Ollama, with the tokenizer and the chat template. An adapter is merged first. The architectures are Llama, Mistral, and Qwen2;
      others are refused.

    ```hcl
    transform "hf_export" "small" {
      model  = train.tuned
      format = "gguf"
      type   = "q8_0"
    }
    ```
    """

    model: plugin.Model
    """The model: one that a stage trained, or a `model "hf"` to convert to GGUF."""
    format: Literal["merged", "adapter", "gguf"]
    """What to make of it."""
    type: Literal["f32", "f16", "q8_0"] | None = None
    """With `gguf`: the type of the weights. The default is `f16`."""

    def prepare(self, p: plugin.Prepare) -> None:
        if self.type is not None and self.format != "gguf" and p.known("format"):
            p.error(f'type belongs to the format "gguf"\nWith {self.format}, weights keep their type.', argument="type")
        block = self.model.block(HF)
        if block is None and self.model.format not in artifact.FORMATS:
            p.error(
                'the model is not one of this plugin\nName a stage that trains one, such as train.NAME, or a model "hf".', argument="model"
            )
        elif self.format == "adapter" and self.model.format != artifact.ADAPTER:
            p.error("the model has no adapter\nAll of its weights were trained. Use the model itself.", argument="format")
        elif self.format == "gguf" and block is not None and (reason := gguf.refusal(block.describe(self.model.pins))):
            p.error(reason, argument="model")
        if self.format == "merged":
            p.add_model(
                artifact.FULL, model=plugin.ModelInfo(capabilities=self._capabilities(block), max_concurrency=2, timeout=3600, cache=True)
            )
        else:
            p.add_model({"adapter": PEFT, "gguf": GGUF}[self.format])

    def _capabilities(self, block: HF | None) -> list[str]:
        if block is None:
            return [c for c in self.model.capabilities if c != "predict"]
        return capabilities(block.describe(self.model.pins), None)

    def run(self, run: plugin.Run) -> None:
        out = Path(run.folder(""))
        source = self._source(run)
        if self.format == "adapter":
            export_adapter(source, out)
        elif self.format == "merged":
            merge(source, out)
        else:
            self._check(source)
            merged = source
            if (source / artifact.ADAPTER_FOLDER).exists():
                run.progress(0, 2, "steps", "merging the adapter")
                merged = Path(run.work_dir, "merged")
                shutil.rmtree(merged, ignore_errors=True)
                merge(source, merged)
            run.check()
            run.progress(1, 2, "steps", "writing the file")
            gguf.write(merged, out / "model.gguf", self.type or "f16")

    def _source(self, run: plugin.Run) -> Path:
        block = self.model.block(HF)
        if block is not None:
            return block.download(self.model.pins)
        return artifact.view(self.model.files, Path(run.work_dir, "model"))

    def _check(self, source: Path) -> None:
        """Refuses before any work what could not be written in the end."""
        if reason := gguf.refusal(source):
            raise plugin.Error(reason, argument="model")


def merge(source: Path, folder: Path) -> None:
    """Writes a model whose weights contain its adapter. They are added in float32 and keep the type that they are stored in."""
    if not (source / artifact.ADAPTER_FOLDER).exists():
        artifact.copy_base(source, folder)
        return
    with loading():
        _merge(source, folder)


def _merge(source: Path, folder: Path) -> None:
    from peft import PeftModel

    config = json.loads((source / "config.json").read_text())
    description = artifact.describe(source)
    options = {"num_labels": n} if description and (n := outputs_of(description)) else {}
    auto = auto_class(description.head if description else "causal")
    base = auto.from_pretrained(source, dtype="float32", local_files_only=True, **options)
    merged: Any = PeftModel.from_pretrained(base, str(source / artifact.ADAPTER_FOLDER)).merge_and_unload()
    merged.to(_dtype(config)).save_pretrained(folder)
    artifact.copy_base(source, folder, skip=lambda name: name.endswith(_WEIGHTS) or name in _CONFIGS)
    if description is not None:
        description.write(folder)


def _dtype(config: dict[str, Any]) -> torch.dtype:
    import torch

    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def export_adapter(source: Path, folder: Path) -> None:
    """Writes the adapter of a model, with the name of its base where that has one."""
    for file in sorted((source / artifact.ADAPTER_FOLDER).iterdir()):
        shutil.copyfile(file, folder / file.name)
    description = artifact.describe(source)
    if description is None or "repo" not in description.base:
        return
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = description.base["repo"]
    config["revision"] = description.base["revision"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
