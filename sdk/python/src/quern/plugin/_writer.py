"""Where a source writes its rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from . import _protocol as pb
from ._columns import Column
from ._errors import legible
from ._rows import RowBuffer
from ._stream import Stream

_PROGRESS_EVERY = 0.1


class RowWriter:
    """Receives the rows of a source. Use it from one thread."""

    def __init__(self, columns: Sequence[Column], stream: Stream[pb.ReadResponse], memo: bytes = b"", known: Sequence[str] = ()) -> None:
        self.columns = list(columns)
        """The declared columns."""
        self.memo = memo
        """The memo of the latest fingerprint."""
        self._buffer = RowBuffer(columns, lambda data: stream.send(pb.ReadResponse(rows=data)))
        self.schema = self._buffer.schema
        """The declared columns in Arrow."""
        self._stream = stream
        self._known = frozenset(known)
        self._aside = 0
        self._last = 0.0

    def write(self, rows: Any) -> None:
        """Writes rows.

        Args:
            rows: A record batch, a table, a data frame, or one row: a dataclass or a
                dict with the declared columns.
        """
        self._stream.check()
        self._buffer.write(rows)

    def part(self, fingerprint: str, read: Callable[[], None], *, name: str = "") -> None:
        """Writes one part of the source, such as a file.

        Args:
            fingerprint: Covers everything that the part's rows depend on, except
                the arguments and the columns.
            read: Writes the part's rows. It is not called if quern has the rows of
                a part with this fingerprint from an earlier read.
            name: What a person calls the part, such as the name of a file. quern names
                it as the origin of its rows.
        """
        if fingerprint in self._known:
            self._buffer.flush()
            self._stream.send(pb.ReadResponse(part=pb.Part(fingerprint=fingerprint, known=True, name=legible(name))))
            return
        written, aside = self._buffer.written, self._aside
        read()
        part = pb.Part(fingerprint=fingerprint, rows=self._buffer.written - written, quarantined=self._aside - aside, name=legible(name))
        self._stream.send(pb.ReadResponse(part=part))

    def quarantine(self, origin: str, content: str, error: object) -> None:
        """Sets aside a row that cannot be read.

        Args:
            origin: Where it is: file and line.
            content: Its text.
            error: What is wrong.
        """
        self._aside += 1
        aside = pb.Quarantined(origin=legible(origin), content=legible(content), error=legible(str(error)))
        self._stream.send(pb.ReadResponse(quarantined=aside))

    def progress(self, done: int, total: int = 0, unit: str = "", message: str = "") -> None:
        """Reports how much has been read; ``total`` is 0 if unknown."""
        now = time.monotonic()
        if now - self._last >= _PROGRESS_EVERY or 0 < total <= done:
            self._last = now
            self._stream.send(pb.ReadResponse(progress=pb.Progress(done=done, total=total, unit=unit, message=legible(message))))

    def finish(self) -> None:
        """Sends the rows that wait. The SDK calls it."""
        self._buffer.flush()
