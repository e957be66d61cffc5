"""The conformance plugin, which ../README.md specifies, on the Python SDK."""

import os

import aligned  # noqa: F401
import both  # noqa: F401
import functions  # noqa: F401
import mappers  # noqa: F401
import outside  # noqa: F401
import runners  # noqa: F401
import sources  # noqa: F401
from base import p

if __name__ == "__main__":
    p.serve(workers=int(os.environ.get("CONFORM_WORKERS", "1")))
