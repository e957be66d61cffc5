"""Where a model is: a folder, a GGUF file, or a repository of the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from quern import plugin

from . import gguf, hub
from .digests import digest

# The files of a model, besides its weights, that decide what it answers.
_DESCRIPTIONS = ("*.json", "*/config.json", "*.jinja", "*.txt", "*.model")


class Place(Protocol):
    """Where a model is. The methods raise plugin.Error if something is wrong with its files."""

    def files(self) -> dict[str, Path]:
        """Returns the user's files that the model consists of, by names that do not depend on where they are."""

    def check(self) -> None:
        """Checks that the files are there, or can be fetched."""

    def identity(self) -> dict[str, str]:
        """Returns what identifies the model."""

    def describe(self) -> Path:
        """Returns a folder with the files that describe the model, such as ``config.json``. It need not have the weights."""

    def download(self) -> Path:
        """Returns a folder with all files, as transformers saves them, and fetches what is missing."""

    def loaded_from(self) -> tuple[Path, str]:
        """Returns what to load weights from: a folder, and the name of a GGUF file in it or nothing."""


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder as transformers saves it."""

    path: Path
    given: str
    allow_pickle: bool

    def files(self) -> dict[str, Path]:
        found = [*self._weights(), *(f for pattern in _DESCRIPTIONS for f in self.path.glob(pattern))]
        return {f.relative_to(self.path).as_posix(): f for f in found}

    def _weights(self) -> list[Path]:
        weights = sorted(self.path.glob("*.safetensors"))
        if weights:
            return weights
        weights = sorted(self.path.glob("*.bin"))
        if not weights:
            raise plugin.Error(f"{self.given} has no weights\nA model's folder has *.safetensors files.", argument="path")
        if not self.allow_pickle:
            raise plugin.Error(
                f"the weights in {self.given} are in PyTorch's pickle format\nLoading such a file can run code that is in it. "
                "If you trust it, set allow_pickle = true.",
                argument="path",
            )
        return weights

    def check(self) -> None:
        if not (self.path / "config.json").is_file():
            what = "is not the folder of a model" if self.path.is_dir() else "is not a folder"
            raise plugin.Error(
                f"{self.given} {what}\nName a folder with config.json, as save_pretrained of transformers writes it.", argument="path"
            )

    def identity(self) -> dict[str, str]:
        return {name: digest(file) for name, file in sorted(self.files().items())}

    def describe(self) -> Path:
        return self.path

    def download(self) -> Path:
        return self.path

    def loaded_from(self) -> tuple[Path, str]:
        return self.path, ""


@dataclasses.dataclass(frozen=True)
class File:
    """A GGUF file."""

    path: Path
    given: str

    def files(self) -> dict[str, Path]:
        return {"model.gguf": self.path}

    def check(self) -> None:
        if not self.path.is_file():
            raise plugin.Error(
                f"{self.given} does not exist\nName a GGUF file; a relative path starts at the folder of the configuration.",
                argument="gguf",
            )

    def identity(self) -> dict[str, str]:
        return {"gguf": digest(self.path)}

    def describe(self) -> Path:
        return gguf.describe(self.path)

    def download(self) -> Path:
        return gguf.unpack(self.path)

    def loaded_from(self) -> tuple[Path, str]:
        return self.path.parent, self.path.name


@dataclasses.dataclass(frozen=True)
class Commit:
    """A commit of a repository."""

    repository: hub.Repository
    commit: str

    def files(self) -> dict[str, Path]:
        return {}  # the commit says what they are

    def check(self) -> None:
        self.repository.missing(self.commit)

    def identity(self) -> dict[str, str]:
        return {"repo": self.repository.name, "revision": self.commit}

    def describe(self) -> Path:
        return self.repository.describe(self.commit)

    def download(self) -> Path:
        return self.repository.download(self.commit)

    def loaded_from(self) -> tuple[Path, str]:
        return self.download(), ""
