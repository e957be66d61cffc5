"""Worker processes, so that one interpreter is not the limit for functions in pure Python.

A worker is the same program on a socket of its own. The plugin's process passes the
batches of a call on to the workers and sends their answers in order.
"""

from __future__ import annotations

import collections
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc

from . import _protocol as pb
from ._errors import Error
from ._limits import LIMITS

# Set for a worker process.
WORKER = "QUERN_PLUGIN_WORKER"

_SERVICE = "/quern.plugin.v1.PluginService/"


def _bytes(data: bytes) -> bytes:
    return data


class Pool:
    """The workers of a plugin. They are started when they are first needed, and end with it."""

    def __init__(self, size: int, folder: str) -> None:
        self.size = size
        self._folder = folder
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._settings = pb.ConfigureRequest()

    def configure(self, request: pb.ConfigureRequest) -> None:
        """Passes the settings to the workers, also to those that are started later."""
        with self._lock:
            self._settings = request
            for worker in self._workers:
                worker.call("Configure", request)

    def get(self) -> list[_Worker]:
        """Returns the workers, ready for calls."""
        with self._lock:
            if not self._workers:
                started = [_Worker(self._folder) for _ in range(self.size)]
                for worker in started:
                    worker.connect()
                    worker.call("Configure", self._settings)
                self._workers = started
            return self._workers

    def pass_on(self, method: str, first: Any, requests: Iterator[bytes], response: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Makes a call of batches with all workers. It ends with ``context``.

        Args:
            method: Map or Predict.
            first: The first request of the call.
            requests: The other requests, encoded.
            response: The class of the responses.
        """
        call = _Call(method, first, self.get(), response)
        if not context.add_callback(call.end):
            call.end()
        return call.answers(requests)


class _Worker:
    """One process."""

    def __init__(self, folder: str) -> None:
        env = {**os.environ, WORKER: "1", "PLUGIN_UNIX_SOCKET_DIR": folder}
        self.process = subprocess.Popen(sys.orig_argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        # How many batches it works on.
        self.open = 0

    def connect(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("1|1|unix|"):
            raise Error(f"a worker process did not start: {line.strip() or 'it ended'}")
        self.channel = grpc.insecure_channel("unix:" + line.split("|")[3], options=LIMITS)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Ends the plugin with its worker: quern then sees a crash, and what caused it."""
        code = self.process.wait()
        print(f"a worker process ended (exit code {code})", file=sys.stderr, flush=True)
        os._exit(code or 1)

    def call(self, method: str, request: Any) -> None:
        self.channel.unary_unary(_SERVICE + method, type(request).SerializeToString, _bytes)(request)

    def stream(self, method: str, requests: Iterator[bytes]) -> Any:
        return self.channel.stream_stream(_SERVICE + method, _bytes, _bytes)(requests)


class _Part:
    """A worker's part of a call."""

    def __init__(self, worker: _Worker) -> None:
        self.worker = worker
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.answers: collections.deque[Any] = collections.deque()
        self.stream: Any = None
        self.open = 0
        self.finished = self.failed = 0


class _Call:
    """A call of batches. Each batch goes to the worker that has the fewest, and the answers come back in order."""

    def __init__(self, method: str, first: Any, workers: list[_Worker], response: Any) -> None:
        self._method, self._response = method, response
        self._parts = [_Part(w) for w in workers]
        self._first = first.__class__.FromString(first.SerializeToString())
        if self._method == "Map" and self._first.open_chats > 0:
            self._first.open_chats = max(1, self._first.open_chats // len(workers))
        # The parts whose batches are not answered yet, in the order of the batches.
        self._order: collections.deque[_Part] = collections.deque()
        # What arrives: a part with its answer, or None and why the call ends.
        self._arrived: queue.SimpleQueue[tuple[_Part | None, Any]] = queue.SimpleQueue()

    def end(self) -> None:
        """Ends the call: nobody waits for its answers any more."""
        self._arrived.put((None, Ended()))

    def answers(self, requests: Iterator[bytes]) -> Iterator[Any]:
        threading.Thread(target=self._send, args=(requests,), daemon=True).start()
        sent = False
        try:
            while not sent or self._order:
                part, answer = self._arrived.get()
                if part is None:
                    if answer is not None:
                        raise answer
                    sent = True
                    continue
                yield from self._take(part, answer)
        finally:
            for part in self._parts:
                part.worker.open -= part.open
                if part.stream is not None:
                    part.stream.cancel()

    def _send(self, requests: Iterator[bytes]) -> None:
        try:
            for request in requests:
                part = min(self._parts, key=lambda p: p.worker.open)
                if part.stream is None:
                    part.requests.put(self._first.SerializeToString())
                    part.stream = part.worker.stream(self._method, iter(part.requests.get, None))
                    threading.Thread(target=self._receive, args=(part,), daemon=True).start()
                part.open += 1
                part.worker.open += 1
                self._order.append(part)
                part.requests.put(request)
            if all(part.stream is None for part in self._parts):
                self._start_alone(self._parts[0])
            self._arrived.put((None, None))
        except Exception as e:  # the call was canceled
            self._arrived.put((None, e))
        finally:
            for part in self._parts:
                part.requests.put(None)

    def _start_alone(self, part: _Part) -> None:
        """Makes a call without batches, which fails if what starts it does."""
        part.stream = part.worker.stream(self._method, iter([self._first.SerializeToString()]))
        for answer in part.stream:
            self._arrived.put((part, self._response.FromString(answer)))

    def _receive(self, part: _Part) -> None:
        try:
            for answer in part.stream:
                self._arrived.put((part, self._response.FromString(answer)))
        except Exception as e:
            self._arrived.put((None, e))

    def _take(self, part: _Part, answer: Any) -> Iterator[Any]:
        """Yields what can be sent now that a part has answered."""
        if self._method == "Map":
            if answer.finished:
                yield self._progress(part, answer)
                return
            if answer.diagnostics:
                yield answer
                raise Ended
        part.answers.append(answer)
        while self._order and self._order[0].answers:
            part = self._order[0]
            answer = part.answers.popleft()
            yield answer
            if not answer.more:
                self._order.popleft()
                part.open -= 1
                part.worker.open -= 1

    def _progress(self, part: _Part, answer: Any) -> Any:
        """Adds up what the workers have finished."""
        part.finished, part.failed = answer.finished, answer.failed
        answer.finished = sum(p.finished for p in self._parts)
        answer.failed = sum(p.failed for p in self._parts)
        return answer


class Ended(Exception):
    """A worker has reported why the stage failed, or the call was canceled."""
