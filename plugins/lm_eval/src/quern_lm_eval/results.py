"""The files that the harness writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Members of results.json that differ from run to run.
_VOLATILE = ("date", "total_evaluation_time_seconds", "git_hash", "upper_git_hash", "pretty_env_info", "config", "model_name_sanitized")


@dataclass(frozen=True)
class Results:
    """The results of one run of the harness.

    Attributes:
        whole: The content of results.json.
        files: The files with the samples of each task.
    """

    whole: dict[str, Any]
    files: dict[str, Path]

    @staticmethod
    def read(folder: Path) -> Results:
        newest = max(folder.rglob("results_*.json"), key=lambda f: f.name)
        stamp = newest.stem.removeprefix("results_")
        whole = json.loads(newest.read_text())
        files = {task: newest.parent / f"samples_{task}_{stamp}.jsonl" for task in whole["configs"]}
        return Results(whole, {task: f for task, f in files.items() if f.exists()})

    def reproducible(self) -> dict[str, Any]:
        """results.json without what differs from run to run."""
        return {name: value for name, value in self.whole.items() if name not in _VOLATILE}

    def tasks(self) -> list[str]:
        return sorted(self.files)

    def settings(self, task: str) -> dict[str, Any]:
        """What must be equal for two results of a task to be comparable."""
        config = self.whole["configs"].get(task, {})
        return {
            "lm_eval": self.whole.get("lm_eval_version"),
            "version": self.whole["versions"].get(task),
            "num_fewshot": self.whole["n-shot"].get(task),
            "generation": config.get("generation_kwargs"),
            "system_instruction": self.whole.get("system_instruction"),
            "fewshot_as_multiturn": self.whole.get("fewshot_as_multiturn"),
            "metrics": config.get("metric_list"),
            "filters": config.get("filter_list"),
        }

    def _rows(self, task: str) -> Iterator[dict[str, Any]]:
        with open(self.files[task], encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def samples(self) -> Iterator[dict[str, Any]]:
        """The rows of ``samples``, by task, in the order of the documents."""
        for task in self.tasks():
            for row in sorted(self._rows(task), key=lambda r: (r["doc_id"], r.get("filter", "none"))):
                generated = self.whole["configs"].get(task, {}).get("output_type", "generate_until") == "generate_until"
                yield {
                    "task": task,
                    "document": row["doc_id"],
                    "filter": row.get("filter", "none"),
                    "request": request_of(row) if generated else text(row["arguments"]),
                    "target": text(row["target"]),
                    "response": text(first(row["resps"]) if generated else row["resps"]),
                    "answer": text(first(row["filtered_resps"]) if generated else row["filtered_resps"]),
                    "content": json.dumps(row["doc"], ensure_ascii=False, sort_keys=True, default=str),
                }

    def scores(self) -> Iterator[dict[str, Any]]:
        """The rows of ``scores`` without their settings. A metric of a whole task, such as BLEU, has none."""
        for task in self.tasks():
            for row in sorted(self._rows(task), key=lambda r: (r["doc_id"], r.get("filter", "none"))):
                for metric in row["metrics"]:
                    value = row.get(metric)
                    if isinstance(value, (bool, int, float)):
                        yield {
                            "task": task,
                            "document": row["doc_id"],
                            "filter": row.get("filter", "none"),
                            "metric": metric,
                            "score": float(value),
                            "content_hash": row["doc_hash"],
                            "request_hash": row["prompt_hash"],
                        }


def request_of(row: dict[str, Any]) -> str:
    """The messages of a sample's request, as JSON."""
    arguments = next(iter(row["arguments"].values()), {})
    return text(first(arguments.get("arg_0", "")))


def first(value: Any) -> Any:
    """The first element of nested lists."""
    while isinstance(value, list):
        value = value[0] if value else ""
    return value


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
