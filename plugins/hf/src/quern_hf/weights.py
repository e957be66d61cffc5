"""The weights of models in the process that trains: loads the base, and writes the finished model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import artifact, vocabulary
from .job import Job
from .trainer import precision_of

_WEIGHTS = (".safetensors", ".safetensors.index.json")
_WRITTEN = ("config.json", "generation_config.json")


def base_folder(job: Job) -> Path:
    """Returns the folder of the model to start from. An adapter of the base becomes part of its weights, and it gets the tokenizer of the job."""
    base = Path(job.base)
    if (base / artifact.ADAPTER_FOLDER).exists():
        base = _made(Path(job.work_dir, "merged"), lambda folder: _merge(base, folder))
    if job.tokenizer is not None:
        given, tokenizer = base, Path(job.tokenizer)
        base = _made(Path(job.work_dir, "vocabulary"), lambda folder: vocabulary.replace(given, tokenizer, folder))
    return base


def _made(folder: Path, make: Callable[[Path], None]) -> Path:
    """Returns a folder that is made once, by one of the processes."""
    import accelerate

    with accelerate.PartialState().main_process_first():
        if not folder.exists():
            make(folder)
    return folder


def _merge(base: Path, folder: Path) -> None:
    import peft
    import transformers

    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model = peft.PeftModel.from_pretrained(model, str(base / artifact.ADAPTER_FOLDER)).merge_and_unload()
    model.save_pretrained(unfinished)
    _copy_rest(base, unfinished)
    unfinished.rename(folder)


def load(job: Job, auto: Any, **more: Any) -> Any:
    """Loads the base model.

    Weights that are trained are float32; those of a base that only an adapter changes have the precision of the computation.

    Args:
        job: The job.
        auto: The class of transformers to load with, such as AutoModelForCausalLM.
        more: Further arguments for ``from_pretrained``.
    """
    import torch

    a = job.arguments
    frozen = a["lora"] is not None
    dtype = getattr(torch, precision_of(a["precision"])) if frozen else torch.float32
    if a.get("quantize"):
        import transformers

        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=a["quantize"], bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    if torch.cuda.is_available():
        import accelerate

        more["device_map"] = {"": accelerate.PartialState().local_process_index}
    return auto.from_pretrained(base_folder(job), dtype=dtype, **more)


def tokenizer(job: Job) -> Any:
    """Loads the base's tokenizer, with a token for padding."""
    import transformers

    out = transformers.AutoTokenizer.from_pretrained(base_folder(job))
    if out.pad_token is None:
        out.pad_token = out.eos_token
    return out


def lora(job: Job, task: str) -> Any:
    """Returns PEFT's configuration of the adapter, or None if all weights are trained.

    Args:
        job: The job.
        task: PEFT's type of the task, such as ``CAUSAL_LM``.
    """
    given = job.arguments["lora"]
    if given is None:
        return None
    import peft

    targets = given["targets"]
    return peft.LoraConfig(
        r=given["r"],
        lora_alpha=given["alpha"],
        lora_dropout=given["dropout"],
        target_modules=sorted(targets) if targets else "all-linear",
        use_rslora=given["rslora"],
        use_dora=given["dora"],
        task_type=task,
    )


def save(job: Job, model: Any, chat_template: str | None = None) -> None:
    """Writes the finished model: an adapter if one was trained, else all weights, in the precision of the base.

    Args:
        job: The job.
        model: The trained model.
        chat_template: Replaces the base's template.
    """
    out, base = Path(job.output), base_folder(job)
    if job.arguments["lora"] is not None:
        artifact.copy_base(base, out)
        _save_adapter(model, out / artifact.ADAPTER_FOLDER)
    else:
        _save_full(model, base, out)
    if chat_template:
        (out / "chat_template.jinja").unlink(missing_ok=True)
        (out / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
    artifact.Description(**job.description).write(out)


def _save_adapter(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    # Paths and the order of sets differ between equal runs.
    config["base_model_name_or_path"] = None
    config = {k: sorted(v) if isinstance(v, list) and all(isinstance(i, str) for i in v) else v for k, v in config.items()}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _save_full(model: Any, base: Path, folder: Path) -> None:
    import torch

    config = json.loads((base / "config.json").read_text())
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    model.to(getattr(torch, name)).save_pretrained(folder)
    _copy_rest(base, folder)


def _copy_rest(base: Path, folder: Path) -> None:
    """Adds the tokenizer and what else belongs to a base to weights that were written."""
    artifact.copy_base(base, folder, skip=lambda name: name.endswith(_WEIGHTS) or name in _WRITTEN)
