"""Tests of plugins with the real quern.

``check`` runs a pipeline with a plugin several times, also interrupted, and compares
what comes out. ``new`` makes an object of a type, to call its methods in the test itself.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from quern.plugin import Plugin

__all__ = ["Pipeline", "QuernError", "check", "new"]

T = TypeVar("T")

# When an apply is interrupted, as shares of the time that a whole one takes.
_MOMENTS = ((signal.SIGINT, 0.5), (signal.SIGKILL, 0.4), (signal.SIGKILL, 0.7))


def new(type: type[T], **arguments: Any) -> T:
    """Returns an object of a type, with its defaults and the given arguments. What is required and not given is None."""
    required = [f.name for f in dataclasses.fields(type) if f.default is f.default_factory]  # type: ignore[arg-type]
    made = type(**{**dict.fromkeys(required), **arguments})
    getattr(made, "open", lambda: None)()
    return made


class QuernError(Exception):
    """A command of quern failed. ``output`` is what it printed."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"quern {command} failed\n{output}")
        self.output = output


class Pipeline:
    """A pipeline in a folder, with a plugin.

    Args:
        plugin: The plugin, or the path of its program.
        files: The pipeline and its data: contents by relative path. quern's own
            block, which requires the plugin, is added if no file has one.
        folder: Where to put them: a new or empty folder.
        quern: The program; by default the one in the variable QUERN, this Python's scripts, or PATH.
    """

    def __init__(
        self, plugin: Plugin | str | Path, files: Mapping[str, str | bytes], folder: str | Path, *, quern: str | None = None
    ) -> None:
        self.folder = Path(folder)
        self._quern = _program(quern)
        name, program = _source(plugin)
        for path, content in _with_requirement(files, name).items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        start = self.folder / ".quern" / "plugins" / f"quern-plugin-{name}"
        start.parent.mkdir(parents=True)
        path = os.pathsep.join(p for p in sys.path if p)
        start.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.quote(sys.executable)} {shlex.quote(str(program))} "$@"\n')
        start.chmod(0o755)
        self.run("init")

    def run(self, *command: str) -> str:
        """Runs a command of quern and returns what it prints. A failure is a QuernError."""
        process = self._start(*command)
        out, err = process.communicate()
        if process.returncode != 0:
            raise QuernError(" ".join(command), (err or out).strip())
        return out

    def apply(self) -> None:
        """Runs the pipeline."""
        self.run("apply", "-auto-approve")

    def interrupt(self, signal_number: int, seconds: float) -> None:
        """Runs the pipeline and sends a signal to quern after a time, if it has not ended by then."""
        process = self._start("apply", "-auto-approve")
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal_number)
            process.communicate()

    def digests(self) -> dict[str, str]:
        """Returns the digest of each artifact, by ADDRESS or ADDRESS.PORT, and the values of each stage."""
        listed = json.loads(self.run("artifact", "list", "-json"))["artifacts"]
        made = {".".join(filter(None, (a["address"], a.get("port")))): a["artifact"]["digest"] for a in listed}
        for instance in json.loads(self.run("state", "list", "-json"))["instances"]:
            if instance.get("value") is not None:
                made[f"the values of {instance['address']}"] = json.dumps(instance["value"], sort_keys=True)
        return made

    def rows(self, address: str) -> list[dict[str, Any]]:
        """Returns the rows of a dataset, such as ``label.size``."""
        rows: list[dict[str, Any]] = self.table(address).to_pylist()
        return rows

    def table(self, address: str) -> pa.Table:
        """Returns a dataset."""
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rows.parquet")
            self.run("artifact", "export", address, "-o", path)
            return pq.read_table(path)

    def _start(self, *command: str) -> subprocess.Popen[str]:
        # quern remembers what programs offer; this plugin may change.
        env = {**os.environ, "XDG_CACHE_HOME": str(self.folder / ".quern" / "cache" / "user"), "NO_COLOR": "1"}
        return subprocess.Popen(
            [self._quern, *command], cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def check(plugin: Plugin | str | Path, files: Mapping[str, str | bytes], *, quern: str | None = None) -> Pipeline:
    """Runs a pipeline with a plugin and fails if the plugin does not do what quern relies on.

    It is run as a whole, and planned again: nothing may be left to do. It is run in
    another folder, by other processes, and must give the same results, to the byte. And it
    is interrupted by Ctrl-C and by SIGKILL, run again, and must give these results, too.

    Args:
        plugin: The plugin, or the path of its program.
        files: As in ``Pipeline``.
        quern: As in ``Pipeline``.

    Returns:
        The pipeline of the first run, for further assertions. Its folder is temporary
        and removed when the program ends.

    Raises:
        AssertionError: The results differ.
        QuernError: A run failed.
    """
    root = Path(_temporary())
    first = Pipeline(plugin, files, root / "first", quern=quern)
    began = time.monotonic()
    first.apply()
    seconds = time.monotonic() - began
    digests = first.digests()
    left = first.run("plan")
    assert "No changes" in left, f"a second plan has something to do: a fingerprint or prepare is not deterministic\n{left}"

    again = Pipeline(plugin, files, root / "again", quern=quern)
    again.apply()
    _compare(digests, again.digests(), "it was run again in another folder")

    for i, (number, share) in enumerate(_MOMENTS):
        interrupted = Pipeline(plugin, files, root / f"interrupted{i}", quern=quern)
        interrupted.interrupt(number, seconds * share)
        interrupted.apply()
        _compare(digests, interrupted.digests(), f"it was interrupted by {signal.Signals(number).name} and run again")
    return first


def _compare(want: Mapping[str, str], got: Mapping[str, str], after: str) -> None:
    differ = sorted(name for name in want.keys() | got.keys() if want.get(name) != got.get(name))
    assert not differ, (
        f"{', '.join(differ)} differ after {after}: results must depend on arguments and inputs alone,"
        " not on time, randomness, the order of a set, or earlier calls"
    )


def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="quern-check-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _program(quern: str | None) -> str:
    from quern._program import program

    return os.path.abspath(quern) if quern else program()


def _source(plugin: Plugin | str | Path) -> tuple[str, Path]:
    """Returns the name and the program of a plugin."""
    if isinstance(plugin, (str, Path)):
        path = Path(plugin).resolve()
        return path.stem.removeprefix("quern_plugin_"), path
    module = sys.modules[next(iter(plugin.types.values())).cls.__module__]
    if module.__file__ is None:
        raise ValueError(f"plugin {plugin.name!r} is not in a file")
    return plugin.name, Path(module.__file__).resolve()


def _with_requirement(files: Mapping[str, str | bytes], name: str) -> dict[str, str | bytes]:
    blocks = [c if isinstance(c, str) else c.decode() for path, c in files.items() if path.endswith(".hcl")]
    if any("required_plugins" in b for b in blocks):
        return dict(files)
    return {**files, "plugins.quern.hcl": f"quern {{\n  required_plugins {{\n    {name} = {{}}\n  }}\n}}\n"}
