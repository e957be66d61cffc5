"""quern for Python: ``quern.plugin`` is the SDK for plugins."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("quern")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
