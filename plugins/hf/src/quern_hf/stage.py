"""What the trainers have in common as stages: their arguments, and how they run.

A trainer derives from Training, writes its examples, and names the module whose
function ``train(job)`` works in a process of its own (see ``quern_hf.trainer``).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from quern import plugin

from . import artifact, plan
from .data import NO_TEMPLATE, Counts, Item
from .job import CHECKPOINTS, EVENT, STOP, Job
from .model import HF
from .tokens import TemplateError, Tokenizer
from .trained import Classifier, Trained


@dataclass
class Lora:
    """A low-rank adapter, which is trained in place of the model's weights."""

    r: int = 16
    """The rank of the adapter's matrices."""
    alpha: float = 32
    """The adapter's output is scaled by `alpha / r`."""
    dropout: float = 0.0
    """The share of the adapter's inputs that training sets to zero."""
    targets: list[str] | None = None
    """The names of the linear layers that get an adapter, such as `q_proj`. The default is all except the output layer."""
    rslora: bool = False
    """Scales the adapter's output by `alpha / sqrt(r)` instead."""
    dora: bool = False
    """Learns the magnitude of the weights separately from their direction (DoRA)."""


@dataclass
class Curve:
    """A row of ``curves``."""

    step: int
    epoch: float
    loss: float | None
    eval_loss: float | None
    learning_rate: float | None
    grad_norm: float | None
    tokens: int
    seconds: float


@dataclass
class Metrics:
    """The values of a trainer.

    Attributes:
        train_loss: The mean loss of all steps.
        eval_loss: The evaluation loss of the weights that were kept; null without validation.
        rows: The rows that were trained on.
        dropped: The rows that were left out.
        tokens: The tokens that were trained on, without padding, over all epochs.
        steps: The optimizer's steps.
        epochs: How often the rows were trained on.
        best_step: The step of the weights that were kept.
        seconds: The time that training took, without loading.
        seconds_per_step: The mean time of a step.
        tokens_per_second: The mean speed.
        peak_memory: The most memory that was used, in bytes: of an accelerator, or of the process without one.
        trained_parameters: The number of weights that were trained.
        hardware: What training ran on.
        seed: The seed.
    """

    train_loss: float
    eval_loss: float | None
    rows: int
    dropped: int
    tokens: int
    steps: int
    epochs: float
    best_step: int
    seconds: float
    seconds_per_step: float
    tokens_per_second: float
    peak_memory: int
    trained_parameters: int
    hardware: str
    seed: int


Schedule = Literal["linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial"]


