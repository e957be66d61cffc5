"""Row-wise stages: batches come in, and their answers go out in the same order."""

from __future__ import annotations

import collections
import dataclasses
import operator
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from . import _protocol as pb
from ._arrow import Piece, conform, cut, received, renamed, schema_of
from ._columns import Column
from ._errors import CallError, Fault, Pending, RowError, legible
from ._handles import Prompt, Row, Scope
from ._llm import ChatRequest
from ._prepare import block_name
from ._rows import plain
from ._stages import FlatMapper
from ._type import Parameter, Type

# The minimum time between two progress messages of a call, in seconds.
_PROGRESS_EVERY = 0.1

# The limit of a pending row's token, in bytes.
_MAX_TOKEN = 4096


def serve_map(type: Type, start: pb.MapRequest, requests: Iterator[pb.MapRequest], scope: Scope) -> Iterator[pb.MapResponse]:
    """Answers the batches of a call. Failures of the stage are raised."""
    stage, prepared = type.ready(start.start, scope)
    try:
        work = _Work(type, stage, prepared, start.start)
        batches = (_Batch(renamed(received(r.rows), "input"), {t.row: t.token for t in r.tokens}) for r in requests)
        if type.options.concurrency > 1:
            yield from _concurrent(work, batches, type.options.concurrency)
        else:
            for batch in batches:
                yield from work.answer(batch)
    finally:
        stage.close()


@dataclasses.dataclass
class _Batch:
    """Rows to work on, and the tokens of those that were pending, by row."""

    rows: pa.RecordBatch
    tokens: Mapping[int, bytes]


def filled(prepared: pb.Prepared) -> list[Column]:
    """Returns the columns that the plugin fills."""
    return [Column(c.name, c.type) for out in prepared.outputs for c in out.columns if c.origin == pb.COLUMN_ORIGIN_UNSPECIFIED]


@dataclasses.dataclass
class _Result:
    """The rows that a batch gave, those that failed and, for a flat mapper, how many came from each row."""

    rows: pa.RecordBatch
    errors: Sequence[RowError]
    counts: list[int] | None = None


class _Work:
    """A stage that works on batches."""

    def __init__(self, type: Type, stage: Any, prepared: pb.Prepared, instance: pb.Instance) -> None:
        self.type, self.stage = type, stage
        self.flat = type.base is FlatMapper
        self.schema = schema_of(filled(prepared))
        self.rows = _Rows(type, stage, self.schema, self.flat, block_name(instance.address)) if type.function else None
        self.finished: Callable[[RowError | None], None] | None = None
        self.threads: ThreadPoolExecutor | None = None

    def answer(self, batch: _Batch) -> list[pb.MapResponse]:
        """Returns the messages that answer a batch."""
        result = self.rows.work(batch, self) if self.rows else self._batch(batch)
        return _messages(result, batch.rows.num_rows)

    def _batch(self, batch: _Batch) -> _Result:
        given = self.stage.map_batch(batch.rows, batch.tokens) if self.type.tokens else self.stage.map_batch(batch.rows)
        if self.flat:
            if not isinstance(given, tuple) or len(given) not in (2, 3):
                raise Fault("map_batch of a FlatMapper must return the rows and their counts")
            rows, counts, *errors = given
            counts = counts.to_pylist() if hasattr(counts, "to_pylist") else [int(c) for c in counts]
            return _check(_Result(conform(rows, self.schema), errors[0] if errors else (), counts), batch.rows.num_rows)
        rows, errors = given if isinstance(given, tuple) else (given, ())
        return _check(_Result(conform(rows, self.schema), errors), batch.rows.num_rows)


def _check(result: _Result, rows: int) -> _Result:
    if result.counts is None:
        if result.rows.num_rows != rows:
            raise Fault(f"map_batch returned {result.rows.num_rows} rows for a batch of {rows} rows")
    elif len(result.counts) != rows or sum(result.counts) != result.rows.num_rows or any(c < 0 for c in result.counts):
        raise Fault(
            f"map_batch returned counts that do not add up: {len(result.counts)} counts for {rows} rows, with a sum of {sum(result.counts)} for {result.rows.num_rows} rows"
        )
    for e in result.errors:
        if not 0 <= e.row < rows:
            raise Fault(f"row {e.row} was marked as failed, but the batch has {rows} rows")
    return result


