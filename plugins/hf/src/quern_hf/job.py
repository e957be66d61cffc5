"""A training job: what the stage hands over to the process that trains, and gets back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

EVENT = "\x1equern "
"""Begins a line of the process that is an event, followed by JSON."""

STOP = b"stop\n"
"""What the stage writes to the process to ask it to save a checkpoint and end."""

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in the work folder."""

_JOB, _CURVES, _METRICS = "job.json", "curves.json", "metrics.json"


@dataclasses.dataclass(frozen=True)
class Job:
    """A training job.

    Attributes:
        module: The module whose function ``train(job)`` carries it out.
        method: As in ``artifact.Description``.
        base: The folder of the base model.
        output: The folder for the files of the model.
        work_dir: A folder that survives crashes.
        data: The file with the examples.
        validation: The file with the examples to evaluate on; None: no evaluation.
        evaluate_steps: How many steps come between two evaluations; None: an epoch.
        patience: After how many evaluations without improvement to stop; None: never.
        checkpoint_steps: After how many steps to save a checkpoint; None: by time only.
        checkpoint_seconds: After how much time to save one.
        arguments: The arguments of the stage that affect the result, by name.
        description: The fields of ``artifact.Description``.
        tokenizer: The folder of a tokenizer that replaces the base's; None: the base's own.
    """

    module: str
    method: str
    base: str
    output: str
    work_dir: str
    data: str
    validation: str | None
    evaluate_steps: int | None
    patience: int | None
    checkpoint_steps: int | None
    checkpoint_seconds: float
    arguments: dict[str, Any]
    description: dict[str, Any]
    tokenizer: str | None = None

    def write(self) -> Path:
        """Writes the job into its work folder and returns the file."""
        path = Path(self.work_dir, _JOB)
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Job:
        """Reads a job."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def write_results(self, curves: list[dict[str, Any]], metrics: dict[str, Any]) -> None:
        """Writes what the stage reports."""
        Path(self.work_dir, _CURVES).write_text(json.dumps(curves))
        Path(self.work_dir, _METRICS).write_text(json.dumps(metrics))

    def results(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Returns the curves and the metrics."""
        return json.loads(Path(self.work_dir, _CURVES).read_text()), json.loads(Path(self.work_dir, _METRICS).read_text())
