"""Results of pipelines: datasets, files, and values."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from ._program import Failed, document

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

_FORMAT = "quern.files/v1"

Folder = str | os.PathLike[str]


@overload
def load(
    address: str, dir: Folder = ".", *, env: str | None = None, columns: Sequence[str] | None = None, as_: Literal["arrow"] = "arrow"
) -> pa.Table: ...
@overload
def load(
    address: str, dir: Folder = ".", *, env: str | None = None, columns: Sequence[str] | None = None, as_: Literal["polars"]
) -> polars.DataFrame: ...
@overload
def load(
    address: str, dir: Folder = ".", *, env: str | None = None, columns: Sequence[str] | None = None, as_: Literal["pandas"]
) -> pandas.DataFrame: ...
def load(address: str, dir: Folder = ".", *, env: str | None = None, columns: Sequence[str] | None = None, as_: str = "arrow") -> Any:
    """Returns a dataset.

    The files in the store are mapped into memory and decoded once; Arrow, polars, and pandas share
    the values.

    Args:
        address: ADDRESS, such as ``label.intent``, ADDRESS.PORT, such as ``transform.parts.test``, or the
            beginning of a digest. For a report, these are the rows that belong to it.
        dir: The pipeline's folder.
        env: The environment; by default the variable QUERN_ENV or ``default``.
        columns: The columns to read, in this order; by default all.
        as_: ``arrow`` for a ``pyarrow.Table``, ``polars`` for a ``polars.DataFrame``, or ``pandas`` for a
            ``pandas.DataFrame`` whose columns have Arrow's types, so that integers stay integers next to nulls.

    Raises:
        Failed: There is no such artifact or column, or a file is missing or damaged.
    """
    if as_ not in ("arrow", "polars", "pandas"):
        raise ValueError(f"as_ must be arrow, polars, or pandas, not {as_!r}")
    table = _table(_dataset(address, dir, env, columns))
    if as_ == "arrow":
        return table
    if as_ == "polars":
        import polars

        return polars.from_arrow(table)
    import pandas

    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def scan(
    address: str, dir: Folder = ".", *, env: str | None = None, columns: Sequence[str] | None = None, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Reads a dataset that may be larger than memory, as batches of at most ``batch_rows`` rows.

    It holds one shard at a time: at most 131,072 rows or about 64 MiB. The arguments and errors
    are those of ``load``; the errors are raised by the call itself.
    """
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, not {batch_rows}")
    dataset = _dataset(address, dir, env, columns)
    return (batch for shard in dataset["shards"] for batch in _shard(shard, _names(dataset)).to_batches(max_chunksize=batch_rows))


def files(address: str, dir: Folder = ".", *, env: str | None = None) -> dict[str, Path]:
    """Returns the files of a model or report: their paths in the store by their names. Do not change them.

    Raises:
        Failed: There is no such artifact, or a file is missing or damaged.
    """
    return {f["name"]: Path(f["path"]) for f in _located(address, dir, env).get("files", [])}


def value(address: str, dir: Folder = ".", *, env: str | None = None) -> Any:
    """Returns the values of a stage, such as the metrics of an evaluation, as they are in ``evaluate.x`` in the configuration.

    Raises:
        Failed: There is no such stage, or it has no values.
    """
    found = document(dir, "state", "show", "-json", *_environment(env), address).get("value")
    if found is None:
        raise Failed(f"{address} has no values")
    return found["value"]


def _environment(env: str | None) -> list[str]:
    return [] if env is None else [f"-env={env}"]


def _located(address: str, dir: Folder, env: str | None, columns: Sequence[str] = ()) -> Any:
    found = document(dir, "artifact", "files", "-json", *_environment(env), *(f"-column={c}" for c in columns), address)
    if found.get("format") != _FORMAT:
        raise Failed(
            f"quern artifact files wrote {found.get('format')!r}, but this package reads {_FORMAT!r}: install the same version of both"
        )
    return found


def _dataset(address: str, dir: Folder, env: str | None, columns: Sequence[str] | None) -> Any:
    """Returns where the rows of a dataset are."""
    if isinstance(columns, str) or columns is not None and not columns:
        raise ValueError("columns must be a list of at least one name")
    found = _located(address, dir, env, columns or ())
    if "dataset" not in found:
        raise Failed(f"{address} is a {found['artifact']['kind']}, which has no rows: quern.files returns its files")
    return found["dataset"]


def _names(dataset: Any) -> list[str]:
    return [c["name"] for c in dataset["schema"]]


def _table(dataset: Any) -> pa.Table:
    import pyarrow as pa

    if not dataset["shards"]:
        from .plugin._arrow import schema_of
        from .plugin._columns import Column

        return schema_of(Column(c["name"], c["type"]) for c in dataset["schema"]).empty_table()
    names = _names(dataset)
    # Threads also wait for the pages of mapped files, so there are more than processors.
    with concurrent.futures.ThreadPoolExecutor(2 * pa.cpu_count()) as pool:
        return pa.concat_tables(pool.map(lambda shard: _shard(shard, names), dataset["shards"]))


def _shard(shard: Any, names: Sequence[str]) -> pa.Table:
    """Joins the column groups of a shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.ChunkedArray] = {}
    for group in shard["groups"]:
        stored = [c["stored"] for c in group["columns"]]
        with pq.ParquetFile(group["path"], memory_map=True) as file:
            # A name with a dot may also read a struct's field, which is not used.
            read = file.read(columns=stored, use_threads=False)
        if read.num_rows != shard["rows"]:
            raise Failed(f"{group['path']} has {read.num_rows} rows instead of {shard['rows']}")
        columns.update((c["name"], read.column(c["stored"])) for c in group["columns"])
    return pa.table({name: columns[name] for name in names})
