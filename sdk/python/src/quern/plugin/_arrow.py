"""Rows as Arrow: the types that quern has, and how what Python libraries produce becomes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ._arrow_types import arrow_type, is_bytes, is_list, is_text
from ._columns import Column
from ._errors import Fault, Malformed

# The maximum size of a message's rows in bytes; it leaves room for the rest.
MAX_ROWS = (256 << 20) - (1 << 20)

ARGUMENT = b"quern.argument"
LATE = b"quern.late"


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """Returns the Arrow schema of columns."""
    return pa.schema([pa.field(c.name, arrow_type(c.type)) for c in columns])


class Unfit(Exception):
    """Values cannot become what was declared without losing something."""


def coerce(values: pa.Array, want: pa.DataType) -> pa.Array:
    """Converts values to a type of quern's, or raises Unfit if that would lose something."""
    have = values.type
    if have.equals(want):
        return values
    types = pa.types
    if isinstance(have, pa.BaseExtensionType):
        return coerce(values.storage, want)
    if types.is_dictionary(have):
        return coerce(values.dictionary, want).take(values.indices)
    if types.is_run_end_encoded(have):
        return coerce(_compute().run_end_decode(values), want)
    if types.is_null(have):
        return pa.nulls(len(values), want)
    if types.is_struct(want) and types.is_struct(have):
        return _coerce_struct(values, want)
    if types.is_list(want) and is_list(have):
        return _coerce_list(values, want)
    if types.is_decimal(have) and types.is_float64(want):
        return _coerce_decimal(values, want)
    if not _converts(have, want):
        raise Unfit(f"has the Arrow type {have}, but {want} was declared")
    if types.is_timestamp(have) and have.tz is None:
        values = _cast(values, pa.timestamp("us")).cast(want)  # UTC where no zone is given
    return _cast(values, want)


def _converts(have: pa.DataType, want: pa.DataType) -> bool:
    """Reports whether values of one type mean the same in another. Casting checks each value."""
    types = pa.types
    if types.is_string(want) or types.is_binary(want):
        return is_text(have) or is_bytes(have)
    if types.is_int64(want):
        return bool(types.is_integer(have) or types.is_floating(have) or types.is_decimal(have))
    if types.is_float64(want):
        return bool(types.is_integer(have) or types.is_floating(have))
    if types.is_date32(want):
        return bool(types.is_date(have))
    if types.is_timestamp(want):
        return bool(types.is_timestamp(have))
    return False


