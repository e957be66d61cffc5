"""What Python libraries produce becomes what quern has, or is refused."""

from __future__ import annotations

import datetime
import decimal

import pyarrow as pa
import pytest

from quern.plugin import _arrow
from quern.plugin._arrow import Unfit, coerce, conform, cut, decode, encode
from quern.plugin._arrow_types import arrow_type, type_name
from quern.plugin._column_types import parse
from quern.plugin._columns import Column, column_type, columns_of
from quern.plugin._errors import Fault

UTC = datetime.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")
noon = datetime.datetime(2026, 1, 31, 12, tzinfo=UTC)

CONVERTED = [
    (pa.array(["a", None], pa.large_string()), "string", ["a", None]),
    (pa.array(["a", None]).cast(pa.string_view()), "string", ["a", None]),
    (pa.array(["a", None, "a"]).dictionary_encode(), "string", ["a", None, "a"]),
    (
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint32()), pa.array(["a", "b"]).cast(pa.string_view())),
        "string",
        ["b", None, "a"],
    ),
    (pa.array([1, None, 1]).dictionary_encode(), "float64", [1.0, None, 1.0]),
    (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), "string", ["a", "a", None]),
    (pa.nulls(2), "list<int64>", [None, None]),
    (pa.array([b"\xff", None], pa.large_binary()), "binary", [b"\xff", None]),
    (pa.array([b"ab"], pa.binary(2)), "binary", [b"ab"]),
    (pa.array([b"a"]), "string", ["a"]),
    (pa.array([1, None], pa.int8()), "int64", [1, None]),
    (pa.array([2**63 - 1], pa.uint64()), "int64", [2**63 - 1]),
    (pa.array([1.0, None]), "int64", [1, None]),
    (pa.array([1, 2**53], pa.int64()), "float64", [1.0, 2.0**53]),
    (pa.array([1.5, float("inf")], pa.float32()), "float64", [1.5, float("inf")]),
    (pa.array([decimal.Decimal("0.10"), None]), "float64", [0.1, None]),
    (pa.array([decimal.Decimal("3.00")]), "int64", [3]),
    (pa.array([noon], pa.timestamp("s", "Europe/Berlin")), "timestamp", [noon]),
    (pa.array([noon], pa.timestamp("ns", "UTC")), "timestamp", [noon]),
    (pa.array([datetime.datetime(2026, 1, 31, 12)]), "timestamp", [noon]),
    (pa.array([datetime.date(2026, 1, 31)], pa.date64()), "date", [datetime.date(2026, 1, 31)]),
    (pa.array([["a"], None, []], pa.large_list(pa.large_string())), "list<string>", [["a"], None, []]),
    (pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), "list<int64>", [[1, 2], None]),
    (pa.array([["x"], ["a"], None, []], pa.list_(pa.large_string())).slice(1), "list<string>", [["a"], None, []]),
    (
        pa.array([{"b": 1, "a": "x"}, None], pa.struct({"b": pa.int8(), "a": pa.string()})),
        "struct<a:string,b:int64>",
        [{"a": "x", "b": 1}, None],
    ),
    (
        pa.array([[{"a": "x"}], None], pa.large_list(pa.struct({"a": pa.large_string()}))),
        "list<struct<a:string>>",
        [[{"a": "x"}], None],
    ),
]


@pytest.mark.parametrize(("values", "want", "result"), CONVERTED, ids=lambda v: str(v.type) if isinstance(v, pa.Array) else None)
def test_values_are_converted(values, want, result):
    made = coerce(values, arrow_type(want))
    made.validate(full=True)
    assert made.type == arrow_type(want) and made.to_pylist() == result
    assert coerce(values.slice(0, 0), arrow_type(want)).to_pylist() == []


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (pa.array([2**63], pa.uint64()), "int64"),
        (pa.array([2**53 + 1]), "float64"),
        (pa.array([1.5]), "int64"),
        (pa.array([float("nan")]), "int64"),
        (pa.array([decimal.Decimal("0.12345678901234567890")]), "float64"),
        (pa.array([1], pa.timestamp("ns", "UTC")), "timestamp"),
        (pa.array([2**62], pa.timestamp("s", "UTC")), "timestamp"),
        (pa.array([1], pa.timestamp("us", "UTC")), "date"),
        (pa.array([b"\xff"]), "string"),
        (pa.array([1]), "string"),
        (pa.array(["1"]), "int64"),
        (pa.array([True]), "int64"),
        (pa.array([1], pa.int64()), "bool"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "list<struct<key:string,value:int64>>"),
        (pa.array([{"a": 1}]), "struct<b:int64>"),
        (pa.array([1], pa.time32("s")), "int64"),
        (pa.array([1], pa.duration("s")), "int64"),
        (pa.array([["x"]]), "list<int64>"),
    ],
    ids=lambda v: str(v.type) if isinstance(v, pa.Array) else v,
)
def test_nothing_is_lost_silently(values, want):
    with pytest.raises(Unfit):
        coerce(values, arrow_type(want))


