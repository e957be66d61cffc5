"""The plugin lm_eval: tasks of lm-evaluation-harness as evaluations of quern.

The harness runs as its own command line, in a process of its own, and calls the
model through quern. So its numbers are those of the command line, and calls are
cached, limited, and paid for like any others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quern import plugin
from quern.stats import Difference, Figure

from . import figures
from .results import Results

# The types of tasks that can be run.
KINDS = ("generate_until", "loglikelihood", "loglikelihood_rolling", "multiple_choice")

lm_eval = plugin.Plugin("lm_eval", version=version("quern-plugin-lm-eval"))


@dataclass
class Sample:
    """A row of ``samples``: what a model answered to a document of a task."""

    task: str
    document: int
    filter: str
    request: str
    target: str
    response: str
    answer: str
    content: str


@dataclass
class Score:
    """A row of ``scores``: a metric of a sample, and what makes it comparable with another."""

    task: str
    document: int
    filter: str
    metric: str
    score: float
    content_hash: str
    request_hash: str
    settings: str


@dataclass
class Values:
    """The figures of the tasks, and the differences from the baseline."""

    metrics: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Difference]]


@lm_eval.evaluate("lm_eval", stop_seconds=5)
class LmEval(plugin.Runner):
    """Evaluates a model on tasks of lm-evaluation-harness.

    Tasks of the type `generate_until` alone ask a model that chats: a chat template is always applied, and the model sees
    few-shot examples as turns. Tasks of other types (`multiple_choice`, `loglikelihood`, `loglikelihood_rolling`) need a model
    that scores prompts, such as one of the plugin `hf` or of a vLLM endpoint whose block has `capabilities = ["complete", "score"]`.
    Its requests are plain texts without a chat template, also those of `generate_until` tasks among them, which it must complete.

    The values are `metrics["TASK"]["METRIC,FILTER"]` with `{ value, low, high, n }`: the harness's own figure, its
    confidence interval, and the number of documents; and, with a `baseline`, `differences["TASK"]["METRIC,FILTER"]` with
    `{ value, low, high, p, n, comparable, reason }`: this model minus the baseline on the same documents, tested with McNemar's
    exact test for conditions and a paired permutation test for other metrics. If the two results are not
    comparable, the numbers are null, and `reason` says what differs.

    The stage itself is a report with the harness's results. `samples` is a dataset of requests and answers, `scores` one of the metrics of each document.
    """

    model: plugin.Model
    """The model to evaluate."""
    tasks: list[str]
    """Names of tasks, groups, or tags. `lm_eval ls tasks` lists them."""
    include_path: Path | None = plugin.argument(default=None, operational=True)
    """A folder with the YAML files of further tasks. Their content is part of the stage's definition."""
    files: list[Path] = plugin.argument(default_factory=list, operational=True)
    """Further files that the tasks read, such as their data. Their content is part of the stage's definition."""
    baseline: plugin.Dataset | None = None
    """The `scores` of another evaluation, to compare the model with."""
    num_fewshot: int | None = None
    """The number of examples in each request. The default is the task's own."""
    limit: int | None = None
    """The maximum number of documents of each task."""
    system_instruction: str | None = None
    """A system message for each request."""
    gen_kwargs: dict[str, Any] | None = None
    """Generation settings that replace those of the tasks, such as `{ temperature = 0.7 }`."""
    seed: int = 1234
    """The seed for few-shot examples and for sampling."""
    confidence: float = 0.95
    """The confidence level of the intervals."""
    confirm_run_unsafe_code: bool = plugin.argument(default=False, operational=True)
    """Allows tasks that run code which the model wrote, such as `humaneval`."""
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
        folder = self.folder()
        if folder is not None and p.known("include_path"):
            for file in task_files(folder):
                p.add_file(file.relative_to(folder).as_posix(), file)
        for file in self.files:
            p.add_file(file.as_posix(), Path(lm_eval.root, file))
        if p.known("tasks") and p.known("include_path"):
            self.check_tasks(p)

    def folder(self) -> Path | None:
        """The folder of further tasks."""
        return None if self.include_path is None else Path(lm_eval.root, self.include_path)

    def check_tasks(self, p: plugin.Prepare) -> None:
        """Reports tasks that do not exist or cannot be run, before anything is called."""
        from .tasks import Unsupported

        if not self.tasks:
            p.error("No tasks\nName at least one task in tasks.", argument="tasks")
        try:
            kinds = self.kinds()
        except Unsupported as e:
            p.error(str(e), argument="tasks")
            return
        able = self.model.capabilities
        for task, kind in sorted(kinds.items()):
            if kind not in KINDS:
                p.error(f"Task {task!r} cannot be run\nIt is of the type {kind}, which quern does not support.", argument="tasks")
            elif kind != "generate_until" and "score" not in able:
                p.error(
                    f"Task {task!r} cannot be run\nIt is of the type {kind}, which needs the log-probabilities of given texts, and the model "
                    f"can: {', '.join(able)}. Choose a model that can score, or tasks of the type generate_until.",
                    argument="tasks",
                )
            elif kind == "generate_until" and not self.generates(kinds):
                p.error(f"Task {task!r} cannot be run\nIt is of the type {kind}, and the model can: {', '.join(able)}.", argument="tasks")
            else:
                continue
            break

    def kinds(self) -> dict[str, str]:
        """The types of all tasks, by name. Raises Unsupported."""
        from .tasks import types_of

        return {task: kind for name in self.tasks for task, kind in types_of(name, self.folder()).items()}

    def generates(self, kinds: dict[str, str]) -> bool:
        """Reports whether the model can generate texts as the tasks need it: in a chat, or next to tasks that score, plainly."""
        return ("chat" if self.chats(kinds) else "complete") in self.model.capabilities

    def chats(self, kinds: dict[str, str]) -> bool:
        """Reports whether requests are chats."""
        return all(kind == "generate_until" for kind in kinds.values()) and "chat" in self.model.capabilities

    def run(self, run: plugin.Run) -> Values:
        out = Path(run.work_dir) / "results"
        self.evaluate(run, out)
        results = Results.read(out)
        with open(Path(run.folder("")) / "results.json", "w") as file:
            json.dump(results.reproducible(), file, indent=1, sort_keys=True)
        scores = list(self.scores(results))
        for score in scores:
            run.write(score, output="scores")
        for sample in results.samples():
            run.write(Sample(**sample), output="samples")
        metrics = figures.metrics(results, scores, self.confidence)
        return Values(metrics=metrics, differences=self.differences(scores))

    def scores(self, results: Results) -> Iterator[Score]:
        settings = {task: digest(results.settings(task)) for task in results.tasks()}
        for s in results.scores():
            yield Score(settings=settings[s["task"]], **s)

    def differences(self, scores: Sequence[Score]) -> dict[str, dict[str, Difference]]:
        if self.baseline is None:
            return {}
        return figures.differences(scores, self.baseline.table().to_pylist(), self.confidence)

    def evaluate(self, run: plugin.Run, out: Path) -> None:
        """Runs the harness's command line. A run that was interrupted starts again, and its answers come from quern's cache."""
        config = Path(run.work_dir) / "config.json"
        config.write_text(json.dumps(self.config(out)))
        # The key must not be in a file: it is in the environment of this process alone.
        env = {**os.environ, "OPENAI_API_KEY": self.model.openai_api.api_key, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        command = [sys.executable, "-m", "quern_lm_eval.completions", "run", "--config", str(config)]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=run.work_dir) as process:
            assert process.stderr is not None
            try:
                last = follow(run, process.stderr)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise plugin.Error("lm-evaluation-harness failed\n" + "\n".join(last))

    def config(self, out: Path) -> dict[str, Any]:
        """The configuration of the command line."""
        api = self.model.openai_api
        chats = self.chats(self.kinds())
        config: dict[str, Any] = {
            "model": "local-chat-completions" if chats else "quern-completions",
            # quern waits and retries, so neither does the harness.
            "model_args": {
                "base_url": api.base_url + ("/chat/completions" if chats else "/completions"),
                "model": api.model,
                "num_concurrent": self.concurrency,
                "max_retries": 1,
                "timeout": 7 * 24 * 3600,
            },
            "tasks": self.tasks,
            "num_fewshot": self.num_fewshot,
            "limit": self.limit,
            "apply_chat_template": chats,
            "system_instruction": self.system_instruction,
            "gen_kwargs": self.gen_kwargs or {},
            "seed": [self.seed] * 4,
            "log_samples": True,
            "output_path": str(out),
            "confirm_run_unsafe_code": self.confirm_run_unsafe_code,
        }
        if (folder := self.folder()) is not None:
            config["include_path"] = str(folder)
        return {name: value for name, value in config.items() if value is not None}


_PROGRESS = re.compile(r"(?P<what>[^:\r]*):\s+\d+%\|.*\| (?P<done>\d+)/(?P<total>\d+) ")


def follow(run: plugin.Run, lines: Any, keep: int = 20) -> list[str]:
    """Reports progress and passes the harness's messages on to the log. Returns the last lines."""
    last: list[str] = []
    for line in lines:  # text mode ends a line also at the \r of a progress bar
        run.check()
        line = line.rstrip()
        if match := _PROGRESS.search(line):
            if match["what"].strip() == "Requesting API":
                run.progress(int(match["done"]), int(match["total"]), "requests")
        elif line:
            print(line, file=sys.stderr)
            last = [*last, line][-keep:]
    return last


def task_files(folder: Path) -> list[Path]:
    """The files that define tasks, sorted."""
    return sorted(
        f
        for f in folder.rglob("*")
        if f.is_file() and f.suffix in {".yaml", ".yml", ".py", ".jinja", ".txt"} and "__pycache__" not in f.parts
    )


def digest(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    lm_eval.serve()
