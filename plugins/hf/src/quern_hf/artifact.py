"""The layout of trained models: what is in the folder of a model artifact.

A model of the format ``hf`` is a folder as transformers saves it, so that
``from_pretrained`` reads it:

    config.json, generation_config.json
    model.safetensors, or model-00001-of-00002.safetensors … and model.safetensors.index.json
    tokenizer.json, tokenizer_config.json, chat_template.jinja
    quern.json

A model of the format ``hf-adapter`` also has ``adapter/`` as PEFT saves it:
``adapter_config.json`` and ``adapter_model.safetensors``. The other files are those of
the base, byte for byte, so that a store keeps the base once however many adapters are
trained on it.

``quern.json`` describes how the model was made. It contains nothing in which two
equal runs differ: times, hardware, and commits are in the stage's values and in the
history of quern.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

FULL = "hf"
"""The format of a model with weights of its own."""

ADAPTER = "hf-adapter"
"""The format of a base model with an adapter."""

FORMATS = (FULL, ADAPTER)

ADAPTER_FOLDER = "adapter"
DESCRIPTION = "quern.json"

Head = Literal["causal", "reward", "classifier", "embedding"]
"""What a model computes: the next token, a score, a label, or a vector."""


class Named(Protocol):
    """A file of an artifact."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class Description:
    """The content of ``quern.json``.

    Attributes:
        method: How the model was trained: ``sft``, ``dpo``, ``kto``, ``orpo``, ``reward``, ``classifier``, ``embedding``.
        head: What it computes.
        base: The base that it was trained from: what identifies it, such as ``path``, ``repo`` with ``revision``, or ``digest``.
        arguments: The arguments of training that affect the weights.
        data: The digests of the datasets, by the argument that they were given as.
        packages: The versions of the libraries that affect the weights.
        environment: The digest of the locked requirements, or empty if the environment has none.
        labels: For a classifier: the labels, in the order of its outputs.
        version: The version of this file's layout.
    """

    method: str
    head: Head = "causal"
    base: dict[str, Any] = dataclasses.field(default_factory=dict)
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    packages: dict[str, str] = dataclasses.field(default_factory=dict)
    environment: str = ""
    labels: list[str] = dataclasses.field(default_factory=list)
    version: int = 1

    def write(self, folder: str | Path) -> None:
        """Writes ``quern.json`` into a folder."""
        text = json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False)
        Path(folder, DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def describe(folder: str | Path) -> Description | None:
    """Reads the description of a model; None if quern did not train it.

    Raises:
        ValueError: A later version of the plugin wrote it.
    """
    path = Path(folder, DESCRIPTION)
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("version") != Description.version:
        raise ValueError(f"quern.json has version {content.get('version')}; this version of the plugin reads version {Description.version}")
    return Description(**content)


def view(files: Iterable[Named], folder: str | Path) -> Path:
    """Gives the files of an artifact their names: fills a folder with links to them.

    A store keeps files by digest, and the libraries want a folder.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = root / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(file.path)
    return root


def copy_base(base: str | Path, folder: str | Path, skip: Callable[[str], bool] = lambda name: False) -> None:
    """Adds the files of a base to a folder, without its adapter and description.

    Files are linked where the file system allows it, so the copy must not be changed:
    remove a file before you write another of its name.

    Args:
        base: The folder of the base.
        folder: The folder to add to.
        skip: Says by its name whether a file is left out.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(base).iterdir()):
        if path.is_file() and _belongs(path) and not skip(path.name):
            _link(path.resolve(), Path(folder, path.name))


def _belongs(path: Path) -> bool:
    """Reports whether a file of a folder is part of a model: weights in other formats, cards, and caches are not."""
    if path.name == DESCRIPTION or path.name.startswith(("consolidated", ".")):
        return False
    return path.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt") or path.name.startswith(("LICENSE", "NOTICE"))


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