class Training(plugin.Runner):
    """The arguments that all trainers have."""

    module: ClassVar[str]
    """The module whose ``train(job)`` trains."""
    method: ClassVar[str]
    """As in ``artifact.Description``."""
    head: ClassVar[artifact.Head] = "causal"

    base: plugin.Model
    """The model to start from: a `model "hf"`, or a model that another stage trained."""
    dataset: plugin.Dataset
    """The rows to train on."""
    lora: Lora | None
    """Trains an adapter of low rank (LoRA) and leaves the model's weights as they are. Without it, all weights are trained."""
    max_length: int = 1024
    """The maximum number of tokens of a row."""
    longer: Literal["error", "truncate", "drop"] = "error"
    """What to do with rows that have more tokens: fail, cut them at the end, or leave them out."""
    epochs: float = 3.0
    """How often to train on each row."""
    steps: int | None = None
    """The number of the optimizer's steps, in place of `epochs`."""
    batch_size: int = 8
    """The rows in a batch, for each process."""
    gradient_accumulation: int = 1
    """The batches that make up one step. The loss is the mean over the tokens of all of them, so 4 batches of 2 rows are 1 batch of 8."""
    learning_rate: float = 2e-5
    """The highest learning rate."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warmup."""
    warmup: float = 0.0
    """Steps in which the learning rate rises from zero, or their share of all steps if it is less than 1."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = "adamw"
    """The optimizer. Those of 8 bits need bitsandbytes and a GPU."""
    weight_decay: float = 0.0
    """The share of a weight that each step takes away, times the learning rate."""
    max_grad_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it. 0 turns this off."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The precision of the computation. `auto` is bfloat16 on a GPU that has it, and float32 elsewhere."""
    gradient_checkpointing: bool = True
    """Computes activations twice instead of keeping them: less memory, about 20% slower."""
    seed: int = 42
    """The seed of everything random. On the same machine, the same seed gives the same weights."""
    log_steps: int = 10
    """How many steps each row of `curves` covers."""
    processes: int = 1
    """The processes to train with, usually one for each GPU of the machine. Each works on batches of its own."""
    checkpoint_interval: datetime.timedelta = plugin.argument(default=datetime.timedelta(minutes=10), operational=True)
    """How often to save a checkpoint, from which an interrupted run continues."""
    checkpoint_steps: int | None = plugin.argument(default=None, operational=True)
    """Saves a checkpoint also after every so many steps."""

    # What a trainer adds.

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Any, path: Path, dataset: str) -> Counts:
        """Writes what training reads of a dataset.

        Args:
            run: The run, for progress.
            tokenizer: The tokenizer of the base.
            given: What has the dataset and its rows: the stage, or its block ``validation``.
            path: The file to write.
            dataset: The key of the dataset, for messages.
        """
        raise NotImplementedError

    def handles(self, given: Any) -> list[plugin.Row[Any]]:
        """Returns the row arguments of the stage or its block ``validation``. A trainer with any also has ``make``."""
        return []

    def make(self, tokenizer: Tokenizer, given: Any, row: Mapping[str, Any]) -> Sequence[Item]:
        """Returns what training reads of a row, whose values are named by the keys of the handles.

        Raises:
            ValueError: The row cannot be trained on.
        """
        raise NotImplementedError

    @property
    def _validation(self) -> Any:
        """The block ``validation``, with ``dataset``, ``steps``, and ``patience``; None if it is not set."""
        return getattr(self, "validation", None)

    def datasets(self) -> dict[str, plugin.Dataset]:
        """Returns the datasets that training reads, by what they are for."""
        return {"dataset": self.dataset} | ({"validation": self._validation.dataset} if self._validation else {})

    @property
    def chat_template(self) -> str | None:
        """The chat template that replaces the base's."""
        return None

    @property
    def chats(self) -> bool:
        """Whether the model can chat even if its base cannot."""
        return self.chat_template is not None

    # Planning.

    def prepare(self, p: plugin.Prepare) -> None:
        self.check(p)
        inputs, outputs = self.signature()
        p.add_model(self.format, inputs=inputs, outputs=outputs, model=self._language_model())
        p.add_dataset(Curve, name="curves")
        self.announce(p)

    def announce(self, p: plugin.Prepare) -> None:
        """Says in the plan how many steps the training has, as far as that is known."""
        needed = ("batch_size", "epochs", "gradient_accumulation", "processes", "steps")
        rows = self.dataset.rows
        if p.failed or not all(map(p.known, needed)) or self.steps is None and (rows is None or self.packs):
            return
        steps = plan.steps(
            rows or 0,
            batch_size=self.batch_size,
            processes=self.processes,
            accumulation=self.gradient_accumulation,
            epochs=self.epochs,
            most=self.steps,
        )
        at_most = "at most " if self.steps is None and self.longer == "drop" else ""
        p.note(f"{at_most}{steps:,} steps of {self.batch_size * self.processes * self.gradient_accumulation:,} rows")

    def signature(self) -> tuple[dict[str, type], dict[str, type]]:
        """Returns the columns that a prediction of the trained model reads, by the names of arguments, and those that it returns."""
        return {}, {}

    def _language_model(self) -> plugin.ModelInfo | None:
        """Returns what calls of the trained model need to know; None if it cannot be called."""
        if self.head not in ("causal", "embedding"):
            return None
        of_base = [c for c in self.base.capabilities if c != "predict"]
        can = ["embed"] if self.head == "embedding" else [*dict.fromkeys([*(["chat"] if self.chats else []), *of_base])]
        return plugin.ModelInfo(capabilities=can, max_concurrency=2, timeout=3600, cache=True) if can else None

    @classmethod
    def load_model(cls, model: plugin.ModelFiles) -> Classifier:
        return Classifier(model.files)

    @classmethod
    def load_language_model(cls, model: plugin.ModelFiles) -> Trained:
        return Trained(model.files)

    @property
    def format(self) -> str:
        """The format of the model that the arguments give."""
        return artifact.FULL if self.lora is None else artifact.ADAPTER

    def check(self, p: plugin.Prepare) -> None:
        """Reports arguments that cannot work."""
        if self.base is not None and self.base.block(HF) is None and self.base.format not in (artifact.FULL, artifact.ADAPTER):
            p.error(
                f'The base cannot be trained\nIt must be a model "hf" or a model that a stage of this plugin trained{self._other_format()}.',
                argument="base",
            )
        least = {"max_length": 2, "batch_size": 1, "gradient_accumulation": 1, "processes": 1, "log_steps": 1}
        positive = ("epochs", "learning_rate")
        for name in (*least, *positive, "steps", "checkpoint_steps", "warmup", "weight_decay", "max_grad_norm"):
            value = getattr(self, name)
            bound = least.get(name, 1 if name in ("steps", "checkpoint_steps") else 0)
            if value is None or not p.known(name):
                continue
            if not math.isfinite(value) or value < bound or (name in positive and value == 0):
                p.error(f"{name} must be {'greater than' if name in positive else 'at least'} {bound}\nIt is {value}.", argument=name)
        if self.lora is not None and self.lora.r < 1:
            p.error(f"r must be at least 1\nIt is {self.lora.r}.", argument="lora.0.r")
        if self.lora is not None and not 0 <= self.lora.dropout < 1:
            p.error(f"dropout must be at least 0 and less than 1\nIt is {self.lora.dropout}.", argument="lora.0.dropout")
        if self.optimizer in ("adamw_8bit", "paged_adamw_8bit"):
            self.needs_bitsandbytes(p, "optimizer", f"The optimizer {self.optimizer}")

    def _other_format(self) -> str:
        return f", and its format is {self.base.format}" if self.base.format else ""

    @staticmethod
    def needs_bitsandbytes(p: plugin.Prepare, argument: str, what: str) -> None:
        """Reports that something needs bitsandbytes and a GPU, if they are not here."""
        if find_spec("bitsandbytes") is None:
            p.error(
                f"{what} needs bitsandbytes\nIt is not installed in the plugin's environment. Install the plugin with its extra nf4.",
                argument=argument,
            )
        elif not gpus():
            p.error(f"{what} needs a GPU\nThis machine has none that nvidia-smi reports.", argument=argument)

    def describe(self) -> Path | None:
        """Returns a folder with the small files of the base, such as its tokenizer; None if it does not exist yet."""
        block = None if self.base is None else self.base.block(HF)
        if block is None or not all(self.base.block_known(place) for place in ("path", "gguf", "repo", "revision")):
            return None
        return block.describe(self.base.pins)

    def check_template(self, p: plugin.Prepare, needed_by: str) -> None:
        """Reports that the base has no chat template, which an argument needs."""
        folder = self.describe()
        if folder is None or p.failed:
            return
        try:
            template = Tokenizer(folder, self.chat_template).template
        except FileNotFoundError as e:
            p.error(f"The base has no tokenizer.json\n{e}. Save it with a fast tokenizer of transformers.", argument="base")
            return
        if template is None:
            p.error(NO_TEMPLATE, argument=needed_by)
            return
        try:
            template.check()
        except TemplateError as e:
            p.error(str(e), argument="template" if self.chat_template else "base")

    def check_sample(self, check: plugin.SampleCheck) -> None:
        """Looks at some rows: whether they can be trained on, and how much there is to do."""
        folder = self.describe()
        sample = None if folder is None else self.sampled(check, folder, self)
        if folder is None or sample is None:
            return
        validation = self.sampled(check, folder, self._validation) if self._validation else None
        at = self.handles(self)[0].key
        found = [*plan.failures(sample, at), *plan.lengths(sample, self.max_length, self.longer)]
        if validation is not None:
            key = self.handles(self._validation)[0].key
            found += [*plan.failures(validation, key), *plan.overlap(sample, validation, "validation.0.dataset")]
        found += self.check_memory(folder, sample)
        for f in found:
            (check.error if f.error else check.warn)(f.text, argument=f.argument)
        tokens = sample.tokens(self.max_length)
        if tokens is not None and self.steps is None:
            check.set_estimate(input_tokens=round(tokens * self.epochs))

    def sampled(self, check: plugin.SampleCheck, folder: Path, given: Any) -> plan.Sample | None:
        """Returns what training would make of some rows of the stage or its block ``validation``."""
        rows, handles = check.sample(given.dataset), self.handles(given)
        if rows is None or not handles or not rows.rows:
            return None
        tokenizer = Tokenizer(folder, self.chat_template)
        made = rows.table(*handles).to_pylist()
        return plan.Sample.of(made, lambda row: self.make(tokenizer, given, row), total=rows.total, complete=rows.complete)

    def check_memory(self, folder: Path, sample: plan.Sample) -> Iterator[plan.Finding]:
        """Finds that training needs more memory than the GPUs here have."""
        shape, present = plan.Shape.read(folder), gpus()
        if shape is None or not present or not sample.items:
            return
        length = min(self.max_length, max(i.length for i in sample.items))
        needed = plan.memory(
            shape,
            tokens=self.batch_size * (self.max_length if self.packs else length) * self.sequences,
            precision="bfloat16" if self.precision == "auto" else self.precision,
            lora=plain(self.lora) if self.lora else None,
            quantized=getattr(self, "quantize", None) is not None,
            gradient_checkpointing=self.gradient_checkpointing,
            optimizer=self.optimizer,
            references=self.references,
        )
        if needed > min(present):
            yield plan.Finding(
                f"Training needs about {needed / 1e9:.0f} GB of memory, and a GPU here has {min(present) / 1e9:.0f} GB\n"
                "Lower batch_size and raise gradient_accumulation as much, train an adapter (lora), load the base in 4 bits (quantize), "
                "or lower max_length.",
                "batch_size",
                False,
            )

    packs: ClassVar[bool] = False
    """Sequences are as long as ``max_length``, because several rows are packed into one."""
    sequences: ClassVar[int] = 1
    """The sequences of each row of a batch."""
    references: ClassVar[int] = 0
    """The copies of the base in addition to the one that is trained."""

    # Running.

    def run(self, run: plugin.Run) -> Metrics:
        output = Path(run.folder(""))
        base = self.base_folder(run)
        arguments = self.arguments()
        data = Path(run.work_dir, "data")
        run.progress(0, 0, "rows", "reading rows")
        replaced = self.tokenizer_folder(run)
        tokenizer = Tokenizer(replaced or base, self.chat_template)
        counts = self.write_rows(run, tokenizer, self, data / "train.arrow", "dataset")
        validation = self._validation
        if validation is not None:
            self.write_rows(run, tokenizer, validation, data / "validation.arrow", "validation.0.dataset")
        job = Job(
            module=self.module,
            method=self.method,
            base=str(base),
            output=str(output),
            work_dir=run.work_dir,
            data=str(data / "train.arrow"),
            validation=str(data / "validation.arrow") if validation else None,
            evaluate_steps=validation.steps if validation else None,
            patience=validation.patience if validation else None,
            checkpoint_steps=self.checkpoint_steps,
            checkpoint_seconds=self.checkpoint_interval.total_seconds(),
            arguments=arguments,
            description=self.description(arguments),
            tokenizer=str(replaced) if replaced else None,
        )
        self._discard_checkpoints_of_another(job)
        launch(run, job, self.processes)
        curves, metrics = job.results()
        for row in curves:
            run.write(row, output="curves")
        return Metrics(rows=counts.rows, dropped=counts.dropped, seed=self.seed, **metrics)

    def base_folder(self, run: plugin.Run) -> Path:
        """Returns the folder of the model to start from."""
        block = self.base.block(HF)
        if block is not None:
            return block.download(self.base.pins)
        return artifact.view(self.base.files, Path(run.work_dir, "base"))

    def tokenizer_folder(self, run: plugin.Run) -> Path | None:
        """Returns the folder of the tokenizer that replaces the base's; None if the base keeps its own."""
        return None

    def arguments(self) -> dict[str, Any]:
        """Returns the plain arguments that affect the result."""
        return {name: value for name, value in plain(self).items() if not name.startswith("checkpoint_")}

    def description(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields of ``quern.json``."""
        installed = packages()
        text = "".join(f"{name}=={version}\n" for name, version in installed.items())
        return {
            "method": self.method,
            "head": self.head,
            "base": self.base_identity(),
            "arguments": _set(arguments),
            "data": {key: dataset.digest for key, dataset in self.datasets().items()},
            "packages": {name: installed[name] for name in _LIBRARIES if name in installed},
            "environment": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        }

    def base_identity(self) -> dict[str, Any]:
        """Returns what identifies the model to start from, for ``quern.json``."""
        block = self.base.block(HF)
        return {"digest": self.base.digest} if block is None else block.identity(self.base.pins)

    def _discard_checkpoints_of_another(self, job: Job) -> None:
        """Removes checkpoints that are of a job with other arguments or data."""
        work = Path(job.work_dir)
        try:
            same = Job.read(work / "job.json").description == job.description
        except (OSError, ValueError, TypeError):
            same = False
        if not same:
            shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)


_LIBRARIES = ("accelerate", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")


def packages() -> dict[str, str]:
    """Returns the versions of all packages of the environment, by name."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    return dict(sorted(found.items()))


def gpus() -> list[int]:
    """Returns the memory of each GPU that nvidia-smi reports, in bytes."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        command = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return [int(line) << 20 for line in listed.split()]
    return []


def plain(of: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass without those that refer to artifacts or rows."""
    handles = (plugin.Dataset, plugin.Model, plugin.Row)
    given = {f.name: getattr(of, f.name) for f in fields(of)}
    return {k: plain(v) if is_dataclass(v) else v for k, v in given.items() if not isinstance(v, handles)}


def _set(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments that are set."""
    return {k: _set(v) if isinstance(v, Mapping) else v for k, v in arguments.items() if v is not None}


def launch(run: plugin.Run, job: Job, processes: int) -> None:
    """Carries out a job in a process of its own, or in several.

    Raises:
        plugin.Stopped: quern asked the work to end; the checkpoint is saved.
        plugin.Error: Training failed.
    """
    command = _command(str(job.write()), processes)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(processes)) as process:
        assert process.stdin is not None and process.stdout is not None
        ended = threading.Event()
        threading.Thread(target=_pass_on_stop, args=(run, process.stdin, ended), daemon=True).start()
        try:
            last = _follow(run, process.stdout)
        except BaseException:
            process.kill()
            raise
        finally:
            ended.set()
    if "diverged" in last:
        raise plugin.Error(
            f"Training diverged in step {last['diverged']:,}\nThe loss is no longer a number. Lower the learning_rate, or set a warmup.",
            argument="learning_rate",
        )
    if "finished" not in last:
        run.check()
        raise plugin.Error(f"The training process failed\n{_ending(process.returncode)} Its output is in the log of the run.")


def _command(job: str, processes: int) -> list[str]:
    module = ["-m", "quern_hf.trainer", job]
    if processes == 1:
        return [sys.executable, *module]
    # As accelerate starts several processes, which it does only for GPUs.
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), *module]


def _environment(processes: int) -> dict[str, str]:
    """The environment of the process: it imports what this one imports. One process uses one GPU."""
    out = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUNBUFFERED": "1"}
    if processes == 1 and len(gpus()) > 1:
        out.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return out


def _pass_on_stop(run: plugin.Run, stdin: Any, ended: threading.Event) -> None:
    while not ended.is_set():
        if run.wait(0.2):
            with contextlib.suppress(OSError, ValueError):
                stdin.write(STOP)
                stdin.flush()
            return


def _follow(run: plugin.Run, lines: Any) -> dict[str, Any]:
    """Reports the progress that the process prints, and passes the rest on to the log. Returns the last event."""
    last: dict[str, Any] = {}
    for line in io.TextIOWrapper(lines, errors="replace"):
        if not line.startswith(EVENT):
            print(line.rstrip(), file=sys.stderr)
            continue
        last = json.loads(line.removeprefix(EVENT))
        if "step" in last:
            run.progress(last["step"], last["steps"], "steps", told(last))
    return last


def told(event: Mapping[str, Any]) -> str:
    """Returns the progress of training in one line."""
    parts = [f"epoch {event['epoch']:.1f}/{event['epochs']}"]
    if event["loss"] is not None:
        parts.append(f"loss {event['loss']:.3f}")
    if event["learning_rate"] is not None:
        parts.append(f"lr {event['learning_rate']:.1e}")
    parts.append(f"{event['tokens'] / max(event['seconds'], 1e-9):,.0f} tokens/s")
    parts.append(f"{event['memory'] / 1e9:.1f} GB")
    return " · ".join(parts)


def _ending(code: int) -> str:
    if code >= 0:
        return f"It ended with the exit status {code}."
    name = signal.Signals(-code).name
    why = " The machine may have run out of memory: lower batch_size or max_length, or train an adapter." if name == "SIGKILL" else ""
    return f"It was ended by {name}.{why}"
