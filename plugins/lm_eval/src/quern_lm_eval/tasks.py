"""What the harness knows of its tasks, without loading their data."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Any


class Unsupported(Exception):
    """A name that is not a task. The text has a summary and a detail."""


@functools.lru_cache(maxsize=4)
def _index(include_path: str | None, changed: tuple[tuple[str, int], ...]) -> Any:
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

    return TaskManager(include_path=include_path).task_index


def index(include_path: Path | None) -> Any:
    """The harness's tasks by name, read again when a file in the folder has changed."""
    changed: tuple[tuple[str, int], ...] = ()
    if include_path is not None:
        changed = tuple(sorted((str(f), f.stat().st_mtime_ns) for f in include_path.rglob("*") if f.is_file()))
    return _index(None if include_path is None else str(include_path), changed)


def types_of(name: str, include_path: Path | None) -> dict[str, str]:
    """The types of a task, or of all tasks of a group or tag, by name.

    Raises:
        Unsupported: There is no such task.
    """
    known = index(include_path)
    if name not in known:
        raise Unsupported(f"Unknown task {name!r}\nlm-evaluation-harness has no task, group, or tag of this name.{_similar(name, known)}")
    out: dict[str, str] = {}
    _collect(name, known, out, set())
    return out


def _similar(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _collect(name: str, known: Any, out: dict[str, str], seen: set[str]) -> None:
    entry = known.get(name)
    if entry is None or name in seen:
        return
    seen.add(name)
    members = [m if isinstance(m, str) else m.get("task", "") for m in _members(entry)]
    if members:
        for member in members:
            _collect(member, known, out, seen)
        return
    out[name] = (entry.cfg or {}).get("output_type", "generate_until")


def _members(entry: Any) -> list[Any]:
    if entry.kind.name == "TAG":
        return sorted(entry.tags)
    if entry.kind.name == "GROUP":
        task = (entry.cfg or {}).get("task", [])
        return task if isinstance(task, list) else [task]
    return []
