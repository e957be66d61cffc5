"""The process that trains: ``python -m quern_hf.trainer JOB``.

Training has a process of its own, so that the seeds of two trainings do not disturb each
other, the accelerator's memory is free afterward, and accelerate can start one process for each
accelerator. The stage (``quern_hf.stage``) writes the job, reads the events that this
process prints, and asks it to stop.

What continues after a crash is what would have been: a checkpoint contains the weights,
the optimizer, the schedule, the state of the random numbers, and the position in the data,
so that on the same machine the finished weights are the same to the bit.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .job import CHECKPOINTS, EVENT, Job

_STATE = "quern.json"
# A progress event is printed at most this often, in seconds.
_PROGRESS_EVERY = 0.2


def main(path: str) -> None:
    """Carries out a job: trains, and writes the model's files and the results."""
    _listen()
    job = Job.read(path)
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=str(Path(job.work_dir, "datasets")))
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(job.arguments["seed"])
    importlib.import_module(job.module).train(job)
    emit(finished=True)


def emit(**event: Any) -> None:
    """Prints an event for the stage, in the first process. Other output goes to the log of the run."""
    if os.environ.get("RANK", "0") == "0":
        print(EVENT + json.dumps(event), flush=True)


_stopping = threading.Event()


def _listen() -> None:
    """Notes when the stage asks this process to stop, and ends it with the plugin: two processes must not train into one folder."""

    def listen() -> None:
        while os.read(0, 4096):
            _stopping.set()
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def fit(job: Job, make: Callable[[type[Any]], Any], base: type[Any]) -> Any:
    """Trains, and returns the trainer with the weights to keep; the process ends here if quern asked it to stop.

    Args:
        job: The job.
        make: Makes a trainer of a class, with the arguments that ``arguments_of`` returns.
        base: The class of transformers or TRL to train with.
    """
    trainer = make(_checkpointed(base))
    trainer.keep(job)
    trainer.train(resume_from_checkpoint=trainer.last_checkpoint())
    if trainer.journal.stopped:
        trainer.save_now()
        emit(stopped=True)
        sys.stdout.flush()
        os._exit(0)
    trainer.load_best()
    trainer.report()
    return trainer


def arguments_of(job: Job, config: type[Any], **more: Any) -> Any:
    """Returns the arguments of a trainer: those that all trainers have in common, and more.

    Args:
        job: The job.
        config: The class of the arguments, such as transformers' TrainingArguments.
        more: Further arguments, and replacements.
    """
    a = job.arguments
    precision = precision_of(a["precision"])
    given: dict[str, Any] = {
        "output_dir": str(Path(job.work_dir, CHECKPOINTS, "unfinished")),
        "per_device_train_batch_size": a["batch_size"],
        "per_device_eval_batch_size": a["batch_size"],
        "gradient_accumulation_steps": a["gradient_accumulation"],
        "learning_rate": a["learning_rate"],
        "weight_decay": a["weight_decay"],
        "optim": OPTIMIZERS[a["optimizer"]],
        "lr_scheduler_type": a["schedule"],
        "warmup_steps": a["warmup"] if a["warmup"] < 1 else int(a["warmup"]),
        "max_grad_norm": a["max_grad_norm"],
        "num_train_epochs": a["epochs"],
        "max_steps": a["steps"] or -1,
        "bf16": precision == "bfloat16",
        "fp16": precision == "float16",
        "gradient_checkpointing": a["gradient_checkpointing"],
        "seed": a["seed"],
        "logging_steps": a["log_steps"],
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": not _accelerated(),
        "dataloader_pin_memory": _accelerated(),
        **more,
    }
    return config(**given)


OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
}
"""The names of optimizers, and those that transformers has for them."""


def _accelerated() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def precision_of(given: str) -> str:
    """Returns the precision to compute with: if it is not given, bfloat16 where an accelerator has it."""
    import torch

    if given != "auto":
        return given
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