class _Rows:
    """A function that works on one row."""

    def __init__(self, type: Type, stage: Any, schema: pa.Schema, flat: bool, block: str) -> None:
        assert type.function is not None
        self.function = stage.map_row
        self.flat, self.schema, self.type = flat, schema, type
        self.columns = [_Values(p, getattr(stage, p.field.name)) for p in type.function.parameters]
        made = [c.name for c in type.made(block)]
        if schema.names != made:
            raise Fault(f"prepare declared the columns {', '.join(schema.names)}, but map_row returns {', '.join(made)}")
        result = type.function.result
        fields = [f.name for f in dataclasses.fields(result)] if dataclasses.is_dataclass(result) else None
        self.getters: list[Any] = [operator.attrgetter(f) for f in fields] if fields else [None]
        self.result = result if fields else None

    def work(self, batch: _Batch, work: _Work) -> _Result:
        errors: list[RowError] = []
        rows = self._rows(batch, errors)
        if work.threads is not None:
            results = list(work.threads.map(lambda row: self._one(row, work.finished), rows))
        else:
            results = self._all(rows)
        for i, r in enumerate(results):
            if isinstance(r, RowError):
                r.row = i
                errors.append(r)
                results[i] = None
        counts = None
        if self.flat:
            counts = [0 if r is None else len(r) for r in results]
            results = [made for r in results if r is not None for made in r]
        return _Result(self._record(results, errors, counts), errors, counts)

    def _rows(self, batch: _Batch, errors: list[RowError]) -> Iterable[Any]:
        columns = [c.read(batch.rows, errors) for c in self.columns]
        if self.type.tokens:
            columns.append([batch.tokens.get(i, b"") for i in range(batch.rows.num_rows)])
        return zip(*columns)

    def _all(self, rows: Iterable[Any]) -> list[Any]:
        function, flat = self.function, self.flat
        required = [i for i, c in enumerate(self.columns) if not c.parameter.nullable]
        results: list[Any] = []
        add = results.append
        for values in rows:
            try:
                if any([values[i] is None for i in required]):
                    add(None)
                elif flat:
                    add(list(function(*values)))
                else:
                    add(function(*values))
            except RowError as e:
                add(e)
            except CallError as e:
                add(e.of_row())
        return results

    def _one(self, values: Any, finished: Callable[[RowError | None], None] | None) -> Any:
        [result] = self._all([values])
        if finished is not None:
            finished(result if isinstance(result, RowError) else None)
        return result

    def _record(self, results: list[Any], errors: list[RowError], counts: list[int] | None) -> pa.RecordBatch:
        columns = []
        for field, get in zip(self.schema, self.getters):
            values = results if get is None else [None if r is None else get(r) for r in results]
            columns.append(column(values, field, errors, counts))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def column(
    values: list[Any], field: pa.Field, errors: list[RowError], counts: list[int] | None = None, function: str = "map_row"
) -> pa.Array:
    """Returns the values that a function returned as a column. A value that the column cannot hold becomes a row error."""
    if _nested(field.type):
        values = [plain(v) for v in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        pass
    for i, v in enumerate(values):
        try:
            pa.array([v], field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as e:
            values[i] = None
            row = i if counts is None else _source(counts, i)
            errors.append(RowError(f'{function} returned {_short(v)} for "{field.name}", which is not a valid {field.type}: {e}', row=row))
    return pa.array(values, field.type)


def _short(value: Any) -> str:
    text = legible(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _source(counts: list[int], made: int) -> int:
    """Returns the input row that a row came from."""
    end = 0
    for row, n in enumerate(counts):
        end += n
        if made < end:
            return row
    raise IndexError(made)


def _nested(t: pa.DataType) -> bool:
    return bool(pa.types.is_struct(t) or pa.types.is_list(t) and _nested(t.value_type))


class _Values:
    """Reads the values of a parameter from a batch."""

    def __init__(self, parameter: Parameter, handle: Any) -> None:
        self.parameter, self.handle = parameter, handle

    def read(self, batch: pa.RecordBatch, errors: list[RowError]) -> Iterable[Any]:
        h = self.handle
        if h is None:
            return [None] * batch.num_rows
        if isinstance(h, list):
            columns = [self._one(e, batch, errors) for e in h]
            return [list(v) for v in zip(*columns)] if columns else [[] for _ in range(batch.num_rows)]
        if isinstance(h, dict):
            columns = [self._one(e, batch, errors) for e in h.values()]
            return [dict(zip(h, v)) for v in zip(*columns)] if columns else [{} for _ in range(batch.num_rows)]
        return self._one(h, batch, errors)

    def _one(self, handle: Row[Any], batch: pa.RecordBatch, errors: list[RowError]) -> list[Any]:
        array = handle.values(batch)
        values: list[Any] = array.to_pylist()
        if isinstance(handle, Prompt):
            return [None if v is None else ChatRequest.decode(v) for v in values]
        wanted = self.parameter.field.values_type
        if wanted is float and pa.types.is_int64(array.type):
            return [None if v is None else float(v) for v in values]
        if wanted is int and pa.types.is_float64(array.type):
            return [self._whole(i, v, errors) for i, v in enumerate(values)]
        return values

    def _whole(self, row: int, value: float | None, errors: list[RowError]) -> int | None:
        if value is None:
            return None
        if value != value or value in (float("inf"), float("-inf")) or value != int(value):
            errors.append(RowError(f"{self.parameter.field.name} is {value}, but a whole number is required", row=row))
            return None
        return int(value)


def _messages(result: _Result, rows: int) -> list[pb.MapResponse]:
    """Returns the messages that answer a batch: one, or more if the rows are too large for one."""
    pieces = cut(result.rows, result.counts)
    return [pb.MapResponse(rows=p.rows, counts=p.counts, errors=row_errors(p, result.errors), more=p.end < rows) for p in pieces]


def row_errors(piece: Piece, errors: Sequence[RowError]) -> list[pb.RowError]:
    """Returns the errors of a piece's rows, numbered from its first row."""
    if piece.excess:
        what = "its result takes" if piece.counts is None else "the rows that it produces take"
        return [pb.RowError(row=0, message=f"{what} {piece.excess}")]
    return [_row_error(e, piece.first) for e in errors if piece.first <= e.row < piece.end]


def _row_error(e: RowError, first: int) -> pb.RowError:
    out = pb.RowError(row=e.row - first, message=legible(e.message), temporary=e.temporary)
    if isinstance(e, Pending):
        if len(e.token) > _MAX_TOKEN:
            raise Fault(f"the token of a pending row takes {len(e.token)} bytes, and at most {_MAX_TOKEN} are allowed")
        out.pending.CopyFrom(pb.PendingRow(token=e.token, check_after_seconds=e.check_after))
    return out


class _Finished:
    """Counts the rows of a call that are done, and reports them now and then; failed rows at once."""

    def __init__(self, send: Callable[[pb.MapResponse], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._rows = self._failed = 0
        self._last = 0.0

    def __call__(self, error: RowError | None) -> None:
        if isinstance(error, Pending):
            error = None  # the call has nothing more to do for the row
        if error is not None and error.temporary:
            return
        with self._lock:
            self._rows += 1
            self._failed += error is not None
            now = time.monotonic()
            if error is None and now - self._last < _PROGRESS_EVERY:
                return
            self._last = now
            failure = "" if error is None else legible(error.message)
            self._send(pb.MapResponse(finished=self._rows, failed=self._failed, failure=failure))


def _concurrent(work: _Work, batches: Iterator[_Batch], concurrency: int) -> Iterator[pb.MapResponse]:
    """Works on several rows or batches at a time."""
    # A message is progress; None says that a batch may be answered or that no more come.
    ready: queue.SimpleQueue[pb.MapResponse | None] = queue.SimpleQueue()
    pending: collections.deque[Future[list[pb.MapResponse]]] = collections.deque()
    received = threading.Event()
    failure: list[BaseException] = []
    work.finished = _Finished(ready.put)
    with ThreadPoolExecutor(concurrency) as tasks, ThreadPoolExecutor(concurrency) as rows:
        work.threads = rows if work.rows else None

        def receive() -> None:
            try:
                for batch in batches:
                    future = tasks.submit(work.answer, batch)
                    pending.append(future)
                    future.add_done_callback(lambda _: ready.put(None))
            except BaseException as e:  # the call was canceled, or a message is malformed
                failure.append(e)
            finally:
                received.set()
                ready.put(None)

        threading.Thread(target=receive, daemon=True).start()
        try:
            while True:
                done = received.is_set()
                while pending and pending[0].done():
                    yield from pending.popleft().result()
                if failure:
                    raise failure[0]
                if done and not pending:
                    return
                message = ready.get()
                if message is not None:
                    yield message
        finally:
            for future in pending:
                future.cancel()
            rows.shutdown(wait=False, cancel_futures=True)
