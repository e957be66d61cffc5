"""Row-wise stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from served import Failed, instance, rows_of, served

from quern import plugin

p = plugin.Plugin("t", version="0.1.0")


@dataclasses.dataclass
class Length:
    label: str
    characters: int


@p.label("t_length", behavior_version=3)
class Lengths(plugin.Mapper):
    """Labels texts by their length. The rest is detail."""

    text: plugin.Row[str]
    """The text to measure."""
    limit: int = 3
    """The limit."""
    style: Literal["short", "long"] = "short"
    among: list[str] = []

    def map_row(self, text: str) -> Length:
        if text == "bad":
            raise plugin.RowError("it is bad", temporary=True)
        if text == "bug":
            raise KeyError(text)
        return Length("long" if len(text) > self.limit else "short", len(text))


@p.transform("t_upper", columns={"upper": str})
class Upper(plugin.Mapper):
    text: plugin.Row[str]

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"upper": pc.utf8_upper(batch["text"]).cast(pa.large_string())})


@p.transform("t_words")
class Words(plugin.FlatMapper):
    text: plugin.Row[str]

    def map_row(self, text: str) -> Iterator[str]:
        yield from text.split()


@p.transform("t_number")
class Number(plugin.Mapper):
    value: plugin.Row[int]
    other: plugin.Row[float] | None = None

    def map_row(self, value: int | None, other: float | None) -> int | None:
        return None if value is None else value + int(other or 0)


@pytest.fixture(scope="module")
def client():
    with served(p) as c:
        yield c


def lengths(**config):
    return instance("label", "t_length", config, columns={"text": "string"}, rows={"text": "string"}, address='label.size["a"]')


def batch(**columns):
    return pa.record_batch({name: pa.array(*v) if isinstance(v, tuple) else v for name, v in columns.items()})


def test_a_class_becomes_a_schema(client):
    schema = client.schema()
    assert (schema.version, schema.json_values) == ("0.1.0", True)
    t = next(t for t in schema.types if t.name == "t_length")
    assert (t.kind, t.behavior_version, t.doc) == ("label", 3, "Labels texts by their length. The rest is detail.")
    described = [(a.name, a.type, a.required, a.default_value, list(a.one_of), a.doc) for a in t.body.arguments]
    assert described == [
        ("input", b"", True, b"", [], "The rows to work on."),
        ("text", b'"string"', True, b"", [], "The text to measure."),
        ("limit", b'"number"', False, b"3", [], "The limit."),
        ("style", b'"string"', False, b'"short"', ["short", "long"], ""),
        ("among", b'["list", "string"]', False, b"[]", [], ""),
    ]


def test_the_columns_of_a_labeler_are_named_after_the_block(client):
    prepared = client.prepare(lengths())
    assert [(c.name, c.type, c.origin) for c in prepared.outputs[0].columns] == [
        ("text", "string", 1),
        ("size", "string", 0),
        ("size_characters", "int64", 0),
    ]


def test_a_column_is_never_replaced_silently(client):
    it = instance("label", "t_length", {}, columns={"size": "string"}, rows={"text": "string"}, address="label.size")
    [d] = client.prepare(it).diagnostics
    assert d.summary == 'The dataset already has a column named "size"'


def test_a_row_becomes_a_row_and_null_stays_null(client):
    texts = pa.array(["a", None, "", "abcd", "é\r", "bad"], pa.string())
    [answer] = client.map(lengths(), [batch(text=texts)])
    assert rows_of([answer]) == [
        {"size": "short", "size_characters": 1},
        {"size": None, "size_characters": None},
        {"size": "short", "size_characters": 0},
        {"size": "long", "size_characters": 4},
        {"size": "short", "size_characters": 2},
        {"size": None, "size_characters": None},
    ]
    assert [(e.row, e.message, e.temporary) for e in answer.errors] == [(5, "it is bad", True)]


def test_batches_can_be_empty(client):
    answers = client.map(lengths(), [batch(text=pa.array([], pa.string())), batch(text=["a"]), batch(text=pa.nulls(2, pa.string()))])
    assert [len(rows_of([a])) for a in answers] == [0, 1, 2]


def test_a_bug_ends_the_stage_with_the_authors_frames(client):
    with pytest.raises(Failed) as e:
        client.map(lengths(), [batch(text=["bug"])])
    assert e.value.summary == "KeyError: 'bug'"
    assert "in map_row" in e.value.detail and "raise KeyError(text)" in e.value.detail
    assert "_map.py" not in e.value.detail


def test_what_arrow_functions_return_is_converted(client):
    it = instance("transform", "t_upper", {}, columns={"text": "string"}, rows={"text": "string"})
    assert rows_of(client.map(it, [batch(text=["a", None])])) == [{"upper": "A"}, {"upper": None}]


def test_a_row_gives_any_number_of_rows(client):
    it = instance("transform", "t_words", {}, columns={"text": "string"}, rows={"text": "string"}, address="transform.word")
    [answer] = client.map(it, [batch(text=["a b", "", None, "c"])])
    assert list(answer.counts) == [2, 0, 0, 1]
    assert rows_of([answer]) == [{"word": "a"}, {"word": "b"}, {"word": "c"}]


def test_a_whole_number_is_required_where_int_is_declared(client):
    it = instance("transform", "t_number", {}, columns={"x": "float64"}, rows={"value": "float64"}, address="transform.n")
    [answer] = client.map(it, [batch(value=[2.0, 2.5, None, float("nan"), -0.0])])
    assert [r["n"] for r in rows_of([answer])] == [2, None, None, None, 0]
    assert [(e.row, e.message) for e in answer.errors] == [
        (1, "value is 2.5, but a whole number is required"),
        (3, "value is nan, but a whole number is required"),
    ]


def test_a_result_that_does_not_fit_fails_its_row(client):
    it = instance("transform", "t_number", {}, columns={"x": "int64"}, rows={"value": "int64", "other": "float64"}, address="transform.n")
    [answer] = client.map(it, [batch(value=[2**63 - 1, 1], other=[5.0, 1.0])])
    assert [r["n"] for r in rows_of([answer])] == [None, 2]
    assert [e.row for e in answer.errors] == [0]


def test_answers_that_are_too_large_come_in_several_messages(client, monkeypatch):
    from quern.plugin import _arrow

    monkeypatch.setattr(_arrow, "MAX_ROWS", 4096)
    texts = ["x" * 1000] * 6 + ["y" * 9000, "z"]
    it = instance("transform", "t_upper", {}, columns={"text": "string"}, rows={"text": "string"})
    answers = client.map(it, [batch(text=texts)])
    assert [a.more for a in answers] == [True] * (len(answers) - 1) + [False] and len(answers) > 3
    assert [r["upper"] for r in rows_of(answers)] == [*(t.upper() for t in texts[:6]), None, "Z"]
    [e] = [e for a in answers for e in a.errors]
    assert e.message.startswith("its result takes 1 MiB, but a row between quern and a plugin can take")

    it = instance("transform", "t_words", {}, columns={"text": "string"}, rows={"text": "string"}, address="transform.word")
    answers = client.map(it, [batch(text=["a b", " ".join(["w" * 500] * 20), "c", None])])
    assert [c for a in answers for c in a.counts] == [2, 0, 1, 0]
    assert [r["word"] for r in rows_of(answers)] == ["a", "b", "c"]


def test_texts_keep_their_bytes(client):
    texts = ["a\rb", "e\u0301", "\x00", "\U0001f600", "\u2028"]
    it = instance("transform", "t_words", {}, columns={"text": "string"}, rows={"text": "string"}, address="transform.word")
    [answer] = client.map(it, [batch(text=["e\u0301", "\x00", "\U0001f600"])])
    assert [r["word"] for r in rows_of([answer])] == ["e\u0301", "\x00", "\U0001f600"]
    it = instance("transform", "t_upper", {}, columns={"text": "string"}, rows={"text": "string"})
    assert [r["upper"] for r in rows_of(client.map(it, [batch(text=texts)]))] == [pc.utf8_upper(pa.scalar(t)).as_py() for t in texts]


def test_a_row_that_utf8_cannot_encode_fails_alone(client):
    q = plugin.Plugin("u", version="1.0.0")

    @q.transform("u_it")
    class It(plugin.Mapper):
        text: plugin.Row[str]

        def map_row(self, text: str) -> str:
            return "\ud800" if text == "bad" else text

    it = instance("transform", "u_it", {}, columns={}, rows={"text": "string"}, address="transform.it")
    with served(q) as c:
        [answer] = c.map(it, [batch(text=["ok", "bad"])])
    assert [r["it"] for r in rows_of([answer])] == ["ok", None]
    assert answer.errors[0].row == 1 and "which is not a valid string" in answer.errors[0].message
