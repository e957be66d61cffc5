"""quern for Python: run pipelines and load their results.

``plan`` and ``apply`` run a pipeline, ``load`` and ``scan`` read its datasets, and
``value`` its metrics. ``quern.plugin`` is the SDK for plugins, and ``quern.testing`` tests them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._artifacts import files, load, scan, value
    from ._program import Failed
    from ._records import Diagnostic, Run, Spend, Stage
    from ._runs import Event, Plan, PlannedStage, apply, plan, print_event

__all__ = [
    "Diagnostic", "Event", "Failed", "Plan", "PlannedStage", "Run", "Spend", "Stage",
    "apply", "files", "load", "plan", "print_event", "scan", "value",
]  # fmt: skip

# The modules of names, which are loaded when they are first used: a plugin needs none of them.
_LATER = {
    **dict.fromkeys(("files", "load", "scan", "value"), "_artifacts"),
    "Failed": "_program",
    **dict.fromkeys(("Diagnostic", "Run", "Spend", "Stage"), "_records"),
    **dict.fromkeys(("Event", "Plan", "PlannedStage", "apply", "plan", "print_event"), "_runs"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        from importlib import metadata

        return metadata.version("quern-dev")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__, "__version__"]