def test_columns_are_found_by_name():
    schema = pa.schema({"a": pa.int64(), "b": pa.string()})
    rows = conform(pa.table({"b": pa.chunked_array([["x"], ["y"]]), "a": pa.array([1, 2], pa.int32())}), schema)
    assert rows.schema == schema and rows.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    with pytest.raises(Fault, match='it lacks "b" and it has "c", which was not declared'):
        conform(pa.record_batch({"a": [1], "c": [1]}), schema)
    with pytest.raises(Fault, match='column "a" has the Arrow type string, but int64 was declared'):
        conform(pa.record_batch({"a": ["x"], "b": ["x"]}), schema)
    with pytest.raises(Fault, match="a list is not a batch of rows"):
        conform([1], schema)


def test_names_inside_lists_do_not_matter():
    named = pa.array([[1]], pa.list_(pa.field("element", pa.int64(), nullable=False)))
    assert encode(conform(pa.record_batch({"a": named}), pa.schema({"a": pa.list_(pa.int64())})))


@pytest.mark.parametrize(
    "name", ["string", "list<list<date>>", "struct<a:string,b-c:list<struct<x:bool>>>", 'struct<"a b":int64,"é\\"":binary>']
)
def test_column_types_are_read_as_they_are_written(name):
    assert str(parse(name)) == name
    assert type_name(arrow_type(name)) == name


@pytest.mark.parametrize("name", ["", "text", "list<string", "list<>", "struct<a>", "string>", "int32"])
def test_column_types_that_do_not_exist_are_refused(name):
    with pytest.raises(Fault):
        parse(name)


def test_python_and_arrow_types_are_column_types():
    assert [column_type(t) for t in (str, "date", list[int | None], pa.large_list(pa.int8()), datetime.datetime)] == [
        "string",
        "date",
        "list<int64>",
        "list<int64>",
        "timestamp",
    ]
    assert columns_of({"a": str}) == [Column("a", "string")]
    with pytest.raises(Fault, match="is not the type of a column"):
        column_type(dict[str, int])


def test_several_batches_become_one():
    batch = pa.record_batch({"a": ["x"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as w:
        w.write_batch(batch)
        w.write_batch(batch)
    assert decode(bytes(sink.getvalue())).to_pylist() == [{"a": "x"}, {"a": "x"}]
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, batch.schema).close()
    assert decode(bytes(sink.getvalue())).num_rows == 0


def test_large_batches_are_cut(monkeypatch):
    monkeypatch.setattr(_arrow, "MAX_ROWS", 4096)
    batch = pa.record_batch({"a": ["x" * 1000] * 10 + ["y" * 5000] + ["z"]})
    pieces = cut(batch)
    assert [p.first for p in pieces[1:]] == [p.end for p in pieces[:-1]] and pieces[-1].end == 12
    rows = [r["a"] for p in pieces for r in decode(p.rows).to_pylist()]
    assert rows == ["x" * 1000] * 10 + [None, "z"]
    assert [p.first for p in pieces if p.excess] == [10]
    assert all(len(p.rows) <= 4096 for p in pieces)

    pieces = cut(batch, [3, 0, 7, 1, 1])
    assert [p.counts for p in pieces if p.excess] == [[0], [0]]
    assert [c for p in pieces for c in p.counts] == [3, 0, 0, 0, 1]
    assert sum(decode(p.rows).num_rows for p in pieces) == 4
