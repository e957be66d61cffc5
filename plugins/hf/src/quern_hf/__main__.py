"""Starts the plugin, as `python -m quern_hf`."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file
    sys.path[0] = str(Path(__file__).parent.parent)

from quern_hf import hf

# The modules that offer types.
MODULES = ("classifier", "dpo", "embedding", "export", "model", "reward", "sft", "tokenizer")


def main() -> None:
    import importlib

    for module in MODULES:
        importlib.import_module(f"quern_hf.{module}")
    hf.serve()


if __name__ == "__main__":
    main()
