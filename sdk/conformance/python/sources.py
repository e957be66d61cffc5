"""Sources."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
from base import p
from quern import plugin


@dataclasses.dataclass
class PartRow:
    part: str
    n: int


@p.source("conform_parts", columns=PartRow)
class Parts(plugin.Source):
    """A source that consists of parts."""

    parts: list[str]
    """The names of the parts."""
    rows: int = 2
    """The number of rows in each part."""
    bad: int = 0
    """The row of each part that is set aside."""
    fail: str | None = None
    """What fails: fingerprint or read."""

    def prepare(self, p: plugin.Prepare) -> None:
        if p.known("rows") and self.rows < 0:
            p.error(f"rows must be at least 0\nIt is {self.rows}.", argument="rows")

    def fingerprint(self, memo: bytes) -> plugin.Fingerprint:
        if self.fail == "fingerprint":
            raise plugin.Error("there is no fingerprint\nTry again.", argument="fail")
        return plugin.Fingerprint(f"{','.join(self.parts)}:{self.rows}", f"{len(self.parts)} parts", memo + b"!")

    def read(self, out: plugin.RowWriter) -> None:
        for i, name in enumerate(self.parts, 1):
            out.part("part:" + name, functools.partial(self.write, out, name), name="part " + name)
            out.progress(i, len(self.parts), "parts")
            if self.fail == "read":
                raise plugin.Error("reading failed\nTry again.", argument="fail")

    def preview(self, out: plugin.RowWriter, max_bytes: int) -> plugin.RowCount:
        self.write(out, self.parts[0])
        return plugin.RowCount(len(self.parts) * self.rows, exact=True, size=len(self.parts))

    def write(self, out: plugin.RowWriter, part: str) -> None:
        for n in range(1, self.rows + 1):
            if n == self.bad:
                out.quarantine(f"part {part}, row {n}", str(n), "it is bad")
            else:
                out.write(PartRow(part, n))


@dataclasses.dataclass
class Point:
    a: int | None
    b: list[str | None] | None


@p.source(
    "conform_types",
    columns={
        "string": str, "int64": int, "float64": float, "bool": bool, "binary": bytes, "date": datetime.date,
        "timestamp": datetime.datetime, "list": list[str], "struct": Point,
    },
)  # fmt: skip
class Types(plugin.Source):
    """A source with columns of all types. It has neither parts nor a preview."""

    empty: bool = False
    """There are no rows."""

    def fingerprint(self, memo: bytes) -> str:
        return str(self.empty)

    def read(self, out: plugin.RowWriter) -> None:
        rows: list[list[Any]] = [
            ["é\n", "", None],
            [1, -(2**63), None],
            [0.1, 1e300, None],
            [True, False, None],
            [b"\x00\xff", b"", None],
            [datetime.date(2024, 1, 1), datetime.date(1969, 12, 31), None],
            [1704067200000001, -1, None],
            [["a", None], [], None],
            [{"a": 7, "b": ["a", None]}, {"a": None, "b": None}, None],
        ]
        columns = [pa.array([] if self.empty else values, f.type) for values, f in zip(rows, out.schema)]
        out.write(pa.record_batch(columns, schema=out.schema))


@p.source("conform_child", columns=PartRow)
class Child(plugin.Source):
    """A source that starts a process which outlives the call."""

    def fingerprint(self, memo: bytes) -> str:
        child = subprocess.Popen(["sleep", "1000"])
        Path(p.root, "child").write_text(str(child.pid))
        return str(child.pid)

    def read(self, out: plugin.RowWriter) -> None:
        raise plugin.Error("it has no rows")
