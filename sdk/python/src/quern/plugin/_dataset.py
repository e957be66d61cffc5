"""Reads the Parquet files of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import _protocol as pb
from ._arrow import Unfit, coerce
from ._arrow_types import arrow_type
from ._errors import Fault

# A column by its name, or a row argument by its key and true.
Name = tuple[str, bool]


def read(
    artifact: pb.Artifact, wanted: Sequence[Name], batch_rows: int, shards: Sequence[pb.Shard] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields batches of the wanted columns, of ``batch_rows`` rows each but the last, of all shards or of some."""
    names, schema = _select(artifact, wanted)
    yield from _even(_all(artifact.shards if shards is None else shards, names, schema, batch_rows), batch_rows)


def table(artifact: pb.Artifact, wanted: Sequence[Name]) -> pa.Table:
    """Returns all rows."""
    names, schema = _select(artifact, wanted)
    return pa.Table.from_batches(_all(artifact.shards, names, schema, 1 << 17), schema)


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _select(artifact: pb.Artifact, wanted: Sequence[Name]) -> tuple[list[Name], pa.Schema]:
    types = {(c.name, False): c.type for c in artifact.columns} | {(c.name, True): c.type for c in artifact.arguments}
    names = list(wanted or types)
    if not names:
        raise Fault("nothing of the dataset is read: call p.read_all or p.read_columns in prepare, or give the stage a row argument of it")
    for name, argument in names:
        if (name, argument) not in types:
            what = "row argument" if argument else "column"
            raise Fault(f"the dataset has no {what} {name!r} that is read: declare it in prepare with read_columns or read_all")
    return names, pa.schema([pa.field(name[0], arrow_type(types[name])) for name in names])


def _all(shards: Iterable[pb.Shard], names: list[Name], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from _shard(shard, names, schema, batch_rows)


def _shard(shard: pb.Shard, names: list[Name], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Reads the files of a shard side by side: they have the same rows in the same order."""
    groups: list[tuple[pb.ColumnGroup, dict[int, str]]] = []
    found: set[int] = set()
    for group in shard.groups:
        stored = {(c.name, c.argument): c.stored for c in group.columns}
        here = {i: stored[n] for i, n in enumerate(names) if n in stored and i not in found}
        found |= set(here)
        if here:
            groups.append((group, here))
    if len(found) < len(names):
        raise Fault(f"the files of a dataset lack {', '.join(n for i, (n, _) in enumerate(names) if i not in found)}")
    if not groups:
        return
    readers = [_columns(g.path, here, batch_rows) for g, here in groups]
    for parts in zip(*readers):
        columns: dict[int, Any] = {}
        for part in parts:
            columns.update(part)
        yield pa.RecordBatch.from_arrays([_typed(columns[i], schema.field(i)) for i in range(len(names))], schema=schema)


def _columns(path: str, wanted: dict[int, str], batch_rows: int) -> Iterator[dict[int, pa.Array]]:
    with pq.ParquetFile(path, memory_map=True) as file:
        for batch in _even(file.iter_batches(batch_size=batch_rows, columns=list(dict.fromkeys(wanted.values()))), batch_rows):
            names = batch.schema.names
            yield {i: batch.column(names.index(stored)) for i, stored in wanted.items()}


def _even(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yields batches of exactly ``rows`` rows but the last, so that files can be read side by side."""
    waiting: list[pa.RecordBatch] = []
    have = 0
    for batch in batches:
        while have + batch.num_rows >= rows:
            part = batch.slice(0, rows - have)
            yield _join([*waiting, part])
            batch, waiting, have = batch.slice(part.num_rows), [], 0
        if batch.num_rows:
            waiting.append(batch)
            have += batch.num_rows
    if waiting:
        yield _join(waiting)


def _typed(values: pa.Array, field: pa.Field) -> pa.Array:
    try:
        return coerce(values, field.type)
    except Unfit as e:
        raise Fault(f"the stored column {field.name!r} {e}") from None
