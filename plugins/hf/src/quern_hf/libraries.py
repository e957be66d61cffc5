"""Loading with transformers, from one thread at a time.

While transformers loads a model, it changes settings of the whole process, such as the
default type of tensors. Its modules, which are imported when they are first used, do not
stand several threads either.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_lock = threading.RLock()


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Keeps other threads from loading anything."""
    with _lock:
        import peft  # noqa: F401
        import transformers  # noqa: F401

        yield
