"""Digests of content."""

from __future__ import annotations

import hashlib
import os

# A part fits into the processor's cache, which makes hashing faster than mapping the file into memory.
_PART = 256 << 10


def file_digest(path: str | os.PathLike[str]) -> str:
    """Returns the digest of a file's content, ``sha256:…``."""
    digest, part = hashlib.sha256(), bytearray(_PART)
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(part):
            digest.update(memoryview(part)[:n])
    return f"sha256:{digest.hexdigest()}"
