"""The plugin inspect: tasks of Inspect as evaluations of quern.

Inspect runs as its own command line, in a process of its own, and calls the model
through quern. So its numbers are those of the command line, and calls are cached,
limited, and paid for like any others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quern import plugin, stats
from quern.stats import Difference, Figure

from .log import Log

inspect = plugin.Plugin("inspect", version=version("quern-plugin-inspect"))


@dataclass
class Sample:
    """A row of ``samples``: an answer to a sample of a task, in one epoch."""

    task: str
    sample: str
    epoch: int
    input: str
    target: str
    messages: str
    answer: str
    scores: str
    error: str | None


@dataclass
class Score:
    """A row of ``scores``: the score of a sample, over all epochs, and what makes it comparable with another."""

    task: str
    sample: str
    scorer: str
    score: float
    input_hash: str
    settings: str


@dataclass
class Values:
    """The figures of the tasks, and the differences from the baseline."""

    metrics: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Difference]]


@inspect.evaluate("inspect", stop_seconds=5)
class Inspect(plugin.Runner):
    """Evaluates a model on tasks of Inspect.

    The values are `metrics["TASK"]["SCORER.METRIC"]` with `{ value, low, high, n }`: Inspect's own figure, its confidence
    interval, and the number of samples; and, with a `baseline`, `differences["TASK"]["SCORER"]` with
    `{ value, low, high, p, n, comparable, reason }`: this model minus the baseline on the same samples, tested with McNemar's exact
    test for conditions and a paired permutation test for other scores. If the two results are not comparable, the numbers are
    null, and `reason` says what differs.

    The stage itself is a report with Inspect's results. `samples` is a dataset of conversations and answers, `scores` one of the score of each sample.
    """

    model: plugin.Model
    """The model to evaluate."""
    tasks: list[str]
    """The tasks: `FILE.py`, `FILE.py@TASK`, or the name of a task in an installed package, such as `inspect_evals/gsm8k`."""
    files: list[Path] = plugin.argument(default_factory=list, operational=True)
    """Further files that the tasks read, such as their data. Their content, and that of all Python files in the folder of a task, is part of the stage's definition."""
    baseline: plugin.Dataset | None = None
    """The `scores` of another evaluation, to compare the model with."""
    task_args: dict[str, Any] | None = None
    """Arguments of the tasks."""
    grader: plugin.Model | None = None
    """The model with the role `grader`, for tasks that have their answers graded by a model."""
    limit: int | None = None
    """The maximum number of samples of each task."""
    epochs: int | None = None
    """How often to answer each sample. The default is the task's own."""
    system_message: str | None = None
    """A system message that replaces the model's own."""
    temperature: float | None = None
    """The sampling temperature."""
    max_tokens: int | None = None
    """The maximum number of tokens of an answer."""
    seed: int | None = None
    """The seed for sampling."""
    confidence: float = 0.95
    """The confidence level of the intervals."""
    concurrency: int = plugin.argument(default=16, operational=True)
    """How many requests to keep open at the same time."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.use_openai_api()
        p.add_report()
        p.add_dataset(Sample, name="samples")
        p.add_dataset(Score, name="scores")
        p.set_value_type(Values)
        if self.baseline is not None:
            p.read_all("baseline")
        if p.known("tasks") and not self.tasks:
            p.error("No tasks\nName at least one task in tasks.", argument="tasks")
        for task in self.tasks:
            self.add_task(p, task)
        for path in self.files:
            p.add_file(path.as_posix(), Path(inspect.root, path))

    def add_task(self, p: plugin.Prepare, task: str) -> None:
        """Declares the Python files of a task, which may import one another."""
        name, _, _ = task.partition("@")
        if not name.endswith(".py"):
            return
        path = Path(inspect.root, name)
        if not path.is_file():
            p.error(
                f"Task file {name!r} does not exist\nWrite the path of a Python file, relative to the configuration, or the name of a task in an installed package.",
                argument="tasks",
            )
            return
        for file in sorted(path.parent.glob("*.py")):
            if not any(f.path == str(file.absolute()) for f in p.out.files):
                p.add_file(os.path.join(os.path.dirname(name), file.name), file)

    def run(self, run: plugin.Run) -> Values:
        folder = Path(run.work_dir) / "logs"
        shutil.rmtree(folder, ignore_errors=True)  # an interrupted run starts again, with the answers in quern's cache
        self.evaluate(run, folder)
        logs = [Log.read(file) for file in sorted(folder.glob("*.json"))]
        logs.sort(key=lambda log: log.task)
        with open(Path(run.folder()) / "results.json", "w") as file:
            json.dump([log.reproducible() for log in logs], file, indent=1, sort_keys=True)
        scores = [Score(**s) for log in logs for s in log.scores()]
        for score in scores:
            run.write(score, output="scores")
        for log in logs:
            for sample in log.samples():
                run.write(Sample(**sample), output="samples")
        metrics = {log.task: dict(self.metrics(log, scores)) for log in logs}
        return Values(metrics=metrics, differences=self.differences(scores))

    def metrics(self, log: Log, scores: Sequence[Score]) -> Iterator[tuple[str, Figure]]:
        """Inspect's figures. One that is the mean of its samples' scores has their interval."""
        for scorer, metric, value, n in log.metrics():
            own = stats.figure([s.score for s in scores if s.task == log.task and s.scorer == scorer], self.confidence)
            if own.value is None or value is None or abs(own.value - value) > 1e-9:
                own = Figure(value, None, None, n)
            yield f"{scorer}.{metric}", own

    def differences(self, scores: Sequence[Score]) -> dict[str, dict[str, Difference]]:
        if self.baseline is None:
            return {}
        theirs = {(r["task"], r["scorer"], r["sample"]): r for r in self.baseline.table().to_pylist()}
        ours: dict[tuple[str, str], list[Score]] = {}
        for s in scores:
            ours.setdefault((s.task, s.scorer), []).append(s)
        out: dict[str, dict[str, Difference]] = {}
        for (task, scorer), of in ours.items():
            pairs = [(s, theirs[key]) for s in of if (key := (task, scorer, s.sample)) in theirs]
            out.setdefault(task, {})[scorer] = self.difference(pairs)
        return out

    def difference(self, pairs: Sequence[tuple[Score, Mapping[str, Any]]]) -> Difference:
        if reason := incomparable(pairs):
            return Difference(None, None, None, None, len(pairs), False, reason)
        return stats.difference([a.score for a, _ in pairs], [float(b["score"]) for _, b in pairs], self.confidence)

    def evaluate(self, run: plugin.Run, folder: Path) -> None:
        """Runs Inspect's command line."""
        api = self.model.openai_api
        # The provider openai-api takes its address and key from variables with the prefix of the model's name.
        env = {
            **os.environ,
            "QUERN_BASE_URL": api.base_url,
            "QUERN_API_KEY": api.api_key,
            "INSPECT_DISPLAY": "log",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "inspect_ai", "eval", *self.tasks, *self.options(folder)]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=inspect.root) as process:
            assert process.stdout is not None
            try:
                last = follow(run, process.stdout)
            except BaseException:
                process.kill()
                raise
        logs = [Log.read(file) for file in folder.glob("*.json")] if folder.exists() else []
        for log in logs:
            if log.error:
                raise plugin.Error(f"Task {log.task} failed\n{log.error}")
        if process.returncode != 0 or not logs:
            raise plugin.Error("Inspect failed\n" + "\n".join(last))

    def options(self, folder: Path) -> list[str]:
        """The options of the command line. quern waits and retries, so Inspect does not."""
        out = [
            "--model",
            f"openai-api/quern/{self.model.openai_api.model}",
            "--log-dir",
            str(folder),
            "--log-format",
            "json",
            "--max-connections",
            str(self.concurrency),
            "--max-retries",
            "0",
            "--no-log-realtime",
            "--timeout",
            str(7 * 24 * 3600),
        ]
        given = {
            "--limit": self.limit,
            "--epochs": self.epochs,
            "--system-message": self.system_message,
            "--temperature": self.temperature,
            "--max-tokens": self.max_tokens,
            "--seed": self.seed,
        }
        for name, value in given.items():
            if value is not None:
                out += [name, str(value)]
        for name, value in (self.task_args or {}).items():
            out += ["-T", f"{name}={json.dumps(value)}"]
        if self.grader is not None:
            out += ["--model-role", f"grader=openai-api/quern/{self.grader.openai_api.model}"]
        return out


def incomparable(pairs: Sequence[tuple[Score, Mapping[str, Any]]]) -> str:
    """Why two results cannot be compared, or "" if they can."""
    if not pairs:
        return "no sample is in both results"
    if any(a.settings != b["settings"] for a, b in pairs):
        return "the version or the arguments of the task, the version of Inspect, the number of epochs, the generation settings, or the scorers differ"
    if any(a.input_hash != b["input_hash"] for a, b in pairs):
        return "the samples of the task differ"
    return ""


_PROGRESS = re.compile(r"Samples:\s*(\d+)/\s*(\d+)")


def follow(run: plugin.Run, lines: Any, keep: int = 20) -> list[str]:
    """Reports progress and passes Inspect's messages on to the log. Returns the last lines."""
    last: list[str] = []
    for line in lines:
        run.check()
        if match := _PROGRESS.search(line):
            run.progress(int(match[1]), int(match[2]), "samples")
        if line := line.strip():
            print(line, file=sys.stderr)
            last = [*last, line][-keep:]
    return last


def main() -> None:
    inspect.serve()
