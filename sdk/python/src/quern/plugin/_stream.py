"""The responses of a call that an author's code writes while it works."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ._errors import Stopped

T = TypeVar("T")

# How many messages may wait to be sent.
_WAITING = 4


class Stream(Generic[T]):
    """A stream of responses. The work runs in a thread of its own and writes to it.

    ``stop`` is set when quern wants the work to end, and ``canceled`` when nobody
    reads the responses any more.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(_WAITING)
        self._end = object()
        self.stop = threading.Event()
        self.canceled = threading.Event()

    def send(self, message: T) -> None:
        """Sends a message. Raises Stopped if the call was canceled."""
        if not self._put(message):
            raise Stopped

    def _put(self, message: Any) -> bool:
        """Waits until the message can be sent, or the call is canceled."""
        while not self.canceled.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(message, timeout=0.1)
                return True
        return False

    def check(self) -> None:
        """Raises Stopped if the work is to end."""
        if self.stop.is_set() or self.canceled.is_set():
            raise Stopped

    def cancel(self) -> None:
        self.stop.set()
        self.canceled.set()

    def responses(self, work: Callable[[], None]) -> Iterator[T]:
        """Runs the work and yields what it sends. What it raises is raised here, after all messages."""
        failure: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as e:
                failure.append(e)
            finally:
                self._put(self._end)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            while True:
                try:
                    message = self._queue.get(timeout=0.5)
                except queue.Empty:
                    if self.canceled.is_set():
                        raise Stopped from None
                    continue
                if message is self._end:
                    break
                yield message
        finally:
            if not failure and thread.is_alive():
                self.canceled.set()
                self.stop.set()
            thread.join()
        if failure:
            raise failure[0]


class Calls:
    """The Run calls that can be asked to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Stream[Any]] = {}
        self._early: set[str] = set()

    def begin(self, call: str, stream: Stream[Any]) -> None:
        with self._lock:
            self._running[call] = stream
            if call in self._early:
                self._early.discard(call)
                stream.stop.set()

    def end(self, call: str) -> None:
        with self._lock:
            self._running.pop(call, None)

    def stop(self, call: str) -> None:
        """Asks a call to end. One that has not begun ends at once when it does."""
        with self._lock:
            if call in self._running:
                self._running[call].stop.set()
            else:
                self._early.add(call)
