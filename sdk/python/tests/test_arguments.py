"""Arguments that hold row expressions and artifacts, in all forms."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from served import Failed, Host, instance, rows_of, served

from quern import plugin
from quern.plugin import _protocol as pb
from quern.plugin._prepare import block_name

p = plugin.Plugin("a", version="0.1.0")


@dataclasses.dataclass
class Point:
    x: int
    tags: list[str]


@dataclasses.dataclass
class Made:
    joined: str
    point: Point
    day: datetime.date | None
    raw: bytes
    score: float


@p.transform("a_join")
class Join(plugin.Mapper):
    texts: list[plugin.Row[str]]
    named: dict[str, plugin.Row[Any]] = {}
    only: plugin.Row[bool] | None = None

    def map_row(self, texts: list[str | None], named: dict[str, Any], only: bool | None) -> Made | None:
        if only is False:
            return None
        return Made("+".join(t or "-" for t in texts), Point(len(texts), sorted(named)), named.get("day"), b"\xff", float("nan"))


@dataclasses.dataclass
class Rule:
    name: plugin.Label
    when: plugin.Row[bool]
    say: str = "yes"


@p.label("a_rules", columns=str)
class Rules(plugin.Mapper):
    rule: list[Rule]

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        said = pa.nulls(batch.num_rows, pa.string())
        for rule in reversed(self.rule):
            said = pc.if_else(pc.fill_null(rule.when.values(batch), False), f"{rule.name} {rule.say}", said)
        return pa.record_batch({"verdict": said})


@p.transform("a_late", columns={"ok": bool})
class Check(plugin.Mapper):
    text: plugin.Row[str]
    check: plugin.Late[bool] = plugin.argument(late={"output": str, "n": int})

    def prepare(self, p: plugin.Prepare) -> None:
        p.read_columns("input", "text")

    def map_batch(self, batch: pa.RecordBatch) -> Any:
        assert self.check.type == "bool"
        assert batch.schema.names == ["text", "input.text"]  # a row argument and a column
        upper = pc.utf8_upper(batch["text"])
        values, errors = self.check.evaluate(batch, output=upper, n=pc.utf8_length(upper))
        return pa.record_batch({"ok": values}), errors


@p.evaluate("a_measure")
class Measure(plugin.Runner):
    subjects: dict[str, plugin.Subject]
    either: plugin.RowOrModel

    def prepare(self, p: plugin.Prepare) -> None:
        kinds = {k: (s.model and s.model.key, s.prompt and s.prompt.key, s.row and s.row.type) for k, s in self.subjects.items()}
        p.warn(repr((kinds, self.either.row and self.either.row.column, self.either.model and self.either.model.format)))
        p.set_value_type({"loss": float})

    def run(self, run: plugin.Run) -> None:
        run.set_value({"loss": float("inf")})


@pytest.fixture(scope="module")
def client():
    with served(p) as c:
        yield c


def test_lists_and_maps_of_rows(client):
    day = datetime.date(2026, 1, 31)
    it = instance(
        "transform",
        "a_join",
        {"texts": ["texts.0", "texts.1"], "named": {"day": "named.day"}},
        columns={},
        rows={"texts.0": "string", "texts.1": "string", "named.day": "date", "only": "bool"},
        address="transform.out",
    )
    batch = pa.record_batch({"texts.0": ["a", None], "texts.1": ["b", "c"], "named.day": pa.array([day, None]), "only": [None, False]})
    first, second = rows_of(client.map(it, [batch]))
    assert first.pop("score") != first.get("score")  # NaN
    assert first == {"joined": "a+b", "point": {"x": 2, "tags": ["day"]}, "day": day, "raw": b"\xff"}
    assert set(second.values()) == {None}
    columns = client.prepare(it).outputs[0].columns
    assert [c.type for c in columns] == ["string", "struct<x:int64,tags:list<string>>", "date", "binary", "float64"]


def test_row_expressions_in_blocks(client):
    rules = [{"name": "spam", "when": "rule.spam.when", "say": "no"}, {"name": "ham", "when": "rule.ham.when", "say": None}]
    it = instance("label", "a_rules", {"rule": rules}, columns={}, address="label.verdict")
    for key in ("rule.spam.when", "rule.ham.when"):
        it.row_arguments[key].CopyFrom(pb.RowArgument(type="bool", rows_of="input"))
    batch = pa.record_batch({"rule.spam.when": [True, False, None], "rule.ham.when": [True, True, False]})
    assert [r["verdict"] for r in rows_of(client.map(it, [batch]))] == ["spam no", "ham yes", None]


def test_a_late_expression_is_evaluated_by_quern(client):
    seen = []

    def evaluate(argument, batch):
        seen.append((argument, [(f.name, dict(f.metadata or {})) for f in batch.schema], batch.to_pydict()))
        return pa.array([True, None]), [pb.RowError(row=1, message="no", temporary=True)]

    [late] = [t for t in client.schema().types if t.name == "a_late"]
    assert dict(late.body.arguments[-1].late) == {"output": b'"string"', "n": b'"number"'}
    it = instance("transform", "a_late", {"check": "check"}, columns={"text": "string"}, rows={"text": "string", "check": "bool"})
    text = pa.array(["a", "bc"])
    fields = [pa.field("text", pa.string(), metadata={"quern.argument": "text"}), pa.field("text", pa.string())]
    from quern.plugin._arrow import encode

    rows = encode(pa.RecordBatch.from_arrays([text, text], schema=pa.schema(fields)))
    with Host(evaluate=evaluate).serving() as socket:
        requests = iter([pb.MapRequest(start=it, host_socket=socket), pb.MapRequest(rows=rows)])
        [answer] = client.call("Map", requests, "stream_stream")
    assert rows_of([answer]) == [{"ok": True}, {"ok": None}] and answer.errors[0].temporary
    [(argument, fields, values)] = seen
    assert argument == "check" and fields[1:] == [("n", {b"quern.late": b"n"}), ("output", {b"quern.late": b"output"})]
    assert values["output"] == ["A", "BC"] and values["n"] == [1, 2]


def test_subjects_and_what_is_either(client):
    it = instance(
        "evaluate",
        "a_measure",
        {
            "subjects": {"a": {"model": "subjects.a.model", "prompt": "subjects.a.prompt"}, "b": "subjects.b", "c": "subjects.c"},
            "either": "either",
        },
    )
    for key in ("subjects.a.model", "subjects.b", "either"):
        it.inputs[key].CopyFrom(pb.Input(kind=pb.ARTIFACT_KIND_MODEL, format="f/v1"))
    it.row_arguments["subjects.c"].CopyFrom(pb.RowArgument(type="string"))
    [d] = client.prepare(it).diagnostics
    assert d.summary == repr(
        (
            {"a": ("subjects.a.model", "subjects.a.prompt", None), "b": ("subjects.b", None, None), "c": (None, None, "string")},
            None,
            "f/v1",
        )
    )
    with pytest.raises(Failed, match="cannot be NaN or infinite"):
        client.run(it)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: {"x": bytes}, "cannot be the type of a value"),
        (lambda: {"X": str}, "its name is not valid"),
        (lambda: {"x": Literal[1, 2]}, "a Literal must be of strings"),
        (lambda: {"x": plugin.Row[bytes]}, "the values of a row expression can be"),
        (lambda: {"x": set[str]}, "cannot be the type of a value"),
    ],
)
def test_a_field_that_cannot_be_an_argument_is_refused_when_the_program_starts(declare, message):
    q = plugin.Plugin("q", version="1.0.0")
    cls = type("It", (plugin.Runner,), {"__annotations__": declare(), "run": lambda self, run: None})
    with pytest.raises(TypeError, match=message):
        q.transform("q_it")(cls)


def test_a_map_row_that_cannot_work_is_refused_when_the_program_starts():
    q = plugin.Plugin("q", version="1.0.0")

    class NoType(plugin.Mapper):
        text: plugin.Row[str]

        def map_row(self, text: str):
            return text

    class Other(plugin.Mapper):
        text: plugin.Row[str]

        def map_row(self, txt: str) -> str:
            return txt

    for cls, message in ((NoType, "needs a return type"), (Other, "the parameter 'txt' of map_row is not a row argument")):
        with pytest.raises(TypeError, match=message):
            q.label("q_it")(cls)
    with pytest.raises(TypeError, match="a Mapper is a transform or label, not a train"):
        q.train("q_it")(Join)
    with pytest.raises(TypeError, match="declared twice"):
        q.label("q_x", columns=str)(Rules)
        q.label("q_x", columns=str)(Rules)


def test_sequences_and_mappings_are_lists_and_maps():
    q = plugin.Plugin("q", version="1.0.0")

    @q.transform("q_it")
    class It(plugin.Runner):
        a: Sequence[str] = ()
        b: Mapping[str, float] = {}

        def run(self, run: plugin.Run) -> None:
            pass

    assert [(a.type, a.default_value) for a in q.schema().types[0].body.arguments] == [
        (b'["list", "string"]', b"[]"),
        (b'["map", "number"]', b"{}"),
    ]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_are_batches(library):
    frames = pytest.importorskip(library)
    from quern.plugin._arrow import conform

    frame = frames.DataFrame({"b": ["x", None], "a": [1, 2]})
    schema = pa.schema({"a": pa.int64(), "b": pa.string()})
    assert conform(frame, schema).to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_a_models_answer_is_a_late_value_as_gos():
    from quern.plugin._arguments import cty_type
    from quern.plugin._arrow_types import type_name

    answers = plugin.Output.array(
        [
            plugin.ChatResponse("{}", usage=plugin.Usage(3, 4, 1), tool_calls=[plugin.ToolCall("f", "{}", "1")], finish_reason="refusal"),
            None,
        ]
    )
    answer, missing = answers.to_pylist()
    assert missing is None
    assert (answer["json"], answer["refused"], answer["cost"], answer["logprobs"]) == ("{}", True, None, None)
    assert answer["tokens"] == {"input": 3, "cached_input": 1, "output": 4, "total": 7}
    # The declared type and the values' have the same members; "dynamic" is JSON.
    members = {"string": "string", "dynamic": "string", "number": ("int64", "float64"), "bool": "bool"}

    def same(declared, column):
        if isinstance(declared, str):
            assert str(column) in members[declared] or str(column) == members[declared]
        elif declared[0] == "list":
            same(declared[1], column.items)
        else:
            assert [n for n, _ in column.fields] == list(declared[1])
            for name, t in column.fields:
                same(declared[1][name], t)

    from quern.plugin._column_types import parse

    same(cty_type(plugin.Output), parse(type_name(answers.type)))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("label.intent", "intent"),
        ('label.intent["a.b"]', "intent"),
        ("label.intent[3]", "intent"),
        ('module.a["x.y"].label.intent', "intent"),
        ('module.a["\\".x["].module.b[0].label.c["]"]', "c"),
    ],
)
def test_the_name_in_an_address(address, name):
    assert block_name(address) == name


@p.transform("a_numbers", columns={"ok": bool})
class Numbers(plugin.Mapper):
    whole: int = 0
    score: float = 0
    grid: list[int] = []

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"ok": pa.nulls(batch.num_rows, pa.bool_())})


@pytest.mark.parametrize(
    ("config", "summary"),
    [
        ({"whole": "1e99999999"}, "the number 1e+99999999 is too large"),
        ({"grid": [1, "1e99999999"]}, "the number 1e+99999999 is too large"),
        ({"score": 10**400}, "the number 1.00000e+400 is out of range"),
        ({"score": "1.8e308"}, "the number 1.8e+308 is out of range"),
        ({"score": "-1e400"}, "the number -1e+400 is out of range"),
    ],
)
def test_numbers_out_of_range_are_refused(client, config, summary):
    it = instance("transform", "a_numbers", {}, columns={})
    # json cannot write such exponents, so the configuration has them as texts.
    it.config_json = re.sub(r'"(-?[\d.]+e\d+)"', r"\1", json.dumps({"input": "input", **config})).encode()
    [d] = client.prepare(it).diagnostics
    assert (d.argument, d.summary) == (list(config)[0], summary)


def test_the_greatest_numbers_are_accepted(client):
    it = instance("transform", "a_numbers", {"whole": 2**64, "grid": [-(2**63)], "score": sys.float_info.max}, columns={})
    assert not client.prepare(it).diagnostics
