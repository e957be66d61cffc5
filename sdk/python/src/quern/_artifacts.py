"""Results of pipelines: datasets, files, and values."""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from ._digest import file_digest
from ._program import Failed, document

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

_FORMAT = "quern.files/v1"

Folder = str | os.PathLike[str]


class _Damaged(Failed):
    """A file does not have its digest."""


@overload
def load(
    address: str,
    dir: Folder = ".",
    *,
    env: str | None = None,
    columns: Sequence[str] | None = None,
    verify: bool = True,
    as_: Literal["arrow"] = "arrow",
) -> pa.Table: ...
@overload
def load(
    address: str,
    dir: Folder = ".",
    *,
    env: str | None = None,
    columns: Sequence[str] | None = None,
    verify: bool = True,
    as_: Literal["polars"],
) -> polars.DataFrame: ...
@overload
def load(
    address: str,
    dir: Folder = ".",
    *,
    env: str | None = None,
    columns: Sequence[str] | None = None,
    verify: bool = True,
    as_: Literal["pandas"],
) -> pandas.DataFrame: ...
def load(
    address: str,
    dir: Folder = ".",
    *,
    env: str | None = None,
    columns: Sequence[str] | None = None,
    verify: bool = True,
    as_: str = "arrow",
) -> Any:
    """Returns a dataset.

    The files in the store are read and decoded once; Arrow, polars, and pandas share the values.

    Args:
        address: ADDRESS, such as ``label.intent``, ADDRESS.PORT, such as ``transform.parts.test``, or the
            beginning of a digest. For a report, these are the rows that belong to it.
        dir: The pipeline's folder.
        env: The environment; by default the variable QUERN_ENV or ``default``.
        columns: The columns to read, in this order; by default all.
        verify: Compare each file with its digest, which takes about a sixth of the time. Without it, damage to a file
            that still can be decoded is not noticed.
        as_: ``arrow`` for a ``pyarrow.Table``, ``polars`` for a ``polars.DataFrame``, or ``pandas`` for a
            ``pandas.DataFrame`` whose columns have Arrow's types, so that integers stay integers next to nulls.

    Raises:
        Failed: There is no such artifact or column, or a file is missing or damaged.
    """
    if as_ not in ("arrow", "polars", "pandas"):
        raise ValueError(f"as_ must be arrow, polars, or pandas, not {as_!r}")
    table = _Rows(address, dir, env, columns, verify).table()
    if as_ == "arrow":
        return table
    if as_ == "polars":
        import polars

        return polars.from_arrow(table)
    import pandas

    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def scan(
    address: str,
    dir: Folder = ".",
    *,
    env: str | None = None,
    columns: Sequence[str] | None = None,
    verify: bool = True,
    batch_rows: int = 65_536,
) -> Iterator[pa.RecordBatch]:
    """Reads a dataset that may be larger than memory, as batches of at most ``batch_rows`` rows.

    It holds one shard at a time: at most 131,072 rows or about 64 MiB. The arguments and errors
    are those of ``load``. A damaged file is an error when its rows are reached; other errors are raised by the call itself.
    """
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, not {batch_rows}")
    rows = _Rows(address, dir, env, columns, verify)
    return (batch for shard in rows.shards for batch in rows.shard(shard).to_batches(max_chunksize=batch_rows))


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


def _located(address: str, dir: Folder, env: str | None, columns: Sequence[str] = (), *, verify: bool = True) -> Any:
    flags = ["-json", *_environment(env), *(f"-column={c}" for c in columns), *([] if verify else ["-verify=false"])]
    found = document(dir, "artifact", "files", *flags, address)
    if found.get("format") != _FORMAT:
        raise Failed(
            f"quern artifact files wrote {found.get('format')!r}, but this package reads {_FORMAT!r}: install the same version of both"
        )
    return found


class _Rows:
    """The rows of a dataset in the store."""

    def __init__(self, address: str, dir: Folder, env: str | None, columns: Sequence[str] | None, verify: bool) -> None:
        if isinstance(columns, str) or columns is not None and not columns:
            raise ValueError("columns must be a list of at least one name")
        self._verify = verify
        self._locate = functools.partial(_located, address, dir, env, columns or ())
        found = self._locate(verify=False)
        if "dataset" not in found:
            raise Failed(f"{address} is a {found['artifact']['kind']}, which has no rows: quern.files returns its files")
        self.shards = found["dataset"]["shards"]
        self._schema = found["dataset"]["schema"]

    def table(self) -> pa.Table:
        import pyarrow as pa

        if not self.shards:
            from .plugin._arrow import schema_of
            from .plugin._columns import Column

            return schema_of(Column(c["name"], c["type"]) for c in self._schema).empty_table()
        with concurrent.futures.ThreadPoolExecutor(pa.cpu_count()) as pool:
            # The largest come first, so that all processors are busy until the end.
            read = {i: pool.submit(self.shard, self.shards[i]) for i in self._by_size()}
            return pa.concat_tables([read[i].result() for i in range(len(self.shards))])

    def _by_size(self) -> list[int]:
        return sorted(range(len(self.shards)), key=lambda i: -self.shards[i]["rows"])

    def shard(self, shard: Any) -> pa.Table:
        """Returns the verified rows of a shard."""
        try:
            return self._read(shard)
        except _Damaged:
            # This fails, unless the file could be fetched again.
            self._locate(verify=True)
            return self._read(shard)

    def _read(self, shard: Any) -> pa.Table:
        """Joins the column groups of a shard."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, pa.ChunkedArray] = {}
        for group in shard["groups"]:
            stored = [c["stored"] for c in group["columns"]]
            if self._verify:
                _verify(group)
            with pq.ParquetFile(group["path"], memory_map=True) as file:
                # A name with a dot may also read a struct's field, which is not used.
                read = file.read(columns=stored, use_threads=False)
            if read.num_rows != shard["rows"]:
                raise Failed(f"{group['path']} has {read.num_rows} rows instead of {shard['rows']}")
            columns.update((c["name"], read.column(c["stored"])) for c in group["columns"])
        return pa.table({c["name"]: columns[c["name"]] for c in self._schema})


def _verify(file: Any) -> None:
    """Compares a file with its digest."""
    found = file_digest(file["path"])
    if found != file["digest"]:
        raise _Damaged(f"{file['path']} is damaged: its digest is {found}")
