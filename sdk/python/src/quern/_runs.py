"""Plans and runs of pipelines."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._program import Failed, diagnostics_of, document, environment, program, reason
from ._records import Diagnostic, Run, Spend, Stage

Folder = str | os.PathLike[str]

# The exit code of an apply that did what it could, and has stages that wait for something outside.
_PENDING = 3

# An event of a run, as docs/events.md describes it: type, address, stage, progress, and so on.
Event = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    """What a plan does with a stage.

    Attributes:
        address: Such as ``label.intent``.
        kind: Such as ``label``.
        type: Such as ``rules``; empty for a gate.
        action: Such as ``keep``, ``run``, ``reuse``, or ``may run``.
        reasons: Why, in words.
        estimate: What it takes, as docs/plan.md describes it: rows, new_rows, calls, money, and so on. What is missing is unknown.
    """

    address: str
    kind: str
    type: str
    action: str
    reasons: tuple[str, ...]
    estimate: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The result of ``plan``.

    Attributes:
        summary: The plan in one line.
        changes: Whether there is something to do.
        actions: The number of stages with each action.
        stages: The stages by address, each after those that it needs.
        document: The whole plan, as docs/plan.md describes it.
    """

    summary: str
    changes: bool
    actions: Mapping[str, int]
    stages: Mapping[str, PlannedStage]
    document: Mapping[str, Any] = dataclasses.field(repr=False)


def print_event(event: Event) -> None:
    """Prints a line for each stage that ends."""
    kind, address = event["type"], event.get("address", "")
    if kind == "stage_done":
        stage = event["stage"]
        rows = f", {stage['rows']:,} rows" if stage.get("rows") else ""
        print(f"{address}: {stage['action']} done{rows} in {stage['seconds']:.1f} s", flush=True)
    elif kind in ("stage_pending", "stage_failed", "stage_interrupted", "stage_skipped"):
        print(f"{address}: {kind.removeprefix('stage_')}", flush=True)


def plan(
    dir: Folder = ".",
    *,
    env: str | None = None,
    variables: Mapping[str, Any] | None = None,
    target: Sequence[str] = (),
    exclude: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> Plan:
    """Returns what ``apply`` would do, and why. The arguments are those of ``apply``.

    Raises:
        Failed: The configuration has errors.
    """
    made = document(dir, "plan", "-json", *_arguments(env, variables, target, exclude, replace))
    stages = {n["address"]: _planned(n) for n in made["nodes"] or []}
    summary = made["summary"]
    return Plan(summary["text"], summary["changes"], summary["actions"], stages, made)


def apply(
    dir: Folder = ".",
    *,
    env: str | None = None,
    variables: Mapping[str, Any] | None = None,
    target: Sequence[str] = (),
    exclude: Sequence[str] = (),
    replace: Sequence[str] = (),
    on_event: Callable[[Event], object] | None = print_event,
) -> Run:
    """Runs a pipeline, without asking for approval.

    Ctrl-C, or the notebook's stop button, stops it gracefully: finished work is kept. A second one stops it at once.

    Args:
        dir: The pipeline's folder.
        env: The environment; by default the variable QUERN_ENV or ``default``.
        variables: The values of variables, by name. A string is taken as it is.
        target: Only these addresses and what they depend on.
        exclude: Everything except these addresses and what depends on them.
        replace: Run these addresses even if nothing changed.
        on_event: Called with each event of the run; by default, it prints a line for each stage.

    Raises:
        Failed: A stage failed, or the run could not begin. Its ``run`` says what was done.
        KeyboardInterrupt: The run was stopped by Ctrl-C.
    """
    command = ["apply", "-json", "-auto-approve", *_arguments(env, variables, target, exclude, replace)]
    events, code, errors = _events(dir, command, on_event)
    run = _run(events)
    if code not in (0, _PENDING):
        raise Failed(reason("apply", code, errors), [d for e in events for d in diagnostics_of(e.get("diagnostics", ()))], run)
    sys.stderr.write(errors)
    assert run is not None
    return run


def _arguments(
    env: str | None, variables: Mapping[str, Any] | None, target: Sequence[str], exclude: Sequence[str], replace: Sequence[str]
) -> list[str]:
    made = [] if env is None else [f"-env={env}"]
    made += [f"-var={name}={_variable(value)}" for name, value in (variables or {}).items()]
    for flag, addresses in (("target", target), ("exclude", exclude), ("replace", replace)):
        if isinstance(addresses, str):
            raise TypeError(f"{flag} must be a list of addresses")
        made += [f"-{flag}={address}" for address in addresses]
    return made


def _variable(value: Any) -> str:
    if isinstance(value, str):
        return value
    # JSON is HCL, except that strings are templates.
    return json.dumps(value, allow_nan=False).replace("${", "$${").replace("%{", "%%{")


def _planned(node: Mapping[str, Any]) -> PlannedStage:
    reasons = tuple(r["text"] for r in node.get("reasons") or ())
    return PlannedStage(node["address"], node["kind"], node.get("type", ""), node["action"], reasons, node.get("estimate") or {})


def _events(dir: Folder, command: Sequence[str], on_event: Callable[[Event], object] | None) -> tuple[list[Event], int, str]:
    """Runs a command that prints events. Returns them, the exit code, and what it wrote to stderr."""
    with tempfile.TemporaryFile() as errors:
        # In a session of its own, quern gets no Ctrl-C from the terminal but only the one that is passed on.
        process = subprocess.Popen(
            [program(), *command],
            cwd=dir,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        events: list[Event] = []
        arrived: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, events, arrived), daemon=True)
        reader.start()
        stopped = _follow(process, arrived, on_event)
        code = process.wait()
        reader.join()
        if stopped is not None:
            raise stopped
        errors.seek(0)
        return events, code, errors.read().decode(errors="replace")


