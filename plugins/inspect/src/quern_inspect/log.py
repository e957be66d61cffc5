"""The logs that Inspect writes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """The log of one task."""

    whole: dict[str, Any]

    @staticmethod
    def read(file: Path) -> Log:
        return Log(json.loads(file.read_text(encoding="utf-8")))

    @property
    def task(self) -> str:
        return str(self.whole["eval"]["task"])

    @property
    def error(self) -> str:
        """Why the task failed, or "" if it did not."""
        if self.whole["status"] == "success":
            return ""
        return str((self.whole.get("error") or {}).get("message") or f"its status is {self.whole['status']}")

    def reproducible(self) -> dict[str, Any]:
        """The results without what differs from run to run."""
        return {"task": self.task, "settings": self.settings(), "results": self.whole["results"]}

    def settings(self) -> dict[str, Any]:
        """What must be equal for two results of the task to be comparable."""
        eval = self.whole["eval"]
        config = {k: v for k, v in eval.get("model_generate_config", {}).items() if k not in ("max_connections", "max_retries", "timeout")}
        return {
            "inspect_ai": eval["packages"].get("inspect_ai"),
            "version": eval.get("task_version"),
            "arguments": eval.get("task_args"),
            "epochs": eval["config"].get("epochs"),
            "reducer": eval["config"].get("epochs_reducer"),
            "generation": config,
            "scorers": eval.get("scorers"),
            "solvers": [(s["solver"], s.get("params")) for s in self.whole["plan"]["steps"]],
        }

    def metrics(self) -> Iterator[tuple[str, str, float | None, int]]:
        """The scorer, the metric, the value, and the number of samples of each figure."""
        results = self.whole.get("results") or {}
        for score in results.get("scores", []):
            n = score.get("scored_samples")
            for name, metric in score["metrics"].items():
                value = metric["value"]
                finite = isinstance(value, (int, float)) and math.isfinite(value)
                yield score["name"], name, float(value) if finite else None, int(results["completed_samples"] if n is None else n)

    def scores(self) -> Iterator[dict[str, Any]]:
        """The rows of ``scores``: what Inspect reduced the scores of a sample's epochs to. A score that is not a number has none."""
        settings = digest(self.settings())
        inputs = {str(s["id"]): digest([s["input"], s["target"]]) for s in self.whole.get("samples", [])}
        for reduction in self.whole.get("reductions") or []:
            for sample in reduction["samples"]:
                value = sample["value"]
                if isinstance(value, (bool, int, float)) and math.isfinite(value):
                    id = str(sample["sample_id"])
                    yield {
                        "task": self.task,
                        "sample": id,
                        "scorer": reduction["scorer"],
                        "score": float(value),
                        "input_hash": inputs[id],
                        "settings": settings,
                    }

    def samples(self) -> Iterator[dict[str, Any]]:
        """The rows of ``samples``."""
        for s in sorted(self.whole.get("samples", []), key=lambda s: (str(s["id"]), s["epoch"])):
            yield {
                "task": self.task,
                "sample": str(s["id"]),
                "epoch": s["epoch"],
                "input": text(s["input"]),
                "target": text(s["target"]),
                "messages": text([{"role": m["role"], "content": m["content"]} for m in s["messages"]]),
                "answer": (s.get("output") or {}).get("completion") or "",
                "scores": text({name: score["value"] for name, score in (s.get("scores") or {}).items()}),
                "error": (s.get("error") or {}).get("message"),
            }


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
