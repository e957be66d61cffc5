"""Rows that a source or a runner writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ._arrow import Piece, conform, cut, schema_of
from ._columns import Column
from ._errors import Error, Fault

# Rows wait to be sent together until there are this many, or this many bytes.
_ROWS = 4096
_BYTES = 4 << 20


class RowBuffer:
    """Combines rows to batches of a good size and encodes them."""

    def __init__(self, columns: Sequence[Column], send: Callable[[bytes], None]) -> None:
        self.schema: pa.Schema = schema_of(columns)
        self.written = 0
        self._send = send
        self._single: list[Any] = []
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, rows: Any) -> None:
        """Adds a batch, a table, a data frame, or one row."""
        if isinstance(rows, Mapping) or dataclasses.is_dataclass(rows):
            self._single.append(rows)
            self.written += 1
            if len(self._single) >= _ROWS:
                self._gather()
            return
        self._gather()
        batch = conform(rows, self.schema)
        self.written += batch.num_rows
        self._add(batch)

    def flush(self) -> None:
        """Sends the rows that wait."""
        self._gather()
        if not self._rows:
            return
        table = pa.Table.from_batches(self._batches, self.schema)
        self._batches, self._rows, self._bytes = [], 0, 0
        for batch in table.combine_chunks().to_batches():
            for piece in pieces(batch):
                self._send(piece.rows)

    def _gather(self) -> None:
        """Makes a batch of the single rows."""
        if self._single:
            rows, self._single = self._single, []
            self._add(_batch(rows, self.schema))

    def _add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _ROWS or self._bytes >= _BYTES:
            self.flush()


def pieces(batch: pa.RecordBatch) -> Iterator[Piece]:
    """Splits a batch into pieces that fit into one message each."""
    for piece in cut(batch):
        if piece.excess:
            raise Error(f"a row is too large: it takes {piece.excess}")
        yield piece


def _batch(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        try:
            values = [plain(r[field.name] if isinstance(r, Mapping) else getattr(r, field.name)) for r in rows]
            columns.append(pa.array(values, field.type))
        except (KeyError, AttributeError):
            raise Fault(f'a row lacks the column "{field.name}"') from None
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as e:
            raise Fault(f'a row has a value for "{field.name}" that is not a valid {field.type}: {e}') from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def plain(value: Any) -> Any:
    """Returns dataclasses as dicts, as Arrow reads them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value
