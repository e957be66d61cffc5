"""The process of a plugin: how it starts, and how it ends."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable

from ._offer import Offer
from ._server import Server, load
from ._server import serve as listen
from ._workers import WORKER, Pool

COOKIE = "f2a1d5a4-5f0b-4c6e-9d1e-6f7c1f0a8b55"

# How long after the start to load what rows need, in seconds: after the first calls, before the first rows.
_IDLE = 0.3

# How long calls that are under way may take after quern has asked the process to end, in seconds.
_GRACE = 1


def serve(plugin: Offer, workers: int) -> None:
    """Serves a plugin until quern no longer needs it."""
    if "--debug" in sys.argv[1:] or "-debug" in sys.argv[1:]:
        _debug(plugin)
        return
    if os.environ.get("QUERN_PLUGIN") != COOKIE:
        sys.exit(
            "This program is a plugin for quern. Name it in required_plugins and run quern init,"
            " or start it with --debug to attach a debugger."
        )
    _end_with_quern()
    _log_to_quern()

    def started(socket: str) -> None:
        print(f"1|1|unix|{socket}|grpc|", flush=True)
        _redirect_output()

    _run(plugin, os.environ.get("PLUGIN_UNIX_SOCKET_DIR"), started, 1 if WORKER in os.environ else workers)


def _run(plugin: Offer, folder: str | None, started: Callable[[str], None], workers: int = 1) -> None:
    directory = tempfile.mkdtemp(prefix="quern-", dir=folder)
    shutdown = threading.Event()
    try:
        socket = os.path.join(directory, "plugin.sock")
        server = listen(Server(plugin, _pool(workers, directory)), socket, shutdown)
        started(socket)
        if not shutdown.wait(_IDLE):
            load()
        shutdown.wait()
        server.stop(_GRACE).wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    # Threads of the author, or of calls that did not end in time, do not hold the process back.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _pool(workers: int, directory: str) -> Pool | None:
    if workers <= 1:
        return None
    return Pool(workers, directory)


def _redirect_output() -> None:
    """Sends what is printed to the log of the run, also by what the plugin starts: quern reads no stdout after the handshake.

    quern's end of stdout stays open.
    """
    os.dup(1)
    os.dup2(2, 1)


def _debug(plugin: Offer) -> None:
    """Serves until it is interrupted, for quern commands that are told where."""

    def started(socket: str) -> None:
        where = {"Protocol": "grpc", "ProtocolVersion": 1, "Pid": os.getpid(), "Addr": {"Network": "unix", "String": socket}}
        print(
            f"Plugin {plugin.name} is running. Set this variable where you run quern, and press Ctrl-C here to stop the plugin:\n\n"
            f"    QUERN_REATTACH_PLUGINS='{json.dumps({plugin.name: where})}'\n\n"
            f'If required_plugins lists the plugin under another source or local name, replace "{plugin.name}" with it.',
            flush=True,
        )

    with contextlib.suppress(KeyboardInterrupt):
        _run(plugin, None, started)


def _end_with_quern() -> None:
    """Ends the process, and everything that it started, when quern ends for any reason."""
    signal.signal(signal.SIGTERM, lambda *_: _end_group())
    if sys.platform == "linux" and WORKER not in os.environ:
        _ask_for_sigterm()

    def watch() -> None:
        # quern holds the other end and never writes to it.
        while os.read(0, 4096):
            pass
        _end_group()

    threading.Thread(target=watch, daemon=True).start()


def _ask_for_sigterm() -> None:
    """Asks the kernel for a signal that can be handled in place of SIGKILL when quern dies."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


def _end_group() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class _Lines(logging.Handler):
    """Writes records as quern reads them: with their level, and with several lines in one."""

    _LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (0, "debug"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next(name for number, name in self._LEVELS if record.levelno >= number)
            line = json.dumps({"@level": level, "@message": self.format(record), "@module": record.name})
            print(line, file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _log_to_quern() -> None:
    """Sends output to the log of the run line by line, and that of logging with its levels."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Lines())
        root.setLevel(logging.INFO)
