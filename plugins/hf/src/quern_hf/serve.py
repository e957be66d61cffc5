"""Answers of language models: text, log-probabilities of given text, and embeddings.

A model is loaded when it is first used and stays loaded as long as the process
lives. Models that differ only in their adapter share one base in memory. Calls come
from many threads; one thread for each base does all of its work, so answers do not
depend on what else is asked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .artifact import Head
from .libraries import loading
from .pooling import Encoder, Pooling
from .texts import Texts, padded
from .tokens import Tokenizer

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

J = TypeVar("J")
R = TypeVar("R")

Device = str
DType = Literal["auto", "float32", "bfloat16", "float16"]


@dataclasses.dataclass(frozen=True)
class Source:
    """The files of a model, and how to load them.

    Attributes:
        folder: The folder with the files of the base, or with the GGUF file.
        identity: Equal for equal files of the base, such as a digest.
        gguf: The name of a GGUF file in the folder.
        adapter: The folder of an adapter, as PEFT saves it.
        adapter_identity: Equal for equal adapters.
        head: What the model computes.
        labels: The number of outputs of a reward model or classifier.
        max_length: The maximum number of tokens of a text that it was trained on; 0: not known.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto``: the first GPU, if there is one.
        dtype: The type of the weights in memory; ``auto``: as they are stored.
        allow_pickle: Weights may be in PyTorch's pickle format, which can run code.
    """

    folder: Path
    identity: str
    gguf: str = ""
    adapter: Path | None = None
    adapter_identity: str = ""
    head: Head = "causal"
    labels: int = 0
    max_length: int = 0
    device: Device = "auto"
    dtype: DType = "auto"
    allow_pickle: bool = False

    @property
    def base(self) -> tuple[Any, ...]:
        """What models must have in common to share their weights in memory."""
        return self.identity, self.gguf, self.head, self.device, self.dtype


@dataclasses.dataclass(frozen=True)
class Continuation:
    """A prompt, as tokens, and how to continue it.

    Attributes:
        max_tokens: The maximum number of tokens to add.
        temperature: 0: always the most likely token.
        top_p: Only the most likely tokens that together have this probability are drawn.
        seed: Equal seeds draw equal tokens; None: not repeatable.
        stop: The text ends before the first of these strings.
    """

    prompt: Sequence[int]
    max_tokens: int
    temperature: float = 0
    top_p: float = 1
    seed: int | None = None
    stop: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Continued:
    """The tokens that continue a prompt, without the token that ends them, and their log-probabilities (natural logarithms)."""

    tokens: Sequence[int]
    logprobs: Sequence[float]
    text: str
    finish_reason: Literal["stop", "length"]


@dataclasses.dataclass(frozen=True)
class Scores:
    """The log-probabilities of the tokens of a text, given those before.

    Attributes:
        logprobs: For each token; None for the first, which has none before it.
        top: For each token, the most likely one in its place and its log-probability; None for the first.
    """

    logprobs: Sequence[float | None]
    top: Sequence[tuple[int, float] | None]


class Model:
    """A model that answers. It is loaded on the first call."""

    def __init__(self, source: Source, tokenizer: Tokenizer, *, batch_size: int = 1) -> None:
        self.tokenizer = tokenizer
        self._source = source
        self._batch_size = batch_size
        self._base = _base(source)

    @functools.cached_property
    def context(self) -> int:
        """The maximum number of tokens of a prompt with its answer; 0: no limit is known."""
        return _context(self._ask(Base.config, None, 1))

    def generate(self, continuation: Continuation) -> Continued:
        return self._ask(Base.generate, (continuation, self.tokenizer), self._batch_size)

    def score(self, tokens: Sequence[int]) -> Scores:
        return self._ask(Base.score, tokens, self._batch_size)

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Returns the embeddings of texts, and how many tokens they have."""
        return self._ask(Base.embed, (texts, self.encoder, self._batch_size), 1)

    @functools.cached_property
    def encoder(self) -> Encoder:
        pooling = Pooling.of(self._source.folder)
        return Encoder(self._texts, pooling, min([n for n in (pooling.max_length, self.context) if n], default=0))

    def outputs(self, texts: Sequence[str]) -> list[list[float]]:
        """Returns the outputs of a reward model or classifier for each text."""
        longest = min([n for n in (self._source.max_length, self.context) if n], default=0)
        given: Sequence[Sequence[int]] = self._texts.all(texts, longest)
        return self._ask(Base.outputs, given, 1)

    @functools.cached_property
    def _texts(self) -> Texts:
        return Texts(self.tokenizer)

    def _ask(self, work: Callable[[Base, list[J]], list[R]], what: J, batch_size: int) -> R:
        return self._base.ask(self._source, work, what, batch_size)


