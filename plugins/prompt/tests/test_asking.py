"""Calls within a budget, and the parts of the rows, without quern."""

from __future__ import annotations

import threading

import pytest
from quern import plugin
from quern_prompt.asking import Asker, Failed, Spent, Waiting
from quern_prompt.rows import Row, split


class Run:
    def check(self) -> None: ...

    def progress(self, *_: object) -> None: ...


class Model:
    """Repeats the question, and fails where it says so."""

    key = "model"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def chat(self, request: plugin.ChatRequest, *, draw: int, accept_truncated: bool) -> plugin.ChatResponse:
        text = request.messages[-1].content
        with self._lock:
            self.asked.append((text, draw))
        if text in ("busy", "pending", "refused"):
            raise plugin.CallError(text, temporary=text == "busy", pending=text == "pending", check_after=60)
        return plugin.ChatResponse(text)


def requests(*texts: str) -> list[plugin.ChatRequest]:
    return [plugin.ChatRequest([plugin.Message("user", t)]) for t in texts]


def test_a_request_is_made_once_and_the_budget_is_never_exceeded():
    model, asker = Model(), Asker(Run(), most=6, reserved=2, concurrency=4)
    assert [a.text for a in asker.all(model, requests("a", "b", "a"))] == ["a", "b", "a"]
    assert [a.text for a in asker.all(model, requests("b", "c"))] == ["b", "c"]
    assert sorted(model.asked) == [("a", 0), ("b", 0), ("c", 0)]
    assert asker.all(model, requests("a"), draw=1)[0].text == "a"
    with pytest.raises(Spent):
        asker.all(model, requests("d"))
    asker.reserved = 0
    with pytest.raises(Spent):
        asker.all(model, requests("d", "e", "f"))
    assert len(asker.all(model, requests("d", "e"))) == 2
    assert asker.calls == len(model.asked) == 6


def test_only_an_answer_that_will_not_change_is_kept():
    model, asker = Model(), Asker(Run(), most=100, reserved=0, concurrency=1)
    [refused] = asker.all(model, requests("refused"))
    assert isinstance(refused, plugin.CallError)
    with pytest.raises(Failed, match="Apply again to continue"):
        asker.all(model, requests("busy"))
    with pytest.raises(Waiting) as waiting:
        asker.all(model, requests("pending", "x", "y"))
    assert isinstance(waiting.value.error.of_row(), plugin.Pending)
    assert {("x", 0), ("y", 0)} <= set(model.asked), "not all requests are in the batch"
    assert asker.calls == 1


def rows(texts: list[str]) -> list[Row]:
    return [Row(i, plugin.ChatRequest([plugin.Message("user", t)]), None, None) for i, t in enumerate(texts)]


def test_equal_questions_are_in_one_part_and_more_rows_move_none():
    texts = [f"question {i % 400}" for i in range(1000)]
    parts = split(rows(texts), 0, 0.3, 10_000)
    search, held = ({r.question for r in part} for part in (parts.search, parts.held_out))
    assert not search & held and len(search | held) == 400
    assert len(parts.search) + len(parts.held_out) == 1000
    assert 0.2 < len(held) / 400 < 0.4
    more = split(rows(texts + [f"another {i}" for i in range(500)]), 0, 0.3, 10_000)
    assert {r.question for r in more.held_out if r.question.startswith("question")} == held
    other = split(rows(texts), 1, 0.3, 10_000)
    assert {r.question for r in other.held_out} != held
    few = split(rows(texts), 0, 0.3, 50)
    assert (len(few.search), len(few.held_out)) == (35, 15)
    assert {r.question for r in few.held_out} <= held
