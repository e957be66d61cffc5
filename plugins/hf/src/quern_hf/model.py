"""model "hf": a language model of transformers on this machine."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from quern import plugin

from . import hf
from .chat import Defaults, answer
from .digests import digest
from .gguf import describe as describe_gguf
from .gguf import unpack
from .hub import COMMIT, Repository, host
from .serve import DType, Model, Source
from .tokens import Tokenizer

# The files of a model that decide what it answers.
_DESCRIPTIONS = ("*.json", "*/config.json", "*.jinja", "*.txt", "*.model")


@hf.model("hf")
class HF(plugin.Provider):
    """A language model of transformers that runs on this machine.

    The model is a folder (`path`), a GGUF file (`gguf`), or a repository of the Hugging Face Hub (`repo`). Its weights are
    loaded when it is first called, and stay in memory as long as the run lasts.

    A `revision` is resolved to a commit once and recorded in the lock file, so a branch that moves changes nothing until you run `quern init -upgrade`.
    The files are in the cache of `huggingface_hub`. To pass on `HF_TOKEN`, `HF_ENDPOINT`, `HF_HOME`, or
    `HF_HUB_OFFLINE`, list them in `environment` of the plugin's block.

    A model can chat if it has a chat template. It can also continue prompts, return the log-probabilities of given text, and embed
    texts. An embedding is the mean of the last layer, or what the `modules.json` of sentence-transformers says.

    With `temperature = 0`, which is the default, an answer consists of the most likely tokens, as in `generate` of transformers. With a higher temperature,
    equal seeds give equal answers. Answers do not depend on other requests, unless `batch_size` is more than 1.

    ```hcl
    model "hf" "smol" {
      repo       = "HuggingFaceTB/SmolLM2-135M-Instruct"
      max_tokens = 200
    }
    ```
    """

    path: Path | None = plugin.argument(default=None, operational=True)
    """A folder with a model as transformers saves it. The content of its files identifies the model, not where they are."""
    gguf: Path | None = plugin.argument(default=None, operational=True)
    """A GGUF file of an architecture that transformers can read. Its content identifies the model."""
    repo: str | None = None
    """A repository of the Hugging Face Hub, such as `organization/name`."""
    revision: str = "main"
    """The branch, tag, or commit of `repo`."""
    allow_pickle: bool = False
    """Allows weights in PyTorch's pickle format if there are no others. Loading such a file can run code that is in it."""
    chat_template: str | None = None
    """A chat template in Jinja that replaces the model's own. `file("template.jinja")` reads one from a file."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The type of the weights in memory. `auto` keeps the type that they are stored in."""
    temperature: float = 0
    """The sampling temperature. With 0, the most likely token is chosen."""
    top_p: float = 1
    """The probability mass for nucleus sampling: tokens are sampled from the most likely ones that together reach it."""
    max_tokens: int | None = None
    """The maximum length of an answer, in tokens. The default is what fits the model's context."""
    seed: int | None = None
    """The seed for sampling. Without one, answers with a temperature above 0 cannot be repeated."""
    stop: list[str] = []
    """Strings at which an answer ends."""
    strip_thinking: bool = True
    """Whether to remove the model's reasoning before the answer, in a block such as <think>…</think>."""
    device: str = plugin.argument(default="auto", operational=True)
    """Where the model runs: `cpu`, `cuda`, `cuda:1`, or `mps`. `auto` uses the first GPU if there is one."""
    batch_size: int = plugin.argument(default=1, operational=True)
    """How many requests that wait are answered together. More than 1 makes much better use of a GPU. The numbers of a batch are rounded
    differently, so an answer can rarely differ where two tokens are almost equally likely."""
    max_concurrency: int | None = plugin.argument(default=None, operational=True)
    """How many requests quern sends at the same time. The default is twice the batch size."""
    timeout: timedelta = plugin.argument(default=timedelta(hours=1), operational=True)
    """The maximum duration of one attempt. The first one loads the model, and downloads it if needed."""
    cache: bool = plugin.argument(default=True, operational=True)
    """Whether answers are cached and reused for equal requests."""

    def prepare(self, p: plugin.Prepare) -> None:
        self._check_numbers(p)
        if not self._check_place(p):
            return
        self._pins: dict[str, str] = {}
        if self.repo is not None and not COMMIT.fullmatch(self.revision):
            repository = self._repository()
            self._pins[self._pin] = p.pin(self._pin, repository.resolve)
        self._declare_files(p)
        folder = self.describe(self._pins)
        p.set_model(
            plugin.ModelInfo(
                capabilities=capabilities(folder, self.chat_template),
                max_tokens=self.max_tokens or 0,
                max_concurrency=self.max_concurrency or 2 * self.batch_size,
                timeout=self.timeout.total_seconds(),
                cache=self.cache,
            )
        )

    def _check_numbers(self, p: plugin.Prepare) -> None:
        least = {"temperature": 0, "batch_size": 1, "max_tokens": 1, "max_concurrency": 1}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                p.error(f"{name} must be at least {minimum}", argument=name)
        if not 0 < self.top_p <= 1:
            p.error("top_p must be greater than 0 and at most 1", argument="top_p")

    def _check_place(self, p: plugin.Prepare) -> bool:
        """Reports whether it is known where the model is."""
        places = ("path", "gguf", "repo")
        if not all(p.known(name) for name in (*places, "revision")):
            return False
        given = [name for name in places if getattr(self, name) is not None]
        if len(given) != 1:
            p.error(
                f"{' and '.join(given)} cannot be combined\nA model is in one place." if given else "No model\nSet path, gguf, or repo.",
                argument=given[-1] if given else "",
            )
        return len(given) == 1 and not p.failed

    def _declare_files(self, p: plugin.Prepare) -> None:
        """Checks the files, and makes them part of the model's identity."""
        if self.repo is not None:
            self._repository().missing(self._commit(self._pins))
            return
        for name, file in sorted(self.files().items()):
            p.add_file(name, file, digest=digest(file))

    def files(self) -> dict[str, Path]:
        """The user's files that the model consists of, by name. Raises plugin.Error."""
        if self.gguf is not None:
            file = Path(hf.root, self.gguf)
            if not file.is_file():
                raise plugin.Error(f"{self.gguf} does not exist\nName a GGUF file; a relative path starts at the folder of the configuration.", argument="gguf")
            return {"model.gguf": file}
        folder = self._folder()
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            weights = sorted(folder.glob("*.bin"))
            if not weights:
                raise plugin.Error(f"{self.path} has no weights\nA model's folder has *.safetensors files.", argument="path")
            if not self.allow_pickle:
                raise plugin.Error(
                    f"the weights in {self.path} are in PyTorch's pickle format\nLoading such a file can run code that is in it. "
                    "If you trust it, set allow_pickle = true.",
                    argument="path",
                )
        found = [*weights, *(f for pattern in _DESCRIPTIONS for f in folder.glob(pattern))]
        return {f.relative_to(folder).as_posix(): f for f in found}

    def _folder(self) -> Path:
        assert self.path is not None
        folder = Path(hf.root, self.path)
        if not (folder / "config.json").is_file():
            what = "is not the folder of a model" if folder.is_dir() else "is not a folder"
            raise plugin.Error(f"{self.path} {what}\nName a folder with config.json, as save_pretrained of transformers writes it.", argument="path")
        return folder

    def _repository(self) -> Repository:
        assert self.repo is not None
        return Repository(self.repo, self.revision, self.allow_pickle)

    @property
    def _pin(self) -> str:
        return f"{host()}/{self.repo}@{self.revision}"

    def _commit(self, pins: Mapping[str, str]) -> str:
        return self.revision if COMMIT.fullmatch(self.revision) else pins[self._pin]

    # For trainers, which take the model as their base.

    def describe(self, pins: Mapping[str, str]) -> Path:
        """Returns a folder with the files that describe the model, such as ``config.json`` and ``tokenizer.json``.

        It need not have the weights. Plans can afford to call it.

        Args:
            pins: What the names of revisions refer to.

        Raises:
            plugin.Error: The files are not there, or cannot be read.
        """
        if self.repo is not None:
            return self._repository().describe(self._commit(pins))
        return describe_gguf(self.files()["model.gguf"]) if self.gguf is not None else self._folder()

    def download(self, pins: Mapping[str, str]) -> Path:
        """Returns a folder with all files of the model, as transformers saves it, and fetches what is missing.

        Raises:
            plugin.Error: As for ``describe``.
        """
        if self.repo is not None:
            return self._repository().download(self._commit(pins))
        return unpack(self.files()["model.gguf"]) if self.gguf is not None else self._folder()

    def identity(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Returns what identifies the model, for ``artifact.Description.base``."""
        if self.repo is not None:
            return {"repo": self.repo, "revision": self._commit(pins)}
        if self.gguf is not None:
            return {"gguf": digest(self.files()["model.gguf"])}
        return {name: digest(file) for name, file in sorted(self.files().items())}

    # Calls.

    @functools.cached_property
    def _model(self) -> Model:
        folder = self._repository().download(self._commit(self._pins)) if self.repo is not None else self.describe(self._pins)
        source = Source(
            folder if self.gguf is None else self.files()["model.gguf"].parent,
            identity=json.dumps(self.identity(self._pins), sort_keys=True),
            gguf="" if self.gguf is None else self.files()["model.gguf"].name,
            head="causal" if "complete" in capabilities(folder, None) else "embedding",
            device=self.device,
            dtype=self.dtype,
            allow_pickle=self.allow_pickle,
        )
        return Model(source, Tokenizer(folder, self.chat_template), batch_size=self.batch_size)

    @property
    def _defaults(self) -> Defaults:
        return Defaults(self.temperature, self.top_p, self.max_tokens, self.seed, self.stop, self.strip_thinking)

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        return answer(self._model, request, self._defaults)

    def embed(self, texts: Sequence[str]) -> plugin.Embeddings:
        vectors, tokens = self._model.embed(texts)
        return plugin.Embeddings(vectors, tokens)


def capabilities(folder: Path, chat_template: str | None) -> list[str]:
    """Returns what a model can do, by the files that describe it.

    Raises:
        plugin.Error: Nothing that quern could ask for.
    """
    config = json.loads((folder / "config.json").read_text())
    architecture = (config.get("architectures") or [""])[0]
    if config.get("is_encoder_decoder"):
        raise plugin.Error(f'models of the architecture {architecture} are not supported\nIt has an encoder and a decoder; models of the type "hf" have one of them.')
    if not (folder / "tokenizer.json").exists():
        raise plugin.Error(
            "the model has no tokenizer.json\nSave its tokenizer in the current format: AutoTokenizer.from_pretrained(…).save_pretrained(…)."
        )
    if "CausalLM" not in architecture and "LMHeadModel" not in architecture or (folder / "modules.json").exists():
        return ["embed"]
    can_chat = Tokenizer(folder, chat_template).template is not None
    return [*(["chat"] if can_chat else []), "complete", "score", "embed"]
