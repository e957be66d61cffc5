"""Digests of large files, computed once.

Weights take seconds per gigabyte to hash. A digest is remembered as long as the file's
size, time of modification, and inode are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

# The age of a change in seconds from which another one changes the time of modification, however coarse the file system's clock is.
_SETTLED = 2


def cache_folder() -> Path:
    """The folder for what the plugin can compute again. It exists."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "quern", "hf")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(path: Path) -> str:
    """Returns the digest of a file's content, ``sha256:…``."""
    memo = cache_folder() / "digests.json"
    stat = path.stat()
    key, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    known = _read(memo)
    if key in known and known[key][:-1] == state:
        return str(known[key][-1])
    computed = _digest(path)
    if time.time() - stat.st_mtime > _SETTLED:
        known = {file: entry for file, entry in _read(memo).items() if os.path.exists(file)}
        _replace(memo, json.dumps(known | {key: [*state, computed]}))
    return computed


def _digest(path: Path) -> str:
    out = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            out.update(part)
    return f"sha256:{out.hexdigest()}"


def _read(memo: Path) -> dict[str, list[object]]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(memo.read_text())
        if isinstance(content, dict):
            return content
    return {}


def _replace(path: Path, content: str) -> None:
    """Writes a file as a whole, since several plugins can do so at the same time. That it cannot be written is no failure."""
    with contextlib.suppress(OSError):
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
