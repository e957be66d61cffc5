"""Functions for expressions."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import grpc
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from served import served

from quern import plugin
from quern.plugin import _protocol as pb
from quern.plugin._arrow import decode, encode


@dataclasses.dataclass
class Point:
    x: float
    y: float


def make() -> plugin.Plugin:
    p = plugin.Plugin("acme", version="1.0.0")

    @p.function("join", behavior_version=3, deprecated="Use + instead.")
    def join(separator: str, *texts: str | None) -> str | None:
        """Joins texts.

        Null is left out.

        Args:
            separator: What is put
                between them.
            *texts: The texts.
        """
        if separator == "?":
            raise plugin.Error("it is a question", argument="separator")
        if separator == "bug":
            raise ValueError("the devil")
        return separator.join(t for t in texts if t is not None) or None

    @p.function("norm")
    def norm(point: Point) -> float:
        return (point.x**2 + point.y**2) ** 0.5

    @p.function("moved")
    def moved(point: Point, by: int) -> Point:
        return Point(point.x + by, point.y + by)

    @p.function("upper")
    def upper(text: Annotated[pa.Array, str]) -> Annotated[pa.Array, str]:
        return pc.utf8_upper(text)

    @p.function("short")
    def short(text: Annotated[pa.Array, str]) -> Annotated[pa.Array, str]:
        return text[:0]

    return p


def call(name: str, *columns: pa.Array) -> tuple[list[object], list[tuple[int, str, int | None]]]:
    batch = pa.RecordBatch.from_arrays(list(columns), names=[str(i) for i in range(len(columns))])
    with served(make()) as client:
        response = client.call("CallFunction", pb.CallFunctionRequest(name=name, arguments=encode(batch)))
    errors = [(e.call, e.message, e.argument if e.HasField("argument") else None) for e in response.errors]
    return decode(response.results).column(0).to_pylist(), errors


def test_schema() -> None:
    functions = {f.name: f for f in make().schema().functions}
    join = functions["join"]
    assert (join.summary, join.doc, join.deprecated, join.behavior_version) == ("Joins texts.", "Null is left out.", "Use + instead.", 3)
    assert [(p.name, p.doc, p.type, p.nullable) for p in [*join.parameters, join.variadic]] == [
        ("separator", "What is put between them.", "string", False),
        ("texts", "The texts.", "string", True),
    ]
    assert functions["norm"].parameters[0].type == "struct<x:float64,y:float64>"
    assert not functions["norm"].HasField("variadic")
    assert (functions["upper"].parameters[0].type, functions["upper"].result) == ("string", "string")


def test_values_nulls_and_errors_of_single_calls() -> None:
    results, errors = call(
        "join", pa.array(["-", "?", None, "-", "bug"]), pa.array(["a", "b", "c", None, "d"]), pa.array(["x"] * 3 + [None, "e"])
    )
    assert results == ["a-x", None, None, None, None]
    assert errors[:2] == [(1, "it is a question", 0), (2, "separator must not be null", 0)]
    assert errors[2][0] == 4 and "ValueError: the devil" in errors[2][1]
    assert call("norm", pa.array([{"x": 3.0, "y": 4.0}])) == ([5.0], [])
    assert call("moved", pa.array([{"x": 3.0, "y": 4.0}]), pa.array([1])) == ([{"x": 4.0, "y": 5.0}], [])


def test_arrays() -> None:
    assert call("upper", pa.array(["a", None])) == (["A", None], [])
    results, errors = call("short", pa.array(["a", "b"]))
    assert results == [None, None]
    assert [e[0] for e in errors] == [0, 1] and "must return an array with 2 values" in errors[0][1]


def test_malformed_calls() -> None:
    for name, columns, code in (
        ("missing", [pa.array(["a"])], grpc.StatusCode.NOT_FOUND),
        ("norm", [pa.array(["a"])], grpc.StatusCode.INVALID_ARGUMENT),
        ("upper", [pa.array(["a"]), pa.array(["b"])], grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as e:
            call(name, *columns)
        assert e.value.code() == code  # type: ignore[attr-defined]


def test_mistakes() -> None:
    p = plugin.Plugin("acme", version="1.0.0")

    def untyped(text) -> str:  # type: ignore[no-untyped-def]
        return ""

    def optional(text: str = "") -> str:
        return text

    def mixed(text: Annotated[pa.Array, str]) -> str:
        return ""

    def none() -> str:
        return ""

    for function, message in ((untyped, "has no type"), (optional, "have no default"), (mixed, "or none of them"), (none, "no parameters")):
        with pytest.raises(TypeError, match=message):
            p.function("f")(function)
    with pytest.raises(TypeError, match="lowercase"):
        p.function("F")(lambda: "")
