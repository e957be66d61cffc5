"""What plans say about the rows, with the real quern."""

from __future__ import annotations

import json

import pytest
from conftest import Pipeline
from quern_hf.data import chat
from quern_hf.tokens import Tokenizer
from test_data import conversations
from test_quern import BASE, planned, rows, sft, trained  # noqa: F401

VALIDATION = """validation {
    dataset  = source.rows
    messages = row.messages
  }"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("max_length = 64", "of the rows have more than max_length = 64 tokens"),
        (VALIDATION, "24 of 24 rows to evaluate on are also trained on"),
    ],
)
def test_a_plan_says_what_is_wrong_with_the_rows_and_where(trained: Pipeline, more, says):  # noqa: F811
    trained.write(BASE + sft(more=more))
    text = planned(trained, fails=more != VALIDATION)
    assert says in text and "main.quern.hcl line" in text


def test_a_plan_says_which_row_has_no_answer(trained: Pipeline):  # noqa: F811
    bad = {"id": 24, "messages": [{"role": "user", "content": "?"}]}
    trained.write(BASE + sft(), rows_jsonl=rows(24) + json.dumps(bad) + "\n")
    text = planned(trained)
    assert "row 25 cannot be trained on" in text and 'from the role "assistant"' in text


def test_a_plan_estimates_tokens(trained: Pipeline):  # noqa: F811
    trained.write(BASE + sft(more="epochs = 2"))
    nodes = trained.read("plan")["nodes"]
    estimate = next(n for n in nodes if n["address"] == "train.tuned")["estimate"]
    tokenizer = Tokenizer(trained.folder / "base")
    assert estimate["input_tokens"] == 2 * sum(len(chat(tokenizer, m).ids) for m in conversations(24))
