"""model "hf": a language model of transformers on this machine."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from quern import plugin

from . import artifact, hf
from .chat import Defaults, answer
from .digests import digest
from .hub import COMMIT, Repository, host
from .places import Commit, File, Folder, Place
from .serve import Model, Source
from .tokens import Tokenizer
from .trained import source


@hf.model("hf")
class HF(plugin.Provider):
    """A language model of transformers that runs on this machine.

    The model is a folder (`path`), a GGUF file (`gguf`), a repository of the Hugging Face Hub (`repo`), or a model that a stage trained
    (`artifact`). Its weights are loaded when it is first called, and stay in memory as long as the run lasts.

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
    artifact: plugin.Model | None = None
    """A model that a stage of this plugin trained. Stages also take it directly; the block gives it other settings."""
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
        if self._check_place(p):
            p.set_model(
                plugin.ModelInfo(
                    capabilities=self._capabilities(p),
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
        places = ("path", "gguf", "repo", "artifact")
        if not all(p.known(name) for name in (*places, "revision")):
            return False
        given = [name for name in places if getattr(self, name) is not None]
        if len(given) != 1:
            p.error(
                f"{' and '.join(given)} cannot be combined\nA model is in one place."
                if given
                else "No model\nSet path, gguf, repo, or artifact.",
                argument=given[-1] if given else "",
            )
        return len(given) == 1 and not p.failed

    def _capabilities(self, p: plugin.Prepare) -> list[str]:
        """Makes the files part of the model's identity, and returns what it can do."""
        if self.artifact is not None:
            if self.artifact.format not in artifact.FORMATS:
                p.error(f"a model of the format {self.artifact.format!r} was not trained by this plugin", argument="artifact")
            return [c for c in self.artifact.capabilities if c != "predict"]
        self._pins: dict[str, str] = {}
        if self.repo is not None and not COMMIT.fullmatch(self.revision):
            self._pins[self._pin] = p.pin(self._pin, self._repository.resolve)
        place = self._place(self._pins)
        place.check()
        for name, file in sorted(place.files().items()):
            p.add_file(name, file, digest=digest(file))
        return capabilities(place.describe(), self.chat_template)

    # For trainers, which take the block as their base. ``pins`` is what names of revisions refer to.

    def describe(self, pins: Mapping[str, str]) -> Path:
        """Returns a folder with the files that describe the model. Plans can afford to call it. Raises plugin.Error; see ``Place``."""
        return self._place(pins).describe()

    def download(self, pins: Mapping[str, str]) -> Path:
        """Returns a folder with all files of the model, as transformers saves it. Raises plugin.Error; see ``Place``."""
        return self._place(pins).download()

    def identity(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Returns what identifies the model, for ``artifact.Description.base``."""
        return self._place(pins).identity()

    def _place(self, pins: Mapping[str, str]) -> Place:
        if self.path is not None:
            return Folder(Path(hf.root, self.path), str(self.path), self.allow_pickle)
        if self.gguf is not None:
            return File(Path(hf.root, self.gguf), str(self.gguf))
        if self.repo is None:
            raise plugin.Error("the model block wraps a model that a stage trained\nUse the stage itself, such as train.NAME.")
        return Commit(self._repository, self.revision if COMMIT.fullmatch(self.revision) else pins[self._pin])

    @property
    def _repository(self) -> Repository:
        return Repository(self.repo or "", self.revision, self.allow_pickle)

    @property
    def _pin(self) -> str:
        return f"{host()}/{self.repo}@{self.revision}"

    # Calls.

    @functools.cached_property
    def _model(self) -> Model:
        if self.artifact is not None:
            wrapped = source(self.artifact.files, device=self.device, dtype=self.dtype)
            return Model(wrapped, Tokenizer(wrapped.folder, self.chat_template), batch_size=self.batch_size)
        place = self._place(self._pins)
        folder, file = place.loaded_from()
        described = place.describe()
        at = Source(
            folder,
            identity=json.dumps(place.identity(), sort_keys=True),
            gguf=file,
            head="causal" if "complete" in capabilities(described, None) else "embedding",
            device=self.device,
            dtype=self.dtype,
            allow_pickle=self.allow_pickle,
        )
        return Model(at, Tokenizer(described, self.chat_template), batch_size=self.batch_size)

    def chat(self, request: plugin.ChatRequest) -> plugin.ChatResponse:
        defaults = Defaults(self.temperature, self.top_p, self.max_tokens, self.seed, self.stop, self.strip_thinking)
        return answer(self._model, request, defaults)

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
        raise plugin.Error(
            f'models of the architecture {architecture} are not supported\nIt has an encoder and a decoder; models of the type "hf" have one of them.'
        )
    if not (folder / "tokenizer.json").exists():
        raise plugin.Error(
            "the model has no tokenizer.json\nSave its tokenizer in the current format: AutoTokenizer.from_pretrained(…).save_pretrained(…)."
        )
    causal = any(kind in architecture for kind in ("CausalLM", "LMHeadModel", "ForConditionalGeneration"))
    if not causal or (folder / "modules.json").exists():
        return ["embed"]
    can_chat = Tokenizer(folder, chat_template).template is not None
    return [*(["chat"] if can_chat else []), "complete", "score", "embed"]