def _read(process: subprocess.Popen[bytes], events: list[Event], arrived: queue.SimpleQueue[Event | None]) -> None:
    """Reads events in a thread of its own, because a signal can make a read lose bytes."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # quern was killed in the middle of a line
                continue
            events.append(event)
            arrived.put(event)
    arrived.put(None)


def _follow(
    process: subprocess.Popen[bytes], arrived: queue.SimpleQueue[Event | None], on_event: Callable[[Event], object] | None
) -> BaseException | None:
    """Passes events on until there are no more. Ctrl-C and errors of ``on_event`` stop quern, and are returned."""
    stopped: BaseException | None = None
    while True:
        try:
            event = arrived.get()
            if event is None:
                return stopped
            if on_event is not None and not isinstance(stopped, Exception):
                on_event(event)
        except KeyboardInterrupt as e:
            stopped = stopped or e
            process.send_signal(signal.SIGINT)
        except Exception as e:
            if stopped is None:
                process.send_signal(signal.SIGINT)
            stopped = e


def _run(events: Sequence[Event]) -> Run | None:
    """Returns what events say about a run; None if none began."""
    stages: dict[str, Stage] = {}
    outputs: dict[str, Any] = {}
    warnings: list[Diagnostic] = []
    started: Mapping[str, Any] = {}
    summary: Mapping[str, Any] = {"status": "failed"}  # if quern was killed
    for e in events:
        found = diagnostics_of(e.get("diagnostics", ()))
        warnings += [d for d in found if d.severity == "warning"]
        kind: str = e["type"]
        if kind == "run_started":
            started = e["run"]
        elif kind in ("stage_done", "stage_pending", "stage_failed", "stage_interrupted", "stage_skipped"):
            stages[e["address"]] = _stage(e, kind.removeprefix("stage_"), found)
        elif kind == "output" and "value" in e["output"]:
            outputs[e["output"]["name"]] = e["output"]["value"]
        elif kind == "run_done":
            summary = e["summary"]
    if not started:
        return None
    return Run(
        started["id"],
        started["environment"],
        summary["status"],
        summary.get("seconds", 0.0),
        stages,
        _spend(summary),
        outputs,
        tuple(warnings),
    )


def _stage(event: Event, status: str, found: Sequence[Diagnostic]) -> Stage:
    of: Mapping[str, Any] = event.get("stage", {})
    counts = {
        name: of[name]
        for name in ("kind", "type", "action", "seconds", "rows", "reused_rows", "failed_rows", "pending_rows", "outputs")
        if name in of
    }
    new_rows = of.get("new_rows", of.get("computed_rows", 0))
    because = tuple(event.get("because") or ())
    return Stage(event["address"], status, new_rows=new_rows, spend=_spend(of), diagnostics=tuple(found), because=because, **counts)


def _spend(of: Mapping[str, Any]) -> Spend:
    return Spend(**{f.name: of[f.name] for f in dataclasses.fields(Spend) if f.name in of})