_bases: dict[tuple[Any, ...], Base] = {}
_bases_lock = threading.Lock()


def _base(source: Source) -> Base:
    with _bases_lock:
        if source.base not in _bases:
            _bases[source.base] = Base(source)
        return _bases[source.base]


@dataclasses.dataclass
class _Job:
    source: Source
    work: Callable[[Base, list[Any]], list[Any]]
    what: Any
    batch_size: int
    answer: Future[Any] = dataclasses.field(default_factory=Future)

    def fits(self, other: _Job) -> bool:
        """Reports whether another job can be done in the same batch."""
        return self.work is other.work and self.source.adapter_identity == other.source.adapter_identity


class Base:
    """A loaded model with its adapters. Its methods work on batches, in its thread."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._model: Any = None
        self._adapters: set[str] = set()
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"model {source.folder.name}")
        self._started = False

    def ask(self, source: Source, work: Callable[[Base, list[J]], list[R]], what: J, batch_size: int) -> R:
        """Has the thread do some work, in a batch with equal work that waits."""
        job = _Job(source, work, what, batch_size)
        with self._wake:
            if not self._started:
                self._started = True
                self._thread.start()
            self._jobs.append(job)
            self._wake.notify()
        out: R = job.answer.result()
        return out

    def _work(self) -> None:
        while True:
            batch = self._next()
            try:
                with self._with_adapter(batch[0].source):
                    answers = batch[0].work(self, [job.what for job in batch])
                for job, answer in zip(batch, answers, strict=True):
                    job.answer.set_result(answer)
            except BaseException as e:
                for job in batch:
                    job.answer.set_exception(e)

    def _next(self) -> list[_Job]:
        with self._wake:
            while not self._jobs:
                self._wake.wait()
            first = self._jobs.popleft()
            batch, others = [first], deque[_Job]()
            for job in self._jobs:
                (batch if len(batch) < first.batch_size and first.fits(job) else others).append(job)
            self._jobs = others
            return batch

    @contextlib.contextmanager
    def _with_adapter(self, source: Source) -> Iterator[None]:
        """Loads what a source needs, and turns on its adapter alone."""
        import torch

        name = _adapter_name(source)
        if self._model is None or source.adapter is not None and name not in self._adapters:
            with loading():
                if self._model is None:
                    self._model = load(self._source)
                if source.adapter is not None:
                    self._add_adapter(source.adapter, name)
        with torch.inference_mode():
            if source.adapter is not None:
                self._model.set_adapter(name, inference_mode=True)
                yield
            elif self._adapters:
                with self._model.disable_adapter():
                    yield
            else:
                yield

    def _add_adapter(self, folder: Path, name: str) -> None:
        from peft import PeftModel

        if self._adapters:
            self._model.load_adapter(str(folder), adapter_name=name)
        else:
            self._model = PeftModel.from_pretrained(self._model, str(folder), adapter_name=name)
        self._model.eval()
        self._adapters.add(name)

    @property
    def plain(self) -> Any:
        """The model of transformers, with the layers of the adapters in it."""
        return self._model.get_base_model() if self._adapters else self._model

    def config(self, batch: list[None]) -> list[Any]:
        return [self.plain.config] * len(batch)

    def generate(self, batch: list[tuple[Continuation, Tokenizer]]) -> list[Continued]:
        """Continues prompts. They are padded to the longest on the left."""
        from transformers import LogitsProcessorList, StoppingCriteriaList

        continuations = [c for c, _ in batch]
        tokenizer = batch[0][1]
        given = self._batch([c.prompt for c in continuations], left=True)
        length = given["input_ids"].shape[1]
        ends = _ends(self.plain, tokenizer)
        draw = _drawing()(continuations)
        stop = _stopping()(continuations, length, tokenizer)
        out = self.plain.generate(
            **given,
            max_new_tokens=max(c.max_tokens for c in continuations),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=sorted(ends) or None,
            pad_token_id=min(ends, default=0),
            logits_processor=LogitsProcessorList([draw]),
            stopping_criteria=StoppingCriteriaList([stop]),
        )
        new = out[:, length:].tolist()
        return [_continued(c, row, draw.logprobs[i], ends, tokenizer) for i, (c, row) in enumerate(zip(continuations, new, strict=True))]

    def score(self, batch: list[Sequence[int]]) -> list[Scores]:
        """Returns the log-probabilities of the tokens of texts. They are padded to the longest on the right."""
        logits = self.plain(**self._batch(batch), use_cache=False).logits
        return [_scores(row, logits[i, : len(row)]) for i, row in enumerate(batch)]

    def outputs(self, batch: list[Sequence[Sequence[int]]]) -> list[list[list[float]]]:
        """Returns the outputs of a reward model or classifier for texts."""
        return [self.plain(**self._batch(texts)).logits.float().cpu().tolist() for texts in batch]

    def _batch(self, rows: Sequence[Sequence[int]], *, left: bool = False) -> dict[str, Any]:
        pad = getattr(self.plain.config, "pad_token_id", None)
        return {name: tensor.to(self.plain.device) for name, tensor in padded(rows, pad or 0, left=left).items()}

    def embed(self, batch: list[tuple[Sequence[str], Encoder, int]]) -> list[tuple[list[list[float]], int]]:
        [(texts, encoder, size)] = batch
        out: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), size):
            vectors, n = encoder(self.plain.base_model, texts[start : start + size])
            out += vectors.float().cpu().tolist()
            tokens += n
        return [(out, tokens)]


def load(source: Source) -> Any:
    """Loads the weights of a model, without its adapter, for inference.

    Raises:
        OSError: The files are not complete, or not in a format that may be loaded.
    """
    auto = auto_class(source.head)
    where = device(source.device)
    start = time.monotonic()
    _log.info("loading %s on %s", source.folder / source.gguf, where)
    options: dict[str, Any] = {"gguf_file": source.gguf} if source.gguf else {"use_safetensors": None if source.allow_pickle else True}
    if source.labels:
        options |= {"num_labels": source.labels, "pad_token_id": _padding(source.folder)}
    model = auto.from_pretrained(source.folder, local_files_only=True, dtype=source.dtype, **options).to(where).eval()
    gib = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**30
    _log.info("loaded %s: %.2f GiB in %.1f s", source.folder / source.gguf, gib, time.monotonic() - start)
    return model


def _padding(folder: Path) -> int | None:
    """The token that pads batches: as in training, the one that ends texts if there is no other."""
    tokenizer = Tokenizer(folder)
    name = tokenizer.special.get("pad_token")
    return tokenizer.eos if name is None else tokenizer.backend.token_to_id(name)


def auto_class(head: Head) -> Any:
    """Returns the class of transformers that loads models with a head."""
    import transformers

    return {
        "causal": transformers.AutoModelForCausalLM,
        "reward": transformers.AutoModelForSequenceClassification,
        "classifier": transformers.AutoModelForSequenceClassification,
        "embedding": transformers.AutoModel,
    }[head]


def device(name: Device) -> str:
    """Returns the device to use. Raises ValueError if this machine does not have it."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = name.partition(":")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(kind, 0)
    if int(index or 0) >= there:
        raise ValueError(f'this machine has no device {name!r}\nWrite device = "cpu" or a device that PyTorch finds here.')
    return name


