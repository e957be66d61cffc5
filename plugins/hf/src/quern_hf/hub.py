"""Models of the Hugging Face Hub, in the cache of huggingface_hub.

The hub is reached as huggingface_hub reaches it: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE,
HF_HOME, and HF_HUB_CACHE have their usual meanings. If a connection breaks off, a file
continues where it ended; files that are complete are never downloaded again. A plugin
sees these variables only if its block lists them in ``environment``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from quern import plugin

# What loading a model needs besides its weights.
_DESCRIPTIONS = ["*.json", "*.jinja", "*.txt", "*.model"]
_SAFETENSORS = ["*.safetensors"]
_PICKLES = ["*.bin"]
# Other formats of the same weights.
_IGNORED = ["onnx/*", "openvino/*", "original/*", "coreml/*", "training_args.bin"]

COMMIT = re.compile("[0-9a-f]{40}")


@dataclasses.dataclass(frozen=True)
class Repository:
    """A repository of models.

    Attributes:
        name: ``organization/name``.
        revision: A branch, a tag, or a commit.
        allow_pickle: Weights in PyTorch's pickle format are used if there are no others.
    """

    name: str
    revision: str = "main"
    allow_pickle: bool = False

    def resolve(self) -> str:
        """Returns the commit that the revision refers to now. Raises plugin.Error."""
        if COMMIT.fullmatch(self.revision):
            return self.revision
        from huggingface_hub import HfApi

        with _explained(self):
            return HfApi().resolve_revision(self.name, revision=self.revision).resolved

    def describe(self, commit: str) -> Path:
        """Returns the folder with the files of a commit that describe the model, without its weights. Raises plugin.Error."""
        return self._fetch(commit, _DESCRIPTIONS)

    def download(self, commit: str) -> Path:
        """Returns the folder with the files of a commit, and downloads those that are not in the cache. Raises plugin.Error."""
        return self._fetch(commit, [*_DESCRIPTIONS, *self._weights(commit)])

    def missing(self, commit: str) -> int:
        """Returns how many bytes of a commit are not in the cache. Raises plugin.Error."""
        from huggingface_hub import snapshot_download

        patterns = [*_DESCRIPTIONS, *self._weights(commit)]
        if _offline():
            self._fetch(commit, patterns)
            return 0
        with _explained(self):
            files = snapshot_download(self.name, revision=commit, allow_patterns=patterns, ignore_patterns=_IGNORED, dry_run=True)
        return sum(f.file_size or 0 for f in files if f.will_download)

    def _weights(self, commit: str) -> list[str]:
        """The patterns of the files with the weights: safetensors if there are any."""
        names = self._names(commit)
        if any(name.endswith(".safetensors") for name in names):
            return _SAFETENSORS
        pickles = any(name.endswith(".bin") for name in names)
        if pickles and self.allow_pickle:
            return _PICKLES
        raise plugin.Error(
            f"{self.name} has no weights in the safetensors format\n"
            + (
                "It has weights in PyTorch's pickle format, which can run code when they are loaded. If you trust the "
                "repository, set allow_pickle = true."
                if pickles
                else "Name a repository whose weights are in *.safetensors files. A GGUF file can be downloaded and used with gguf = FILE."
            ),
            argument="repo",
        )

    def _names(self, commit: str) -> list[str]:
        """The files of a commit or, offline, those in the cache."""
        if not _offline():
            from huggingface_hub import HfApi

            with _explained(self):
                return HfApi().list_repo_files(self.name, revision=commit)
        for patterns in (_SAFETENSORS, _PICKLES):
            folder = self._fetch(commit, patterns)
            if names := [f.name for pattern in patterns for f in folder.glob(pattern)]:
                return names
        return []

    def _fetch(self, commit: str, patterns: list[str]) -> Path:
        from huggingface_hub import snapshot_download

        with _explained(self):
            return Path(snapshot_download(self.name, revision=commit, allow_patterns=patterns, ignore_patterns=_IGNORED))


def host() -> str:
    """The host of the hub, which is part of a model's name in the lock file."""
    from huggingface_hub import constants

    return constants.ENDPOINT.partition("://")[2].rstrip("/")


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.is_offline_mode())


@contextlib.contextmanager
def _explained(of: Repository) -> Iterator[None]:
    """Says what to do about a failure of the hub."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as e:
        raise plugin.Error(
            f"{of.name} may be read only with permission\nAsk for access on its page, and pass a token on: set HF_TOKEN, and write "
            'environment = ["HF_TOKEN"] in the plugin\'s block.',
            argument="repo",
        ) from e
    except errors.RevisionNotFoundError as e:
        raise plugin.Error(f"{of.name} has no revision {of.revision!r}", argument="revision") from e
    except errors.RepositoryNotFoundError as e:
        raise plugin.Error(
            f'the hub has no model {of.name!r}\nIf it is private, set HF_TOKEN, and write environment = ["HF_TOKEN"] in the plugin\'s block.',
            argument="repo",
        ) from e
    except errors.HFValidationError as e:
        raise plugin.Error(f"{of.name!r} is not the name of a repository\nWrite organization/name.", argument="repo") from e
    except (errors.LocalEntryNotFoundError, errors.RevisionResolutionError, errors.OfflineModeIsEnabled) as e:
        if _offline():
            raise plugin.Error(
                f"{of.name} is not in the cache, and HF_HUB_OFFLINE is set\nDownload it where the hub can be reached, with: hf download "
                f"{of.name} --revision {of.revision}\nThen copy the folder that HF_HUB_CACHE names, or unset HF_HUB_OFFLINE.",
                argument="repo",
            ) from e
        raise plugin.Error(
            f"the hub cannot be reached, and {of.name} is not in the cache\n{e}\nOnce the model is downloaded, no connection is needed.",
            argument="repo",
        ) from e
    except errors.HfHubHTTPError as e:
        raise plugin.Error(f"the hub refuses {of.name}\n{e}", argument="repo") from e
    except httpx2.TransportError as e:
        raise plugin.Error(
            f"the connection to the hub broke off\n{e}\nApply again: only the files that are not complete are downloaded.", argument="repo"
        ) from e
