"""The plugin hf: language models and trainers of transformers, TRL, and PEFT.

The types are in modules of their own, which ``__main__`` imports. A module that is
imported when the plugin starts imports neither torch nor transformers: they take
seconds, and plans need neither.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from quern import plugin


def _version() -> str:
    try:
        return version("quern-plugin-hf")
    except PackageNotFoundError:  # started from its folder, without an installation
        return "0.1.0-dev"


# Nothing that is trained here is reported to anyone.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

hf = plugin.Plugin("hf", version=_version())