class Journal:
    """What is known about a training, and kept with its checkpoints.

    Attributes:
        curves: A row for each time that losses were logged.
        tokens: The tokens that were trained on.
        seconds: The time that training took up to the last checkpoint.
        best: The step with the lowest evaluation loss, and that loss.
        worse: How many evaluations have not improved on it.
    """

    def __init__(self) -> None:
        self.curves: list[dict[str, Any]] = []
        self.tokens = 0
        self.seconds = 0.0
        self.best: tuple[int, float] | None = None
        self.worse = 0
        self.stopped = False
        self.begin()

    def begin(self) -> None:
        """Begins to measure time, after everything is loaded."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """The time that training has taken, in seconds."""
        return self.seconds + time.monotonic() - self._began

    def state(self) -> dict[str, Any]:
        return {"curves": self.curves, "tokens": self.tokens, "seconds": self.elapsed, "best": self.best, "worse": self.worse}

    def restore(self, state: dict[str, Any]) -> None:
        self.curves, self.tokens, self.seconds, self.worse = state["curves"], state["tokens"], state["seconds"], state["worse"]
        self.best = state["best"] and (state["best"][0], state["best"][1])

    def log(self, step: int, epoch: float, logs: dict[str, float]) -> None:
        """Notes what was logged at a step."""
        names = {"loss": "loss", "eval_loss": "eval_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}
        found = {name: logs[key] for key, name in names.items() if key in logs}
        if not found:
            return
        if not self.curves or self.curves[-1]["step"] != step:
            self.curves.append({"step": step, "epoch": epoch, **dict.fromkeys(names.values())})
        self.curves[-1].update(found, tokens=self.tokens, seconds=self.elapsed)

    def evaluated(self, step: int, loss: float) -> bool:
        """Notes an evaluation, and returns whether it is the best so far."""
        if self.best is not None and loss >= self.best[1]:
            self.worse += 1
            return False
        self.best, self.worse = (step, loss), 0
        return True


def _checkpointed(base: type[Any]) -> type[Any]:
    """Adds to a trainer class that it keeps checkpoints which are whole, stops when quern asks, and reports."""
    import torch
    import transformers

    class Watch(transformers.TrainerCallback):
        """Decides after each step whether to save, and whether to end."""

        def __init__(self, trainer: Any) -> None:
            self.trainer = trainer

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.trainer.after_step(control)

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
            self.trainer.after_evaluation(control, metrics)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            self.trainer.after_log(logs)

    class Checkpointed(base):  # type: ignore[misc]
        def keep(self, job: Job) -> None:
            """Sets the job whose folders the trainer writes to."""
            self.job = job
            self.journal = Journal()
            self._tokens = torch.zeros((), dtype=torch.int64, device=self.args.device)
            self._folder = Path(job.work_dir, CHECKPOINTS)
            self._saved_at = self._told_at = time.monotonic()
            self._resumed: dict[str, Any] = {}
            shutil.rmtree(self._folder / "unfinished", ignore_errors=True)
            self.add_callback(Watch(self))

        # Checkpoints.

        def _checkpoints(self) -> list[Path]:
            return sorted(self._folder.glob("checkpoint-*"), key=lambda p: int(p.name.partition("-")[2]))

        def last_checkpoint(self) -> str | None:
            """Returns the folder of the last checkpoint, and restores what the journal knew."""
            found = self._checkpoints()
            if not found:
                return None
            self._resumed = json.loads((found[-1] / _STATE).read_text())
            self.journal.restore(self._resumed["journal"])
            return str(found[-1])

        def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
            out = super()._prepare_for_training(*args, **kwargs)
            self.journal.begin()
            return out

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            if self._resumed:  # the trainer has set them to zero since it read the checkpoint
                self._tr_loss += torch.tensor(self._resumed["loss"], dtype=self._tr_loss.dtype)
                self._globalstep_last_logged = self._resumed["logged"]
                self._resumed = {}
            self._tokens += _count_tokens(inputs)
            return super().training_step(model, inputs, num_items_in_batch)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            name = f"checkpoint-{self.state.global_step}"
            target = self._folder / name
            if target.exists():
                return
            self._count()
            loss = self.accelerator.gather(self._tr_loss).mean().item()
            super()._save_checkpoint(model, trial)
            if self.args.world_size > 1:
                torch.distributed.barrier()
            if self.args.should_save:
                self._publish(self._folder / "unfinished" / name, target, loss)
            if self.args.world_size > 1:
                torch.distributed.barrier()
            self._saved_at = time.monotonic()

        def _publish(self, unfinished: Path, target: Path, loss: float) -> None:
            """Gives a checkpoint its name once everything in it is on the disk, and removes those that nothing needs."""
            state = {"journal": self.journal.state(), "loss": loss, "logged": self._globalstep_last_logged}
            (unfinished / _STATE).write_text(json.dumps(state))
            _sync(unfinished)
            os.replace(unfinished, target)
            _sync_folder(self._folder)
            best = self.journal.best and f"checkpoint-{self.journal.best[0]}"
            for old in self._checkpoints()[:-1]:
                if old.name != best:
                    shutil.rmtree(old)

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """The facts about a model are in quern.json."""

        def save_now(self) -> None:
            """Saves a checkpoint of the current step, if it has none."""
            self._save_checkpoint(self.model, None)

        # After each step.

        def after_step(self, control: Any) -> None:
            """Decides what to do. A checkpoint comes after the evaluation of the same step, so that it contains its result."""
            if self.state.global_step >= self.state.max_steps:
                control.should_log = True
            if self.job.validation is not None and self._is_evaluated():
                control.should_evaluate = True
            if self._decided(_stopping.is_set()):
                self.journal.stopped = control.should_training_stop = True
            every = self.job.checkpoint_seconds
            due = self.job.checkpoint_steps and self.state.global_step % self.job.checkpoint_steps == 0
            if due or self._decided(time.monotonic() - self._saved_at >= every):
                control.should_save = True
            self._tell()

        def _is_evaluated(self) -> bool:
            step, every = self.state.global_step, self.job.evaluate_steps
            ends = (self.state.epoch or 0.0).is_integer() if every is None else step % every == 0
            return ends or step >= self.state.max_steps

        def _decided(self, decision: bool) -> bool:
            """Returns whether any process decides so: only one of them reads a request to stop, and clocks differ."""
            if self.args.world_size == 1:
                return decision
            given = torch.tensor(int(decision), device=self.args.device)
            torch.distributed.all_reduce(given, torch.distributed.ReduceOp.MAX)
            return bool(given.item())

        def after_evaluation(self, control: Any, metrics: dict[str, float]) -> None:
            if "eval_loss" not in metrics:
                return
            better = self.journal.evaluated(self.state.global_step, metrics["eval_loss"])
            if self.job.patience is None:
                return
            if better:
                control.should_save = True
            elif self.journal.worse >= self.job.patience:
                # Without a checkpoint: a run that continues from here would not know that it is to end.
                control.should_training_stop, control.should_save = True, False

        def after_log(self, logs: dict[str, float]) -> None:
            self._count()
            if self.state.is_world_process_zero:
                self.journal.log(self.state.global_step, self.state.epoch or 0.0, logs)
            if (loss := logs.get("loss")) is not None and not abs(loss) < float("inf"):
                emit(diverged=self.state.global_step)
                sys.stdout.flush()
                os._exit(1)

        def _count(self) -> None:
            total = self.accelerator.gather(self._tokens).sum().item()
            self.journal.tokens += int(total)
            self._tokens.zero_()

        def _tell(self) -> None:
            now = time.monotonic()
            step, total = self.state.global_step, self.state.max_steps
            if not self.state.is_world_process_zero or (now - self._told_at < _PROGRESS_EVERY and step < total):
                return
            self._told_at = now
            last = self.journal.curves[-1] if self.journal.curves else {}
            emit(
                step=step,
                steps=total,
                epoch=self.state.epoch,
                epochs=self.state.num_train_epochs,
                loss=last.get("loss"),
                learning_rate=last.get("learning_rate"),
                tokens=self.journal.tokens + int(self._tokens.item()) * self.args.world_size,
                seconds=self.journal.elapsed,
                memory=peak_memory(),
            )

        # The end.

        def load_best(self) -> None:
            """Loads the weights with the lowest evaluation loss, if training was to keep these."""
            best = self.journal.best
            if self.job.patience is not None and best is not None and best[0] != self.state.global_step:
                self._load_from_checkpoint(str(self._folder / f"checkpoint-{best[0]}"))

        def report(self) -> None:
            """Writes the curves and the metrics for the stage."""
            if not self.state.is_world_process_zero:
                return
            j, curves = self.journal, self.journal.curves
            logged = [c for c in curves if c["loss"] is not None]
            evaluated = [c["eval_loss"] for c in curves if c["eval_loss"] is not None]
            steps = self.state.global_step
            self.job.write_results(
                curves,
                {
                    "train_loss": _mean_loss(logged),
                    "eval_loss": j.best[1] if j.best and self.job.patience is not None else evaluated[-1] if evaluated else None,
                    "tokens": j.tokens,
                    "steps": steps,
                    "epochs": round(self.state.epoch or 0.0, 6),
                    "best_step": j.best[0] if j.best and self.job.patience is not None else steps,
                    "seconds": j.elapsed,
                    "seconds_per_step": j.elapsed / max(1, steps),
                    "tokens_per_second": j.tokens / max(j.elapsed, 1e-9),
                    "peak_memory": peak_memory(),
                    "trained_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
                    "hardware": hardware(),
                },
            )

    Checkpointed.__name__ = base.__name__
    return Checkpointed


def _mean_loss(logged: list[dict[str, Any]]) -> float:
    """The mean loss of all steps: a logged loss is the mean of the steps since the one before."""
    total, before = 0.0, 0
    for row in logged:
        total += row["loss"] * (row["step"] - before)
        before = row["step"]
    return total / max(1, before)


def _count_tokens(inputs: Any) -> Any:
    """The number of tokens in a batch, without padding."""
    masks = [v for k, v in inputs.items() if k.endswith("attention_mask")]
    if masks:
        return sum(m.sum() for m in masks)
    return sum(v.numel() for k, v in inputs.items() if k.endswith("input_ids"))


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def peak_memory() -> int:
    """The most memory that was used, in bytes: of the accelerator, or of this process if there is none."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def hardware() -> str:
    """What training ran on, in one line."""
    import platform

    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"{len(names)} x {names[0]}, CUDA {torch.version.cuda}"
    threads = torch.get_num_threads()
    return f"CPU {platform.machine()}, {threads} thread{'' if threads == 1 else 's'}"


if __name__ == "__main__":
    # The module under the name by which others import it: they must see the same events.
    from quern_hf import trainer

    with contextlib.suppress(KeyboardInterrupt):
        trainer.main(sys.argv[1])
