"""Digests of large files are computed once."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from quern_hf import digests


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.safetensors"
    write(path, b"one", 100)
    return path


def write(path: Path, content: bytes, age: float) -> None:
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_file_is_read_again_only_if_it_has_changed(file, monkeypatch):
    assert digests.digest(file) == sha256(b"one")
    with monkeypatch.context() as patched:
        patched.setattr(digests, "_digest", lambda _: pytest.fail("the file was read"))
        assert digests.digest(file) == sha256(b"one")
    write(file, b"two", 50)
    assert digests.digest(file) == sha256(b"two")


def test_a_change_within_the_resolution_of_the_clock_is_seen(file):
    now = time.time()
    write(file, b"one", 0)
    os.utime(file, (now, now))
    assert digests.digest(file) == sha256(b"one")
    file.write_bytes(b"two")
    os.utime(file, (now, now))
    assert digests.digest(file) == sha256(b"two")


def test_a_damaged_memory_is_no_failure(file):
    digests.digest(file)
    (digests.cache_folder() / "digests.json").write_text("{")
    assert digests.digest(file) == sha256(b"one")
