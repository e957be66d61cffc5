"""What a source says about its content."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Identifies the content of a source.

    Attributes:
        value: Changes if, and only if, the content changes.
        summary: One line for users: ``2 files, 10,003 rows``.
        memo: Passed to the next call, so that unchanged parts need no hashing.
    """

    value: str
    summary: str = ""
    memo: bytes = b""


@dataclasses.dataclass(frozen=True)
class RowCount:
    """The number of rows in a source.

    Attributes:
        rows: The number.
        exact: The rows were counted, not estimated from the preview.
        size: The size of the source in a unit of its choice, such as bytes; 0: unknown.
    """

    rows: int
    exact: bool = False
    size: int = 0