def _cast(values: pa.Array, want: pa.DataType) -> pa.Array:
    try:
        return values.cast(want, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise Unfit(f"cannot be converted from {values.type} to {want} without losing something: {e}") from None


def _compute() -> Any:
    """Returns Arrow's functions. Most plugins can start without them."""
    import pyarrow.compute

    return pyarrow.compute


def _coerce_decimal(values: pa.Array, want: pa.DataType) -> pa.Array:
    pc = _compute()
    out = _cast(values, want)
    try:
        exact = pc.all(pc.equal(out.cast(values.type, safe=False), values)).as_py()
    except pa.ArrowInvalid:
        exact = False
    if exact is False:
        raise Unfit(f"has the Arrow type {values.type} with more digits than a float64 holds: convert it to float64 or string")
    return out


def _coerce_struct(values: pa.Array, want: pa.DataType) -> pa.Array:
    names = [f.name for f in values.type]
    if sorted(names) != sorted(f.name for f in want):
        raise Unfit(f"has the Arrow type {values.type}, but {want} was declared")
    children = values.flatten()
    made = [coerce(children[names.index(f.name)], f.type) for f in want]
    if not made:
        return _cast(values, want)
    return pa.StructArray.from_arrays(made, fields=list(want), mask=values.is_null())


def _coerce_list(values: pa.Array, want: pa.DataType) -> pa.Array:
    if not pa.types.is_list(values.type):
        values = _cast(values, pa.list_(values.type.value_type))
    pc = _compute()
    # Offsets of an array that is a slice do not begin at 0, and nulls can have items.
    items = coerce(values.flatten(), want.value_type)
    lengths = pc.fill_null(pc.list_value_length(values), 0)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    return pa.ListArray.from_arrays(offsets, items, type=want, mask=values.is_null() if values.null_count else None)


def conform(rows: Any, schema: pa.Schema) -> pa.RecordBatch:
    """Gives rows exactly the declared columns, in their order.

    Args:
        rows: A record batch, a table, or what exports itself as Arrow, such as a
            data frame of polars or pandas.
        schema: The declared columns.

    Raises:
        Fault: A column is missing, was not declared, or has values that do not fit.
    """
    batch = as_batch(rows)
    if batch.schema.equals(schema):
        return batch
    names = batch.schema.names
    if sorted(names) != sorted(schema.names):
        raise Fault(_difference(names, schema.names))
    columns = []
    for field in schema:
        try:
            columns.append(coerce(batch.column(names.index(field.name)), field.type))
        except Unfit as e:
            raise Fault(f'column "{field.name}" {e}') from None
    return batch_of(columns, schema, batch.num_rows)


def _difference(names: Sequence[str], want: Sequence[str]) -> str:
    missing = [n for n in want if n not in names]
    extra = [n for n in names if n not in want]
    parts = []
    if missing:
        parts.append(f"it lacks {_list(missing)}")
    if extra:
        parts.append(f"it has {_list(extra)}, which was not declared")
    if not parts:
        parts.append("it has a column twice")
    return f"a batch does not have the declared columns: {' and '.join(parts)}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)


def as_batch(rows: Any) -> pa.RecordBatch:
    """Returns rows as one record batch."""
    if isinstance(rows, pa.RecordBatch):
        return rows
    if not isinstance(rows, pa.Table):
        if not hasattr(rows, "__arrow_c_stream__"):
            raise Fault(f"a {type(rows).__name__} is not a batch of rows: use a pyarrow RecordBatch or Table")
        rows = pa.table(rows)
    columns = [_one(c) for c in rows.columns]
    return batch_of(columns, rows.schema, rows.num_rows)


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    one = column.combine_chunks()
    if isinstance(one, pa.ChunkedArray):  # more than 2 GiB of text
        raise Fault("a batch is too large: write fewer rows at a time")
    return one


def batch_of(columns: Sequence[pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Returns a batch. Without columns, it has no rows either: Arrow in Python cannot count them."""
    return pa.RecordBatch.from_arrays(list(columns), schema=schema)


def encode(batch: pa.RecordBatch) -> bytes:
    """Returns a batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode(rows: bytes) -> pa.RecordBatch:
    """Returns the batch of an Arrow IPC stream. Several batches become one, and none a batch without rows."""
    reader = pa.ipc.open_stream(pa.py_buffer(rows))
    batches = list(reader)
    if len(batches) == 1:
        return batches[0]
    return as_batch(pa.Table.from_batches(batches, reader.schema))


def received(rows: bytes) -> pa.RecordBatch:
    """Decodes the rows of a request."""
    try:
        return decode(rows)
    except pa.ArrowException as e:
        raise Malformed(f"the rows of a request are malformed: {e}") from e


def argument(batch: pa.RecordBatch, key: str) -> pa.Array:
    """Returns the values of a row argument. Names of fields are not unique."""
    for i, field in enumerate(batch.schema):
        if (field.metadata or {}).get(ARGUMENT) == key.encode():
            return batch.column(i)
    raise KeyError(key)


def select(batch: pa.RecordBatch, names: Mapping[str, str]) -> pa.RecordBatch:
    """Returns columns of a batch under other names: new names with the present ones."""
    columns = [batch.column(batch.schema.names.index(name)) for name in names.values()]
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def renamed(batch: pa.RecordBatch, dataset: str) -> pa.RecordBatch:
    """Makes the names unique: a column with the name of a row argument becomes DATASET.NAME."""
    fields = list(batch.schema)
    keys = {f.name for f in fields if ARGUMENT in (f.metadata or {})}
    taken = [f.name in keys and ARGUMENT not in (f.metadata or {}) for f in fields]
    if not any(taken):
        return batch
    fields = [f.with_name(f"{dataset}.{f.name}") if t else f for f, t in zip(fields, taken)]
    return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields))


class Piece:
    """A range of a batch's rows that fits into one message.

    If ``excess`` is set, the piece is a single row that is too large to send:
    ``rows`` has nulls instead or, with counts, nothing.
    """

    def __init__(self, first: int, end: int, rows: bytes, counts: list[int] | None, excess: str = "") -> None:
        self.first, self.end, self.rows, self.counts, self.excess = first, end, rows, counts, excess


def cut(batch: pa.RecordBatch, counts: list[int] | None = None) -> list[Piece]:
    """Splits a batch into pieces that fit into one message each.

    Args:
        batch: The rows.
        counts: For a flat mapper: how many of them come from each input row. Pieces
            then consist of whole input rows.
    """
    return list(_cut(batch, 0, batch.num_rows if counts is None else len(counts), counts))


def _cut(batch: pa.RecordBatch, first: int, end: int, counts: list[int] | None) -> Iterator[Piece]:
    if batch.nbytes <= MAX_ROWS or end - first <= 1:
        rows = encode(batch)
        if len(rows) <= MAX_ROWS:
            yield Piece(first, end, rows, counts)
            return
        if end - first == 1:
            empty = pa.RecordBatch.from_arrays([pa.nulls(0 if counts else 1, f.type) for f in batch.schema], schema=batch.schema)
            yield Piece(first, end, encode(empty), [0] if counts else None, _excess(len(rows)))
            return
    half = (end - first) // 2
    at = half if counts is None else sum(counts[:half])
    yield from _cut(batch.slice(0, at), first, first + half, counts and counts[:half])
    yield from _cut(batch.slice(at), first + half, end, counts and counts[half:])


def _excess(size: int) -> str:
    mib = 1 << 20
    return (
        f"{(size + mib - 1) // mib} MiB, but a row between quern and a plugin can take at most {MAX_ROWS // mib} MiB;"
        " keep such content in a file, and its path in the row"
    )