def _adapter_name(source: Source) -> str:
    """A name for PEFT, which does not allow all characters."""
    return "adapter_" + "".join(c if c.isalnum() else "_" for c in source.adapter_identity)


def _context(config: Any) -> int:
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 0)


def _ends(model: Any, tokenizer: Tokenizer) -> set[int]:
    """The tokens that end an answer."""
    given = model.generation_config.eos_token_id
    ends = set(given if isinstance(given, list) else [given]) | {tokenizer.eos}
    return {t for t in ends if t is not None}


@functools.cache
def _drawing() -> Any:
    import torch
    from transformers import LogitsProcessor

    class Drawing(LogitsProcessor):
        """Draws the next token of each row, with its own temperature, top_p, and seed, and keeps its log-probability.

        The scores that it returns leave no other choice.
        """

        def __init__(self, rows: Sequence[Continuation]) -> None:
            self._rows = rows
            self._random = [torch.Generator() for _ in rows]
            for row, random in zip(rows, self._random, strict=True):
                if row.seed is None:
                    random.seed()
                else:
                    random.manual_seed(row.seed)
            self.logprobs: list[list[float]] = [[] for _ in rows]

        def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
            logprobs = torch.log_softmax(scores.float(), dim=-1)
            chosen = scores.argmax(dim=-1)
            for i, row in enumerate(self._rows):
                if row.temperature > 0:
                    chosen[i] = _drawn(scores[i].float().cpu() / row.temperature, row.top_p, self._random[i])
                self.logprobs[i].append(float(logprobs[i, chosen[i]]))
            return torch.full_like(scores, float("-inf")).scatter_(1, chosen[:, None], 0)

    return Drawing


def _drawn(logits: torch.Tensor, top_p: float, random: torch.Generator) -> int:
    """Draws a token."""
    import torch

    probabilities, order = torch.softmax(logits, dim=-1).sort(descending=True, stable=True)
    if top_p < 1:
        # A token stays if those before it do not reach top_p; so the first always does.
        probabilities[probabilities.cumsum(0) - probabilities >= top_p] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=random)])


@functools.cache
def _stopping() -> Any:
    import torch
    from transformers import StoppingCriteria

    class Stopping(StoppingCriteria):
        """Ends a row at its own limit, or when its text contains one of its stop strings."""

        def __init__(self, rows: Sequence[Continuation], prompt: int, tokenizer: Tokenizer) -> None:
            self._rows, self._prompt, self._tokenizer = rows, prompt, tokenizer

        def __call__(self, input_ids: torch.LongTensor, scores: Any, **_: Any) -> torch.Tensor:
            return torch.tensor([self._ended(*r) for r in zip(self._rows, input_ids, strict=True)], device=input_ids.device)

        def _ended(self, row: Continuation, tokens: torch.Tensor) -> bool:
            new = tokens[self._prompt :]
            if len(new) >= row.max_tokens:
                return True
            if not row.stop:
                return False
            # A stop string ends in one of the last tokens, each of which has at least a byte.
            longest = max(len(s.encode()) for s in row.stop)
            return _cut(continuation_text(self._tokenizer, row.prompt, new[-longest - 8 :].tolist()), row.stop) is not None

    return Stopping


def _continued(c: Continuation, new: list[int], logprobs: list[float], ends: set[int], tokenizer: Tokenizer) -> Continued:
    """Takes a row's own tokens from what was generated, which is padded if other rows are longer."""
    end = next((i for i, t in enumerate(new) if t in ends), None)
    tokens = new[: min(c.max_tokens, len(new) if end is None else end)]
    finished = end is not None and end < c.max_tokens
    text = continuation_text(tokenizer, c.prompt, tokens)
    if c.stop:
        for n in range(1, len(tokens) + 1):
            text = continuation_text(tokenizer, c.prompt, tokens[:n])
            if (cut := _cut(text, c.stop)) is not None:
                return Continued(tokens[:n], logprobs[:n], cut, "stop")
    return Continued(tokens, logprobs[: len(tokens)], text, "stop" if finished else "length")


def _cut(text: str, stop: Sequence[str]) -> str | None:
    """Returns the text before the first stop string; None if it contains none."""
    found = [i for i in (text.find(s) for s in stop if s) if i >= 0]
    return text[: min(found)] if found else None


def continuation_text(tokenizer: Tokenizer, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """Returns the text of tokens that follow others.

    Some tokenizers drop a space at the beginning of a text, so the tokens are decoded
    after some of those before.
    """
    before = list(prompt[-8:])
    decode = tokenizer.backend.decode
    start, whole = decode(before), decode([*before, *tokens])
    # What the prompt cannot spell, such as half of a character, changes with what follows.
    return whole[len(start) :] if whole.startswith(start) else decode(list(tokens))


def token_texts(tokenizer: Tokenizer, prompt: Sequence[int], tokens: Sequence[int]) -> list[str]:
    """Returns what each token adds to the text."""
    every = [*prompt[-8:], *tokens]
    out = []
    for i in range(len(every) - len(tokens), len(every)):
        out.append(continuation_text(tokenizer, every[max(0, i - 8) : i], [every[i]]))
    return out


def _scores(tokens: Sequence[int], logits: torch.Tensor, rows: int = 512) -> Scores:
    """Scores tokens by the logits at their places, a part at a time, since those of all tokens are large."""
    import torch

    logprobs: list[float | None] = [None]
    top: list[tuple[int, float] | None] = [None]
    for start in range(0, len(tokens) - 1, rows):
        part = torch.log_softmax(logits[start : min(start + rows, len(tokens) - 1)].float(), dim=-1)
        following = torch.tensor(tokens[start + 1 : start + 1 + len(part)], device=part.device)
        logprobs += part.gather(1, following[:, None])[:, 0].tolist()
        best = part.max(dim=-1)
        top += zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return Scores(logprobs, top)
